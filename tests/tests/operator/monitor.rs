//! MONITOR.

use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::TIME_MAX;

/// What is shown of these is compared, `;` parting them. The last two are sent as one.
const SHOWN: &str = "SET a 1; get a; MSET a 1 b 2 c 3; GET; NONSENSE; LPUSH a x; SELECT 2; SET b 2; SELECT 99; MULTI; SET a 1; \
    SET b 2; INCR none; SELECT 0; LPUSH a x; Exec; MULTI; GET a; exec; MULTI; GET; EXEC; EXEC; MULTI; DISCARD; MULTI; PING; INFO server; EXEC; \
    WATCH a; SET a 3; MULTI; GET a; EXEC; MULTI; MONITOR; EXEC; AUTH secret; AUTH me secret; HELLO 2 AUTH me secret SETNAME n; \
    HELLO 2 AUTH default secret; CLIENT LIST; CLIENT ID; CLIENT SETNAME n; CONFIG SET maxmemory 0; SLOWLOG LEN; BLPOP none 0.01; PUBLISH a b; \
    SUBSCRIBE a; UNSUBSCRIBE a; DBSIZE; SCAN 0; KEYS none; TIME; OBJECT ENCODING a; COMMAND COUNT; FLUSHALL; RESET; \
    EVAL \"return redis.call('get', KEYS[1])\" 1 a; EVAL \"redis.call('set', 'a', 1) redis.pcall('nosuch') redis.pcall('get') \
    redis.call('select', 2) redis.call('time') redis.pcall('select', 99) redis.call('SET', 'c', 'x') redis.call('ping') return redis.call('get', 'b')\" 0; EVAL \"return redis.call('dbsize')\" 0; EVALSHA x 0; \
    MULTI; EVAL \"return redis.call('incr', 'n')\" 0; EVAL \"return redis.call('client', 'getname')\" 0; EXEC; EVAL \"return +\" 0; SCRIPT EXISTS x; \
    ECHO \"a \\x00\\\"\\n\\xff\"; CLIENT REPLY SKIP\r\nGET a\r\nQUIT";

/// What a monitor is told up to a command that is shown as `last`, without times and addresses.
fn lines(monitor: &mut Wire, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8(monitor.reply()).expect("visible text");
        let (time, rest) = line[1..].split_once(" [").expect("a time");
        let (seconds, micros) = time.split_once('.').expect("microseconds");
        assert!(
            seconds.parse::<u64>().is_ok() && micros.len() == 6,
            "{line}"
        );
        let (who, words) = rest.split_once("] ").expect("words");
        // A script's calls have the word `lua` in place of an address.
        let who = who.split_once(" 127.0.0.1:").map_or(who, |(db, _)| db);
        let words = words.trim_end();
        lines.push(format!("{who} {words}"));
        if words == last {
            return lines;
        }
    }
}

fn shown(server: &Server) -> Vec<String> {
    let mut monitors = [(); 5].map(|()| server.connect());
    for monitor in &mut monitors {
        assert_eq!(monitor.ask("MONITOR").text(), b"OK");
    }
    let mut wire = server.connect();
    let mut commands: Vec<&str> = SHOWN.split("; ").collect();
    let last = commands.pop().expect("a command");
    for command in commands {
        wire.send(format!("{command}\r\n").as_bytes());
        wire.reply();
    }
    wire.send(format!("{last}\r\n").as_bytes());
    wire.until_closed();
    let mut all = monitors
        .each_mut()
        .map(|monitor| lines(monitor, "\"QUIT\""));
    // Only now: what two shards show is in no order, and this may come to another shard.
    server.connect().ask("ECHO end");
    for (monitor, all) in monitors.iter_mut().zip(&mut all) {
        all.extend(lines(monitor, "\"ECHO\" \"end\""));
    }
    assert!(all.iter().all(|lines| *lines == all[0]));
    all[0].clone()
}

#[test]
fn monitors_see_what_those_of_redis_see() {
    let expected = shown(&Oracle::start());
    for shards in SHARDS {
        let found = shown(&Server::start(Options::shards(shards)));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "{shards} shards");
        }
        assert_eq!(found.len(), expected.len(), "{shards} shards");
    }
}

/// What a monitor is told that asks for something itself.
fn told_while_monitoring(server: &Server) -> Vec<String> {
    let mut monitor = server.connect();
    let mut other = server.connect();
    let mut told = Vec::new();
    let mut note = |reply: Vec<u8>| {
        let text = String::from_utf8_lossy(&reply).into_owned();
        let shown = text.split_once("] ").map(|(_, words)| words.to_owned());
        told.push(shown.unwrap_or(text));
    };
    for (command, replies) in [
        ("MONITOR", 1),
        ("GET a", 1),
        ("SET a 1", 1),
        ("PUBLISH a b", 1),
        ("DBSIZE", 1),
        ("PING", 2),
        ("MONITOR", 0),
        ("MULTI", 2),
        ("GET a", 1),
        ("EXEC", 2),
        ("SUBSCRIBE a", 2),
        ("UNSUBSCRIBE a", 2),
        ("RESET", 1),
        ("GET a", 1),
    ] {
        monitor.send(format!("{command}\r\n").as_bytes());
        (0..replies).for_each(|_| note(monitor.reply()));
    }
    other.ask("PING");
    note(monitor.ask("ECHO quiet").text().to_vec());
    told
}

#[test]
fn a_monitor_may_do_what_a_replica_may() {
    let expected = told_while_monitoring(&Oracle::start());
    for shards in SHARDS {
        let found = told_while_monitoring(&Server::start(Options::shards(shards)));
        assert_eq!(found, expected, "{shards} shards");
    }
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut monitor, mut wire) = (server.connect(), server.connect());
        let limits = "normal 3000000 0 0";
        wire.command(&["CONFIG", "SET", "client-output-buffer-limit", limits]);
        monitor.ask("MONITOR");
        // What the kernel holds comes on top.
        let large = "x".repeat(1_000_000);
        let mut count = 0;
        eventually("the monitor is closed", TIME_MAX, || {
            count += 1;
            assert!(count < 100, "{shards} shards");
            wire.command(&["ECHO", &large]);
            let list = wire.ask("CLIENT LIST");
            !String::from_utf8_lossy(list.text()).contains(" flags=O ")
        });
    }
}
