//! `maxmemory`: memory stays within bounds, only what may go goes, and what is used stays.

use std::time::Duration;

use tests::reply::Value;
use tests::server::eventually;
use tests::wire::encode;
use tests::{Options, SHARDS, Server, Wire};

/// What the data may take above what an empty server does.
const DATA_BYTES_MAX: u64 = 3 << 20;

/// What memory may exceed its limit by: what other shards have not said yet, what they owe, and the
/// buffers of this test's connections.
const EXCESS_BYTES_MAX: u64 = 1 << 20;

/// A value, so that some 3,000 keys fill the room.
const VALUE_BYTES: usize = 1000;

/// Commands of a pipeline.
const PIPELINE: usize = 100;

const EVICTION_TIME_MAX: Duration = Duration::from_secs(10);

fn used(wire: &mut Wire) -> u64 {
    wire.info("memory").number::<u64>("used_memory")
}

/// Sends all commands, some at a time. Returns how many were answered with an error, which must be
/// OOM.
fn run(wire: &mut Wire, commands: impl Iterator<Item = Vec<String>>) -> usize {
    let mut refused = 0;
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let mut pipeline = Vec::new();
        let mut count = 0;
        for command in commands.by_ref().take(PIPELINE) {
            encode(&command, &mut pipeline);
            count += 1;
        }
        wire.send(&pipeline);
        for _ in 0..count {
            let reply = wire.reply();
            if reply.starts_with(b"-") {
                assert!(
                    reply.starts_with(b"-OOM "),
                    "{}",
                    tests::reply::show(&reply)
                );
                refused += 1;
            }
        }
    }
    refused
}

/// The same where all keys are one shard's: asks all shards in between, since those that owe
/// evictions may have lost their cores.
fn run_on_one_shard(wire: &mut Wire, commands: impl Iterator<Item = Vec<String>>) -> usize {
    let mut commands = commands.peekable();
    let mut refused = 0;
    while commands.peek().is_some() {
        refused += run(wire, commands.by_ref().take(PIPELINE));
        used(wire);
    }
    refused
}

/// `SET prefix:n value`, with further words.
fn sets(prefix: &str, count: usize, rest: &str) -> impl Iterator<Item = Vec<String>> {
    let value = "v".repeat(VALUE_BYTES);
    let (prefix, rest) = (prefix.to_owned(), rest.to_owned());
    (0..count).map(move |number| {
        let mut words = vec!["SET".into(), format!("{prefix}:{number}"), value.clone()];
        words.extend(rest.split_whitespace().map(str::to_owned));
        words
    })
}

fn gets(prefix: &str, count: usize) -> impl Iterator<Item = Vec<String>> {
    let prefix = prefix.to_owned();
    (0..count).map(move |number| vec!["GET".into(), format!("{prefix}:{number}")])
}

/// How many of the keys are there.
fn existing(wire: &mut Wire, prefix: &str, count: usize) -> usize {
    (0..count)
        .filter(|number| wire.ask(&format!("EXISTS {prefix}:{number}")).integer() == 1)
        .count()
}

/// A server with room for [`DATA_BYTES_MAX`], and its limit.
fn limited(shards: u16, policy: &str) -> (Server, Wire, u64) {
    let server = Server::start(Options::shards(shards));
    let mut wire = server.connect();
    let limit = used(&mut wire) + DATA_BYTES_MAX;
    let set = format!("CONFIG SET maxmemory {limit} maxmemory-policy {policy}");
    assert_eq!(wire.ask(&set).text(), b"OK");
    (server, wire, limit)
}

#[test]
fn every_policy_keeps_memory_within_bounds() {
    const WRITTEN: usize = 30_000;
    const ROUNDS: usize = 10;
    const SPARED: usize = 200;
    for shards in SHARDS {
        let (_server, mut wire, limit) = limited(shards, "noeviction");
        for policy in [
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
        ] {
            wire.ask("FLUSHALL");
            // What was flushed is freed on a thread of its own.
            eventually("the keys are freed", EVICTION_TIME_MAX, || {
                used(&mut wire) < limit - DATA_BYTES_MAX / 2
            });
            wire.ask(&format!("CONFIG SET maxmemory-policy {policy}"));
            let before = wire.info("stats").number::<u64>("evicted_keys");
            let volatile = policy.starts_with("volatile");
            let expiry = if volatile { "EX 1000" } else { "" };
            assert_eq!(run(&mut wire, sets("spared", SPARED, "")), 0);
            for round in 0..ROUNDS {
                let prefix = format!("{round}");
                let refused = run(&mut wire, sets(&prefix, WRITTEN / ROUNDS, expiry));
                assert_eq!(refused, 0, "{policy}, {shards} shards");
                let used = used(&mut wire);
                assert!(
                    used < limit + EXCESS_BYTES_MAX,
                    "{policy}, {shards} shards: {used} of {limit}"
                );
            }
            // Shards may still owe one another some.
            let mut left = 0;
            eventually("all keys are accounted for", EVICTION_TIME_MAX, || {
                let evicted = wire.info("stats").number::<u64>("evicted_keys") - before;
                left = wire.ask("DBSIZE").integer();
                evicted as i64 + left == (WRITTEN + SPARED) as i64
            });
            // Not more went than had to.
            assert!(left > 1000, "{policy}, {shards} shards: {left} keys left");
            if volatile {
                let spared = existing(&mut wire, "spared", SPARED);
                assert_eq!(spared, SPARED, "{policy}, {shards} shards");
            }
        }
    }
}

#[test]
fn without_eviction_writes_are_refused_and_all_else_goes_on() {
    for shards in SHARDS {
        let (_server, mut wire, _) = limited(shards, "noeviction");
        let refused = run(&mut wire, sets("key", 5000, ""));
        assert!(refused > 1000, "{shards} shards: {refused} refused");
        let left = wire.ask("DBSIZE").integer();
        assert_eq!(left as usize + refused, 5000);
        assert_eq!(wire.info("stats").number::<u64>("evicted_keys"), 0);
        assert_eq!(wire.ask("GET key:0").text().len(), VALUE_BYTES);
        assert_eq!(wire.ask("EXPIRE key:0 1000").integer(), 1);
        assert!(wire.ask("MSET a 1 b 2 c 3").is_error());
        for number in 0..1000 {
            assert_eq!(wire.ask(&format!("DEL key:{number}")).integer(), 1);
        }
        assert_eq!(wire.ask("MSET a 1 b 2 c 3").text(), b"OK");
    }
}

#[test]
fn a_shard_without_a_victim_has_others_evict() {
    for shards in SHARDS {
        let (_server, mut wire, limit) = limited(shards, "volatile-lru");
        assert_eq!(run(&mut wire, sets("goes", 2500, "EX 1000")), 0);
        // All of these are on one shard.
        assert_eq!(
            run_on_one_shard(&mut wire, sets("{stays}", 2000, "")),
            0,
            "{shards} shards"
        );
        eventually("memory is below the limit", EVICTION_TIME_MAX, || {
            used(&mut wire) < limit + EXCESS_BYTES_MAX
        });
        assert_eq!(existing(&mut wire, "{stays}", 2000), 2000);
        // And when nothing is left to evict anywhere, writes are refused.
        let refused = run_on_one_shard(&mut wire, sets("{stays}", 6000, ""));
        assert!(
            refused > 2000,
            "{shards} shards: {refused} refused, {} of {limit}, {} keys, {} evicted",
            used(&mut wire),
            wire.ask("DBSIZE").integer(),
            wire.info("stats").number::<u64>("evicted_keys")
        );
        assert_eq!(existing(&mut wire, "goes", 2500), 0);
        assert_eq!(existing(&mut wire, "{stays}", 2000), 2000);
    }
}

/// A shard in the middle of a long command owes what another writes, but not without bound.
#[test]
fn memory_is_bounded_while_a_shard_does_not_come_to_evict() {
    const WRITERS: usize = 4;
    const WRITTEN: usize = 2000;
    const SORTED: usize = 400_000;
    let server = Server::start(Options::shards(2));
    let mut busy = server.connect();
    // "foo" is in slot 12182, "bar" in 5061.
    busy.fill_list("{foo}", SORTED);
    let mut writers: Vec<Wire> = (0..WRITERS).map(|_| server.connect()).collect();
    assert_eq!(run(&mut writers[0], sets("{foo}", 500, "EX 1000")), 0);
    let room = 1 << 20;
    let limit = used(&mut writers[0]) + room;
    writers[0].ask(&format!(
        "CONFIG SET maxmemory {limit} maxmemory-policy volatile-lru"
    ));
    busy.send(b"SORT {foo} ALPHA\r\n");
    let refused = std::thread::scope(|scope| {
        let write = |(index, wire)| {
            let prefix = format!("{{bar}}{index}");
            scope.spawn(move || run(wire, sets(&prefix, WRITTEN, "")))
        };
        let writing: Vec<_> = writers.iter_mut().enumerate().map(write).collect();
        let joined = writing.into_iter().map(|it| it.join().expect("a writer"));
        joined.sum::<usize>()
    });
    busy.reply();
    let taken = ((WRITERS * WRITTEN - refused) * VALUE_BYTES) as u64;
    let may_go = 500 * VALUE_BYTES as u64;
    let bound = room + may_go + (limit / 16).max(512 * 1024) + EXCESS_BYTES_MAX;
    assert!(taken < bound, "{taken} bytes taken where {bound} may be");
}

#[test]
fn what_was_used_of_late_stays() {
    for shards in SHARDS {
        let (_server, mut wire, limit) = limited(shards, "allkeys-lru");
        // Enough that some hundred kilobytes more or less, which shards do not know of one another,
        // leave most of what is cold.
        wire.ask(&format!("CONFIG SET maxmemory {}", limit + (9 << 20)));
        run(&mut wire, sets("hot", 300, ""));
        run(&mut wire, sets("cold", 10_000, ""));
        // The clock of LRU counts seconds.
        std::thread::sleep(Duration::from_millis(2100));
        run(&mut wire, gets("hot", 300));
        run(&mut wire, sets("new", 3000, ""));
        let evicted = wire.info("stats").number::<u64>("evicted_keys");
        assert!(evicted > 500, "{shards} shards: {evicted} evicted");
        let hot = existing(&mut wire, "hot", 300);
        assert!(hot > 285, "{shards} shards: {hot} of 300 are left");
    }
}

#[test]
fn what_is_used_often_stays() {
    for shards in SHARDS {
        let (_server, mut wire, _) = limited(shards, "allkeys-lfu");
        run(&mut wire, sets("hot", 300, ""));
        for _ in 0..60 {
            run(&mut wire, gets("hot", 300));
        }
        run(&mut wire, sets("cold", 10_000, ""));
        let hot = existing(&mut wire, "hot", 300);
        assert!(hot > 285, "{shards} shards: {hot} of 300 are left");
    }
}

#[test]
fn what_lives_longest_stays() {
    for shards in SHARDS {
        let (_server, mut wire, _) = limited(shards, "volatile-ttl");
        run(&mut wire, sets("long", 300, "EX 100000"));
        run(&mut wire, sets("short", 10_000, "EX 1000"));
        let long = existing(&mut wire, "long", 300);
        assert!(long > 285, "{shards} shards: {long} of 300 are left");
    }
}

#[test]
fn a_lower_limit_is_met_without_a_command() {
    for shards in SHARDS {
        let (_server, mut wire, limit) = limited(shards, "allkeys-random");
        run(&mut wire, sets("key", 2500, ""));
        let lower = limit - (DATA_BYTES_MAX / 2);
        wire.ask(&format!("CONFIG SET maxmemory {lower}"));
        eventually("memory is below the limit", EVICTION_TIME_MAX, || {
            used(&mut wire) <= lower + EXCESS_BYTES_MAX / 4
        });
        assert!(wire.ask("DBSIZE").integer() > 500);
    }
}

#[test]
fn nothing_is_evicted_while_clients_are_paused() {
    for shards in SHARDS {
        let (_server, mut wire, _) = limited(shards, "allkeys-lru");
        wire.ask("CONFIG SET maxmemory 0");
        run(&mut wire, sets("key", 5000, ""));
        wire.ask("CLIENT PAUSE 100000 WRITE");
        wire.ask("CONFIG SET maxmemory 1mb");
        // Reads ask for room on every shard, and find all keys.
        let found = existing(&mut wire, "key", 5000);
        run(&mut wire, gets("key", 5000));
        assert_eq!(
            (found, wire.figure("evicted_keys")),
            (5000, 0),
            "{shards} shards"
        );
        wire.ask("CLIENT UNPAUSE");
        eventually("keys are evicted", EVICTION_TIME_MAX, || {
            wire.figure("evicted_keys") > 0
        });
    }
}

#[test]
fn big_values_that_are_freed_later_count_as_freed() {
    for shards in SHARDS {
        let (_server, mut wire, limit) = limited(shards, "allkeys-random");
        wire.ask("CONFIG SET lazyfree-lazy-eviction yes");
        let members: Vec<String> = (0..1000)
            .map(|number| format!("member number {number}"))
            .collect();
        for number in 0..200 {
            let mut words = vec!["SADD".to_owned(), format!("set:{number}")];
            words.extend(members.iter().cloned());
            assert_eq!(wire.command(&words).integer(), 1000);
        }
        let left = wire.ask("DBSIZE").integer();
        assert!(left > 10, "{shards} shards: {left} keys left");
        eventually("memory is below the limit", EVICTION_TIME_MAX, || {
            used(&mut wire) <= limit + EXCESS_BYTES_MAX
        });
    }
}

#[test]
fn a_watched_key_that_is_evicted_stops_the_transaction() {
    const WATCHED: usize = 60;
    for shards in SHARDS {
        let (server, mut wire, _) = limited(shards, "allkeys-random");
        run(&mut wire, sets("watched", WATCHED, ""));
        let mut watchers: Vec<Wire> = (0..WATCHED).map(|_| server.connect()).collect();
        for (number, watcher) in watchers.iter_mut().enumerate() {
            watcher.ask(&format!("WATCH watched:{number}"));
        }
        // More than there is room for, so that about half of all go.
        run(&mut wire, sets("key", 5000, ""));
        let mut stopped = 0;
        for (number, watcher) in watchers.iter_mut().enumerate() {
            let look = format!("EXISTS watched:{number}");
            watcher.ask("MULTI");
            watcher.ask(&look);
            match watcher.ask("EXEC") {
                Value::Null(_) => {
                    stopped += 1;
                    let exists = wire.ask(&look).integer();
                    assert_eq!(exists, 0, "{shards} shards: watched:{number}");
                }
                done => assert_eq!(done, Value::Array(vec![Value::Integer(1)])),
            }
        }
        assert!(
            (1..WATCHED).contains(&stopped),
            "{shards} shards: {stopped} of {WATCHED} were stopped"
        );
    }
}
