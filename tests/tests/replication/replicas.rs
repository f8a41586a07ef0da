//! What replicas hold: Redis's are made of the snapshot and the stream, and hold what their master
//! holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::contents::Contents;
use tests::grammar::{Draw, FAMILIES};
use tests::{Options, Oracle, Reference, SHARDS, Server};

use super::{DEBUG, follow, master, until_all_have_it};

/// Commands of each writer, about.
const COMMANDS: usize = 3_000;

/// Those that would keep a writer, or end its connection, and those that say other things of two
/// servers.
const LEFT_OUT: &[&str] = &[
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "MONITOR",
    "QUIT",
    "RESET",
    "HELLO",
    "CLIENT",
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "WAIT",
    "DEBUG",
    "CONFIG",
];

/// What makes hashes that Valkey cannot load from a file.
const NOT_FOR_VALKEY: &[&str] = &[
    "HEXPIRE",
    "HPEXPIRE",
    "HEXPIREAT",
    "HPEXPIREAT",
    "HSETEX",
    "HGETEX",
    "RESTORE",
];

/// Sends random commands of all families.
fn write(server: &Server, seed: u64, replica: Reference, until: &AtomicBool) {
    let mut draw = Draw::new(seed);
    let mut wire = server.connect();
    for number in 0.. {
        if until.load(Ordering::Relaxed) && number >= COMMANDS {
            return;
        }
        let family = &FAMILIES[number % FAMILIES.len()];
        let command = draw.command(family);
        let verb = command.verb().to_uppercase();
        let is_foreign = replica == Reference::Valkey91 && NOT_FOR_VALKEY.contains(&&*verb);
        if !is_foreign
            && !LEFT_OUT.contains(&verb.as_str())
            && !command.has(|word| word == b"BLOCK")
        {
            wire.command(&command.arguments);
        }
    }
}

fn replicas_hold_what_their_master_holds(reference: Reference, shards: u16, flags: &str) {
    let master = master(shards, flags);
    let replica = Oracle::of(reference, Options::shards(1).flags(DEBUG));
    let mut control = master.connect();
    control.ask("DEBUG POPULATE 5000 early 100");
    let is_linked = AtomicBool::new(false);
    let first = 1;
    thread::scope(|scope| {
        for writer in 0..3 {
            let (master, is_linked) = (&master, &is_linked);
            scope.spawn(move || write(master, first + writer, reference, is_linked));
        }
        follow(&replica, &master);
        is_linked.store(true, Ordering::Relaxed);
    });
    until_all_have_it(&mut control, 1);
    let what = format!("a replica of {shards} shards");
    if reference != Reference::Redis74 {
        // How these show what they hold differs in parts.
        let digest = |server: &Server| server.connect().ask("DEBUG DIGEST");
        assert_eq!(digest(&master), digest(&replica), "{what}");
        return;
    }
    let held = |server: &Server| {
        let contents = Contents::of(&mut server.connect());
        contents.without_encodings().without_times_seen()
    };
    held(&master).assert_same(&held(&replica), &what);
}

#[test]
fn a_replica_of_7_4_holds_what_its_master_holds() {
    for shards in SHARDS {
        replicas_hold_what_their_master_holds(Reference::Redis74, shards, "");
    }
}

#[test]
fn so_it_does_where_there_is_a_log_too() {
    for shards in [1, 4] {
        let flags = "--appendonly yes --appendfsync always";
        replicas_hold_what_their_master_holds(Reference::Redis74, shards, flags);
    }
}

#[test]
#[ignore = "wants Redis 8.2, which tests/run fetches"]
fn a_replica_of_8_2_holds_what_its_master_holds() {
    for shards in SHARDS {
        replicas_hold_what_their_master_holds(Reference::Redis82, shards, "");
    }
}

#[test]
#[ignore = "wants Valkey 9.1, which tests/run fetches"]
fn a_replica_of_valkey_holds_what_its_master_holds() {
    for shards in SHARDS {
        replicas_hold_what_their_master_holds(Reference::Valkey91, shards, "");
    }
}
