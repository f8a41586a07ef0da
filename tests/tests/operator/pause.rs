//! CLIENT PAUSE.

use std::time::Duration;

use tests::reply::Value;
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::{TIME_MAX, words};

/// What CLIENT PAUSE WRITE may hold back: commands, those that come before on the same connection
/// parted by `;`.
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
    r#"EVAL "return 1" 0"#,
    r#"EVAL_RO "return 1" 0"#,
    r##"EVAL "#!lua\nreturn 1" 0"##,
    r##"EVAL "#!lua flags=no-writes\nreturn 1" 0"##,
    r##"MULTI; EVAL "#!lua flags=no-writes\nreturn 1" 0; EXEC"##,
    r#"MULTI; EVAL_RO "return 1" 0; EXEC"#,
    r#"MULTI; EVAL "return 1" 0"#,
    "FCALL none 0",
];

/// Whether each is held back, and what it answers in the end.
fn held_back(server: &Server) -> Vec<(bool, Option<Value>)> {
    let mut control = server.connect();
    control.ask("RPUSH full a b");
    let ask = |commands: &&str| {
        eventually("nobody waits", TIME_MAX, || control.blocked_clients() == 0);
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
            is_held = reply.is_none() && control.blocked_clients() == 1;
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
        eventually("EXEC waits", TIME_MAX, || control.blocked_clients() == 1);
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
            for _ in 0..ROUNDS {
                assert_eq!(control.ask("CLIENT PAUSE 1000000 WRITE").text(), b"OK");
                let first = control.ask(&format!("MGET{keys}"));
                std::thread::sleep(Duration::from_millis(3));
                let second = control.ask(&format!("MGET{keys}"));
                assert_eq!(first, second, "{shards} shards");
                assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
                eventually("writers go on", TIME_MAX, || {
                    control.ask(&format!("MGET{keys}")) != second
                });
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
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
        eventually("all wait", TIME_MAX, || control.blocked_clients() == 8);
        assert_eq!(control.ask("CLIENT PAUSE 1000000 WRITE").text(), b"OK");
        other.send(b"RPUSH list:0 a b c d e f g h\r\n");
        eventually("the push waits", TIME_MAX, || {
            control.blocked_clients() == 9
        });
        assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
        for waiter in &mut waiters {
            assert_eq!(words(&waiter.value())[0], "list:0", "{shards} shards");
        }
        assert!(other.value().integer() >= 1);
    }
}

/// What each of these sees of eight keys and a field whose time has come.
const LOOKS: [(&str, &str); 16] = [
    ("GET dead:1", "null($-1)"),
    (
        "MGET dead:1 dead:2 dead:3 live",
        "*[null($-1), null($-1), null($-1), $\"v\"]",
    ),
    ("EXISTS dead:1 dead:2 dead:3 dead:4 live", ":1"),
    ("TOUCH dead:4 dead:5 live", ":1"),
    ("TTL dead:2", ":-2"),
    ("TYPE dead:3", "+\"none\""),
    ("STRLEN dead:5", ":0"),
    ("OBJECT ENCODING dead:6", "null($-1)"),
    ("SINTER dead:7 dead:8", "*[]"),
    ("KEYS dead:*", "*[]"),
    ("XREAD STREAMS dead:7 dead:8 0 0", "null(*-1)"),
    ("HGET hash dead", "null($-1)"),
    ("HMGET hash dead live", "*[null($-1), $\"v\"]"),
    ("HEXISTS hash dead", ":0"),
    ("HGETALL hash", "*[$\"live\", $\"v\"]"),
    ("RANDOMKEY", ""),
];

/// A read that meets what has expired would change something, and tell of it.
#[test]
fn what_expires_in_a_pause_is_hidden_and_removed_behind_it() {
    for (shards, logs) in [(1, "no"), (2, "no"), (4, "no"), (4, "yes")] {
        let flags =
            format!("--enable-debug-command yes --appendonly {logs} --notify-keyspace-events Ex");
        let server = Server::start(Options::shards(shards).flags(&flags));
        let (mut control, mut wire) = (server.connect(), server.connect());
        let mut ear = server.connect();
        ear.ask("SUBSCRIBE __keyevent@0__:expired");
        control.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        for number in 1..=8 {
            control.ask(&format!("SET dead:{number} v PX 1"));
        }
        control.ask("SET live v");
        control.ask("HSET hash dead v live v");
        control.ask("HPEXPIRE hash 1 FIELDS 1 dead");
        control.ask("DEBUG SLEEP 0.01");
        assert_eq!(control.ask("CLIENT PAUSE 1000000 WRITE").text(), b"OK");
        control.ask("DEBUG SET-ACTIVE-EXPIRE 1");
        for (look, expected) in LOOKS {
            let seen = format!("{:?}", wire.ask(look));
            assert!(expected.is_empty() || seen == expected, "{look}: {seen}");
            for step in ["WATCH dead:1 live", "MULTI", "PING", look] {
                wire.ask(step);
            }
            let seen = format!("{:?}", wire.ask("EXEC"));
            let within = format!("*[+\"PONG\", {expected}]");
            assert!(
                expected.is_empty() || seen == within,
                "EXEC with {look}: {seen}"
            );
        }
        let size = control.ask("DBSIZE").integer();
        assert_eq!(
            (size, control.figure("expired_keys")),
            (10, 0),
            "{shards} shards"
        );
        assert_eq!(control.ask("HLEN hash").integer(), 2);
        assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
        for _ in 1..=8 {
            let told = ear.value().elements().expect("a message");
            assert!(told[2].text().starts_with(b"dead:"), "{told:?}");
        }
        eventually("the field is gone", TIME_MAX, || {
            control.ask("HLEN hash").integer() == 1
        });
        assert_eq!(control.ask("DBSIZE").integer(), 2);
    }
}

/// A key that expires in a pause has changed for who watched it before.
#[test]
fn what_expires_in_a_pause_has_changed_for_who_watched_it() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--enable-debug-command yes"));
        let (mut control, mut wire) = (server.connect(), server.connect());
        control.ask("SET key v");
        wire.ask("WATCH key");
        control.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        control.ask("CLIENT PAUSE 1000000 WRITE");
        // Nothing has: it runs.
        wire.ask("MULTI");
        wire.ask("GET key");
        assert!(wire.ask("EXEC").elements().is_some());
        control.ask("CLIENT UNPAUSE");
        // It was alive when it was watched.
        eventually("it is watched", TIME_MAX, || {
            wire.ask("UNWATCH");
            control.ask("SET key v PX 100");
            wire.ask("WATCH key");
            control.ask("PTTL key").integer() > 0
        });
        control.ask("CLIENT PAUSE 1000000 WRITE");
        eventually("it has expired", TIME_MAX, || {
            control.ask("EXISTS key").integer() == 0
        });
        wire.ask("MULTI");
        wire.ask("GET key");
        assert_eq!(wire.ask("EXEC"), Value::Null("*-1"));
        control.ask("CLIENT UNPAUSE");
    }
}
