//! Clients that go in the middle of something: killed, or closed because they do not read.
//! Afterwards everything is counted as if they had never been, what they held is free, and nobody
//! else has noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::server::eventually;
use tests::{Options, SHARDS, Server, Wire};

const TIME_MAX: Duration = Duration::from_secs(60);

/// What a client is in the middle of: the words that bring it there, and what it has not finished.
const STATES: &[(&str, &[&str], &[u8])] = &[
    ("idle", &[], b""),
    ("MULTI", &["WATCH a b c", "MULTI", "SET a 1"], b""),
    ("blocked on one shard", &[], b"BLPOP list 0\r\n"),
    (
        "blocked on several",
        &[],
        b"BLPOP list:1 list:2 list:3 list:4 0\r\n",
    ),
    (
        "blocked in a group",
        &[],
        b"XREADGROUP GROUP g me BLOCK 0 STREAMS stream >\r\n",
    ),
    (
        "subscribed",
        &["SUBSCRIBE a b", "PSUBSCRIBE c*", "SSUBSCRIBE d"],
        b"",
    ),
    ("monitor", &["MONITOR"], b""),
    (
        "amid a command",
        &[],
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000\r\nxxx",
    ),
    (
        "amid a pipeline",
        &["SELECT 3"],
        b"SET a 1\r\nGET a\r\nGET b\r\nGET c\r\n*2\r\n$3\r\nGE",
    ),
    ("without replies", &[], b"CLIENT REPLY OFF\r\nSET a 1\r\n"),
    ("RESP3", &["HELLO 3", "CLIENT SETNAME me"], b""),
];

/// Ways to name one client, by what CLIENT LIST says of it.
const FILTERS: &[&str] = &[
    "ID {id}",
    "ADDR {addr}",
    "{addr}",
    "ADDR {addr} LADDR {laddr} ID {id} USER default SKIPME yes",
    "USER default ID {id}",
    "LADDR {laddr} SKIPME yes ID {id}",
    "TYPE {type} ID {id}",
];

/// A field of a line of CLIENT LIST.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    line.split(' ')
        .find_map(|field| field.split_once('=').filter(|(known, _)| *known == name))
        .map_or("", |(_, value)| value)
}

/// A client in that state, and its id.
fn prepare(server: &Server, state: usize) -> (i64, Wire) {
    let (_, words, rest) = STATES[state];
    let mut wire = server.connect();
    let id = wire.ask("CLIENT ID").integer();
    for words in words {
        wire.ask(words);
        // Each further channel is confirmed apart.
        let more = words.split(' ').count().saturating_sub(2);
        if words.starts_with("SUBSCRIBE") {
            (0..more).for_each(|_| drop(wire.reply()));
        }
    }
    wire.send(rest);
    (id, wire)
}

#[test]
fn clients_killed_amid_anything_leave_nothing_behind() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        control.ask("XGROUP CREATE stream g $ MKSTREAM");
        for (state, (name, _, _)) in STATES.iter().enumerate() {
            for filter in FILTERS {
                let (id, mut victim) = prepare(&server, state);
                let mut line = String::new();
                eventually(name, TIME_MAX, || {
                    let list = control.ask(&format!("CLIENT LIST ID {id}"));
                    line = String::from_utf8_lossy(list.text()).trim_end().to_owned();
                    !name.starts_with("blocked") || field(&line, "flags").contains('b')
                });
                let line = line.as_str();
                let kind = if field(line, "flags").contains('P') {
                    "pubsub"
                } else {
                    "normal"
                };
                let words = filter
                    .replace("{id}", field(line, "id"))
                    .replace("{addr}", field(line, "addr"))
                    .replace("{laddr}", field(line, "laddr"))
                    .replace("{type}", kind);
                let reply = control.ask(&format!("CLIENT KILL {words}"));
                match filter.starts_with('{') {
                    true => assert_eq!(reply.text(), b"OK", "{name}: {words}"),
                    false => assert_eq!(reply.integer(), 1, "{name}: {words}"),
                }
                victim.until_closed();
            }
        }
        everybody_is_gone(&mut control, &format!("{shards} shards"));
        // Whatever they were in the middle of, nothing of it goes on.
        assert_eq!(control.ask("RPUSH list x").integer(), 1);
        assert_eq!(control.ask("RPUSH list:1 x").integer(), 1);
        assert_eq!(control.ask("PUBLISH a x").integer(), 0);
    }
}

fn everybody_is_gone(control: &mut Wire, who: &str) {
    for (name, expected) in [
        ("connected_clients", 1),
        ("blocked_clients", 0),
        ("pubsub_clients", 0),
        ("watching_clients", 0),
        ("total_watched_keys", 0),
        ("total_blocking_keys", 0),
        ("clients_in_timeout_table", 0),
        ("pubsub_channels", 0),
        ("pubsub_patterns", 0),
        ("pubsubshard_channels", 0),
    ] {
        eventually(&format!("{who}: {name}"), TIME_MAX, || {
            control.figure(name) == expected
        });
    }
}

#[test]
fn many_are_killed_at_once_by_type_and_age() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        control.ask("XGROUP CREATE stream g $ MKSTREAM");
        let all: Vec<Wire> = (0..5 * STATES.len())
            .map(|at| prepare(&server, at % STATES.len()).1)
            .collect();
        eventually("all are there", TIME_MAX, || {
            control.figure("connected_clients") == all.len() as u64 + 1
        });
        assert_eq!(control.ask("CLIENT KILL MAXAGE 3600").integer(), 0);
        assert_eq!(control.ask("CLIENT KILL TYPE pubsub").integer(), 5);
        let killed = control.ask("CLIENT KILL TYPE normal SKIPME yes");
        assert_eq!(killed.integer(), 5 * (STATES.len() as i64 - 1));
        everybody_is_gone(&mut control, &format!("{shards} shards"));
        // Who kills himself hears of it first.
        assert_eq!(
            control.ask("CLIENT KILL TYPE normal SKIPME no").integer(),
            1
        );
        control.until_closed();
        assert_eq!(server.connect().ask("PING").text(), b"PONG");
    }
}

/// Subscribers that stop reading.
const STALLED: usize = 1_000;

fn connect_unix(server: &Server) -> Wire {
    Wire::connect_unix(&server.unix_socket()).expect("a connection")
}

/// A subscriber that has subscribed to `c`, over a socket whose buffers hold little.
fn stalled(server: &Server) -> Wire {
    let mut wire = connect_unix(server);
    wire.ask("SUBSCRIBE c");
    wire
}

#[test]
fn a_thousand_subscribers_that_stop_reading_are_closed_and_nobody_else_notices() {
    const MESSAGES: usize = 200;
    const READERS: usize = 4;
    for shards in SHARDS {
        let flags = "--client-output-buffer-limit pubsub 64kb 0 0 --maxclients 2000";
        let server = Server::start(Options::shards(shards).flags(flags).unix_socket());
        let mut control = server.connect();
        let before = control.figure("used_memory");
        let mut all: Vec<Wire> = (0..STALLED).map(|_| stalled(&server)).collect();
        let payload = "x".repeat(4_000);
        let heard = Arc::new(AtomicUsize::new(0));
        let readers: Vec<_> = (0..READERS)
            .map(|at| {
                let mut wire = server.connect();
                if at % 2 == 0 {
                    wire.ask("HELLO 3");
                }
                wire.ask("SUBSCRIBE c");
                let heard = heard.clone();
                thread::spawn(move || {
                    for number in 0..MESSAGES {
                        let message = wire.value().elements().expect("a message");
                        let text = message[2].text();
                        assert!(text.starts_with(format!("{number} ").as_bytes()));
                        heard.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut publisher = server.connect();
        let (mut most, mut last) = (0, 0);
        let mut slowest = Duration::ZERO;
        for number in 0..MESSAGES {
            let text = format!("{number} {payload}");
            last = publisher.command(&["PUBLISH", "c", &text]).integer();
            if number % 10 == 0 {
                // They are not to be as far behind as those who do not read at all.
                eventually("readers keep up", TIME_MAX, || {
                    heard.load(Ordering::Relaxed) >= number * READERS
                });
                let asked = Instant::now();
                control.ask("PING");
                slowest = slowest.max(asked.elapsed());
                most = most.max(control.figure("used_memory"));
            }
        }
        for reader in readers {
            reader.join().expect("who reads hears everything");
        }
        assert_eq!(last, 4, "{shards} shards: only who reads is left");
        let held = most.saturating_sub(before);
        // Each holds 64 KB of messages, but all hold the same ones.
        assert!(held < 48 << 20, "{shards} shards: {held} bytes");
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        let closed = control.figure("client_output_buffer_limit_disconnections");
        assert_eq!(closed, STALLED as u64, "{shards} shards");
        all.iter_mut().for_each(|wire| drop(wire.until_closed()));
        drop(publisher);
        everybody_is_gone(&mut control, &format!("{shards} shards"));
        eventually("what they held is free", TIME_MAX, || {
            control.figure("used_memory") < before + (8 << 20)
        });
    }
}

#[test]
fn who_is_over_the_soft_limit_for_too_long_is_closed_though_nothing_happens() {
    for shards in SHARDS {
        let flags = "--client-output-buffer-limit pubsub 0 64kb 6";
        let closed = "client_output_buffer_limit_disconnections";
        let server = Server::start(Options::shards(shards).flags(flags).unix_socket());
        let mut control = server.connect();
        let (mut slow, mut quick) = (stalled(&server), stalled(&server));
        let payload = "x".repeat(1 << 20);
        let published = Instant::now();
        assert_eq!(control.command(&["PUBLISH", "c", &payload]).integer(), 2);
        // One reads in time, the other does not. Meanwhile nobody says a word.
        quick.reply();
        thread::sleep(Duration::from_secs(4));
        let early = control.figure(closed);
        let is_early = published.elapsed() < Duration::from_secs(6);
        assert!(early == 0 || !is_early, "{shards} shards: too early");
        thread::sleep(Duration::from_secs(8));
        assert_eq!(control.figure(closed), 1, "{shards} shards");
        assert_eq!(control.ask("PUBLISH c x").integer(), 1);
        quick.reply();
        slow.until_closed();
    }
}

#[test]
fn a_reader_that_only_asks_meets_the_limit_for_normal_clients() {
    for shards in SHARDS {
        let flags = "--client-output-buffer-limit normal 1mb 0 0";
        let server = Server::start(Options::shards(shards).flags(flags).unix_socket());
        let mut control = server.connect();
        control.command(&["SET", "large", &"x".repeat(100_000)]);
        let mut lazy = connect_unix(&server);
        for _ in 0..40 {
            drop(lazy.try_send(b"GET large\r\n"));
        }
        eventually("it is closed", TIME_MAX, || {
            control.figure("client_output_buffer_limit_disconnections") == 1
        });
        eventually("it is gone", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
    }
}
