//! `types`: CPU time an operation of the commands that each type of value is used by, 16 deep in a
//! pipeline, one shard beside Redis and kevy.
//!
//! Commands that pop get a collection that lasts for the whole run: popping from a key that is not
//! there costs little and says nothing. For the same reason these are commands of our own and not
//! redis-benchmark's tests of the same names, whose SPOP and ZPOPMIN soon find nothing, and whose
//! LRANGE fills its list within the measured time.

use crate::Result;
use crate::bounds::BOUNDS;
use crate::client::Connection;
use crate::compare::interleaved;
use crate::redis_benchmark::Workload;
use crate::report::Table;
use crate::series::Spread;
use crate::servers::Selection;
use crate::subject::{REDIS, Subject, kevy, percore};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), percore(1)];
const PIPELINE: u32 = 16;
/// Elements of a collection beyond those that a run pops.
const SPARE: u64 = 100;
/// Elements of the list that LRANGE reads.
const RANGE_LIST: u64 = 1000;

/// Name, words, and by how much fewer there are in a run because each takes longer.
const COMMANDS: &[(&str, &str, u64)] = &[
    ("INCR", "INCR counter:__rand_int__", 1),
    ("LPUSH", "LPUSH list abcdefghijklmnop", 1),
    ("RPUSH", "RPUSH list abcdefghijklmnop", 1),
    ("LPOP", "LPOP pending", 1),
    ("SADD", "SADD set element:__rand_int__", 1),
    ("SPOP", "SPOP popped", 1),
    ("HSET", "HSET hash element:__rand_int__ abcdefghijklmnop", 1),
    ("ZADD", "ZADD sorted __rand_int__ element:__rand_int__", 1),
    ("ZPOPMIN", "ZPOPMIN least", 1),
    ("XADD", "XADD stream * field abcdefghijklmnop", 1),
    ("LRANGE_100", "LRANGE range 0 99", 10),
    ("LRANGE_600", "LRANGE range 0 599", 40),
    (
        "MSET(10)",
        "MSET key:__rand_int__ abcdefghijklmnop key:__rand_int__ abcdefghijklmnop key:__rand_int__ abcdefghijklmnop \
         key:__rand_int__ abcdefghijklmnop key:__rand_int__ abcdefghijklmnop key:__rand_int__ abcdefghijklmnop \
         key:__rand_int__ abcdefghijklmnop key:__rand_int__ abcdefghijklmnop key:__rand_int__ abcdefghijklmnop \
         key:__rand_int__ abcdefghijklmnop",
        5,
    ),
];

/// Measures `rounds` rounds of `requests` of each command, or of those named in `only`, and judges.
pub fn run(
    selection: &Selection,
    rounds: u64,
    requests: u64,
    only: Option<&[String]>,
) -> Result<Vec<Table>> {
    let wanted =
        |name: &str| only.is_none_or(|only| only.iter().any(|one| one.eq_ignore_ascii_case(name)));
    let workloads: Vec<Workload> = COMMANDS
        .iter()
        .filter(|(name, _, _)| wanted(name))
        .map(|&(command, words, fewer)| Workload {
            command,
            words: Some(words),
            pipeline: PIPELINE,
            requests: requests.div_ceil(fewer),
        })
        .collect();
    if workloads.is_empty() {
        return Err("no such command is measured here".into());
    }
    let title = format!(
        "Server CPU an operation: 50 connections, {PIPELINE} deep, medians of {rounds} rounds"
    );
    let figures = [
        ("redis us", 3),
        ("kevy-1 us", 3),
        ("percore-1 us", 3),
        ("ratio", 2),
        ("least", 2),
        ("most", 2),
    ];
    let mut table = Table::new(title, "command beside verdict", &figures);
    table.note(
        "ratio: percore over the cheaper of the others, taken round by round; the bound is 0.90",
    );
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let series = interleaved(selection, &subjects, &workloads, rounds, |connection| {
        fill(connection, requests)
    })?;
    for &workload in &workloads {
        let cost = |subject: Subject| {
            let of = series
                .iter()
                .find(|series| series.subject == subject && series.workload == workload);
            of.map_or(f64::NAN, |series| {
                Spread::of(series.cpu_us.iter().copied()).median
            })
        };
        let verdict = BOUNDS
            .iter()
            .filter(|bound| bound.subject == percore(1))
            .find_map(|bound| bound.judge(workload, &series));
        let (beside, word, ratio) = match verdict {
            Some(verdict) if verdict.holds => {
                (verdict.reference.to_string(), "holds", verdict.ratio)
            }
            Some(verdict) => (verdict.reference.to_string(), "BROKEN", verdict.ratio),
            None => ("-".to_string(), "-", Spread::of([])),
        };
        let mut figures: Vec<f64> = SUBJECTS.iter().map(|&subject| cost(subject)).collect();
        figures.extend([ratio.median, ratio.least, ratio.most]);
        table.row(&[&workload.command, &beside, &word], &figures);
    }
    Ok(vec![table])
}

/// The collections that are there before the first command: more to pop than `requests`, and the
/// list for LRANGE.
fn fill(connection: &mut Connection, requests: u64) -> Result<()> {
    let popped = requests + SPARE;
    let element = |n: u64| vec![format!("element:{n:012}")];
    connection.fill_collection("RPUSH", "range", RANGE_LIST, |_| {
        vec!["abcdefghijklmnop".to_string()]
    })?;
    connection.fill_collection("RPUSH", "pending", popped, |_| {
        vec!["abcdefghijklmnop".to_string()]
    })?;
    connection.fill_collection("SADD", "popped", popped, element)?;
    connection.fill_collection("ZADD", "least", popped, |n| {
        // Scattered, so that the order of arrival is not that of the scores.
        vec![
            (n.wrapping_mul(7_919) % 1_000_003).to_string(),
            format!("element:{n:012}"),
        ]
    })
}
