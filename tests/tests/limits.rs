//! Limits: what clients may take, and that what they took is free again when they have gone,
//! however they went.

use std::time::Duration;

use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

const TIME_MAX: Duration = Duration::from_secs(20);

/// A connection whose unfinished command holds so many bytes. It may be closed while it still
/// sends.
fn hoarder(server: &Server, bytes: usize) -> Wire {
    let mut wire = server.connect();
    wire.send(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", bytes + 1).as_bytes());
    drop(wire.try_send(&vec![b'x'; bytes]));
    wire
}

const MB: usize = 1 << 20;

/// Lets eight large connections meet a limit of half their sum: some of them must be left, and all
/// small ones.
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

/// A connection that reads nothing more from now on, and whose input is read in large pieces.
fn mute(server: &Server) -> Wire {
    const PINGS: usize = 30_000;
    let mut wire = server.connect();
    wire.ask("CLIENT SETNAME mute");
    wire.send(&b"PING\r\n".repeat(PINGS));
    for _ in 0..PINGS {
        wire.reply();
    }
    wire
}

/// What the connection `mute` is owed, `None` where it is closed.
fn owed(control: &mut Wire) -> Option<usize> {
    let list = control.ask("CLIENT LIST");
    let text = String::from_utf8_lossy(list.text()).into_owned();
    let line = text.lines().find(|line| line.contains("name=mute"))?;
    let bytes = line.split(' ').find_map(|it| it.strip_prefix("omem="))?;
    Some(bytes.parse().expect("bytes"))
}

/// Calls of a command since the server began.
fn calls(control: &mut Wire, command: &str) -> usize {
    let info = control.info("commandstats");
    let Some(line) = info.get(&format!("cmdstat_{command}")) else {
        return 0;
    };
    let calls = line
        .split(',')
        .next()
        .and_then(|it| it.strip_prefix("calls="));
    calls.and_then(|it| it.parse().ok()).expect("a count")
}

const LARGE_BYTES: usize = 300_000;

/// As many large values as there are shards to be on, about.
fn set_large(server: &Server) {
    let mut control = server.connect();
    for key in 0..8 {
        control.command(&[
            "SET".to_owned(),
            format!("large{key}"),
            "x".repeat(LARGE_BYTES),
        ]);
    }
}

#[test]
fn what_is_asked_of_other_shards_begins_only_where_there_is_room() {
    const ASKED: usize = 400;
    const OUTPUT_BYTES_MAX: usize = 32 * MB;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_large(&server);
        // Wherever the key is, and the connection.
        for key in 0..4 {
            let mut control = server.connect();
            control.ask("CONFIG RESETSTAT");
            let mut wire = mute(&server);
            wire.send(format!("GET large{key}\r\n").repeat(ASKED).as_bytes());
            eventually("it has no more room", TIME_MAX, || {
                owed(&mut control).is_some_and(|bytes| bytes >= OUTPUT_BYTES_MAX)
            });
            let begun = calls(&mut control, "get");
            // The kernel takes some.
            let most = 2 * OUTPUT_BYTES_MAX / LARGE_BYTES;
            assert!(begun < most, "{begun} of {ASKED}, {shards} shards");
            for at in 0..ASKED {
                assert_eq!(wire.value().text().len(), LARGE_BYTES, "{at}");
            }
            assert_eq!(wire.ask("PING").text(), b"PONG");
        }
    }
}

#[test]
fn who_goes_takes_with_him_what_waits_for_room() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_large(&server);
        let mut control = server.connect();
        for key in 0..4 {
            let mut wire = mute(&server);
            let get = format!("GET large{key}\r\n").repeat(500);
            wire.send(format!("{get}INCR {{large{key}}}count\r\n").as_bytes());
            eventually("it has no more room", TIME_MAX, || {
                owed(&mut control).is_some_and(|bytes| bytes >= 32 * MB)
            });
        }
        eventually("what they were owed is free", TIME_MAX, || {
            owed(&mut control).is_none() && control.figure("mem_clients_normal") < 5 << 20
        });
        // Who comes next is served where they were.
        for key in 0..4 {
            let value = control.ask(&format!("GET large{key}"));
            assert_eq!(value.text().len(), LARGE_BYTES);
        }
    }
}

/// Reads and writes of one pipeline, on keys that live anywhere, large replies and small ones,
/// single commands and transactions.
fn mixed_pipeline() -> (String, usize) {
    const ROUNDS: usize = 60;
    let mut pipeline = String::new();
    for round in 0..ROUNDS {
        let key = round % 8;
        let other = (round * 5 + 3) % 8;
        pipeline +=
            &format!("APPEND large{key} {round}\r\nGET large{key}\r\nINCR count{other}\r\n");
        pipeline +=
            &format!("GET large{other}\r\nGET count{other}\r\nGETRANGE large{key} 299990 -1\r\n");
        pipeline += &match round % 5 {
            0 => format!(
                "MSET count{key} {round} count{other} 7\r\nGET count{key}\r\nSTRLEN large{key}\r\n"
            ),
            1 => format!("MULTI\r\nGET large{key}\r\nINCR count{other}\r\nEXEC\r\n")
                .replace("EXEC", "INCR count0\r\nEXEC"),
            2 => format!("WATCH count{key}\r\nMULTI\r\nINCR count{key}\r\nEXEC\r\n"),
            3 => format!("MGET count0 count1 large{key} count{other}\r\n") + "PING\r\nDBSIZE\r\n",
            _ => {
                format!(
                    "LPUSH list{key} {round}\r\nBLPOP list{key} 0\r\nMULTI\r\nGET large{key}\r\n"
                ) + "EXEC\r\n"
            }
        };
    }
    let commands = pipeline.lines().count();
    (pipeline, commands)
}

#[test]
fn a_pipeline_that_waits_for_room_keeps_its_order() {
    let (pipeline, commands) = mixed_pipeline();
    let answers = |server: &Server| {
        set_large(server);
        let mut wire = mute(server);
        wire.send(pipeline.as_bytes());
        (0..commands).map(|_| wire.reply()).collect::<Vec<_>>()
    };
    let expected = answers(&Oracle::start());
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        // Each time on another shard, perhaps.
        for _ in 0..3 {
            server.connect().ask("FLUSHALL");
            let found = answers(&server);
            let differs = expected.iter().zip(&found).position(|(a, b)| a != b);
            let command = differs.and_then(|at| pipeline.lines().nth(at));
            assert_eq!(command, None, "{differs:?} with {shards} shards");
        }
    }
}

#[test]
fn the_hard_limit_holds_with_any_reply_as_with_redis() {
    let is_closed = |server: &Server| {
        set_large(server);
        let mut control = server.connect();
        for key in 0..4 {
            let values: Vec<String> = (0..2_000).map(|_| "y".repeat(600)).collect();
            let words = ["RPUSH".to_owned(), format!("list{key}")];
            control.command(&[&words[..], &values].concat());
        }
        for key in 0..10_000 {
            control.send(format!("SET {key:0>60} v\r\n").as_bytes());
        }
        for _ in 0..10_000 {
            control.reply();
        }
        let set = [
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "normal 400kb 0 0",
        ];
        control.command(&set);
        let large = |verb: &'static str| (0..4).map(move |key| format!("{verb}{key}"));
        let lists = large("LRANGE list").map(|it| format!("{it} 0 -1\r\n"));
        let execs = large("large").map(|key| {
            let get = format!("GET {key}\r\n").repeat(2);
            format!("MULTI\r\nINCR {{{key}}}count\r\n{get}EXEC\r\nSET after 1\r\n")
        });
        let all: String = (0..8).map(|key| format!("GET large{key}\r\n")).collect();
        let over_all = format!("MULTI\r\nINCR count\r\n{all}EXEC\r\nSET after 1\r\n");
        let keys = "KEYS *\r\nSET after 1\r\n".to_owned();
        let names = all.replace("GET", "").replace("\r\n", "");
        let mget = format!("MGET{names}\r\nSET after 1\r\n");
        let mut closed = 0;
        for bytes in lists.chain(execs).chain([over_all, keys, mget]) {
            let mut wire = server.connect();
            wire.send(bytes.as_bytes());
            let heard = String::from_utf8(wire.until_closed()).expect("text");
            // What comes before EXEC may have left.
            let is_before_exec = |line: &str| ["+OK", "+QUEUED"].contains(&line);
            assert!(
                heard.lines().all(is_before_exec),
                "{bytes:.60}: {heard:.60}"
            );
            closed += 1;
        }
        // One by one they would pass, together they do not.
        for get in large("GET large") {
            let mut wire = server.connect();
            wire.send(format!("{get}\r\n").repeat(500).as_bytes());
            wire.until_closed();
            closed += 1;
        }
        assert_eq!(
            control.figure("client_output_buffer_limit_disconnections"),
            closed
        );
        assert_eq!(
            control.ask("EXISTS after").integer(),
            0,
            "nothing behind runs"
        );
        assert_eq!(control.ask("GET count").text(), b"1", "EXEC runs whole");
        for key in 0..4 {
            assert_eq!(
                control.ask(&format!("GET {{large{key}}}count")).text(),
                b"1"
            );
        }
    };
    is_closed(&Oracle::start());
    for shards in SHARDS {
        is_closed(&Server::start(Options::shards(shards)));
    }
}

#[test]
fn a_pause_does_not_wait_for_who_does_not_read() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_large(&server);
        let mut control = server.connect();
        for key in 0..4 {
            let mut wire = mute(&server);
            wire.send(format!("GET large{key}\r\n").repeat(300).as_bytes());
            eventually("it has no more room", TIME_MAX, || {
                owed(&mut control).is_some_and(|bytes| bytes >= 32 * MB)
            });
            assert_eq!(control.ask("CLIENT PAUSE 60000 WRITE").text(), b"OK");
            assert_eq!(control.ask("CLIENT UNPAUSE").text(), b"OK");
            wire.finish_sending();
            drop(wire);
            eventually("it has gone", TIME_MAX, || owed(&mut control).is_none());
        }
    }
}
