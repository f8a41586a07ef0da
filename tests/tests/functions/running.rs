//! A function that runs for long: FUNCTION STATS tells of it and FUNCTION KILL ends it.

use tests::reply::Value;
use tests::server::{START_TIME_MAX, eventually};
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::{elements, load};

const FLAGS: &str = "--busy-reply-threshold 20";

const ENDLESS: &str = "#!lua name=slow\n\
     redis.register_function('endless', function() while true do end end)\n\
     redis.register_function('writes', function(keys) \
         redis.call('set', keys[1], 'v') while true do end end)\n\
     redis.register_function('waits', function() \
         local n = 0 for i = 1, 30000000 do n = n + i end return 'done' end)";

/// Loads the slow functions and calls one. Returns the connection that calls, and another one, once
/// commands are refused.
fn begin(server: &Server, call: &str) -> (Wire, Wire) {
    let (mut caller, mut other) = (server.connect(), server.connect());
    other.command(&["FUNCTION", "LOAD", "REPLACE", ENDLESS]);
    caller.send(format!("{call}\r\n").as_bytes());
    eventually("it is busy", START_TIME_MAX, || {
        other.ask("PING").is_error()
    });
    (caller, other)
}

fn ways_of(server: &Server) -> Vec<(String, Value)> {
    let mut heard = Vec::new();
    let mut note = |what: &str, value| heard.push((what.to_owned(), value));
    let (mut caller, mut other) = begin(server, "FCALL endless 1 k x");
    let stats = other.ask("FUNCTION STATS");
    let running = elements(&elements(&stats)[1]);
    note("its name", running[1].clone());
    note("its command", running[3].clone());
    assert!(running[5].integer() >= 20, "{stats:?}");
    note("others", other.ask("GET k"));
    note("the wrong kill", other.ask("SCRIPT KILL"));
    note("the kill", other.ask("FUNCTION KILL"));
    note("the call", caller.value());
    note("no more", other.ask("FUNCTION KILL"));
    note("stats", other.ask("FUNCTION STATS"));
    let mut loop_for_ever = server.connect();
    loop_for_ever.send_command(&["EVAL", "while true do end", "0"]);
    eventually("it is busy", START_TIME_MAX, || {
        other.ask("PING").is_error()
    });
    note("stats of a script", other.ask("FUNCTION STATS"));
    note("the wrong kill of a script", other.ask("FUNCTION KILL"));
    note("the script's", other.ask("SCRIPT KILL"));
    note("the script's call", loop_for_ever.value());
    heard
}

#[test]
fn it_is_told_of_and_killed() {
    let expected = ways_of(&Oracle::with_flags(FLAGS));
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags(FLAGS));
        for (expected, heard) in expected.iter().zip(ways_of(&server)) {
            assert_eq!(*expected, heard, "{shards} shards");
        }
    }
}

/// One in a transaction is told of by its own command.
#[test]
fn in_a_transaction_too() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags(FLAGS));
        load(&mut server.connect(), "idle", &["nothing"]);
        let (mut caller, mut other) = begin(&server, "MULTI\r\nSET k v\r\nFCALL endless 0\r\nEXEC");
        let stats = other.ask("FUNCTION STATS");
        let running = elements(&elements(&stats)[1]);
        assert_eq!(running[1].text(), b"endless", "{shards} shards");
        let command = elements(&running[3]);
        let command: Vec<_> = command.iter().map(Value::text).collect();
        assert_eq!(command, [&b"FCALL"[..], b"endless", b"0"]);
        assert_eq!(other.ask("FUNCTION KILL").text(), b"OK");
        let answers: Vec<Value> = (0..4).map(|_| caller.value()).collect();
        assert!(elements(&answers[3])[1].is_error());
    }
}

/// Nothing half done is saved: SHUTDOWN alone is refused, and with NOSAVE it does not wait.
#[test]
fn the_server_ends_beside_it_where_nothing_is_saved() {
    let oracle = Oracle::with_flags(FLAGS);
    let expected = begin(&oracle, "FCALL writes 1 k").1.ask("SHUTDOWN");
    for shards in SHARDS {
        for call in ["FCALL writes 1 k", "MULTI\r\nFCALL writes 1 k\r\nEXEC"] {
            let flags = format!("{FLAGS} --appendonly yes");
            let mut server = Server::start(Options::shards(shards).flags(&flags));
            let (_caller, mut other) = begin(&server, call);
            assert_eq!(other.ask("SHUTDOWN"), expected, "{shards} shards");
            assert_eq!(other.ask("SHUTDOWN SAVE"), expected);
            other.send(b"SHUTDOWN NOSAVE\r\n");
            assert!(server.wait().success());
            let log = server.log();
            assert!(!log.contains("commands are under way"), "{log}");
            server.restart();
            assert_eq!(server.connect().ask("EXISTS k").integer(), 0);
        }
    }
}
