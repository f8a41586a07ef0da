//! What INFO counts of commands: changes since the last save, hits and misses, calls. Redis is
//! asked after each.

use tests::{Oracle, SHARDS, Server, Wire};

use crate::{TIME_MAX, debuggable};
use tests::server::eventually;

const COUNTED: [&str; 3] = [
    "rdb_changes_since_last_save",
    "keyspace_hits",
    "keyspace_misses",
];

/// How much each counter moved with each command.
fn count(server: &Server, commands: &str) -> Vec<[i64; 3]> {
    let (mut wire, mut control) = (server.connect(), server.connect());
    let mut look = || {
        let all = control.info("everything");
        COUNTED.map(|name| all.number::<i64>(name))
    };
    let mut before = look();
    let step = |command: &str| {
        wire.ask(command);
        let after = look();
        let moved = std::array::from_fn(|at| after[at] - before[at]);
        before = after;
        moved
    };
    commands.lines().map(step).collect()
}

#[test]
fn changes_hits_and_misses_are_counted() {
    let commands = include_str!("counts.txt");
    let oracle = Oracle::start();
    let expected = count(&oracle, commands);
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let counted = count(&server, commands);
        for (line, (expected, counted)) in std::iter::zip(&expected, counted).enumerate() {
            let command = commands.lines().nth(line).unwrap_or_default();
            assert_eq!(
                *expected,
                counted,
                "{COUNTED:?} of line {}, {shards} shards: {command}",
                line + 1
            );
        }
    }
}

/// Who was answered may ask for the count through any connection, which may be another shard's.
#[test]
fn what_is_answered_is_counted() {
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let mut writer = server.connect();
        let mut readers: Vec<_> = (0..shards).map(|_| server.connect()).collect();
        for written in 1..=300 {
            writer.ask("MSET a 1 b 2 c 3 d 4");
            writer.ask(&format!("MSET a{written} 1 b{written} 1 c{written} 1"));
            let reader = &mut readers[written % usize::from(shards)];
            let keyspace = reader.info("keyspace");
            let keys = keyspace.text("db0");
            let expected = format!("keys={},", 4 + 3 * written);
            assert!(keys.starts_with(&expected), "{shards} shards: {keys}");
            let changes: usize = reader
                .info("persistence")
                .number("rdb_changes_since_last_save");
            assert_eq!(changes, 7 * written, "{shards} shards");
        }
    }
}

/// The numbers of calls, rejections and failures of a command, as INFO tells them.
fn calls(wire: &mut Wire, command: &str) -> Option<String> {
    let all = wire.info("commandstats");
    let line = all.get(&format!("cmdstat_{command}"))?;
    let numbers = line.split(',').filter(|part| !part.starts_with("usec"));
    Some(numbers.collect::<Vec<_>>().join(","))
}

fn blpop_ends(server: &Server, how: &str) -> [Option<String>; 3] {
    let (mut waiter, mut other) = (server.connect(), server.connect());
    let id = waiter.ask("CLIENT ID").integer();
    other.ask("CONFIG RESETSTAT");
    waiter.send(b"BLPOP first second 0\r\n");
    eventually("it waits", TIME_MAX, || other.blocked_clients() == 1);
    let waiting = calls(&mut other, "blpop");
    other.ask(&how.replace("ID", &id.to_string()));
    waiter.reply();
    let errors = other.info("errorstats");
    [
        waiting,
        calls(&mut other, "blpop"),
        errors.get("errorstat_UNBLOCKED").map(String::from),
    ]
}

#[test]
fn a_command_that_waits_counts_once_when_it_is_over() {
    let oracle = Oracle::start();
    for how in [
        "CLIENT UNBLOCK ID ERROR",
        "CLIENT UNBLOCK ID TIMEOUT",
        "RPUSH second x",
    ] {
        let expected = blpop_ends(&oracle, how);
        for shards in SHARDS {
            let server = Server::start(debuggable(shards));
            assert_eq!(blpop_ends(&server, how), expected, "{how}, {shards} shards");
        }
    }
}

/// How many values count as freed lazily because of a flush.
fn freed_lazily(wire: &mut Wire, flush: &[&str]) -> i64 {
    const KEYS: i64 = 200;
    for n in 0..KEYS {
        wire.ask(&format!("SET key:{n} v"));
    }
    wire.ask("CONFIG RESETSTAT");
    for words in flush {
        wire.ask(words);
    }
    // A lazy one of as many keys, which comes after it in the same thread.
    for n in 0..KEYS {
        wire.ask(&format!("SET key:{n} v"));
    }
    wire.ask("FLUSHALL ASYNC");
    eventually("all is freed", TIME_MAX, || {
        let memory = wire.info("memory");
        let freed: i64 = memory.number("lazyfreed_objects");
        memory.text("lazyfree_pending_objects") == "0" && freed >= KEYS
    });
    wire.info("memory").number::<i64>("lazyfreed_objects") - KEYS
}

#[test]
fn only_a_lazy_flush_counts_as_one() {
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let mut wire = server.connect();
        for (flush, freed) in [
            (&["FLUSHALL"][..], 200),
            (&["FLUSHDB SYNC"], 200),
            (&["MULTI", "FLUSHALL SYNC", "EXEC"], 0),
            (&["MULTI", "FLUSHDB", "EXEC"], 0),
            (&["MULTI", "FLUSHALL ASYNC", "EXEC"], 200),
        ] {
            let counted = freed_lazily(&mut wire, flush);
            assert_eq!(counted, freed, "{flush:?}, {shards} shards");
        }
    }
}
