//! `evict`: how well a full cache chooses what to give up, and whether it stays as small as it was told.
//!
//! A client asks for keys whose popularity falls as Zipf's law has it, and sets each that it does not find: a cache-aside client. The first third of the
//! requests fills the cache and is not counted. The hit ratio is compared with that of a cache which knows the law and holds the most popular keys, as
//! many of them as this one holds: `best %`. A server that holds more keys in the same memory hits more often for that reason alone.

use std::time::{Duration, Instant};

use crate::client::{Connection, key};
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, percore};
use crate::{Result, placement};

const SUBJECTS: &[Subject] = &[REDIS, percore(1), percore(2)];
const POLICIES: &[&str] = &["allkeys-lru", "allkeys-lfu"];

/// Bytes of a value.
const VALUE_BYTES: usize = 500;
/// Different keys, for each MiB of memory: five times as many as fit, about.
const KEYS_PER_MIB: u64 = 10_000;
/// How fast popularity falls. Web caches are reported between 0.6 and 1.
const EXPONENT: f64 = 0.9;
/// Requests on their way at once.
const DEPTH: usize = 64;
/// Between two looks at the resident memory.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const MIB: f64 = 1_048_576.0;

const FIGURES: &[(&str, usize)] = &[
    ("hit %", 2),
    ("best %", 2),
    ("keys", 0),
    ("resident MiB max", 1),
    ("requests/s", 0),
];

/// What a run came to.
struct Outcome {
    hit_ratio: f64,
    resident_max: u64,
    requests_per_s: f64,
}

/// Runs `requests` requests against each server with a `maxmemory` of `mib` MiB, once for each policy.
pub fn run(selection: &Selection, requests: u64, mib: u64) -> Result<Vec<Table>> {
    let keys = mib * KEYS_PER_MIB;
    let title = format!(
        "Eviction: {keys} keys by Zipf's law ({EXPONENT}), {VALUE_BYTES}-byte values, maxmemory {mib} MiB"
    );
    let mut table = Table::new(title, "server policy", FIGURES);
    let law = Zipf::new(keys, EXPONENT);
    for subject in selection.subjects(SUBJECTS, &mut table)? {
        for policy in POLICIES {
            eprintln!("evicting from {subject} with {policy}");
            let server = Server::start(selection, subject)?;
            placement::pin_self(subject.placement().client)?;
            let mut connection = server.connect()?;
            let limit = format!("{mib}mb");
            for (name, value) in [("maxmemory", limit.as_str()), ("maxmemory-policy", policy)] {
                connection.ask(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()])?;
            }
            let outcome = drive(&server, &mut connection, &law, requests)?;
            let held: u64 = connection.ask(&[b"DBSIZE"])?.parse()?;
            table.row(
                &[&subject, policy],
                &[
                    100.0 * outcome.hit_ratio,
                    100.0 * law.share_of_most_popular(held),
                    held as f64,
                    outcome.resident_max as f64 / MIB,
                    outcome.requests_per_s,
                ],
            );
        }
    }
    Ok(vec![table])
}

fn drive(
    server: &Server,
    connection: &mut Connection,
    law: &Zipf,
    requests: u64,
) -> Result<Outcome> {
    let value = vec![b'v'; VALUE_BYTES];
    // The same questions to every server.
    let mut random = fastrand::Rng::with_seed(42);
    let (mut asked, mut counted, mut hits) = (0, 0u64, 0u64);
    let mut resident_max = 0;
    let started = Instant::now();
    let mut looked = started;
    while asked < requests {
        let batch: Vec<String> = (0..DEPTH).map(|_| key(law.draw(&mut random))).collect();
        for key in &batch {
            connection.queue(&[b"GET", key.as_bytes()]);
        }
        connection.flush()?;
        let mut missing = Vec::new();
        for key in &batch {
            if connection.reply()?.is_empty() {
                missing.push(key);
            }
        }
        for key in &missing {
            connection.queue(&[b"SET", key.as_bytes(), &value]);
        }
        connection.flush()?;
        for _ in &missing {
            connection.reply()?;
        }
        asked += DEPTH as u64;
        if asked > requests / 3 {
            counted += DEPTH as u64;
            hits += (DEPTH - missing.len()) as u64;
        }
        if looked.elapsed() >= LOOK_INTERVAL {
            resident_max = resident_max.max(server.process.resident_bytes()?);
            looked = Instant::now();
        }
    }
    resident_max = resident_max.max(server.process.resident_bytes()?);
    Ok(Outcome {
        hit_ratio: hits as f64 / counted.max(1) as f64,
        resident_max,
        requests_per_s: asked as f64 / started.elapsed().as_secs_f64(),
    })
}

/// Zipf's law over keys from 0 on: the n-th most popular is asked for in proportion to `1 / n^exponent`.
struct Zipf {
    /// For each key, the share of the requests that go to it and those before it.
    shares: Vec<f64>,
}

impl Zipf {
    fn new(keys: u64, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|n| {
            sum += (n as f64).powf(-exponent);
            sum
        });
        let mut shares: Vec<f64> = sums.collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        Zipf { shares }
    }

    fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        let at = random.f64();
        let key = self.shares.partition_point(|share| *share < at);
        key.min(self.shares.len().saturating_sub(1)) as u64
    }

    fn share_of_most_popular(&self, keys: u64) -> f64 {
        let last = usize::try_from(keys)
            .ok()
            .and_then(|keys| keys.checked_sub(1));
        last.map_or(0.0, |last| self.shares.get(last).copied().unwrap_or(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_is_drawn_as_often_as_the_law_says() {
        let law = Zipf::new(1000, 1.0);
        let mut random = fastrand::Rng::with_seed(1);
        let drawn: Vec<u64> = (0..100_000).map(|_| law.draw(&mut random)).collect();
        assert!(drawn.iter().all(|key| *key < 1000));
        // The harmonic number of 1000 is 7.485.
        let first = drawn.iter().filter(|key| **key == 0).count();
        assert!((12_800..13_900).contains(&first), "{first}");
        assert!((law.share_of_most_popular(1) - 1.0 / 7.485).abs() < 0.001);
        assert_eq!(law.share_of_most_popular(0), 0.0);
        assert_eq!(law.share_of_most_popular(5000), 1.0);
    }
}
