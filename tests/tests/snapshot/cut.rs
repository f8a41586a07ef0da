//! A snapshot is of one instant over all shards, whatever goes on meanwhile, and it is there once
//! it is said to be.
//!
//! Writers keep up what can only be seen whole or in order; snapshots are written again and again
//! until the server is killed, often within one. What the file holds is then held against what the
//! writers know.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tests::reply::Value;
use tests::{Options, SHARDS, Server, Wire};

use crate::{fill as ballast, snapshot_done};

/// Snapshots that come to their end before the server is killed.
const SAVES: usize = 3;

/// Kills, each followed by a start with another number of shards.
const KILLS: usize = 3;

/// Keys that are only there to give a snapshot something to do.
const BALLAST: usize = 30_000;

const ACCOUNTS: i64 = 40;
const DEPOSIT: i64 = 1_000;

/// Spread over all shards.
const TOGETHER: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// Elements after which the collections begin anew.
const ELEMENTS_MAX: i64 = 3_000;

/// How far the writers are: what has been answered to them.
#[derive(Default)]
struct Progress {
    together: AtomicI64,
    counters: AtomicI64,
    in_order: AtomicI64,
    over: AtomicBool,
}

impl Progress {
    fn seen(&self) -> [i64; 3] {
        [&self.together, &self.counters, &self.in_order].map(|it| it.load(Ordering::SeqCst))
    }
}

/// A connection to a server that may be killed.
struct Writer<'a> {
    wire: Wire,
    progress: &'a Progress,
}

impl Writer<'_> {
    /// Sends commands, and returns whether all were answered. `false` is the end of the server.
    fn all(&mut self, commands: &[&str]) -> bool {
        if self.progress.over.load(Ordering::Relaxed) {
            return false;
        }
        let lines: String = commands.iter().map(|line| format!("{line}\r\n")).collect();
        if self.wire.try_send(lines.as_bytes()).is_err() {
            return false;
        }
        for command in commands {
            match self.wire.try_reply() {
                Ok(Some(reply)) => {
                    let reply = Value::parse(&reply);
                    assert!(!reply.is_error(), "{command}: {reply:?}");
                }
                _ => return false,
            }
        }
        true
    }
}

fn together(value: i64) -> String {
    let pairs: Vec<String> = TOGETHER
        .iter()
        .map(|key| format!("{key} {value}"))
        .collect();
    format!("MSET {}", pairs.join(" "))
}

/// One command for keys of all shards.
fn write_together(writer: &mut Writer<'_>, at: i64) {
    for number in at + 1.. {
        if !writer.all(&[&together(number)]) {
            return;
        }
        writer.progress.together.store(number, Ordering::SeqCst);
    }
}

/// Two counters in one transaction.
fn write_counters(writer: &mut Writer<'_>, at: i64) {
    for number in at + 1.. {
        if !writer.all(&["MULTI", "INCR counter:one", "INCR counter:two", "EXEC"]) {
            return;
        }
        writer.progress.counters.store(number, Ordering::SeqCst);
    }
}

/// Two keys one after the other: the second is never ahead.
fn write_in_order(writer: &mut Writer<'_>, at: i64) {
    for number in at + 1.. {
        let (first, second) = (
            format!("SET first {number}"),
            format!("SET second {number}"),
        );
        if !writer.all(&[&first]) || !writer.all(&[&second]) {
            return;
        }
        writer.progress.in_order.store(number, Ordering::SeqCst);
    }
}

/// Money that goes from account to account.
fn write_transfers(writer: &mut Writer<'_>, random: &mut Rng) {
    loop {
        let (from, to, sum) = (
            random.i64(0..ACCOUNTS),
            random.i64(0..ACCOUNTS),
            random.i64(1..50),
        );
        let debit = format!("DECRBY account:{from} {sum}");
        let credit = format!("INCRBY account:{to} {sum}");
        if !writer.all(&["MULTI", &debit, &credit, "EXEC"]) {
            return;
        }
    }
}

/// Collections changed in place, of the same number of elements, which go now and then.
fn write_collections(writer: &mut Writer<'_>) {
    for number in 0.. {
        let commands = match number % ELEMENTS_MAX {
            0 => vec!["DEL list hash set zset stream".to_owned()],
            _ => vec![
                "MULTI".to_owned(),
                format!("RPUSH list {number}"),
                format!("HSET hash {number} {number}"),
                format!("SADD set {number}"),
                format!("ZADD zset {number} {number}"),
                format!("XADD stream * n {number}"),
                "EXEC".to_owned(),
            ],
        };
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        if !writer.all(&commands) {
            return;
        }
    }
}

/// Other databases, filled and emptied and swapped, which takes locks on whole shards.
fn write_databases(writer: &mut Writer<'_>) {
    if !writer.all(&["SELECT 1"]) {
        return;
    }
    for number in 0.. {
        let fill = together(number);
        let gone = match number % 3 {
            0 => "FLUSHDB",
            1 => "FLUSHDB ASYNC",
            _ => "DBSIZE",
        };
        let in_transaction = format!("SET whole {number}");
        let commands = [
            fill.as_str(),
            "SWAPDB 1 2",
            gone,
            "MULTI",
            "SELECT 3",
            "FLUSHDB",
            &in_transaction,
            "DBSIZE",
            "SELECT 1",
            "EXEC",
        ];
        if !writer.all(&commands) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn begin(wire: &mut Wire) {
    ballast(wire, BALLAST);
    for account in 0..ACCOUNTS {
        wire.ask(&format!("SET account:{account} {DEPOSIT}"));
    }
    for key in ["counter:one", "counter:two", "first", "second"] {
        wire.ask(&format!("SET {key} 0"));
    }
    wire.ask(&together(0));
}

fn number(wire: &mut Wire, key: &str) -> i64 {
    wire.ask(&format!("GET {key}")).integer()
}

/// Holds what was loaded against what must be: each figure between what was answered before the
/// last good snapshot began and what was answered at all. Returns the figures.
fn check(wire: &mut Wire, least: [i64; 3], most: [i64; 3]) -> [i64; 3] {
    let all = TOGETHER.map(|key| number(wire, key));
    assert!(all.iter().all(|it| *it == all[0]), "half an MSET: {all:?}");
    let counters = [number(wire, "counter:one"), number(wire, "counter:two")];
    assert_eq!(counters[0], counters[1], "half a transaction");
    let (first, second) = (number(wire, "first"), number(wire, "second"));
    assert!(
        first == second || first == second + 1,
        "first {first}, then {second}"
    );
    let seen = [all[0], counters[0], second];
    for ((seen, least), most) in seen.into_iter().zip(least).zip(most) {
        assert!(seen >= least, "{seen} was loaded, {least} had been saved");
        // One command may have been carried out and not answered.
        assert!(
            seen <= most + 1,
            "{seen} was loaded, {most} had been written"
        );
    }
    let money: i64 = (0..ACCOUNTS)
        .map(|n| number(wire, &format!("account:{n}")))
        .sum();
    assert_eq!(money, ACCOUNTS * DEPOSIT, "money was made or lost");
    let counts = [
        "LLEN list",
        "HLEN hash",
        "SCARD set",
        "ZCARD zset",
        "XLEN stream",
    ]
    .map(|words| wire.ask(words).integer());
    assert!(
        counts.iter().all(|it| *it == counts[0]),
        "half a transaction: {counts:?}"
    );
    for database in [1, 2] {
        wire.ask(&format!("SELECT {database}"));
        let size = wire.ask("DBSIZE").integer();
        assert!(
            size == 0 || size == TOGETHER.len() as i64,
            "database {database}: {size} keys"
        );
        let values = TOGETHER.map(|key| wire.ask(&format!("GET {key}")));
        assert!(
            values.iter().all(|it| *it == values[0]),
            "database {database}: {values:?}"
        );
    }
    wire.ask("SELECT 3");
    assert!(
        wire.ask("DBSIZE").integer() <= 1,
        "half an EXEC with FLUSHDB"
    );
    wire.ask("SELECT 0");
    assert_eq!(
        number(wire, &format!("key:{}", BALLAST - 1)),
        BALLAST as i64 - 1
    );
    seen
}

/// Writes and saves until the server is killed; returns what was answered before the last good
/// snapshot began, and at all.
fn run_until_killed(server: &mut Server, from: [i64; 3], random: &mut Rng) -> [[i64; 3]; 2] {
    let progress = Progress::default();
    let counters = [&progress.together, &progress.counters, &progress.in_order];
    for (counter, from) in counters.into_iter().zip(from) {
        counter.store(from, Ordering::SeqCst);
    }
    let mut saved = from;
    std::thread::scope(|scope| {
        let writer = || Writer {
            wire: server.connect(),
            progress: &progress,
        };
        let mut writers = [(); 6].map(|()| Some(writer()));
        let mut next = writers.iter_mut().filter_map(Option::take);
        let mut take = || next.next().expect("as many as are taken");
        let (mut a, mut b, mut c) = (take(), take(), take());
        let (mut d, mut e, mut f) = (take(), take(), take());
        let mut transfers = random.fork();
        scope.spawn(move || write_together(&mut a, from[0]));
        scope.spawn(move || write_counters(&mut b, from[1]));
        scope.spawn(move || write_in_order(&mut c, from[2]));
        scope.spawn(move || write_transfers(&mut d, &mut transfers));
        scope.spawn(move || write_collections(&mut e));
        scope.spawn(move || write_databases(&mut f));

        let mut wire = server.connect();
        for _ in 0..SAVES {
            let before = progress.seen();
            let saves = wire.info("persistence").number::<i64>("rdb_saves");
            let reply = wire.ask("BGSAVE");
            assert_eq!(reply, Value::Simple(b"Background saving started".to_vec()));
            snapshot_done(&mut wire);
            assert_eq!(
                wire.info("persistence").number::<i64>("rdb_saves"),
                saves + 1
            );
            saved = before;
        }
        wire.ask("BGSAVE");
        std::thread::sleep(Duration::from_millis(random.u64(..25)));
        server.signal("KILL");
        server.until_gone();
        progress.over.store(true, Ordering::Relaxed);
    });
    [saved, progress.seen()]
}

#[test]
fn what_is_loaded_is_of_one_instant() {
    let mut random = Rng::with_seed(7);
    let mut shards = SHARDS.into_iter().cycle();
    for _ in 0..3 {
        let first = shards.next().expect("an endless list");
        let mut server = Server::start(Options::shards(first));
        begin(&mut server.connect());
        server.connect().ask("SAVE");
        let mut at = [0; 3];
        for _ in 0..KILLS {
            let [least, most] = run_until_killed(&mut server, at, &mut random);
            let next = shards.next().expect("an endless list");
            server.restart_with(Options::shards(next));
            at = check(&mut server.connect(), least, most);
            // What had been begun and not ended when the snapshot was made.
            server.connect().ask(&format!("SET first {}", at[2]));
            assert!(at[0] > 0 && at[1] > 0 && at[2] > 0, "nobody wrote: {at:?}");
        }
    }
}
