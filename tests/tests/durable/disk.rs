//! A disk that is full under the append-only log: writes are refused on every shard, reads go on,
//! nothing that was answered is lost, no half record stays, and all is well when there is room
//! again. What a failed sync does stands in the unit tests of the log's file.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{Options, SHARDS, Server, Wire};

const MISCONF: &str = "MISCONF Errors writing to the AOF file: File too large";

/// Bytes that a log file may still grow by when the disk fills up.
const ROOM: u64 = 5_000;

const CLIENTS: usize = 4;

/// No file of the process may grow beyond this: writing more fails, as it does where a disk is
/// full.
fn limit_file_size(server: &Server, bytes: &str) {
    let status = Command::new("prlimit")
        .args([
            format!("--pid={}", server.pid()),
            format!("--fsize={bytes}:unlimited"),
        ])
        .status()
        .expect("running prlimit, of the package util-linux");
    assert!(status.success(), "prlimit");
}

fn logs(server: &Server) -> Vec<PathBuf> {
    let files = std::fs::read_dir(server.directory().join("appendonlydir")).expect("the log");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "aof"))
        .collect()
}

fn fill_disk(server: &Server) {
    let size = |path: PathBuf| std::fs::metadata(path).expect("a log").len();
    let largest = logs(server).into_iter().map(size).max();
    let limit = largest.expect("a log") + ROOM;
    limit_file_size(server, &limit.to_string());
}

fn is_ok(reply: &Value) -> bool {
    *reply == Value::Simple(b"OK".to_vec())
}

/// Pushes numbers until a push is refused, or `enough`. Returns how many were answered.
fn write(mut wire: Wire, client: usize, enough: &AtomicBool) -> usize {
    let key = format!("list:{client}");
    let mut answered = 0;
    while !enough.load(Ordering::Relaxed) {
        let value = wire.command(&["RPUSH".into(), key.clone(), answered.to_string()]);
        match value {
            Value::Integer(_) => answered += 1,
            Value::Error(ref text) if text.starts_with(b"MISCONF") => break,
            other => panic!("{other:?}"),
        }
        assert_eq!(value, Value::Integer(answered));
    }
    answered as usize
}

/// Writes until the disk is full, lets `meanwhile` look at the server, and makes room. Returns what
/// each client was answered in all.
///
/// Under `always` the answer to what could not be written comes when there is room.
fn through_a_full_disk(server: &Server, meanwhile: impl FnOnce(&mut Wire)) -> Vec<usize> {
    let mut wire = server.connect();
    assert_eq!(wire.ask("SET known value").text(), b"OK");
    fill_disk(server);
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let wire = server.connect();
                let enough = &enough;
                scope.spawn(move || write(wire, client, enough))
            })
            .collect();
        eventually("writes to be refused", START_TIME_MAX, || {
            wire.info("persistence").text("aof_last_write_status") == "err"
        });
        meanwhile(&mut wire);
        enough.store(true, Ordering::Relaxed);
        limit_file_size(server, "unlimited");
        let joined = writers.into_iter().map(|it| it.join().expect("a writer"));
        joined.collect()
    })
}

fn assert_refuses_writes_only(wire: &mut Wire) {
    // Deleting what is not there waits for no disk, where it is not refused.
    eventually("every shard to refuse", START_TIME_MAX, || {
        (0..20).all(|n| wire.ask(&format!("DEL other:{n}")).is_error())
    });
    for words in ["SET known other", "MSET a 1 b 2 c 3 d 4", "DEL known"] {
        let reply = wire.ask(words);
        assert_eq!(reply, Value::Error(MISCONF.as_bytes().to_vec()), "{words}");
    }
    assert_eq!(wire.ask("GET known").text(), b"value");
    assert_eq!(
        wire.ask("MGET a known c d").elements().map(|all| all.len()),
        Some(4)
    );
    for client in 0..CLIENTS {
        let length = wire.ask(&format!("LLEN list:{client}"));
        assert!(matches!(length, Value::Integer(_)), "{length:?}");
    }
    wire.ask("MULTI");
    wire.ask("GET known");
    assert_eq!(wire.ask("EXEC").elements().map(|all| all.len()), Some(1));
}

fn assert_there(wire: &mut Wire, answered: &[usize], told: &str) {
    for (client, answered) in answered.iter().enumerate() {
        let list = wire.command(&[
            "LRANGE".into(),
            format!("list:{client}"),
            "0".into(),
            "-1".into(),
        ]);
        let list = list.elements().expect("a list");
        assert!(
            list.len() >= *answered,
            "{answered} were answered and {} are there: {told}",
            list.len()
        );
        for (at, value) in list.iter().enumerate() {
            assert_eq!(value.text(), at.to_string().as_bytes(), "{told}");
        }
    }
}

fn options(shards: u16, policy: &str) -> Options {
    // A half record would keep this one from starting.
    let flags = format!(
        "--appendonly yes --appendfsync {policy} --aof-load-truncated no --enable-debug-command yes"
    );
    Options::shards(shards).flags(&flags)
}

fn survives(policy: &str) {
    for shards in SHARDS {
        let told = format!("{shards} shards, {policy}");
        let mut server = Server::start(options(shards, policy));
        let answered = through_a_full_disk(&server, assert_refuses_writes_only);
        let mut wire = server.connect();
        eventually("writes to go on", START_TIME_MAX, || {
            is_ok(&wire.ask("SET again 1"))
        });
        eventually("the log to be well", START_TIME_MAX, || {
            wire.info("persistence").text("aof_last_write_status") == "ok"
        });
        assert_there(&mut wire, &answered, &told);
        wire.ask("SET last 1");
        let digest = wire.ask("DEBUG DIGEST");
        assert!(!digest.is_error(), "{digest:?}");
        if policy != "always" {
            // What is not synced yet waits; a clean end does not.
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0), "{told}");
        } else {
            server.kill();
        }
        server.restart();
        let mut wire = server.connect();
        assert_eq!(wire.ask("DEBUG DIGEST"), digest, "{told}");
        assert_there(&mut wire, &answered, &told);
    }
}

#[test]
fn a_full_disk_is_survived_under_always() {
    survives("always");
}

#[test]
fn a_full_disk_is_survived_under_everysec() {
    survives("everysec");
}

#[test]
fn what_was_answered_before_the_disk_was_full_outlives_a_kill() {
    for shards in SHARDS {
        let mut server = Server::start(options(shards, "always"));
        let mut wire = server.connect();
        assert_eq!(wire.ask("SET known value").text(), b"OK");
        fill_disk(&server);
        let progress: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mut wire = server.connect();
                std::thread::spawn(move || {
                    let mut answered = 0;
                    let push = |n: usize| format!("RPUSH list:{client} {n}\r\n");
                    // Ends with the refusal, or with the server.
                    while wire.try_send(push(answered).as_bytes()).is_ok()
                        && matches!(wire.try_reply(), Ok(Some(reply)) if reply.starts_with(b":"))
                    {
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        eventually("writes to be refused", START_TIME_MAX, || {
            wire.info("persistence").text("aof_last_write_status") == "err"
        });
        assert_refuses_writes_only(&mut wire);
        server.kill();
        let answered = progress.into_iter().map(|it| it.join().expect("a writer"));
        let answered: Vec<usize> = answered.collect();
        assert!(answered.iter().any(|it| *it > 0));
        server.restart_with(options(shards, "always"));
        assert_there(
            &mut server.connect(),
            &answered,
            &format!("{shards} shards, killed"),
        );
    }
}

#[test]
fn a_log_that_fails_can_be_given_up() {
    let server = Server::start(options(2, "always"));
    through_a_full_disk(&server, |wire| {
        assert_refuses_writes_only(wire);
        assert!(is_ok(&wire.ask("CONFIG SET appendonly no")));
        eventually("writes to go on", START_TIME_MAX, || {
            (0..20).all(|n| is_ok(&wire.ask(&format!("SET other:{n} 1"))))
        });
    });
}
