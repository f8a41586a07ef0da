//! The end where the data cannot be saved: the server says so and goes on serving, and only who
//! gives the data up ends it.

use std::time::Duration;

use tests::disk::{Call, Disk, EIO, ENOSPC, Which};
use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{FEW_SHARDS, Options, SHARDS, Server, Wire};

/// Save points that no test reaches.
const POINTS: &str = "3600 1000000";

const FILE: &str = "dump.rdb";

fn refused() -> Value {
    Value::Error(b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec())
}

fn is_ok(reply: &Value) -> bool {
    *reply == Value::Simple(b"OK".to_vec())
}

/// What the log says of attempts to end that failed.
fn refusals(server: &Server) -> usize {
    server.log().matches("does not stop").count()
}

/// Writes go on, on every shard.
fn assert_serves(wire: &mut Wire, what: &str) {
    for n in 0..20 {
        assert!(is_ok(&wire.ask(&format!("SET key:{n} {n}"))), "{what}");
    }
    assert!(is_ok(&wire.ask("MSET a 1 b 2 c 3 d 4")), "{what}");
}

fn assert_has_all(server: &Server, what: &str) {
    let mut wire = server.connect();
    assert_eq!(wire.ask("DBSIZE").integer(), 24, "{what}");
    assert_eq!(wire.ask("GET key:7").text(), b"7", "{what}");
}

#[test]
fn a_server_that_cannot_save_goes_on_serving() {
    for shards in SHARDS {
        for (call, error) in [
            (Call::Write, ENOSPC),
            (Call::Sync, EIO),
            (Call::Rename, EIO),
        ] {
            let what = format!("{call:?} with {shards} shards");
            let disk = Disk::new();
            let options = Options::shards(shards).save(POINTS).disk(&disk);
            let mut server = Server::start(options);
            let mut wire = server.connect();
            assert_serves(&mut wire, &what);
            let mut waiting = server.connect();
            waiting.send(b"BLPOP nothing 0\r\n");
            disk.fail(call, error, Which::Snapshot);
            for words in ["SHUTDOWN", "SHUTDOWN SAVE", "SHUTDOWN NOW"] {
                assert_eq!(wire.ask(words), refused(), "{words}, {what}");
                assert_serves(&mut wire, &what);
            }
            for signal in ["TERM", "INT"] {
                let before = refusals(&server);
                server.signal(signal);
                eventually("the refusal", START_TIME_MAX, || refusals(&server) > before);
            }
            eventually("writes to go on", START_TIME_MAX, || {
                is_ok(&wire.ask("SET key:0 0"))
            });
            assert_serves(&mut wire, &what);
            // As in Redis it is no failure of a snapshot that clients are to hear of.
            let info = wire.info("persistence");
            assert_eq!(info.text("rdb_last_bgsave_status"), "ok", "{what}");
            assert!(wire.ask("SHUTDOWN ABORT").is_error());
            // Who was blocked has not noticed anything.
            wire.ask("RPUSH nothing x");
            assert_eq!(waiting.value().elements().map(|it| it.len()), Some(2));
            disk.work();
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0), "{what}");
            server.restart();
            assert_has_all(&server, &what);
        }
    }
}

#[test]
fn a_server_that_cannot_save_is_ended_by_who_gives_the_data_up() {
    for words in [
        "SHUTDOWN NOSAVE",
        "SHUTDOWN FORCE",
        "SHUTDOWN SAVE NOW FORCE",
        "nosave",
        "force",
        "save now force",
    ] {
        let disk = Disk::new();
        let options = Options::shards(2).save(POINTS).disk(&disk);
        let mut server = Server::start(options);
        let mut wire = server.connect();
        assert_serves(&mut wire, words);
        disk.fail(Call::Write, ENOSPC, Which::Snapshot);
        if words.starts_with("SHUTDOWN") {
            wire.send(format!("{words}\r\n").as_bytes());
            assert_eq!(wire.until_closed(), b"", "{words}");
        } else {
            let set = wire.command(&["CONFIG", "SET", "shutdown-on-sigterm", words]);
            assert!(is_ok(&set), "{words}");
            server.signal("TERM");
        }
        assert_eq!(server.wait().code(), Some(0), "{words}");
        assert!(!server.directory().join(FILE).exists(), "{words}");
    }
}

/// A log that cannot be written is data that is nowhere else, too.
#[test]
fn a_server_that_cannot_write_its_log_goes_on_serving() {
    for policy in ["everysec", "always", "no"] {
        for shards in FEW_SHARDS {
            let what = format!("{policy} with {shards} shards");
            let disk = Disk::new();
            let flags = format!("--appendonly yes --appendfsync {policy}");
            let options = Options::shards(shards).flags(&flags).disk(&disk);
            let mut server = Server::start(options);
            let mut wire = server.connect();
            assert_serves(&mut wire, &what);
            disk.fail(Call::Write, ENOSPC, Which::Log);
            let mut other = server.connect();
            other.send(b"SET last 1\r\n");
            eventually("the log to fail", START_TIME_MAX, || {
                wire.info("persistence").text("aof_last_write_status") == "err"
            });
            server.signal("TERM");
            eventually("the refusal", START_TIME_MAX, || refusals(&server) > 0);
            assert_eq!(wire.ask("SHUTDOWN"), refused(), "{what}");
            assert_eq!(wire.ask("GET key:7").text(), b"7", "{what}");
            disk.work();
            // As soon as the log works again, it ends with all there is.
            eventually("the log to work", START_TIME_MAX, || {
                wire.info("persistence").text("aof_last_write_status") == "ok"
            });
            assert!(is_ok(&other.value()), "{what}");
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0), "{what}");
            server.restart();
            let mut wire = server.connect();
            assert_eq!(wire.ask("GET last").text(), b"1", "{what}");
            assert_eq!(wire.ask("DBSIZE").integer(), 25, "{what}");
        }
    }
}

/// What is acknowledged before the end is in the last snapshot, also what comes while the end
/// begins.
#[test]
fn what_is_answered_while_the_end_comes_is_saved() {
    for shards in SHARDS {
        let options = Options::shards(shards).save(POINTS);
        let mut server = Server::start(options);
        let answered: Vec<usize> = std::thread::scope(|scope| {
            let (begun, begins) = std::sync::mpsc::channel();
            let writers: Vec<_> = (0..3)
                .map(|client| {
                    let (mut wire, begun) = (server.connect(), begun.clone());
                    scope.spawn(move || {
                        let mut answered = 0;
                        loop {
                            let line = format!("RPUSH list:{client} {answered}\r\n");
                            if wire.try_send(line.as_bytes()).is_err() {
                                return answered;
                            }
                            match wire.try_reply() {
                                Ok(Some(reply)) if reply.starts_with(b":") => answered += 1,
                                _ => return answered,
                            }
                            if answered == 200 {
                                let _ = begun.send(());
                            }
                        }
                    })
                })
                .collect();
            begins.recv().expect("a writer");
            server.signal("TERM");
            writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"))
                .collect()
        });
        assert_eq!(server.wait().code(), Some(0));
        server.restart();
        let mut wire = server.connect();
        for (client, answered) in answered.into_iter().enumerate() {
            let there = wire.ask(&format!("LLEN list:{client}")).integer();
            assert!(
                usize::try_from(there).is_ok_and(|there| there == answered),
                "{answered} were answered and {there} are saved, with {shards} shards"
            );
        }
    }
}

/// While the last snapshot is written, writes wait and reads are answered; ABORT calls the end off,
/// and all goes on.
#[test]
fn an_end_that_saves_can_be_aborted() {
    for shards in SHARDS {
        let disk = Disk::new();
        let options = Options::shards(shards).save(POINTS).disk(&disk);
        let mut server = Server::start(options);
        let mut wire = server.connect();
        assert_serves(&mut wire, "before");
        // Longer than any test takes; it is over when the disk works again.
        disk.slow_down(Duration::from_secs(600));
        let mut asking = server.connect();
        let mut second = server.connect();
        asking.send(b"SHUTDOWN\r\n");
        eventually("the last snapshot", START_TIME_MAX, || {
            server.log().contains("writing the last snapshot")
        });
        second.send(b"SHUTDOWN SAVE\r\n");
        assert_eq!(wire.ask("GET key:7").text(), b"7");
        let mut writer = server.connect();
        writer.send(b"SET late 1\r\n");
        eventually("the write to wait", START_TIME_MAX, || {
            wire.figure("blocked_clients") == 1
        });
        assert!(matches!(wire.ask("GET late"), Value::Null(_)));
        assert!(is_ok(&wire.ask("SHUTDOWN ABORT")));
        assert_eq!(asking.value(), refused());
        assert_eq!(second.value(), refused());
        assert!(is_ok(&writer.value()));
        disk.work();
        assert_serves(&mut wire, "after");
        wire.ask("DEL late");
        wire.send(b"SHUTDOWN\r\n");
        assert_eq!(wire.until_closed(), b"");
        assert_eq!(server.wait().code(), Some(0));
        server.restart();
        assert_has_all(&server, "after an abort");
    }
}
