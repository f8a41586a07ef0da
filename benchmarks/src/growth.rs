//! `growth`: latency of GET while the keyspace grows from nothing: a table that is moved or zeroed as a whole shows here as a pause.
//!
//! The filler goes at a fixed rate, the same for every server, so that a faster one is not measured under a greater load. The prober asks on its own
//! connection at fixed times. When a reply comes after the next time to ask, that next latency counts from the time planned, not from the sending:
//! else a pause would hide the very questions that it delayed. When the prober merely overslept, it counts from the sending.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, key};
use crate::placement;
use crate::report::{Cell, Table};
use crate::servers::{REDIS, Selection, Server, Subject, kevy, percore};
use crate::{Error, Result};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), percore(1)];

/// Keys on their way at once: few, since a probe may wait behind them.
const BATCH: u64 = 50;
/// Between two probes.
const PROBE_INTERVAL: Duration = Duration::from_micros(200);

/// One probe.
#[derive(Clone, Copy)]
struct Probe {
    latency: Duration,
    /// Keys held by then.
    keys: u64,
}

/// Grows each server to `keys` keys at `rate` keys a second.
pub fn run(selection: &Selection, keys: u64, rate: u64) -> Result<Vec<Table>> {
    let columns = [
        "server",
        "probes",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "p99.99 us",
        "max us",
        "keys at max",
        "keys/s",
    ];
    let mut summary = Table::new(
        format!("GET while growing from 0 to {keys} keys at {rate} keys/s"),
        &columns,
    );
    let subjects = selection.subjects(SUBJECTS, &mut summary)?;
    let mut names = vec!["latency us below".to_string()];
    let mut histograms: Vec<Vec<u64>> = Vec::new();
    for subject in subjects {
        eprintln!("growing {subject}");
        let server = Server::start(selection, subject)?;
        placement::pin_self(subject.placement().client)?;
        let (mut probes, filling) = grow(&server, keys, rate)?;
        probes.sort_by_key(|probe| probe.latency);
        let worst = *probes
            .last()
            .ok_or_else(|| Error::from("too few keys for a single probe"))?;
        let mut cells = vec![
            subject.to_string().into(),
            Cell::Figure(probes.len() as f64, 0),
        ];
        cells.extend(
            [0.5, 0.99, 0.999, 0.9999]
                .map(|quantile| Cell::Figure(micros(at(&probes, quantile)), 0)),
        );
        cells.extend([
            Cell::Figure(micros(worst.latency), 0),
            Cell::Figure(worst.keys as f64, 0),
            Cell::Figure(keys as f64 / filling.as_secs_f64(), 0),
        ]);
        summary.row(cells);
        names.push(subject.to_string());
        histograms.push(octaves(&probes));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(vec![summary, histogram(&names, &histograms)])
}

/// Fills and probes at once; the probes, and the time that filling took.
fn grow(server: &Server, keys: u64, rate: u64) -> Result<(Vec<Probe>, Duration)> {
    let held = AtomicU64::new(0);
    let mut filler = server.connect()?;
    let mut prober = server.connect()?;
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
            probes.push(Probe {
                latency: from.elapsed(),
                keys,
            });
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

/// The latency at `quantile` of probes sorted by it; `probes` is not empty.
fn at(probes: &[Probe], quantile: f64) -> Duration {
    let index = (probes.len() as f64 * quantile) as usize;
    probes[index.min(probes.len() - 1)].latency
}

fn micros(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e6
}

/// How many probes took below 1 us, 2 us, 4 us, ...: place `n` counts from 2^(n-1) up to 2^n us.
fn octaves(probes: &[Probe]) -> Vec<u64> {
    let mut counts = Vec::new();
    for probe in probes {
        let octave = (u128::BITS - probe.latency.as_micros().leading_zeros()) as usize;
        if counts.len() <= octave {
            counts.resize(octave + 1, 0);
        }
        counts[octave] += 1;
    }
    counts
}

fn histogram(names: &[&str], histograms: &[Vec<u64>]) -> Table {
    let mut table = Table::new("Histogram of those latencies: probes in each octave", names);
    let first = histograms
        .iter()
        .filter_map(|counts| counts.iter().position(|&count| count > 0))
        .min()
        .unwrap_or(0);
    let end = histograms.iter().map(Vec::len).max().unwrap_or(0);
    for octave in first..end {
        let mut cells = vec![Cell::Figure((octave as f64).exp2(), 0)];
        cells.extend(
            histograms
                .iter()
                .map(|counts| Cell::Figure(counts.get(octave).copied().unwrap_or(0) as f64, 0)),
        );
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octaves_and_quantiles() {
        let probes: Vec<Probe> = [0, 1, 3, 4, 7]
            .map(|us| Probe {
                latency: Duration::from_micros(us),
                keys: 0,
            })
            .to_vec();
        assert_eq!(octaves(&probes), [1, 1, 1, 2]);
        assert_eq!(at(&probes, 0.5), Duration::from_micros(3));
        assert_eq!(at(&probes, 0.9999), Duration::from_micros(7));
    }
}
