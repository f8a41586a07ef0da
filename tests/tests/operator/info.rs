//! INFO.

use tests::server::eventually;
use tests::{Options, Oracle, Server, Wire};

use crate::pause::blocked;
use crate::{SHARDS, TIME_MAX};

/// A section of INFO as names and values.
fn info(wire: &mut Wire, section: &str) -> std::collections::BTreeMap<String, String> {
    let value = wire.ask(&format!("INFO {section}"));
    let text = String::from_utf8_lossy(value.text()).into_owned();
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim_end().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// Fields of Redis's INFO about what there is none of here, and which tools were not seen to look for.
const NOT_SHOWN: &[&str] = &[
    "acl_",
    "active_defrag_hits",
    "active_defrag_key",
    "active_defrag_misses",
    "allocator_",
    "current_active_defrag",
    "current_eviction",
    "dump_payload",
    "eventloop_",
    "evicted_scripts",
    "expire_cycle",
    "expired_stale",
    "expired_time",
    "instantaneous_eventloop",
    "io_threaded",
    "mem_aof",
    "mem_cluster",
    "mem_not_counted",
    "mem_overhead",
    "mem_replication",
    "mem_total_replication",
    "migrate_cached",
    "number_of_",
    "reply_buffer",
    "rss_overhead",
    "slave_expires",
    "total_active_defrag",
    "total_blocking_keys_on_nokey",
    "total_eviction",
    "used_memory_functions",
    "used_memory_lua",
    "used_memory_scripts",
    "used_memory_vm",
];

#[test]
fn info_has_the_fields_of_redis() {
    let oracle = Oracle::start();
    let server = Server::start(Options::default());
    let (mut theirs, mut ours) = (oracle.connect(), server.connect());
    for section in ["clients", "memory", "stats"] {
        let known = info(&mut ours, section);
        for name in info(&mut theirs, section).keys() {
            let is_left_out = NOT_SHOWN.iter().any(|prefix| name.starts_with(prefix));
            assert!(is_left_out || known.contains_key(name), "{section}: {name}");
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
