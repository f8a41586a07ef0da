//! Libraries outlive the process: in snapshots, Redis's and ours, and in the log.

use tests::server::{START_TIME_MAX, eventually};
use tests::{FEW_SHARDS, Options, Oracle, SHARDS, Server};

use crate::{library, load, names};

const LOGGED: &str = "--appendonly yes";

#[test]
fn a_snapshot_has_them() {
    for shards in SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for name in ["one", "two"] {
            load(&mut wire, name, &[name]);
        }
        for number in 0..100 {
            wire.ask(&format!("SET k{number} v"));
        }
        assert_eq!(wire.ask("SAVE").text(), b"OK");
        load(&mut wire, "late", &["late"]);
        server.kill_and_restart();
        let mut wire = server.connect();
        assert_eq!(names(&mut wire), ["one", "two"], "{shards} shards");
        assert_eq!(wire.ask("FCALL two 0").text(), b"two");
        assert_eq!(wire.ask("DBSIZE").integer(), 100);
        // Redis reads the same file.
        let dump = std::fs::read(server.directory().join("dump.rdb")).expect("a snapshot");
        let redis = Oracle::start_with(Options::shards(1).file("dump.rdb", &dump));
        let mut wire = redis.connect();
        assert_eq!(names(&mut wire), ["one", "two"]);
        assert_eq!(wire.ask("FCALL one 0").text(), b"one");
    }
}

/// What BGSAVE has answered is in the file, and nothing that came later.
#[test]
fn a_snapshot_is_of_one_instant() {
    for shards in SHARDS {
        let mut server = Server::start(Options::shards(shards));
        let mut wires: Vec<_> = (0..6).map(|_| server.connect()).collect();
        load(&mut wires[0], "early", &["early"]);
        wires[1].ask("BGSAVE");
        load(&mut wires[2], "late", &["late"]);
        wires[3].ask("FUNCTION DELETE early");
        eventually("the snapshot", START_TIME_MAX, || {
            let info = wires[0].ask("INFO persistence");
            let info = String::from_utf8_lossy(info.text()).into_owned();
            info.contains("rdb_bgsave_in_progress:0")
        });
        server.kill_and_restart();
        assert_eq!(names(&mut server.connect()), ["early"], "{shards} shards");
    }
}

#[test]
fn what_redis_has_saved_is_loaded() {
    let redis = Oracle::start();
    let mut wire = redis.connect();
    let long = library("long", &["l"]) + &"-- again and again\n".repeat(500);
    assert!(!wire.command(&["FUNCTION", "LOAD", &long]).is_error());
    load(&mut wire, "short", &["s"]);
    wire.ask("SET k v");
    wire.ask("SAVE");
    let dump = std::fs::read(redis.directory().join("dump.rdb")).expect("a snapshot");
    for flags in ["", LOGGED] {
        for shards in SHARDS {
            let options = Options::shards(shards).file("dump.rdb", &dump).flags(flags);
            let mut server = Server::start(options);
            for _ in 0..2 {
                let mut wire = server.connect();
                assert_eq!(
                    names(&mut wire),
                    ["long", "short"],
                    "{shards} shards {flags}"
                );
                assert_eq!(wire.ask("FCALL l 0").text(), b"l");
                assert_eq!(wire.ask("GET k").text(), b"v");
                server.kill_and_restart();
            }
        }
    }
}

#[test]
fn the_log_has_them() {
    for fsync in ["always", "everysec"] {
        for shards in SHARDS {
            let flags = format!("{LOGGED} --appendfsync {fsync}");
            let mut server = Server::start(Options::shards(shards).flags(&flags));
            let mut wires: Vec<_> = (0..6).map(|_| server.connect()).collect();
            for (wire, name) in wires.iter_mut().zip(["a", "b", "c", "d", "e"]) {
                load(wire, name, &[name]);
            }
            let dump = wires[0].ask("FUNCTION DUMP");
            wires[1].ask("FUNCTION FLUSH ASYNC");
            wires[2].command(&[b"FUNCTION", &b"RESTORE"[..], dump.text(), b"REPLACE"]);
            wires[3].ask("FUNCTION DELETE b");
            // What failed is not recorded: it would fail the start.
            assert!(wires[4].ask("FUNCTION DELETE b").is_error());
            server.kill_and_restart();
            let mut wire = server.connect();
            assert_eq!(
                names(&mut wire),
                ["a", "c", "d", "e"],
                "{shards} shards {fsync}"
            );
            assert_eq!(wire.ask("FCALL e 0").text(), b"e");
            wire.ask("FLUSHALL");
            server.kill_and_restart();
            assert_eq!(names(&mut server.connect()).len(), 4);
        }
    }
}

/// While the log is rewritten again and again, it has all changes that were answered.
#[test]
fn rewriting_keeps_them() {
    for shards in SHARDS {
        let mut server = Server::start(Options::shards(shards).flags(LOGGED));
        for round in 0..6 {
            let mut wires: Vec<_> = (0..6).map(|_| server.connect()).collect();
            let mut expected = Vec::new();
            wires[0].ask("FUNCTION FLUSH");
            for number in 0..30 {
                if number % 10 == 5 {
                    wires[5].ask("BGREWRITEAOF");
                }
                let name = format!("lib{number:02}");
                load(&mut wires[number % 6], &name, &[&name]);
                if number % 3 == 0 {
                    wires[(number + 1) % 6].ask(&format!("FUNCTION DELETE {name}"));
                } else {
                    expected.push(name);
                }
            }
            server.kill_and_restart();
            let found = names(&mut server.connect());
            assert_eq!(found, expected, "{shards} shards, round {round}");
        }
    }
}

/// Another number of shards finds them, too.
#[test]
fn the_number_of_shards_may_change() {
    let mut server = Server::start(Options::shards(1).flags(LOGGED));
    load(&mut server.connect(), "kept", &["kept"]);
    for shards in [4, 2, 1] {
        server.kill();
        server.restart_with(Options::shards(shards).flags(LOGGED));
        let mut wire = server.connect();
        assert_eq!(wire.ask("FCALL kept 0").text(), b"kept", "{shards} shards");
        load(&mut wire, &format!("of{shards}"), &[&format!("of{shards}")]);
    }
    assert_eq!(names(&mut server.connect()), ["kept", "of1", "of2", "of4"]);
}

#[test]
fn debug_reloads_them() {
    for shards in FEW_SHARDS {
        let flags = format!("{LOGGED} --enable-debug-command yes");
        let server = Server::start(Options::shards(shards).flags(&flags));
        let mut wire = server.connect();
        load(&mut wire, "one", &["one"]);
        assert_eq!(wire.ask("DEBUG RELOAD").text(), b"OK");
        assert_eq!(names(&mut wire), ["one"]);
        load(&mut wire, "two", &["two"]);
        // The file has the first one only, and takes the place of all.
        assert_eq!(wire.ask("DEBUG RELOAD NOSAVE").text(), b"OK");
        assert_eq!(names(&mut wire), ["one"]);
        load(&mut wire, "two", &["two"]);
        assert_eq!(wire.ask("DEBUG RELOAD NOSAVE NOFLUSH MERGE").text(), b"OK");
        assert_eq!(names(&mut wire), ["one", "two"]);
        assert!(wire.ask("DEBUG RELOAD NOSAVE NOFLUSH").is_error());
        assert_eq!(names(&mut wire), ["one", "two"]);
        assert_eq!(wire.ask("DEBUG LOADAOF").text(), b"OK");
        assert_eq!(names(&mut wire), ["one", "two"], "{shards} shards");
        assert_eq!(wire.ask("FCALL two 0").text(), b"two");
    }
}

/// A file with a library that cannot be loaded is not loaded.
#[test]
fn a_damaged_library_stops_the_start() {
    let redis = Oracle::start();
    let mut wire = redis.connect();
    load(&mut wire, "lib", &["f"]);
    wire.ask("CONFIG SET rdbchecksum no");
    wire.ask("SAVE");
    let mut dump = std::fs::read(redis.directory().join("dump.rdb")).expect("a snapshot");
    let at = dump
        .windows(3)
        .position(|it| it == b"lib")
        .expect("the library");
    dump[at] = b'-';
    // Without a checksum only the library itself is wrong.
    let end = dump.len() - 8;
    dump[end..].fill(0);
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("dump.rdb"), &dump).expect("writing a file");
    let output = std::process::Command::new(&tests::binary::binary().path)
        .args(["--port", "0", "--unixsocket", "s", "--dir"])
        .arg(directory.path())
        .output()
        .expect("starting the binary");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("a library of functions") && said.contains("Library names"),
        "{said}"
    );
}
