//! A disk that fails: snapshots say so, writes are refused as Redis refuses them, reads go on, and
//! all is well when the disk is.

use std::path::Path;

use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{FEW_SHARDS, Options, Server, Wire};

use crate::{FILE, fill, save, snapshot_done};

const MISCONF: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify \
     the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails \
     (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

/// `dir` may only be set where this is said.
const PROTECTED: &str = "--enable-protected-configs yes";

fn set_place(wire: &mut Wire, place: &Path) {
    let reply = wire.ask(&format!("CONFIG SET dir {}", place.display()));
    assert_eq!(reply.text(), b"OK");
}

fn assert_refused(wire: &mut Wire, words: &str) {
    let reply = wire.ask(words);
    assert_eq!(reply, Value::Error(MISCONF.as_bytes().to_vec()), "{words}");
}

/// Whether the last one failed, as INFO has it.
fn assert_status(wire: &mut Wire, status: &str) {
    assert_eq!(
        wire.info("persistence").text("rdb_last_bgsave_status"),
        status
    );
}

fn assert_writes_refused_and_reads_not(wire: &mut Wire) {
    assert_status(wire, "err");
    for words in [
        "SET k other",
        "DEL k",
        "MSET a 1 b 2 c 3 d 4",
        "FLUSHALL",
        "EXPIRE k 10",
    ] {
        assert_refused(wire, words);
    }
    assert_eq!(wire.ask("GET k").text(), b"v");
    // Redis refuses it too, so that who watches a server by it learns of the failure.
    assert_refused(wire, "PING");
    assert_eq!(
        wire.ask("MGET a k").elements().map(|all| all.len()),
        Some(2)
    );
    wire.ask("MULTI");
    wire.ask("SET k other");
    assert!(wire.ask("EXEC").is_error());
}

#[test]
fn a_directory_that_went_is_survived() {
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards).save("3600 1000").flags(PROTECTED));
        let place = server.directory().join("data");
        std::fs::create_dir(&place).expect("a directory");
        let mut wire = server.connect();
        set_place(&mut wire, &place);
        wire.ask("SET k v");
        save(&mut wire);
        std::fs::remove_dir_all(&place).expect("removing it");
        // As Redis, which notices in the background.
        assert_eq!(wire.ask("BGSAVE").text(), b"Background saving started");
        eventually("the news of the failure", START_TIME_MAX, || {
            wire.ask("SET k v").is_error()
        });
        assert_writes_refused_and_reads_not(&mut wire);
        assert!(wire.ask("SAVE").is_error());
        // Who has turned it off goes on at his own risk.
        wire.ask("CONFIG SET stop-writes-on-bgsave-error no");
        assert_eq!(wire.ask("SET k v").text(), b"OK");
        wire.ask("CONFIG SET stop-writes-on-bgsave-error yes");
        assert_refused(&mut wire, "SET k other");
        std::fs::create_dir(&place).expect("a directory");
        save(&mut wire);
        assert_status(&mut wire, "ok");
        assert_eq!(wire.ask("SET k other").text(), b"OK");
        assert!(place.join(FILE).exists());
    }
}

/// A disk that is full within a file: what is written is thrown away, the file before stays, and
/// there is room again.
#[test]
fn a_full_disk_leaves_the_last_good_file() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards).save("3600 100000000"));
        let mut wire = server.connect();
        wire.ask("SET k v");
        save(&mut wire);
        let good = std::fs::read(server.directory().join(FILE)).expect("a snapshot");
        fill(&mut wire, 100_000);
        limit_file_size(server.pid(), "300000");
        assert_eq!(wire.ask("BGSAVE").text(), b"Background saving started");
        snapshot_done(&mut wire);
        eventually("the news of the failure", START_TIME_MAX, || {
            wire.ask("SET k v").is_error()
        });
        assert_writes_refused_and_reads_not(&mut wire);
        assert!(wire.ask("SAVE").is_error());
        let left = std::fs::read(server.directory().join(FILE)).expect("a snapshot");
        assert!(left == good, "the last good file was touched");
        let names = std::fs::read_dir(server.directory()).expect("a directory");
        let names: Vec<_> = names.map(|it| it.expect("an entry").file_name()).collect();
        assert_eq!(names.len(), 3, "a log, a lock, a snapshot and {names:?}");
        limit_file_size(server.pid(), "unlimited");
        save(&mut wire);
        assert_status(&mut wire, "ok");
        assert_eq!(wire.ask("SET k v").text(), b"OK");
        assert_eq!(
            wire.info("persistence")
                .number::<i64>("rdb_bgsave_in_progress"),
            0
        );
        server.kill_and_restart();
        assert_eq!(server.connect().ask("DBSIZE").integer(), 100_001);
    }
}

/// No file of the process may grow beyond this: writing more fails, as it does where a disk is
/// full.
fn limit_file_size(pid: u32, bytes: &str) {
    let status = std::process::Command::new("prlimit")
        .args([format!("--pid={pid}"), format!("--fsize={bytes}:unlimited")])
        .status()
        .expect("running prlimit, of the package util-linux");
    assert!(status.success(), "prlimit");
}

/// A server that could not write its last snapshot does not end, as Redis does not, unless that is
/// what is asked for.
#[test]
fn who_cannot_save_does_not_end() {
    for obstacle in ["the directory is gone", "something else has the name"] {
        let options = Options::shards(2).save("3600 1").flags(PROTECTED);
        let mut server = Server::start(options.clone());
        let place = server.directory().join("data");
        std::fs::create_dir(&place).expect("a directory");
        let mut wire = server.connect();
        set_place(&mut wire, &place);
        wire.ask("SET k v");
        match obstacle {
            "the directory is gone" => std::fs::remove_dir_all(&place).expect("removing it"),
            _ => std::fs::create_dir(place.join(FILE)).expect("a directory"),
        }
        server.signal("TERM");
        eventually("the signal is refused", START_TIME_MAX, || {
            server.log().contains("does not stop")
        });
        for words in ["SHUTDOWN", "SHUTDOWN SAVE"] {
            assert_eq!(
                wire.ask(words),
                Value::Error(b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec()),
                "{obstacle}"
            );
        }
        assert_eq!(wire.ask("GET k").text(), b"v", "{obstacle}");
        match obstacle {
            "the directory is gone" => std::fs::create_dir(&place).expect("a directory"),
            _ => std::fs::remove_dir(place.join(FILE)).expect("removing it"),
        }
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        assert!(place.join(FILE).exists());
    }
}

#[test]
fn who_cannot_save_ends_by_force() {
    let options = Options::shards(2).save("3600 1");
    let mut server = Server::start(options);
    let mut wire = server.connect();
    wire.ask("SET k v");
    std::fs::create_dir(server.directory().join(FILE)).expect("a directory");
    wire.send(b"SHUTDOWN SAVE FORCE\r\n");
    assert_eq!(wire.until_closed(), b"");
    assert_eq!(server.wait().code(), Some(0));
}
