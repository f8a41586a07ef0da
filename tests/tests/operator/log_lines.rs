//! What the log's lines say and in which form: Redis's levels and marks, warnings of what is wrong,
//! why connections end, what was configured.

use std::net::SocketAddr;

use tests::server::{eventually, outer_address};
use tests::{Options, SHARDS, Server, Wire};

use crate::TIME_MAX;

/// The first line that has all of `words`, once it is there.
fn line(server: &Server, words: &[&str]) -> String {
    let mut found = None;
    eventually(&format!("a line with {words:?}"), TIME_MAX, || {
        let log = server.log();
        let is_it = |line: &&str| words.iter().all(|word| line.contains(word));
        found = log.lines().find(is_it).map(str::to_owned);
        found.is_some()
    });
    found.expect("a line")
}

fn address(wire: &mut Wire) -> String {
    let info = wire.ask("CLIENT INFO");
    let text = String::from_utf8_lossy(info.text()).into_owned();
    let address = text.split(' ').find_map(|it| it.strip_prefix("addr="));
    address.expect("an address").to_owned()
}

#[test]
fn helpers_find_the_line_that_they_wait_for_in_every_text_format() {
    for format in ["text", "redis"] {
        let server = Server::start(
            Options::shards(2)
                .unix_socket()
                .flags(&format!("--log-format {format} --loglevel debug")),
        );
        for way in ["tcp", "unix"] {
            let words = format!("* Ready to accept connections {way}");
            line(&server, &[&words]);
        }
    }
}

#[test]
fn lines_have_the_form_of_redis_when_asked() {
    let mut server = Server::start(Options::shards(2).flags("--log-format redis --loglevel debug"));
    let pid = server.pid();
    let mut wire = server.connect();
    for command in ["AUTH bob wrong", "GET", "CONFIG SET hz 20", "PING"] {
        wire.ask(command);
    }
    drop(wire);
    line(&server, &["connection closed"]);
    server.signal("TERM");
    server.until_gone();
    let log = server.log();
    let mut marks = std::collections::BTreeSet::new();
    for line in log.lines() {
        // 12345:M 30 Nov 2026 11:24:24.123 * message
        let words: Vec<&str> = line.splitn(7, ' ').collect();
        let &[who, day, month, year, time, mark, message] = &*words else {
            panic!("{line}");
        };
        assert_eq!(who, format!("{pid}:M"), "{line}");
        let number = |text: &str, len| text.len() == len && text.parse::<u32>().is_ok();
        assert!(
            number(day, 2) && month.len() == 3 && number(year, 4),
            "{line}"
        );
        let parts: Vec<&str> = time.split([':', '.']).collect();
        let widths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(widths, [2, 2, 2, 3], "{line}");
        assert!(!message.is_empty(), "{line}");
        marks.insert(mark.to_owned());
    }
    let expected = ["#", "*", "-", "."].map(str::to_owned);
    assert_eq!(marks, expected.into(), "{log}");
}

#[test]
fn what_is_wrong_is_a_warning_with_the_address_at_a_bounded_rate() {
    const GUESSES: usize = 2_000;
    for shards in SHARDS {
        let server =
            Server::start(Options::shards(shards).flags("--loglevel warning --maxclients 3"));
        let mut control = server.connect();
        control.ask("CONFIG SET requirepass secret");
        let mut guesser = server.connect();
        guesser.ask("AUTH secret");
        let from = address(&mut guesser);
        guesser.send("AUTH wrong\r\n".repeat(GUESSES).as_bytes());
        for _ in 0..GUESSES {
            guesser.reply();
        }
        let told = line(&server, &["WARNING #", "a client gave a wrong password"]);
        assert!(told.contains(&format!("address={from}")), "{told}");
        let log = server.log();
        let count = log.matches("a client gave a wrong password").count();
        assert!(count < GUESSES / 2, "{count} lines");
        // What was left out is told with the next line.
        eventually("the rest is told", TIME_MAX, || {
            guesser.ask("AUTH wrong");
            let log = server.log();
            let mut counts = log
                .lines()
                .filter_map(|line| line.split("left_out=").nth(1));
            counts.any(|rest| !rest.starts_with('0'))
        });
        let mut third = server.connect();
        third.ask("PING");
        drop(server.connect().try_reply());
        let words = [
            "WARNING #",
            "turning a connection away",
            "parameter=maxclients",
        ];
        let told = line(&server, &words);
        assert!(told.contains("address=127.0.0.1:"), "{told}");
        assert!(!server.log().contains("NOTICE"), "{}", server.log());
        assert!(!server.log().contains("secret"), "{}", server.log());
    }
}

/// Nobody else is there, so that no turn of the shard moves its clock.
#[test]
fn a_new_second_has_lines_of_its_own_where_everybody_is_turned_away() {
    let server = Server::start(Options::shards(1).flags("--bind 0.0.0.0"));
    let outer = SocketAddr::from((outer_address(), server.port()));
    eventually("what was left out is told", TIME_MAX, || {
        // More at once than a second has lines.
        let crowd: Vec<Wire> = (0..64)
            .map(|_| Wire::connect(outer).expect("a connection"))
            .collect();
        for mut wire in crowd {
            drop(wire.try_reply());
        }
        let log = server.log();
        let mut counts = log
            .lines()
            .filter_map(|line| line.split("parameter=protected-mode").nth(1));
        counts.any(|rest| !rest.ends_with("left_out=0"))
    });
}

#[test]
fn limits_are_warnings_and_a_full_cache_is_none() {
    let server = Server::start(Options::shards(1).flags("--maxmemory-policy allkeys-random"));
    let mut wire = server.connect();
    wire.ask("CONFIG SET maxmemory 10mb");
    let value = "x".repeat(100_000);
    for at in 0..200 {
        wire.command(&["SET", &format!("key:{at}"), &value]);
    }
    line(
        &server,
        &["NOTICE *", "memory is at its limit", "keys_evicted="],
    );
    wire.ask("CONFIG SET maxmemory 1 maxmemory-policy noeviction");
    wire.ask("SET a 1");
    line(
        &server,
        &["WARNING #", "memory is at its limit", "commands_refused="],
    );
    wire.ask("CONFIG SET maxmemory 0");
    wire.command(&[
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 10kb 0 0",
    ]);
    let mut lazy = server.connect();
    let from = address(&mut lazy);
    lazy.ask("SUBSCRIBE c");
    wire.command(&["PUBLISH", "c", &"x".repeat(20_000_000)]);
    line(
        &server,
        &[
            "WARNING #",
            &format!("address={from}"),
            "(client-output-buffer-limit)",
        ],
    );
    wire.ask("CONFIG SET client-query-buffer-limit 1mb");
    let mut large = server.connect();
    let command = format!(
        "*2\r\n$4\r\nECHO\r\n${}\r\n{}",
        3 << 20,
        "x".repeat(3 << 20)
    );
    drop(large.try_send(command.as_bytes()));
    line(
        &server,
        &[
            "WARNING #",
            "address=127.0.0.1:",
            "(client-query-buffer-limit)",
        ],
    );
}

/// Why a connection ended, as `end` ends it.
fn reason(server: &Server, end: impl FnOnce(&mut Wire, &str)) -> String {
    let mut wire = server.connect();
    let from = address(&mut wire);
    end(&mut wire, &from);
    let told = line(server, &["connection closed", &format!("address={from} ")]);
    drop(wire);
    assert!(told.contains("VERBOSE -"), "{told}");
    let reason = told.split(" reason=").nth(1).expect("a reason");
    let reason = reason.split(" age_s=").next().expect("a reason");
    reason.trim_matches('"').to_owned()
}

#[test]
fn it_is_told_who_ended_a_connection_and_why() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--loglevel verbose"));
        let mut control = server.connect();
        let left = reason(&server, |wire, _| wire.finish_sending());
        assert_eq!(left, "closed by the client");
        let left = reason(&server, |wire, _| {
            wire.ask("SET a 1");
            wire.send(b"GET a\r\n");
            wire.finish_sending();
        });
        assert_eq!(left, "closed by the client");
        let quit = reason(&server, |wire, _| {
            wire.ask("QUIT");
        });
        assert_eq!(quit, "QUIT");
        let killed = reason(&server, |_, from| {
            control.ask(&format!("CLIENT KILL {from}"));
        });
        assert_eq!(killed, "CLIENT KILL");
        let suicide = reason(&server, |wire, from| {
            wire.ask(&format!("CLIENT KILL ADDR {from} SKIPME no"));
        });
        assert_eq!(suicide, "CLIENT KILL");
        let garbage = reason(&server, |wire, _| wire.send(b"*1\r\n$x\r\n"));
        assert_eq!(garbage, "protocol error");
        control.ask("CONFIG SET timeout 1");
        let idle = reason(&server, |_, _| {});
        assert_eq!(idle, "timeout");
    }
}

#[test]
fn a_change_of_the_configuration_is_told_with_its_values_but_no_secret() {
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    let from = address(&mut wire);
    let id = wire.ask("CLIENT ID").integer();
    wire.command(&["CONFIG", "SET", "HZ", "37", "save", "900 7"]);
    let who = format!("client={id} address={from}");
    line(&server, &["NOTICE *", &who, "parameter=hz from=10 to=37"]);
    line(
        &server,
        &["NOTICE *", &who, "parameter=save from=\"\" to=\"900 7\""],
    );
    wire.ask("CONFIG SET requirepass my-secret");
    line(&server, &["parameter=requirepass from=\"\" to=(redacted)"]);
    wire.command(&["CONFIG", "SET", "requirepass", ""]);
    line(&server, &["parameter=requirepass from=(redacted) to=\"\""]);
    // What was refused has changed nothing, and what it was already is no change.
    wire.ask("CONFIG SET hz 37");
    wire.ask("CONFIG SET hz 38 databases 5");
    wire.ask("CONFIG SET hz 39 maxmemory nonsense");
    // Who reads the log is told why it falls silent.
    wire.ask("CONFIG SET loglevel warning");
    line(&server, &["parameter=loglevel from=notice to=warning"]);
    wire.ask("CONFIG SET hz 40");
    wire.ask("CONFIG SET loglevel notice");
    line(&server, &["parameter=loglevel from=warning to=notice"]);
    let log = server.log();
    for absent in [
        "my-secret",
        "to=38",
        "to=39",
        "to=40",
        "nonsense",
        "from=37 to=37",
    ] {
        assert!(!log.contains(absent), "{absent} in {log}");
    }
}

#[test]
fn verbose_and_debug_tell_more_each() {
    let verbose = Server::start(Options::shards(1).flags("--loglevel verbose"));
    let debug = Server::start(Options::shards(1).flags("--loglevel debug"));
    for server in [&verbose, &debug] {
        let mut wire = server.connect();
        wire.ask("SELECT 3");
        wire.ask("SET a 1");
        wire.ask("LPUSH a secret");
        wire.ask("nonsense");
        // The clock runs while commands come.
        let serving = || server.log().contains("serving");
        eventually("the report of some seconds", TIME_MAX, || {
            wire.ask("PING");
            serving()
        });
        line(server, &["VERBOSE -", "connection opened"]);
        line(
            server,
            &["VERBOSE -", "serving", "clients=1", "used_bytes="],
        );
    }
    assert!(!verbose.log().contains("DEBUG"), "{}", verbose.log());
    line(&debug, &["DEBUG .", "shard{id=0}:", "commands="]);
    line(&debug, &["DEBUG .", "database db=3 keys=1 volatile_keys=0"]);
    line(
        &debug,
        &["DEBUG .", "a command failed command=lpush code=WRONGTYPE"],
    );
    line(
        &debug,
        &["DEBUG .", "a command was refused command=unknown code=ERR"],
    );
    assert!(!debug.log().contains("secret"), "{}", debug.log());
}

#[test]
fn no_client_writes_a_line_of_its_own() {
    let server =
        Server::start(Options::shards(1).flags("--enable-debug-command yes --loglevel debug"));
    let mut wire = server.connect();
    let forged = "x\n2026-01-01T00:00:00.000000Z NOTICE * forged\u{1b}[31m";
    wire.command(&["DEBUG", "LOG", forged]);
    wire.command(&["CONFIG", "SET", "dbfilename", forged]);
    wire.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    wire.command(&[forged, "a"]);
    wire.send(b"*1\r\n$x\n2026 forged\r\n");
    line(&server, &["connection closed"]);
    let log = server.log();
    for line in log.lines() {
        assert!(
            !line.starts_with("2026-01-01") && !line.starts_with("2026 "),
            "{log}"
        );
        assert!(!line.contains('\u{1b}'), "{log}");
    }
}
