//! `compare`: CPU time an operation, throughput and latency, beside other servers.
//!
//! Rounds are interleaved (A, B, C, A, B, C, ...), each server fresh and filled in each: a
//! machine's speed drifts over minutes, and so each round gives its own ratios. CPU time is the
//! server's own, user and system, so that the client's speed does not stand in for the server's.

use crate::bounds::BOUNDS;
use crate::client::Connection;
use crate::redis_benchmark::{self, KEYS, Workload};
use crate::report::Table;
use crate::series::{Series, Spread};
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, kevy, percore};
use crate::{Error, Result};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), kevy(2), percore(1), percore(2), percore(4)];

const FIGURES: &[(&str, usize)] = &[
    ("pipeline", 0),
    ("cpu us/op", 3),
    ("least", 3),
    ("most", 3),
    ("ops/s", 0),
    ("p50 ms", 3),
    ("p99 ms", 3),
    ("p99.9 ms", 3),
];

/// Measures `rounds` rounds and judges. A run is of `requests` commands, ten times as many where
/// they are pipelined: that takes about as long.
pub fn run(selection: &Selection, rounds: u64, requests: u64) -> Result<Vec<Table>> {
    let title = format!(
        "Server CPU an operation: redis-benchmark, 50 connections, medians of {rounds} rounds"
    );
    let mut table = Table::new(title, "server cores command", FIGURES);
    table.note("cores: the server's / the client's; latency is of a whole pipeline");
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let workloads =
        [("GET", 16), ("SET", 16), ("GET", 1), ("SET", 1)].map(|(command, pipeline)| {
            let requests = if pipeline > 1 {
                requests.saturating_mul(10)
            } else {
                requests
            };
            Workload {
                command,
                words: None,
                pipeline,
                requests,
            }
        });
    let series = interleaved(selection, &subjects, &workloads, rounds, |connection| {
        connection.fill(KEYS)
    })?;
    for series in &series {
        let (workload, placement) = (series.workload, series.subject.placement());
        let cpu = Spread::of(series.cpu_us.iter().copied());
        let mut figures = vec![
            f64::from(workload.pipeline),
            cpu.median,
            cpu.least,
            cpu.most,
        ];
        figures.push(Spread::of(series.seen.iter().map(|seen| seen.ops_per_s)).median);
        figures.extend(
            [0, 1, 2]
                .map(|at| Spread::of(series.seen.iter().map(|seen| seen.latency_ms[at])).median),
        );
        let cores = format!("{} / {}", placement.server, placement.client);
        table.row(&[&series.subject, &cores, &workload.command], &figures);
    }
    Ok(vec![table, judged(&series, &workloads)])
}

/// Measures each of `subjects` under each of `workloads`, in this order, once a round. `fill`
/// prepares each fresh server.
pub fn interleaved(
    selection: &Selection,
    subjects: &[Subject],
    workloads: &[Workload],
    rounds: u64,
    fill: impl Fn(&mut Connection) -> Result<()>,
) -> Result<Vec<Series>> {
    let mut series: Vec<Series> = Vec::new();
    for &workload in workloads {
        let empty = |&subject: &Subject| Series {
            subject,
            workload,
            cpu_us: Vec::new(),
            seen: Vec::new(),
        };
        series.extend(subjects.iter().map(empty));
    }
    for round in 1..=rounds {
        for &subject in subjects {
            eprintln!("round {round}/{rounds}: {subject}");
            let server = Server::start(selection, subject)?;
            fill(&mut server.connect()?)?;
            for series in series.iter_mut().filter(|series| series.subject == subject) {
                measure(&server, series)
                    .map_err(|error| Error::from(format!("{subject}: {error}")))?;
            }
        }
    }
    Ok(series)
}

fn measure(server: &Server, series: &mut Series) -> Result<()> {
    let before = server.process.cpu_time()?;
    series.seen.push(redis_benchmark::run(
        server.port,
        series.subject.placement(),
        series.workload,
    )?);
    let spent = server.process.cpu_time()?.saturating_sub(before);
    series
        .cpu_us
        .push(spent.as_secs_f64() * 1e6 / series.workload.requests as f64);
    Ok(())
}

fn judged(series: &[Series], workloads: &[Workload]) -> Table {
    let figures = [
        ("pipeline", 0),
        ("ratio", 2),
        ("least", 2),
        ("most", 2),
        ("bound", 2),
    ];
    let title = "Bounds: ratio of CPU time an operation, taken round by round";
    let mut table = Table::new(title, "server beside command verdict", &figures);
    for bound in BOUNDS {
        for &workload in workloads {
            if let Some(verdict) = bound.judge(workload, series) {
                let word = if verdict.holds { "holds" } else { "BROKEN" };
                let Spread {
                    median,
                    least,
                    most,
                } = verdict.ratio;
                table.row(
                    &[&bound.subject, &verdict.reference, &workload.command, &word],
                    &[
                        f64::from(workload.pipeline),
                        median,
                        least,
                        most,
                        bound.ratio_max,
                    ],
                );
            }
        }
    }
    table.note("a bound is judged where both its servers were measured");
    table
}
