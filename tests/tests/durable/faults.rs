//! Calls that fail below the server, one kind after the other: of the log, the snapshot, the
//! manifest and their folders. The library `faults` stands between it and the system, and knows
//! what would outlast a loss of power.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use tests::disk::{Call, Disk, EIO, ENOSPC, Which};
use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{FEW_SHARDS, Options, SHARDS, Server, Wire};

const CLIENTS: usize = 3;

fn is_ok(reply: &Value) -> bool {
    *reply == Value::Simple(b"OK".to_vec())
}

fn is_misconf(reply: &Value) -> bool {
    matches!(reply, Value::Error(text) if text.starts_with(b"MISCONF"))
}

/// Pushes numbers until `over`, or until the server is gone, and returns how many were answered.
/// What is refused is not counted.
fn push(mut wire: Wire, client: usize, over: &AtomicBool) -> usize {
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        let line = format!("RPUSH list:{client} {answered}\r\n");
        if wire.try_send(line.as_bytes()).is_err() {
            break;
        }
        match wire.try_reply() {
            Ok(Some(reply)) if reply.starts_with(b":") => answered += 1,
            Ok(Some(reply)) => assert!(reply.starts_with(b"-MISCONF")),
            _ => break,
        }
    }
    answered
}

fn assert_lists(wire: &mut Wire, answered: &[usize], what: &str) {
    for (client, answered) in answered.iter().enumerate() {
        let list = wire.ask(&format!("LRANGE list:{client} 0 -1"));
        let list = list.elements().expect("a list");
        assert!(
            list.len() >= *answered,
            "{answered} were answered, {} are there: {what}",
            list.len()
        );
        for (at, value) in list.iter().enumerate() {
            assert_eq!(value.text(), at.to_string().as_bytes(), "{what}");
        }
    }
}

/// A call of the log's writer fails for a while, and then the power is lost: during that, or after
/// it worked again.
fn through_a_failing_log(call: Call, error: u32, policy: &str, recovers: bool) {
    let mut rng = Rng::new();
    for shards in SHARDS {
        let what =
            format!("{call:?} fails with {error}, {policy}, {shards} shards, recovers: {recovers}");
        let disk = Disk::new();
        let flags = format!("--appendonly yes --appendfsync {policy}");
        let options = Options::shards(shards).flags(&flags).disk(&disk);
        let mut server = Server::start(options.clone());
        let mut wire = server.connect();
        assert!(is_ok(&wire.ask("SET known value")));
        let over = AtomicBool::new(false);
        let answered: Vec<usize> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (wire, over) = (server.connect(), &over);
                    scope.spawn(move || push(wire, client, over))
                })
                .collect();
            eventually("some answers", START_TIME_MAX, || {
                wire.ask("LLEN list:0").integer() > 20
            });
            disk.fail(call, error, Which::Log);
            eventually("the log to fail", START_TIME_MAX, || {
                wire.info("persistence").text("aof_last_write_status") == "err"
            });
            eventually("every shard to refuse", START_TIME_MAX, || {
                (0..20).all(|n| is_misconf(&wire.ask(&format!("DEL other:{n}"))))
            });
            assert!(is_misconf(&wire.ask("MSET a 1 b 2 c 3 d 4")), "{what}");
            assert_eq!(wire.ask("GET known").text(), b"value", "{what}");
            if recovers {
                disk.work();
                eventually("the log to be well", START_TIME_MAX, || {
                    wire.info("persistence").text("aof_last_write_status") == "ok"
                });
                eventually("writes to go on", START_TIME_MAX, || {
                    (0..20).all(|n| is_ok(&wire.ask(&format!("SET other:{n} 1"))))
                });
                let before = wire.ask("LLEN list:1").integer();
                eventually("more answers", START_TIME_MAX, || {
                    wire.ask("LLEN list:1").integer() > before + 20
                });
                if policy != "always" {
                    // What is not synced yet may be lost; what was written before the failure may
                    // not.
                    std::thread::sleep(std::time::Duration::from_millis(2_500));
                    over.store(true, Ordering::Relaxed);
                }
            }
            let joined: Vec<usize> = match policy {
                "always" => {
                    server.signal("KILL");
                    writers
                        .into_iter()
                        .map(|it| it.join().expect("a writer"))
                        .collect()
                }
                _ => {
                    let answered = writers
                        .into_iter()
                        .map(|it| it.join().expect("a writer"))
                        .collect();
                    // By now all has been written. How long its sync takes is the disk's affair.
                    std::thread::sleep(std::time::Duration::from_millis(2_500));
                    eventually("all to be synced", START_TIME_MAX, || {
                        disk.has_synced_logs(server.directory())
                    });
                    server.signal("KILL");
                    answered
                }
            };
            joined
        });
        server.until_gone();
        disk.work();
        disk.lose_power(server.directory(), &mut rng);
        disk.begin(server.directory());
        server.restart_with(options);
        let mut wire = server.connect();
        assert_eq!(wire.ask("GET known").text(), b"value", "{what}");
        assert_lists(&mut wire, &answered, &what);
    }
}

/// No reply leaves before its record is on disk: a sync that failed is none, nor is the one after
/// it believed.
#[test]
fn a_failed_sync_of_the_log_answers_nobody() {
    through_a_failing_log(Call::Sync, EIO, "always", false);
}

#[test]
fn what_a_failed_sync_forgot_is_written_again() {
    through_a_failing_log(Call::Sync, EIO, "always", true);
    through_a_failing_log(Call::Sync, EIO, "everysec", true);
}

#[test]
fn a_log_that_cannot_be_written_answers_nobody() {
    through_a_failing_log(Call::Write, ENOSPC, "always", false);
    through_a_failing_log(Call::Write, EIO, "always", true);
}

/// Replies to a pipeline wait for their records also where they stand behind one that another shard
/// sends.
#[test]
fn a_log_that_takes_nothing_answers_no_write_of_a_pipeline() {
    // So many that with several shards some read another's key and write one of their own.
    const PIPELINES: usize = 24;
    for (policy, call) in [
        ("always", Call::Sync),
        ("everysec", Call::Write),
        ("no", Call::Write),
    ] {
        for shards in SHARDS {
            let what = format!("{policy}, {shards} shards");
            let disk = Disk::new();
            let flags = format!("--appendonly yes --appendfsync {policy}");
            let options = Options::shards(shards).flags(&flags).disk(&disk);
            let mut server = Server::start(options);
            let mut wire = server.connect();
            let mut clients: Vec<Wire> = (0..PIPELINES).map(|_| server.connect()).collect();
            disk.fail(call, EIO, Which::Log);
            for (client, wire) in clients.iter_mut().enumerate() {
                let commands = format!("GET key:{client}\r\nSET other:{client} 1\r\n");
                wire.try_send(commands.as_bytes()).expect("a server");
            }
            eventually("the log to fail", START_TIME_MAX, || {
                wire.info("persistence").text("aof_last_write_status") == "err"
            });
            // Who asks behind them is answered behind them.
            eventually("every shard to refuse", START_TIME_MAX, || {
                (0..20).all(|n| is_misconf(&wire.ask(&format!("DEL other:{n}"))))
            });
            server.kill();
            for wire in &mut clients {
                while let Ok(Some(reply)) = wire.try_reply() {
                    assert!(reply != b"+OK\r\n", "a write was answered: {what}");
                }
            }
        }
    }
}

/// A shard whose own log is well has a share of a transaction that another's log cannot take: who
/// only reads does not wait for that, neither one key nor several. Once all logs work, the
/// transactions are answered.
#[test]
fn readers_of_a_shard_do_not_wait_for_the_log_of_another() {
    for shards in [2, 4] {
        let disk = Disk::new();
        let flags = "--appendonly yes --appendfsync always";
        let server = Server::start(Options::shards(shards).flags(flags).disk(&disk));
        let mut wire = server.connect();
        let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
        let mset = |value| {
            let pairs: Vec<String> = keys.iter().map(|key| format!("{key} {value}")).collect();
            format!("MSET {}", pairs.join(" "))
        };
        assert!(is_ok(&wire.ask(&mset("old"))));
        disk.fail(Call::Sync, EIO, Which::FirstLog);
        let mut waiting: Vec<Wire> = (0..CLIENTS).map(|_| server.connect()).collect();
        for wire in &mut waiting {
            let sent = wire.try_send(format!("{}\r\n", mset("new")).as_bytes());
            sent.expect("a server that listens");
        }
        eventually("every shard to refuse", START_TIME_MAX, || {
            (0..20).all(|n| is_misconf(&wire.ask(&format!("DEL other:{n}"))))
        });
        let mut reader = server.connect();
        for key in &keys {
            assert_eq!(reader.ask(&format!("GET {key}")).text(), b"new");
        }
        let all = reader.ask(&format!("MGET {}", keys.join(" ")));
        for value in all.elements().expect("an array") {
            assert_eq!(value.text(), b"new");
        }
        disk.work();
        for wire in &mut waiting {
            let reply = wire.try_reply().expect("a reply").expect("a reply");
            assert!(reply == b"+OK\r\n" || reply.starts_with(b"-MISCONF"));
        }
    }
}

/// Files of data in a server's folder and in that of its log.
fn files(server: &Server) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for folder in [
        server.directory().into(),
        server.directory().join("appendonlydir"),
    ] {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_file() && name != "log" && !name.ends_with(".lock") {
                let content = std::fs::read(&path).expect("a file");
                all.insert(path, content);
            }
        }
    }
    all
}

/// Every call of writing a snapshot: the last good one stays, writes are refused, and all is well
/// when the disk is.
#[test]
fn a_snapshot_that_fails_leaves_the_last_good_one() {
    for (call, error) in [
        (Call::Write, ENOSPC),
        (Call::Sync, EIO),
        (Call::Rename, EIO),
        (Call::SyncFolder, EIO),
    ] {
        for shards in FEW_SHARDS {
            let what = format!("{call:?} with {shards} shards");
            let disk = Disk::new();
            let options = Options::shards(shards).save("3600 1000000").disk(&disk);
            let mut server = Server::start(options);
            let mut wire = server.connect();
            wire.ask("SET k v");
            // So much that it is synced before the end.
            wire.ask(&format!("SET large {}", "x".repeat(3 << 20)));
            assert!(is_ok(&wire.ask("CONFIG SET rdbcompression no")), "{what}");
            assert!(is_ok(&wire.ask("SAVE")), "{what}");
            let good = files(&server);
            wire.ask("SET k w");
            // The new file is whole and has its name, but it is not certain that it keeps it.
            let is_there = call == Call::SyncFolder;
            for save in ["BGSAVE", "SAVE"] {
                let which = if is_there {
                    Which::All
                } else {
                    Which::Snapshot
                };
                disk.fail(call, error, which);
                assert_eq!(wire.ask(save).is_error(), save == "SAVE", "{save}, {what}");
                eventually("the failure", START_TIME_MAX, || {
                    wire.info("persistence").text("rdb_last_bgsave_status") == "err"
                });
                // A shard may hear of it a moment later than INFO.
                eventually("refusals", START_TIME_MAX, || {
                    is_misconf(&wire.ask("SET other x"))
                });
                assert_eq!(wire.ask("GET k").text(), b"w", "{what}");
                let left = files(&server);
                assert_eq!(
                    left.keys().collect::<Vec<_>>(),
                    good.keys().collect::<Vec<_>>(),
                    "{what}"
                );
                assert!(
                    is_there || left == good,
                    "the last good one was touched: {what}"
                );
                disk.work();
                // Under way, a last time, or refused.
                eventually("a snapshot", START_TIME_MAX, || is_ok(&wire.ask("SAVE")));
                assert_eq!(
                    wire.info("persistence").text("rdb_last_bgsave_status"),
                    "ok",
                    "{what}"
                );
                eventually("writes to go on", START_TIME_MAX, || {
                    is_ok(&wire.ask("SET k w"))
                });
                if save == "BGSAVE" {
                    std::fs::write(
                        server.directory().join("dump.rdb"),
                        good.values().next().expect("one"),
                    )
                    .expect("a file");
                }
            }
            assert!(disk.failed() >= 2, "{what}");
            server.kill_and_restart();
            assert_eq!(server.connect().ask("GET k").text(), b"w", "{what}");
        }
    }
}

/// Every call of rewriting the log, in the snapshot and in the manifest, at its beginning and at
/// its end: the log goes on as it was, and nothing is lost, even when the power is, too.
#[test]
fn a_rewrite_that_fails_loses_nothing() {
    let mut rng = Rng::new();
    for which in [Which::Snapshot, Which::Manifest, Which::All] {
        for call in [Call::Write, Call::Sync, Call::Rename, Call::SyncFolder] {
            let meant = match call {
                Call::SyncFolder => which == Which::All,
                _ => which != Which::All,
            };
            for shards in SHARDS.into_iter().filter(|_| meant) {
                let what = format!("{call:?} of {which:?} with {shards} shards");
                let disk = Disk::new();
                let options = Options::shards(shards)
                    .flags("--appendonly yes --appendfsync always")
                    .disk(&disk);
                let mut server = Server::start(options.clone());
                let mut wire = server.connect();
                for n in 0..100 {
                    assert!(is_ok(&wire.ask(&format!("SET before:{n} 1"))), "{what}");
                }
                disk.fail(call, EIO, which);
                let begun = wire.ask("BGREWRITEAOF");
                eventually("the failure", START_TIME_MAX, || {
                    wire.info("persistence").text("aof_last_bgrewrite_status") == "err"
                });
                eventually("its end", START_TIME_MAX, || {
                    wire.info("persistence").text("aof_rewrite_in_progress") == "0"
                });
                for n in 0..100 {
                    assert!(
                        is_ok(&wire.ask(&format!("SET after:{n} 1"))),
                        "{begun:?}, {what}"
                    );
                }
                let rewritten = rng.bool();
                if rewritten {
                    disk.work();
                    eventually("a rewrite", START_TIME_MAX, || {
                        !wire.ask("BGREWRITEAOF").is_error()
                    });
                    eventually("its end", START_TIME_MAX, || {
                        wire.info("persistence").text("aof_rewrite_in_progress") == "0"
                    });
                    assert_eq!(
                        wire.info("persistence").text("aof_last_bgrewrite_status"),
                        "ok",
                        "{what}"
                    );
                    assert!(is_ok(&wire.ask("SET last 1")), "{what}");
                }
                server.kill();
                disk.work();
                disk.lose_power(server.directory(), &mut rng);
                disk.begin(server.directory());
                server.restart_with(options);
                let mut wire = server.connect();
                let mut keys: Vec<String> = ["before", "after"]
                    .iter()
                    .flat_map(|name| (0..100).map(move |n| format!("{name}:{n}")))
                    .collect();
                keys.extend(rewritten.then(|| "last".to_owned()));
                for key in keys {
                    let found = wire.ask(&format!("EXISTS {key}")).integer();
                    assert_eq!(found, 1, "{key} is lost: {what}, rewritten: {rewritten}");
                }
            }
        }
    }
}
