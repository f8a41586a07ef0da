//! Those who try passwords: each is answered, all are counted, and memory does not grow.

use std::thread;

use tests::duel::from_environment;
use tests::reply::Value;
use tests::{Options, SEVERAL_SHARDS, Server, Wire};

/// Attempts on a server, where `PERCORE_ATTEMPTS` does not say how many.
const ATTEMPTS: u64 = 20_000;

const ATTACKERS: u64 = 4;

/// Attempts that are sent at once.
const BATCH: u64 = 250;

/// Entries of the log, as the parameter is by default.
const ENTRIES_MAX: usize = 128;

/// What the log, and the statistics of commands and errors, may take.
const GROWTH_MAX: u64 = 4 << 20;

/// A name that is longer than any user's, and what the log may take of such.
const LONG_NAME: usize = 100_000;
const LONG_GROWTH_MAX: u64 = 24 << 20;

fn used_memory(wire: &mut Wire) -> u64 {
    wire.info("memory").number("used_memory")
}

/// The entries of the log: object, user and count.
fn log(wire: &mut Wire) -> Vec<(String, String, u64)> {
    let text = |value: &Value| String::from_utf8_lossy(value.text()).into_owned();
    let entries = wire.ask("ACL LOG 1000").elements().expect("a list");
    let entries = entries.iter().map(|entry| {
        let fields = entry.elements().expect("an entry");
        let count = u64::try_from(fields[1].integer()).expect("a count");
        (text(&fields[7]), text(&fields[9]), count)
    });
    entries.collect()
}

/// Tries passwords on many connections, each attempt of a user that `name` gives.
fn attack(server: &Server, attempts: u64, name: impl Fn(u64) -> String + Sync) {
    thread::scope(|scope| {
        for attacker in 0..ATTACKERS {
            let name = &name;
            scope.spawn(move || {
                let mut wire = server.connect();
                let numbers: Vec<u64> = (attacker..attempts).step_by(ATTACKERS as usize).collect();
                for batch in numbers.chunks(BATCH as usize) {
                    for number in batch {
                        wire.send_words(&format!("AUTH {} wrong", name(*number)));
                    }
                    for _ in batch {
                        let reply = wire.value();
                        let refused = format!("{reply:?}");
                        assert!(refused.starts_with("-\"WRONGPASS "), "{refused}");
                    }
                }
            });
        }
    });
}

#[test]
fn wrong_passwords_are_counted_and_take_no_memory() {
    let attempts = from_environment("PERCORE_ATTEMPTS").unwrap_or(ATTEMPTS);
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        assert_eq!(
            wire.ask("ACL SETUSER bob on >secret +@all ~*").text(),
            b"OK"
        );
        // Once to have what is made when it is first needed.
        attack(&server, 4 * BATCH, |_| "bob".to_owned());
        wire.ask("ACL LOG RESET");
        let before = used_memory(&mut wire);
        let denied_before: u64 = wire.figure("acl_access_denied_auth");
        attack(&server, attempts, |_| "bob".to_owned());
        let entries = log(&mut wire);
        assert!(
            entries.iter().all(|(_, user, _)| user == "bob"),
            "{entries:?}"
        );
        // Those of a minute are one entry.
        let counted: u64 = entries.iter().map(|(_, _, count)| count).sum();
        assert_eq!(counted, attempts, "{shards} shards: {entries:?}");
        attack(&server, attempts, |number| format!("user:{number}"));
        let grown = used_memory(&mut wire).saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{shards} shards: {grown} bytes more");
        assert_eq!(log(&mut wire).len(), ENTRIES_MAX, "{shards} shards");
        let denied = wire.figure("acl_access_denied_auth") - denied_before;
        assert_eq!(denied, 2 * attempts, "{shards} shards");
        assert_eq!(wire.ask("AUTH bob secret").text(), b"OK");
    }
}

#[test]
fn long_names_take_no_more_than_the_log_may_hold() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let before = used_memory(&mut wire);
        attack(&server, 4 * ENTRIES_MAX as u64, |number| {
            format!("{number}{}", "x".repeat(LONG_NAME))
        });
        let grown = used_memory(&mut wire).saturating_sub(before);
        assert!(
            grown < LONG_GROWTH_MAX,
            "{shards} shards: {grown} bytes more"
        );
        assert_eq!(wire.ask("ACL LOG RESET").text(), b"OK");
    }
}

/// Who is not in has little room: what he sends before is bounded, and what he asks is refused.
#[test]
fn who_is_not_in_is_refused_whatever_he_sends() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        wire.command(&["CONFIG", "SET", "requirepass", "secret"]);
        let mut outside = server.connect();
        for ask in [
            "GET a",
            "MGET a b c d",
            "EVAL \"return 1\" 0",
            "MULTI",
            "INFO",
            "DBSIZE",
        ] {
            let reply = format!("{:?}", outside.ask(ask));
            assert!(
                reply.starts_with("-\"NOAUTH "),
                "{shards} shards, {ask}: {reply}"
            );
        }
        // As Redis bounds it: ten arguments, and 16 KiB in one of them.
        outside.send(b"*11\r\n$3\r\nGET\r\n");
        let told = String::from_utf8_lossy(&outside.until_closed()).into_owned();
        assert!(told.contains("unauthenticated multibulk length"), "{told}");
        let mut outside = server.connect();
        outside.send(b"*2\r\n$3\r\nGET\r\n$16385\r\n");
        let told = String::from_utf8_lossy(&outside.until_closed()).into_owned();
        assert!(told.contains("unauthenticated bulk length"), "{told}");
        assert_eq!(wire.ask("PING").text(), b"PONG");
    }
}
