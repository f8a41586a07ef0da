//! WAIT and WAITAOF, where a client waits: who ends that, and what it is told. Redis is asked the
//! same.

use std::time::Duration;

use tests::reply::show;
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

const TIME_MAX: Duration = Duration::from_secs(10);

fn begin_log(control: &mut Wire) {
    control.ask("CONFIG SET appendonly yes");
    eventually("the log is there", TIME_MAX, || {
        control
            .info("persistence")
            .number::<u64>("aof_rewrite_in_progress")
            == 0
            && control.info("persistence").number::<u64>("aof_base_size") > 0
    });
}

/// Sends `command`, waits until its client is blocked, lets `end` end that, and returns what it was
/// told.
fn told(server: &Server, version: &str, command: &str, end: impl Fn(&mut Wire, i64)) -> String {
    let (mut waiter, mut control) = (server.connect(), server.connect());
    waiter.command(&["HELLO", version]);
    let id = waiter.ask("CLIENT ID").integer();
    // What it waits for is its own.
    waiter.ask("SET own x");
    waiter.send(format!("{command}\r\nECHO behind\r\n").as_bytes());
    eventually(command, TIME_MAX, || {
        control.info("clients").number::<u64>("blocked_clients") == 1
    });
    let ends = u64::from(!command.ends_with(" 0"));
    let by_clock = control
        .info("clients")
        .number::<u64>("clients_in_timeout_table");
    assert_eq!(by_clock, ends, "{command}");
    let listed = control.ask("CLIENT LIST");
    let listed = String::from_utf8_lossy(listed.text()).into_owned();
    let own = listed
        .lines()
        .find(|line| line.starts_with(&format!("id={id} ")));
    assert!(
        own.is_some_and(|own| own.contains(" flags=b ")),
        "{command}: {listed}"
    );
    end(&mut control, id);
    let first = show(&waiter.reply());
    assert_eq!(waiter.reply(), b"$6\r\nbehind\r\n", "{command}");
    assert_eq!(control.info("clients").number::<u64>("blocked_clients"), 0);
    format!("{command}: {first}")
}

fn unblock(how: &'static str) -> impl Fn(&mut Wire, i64) {
    move |control, id| {
        let ended = control.ask(&format!("CLIENT UNBLOCK {id} {how}"));
        assert_eq!(ended.integer(), 1);
    }
}

fn all(server: &Server, version: &str) -> Vec<String> {
    let set = |what: &'static str| {
        move |control: &mut Wire, _: i64| {
            assert_eq!(control.ask(&format!("CONFIG SET {what}")).text(), b"OK");
        }
    };
    let mut control = server.connect();
    control.ask("CONFIG SET appendonly no");
    let mut heard = vec![
        told(server, version, "WAIT 1 0", unblock("TIMEOUT")),
        told(server, version, "WAIT 1 100000", unblock("ERROR")),
        told(server, version, "WAITAOF 0 1 0", unblock("TIMEOUT")),
        told(server, version, "WAITAOF 0 1 100000", unblock("ERROR")),
    ];
    begin_log(&mut control);
    control.ask("CONFIG SET appendfsync no");
    // Enough for each shard to have something that nobody has synced.
    (0..50).for_each(|at| drop(control.ask(&format!("SET key:{at} {version}"))));
    heard.extend([
        told(server, version, "WAITAOF 1 0 0", unblock("TIMEOUT")),
        told(server, version, "WAITAOF 1 0 50", |_, _| {}),
        told(server, version, "WAITAOF 1 0 100000", unblock("ERROR")),
        told(server, version, "WAITAOF 1 1 0", set("appendonly no")),
        told(server, version, "WAITAOF 0 1 0", unblock("TIMEOUT")),
    ]);
    begin_log(&mut control);
    control.ask("CONFIG SET appendfsync everysec");
    let mut ask = |command: &str| {
        control.send(format!("{command}\r\n").as_bytes());
        heard.push(format!("{command}: {}", show(&control.reply())));
    };
    ask("SET key x");
    ask("WAITAOF 1 0 0");
    ask("WAITAOF 0 0 0");
    // On disk, and no replica: the time runs out.
    eventually("the disk has it", TIME_MAX, || {
        control.send(b"WAITAOF 1 1 20\r\n");
        control.reply() == b"*2\r\n:1\r\n:0\r\n"
    });
    heard
}

#[test]
fn who_waits_is_told_as_redis_tells_it() {
    let oracle = Oracle::start();
    for version in ["2", "3"] {
        let expected = all(&oracle, version);
        for shards in SHARDS {
            let server = Server::start(Options::shards(shards));
            let heard = all(&server, version);
            for (heard, expected) in std::iter::zip(&heard, &expected) {
                assert_eq!(heard, expected, "RESP{version}, {shards} shards");
            }
        }
    }
}

/// Nobody waits for a sync that comes anyway: what is not synced under `no` is once the policy
/// changes.
#[test]
fn a_change_of_policy_ends_the_wait_for_the_disk() {
    for shards in SHARDS {
        let server =
            Server::start(Options::shards(shards).flags("--appendonly yes --appendfsync no"));
        let mut control = server.connect();
        (0..50).for_each(|at| drop(control.ask(&format!("SET key:{at} x"))));
        let heard = told(&server, "2", "WAITAOF 1 0 0", |control, _| {
            control.ask("CONFIG SET appendfsync always");
        });
        assert_eq!(
            heard,
            format!("WAITAOF 1 0 0: {}", show(b"*2\r\n:1\r\n:0\r\n"))
        );
        // Who has gone is forgotten, by all shards.
        control.ask("CONFIG SET appendfsync no");
        (0..50).for_each(|at| drop(control.ask(&format!("SET key:{at} y"))));
        let mut waiter = server.connect();
        waiter.send(b"WAITAOF 1 0 0\r\n");
        eventually("it waits", TIME_MAX, || {
            control.info("clients").number::<u64>("blocked_clients") == 1
        });
        drop(waiter);
        eventually("it has gone", TIME_MAX, || {
            control.info("clients").number::<u64>("blocked_clients") == 0
        });
        control.ask("CONFIG SET appendfsync everysec");
        assert_eq!(
            control.ask("WAITAOF 1 0 0").elements().map(|it| it.len()),
            Some(2)
        );
    }
}

/// It comes behind what its connection sent before, wherever that runs.
#[test]
fn a_pipeline_s_writes_are_waited_for() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--appendonly yes"));
        let (mut writer, mut reader) = (server.connect(), server.connect());
        let mut pipeline = String::new();
        for at in 0..100 {
            pipeline += &format!("SET key:{at} x\r\nMSET a:{at} 1 b:{at} 2\r\n");
        }
        pipeline += "WAITAOF 1 0 0\r\n";
        writer.send(pipeline.as_bytes());
        for _ in 0..200 {
            assert_eq!(writer.reply(), b"+OK\r\n");
        }
        assert_eq!(writer.reply(), b"*2\r\n:1\r\n:0\r\n", "{shards} shards");
        // Nothing was said since: all of it is on disk.
        assert_eq!(
            reader.ask("WAITAOF 0 0 0").elements().expect("two numbers")[0].integer(),
            1
        );
    }
}
