//! Who may come in and what they may do there: passwords, protected mode, the number of
//! connections, idle ones, what they may send. Redis is asked the same.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use tests::reply::show;
use tests::server::{eventually, outer_address};
use tests::{Options, Oracle, SHARDS, Server, Wire};

const TIME_MAX: Duration = Duration::from_secs(20);

fn set_password(server: &Server) {
    let mut wire = server.connect();
    assert_eq!(wire.ask("CONFIG SET requirepass secret").text(), b"OK");
}

/// Whether a command is answered with an error of this code.
fn is_refused(wire: &mut Wire, words: &str, code: &str) -> bool {
    wire.send(format!("{words}\r\n").as_bytes());
    wire.reply().starts_with(format!("-{code} ").as_bytes())
}

/// What a fresh connection hears in answer to `bytes`, to the end where that is the server's.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut wire = server.connect();
    wire.send(bytes);
    wire.finish_sending();
    show(&wire.until_closed())
}

/// All of Redis's commands that percore has.
fn commands(server: &Server) -> Vec<String> {
    let names = server.connect().ask("COMMAND LIST").elements();
    let names = names.expect("a list");
    let text = |name: &tests::reply::Value| String::from_utf8_lossy(name.text()).into_owned();
    names.iter().map(text).collect()
}

#[test]
fn before_the_password_only_what_redis_lets_is_answered() {
    let names = commands(&Server::start(Options::shards(1)));
    let oracle = Oracle::start();
    set_password(&oracle);
    let known: Vec<String> = {
        let mut wire = oracle.connect();
        wire.ask("AUTH secret");
        let known = wire.ask("COMMAND LIST").elements().expect("a list");
        let text = |name: &tests::reply::Value| String::from_utf8_lossy(name.text()).into_owned();
        known.iter().map(text).collect()
    };
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_password(&server);
        for name in names.iter().filter(|name| known.contains(name)) {
            for arguments in ["", " a", " a b", " a b c"] {
                // Its answer is the server's own description.
                if name == "hello" && arguments.is_empty() {
                    continue;
                }
                let command = format!("{name}{arguments}\r\nGET a\r\n");
                let expected = answer(&oracle, command.as_bytes());
                let found = answer(&server, command.as_bytes());
                assert_eq!(found, expected, "{shards} shards: {name}{arguments}");
            }
        }
    }
}

#[test]
fn passwords_let_in_as_redis_lets_in() {
    let oracle = Oracle::start();
    set_password(&oracle);
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_password(&server);
        // A wrong password comes first: behind another reply in the same pipeline Redis does not
        // answer it at all.
        for words in [
            "AUTH secret\r\nPING",
            "AUTH Secret\r\nPING",
            "AUTH secre\r\nPING",
            "AUTH secrets\r\nPING",
            "AUTH \"\"\r\nPING",
            "AUTH default secret\r\nPING",
            "AUTH Default secret\r\nPING",
            "AUTH bob secret\r\nPING",
            "AUTH a b c\r\nPING",
            "AUTH wrong\r\nAUTH secret\r\nPING",
            "HELLO 3\r\nPING",
            "HELLO 3 AUTH default wrong\r\nPING",
            "HELLO 3 AUTH default wrong SETNAME a\r\nAUTH secret\r\nCLIENT GETNAME",
            "HELLO 2 SETNAME a\r\nAUTH secret\r\nCLIENT GETNAME",
            "AUTH secret\r\nRESET\r\nPING",
            "MULTI\r\nAUTH secret\r\nEXEC",
            "AUTH secret\r\nMULTI\r\nAUTH secret\r\nPING\r\nEXEC\r\nPING",
            "QUIT\r\nPING",
            "SUBSCRIBE a\r\nPING",
        ] {
            let bytes = format!("{words}\r\n");
            let expected = answer(&oracle, bytes.as_bytes());
            assert_eq!(answer(&server, bytes.as_bytes()), expected, "{words}");
        }
    }
}

#[test]
fn strangers_may_send_little_as_with_redis() {
    let oracle = Oracle::start();
    set_password(&oracle);
    let many = |count: usize| {
        let words = "$1\r\na\r\n".repeat(count - 1);
        format!("*{count}\r\n$4\r\nECHO\r\n{words}")
    };
    let long = |len: usize| {
        let text = "x".repeat(len);
        format!("*2\r\n$4\r\nECHO\r\n${len}\r\n{text}\r\n")
    };
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_password(&server);
        for bytes in [many(10), many(11), long(16_384), long(16_385)] {
            for login in ["", "AUTH secret\r\n", "AUTH wrong\r\n"] {
                let bytes = format!("{login}{bytes}PING\r\n");
                let expected = answer(&oracle, bytes.as_bytes());
                let found = answer(&server, bytes.as_bytes());
                assert!(
                    found == expected,
                    "{:.60}: {found:.200} and not {expected:.200}",
                    bytes
                );
            }
        }
    }
}

#[test]
fn a_password_that_changes_keeps_those_who_are_in() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut early, mut idle) = (server.connect(), server.connect());
        idle.ask("PING");
        early.ask("CONFIG SET requirepass secret");
        assert_eq!(idle.ask("PING").text(), b"PONG", "as with Redis");
        let mut late = server.connect();
        assert!(is_refused(&mut late, "PING", "NOAUTH"));
        late.ask("AUTH secret");
        late.ask("CONFIG SET requirepass other");
        assert_eq!(late.ask("PING").text(), b"PONG");
        assert!(is_refused(&mut late, "AUTH secret", "WRONGPASS"));
        assert_eq!(late.ask("AUTH other").text(), b"OK");
        late.command(&["CONFIG", "SET", "requirepass", ""]);
        assert_eq!(server.connect().ask("PING").text(), b"PONG");
    }
}

#[test]
fn wrong_passwords_by_the_thousand_cost_nobody_else() {
    const GUESSERS: usize = 8;
    const GUESSES: usize = 4_000;
    const PIPELINE: usize = 100;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        set_password(&server);
        let mut wire = server.connect();
        wire.ask("AUTH secret");
        wire.ask("SET a 1");
        let before = wire.figure("used_memory");
        let guessers: Vec<_> = (0..GUESSERS)
            .map(|_| {
                let address = server.address();
                thread::spawn(move || {
                    for from in (0..GUESSES).step_by(PIPELINE) {
                        // Some come again and again, each with one guess.
                        let mut wire = Wire::connect(address).expect("a connection");
                        for guess in from..from + PIPELINE {
                            wire.send_command(&["AUTH", &format!("guess{guess}")]);
                        }
                        for _ in 0..PIPELINE {
                            assert!(wire.reply().starts_with(b"-WRONGPASS"));
                        }
                        assert!(is_refused(&mut wire, "GET a", "NOAUTH"));
                    }
                })
            })
            .collect();
        let mut waits = Vec::new();
        loop {
            let asked = Instant::now();
            assert_eq!(wire.ask("GET a").text(), b"1");
            waits.push(asked.elapsed());
            if guessers.iter().all(|guesser| guesser.is_finished()) {
                break;
            }
        }
        for guesser in guessers {
            guesser.join().expect("only refusals");
        }
        waits.sort_unstable();
        let median = waits[waits.len() / 2];
        assert!(median < Duration::from_millis(100), "{median:?}");
        let denied = wire.figure("acl_access_denied_auth");
        assert_eq!(denied, (GUESSERS * GUESSES) as u64);
        eventually("they are gone", TIME_MAX, || {
            wire.figure("connected_clients") == 1
        });
        eventually("what they held is free", TIME_MAX, || {
            wire.figure("used_memory") < before + (4 << 20)
        });
    }
}

#[test]
fn protected_mode_lets_in_this_machine_only() {
    let address = outer_address();
    let from_outside = |server: &Server| {
        let outer = SocketAddr::from((address, server.address().port()));
        let mut wire = Wire::connect(outer).expect("a connection");
        // It may be told before it asks, and not listened to.
        drop(wire.try_send(b"PING\r\n"));
        wire.try_reply()
    };
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--bind 0.0.0.0"));
        let reply = from_outside(&server).ok().flatten().unwrap_or_default();
        assert!(reply.starts_with(b"-DENIED "), "{}", show(&reply));
        let mut control = server.connect();
        assert_eq!(control.figure("rejected_connections"), 1);
        eventually("nobody else is connected", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
        control.ask("CONFIG SET requirepass secret");
        let reply = from_outside(&server).expect("read").expect("a reply");
        assert!(reply.starts_with(b"-NOAUTH"), "a password is enough");
        control.command(&["CONFIG", "SET", "requirepass", "", "protected-mode", "no"]);
        let reply = from_outside(&server).expect("read");
        assert_eq!(reply.as_deref(), Some(b"+PONG\r\n".as_slice()));
    }
}

#[test]
fn idle_connections_are_closed_and_those_that_wait_are_not() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--timeout 1"));
        let began = Instant::now();
        let mut idle = server.connect();
        let (mut waiter, mut subscriber) = (server.connect(), server.connect());
        subscriber.ask("SUBSCRIBE a");
        waiter.send(b"BLPOP list 0\r\n");
        idle.until_closed();
        assert!(began.elapsed() >= Duration::from_millis(900));
        let mut wire = server.connect();
        wire.ask("RPUSH list x");
        assert_eq!(waiter.value().elements().map(|it| it.len()), Some(2));
        wire.ask("PUBLISH a x");
        assert_eq!(subscriber.value().elements().map(|it| it.len()), Some(3));
    }
}

#[test]
fn more_than_maxclients_are_turned_away_and_counted() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--maxclients 10"));
        let mut control = server.connect();
        eventually("nobody else is connected", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
        let mut held: Vec<Wire> = (0..9).map(|_| server.connect()).collect();
        held.iter_mut().for_each(|wire| drop(wire.ask("PING")));
        for _ in 0..5 {
            let mut wire = server.connect();
            assert_eq!(wire.reply(), b"-ERR max number of clients reached\r\n");
            wire.until_closed();
        }
        assert_eq!(control.figure("rejected_connections"), 5);
        assert_eq!(control.figure("connected_clients"), 10);
        control.ask("CONFIG SET maxclients 12");
        assert_eq!(server.connect().ask("PING").text(), b"PONG");
        held.clear();
        eventually("they are gone", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
        assert_eq!(server.connect().ask("PING").text(), b"PONG");
    }
}

#[test]
fn a_command_larger_than_the_query_buffer_limit_ends_its_connection() {
    for shards in SHARDS {
        let flags = "--client-query-buffer-limit 1mb";
        let server = Server::start(Options::shards(shards).flags(flags));
        let mut control = server.connect();
        let mut large = server.connect();
        let argument = vec![b'x'; 400_000];
        for _ in 0..4 {
            drop(large.try_send(b"*9\r\n$4\r\nMSET\r\n"));
            for _ in 0..8 {
                drop(large.try_send(b"$400000\r\n"));
                drop(large.try_send(&argument));
                drop(large.try_send(b"\r\n"));
            }
        }
        drop(large.try_reply());
        eventually("it is closed", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
        let closed = control.figure("client_query_buffer_limit_disconnections");
        assert_eq!(closed, 1, "{shards} shards");
    }
}

#[test]
fn a_queue_larger_than_the_query_buffer_limit_ends_its_connection() {
    for shards in SHARDS {
        let flags = "--client-query-buffer-limit 1mb";
        let server = Server::start(Options::shards(shards).flags(flags));
        let mut control = server.connect();
        let mut large = server.connect();
        large.ask("MULTI");
        for _ in 0..4 {
            drop(large.try_send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$400000\r\n"));
            drop(large.try_send(&[b'x'; 400_000]));
            drop(large.try_send(b"\r\n"));
        }
        eventually("it is closed", TIME_MAX, || {
            control.figure("connected_clients") == 1
        });
        let closed = control.figure("client_query_buffer_limit_disconnections");
        assert_eq!(closed, 1, "{shards} shards");
    }
}

#[test]
fn dangerous_commands_and_parameters_ask_the_configuration() {
    for value in ["no", "local", "yes"] {
        let flags = format!(
            "--enable-debug-command {value} --enable-protected-configs {value} --protected-mode no --bind 0.0.0.0"
        );
        let oracle = Oracle::with_flags(&flags);
        for shards in SHARDS {
            let server = Server::start(Options::shards(shards).flags(&flags));
            for command in [
                "DEBUG NOTHING",
                "DEBUG SLEEP 0",
                "CONFIG SET dir /tmp",
                "CONFIG SET dbfilename x.rdb",
                "CONFIG SET enable-debug-command yes",
                "MULTI\r\nDEBUG SLEEP 0\r\nPING\r\nEXEC",
            ] {
                let both = |server: &Server| {
                    let port = server.address().port();
                    [Ipv4Addr::LOCALHOST, outer_address()].map(|address| {
                        let mut wire = Wire::connect((address, port).into()).expect("in");
                        wire.send(format!("{command}\r\n").as_bytes());
                        wire.finish_sending();
                        let heard = show(&wire.until_closed());
                        // What DEBUG knows is each server's own.
                        if heard.contains("Unknown subcommand")
                            || heard.contains("unknown subcommand")
                        {
                            "known to be unknown".to_owned()
                        } else {
                            heard
                        }
                    })
                };
                assert_eq!(
                    both(&server),
                    both(&oracle),
                    "{value}, {shards} shards: {command}"
                );
            }
        }
    }
}

/// How a browser speaks to this port, and how others may try to.
const OF_HTTP: &[&[u8]] = &[
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n",
    b"pOsT\r\nSET pwned 1\r\n",
    b"PING\r\nhost: x\r\nSET pwned 1\r\n",
    b"\"HOST:\"\r\nSET pwned 1\r\n",
    b"*1\r\n$4\r\npost\r\n*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n$1\r\n1\r\n",
    b"*2\r\n$5\r\nHost:\r\n$1\r\nx\r\nSET pwned 1\r\n",
    b"*1\r\n$5\r\nPOST\0\r\nSET pwned 1\r\n",
    b"MULTI\r\nSET pwned 1\r\nPOST\r\nEXEC\r\n",
    b"CLIENT REPLY OFF\r\nPOST\r\nSET pwned 1\r\n",
    b"SUBSCRIBE a\r\nHost:\r\nSET pwned 1\r\n",
];

#[test]
fn a_web_page_runs_nothing_as_with_redis() {
    let is_kept_out = |server: &Server| {
        for bytes in OF_HTTP {
            let mut wire = server.connect();
            // Nobody ends the connection but the server.
            wire.send(bytes);
            wire.until_closed();
            let pwned = server.connect().ask("EXISTS pwned").integer();
            assert_eq!(pwned, 0, "{}", show(bytes));
        }
        // What only begins so is a command that does not exist.
        for words in ["POSTS a", "Host x", "Host:x y"] {
            assert!(is_refused(&mut server.connect(), words, "ERR"), "{words}");
        }
    };
    is_kept_out(&Oracle::start());
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        is_kept_out(&server);
        eventually("it is logged with the address", TIME_MAX, || {
            let log = server.log();
            let mut lines = log.lines();
            lines
                .any(|line| line.contains("Possible SECURITY ATTACK") && line.contains("127.0.0.1"))
        });
        set_password(&server);
        let mut stranger = server.connect();
        stranger.send(b"POST / HTTP/1.1\r\n");
        assert_eq!(stranger.until_closed(), b"", "before the password, too");
    }
}

#[test]
fn strangers_that_do_not_read_are_owed_little() {
    const COMMANDS: usize = 4_000_000;
    const OWED_BYTES_MAX: u64 = 2048;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut control = server.connect();
        control.ask("CONFIG SET requirepass secret");
        let mut mute = server.connect();
        mute.time_limit(Duration::from_millis(300))
            .expect("a limit");
        // It gets no further than what the kernel takes.
        drop(mute.try_send(&b"GET a\r\n".repeat(COMMANDS)));
        let list = control.ask("CLIENT LIST");
        let text = String::from_utf8_lossy(list.text()).into_owned();
        let owed = text
            .split_whitespace()
            .filter_map(|it| it.strip_prefix("omem="));
        let most = owed.map(|bytes| bytes.parse().expect("bytes")).max();
        assert!(most < Some(OWED_BYTES_MAX), "{text}");
        // Who reads hears the answer to everything.
        let mut reader = server.connect();
        reader.send(&b"GET a\r\n".repeat(10_000));
        for _ in 0..10_000 {
            assert!(reader.reply().starts_with(b"-NOAUTH"));
        }
        assert_eq!(reader.ask("AUTH secret").text(), b"OK");
    }
}
