//! `growth`: latency of GET while the keyspace grows from nothing: a table that is moved or zeroed
//! as a whole shows here as a pause.
//!
//! The filler goes at a fixed rate, the same for every server, so that a faster one is not measured
//! under a greater load. The prober asks on its own connection at fixed times. When a reply comes
//! after the next time to ask, that next latency counts from the time planned, not from the
//! sending: else a pause would hide the very questions that it delayed. When the prober merely
//! overslept, it counts from the sending.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, key};
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, kevy, percore};
use crate::{Error, Result, placement};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), percore(1)];
/// Keys on their way at once: few, since a probe may wait behind them.
const BATCH: u64 = 50;
/// Between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(1);

const FIGURES: &[(&str, usize)] = &[
    ("probes", 0),
    ("p50 us", 0),
    ("p99 us", 0),
    ("p99.9 us", 0),
    ("p99.99 us", 0),
    ("max us", 0),
    ("keys at max", 0),
    ("keys/s", 0),
];

/// One probe, ordered by its latency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Probe {
    latency_us: u64,
    /// Keys held by then.
    keys: u64,
}

/// Grows each server to `keys` keys at `rate` keys a second.
pub fn run(selection: &Selection, keys: u64, rate: u64) -> Result<Vec<Table>> {
    let title = format!("GET while growing from 0 to {keys} keys at {rate} keys/s");
    let mut table = Table::new(title, "server", FIGURES);
    let mut histograms: Vec<(String, Vec<u64>)> = Vec::new();
    for subject in selection.subjects(SUBJECTS, &mut table)? {
        eprintln!("growing {subject}");
        let server = Server::start(selection, subject)?;
        placement::pin_self(subject.placement().client)?;
        let (mut probes, filling) = grow(&server, keys, rate)?;
        probes.sort_unstable();
        let worst = *probes
            .last()
            .ok_or_else(|| Error::from("too few keys for a single probe"))?;
        let at =
            |quantile: f64| probes[(probes.len() as f64 * quantile) as usize].latency_us as f64;
        let mut figures = vec![
            probes.len() as f64,
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999),
        ];
        figures.extend([
            worst.latency_us as f64,
            worst.keys as f64,
            keys as f64 / filling.as_secs_f64(),
        ]);
        table.row(&[&subject], &figures);
        histograms.push((subject.to_string(), octaves(&probes)));
    }
    Ok(vec![table, histogram(&histograms)])
}

/// Fills and probes at once; the probes, and the time that filling took.
fn grow(server: &Server, keys: u64, rate: u64) -> Result<(Vec<Probe>, Duration)> {
    let held = AtomicU64::new(0);
    let (mut filler, mut prober) = (server.connect()?, server.connect()?);
    thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&mut filler, keys, rate, &held));
        let mut probes = Vec::new();
        let mut planned = Instant::now();
        while !filling.is_finished() {
            let early = planned.saturating_duration_since(Instant::now());
            thread::sleep(early);
            let from = if early.is_zero() {
                planned
            } else {
                Instant::now()
            };
            let keys = held.load(Ordering::Relaxed);
            prober.ask(&[b"GET", key(fastrand::u64(0..keys.max(1))).as_bytes()])?;
            let latency_us = u64::try_from(from.elapsed().as_micros())?;
            probes.push(Probe { latency_us, keys });
            planned += PROBE_INTERVAL;
        }
        let filling = filling
            .join()
            .map_err(|_| Error::from("the filling thread panicked"))??;
        Ok((probes, filling))
    })
}

fn fill(connection: &mut Connection, keys: u64, rate: u64, held: &AtomicU64) -> Result<Duration> {
    let started = Instant::now();
    let mut next = 0;
    while next < keys {
        let planned = started + Duration::from_secs_f64(next as f64 / rate as f64);
        thread::sleep(planned.saturating_duration_since(Instant::now()));
        let end = keys.min(next + BATCH);
        connection.set_batch(next..end)?;
        held.store(end, Ordering::Relaxed);
        next = end;
    }
    Ok(started.elapsed())
}

/// How many probes took below 1 us, 2 us, 4 us, ...: place `n` counts from 2^(n-1) up to 2^n us.
fn octaves(probes: &[Probe]) -> Vec<u64> {
    let mut counts = vec![0; u64::BITS as usize + 1];
    for probe in probes {
        counts[(u64::BITS - probe.latency_us.leading_zeros()) as usize] += 1;
    }
    counts
}

fn histogram(histograms: &[(String, Vec<u64>)]) -> Table {
    let mut columns = vec![("latency us below", 0)];
    columns.extend(histograms.iter().map(|(name, _)| (name.as_str(), 0)));
    let mut table = Table::new(
        "Histogram of those latencies: probes in each octave",
        "",
        &columns,
    );
    for octave in 0..=u64::BITS as usize {
        let counts: Vec<f64> = histograms
            .iter()
            .map(|(_, counts)| counts[octave] as f64)
            .collect();
        if counts.iter().any(|&count| count > 0.0) {
            table.row(&[], &[vec![(octave as f64).exp2()], counts].concat());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octaves_are_powers_of_two() {
        let probes = [0, 1, 3, 4, 7].map(|latency_us| Probe {
            latency_us,
            keys: 0,
        });
        assert_eq!(octaves(&probes)[..5], [1, 1, 1, 2, 0]);
        assert_eq!(
            octaves(&[Probe {
                latency_us: u64::MAX,
                keys: 0
            }])[64],
            1
        );
    }
}
