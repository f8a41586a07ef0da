//! What operators look at: the slow log, MONITOR, latencies, pauses. Where Redis says what is to be seen, it is asked.

use std::time::Duration;

use tests::reply::Value;
use tests::server::eventually;
use tests::{Options, Oracle, Server, Wire};

const SHARDS: [u16; 3] = [1, 2, 4];
const TIME_MAX: Duration = Duration::from_secs(10);

fn debuggable(shards: u16) -> Options {
    Options::shards(shards).flags("--enable-debug-command yes")
}

fn words(value: &Value) -> Vec<String> {
    let elements = value.elements().expect("a list");
    let text = |value: &Value| String::from_utf8_lossy(value.text()).into_owned();
    elements.iter().map(text).collect()
}

fn entries(wire: &mut Wire, ask: &str) -> Vec<Vec<Value>> {
    let entries = wire.ask(ask).elements().expect("a list");
    let fields = |entry: &Value| entry.elements().expect("an entry");
    entries.iter().map(fields).collect()
}

/// Arguments and the connection's name of each entry, the latest first.
fn slow_commands(server: &Server) -> Vec<(Vec<String>, String)> {
    let mut wire = server.connect();
    wire.ask("CONFIG SET slowlog-log-slower-than 0");
    wire.ask("SLOWLOG RESET");
    wire.ask("CLIENT SETNAME me");
    for at in 0..8 {
        wire.ask(&format!("SET key:{at} {at}"));
    }
    wire.ask("MSET key:1 1 key:2 2 key:3 3 key:4 4");
    wire.command(&["SET", "long", &"x".repeat(300)]);
    let many: Vec<String> = (0..50).map(|at| at.to_string()).collect();
    let many: Vec<&str> = ["RPUSH", "list"]
        .into_iter()
        .chain(many.iter().map(String::as_str))
        .collect();
    wire.command(&many);
    wire.ask("GET");
    wire.ask("LPUSH long x");
    wire.ask("NONSENSE");
    wire.ask("AUTH secret");
    wire.ask("AUTH me secret");
    wire.ask("HELLO 2 AUTH default secret SETNAME you");
    wire.ask("CONFIG SET requirepass secret");
    wire.command(&["CONFIG", "SET", "maxmemory", "0", "requirepass", ""]);
    wire.ask("MULTI");
    wire.ask("INCR key:1");
    wire.ask("INCR key:2");
    wire.ask("EXEC");
    wire.ask("DBSIZE");
    wire.ask("SLOWLOG LEN");
    entries(&mut wire, "SLOWLOG GET -1")
        .iter()
        .map(|entry| {
            (
                words(&entry[3]),
                String::from_utf8_lossy(entry[5].text()).into_owned(),
            )
        })
        .collect()
}

#[test]
fn slow_commands_are_logged_as_by_redis() {
    let expected = slow_commands(&Oracle::start());
    for shards in SHARDS {
        let found = slow_commands(&Server::start(Options::shards(shards)));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "{shards} shards");
        }
        assert_eq!(found.len(), expected.len(), "{shards} shards");
    }
}

#[test]
fn the_slow_log_is_one_and_bounded() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut one, mut two) = (server.connect(), server.connect());
        one.ask("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 20");
        for at in 0..40 {
            one.ask(&format!("SET key:{at} x"));
            two.ask(&format!("GET key:{at}"));
        }
        one.ask("CONFIG SET slowlog-log-slower-than -1");
        assert_eq!(one.ask("SLOWLOG LEN").integer(), 20, "{shards} shards");
        let all = entries(&mut two, "SLOWLOG GET -1");
        let ids: Vec<i64> = all.iter().map(|entry| entry[0].integer()).collect();
        assert_eq!(ids.len(), 20);
        assert!(
            ids.windows(2).all(|pair| pair[0] == pair[1] + 1),
            "{shards} shards: {ids:?}"
        );
        assert!(
            all.iter()
                .all(|entry| entry[4].text().starts_with(b"127.0.0.1:"))
        );
        assert_eq!(entries(&mut one, "SLOWLOG GET").len(), 10);
        assert_eq!(entries(&mut one, "SLOWLOG GET 0").len(), 0);
        assert_eq!(words(&all[0][3]), ["GET", "key:39"]);
        assert!(one.ask("SLOWLOG GET -2").is_error());
        one.ask("SLOWLOG RESET");
        assert_eq!(two.ask("SLOWLOG LEN").integer(), 0);
    }
}

#[test]
fn spikes_are_those_that_took_long() {
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let (mut one, mut two) = (server.connect(), server.connect());
        assert_eq!(words(&one.ask("LATENCY LATEST")).len(), 0);
        one.ask("CONFIG SET latency-monitor-threshold 20");
        one.ask("DEBUG SLEEP 0.03");
        two.ask("DEBUG SLEEP 0.05");
        let latest = one.ask("LATENCY LATEST").elements().expect("a list");
        let event = latest[0].elements().expect("an event");
        assert_eq!(event[0].text(), b"command");
        assert!(event[3].integer() >= 50, "{shards} shards: {event:?}");
        let history = two.ask("LATENCY HISTORY command").elements();
        assert!((1..=2).contains(&history.expect("a list").len()));
        assert!(
            one.ask("LATENCY GRAPH command")
                .text()
                .starts_with(b"command - high ")
        );
        assert!(one.ask("LATENCY GRAPH fast-command").is_error());
        assert!(!one.ask("LATENCY DOCTOR").text().is_empty());
        assert_eq!(two.ask("LATENCY RESET fast-command command").integer(), 1);
        assert_eq!(two.ask("LATENCY RESET").integer(), 0);
        assert_eq!(words(&one.ask("LATENCY HISTORY nothing")).len(), 0);
    }
}

#[test]
fn each_command_is_timed() {
    for shards in SHARDS {
        let server = Server::start(debuggable(shards));
        let mut wire = server.connect();
        wire.ask("HELLO 3");
        for at in 0..20 {
            wire.ask(&format!("SET key:{at} x"));
        }
        wire.ask("DEBUG SLEEP 0.01");
        let Value::Map(histograms) = wire.ask("LATENCY HISTOGRAM set nothing debug get set") else {
            panic!("no map");
        };
        let names: Vec<&[u8]> = histograms.iter().map(|(name, _)| name.text()).collect();
        assert_eq!(names, [b"set".as_slice(), b"debug"], "{shards} shards");
        let Value::Map(set) = &histograms[0].1 else {
            panic!("no map");
        };
        assert_eq!(set[0].1, Value::Integer(20));
        let Value::Map(counts) = &set[1].1 else {
            panic!("no map");
        };
        assert_eq!(counts.last().map(|(_, count)| count.integer()), Some(20));
        let info = |wire: &mut Wire, section: &str| {
            String::from_utf8_lossy(wire.ask(&format!("INFO {section}")).text()).into_owned()
        };
        let stats = info(&mut wire, "commandstats");
        assert!(stats.contains("cmdstat_set:calls=20,usec="), "{stats}");
        let latencies = info(&mut wire, "latencystats");
        assert!(
            latencies.contains("latency_percentiles_usec_set:p50="),
            "{latencies}"
        );
        let median = latencies.split("usec_debug:p50=").nth(1).and_then(|rest| {
            let (micros, _) = rest.split_once('.')?;
            micros.parse::<u64>().ok()
        });
        assert!(median.is_some_and(|micros| micros >= 10_000), "{latencies}");
        wire.ask("CONFIG RESETSTAT");
        assert!(!info(&mut wire, "latencystats").contains("_set:"));
        wire.ask("CONFIG SET latency-tracking no");
        wire.ask("SET a 1");
        assert!(!info(&mut wire, "latencystats").contains("_set:"));
    }
}

/// What CLIENT PAUSE WRITE may hold back: commands, those that come before on the same connection parted by `;`.
const PAUSED: &[&str] = &[
    "GET x",
    "PING",
    "SET a 1",
    "SET a",
    "NONSENSE",
    "MSET a 1 b 2 c 3",
    "PUBLISH channel message",
    "SPUBLISH channel message",
    "SUBSCRIBE channel",
    "PFCOUNT none",
    "GETEX x",
    "SORT x",
    "SORT_RO x",
    "BLPOP full 0",
    "FLUSHALL",
    "DBSIZE",
    "SCAN 0",
    "CONFIG SET maxmemory 0",
    "MULTI",
    "MULTI; SET a 1",
    "MULTI; GET a",
    "MULTI; GET a; EXEC",
    "MULTI; EXEC",
    "WATCH a",
    "CLIENT PAUSE 1 WRITE",
];

fn blocked(control: &mut Wire) -> usize {
    let info = control.ask("INFO clients");
    let text = String::from_utf8_lossy(info.text()).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    line.and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("no blocked_clients in {text}"))
}

/// Whether each is held back, and what it answers in the end.
fn held_back(server: &Server) -> Vec<(bool, Option<Value>)> {
    let mut control = server.connect();
    control.ask("RPUSH full a b");
    let ask = |commands: &&str| {
        eventually("nobody waits", TIME_MAX, || blocked(&mut control) == 0);
        assert_eq!(control.ask("CLIENT PAUSE 1000000 WRITE").text(), b"OK");
        let mut wire = server.connect();
        let mut commands: Vec<&str> = commands.split("; ").collect();
        let last = commands.pop().expect("a command");
        commands.into_iter().for_each(|words| {
            wire.ask(words);
        });
        wire.send(format!("{last}\r\n").as_bytes());
        wire.time_limit(Duration::from_millis(2)).expect("a limit");
        let mut reply = None;
        let mut is_held = false;
        eventually(last, TIME_MAX, || {
            reply = wire.try_reply().ok().flatten();
            is_held = reply.is_none() && blocked(&mut control) == 1;
            is_held || reply.is_some()
        });
        assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
        wire.time_limit(TIME_MAX).expect("a limit");
        let reply = reply.unwrap_or_else(|| wire.reply());
        // A cursor is of no order that two servers share.
        let is_stable = !matches!(last, "SCAN 0");
        (is_held, is_stable.then(|| Value::parse(&reply)))
    };
    PAUSED.iter().map(ask).collect()
}

#[test]
fn what_writes_is_paused_as_by_redis() {
    let expected = held_back(&Oracle::start());
    for shards in SHARDS {
        let found = held_back(&Server::start(Options::shards(shards)));
        for ((commands, expected), found) in PAUSED.iter().zip(&expected).zip(&found) {
            assert_eq!(found, expected, "{shards} shards: {commands}");
        }
    }
}

#[test]
fn an_exec_that_writes_waits() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut control, mut writer) = (server.connect(), server.connect());
        writer.ask("MULTI");
        writer.ask("SET a 1");
        writer.ask("SET b 2");
        control.ask("CLIENT PAUSE 1000000 WRITE");
        writer.send(b"EXEC\r\n");
        eventually("EXEC waits", TIME_MAX, || blocked(&mut control) == 1);
        let list = control.ask("CLIENT LIST");
        assert!(String::from_utf8_lossy(list.text()).contains(" flags=xb "));
        control.ask("CLIENT UNPAUSE");
        assert_eq!(words(&writer.value()), ["OK", "OK"], "{shards} shards");
    }
}

#[test]
fn a_pause_ends_by_itself_and_the_later_end_counts() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut one, mut two) = (server.connect(), server.connect());
        let start = std::time::Instant::now();
        one.ask("CLIENT PAUSE 300 WRITE");
        one.ask("CLIENT PAUSE 1 ALL");
        // A large argument, which is read once, is there when its command goes on.
        let large = "x".repeat(100_000);
        assert_eq!(two.command(&["SET", "large", &large]).text(), b"OK");
        // The end is a whole millisecond of wall time, and the clock may be one behind.
        assert!(
            start.elapsed() >= Duration::from_millis(290),
            "{shards} shards"
        );
        assert_eq!(two.ask("GET large").text().len(), large.len());
        assert_eq!(one.ask("PING").text(), b"PONG");
    }
}

#[test]
fn nothing_changes_once_the_pause_is_confirmed() {
    const WRITERS: usize = 6;
    const ROUNDS: usize = 20;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let stop = std::sync::atomic::AtomicBool::new(false);
        let is_over = || stop.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            for number in 0..WRITERS {
                let mut wire = server.connect();
                scope.spawn(move || {
                    let pipeline: String = (0..16)
                        .map(|at| match at % 4 {
                            0 => format!("MSET total:{number} x total:{at} y other:{at} z\r\n"),
                            _ => format!("INCR key:{}\r\n", at + number),
                        })
                        .collect();
                    while !is_over() {
                        wire.send(pipeline.as_bytes());
                        (0..16).for_each(|_| drop(wire.reply()));
                    }
                });
            }
            let mut control = server.connect();
            let keys: String = (0..WRITERS + 16).map(|at| format!(" key:{at}")).collect();
            let mut changed = 0;
            let mut last = None;
            for _ in 0..ROUNDS {
                assert_eq!(control.ask("CLIENT PAUSE 1000000 WRITE").text(), b"OK");
                let first = control.ask(&format!("MGET{keys}"));
                std::thread::sleep(Duration::from_millis(3));
                let second = control.ask(&format!("MGET{keys}"));
                assert_eq!(first, second, "{shards} shards");
                assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
                std::thread::sleep(Duration::from_millis(3));
                changed += usize::from(last.replace(second) != Some(first));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(changed > ROUNDS / 2, "writers go on: {changed}");
        });
    }
}

/// What is shown of these is compared, `;` parting them. The last two are sent as one.
const SHOWN: &str = "SET a 1; get a; MSET a 1 b 2 c 3; GET; NONSENSE; LPUSH a x; SELECT 2; SET b 2; SELECT 99; MULTI; SET a 1; \
    SET b 2; INCR none; SELECT 0; LPUSH a x; Exec; MULTI; GET a; exec; MULTI; GET; EXEC; EXEC; MULTI; DISCARD; MULTI; PING; INFO server; EXEC; \
    WATCH a; SET a 3; MULTI; GET a; EXEC; MULTI; MONITOR; EXEC; AUTH secret; AUTH me secret; HELLO 2 AUTH me secret SETNAME n; \
    HELLO 2 AUTH default secret; CLIENT LIST; CLIENT ID; CLIENT SETNAME n; CONFIG SET maxmemory 0; SLOWLOG LEN; BLPOP none 0.01; PUBLISH a b; \
    SUBSCRIBE a; UNSUBSCRIBE a; DBSIZE; SCAN 0; KEYS none; TIME; OBJECT ENCODING a; COMMAND COUNT; FLUSHALL; RESET; \
    ECHO \"a \\x00\\\"\\n\\xff\"; CLIENT REPLY SKIP\r\nGET a\r\nQUIT";

/// What a monitor is told until somebody says `ECHO end`, without times and addresses.
fn lines(monitor: &mut Wire) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8(monitor.reply()).expect("visible text");
        let (time, rest) = line[1..].split_once(" [").expect("a time");
        let (seconds, micros) = time.split_once('.').expect("microseconds");
        assert!(
            seconds.parse::<u64>().is_ok() && micros.len() == 6,
            "{line}"
        );
        let (db, rest) = rest.split_once(" 127.0.0.1:").expect("an address");
        let (_, words) = rest.split_once("] ").expect("words");
        if words == "\"ECHO\" \"end\"\r\n" {
            return lines;
        }
        lines.push(format!("{db} {}", words.trim_end()));
    }
}

fn shown(server: &Server) -> Vec<String> {
    let mut monitors = [(); 5].map(|()| server.connect());
    for monitor in &mut monitors {
        assert_eq!(monitor.ask("MONITOR").text(), b"OK");
    }
    let mut wire = server.connect();
    let mut commands: Vec<&str> = SHOWN.split("; ").collect();
    let last = commands.pop().expect("a command");
    for command in commands {
        wire.send(format!("{command}\r\n").as_bytes());
        wire.reply();
    }
    wire.send(format!("{last}\r\n").as_bytes());
    wire.until_closed();
    server.connect().ask("ECHO end");
    let all = monitors.map(|mut monitor| lines(&mut monitor));
    assert!(all.iter().all(|lines| *lines == all[0]));
    all[0].clone()
}

#[test]
fn monitors_see_what_those_of_redis_see() {
    let expected = shown(&Oracle::start());
    for shards in SHARDS {
        let found = shown(&Server::start(Options::shards(shards)));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "{shards} shards");
        }
        assert_eq!(found.len(), expected.len(), "{shards} shards");
    }
}

/// What a monitor is told that asks for something itself.
fn told_while_monitoring(server: &Server) -> Vec<String> {
    let mut monitor = server.connect();
    let mut other = server.connect();
    let mut told = Vec::new();
    let mut note = |reply: Vec<u8>| {
        let text = String::from_utf8_lossy(&reply).into_owned();
        let shown = text.split_once("] ").map(|(_, words)| words.to_owned());
        told.push(shown.unwrap_or(text));
    };
    for (command, replies) in [
        ("MONITOR", 1),
        ("GET a", 1),
        ("SET a 1", 1),
        ("PUBLISH a b", 1),
        ("DBSIZE", 1),
        ("PING", 2),
        ("MONITOR", 0),
        ("MULTI", 2),
        ("GET a", 1),
        ("EXEC", 2),
        ("SUBSCRIBE a", 2),
        ("UNSUBSCRIBE a", 2),
        ("RESET", 1),
        ("GET a", 1),
    ] {
        monitor.send(format!("{command}\r\n").as_bytes());
        (0..replies).for_each(|_| note(monitor.reply()));
    }
    other.ask("PING");
    note(monitor.ask("ECHO quiet").text().to_vec());
    told
}

#[test]
fn a_monitor_may_do_what_a_replica_may() {
    let expected = told_while_monitoring(&Oracle::start());
    for shards in SHARDS {
        let found = told_while_monitoring(&Server::start(Options::shards(shards)));
        assert_eq!(found, expected, "{shards} shards");
    }
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut monitor, mut wire) = (server.connect(), server.connect());
        let limits = "normal 3000000 0 0";
        wire.command(&["CONFIG", "SET", "client-output-buffer-limit", limits]);
        monitor.ask("MONITOR");
        // What the kernel holds comes on top.
        let large = "x".repeat(1_000_000);
        let mut count = 0;
        eventually("the monitor is closed", TIME_MAX, || {
            count += 1;
            assert!(count < 100, "{shards} shards");
            wire.command(&["ECHO", &large]);
            let list = wire.ask("CLIENT LIST");
            !String::from_utf8_lossy(list.text()).contains(" flags=O ")
        });
    }
}

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
    "evicted_clients",
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

#[test]
fn who_waits_for_an_element_does_not_hold_up_a_pause() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut control, mut other) = (server.connect(), server.connect());
        let mut waiters: Vec<Wire> = (0..8).map(|_| server.connect()).collect();
        for (at, waiter) in waiters.iter_mut().enumerate() {
            let keys = (0..=at).map(|key| format!(" list:{key}"));
            waiter.send(format!("BLPOP{} 0\r\n", keys.collect::<String>()).as_bytes());
        }
        eventually("all wait", TIME_MAX, || blocked(&mut control) == 8);
        assert_eq!(control.ask("CLIENT PAUSE 1000000 WRITE").text(), b"OK");
        other.send(b"RPUSH list:0 a b c d e f g h\r\n");
        eventually("the push waits", TIME_MAX, || blocked(&mut control) == 9);
        assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
        for waiter in &mut waiters {
            assert_eq!(words(&waiter.value())[0], "list:0", "{shards} shards");
        }
        assert!(other.value().integer() >= 1);
    }
}
