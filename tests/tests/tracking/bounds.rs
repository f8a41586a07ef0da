//! What tracking may take: keys that are remembered, readers of a key, output that nobody reads.
//! And what is left when all have gone.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::server::eventually;
use tests::wire::encode;
use tests::{Options, SHARDS, Server, Wire};

use crate::invalidated;

const TIME_MAX: Duration = Duration::from_secs(20);

fn tracker(server: &Server, how: &str) -> Wire {
    let mut wire = server.connect();
    wire.ask("HELLO 3");
    wire.ask(&format!("CLIENT TRACKING ON {how}"));
    wire
}

/// Reads keys by their numbers, some at a time, and keeps those that are cached.
fn read(wire: &mut Wire, numbers: std::ops::Range<usize>, cached: &mut BTreeSet<usize>) {
    const PIPELINE: usize = 500;
    for first in numbers.clone().step_by(PIPELINE) {
        let mut pipeline = Vec::new();
        let numbers = first..numbers.end.min(first + PIPELINE);
        for number in numbers.clone() {
            encode(&["GET".to_owned(), format!("key:{number}")], &mut pipeline);
        }
        wire.send(&pipeline);
        for number in numbers {
            while hear(wire, cached) {}
            cached.insert(number);
        }
    }
}

/// Takes what comes next. False where that was no invalidation.
fn hear(wire: &mut Wire, cached: &mut BTreeSet<usize>) -> bool {
    let Some(keys) = invalidated(&wire.value()) else {
        return false;
    };
    for key in keys.expect("single keys") {
        let key = String::from_utf8(key).expect("a key");
        let number: usize = key["key:".len()..].parse().expect("a number");
        cached.remove(&number);
    }
    true
}

#[test]
fn a_million_keys_are_read_and_few_remembered() {
    const KEYS_MAX: usize = 10_000;
    /// What the remembered keys and the messages on their way may take.
    const BYTES_MAX: u64 = 8 << 20;
    for (shards, keys) in [(1, 100_000), (2, 1_000_000), (4, 100_000)] {
        let flags = format!("--tracking-table-max-keys {KEYS_MAX}");
        let server = Server::start(Options::shards(shards).flags(&flags));
        let mut control = server.connect();
        let before = control.figure("used_memory");
        let mut wire = tracker(&server, "");
        let mut cached = BTreeSet::new();
        read(&mut wire, 0..keys, &mut cached);
        // All that was forgotten is told, and what is not told is remembered.
        eventually("the table is within its bound", TIME_MAX, || {
            control.figure("tracking_total_keys") == KEYS_MAX as u64
        });
        assert_eq!(control.figure("tracking_total_items"), KEYS_MAX as u64);
        while cached.len() > KEYS_MAX {
            assert!(hear(&mut wire, &mut cached));
        }
        let taken = control.figure("used_memory").saturating_sub(before);
        assert!(taken < BYTES_MAX, "{shards} shards: {taken} bytes");
        control.ask("CONFIG SET tracking-table-max-keys 10");
        while cached.len() > 10 {
            assert!(hear(&mut wire, &mut cached));
        }
        control.ask("FLUSHALL");
        assert_eq!(invalidated(&wire.value()), Some(None));
        assert_eq!(control.figure("tracking_total_keys"), 0);
    }
}

#[test]
fn a_lower_bound_is_told_key_by_key() {
    const KEYS: usize = 250;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        let mut wire = tracker(&server, "");
        let mut cached = BTreeSet::new();
        read(&mut wire, 0..KEYS, &mut cached);
        assert_eq!(control.figure("tracking_total_keys"), KEYS as u64);
        control.ask("CONFIG SET tracking-table-max-keys 1");
        for left in (1..KEYS).rev() {
            assert!(hear(&mut wire, &mut cached));
            assert_eq!(cached.len(), left, "one key a message, each once");
        }
        assert_eq!(wire.ask("PING").text(), b"PONG");
        control.ask("CONFIG SET tracking-table-max-keys 0");
        read(&mut wire, 0..KEYS, &mut cached);
        assert_eq!(control.figure("tracking_total_keys"), KEYS as u64);
    }
}

/// Clients that come and go leave nothing that grows, though their reads are remembered until the
/// key changes.
#[test]
fn readers_that_have_gone_make_room_for_those_who_come() {
    const READERS: usize = 300;
    const AT_ONCE: u64 = 3;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        for _ in 0..READERS {
            let mut wire = tracker(&server, "BCAST PREFIX p PREFIX q");
            wire.ask("CLIENT TRACKING OFF");
            wire.ask("CLIENT TRACKING ON");
            wire.ask("GET key");
            drop(wire);
            eventually("it is gone", TIME_MAX, || {
                control.figure("connected_clients") == 1
            });
        }
        assert_eq!(control.figure("tracking_total_keys"), 1);
        let most = AT_ONCE * u64::from(shards);
        assert!(control.figure("tracking_total_items") <= most);
        assert_eq!(control.figure("tracking_clients"), 0);
        eventually("no prefix is left", TIME_MAX, || {
            control.figure("tracking_total_prefixes") == 0
        });
        control.ask("SET key 1");
        assert_eq!(control.figure("tracking_total_keys"), 0);
        assert_eq!(control.figure("tracking_total_items"), 0);
    }
}

/// Who asks for everything and reads nothing is closed, by the limit for those who are sent what
/// they do not wait for.
#[test]
fn a_client_that_does_not_read_is_closed() {
    const LIMIT: usize = 1 << 20;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        let limit = format!("pubsub {LIMIT} 0 0");
        control.command(&["CONFIG", "SET", "client-output-buffer-limit", &limit]);
        let before = control.figure("used_memory");
        let idle = tracker(&server, "BCAST");
        assert_eq!(control.figure("tracking_clients"), 1);
        let key = "k".repeat(10_000);
        let mut pipeline = Vec::new();
        (0..100).for_each(|_| encode(&["SET", &key, "v"], &mut pipeline));
        let mut written = 0;
        // The kernel's buffers are to be filled first.
        while control.figure("tracking_clients") == 1 {
            written += 1;
            assert!(written < 1_000, "never closed");
            for _ in 0..20 {
                control.command(&["SET", &key, "v"]);
            }
            let held = control.figure("used_memory").saturating_sub(before);
            assert!(held < 8 * LIMIT as u64, "{held} bytes");
        }
        assert!(control.figure("client_output_buffer_limit_disconnections") >= 1);
        drop(idle);
        // A large reply is not what the limit is for.
        let mut wire = tracker(&server, "");
        control.command(&["SET", "large", &"x".repeat(4 * LIMIT)]);
        wire.ask("GET small");
        wire.send(b"GET large\r\n");
        control.ask("SET small 1");
        let first = wire.value();
        let (reply, message) = match invalidated(&first) {
            None => (first, wire.value()),
            Some(_) => (wire.value(), first),
        };
        assert_eq!(reply.text().len(), 4 * LIMIT);
        assert_eq!(invalidated(&message), Some(Some(vec![b"small".to_vec()])));
    }
}

/// Evicted keys are told: what a cache holds in the end is there.
#[test]
fn evicted_keys_are_told() {
    const KEYS: usize = 2_000;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut control, mut wire) = (server.connect(), tracker(&server, "NOLOOP"));
        let value = "v".repeat(1_000);
        for number in 0..KEYS {
            control.command(&["SET", &format!("key:{number}"), &value]);
        }
        let mut cached = BTreeSet::new();
        read(&mut wire, 0..KEYS, &mut cached);
        let limit = control.figure("used_memory") + (100 << 10);
        control.ask("CONFIG SET maxmemory-policy allkeys-random");
        control.ask(&format!("CONFIG SET maxmemory {limit}"));
        for number in 0..KEYS / 2 {
            let more = format!("more:{number}");
            wire.send_command(&["SET", &more, &value]);
            while hear(&mut wire, &mut cached) {}
        }
        control.ask("CONFIG SET maxmemory 0");
        assert!(control.figure("evicted_keys") > 0);
        // What one shard has told is here when it answers; each is asked.
        for number in 0..24 {
            wire.send_command(&["GET", &format!("last:{number}")]);
            while hear(&mut wire, &mut cached) {}
        }
        for number in &cached {
            let there = control.command(&["EXISTS", &format!("key:{number}")]);
            assert_eq!(
                there.integer(),
                1,
                "key:{number} is cached, {shards} shards"
            );
        }
        assert!(cached.len() < KEYS);
    }
}
