//! INFO.

use tests::server::eventually;
use tests::{Options, Oracle, Server, Wire};

use crate::pause::blocked;
use crate::{SHARDS, TIME_MAX};

/// A section of INFO as names and values.
pub fn info(wire: &mut Wire, section: &str) -> std::collections::BTreeMap<String, String> {
    let value = wire.ask(&format!("INFO {section}"));
    let text = String::from_utf8_lossy(value.text()).into_owned();
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim_end().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// Fields of Redis's INFO that are not shown, by their beginning, and why.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("redis_build_id", "tells builds of Redis apart"),
    ("gcc_version", "there is no C compiler behind it"),
    ("atomicvar_api", "there is no C compiler behind it"),
    (
        "total_blocking_keys_on_nokey",
        "what waits for a group to go is not counted apart",
    ),
    ("allocator_muzzy", "jemalloc's alone"),
    (
        "allocator_rss",
        "mimalloc does not tell what of it is resident",
    ),
    ("used_memory_lua", "there are no scripts"),
    ("used_memory_vm", "there are no scripts"),
    ("used_memory_scripts", "there are no scripts"),
    ("used_memory_functions", "there are no functions"),
    ("number_of_", "there are no scripts and functions"),
    ("evicted_scripts", "there are no scripts"),
    (
        "mem_overhead_db_hashtable_rehashing",
        "tables grow by a segment at a time",
    ),
    (
        "aof_pending_bio_fsync",
        "each shard syncs a file of its own",
    ),
    ("aof_delayed_fsync", "no write waits for a sync"),
    ("current_fork_perc", "there is no fork"),
    (
        "current_save_keys",
        "the walk over the keys does not count them",
    ),
    (
        "expired_stale_perc",
        "expired keys are found by their deadlines, not by chance",
    ),
    ("total_eviction_exceeded_time", "not measured"),
    ("current_eviction_exceeded_time", "not measured"),
    ("dump_payload_sanitizations", "every payload is looked over"),
    ("reply_buffer_", "buffers of replies have no fixed size"),
    (
        "eventloop_",
        "shards sleep and wake instead: shard_sleeps, shard_wakes",
    ),
    ("instantaneous_eventloop", "shards sleep and wake instead"),
    ("used_cpu_sys_main_thread", "no thread is the main one"),
    ("used_cpu_user_main_thread", "no thread is the main one"),
];

/// The names of the sections, and each field's section and name.
fn fields(wire: &mut Wire) -> (Vec<String>, Vec<(String, String)>) {
    let text = wire.ask("INFO everything");
    let text = String::from_utf8_lossy(text.text()).into_owned();
    let (mut sections, mut fields) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("# ") {
            sections.push(section.to_owned());
        } else if let (Some((name, _)), Some(section)) = (line.split_once(':'), sections.last()) {
            fields.push((section.clone(), name.to_owned()));
        }
    }
    (sections, fields)
}

#[test]
fn info_has_the_fields_of_redis_in_its_order() {
    for shards in SHARDS {
        let (oracle, server) = (Oracle::start(), Server::start(Options::shards(shards)));
        let (mut theirs, mut ours) = (oracle.connect(), server.connect());
        for wire in [&mut theirs, &mut ours] {
            for command in [
                "CONFIG SET appendonly yes",
                "SET a 1 EX 100",
                "SELECT 3",
                "SET a 1",
                "LPUSH a x",
                "NONSENSE",
            ] {
                wire.ask(command);
            }
            // Until the log begins there is none; how long that takes is each server's own.
            eventually("the log is there", TIME_MAX, || {
                info(wire, "persistence")["aof_rewrite_in_progress"] == "0"
            });
        }
        let (sections, expected) = fields(&mut theirs);
        let (our_sections, found) = fields(&mut ours);
        assert_eq!(our_sections, sections, "{shards} shards");
        let is_left_out = |name: &str| NOT_SHOWN.iter().any(|(prefix, _)| name.starts_with(prefix));
        for field in &expected {
            assert!(is_left_out(&field.1) || found.contains(field), "{field:?}");
        }
        for (prefix, _) in NOT_SHOWN {
            let shown = |fields: &[(String, String)]| {
                fields.iter().any(|(_, name)| name.starts_with(prefix))
            };
            assert!(shown(&expected) && !shown(&found), "{prefix}");
        }
    }
}

#[test]
fn the_time_that_keys_have_left_is_a_mean() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for at in 0..300 {
            wire.ask(&format!(
                "SET key:{at} x PX {}",
                1_000_000 + (at % 2) * 200_000
            ));
            wire.ask(&format!("SET lasting:{at} x"));
        }
        let line = &info(&mut wire, "keyspace")["db0"];
        assert!(line.starts_with("keys=600,expires=300,avg_ttl="), "{line}");
        let fields = line.split(',');
        let mean = fields.filter_map(|it| it.strip_prefix("avg_ttl=")).next();
        let mean = mean.and_then(|it| it.parse::<u64>().ok());
        let mean = mean.expect("a mean");
        assert!((1_000_000..1_200_000).contains(&mean), "{mean}");
    }
}

#[test]
fn percentiles_are_those_asked_for() {
    let oracle = Oracle::start();
    let server = Server::start(Options::shards(2));
    for (asked, labels) in [
        ("0 50.5 100", "p0,p50.5,p100"),
        ("99.1234567", "p99.123457"),
        ("", ""),
    ] {
        for mut wire in [oracle.connect(), server.connect()] {
            wire.command(&["CONFIG", "SET", "latency-tracking-info-percentiles", asked]);
            wire.ask("PING");
            let line = &info(&mut wire, "latencystats")["latency_percentiles_usec_ping"];
            let shown: Vec<&str> = line
                .split(',')
                .filter_map(|it| it.split('=').next())
                .collect();
            assert_eq!(shown.join(","), labels);
        }
    }
}

#[test]
fn info_counts_what_there_is() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut control, mut waiter) = (server.connect(), server.connect());
        let (mut subscriber, mut watcher) = (server.connect(), server.connect());
        subscriber.ask("SUBSCRIBE a");
        subscriber.ask("PSUBSCRIBE b");
        subscriber.ask("SSUBSCRIBE c");
        watcher.ask("WATCH x");
        watcher.ask("WATCH y");
        waiter.send(b"BLPOP list 100\r\n");
        eventually("a client waits", TIME_MAX, || blocked(&mut control) == 1);
        let clients = info(&mut control, "clients");
        for (name, value) in [
            ("blocked_clients", "1"),
            ("pubsub_clients", "1"),
            ("watching_clients", "1"),
            ("total_watched_keys", "2"),
            ("total_blocking_keys", "1"),
            ("clients_in_timeout_table", "1"),
        ] {
            assert_eq!(clients[name], value, "{shards} shards: {name}");
        }
        let before = info(&mut control, "stats");
        assert_eq!(before["pubsub_channels"], "1");
        assert_eq!(before["pubsub_patterns"], "1");
        assert_eq!(before["pubsubshard_channels"], "1");
        let value = "x".repeat(10_000);
        for _ in 0..100 {
            control.command(&["SET", "a", &value]);
            control.ask("GET a");
        }
        let after = info(&mut control, "stats");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        for name in ["total_net_input_bytes", "total_net_output_bytes"] {
            let moved = number(&after[name]) - number(&before[name]);
            assert!((1_000_000..1_100_000).contains(&moved), "{name}: {moved}");
        }
        eventually("the rates rise", TIME_MAX, || {
            (0..50).for_each(|_| drop(control.ask("GET a")));
            let stats = info(&mut control, "stats");
            let kbps: f64 = stats["instantaneous_output_kbps"].parse().expect("a rate");
            number(&stats["instantaneous_ops_per_sec"]) > 10 && kbps > 100.0
        });
        let memory = info(&mut control, "memory");
        let memory = |name: &str| number(&memory[name]);
        assert_eq!(
            memory("used_memory"),
            memory("used_memory_overhead") + memory("used_memory_dataset")
        );
        assert!(memory("used_memory_startup") > 0);
        assert!(memory("mem_clients_normal") > 0);
    }
}
