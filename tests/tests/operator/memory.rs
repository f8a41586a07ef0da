//! MEMORY, as a report about all of it.

use std::collections::BTreeMap;

use tests::reply::Value;
use tests::{Options, Oracle, SHARDS, Server, Wire};

/// What Redis 8.2 shows that 7.4 does not.
const SINCE_8: &[&str] = &["replica.fullsync.buffer", "script.VMs"];

fn stats(wire: &mut Wire) -> BTreeMap<String, Value> {
    let flat = wire.ask("MEMORY STATS").elements().expect("a list");
    let pair = |pair: &[Value]| {
        let name = String::from_utf8_lossy(pair[0].text()).into_owned();
        (name, pair[1].clone())
    };
    flat.chunks(2).map(pair).collect()
}

#[test]
fn memory_stats_has_the_figures_of_redis() {
    let oracle = Oracle::start();
    let mut theirs = oracle.connect();
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut ours = server.connect();
        for wire in [&mut ours, &mut theirs] {
            (0..100).for_each(|at| drop(wire.ask(&format!("SET key:{at} x"))));
            wire.ask("SELECT 3");
            wire.ask("SET key x EX 1000");
            wire.ask("SELECT 0");
        }
        let (ours, theirs) = (stats(&mut ours), stats(&mut theirs));
        for (name, value) in &theirs {
            let same_kind = |ours: &Value| match (ours, value) {
                (Value::Integer(_), Value::Integer(_)) => true,
                (ours, value) => ours.elements().is_some() == value.elements().is_some(),
            };
            assert!(
                ours.get(name).is_some_and(same_kind),
                "{shards} shards: {name}"
            );
        }
        for name in SINCE_8 {
            assert!(ours.contains_key(*name), "{shards} shards: {name}");
        }
        let number = |name: &str| ours[name].integer();
        assert!(number("overhead.db.hashtable.lut") > 0, "{shards} shards");
        assert_eq!(number("allocator.resident"), number("allocator.active"));
        assert_eq!(number("keys.count"), 101, "{shards} shards");
        assert_eq!(
            number("total.allocated"),
            number("dataset.bytes") + number("overhead.total")
        );
        assert!(number("peak.allocated") >= number("total.allocated"));
        assert!(number("startup.allocated") > 0 && number("clients.normal") > 0);
        assert!(number("allocator.active") > number("total.allocated") / 2);
        let table = ours["db.3"].elements().expect("a map");
        assert!(table[1].integer() > 0, "{table:?}");
    }
}

#[test]
fn reports_are_for_people() {
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    let doctor = wire.ask("MEMORY DOCTOR");
    assert!(String::from_utf8_lossy(doctor.text()).contains("too little data"));
    let report = wire.ask("MEMORY MALLOC-STATS");
    let report = String::from_utf8_lossy(report.text()).into_owned();
    assert!(
        report.starts_with("shard 0: ") && report.contains("\nshard 1: "),
        "{report}"
    );
    assert!(report.contains("committed"), "{report}");
    assert_eq!(wire.ask("MEMORY PURGE").text(), b"OK");
    wire.ask("HELLO 3");
    for command in ["DOCTOR", "MALLOC-STATS"] {
        wire.send(format!("MEMORY {command}\r\n").as_bytes());
        let reply = wire.reply();
        assert!(reply.starts_with(b"="), "{command}: a verbatim text");
    }
    let oracle = Oracle::start();
    for command in [
        "MEMORY NONSENSE",
        "MEMORY STATS x",
        "MEMORY DOCTOR x",
        "MEMORY PURGE x",
    ] {
        assert_eq!(
            wire.ask(command),
            oracle.connect().ask(command),
            "{command}"
        );
    }
}
