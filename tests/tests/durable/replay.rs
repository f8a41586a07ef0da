//! What the log says is what happened: loading it gives back, key by key, what there was, whatever
//! commands made it.
//!
//! DEBUG LOADAOF loads it in place; a start after a kill does the same with any number of shards.

use std::time::Duration;

use fastrand::Rng;
use tests::contents::{Contents, pipeline};
use tests::grammar::{Draw, FAMILIES};
use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{Options, SHARDS, Server, Wire};

use crate::setting;

/// Sequences of random commands for each family, and how long they are.
const SEQUENCES: u64 = 6;
const LENGTH: usize = 80;

/// Commands that end a connection or the server, or forget what was made before it is compared; and
/// a limit that changes on the way, which no log tells: a replay packs by the one that holds then.
const UNWANTED: [&str; 5] = ["QUIT", "SHUTDOWN", "RESET", "FLUSHALL", "CONFIG"];

/// LOADAOF sees to it that all is written, so nothing here has to wait for the disk.
fn options(shards: u16) -> Options {
    Options::shards(shards).flags("--appendonly yes --appendfsync no --enable-debug-command yes")
}

fn settle(wire: &mut Wire) {
    for words in ["DISCARD", "UNWATCH", "HELLO 2", "SELECT 0"] {
        wire.ask(words);
    }
}

fn digest(wire: &mut Wire) -> Vec<u8> {
    let digest = wire.ask("DEBUG DIGEST");
    assert!(!digest.is_error(), "{digest:?}");
    digest.text().to_vec()
}

/// What a log tells.
fn comparable(contents: &Contents) -> Contents {
    contents.without_encodings().without_times_seen()
}

/// Loads the log in place, and holds what there is then against what there was.
fn assert_log_is_faithful(wire: &mut Wire, told: &str) {
    settle(wire);
    let before = Contents::of(wire);
    let digest_before = digest(wire);
    let loaded = wire.ask("DEBUG LOADAOF");
    assert_eq!(loaded, Value::Simple(b"OK".to_vec()), "{told}");
    let after = Contents::of(wire);
    comparable(&after).assert_same(
        &comparable(&before),
        &format!("after and before loading, {told}"),
    );
    assert_eq!(digest(wire), digest_before, "{told}");
}

#[test]
fn the_log_of_random_commands_gives_back_what_they_made() {
    let first = setting("PERCORE_SEED", 1);
    let count = setting("PERCORE_SEQUENCES", SEQUENCES);
    for shards in SHARDS {
        let mut server = Server::start(options(shards));
        let mut wire = server.connect();
        for family in FAMILIES {
            for seed in first..first + count {
                let mut draw = Draw::new(seed);
                let sequence: Vec<Vec<Vec<u8>>> = (0..LENGTH)
                    .map(|_| draw.command(family))
                    .filter(|command| !UNWANTED.contains(&command.verb().as_str()))
                    .map(|command| command.arguments)
                    .collect();
                pipeline(&mut wire, &sequence);
                let told = format!("{} with {shards} shards, PERCORE_SEED={seed}", family.name);
                assert_log_is_faithful(&mut wire, &told);
            }
        }
        let before = Contents::of(&mut wire);
        for next in SHARDS {
            server.kill();
            server.restart_with(options(next));
            let after = Contents::of(&mut server.connect());
            comparable(&after).assert_same(
                &comparable(&before),
                &format!("written with {shards} shards, loaded with {next}"),
            );
        }
    }
}

/// Commands on keys of all shards in one transaction, some of them by value and some by themselves,
/// and what chance decides.
#[test]
fn the_log_of_random_transactions_gives_back_what_they_made() {
    let first = setting("PERCORE_SEED", 1);
    let count = setting("PERCORE_SEQUENCES", SEQUENCES);
    let unwanted = |verb: &str| {
        UNWANTED.contains(&verb)
            || verb.starts_with("XREAD")
            || ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "HELLO"].contains(&verb)
    };
    for shards in SHARDS {
        let server = Server::start(options(shards));
        let mut wire = server.connect();
        for seed in first..first + 10 * count {
            let mut draw = Draw::new(seed);
            let mut random = Rng::with_seed(seed);
            let mut commands = vec![vec![b"MULTI".to_vec()]];
            while commands.len() < 12 {
                let family = &FAMILIES[random.usize(..FAMILIES.len())];
                let command = draw.command(family);
                if !unwanted(&command.verb()) {
                    commands.push(command.arguments);
                }
            }
            commands.push(vec![b"EXEC".to_vec()]);
            pipeline(&mut wire, &commands);
            if seed % 5 == 0 {
                let told = format!("EXEC with {shards} shards, PERCORE_SEED={seed}");
                assert_log_is_faithful(&mut wire, &told);
            }
        }
    }
}

/// Who waited for an element got it: it is gone from the log's list too, and moved to where it
/// went.
#[test]
fn what_waiting_clients_were_given_is_in_the_log() {
    for shards in SHARDS {
        let server = Server::start(options(shards));
        let mut wire = server.connect();
        let waits = [
            "BLPOP w1 w2 w3 w4 0",
            "BLMOVE w1 moved1 LEFT RIGHT 0",
            "BRPOPLPUSH w2 moved2 0",
            "BLMPOP 0 3 w2 w3 w4 LEFT COUNT 2",
            "BZPOPMIN z1 z2 0",
            "BZMPOP 0 2 z1 z2 MAX COUNT 2",
            "XREADGROUP GROUP g me BLOCK 0 STREAMS s1 >",
        ];
        wire.ask("XGROUP CREATE s1 g $ MKSTREAM");
        for round in 0..40 {
            let mut waiter = server.connect();
            let words = waits[round % waits.len()];
            waiter.send_command(&words.split(' ').collect::<Vec<_>>());
            eventually("a client that waits", START_TIME_MAX, || {
                wire.blocked_clients() == 1
            });
            let give = match words.split(' ').next() {
                Some("BZPOPMIN" | "BZMPOP") => "ZADD z2 1 a 2 b 3 c",
                Some("XREADGROUP") => "XADD s1 * f v",
                Some("BRPOPLPUSH") => "RPUSH w2 x y z",
                Some("BLMOVE") => "RPUSH w1 x y z",
                _ => "RPUSH w3 x y z",
            };
            match round % 3 {
                0 => _ = wire.ask(give),
                1 => {
                    for words in ["MULTI", give, "SET other 1", "SET another 2", "EXEC"] {
                        wire.ask(words);
                    }
                }
                // What it waits for comes from elsewhere.
                _ => {
                    let key = give.split(' ').nth(1).unwrap_or_default();
                    let elsewhere = give.replacen(key, "elsewhere", 1);
                    wire.ask("DEL elsewhere");
                    wire.ask(&elsewhere);
                    if words.starts_with("XREADGROUP") {
                        _ = wire.ask(give)
                    } else {
                        _ = wire.ask(&format!("RENAME elsewhere {key}"))
                    }
                }
            }
            assert!(!waiter.value().is_error());
            assert_log_is_faithful(&mut wire, &format!("{words} with {shards} shards"));
            for key in ["w1", "w2", "w3", "w4", "z1", "z2"] {
                wire.ask(&format!("DEL {key}"));
            }
        }
    }
}

/// Keys and fields that end by themselves, noticed by the clock or by who asks, and keys that had
/// to go.
#[test]
fn what_time_and_memory_took_is_not_in_the_log() {
    for shards in SHARDS {
        let server = Server::start(options(shards));
        let mut wire = server.connect();
        for active in [0, 1] {
            wire.ask(&format!("DEBUG SET-ACTIVE-EXPIRE {active}"));
            for n in 0..50 {
                wire.ask(&format!("SET k{n} v PX {}", 20 + n));
                wire.ask(&format!("RPUSH l{n} a"));
                wire.ask(&format!("PEXPIRE l{n} {}", 20 + n));
                wire.ask(&format!("HSET h{n} f 1 g 2"));
                wire.ask(&format!("HPEXPIRE h{n} {} FIELDS 1 f", 20 + n));
            }
            std::thread::sleep(Duration::from_millis(200));
            for n in 0..50 {
                // On what has ended these make something new, where nobody had noticed.
                wire.ask(&format!("APPEND k{n} w"));
                wire.ask(&format!("RPUSHX l{n} b"));
                wire.ask(&format!("HINCRBY h{n} f 1"));
            }
            assert_eq!(wire.ask("GET k1").text(), b"w");
            assert_eq!(wire.ask("EXISTS l1").integer(), 0);
            assert_log_is_faithful(&mut wire, &format!("expiry {active} with {shards} shards"));
        }
        let used: u64 = wire.info("memory").number("used_memory");
        wire.ask("CONFIG SET maxmemory-policy allkeys-random");
        wire.ask(&format!("CONFIG SET maxmemory {}", used + (1 << 20)));
        for n in 0..4_000 {
            wire.ask(&format!("SET big:{n} {}", "x".repeat(1_000)));
        }
        wire.ask("CONFIG SET maxmemory 0");
        let keys = wire.ask("DBSIZE").integer();
        assert!(keys < 3_500, "nothing was evicted: {keys} keys");
        assert_log_is_faithful(&mut wire, &format!("eviction with {shards} shards"));
    }
}
