//! Keys that die in time: not before, not seen after, gone from memory without being asked for.

use std::time::{Duration, Instant};

use tests::reply::Value;
use tests::server::eventually;
use tests::wire::encode;
use tests::{Options, SHARDS, Server};

const GONE_TIME_MAX: Duration = Duration::from_secs(10);

#[test]
fn a_key_lives_until_its_time_and_no_longer() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for key in ["a", "b", "c", "d"] {
            let start = Instant::now();
            assert_eq!(wire.ask(&format!("SET {key} v PX 60")).text(), b"OK");
            loop {
                let reply = wire.ask(&format!("GET {key}"));
                // Measured around the whole exchange: what the clock says after the reply is the
                // latest it can have been made.
                let elapsed = start.elapsed();
                match reply {
                    tests::reply::Value::Null(_) => {
                        assert!(
                            elapsed >= Duration::from_millis(59),
                            "gone after {elapsed:?}"
                        );
                        break;
                    }
                    _ => assert!(elapsed < GONE_TIME_MAX, "there after {elapsed:?}"),
                }
            }
            assert_eq!(wire.ask(&format!("PTTL {key}")).integer(), -2);
            assert_eq!(wire.ask(&format!("EXISTS {key}")).integer(), 0);
        }
    }
}

#[test]
fn keys_that_nobody_asks_for_are_removed() {
    const KEYS: usize = 2_000;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let mut pipeline = Vec::new();
        for index in 0..KEYS {
            encode(
                &["SET", &format!("dies:{index}"), "v", "PX", "100"],
                &mut pipeline,
            );
        }
        encode(&["SET", "stays", "v"], &mut pipeline);
        wire.send(&pipeline);
        for _ in 0..=KEYS {
            assert_eq!(wire.reply(), b"+OK\r\n");
        }
        // DBSIZE counts what is in memory, dead or not.
        eventually("only one key is left", GONE_TIME_MAX, || {
            wire.ask("DBSIZE").integer() == 1
        });
        assert_eq!(wire.ask("GET stays").text(), b"v");
        assert_eq!(wire.info("stats").number::<usize>("expired_keys"), KEYS);
    }
}

#[test]
fn a_time_is_kept_replaced_and_lost_as_the_manual_says() {
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    let mut ttl = |commands: &[&str]| {
        wire.ask("SET k 1 EX 100");
        for command in commands {
            assert!(!wire.ask(command).is_error(), "{command}");
        }
        wire.ask("TTL k").integer()
    };
    let kept = 90..=100;
    assert!(kept.contains(&ttl(&["INCR k"])));
    assert!(kept.contains(&ttl(&["APPEND k 1"])));
    assert!(kept.contains(&ttl(&["SET k 2 KEEPTTL"])));
    assert!(kept.contains(&ttl(&["SETRANGE k 0 x"])));
    assert!(kept.contains(&ttl(&["RENAME k other", "RENAME other k"])));
    assert!(kept.contains(&ttl(&["COPY k other", "RENAME other k"])));
    assert!(kept.contains(&ttl(&["EXPIRE k 50 GT"])));
    assert_eq!(ttl(&["SET k 2"]), -1);
    assert_eq!(ttl(&["GETSET k 2"]), -1);
    assert_eq!(ttl(&["MSET k 2"]), -1);
    assert_eq!(ttl(&["PERSIST k"]), -1);
    assert_eq!(ttl(&["GETEX k PERSIST"]), -1);
    assert_eq!(ttl(&["SET other 1", "RENAME other k"]), -1);
    assert_eq!(ttl(&["EXPIRE k 0"]), -2);
    assert_eq!(ttl(&["EXPIREAT k 1"]), -2);
}

#[test]
fn a_dead_key_is_no_key_to_any_command() {
    let server = Server::start(Options::shards(4));
    let mut wire = server.connect();
    let mut dead = |command: &str| {
        wire.ask("SET dead 1 PX 1");
        eventually("the key is dead", GONE_TIME_MAX, || {
            wire.ask("PTTL dead").integer() == -2
        });
        wire.ask("DEL dead other");
        wire.ask("SET dead 1 PX 1");
        let born = Instant::now();
        while born.elapsed() < Duration::from_millis(3) {
            std::hint::spin_loop();
        }
        format!("{:?}", wire.ask(command))
    };
    assert_eq!(dead("INCR dead"), ":1");
    assert_eq!(dead("SETNX dead 2"), ":1");
    assert_eq!(dead("RPUSH dead x"), ":1");
    assert_eq!(dead("APPEND dead x"), ":1");
    assert_eq!(dead("DEL dead"), ":0");
    assert_eq!(dead("EXISTS dead dead"), ":0");
    assert_eq!(dead("TYPE dead"), "+\"none\"");
    assert_eq!(dead("KEYS *"), "*[]");
    assert_eq!(dead("MGET dead dead"), "*[null($-1), null($-1)]");
    assert_eq!(dead("RENAME dead other"), "-\"ERR no such key\"");
    assert_eq!(dead("COPY dead other"), ":0");
    assert_eq!(dead("RANDOMKEY"), "null($-1)");
    assert_eq!(dead("MSETNX dead 1 other 1"), ":1");
    assert_eq!(dead("SINTERSTORE other dead"), ":0");
}

/// As Redis 7.4 does, which an application sees in HLEN and EXISTS. What Redis counts as deleted by
/// HDEL was gone already here.
#[test]
fn a_field_found_dead_is_counted_no_more() {
    for (shards, entries) in [(1, 512), (1, 0), (4, 512), (4, 0)] {
        let flags = format!(
            "--enable-debug-command yes --appendonly yes --hash-max-listpack-entries {entries}"
        );
        let server = Server::start(Options::shards(shards).flags(&flags));
        let mut wire = server.connect();
        wire.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        let mut left = |asked: &[&str]| {
            wire.ask("DEL h");
            wire.ask("HSET h dead 1 live 2 dead:too 3");
            wire.ask("HPEXPIRE h 1 FIELDS 2 dead dead:too");
            eventually("the fields are dead", GONE_TIME_MAX, || {
                wire.ask("HPTTL h FIELDS 1 dead").elements() == Some(vec![Value::Integer(-2)])
            });
            assert_eq!(wire.ask("HLEN h").integer(), 3);
            for command in asked {
                let reply = wire.ask(command);
                assert!(!reply.is_error(), "{command}: {reply:?}");
            }
            let left = wire.ask("HLEN h").integer();
            assert_eq!(wire.ask("DEBUG LOADAOF").text(), b"OK");
            wire.ask("DEBUG SET-ACTIVE-EXPIRE 0");
            assert_eq!(wire.ask("HLEN h").integer(), left, "{asked:?} loaded");
            left
        };
        assert_eq!(left(&["HGETALL h"]), 3);
        assert_eq!(left(&["HGET h live", "HGET h none"]), 3);
        assert_eq!(left(&["HGET h dead"]), 2);
        assert_eq!(left(&["HMGET h live dead none dead:too"]), 1);
        assert_eq!(left(&["HEXISTS h dead"]), 2);
        assert_eq!(left(&["HSTRLEN h dead"]), 2);
        assert_eq!(left(&["HDEL h dead"]), 2);
        assert_eq!(left(&["HDEL h live dead"]), 1);
        assert_eq!(left(&["HDEL h live dead dead:too"]), 0);
        assert_eq!(left(&["HGETDEL h FIELDS 1 dead"]), 2);
        assert_eq!(left(&["HDEL h live", "HMGET h dead dead:too"]), 0);
        let elsewhere = [
            "MULTI",
            "SET a 1",
            "SET b 1",
            "SET c 1",
            "HGET h dead",
            "EXEC",
        ];
        assert_eq!(left(&elsewhere), 2);
        assert_eq!(wire.ask("EXISTS h").integer(), 1);
        wire.ask("HDEL h live dead:too");
        assert_eq!(wire.ask("EXISTS h").integer(), 0);
    }
}

/// How a hash with a field that dies, and a key that dies, come to another place. `h` and `k` stand
/// in database `@`, and `&` is the next one.
const MOVES: [&[&str]; 12] = [
    &[],
    &["SWAPDB @ &"],
    &["SWAPDB @ &", "SWAPDB & @"],
    &["MULTI", "SWAPDB @ &", "EXEC"],
    // Set, exchanged, and set again in what is there now.
    &[
        "MULTI",
        "HPEXPIRE h 400 FIELDS 1 f",
        "SWAPDB & @",
        "HSET other f 1",
        "HPEXPIRE other 400 FIELDS 1 f",
        "EXEC",
    ],
    &["MOVE h &", "MOVE k &"],
    &["MOVE h &", "MOVE k &", "SWAPDB @ &"],
    &["COPY h h2", "COPY h h3 DB &", "COPY k k2", "COPY k k3 DB &"],
    &["RENAME h elsewhere", "RENAME k there", "SWAPDB @ &"],
    &["RENAME h x", "RENAME x y", "RENAME y z", "RENAME k m"],
    &["MULTI", "HSET h2 f 1", "RENAME h h2", "MOVE h2 &", "EXEC"],
    // What stood there before is forgotten, and what comes is not.
    &[
        "FLUSHDB ASYNC",
        "HSET h f 1",
        "HPEXPIRE h 400 FIELDS 1 f",
        "SWAPDB & @",
    ],
];

/// Nobody asks for them: they are removed by the clock, wherever they have come to.
#[test]
fn what_moves_keeps_its_clock() {
    for shards in SHARDS {
        let server = Server::start(
            Options::shards(shards).flags("--enable-debug-command yes --databases 32"),
        );
        let mut wire = server.connect();
        for (at, moves) in MOVES.iter().enumerate() {
            let (here, there) = (at * 2, at * 2 + 1);
            wire.ask(&format!("SELECT {here}"));
            wire.ask("HSET h f 1");
            // A time that had to be given up must not stand in the way of the new one.
            wire.ask("HEXPIRE h 1000 FIELDS 1 f");
            wire.ask("HPEXPIRE h 400 FIELDS 1 f");
            wire.ask("SET k v PX 400");
            for step in *moves {
                wire.ask(
                    &step
                        .replace('@', &here.to_string())
                        .replace('&', &there.to_string()),
                );
            }
        }
        // One that is given as a value.
        wire.ask("SELECT 30");
        wire.ask("HSET h f 1");
        wire.ask("HPEXPIRE h 400 FIELDS 1 f");
        if let Value::Bulk(dumped) = wire.ask("DUMP h") {
            wire.ask("SELECT 31");
            let restored: [&[u8]; 4] = [b"RESTORE", b"restored", b"0", &dumped];
            wire.command(&restored);
        }
        for reload in [false, true] {
            if reload {
                wire.ask("SELECT 1");
                wire.ask("HSET h f 1");
                wire.ask("HPEXPIRE h 400 FIELDS 1 f");
                wire.ask("DEBUG RELOAD");
                wire.ask("SWAPDB 1 2");
            }
            for db in 0..32 {
                wire.ask(&format!("SELECT {db}"));
                eventually(
                    &format!("database {db} is empty, {shards} shards"),
                    GONE_TIME_MAX,
                    || wire.ask("DBSIZE").integer() == 0,
                );
            }
        }
    }
}
