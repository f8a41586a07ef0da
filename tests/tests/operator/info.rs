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
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let before = info(&mut control, "stats");
        for at in 0..500 {
            control.ask(&format!("SET key:{at} x"));
        }
        control.ask("RESTORE restored 0 \x00");
        let after = info(&mut control, "stats");
        for name in ["eventloop_cycles", "eventloop_duration_sum"] {
            let grown = number(&after[name]) - number(&before[name]);
            assert!(grown > 0.0, "{shards} shards: {name}");
        }
        let commands_us = number(&after["eventloop_duration_cmd_sum"]);
        let calls = info(&mut control, "commandstats")["cmdstat_set"].clone();
        assert!(calls.starts_with("calls=500,"), "{calls}");
        assert!(commands_us > 0.0, "{shards} shards");
        control.ask("GET key:1");
        eventually("the loop's rates", TIME_MAX, || {
            (0..50).for_each(|_| drop(control.ask("GET key:1")));
            let stats = info(&mut control, "stats");
            number(&stats["instantaneous_eventloop_cycles_per_sec"]) > 0.0
                && number(&stats["instantaneous_eventloop_duration_usec"]) > 0.0
        });
        let cpu = info(&mut control, "cpu");
        let of_shards =
            number(&cpu["used_cpu_sys_main_thread"]) + number(&cpu["used_cpu_user_main_thread"]);
        let of_process = number(&cpu["used_cpu_sys"]) + number(&cpu["used_cpu_user"]);
        // Each is a sum of hundredths that were cut off, and the process goes on meanwhile.
        assert!(of_shards <= of_process + 1.0, "{of_shards} {of_process}");
        let threads = info(&mut control, "threads");
        assert_eq!(threads.len(), usize::from(shards));
        let clients: u64 = threads
            .values()
            .filter_map(|line| line.split(',').next()?.strip_prefix("clients="))
            .map(|clients| clients.parse::<u64>().expect("a number"))
            .sum();
        assert_eq!(clients, 2, "{threads:?}");
        control.ask("XGROUP CREATE stream group $ MKSTREAM");
        reader.send(b"XREADGROUP GROUP group me BLOCK 0 STREAMS stream >\r\n");
        eventually("a reader waits", TIME_MAX, || blocked(&mut control) == 1);
        let clients = info(&mut control, "clients");
        assert_eq!(clients["total_blocking_keys"], "1");
        assert_eq!(clients["total_blocking_keys_on_nokey"], "1");
        let memory = info(&mut control, "memory");
        let memory = |name: &str| number(&memory[name]);
        assert!(memory("allocator_resident") <= memory("used_memory_rss"));
        assert!(memory("allocator_resident") > 0.0);
        let started = number(&info(&mut control, "server")["server_time_usec"]) / 1e6;
        assert!((started - memory("used_memory_peak_time")).abs() < 3600.0);
    }
}

#[test]
fn time_beyond_the_limit_is_told() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let times = |control: &mut Wire| {
            let stats = info(control, "stats");
            let total = number(&stats["total_eviction_exceeded_time"]);
            (total, number(&stats["current_eviction_exceeded_time"]))
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
