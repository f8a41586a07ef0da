//! `durable`: what it costs that data outlasts the process, beside Redis.
//!
//! Three parts: writing with the log off, `everysec` and `always`; how fast a snapshot is saved and
//! files are loaded (`durable_files`); and how long clients wait while a snapshot or a new log is
//! written, which Redis does in a forked child (`durable_latency`).

use std::path::PathBuf;

use crate::client::Connection;
use crate::redis_benchmark::{self, KEYS, Workload};
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, percore};
use crate::{Error, Result, durable_files, durable_latency};

const SUBJECTS: &[Subject] = &[REDIS, percore(1), percore(2)];

/// CPU time of a SET with a log under `everysec` over that without one.
const EVERYSEC_RATIO_MAX: f64 = 1.20;
/// CPU time of a SET with a log under `everysec` over that without one, with several shards: they
/// wake more often for as much work, and write each time.
const EVERYSEC_RATIO_MAX_SHARDED: f64 = 1.25;
/// percore's throughput under `always` over Redis's.
const ALWAYS_RATIO_MIN: f64 = 1.0;

/// How large the parts are.
pub struct Size {
    /// Rounds of writing.
    pub rounds: u64,
    /// SETs of a run, 16 deep; runs that wait for the disk get fewer.
    pub requests: u64,
    /// Keys in the files, and while saving.
    pub keys: u64,
    /// Saves, loads and rounds of latency.
    pub repeats: u64,
}

/// How what is written is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Off,
    EverySecond,
    Always,
}

impl Log {
    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::EverySecond => "everysec",
            Self::Always => "always",
        }
    }

    fn flags(self) -> Vec<String> {
        let flags = match self {
            Self::Off => "--appendonly no",
            Self::EverySecond => "--appendonly yes --appendfsync everysec",
            Self::Always => "--appendonly yes --appendfsync always",
        };
        flags.split(' ').map(str::to_owned).collect()
    }
}

/// Each with the depth of the pipeline and what the number of SETs is divided by.
const WAYS: [(Log, u32, u64); 4] = [
    (Log::Off, 16, 1),
    (Log::EverySecond, 16, 1),
    (Log::Always, 16, 4),
    (Log::Always, 1, 20),
];

#[derive(Clone, Copy)]
struct Run {
    cpu_us: f64,
    ops_per_s: f64,
    p99_ms: f64,
}

/// All three parts, or those whose names have `only` in them: `writing`, `files`, `latency`. The
/// latencies are drawn into `picture`.
pub fn run(
    selection: &Selection,
    size: &Size,
    only: Option<&str>,
    picture: Option<&PathBuf>,
) -> Result<Vec<Table>> {
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let mut tables = Vec::new();
    if wanted("writing") {
        tables.extend(writing(selection, size.rounds, size.requests)?);
    }
    if wanted("files") || wanted("latency") {
        let (mut stores, table) = durable_files::fill(selection, size.keys)?;
        if wanted("files") {
            tables.extend(durable_files::measure(selection, &mut stores, table, size)?);
        }
        if wanted("latency") {
            tables.push(durable_latency::measure(
                selection,
                &mut stores,
                size,
                picture,
            )?);
        }
    }
    Ok(tables)
}

fn writing(selection: &Selection, rounds: u64, requests: u64) -> Result<Vec<Table>> {
    let figures = [
        ("depth", 0),
        ("cpu us/op", 3),
        ("least", 3),
        ("most", 3),
        ("ops/s", 0),
        ("p99 ms", 2),
    ];
    let title = format!("SET with 50 connections: medians of {rounds} rounds");
    let mut table = Table::new(title, "server log", &figures);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let mut runs = vec![Vec::new(); subjects.len() * WAYS.len()];
    for round in 1..=rounds {
        for (way, &(log, depth, fewer)) in WAYS.iter().enumerate() {
            for (of, &subject) in subjects.iter().enumerate() {
                eprintln!(
                    "round {round}/{rounds}: {subject}, {}, {depth} deep",
                    log.name()
                );
                let run = write(selection, subject, log, depth, requests / fewer)
                    .map_err(|error| Error::from(format!("{subject}: {error}")))?;
                runs[of * WAYS.len() + way].push(run);
            }
        }
    }
    for (of, subject) in subjects.iter().enumerate() {
        for (way, &(log, depth, _)) in WAYS.iter().enumerate() {
            let runs: &Vec<Run> = &runs[of * WAYS.len() + way];
            let cpu = Spread::of(runs.iter().map(|run| run.cpu_us));
            let rate = Spread::of(runs.iter().map(|run| run.ops_per_s));
            let p99 = Spread::of(runs.iter().map(|run| run.p99_ms));
            let figures = [
                f64::from(depth),
                cpu.median,
                cpu.least,
                cpu.most,
                rate.median,
                p99.median,
            ];
            table.row(&[subject, &log.name()], &figures);
        }
    }
    Ok(vec![table, judged(&subjects, &runs)])
}

fn write(
    selection: &Selection,
    subject: Subject,
    log: Log,
    depth: u32,
    requests: u64,
) -> Result<Run> {
    let server = Server::start_with(selection, subject, &log.flags())?;
    let mut connection: Connection = server.connect()?;
    // Under `always` filling would wait for the disk, too.
    connection.ask(&[b"CONFIG", b"SET", b"appendfsync", b"no"])?;
    connection.fill(KEYS)?;
    if log == Log::Always {
        connection.ask(&[b"CONFIG", b"SET", b"appendfsync", b"always"])?;
    }
    if log == Log::EverySecond {
        connection.ask(&[b"CONFIG", b"SET", b"appendfsync", b"everysec"])?;
    }
    let workload = Workload {
        command: "SET",
        words: None,
        pipeline: depth,
        requests,
    };
    let before = server.process.cpu_time()?;
    let seen = redis_benchmark::run(server.port, subject.placement(), workload)?;
    let spent = server.process.cpu_time()?.saturating_sub(before);
    Ok(Run {
        cpu_us: spent.as_secs_f64() * 1e6 / requests as f64,
        ops_per_s: seen.ops_per_s,
        p99_ms: seen.latency_ms[1],
    })
}

/// Holds percore against the promises.
fn judged(subjects: &[Subject], runs: &[Vec<Run>]) -> Table {
    let figures = [("ratio", 2), ("least", 2), ("most", 2), ("bound", 2)];
    let mut table = Table::new("Bounds of writing", "server promise verdict", &figures);
    let of = |subject: usize, way: usize| &runs[subject * WAYS.len() + way];
    let mut judge = |subject: usize, promise: &str, ratio: Spread, bound: f64, is_least: bool| {
        let holds = if is_least {
            ratio.median >= bound
        } else {
            ratio.median <= bound
        };
        let verdict = if holds { "holds" } else { "BROKEN" };
        let figures = [ratio.median, ratio.least, ratio.most, bound];
        table.row(&[&subjects[subject], &promise, &verdict], &figures);
    };
    let redis = subjects.iter().position(|subject| *subject == REDIS);
    for (subject, _) in subjects.iter().enumerate().filter(|it| *it.1 != REDIS) {
        let rounds = of(subject, 1).iter().zip(of(subject, 0));
        let ratio = Spread::of(rounds.map(|(with, without)| with.cpu_us / without.cpu_us));
        let promise = "CPU, everysec over off";
        let bound = if subjects[subject].shards > 1 {
            EVERYSEC_RATIO_MAX_SHARDED
        } else {
            EVERYSEC_RATIO_MAX
        };
        judge(subject, promise, ratio, bound, false);
        let Some(redis) = redis else {
            continue;
        };
        for (way, promise) in [
            (2, "ops/s, always, over redis"),
            (3, "ops/s, always, 1 deep, over redis"),
        ] {
            let rounds = of(subject, way).iter().zip(of(redis, way));
            let ratio = Spread::of(rounds.map(|(ours, theirs)| ours.ops_per_s / theirs.ops_per_s));
            judge(subject, promise, ratio, ALWAYS_RATIO_MIN, true);
        }
    }
    table.note("a ratio is that of the same round; the median is held against the bound");
    table
}
