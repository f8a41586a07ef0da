//! Metrics over HTTP, as a scraper gets them.

use std::io::{Read, Write};
use std::net::TcpStream;

use tests::server::{eventually, free_port};
use tests::{Options, Server, Wire};

use crate::{SHARDS, TIME_MAX};

fn request(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(TIME_MAX)).expect("a limit");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn scrape(port: u16) -> String {
    let answer = request(port, "GET /metrics HTTP/1.1\r\nHost: me\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
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
        assert!(text.ends_with("# EOF\n"));
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
