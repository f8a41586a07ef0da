//! `evict`: how well a full cache chooses what to give up, and whether it stays as small as it was
//! told.
//!
//! A client asks for keys whose popularity falls as Zipf's law has it, and sets each that it does
//! not find: a cache-aside client. The first third of the requests fills the cache and is not
//! counted. The hit ratio is compared with that of a cache which knows the law and holds the most
//! popular keys, as many of them as this one holds: `best %`. A server that holds more keys in the
//! same memory hits more often for that reason alone.
//!
//! Values have lengths between [`VALUE_BYTES_MIN`] and [`VALUE_BYTES_MAX`], as many in each octave
//! as in the others: an allocator's sizes suit some lengths and others not, and one length would
//! judge that. The second table says how many keys of one length fit.

use std::time::{Duration, Instant};

use crate::client::{Connection, key};
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, percore};
use crate::{Result, placement};

const SUBJECTS: &[Subject] = &[REDIS, percore(1), percore(2)];
const POLICIES: &[&str] = &["allkeys-lru", "allkeys-lfu"];

/// Bytes of a value.
const VALUE_BYTES_MIN: usize = 64;
const VALUE_BYTES_MAX: usize = 2048;
/// Lengths of which it is looked how many fit.
const LENGTHS: [usize; 9] = [50, 100, 200, 300, 400, 500, 700, 1000, 2000];
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

/// Runs `requests` requests against each server with a `maxmemory` of `mib` MiB, once for each
/// policy.
pub fn run(selection: &Selection, requests: u64, mib: u64) -> Result<Vec<Table>> {
    let keys = mib * KEYS_PER_MIB;
    let title = format!(
        "Eviction: {keys} keys by Zipf's law ({EXPONENT}), values of {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} bytes, maxmemory {mib} MiB"
    );
    let mut table = Table::new(title, "server policy", FIGURES);
    let law = Zipf::new(keys, EXPONENT);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    for &subject in &subjects {
        for policy in POLICIES {
            eprintln!("evicting from {subject} with {policy}");
            let (server, mut connection) = limited(selection, subject, mib, policy)?;
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
    Ok(vec![table, fitting(selection, &subjects, mib)?])
}

/// A server with a limit, and a connection to it.
fn limited(
    selection: &Selection,
    subject: Subject,
    mib: u64,
    policy: &str,
) -> Result<(Server, Connection)> {
    let server = Server::start(selection, subject)?;
    placement::pin_self(subject.placement().client)?;
    let mut connection = server.connect()?;
    let limit = format!("{mib}mb");
    for (name, value) in [("maxmemory", limit.as_str()), ("maxmemory-policy", policy)] {
        connection.ask(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()])?;
    }
    Ok((server, connection))
}

/// How many keys with values of one length fit, for each of [`LENGTHS`].
fn fitting(selection: &Selection, subjects: &[Subject], mib: u64) -> Result<Table> {
    let columns = LENGTHS.map(|length| format!("{length} bytes"));
    let figures: Vec<(&str, usize)> = columns.iter().map(|name| (name.as_str(), 0)).collect();
    let title = format!("Keys that fit {mib} MiB, by the length of their values");
    let mut table = Table::new(title, "server", &figures);
    for &subject in subjects {
        let mut fit = Vec::new();
        for length in LENGTHS {
            eprintln!("filling {subject} with values of {length} bytes");
            let (_server, mut connection) = limited(selection, subject, mib, "allkeys-random")?;
            let value = vec![b'v'; length];
            // Half as many again as could fit if keys cost nothing.
            let keys = 3 * mib * 1_048_576 / length as u64 / 2;
            for first in (0..keys).step_by(DEPTH) {
                let names = first..first + DEPTH as u64;
                for n in names.clone() {
                    connection.queue(&[b"SET", key(n).as_bytes(), &value]);
                }
                connection.flush()?;
                names
                    .map(|_| connection.reply())
                    .collect::<Result<Vec<_>>>()?;
            }
            fit.push(connection.ask(&[b"DBSIZE"])?.parse()?);
        }
        table.row(&[&subject], &fit);
    }
    Ok(table)
}

/// The length of a key's value: the same at every time and for every server.
fn value_bytes(n: u64) -> usize {
    let octaves = (VALUE_BYTES_MAX as f64 / VALUE_BYTES_MIN as f64).log2();
    let share = fastrand::Rng::with_seed(n).f64();
    (VALUE_BYTES_MIN as f64 * (share * octaves).exp2()) as usize
}

fn drive(
    server: &Server,
    connection: &mut Connection,
    law: &Zipf,
    requests: u64,
) -> Result<Outcome> {
    let value = vec![b'v'; VALUE_BYTES_MAX];
    // Every server gets these questions.
    let mut random = fastrand::Rng::with_seed(42);
    let (mut asked, mut counted, mut hits) = (0, 0u64, 0u64);
    let mut resident_max = 0;
    let started = Instant::now();
    let mut looked = started;
    while asked < requests {
        let batch: Vec<u64> = (0..DEPTH).map(|_| law.draw(&mut random)).collect();
        for &n in &batch {
            connection.queue(&[b"GET", key(n).as_bytes()]);
        }
        connection.flush()?;
        let mut missing = Vec::new();
        for &n in &batch {
            if connection.reply()?.is_empty() {
                missing.push(n);
            }
        }
        for &n in &missing {
            connection.queue(&[b"SET", key(n).as_bytes(), &value[..value_bytes(n)]]);
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

/// Zipf's law over keys from 0 on: the n-th most popular is asked for in proportion to `1 /
/// n^exponent`.
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
    fn lengths_are_spread_over_the_octaves() {
        let lengths: Vec<usize> = (0..10_000).map(value_bytes).collect();
        let all = VALUE_BYTES_MIN..=VALUE_BYTES_MAX;
        assert!(lengths.iter().all(|length| all.contains(length)));
        let below = |limit| lengths.iter().filter(|length| **length < limit).count();
        assert!((1_800..2_200).contains(&below(128)), "{}", below(128));
        assert!((7_800..8_200).contains(&below(1024)), "{}", below(1024));
        assert_eq!(value_bytes(7), value_bytes(7));
    }

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
