//! Limits: what clients may take, and that what they took is free again when they have gone, however they went.

use std::time::Duration;

use tests::server::eventually;
use tests::{Options, Oracle, Server, Wire};

const SHARDS: [u16; 3] = [1, 2, 4];
const TIME_MAX: Duration = Duration::from_secs(20);

/// A connection whose unfinished command holds so many bytes. It may be closed while it still sends.
fn hoarder(server: &Server, bytes: usize) -> Wire {
    let mut wire = server.connect();
    wire.send(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", bytes + 1).as_bytes());
    drop(wire.try_send(&vec![b'x'; bytes]));
    wire
}

const MB: usize = 1 << 20;

/// Lets eight large connections meet a limit of half their sum: some of them must be left, and all small ones.
fn closes_the_largest(server: &Server) {
    let mut control = server.connect();
    control.ask("CLIENT NO-EVICT on");
    assert_eq!(
        control.ask("CONFIG SET maxmemory-clients 40mb").text(),
        b"OK"
    );
    let mut small: Vec<Wire> = (0..8).map(|_| server.connect()).collect();
    let _hoarders: Vec<Wire> = (0..8).map(|_| hoarder(server, 8 * MB)).collect();
    eventually("the largest go", TIME_MAX, || {
        control.figure("evicted_clients") >= 3
    });
    std::thread::sleep(Duration::from_millis(50));
    // The room for an argument is more than the argument, by how much is each server's own.
    let evicted = control.figure("evicted_clients");
    assert!((3..=5).contains(&evicted), "{evicted}");
    for wire in &mut small {
        assert_eq!(wire.ask("PING").text(), b"PONG");
    }
}

/// Whether a connection goes that watches, or subscribes to, more and more.
fn goes(server: &Server, verb: &str) -> bool {
    const NAME_BYTES: usize = 10_000;
    const COUNT_MAX: usize = 5_000;
    let mut control = server.connect();
    control.ask("CLIENT NO-EVICT on");
    control.ask("CONFIG SET maxmemory-clients 10mb");
    let mut wire = server.connect();
    (0..COUNT_MAX).any(|number| {
        let command = format!("{verb} {number}{}\r\n", "x".repeat(NAME_BYTES));
        wire.try_send(command.as_bytes()).is_err() || !matches!(wire.try_reply(), Ok(Some(_)))
    })
}

#[test]
fn what_clients_watch_and_subscribe_to_counts() {
    for verb in ["WATCH", "SUBSCRIBE", "PSUBSCRIBE"] {
        // Redis counts the entries, and not their names.
        for shards in SHARDS {
            let server = Server::start(Options::shards(shards));
            assert!(goes(&server, verb), "{verb}, {shards} shards");
        }
    }
}

#[test]
fn the_largest_clients_are_closed_first_as_by_redis() {
    closes_the_largest(&Oracle::start());
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        closes_the_largest(&server);
        eventually("what they held is free", TIME_MAX, || {
            server.connect().figure("mem_clients_normal") < 60 << 20
        });
    }
}

#[test]
fn who_is_exempt_stays_and_counts() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        control.ask("CLIENT NO-EVICT on");
        control.ask("CONFIG SET maxmemory 1000mb maxmemory-clients 1%");
        let mut exempt = server.connect();
        exempt.ask("CLIENT NO-EVICT on");
        exempt.send(format!("*2\r\n$4\r\nPING\r\n${}\r\n", 12 * MB).as_bytes());
        exempt.send(&vec![b'x'; 12 * MB - 1]);
        // There is no room for anybody else.
        let mut other = server.connect();
        drop(other.try_send(b"PING\r\n"));
        other.until_closed();
        exempt.send(b"x\r\n");
        assert_eq!(exempt.value().text().len(), 12 * MB, "{shards} shards");
        eventually("there is room again", TIME_MAX, || {
            let mut wire = server.connect();
            wire.try_send(b"PING\r\n").is_ok() && matches!(wire.try_reply(), Ok(Some(_)))
        });
        // What is raised while it is exceeded closes nobody more.
        let _hoarder = hoarder(&server, 8 * MB);
        control.ask("CONFIG SET maxmemory-clients 0");
        let evicted = control.figure("evicted_clients");
        let _another = hoarder(&server, 30 * MB);
        assert_eq!(control.ask("PING").text(), b"PONG");
        assert_eq!(control.figure("evicted_clients"), evicted);
        // And a limit that comes later closes who is there.
        control.ask("CONFIG SET maxmemory-clients 20mb");
        eventually("the largest goes", TIME_MAX, || {
            control.figure("evicted_clients") > evicted
        });
    }
}

#[test]
fn output_that_nobody_reads_counts() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        control.command(&["SET", "large", &"x".repeat(MB)]);
        control.ask("CONFIG SET maxmemory-clients 10mb");
        let mut lazy = server.connect();
        for _ in 0..40 {
            if lazy.try_send(b"GET large\r\n").is_err() {
                break;
            }
        }
        eventually("it is closed", TIME_MAX, || {
            control.figure("evicted_clients") == 1
        });
        eventually("what it held is free", TIME_MAX, || {
            control.figure("mem_clients_normal") < 5 << 20
        });
    }
}
