//! Keyspace notifications: what subscribers hear of each command is what Redis tells them, in its
//! order.
//!
//! Commands stand in `notifications/`, a command a line; an empty line ends a scene.
//!
//! ```text
//! SET a 1       sends, and waits for the reply
//! ! BLPOP l 0   sends on another connection, and waits until the server counts one more blocked client
//! <             waits for that connection's reply
//! ~ 50          waits so many milliseconds
//! ```
//!
//! With several shards only the events of one key have an order, so they are compared key by key.

use std::collections::BTreeMap;
use std::time::Duration;

use tests::reply::show;
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

const BLOCKED_TIME_MAX: Duration = Duration::from_secs(10);

/// Keys set at a scene's end, spread over all shards: what came before them has been told when they
/// are.
const LAST_KEYS: usize = 24;

/// What was heard of each key, by its database's number and its name.
type Heard = BTreeMap<String, Vec<String>>;

fn hold(server: &Server, classes: &str, scene: &str) -> Heard {
    let mut control = server.connect();
    let (mut wire, mut waiter) = (server.connect(), server.connect());
    control.ask("FLUSHALL");
    control.command(&["CONFIG", "SET", "notify-keyspace-events", classes]);
    let mut subscriber = server.connect();
    subscriber.ask("PSUBSCRIBE __key*");
    for line in scene.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "!" => {
                let before = control.blocked_clients();
                waiter.send_command(&words[1..]);
                eventually(line, BLOCKED_TIME_MAX, || {
                    control.blocked_clients() > before
                });
            }
            "<" => drop(waiter.reply()),
            "~" => std::thread::sleep(Duration::from_millis(words[1].parse().expect("a time"))),
            _ => drop(wire.command(&words)),
        }
    }
    wire.ask("SELECT 0");
    for number in 0..LAST_KEYS {
        wire.ask(&format!("PFADD last:{number} a"));
    }
    let mut heard = Heard::new();
    let mut last = 0;
    while last < LAST_KEYS {
        let message = subscriber.value().elements().expect("a message");
        let text = |at: usize| String::from_utf8_lossy(message[at].text()).into_owned();
        let (channel, payload) = (text(2), text(3));
        let (space, rest) = channel.split_once("__:").expect("a channel of events");
        let (kind, db) = space.split_once('@').expect("a database");
        let (key, event) = match kind {
            "__keyspace" => (rest, &*payload),
            _ => (&*payload, rest),
        };
        if key.starts_with("last:") {
            last += usize::from(kind == "__keyevent" && event == "pfadd");
            continue;
        }
        let of_key = heard.entry(format!("{db} {key}")).or_default();
        of_key.push(format!("{kind} {event}"));
    }
    heard
}

fn compare(classes: &str, scenes: &str) {
    let oracle = Oracle::start();
    let servers = SHARDS.map(|shards| Server::start(Options::shards(shards)));
    let mut differences = Vec::new();
    for scene in scenes.split("\n\n").map(str::trim) {
        let expected = hold(&oracle, classes, scene);
        for (server, shards) in std::iter::zip(&servers, SHARDS) {
            let heard = hold(server, classes, scene);
            let mut keys: Vec<&String> = expected.keys().chain(heard.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let (expected, heard) = (expected.get(key), heard.get(key));
                if expected != heard {
                    differences.push(format!(
                        "{shards} shards, key {key}\n  Redis: {expected:?}\n  here:  {heard:?}\n{scene}\n"
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn events_of_every_family() {
    compare("KEA", include_str!("notifications/events.txt"));
}

#[test]
fn misses_and_new_keys() {
    compare("KE$lszhgtxmn", include_str!("notifications/misses.txt"));
}

/// In RESP3 a connection may hear of what it did itself: its reply comes first, as in Redis.
#[test]
fn who_hears_of_itself_has_its_reply_first() {
    /// A command, and how many messages of itself it brings.
    const STEPS: [(&str, usize); 12] = [
        ("SET a 1", 1),
        ("SET b 1", 1),
        ("SET c 1 EX 100", 2),
        ("DEL b", 1),
        ("GET b", 0),
        ("MULTI", 0),
        ("SET a 2", 0),
        ("RPUSH l 1", 0),
        ("PUBLISH __keyevent@0__:mine x", 0),
        ("LPOP l", 0),
        ("DISCARD", 0),
        ("PUBLISH __keyevent@0__:mine x", 1),
    ];
    let hold = |server: &Server| -> Vec<Vec<u8>> {
        let mut wire = server.connect();
        wire.ask("CONFIG SET notify-keyspace-events KEA");
        wire.ask("HELLO 3");
        wire.ask("PSUBSCRIBE __keyevent*");
        let mut heard = Vec::new();
        for (command, messages) in STEPS {
            let words: Vec<&str> = command.split_whitespace().collect();
            wire.send_command(&words);
            heard.extend((0..=messages).map(|_| wire.reply()));
        }
        // All on one key: the events of a transaction come behind its reply.
        wire.ask("MULTI");
        wire.ask("RPUSH l 1");
        wire.ask("LPOP l");
        wire.send_command(&["EXEC"]);
        heard.extend((0..4).map(|_| wire.reply()));
        heard
    };
    let expected = hold(&Oracle::start());
    for shards in SHARDS {
        let heard = hold(&Server::start(Options::shards(shards)));
        for (expected, heard) in std::iter::zip(&expected, &heard) {
            assert_eq!(show(expected), show(heard), "{shards} shards");
        }
    }
}

/// The same in a pipeline, where the keys are the connection's own shard's.
#[test]
fn a_pipeline_hears_of_each_command_behind_its_reply() {
    let hold = |server: &Server| -> Vec<String> {
        let mut wire = server.connect();
        wire.ask("CONFIG SET notify-keyspace-events KEA");
        wire.ask("HELLO 3");
        wire.ask("PSUBSCRIBE __keyevent*");
        wire.send(b"SET a 1\r\nPUBLISH __keyevent x\r\nAPPEND a 2\r\nDEL a\r\nPING\r\n");
        (0..9).map(|_| show(&wire.reply())).collect()
    };
    let expected = hold(&Oracle::start());
    assert_eq!(expected, hold(&Server::start(Options::shards(1))));
}

/// Whichever shards tell of the keys of a command, and whichever answers it.
#[test]
fn events_of_several_shards_are_heard_before_the_reply() {
    const ROUNDS: usize = 500;
    let ways: [&[&str]; 3] = [
        &["MSET key v a v b v c v d v"],
        &["SET from v", "RENAME from key"],
        &[
            "MULTI",
            "SET a v",
            "SET b v",
            "INCR counter",
            "SET key v",
            "EXEC",
        ],
    ];
    let server = Server::start(Options::shards(4));
    server.connect().ask("CONFIG SET notify-keyspace-events KA");
    let mut subscribers: Vec<Wire> = (0..4)
        .map(|_| {
            let mut wire = server.connect();
            wire.ask("HELLO 3");
            wire.ask("SUBSCRIBE __keyspace@0__:key");
            wire
        })
        .collect();
    let mut writers: Vec<Wire> = (0..4).map(|_| server.connect()).collect();
    for round in 0..ROUNDS {
        let way = ways[round % ways.len()];
        let writer = &mut writers[round / ways.len() % 4];
        for command in way {
            let reply = writer.ask(command);
            assert!(!reply.is_error(), "{command}: {reply:?}");
        }
        for wire in &mut subscribers {
            wire.send_command(&["PING"]);
            let heard = wire.reply();
            assert!(
                heard.starts_with(b">"),
                "{round}, {way:?}: {}",
                show(&heard)
            );
            let reply = wire.reply();
            assert_eq!(reply, b"+PONG\r\n", "{}", show(&reply));
        }
    }
}
