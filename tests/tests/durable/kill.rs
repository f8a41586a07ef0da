//! What was answered is there after a kill, and nothing is ever there by half.
//!
//! Clients write and note what was answered; the server is killed at a random moment, rewriting its log perhaps, and started again, with
//! another number of shards perhaps. `PERCORE_ROUNDS` makes it longer, `PERCORE_SEED` repeats a run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tests::reply::{Value, show};
use tests::wire::encode;
use tests::{Options, Server, Wire};

use crate::setting;

const CLIENTS: usize = 6;

/// Keys that one MSET writes: over all shards.
const WIDTH: usize = 4;

/// What a client has sent, and what was answered.
#[derive(Clone, Copy, Default)]
struct Progress {
    sent: i64,
    answered: i64,
    /// The most that was sent in rounds before, where it may be back: a round may write less than what is torn off.
    before: i64,
}

fn keys_of(client: usize) -> Vec<String> {
    (0..WIDTH).map(|at| format!("pair:{client}:{at}")).collect()
}

/// Sends a command; `None` where the server is gone.
fn call(wire: &mut Wire, arguments: &[String]) -> Option<()> {
    let mut bytes = Vec::new();
    encode(arguments, &mut bytes);
    wire.try_send(&bytes).ok()?;
    let reply = wire.try_reply().ok()??;
    assert!(!reply.starts_with(b"-"), "{arguments:?}: {}", show(&reply));
    Some(())
}

/// Writes until the server is gone. Every value is one more than the one before.
fn write(mut wire: Wire, client: usize, progress: &mut Progress) {
    let mut go = || -> Option<()> {
        loop {
            let next = progress.sent + 1;
            let text = next.to_string();
            progress.sent = next;
            let mut mset = vec!["MSET".to_owned()];
            for key in keys_of(client) {
                mset.extend([key, text.clone()]);
            }
            call(&mut wire, &mset)?;
            call(&mut wire, &["MULTI".to_owned()])?;
            for list in ["a", "b"] {
                call(
                    &mut wire,
                    &[
                        "RPUSH".to_owned(),
                        format!("list:{list}:{client}"),
                        text.clone(),
                    ],
                )?;
            }
            call(&mut wire, &["INCR".to_owned(), format!("count:{client}")])?;
            call(&mut wire, &["EXEC".to_owned()])?;
            call(
                &mut wire,
                &[
                    "LMOVE".into(),
                    format!("list:b:{client}"),
                    format!("moved:{client}"),
                    "LEFT".into(),
                    "RIGHT".into(),
                ],
            )?;
            progress.answered = next;
        }
    };
    go();
}

fn integer(value: &Value) -> i64 {
    match value {
        Value::Null(_) => 0,
        other => String::from_utf8_lossy(other.text())
            .parse()
            .expect("a number"),
    }
}

/// Checks what a client finds, and takes it for where to go on from. `lossless` where nothing answered may be missing.
fn check(wire: &mut Wire, client: usize, progress: &mut Progress, lossless: bool, told: &str) {
    let mut mget = vec!["MGET".to_owned()];
    mget.extend(keys_of(client));
    let reply = wire.command(&mget);
    let values: Vec<i64> = reply
        .elements()
        .expect("an array")
        .iter()
        .map(integer)
        .collect();
    let value = values[0];
    assert!(
        values.iter().all(|it| *it == value),
        "half an MSET: {values:?} {told}"
    );
    let sent = progress.sent.max(progress.before);
    assert!(value <= sent, "{value} was never sent: {told}");
    if lossless {
        assert!(
            value >= progress.answered,
            "{value} and {} was answered: {told}",
            progress.answered
        );
    }
    let length = |wire: &mut Wire, key: String| match wire.command(&["LLEN".into(), key]) {
        Value::Integer(length) => length,
        other => panic!("{other:?}"),
    };
    let pushed = length(wire, format!("list:a:{client}"));
    let left = length(wire, format!("list:b:{client}"));
    let moved = length(wire, format!("moved:{client}"));
    let count = integer(&wire.command(&["GET".into(), format!("count:{client}")]));
    assert_eq!(pushed, left + moved, "half an EXEC or LMOVE: {told}");
    assert_eq!(pushed, count, "half an EXEC: {told}");
    // In a connection's order: the EXEC comes after the MSET, the move after the EXEC.
    if lossless {
        assert!(
            pushed == value || pushed == value - 1,
            "{pushed} pushes after {value} MSETs: {told}"
        );
    }
    assert!(left <= 1, "{left} elements wait to be moved: {told}");
    if lossless {
        assert!(
            pushed >= progress.answered && moved >= progress.answered,
            "{told}"
        );
    }
    // What was sent and not answered may be there by half of the loop: begin from an even state.
    wire.command(&[
        "DEL".into(),
        format!("list:a:{client}"),
        format!("list:b:{client}"),
        format!("moved:{client}"),
        format!("count:{client}"),
    ]);
    wire.command(&[vec!["DEL".to_owned()], keys_of(client)].concat());
    *progress = Progress {
        before: if lossless { 0 } else { sent },
        ..Progress::default()
    };
}

/// Cuts some of the last logs off at any byte, as a machine that loses its power does with what was not synced.
fn tear(folder: &Path, rng: &mut Rng) {
    let files = std::fs::read_dir(folder).expect("the folder of the log");
    let mut logs: Vec<(u64, PathBuf)> = files
        .map(|file| file.expect("a file").path())
        .filter_map(|path| {
            // appendonly.aof.SEQUENCE.SHARD.aof
            let name = path.file_name()?.to_str()?.strip_suffix(".aof")?;
            let sequence = name.split('.').nth(2)?.parse().ok()?;
            Some((sequence, path))
        })
        .collect();
    let last = logs.iter().map(|log| log.0).max().unwrap_or(0);
    logs.retain(|log| log.0 == last);
    for (_, path) in logs {
        if rng.bool() {
            let file = File::options().write(true).open(&path).expect("a log");
            let len = file.metadata().expect("its length").len();
            let cut = rng.u64(0..3000).min(len);
            file.set_len(len - cut).expect("cutting it");
        }
    }
}

fn rounds(policy: &str, rounds: u64, lossless: bool) {
    let seed = setting("PERCORE_SEED", fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let options =
        |shards| Options::shards(shards).flags(&format!("--appendonly yes --appendfsync {policy}"));
    let mut shards = 2;
    let mut server = Server::start(options(shards));
    let mut progress = [Progress::default(); CLIENTS];
    for round in 0..rounds {
        let pause = Duration::from_millis(rng.u64(5..150));
        let rewrites = rng.bool();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (client, progress) in progress.iter_mut().enumerate() {
                let wire = server.connect();
                scope.spawn(move || write(wire, client, progress));
            }
            if rewrites {
                let mut wire = server.connect();
                let over = &over;
                scope.spawn(move || {
                    // Either may be refused while the other is under way.
                    let mut ask = |words: &str| {
                        let sent = wire.try_send(format!("{words}\r\n").as_bytes());
                        sent.is_ok() && wire.try_reply().is_ok_and(|reply| reply.is_some())
                    };
                    while !over.load(Ordering::Relaxed) && ask("BGREWRITEAOF") && ask("BGSAVE") {}
                });
            }
            std::thread::sleep(pause);
            over.store(true, Ordering::Relaxed);
            server.kill();
        });
        if !lossless {
            tear(&server.directory().join("appendonlydir"), &mut rng);
        }
        let before = shards;
        shards = rng.choice([1, 2, 4]).expect("one of three");
        let told = format!(
            "round {round}, {policy}, {before} shards and then {shards}, killed after {pause:?}, PERCORE_SEED={seed}"
        );
        server.restart_with(options(shards));
        let mut wire = server.connect();
        for (client, progress) in progress.iter_mut().enumerate() {
            check(&mut wire, client, progress, lossless, &told);
        }
    }
}

#[test]
fn nothing_answered_is_lost_under_always() {
    rounds("always", setting("PERCORE_ROUNDS", 25), true);
}

#[test]
fn nothing_is_there_by_half_under_everysec() {
    // A kill of the process takes no more than what the system was not given yet: so the test takes more.
    rounds("everysec", setting("PERCORE_ROUNDS", 25), false);
}
