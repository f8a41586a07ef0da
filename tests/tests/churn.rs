//! Connections by the thousand, opened and closed: none refused, none left behind, the counts right
//! after.

use std::time::Duration;

use tests::server::eventually;
use tests::{Options, Server, Wire};

const CONNECTIONS: usize = 5_000;
const AT_ONCE: usize = 250;
const GONE_TIME_MAX: Duration = Duration::from_secs(10);

fn connected(wire: &mut Wire) -> i64 {
    wire.info("clients").number::<i64>("connected_clients")
}

#[test]
fn five_thousand_connections_come_and_go() {
    let server = Server::start(Options::shards(4));
    let mut watch = server.connect();
    eventually("the starting connections are gone", GONE_TIME_MAX, || {
        connected(&mut watch) == 1
    });
    let received = watch
        .info("stats")
        .number::<i64>("total_connections_received");
    let files = open_files(&server);
    for round in 0..CONNECTIONS / AT_ONCE {
        let mut wires: Vec<Wire> = (0..AT_ONCE).map(|_| server.connect()).collect();
        for (index, wire) in wires.iter_mut().enumerate() {
            match index % 4 {
                0 => wire.send(b"PING\r\n"),
                1 => wire.send(format!("INCR n{}\r\n", index % 7).as_bytes()),
                // Left in the middle of a command.
                2 => wire.send(b"*2\r\n$4\r\nECHO\r\n$10\r\nhal"),
                _ => wire.send(b"QUIT\r\n"),
            }
        }
        for (index, wire) in wires.iter_mut().enumerate() {
            if index % 4 != 2 {
                let reply = wire.reply();
                assert!(
                    b"+:".contains(&reply[0]),
                    "round {round}, connection {index}"
                );
            }
        }
    }
    // The last ones may not have been accepted yet.
    let mut all = 0;
    eventually("all connections have come and gone", GONE_TIME_MAX, || {
        all = watch
            .info("stats")
            .number::<i64>("total_connections_received")
            - received;
        all >= CONNECTIONS as i64 && connected(&mut watch) == 1
    });
    assert_eq!(all, CONNECTIONS as i64);
    let sum: i64 = (0..7)
        .map(|key| watch.ask(&format!("GET n{key}")).integer())
        .sum();
    assert_eq!(
        sum,
        (CONNECTIONS / AT_ONCE * (0..AT_ONCE).filter(|index| index % 4 == 1).count()) as i64
    );
    eventually("their files are closed", GONE_TIME_MAX, || {
        open_files(&server) <= files
    });
}

fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .expect("a running process")
        .count()
}

#[test]
fn connections_that_wait_are_forgotten_when_they_close() {
    let server = Server::start(Options::shards(4));
    let mut watch = server.connect();
    let received = watch
        .info("stats")
        .number::<i64>("total_connections_received");
    for _ in 0..200 {
        let mut wire = server.connect();
        wire.send(b"BLPOP one two three 0\r\n");
    }
    eventually("the waiting connections are gone", GONE_TIME_MAX, || {
        watch
            .info("stats")
            .number::<i64>("total_connections_received")
            == received + 200
            && watch.blocked_clients() == 0
            && connected(&mut watch) == 1
    });
    // An element that comes now is nobody's.
    assert_eq!(watch.ask("RPUSH two x").integer(), 1);
    assert_eq!(watch.ask("LLEN two").integer(), 1);
}

#[test]
fn more_than_maxclients_are_told_so() {
    let server = Server::start(Options::shards(2).flags("--maxclients 20"));
    let mut watch = server.connect();
    eventually("the starting connections are gone", GONE_TIME_MAX, || {
        connected(&mut watch) == 1
    });
    let mut wires: Vec<Wire> = (0..19).map(|_| server.connect()).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask("PING").text(), b"PONG");
    }
    let mut refused = server.connect();
    assert_eq!(
        refused.until_closed(),
        b"-ERR max number of clients reached\r\n"
    );
    drop(wires);
    eventually("there is room again", GONE_TIME_MAX, || {
        connected(&mut watch) == 1
    });
    assert_eq!(server.connect().ask("PING").text(), b"PONG");
}

/// A client that breaks off is all that happens on its shard then; where it waits elsewhere, that
/// shard is to hear of it nevertheless.
#[test]
fn what_is_pushed_after_a_waiting_client_broke_off_stays() {
    const TRIES: usize = 80;
    /// Where the news was still under way. Without them a quarter would be lost, of clients and
    /// pushers on different shards.
    const LOST_MAX: usize = TRIES / 10;
    let server = Server::start(Options::shards(2));
    let mut watch = server.connect();
    let mut lost = 0;
    for _ in 0..TRIES {
        // Or the files of the last try's pusher would be taken for those of this one's waiter.
        eventually("the last pusher is gone", GONE_TIME_MAX, || {
            connected(&mut watch) == 1
        });
        let mut pusher = server.connect();
        pusher.ask("PING");
        let mut waiter = server.connect();
        // The reply that it does not read makes the kernel reset the connection when it is dropped.
        waiter.send(b"PING\r\nBLPOP queue 0\r\n");
        eventually("it waits", GONE_TIME_MAX, || watch.blocked_clients() == 1);
        let files = open_files(&server);
        drop(waiter);
        eventually("it is gone", GONE_TIME_MAX, || open_files(&server) < files);
        pusher.ask("RPUSH queue element");
        lost += usize::from(pusher.ask("DEL queue").integer() == 0);
    }
    assert!(
        lost <= LOST_MAX,
        "{lost} of {TRIES} elements went to nobody"
    );
}
