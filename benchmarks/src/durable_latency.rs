//! How long GET takes, and how much more memory there is, while a snapshot or a new log is written,
//! beside Redis, which forks for both.
//!
//! A writer sets keys at a fixed rate, the same for all, so that there is something to copy. The
//! prober asks on its own connection at fixed times; what comes late counts from when it was
//! planned, as in `growth`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, key};
use crate::durable::Size;
use crate::durable_files::{CORES, Store};
use crate::picture::{self, Line};
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::Subject;
use crate::{Error, Result, placement};

/// SETs a second while the prober asks.
const RATE: u64 = 20_000;
/// SETs on their way at once.
const BATCH: u64 = 20;
/// Between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(1);
/// Between two looks whether the file is written, and at the memory.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long it is watched while nothing is written.
const IDLE: Duration = Duration::from_secs(3);
/// A file that is not written after so long will not be.
const WRITTEN_MAX: Duration = Duration::from_secs(120);

/// percore's p99.9 meanwhile may be so many times the idle one.
const TAIL_RATIO_MAX: f64 = 2.0;

const PHASES: [Phase; 3] = [Phase::Idle, Phase::Snapshot, Phase::Rewrite];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Snapshot,
    Rewrite,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "nothing",
            Self::Snapshot => "BGSAVE",
            Self::Rewrite => "BGREWRITEAOF",
        }
    }

    /// The line of INFO that says that it is over, and the one where Redis counts what it copied.
    fn lines(self) -> (&'static str, &'static str) {
        match self {
            Self::Rewrite => ("aof_rewrite_in_progress:0", "aof_last_cow_size:"),
            _ => ("rdb_bgsave_in_progress:0", "rdb_last_cow_size:"),
        }
    }
}

/// What was seen in one phase of one server.
#[derive(Clone, Default)]
struct Seen {
    /// Microseconds of all rounds.
    latencies: Vec<u64>,
    seconds: Vec<f64>,
    extra_mib: Vec<f64>,
}

impl Seen {
    fn quantile(&self, quantile: f64) -> f64 {
        let at = (self.latencies.len() as f64 * quantile) as usize;
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(at.min(last))
            .map_or(f64::NAN, |us| *us as f64)
    }
}

/// Watches each server in each phase, by turns.
pub fn measure(
    selection: &Selection,
    stores: &mut [Store],
    size: &Size,
    picture: Option<&PathBuf>,
) -> Result<Table> {
    let figures = [
        ("p50 us", 0),
        ("p99 us", 0),
        ("p99.9 us", 0),
        ("max us", 0),
        ("p99.9 over idle", 2),
        ("took s", 2),
        ("extra MiB", 1),
    ];
    let keys = size.keys;
    let title = format!("GET beside {RATE} SET/s, {keys} keys, while a file is written");
    let mut table = Table::new(title, "server writing verdict", &figures);
    placement::pin_self(CORES)?;
    let mut all = vec![vec![Seen::default(); PHASES.len()]; stores.len()];
    for repeat in 1..=size.repeats {
        for (store, seen) in stores.iter_mut().zip(&mut all) {
            let subject = store.subject;
            let server = store.with_log(selection, keys)?;
            for (phase, seen) in PHASES.iter().zip(seen) {
                eprintln!(
                    "latency {repeat}/{}: {subject}, {}",
                    size.repeats,
                    phase.name()
                );
                watch(server, *phase, keys, seen)
                    .map_err(|error| Error::from(format!("{subject}: {error}")))?;
            }
        }
    }
    for (store, seen) in stores.iter().zip(&mut all) {
        seen.iter_mut().for_each(|it| it.latencies.sort_unstable());
        rows(&mut table, store.subject, seen);
    }
    table.note("of all rounds together; took, extra: means of the rounds; extra: Redis's own count of pages copied, percore's growth of resident memory at most");
    if let Some(path) = picture {
        let lines: Vec<Line> = stores
            .iter()
            .zip(&all)
            .flat_map(|(store, seen)| lines(store.subject, seen))
            .collect();
        let title = format!("GET while a file is written, {keys} keys, {RATE} SET/s beside it");
        fs::write(path, picture::latencies(&title, &lines))?;
    }
    Ok(table)
}

fn rows(table: &mut Table, subject: Subject, seen: &[Seen]) {
    let idle = seen[0].quantile(0.999);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for (phase, seen) in PHASES.iter().zip(seen) {
        let ratio = seen.quantile(0.999) / idle;
        let is_judged = *phase != Phase::Idle && subject != crate::subject::REDIS;
        let verdict = match is_judged {
            false => "",
            true if ratio <= TAIL_RATIO_MAX => "holds",
            true => "BROKEN",
        };
        let figures = [
            seen.quantile(0.5),
            seen.quantile(0.99),
            seen.quantile(0.999),
            seen.quantile(1.0),
            ratio,
            mean(&seen.seconds),
            mean(&seen.extra_mib),
        ];
        table.row(&[&subject, &phase.name(), &verdict], &figures);
    }
}

fn lines(subject: Subject, seen: &[Seen]) -> Vec<Line> {
    let phases = PHASES.iter().zip(seen);
    phases
        .map(|(phase, seen)| Line {
            name: format!("{subject}, {}", phase.name()),
            is_ours: subject != crate::subject::REDIS,
            style: PHASES.iter().position(|it| it == phase).unwrap_or_default(),
            at: picture::QUANTILES.map(|(_, quantile)| seen.quantile(quantile)),
        })
        .collect()
}

/// Lets a phase happen beside a writer and a prober.
fn watch(server: &Server, phase: Phase, keys: u64, seen: &mut Seen) -> Result<()> {
    let over = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    let (mut writer, mut prober, mut operator) =
        (server.connect()?, server.connect()?, server.connect()?);
    let ended = thread::scope(|scope| {
        let writing = scope.spawn(|| write(&mut writer, keys, &written, &over));
        let probing = scope.spawn(|| probe(&mut prober, keys, &over));
        let went = go_through(server, &mut operator, phase);
        over.store(true, Ordering::Relaxed);
        let panicked = |_| Error::from("a client's thread panicked");
        writing.join().map_err(panicked)??;
        seen.latencies.extend(probing.join().map_err(panicked)??);
        went
    });
    let (seconds, extra) = ended?;
    seen.seconds.push(seconds);
    seen.extra_mib.push(extra);
    Ok(())
}

/// Seconds that it took, and MiB of memory that it took.
fn go_through(server: &Server, operator: &mut Connection, phase: Phase) -> Result<(f64, f64)> {
    const MIB: f64 = 1_048_576.0;
    let before = server.process.resident_bytes_roughly()?;
    let mut most = before;
    let began = Instant::now();
    let (is_over, copied) = phase.lines();
    match phase {
        Phase::Idle => thread::sleep(IDLE),
        Phase::Snapshot | Phase::Rewrite => {
            operator.ask(&[phase.name().as_bytes()])?;
            loop {
                thread::sleep(LOOK_INTERVAL);
                most = most.max(server.process.resident_bytes_roughly()?);
                let info = operator.ask(&[b"INFO", b"persistence"])?;
                if info.lines().any(|line| line == is_over) {
                    break;
                }
                if began.elapsed() > WRITTEN_MAX {
                    return Err(format!("{} has not ended", phase.name()).into());
                }
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    let info = operator.ask(&[b"INFO", b"persistence"])?;
    let copied = info.lines().find_map(|line| line.strip_prefix(copied));
    let copied: f64 = copied.unwrap_or("0").parse()?;
    let extra = match phase {
        Phase::Idle => 0.0,
        // A child's pages are not in the parent's count.
        _ if copied > 0.0 => copied / MIB,
        _ => (most - before) as f64 / MIB,
    };
    Ok((took, extra))
}

fn write(
    connection: &mut Connection,
    keys: u64,
    written: &AtomicU64,
    over: &AtomicBool,
) -> Result<()> {
    let started = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let done = written.fetch_add(BATCH, Ordering::Relaxed);
        let planned = started + Duration::from_secs_f64(done as f64 / RATE as f64);
        thread::sleep(planned.saturating_duration_since(Instant::now()));
        for _ in 0..BATCH {
            let key = key(fastrand::u64(0..keys));
            connection.queue(&[b"SET", key.as_bytes(), b"ponmlkjihgfedcba"]);
        }
        connection.flush()?;
        connection.pass_over(usize::try_from(BATCH)?)?;
    }
    Ok(())
}

/// Microseconds that each GET took.
fn probe(prober: &mut Connection, keys: u64, over: &AtomicBool) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut planned = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let early = planned.saturating_duration_since(Instant::now());
        thread::sleep(early);
        let from = if early.is_zero() {
            planned
        } else {
            Instant::now()
        };
        prober.ask(&[b"GET", key(fastrand::u64(0..keys)).as_bytes()])?;
        latencies.push(u64::try_from(from.elapsed().as_micros())?);
        planned += PROBE_INTERVAL;
    }
    Ok(latencies)
}
