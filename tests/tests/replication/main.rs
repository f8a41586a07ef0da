//! Replicas of percore: Redis's own, which must hold what it holds, and what they are sent.

mod links;
mod replicas;
mod stream;

use std::time::Duration;

use tests::server::eventually;
use tests::{Options, Oracle, Server, Wire};

/// A link is there by then, and its snapshot loaded.
const SYNC_TIME_MAX: Duration = Duration::from_secs(20);

const DEBUG: &str = "--enable-debug-command yes";

fn master(shards: u16, flags: &str) -> Server {
    Server::start(Options::shards(shards).flags(&format!("{DEBUG} {flags}")))
}

/// Makes a server a replica, and waits until it is one.
fn follow(replica: &Oracle, master: &Server) {
    let mut wire = replica.connect();
    let command = format!("REPLICAOF 127.0.0.1 {}", master.port());
    assert_eq!(wire.ask(&command).text(), b"OK");
    eventually("the replica's link is up", SYNC_TIME_MAX, || {
        wire.info("replication").get("master_link_status") == Some("up")
    });
}

/// Waits until so many replicas have all that this connection's server has said.
fn until_all_have_it(master: &mut Wire, replicas: i64) {
    let have_it = master.ask(&format!("WAIT {replicas} 20000")).integer();
    assert_eq!(have_it, replicas, "replicas that have it all");
}
