//! INFO.

use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::TIME_MAX;

/// What Redis 8.2 shows that 7.4 does not, with its section.
const SINCE_8: &[(&str, &str)] = &[
    ("Memory", "used_memory_peak_time"),
    ("Memory", "mem_replica_full_sync_buffer"),
    ("Threads", "io_thread_0"),
    ("Stats", "io_threaded_total_prefetch_batches"),
    ("Stats", "io_threaded_total_prefetch_entries"),
];

/// The names of the sections, and each field's section and name.
fn fields(wire: &mut Wire) -> (Vec<String>, Vec<(String, String)>) {
    let info = wire.info("everything");
    let sections = info.sections().into_iter().map(String::from).collect();
    let fields = info.fields();
    let names = fields.map(|(section, name, _)| (section.to_owned(), name.to_owned()));
    (sections, names.collect())
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
                wire.info("persistence").text("aof_rewrite_in_progress") == "0"
            });
        }
        let (mut sections, mut expected) = fields(&mut theirs);
        let (our_sections, found) = fields(&mut ours);
        if !sections.iter().any(|section| section == "Threads") {
            let before = sections.iter().position(|section| section == "Stats");
            sections.insert(before.expect("statistics"), "Threads".to_owned());
        }
        assert_eq!(our_sections, sections, "{shards} shards");
        let newer = SINCE_8.iter();
        expected.extend(newer.map(|(section, name)| (section.to_string(), name.to_string())));
        for field in &expected {
            assert!(found.contains(field), "{shards} shards: {field:?}");
        }
    }
}

/// What was measured is not made up: it is there once there is something to measure.
#[test]
fn what_tools_look_at_means_something() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut control, mut reader) = (server.connect(), server.connect());
        let before = control.info("stats");
        for at in 0..500 {
            control.ask(&format!("SET key:{at} x"));
        }
        control.ask("RESTORE restored 0 \x00");
        let after = control.info("stats");
        for name in ["eventloop_cycles", "eventloop_duration_sum"] {
            let grown = after.number::<f64>(name) - before.number::<f64>(name);
            assert!(grown > 0.0, "{shards} shards: {name}");
        }
        let commands_us = after.number::<f64>("eventloop_duration_cmd_sum");
        let commands = control.info("commandstats");
        let calls = commands.text("cmdstat_set");
        assert!(calls.starts_with("calls=500,"), "{calls}");
        assert!(commands_us > 0.0, "{shards} shards");
        control.ask("GET key:1");
        eventually("the loop's rates", TIME_MAX, || {
            (0..50).for_each(|_| drop(control.ask("GET key:1")));
            let stats = control.info("stats");
            stats.number::<f64>("instantaneous_eventloop_cycles_per_sec") > 0.0
                && stats.number::<f64>("instantaneous_eventloop_duration_usec") > 0.0
        });
        let cpu = control.info("cpu");
        let of_shards = cpu.number::<f64>("used_cpu_sys_main_thread")
            + cpu.number::<f64>("used_cpu_user_main_thread");
        let of_process = cpu.number::<f64>("used_cpu_sys") + cpu.number::<f64>("used_cpu_user");
        // Each is a sum of hundredths that were cut off, and the process goes on meanwhile.
        assert!(of_shards <= of_process + 1.0, "{of_shards} {of_process}");
        let threads = control.info("threads");
        assert_eq!(threads.fields().count(), usize::from(shards));
        let clients: u64 = threads
            .fields()
            .filter_map(|(_, _, line)| line.split(',').next()?.strip_prefix("clients="))
            .map(|clients| clients.parse::<u64>().expect("a number"))
            .sum();
        assert_eq!(clients, 2, "{threads:?}");
        control.ask("XGROUP CREATE stream group $ MKSTREAM");
        reader.send(b"XREADGROUP GROUP group me BLOCK 0 STREAMS stream >\r\n");
        eventually("a reader waits", TIME_MAX, || {
            control.blocked_clients() == 1
        });
        let clients = control.info("clients");
        assert_eq!(clients.text("total_blocking_keys"), "1");
        assert_eq!(clients.text("total_blocking_keys_on_nokey"), "1");
        let memory = control.info("memory");
        let memory = |name: &str| memory.number::<f64>(name);
        assert!(memory("allocator_resident") <= memory("used_memory_rss"));
        assert!(memory("allocator_resident") > 0.0);
        let started = control.info("server").number::<f64>("server_time_usec") / 1e6;
        assert!((started - memory("used_memory_peak_time")).abs() < 3600.0);
    }
}

#[test]
fn time_beyond_the_limit_is_told() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        let times = |control: &mut Wire| {
            let stats = control.info("stats");
            let total = stats.number::<u64>("total_eviction_exceeded_time");
            (total, stats.number::<u64>("current_eviction_exceeded_time"))
        };
        assert_eq!(times(&mut control), (0, 0));
        control.ask("CONFIG SET maxmemory 1");
        assert!(control.ask("SET a 1").is_error());
        eventually("time passes", TIME_MAX, || {
            let (total, current) = times(&mut control);
            current > 0 && total >= current
        });
        control.ask("CONFIG SET maxmemory 0");
        eventually("it is over", TIME_MAX, || {
            let (total, current) = times(&mut control);
            current == 0 && total > 0
        });
        control.ask("CONFIG RESETSTAT");
        assert_eq!(times(&mut control), (0, 0));
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
        let keyspace = wire.info("keyspace");
        let line = keyspace.text("db0");
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
            let latencies = wire.info("latencystats");
            let line = latencies.text("latency_percentiles_usec_ping");
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
        eventually("a client waits", TIME_MAX, || {
            control.blocked_clients() == 1
        });
        let clients = control.info("clients");
        for (name, value) in [
            ("blocked_clients", "1"),
            ("pubsub_clients", "1"),
            ("watching_clients", "1"),
            ("total_watched_keys", "2"),
            ("total_blocking_keys", "1"),
            ("clients_in_timeout_table", "1"),
        ] {
            assert_eq!(clients.text(name), value, "{shards} shards: {name}");
        }
        let before = control.info("stats");
        assert_eq!(before.text("pubsub_channels"), "1");
        assert_eq!(before.text("pubsub_patterns"), "1");
        assert_eq!(before.text("pubsubshard_channels"), "1");
        let value = "x".repeat(10_000);
        for _ in 0..100 {
            control.command(&["SET", "a", &value]);
            control.ask("GET a");
        }
        let after = control.info("stats");
        for name in ["total_net_input_bytes", "total_net_output_bytes"] {
            let moved = after.number::<u64>(name) - before.number::<u64>(name);
            assert!((1_000_000..1_100_000).contains(&moved), "{name}: {moved}");
        }
        eventually("the rates rise", TIME_MAX, || {
            (0..50).for_each(|_| drop(control.ask("GET a")));
            let stats = control.info("stats");
            let kbps = stats.number::<f64>("instantaneous_output_kbps");
            stats.number::<u64>("instantaneous_ops_per_sec") > 10 && kbps > 100.0
        });
        let memory = control.info("memory");
        let memory = |name: &str| memory.number::<u64>(name);
        assert_eq!(
            memory("used_memory"),
            memory("used_memory_overhead") + memory("used_memory_dataset")
        );
        assert!(memory("used_memory_startup") > 0);
        assert!(memory("mem_clients_normal") > 0);
    }
}
