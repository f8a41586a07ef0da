//! When clients hear: before whoever changed a key can tell them of it.

use tests::noise::Noise;
use tests::reply::show;
use tests::{Options, Server, Wire};

use crate::invalidated;

/// One connection for each shard; all say this first.
fn wires(server: &Server, first: &str) -> Vec<Wire> {
    let opened = (0..4).map(|_| {
        let mut wire = server.connect();
        wire.ask("HELLO 3");
        wire.ask(first);
        wire
    });
    opened.collect()
}

#[test]
fn a_change_is_told_before_its_reply_can_be() {
    const ROUNDS: usize = 600;
    for driver in ["auto", "epoll"] {
        let server = Server::start(Options::shards(4).flags(&format!("--io-driver {driver}")));
        let mut readers = wires(&server, "CLIENT TRACKING ON");
        // Those who hear something themselves run their commands in the turn after.
        let mut writers = wires(&server, "SUBSCRIBE noise");
        let _noise = Noise::begin(&server, 1);
        for round in 0..ROUNDS {
            let key = format!("key{}", round % 16);
            for reader in &mut readers {
                reader.ask(&format!("GET {key}"));
            }
            let writer = &mut writers[round % 4];
            writer.send_command(&["SET", &key, "value"]);
            while writer.reply() != b"+OK\r\n" {}
            for reader in &mut readers {
                reader.send_command(&["PING"]);
                let heard = reader.value();
                let keys = invalidated(&heard).flatten().unwrap_or_default();
                assert_eq!(keys, [key.as_bytes()], "{driver}, {round}: {heard:?}");
                let reply = reader.reply();
                assert_eq!(reply, b"+PONG\r\n", "{}", show(&reply));
            }
        }
    }
}

/// The same where the key is changed together with others: the shards that tell of it are not the
/// one that answers.
#[test]
fn a_change_among_others_is_told_before_its_reply_can_be() {
    const ROUNDS: usize = 800;
    let ways: [&[&str]; 5] = [
        &["MSET shared v1 a v"],
        &["MSET shared v2 a v b v c v d v"],
        &["SET from v3", "RENAME from shared"],
        &["MSET a 1 b 1", "DEL a shared b c"],
        &["MULTI", "SET a v", "SET b v", "SET shared v4", "EXEC"],
    ];
    for flags in [
        "--io-driver auto",
        "--io-driver epoll",
        "--appendonly yes --appendfsync always",
    ] {
        let server = Server::start(Options::shards(4).flags(flags));
        let mut readers = wires(&server, "CLIENT TRACKING ON");
        let mut writers = wires(&server, "PING");
        let _noise = Noise::begin(&server, 1);
        for round in 0..ROUNDS {
            let way = ways[round % ways.len()];
            writers[0].ask("SET shared v0");
            for reader in &mut readers {
                // What the SET was told for.
                reader.send_command(&["GET", "shared"]);
                while invalidated(&reader.value()).is_some() {}
            }
            let writer = &mut writers[round / ways.len() % 4];
            for command in way {
                let reply = writer.ask(command);
                assert!(!reply.is_error(), "{command}: {reply:?}");
            }
            for reader in &mut readers {
                reader.send_command(&["PING"]);
                let heard = reader.value();
                let keys = invalidated(&heard).flatten().unwrap_or_default();
                assert_eq!(keys, [b"shared"], "{flags}, {round}, {way:?}: {heard:?}");
                let reply = reader.reply();
                assert_eq!(reply, b"+PONG\r\n", "{}", show(&reply));
            }
        }
    }
}
