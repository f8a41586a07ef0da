//! Starting and ending: what is wrong is said in one line, a signal ends it cleanly, a kill leaves
//! nothing that hinders the next start.
//!
//! The first tests here are of percore's own manners: Redis, given as `PERCORE_BINARY`, fails them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::binary::binary;
use tests::reply::{Scan, show};
use tests::server::{self, eventually, free_port};
use tests::wire::encode;
use tests::{Options, Server, Wire};

/// How it ended, and what it said on both outputs.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the binary with flags that end it.
fn run(flags: &[&str]) -> Ended {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(&binary().path)
        .args(flags)
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting the binary");
    if server::wait(&mut child).is_none() {
        child.kill().expect("killing a child");
        panic!("with {flags:?} it starts and stays");
    }
    let output = child.wait_with_output().expect("the child's output");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// It must say in one line, naming these words, why it does not start.
fn refused(flags: &[&str], words: &[&str]) {
    let ended = run(flags);
    let said = format!(
        "{flags:?}: code {:?}, on stderr:\n{}",
        ended.code, ended.stderr
    );
    assert_eq!(ended.code, Some(1), "{said}");
    assert_eq!(ended.stderr.lines().count(), 1, "{said}");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} with {said}");
    }
    assert!(!ended.stderr.contains("panicked"), "{said}");
}

#[test]
fn help_and_version_are_told_and_all_is_well() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for flag in [
        "--port",
        "--shards",
        "--io-driver",
        "--unixsocket",
        "--maxmemory",
        "--dir",
    ] {
        assert!(help.stdout.contains(flag), "no {flag} in\n{}", help.stdout);
    }
}

/// Tools read it before they start a server: a number must follow ` v=`, as in Redis's own.
#[test]
fn the_version_is_told_in_the_form_of_redis() {
    for flag in ["--version", "-v"] {
        let version = run(&[flag]);
        assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
        let line = version.stdout.trim_end();
        assert!(line.starts_with("Redis server v=7.4."), "{line}");
        let mut words = line.split(' ').skip(2);
        for name in ["v", "sha", "malloc", "bits", "build", "percore"] {
            let word = words.next().unwrap_or_default();
            let value = word.strip_prefix(name).and_then(|it| it.strip_prefix('='));
            assert!(value.is_some_and(|it| !it.is_empty()), "{name} in {line}");
        }
        assert_eq!(words.next(), None, "{line}");
    }
}

#[test]
fn what_ends_it_stands_in_its_log_file_too() {
    let port = free_port();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log").display().to_string();
    let port = port.to_string();
    refused(
        &["--bind", "127.0.0.1", "--port", &port, "--logfile", &path],
        &[&port],
    );
    let log = std::fs::read_to_string(&path).expect("a file");
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("ERROR #") && last.contains(&port), "{log}");
    // And a log file that cannot be had.
    refused(
        &["--bind", "127.0.0.1", "--logfile", "/nowhere/log"],
        &["/nowhere/log", "--logfile"],
    );
}

#[test]
fn wrong_flags_are_told_in_one_line() {
    for (flag, value) in [
        ("--port", "many"),
        ("--port", "70000"),
        ("--port", "-1"),
        ("--shards", "0"),
        ("--shards", "few"),
        ("--io-driver", "steam"),
        ("--maxmemory", "1quart"),
        ("--maxmemory-policy", "whatever"),
        ("--databases", "0"),
        ("--tcp-keepalive", "soon"),
        ("--loglevel", "loud"),
    ] {
        refused(&[flag, value], &[flag.trim_start_matches('-')]);
    }
    refused(&["--nonsense", "1"], &["nonsense"]);
    refused(&["/dev/null", "second.conf"], &["second.conf"]);
    refused(&["/dev/null", "foo", "--port", "0"], &["foo"]);
    refused(&["--port 1 2"], &["port", "one value"]);
    refused(&["/nowhere/percore.conf"], &["/nowhere/percore.conf"]);
    refused(
        &["--bind", "256.1.1.1", "--port", &free_port().to_string()],
        &["256.1.1.1"],
    );
}

#[test]
fn a_taken_port_is_told_in_one_line() {
    let port = free_port();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    let port = port.to_string();
    refused(&["--bind", "127.0.0.1", "--port", &port], &[&port]);
}

#[test]
fn a_port_of_another_percore_is_taken_too() {
    // Several listeners may share a port within a process: between two of them that would split the
    // clients.
    let server = Server::start(Options::default());
    let port = server.port().to_string();
    refused(&["--bind", "127.0.0.1", "--port", &port], &[&port]);
    assert_eq!(server.connect().ask("PING").text(), b"PONG");
}

#[test]
fn a_directory_that_is_not_there_is_told_in_one_line() {
    let port = free_port().to_string();
    refused(
        &["--port", &port, "--dir", "/nowhere/at/all"],
        &["/nowhere/at/all"],
    );
    refused(&["--port", &port, "--dir", "/dev/null"], &["/dev/null"]);
}

#[test]
fn a_configuration_file_is_read_and_flags_come_after_it() {
    let server = Server::start(Options::default());
    let path = server.directory().join("my.conf");
    let port = free_port();
    std::fs::write(&path, "# mine\nmaxclients 77\nport 1\n\ndatabases 4\n")
        .expect("writing a file");
    let log = std::fs::File::create(server.directory().join("second.log")).expect("a file");
    let mut child = Command::new(&binary().path)
        .arg(&path)
        .args(["--port", &port.to_string(), "--save", ""])
        .current_dir(server.directory())
        .stdin(Stdio::null())
        .stdout(log)
        .spawn()
        .expect("starting the binary");
    let mut wire = None;
    eventually("it answers", server::START_TIME_MAX, || {
        wire = tests::Wire::connect((Ipv4Addr::LOCALHOST, port).into()).ok();
        wire.is_some()
    });
    let mut wire = wire.expect("connected");
    let settings = format!(
        "{:?} {:?}",
        wire.ask("CONFIG GET maxclients"),
        wire.ask("SELECT 4")
    );
    child.kill().expect("killing a child");
    child.wait().expect("waiting for a child");
    assert_eq!(
        settings,
        "*[$\"maxclients\", $\"77\"] -\"ERR DB index is out of range\""
    );
}

#[test]
fn it_goes_to_the_background() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let conf = format!(
        "daemonize yes\nport 0\nunixsocket s\npidfile pid\nlogfile log\ndir {}\n",
        directory.path().display()
    );
    std::fs::write(path("conf"), conf).expect("a file");
    let conf = path("conf").display().to_string();
    // The words behind a file come after it.
    refused(
        &[&conf, "--io-driver", "none", "--daemonize", "no"],
        &["--io-driver"],
    );
    let ended = run(&[&conf]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(0), "", "")
    );
    let mut wire = None;
    eventually("it answers", Duration::from_secs(10), || {
        wire = Wire::connect_unix(&path("s")).ok();
        wire.is_some()
    });
    let mut wire = wire.expect("a connection");
    let setting = format!("{:?}", wire.ask("CONFIG GET daemonize"));
    assert!(setting.contains("yes"), "{setting}");
    let pid = std::fs::read_to_string(path("pid")).expect("a file");
    assert_eq!(wire.figure("process_id").to_string(), pid.trim());
    wire.send_command(&["SHUTDOWN", "NOSAVE"]);
    wire.until_closed();
    eventually("it ends", Duration::from_secs(10), || !path("pid").exists());
    let log = std::fs::read_to_string(path("log")).expect("a file");
    assert!(log.contains("Ready to accept connections"), "{log}");
    // What keeps it from starting there is in the log, too.
    std::fs::create_dir(path("s2")).expect("a directory");
    let ended = run(&[&conf, "--unixsocket", &path("s2").display().to_string()]);
    assert_eq!(ended.code, Some(0));
    eventually("it says why", Duration::from_secs(10), || {
        std::fs::read_to_string(path("log"))
            .is_ok_and(|log| log.contains("s2") && log.contains("ERROR"))
    });
}

#[test]
fn a_service_manager_is_told_when_it_is_ready() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notify");
    let told = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    let limit = Some(server::START_TIME_MAX);
    told.set_read_timeout(limit).expect("a time limit");
    let mut child = Command::new(&binary().path)
        .args(["--port", "0", "--save", "", "--supervised", "systemd"])
        .args(["--unixsocket", "s"])
        .env("NOTIFY_SOCKET", &path)
        .current_dir(&directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("starting the binary");
    let mut room = [0; 200];
    let len = told.recv(&mut room);
    let socket = directory.path().join("s");
    let info = Wire::connect_unix(&socket).map(|mut wire| wire.info("server"));
    child.kill().expect("killing a child");
    child.wait().expect("waiting for a child");
    let text = String::from_utf8_lossy(&room[..len.expect("a datagram")]);
    assert!(text.contains("READY=1"), "{text}");
    let info = info.expect("a connection");
    assert_eq!(info.text("process_supervised"), "systemd");
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(Options::shards(4).unix_socket());
        let mut idle = server.connect();
        let mut waiting = server.connect();
        waiting.send(b"BLPOP nothing 0\r\n");
        assert_eq!(idle.ask("PING").text(), b"PONG");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "after SIG{signal}");
        assert_eq!(idle.until_closed(), b"");
        waiting.until_closed();
        assert!(
            !server.unix_socket().exists(),
            "the socket file is left after SIG{signal}"
        );
    }
}

#[test]
fn a_client_in_mid_pipeline_gets_whole_replies_or_a_close() {
    for round in 0..4 {
        let mut server = Server::start(Options::shards(4));
        let mut wires: Vec<_> = (0..4).map(|_| server.connect()).collect();
        let mut pipeline = Vec::new();
        for index in 0..2_000 {
            encode(&["SET", &format!("key:{index}"), "value"], &mut pipeline);
            encode(&["GET", &format!("key:{index}")], &mut pipeline);
        }
        for wire in &mut wires {
            wire.send(&pipeline);
        }
        // A different moment each round: after that many replies.
        for _ in 0..round * 300 {
            wires[0].reply();
        }
        server.signal("TERM");
        for wire in &mut wires {
            let bytes = wire.until_closed();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let end = Scan::default().end(rest);
                let end =
                    end.unwrap_or_else(|| panic!("half a reply before the close: {}", show(rest)));
                rest = &rest[end..];
            }
        }
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn shutdown_ends_it_too() {
    let mut server = Server::start(Options::default());
    let mut wire = server.connect();
    wire.send(b"SHUTDOWN NOSAVE\r\n");
    assert_eq!(wire.until_closed(), b"");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn after_a_kill_it_starts_again() {
    let mut server = Server::start(Options::shards(4).unix_socket());
    let mut wire = server.connect();
    assert_eq!(wire.ask("SET a 1").text(), b"OK");
    server.kill_and_restart();
    wire.until_closed();
    assert_eq!(server.connect().ask("SET a 2").text(), b"OK");
    let mut unix =
        tests::Wire::connect_unix(&server.unix_socket()).expect("the socket is there again");
    assert_eq!(unix.ask("GET a").text(), b"2");
}

#[test]
fn who_comes_early_waits_for_the_data() {
    // Nothing else would be sure to outlive a kill.
    for flags in ["--appendonly no", "--appendonly yes --appendfsync always"] {
        let mut server = Server::start(Options::shards(4).flags(flags));
        let mut wire = server.connect();
        wire.ask("SET a 1");
        wire.ask("SAVE");
        for _ in 0..5 {
            server.kill();
            let address = server.address();
            // From before there is a socket on, and on every shard.
            let early = std::thread::spawn(move || {
                let mut replies = Vec::new();
                while replies.len() < 20 {
                    // The dead server's sockets may still be there, and are reset; and where
                    // loading takes long, that is said.
                    if let Ok(mut wire) = tests::Wire::connect(address)
                        && wire.try_send(b"GET a\r\n").is_ok()
                        && let Ok(Some(reply)) = wire.try_reply()
                        && !reply.starts_with(b"-LOADING ")
                    {
                        replies.push(reply);
                    }
                }
                replies
            });
            server.restart();
            let replies = early.join().expect("the early clients");
            for reply in replies {
                assert_eq!(show(&reply), show(b"$1\r\n1\r\n"), "{flags}");
            }
        }
    }
}

#[test]
fn an_idle_server_sleeps() {
    let server = Server::start(Options::shards(4));
    let _idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    // A shared machine may take the core away and count that as this process's time, but not in
    // every second; a busy loop takes all of each.
    let mut used = (0..5).map(|_| {
        let before = cpu_ticks(server.pid());
        std::thread::sleep(Duration::from_secs(1));
        cpu_ticks(server.pid()) - before
    });
    // Ticks are hundredths of a second: housekeeping is allowed a twentieth of one core.
    assert!(
        used.any(|used| used <= 5),
        "more than 5 hundredths of a second of CPU in each idle second"
    );
}

/// CPU time of a process so far, user's and system's, in ticks.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    // The name in brackets may hold blanks: count from behind it. utime and stime are fields 14 and
    // 15.
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum()
}

/// A server that has answered once has all its data, whichever shard is asked.
#[test]
fn no_shard_loads_any_more_when_one_answers() {
    for _ in 0..20 {
        let server = Server::start(Options::shards(8));
        let mut wire = server.connect();
        for key in 0..16 {
            assert_eq!(wire.ask(&format!("SET {key} value")).text(), b"OK");
        }
    }
}

/// What keeps another server from starting in this one's directory, or from going on there.
#[test]
fn two_servers_do_not_write_the_same_files() {
    let log = "--appendonly yes --appendfsync always";
    let mut server = Server::start(Options::shards(2).save("3600 1").flags(log));
    let mut wire = server.connect();
    assert_eq!(wire.ask("SET key value").text(), b"OK");
    let dir = server.directory().display().to_string();
    let port = free_port().to_string();
    let pid = server.pid().to_string();
    let place = ["--port", &port, "--bind", "127.0.0.1", "--dir", &dir];
    for flags in [
        ["--appendonly", "yes", "--save", ""],
        ["--appendonly", "no", "--save", "60 1"],
        ["--appendonly", "yes", "--save", "60 1"],
    ] {
        refused(&[&place[..], &flags].concat(), &[&pid, "--dir"]);
    }
    // One that writes nothing there may be there, and may not begin to.
    let quiet = Options::shards(2).flags(&format!("--dir {dir}"));
    let mut other = Server::start(quiet);
    let mut guest = other.connect();
    for words in [
        &["CONFIG", "SET", "appendonly", "yes"],
        &["CONFIG", "SET", "save", "60 1"],
    ] {
        let error = format!("{:?}", guest.command(words));
        assert!(error.contains(&format!("process {pid}")), "{error}");
    }
    let settings = format!("{:?}", guest.ask("CONFIG GET appendonly"));
    assert!(settings.contains("\"no\""), "{settings}");
    guest.ask("BGREWRITEAOF");
    eventually("the end of the rewrite", server::START_TIME_MAX, || {
        guest.figure("aof_rewrite_in_progress") == 0
    });
    let info = guest.info("persistence");
    assert_eq!(info.text("aof_last_bgrewrite_status"), "err");
    assert_eq!(wire.ask("SET second value").text(), b"OK");
    // The lock goes with its holder, also with one that had no time to.
    server.kill_and_restart();
    assert_eq!(server.connect().ask("DBSIZE").integer(), 2);
    other.kill();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let left = std::fs::read_dir(server.directory()).expect("a directory");
    let left: Vec<String> = left
        .map(|it| {
            it.expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Whoever connects to a server that has ended is refused, and not accepted and then reset. What
/// connections it had are closed.
#[test]
fn nothing_of_a_server_is_there_when_it_has_ended() {
    for driver in ["auto", "epoll"] {
        let flags = format!("--io-driver {driver}");
        let mut server = Server::start(Options::shards(2).flags(&flags));
        for round in 0..16 {
            let idle: Vec<_> = (0..4)
                .map(|_| TcpStream::connect(server.address()).expect("a connection"))
                .collect();
            // On both shards they are known to it.
            for mut stream in &idle {
                stream.write_all(b"PING\r\n").expect("sent");
                let mut pong = [0; 7];
                stream.read_exact(&mut pong).expect("a reply");
            }
            match round % 4 {
                0 => server.signal("TERM"),
                1 => server.signal("INT"),
                2 => server.connect().send(b"SHUTDOWN NOSAVE\r\n"),
                _ => server.signal("KILL"),
            }
            server.until_gone();
            let late = TcpStream::connect(server.address()).map(drop);
            let refused = late.map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::ConnectionRefused), "{driver}");
            for mut stream in idle {
                stream.set_nonblocking(true).expect("a socket");
                let end = stream.read(&mut [0; 1]).map_err(|error| error.kind());
                // After a kill the kernel may take a moment more for those.
                assert!(end == Ok(0) || round % 4 == 3, "{end:?}, {driver}");
            }
            server.restart();
        }
    }
}

/// What is in memory is not all yet, and the files have it: nothing is waited for, and nothing
/// written.
#[test]
fn a_signal_ends_it_while_it_loads() {
    for signal in ["-TERM", "-INT"] {
        for log in ["no", "yes"] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let path = |name: &str| directory.path().join(name);
            // Nobody writes into this pipe: loading it never ends.
            let made = Command::new("mkfifo").arg(path("dump.rdb")).status();
            assert!(made.expect("running mkfifo").success());
            let mut child = Command::new(&binary().path)
                .args(["--port", "0", "--unixsocket", "s", "--pidfile", "pid"])
                .args(["--save", "3600 1", "--appendonly", log, "--shards", "2"])
                .current_dir(&directory)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("starting the binary");
            eventually("it starts", server::START_TIME_MAX, || path("pid").exists());
            let kill = Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            assert!(kill.expect("running kill").success());
            let ended = server::wait(&mut child);
            if ended.is_none() {
                child.kill().expect("killing a child");
            }
            assert_eq!(ended.and_then(|status| status.code()), Some(0), "{signal}");
            assert!(!path("pid").exists() && !path("s").exists(), "{signal}");
        }
    }
}
