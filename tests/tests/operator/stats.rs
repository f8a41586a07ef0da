//! What INFO counts, beside what Redis counts of the same commands.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use tests::grammar::{Command, Draw, FAMILIES};
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::TIME_MAX;

/// The figures that are compared, by the beginning of their names.
const COUNTED: &[&str] = &[
    "cmdstat_",
    "errorstat_",
    "total_commands_processed",
    "total_error_replies",
    "unexpected_error_replies",
    "acl_access_denied_",
    "keyspace_hits",
    "keyspace_misses",
    "connected_clients",
    "blocked_clients",
    "watching_clients",
    "db0",
    "db1",
];

/// Each figure's name and value, without durations.
fn counts(wire: &mut Wire) -> BTreeMap<String, String> {
    let mut counts = BTreeMap::new();
    for (_, name, value) in wire.info("everything").fields() {
        if COUNTED.iter().any(|prefix| name.starts_with(prefix)) {
            let is_count = |part: &&str| !part.starts_with("usec") && !part.starts_with("avg_ttl");
            let parts: Vec<&str> = value.split(',').filter(is_count).collect();
            counts.insert(name.to_owned(), parts.join(","));
        }
    }
    // How often it was asked whether somebody waits already is chance.
    let asked = counts.remove("cmdstat_info");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let asked = asked.map_or(0, |it| {
        let calls = it
            .split(',')
            .next()
            .and_then(|it| it.strip_prefix("calls="));
        number(calls.expect("calls"))
    });
    if let Some(total) = counts.get_mut("total_commands_processed") {
        *total = (number(total) - asked).to_string();
    }
    counts
}

fn run(server: &Server) -> BTreeMap<String, String> {
    let (mut one, mut other, mut waiter) = (server.connect(), server.connect(), server.connect());
    one.ask("CONFIG RESETSTAT");
    for line in include_str!("stats.txt").lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("1", words) => drop(one.ask(words)),
            ("2", words) => drop(other.ask(words)),
            // It waits.
            ("3!", words) => {
                waiter.send(format!("{words}\r\n").as_bytes());
                eventually("it waits", TIME_MAX, || other.blocked_clients() == 1);
            }
            ("3<", _) => drop(waiter.reply()),
            (who, _) => assert!(who.starts_with('#'), "{line}"),
        }
    }
    counts(&mut one)
}

#[test]
fn commands_are_counted_as_by_redis() {
    let expected = run(&Oracle::start());
    for shards in SHARDS {
        let found = run(&Server::start(Options::shards(shards)));
        assert_same(&expected, &found, &format!("{shards} shards"));
    }
}

fn assert_same(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>, who: &str) {
    let names = expected.keys().chain(found.keys());
    let mut differences: Vec<_> = names
        .filter(|name| expected.get(*name) != found.get(*name))
        .map(|name| {
            format!(
                "{name}: {:?} and not {:?}",
                found.get(name),
                expected.get(name)
            )
        })
        .collect();
    differences.dedup();
    assert!(differences.is_empty(), "{who}: {}", differences.join("; "));
}

/// Commands that only one of the servers has, or whose number of calls is each one's own. Redis
/// also counts each error within the list that a script returns.
fn is_comparable(verb: &str) -> bool {
    !matches!(
        verb,
        "QUIT" | "RESET" | "CLIENT" | "HGETEX" | "HSETEX" | "HGETDEL" | "EVAL" | "EVAL_RO"
    )
}

/// The first command that is counted otherwise than by Redis.
fn culprit(oracle: &Server, server: &Server, commands: &[Command]) -> String {
    let mut controls = [oracle.connect(), server.connect()];
    let mut wires = [oracle.connect(), server.connect()];
    controls
        .iter_mut()
        .for_each(|wire| drop(wire.ask("FLUSHALL")));
    for command in commands {
        let mut count = |at: usize| {
            controls[at].ask("CONFIG RESETSTAT");
            let reply = wires[at].command(&command.arguments);
            let mut counts = counts(&mut controls[at]);
            counts.retain(|name, _| !name.ends_with("_clients"));
            (reply, counts)
        };
        let ((reply, expected), (_, found)) = (count(0), count(1));
        if expected != found {
            return format!(": {} -> {reply:?}", words(command));
        }
    }
    String::new()
}

fn words(command: &Command) -> String {
    let arguments = command.arguments.iter();
    let words: Vec<_> = arguments.map(|it| it.escape_ascii().to_string()).collect();
    words.join(" ")
}

#[test]
fn random_commands_are_counted_as_by_redis() {
    let oracle = Oracle::start();
    let tested = SHARDS.map(|shards| (shards, Server::start(Options::shards(shards))));
    for family in FAMILIES {
        for seed in 0..20 {
            let mut draw = Draw::new(seed);
            let commands: Vec<_> = (0..60)
                .map(|_| draw.command(family))
                .filter(|command| is_comparable(&command.verb()))
                .collect();
            let run = |server: &Server| {
                let mut control = server.connect();
                control.ask("FLUSHALL");
                let mut wire = server.connect();
                control.ask("CONFIG RESETSTAT");
                for command in &commands {
                    wire.command(&command.arguments);
                }
                drop(wire);
                thread::sleep(Duration::from_millis(2));
                let mut counts = counts(&mut control);
                // A moment ago there was one more.
                counts.retain(|name, _| !name.ends_with("_clients"));
                counts
            };
            let expected = run(&oracle);
            for (shards, server) in &tested {
                let found = run(server);
                let mut who = format!("{shards} shards, {}, seed {seed}", family.name);
                if found != expected {
                    who += &culprit(&oracle, server, &commands);
                }
                assert_same(&expected, &found, &who);
            }
        }
    }
}
