//! SCAN's promise: what is there from its first call to its last is returned, whatever comes and
//! goes meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::reply::Value;
use tests::wire::encode;
use tests::{Options, SHARDS, Server, Wire};

const STAYING: usize = 2_000;
const PASSING: usize = 4_000;

/// A whole scan: everything it returned, and how often it was asked.
fn scan(wire: &mut Wire, before: &str, after: &str) -> (Vec<Vec<u8>>, usize) {
    const CALLS_MAX: usize = 100_000;
    let (mut found, mut cursor) = (Vec::new(), "0".to_owned());
    for call in 1..CALLS_MAX {
        let reply = wire.ask(&format!("{before} {cursor} {after}"));
        let Value::Array(parts) = reply else {
            panic!("a scan answers with an array, not {reply:?}")
        };
        let [next, Value::Array(page)] = &parts[..] else {
            panic!("a cursor and a page, not {parts:?}")
        };
        found.extend(page.iter().map(|item| item.text().to_vec()));
        cursor = String::from_utf8(next.text().to_vec()).expect("a cursor is digits");
        assert!(cursor.parse::<u64>().is_ok(), "not a cursor: {cursor}");
        if cursor == "0" {
            return (found, call);
        }
    }
    panic!("a scan that does not end")
}

fn fill(wire: &mut Wire, prefix: &str, count: usize) {
    let mut pipeline = Vec::new();
    for index in 0..count {
        encode(&["SET", &format!("{prefix}:{index}"), "v"], &mut pipeline);
    }
    wire.send(&pipeline);
    for _ in 0..count {
        assert_eq!(wire.reply(), b"+OK\r\n");
    }
}

#[test]
fn keys_that_stay_are_returned_while_others_come_and_go() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        fill(&mut wire, "stay", STAYING);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut wire = server.connect();
                // The table grows and shrinks while it is walked.
                while !done.load(Ordering::Relaxed) {
                    fill(&mut wire, "pass", PASSING);
                    let mut remove = vec!["DEL".to_owned()];
                    remove.extend((0..PASSING).map(|index| format!("pass:{index}")));
                    assert_eq!(wire.command(&remove), Value::Integer(PASSING as i64));
                }
            });
            for round in 0..5 {
                let (found, _) = scan(&mut wire, "SCAN", "COUNT 50");
                let found: BTreeSet<Vec<u8>> = found.into_iter().collect();
                for index in 0..STAYING {
                    let key = format!("stay:{index}");
                    if !found.contains(key.as_bytes()) {
                        done.store(true, Ordering::Relaxed);
                        panic!("{key} is missing from scan {round} with {shards} shards");
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_quiet_keyspace_is_returned_once() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        fill(&mut wire, "key", STAYING);
        for count in [1, 10, 1_000, 1_000_000] {
            let (found, calls) = scan(&mut wire, "SCAN", &format!("COUNT {count}"));
            let distinct: BTreeSet<&Vec<u8>> = found.iter().collect();
            assert_eq!(
                (found.len(), distinct.len()),
                (STAYING, STAYING),
                "COUNT {count}"
            );
            // Redis's rule of thumb: a page has about COUNT keys. Empty shards and segments cost
            // some more calls.
            assert!(
                calls <= 8 * (STAYING / count + 1) + 64,
                "{calls} calls with COUNT {count}"
            );
        }
    }
}

#[test]
fn patterns_and_types_narrow_a_scan() {
    let server = Server::start(Options::shards(4));
    let mut wire = server.connect();
    fill(&mut wire, "a", 100);
    fill(&mut wire, "b", 100);
    for index in 0..50 {
        wire.ask(&format!("RPUSH list:{index} x"));
    }
    assert_eq!(scan(&mut wire, "SCAN", "MATCH a:*").0.len(), 100);
    assert_eq!(scan(&mut wire, "SCAN", "TYPE list").0.len(), 50);
    assert_eq!(
        scan(&mut wire, "SCAN", "TYPE list MATCH *:1? COUNT 3")
            .0
            .len(),
        10
    );
    assert_eq!(scan(&mut wire, "SCAN", "TYPE zset").0.len(), 0);
}

#[test]
fn large_collections_are_returned_while_members_come_and_go() {
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    // The verbs to add and remove, what goes before a member and after it, and how many items a
    // member takes in a page.
    let kinds: [(&str, &str, &str, &str, &str, usize); 3] = [
        ("SSCAN", "SADD", "SREM", "", "", 1),
        ("HSCAN", "HSET", "HDEL", "", "v", 2),
        ("ZSCAN", "ZADD", "ZREM", "1", "", 2),
    ];
    for (verb, add, remove, before, after, width) in kinds {
        let key = verb.to_lowercase();
        let member = |prefix: &str, index: usize| format!("{before} {prefix}:{index} {after}");
        let all: Vec<String> = (0..STAYING).map(|index| member("stay", index)).collect();
        wire.ask(&format!("{add} {key} {}", all.join(" ")));
        let (mut found, mut cursor, mut step) = (BTreeSet::new(), "0".to_owned(), 0);
        loop {
            let reply = wire.ask(&format!("{verb} {key} {cursor} COUNT 20"));
            let parts = reply.elements().expect("a cursor and a page");
            let page = parts[1].elements().expect("a page");
            found.extend(page.iter().step_by(width).map(|item| item.text().to_vec()));
            cursor = String::from_utf8(parts[0].text().to_vec()).expect("a cursor is digits");
            if cursor == "0" {
                break;
            }
            step += 1;
            let passing: Vec<String> = (0..40)
                .map(|index| member("pass", step % 25 * 40 + index))
                .collect();
            if step % 50 < 25 {
                wire.ask(&format!("{add} {key} {}", passing.join(" ")))
            } else {
                let names: Vec<String> = (0..40)
                    .map(|index| format!("pass:{}", step % 25 * 40 + index))
                    .collect();
                wire.ask(&format!("{remove} {key} {}", names.join(" ")))
            };
        }
        for index in 0..STAYING {
            let member = format!("stay:{index}");
            assert!(
                found.contains(member.as_bytes()),
                "{member} is missing from {verb}"
            );
        }
    }
}
