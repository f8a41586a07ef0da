//! Where percore means to differ from Redis, which forgets to tell of some changes and says some
//! things in the wrong shape.

use std::time::Duration;

use tests::reply::{Value, show};
use tests::{Options, SHARDS, Server, Wire};

use crate::invalidated;

fn keys(message: &Value) -> Vec<String> {
    let keys = invalidated(message).unwrap_or_else(|| panic!("not an invalidation: {message:?}"));
    let keys = keys.unwrap_or_else(|| panic!("everything: {message:?}"));
    let keys = keys
        .iter()
        .map(|key| String::from_utf8_lossy(key).into_owned());
    keys.collect()
}

fn tracker(server: &Server, how: &str) -> Wire {
    let mut wire = server.connect();
    wire.ask("HELLO 3");
    let reply = wire.ask(&format!("CLIENT TRACKING ON {how}"));
    assert_eq!(reply, Value::Simple(b"OK".to_vec()), "{how}");
    wire
}

/// Redis says the error, goes on, and says OK too: whoever reads on takes every reply for the one
/// before it.
#[test]
fn overlapping_prefixes_are_refused_once_and_change_nothing() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let reply = wire.ask("CLIENT TRACKING ON BCAST PREFIX x PREFIX foo PREFIX foobar");
        let expected = "ERR Prefix 'foo' overlaps with another provided prefix 'foobar'. Prefixes for a single client must not overlap.";
        assert_eq!(reply, Value::Error(expected.into()));
        assert_eq!(wire.ask("CLIENT GETREDIR"), Value::Integer(-1));
        assert_eq!(wire.figure("tracking_total_prefixes"), 0);
    }
}

/// Redis writes the null in the version of the client that tracks, which the one that hears for it
/// need not know.
#[test]
fn who_hears_for_another_hears_in_its_own_version() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        for (version, null) in [("2", b"$-1\r\n".as_slice()), ("3", b"_\r\n")] {
            let mut listener = server.connect();
            let id = listener.ask("CLIENT ID").integer();
            listener.command(&["HELLO", version]);
            listener.ask("SUBSCRIBE __redis__:invalidate");
            let mut wires = ["2", "3"].map(|version| {
                let mut wire = server.connect();
                wire.command(&["HELLO", version]);
                wire.ask(&format!("CLIENT TRACKING ON REDIRECT {id}"));
                wire
            });
            control.ask("FLUSHALL");
            for _ in &wires {
                let message = listener.reply();
                assert!(message.ends_with(null), "{}", show(&message));
            }
            for wire in &mut wires {
                wire.ask("CLIENT TRACKING OFF");
            }
        }
    }
}

/// In Redis a cache stays as it was when databases are exchanged.
#[test]
fn exchanged_databases_are_told() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut other = server.connect();
        let mut wire = tracker(&server, "");
        other.ask("SET a 1");
        wire.ask("GET a");
        other.ask("SWAPDB 0 1");
        assert_eq!(invalidated(&wire.value()), Some(None));
        wire.ask("GET a");
        other.ask("SET a 2");
        assert_eq!(keys(&wire.value()), ["a"]);
    }
}

/// In Redis FLUSHALL blocks unless it is ASYNC, and its own client hears before the reply.
#[test]
fn who_empties_everything_hears_behind_the_reply() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = tracker(&server, "");
        for command in ["FLUSHALL", "FLUSHDB", "FLUSHALL SYNC", "FLUSHDB ASYNC"] {
            wire.ask("GET a");
            assert_eq!(wire.ask(command), Value::Simple(b"OK".to_vec()));
            assert_eq!(invalidated(&wire.value()), Some(None));
        }
    }
}

/// NOLOOP is about what a client changes, and time is not that: in Redis a client that meets an
/// expired key of its cache in passing (SCAN, a key of a set operation) is not told and keeps it.
#[test]
fn time_is_nobody() {
    for shards in SHARDS {
        let flags = "--enable-debug-command yes";
        let server = Server::start(Options::shards(shards).flags(flags));
        let mut other = server.connect();
        other.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        let mut wire = tracker(&server, "NOLOOP");
        other.ask("SET a 1 PX 1000");
        wire.ask("GET a");
        std::thread::sleep(Duration::from_millis(1050));
        assert_eq!(wire.ask("EXISTS a"), Value::Integer(0));
        assert_eq!(keys(&wire.value()), ["a"]);
    }
}

/// A table that is too full forgets keys, and in Redis does not tell a client with NOLOOP whose own
/// command made it do so.
#[test]
fn forgotten_keys_are_told_in_any_case() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--tracking-table-max-keys 1"));
        let mut wire = tracker(&server, "NOLOOP");
        let mut cached = std::collections::BTreeSet::new();
        for number in 0..50 {
            let key = format!("key:{number}");
            wire.send_command(&["GET", &key]);
            cached.insert(key);
            loop {
                let message = wire.value();
                if invalidated(&message).is_none() {
                    break;
                }
                for key in keys(&message) {
                    assert!(cached.remove(&key), "{key} was not cached");
                }
            }
        }
        while cached.len() > 1 {
            for key in keys(&wire.value()) {
                assert!(cached.remove(&key), "{key} was not cached");
            }
        }
        assert!(wire.figure("tracking_total_keys") <= 1);
    }
}
