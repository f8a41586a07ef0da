//! What Redis does at once happens at once here too, also where the keys lie on several shards.
//!
//! Many clients write and read at the same time, and every reader checks what it sees against what
//! can only be seen whole.
//!
//! `PERCORE_READS=N` makes each test go on, with each number of shards, until its readers have read
//! so often, instead of for a moment.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::reply::Value;
use tests::{MANY_SHARDS, Options, Server, Wire};

/// For each test and number of shards.
const DURATION: Duration = Duration::from_millis(700);

/// Spread over all shards.
const KEYS: [&str; 6] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];

/// Runs writers and readers beside one another for [`DURATION`], each with a connection of its own.
/// The closures are called again and again, with the number of the call.
fn contend(
    server: &Server,
    writers: usize,
    write: impl Fn(&mut Wire, usize, usize) + Sync,
    readers: usize,
    read: impl Fn(&mut Wire, usize, usize) + Sync,
) {
    let end = Instant::now() + DURATION;
    let reads_wanted: Option<usize> = std::env::var("PERCORE_READS")
        .ok()
        .map(|text| text.parse().expect("PERCORE_READS is a number"));
    let reads = AtomicUsize::new(0);
    let goes_on = || match reads_wanted {
        Some(wanted) if readers > 0 => reads.load(Ordering::Relaxed) < wanted,
        _ => Instant::now() < end,
    };
    let until_end = |work: &(dyn Fn(&mut Wire, usize, usize) + Sync), client: usize, one: usize| {
        let mut wire = server.connect();
        let mut call = 0;
        // Once in any case: a busy machine may begin this thread when the time is up.
        while call == 0 || goes_on() {
            work(&mut wire, client, call);
            call += 1;
            reads.fetch_add(one, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for client in 0..writers {
            let write = &write;
            scope.spawn(move || until_end(write, client, 0));
        }
        for client in 0..readers {
            let read = &read;
            scope.spawn(move || until_end(read, client, 1));
        }
    });
}

fn texts(value: &Value) -> Vec<String> {
    let all = value
        .elements()
        .unwrap_or_else(|| panic!("not an array: {value:?}"));
    all.iter()
        .map(|text| String::from_utf8_lossy(text.text()).into_owned())
        .collect()
}

fn all_equal(seen: &[String]) -> bool {
    seen.iter().all(|value| *value == seen[0])
}

fn set_all(verb: &str, value: &str) -> Vec<String> {
    let pairs = KEYS
        .iter()
        .flat_map(|key| [(*key).to_owned(), value.to_owned()]);
    std::iter::once(verb.to_owned()).chain(pairs).collect()
}

fn get_all() -> Vec<&'static str> {
    std::iter::once("MGET").chain(KEYS).collect()
}

#[test]
fn a_read_of_many_keys_sees_all_of_a_write_or_none() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        server.connect().command(&set_all("MSET", "start"));
        contend(
            &server,
            3,
            |wire, client, call| {
                assert_eq!(
                    wire.command(&set_all("MSET", &format!("{client}.{call}")))
                        .text(),
                    b"OK"
                );
            },
            3,
            |wire, _, _| {
                let seen = texts(&wire.command(&get_all()));
                assert!(all_equal(&seen), "torn with {shards} shards: {seen:?}");
            },
        );
    }
}

#[test]
fn a_transaction_is_seen_whole() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        server.connect().command(&set_all("MSET", "start"));
        contend(
            &server,
            2,
            |wire, client, call| {
                wire.send(b"MULTI\r\n");
                for key in KEYS {
                    wire.send_command(&["SET", key, &format!("{client}.{call}")]);
                }
                wire.send(b"EXEC\r\n");
                let replies: Vec<Value> = (0..KEYS.len() + 2).map(|_| wire.value()).collect();
                assert!(!replies[KEYS.len() + 1].is_error(), "{replies:?}");
            },
            3,
            |wire, client, _| {
                let seen = match client % 2 {
                    0 => texts(&wire.command(&get_all())),
                    _ => {
                        wire.send(b"MULTI\r\n");
                        for key in KEYS {
                            wire.send_command(&["GET", key]);
                        }
                        wire.send(b"EXEC\r\n");
                        let mut replies: Vec<Value> =
                            (0..KEYS.len() + 2).map(|_| wire.value()).collect();
                        texts(&replies.remove(KEYS.len() + 1))
                    }
                };
                assert!(all_equal(&seen), "torn with {shards} shards: {seen:?}");
            },
        );
    }
}

#[test]
fn of_many_that_set_what_is_not_there_one_wins_wholly() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        contend(
            &server,
            3,
            |wire, client, call| {
                let set = wire.command(&set_all("MSETNX", &format!("{client}.{call}")));
                if set == Value::Integer(1) {
                    let delete: Vec<&str> = std::iter::once("DEL").chain(KEYS).collect();
                    assert_eq!(wire.command(&delete), Value::Integer(KEYS.len() as i64));
                }
            },
            2,
            |wire, _, _| {
                let Value::Array(seen) = wire.command(&get_all()) else {
                    panic!("MGET answers with an array")
                };
                assert!(
                    seen.iter().all(|value| *value == seen[0]),
                    "torn with {shards} shards: {seen:?}"
                );
            },
        );
    }
}

#[test]
fn a_renamed_key_is_never_nowhere_nor_twice() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        server.connect().ask("SET alpha treasure");
        contend(
            &server,
            2,
            |wire, client, call| {
                let (from, to) = (KEYS[(client + call) % 6], KEYS[(client + 5 * call + 1) % 6]);
                // It may lie elsewhere: then there is no such key.
                wire.command(&["RENAME", from, to]);
            },
            3,
            |wire, _, _| {
                let exists: Vec<&str> = std::iter::once("EXISTS").chain(KEYS).collect();
                assert_eq!(
                    wire.command(&exists),
                    Value::Integer(1),
                    "with {shards} shards"
                );
            },
        );
    }
}

/// A transaction holds its keys in the databases that its commands name, too.
#[test]
fn a_transaction_moves_and_copies_keys_between_databases() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for key in KEYS {
            for words in [
                "MULTI".to_owned(),
                "PING".to_owned(),
                format!("SET {key} v"),
                format!("COPY {key} {key} DB 2"),
                format!("MOVE {key} 1"),
                format!("EXISTS {key}"),
                "SELECT 1".to_owned(),
                format!("GET {key}"),
                "SELECT 0".to_owned(),
            ] {
                wire.ask(&words);
            }
            let replies = wire.ask("EXEC").elements().expect("replies");
            let ones = [&replies[2], &replies[3]].map(Value::integer);
            assert_eq!(ones, [1, 1], "{key} with {shards} shards");
            assert_eq!(replies[4].integer(), 0, "{key} with {shards} shards");
            assert_eq!(replies[6].text(), b"v", "{key} with {shards} shards");
            for database in [1, 2] {
                wire.ask(&format!("SELECT {database}"));
                assert_eq!(
                    wire.ask(&format!("GET {key}")).text(),
                    b"v",
                    "{key} with {shards} shards"
                );
            }
            wire.ask("SELECT 0");
        }
    }
}

#[test]
fn a_watched_key_that_changed_stops_the_transaction() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let done = AtomicUsize::new(0);
        contend(
            &server,
            4,
            |wire, client, call| {
                let (one, two) = (KEYS[(client + call) % 6], KEYS[(client + call * 3 + 1) % 6]);
                wire.command(&["WATCH", one, two]);
                let number = |value: Value| match value {
                    Value::Null(_) => 0,
                    value => value.integer(),
                };
                let sum = number(wire.command(&["GET", one])) + 1;
                wire.ask("MULTI");
                wire.command(&["SET", one, &sum.to_string()]);
                wire.ask("INCR total");
                match wire.ask("EXEC") {
                    Value::Null(_) => {}
                    Value::Array(replies) => {
                        assert_eq!(replies.len(), 2);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    other => panic!("EXEC answers with {other:?}"),
                }
            },
            0,
            |_, _, _| {},
        );
        let mut wire = server.connect();
        let counted: i64 = KEYS
            .iter()
            .map(|key| match wire.command(&["GET", key]) {
                Value::Null(_) => 0,
                value => value.integer(),
            })
            .sum();
        let done = i64::try_from(done.into_inner()).expect("small");
        assert!(done > 0, "no transaction went through with {shards} shards");
        assert_eq!(counted, done, "increments were lost with {shards} shards");
        assert_eq!(wire.ask("GET total").integer(), done);
    }
}

/// What EXEC answers to a command for each key, all in one pipeline.
fn exec_of_all(wire: &mut Wire, command: &[&str], more: &[&str]) -> Vec<Value> {
    wire.send(b"MULTI\r\n");
    for key in KEYS {
        wire.send_command(&[command, &[key], more].concat());
    }
    wire.send(b"EXEC\r\n");
    let mut replies: Vec<Value> = (0..KEYS.len() + 2).map(|_| wire.value()).collect();
    let last = replies.pop().and_then(|last| last.elements());
    last.expect("EXEC's replies")
}

/// Money goes from account to account, by WATCH and by INCRBY; every look at all of them finds the
/// same sum.
#[test]
fn a_bank_loses_nothing() {
    const EACH: i64 = 1_000;
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let total = EACH * KEYS.len() as i64;
        server
            .connect()
            .command(&set_all("MSET", &EACH.to_string()));
        let sum = |values: &[Value]| values.iter().map(Value::integer).sum::<i64>();
        contend(
            &server,
            4,
            |wire, client, call| {
                let (from, to) = (KEYS[(client + call) % 6], KEYS[(client + call * 5 + 2) % 6]);
                let amount = (call % 7) as i64;
                if from == to {
                    return;
                }
                if client % 2 == 0 {
                    wire.ask("MULTI");
                    wire.command(&["DECRBY", from, &amount.to_string()]);
                    wire.command(&["INCRBY", to, &amount.to_string()]);
                    assert!(!wire.ask("EXEC").is_error());
                    return;
                }
                wire.command(&["WATCH", from, to]);
                let [left, there] = [from, to].map(|key| wire.command(&["GET", key]).integer());
                wire.ask("MULTI");
                wire.command(&["SET", from, &(left - amount).to_string()]);
                wire.command(&["SET", to, &(there + amount).to_string()]);
                assert!(!wire.ask("EXEC").is_error());
            },
            2,
            |wire, client, _| {
                let seen = match client {
                    0 => wire
                        .command(&get_all())
                        .elements()
                        .expect("values")
                        .to_vec(),
                    _ => exec_of_all(wire, &["GET"], &[]),
                };
                assert_eq!(sum(&seen), total, "with {shards} shards: {seen:?}");
            },
        );
        let end = server.connect().command(&get_all());
        assert_eq!(sum(&end.elements().expect("values")), total);
    }
}

#[test]
fn a_member_is_in_one_set() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        server.connect().ask("SADD alpha treasure");
        contend(
            &server,
            2,
            |wire, client, call| {
                let (from, to) = (KEYS[(client + call) % 6], KEYS[(client + 5 * call + 1) % 6]);
                wire.command(&["SMOVE", from, to, "treasure"]);
            },
            2,
            |wire, _, _| {
                let found = exec_of_all(wire, &["SISMEMBER"], &["treasure"]);
                let sum: i64 = found.iter().map(Value::integer).sum();
                assert_eq!(sum, 1, "with {shards} shards: {found:?}");
            },
        );
    }
}

#[test]
fn a_flush_leaves_nothing_of_before() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        contend(
            &server,
            2,
            |wire, client, call| {
                match (client, call % 8) {
                    (0, 7) => wire.ask("FLUSHALL"),
                    _ => wire.command(&set_all("MSET", &format!("{client}.{call}"))),
                };
            },
            3,
            |wire, _, _| {
                let Value::Array(seen) = wire.command(&get_all()) else {
                    panic!("MGET answers with an array")
                };
                assert!(
                    seen.iter().all(|value| *value == seen[0]),
                    "torn with {shards} shards: {seen:?}"
                );
            },
        );
    }
}

#[test]
fn each_element_is_popped_once_by_one_who_waits() {
    const CLIENTS: usize = 8;
    const ELEMENTS: usize = 2_000;
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let popped: Vec<Vec<String>> = std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let mut wire = server.connect();
                    scope.spawn(move || {
                        let mut popped = Vec::new();
                        let mut random = Rng::with_seed(client as u64);
                        loop {
                            // In any order of keys, on any shards.
                            let mut keys = KEYS;
                            random.shuffle(&mut keys);
                            let pop: Vec<&str> =
                                std::iter::once("BLPOP").chain(keys).chain(["0"]).collect();
                            let element = texts(&wire.command(&pop)).remove(1);
                            if element == "end" {
                                return popped;
                            }
                            popped.push(element);
                        }
                    })
                })
                .collect();
            let mut wire = server.connect();
            for index in 0..ELEMENTS {
                wire.command(&["RPUSH", KEYS[index % KEYS.len()], &index.to_string()]);
            }
            for index in 0..CLIENTS {
                wire.command(&["RPUSH", KEYS[index % KEYS.len()], "end"]);
            }
            waiters
                .into_iter()
                .map(|waiter| waiter.join().expect("a waiter"))
                .collect()
        });
        let all: Vec<&String> = popped.iter().flatten().collect();
        let distinct: BTreeSet<&String> = all.iter().copied().collect();
        assert_eq!(
            (all.len(), distinct.len()),
            (ELEMENTS, ELEMENTS),
            "with {shards} shards"
        );
    }
}

#[test]
fn who_waits_longest_is_served_first() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for key in KEYS {
            let mut waiting: Vec<Wire> = Vec::new();
            for position in 1..=5 {
                let mut next = server.connect();
                next.send_command(&["BLPOP", "elsewhere", key, "0"]);
                tests::server::eventually("it waits", Duration::from_secs(10), || {
                    wire.blocked_clients() == position
                });
                waiting.push(next);
            }
            // The first two one at a time, the others at once.
            wire.command(&["RPUSH", key, "1"]);
            wire.command(&["RPUSH", key, "2"]);
            wire.command(&["RPUSH", key, "3", "4", "5"]);
            for (index, waiter) in waiting.iter_mut().enumerate() {
                assert_eq!(
                    texts(&waiter.value()),
                    [key.to_owned(), (index + 1).to_string()],
                    "with {shards} shards"
                );
            }
        }
    }
}

#[test]
fn a_moved_element_is_never_nowhere_nor_twice() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        server.connect().ask("RPUSH alpha treasure");
        contend(
            &server,
            2,
            |wire, client, call| {
                let (from, to) = (KEYS[(client + call) % 6], KEYS[(client + 5 * call + 1) % 6]);
                wire.command(&["LMOVE", from, to, "LEFT", "RIGHT"]);
            },
            2,
            |wire, _, _| {
                wire.send(b"MULTI\r\n");
                for key in KEYS {
                    wire.send_command(&["LLEN", key]);
                }
                wire.send(b"EXEC\r\n");
                let mut replies: Vec<Value> = (0..KEYS.len() + 2).map(|_| wire.value()).collect();
                let lengths = replies
                    .remove(KEYS.len() + 1)
                    .elements()
                    .expect("EXEC's replies");
                let sum: i64 = lengths.iter().map(Value::integer).sum();
                assert_eq!(sum, 1, "with {shards} shards: {lengths:?}");
            },
        );
    }
}

/// A blocked client's keys are all on one shard, so that this shard serves it; but a transaction
/// over several may have one of them just then.
#[test]
fn a_move_that_waited_finds_its_destination_at_home() {
    const ELEMENTS: usize = 600;
    const MOVE: [&str; 6] = ["BLMOVE", "{alpha}in", "{alpha}out", "LEFT", "RIGHT", "0.02"];
    const END: &str = "delta";
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let until_over = |words: &'static [&'static str]| {
                let mut wire = server.connect();
                let is_over = &is_over;
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        wire.command(words);
                    }
                });
            };
            for _ in 0..2 {
                until_over(&MOVE);
                until_over(&["LMOVE", "{alpha}out", END, "LEFT", "RIGHT"]);
            }
            for element in 0..ELEMENTS {
                wire.command(&["RPUSH", "{alpha}in", &element.to_string()]);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut left: Vec<String> = Vec::new();
        for key in ["{alpha}in", "{alpha}out", END] {
            left.extend(texts(&wire.command(&["LRANGE", key, "0", "-1"])));
            wire.command(&["DEL", key]);
        }
        assert_eq!(
            wire.ask("DBSIZE"),
            Value::Integer(0),
            "with {shards} shards"
        );
        let distinct: BTreeSet<&String> = left.iter().collect();
        assert_eq!(
            (left.len(), distinct.len()),
            (ELEMENTS, ELEMENTS),
            "with {shards} shards"
        );
    }
}

/// All of a transaction happens or nothing, also where its client goes at once and never hears of
/// it.
#[test]
fn a_transaction_is_whole_though_its_client_has_gone() {
    const ROUNDS: usize = 60;
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let mut subscriber = server.connect();
        subscriber.ask("SUBSCRIBE channel");
        for round in 0..ROUNDS {
            let mut leaver = server.connect();
            // One command in the midst must ask all shards: the transaction waits for it.
            let asks = ["PING", "CLIENT LIST", "INFO"][round % 3];
            leaver.send(
                format!(
                    "MULTI\r\nSET alpha {round}\r\nINCR counted\r\n{asks}\r\nSET beta {round}\r\nPUBLISH channel {round}\r\nEXEC\r\n"
                )
                .as_bytes(),
            );
            // Replies that nobody reads reset the connection.
            std::thread::sleep(Duration::from_micros(fastrand::u64(..600)));
            drop(leaver);
            let seen = wire.ask("MGET alpha beta").elements().expect("values");
            assert!(seen[0] == seen[1], "with {shards} shards: {seen:?}");
        }
        let again = |wire: &mut Wire| texts(&wire.ask("MGET alpha beta counted"));
        tests::server::eventually("all of them happen", Duration::from_secs(10), || {
            again(&mut wire)[2] == ROUNDS.to_string()
        });
        for _ in 0..ROUNDS {
            subscriber.value();
        }
    }
}
