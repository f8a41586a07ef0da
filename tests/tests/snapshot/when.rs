//! When a snapshot is written: on demand, at save points, at the end; and what is told of it.

use std::time::Duration;

use tests::contents::Contents;
use tests::grammar::{Draw, FAMILIES};
use tests::info::Info;
use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{FEW_SHARDS, Options, Oracle, Server};

use crate::{FILE, fill, save, snapshot_done};

/// Keys enough that a snapshot is still being written when the next command comes.
const MANY: usize = 400_000;

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

fn simple(text: &str) -> Value {
    Value::Simple(text.as_bytes().to_vec())
}

/// Files in the server's directory but for its log.
fn files(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.directory()).expect("a directory");
    let names = entries.map(|it| {
        it.expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    names.filter(|name| name != "log").collect()
}

#[test]
fn save_is_there_when_it_is_answered() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let started = wire.ask("LASTSAVE").integer();
        wire.ask("SET k v");
        std::thread::sleep(Duration::from_millis(1_100));
        assert_eq!(
            wire.info("persistence")
                .number::<i64>("rdb_changes_since_last_save"),
            1
        );
        save(&mut wire);
        assert!(wire.ask("LASTSAVE").integer() > started);
        assert_eq!(
            wire.info("persistence")
                .number::<i64>("rdb_changes_since_last_save"),
            0
        );
        assert_eq!(files(&server), [FILE]);
        wire.ask("SET k later");
        server.kill_and_restart();
        assert_eq!(server.connect().ask("GET k").text(), b"v");
    }
}

#[test]
fn one_snapshot_at_a_time() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        fill(&mut wire, MANY);
        // All at once: between one and the next a busy machine could get the snapshot done.
        wire.send(b"BGSAVE\r\nBGSAVE\r\nSAVE\r\nBGSAVE SOON\r\nINFO persistence\r\n");
        assert_eq!(wire.value(), simple("Background saving started"));
        let under_way = error("ERR Background save already in progress");
        assert_eq!(wire.value(), under_way);
        assert_eq!(wire.value(), under_way);
        assert_eq!(wire.value(), error("ERR syntax error"));
        let info = wire.value();
        let info = Info::parse(&String::from_utf8_lossy(info.text()));
        assert_eq!(info.text("rdb_bgsave_in_progress"), "1");
        snapshot_done(&mut wire);
        assert_eq!(
            wire.ask("BGSAVE SCHEDULE"),
            simple("Background saving started")
        );
        snapshot_done(&mut wire);
        assert_eq!(wire.info("persistence").number::<i64>("rdb_saves"), 2);
        assert_eq!(files(&server), [FILE]);
    }
}

#[test]
fn save_refuses_what_redis_refuses() {
    let (redis, server) = (Oracle::start(), Server::start(Options::default()));
    let (mut theirs, mut ours) = (redis.connect(), server.connect());
    for words in [
        "SAVE x",
        "BGSAVE x",
        "BGSAVE SCHEDULE x",
        "LASTSAVE x",
        "MULTI",
        "SAVE",
        "EXEC",
        "DISCARD",
        "SHUTDOWN x",
        "SHUTDOWN SAVE NOSAVE",
        "SHUTDOWN ABORT",
        "SHUTDOWN ABORT NOSAVE",
        "CONFIG SET save x",
        "CONFIG SET save 10",
        "CONFIG GET save",
        "DEBUG RELOAD",
    ] {
        assert_eq!(ours.ask(words), theirs.ask(words), "{words}");
    }
}

#[test]
fn a_save_point_is_heeded() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards).save("3600 100 1 5"));
        let mut wire = server.connect();
        wire.ask("MSET a 1 b 2");
        wire.ask("SET c 3");
        std::thread::sleep(Duration::from_millis(1_500));
        // Too few changes for either point.
        assert_eq!(wire.info("persistence").number::<i64>("rdb_saves"), 0);
        wire.ask("MSET d 1 e 2");
        eventually("the snapshot of a save point", START_TIME_MAX, || {
            wire.info("persistence").number::<i64>("rdb_saves") == 1
        });
        server.kill_and_restart();
        assert_eq!(server.connect().ask("DBSIZE").integer(), 5);
    }
}

#[test]
fn save_points_can_be_set_while_it_runs() {
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    wire.ask("SET k v");
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(wire.info("persistence").number::<i64>("rdb_saves"), 0);
    wire.command(&["CONFIG", "SET", "save", "1 1"]);
    eventually("the snapshot of a save point", START_TIME_MAX, || {
        wire.info("persistence").number::<i64>("rdb_saves") == 1
    });
}

#[test]
fn what_was_flushed_is_not_back() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards).save("3600 1"));
        let mut wire = server.connect();
        fill(&mut wire, 1_000);
        crate::save(&mut wire);
        // Also where a snapshot of what was there is under way.
        wire.ask("BGSAVE");
        wire.ask("FLUSHALL");
        eventually("an empty snapshot", START_TIME_MAX, || {
            wire.info("persistence")
                .number::<i64>("rdb_bgsave_in_progress")
                == 0
                && wire
                    .info("persistence")
                    .number::<i64>("rdb_changes_since_last_save")
                    == 0
        });
        server.kill_and_restart();
        assert_eq!(server.connect().ask("DBSIZE").integer(), 0);
    }
}

/// It is no use to the server that has no log, but to the one that is started with it next.
/// What a client does once BGSAVE is answered is not in the file.
#[test]
fn bgsave_is_answered_when_its_instant_has_been() {
    const KEYS: usize = 1_000;
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        fill(&mut wire, KEYS);
        wire.send(b"BGSAVE\r\nFLUSHDB\r\n");
        assert_eq!(wire.value(), simple("Background saving started"));
        assert_eq!(wire.value(), simple("OK"));
        snapshot_done(&mut wire);
        let changes = wire
            .info("persistence")
            .number::<i64>("rdb_changes_since_last_save");
        assert_eq!(changes, KEYS as i64, "{shards} shards");
        server.kill_and_restart();
        assert_eq!(server.connect().ask("DBSIZE").integer(), KEYS as i64);
    }
}

#[test]
fn flushall_gives_up_the_snapshot_under_way() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        fill(&mut wire, MANY);
        wire.send(b"BGSAVE\r\nSET z 1\r\nFLUSHALL\r\nSET y 1\r\n");
        for reply in ["Background saving started", "OK", "OK", "OK"] {
            assert_eq!(wire.value(), simple(reply));
        }
        snapshot_done(&mut wire);
        // As in Redis: those keys, z twice, and y.
        let changes = wire
            .info("persistence")
            .number::<i64>("rdb_changes_since_last_save");
        assert_eq!(changes, 2 * MANY as i64 + 3, "{shards} shards");
        assert_eq!(wire.info("persistence").number::<i64>("rdb_saves"), 0);
        assert_eq!(
            wire.info("persistence").text("rdb_last_bgsave_status"),
            "ok"
        );
        assert!(files(&server).is_empty(), "{:?}", files(&server));
        // It is no failure, and the next one is whole.
        wire.ask("SET x 1");
        save(&mut wire);
        server.kill_and_restart();
        assert_eq!(server.connect().ask("DBSIZE").integer(), 2);
    }
}

/// SAVE is answered with a file, whoever flushes meanwhile.
#[test]
fn flushall_leaves_a_snapshot_that_is_waited_for() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut saver, mut other) = (server.connect(), server.connect());
        fill(&mut saver, MANY);
        saver.send(b"SAVE\r\n");
        eventually("it is begun", START_TIME_MAX, || {
            other
                .info("persistence")
                .number::<i64>("rdb_bgsave_in_progress")
                == 1
                || other.info("persistence").number::<i64>("rdb_saves") == 1
        });
        other.ask("FLUSHALL");
        assert_eq!(saver.value(), simple("OK"));
        assert_eq!(files(&server), [FILE]);
    }
}

#[test]
fn the_log_can_be_rewritten_where_none_is_kept() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        fill(&mut wire, 1_000);
        for _ in 0..2 {
            let reply = wire.ask("BGREWRITEAOF");
            assert_eq!(
                reply,
                simple("Background append only file rewriting started")
            );
            eventually("it is rewritten", START_TIME_MAX, || {
                wire.info("persistence")
                    .number::<i64>("aof_rewrite_in_progress")
                    == 0
            });
        }
        wire.ask("SET after v");
        server.kill();
        server.restart_with(Options::shards(shards).flags("--appendonly yes --appendfsync always"));
        let mut wire = server.connect();
        assert_eq!(wire.ask("DBSIZE").integer(), 1_000);
        wire.ask("SET after v");
        server.kill_and_restart();
        assert_eq!(server.connect().ask("DBSIZE").integer(), 1_001);
    }
}

#[test]
fn in_a_transaction_snapshots_are_scheduled() {
    for command in ["BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF"] {
        // New ones each time: Redis begins what is scheduled at some later time.
        let oracle = Oracle::start();
        let server = Server::start(Options::shards(4));
        let [expected, heard] = [&*oracle, &server].map(|server| {
            let mut wire = server.connect();
            wire.ask("MULTI");
            wire.ask(command);
            wire.ask("EXEC")
        });
        assert_eq!(heard, expected, "{command}");
    }
}

/// How a server is asked to end.
#[derive(Clone, Copy, Debug)]
enum End {
    Command(&'static str),
    Signal(&'static str),
}

#[test]
fn the_end_saves_where_it_should() {
    for (save, end, saves) in [
        ("", End::Command("SHUTDOWN"), false),
        ("", End::Command("SHUTDOWN NOSAVE"), false),
        ("", End::Command("SHUTDOWN SAVE"), true),
        ("", End::Signal("TERM"), false),
        ("", End::Signal("INT"), false),
        ("3600 1", End::Command("SHUTDOWN"), true),
        ("3600 1", End::Command("SHUTDOWN NOSAVE"), false),
        ("3600 1", End::Command("SHUTDOWN SAVE NOW FORCE"), true),
        ("3600 1", End::Signal("TERM"), true),
        ("3600 1", End::Signal("INT"), true),
    ] {
        for shards in FEW_SHARDS {
            let options = Options::shards(shards).save(save);
            let mut server = Server::start(options.clone());
            let mut wire = server.connect();
            wire.ask("MSET a 1 b 2 c 3 d 4");
            match end {
                End::Command(words) => {
                    wire.send_command(&words.split(' ').collect::<Vec<_>>());
                    let said = wire.until_closed();
                    assert!(said.is_empty(), "{words} says {}", said.escape_ascii());
                }
                End::Signal(name) => server.signal(name),
            }
            let status = server.wait();
            let what = format!("{end:?} with save points {save:?} and {shards} shards");
            assert_eq!(status.code(), Some(0), "{what}");
            let left = files(&server);
            assert_eq!(left, if saves { vec![FILE] } else { vec![] }, "{what}");
            server.restart();
            let size = server.connect().ask("DBSIZE").integer();
            assert_eq!(size, if saves { 4 } else { 0 }, "{what}");
        }
    }
}

/// The end in the middle of a snapshot: what was begun is given up, the last one is whole and
/// newer, and nothing is left lying about.
#[test]
fn the_end_comes_within_a_snapshot() {
    for (save, size) in [("", MANY as i64), ("3600 1", MANY as i64 + 1)] {
        let options = Options::shards(2).save(save);
        let mut server = Server::start(options);
        let mut wire = server.connect();
        fill(&mut wire, MANY);
        crate::save(&mut wire);
        wire.ask("SET one-more v");
        wire.ask("BGSAVE");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(files(&server), [FILE], "with save points {save:?}");
        server.restart();
        let found = server.connect().ask("DBSIZE").integer();
        assert!(
            found == size || found == MANY as i64 + 1,
            "{found} keys with save points {save:?}"
        );
    }
}

/// A restart from what a kill left behind tidies up.
#[test]
fn what_is_expired_is_not_loaded() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        wire.ask("SET short v PX 1000");
        wire.ask("SET long v EX 1000");
        wire.ask("HSET h short v long v");
        wire.ask("HPEXPIRE h 1000 FIELDS 1 short");
        // Before it is saved: that takes as long as the disk takes.
        assert_eq!(wire.ask("DBSIZE").integer(), 3);
        save(&mut wire);
        std::thread::sleep(Duration::from_millis(1_050));
        server.kill_and_restart();
        let mut wire = server.connect();
        assert_eq!(wire.ask("DBSIZE").integer(), 2);
        assert_eq!(wire.ask("HKEYS h").elements().map(|all| all.len()), Some(1));
        assert!(wire.ask("TTL long").integer() > 900);
    }
}

#[test]
fn a_reload_changes_nothing() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards).flags("--enable-debug-command yes"));
        let mut wire = server.connect();
        for (round, family) in FAMILIES.iter().enumerate() {
            let mut draw = Draw::new(round as u64 + 1);
            for step in 0..150 {
                let command = draw.command(family);
                if !["QUIT", "SHUTDOWN", "RESET"].contains(&command.verb().as_str()) {
                    wire.command(&command.arguments);
                }
                if step % 50 == 49 {
                    for words in ["DISCARD", "UNWATCH", "HELLO 2", "SELECT 0"] {
                        wire.ask(words);
                    }
                    let before = Contents::of(&mut wire);
                    assert_eq!(wire.ask("DEBUG RELOAD"), simple("OK"));
                    let after = Contents::of(&mut wire);
                    after.without_encodings().assert_same(
                        &before.without_encodings(),
                        &format!(
                            "after and before a reload, {} with {shards} shards",
                            family.name
                        ),
                    );
                }
            }
        }
        // Deadlines of fields are still heeded.
        wire.ask("DEL h");
        wire.ask("HSET h f v g v");
        wire.ask("HPEXPIRE h 200 FIELDS 1 f");
        wire.ask("DEBUG RELOAD");
        eventually("the end of a field after a reload", START_TIME_MAX, || {
            wire.ask("HLEN h").integer() == 1
        });
    }
}

/// SAVE and BGSAVE go on while a reload waits, and the other way round.
#[test]
fn reloads_and_snapshots_do_not_mix() {
    let server = Server::start(Options::shards(2).flags("--enable-debug-command yes"));
    let mut wire = server.connect();
    fill(&mut wire, 50_000);
    let mut other = server.connect();
    for _ in 0..5 {
        wire.send_command(&["BGSAVE"]);
        other.send_command(&["DEBUG", "RELOAD"]);
        let begun = wire.value();
        assert_eq!(other.value(), simple("OK"));
        assert!(begun == simple("Background saving started"), "{begun:?}");
        snapshot_done(&mut wire);
        assert_eq!(wire.ask("DBSIZE").integer(), 50_000);
    }
    assert_eq!(files(&server), [FILE]);
}
