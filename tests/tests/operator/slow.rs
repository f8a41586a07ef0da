//! The slow log, spikes and latencies.

use tests::reply::Value;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::{debuggable, words};

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
    wire.ask("EVAL \"return redis.call('get', KEYS[1])\" 1 key:1");
    wire.ask("EVAL \"redis.call('get', 'key:1') return redis.call('get', 'key:2')\" 0");
    wire.ask("EVAL \"error('x')\" 0");
    wire.ask("EVALSHA x 0");
    wire.ask("EVAL \"return +\" 0");
    wire.ask("EVAL \"return 1\" x");
    wire.ask("MULTI");
    wire.ask("EVAL \"return redis.call('incr', 'key:1')\" 0");
    wire.ask("EXEC");
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
        // On a busy machine these may take long themselves.
        one.ask("CONFIG SET latency-monitor-threshold 0");
        assert_eq!(two.ask("LATENCY RESET fast-command command").integer(), 1);
        // The clock may have been held up, too.
        one.ask("LATENCY RESET");
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
        let commands = wire.info("commandstats");
        let calls = commands.text("cmdstat_set");
        assert!(calls.starts_with("calls=20,usec="), "{calls}");
        let latencies = wire.info("latencystats");
        let median = |name: &str| {
            let percentiles = latencies.get(name)?.strip_prefix("p50=")?;
            let (micros, _) = percentiles.split_once('.')?;
            micros.parse::<u64>().ok()
        };
        assert!(median("latency_percentiles_usec_set").is_some());
        let slow = median("latency_percentiles_usec_debug");
        assert!(slow.is_some_and(|micros| micros >= 10_000), "{latencies:?}");
        wire.ask("CONFIG RESETSTAT");
        let set = "latency_percentiles_usec_set";
        assert_eq!(wire.info("latencystats").get(set), None);
        wire.ask("CONFIG SET latency-tracking no");
        wire.ask("SET a 1");
        let set = "latency_percentiles_usec_set";
        assert_eq!(wire.info("latencystats").get(set), None);
    }
}
