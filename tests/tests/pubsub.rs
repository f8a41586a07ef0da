//! Publish and subscribe: what subscribers hear is what Redis would have told them, byte for byte
//! and in its order, whichever shards they and the publishers are on.

use std::thread;
use std::time::Duration;

use tests::noise::Noise;
use tests::reply::show;
use tests::server::eventually;
use tests::wire::encode;
use tests::{Options, Oracle, SHARDS, Server, Wire};

const SEQUENCES: u64 = 40;
const CONNECTIONS: usize = 4;
const STEPS: usize = 60;
const GONE_TIME_MAX: Duration = Duration::from_secs(20);

/// Payloads: some short enough to be copied, some that are shared, some that travel apart.
const PAYLOAD_BYTES: [usize; 5] = [0, 5, 700, 5_000, 70_000];

const CHANNELS: [&str; 3] = ["a", "b", "ab"];
/// No two of them fit the same channel: in which order these would be told is chance in Redis.
const PATTERNS: [&str; 3] = ["a*", "[bc]", "__key*"];

/// What a connection says in one step: one or two commands in one pipeline.
fn words(random: &mut fastrand::Rng) -> Vec<String> {
    let channel = CHANNELS[random.usize(..CHANNELS.len())];
    let pattern = PATTERNS[random.usize(..PATTERNS.len())];
    let payload = "x".repeat(PAYLOAD_BYTES[random.usize(..PAYLOAD_BYTES.len())]);
    let words: &[&str] = match random.usize(..12) {
        0 => &["SUBSCRIBE", channel],
        1 => &["PSUBSCRIBE", pattern],
        2 => &["SSUBSCRIBE", channel],
        3 => &["UNSUBSCRIBE", channel],
        4 => &["PUNSUBSCRIBE", pattern],
        5 => &["SUNSUBSCRIBE", channel],
        6 => &["PUBSUB", "NUMSUB", "a", "b", "ab"],
        7..=10 => &["PUBLISH", channel, &payload],
        _ => &["SPUBLISH", channel, &payload],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a connection that subscribes to nothing says: others hear of it. (Who hears of a change of
/// his own in the midst of a pipeline hears it when the key's shard has told his.)
fn change(random: &mut fastrand::Rng) -> [&'static str; 3] {
    let key = CHANNELS[random.usize(..CHANNELS.len())];
    if random.bool() {
        ["SET", key, "x"]
    } else {
        ["APPEND", key, "y"]
    }
}

/// What each connection hears when they speak one after the other, each until it has its replies.
/// Every second one speaks RESP3.
fn heard(server: &Server, seed: u64) -> Vec<Vec<Vec<u8>>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut writer = server.connect();
    // Whoever subscribed in the last sequence would be counted among those who hear.
    eventually("the last connections are gone", GONE_TIME_MAX, || {
        writer.figure("connected_clients") == 1
    });
    writer.ask("FLUSHALL");
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    let mut heard = vec![Vec::new(); CONNECTIONS];
    for (at, wire) in wires.iter_mut().enumerate() {
        if at % 2 == 0 {
            wire.ask("HELLO 3");
        }
    }
    for step in 0..STEPS {
        if random.u8(..4) == 0 {
            writer.command(&change(&mut random));
        }
        let at = random.usize(..CONNECTIONS);
        let wire = &mut wires[at];
        for _ in 0..random.usize(1..4) {
            wire.send_command(&words(&mut random));
        }
        hear_until(wire, &format!("mark {step}"), &mut heard[at]);
    }
    for (wire, heard) in wires.iter_mut().zip(&mut heard) {
        hear_until(wire, "the end", heard);
    }
    heard
}

/// Takes down what a connection hears until a PING of its own is answered.
fn hear_until(wire: &mut Wire, mark: &str, heard: &mut Vec<Vec<u8>>) {
    wire.send_command(&["PING", mark]);
    loop {
        let reply = wire.reply();
        let is_mark = reply
            .windows(mark.len())
            .any(|bytes| bytes == mark.as_bytes());
        heard.push(reply);
        if is_mark {
            return;
        }
    }
}

#[test]
fn everybody_hears_what_redis_would_have_told_them() {
    let events = |server: &Server| {
        let mut wire = server.connect();
        wire.ask("CONFIG SET notify-keyspace-events KEA");
    };
    let oracle = Oracle::start();
    events(&oracle);
    for shards in SHARDS {
        for driver in ["auto", "epoll"] {
            let options = Options::shards(shards).flags(&format!("--io-driver {driver}"));
            let server = Server::start(options);
            events(&server);
            for seed in 0..SEQUENCES {
                compare(&oracle, &server, seed, shards);
            }
        }
    }
}

fn compare(oracle: &Server, server: &Server, seed: u64, shards: u16) {
    let (expected, found) = (heard(oracle, seed), heard(server, seed));
    for (at, (expected, found)) in expected.iter().zip(&found).enumerate() {
        for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
            assert!(
                expected == found,
                "seed {seed}, {shards} shards: connection {at} hears as its {number}th\n  {}\nand not\n  {}",
                show(found),
                show(expected)
            );
        }
        assert_eq!(expected.len(), found.len(), "seed {seed}, {shards} shards");
    }
}

/// However slowly a subscriber reads, it is not closed.
fn patient(shards: u16) -> Options {
    Options::shards(shards).flags("--client-output-buffer-limit pubsub 0 0 0")
}

/// Many publishers at once, without waiting for replies, to subscribers of several channels and
/// patterns.
#[test]
fn messages_of_one_publisher_arrive_in_order() {
    const PUBLISHERS: usize = 6;
    const MESSAGES: usize = 600;
    for shards in SHARDS {
        let server = Server::start(patient(shards));
        let subscribers: Vec<Wire> = (0..8)
            .map(|at| {
                let mut wire = server.connect();
                if at % 2 == 0 {
                    wire.ask("HELLO 3");
                }
                match at % 4 {
                    0 | 1 => (0..3).for_each(|to| drop(wire.ask(&format!("SUBSCRIBE to:{to}")))),
                    _ => drop(wire.ask("PSUBSCRIBE to:*")),
                }
                wire
            })
            .collect();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let mut wire = server.connect();
                thread::spawn(move || {
                    let mut random = fastrand::Rng::with_seed(publisher as u64);
                    for number in 0..MESSAGES {
                        let channel = format!("to:{}", random.u8(..3));
                        let padding = "x".repeat([1, 3_000, 40_000][random.usize(..3)]);
                        let message = format!("{publisher} {number} {padding}");
                        wire.send_command(&["PUBLISH", &channel, &message]);
                    }
                    (0..MESSAGES).for_each(|_| assert_eq!(wire.reply(), b":8\r\n"));
                })
            })
            .collect();
        let hearing: Vec<_> = subscribers
            .into_iter()
            .map(|mut wire| {
                thread::spawn(move || {
                    let mut next = [0; PUBLISHERS];
                    for _ in 0..PUBLISHERS * MESSAGES {
                        let parts = wire.value().elements().expect("a message");
                        let text = parts.last().expect("a payload").text().to_vec();
                        let text = String::from_utf8(text).expect("text");
                        let mut words = text.split(' ').map(|word| word.parse::<usize>());
                        let (who, number) = (words.next(), words.next());
                        let (Some(Ok(who)), Some(Ok(number))) = (who, number) else {
                            panic!("not sent by anybody: {:.40}", text);
                        };
                        assert_eq!(number, next[who], "of publisher {who}");
                        next[who] += 1;
                    }
                })
            })
            .collect();
        for thread in publishers.into_iter().chain(hearing) {
            thread.join().expect("all arrive in order");
        }
    }
}

/// Who has been told that a message went to a subscriber finds, whatever connection he speaks
/// through, that it was heard.
#[test]
fn a_message_is_heard_before_its_publisher_has_the_reply() {
    const ROUNDS: usize = 1_500;
    for driver in ["auto", "epoll"] {
        let server = Server::start(Options::shards(4).flags(&format!("--io-driver {driver}")));
        let subscribed = |channel: &str| {
            let mut wire = server.connect();
            wire.ask("HELLO 3");
            wire.ask(&format!("SUBSCRIBE {channel}"));
            wire
        };
        let mut publishers: Vec<Wire> = (0..4).map(|_| subscribed("noise")).collect();
        let mut subscribers: Vec<Wire> = (0..4).map(|_| subscribed("news")).collect();
        // Publishers that hear something themselves run their commands in the turn after.
        let _noise = Noise::begin(&server, 2);
        for round in 0..ROUNDS {
            let message = format!("message {round}");
            let publisher = &mut publishers[round % 4];
            publisher.send_command(&["PUBLISH", "news", &message]);
            while publisher.reply() != b":4\r\n" {}
            for wire in &mut subscribers {
                let mut heard = Vec::new();
                hear_until(wire, "told", &mut heard);
                let found = heard.concat();
                let mut words = found.windows(message.len());
                assert!(
                    words.any(|it| it == message.as_bytes()),
                    "{driver}, {message}: {}",
                    show(&found)
                );
            }
        }
    }
}

/// Messages of all lengths gather for subscribers that read nothing before the last one: written
/// together as they are then, they come whole and in order.
#[test]
fn who_reads_late_hears_everything_byte_for_byte() {
    /// More than the system's buffers hold.
    const MESSAGES: usize = 2_000;
    const LENGTHS: [usize; 7] = [0, 5, 700, 1_500, 5_000, 20_000, 70_000];
    for (shards, driver) in SHARDS.into_iter().zip(["auto", "epoll", "auto"]) {
        let server = Server::start(patient(shards).flags(&format!("--io-driver {driver}")));
        let subscribers: Vec<(Wire, &str)> = ["*", ">", "*", ">"]
            .into_iter()
            .map(|kind| {
                let mut wire = server.connect();
                if kind == ">" {
                    wire.ask("HELLO 3");
                }
                wire.ask("SUBSCRIBE c");
                (wire, kind)
            })
            .collect();
        let mut random = fastrand::Rng::with_seed(u64::from(shards));
        let mut publisher = server.connect();
        let mut messages = Vec::new();
        while messages.len() < MESSAGES {
            let first = messages.len();
            for number in first..first + random.usize(1..30) {
                let padding = "x".repeat(LENGTHS[random.usize(..LENGTHS.len())]);
                let message = format!("{number} {padding}");
                publisher.send_command(&["PUBLISH", "c", &message]);
                messages.push(message);
            }
            (first..messages.len()).for_each(|_| assert_eq!(publisher.reply(), b":4\r\n"));
        }
        for (mut wire, kind) in subscribers {
            for message in &messages {
                let len = message.len();
                let expected =
                    format!("{kind}3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${len}\r\n{message}\r\n");
                let found = wire.reply();
                assert!(
                    found == expected.as_bytes(),
                    "{shards} shards: {:.60} and not {expected:.60}",
                    show(&found)
                );
            }
        }
    }
}

/// Subscribers whose sockets have room are not closed because the server reads from the publisher
/// and does not send.
#[test]
fn a_publisher_that_waits_for_nothing_costs_no_subscriber_its_connection() {
    const SUBSCRIBERS: usize = 200;
    /// Of 3 MB together: more than the limit, but not with what the sockets take.
    const MESSAGES: usize = 750;
    for shards in SHARDS {
        let limit = "--client-output-buffer-limit pubsub 2500000 0 0";
        let server = Server::start(Options::shards(shards).flags(limit));
        let subscribers: Vec<Wire> = (0..SUBSCRIBERS)
            .map(|_| {
                let mut wire = server.connect();
                wire.ask("SUBSCRIBE c");
                wire
            })
            .collect();
        let mut publisher = server.connect();
        let mut commands = Vec::new();
        let payload = "x".repeat(4_000);
        (0..MESSAGES).for_each(|_| encode(&["PUBLISH", "c", &payload], &mut commands));
        publisher.send(&commands);
        let expected = format!(":{SUBSCRIBERS}\r\n");
        for number in 0..MESSAGES {
            let reply = publisher.reply();
            assert_eq!(reply, expected.as_bytes(), "{shards} shards, {number}");
        }
        for mut wire in subscribers {
            (0..MESSAGES).for_each(|_| drop(wire.reply()));
        }
    }
}

/// Resident memory in bytes.
fn used(wire: &mut Wire) -> usize {
    wire.info("memory").number("used_memory")
}

/// One shard that delivers to many cannot keep up with several that only publish: these wait.
#[test]
fn publishers_that_are_faster_than_delivery_wait() {
    const SUBSCRIBERS: usize = 60;
    const MESSAGES: usize = 300;
    let server = Server::start(patient(4));
    let payload = "x".repeat(100_000);
    let mut hearing = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut wire = server.connect();
        wire.ask("SUBSCRIBE c");
        hearing.push(thread::spawn(move || {
            for _ in 0..4 * MESSAGES {
                wire.reply();
            }
        }));
    }
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let (mut wire, payload) = (server.connect(), payload.clone());
            thread::spawn(move || {
                for _ in 0..MESSAGES {
                    wire.send_command(&["PUBLISH", "c", &payload]);
                }
                let expected = format!(":{SUBSCRIBERS}\r\n");
                (0..MESSAGES).for_each(|_| assert_eq!(wire.reply(), expected.as_bytes()));
            })
        })
        .collect();
    let mut wire = server.connect();
    let mut most = 0;
    while publishers.iter().any(|thread| !thread.is_finished()) {
        most = most.max(used(&mut wire));
        thread::sleep(Duration::from_millis(5));
    }
    for thread in publishers.into_iter().chain(hearing) {
        thread.join().expect("everything arrives");
    }
    // All that was published is 120 MB; shared, it is held once and not by each subscriber.
    assert!(most < 400 << 20, "{most} bytes");
}
