//! What was answered is there after a kill, and nothing is ever there by half.
//!
//! Clients write and note what was answered (see `workload`); the server is killed at a random
//! moment, rewriting its log perhaps, and started again, with another number of shards perhaps.
//! `PERCORE_ROUNDS` makes it longer, `PERCORE_SEED` repeats a run.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tests::{Options, SHARDS, Server, Wire};

use crate::pipeline::Pipelines;
use crate::sent::Loss;
use crate::setting;
use crate::workload::Workload;

/// The files of the log, and how long each is.
fn logs(server: &Server) -> HashMap<PathBuf, u64> {
    let folder = server.directory().join("appendonlydir");
    let files = std::fs::read_dir(folder).expect("the folder of the log");
    let files = files.map(|file| file.expect("a file").path());
    files
        .filter(|path| path.extension().is_some_and(|it| it == "aof"))
        .map(|path| {
            let len = std::fs::metadata(&path).expect("a file").len();
            (path, len)
        })
        .collect()
}

/// Cuts some of the last logs off at any byte, as a machine that loses its power does with what was
/// not synced; nothing of what was there `before`.
fn tear(server: &Server, before: &HashMap<PathBuf, u64>, rng: &mut Rng) {
    let sequence = |path: &PathBuf| -> Option<u64> {
        // appendonly.aof.SEQUENCE.SHARD.aof
        let name = path
            .file_name()?
            .to_str()?
            .strip_prefix("appendonly.aof.")?;
        name.split('.').next()?.parse().ok()
    };
    let logs = logs(server);
    let last = logs.keys().filter_map(sequence).max();
    for (path, len) in logs.iter().filter(|(path, _)| sequence(path) == last) {
        let new = len - before.get(path).unwrap_or(&0).min(len);
        if rng.bool() && new > 0 {
            let cut = rng.u64(0..new.min(10_000)) + 1;
            let file = File::options().write(true).open(path).expect("a log");
            file.set_len(len - cut).expect("cutting it");
        }
    }
}

/// Returns when all that was answered is in the logs, under any policy.
fn settle(server: &Server, policy: &str) {
    let mut wire = server.connect();
    // So many keys that every shard has one.
    let pairs: Vec<String> = (0..64).map(|n| format!("settled:{n} {n}")).collect();
    for words in [
        "CONFIG SET appendfsync always".to_owned(),
        format!("MSET {}", pairs.join(" ")),
        format!("CONFIG SET appendfsync {policy}"),
    ] {
        assert_eq!(wire.ask(&words).text(), b"OK", "{words}");
    }
}

/// Asks for rewrites and snapshots, one after the other, until `over`.
pub fn rewrite_and_save(server: &Server, over: &AtomicBool) {
    // It may be killed already.
    let Ok(mut wire) = Wire::connect(server.address()) else {
        return;
    };
    // Either may be refused while the other is under way.
    let mut ask = |words: &str| {
        let sent = wire.try_send(format!("{words}\r\n").as_bytes());
        sent.is_ok() && wire.try_reply().is_ok_and(|reply| reply.is_some())
    };
    while !over.load(Ordering::Relaxed) && ask("BGREWRITEAOF") && ask("BGSAVE") {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The policies take turns.
fn rounds(policies: &[&str], rounds: u64, loss: Loss) {
    let seed = setting("PERCORE_SEED", fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let options = |shards, policy| {
        Options::shards(shards).flags(&format!("--appendonly yes --appendfsync {policy}"))
    };
    let mut shards = 2;
    let mut policy = policies[0];
    let mut server = Server::start(options(shards, policy));
    Workload::prepare(&mut server.connect());
    let (mut workload, mut pipelines) = (Workload::new(), Pipelines::default());
    for round in 0..rounds {
        let pause = Duration::from_millis(rng.u64(5..250));
        let rewrites = rng.bool();
        let over = AtomicBool::new(false);
        if loss != Loss::Nothing {
            settle(&server, policy);
        }
        let before = logs(&server);
        let pid = server.pid();
        std::thread::scope(|scope| {
            if rewrites {
                scope.spawn(|| rewrite_and_save(&server, &over));
            }
            let kill = || {
                std::thread::sleep(pause);
                over.store(true, Ordering::Relaxed);
                server.signal("KILL");
            };
            if loss == Loss::Nothing && rng.bool() {
                pipelines.run(&server, kill);
            } else {
                workload.run(&server, kill);
            }
        });
        server.until_gone();
        if loss == Loss::Anything {
            tear(&server, &before, &mut rng);
        }
        let had = shards;
        let under = policy;
        shards = rng.choice(SHARDS).expect("one of three");
        policy = policies[(round as usize + 1) % policies.len()];
        let told = format!(
            "round {round}, {under}, {had} shards and then {shards}, rewriting: {rewrites}, killed after {pause:?} as {pid}, PERCORE_SEED={seed}"
        );
        server.restart_with(options(shards, policy));
        workload.check(&mut server.connect(), loss, &told);
        pipelines.check(&mut server.connect(), &told);
    }
}

#[test]
fn nothing_answered_is_lost_under_always() {
    rounds(&["always"], setting("PERCORE_ROUNDS", 50), Loss::Nothing);
}

/// A reply leaves when the system has its record, so it takes more than the end of the process to
/// lose it.
#[test]
fn nothing_answered_is_lost_with_the_process_under_everysec_and_no() {
    let count = setting("PERCORE_ROUNDS", 50);
    rounds(&["everysec", "no"], count, Loss::Nothing);
}

/// As a machine without power would leave it.
#[test]
fn nothing_is_there_by_half_under_everysec() {
    let count = setting("PERCORE_ROUNDS", 25);
    rounds(&["everysec"], count, Loss::Anything);
}
