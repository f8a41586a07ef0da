//! CONFIG: all of Redis's parameters, and those that change what the process listens on and what
//! the system sees of it.

use std::net::{Ipv4Addr, SocketAddr};

use tests::info::Info;
use tests::reply::Value;
use tests::server::{eventually, free_port};
use tests::{Options, Oracle, Reference, SHARDS, Server, Wire};

use crate::{TIME_MAX, words};

/// Parameters whose values say where the server is or what it is for, and those of the tests' own
/// flags.
const NOT_COMPARED: &[&str] = &[
    "bind",
    "port",
    "dir",
    "logfile",
    "pidfile",
    "unixsocket",
    "hz",
    "maxclients",
    "enable-debug-command",
    "save",
    "proc-title-template",
    // What this machine has installed decides.
    "locale-collate",
    // Rounded up by Redis.
    "repl-backlog-size",
    // Only what percore can keep.
    "tls-port",
    "tls-cluster",
    "tls-replication",
    "min-replicas-to-write",
    "min-slaves-to-write",
    // As in later versions of Redis.
    "hide-user-data-from-log",
    // What closes the one who asks, or is seen by everything else.
    "client-query-buffer-limit",
    "client-output-buffer-limit",
    "maxmemory-clients",
    "timeout",
    "requirepass",
    "maxmemory",
    "appendonly",
];

/// Values that most kinds refuse, in different words.
const TRIED: &[&str] = &[
    "",
    "yes",
    "no",
    "0",
    "1",
    "1000",
    "-1",
    "99999999999999",
    "1.5",
    "x~",
    "1kb",
    "local",
    "1 2 3",
];

/// What CONFIG SET says to each value, and CONFIG GET afterwards.
fn told(wire: &mut Wire, name: &str) -> Vec<String> {
    let mut told = Vec::new();
    for value in TRIED {
        let reply = wire.command(&["CONFIG", "SET", name, value]);
        told.push(format!("{value}: {reply:?}"));
        told.push(format!("{:?}", wire.command(&["CONFIG", "GET", name])));
    }
    told
}

#[test]
fn every_parameter_of_redis_is_there_and_checks_values_as_redis_does() {
    let oracle = Oracle::start();
    let server = Server::start(Options::shards(2));
    let (mut right, mut wire) = (oracle.connect(), server.connect());
    let all = words(&right.ask("CONFIG GET *"));
    assert!(all.len() > 300, "{} words", all.len());
    let here = words(&wire.ask("CONFIG GET *"));
    for (index, pair) in all.chunks(2).enumerate() {
        let [name, _] = pair else { continue };
        // With the other ways to end.
        let comes_later = name.starts_with("shutdown-on-sig");
        assert!(comes_later || here.contains(name), "{name}");
        // What is not kept is compared no further.
        let silent = NOT_COMPARED.contains(&name.as_str());
        if silent || comes_later {
            continue;
        }
        assert_eq!(
            told(&mut wire, name),
            told(&mut right, name),
            "{index}: {name}"
        );
    }
}

/// Which run of which server answers there, if any does.
fn run_at(address: SocketAddr) -> Option<String> {
    let mut wire = Wire::connect(address).ok()?;
    wire.try_send(b"INFO server\r\n").ok()?;
    let reply = wire.try_reply().ok()??;
    let reply = Value::parse(&reply);
    let info = Info::parse(&String::from_utf8_lossy(reply.text()));
    info.get("run_id").map(String::from)
}

/// A server whose port changes. Others may take a port that it leaves.
struct Moving {
    wire: Wire,
    run: Option<String>,
}

impl Moving {
    fn of(server: &Server) -> Moving {
        let run = run_at(server.address());
        assert!(run.is_some());
        Moving {
            wire: server.connect(),
            run,
        }
    }

    fn is_at(&self, address: impl Into<SocketAddr>) -> bool {
        run_at(address.into()) == self.run
    }

    fn set(&mut self, pairs: &[&str]) -> Result<(), String> {
        let words: Vec<&str> = ["CONFIG", "SET"].iter().chain(pairs).copied().collect();
        let reply = self.wire.command(&words);
        if reply.is_error() {
            return Err(format!("{reply:?}"));
        }
        assert_eq!(reply.text(), b"OK");
        Ok(())
    }

    /// Moves to a port that nobody has.
    fn move_away(&mut self, and: &[&str]) -> u16 {
        for _ in 0..10 {
            let port = free_port();
            let text = port.to_string();
            let pairs: Vec<&str> = ["port", &text].iter().chain(and).copied().collect();
            if self.set(&pairs).is_ok() {
                return port;
            }
        }
        panic!("no port to be had");
    }

    fn leaves(&self, address: impl Into<SocketAddr>) {
        let address = address.into();
        eventually("it is closed there", TIME_MAX, || !self.is_at(address));
    }
}

const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[test]
fn port_and_addresses_change_while_it_runs() {
    for (shards, driver) in [(1, "auto"), (2, "auto"), (4, "auto"), (2, "epoll")] {
        let flags = format!("--io-driver {driver}");
        let server = Server::start(Options::shards(shards).flags(&flags));
        let mut moving = Moving::of(&server);
        moving.wire.ask("SET a 1");
        let port = moving.move_away(&[]);
        // From the answer on, and on every shard.
        for _ in 0..16 {
            assert!(moving.is_at((ONE, port)), "{shards} shards");
        }
        moving.leaves(server.address());
        assert_eq!(moving.wire.ask("GET a").text(), b"1", "connections stay");
        assert_eq!(moving.wire.figure("tcp_port"), u64::from(port));

        // Other addresses; who comes to one that stays finds it open all the time.
        moving
            .set(&["bind", "127.0.0.2 127.0.0.1"])
            .expect("allowed");
        assert!(moving.is_at((ONE, port)) && moving.is_at((TWO, port)));
        moving.set(&["bind", "127.0.0.2"]).expect("allowed");
        assert!(moving.is_at((TWO, port)));
        moving.leaves((ONE, port));

        // No port at all, and back.
        moving.set(&["port", "0"]).expect("allowed");
        moving.leaves((TWO, port));
        let port = moving.move_away(&["bind", "127.0.0.1"]);
        assert!(moving.is_at((ONE, port)), "{shards} shards");
    }
}

#[test]
fn what_cannot_be_listened_on_changes_nothing() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut moving = Moving::of(&server);
        let other = Server::start(Options::shards(1));
        let taken = other.port().to_string();
        let before = moving.wire.ask("CONFIG GET *");
        for (pairs, parameter) in [
            (vec!["port", &taken], "port"),
            (vec!["maxmemory", "1gb", "port", &taken], "port"),
            (vec!["bind", "203.0.113.7"], "bind"),
            (vec!["hz", "50", "bind", "127.0.0.1 203.0.113.8"], "bind"),
            (
                vec![
                    "bind",
                    "127.0.0.1 127.0.0.2",
                    "unixsocket",
                    "/nowhere/at/all",
                ],
                "unixsocket",
            ),
        ] {
            let error = moving.set(&pairs).expect_err("refused");
            let blamed = format!("related to argument \\'{parameter}\\'");
            assert!(error.contains(&blamed), "{pairs:?}: {error}");
            assert_eq!(moving.wire.ask("CONFIG GET *"), before, "{pairs:?}");
            assert!(moving.is_at(server.address()), "{pairs:?}");
        }
        assert!(!moving.is_at((TWO, server.port())));
        assert!(run_at(other.address()).is_some());
    }
}

#[test]
fn the_unix_socket_moves() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).unix_socket());
        let mut wire = server.connect();
        let (old, new) = (server.unix_socket(), server.directory().join("other"));
        let reply = wire.ask(&format!("CONFIG SET unixsocket {}", new.display()));
        assert_eq!(reply.text(), b"OK", "{reply:?}");
        let mut unix = Wire::connect_unix(&new).expect("a connection");
        assert_eq!(unix.ask("PING").text(), b"PONG");
        assert!(!old.exists());
        assert_eq!(
            wire.command(&["CONFIG", "SET", "unixsocket", ""]).text(),
            b"OK"
        );
        assert!(!new.exists());
        assert_eq!(unix.ask("PING").text(), b"PONG", "connections stay");
    }
}

fn command_line(server: &Server) -> String {
    let path = format!("/proc/{}/cmdline", server.pid());
    let bytes = std::fs::read(path).expect("a running process");
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

#[test]
fn the_list_of_processes_shows_no_password() {
    let flags = "--masterauth the-secret --masteruser the-secret";
    let server = Server::start(Options::shards(1).flags(flags));
    let line = command_line(&server);
    assert!(!line.contains("the-secret"), "{line}");
    assert!(
        line.contains(&format!("127.0.0.1:{}", server.port())),
        "{line}"
    );
    let mut wire = server.connect();
    let reply = wire.command(&["CONFIG", "SET", "proc-title-template", "mine {port}"]);
    assert_eq!(reply.text(), b"OK", "{reply:?}");
    let line = command_line(&server);
    assert_eq!(line.trim(), format!("mine {}", server.port()));

    let flags = format!("{flags} --set-proc-title no");
    let server = Server::start(Options::shards(1).flags(&flags));
    let line = command_line(&server);
    assert!(line.contains("--masterauth **********"), "{line}");
    assert!(!line.contains("the-secret"), "{line}");
}

#[test]
fn the_kernel_is_told_how_soon_to_end_it() {
    let server = Server::start(Options::shards(1));
    let mut wire = server.connect();
    let score = || {
        let path = format!("/proc/{}/oom_score_adj", server.pid());
        let text = std::fs::read_to_string(path).expect("a running process");
        text.trim().parse::<i32>().expect("a number")
    };
    let found = score();
    // Only more than it has needs no privileges.
    let wanted = (found + 100).min(1000);
    let values = format!("{wanted} 500 800");
    let reply = wire.command(&["CONFIG", "SET", "oom-score-adj-values", &values]);
    assert_eq!(reply.text(), b"OK", "{reply:?}");
    assert_eq!(score(), found);
    assert_eq!(wire.ask("CONFIG SET oom-score-adj absolute").text(), b"OK");
    assert_eq!(score(), wanted);
}

#[test]
fn secrets_stand_in_no_log() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut monitor = server.connect();
        monitor.ask("MONITOR");
        let mut wire = server.connect();
        wire.ask("CONFIG SET slowlog-log-slower-than 0");
        for name in [
            "masterauth",
            "masteruser",
            "tls-key-file-pass",
            "tls-client-key-file-pass",
            "requirepas",
            "my-own-password",
        ] {
            wire.ask(&format!("CONFIG SET {name} the-secret"));
            wire.ask(&format!("CONFIG SET hz 10 {name} the the-secret"));
        }
        let log = format!("{:?}", wire.ask("SLOWLOG GET -1"));
        assert!(
            log.contains("(redacted)") && !log.contains("the-secret"),
            "{log}"
        );
        wire.ask("ECHO end");
        loop {
            let line = String::from_utf8(monitor.reply()).expect("text");
            assert!(!line.contains("the-secret"), "{line}");
            if line.contains("\"end\"") {
                break;
            }
        }
        assert!(!server.log().contains("the-secret"), "{}", server.log());
    }
}

#[test]
fn a_rewritten_file_is_one_that_redis_reads() {
    let server = Server::start(Options::shards(2));
    let path = server.directory().join("my.conf");
    let directory = server.directory().display();
    let text = format!("port 0\nunixsocket s\nsave \"\"\ndir {directory}\nmaxmemory 1gb\n");
    std::fs::write(&path, &text).expect("a file");
    let socket = server.directory().join("s");
    let run = |program: &std::path::Path, flags: &[&str]| {
        std::process::Command::new(program)
            .arg(&path)
            .args(flags)
            .current_dir(server.directory())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starting a server")
    };
    let ask = |what: &[&str]| {
        let mut wire = None;
        eventually("it answers", TIME_MAX, || {
            wire = Wire::connect_unix(&socket).ok();
            wire.is_some()
        });
        let mut wire = wire.expect("a connection");
        let replies: Vec<String> = what
            .iter()
            .map(|what| format!("{:?}", wire.ask(what)))
            .collect();
        wire.send_command(&["SHUTDOWN", "NOSAVE"]);
        wire.until_closed();
        replies.concat()
    };
    let binary = &tests::binary::binary().path;
    let ended = |mut child: std::process::Child| {
        assert!(tests::server::wait(&mut child).is_some(), "it does not end");
    };

    // What percore chose for this machine stays out of the file.
    let child = run(binary, &[]);
    ask(&["CONFIG REWRITE"]);
    ended(child);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), text);

    // What it was told is there, for itself alone.
    let child = run(binary, &["--shards", "3", "--threads", "1"]);
    ask(&["CONFIG SET hz 33", "CONFIG REWRITE"]);
    ended(child);
    let rewritten = std::fs::read_to_string(&path).expect("a file");
    assert!(rewritten.contains("\n#!percore shards 3\n"), "{rewritten}");
    let child = run(binary, &[]);
    let shown = ask(&["CONFIG GET shards", "CONFIG GET hz"]);
    ended(child);
    assert!(
        shown.contains("\"3\"") && shown.contains("\"33\""),
        "{shown}"
    );
    let child = run(&Reference::Redis74.path(), &[]);
    let shown = ask(&["CONFIG GET hz", "CONFIG REWRITE"]);
    ended(child);
    assert!(shown.contains("\"33\""), "{shown}");
    let rewritten = std::fs::read_to_string(&path).expect("a file");
    assert!(rewritten.contains("\n#!percore shards 3\n"), "{rewritten}");
}

#[test]
fn a_command_has_the_name_that_the_file_gives_it() {
    for shards in SHARDS {
        let mut options = Options::shards(shards);
        for words in [
            "CONFIG hush",
            "KEYS ",
            "GET fetch",
            "MULTI begin",
            "SUBSCRIBE hear",
        ] {
            let (from, to) = words.split_once(' ').expect("two words");
            options
                .flags
                .extend(["--rename-command", from, to].map(String::from));
        }
        options = options.flags("--appendonly yes --appendfsync always");
        let mut server = Server::start(options);
        let mut wire = server.connect();
        for unknown in [
            "CONFIG GET port",
            "KEYS *",
            "get a",
            "CONFIG nonsense",
            "CONFIG",
            "MULTI",
        ] {
            let reply = format!("{:?}", wire.ask(unknown));
            assert!(reply.contains("unknown command"), "{unknown}: {reply}");
        }
        for at in 0..16 {
            wire.ask(&format!("SET key:{at} {at}"));
            assert_eq!(
                wire.ask(&format!("fetch key:{at}")).text(),
                at.to_string().as_bytes()
            );
        }
        assert_eq!(words(&wire.ask("HUSH GET maxmemory")), ["maxmemory", "0"]);
        wire.ask("begin");
        assert_eq!(wire.ask("FETCH key:1").text(), b"QUEUED");
        assert_eq!(words(&wire.ask("EXEC")), ["1"]);
        // In a transaction an unknown name spoils it.
        wire.ask("begin");
        wire.ask("GET key:1");
        assert!(wire.ask("EXEC").is_error());
        let mut listener = server.connect();
        listener.ask("hear news");
        assert_eq!(wire.ask("PUBLISH news x").integer(), 1);
        server.kill_and_restart();
        let mut wire = server.connect();
        assert_eq!(wire.ask("FETCH key:7").text(), b"7");
    }
}

/// The title must not grow over what lies behind the words.
#[test]
fn a_long_title_is_cut() {
    let server = Server::start(Options::shards(1));
    let mut wire = server.connect();
    let long = "x".repeat(100_000);
    let reply = wire.command(&["CONFIG", "SET", "proc-title-template", &long]);
    assert_eq!(reply.text(), b"OK", "{reply:?}");
    let line = command_line(&server);
    assert!(line.trim().bytes().all(|byte| byte == b'x'), "{line}");
    assert!(line.len() < long.len());
    assert_eq!(wire.ask("PING").text(), b"PONG");
}
