//! `tls`: CPU time an operation over TLS, beside Redis with OpenSSL. GET and SET, 16 deep and not,
//! one shard.
//!
//! Both have a certificate on P-256, and agree with the client on the same version and cipher:
//! TLS 1.3 with AES-256-GCM, unless the client prefers another. The handshakes of the fifty
//! connections are part of what is measured.

use std::fs;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::path::Path;

use tempfile::TempDir;

use crate::redis_benchmark::{self, KEYS, Workload};
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server, free_port};
use crate::subject::{REDIS, Subject, percore};
use crate::{Error, Result};

const SUBJECTS: &[Subject] = &[REDIS, percore(1)];

/// Pipelines, with the greatest ratio of percore's CPU time to Redis's.
const DEPTHS: [(u32, f64); 2] = [(16, 0.80), (1, 0.90)];

const COMMANDS: [&str; 2] = ["GET", "SET"];

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// How much is measured.
#[derive(clap::Args)]
pub struct Flags {
    /// Rounds of all servers [default: 5, quick: 1].
    #[arg(long)]
    rounds: Option<NonZeroU64>,
    /// Commands of a run without a pipeline; 16-deep ones get ten times as many [default: 200000,
    /// quick: 20000].
    #[arg(long)]
    requests: Option<NonZeroU64>,
}

impl Flags {
    /// Rounds and commands, by what `pick` makes of a flag, its default and that of a quick run.
    pub fn size(&self, pick: impl Fn(Option<NonZeroU64>, u64, u64) -> u64) -> (u64, u64) {
        let (rounds, requests) = (self.rounds, self.requests);
        (pick(rounds, 5, 1), pick(requests, 200_000, 20_000))
    }
}

/// Measures so many rounds of so many commands each, ten times as many 16 deep.
pub fn run(selection: &Selection, (rounds, requests): (u64, u64)) -> Result<Vec<Table>> {
    let title = format!("Server CPU an operation over TLS: medians of {rounds} rounds");
    let figures = [
        ("redis us", 3),
        ("percore-1 us", 3),
        ("ratio", 2),
        ("least", 2),
        ("most", 2),
    ];
    let mut table = Table::new(title, "command deep verdict", &figures);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let directory = certificate()?;
    let mut workloads = Vec::new();
    for (pipeline, ratio_max) in DEPTHS {
        for command in COMMANDS {
            let workload = Workload {
                command,
                words: None,
                pipeline,
                requests: if pipeline > 1 {
                    requests * 10
                } else {
                    requests
                },
            };
            workloads.push((workload, ratio_max));
        }
    }
    let mut cpu_us = vec![[const { Vec::new() }; SUBJECTS.len()]; workloads.len()];
    for round in 1..=rounds {
        for (of, subject) in SUBJECTS.iter().enumerate() {
            if !subjects.contains(subject) {
                continue;
            }
            eprintln!("round {round}/{rounds}: {subject}");
            let (server, port) = start(selection, *subject, directory.path())?;
            server.connect()?.fill(KEYS)?;
            for ((workload, _), series) in workloads.iter().zip(&mut cpu_us) {
                series[of].push(measure(&server, port, *workload, directory.path())?);
            }
        }
    }
    for ((workload, ratio_max), [theirs, ours]) in workloads.iter().zip(&cpu_us) {
        let ratio = Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs));
        let verdict = if ratio.median.is_nan() {
            "-"
        } else if ratio.median <= *ratio_max {
            "holds"
        } else {
            "BROKEN"
        };
        let median = |series: &[f64]| Spread::of(series.iter().copied()).median;
        let figures = [
            median(theirs),
            median(ours),
            ratio.median,
            ratio.least,
            ratio.most,
        ];
        table.row(&[&workload.command, &workload.pipeline, &verdict], &figures);
    }
    table.note("ratio: round by round; the bounds are 0.80 for 16 deep and 0.90 for 1");
    Ok(vec![table])
}

/// A directory with a server's certificate, which signs itself, and its key.
fn certificate() -> Result<TempDir> {
    let names = vec![Ipv4Addr::LOCALHOST.to_string()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join(CERTIFICATE), made.cert.pem())?;
    let key = made.signing_key.serialize_pem();
    fs::write(directory.path().join(KEY), key)?;
    Ok(directory)
}

/// Starts a server. Returns the port where it speaks TLS, too.
fn start(selection: &Selection, subject: Subject, directory: &Path) -> Result<(Server, u16)> {
    let port = free_port()?;
    let path = |name| directory.join(name).display().to_string();
    let flags = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", path(CERTIFICATE)),
        ("--tls-key-file", path(KEY)),
        ("--tls-auth-clients", "no".to_owned()),
    ];
    let flags = flags.map(|(flag, value)| [flag.to_owned(), value]);
    let server = Server::start_with(selection, subject, flags.as_flattened())?;
    Ok((server, port))
}

/// Microseconds of CPU time an operation.
fn measure(server: &Server, port: u16, workload: Workload, directory: &Path) -> Result<f64> {
    let authority = directory.join(CERTIFICATE).display().to_string();
    let tls = ["--tls", "--cacert", &authority];
    let before = server.process.cpu_time()?;
    redis_benchmark::run_with(port, percore(1).placement(), workload, &tls)
        .map_err(|error| Error::from(format!("over TLS: {error}")))?;
    let spent = server.process.cpu_time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / workload.requests as f64)
}
