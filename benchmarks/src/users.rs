//! `users`: what access control costs. GET and SET of one server, 16 deep and not, one shard: as
//! the default user, who may do everything, and as one with three patterns of keys, of which the
//! last fits. Which of them asks changes from run to run, and the server is the same.

use std::num::NonZeroU64;

use crate::redis_benchmark::{self, KEYS, Workload};
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server};
use crate::subject::percore;
use crate::{Error, Result};

/// A user with patterns may cost so much more.
const RATIO_MAX: f64 = 1.05;

const COMMANDS: [&str; 2] = ["GET", "SET"];
const DEPTHS: [u32; 2] = [16, 1];

/// A user of whose patterns the last fits redis-benchmark's keys.
const USER: &str = "ACL SETUSER bench on >bench ~a:* ~b:* ~key:* +@all -@dangerous";
const LOGIN: [&str; 4] = ["--user", "bench", "-a", "bench"];

/// How much is measured.
#[derive(clap::Args)]
pub struct Flags {
    /// Rounds [default: 7, quick: 1].
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
        (pick(rounds, 7, 1), pick(requests, 200_000, 20_000))
    }
}

/// Measures so many rounds of so many commands each, ten times as many 16 deep.
pub fn run(selection: &Selection, (rounds, requests): (u64, u64)) -> Result<Vec<Table>> {
    let title = format!("Server CPU an operation, by user: medians of {rounds} rounds");
    let figures = [
        ("default us", 3),
        ("restricted us", 3),
        ("ratio", 3),
        ("least", 3),
        ("most", 3),
    ];
    let mut table = Table::new(title, "command deep verdict", &figures);
    selection.subjects(&[percore(1)], &mut table)?;
    let server = Server::start_with(selection, percore(1), &[])?;
    let mut client = server.connect()?;
    client.fill(KEYS)?;
    let words: Vec<&[u8]> = USER.split(' ').map(str::as_bytes).collect();
    client.ask(&words)?;
    for pipeline in DEPTHS {
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
            let (mut free, mut restricted) = (Vec::new(), Vec::new());
            for round in 1..=rounds {
                eprintln!("round {round}/{rounds}: {command}, {pipeline} deep");
                free.push(measure(&server, workload, &[])?);
                restricted.push(measure(&server, workload, &LOGIN)?);
            }
            let pairs = restricted.iter().zip(&free);
            let ratio = Spread::of(pairs.map(|(restricted, free)| restricted / free));
            let verdict = if ratio.median <= RATIO_MAX {
                "holds"
            } else {
                "BROKEN"
            };
            let median = |series: &[f64]| Spread::of(series.iter().copied()).median;
            let figures = [
                median(&free),
                median(&restricted),
                ratio.median,
                ratio.least,
                ratio.most,
            ];
            table.row(&[&command, &pipeline, &verdict], &figures);
        }
    }
    table.note("ratio: round by round; the bound is 1.05");
    Ok(vec![table])
}

/// Microseconds of CPU time an operation.
fn measure(server: &Server, workload: Workload, login: &[&str]) -> Result<f64> {
    let before = server.process.cpu_time()?;
    redis_benchmark::run_with(server.port, percore(1).placement(), workload, login)
        .map_err(|error| Error::from(format!("as a user: {error}")))?;
    let spent = server.process.cpu_time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / workload.requests as f64)
}
