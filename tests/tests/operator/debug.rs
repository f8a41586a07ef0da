//! DEBUG, as far as people's test suites use it.

use std::time::{Duration, Instant};

use tests::reply::show;
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server};

use crate::{TIME_MAX, debuggable};

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
    "DEBUG PAUSE-CRON",
    "DEBUG PAUSE-CRON 1",
    "DEBUG PAUSE-CRON x",
    "DEBUG REPLYBUFFER",
    "DEBUG REPLYBUFFER nosuch 1",
    "DEBUG REPLYBUFFER PEAK-RESET-TIME 100",
    "DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER",
    "DEBUG REPLYBUFFER peak-reset-time reset",
    "DEBUG REPLYBUFFER PEAK-RESET-TIME x",
    "DEBUG REPLYBUFFER RESIZING 0",
    "DEBUG DICT-RESIZING 1",
    "DEBUG CONFIG-REWRITE-FORCE-ALL x",
    "DEBUG CONFIG-REWRITE-FORCE-ALL",
    "CONFIG GET rdb-key-save-delay",
    "CONFIG GET key-load-delay",
    "CONFIG GET *-key-save-*",
    "CONFIG SET rdb-key-save-delay x",
    "CONFIG SET key-load-delay 99999999999",
    "CONFIG SET rdb-key-save-delay -5 key-load-delay 0",
    "CONFIG SET rdb-key-save-delay 0",
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

/// A snapshot that is slowed down is under way until it is not slowed down any more, and says how
/// far it has come.
#[test]
fn saving_can_be_slowed_down() {
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let mut wire = server.connect();
        wire.ask("DEBUG POPULATE 300");
        assert_eq!(
            wire.info("persistence").text("current_save_keys_total"),
            "0"
        );
        wire.ask("CONFIG SET rdb-key-save-delay 100000000");
        assert_eq!(wire.ask("BGSAVE").text(), b"Background saving started");
        eventually("the first keys are written", TIME_MAX, || {
            wire.info("persistence").text("current_save_keys_processed") != "0"
        });
        let saving = wire.info("persistence");
        assert_eq!(
            saving.text("rdb_bgsave_in_progress"),
            "1",
            "{shards} shards"
        );
        assert_eq!(saving.text("current_save_keys_total"), "300");
        let percent: f64 = saving.number("current_fork_perc");
        assert!(percent > 0.0 && percent < 100.0, "{percent}");
        assert_eq!(wire.ask("GET key:1").text(), b"value:1");
        wire.ask("CONFIG SET rdb-key-save-delay 0");
        eventually("the snapshot is written", TIME_MAX, || {
            wire.info("persistence").text("rdb_bgsave_in_progress") == "0"
        });
        let saved = wire.info("persistence");
        assert_eq!(saved.text("rdb_last_bgsave_status"), "ok");
        assert_eq!(saved.text("current_save_keys_processed"), "0");
        wire.ask("DEBUG RELOAD NOSAVE");
        assert_eq!(wire.ask("DBSIZE").integer(), 300, "{shards} shards");
    }
}

/// A server that loads slowly says so, and goes on at once when it may.
#[test]
fn loading_can_be_slowed_down() {
    for shards in SHARDS {
        for log in ["no", "yes"] {
            let options = debuggable(shards).flags(&format!("--appendonly {log}"));
            let mut server = Server::start(options.clone());
            let mut wire = server.connect();
            for at in 0..50 {
                wire.ask(&format!("SET key:{at} x"));
            }
            wire.ask("SAVE");
            wire.ask("BGREWRITEAOF");
            eventually("the log begins with a snapshot", TIME_MAX, || {
                wire.info("persistence").text("aof_rewrite_in_progress") == "0"
            });
            drop(wire);
            server.kill();
            server.restart_with(options.clone().flags("--key-load-delay 500"));
            let mut wire = server.connect();
            assert_eq!(wire.ask("DBSIZE").integer(), 50, "{shards} shards, {log}");
            wire.ask("CONFIG SET key-load-delay 0");
        }
    }
}

#[test]
fn the_clock_can_be_stopped() {
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let mut wire = server.connect();
        wire.ask("DEBUG PAUSE-CRON 1");
        (0..20).for_each(|at| drop(wire.ask(&format!("SET key:{at} x PX 1"))));
        // By then the clock would have looked several times.
        wire.ask("DEBUG SLEEP 0.3");
        assert_eq!(wire.ask("DBSIZE").integer(), 20, "{shards} shards");
        wire.ask("DEBUG PAUSE-CRON 0");
        eventually("the clock removes them", TIME_MAX, || {
            wire.ask("DBSIZE").integer() == 0
        });
    }
}
