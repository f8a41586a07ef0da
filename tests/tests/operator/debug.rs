//! DEBUG, as far as people's test suites use it.

use std::time::{Duration, Instant};

use tests::reply::show;
use tests::{Options, Oracle, Server};

use crate::counts::is_current;
use crate::{SHARDS, debuggable};

const STEPS: &[&str] = &[
    "DEBUG",
    "DEBUG nosuch",
    "DEBUG POPULATE",
    "DEBUG POPULATE x",
    "DEBUG POPULATE -1",
    "SET key:1 mine",
    "DEBUG POPULATE 3",
    "MGET key:0 key:1 key:2",
    "DEBUG POPULATE 2 other",
    "GET other:1",
    "DEBUG POPULATE 2 long 12",
    "GET long:1",
    "DEBUG POPULATE 2 short 3",
    "GET short:1",
    "DEBUG POPULATE 2 none -3",
    "DBSIZE",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 1b",
    "DEBUG QUICKLIST-PACKED-THRESHOLD x",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 0",
    "DEBUG SET-ACTIVE-EXPIRE x",
    "DEBUG SET-ACTIVE-EXPIRE 1",
    "DEBUG RELOAD NOTHING",
    "DBSIZE",
    "SAVE",
    "FLUSHALL",
    "SET key:1 changed",
    "SET more v",
    "DEBUG RELOAD NOSAVE NOFLUSH MERGE",
    "GET key:1",
    "DBSIZE",
    "SET more v",
    "DEBUG RELOAD NOSAVE",
    "EXISTS more",
    "DEBUG RELOAD",
    "DBSIZE",
];

const KINDS: [&str; 15] = [
    "string", "integer", "double", "null", "array", "set", "map", "attrib", "push", "verbatim",
    "true", "false", "bignum", "nosuch", "STRING",
];

fn hear(server: &Server, version: &str) -> Vec<Vec<u8>> {
    let mut wire = server.connect();
    wire.ask("FLUSHALL");
    let _ = std::fs::remove_file(server.directory().join("dump.rdb"));
    wire.command(&["HELLO", version]);
    let mut heard = Vec::new();
    for step in STEPS {
        wire.send(format!("{step}\r\n").as_bytes());
        heard.push(wire.reply());
    }
    for kind in KINDS {
        wire.send(format!("DEBUG PROTOCOL {kind}\r\nECHO end\r\n").as_bytes());
        loop {
            let reply = wire.reply();
            let over = reply == b"$3\r\nend\r\n";
            heard.push(reply);
            if over {
                break;
            }
        }
    }
    heard
}

#[test]
fn it_answers_as_redis_does() {
    let oracle = Oracle::with_flags("--enable-debug-command yes");
    if !is_current(&oracle) {
        return;
    }
    for version in ["2", "3"] {
        let expected = hear(&oracle, version);
        for shards in SHARDS {
            let server = Server::start(debuggable(shards));
            let heard = hear(&server, version);
            for (at, (expected, heard)) in std::iter::zip(&expected, &heard).enumerate() {
                assert_eq!(
                    show(heard),
                    show(expected),
                    "reply {at}, {:?}, RESP{version}, {shards} shards",
                    STEPS.get(at)
                );
            }
        }
    }
}

/// All shards sleep at the same time: it is to be one pause.
#[test]
fn sleep_takes_the_time_that_it_is_told() {
    const TIME: Duration = Duration::from_millis(200);
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let mut wire = server.connect();
        let mut taken = (0..5).map(|_| {
            let began = Instant::now();
            wire.ask("DEBUG SLEEP 0.2");
            began.elapsed()
        });
        assert!(
            taken.any(|taken| taken >= TIME && taken < TIME * 2),
            "{shards} shards"
        );
    }
}

#[test]
fn it_is_refused_where_it_is_not_allowed() {
    let server = Server::start(Options::default());
    let reply = server.connect().ask("DEBUG PROTOCOL string");
    assert!(reply.is_error());
}
