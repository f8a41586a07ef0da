//! A machine that loses its power: of the files there is what was synced, and of the rest some,
//! torn and in any order. The library `faults` knows what was.
//!
//! Under `always` nothing that was answered is lost even so; under `everysec`, a second of it and a
//! bit.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::disk::Disk;
use tests::reply::Value;
use tests::{Options, SHARDS, Server};

use crate::kill::rewrite_and_save;
use crate::sent::Loss;
use crate::setting;
use crate::workload::Workload;

/// What `everysec` may lose: a second, the sync that follows it, and the moment until a busy
/// machine begins it; where the disk or the machine stood still meanwhile, that too.
const LOST_MAX: Duration = Duration::from_millis(1_800);

/// Between two looks at how long the disk takes.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// Does `work`, and returns the longest that the disk took meanwhile to keep one byte.
fn slowest_sync_during(work: impl FnOnce()) -> Duration {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| {
            let mut file = tempfile::tempfile().expect("a temporary file");
            let mut slowest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                file.write_all(b"x").expect("a byte");
                file.sync_data().expect("a sync");
                slowest = slowest.max(began.elapsed());
                std::thread::sleep(PROBE_INTERVAL);
            }
            slowest
        });
        work();
        over.store(true, Ordering::Relaxed);
        probe.join().expect("the probe")
    })
}

fn rounds(
    policy: &str,
    rounds: u64,
    runs_ms: std::ops::Range<u64>,
    loss: fn(Instant, Duration) -> Loss,
) {
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
        let slowest_sync = slowest_sync_during(|| {
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
        });
        server.until_gone();
        disk.lose_power(server.directory(), &mut rng);
        disk.begin(server.directory());
        let had = shards;
        shards = rng.choice(SHARDS).expect("one of three");
        let told = format!(
            "round {round}, {policy}, {had} shards and then {shards}, rewriting: {rewrites}, without power after {pause:?}, syncs of {slowest_sync:?}, PERCORE_SEED={seed}"
        );
        server.restart_with(options(shards));
        workload.check(&mut server.connect(), loss(ended, slowest_sync), &told);
        if policy != "always" {
            // What the check began anew is to outlast the next one.
            settle();
        }
    }
}

#[test]
fn nothing_answered_is_lost_without_power_under_always() {
    let count = setting("PERCORE_ROUNDS", 20);
    rounds("always", count, 5..250, |_, _| Loss::Nothing);
}

#[test]
fn a_second_and_a_bit_is_lost_without_power_under_everysec() {
    let count = setting("PERCORE_ROUNDS", 20) / 5;
    rounds("everysec", count, 2_000..3_500, |ended, slowest_sync| {
        // One sync is waited for, and the next has not ended.
        Loss::After(ended - LOST_MAX - 2 * slowest_sync)
    });
}

/// The OK to a change to `always` comes when all is on disk that was answered before it, and what
/// comes after it is answered as ever.
#[test]
fn a_change_to_always_makes_what_was_answered_safe() {
    let mut rng = Rng::new();
    for shards in SHARDS {
        for policy in ["no", "everysec"] {
            let disk = Disk::new();
            let flags = format!("--appendonly yes --appendfsync {policy}");
            let options = Options::shards(shards).flags(&flags).disk(&disk);
            let mut server = Server::start(options.clone());
            let mut wire = server.connect();
            for n in 0..50 {
                assert_eq!(wire.ask(&format!("SET key:{n} {n}")).text(), b"OK");
                assert_eq!(wire.ask(&format!("MSET a:{n} 1 b:{n} 2")).text(), b"OK");
            }
            // The connection's own shard answers at once only what is on disk.
            let reply = wire.ask("CONFIG SET appendfsync always");
            assert_eq!(reply.text(), b"OK", "{policy}, {shards} shards");
            server.signal("KILL");
            server.until_gone();
            disk.lose_power(server.directory(), &mut rng);
            disk.begin(server.directory());
            server.restart_with(options);
            let mut wire = server.connect();
            for n in 0..50 {
                let there = wire.ask(&format!("EXISTS key:{n} a:{n} b:{n}"));
                assert_eq!(there.integer(), 3, "{n} after {policy}, {shards} shards");
            }
        }
    }
}

/// The same of transactions that other clients are at meanwhile: a shard that has not heard of the
/// change yet answers some, whose shares are on their way to shards that have.
#[test]
fn a_change_to_always_makes_safe_what_others_were_answered() {
    const CLIENTS: usize = 4;
    const BUSY_FOR: Duration = Duration::from_millis(30);
    let mut rng = Rng::new();
    for shards in [1, 2, 4, 2, 4, 2, 4] {
        let disk = Disk::new();
        let flags = "--appendonly yes --appendfsync everysec";
        let options = Options::shards(shards).flags(flags).disk(&disk);
        let mut server = Server::start(options.clone());
        let mut wires: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        let answered: Vec<AtomicUsize> = (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect();
        let safe: Vec<usize> = std::thread::scope(|scope| {
            for (client, (wire, answered)) in wires.iter_mut().zip(&answered).enumerate() {
                scope.spawn(move || {
                    for n in 0.. {
                        let set = format!("MSET a:{client}:{n} 1 b:{client}:{n} 2\r\n");
                        let sent = wire.try_send(set.as_bytes());
                        if sent.is_err() || !matches!(wire.try_reply(), Ok(Some(_))) {
                            return;
                        }
                        answered.store(n + 1, Ordering::SeqCst);
                    }
                });
            }
            let mut wire = server.connect();
            std::thread::sleep(BUSY_FOR);
            assert_eq!(wire.ask("CONFIG SET appendfsync always").text(), b"OK");
            let safe = answered.iter().map(|it| it.load(Ordering::SeqCst));
            let safe = safe.collect();
            server.signal("KILL");
            safe
        });
        server.until_gone();
        disk.lose_power(server.directory(), &mut rng);
        disk.begin(server.directory());
        server.restart_with(options);
        let mut wire = server.connect();
        for (client, safe) in safe.into_iter().enumerate() {
            for n in 0..safe {
                let there = wire.ask(&format!("EXISTS a:{client}:{n} b:{client}:{n}"));
                assert_eq!(there.integer(), 2, "{n} of {safe}, with {shards} shards");
            }
        }
    }
}

/// Who reads keys of several shards under `always` is shown nothing that its writer is not answered
/// for yet, since that could be lost.
#[test]
fn several_keys_are_shown_when_they_are_on_disk() {
    // Half of it must be more than a busy machine keeps anybody from noticing a reply.
    const SYNC: Duration = Duration::from_millis(800);
    const CLIENTS: usize = 8;
    for shards in SHARDS {
        let disk = Disk::new();
        let flags = "--appendonly yes --appendfsync always";
        let server = Server::start(Options::shards(shards).flags(flags).disk(&disk));
        // So many that they are on all shards.
        let mut writers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        let mut readers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        disk.slow_down(SYNC);
        let mut first = server.connect();
        first.try_send(b"SET key 0\r\n").expect("a server");
        // While the shard of the key is at its disk, the others' commands come together.
        std::thread::sleep(SYNC / 4);
        for (n, writer) in writers.iter_mut().enumerate() {
            let set = format!("SET key {}\r\n", n + 1);
            writer.try_send(set.as_bytes()).expect("a server");
        }
        std::thread::sleep(SYNC / 8);
        let (answered, shown): (Vec<Instant>, Vec<(usize, Instant)>) =
            std::thread::scope(|scope| {
                let writers: Vec<_> = writers
                    .iter_mut()
                    .map(|wire| {
                        scope.spawn(|| {
                            wire.try_reply().expect("a reply").expect("a reply");
                            Instant::now()
                        })
                    })
                    .collect();
                let readers: Vec<_> = readers
                    .iter_mut()
                    .map(|wire| {
                        scope.spawn(|| {
                            let reply = wire.ask("MGET key other:1 other:2 other:3 other:4");
                            let at = Instant::now();
                            match &reply.elements().expect("an array")[0] {
                                Value::Null(_) => (0, at),
                                value => {
                                    let text = String::from_utf8_lossy(value.text()).into_owned();
                                    (text.parse().expect("a number"), at)
                                }
                            }
                        })
                    })
                    .collect();
                (
                    writers
                        .into_iter()
                        .map(|it| it.join().expect("a writer"))
                        .collect(),
                    readers
                        .into_iter()
                        .map(|it| it.join().expect("a reader"))
                        .collect(),
                )
            });
        disk.work();
        for (value, at) in shown.into_iter().filter(|it| it.0 > 0) {
            let early = answered[value - 1].saturating_duration_since(at);
            assert!(
                early < SYNC / 2,
                "{value} was shown {early:?} early, with {shards} shards"
            );
        }
    }
}

/// What WAITAOF has told of is safe under `everysec`, too, whatever transactions others are at on
/// the same shards.
#[test]
fn what_waitaof_has_told_of_is_safe() {
    const CLIENTS: usize = 3;
    let mut rng = Rng::new();
    for shards in [1, 2, 4, 4] {
        let disk = Disk::new();
        let flags = "--appendonly yes --appendfsync everysec";
        let options = Options::shards(shards).flags(flags).disk(&disk);
        let mut server = Server::start(options.clone());
        let mut wires: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        let mut safe = 0;
        std::thread::scope(|scope| {
            for (client, wire) in wires.iter_mut().enumerate() {
                scope.spawn(move || {
                    for n in 0.. {
                        let set = format!("MSET a:{client}:{n} 1 b:{client}:{n} 2\r\n");
                        let sent = wire.try_send(set.as_bytes());
                        if sent.is_err() || !matches!(wire.try_reply(), Ok(Some(_))) {
                            return;
                        }
                    }
                });
            }
            let mut wire = server.connect();
            for round in 0..2 {
                for n in 0..20 {
                    wire.ask(&format!("SET key:{round}:{n} x"));
                    wire.ask(&format!("MSET c:{round}:{n} 1 d:{round}:{n} 2"));
                }
                let told = wire.ask("WAITAOF 1 0 0").elements().expect("two numbers");
                assert_eq!(told[0].integer(), 1, "{shards} shards");
                safe = round + 1;
            }
            server.signal("KILL");
        });
        server.until_gone();
        disk.lose_power(server.directory(), &mut rng);
        disk.begin(server.directory());
        server.restart_with(options);
        let mut wire = server.connect();
        for round in 0..safe {
            for n in 0..20 {
                let keys = format!("key:{round}:{n} c:{round}:{n} d:{round}:{n}");
                let there = wire.ask(&format!("EXISTS {keys}"));
                assert_eq!(there.integer(), 3, "{n} of round {round}, {shards} shards");
            }
        }
    }
}
