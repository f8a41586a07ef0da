//! The log's file: lines go to whatever has its path, so that logs can be rotated, and CONFIG SET
//! chooses another.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tests::reply::Value;
use tests::server::eventually;
use tests::{Options, Server, Wire};

use crate::TIME_MAX;

fn start(flags: &str) -> (Server, PathBuf) {
    let server = Server::start(Options::shards(2).flags(&format!("--logfile the.log {flags}")));
    let path = server.directory().join("the.log");
    (server, path)
}

/// Makes the server log a line with `number` in it.
fn say(wire: &mut Wire, number: u32) {
    assert_eq!(wire.ask(&format!("CONFIG SET hz {number}")).text(), b"OK");
}

fn has(path: &Path, number: u32) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.contains(&format!("parameter=hz from={} to={number}", number - 1))
}

#[test]
fn a_file_that_is_moved_away_gets_no_further_line() {
    // As logrotate does it in Debian's configuration for Redis: nobody is told.
    let (server, path) = start("");
    let mut wire = server.connect();
    // It may answer a moment before it says so.
    eventually("it is ready", TIME_MAX, || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("* Ready to accept"))
    });
    say(&mut wire, 11);
    let moved = path.with_extension("log.1");
    fs::rename(&path, &moved).expect("moved");
    say(&mut wire, 12);
    assert!(has(&moved, 11) && !has(&moved, 12));
    assert!(has(&path, 12) && !has(&path, 11));
    fs::remove_file(&path).expect("removed");
    say(&mut wire, 13);
    assert!(has(&path, 13) && !has(&path, 12));
    // With `create` it finds one in its place, with `copytruncate` its own, emptied.
    fs::rename(&path, &moved).expect("moved");
    fs::write(&path, "").expect("made");
    say(&mut wire, 14);
    assert!(has(&path, 14) && !has(&moved, 14));
    fs::copy(&path, &moved).expect("copied");
    fs::File::create(&path).expect("emptied");
    say(&mut wire, 15);
    let text = fs::read_to_string(&path).expect("a file");
    assert!(
        text.starts_with("20") && has(&path, 15) && !has(&path, 14),
        "{text}"
    );
}

#[test]
fn sighup_opens_the_file_anew() {
    let (server, path) = start("");
    let moved = path.with_extension("log.1");
    fs::rename(&path, &moved).expect("moved");
    server.signal("HUP");
    eventually("there is a file", TIME_MAX, || path.exists());
    eventually("it says so", TIME_MAX, || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("SIGHUP"))
    });
    // Where there is none, nothing ends.
    let other = Server::start(Options::shards(1));
    other.signal("HUP");
    eventually("it says so", TIME_MAX, || other.log().contains("SIGHUP"));
    assert_eq!(other.connect().ask("PING").text(), b"PONG");
}

#[test]
fn a_line_finds_its_way_where_the_folder_is_gone() {
    let server = Server::start(Options::shards(1));
    let folder = server.directory().join("logs");
    fs::create_dir(&folder).expect("made");
    let server =
        Server::start(Options::shards(1).flags(&format!("--logfile {}/the.log", folder.display())));
    let mut wire = server.connect();
    let away = folder.with_extension("away");
    fs::rename(&folder, &away).expect("moved");
    say(&mut wire, 11);
    server.signal("HUP");
    say(&mut wire, 12);
    assert!(has(&away.join("the.log"), 12));
    fs::create_dir(&folder).expect("made");
    say(&mut wire, 13);
    assert!(has(&folder.join("the.log"), 13));
}

#[test]
fn the_file_can_be_chosen_while_running() {
    let (server, path) = start("--enable-protected-configs yes");
    let mut wire = server.connect();
    let other = server.directory().join("other.log");
    let set = |wire: &mut Wire, value: &str| wire.command(&["CONFIG", "SET", "logfile", value]);
    assert_eq!(set(&mut wire, "other.log").text(), b"OK");
    say(&mut wire, 11);
    assert!(has(&other, 11) && !has(&path, 11));
    let value = wire.ask("CONFIG GET logfile");
    assert!(format!("{value:?}").contains("other.log"), "{value:?}");
    // Nothing changes where it cannot be opened.
    let reply = wire.command(&["CONFIG", "SET", "hz", "50", "logfile", "/nowhere/log"]);
    let expected = "ERR CONFIG SET failed (possibly related to argument 'logfile') - No such file or directory";
    assert_eq!(reply, Value::Error(expected.as_bytes().to_vec()));
    say(&mut wire, 12);
    assert!(has(&other, 12));
    assert_eq!(set(&mut wire, "").text(), b"OK");
    say(&mut wire, 13);
    assert!(!has(&other, 13));
    assert!(server.log().contains("parameter=hz from=12 to=13"));
}

#[test]
fn another_file_is_protected_and_the_same_one_is_not() {
    let (server, path) = start("");
    let mut wire = server.connect();
    let reply = wire.ask("CONFIG SET logfile /tmp/webshell.php");
    let expected = "ERR CONFIG SET failed (possibly related to argument 'logfile') - can't set protected config";
    assert_eq!(reply, Value::Error(expected.as_bytes().to_vec()));
    let moved = path.with_extension("log.1");
    fs::rename(&path, &moved).expect("moved");
    assert_eq!(wire.ask("CONFIG SET logfile the.log").text(), b"OK");
    assert!(path.exists());
}
