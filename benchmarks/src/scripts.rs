//! `scripts`: CPU time a script, of such as applications run: a rate limiter, the release of a
//! lock, and one that names keys which it has not declared.

use crate::Result;
use crate::client::Connection;
use crate::compare::interleaved;
use crate::redis_benchmark::Workload;
use crate::report::Table;
use crate::series::{Series, Spread};
use crate::servers::Selection;
use crate::subject::{REDIS, Subject, percore};

const SUBJECTS: &[Subject] = &[REDIS, percore(1), percore(2), percore(4)];

/// The text of each script; its SHA1 stands in the words below.
const SCRIPTS: &[&str] = &[
    "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end if n > tonumber(ARGV[1]) then return 0 end return n",
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
    "local s = 0 for i = 1, 5 do s = s + redis.call('INCR', 'five:' .. ARGV[1] .. ':' .. i) end return s",
];

/// Name, words, and by how much fewer there are in a run because each takes longer.
const WORKLOADS: &[(&str, &str, u64)] = &[
    (
        "rate limiter",
        "EVALSHA db5b3be7be469f3f265fdd7bc287e2acab9c5f17 1 limit:__rand_int__ 100 60",
        2,
    ),
    (
        "compare and delete",
        "EVALSHA d02e481a9c91ceec59c5822a58a49d5d5d7ac80b 1 key:__rand_int__ token",
        2,
    ),
    (
        "five undeclared keys",
        "EVALSHA 7188e69ae7ad18fc803ce28eae13361af8ffce98 0 __rand_int__",
        8,
    ),
];

/// Each depth of the pipeline, and by how much fewer commands there are in a run of it.
const PIPELINES: [(u32, u64); 2] = [(16, 1), (1, 10)];

const FIGURES: [(&str, usize); 7] = [
    ("pipeline", 0),
    ("cpu us", 3),
    ("calls/s", 0),
    ("ratio", 2),
    ("least", 2),
    ("most", 2),
    ("bound", 2),
];

/// What is promised of scripts on one key, as ratios to Redis.
const BOUNDS: [(Subject, f64); 2] = [(percore(1), 0.90), (percore(2), 1.25)];

/// Measures `rounds` rounds of `requests` of each script, and judges.
pub fn run(selection: &Selection, rounds: u64, requests: u64) -> Result<Vec<Table>> {
    let title = format!("Server CPU a script: 50 connections, medians of {rounds} rounds");
    let mut table = Table::new(title, "server script verdict", &FIGURES);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let workloads: Vec<Workload> = PIPELINES
        .iter()
        .flat_map(|&(pipeline, slower)| {
            WORKLOADS
                .iter()
                .map(move |&(command, words, fewer)| Workload {
                    command,
                    words: Some(words),
                    pipeline,
                    requests: requests.div_ceil(slower * fewer),
                })
        })
        .collect();
    let series = interleaved(selection, &subjects, &workloads, rounds, load)?;
    for one in &series {
        let of_redis = series
            .iter()
            .find(|it| it.subject == REDIS && it.workload == one.workload);
        row(&mut table, one, of_redis);
    }
    table.note("ratio: to Redis, round by round; scripts of several keys are not judged");
    Ok(vec![table])
}

fn load(connection: &mut Connection) -> Result<()> {
    for script in SCRIPTS {
        connection.ask(&[b"SCRIPT", b"LOAD", script.as_bytes()])?;
    }
    Ok(())
}

fn row(table: &mut Table, one: &Series, of_redis: Option<&Series>) {
    let workload = one.workload;
    let cpu = Spread::of(one.cpu_us.iter().copied()).median;
    let rate = Spread::of(one.seen.iter().map(|seen| seen.ops_per_s)).median;
    let mut figures = vec![f64::from(workload.pipeline), cpu, rate];
    let mut verdict = "";
    if let Some(redis) = of_redis {
        let rounds = one.cpu_us.iter().zip(&redis.cpu_us);
        let ratio = Spread::of(rounds.map(|(ours, theirs)| ours / theirs));
        figures.extend([ratio.median, ratio.least, ratio.most]);
        let is_judged = workload.command != WORKLOADS[2].0;
        let bound = BOUNDS.iter().find(|it| it.0 == one.subject && is_judged);
        if let Some((_, most)) = bound {
            figures.push(*most);
            verdict = if ratio.median <= *most {
                "holds"
            } else {
                "BROKEN"
            };
        }
    }
    figures.resize(FIGURES.len(), f64::NAN);
    table.row(&[&one.subject, &workload.command, &verdict], &figures);
}
