//! redis-benchmark as the client: everyone has it, and it favours no server here.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{self, Process};
use crate::servers::{self};
use crate::subject::Placement;
use crate::{Error, Result};

/// Keys asked for, chosen uniformly.
pub const KEYS: u64 = 100_000;
/// A run that lasts longer has hung.
const RUN_MAX: Duration = Duration::from_secs(120);

/// What is asked of a server in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What the report calls it; one of redis-benchmark's own tests unless `words` says otherwise.
    pub command: &'static str,
    /// The command to send instead of a test, its words parted by blanks; `__rand_int__` stands for
    /// one of [`KEYS`] numbers.
    pub words: Option<&'static str>,
    /// Commands sent before replies are awaited, on each connection.
    pub pipeline: u32,
    /// Commands in all.
    pub requests: u64,
}

/// What the client saw of one run. Latencies are of whole pipelines, from the first byte sent to
/// the last reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Commands answered a second.
    pub ops_per_s: f64,
    /// Latencies at percentiles 50, 99 and 99.9, in milliseconds.
    pub latency_ms: [f64; 3],
}

/// Runs `workload` against the server on `port`.
pub fn run(port: u16, placement: Placement, workload: Workload) -> Result<Seen> {
    run_with(port, placement, workload, &[])
}

/// Runs `workload`, with more flags for redis-benchmark.
pub fn run_with(
    port: u16,
    placement: Placement,
    workload: Workload,
    more: &[&str],
) -> Result<Seen> {
    let name = "redis-benchmark";
    let program = servers::found(name)
        .ok_or_else(|| Error::from("redis-benchmark is not here: `apt-get install redis-tools`"))?;
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    let mut command = process::pinned(&program, placement.client);
    let Workload {
        command: test,
        words,
        pipeline,
        requests,
    } = workload;
    let flags = format!(
        "-h 127.0.0.1 -p {port} -c 50 -d 16 -r {KEYS} -n {requests} -P {pipeline} --precision 3"
    );
    command.args(flags.split(' ')).args(more);
    match words {
        Some(words) => command.args(words.split(' ')),
        None => command.args(["-t", test]),
    };
    let mut process = Process::start(name, command, &log)?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = process.exited()? {
            break status;
        }
        if started.elapsed() > RUN_MAX {
            return Err(
                format!("redis-benchmark {workload:?} has not ended within {RUN_MAX:?}").into(),
            );
        }
        thread::sleep(Duration::from_millis(20));
    };
    let output = fs::read_to_string(&log)?;
    parse(&output).filter(|_| status.success()).ok_or_else(|| {
        let end: Vec<&str> = output.lines().rev().take(5).collect();
        format!(
            "redis-benchmark {workload:?} ended with {status}: {}",
            end.join(" / ")
        )
        .into()
    })
}

/// Reads the table of percentiles and the summary. The table has no line for 99 or 99.9 themselves:
/// the first line at or above counts.
fn parse(output: &str) -> Option<Seen> {
    let rate = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("throughput summary: "))?;
    let table: Vec<(f64, f64)> = output
        .lines()
        .skip_while(|line| !line.starts_with("Latency by percentile"))
        .take_while(|line| !line.starts_with("Cumulative distribution"))
        .filter_map(|line| {
            let (percentile, rest) = line.split_once("% <= ")?;
            Some((
                percentile.parse().ok()?,
                rest.split_once(' ')?.0.parse().ok()?,
            ))
        })
        .collect();
    let at = |wanted: f64| {
        table
            .iter()
            .find(|(percentile, _)| *percentile >= wanted)
            .map(|&(_, latency)| latency)
    };
    Some(Seen {
        ops_per_s: rate.split_once(' ')?.0.parse().ok()?,
        latency_ms: [at(50.0)?, at(99.0)?, at(99.9)?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_understood() {
        let output = "GET: rps=0\r====== GET ======\nLatency by percentile distribution:\n0.000% <= 0.079 milliseconds (cumulative count 16)\n\
            50.000% <= 0.255 milliseconds (cumulative count 5)\n98.438% <= 0.423 milliseconds (cumulative count 8)\n\
            99.219% <= 0.471 milliseconds (cumulative count 9)\n99.902% <= 1.311 milliseconds (cumulative count 10)\n\n\
            Cumulative distribution of latencies:\n0.006% <= 0.103 milliseconds (cumulative count 64)\n\n\
            Summary:\n  throughput summary: 1569858.62 requests per second\n";
        assert_eq!(
            parse(output),
            Some(Seen {
                ops_per_s: 1_569_858.62,
                latency_ms: [0.255, 0.471, 1.311]
            })
        );
        assert_eq!(parse("Could not connect"), None);
    }
}
