//! Several connections that meet: blocked clients and who serves them, subscribers, watchers. What each hears is what Redis says.
//!
//! A conversation is a file in `conversations/`, a step a line; a number is a connection:
//!
//! ```text
//! 1 GET a       sends, and waits for the reply
//! 1! BLPOP a 0  sends, and waits until the server counts one more blocked client
//! 1> SET a b    sends, and expects no reply
//! 1<            waits for a reply, or a message
//! 1~2 DBSIZE    asks until the answer is this number
//! ```
//!
//! An empty line ends a scene: the next one has new connections. The data stays.

use std::time::Duration;

use tests::reply::{Value, show};
use tests::server::{START_TIME_MAX, eventually};
use tests::{Options, Oracle, Server, Wire};

const SHARDS: [u16; 3] = [1, 2, 4];
const CONNECTIONS: usize = 3;
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(10);

/// The versions of RESP a conversation is held in.
const VERSIONS: [&str; 2] = ["2", "3"];

fn blocked(control: &mut Wire) -> usize {
    let info = control.ask("INFO clients");
    let text = String::from_utf8_lossy(info.text()).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    line.and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("no blocked_clients in {text}"))
}

/// The replies heard, each with the number of the line that waits for it.
fn hold(server: &Server, version: &str, conversation: &str) -> Vec<(usize, Vec<u8>)> {
    let mut control = server.connect();
    control.ask("FLUSHALL");
    let mut wires = Vec::new();
    let mut heard = Vec::new();
    for (index, line) in conversation.lines().enumerate() {
        let at = index + 1;
        if line.is_empty() {
            wires.clear();
            eventually(
                "the last scene's clients are gone",
                BLOCKED_TIME_MAX,
                || blocked(&mut control) == 0,
            );
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        if wires.is_empty() {
            wires = (0..CONNECTIONS)
                .map(|_| {
                    let mut wire = server.connect();
                    wire.command(&["HELLO", version]);
                    wire
                })
                .collect();
        }
        let (who, words) = line.split_once(' ').unwrap_or((line, ""));
        let number: usize = who[..1]
            .parse()
            .unwrap_or_else(|_| panic!("line {at}: no connection's number: {line}"));
        let wire: &mut Wire = &mut wires[number - 1];
        let words: Vec<&str> = words.split_whitespace().collect();
        match &who[1..] {
            "" => {
                wire.send_command(&words);
                heard.push((at, hear(wire, at, line)));
            }
            ">" => wire.send_command(&words),
            "<" => heard.push((at, hear(wire, at, line))),
            "!" => {
                let before = blocked(&mut control);
                wire.send_command(&words);
                eventually(
                    &format!("line {at} blocks: {line}"),
                    BLOCKED_TIME_MAX,
                    || blocked(&mut control) > before,
                );
            }
            other => {
                let number = other.strip_prefix('~').and_then(|it| it.parse().ok());
                let number = number.unwrap_or_else(|| panic!("line {at}: what is {other:?}?"));
                eventually(&format!("line {at}: {line}"), START_TIME_MAX, || {
                    wire.command(&words) == Value::Integer(number)
                });
            }
        }
    }
    heard
}

fn hear(wire: &mut Wire, at: usize, line: &str) -> Vec<u8> {
    match wire.try_reply() {
        Ok(Some(reply)) => reply,
        Ok(None) => panic!("line {at}: closed: {line}"),
        Err(error) => panic!("line {at}: {error}: {line}"),
    }
}

fn compare(conversation: &str) {
    let flags = "--enable-debug-command yes";
    let oracle = Oracle::with_flags(flags);
    let expected = VERSIONS.map(|version| hold(&oracle, version, conversation));
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags(flags));
        for (version, expected) in std::iter::zip(VERSIONS, &expected) {
            let heard = hold(&server, version, conversation);
            for ((at, expected), (_, heard)) in std::iter::zip(expected, heard) {
                assert!(
                    *expected == heard,
                    "line {at}, RESP{version}, {shards} shards: {}\n  Redis: {}\n  here:  {}",
                    conversation.lines().nth(at - 1).unwrap_or_default(),
                    show(expected),
                    show(&heard)
                );
            }
        }
    }
}

#[test]
fn blocking() {
    compare(include_str!("conversations/blocking.txt"));
}

#[test]
fn subscriptions() {
    compare(include_str!("conversations/subscriptions.txt"));
}

#[test]
fn watching() {
    compare(include_str!("conversations/watching.txt"));
}

#[test]
fn shared() {
    compare(include_str!("conversations/shared.txt"));
}

#[test]
fn memory() {
    compare(include_str!("conversations/memory.txt"));
}

#[test]
fn hyperloglog() {
    compare(include_str!("conversations/hyperloglog.txt"));
}

#[test]
fn absent() {
    compare(include_str!("conversations/absent.txt"));
}

#[test]
fn waiting() {
    compare(include_str!("conversations/waiting.txt"));
}

/// Redis's versions say it in other words, with the same code.
#[test]
fn who_reads_for_a_group_that_goes_is_told() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut reader, mut manager) = (server.connect(), server.connect());
        for way in [
            "XGROUP DESTROY stream group",
            "DEL stream",
            "RENAME stream other",
            "MOVE stream 1",
            "FLUSHALL",
            "FLUSHDB ASYNC",
            "SWAPDB 0 2",
        ] {
            manager.ask("FLUSHALL");
            manager.ask("XGROUP CREATE stream group $ MKSTREAM");
            reader.send(b"XREADGROUP GROUP group me BLOCK 0 STREAMS stream >\r\n");
            eventually("the reader waits", BLOCKED_TIME_MAX, || {
                blocked(&mut manager) == 1
            });
            manager.ask(way);
            let reply = reader.reply();
            assert!(
                reply.starts_with(b"-NOGROUP "),
                "{shards} shards, {way}: {}",
                show(&reply)
            );
        }
    }
}

/// Since 7.2 a client that is woken has its command run again, as if it came now: the order of its keys counts, not that in which
/// they became ready.
#[test]
fn who_is_woken_asks_again() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut waiter, mut other) = (server.connect(), server.connect());
        waiter.send(b"BLPOP first second 0\r\n");
        eventually("the client waits", BLOCKED_TIME_MAX, || {
            blocked(&mut other) == 1
        });
        other.send(b"MULTI\r\nRPUSH second b\r\nRPUSH first a\r\nEXEC\r\n");
        let reply = waiter.reply();
        assert_eq!(
            show(&reply),
            show(b"*2\r\n$5\r\nfirst\r\n$1\r\na\r\n"),
            "{shards} shards"
        );
    }
}
