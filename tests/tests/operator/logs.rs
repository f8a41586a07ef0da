//! The log: what is told at the usual level and what only to who looks closer, as text and as JSON,
//! and a level that changes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::server::eventually;
use tests::{Options, SHARDS, Server, Wire};

use crate::TIME_MAX;

/// Does everything that the log tells of at the usual level.
fn live(server: &Server) {
    let mut wire = server.connect();
    wire.ask("CONFIG SET slowlog-log-slower-than 0");
    wire.ask("SET secret-key secret-value");
    // On a busy machine many a command takes longer than usual.
    wire.ask("CONFIG SET slowlog-log-slower-than 10000000");
    wire.ask("AUTH wrong");
    wire.ask("AUTH bob wrong");
    wire.ask("CONFIG SET maxmemory-policy allkeys-lru");
    wire.ask("CONFIG SET maxmemory 12mb");
    let value = "x".repeat(10_000);
    for at in 0..3_000 {
        wire.command(&["SET", &format!("key:{at}"), &value]);
    }
    wire.ask("CONFIG SET maxmemory-policy noeviction maxmemory 1mb");
    wire.ask("SET one more");
    wire.ask("CONFIG SET maxmemory 0");
    let limit = "client-output-buffer-limit";
    wire.command(&["CONFIG", "SET", limit, "pubsub 10kb 0 0"]);
    let mut lazy = server.connect();
    lazy.ask("SUBSCRIBE c");
    wire.command(&["PUBLISH", "c", &"x".repeat(20_000_000)]);
    wire.ask("CONFIG SET client-query-buffer-limit 1mb");
    let mut large = server.connect();
    let argument = "x".repeat(3 << 20);
    let command = format!("*2\r\n$4\r\nECHO\r\n${}\r\n{argument}\r\n", argument.len());
    drop(large.try_send(command.as_bytes()));
    drop(large.try_reply());
    let (mut other, mut another) = (server.connect(), server.connect());
    other.ask("PING");
    another.ask("PING");
    wire.ask("CLIENT KILL TYPE normal");
    wire.ask("CONFIG SET maxclients 1");
    drop(server.connect().try_reply());
    // The clock tells of evictions, and each shard of its own clients.
    for told in &TOLD[..TOLD_ALIVE] {
        eventually(told, TIME_MAX, || server.log().contains(told));
    }
}

const TOLD: &[&str] = &[
    "percore is starting",
    "listening",
    "Ready to accept connections",
    "configuration changed",
    "slow command",
    "a client gave a wrong password",
    "memory is at its limit",
    "(client-output-buffer-limit)",
    "(client-query-buffer-limit)",
    "clients were killed",
    "turning a connection away",
    "asked to stop",
    "stopping",
    "percore has ended",
];

/// As many of them are told before it is asked to stop.
const TOLD_ALIVE: usize = 11;

#[test]
fn the_usual_level_tells_what_an_operator_wants_to_know() {
    for shards in SHARDS {
        let mut server = Server::start(Options::shards(shards));
        live(&server);
        server.signal("TERM");
        server.until_gone();
        let log = server.log();
        for told in TOLD {
            assert!(log.contains(told), "{shards} shards: no {told:?} in\n{log}");
        }
        for shard in 0..shards {
            let told = format!("shard{{id={shard}}}: stopping");
            assert!(
                log.contains(&told),
                "{shards} shards: no {told:?} in\n{log}"
            );
        }
        assert!(
            !log.contains("connection opened") && !log.contains("VERBOSE"),
            "{log}"
        );
        assert!(!log.contains("secret") && !log.contains("=wrong"), "{log}");
        assert!(log.lines().count() < 100, "{log}");
    }
}

#[test]
fn every_line_is_json_when_asked() {
    let mut server = Server::start(Options::shards(2).flags("--log-format json --loglevel debug"));
    live(&server);
    server.signal("TERM");
    server.until_gone();
    let log = server.log();
    let script = r#"
import json, sys
levels = set()
for line in sys.stdin:
    it = json.loads(line)
    levels.add(it['level'])
    fields = it['fields']
    assert it['timestamp'] and it['target'] and fields['message'], line
    for name, value in fields.items():
        if name in ('pid', 'client', 'shards', 'unsent_bytes', 'left_out', 'micros', 'killed', 'age_s'):
            assert type(value) is int, line
        assert type(value) is not str or value[:1] not in ('[', '{') or ']:' in value, line
    for span in it.get('spans', []):
        assert span['name'] in ('shard', 'client') and type(span['id']) is int, line
assert levels == {'debug', 'verbose', 'notice', 'warning'}, levels
"#;
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(log.as_bytes()).expect("it reads");
    drop(input);
    assert!(python.wait().expect("an end").success(), "{log}");
    assert!(log.lines().count() > TOLD.len());
}

#[test]
fn the_level_changes_while_running() {
    let server = Server::start(Options::shards(2));
    let mut control = server.connect();
    let visit = |wire: &mut Wire| {
        let id = wire.ask("CLIENT ID").integer();
        move |log: &str| {
            log.lines()
                .filter(|line| line.contains(&format!("client={id}")))
                .count()
        }
    };
    let mut quiet = server.connect();
    let quiet_lines = visit(&mut quiet);
    drop(quiet);
    eventually("it has gone", TIME_MAX, || {
        control
            .ask("CLIENT LIST")
            .text()
            .split(|byte| *byte == b'\n')
            .count()
            == 2
    });
    // Redis calls this level verbose.
    control.ask("CONFIG SET loglevel verbose");
    let mut shown = server.connect();
    let shown_lines = visit(&mut shown);
    shown.ask("AUTH default anything");
    let id = shown.ask("CLIENT ID").integer();
    drop(shown);
    eventually("its life is told", TIME_MAX, || {
        shown_lines(&server.log()) >= 3
    });
    let log = server.log();
    for told in ["connection opened", "authenticated", "connection closed"] {
        assert!(log.contains(told), "{log}");
    }
    assert!(
        log.contains(&format!("client{{id={id}}}: authenticated")),
        "{log}"
    );
    control.ask("CONFIG SET loglevel warning");
    control.ask("CONFIG SET hz 20");
    let mut silent = server.connect();
    let silent_lines = visit(&mut silent);
    drop(silent);
    std::thread::sleep(Duration::from_millis(100));
    let log = server.log();
    assert_eq!((quiet_lines(&log), silent_lines(&log)), (0, 0), "{log}");
    let last = log
        .lines()
        .rfind(|line| line.contains("configuration changed"));
    assert!(
        last.is_some_and(|line| line.contains("verbose") || line.contains("loglevel")),
        "{log}"
    );
    assert!(!log.contains("\"hz\""), "{log}");
}
