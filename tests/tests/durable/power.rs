//! A machine that loses its power: of the files there is what was synced, and of the rest some, torn and in any order. The library `faults`
//! knows what was.
//!
//! Under `always` nothing that was answered is lost even so; under `everysec`, a second of it and a bit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::disk::Disk;
use tests::{Options, Server};

use crate::kill::rewrite_and_save;
use crate::setting;
use crate::workload::{Loss, Workload};

/// What `everysec` may lose: a second, the sync that follows it, and the moment until a busy machine begins it.
const LOST_MAX: Duration = Duration::from_millis(1_800);

fn rounds(policy: &str, rounds: u64, runs_ms: std::ops::Range<u64>, loss: fn(Instant) -> Loss) {
    let seed = setting("PERCORE_SEED", fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let disk = Disk::new();
    let options = |shards| {
        Options::shards(shards)
            .flags(&format!("--appendonly yes --appendfsync {policy}"))
            .disk(&disk)
    };
    let mut shards = 2;
    let mut server = Server::start(options(shards));
    Workload::prepare(&mut server.connect());
    let mut workload = Workload::new();
    let settle = || std::thread::sleep(Duration::from_millis(2_500));
    if policy != "always" {
        settle();
    }
    for round in 0..rounds {
        let pause = Duration::from_millis(rng.u64(runs_ms.clone()));
        let rewrites = rng.bool();
        disk.tear_every(rng.choice([0, 7]).expect("one of two"));
        let over = AtomicBool::new(false);
        let mut ended = Instant::now();
        std::thread::scope(|scope| {
            if rewrites {
                scope.spawn(|| rewrite_and_save(&server, &over));
            }
            workload.run(&server, || {
                std::thread::sleep(pause);
                over.store(true, Ordering::Relaxed);
                ended = Instant::now();
                server.signal("KILL");
            });
        });
        server.until_gone();
        disk.lose_power(server.directory(), &mut rng);
        disk.begin(server.directory());
        let had = shards;
        shards = rng.choice([1, 2, 4]).expect("one of three");
        let told = format!(
            "round {round}, {policy}, {had} shards and then {shards}, rewriting: {rewrites}, without power after {pause:?}, PERCORE_SEED={seed}"
        );
        server.restart_with(options(shards));
        workload.check(&mut server.connect(), loss(ended), &told);
        if policy != "always" {
            // What the check began anew is to outlast the next one.
            settle();
        }
    }
}

#[test]
fn nothing_answered_is_lost_without_power_under_always() {
    let count = setting("PERCORE_ROUNDS", 20);
    rounds("always", count, 5..250, |_| Loss::Nothing);
}

#[test]
fn a_second_and_a_bit_is_lost_without_power_under_everysec() {
    let count = setting("PERCORE_ROUNDS", 20) / 5;
    rounds("everysec", count, 2_000..3_500, |ended| {
        Loss::After(ended - LOST_MAX)
    });
}
