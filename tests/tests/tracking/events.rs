//! Of which keys clients hear when a command of any family has run: of those that Redis tells.
//!
//! The commands are those of the tests of keyspace notifications. What is heard is compared command
//! by command, as a set: with several shards only the changes of one shard have an order.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::invalidated;

const BLOCKED_TIME_MAX: Duration = Duration::from_secs(10);
const EXPIRED_TIME_MAX: Duration = Duration::from_secs(10);

/// Keys set behind each command, spread over all shards: what came before them has been told when
/// they are.
const LAST_KEYS: usize = 12;

/// Everything between two commands.
fn hear(wire: &mut Wire, listener: &mut Wire, number: usize) -> BTreeSet<String> {
    let last: Vec<String> = (0..LAST_KEYS)
        .map(|at| format!("last:{number}:{at}"))
        .collect();
    for key in &last {
        wire.command(&["SET", key, ""]);
    }
    let mut missing: BTreeSet<String> = last.into_iter().collect();
    let mut heard = BTreeSet::new();
    while !missing.is_empty() {
        let message = listener.value();
        let Some(keys) = invalidated(&message) else {
            panic!("not an invalidation: {message:?}");
        };
        match keys {
            None => drop(heard.insert("everything".to_owned())),
            Some(keys) => {
                for key in keys {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    if !missing.remove(&key) {
                        heard.insert(key);
                    }
                }
            }
        }
    }
    heard
}

/// What was heard of each line.
type Told = Vec<(String, BTreeSet<String>)>;

/// Where it is known what is to be heard at the least when only time passes, that is waited for.
fn play(server: &Server, scene: &str, expected: Option<&Told>) -> Told {
    let mut control = server.connect();
    control.ask("FLUSHALL");
    let (mut wire, mut waiter, mut listener) =
        (server.connect(), server.connect(), server.connect());
    let mut marker = server.connect();
    listener.ask("HELLO 3");
    listener.ask("CLIENT TRACKING ON BCAST");
    let mut told = Vec::new();
    for (number, line) in scene
        .lines()
        .filter(|line| !line.starts_with('#'))
        .enumerate()
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "!" => {
                let before = control.figure("blocked_clients");
                waiter.send_command(&words[1..]);
                eventually(line, BLOCKED_TIME_MAX, || {
                    control.figure("blocked_clients") > before
                });
            }
            "<" => drop(waiter.reply()),
            "~" => std::thread::sleep(Duration::from_millis(words[1].parse().expect("a time"))),
            _ => drop(wire.command(&words)),
        }
        let mut heard = hear(&mut marker, &mut listener, number);
        if let Some(expected) = expected
            && words[0] == "~"
        {
            eventually(line, EXPIRED_TIME_MAX, || {
                heard.is_superset(&expected[number].1) || {
                    heard.extend(hear(&mut marker, &mut listener, number));
                    false
                }
            });
        }
        told.push((line.to_owned(), heard));
    }
    told
}

#[test]
fn of_every_family() {
    let oracle = Oracle::start();
    let servers = SHARDS.map(|shards| Server::start(Options::shards(shards)));
    let mut differences = Vec::new();
    let scenes = include_str!("../notifications/events.txt").split("\n\n");
    for scene in scenes.map(str::trim) {
        let expected = play(&oracle, scene, None);
        for (server, shards) in std::iter::zip(&servers, SHARDS) {
            for (expected, heard) in std::iter::zip(&expected, play(server, scene, Some(&expected)))
            {
                // Redis does not tell when fields of a hash expire, though the hash is another one
                // then.
                let is_same = if expected.0.starts_with('~') {
                    heard.1.is_superset(&expected.1)
                } else {
                    *expected == heard
                };
                if !is_same {
                    differences.push(format!(
                        "{shards} shards: {}\n  Redis: {:?}\n  here:  {:?}",
                        expected.0, expected.1, heard.1
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
