//! Files that are no snapshots, or not any more: percore does not start, says in one line which
//! file and where, and leaves it as it was.

use std::process::{Command, Stdio};

use fastrand::Rng;
use tests::binary::binary;
use tests::server::{self, free_port};
use tests::{FEW_SHARDS, Options, Server, Wire};

use crate::{FILE, save};

/// The longest that the line may be: a person reads it.
const LINE_BYTES_MAX: usize = 800;

fn sound() -> Vec<u8> {
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    crate::fill(&mut wire, 300);
    for words in [
        "RPUSH list a b c 1 2 3",
        "HSET hash f v g w",
        "ZADD zset 1 a 2.5 b",
        "XADD stream 1-1 a b",
        "SADD set a b c",
        "SELECT 5",
        "SET other v EX 1000",
    ] {
        assert!(!wire.ask(words).is_error(), "{words}");
    }
    save(&mut wire);
    std::fs::read(server.directory().join(FILE)).expect("a snapshot")
}

/// Starts percore on this file: it must refuse, with these words in what it says.
fn refused(contents: &[u8], shards: u16, words: &[&str], what: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(FILE);
    std::fs::write(&path, contents).expect("writing a file");
    let mut child = Command::new(&binary().path)
        .args(["--port", &free_port().to_string()])
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(["--shards", &shards.to_string()])
        .arg("--dir")
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting the binary");
    if server::wait(&mut child).is_none() {
        child.kill().expect("killing a child");
        panic!("{what}: it starts");
    }
    let output = child.wait_with_output().expect("the child's output");
    let said = String::from_utf8(output.stderr).expect("text");
    let what = format!(
        "{what} with {shards} shards: code {:?}\n{said}",
        output.status.code()
    );
    assert_eq!(output.status.code(), Some(1), "{what}");
    let plain: Vec<&str> = said.lines().filter(|line| line.contains(FILE)).collect();
    assert_eq!(plain.len(), 1, "{what}");
    assert!(plain[0].len() < LINE_BYTES_MAX, "{what}");
    for word in [path.to_str().expect("text"), "offset"].iter().chain(words) {
        assert!(plain[0].contains(word), "no {word:?}: {what}");
    }
    assert!(!said.contains("panicked"), "{what}");
    let left = std::fs::read(&path).expect("the file");
    assert!(left == contents, "the file was changed: {what}");
    let names = std::fs::read_dir(directory.path())
        .expect("a directory")
        .count();
    assert_eq!(names, 1, "something was left behind: {what}");
}

#[test]
fn a_cut_file_is_refused() {
    let file = sound();
    let mut random = Rng::with_seed(11);
    let mut lengths = vec![
        0,
        1,
        5,
        8,
        9,
        10,
        file.len() - 9,
        file.len() - 8,
        file.len() - 1,
    ];
    lengths.extend((0..12).map(|_| random.usize(9..file.len())));
    for length in lengths {
        let shards = random.choice(FEW_SHARDS).expect("one");
        refused(
            &file[..length],
            shards,
            &[],
            &format!("cut at {length} of {}", file.len()),
        );
    }
}

#[test]
fn a_flipped_bit_is_refused() {
    let file = sound();
    let mut random = Rng::with_seed(13);
    for _ in 0..20 {
        let mut spoilt = file.clone();
        let at = random.usize(9..file.len() - 8);
        spoilt[at] ^= 1 << random.u8(..8);
        let shards = random.choice(FEW_SHARDS).expect("one");
        refused(
            &spoilt,
            shards,
            &[],
            &format!("byte {at} of {} flipped", file.len()),
        );
    }
    let last = file.len() - 1;
    let mut spoilt = file;
    spoilt[last] ^= 1;
    refused(&spoilt, 2, &["checksum"], "a wrong checksum");
}

#[test]
fn foreign_files_are_refused() {
    for (contents, words, what) in [
        (
            &b"\x89PNG\r\n\x1a\n and so on"[..],
            &["RDB"][..],
            "a picture",
        ),
        (b"*1\r\n$4\r\nPING\r\n", &["RDB"], "a log of commands"),
        (b"REDIS", &["RDB"], "a name and nothing more"),
        (b"REDISxxxx\xff", &["RDB"], "no version"),
        (
            b"REDIS0013\xff\0\0\0\0\0\0\0\0",
            &["13"],
            "a version of the future",
        ),
        (
            b"REDIS9999\xff\0\0\0\0\0\0\0\0",
            &["9999"],
            "a version of the far future",
        ),
        (
            b"REDIS0000\xff\0\0\0\0\0\0\0\0",
            &["RDB"],
            "a version that never was",
        ),
        (
            b"REDIS0012\xfe\x10\0\x01k\x01v\xff\0\0\0\0\0\0\0\0",
            &["16", "databases"],
            "a database too many",
        ),
        (
            b"REDIS0012\x06\x01k\x01v\xff\0\0\0\0\0\0\0\0",
            &["type"],
            "a module's value",
        ),
        (
            b"REDIS0012\0\x01k\x01v\0\x01k\x01w\xff\0\0\0\0\0\0\0\0",
            &["twice"],
            "a key twice",
        ),
        (
            b"REDIS0012\0\x81\xff\xff\xff\xff\xff\xff\xff\xff",
            &[],
            "a key of 2^64 bytes",
        ),
        (
            b"REDIS0012\x02\x01k\x80\xff\xff\xff\xff\x01a",
            &[],
            "a set of 2^32 members",
        ),
    ] {
        for shards in FEW_SHARDS {
            refused(contents, shards, words, what);
        }
    }
}

#[test]
fn a_file_without_a_checksum_is_loaded() {
    let mut file = sound();
    let end = file.len() - 8;
    file[end..].fill(0);
    let server = Server::start(Options::shards(3).file(FILE, &file));
    assert_eq!(server.connect().ask("DBSIZE").integer(), 305);
    let server = Server::start(Options::shards(1).flags("--rdbchecksum no"));
    let mut wire: Wire = server.connect();
    wire.ask("SET k v");
    save(&mut wire);
    let file = std::fs::read(server.directory().join(FILE)).expect("a snapshot");
    assert!(file.ends_with(&[0; 8]));
}

/// What a start would refuse, `percore check` finds, and nothing else.
#[test]
fn check_finds_what_a_start_refuses() {
    let sound = sound();
    let mut spoilt = sound.clone();
    spoilt[40] ^= 1;
    let twice = b"REDIS0012\0\x01k\x01v\0\x01k\x01w\xff\0\0\0\0\0\0\0\0";
    let elsewhere = b"REDIS0012\0\x01k\x01v\xfe\x02\0\x01k\x01w\xff\0\0\0\0\0\0\0\0";
    for (contents, word) in [
        (&sound[..], "good"),
        (elsewhere, "good"),
        (&sound[..sound.len() - 1], "DAMAGED"),
        (&spoilt, "DAMAGED"),
        (twice, "twice"),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join(FILE), contents).expect("writing a file");
        let output = Command::new(&binary().path)
            .arg("check")
            .arg(directory.path())
            .output()
            .expect("starting the binary");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(word), "no {word:?}: {said}");
        assert_eq!(output.status.success(), word == "good", "{said}");
    }
}
