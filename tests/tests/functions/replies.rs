//! Every sub-command, option and error, byte for byte as Redis answers.

use std::collections::HashMap;

use tests::conversation::VERSIONS;
use tests::reply::{Value, show};
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::{elements, library};

type Words = Vec<Vec<u8>>;

fn words<A: AsRef<[u8]>>(words: &[A]) -> Words {
    words.iter().map(|word| word.as_ref().to_vec()).collect()
}

fn spaced(text: &str) -> Words {
    words(&text.split(' ').collect::<Vec<_>>())
}

fn function(sub: &[&str]) -> Words {
    words(&[&["FUNCTION"], sub].concat())
}

/// The polynomial of Redis's checksums, with its bits reversed.
const CRC64: u64 = 0x95ac_9329_ac4b_c9b5;

/// A payload with this body, of that version.
fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = [body, &version.to_le_bytes()].concat();
    let mut sum = 0u64;
    for byte in &payload {
        sum ^= u64::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (CRC64 * (sum & 1));
        }
    }
    payload.extend(sum.to_le_bytes());
    payload
}

/// Such libraries as FUNCTION DUMP has them.
fn body(codes: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for code in codes {
        // A length of fourteen bits.
        let [high, low] = u16::try_from(code.len())
            .expect("a short one")
            .to_be_bytes();
        body.extend([0xf5, 0x40 | high, low]);
        body.extend(code.as_bytes());
    }
    body
}

fn payload(codes: &[&str]) -> Vec<u8> {
    sealed(&body(codes), 11)
}

fn restore(payload: &[u8], policy: &str) -> Words {
    let mut command = words(&[b"FUNCTION", &b"RESTORE"[..], payload]);
    command.extend(spaced(policy).into_iter().filter(|word| !word.is_empty()));
    command
}

/// What each command is answered, after all libraries and keys have gone.
fn hear(wire: &mut Wire, version: &str, commands: &[Words]) -> Vec<Vec<u8>> {
    wire.command(&["HELLO", version]);
    wire.ask("FUNCTION FLUSH");
    wire.ask("FLUSHALL");
    let answer = |command: &Words| {
        wire.send_command(command);
        wire.reply()
    };
    commands.iter().map(answer).collect()
}

fn compare(commands: &[Words]) {
    let oracle = Oracle::start();
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        for version in VERSIONS {
            let expected = hear(&mut oracle.connect(), version, commands);
            let heard = hear(&mut server.connect(), version, commands);
            for ((command, expected), heard) in commands.iter().zip(expected).zip(heard) {
                let command: Vec<_> = command.iter().map(|word| show(word)).collect();
                assert!(
                    expected == heard,
                    "RESP{version}, {shards} shards: {command:?}\n  Redis: {}\n  here:  {}",
                    show(&expected),
                    show(&heard)
                );
            }
        }
    }
}

const DESCRIBED: &str = "#!lua name=d\nredis.register_function{function_name='d1', \
     callback=function(keys) return redis.call('get', keys[1]) end, \
     flags={'no-writes', 'allow-oom'}, description='what it does'}";

#[test]
fn loading() {
    let (a, b) = (library("a", &["f", "g"]), library("b", &["h"]));
    let (a, b) = (a.as_str(), b.as_str());
    let taken = library("b", &["f"]);
    let options: &[&[&str]] = &[
        &[],
        &["X"],
        &["LOAD"],
        &["LOAD", a],
        &["LOAD", a],
        &["LOAD", "REPLACE", a],
        &["load", "replace", "replace", a],
        &["LOAD", "x", a],
        &["LOAD", "REPLACE"],
        &["LOAD", "REPLACE", "x", a],
        &["LOAD", &taken],
        &["LOAD", b],
        &["LOAD", "REPLACE", &taken],
    ];
    let mut commands: Vec<Words> = options.iter().map(|sub| function(sub)).collect();
    for call in ["h 0", "f 0", "nosuch 0", "f 1", "f x", "f -1", "f 0 x"] {
        commands.push(spaced(&format!("FCALL {call}")));
        commands.push(spaced(&format!("FCALL_RO {call}")));
    }
    for code in [
        "",
        "x",
        "#!lua name=z",
        "#!lua\n",
        "#!lua name=\n",
        "#!lua name=a-b\n",
        "#!lua name=z\n",
        "#!lua name=z\nx x",
        "#!lua name=a\nx x",
        "#!js name=z\n",
        "#!js name=a\n",
        "#!LUA name=z\n",
        "#!lua name=z foo=1\n",
        "#!lua name=z name=y\n",
        "#!lua \"name=z\n",
        "#!lua name=\"z\"\nredis.register_function('u', function() end)",
        "#!lua name=y\nerror('x')",
        "#!lua name=y\nerror({err='x'})",
        "#!lua name=y\nredis.call('get', 'x')",
        "#!lua name=y\nredis.register_function('a b', function() end)",
        "#!lua name=y\nredis.register_function('v', function() end, 1)",
        "#!lua name=y\nredis.register_function{function_name='v'}",
        "#!lua name=y\nredis.register_function{function_name='v', callback=1}",
        "#!lua name=y\nredis.register_function{function_name='v', callback=print, flags={'no'}}",
        "#!lua name=y\nredis.register_function('f', function() end)",
        "#!lua name=y\nlocal function v() end redis.register_function('v', v) \
         redis.register_function('v', v)",
        DESCRIBED,
    ] {
        commands.push(function(&["LOAD", code]));
    }
    commands.push(spaced("SET k v"));
    commands.push(spaced("FCALL_RO d1 1 k"));
    commands.push(spaced("FUNCTION STATS"));
    compare(&commands);
}

#[test]
fn what_there_is() {
    let mut commands = vec![spaced("FUNCTION LIST")];
    for code in [DESCRIBED, &library("e", &["e1"])] {
        commands.push(function(&["LOAD", code]));
    }
    for what in [
        "LIST x",
        "LIST LIBRARYNAME",
        "LIST LIBRARYNAME D",
        "LIST libraryname [d] withcode",
        "LIST WITHCODE WITHCODE",
        "LIST WITHCODE LIBRARYNAME e",
        "LIST LIBRARYNAME d LIBRARYNAME d",
        "LIST LIBRARYNAME nosuch",
        "STATS",
        "STATS x",
        "KILL",
        "KILL x",
        "DUMP x",
        "DELETE",
        "DELETE nosuch",
        "DELETE E",
        "DELETE d e",
        "DELETE d",
        "STATS",
        "LIST",
        "DUMP",
        "FLUSH x",
        "FLUSH SYNC x",
        "FLUSH",
        "FLUSH ASYNC",
        "flush sync",
        "LIST",
        "DUMP",
        "HELP x",
    ] {
        commands.push(spaced(&format!("FUNCTION {what}")));
    }
    commands.push(spaced("FCALL d1 1 k"));
    compare(&commands);
}

#[test]
fn restoring() {
    let (one, other) = (library("e", &["e1"]), library("f", &["e1"]));
    let shared = library("e", &["d1"]);
    let good = payload(&[DESCRIBED]);
    let mut commands = vec![
        spaced("FUNCTION RESTORE"),
        spaced("FUNCTION RESTORE x"),
        spaced("FUNCTION RESTORE x FLUSH"),
        spaced("FUNCTION RESTORE x y"),
        spaced("FUNCTION RESTORE x FLUSH y"),
    ];
    for (payload, policy) in [
        (good.clone(), ""),
        (good.clone(), ""),
        (good.clone(), "append"),
        (good.clone(), "REPLACE"),
        (good.clone(), "flush"),
        (payload(&[&shared]), "REPLACE"),
        (payload(&[&one, &one]), "REPLACE"),
        (payload(&[&one, &other]), "REPLACE"),
        (payload(&["#!lua name=z\nx x"]), ""),
        (payload(&["#!lua name=z\n"]), ""),
        (payload(&["zz"]), ""),
        (payload(&[&one, "zz"]), "FLUSH"),
        (payload(&[&one]), ""),
        (sealed(b"\xf6\x02zz", 11), ""),
        (sealed(b"\x00\x02zz", 11), ""),
        (sealed(b"\xf5\x20zz", 11), ""),
        (sealed(b"", 11), ""),
        (sealed(&body(&[DESCRIBED]), 13), ""),
        (sealed(&body(&[DESCRIBED]), 1), "REPLACE"),
        (sealed(b"", 11), "FLUSH"),
    ] {
        commands.push(restore(&payload, policy));
        commands.push(spaced("FUNCTION STATS"));
    }
    compare(&commands);
}

#[test]
fn in_transactions_and_scripts() {
    let a = library("a", &["f"]);
    let mut commands = vec![function(&["LOAD", DESCRIBED]), spaced("MULTI")];
    commands.push(function(&["LOAD", &a]));
    for queued in [
        "FCALL f 0",
        "FUNCTION STATS",
        "FUNCTION LIST LIBRARYNAME a",
        "FUNCTION DELETE nosuch",
        "FUNCTION DELETE d",
        "FUNCTION FLUSH",
        "EXEC",
        "FUNCTION STATS",
    ] {
        commands.push(spaced(queued));
    }
    for script in [
        "return redis.call('function', 'flush')",
        "return redis.call('function', 'list')",
        "return redis.call('fcall', 'f', 0)",
    ] {
        commands.push(words(&["EVAL", script, "0"]));
    }
    commands.push(function(&["LOAD", DESCRIBED]));
    for kept in ["FLUSHALL", "SCRIPT FLUSH", "FUNCTION STATS"] {
        commands.push(spaced(kept));
    }
    compare(&commands);
}

#[test]
fn where_memory_is_short() {
    let a = library("a", &["f"]);
    let mut commands = vec![function(&["LOAD", &a]), spaced("CONFIG SET maxmemory 1")];
    commands.push(function(&["LOAD", "REPLACE", &a]));
    for refused in [
        "FUNCTION LOAD",
        "FUNCTION LOAD x x",
        "FUNCTION RESTORE x",
        "FUNCTION STATS",
        "FUNCTION DELETE nosuch",
        "FCALL f 0",
        "FUNCTION DELETE a",
        "FUNCTION FLUSH",
        "CONFIG SET maxmemory 0",
    ] {
        commands.push(spaced(refused));
    }
    compare(&commands);
}

/// INFO's figures about memory, as numbers, by their names.
fn figures(wire: &mut Wire) -> HashMap<String, u64> {
    let info = wire.ask("INFO everything");
    let info = String::from_utf8_lossy(info.text()).into_owned();
    let figure = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    info.lines().filter_map(figure).collect()
}

#[test]
fn they_are_counted() {
    let oracle = Oracle::start();
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut counts = Vec::new();
        for server in [&*oracle, &server] {
            let mut wire = server.connect();
            wire.ask("FUNCTION FLUSH");
            wire.ask("SCRIPT FLUSH");
            for (name, functions) in [("a", &["f", "g"][..]), ("b", &["h"])] {
                let code = library(name, functions);
                assert!(!wire.command(&["FUNCTION", "LOAD", &code]).is_error());
            }
            wire.command(&["SCRIPT", "LOAD", "return 1"]);
            let figures = figures(&mut wire);
            for some in [
                "used_memory_vm_eval",
                "used_memory_vm_total",
                "used_memory_scripts",
                "used_memory_scripts_eval",
                "used_memory_functions",
            ] {
                assert!(figures[some] > 0, "{shards} shards: no {some}");
            }
            counts.push(["libraries", "functions", "cached_scripts"].map(|what| {
                let name = format!("number_of_{what}");
                figures[&name]
            }));
            counts.push([figures["evicted_scripts"]; 3]);
            let stats = elements(&wire.ask("MEMORY STATS"));
            let of_functions = stats.iter().position(|it| *it == bulk("functions.caches"));
            let bytes = &stats[of_functions.expect("it is there") + 1];
            assert_eq!(bytes.integer() as u64, figures["used_memory_functions"]);
        }
        assert_eq!(counts[..2], counts[2..], "{shards} shards");
    }
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

/// The dumps of each server are those that the other restores.
#[test]
fn dumps_go_both_ways() {
    let oracle = Oracle::start();
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        for (from, to) in [(&*oracle, &server), (&server, &*oracle)] {
            let (mut from, mut to) = (from.connect(), to.connect());
            from.ask("FUNCTION FLUSH");
            to.ask("FUNCTION FLUSH");
            // A long one is compressed.
            let long = library("long", &["x1", "x2"]) + &"-- again and again\n".repeat(500);
            for code in [DESCRIBED, &long] {
                assert!(!from.command(&["FUNCTION", "LOAD", code]).is_error());
            }
            let dump = from.ask("FUNCTION DUMP");
            let restored = to.command(&[b"FUNCTION", &b"RESTORE"[..], dump.text()]);
            assert_eq!(restored.text(), b"OK");
            assert_eq!(to.ask("FCALL x2 0").text(), b"x2");
            let listed = to.ask("FUNCTION LIST LIBRARYNAME long WITHCODE");
            let library = elements(&elements(&listed)[0]);
            assert_eq!(library[7].text(), long.as_bytes());
        }
    }
}
