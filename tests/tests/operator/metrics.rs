//! Metrics over HTTP, as a scraper gets them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use tests::server::{eventually, free_port, outer_address};
use tests::{Options, SHARDS, Server, Wire};

use crate::TIME_MAX;

fn request(port: u16, text: &str) -> String {
    request_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), text)
}

fn request_to(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(TIME_MAX)).expect("a limit");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn scrape(port: u16) -> String {
    scrape_as(port, "*/*", "text/plain; version=0.0.4; charset=utf-8")
}

/// What a scraper gets that accepts this, which must be of that type.
fn scrape_as(port: u16, accept: &str, kind: &str) -> String {
    let asked = format!("GET /metrics HTTP/1.1\r\nHost: me\r\nAccept: {accept}\r\n\r\n");
    let answer = request(port, &asked);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Type: {kind}\r\n")),
        "{head}"
    );
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    body.to_owned()
}

/// The sum of a metric over its series.
fn sum(text: &str, name: &str) -> f64 {
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(['{', ' ']))
        .map(|rest| rest.rsplit(' ').next().and_then(|it| it.parse().ok()))
        .map(|value| value.unwrap_or_else(|| panic!("no number: {name}")))
        .collect();
    assert!(!values.is_empty(), "no {name} in {text}");
    values.iter().sum()
}

fn ask_all(wire: &mut Wire, commands: &[&str]) {
    for command in commands {
        wire.ask(command);
    }
}

#[test]
fn a_scrape_says_what_the_shards_count() {
    for shards in SHARDS {
        let port = free_port();
        let server =
            Server::start(Options::shards(shards).flags(&format!("--metrics-port {port}")));
        let mut wire = server.connect();
        let before = scrape(port);
        for at in 0..64 {
            ask_all(&mut wire, &[&format!("SET key:{at} x")]);
        }
        ask_all(&mut wire, &["GET key:1", "GET none", "LPUSH key:1 x"]);
        ask_all(&mut wire, &["SUBSCRIBE a", "SUBSCRIBE b"]);
        let text = scrape(port);
        let grown = |name: &str| sum(&text, name) - sum(&before, name);
        assert_eq!(grown("percore_commands_total"), 69.0, "{shards} shards");
        assert_eq!(grown("percore_keys"), 64.0);
        assert_eq!(grown("percore_keyspace_hits_total"), 1.0);
        assert_eq!(grown("percore_keyspace_misses_total"), 1.0);
        assert_eq!(grown("percore_pubsub_channels"), 2.0);
        assert_eq!(sum(&text, "percore_connected_clients"), 1.0);
        assert_eq!(sum(&text, "percore_errors_total{code=\"WRONGTYPE\"}"), 1.0);
        let forwarded = grown("percore_commands_forwarded_total");
        assert_eq!(forwarded > 0.0, shards > 1, "{forwarded}");
        assert_eq!(forwarded, grown("percore_batched_commands_total"));
        let series = text.matches("\npercore_commands_total{shard=\"").count();
        assert_eq!(series, usize::from(shards));
        for name in ["percore_memory_used_bytes", "percore_uptime_seconds"] {
            assert!(sum(&text, name) > 0.0, "{name}");
        }
        let sets = "percore_command_duration_seconds_bucket{le=\"+Inf\",command=\"set\"}";
        assert!(text.contains(&format!("{sets} 64\n")), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

/// As Prometheus asks.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// What `promtool check metrics` looks at: families are described before their samples, and named
/// by Prometheus's rules.
#[test]
fn the_text_formats_keep_to_the_rules() {
    let port = free_port();
    let server = Server::start(Options::shards(2).flags(&format!("--metrics-port {port}")));
    let mut wire = server.connect();
    ask_all(&mut wire, &["SET a 1", "LPUSH a x", "nonsense"]);
    let open_kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let open = scrape_as(port, PROMETHEUS, open_kind);
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    let text = scrape_as(
        port,
        "text/plain",
        "text/plain; version=0.0.4; charset=utf-8",
    );
    let (mut kinds, mut helped) = (BTreeMap::new(), "");
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match *words {
            ["#", "HELP", family, help] => {
                assert!(!help.is_empty(), "{line}");
                helped = family;
            }
            ["#", "TYPE", family, kind] => {
                assert_eq!(family, helped, "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
                assert_eq!(kinds.insert(family, kind), None, "{line}");
            }
            _ => {
                let name = line.split(['{', ' ']).next().expect("a name");
                let ends = ["_bucket", "_sum", "_count"];
                let base = ends.iter().find_map(|end| name.strip_suffix(end));
                let family = match kinds.get(name) {
                    Some(_) => name,
                    None => base.unwrap_or_else(|| panic!("{line}")),
                };
                assert_eq!(family, helped, "{line}");
            }
        }
    }
    assert!(kinds.len() > 50, "{text}");
    // Both say the same.
    let samples = |text: &str| {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let name = |line: &str| line.split([' ']).next().map(str::to_owned);
        samples.filter_map(name).collect::<Vec<_>>()
    };
    assert_eq!(samples(&open), samples(&text));
}

#[test]
fn a_scrape_says_what_the_process_takes_and_each_database_holds() {
    for shards in SHARDS {
        let port = free_port();
        let server =
            Server::start(Options::shards(shards).flags(&format!("--metrics-port {port}")));
        let mut wire = server.connect();
        ask_all(
            &mut wire,
            &["CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 7"],
        );
        for at in 0..20 {
            ask_all(&mut wire, &[&format!("SET key:{at} x EX 1000")]);
        }
        ask_all(
            &mut wire,
            &["SELECT 5", "MSET a 1 b 2 c 3", "EXPIRE a 1000"],
        );
        let text = scrape(port);
        for (series, value) in [
            ("percore_database_keys{db=\"0\"}", 20.0),
            ("percore_database_volatile_keys{db=\"0\"}", 20.0),
            ("percore_database_keys{db=\"5\"}", 3.0),
            ("percore_database_volatile_keys{db=\"5\"}", 1.0),
            ("percore_slowlog_entries", 7.0),
            ("percore_lock_items", 0.0),
        ] {
            let found = match series.contains('{') {
                true => text
                    .lines()
                    .find_map(|line| line.strip_prefix(series)?.trim().parse().ok()),
                false => Some(sum(&text, series)),
            };
            assert_eq!(
                found,
                Some(value),
                "{series} with {shards} shards in {text}"
            );
        }
        assert!(
            !text.contains("db=\"1\"") && !text.contains("locked_keys"),
            "{text}"
        );
        assert!(sum(&text, "percore_slow_commands_total") >= 23.0);
        let files = sum(&text, "process_open_fds");
        assert!(files > 0.0 && files < sum(&text, "process_max_fds"));
        assert!(sum(&text, "percore_shard_cpu_seconds_total") > 0.0);
        // Their clock ticks a hundred times a second.
        eventually("it has used some time", TIME_MAX, || {
            wire.ask("DBSIZE");
            let text = scrape(port);
            let modes = sum(&text, "percore_cpu_seconds_total");
            modes > 0.0 && sum(&text, "process_cpu_seconds_total") >= modes
        });
    }
}

#[test]
fn other_machines_get_the_metrics_only_with_the_password() {
    let port = free_port();
    let options = Options::shards(2).flags(&format!("--metrics-port {port} --bind 0.0.0.0"));
    let server = Server::start(options);
    let outer = SocketAddr::from((outer_address(), port));
    let status = |address, headers: &str| {
        let asked = format!("GET /metrics HTTP/1.1\r\nHost: me\r\n{headers}\r\n");
        let answer = request_to(address, &asked);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        assert_eq!(status == "200", body.contains("percore_keys"), "{answer}");
        assert_eq!(
            status == "401",
            head.contains("\r\nWWW-Authenticate: Basic realm="),
            "{head}"
        );
        status
    };
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert_eq!(status(outer, ""), "403");
    assert_eq!(status(here, ""), "200");
    let mut control = server.connect();
    ask_all(&mut control, &["CONFIG SET requirepass secret"]);
    assert_eq!(status(here, ""), "200");
    for (given, expected) in [
        ("", "401"),
        // default:secret, :secret, default:wrong, bob:secret, secret
        ("Authorization: Basic ZGVmYXVsdDpzZWNyZXQ=\r\n", "200"),
        ("authorization: basic OnNlY3JldA==\r\n", "200"),
        ("Authorization: Basic ZGVmYXVsdDp3cm9uZw==\r\n", "401"),
        ("Authorization: Basic Ym9iOnNlY3JldA==\r\n", "401"),
        ("Authorization: Basic c2VjcmV0\r\n", "401"),
        ("Authorization: Basic !\r\n", "401"),
        ("Authorization: Bearer secret\r\n", "200"),
        ("Authorization: Bearer secre\r\n", "401"),
        ("Authorization: Bearer\r\n", "401"),
        ("Authorization: secret\r\n", "401"),
    ] {
        assert_eq!(status(outer, given), expected, "{given}");
    }
    let head = request_to(outer, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert!(
        server
            .log()
            .contains("a scraper of metrics gave a wrong password")
    );
    // No protected mode stands in for a password.
    ask_all(&mut control, &["CONFIG SET protected-mode no"]);
    assert_eq!(status(outer, ""), "401");
    control.command(&["CONFIG", "SET", "requirepass", ""]);
    assert_eq!(status(outer, ""), "200");
    ask_all(&mut control, &["CONFIG SET protected-mode yes"]);
    assert_eq!(status(outer, "Authorization: Bearer secret\r\n"), "403");
}

#[test]
fn what_is_no_scrape_is_told_so_and_holds_nobody_up() {
    let port = free_port();
    let options = Options::shards(2).flags(&format!("--metrics-port {port}"));
    let server = Server::start(options);
    // Somebody who says nothing is waited for, but not for long.
    let silent = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    for (request_line, status) in [
        ("GET / HTTP/1.1", "404"),
        ("DELETE /metrics HTTP/1.1", "405"),
        ("PING", "400"),
    ] {
        let answer = request(port, &format!("{request_line}\r\n\r\n"));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let long = format!("GET /metrics HTTP/1.1\r\nA: {}", "x".repeat(8 * 1024));
    let answer = request(port, &long[..8 * 1024]);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let head = request(port, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.contains(" 200 OK\r\n") && head.ends_with("\r\n\r\n"));
    drop(silent);
    drop(server);
}

#[test]
fn a_shard_that_does_not_answer_fails_the_scrape() {
    let port = free_port();
    let flags = format!("--metrics-port {port} --enable-debug-command yes");
    let server = Server::start(Options::shards(2).flags(&flags));
    let mut wire = server.connect();
    // A scrape waits three seconds for the shards.
    wire.send(b"DEBUG SLEEP 6\r\n");
    eventually("no shard answers", TIME_MAX, || {
        let answer = request(port, "GET /metrics HTTP/1.1\r\n\r\n");
        answer.starts_with("HTTP/1.1 503 ")
    });
    assert_eq!(wire.value().text(), b"OK");
    assert!(sum(&scrape(port), "percore_connected_clients") > 0.0);
}
