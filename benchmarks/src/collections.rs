//! `collections`: resident memory of data sets of each type beside Redis, all included: what the
//! server's resident memory grew by while it was filled.
//!
//! Both ends of each type are here, one collection with all elements and very many small ones,
//! because Redis and percore keep them in different ways.

use std::thread;
use std::time::Duration;

use crate::Result;
use crate::client::{self, Connection};
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, percore};

const SUBJECTS: &[Subject] = &[REDIS, percore(1)];
/// Time for work put off, such as Redis's rehashing, to end.
const SETTLE: Duration = Duration::from_secs(2);
/// percore's growth over Redis's is to stay within this.
const RATIO_MAX: f64 = 1.0;
/// Elements of each small collection.
const SMALL: u64 = 5;
/// Elements of each large one among several collections.
const LARGE: u64 = 5000;
const MIB: f64 = 1_048_576.0;

/// How `n` elements are laid out. The function says the words of one element.
enum Layout {
    /// All in one collection.
    One(&'static str, fn(u64) -> Vec<String>),
    /// All in one stream, an entry of these fields and values each.
    Stream(fn(u64) -> Vec<String>),
    /// `n` collections of [`SMALL`] elements.
    Small(&'static str, fn(u64) -> Vec<String>),
    /// A collection of [`LARGE`] elements for each thousand of `n`.
    Large(&'static str, fn(u64) -> Vec<String>),
}
use Layout::{Large, One, Small, Stream};

const DATA_SETS: &[(&str, Layout)] = &[
    ("a hash", One("HSET", |n| vec![field(n), value(n)])),
    ("a list of 16 bytes each", One("RPUSH", |n| vec![value(n)])),
    (
        "a list of 200 bytes each",
        One("RPUSH", |n| vec![format!("{n:0200}")]),
    ),
    ("a set", One("SADD", |n| vec![field(n)])),
    ("a set of integers", One("SADD", |n| vec![scattered(n)])),
    (
        "a sorted set",
        One("ZADD", |n| vec![scattered(n), field(n)]),
    ),
    (
        "a stream of one field",
        Stream(|n| vec!["field".into(), value(n)]),
    ),
    (
        "a stream of three fields",
        Stream(|n| {
            let number = n.to_string();
            let words = ["name", &value(n), "at", &number, "state", "done"];
            words.map(String::from).to_vec()
        }),
    ),
    (
        "hashes of 5",
        Small("HSET", |n| vec![format!("field:{n}"), value(n)]),
    ),
    ("lists of 5", Small("RPUSH", |n| vec![value(n)])),
    ("sets of 5", Small("SADD", |n| vec![value(n)])),
    (
        "sets of 5 integers",
        Small("SADD", |n| vec![(n * 1000).to_string()]),
    ),
    (
        "sorted sets of 5",
        Small("ZADD", |n| vec![n.to_string(), value(n)]),
    ),
    ("HyperLogLogs of 5", Small("PFADD", |n| vec![value(n)])),
    ("HyperLogLogs of 5000", Large("PFADD", |n| vec![field(n)])),
];

/// Fills each server with each data set whose name has `only` in it, fresh for each.
pub fn run(selection: &Selection, n: u64, only: Option<&str>) -> Result<Vec<Table>> {
    let title = format!("Resident memory of collections: {n} elements, or {n} small collections");
    let figures = [
        ("count", 0),
        ("redis MiB", 1),
        ("percore MiB", 1),
        ("redis bytes each", 1),
        ("percore bytes each", 1),
        ("ratio", 2),
    ];
    let mut table = Table::new(title, "data verdict", &figures);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    for (name, layout) in DATA_SETS {
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let mut count = n;
        let mut grown = [f64::NAN; 2];
        for (grown, subject) in grown.iter_mut().zip(SUBJECTS) {
            if !subjects.contains(subject) {
                continue;
            }
            eprintln!("{name}: {subject}");
            let server = Server::start(selection, *subject)?;
            let mut connection = server.connect()?;
            // The first commands bring in code and buffers that are no element's.
            layout.fill(&mut connection, 1)?;
            let before = server.process.resident_bytes()?;
            count = layout.fill(&mut connection, n)?;
            thread::sleep(SETTLE);
            let after = server.process.resident_bytes()?;
            *grown = after.saturating_sub(before) as f64;
        }
        let [redis, percore] = grown;
        let ratio = percore / redis;
        let verdict = match ratio {
            ratio if ratio.is_nan() => "-",
            ratio if ratio <= RATIO_MAX => "holds",
            _ => "BROKEN",
        };
        let each = 1.0 / count as f64;
        table.row(
            &[name, &verdict],
            &[
                count as f64,
                redis / MIB,
                percore / MIB,
                redis * each,
                percore * each,
                ratio,
            ],
        );
    }
    Ok(vec![table])
}

impl Layout {
    /// Adds the data of `n`, and says how many elements or small collections those are.
    fn fill(&self, connection: &mut Connection, n: u64) -> Result<u64> {
        match *self {
            One(verb, element) => {
                connection.fill_collection(verb, "one", n, element)?;
                Ok(n)
            }
            Stream(entry) => {
                let head = ["XADD", "one", "*"];
                connection.run_all((0..n).map(|n| command(&head, entry(n))))?;
                Ok(n)
            }
            Small(verb, element) => {
                connection.run_all((0..n).map(|key| {
                    let elements = (key..key + SMALL).flat_map(element);
                    command(&[verb, &client::key(key)], elements)
                }))?;
                Ok(n)
            }
            Large(verb, element) => {
                let count = n.div_ceil(1000);
                for key in 0..count {
                    connection.fill_collection(verb, &client::key(key), LARGE, element)?;
                }
                Ok(count)
            }
        }
    }
}

fn command(head: &[&str], rest: impl IntoIterator<Item = String>) -> Vec<String> {
    let head = head.iter().map(ToString::to_string);
    head.chain(rest).collect()
}

/// A name of 16 bytes.
fn field(n: u64) -> String {
    format!("field:{n:010}")
}

/// A text of 16 bytes.
fn value(n: u64) -> String {
    format!("value-{n:010}")
}

/// A number of up to seven digits that is another for each `n` below a million, in no order.
fn scattered(n: u64) -> String {
    (n.wrapping_mul(7_919) % 1_000_003).to_string()
}
