//! Several connections that meet: blocked clients and who serves them, subscribers, watchers. What
//! each hears is what Redis says.
//!
//! Each is a file in `conversations/`, in the words of `tests::conversation`.

use std::time::Duration;

use tests::conversation::{VERSIONS, hold};
use tests::reply::show;
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server};

const BLOCKED_TIME_MAX: Duration = Duration::from_secs(10);

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

#[test]
fn scripts() {
    compare(include_str!("conversations/scripts.txt"));
}

#[test]
fn scripts_values() {
    compare(include_str!("conversations/scripts_values.txt"));
}

#[test]
fn scripts_errors() {
    compare(include_str!("conversations/scripts_errors.txt"));
}

#[test]
fn scripts_keys() {
    compare(include_str!("conversations/scripts_keys.txt"));
}

#[test]
fn scripts_others() {
    compare(include_str!("conversations/scripts_others.txt"));
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
                manager.blocked_clients() == 1
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

/// Since 7.2 a client that is woken has its command run again, as if it came now: the order of its
/// keys counts, not that in which they became ready.
#[test]
fn who_is_woken_asks_again() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut waiter, mut other) = (server.connect(), server.connect());
        waiter.send(b"BLPOP first second 0\r\n");
        eventually("the client waits", BLOCKED_TIME_MAX, || {
            other.blocked_clients() == 1
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
