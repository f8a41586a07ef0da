//! All that a server holds, key by key, in a form that two servers can be compared by.
//!
//! A value is read by the commands of its type, as a user would: how it is held in memory or in a
//! file does not show, but for the name that OBJECT ENCODING gives it. What has no order is sorted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Wire;
use crate::reply::Value;

/// Databases that a server has unless told otherwise.
pub const DATABASES: u16 = 16;

/// Keys that differ and are shown.
const SHOWN_MAX: usize = 5;

/// Commands on their way at once.
const PIPELINE: usize = 256;

/// What XINFO STREAM tells and a stream does not hold: the memory it takes, and what is reckoned,
/// in which we keep to the releases that mended it.
const NOT_HELD: [&[u8]; 3] = [b"radix-tree-keys", b"radix-tree-nodes", b"lag"];

/// A key, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// As TYPE names it.
    pub kind: Vec<u8>,
    /// As OBJECT ENCODING names it.
    pub encoding: Vec<u8>,
    /// Unix milliseconds, -1 for never.
    pub deadline: i64,
    /// What it holds.
    pub value: Value,
}

/// Every key of every database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents(pub BTreeMap<(u16, Vec<u8>), Held>);

impl Contents {
    /// What the server at the other end holds in its first databases.
    ///
    /// # Panics
    /// Where it does not answer, or a key changes while it is read.
    pub fn of(wire: &mut Wire) -> Contents {
        let mut all = BTreeMap::new();
        for database in 0..DATABASES {
            assert_eq!(wire.ask(&format!("SELECT {database}")).text(), b"OK");
            let keys = wire.ask("KEYS *").elements().expect("an array of keys");
            let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.text().to_vec()).collect();
            for (key, held) in held(wire, keys) {
                all.insert((database, key), held);
            }
        }
        wire.ask("SELECT 0");
        Contents(all)
    }

    /// The same without the names of encodings: they may change when a value is built anew.
    #[must_use]
    pub fn without_encodings(&self) -> Contents {
        let mut all = self.0.clone();
        for held in all.values_mut() {
            held.encoding.clear();
        }
        Contents(all)
    }

    /// The same without the times at which consumers were last seen: reading nothing changes them,
    /// which no log tells.
    #[must_use]
    pub fn without_times_seen(&self) -> Contents {
        let mut all = self.0.clone();
        for held in all.values_mut().filter(|held| held.kind == b"stream") {
            held.value = without_fields(held.value.clone(), &[b"seen-time"]);
        }
        Contents(all)
    }

    /// Nothing where the two are equal, else the first keys that differ.
    ///
    /// # Panics
    /// Where they differ; `what` says what was compared.
    pub fn assert_same(&self, other: &Contents, what: &str) {
        let mut shown = String::new();
        let mut count = 0;
        let keys = self.0.keys().chain(other.0.keys());
        let mut last = None;
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable();
        for key in keys {
            if last.replace(key) == Some(key) || self.0.get(key) == other.0.get(key) {
                continue;
            }
            count += 1;
            if count <= SHOWN_MAX {
                let (database, name) = key;
                // Writing to a string does not fail.
                let _ = writeln!(
                    shown,
                    "  database {database}, key {}:\n    {:?}\n    {:?}",
                    name.escape_ascii(),
                    self.0.get(key),
                    other.0.get(key)
                );
            }
        }
        assert!(count == 0, "{what}: {count} keys differ\n{shown}");
    }
}

/// The replies to commands, in order.
pub fn pipeline(wire: &mut Wire, commands: &[Vec<Vec<u8>>]) -> Vec<Value> {
    let mut replies = Vec::with_capacity(commands.len());
    for some in commands.chunks(PIPELINE) {
        for command in some {
            wire.send_command(command);
        }
        replies.extend(some.iter().map(|_| wire.value()));
    }
    replies
}

/// The words of a command on a key, and what comes behind it.
fn on(key: &[u8], before: &str, behind: &str) -> Vec<Vec<u8>> {
    let words = |text: &str| -> Vec<Vec<u8>> {
        text.split_whitespace()
            .map(|word| word.as_bytes().to_vec())
            .collect()
    };
    let mut command = words(before);
    command.push(key.to_vec());
    command.extend(words(behind));
    command
}

fn held(wire: &mut Wire, keys: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Held)> {
    let about: Vec<_> = keys
        .iter()
        .flat_map(|key| {
            [
                on(key, "TYPE", ""),
                on(key, "OBJECT ENCODING", ""),
                on(key, "PEXPIRETIME", ""),
            ]
        })
        .collect();
    let about = pipeline(wire, &about);
    let reads: Vec<_> = std::iter::zip(&keys, about.chunks(3))
        .map(|(key, about)| match about[0].text() {
            b"string" => on(key, "GET", ""),
            b"list" => on(key, "LRANGE", "0 -1"),
            b"set" => on(key, "SMEMBERS", ""),
            b"hash" => on(key, "HGETALL", ""),
            b"zset" => on(key, "ZRANGE", "0 -1 WITHSCORES"),
            b"stream" => on(key, "XINFO STREAM", "FULL COUNT 0"),
            // It has expired since KEYS.
            b"none" => on(key, "EXISTS", ""),
            other => panic!(
                "key {} is of type {}",
                key.escape_ascii(),
                other.escape_ascii()
            ),
        })
        .collect();
    let values = pipeline(wire, &reads);
    let mut all = Vec::with_capacity(keys.len());
    for ((key, about), value) in keys.into_iter().zip(about.chunks(3)).zip(values) {
        let kind = about[0].text().to_vec();
        let value = match &kind[..] {
            b"none" => continue,
            b"set" => sorted(value, 1),
            b"hash" => with_deadlines(wire, &key, sorted(value, 2)),
            b"stream" => without_fields(value, &NOT_HELD),
            _ => value,
        };
        let held = Held {
            kind,
            encoding: about[1].text().to_vec(),
            deadline: about[2].integer(),
            value,
        };
        all.push((key, held));
    }
    all
}

/// With its elements in order, so many at a time.
fn sorted(value: Value, piece: usize) -> Value {
    let Some(all) = value.elements() else {
        return value;
    };
    let mut pieces: Vec<&[Value]> = all.chunks(piece).collect();
    pieces.sort_unstable();
    Value::Array(pieces.concat())
}

/// Fields and values, and then the deadlines of the fields.
fn with_deadlines(wire: &mut Wire, key: &[u8], pairs: Value) -> Value {
    let all = pairs.elements().expect("pairs");
    let fields: Vec<&[u8]> = all.chunks(2).map(|pair| pair[0].text()).collect();
    let count = fields.len().to_string();
    let before: [&[u8]; 4] = [b"HPEXPIRETIME", key, b"FIELDS", count.as_bytes()];
    let deadlines = wire.command(&[&before[..], &fields[..]].concat());
    Value::Array(vec![pairs, deadlines])
}

/// Leaves out the fields with these names, and their values, at any depth.
fn without_fields(value: Value, left_out: &[&[u8]]) -> Value {
    let Value::Array(all) = value else {
        return value;
    };
    let names: Vec<bool> = all
        .iter()
        .map(|it| matches!(it, Value::Bulk(name) if left_out.contains(&&name[..])))
        .collect();
    let kept = all.into_iter().enumerate().filter(|(at, _)| {
        let left_out = names[*at] || (*at > 0 && names[*at - 1]);
        !left_out
    });
    Value::Array(kept.map(|(_, it)| without_fields(it, left_out)).collect())
}
