//! `transactions`: what commands cost whose keys lie on several shards, beside the same commands on
//! one.
//!
//! Connections send in lockstep: each sends a batch, then all read their replies. That keeps the
//! client simple and cheap, and the server sees the same load from everybody. CPU time an operation
//! is what is compared, in interleaved rounds as in `compare`; an operation is a command, or all
//! from MULTI to EXEC. In the mixed workloads a prober on a connection of its own asks GET of
//! single keys meanwhile, one at a time.
//!
//! What transactions cost *others* is judged: of the mixed load's CPU time that of as many MSETs
//! alone is taken away, and what is left for a single-key command is held against what it costs
//! where there are none. (An MSET of ten keys is the work of ten commands, whoever else is there.)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, encode, key};
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server};
use crate::subject::{Product, REDIS, Subject, kevy, percore};
use crate::{Error, Result, handoff, placement};

pub const SUBJECTS: &[Subject] = &[REDIS, kevy(2), kevy(4), percore(1), percore(2), percore(4)];

/// Keys that are there, and are named.
const KEYS: u64 = 100_000;
/// Keys of an MGET or MSET, and commands of an EXEC.
const KEYS_OF_ONE: usize = 10;
const COMMANDS_OF_EXEC: usize = 5;
/// Connections that are loaded.
const CONNECTIONS: usize = 50;
/// Different batches, of which each connection sends one after the other.
const BATCHES: usize = 64;
/// Commands of one key that are pipelined in the mixed workloads.
const MIXED_DEPTH: usize = 16;
/// Connections of the fifty that send single-key commands there; the others send one command of ten
/// keys each: one in a hundred and one.
const MIXED_SINGLE: usize = 44;
const VALUE: &[u8] = b"abcdefghijklmnop";

const FIGURES: &[(&str, usize)] = &[
    ("cpu us/op", 2),
    ("least", 2),
    ("most", 2),
    ("ops/s", 0),
    ("GET p50 us", 0),
    ("GET p99 us", 0),
];

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// MGET of keys anywhere, so deep in a pipeline.
    Mget(usize),
    /// MSET likewise.
    Mset(usize),
    /// MSET of keys of one shard, not pipelined.
    MsetOfOneShard,
    /// EXEC of commands on keys of one shard.
    ExecOfOneShard,
    /// EXEC of commands on keys anywhere.
    ExecOfAny,
    /// GET and SET by turns.
    Single,
    /// GET and SET by turns, and among a hundred of them an MSET of keys of one shard.
    SingleAndMsetOfOneShard,
    /// GET and SET by turns, and among a hundred of them an MSET of keys anywhere.
    SingleAndMset,
}

const WORKLOADS: &[(&str, Work)] = &[
    ("mget10", Work::Mget(1)),
    ("mget10-pipelined", Work::Mget(16)),
    ("mset10", Work::Mset(1)),
    ("mset10-pipelined", Work::Mset(16)),
    ("exec5-one-shard", Work::ExecOfOneShard),
    ("exec5", Work::ExecOfAny),
    ("mset10-one-shard", Work::MsetOfOneShard),
    ("single", Work::Single),
    ("single+1%mset10-one-shard", Work::SingleAndMsetOfOneShard),
    ("single+1%mset10", Work::SingleAndMset),
];

/// What single-key commands may cost beside transactions, over what they cost without.
const BESIDE_MAX: f64 = 1.05;

/// Which mixed workloads are judged, with what is mixed into them.
const MIXED: &[(Work, Work)] = &[
    (Work::SingleAndMsetOfOneShard, Work::MsetOfOneShard),
    (Work::SingleAndMset, Work::Mset(1)),
];

/// What one connection sends at once.
struct Batch {
    bytes: Vec<u8>,
    replies: usize,
    operations: u64,
}

/// What one run came to.
#[derive(Clone, Copy)]
struct Run {
    cpu_us: f64,
    operations_per_s: f64,
    /// Median and 99th percentile of the prober, NaN where there was none.
    probe_us: [f64; 2],
}

/// The runs of each workload and server, by their places, in the order of the rounds.
type Runs = BTreeMap<(usize, usize), Vec<Run>>;

/// Measures `rounds` rounds, each workload for `duration`, and `handoffs` hand-overs to waiting
/// clients. `only` the workloads with one of these in their names, if that is said, and no
/// hand-overs then.
pub fn run(
    selection: &Selection,
    rounds: u64,
    duration: Duration,
    handoffs: u64,
    only: Option<&[String]>,
) -> Result<Vec<Table>> {
    let title =
        format!("Transactions: {CONNECTIONS} connections in lockstep, medians of {rounds} rounds");
    let mut table = Table::new(title, "server workload", FIGURES);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let is_wanted = |name: &str| only.is_none_or(|only| only.iter().any(|it| name.contains(it)));
    let mut runs = Runs::new();
    for round in 1..=rounds {
        for (of, &subject) in subjects.iter().enumerate() {
            eprintln!("round {round}/{rounds}: {subject}");
            let server = Server::start(selection, subject)?;
            placement::pin_self(subject.placement().client)?;
            server.connect()?.fill(KEYS)?;
            let workloads = WORKLOADS.iter().enumerate();
            for (at, (name, work)) in workloads.filter(|(_, (name, _))| is_wanted(name)) {
                match measure(&server, *work, duration) {
                    Ok(run) => runs.entry((at, of)).or_default().push(run),
                    Err(error) if round == 1 => {
                        table.note(format!("{subject} cannot do {name}: {error}"));
                    }
                    Err(_) => {}
                }
            }
        }
    }
    for ((at, of), runs) in &runs {
        let spread = |figure: fn(&Run) -> f64| Spread::of(runs.iter().map(figure));
        let cpu = spread(|run| run.cpu_us);
        let figures = [
            cpu.median,
            cpu.least,
            cpu.most,
            spread(|run| run.operations_per_s).median,
            spread(|run| run.probe_us[0]).median,
            spread(|run| run.probe_us[1]).median,
        ];
        table.row(&[&subjects[*of], &WORKLOADS[*at].0], &figures);
    }
    let mut tables = vec![table, beside(&subjects, &runs)];
    if only.is_none() {
        tables.push(handoff::run(selection, rounds, handoffs)?);
    }
    Ok(tables)
}

/// What single-key commands cost beside transactions, over what they cost alone, round by round.
fn beside(subjects: &[Subject], runs: &Runs) -> Table {
    let figures = [
        ("alone us", 2),
        ("beside us", 2),
        ("ratio", 2),
        ("least", 2),
        ("most", 2),
        ("bound", 2),
    ];
    let title = "Single-key commands beside transactions: CPU time an operation without that of the transactions";
    let mut table = Table::new(title, "server workload verdict", &figures);
    let place = |work| WORKLOADS.iter().position(|(_, known)| *known == work);
    let of = |work, server| place(work).and_then(|at| runs.get(&(at, server)));
    for (mixed, transactions) in MIXED {
        for (server, subject) in subjects.iter().enumerate() {
            let measured = [Work::Single, *mixed, *transactions].map(|work| of(work, server));
            let [Some(alone), Some(mixed_runs), Some(transactions)] = measured else {
                continue;
            };
            let alone: Vec<f64> = alone.iter().map(|run| run.cpu_us).collect();
            let mixed_us = mixed_runs.iter().map(|run| run.cpu_us);
            let rest: Vec<f64> = mixed_us
                .zip(transactions)
                .map(|(mixed_us, it)| without_transactions(mixed_us, it.cpu_us))
                .collect();
            let ratio = Spread::of(rest.iter().zip(&alone).map(|(rest, alone)| rest / alone));
            let verdict = match (subject.product, ratio.median <= BESIDE_MAX) {
                (Product::Percore, true) => "holds",
                (Product::Percore, false) => "MISSED",
                _ => "",
            };
            let name = place(*mixed).map_or("", |at| WORKLOADS[at].0);
            let median = |figures: Vec<f64>| Spread::of(figures).median;
            table.row(
                &[subject, &name, &verdict],
                &[
                    median(alone),
                    median(rest),
                    ratio.median,
                    ratio.least,
                    ratio.most,
                    BESIDE_MAX,
                ],
            );
        }
    }
    table
}

/// What is left for one single-key command of a mixed load's CPU time an operation, when as many
/// transactions as were in it are taken away at what one costs alone.
fn without_transactions(mixed_us: f64, transaction_us: f64) -> f64 {
    let singles = (MIXED_SINGLE * MIXED_DEPTH) as f64;
    let transactions = (CONNECTIONS - MIXED_SINGLE) as f64;
    (mixed_us * (singles + transactions) - transactions * transaction_us) / singles
}

fn measure(server: &Server, work: Work, duration: Duration) -> Result<Run> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut connections = (0..CONNECTIONS)
        .map(|_| server.connect())
        .collect::<Result<Vec<_>>>()?;
    let batches: Vec<Vec<Batch>> = (0..CONNECTIONS)
        .map(|connection| {
            (0..BATCHES)
                .map(|_| batch(work, connection, &mut random))
                .collect()
        })
        .collect();
    let is_probed = matches!(
        work,
        Work::Single | Work::SingleAndMset | Work::SingleAndMsetOfOneShard
    );
    let ended = AtomicBool::new(false);
    let mut prober = server.connect()?;
    let (cpu_before, began) = (server.process.cpu_time()?, Instant::now());
    let (operations, probes) = thread::scope(|scope| {
        let probing = is_probed.then(|| scope.spawn(|| probe(&mut prober, &ended)));
        let sent = load(&mut connections, &batches, duration);
        ended.store(true, Ordering::Relaxed);
        let probes = probing.map_or(Ok(Ok(Vec::new())), thread::ScopedJoinHandle::join);
        let probes = probes.map_err(|_| Error::from("the prober panicked"))??;
        sent.map(|sent| (sent + probes.len() as u64, probes))
    })?;
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = server.process.cpu_time()?.saturating_sub(cpu_before);
    Ok(Run {
        cpu_us: cpu.as_secs_f64() * 1e6 / operations as f64,
        operations_per_s: operations as f64 / elapsed,
        probe_us: [0.5, 0.99].map(|quantile| percentile(&probes, quantile)),
    })
}

/// The figure at a quantile of sorted ones; NaN where there are none.
pub fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    let at = (sorted.len() as f64 * quantile) as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Sends for so long, all connections a batch each and then all reading. Returns the operations
/// done.
fn load(connections: &mut [Connection], batches: &[Vec<Batch>], duration: Duration) -> Result<u64> {
    let began = Instant::now();
    let mut operations = 0;
    for turn in (0..BATCHES).cycle() {
        if began.elapsed() >= duration {
            break;
        }
        for (connection, batches) in connections.iter_mut().zip(batches) {
            connection.send(&batches[turn].bytes)?;
        }
        for (connection, batches) in connections.iter_mut().zip(batches) {
            connection.pass_over(batches[turn].replies)?;
            operations += batches[turn].operations;
        }
    }
    Ok(operations)
}

/// Asks for one key after the other until the load has ended. Microseconds, sorted.
fn probe(connection: &mut Connection, ended: &AtomicBool) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let name = key(fastrand::u64(0..KEYS));
        let asked = Instant::now();
        connection.ask(&[b"GET", name.as_bytes()])?;
        latencies.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}

fn batch(work: Work, connection: usize, random: &mut fastrand::Rng) -> Batch {
    let mut batch = Batch {
        bytes: Vec::new(),
        replies: 0,
        operations: 0,
    };
    match work {
        Work::Mget(depth) => {
            for _ in 0..depth {
                batch.mget(random);
            }
        }
        Work::Mset(depth) => {
            for _ in 0..depth {
                batch.mset(random, "");
            }
        }
        Work::ExecOfOneShard => {
            let tag = tag(random);
            batch.exec(random, &tag);
        }
        Work::ExecOfAny => batch.exec(random, ""),
        Work::MsetOfOneShard => {
            let tag = tag(random);
            batch.mset(random, &tag);
        }
        Work::SingleAndMset if connection >= MIXED_SINGLE => batch.mset(random, ""),
        Work::SingleAndMsetOfOneShard if connection >= MIXED_SINGLE => {
            let tag = tag(random);
            batch.mset(random, &tag);
        }
        Work::Single | Work::SingleAndMset | Work::SingleAndMsetOfOneShard => {
            for at in 0..MIXED_DEPTH {
                batch.single(random, "", at % 2 == 0);
                batch.operations += 1;
            }
        }
    }
    batch
}

/// A hash tag: keys with the same one are on the same shard.
fn tag(random: &mut fastrand::Rng) -> String {
    format!("{{{}}}", random.u64(0..KEYS))
}

/// A key that is there, or with a tag one that may be.
fn tagged(random: &mut fastrand::Rng, tag: &str) -> String {
    match tag {
        "" => key(random.u64(0..KEYS)),
        tag => format!("{tag}{:02}", random.u8(..KEYS_OF_ONE as u8)),
    }
}

impl Batch {
    fn command(&mut self, words: &[&[u8]]) {
        encode(words, &mut self.bytes);
        self.replies += 1;
    }

    fn mget(&mut self, random: &mut fastrand::Rng) {
        let keys: Vec<String> = (0..KEYS_OF_ONE).map(|_| tagged(random, "")).collect();
        let mut words: Vec<&[u8]> = vec![b"MGET"];
        words.extend(keys.iter().map(String::as_bytes));
        self.command(&words);
        self.operations += 1;
    }

    fn mset(&mut self, random: &mut fastrand::Rng, tag: &str) {
        let keys: Vec<String> = (0..KEYS_OF_ONE).map(|_| tagged(random, tag)).collect();
        let mut words: Vec<&[u8]> = vec![b"MSET"];
        words.extend(keys.iter().flat_map(|key| [key.as_bytes(), VALUE]));
        self.command(&words);
        self.operations += 1;
    }

    fn single(&mut self, random: &mut fastrand::Rng, tag: &str, writes: bool) {
        let key = tagged(random, tag);
        if writes {
            self.command(&[b"SET", key.as_bytes(), VALUE])
        } else {
            self.command(&[b"GET", key.as_bytes()])
        }
    }

    fn exec(&mut self, random: &mut fastrand::Rng, tag: &str) {
        self.command(&[b"MULTI"]);
        for at in 0..COMMANDS_OF_EXEC {
            self.single(random, tag, at % 2 == 0);
        }
        self.command(&[b"EXEC"]);
        self.operations += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_that_cost_what_they_cost_alone_cost_others_nothing() {
        // 704 commands of 1 us and 6 transactions of 20 us.
        let mixed_us = (704.0 * 1.0 + 6.0 * 20.0) / 710.0;
        assert!((without_transactions(mixed_us, 20.0) - 1.0).abs() < 1e-9);
        assert!(without_transactions(mixed_us * 1.1, 20.0) > 1.1);
    }
}
