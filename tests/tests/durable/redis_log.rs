//! A log that Redis wrote is loaded and goes on as percore's, and Redis's files stay.

use std::path::Path;
use std::process::Command;

use tests::binary::binary;
use tests::contents::{Contents, pipeline};
use tests::grammar::{Draw, FAMILIES};
use tests::server::Oracle;
use tests::{FEW_SHARDS, Options, Server, Wire};

use crate::setting;

/// Random commands of each family that Redis logs.
const LENGTH: usize = 120;

/// Commands that end a connection or the server, or forget what was made before it is compared; and
/// a limit that changes on the way, which no log tells: a replay packs by the one that holds then.
const UNWANTED: [&str; 5] = ["QUIT", "SHUTDOWN", "RESET", "FLUSHALL", "CONFIG"];

const LOGGING: &str = "--appendonly yes --appendfsync no";

/// Names and contents of a directory's files.
type Files = Vec<(String, Vec<u8>)>;

fn files(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Files = entries
        .map(|entry| {
            let entry = entry.expect("a file");
            let contents = std::fs::read(entry.path()).expect("its contents");
            (entry.file_name().into_string().expect("a name"), contents)
        })
        .collect();
    files.sort();
    files
}

fn fill(wire: &mut Wire, seed: u64) {
    for family in FAMILIES {
        let mut draw = Draw::new(seed);
        let sequence: Vec<Vec<Vec<u8>>> = (0..LENGTH)
            .map(|_| draw.command(family))
            .filter(|command| !UNWANTED.contains(&command.verb().as_str()))
            .map(|command| command.arguments)
            .collect();
        pipeline(wire, &sequence);
        for words in ["DISCARD", "UNWATCH", "HELLO 2", "SELECT 0"] {
            wire.ask(words);
        }
    }
}

/// What Redis has, and the files of its log.
fn written_by_redis(flags: &str, seed: u64) -> (Contents, Files) {
    let mut redis = Oracle::with_flags(&format!("{LOGGING} {flags}"));
    let mut wire = redis.connect();
    fill(&mut wire, seed);
    wire.ask("BGREWRITEAOF");
    tests::server::eventually("the rewrite", tests::server::START_TIME_MAX, || {
        wire.figure("aof_rewrite_in_progress") + wire.figure("aof_rewrite_scheduled") == 0
    });
    fill(&mut wire, seed + 1);
    wire.ask("MULTI");
    wire.ask("SET one 1");
    wire.ask("SET two 2");
    wire.ask("EXEC");
    let contents = Contents::of(&mut wire);
    redis.kill();
    let files = files(&redis.directory().join("appendonlydir"));
    (contents, files)
}

fn with_log(shards: u16, flags: &str, log: &Files) -> Options {
    let options = Options::shards(shards).flags(LOGGING).flags(flags);
    log.iter().fold(options, |options, (name, contents)| {
        options.file(&format!("appendonlydir/{name}"), contents)
    })
}

fn comparable(contents: &Contents) -> Contents {
    contents.without_encodings().without_times_seen()
}

#[test]
fn the_log_of_redis_gives_back_what_it_had() {
    let seed = setting("PERCORE_SEED", 1);
    for (shards, flags) in [
        (1, "--aof-timestamp-enabled yes"),
        (2, "--aof-use-rdb-preamble no"),
        (4, ""),
    ] {
        let (expected, log) = written_by_redis(flags, seed);
        let told = format!("{shards} shards, {flags}, PERCORE_SEED={seed}");
        let mut server = Server::start(with_log(shards, "", &log));
        let loaded = Contents::of(&mut server.connect());
        comparable(&loaded).assert_same(&comparable(&expected), &told);
        // Redis's files are where the log says, whole.
        assert_eq!(files(&server.directory().join("appendonlydir.redis")), log);
        assert!(
            server.log().contains("appendonlydir.redis"),
            "{}",
            server.log()
        );
        // It goes on, from the files of percore alone.
        server.connect().ask("SET later 1");
        server.connect().ask("CONFIG SET appendfsync always");
        server.connect().ask("SET last 1");
        server.kill_and_restart();
        let mut wire = server.connect();
        assert_eq!(wire.ask("DEL later last").integer(), 2, "{told}");
        comparable(&Contents::of(&mut wire)).assert_same(&comparable(&expected), &told);
        let left = files(&server.directory().join("appendonlydir"));
        assert!(
            left.iter().all(|(name, _)| !name.contains("incr")),
            "Redis's names are gone: {told}"
        );
    }
}

#[test]
fn one_old_file_is_loaded_and_stays_where_it_is() {
    let (expected, log) = written_by_redis("", 3);
    let part = |what: &str| {
        let found = log.iter().find(|(name, _)| name.contains(what));
        found.expect(what).1.clone()
    };
    // As Redis before 7 had it: a snapshot, and commands behind it in the same file.
    let single = [part("base"), part("incr")].concat();
    for shards in FEW_SHARDS {
        let options = Options::shards(shards).flags(LOGGING);
        let server = Server::start(options.file("appendonly.aof", &single));
        let loaded = Contents::of(&mut server.connect());
        comparable(&loaded).assert_same(&comparable(&expected), "one file");
        let kept = std::fs::read(server.directory().join("appendonly.aof"));
        assert_eq!(kept.expect("the old file"), single);
        assert!(check(server.directory()).1);
    }
}

#[test]
fn an_end_that_was_not_written_whole_is_passed_over() {
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    let whole = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n";
    let group = b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nset\r\n$1\r\nb\r\n$1\r\n1\r\n";
    let log = |tail: &[u8]| -> Files {
        vec![
            ("appendonly.aof.manifest".into(), manifest.into()),
            (
                "appendonly.aof.1.incr.aof".into(),
                [whole, &group[..], tail].concat(),
            ),
        ]
    };
    for tail in [&b""[..], b"*3\r\n$3\r\nset", b"*1\r\n$4\r\nEXE"] {
        let server = Server::start(with_log(2, "", &log(tail)));
        let mut wire = server.connect();
        assert_eq!(wire.ask("GET a").text(), b"1");
        assert_eq!(wire.ask("EXISTS b").integer(), 0);
        assert!(server.log().contains("passed over"), "{}", server.log());
    }
    let server = Server::start(with_log(2, "", &log(b"*1\r\n$4\r\nEXEC\r\n")));
    assert_eq!(server.connect().ask("EXISTS a b").integer(), 2);
}

/// Redis's log is not read where none is asked for. One that begins later must not take it away.
#[test]
fn a_log_that_is_turned_on_keeps_that_of_redis() {
    let (_, log) = written_by_redis("", 7);
    let options = with_log(2, "", &log).flags("--appendonly no");
    let server = Server::start(options);
    let mut wire = server.connect();
    assert_eq!(wire.ask("DBSIZE").integer(), 0);
    assert!(!wire.ask("CONFIG SET appendonly yes").is_error());
    let kept = server.directory().join("appendonlydir.redis");
    tests::server::eventually("the log", tests::server::START_TIME_MAX, || {
        kept.exists() && files(&kept) == log
    });
}

#[test]
fn what_percore_cannot_replay_stops_the_start() {
    for (commands, words) in [
        (&b"*1\r\n$9\r\nMODULE.IT\r\n"[..], "MODULE.IT"),
        (b"*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n", "EVAL"),
        (b"*1\r\n$3\r\nset\r\n", "wrong number of arguments"),
        (b"hello\r\n", "no command begins here"),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("appendonly.aof");
        std::fs::write(&path, commands).expect("writing a file");
        let output = Command::new(&binary().path)
            .args(["--port", "0", "--unixsocket", "s", "--appendonly", "yes"])
            .arg("--dir")
            .arg(directory.path())
            .output()
            .expect("starting the binary");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains(words), "no {words:?}: {said}");
        assert!(said.contains("offset 0"), "{said}");
        assert_eq!(std::fs::read(path).expect("the file"), commands);
    }
}

/// Libraries of functions, in a snapshot in front of the log and in each command about them.
#[test]
fn libraries_of_functions_stay_in_the_files() {
    for preamble in ["yes", "no"] {
        let flags = format!("{LOGGING} --aof-use-rdb-preamble {preamble}");
        let mut redis = Oracle::with_flags(&flags);
        let mut wire = redis.connect();
        let library = |name: &str, function: &str| {
            format!(
                "#!lua name={name}\nredis.register_function('{function}', function() return 1 end)"
            )
        };
        wire.command(&["FUNCTION", "LOAD", &library("based", "b")]);
        wire.ask("BGREWRITEAOF");
        tests::server::eventually("the rewrite", tests::server::START_TIME_MAX, || {
            let info = wire.ask("INFO persistence");
            let info = String::from_utf8_lossy(info.text()).into_owned();
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrites:1")
        });
        for (name, function) in [("kept", "f"), ("gone", "g"), ("kept", "f")] {
            wire.command(&["FUNCTION", "LOAD", "REPLACE", &library(name, function)]);
        }
        wire.ask("FUNCTION DELETE gone");
        let dump = wire.ask("FUNCTION DUMP");
        wire.ask("FUNCTION FLUSH");
        wire.command(&[b"FUNCTION", &b"RESTORE"[..], dump.text()]);
        wire.ask("SET k v");
        redis.kill();
        let log = files(&redis.directory().join("appendonlydir"));
        let mut server = Server::start(with_log(2, "", &log));
        has_libraries(&server);
        let mut wire = server.connect();
        wire.ask("CONFIG SET appendonly no");
        wire.ask("SAVE");
        server.kill();
        // Redis finds them in the snapshot.
        let dump = std::fs::read(server.directory().join("dump.rdb")).expect("a snapshot");
        let redis = Oracle::start_with(Options::shards(1).file("dump.rdb", &dump));
        has_libraries(&redis);
    }
}

fn has_libraries(server: &Server) {
    let mut wire = server.connect();
    assert_eq!(wire.ask("FCALL f 0").integer(), 1);
    assert_eq!(wire.ask("FCALL b 0").integer(), 1);
    assert!(wire.ask("FCALL g 0").is_error());
    assert_eq!(wire.ask("GET k").text(), b"v");
}

/// What `percore check` says of a directory or a file, and whether it is content.
fn check(path: &Path) -> (String, bool) {
    let output = Command::new(&binary().path)
        .arg("check")
        .arg(path)
        .output()
        .expect("starting the binary");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (said, output.status.success())
}

#[test]
fn check_tells_what_there_is() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (said, content) = check(directory.path());
    assert!(!content && said.contains("there is no data"), "{said}");
    let missing = directory.path().join("missing.rdb");
    let (said, content) = check(&missing);
    assert!(!content && said.contains("No such file"), "{said}");
    let (said, content) = check(Path::new("--help"));
    assert!(
        content && said.contains("percore check [DIR | FILE]"),
        "{said}"
    );

    let (_, log) = written_by_redis("", 5);
    let folder = directory.path().join("appendonlydir");
    std::fs::create_dir(&folder).expect("making a directory");
    for (name, contents) in &log {
        std::fs::write(folder.join(name), contents).expect("writing a file");
    }
    let (said, content) = check(directory.path());
    assert!(
        content && said.contains("log of Redis in 2 files"),
        "{said}"
    );
    for (name, contents) in log.iter().filter(|(name, _)| !name.ends_with("manifest")) {
        let path = folder.join(name);
        let (said, content) = check(&path);
        assert!(content && said.contains(name), "{said}");
        // A byte in the middle is another.
        let mut spoilt = contents.clone();
        let at = spoilt.iter().position(|byte| *byte == b'$').unwrap_or(40);
        spoilt[at] ^= 1;
        std::fs::write(&path, spoilt).expect("writing a file");
        let (said, content) = check(&path);
        assert!(!content && said.contains("DAMAGED"), "{said}");
        assert!(!check(directory.path()).1);
        std::fs::write(&path, contents).expect("writing a file");
    }
}
