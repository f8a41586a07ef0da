//! `compare`: CPU time an operation, throughput and latency, beside other servers.
//!
//! Rounds are interleaved (A, B, C, A, B, C, ...), each server fresh and filled in each: a machine's speed drifts over minutes, and so each round
//! gives its own ratios. CPU time is the server's own, user and system, so that the client's speed does not stand in for the server's.

use crate::bounds::{BOUNDS, Costs};
use crate::redis_benchmark::{self, CONNECTIONS, KEYS, Seen, VALUE_BYTES, Workload};
use crate::report::{Cell, Table};
use crate::servers::{REDIS, Selection, Server, Subject, kevy, percore};
use crate::spread::Spread;
use crate::{Error, Result};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), kevy(2), percore(1), percore(2), percore(4)];

/// How much to run.
pub struct Effort {
    /// Rounds of all servers.
    pub rounds: u32,
    /// Commands of a run without a pipeline; a 16-deep one gets ten times as many, which takes about as long.
    pub requests: u64,
}

/// One run of one workload.
struct Run {
    cpu_us: f64,
    seen: Seen,
}

struct Series {
    subject: Subject,
    workload: Workload,
    runs: Vec<Run>,
}

impl Series {
    fn spread(&self, figure: impl Fn(&Run) -> f64) -> Result<Spread> {
        Spread::of(self.runs.iter().map(figure))
            .ok_or_else(|| Error::from("at least one round is needed"))
    }
}

/// Measures and judges.
pub fn run(selection: &Selection, effort: &Effort) -> Result<Vec<Table>> {
    let title = format!(
        "Server CPU an operation: redis-benchmark, {CONNECTIONS} connections, {VALUE_BYTES}-byte values, {KEYS} keys; medians of {} rounds",
        effort.rounds
    );
    let columns = [
        "server",
        "cores",
        "command",
        "pipeline",
        "cpu us/op",
        "least",
        "most",
        "ops/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
    ];
    let mut measured = Table::new(title, &columns);
    measured.note("cores: the server's / the client's; latency is of a whole pipeline");
    let subjects = selection.subjects(SUBJECTS, &mut measured)?;
    let workloads = workloads(effort.requests);
    let mut series: Vec<Series> = Vec::new();
    for workload in workloads {
        series.extend(subjects.iter().map(|&subject| Series {
            subject,
            workload,
            runs: Vec::new(),
        }));
    }
    for round in 1..=effort.rounds {
        for &subject in &subjects {
            eprintln!("round {round}/{}: {subject}", effort.rounds);
            let server = Server::start(selection, subject)?;
            server.connect()?.fill(KEYS)?;
            for series in series.iter_mut().filter(|series| series.subject == subject) {
                series
                    .runs
                    .push(measure(&server, subject, series.workload)?);
            }
        }
    }
    for series in &series {
        measured.row(row(series)?);
    }
    Ok(vec![measured, judged(&series, &workloads)])
}

fn workloads(requests: u64) -> [Workload; 4] {
    [("GET", 16), ("SET", 16), ("GET", 1), ("SET", 1)].map(|(command, pipeline)| Workload {
        command,
        pipeline,
        requests: if pipeline > 1 {
            requests.saturating_mul(10)
        } else {
            requests
        },
    })
}

fn measure(server: &Server, subject: Subject, workload: Workload) -> Result<Run> {
    let before = server.process.cpu_time()?;
    let seen = redis_benchmark::run(server.port, subject.placement(), workload)
        .map_err(|error| Error::from(format!("{subject}: {error}")))?;
    let spent = server.process.cpu_time()?.saturating_sub(before);
    Ok(Run {
        cpu_us: spent.as_secs_f64() * 1e6 / workload.requests as f64,
        seen,
    })
}

fn row(series: &Series) -> Result<Vec<Cell>> {
    let cpu = series.spread(|run| run.cpu_us)?;
    let placement = series.subject.placement();
    let mut cells = vec![
        series.subject.to_string().into(),
        format!("{} / {}", placement.server, placement.client).into(),
        series.workload.command.into(),
        Cell::Figure(f64::from(series.workload.pipeline), 0),
        Cell::Figure(cpu.median, 3),
        Cell::Figure(cpu.least, 3),
        Cell::Figure(cpu.most, 3),
        Cell::Figure(series.spread(|run| run.seen.ops_per_s)?.median, 0),
    ];
    for percentile in 0..3 {
        cells.push(Cell::Figure(
            series.spread(|run| run.seen.latency_ms[percentile])?.median,
            3,
        ));
    }
    Ok(cells)
}

fn judged(series: &[Series], workloads: &[Workload]) -> Table {
    let costs: Vec<Costs> = series
        .iter()
        .map(|series| Costs {
            subject: series.subject,
            workload: series.workload,
            cpu_us: series.runs.iter().map(|run| run.cpu_us).collect(),
        })
        .collect();
    let columns = [
        "server", "beside", "command", "pipeline", "ratio", "least", "most", "bound", "verdict",
    ];
    let mut table = Table::new(
        "Bounds: ratio of CPU time an operation, taken round by round",
        &columns,
    );
    let mut unmeasured = 0;
    for bound in BOUNDS {
        for &workload in workloads
            .iter()
            .filter(|workload| workload.pipeline == bound.pipeline)
        {
            let Some(verdict) = bound.judge(workload, &costs) else {
                unmeasured += 1;
                continue;
            };
            table.row(vec![
                bound.subject.to_string().into(),
                verdict.reference.to_string().into(),
                workload.command.into(),
                Cell::Figure(f64::from(workload.pipeline), 0),
                Cell::Figure(verdict.ratio.median, 2),
                Cell::Figure(verdict.ratio.least, 2),
                Cell::Figure(verdict.ratio.most, 2),
                Cell::Figure(bound.ratio_max, 2),
                if verdict.holds { "holds" } else { "BROKEN" }.into(),
            ]);
        }
    }
    if unmeasured > 0 {
        table.note(format!(
            "{unmeasured} bounds not judged: a server they need was not measured"
        ));
    }
    table
}
