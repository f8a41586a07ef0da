//! Clients that do what no client should. Each harms itself only.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tests::server::eventually;
use tests::tls::{Encrypted, TlsServer};
use tests::{Options, SHARDS, Wire};

const TIME_MAX: Duration = Duration::from_secs(60);

/// Handshakes that one shard has under way at the most.
const HANDSHAKES_MAX: usize = 512;

/// What a client says first.
fn hello(tls: &TlsServer, client: &Arc<ClientConfig>) -> Vec<u8> {
    let mut encrypted = Encrypted::connect(tls.address, client).expect("it listens");
    let mut hello = Vec::new();
    encrypted.rustls.write_tls(&mut hello).expect("memory");
    hello
}

fn connect(tls: &TlsServer) -> TcpStream {
    TcpStream::connect(tls.address).expect("it listens")
}

#[test]
fn a_stalled_handshake_is_closed_and_delays_nobody() {
    let tls = TlsServer::start(Options::shards(2));
    let client = tls.authority.client(None);
    let hello = hello(&tls, &client);
    let began = Instant::now();
    let mut stalled: Vec<Wire> = (0..20)
        .map(|_| Wire::connect(tls.address).expect("it listens"))
        .collect();
    for (index, wire) in stalled.iter_mut().enumerate() {
        wire.send(&hello[..hello.len() * index / 20]);
    }
    for _ in 0..20 {
        assert_eq!(tls.connect().ask("PING").text(), b"PONG");
    }
    assert!(began.elapsed() < Duration::from_secs(9), "delayed");
    for wire in &mut stalled {
        assert_eq!(wire.until_closed(), b"");
    }
    assert!(began.elapsed() >= Duration::from_secs(9), "closed too soon");
    let mut control = tls.server.connect();
    assert_eq!(control.figure("connected_clients"), 1);
    assert!(
        tls.server
            .log()
            .contains("Error accepting a client connection")
    );
}

#[test]
fn bytes_may_come_one_by_one() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let client = tls.authority.client(None);
        for step in [1, 2, 7, 64, 1_000, 16_384] {
            let value = "v".repeat(2_000 + 10 * step);
            let mut encrypted = Encrypted::connect(tls.address, &client).expect("it listens");
            encrypted.socket.step = step;
            encrypted.shake_hands().expect("a handshake");
            let mut wire = Wire::over_tls(encrypted).expect("a socket");
            for _ in 0..10 {
                wire.send(b"PING\r\nECHO text\r\n");
                assert_eq!(wire.reply(), b"+PONG\r\n");
                assert_eq!(wire.value().text(), b"text");
            }
            assert_eq!(wire.command(&["SET", "key", &value]).text(), b"OK");
            assert!(wire.command(&["GET", "key"]).text() == value.as_bytes());
        }
    }
}

#[test]
fn other_protocols_are_closed() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut steady = tls.connect();
        for text in [
            &b"*1\r\n$4\r\nPING\r\n"[..],
            b"PING\r\nPING\r\n",
            b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
            &[0; 64],
            &[0xff; 64],
            b"\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00\x00",
            &b"\x15\x03\x03\x00\x02\x01\x00".repeat(9),
        ] {
            let mut wire = Wire::connect(tls.address).expect("it listens");
            wire.send(text);
            let told = wire.until_closed();
            assert!(!told.starts_with(b"+PONG"));
            assert_eq!(steady.ask("PING").text(), b"PONG");
        }
        // On the plain port that is a line without an end, as for Redis.
        let mut wire = tls.server.connect();
        wire.send(&hello(&tls, &tls.authority.client(None)));
        assert_eq!(tls.server.connect().ask("PING").text(), b"PONG");
        wire.finish_sending();
        assert_eq!(wire.until_closed(), b"");
    }
}

#[test]
fn records_that_are_not_whole_end_their_connection() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut steady = tls.connect();
        for record in [
            // Application data that no key has made.
            &b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..],
            b"\x17\x03\x03\xff\xff",
            b"\x99\x03\x03\x00\x01a",
            b"PING\r\n",
        ] {
            let client = tls.authority.client(None);
            let mut encrypted = Encrypted::connect(tls.address, &client).expect("it listens");
            encrypted.shake_hands().expect("a handshake");
            encrypted.socket.write_all(record).expect("sent");
            let mut wire = Wire::over_tls(encrypted).expect("a socket");
            // The alert says what was wrong.
            let error = wire.try_reply().expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert_eq!(steady.ask("PING").text(), b"PONG");
        }
    }
}

#[test]
fn handshakes_that_are_given_up_leave_nothing() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let client = tls.authority.client(None);
        let hello = hello(&tls, &client);
        let mut steady = tls.connect();
        for number in 0..3_000 {
            let mut socket = connect(&tls);
            socket
                .write_all(&hello[..hello.len() * (number % 5) / 4])
                .expect("sent");
            if number % 100 == 0 {
                assert_eq!(steady.ask("PING").text(), b"PONG");
            }
        }
        eventually("all are gone", TIME_MAX, || {
            steady.figure("connected_clients") == 1
        });
        assert_eq!(tls.connect().ask("PING").text(), b"PONG");
    }
}

#[test]
fn many_that_stall_keep_nobody_out() {
    let tls = TlsServer::start(Options::shards(1));
    let mut control = tls.server.connect();
    let mut stalled: Vec<Wire> = (0..HANDSHAKES_MAX + 100)
        .map(|_| Wire::connect(tls.address).expect("it listens"))
        .collect();
    eventually("the oldest are given up", TIME_MAX, || {
        control.figure("connected_clients") as usize == HANDSHAKES_MAX + 1
    });
    for wire in &mut stalled[..100] {
        assert_eq!(wire.until_closed(), b"");
    }
    assert_eq!(tls.connect().ask("PING").text(), b"PONG");
}

#[test]
fn a_client_is_killed_amid_its_handshake() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let client = tls.authority.client(None);
        let hello = hello(&tls, &client);
        let mut control = tls.server.connect();
        let mut wires: Vec<Wire> = (0..10)
            .map(|_| Wire::connect(tls.address).expect("it listens"))
            .collect();
        for (index, wire) in wires.iter_mut().enumerate() {
            wire.send(&hello[..hello.len() * index / 10]);
        }
        eventually("all are listed", TIME_MAX, || {
            control.figure("connected_clients") == 11
        });
        let began = Instant::now();
        assert_eq!(
            control.ask("CLIENT KILL TYPE normal SKIPME yes").integer(),
            10
        );
        for wire in &mut wires {
            assert_eq!(wire.until_closed(), b"");
        }
        assert!(
            began.elapsed() < Duration::from_secs(9),
            "not by the time limit"
        );
        assert_eq!(control.figure("connected_clients"), 1);
    }
}

#[test]
fn a_client_that_does_not_read_can_be_killed() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut wire = tls.connect();
        let value = "v".repeat(1 << 20);
        wire.command(&["SET", "key", &value]);
        let id = wire.ask("CLIENT ID").integer();
        wire.send("GET key\r\n".repeat(60).as_bytes());
        let mut control = tls.connect();
        eventually("its output waits", TIME_MAX, || {
            let line = control.ask(&format!("CLIENT LIST ID {id}"));
            let line = String::from_utf8_lossy(line.text()).into_owned();
            !line.contains(" oll=0 ")
        });
        assert_eq!(control.ask(&format!("CLIENT KILL ID {id}")).integer(), 1);
        eventually("it is gone", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
    }
}

/// Bytes that are changed, left out, doubled or put in.
fn spoil(random: &mut fastrand::Rng, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..random.usize(1..4) {
        if text.is_empty() {
            break;
        }
        let at = random.usize(..text.len());
        match random.u8(..5) {
            0 => text[at] ^= 1 << random.u8(..8),
            1 => text[at] = random.u8(..),
            2 => drop(text.remove(at)),
            3 => text.insert(at, random.u8(..)),
            _ => text.truncate(at),
        }
    }
    text
}

#[test]
fn spoiled_handshakes_and_records_harm_nobody() {
    const ROUNDS: usize = 400;
    let seed = std::env::var("PERCORE_SEED").ok();
    let seed = seed
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let client = tls.authority.client(None);
        let hello = hello(&tls, &client);
        let mut steady = tls.connect();
        for round in 0..ROUNDS {
            let mut socket = connect(&tls);
            // It may be closed before all of it is taken.
            drop(socket.write_all(&spoil(&mut random, &hello)));
            drop(socket);
            let mut encrypted = Encrypted::connect(tls.address, &client).expect("it listens");
            encrypted.shake_hands().expect("a handshake");
            let mut records = Vec::new();
            let writer = &mut encrypted.rustls.writer();
            writer.write_all(b"PING\r\nECHO text\r\n").expect("memory");
            encrypted.rustls.write_tls(&mut records).expect("memory");
            drop(encrypted.socket.write_all(&spoil(&mut random, &records)));
            drop(encrypted);
            assert_eq!(
                steady.ask("PING").text(),
                b"PONG",
                "round {round}, seed {seed}"
            );
        }
        eventually("all are gone", TIME_MAX, || {
            steady.figure("connected_clients") == 1
        });
    }
}
