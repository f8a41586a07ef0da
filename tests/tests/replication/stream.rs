//! The stream, byte for byte: effects, so that they do the same wherever and whenever they run, and
//! what happens together in MULTI and EXEC.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tests::{SHARDS, Server, Wire};

use super::master;

/// A replica that writes down what it is sent.
struct Listener(TcpStream);

impl Listener {
    /// Has got all data, and stands at the beginning of the stream.
    fn of(server: &Server) -> Listener {
        let socket = TcpStream::connect(server.address()).expect("a connection");
        let limit = Some(Duration::from_secs(20));
        socket.set_read_timeout(limit).expect("a time limit");
        let mut listener = Listener(socket);
        listener.0.write_all(b"PSYNC ? -1\r\n").expect("sent");
        assert!(listener.line().starts_with("+FULLRESYNC "));
        let bytes = listener.line();
        let bytes: usize = bytes.trim_start_matches('$').parse().expect("a length");
        let mut snapshot = vec![0; bytes];
        listener.0.read_exact(&mut snapshot).expect("a snapshot");
        assert!(snapshot.starts_with(b"REDIS"));
        listener
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            self.0.read_exact(&mut byte).expect("a line");
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("text").trim_end().to_owned()
    }

    /// The next command, words with blanks between.
    fn command(&mut self) -> String {
        let count = self.line();
        let count: usize = count.trim_start_matches('*').parse().expect("a count");
        let words = (0..count).map(|_| {
            let bytes = self.line();
            let bytes: usize = bytes.trim_start_matches('$').parse().expect("a length");
            let mut word = vec![0; bytes + 2];
            self.0.read_exact(&mut word).expect("a word");
            word.truncate(bytes);
            String::from_utf8_lossy(&word).into_owned()
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// What comes up to the next mark, which `wire` sets.
    fn until_mark(&mut self, wire: &mut Wire) -> Vec<String> {
        wire.ask("PUBLISH mark mark");
        let mut commands = Vec::new();
        loop {
            match self.command() {
                mark if mark == "PUBLISH mark mark" => return commands,
                ping if ping == "PING" => {}
                command => commands.push(command),
            }
        }
    }
}

/// With every time and every id in the place of digits.
fn without_digits(command: &str) -> String {
    let is_long = |word: &str| word.len() >= 13 && word.starts_with(|it: char| it.is_ascii_digit());
    let words = command.split(' ');
    let mut words: Vec<&str> = words
        .map(|word| if is_long(word) { "N" } else { word })
        .collect();
    // Which one it was is drawn at random.
    if let ["SREM", _, member] = &mut words[..] {
        *member = "N";
    }
    words.join(" ")
}

fn said(shards: u16, commands: &[&str]) -> Vec<String> {
    let server = master(shards, "");
    let mut listener = Listener::of(&server);
    let mut wire = server.connect();
    for command in commands {
        wire.command(&words(command));
    }
    let said = listener.until_mark(&mut wire);
    said.iter().map(|command| without_digits(command)).collect()
}

/// Words, parted by blanks; what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

#[track_caller]
fn check(commands: &[&str], expected: &[&str]) {
    for shards in SHARDS {
        assert_eq!(said(shards, commands), expected, "{shards} shards");
    }
}

#[test]
fn times_are_absolute() {
    check(
        &[
            "SET a 1",
            "EXPIRE a 100",
            "SET b 2 EX 100 NX",
            "SETEX c 100 3",
            "GETEX c PX 100000",
            "GETEX c PERSIST",
            "EXPIRE a -1",
            "PEXPIRE b 200000 GT",
        ],
        &[
            "SELECT 0",
            "SET a 1",
            "PEXPIREAT a N",
            "SET b 2 PXAT N",
            "SET c 3 PXAT N",
            "PEXPIREAT c N",
            "PERSIST c",
            "DEL a",
            "PEXPIREAT b N",
        ],
    );
}

#[test]
fn deadlines_of_fields_are_absolute() {
    check(
        &[
            "HSET h a 1 b 2 c 3",
            "HEXPIRE h 100 FIELDS 2 a nosuch",
            "HPEXPIRE h 0 FIELDS 1 b",
            "HSETEX h EX 100 FIELDS 1 d 4",
            "HGETEX h PERSIST FIELDS 1 a",
            "HGETDEL h FIELDS 1 c",
        ],
        &[
            "SELECT 0",
            "HSET h a 1 b 2 c 3",
            "HPEXPIREAT h N FIELDS 1 a",
            "HDEL h b",
            "MULTI",
            "HSET h d 4",
            "HPEXPIREAT h N FIELDS 1 d",
            "EXEC",
            "HPERSIST h FIELDS 1 a",
            "HDEL h c",
        ],
    );
}

#[test]
fn sums_are_said_as_results() {
    check(
        &["INCRBYFLOAT f 1.5", "HINCRBYFLOAT h f 2.5", "INCR n"],
        &["SELECT 0", "SET f 1.5 KEEPTTL", "HSET h f 2.5", "INCR n"],
    );
}

#[test]
fn what_groups_deliver_is_said_with_its_time() {
    check(
        &[
            "XADD s * a 1",
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g me STREAMS s >",
            "XAUTOCLAIM s g you 0 0",
            "XREADGROUP GROUP g new STREAMS s >",
        ],
        &[
            "SELECT 0",
            "XADD s N a 1",
            "XGROUP CREATE s g 0",
            "MULTI",
            "XCLAIM s g me 0 N TIME N RETRYCOUNT 1 FORCE JUSTID",
            "XGROUP SETID s g N ENTRIESREAD 1",
            "EXEC",
            "XCLAIM s g you 0 N TIME N RETRYCOUNT 2 FORCE JUSTID",
            "XGROUP CREATECONSUMER s g new",
        ],
    );
}

#[test]
fn what_is_drawn_at_random_is_said_by_name() {
    check(
        &[
            "SADD s a b",
            "SPOP s 1",
            "DEL s",
            "RPUSH l a b",
            "LMOVE l m LEFT RIGHT",
        ],
        &[
            "SELECT 0",
            "SADD s a b",
            "SREM s N",
            "DEL s",
            "RPUSH l a b",
            "MULTI",
            "LPOP l",
            "RPUSH m a",
            "EXEC",
        ],
    );
}

#[test]
fn what_changes_nothing_is_not_said() {
    check(
        &[
            "GET a",
            "DEL a",
            "SET a 1 XX",
            "SREM s x",
            "EXPIRE a 1",
            "MULTI",
            "GET a",
            "EXEC",
            "SET a 1",
        ],
        &["SELECT 0", "SET a 1"],
    );
}

#[test]
fn transactions_are_whole() {
    for shards in SHARDS {
        let server = master(shards, "");
        let mut listener = Listener::of(&server);
        let mut wire = server.connect();
        for command in [
            "MULTI", "SET a 1", "SET b 2", "SET c 3", "SELECT 5", "SET d 4", "EXEC",
        ] {
            wire.ask(command);
        }
        let said = listener.until_mark(&mut wire).join(", ");
        assert_eq!(
            said, "SELECT 0, MULTI, SET a 1, SET b 2, SET c 3, SELECT 5, SET d 4, EXEC",
            "{shards} shards"
        );
    }
}

#[test]
fn scripts_are_their_effects_and_whole() {
    for shards in SHARDS {
        let said = said(
            shards,
            &[
                "EVAL \"redis.call('set', 'a', 1) redis.call('set', 'b', 2) redis.call('get', 'a') return redis.call('incr', 'c')\" 0",
            ],
        );
        let said = said.join(", ");
        assert_eq!(
            said, "SELECT 0, MULTI, set a 1, set b 2, incr c, EXEC",
            "{shards} shards"
        );
    }
}

#[test]
fn what_expires_is_deleted() {
    for shards in SHARDS {
        let server = master(shards, "");
        let mut listener = Listener::of(&server);
        let mut wire = server.connect();
        wire.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        wire.ask("SET a 1 PX 1");
        tests::server::eventually("it has expired", Duration::from_secs(5), || {
            wire.ask("EXISTS a").integer() == 0
        });
        let said = listener.until_mark(&mut wire);
        assert_eq!(
            said.last().map(String::as_str),
            Some("DEL a"),
            "{shards} shards"
        );
    }
}

/// Two connections in turn, each of whose commands begins after the other's was answered, on keys
/// of any shards: the stream has them in this order.
#[test]
fn what_began_after_an_answer_comes_behind_it() {
    for shards in SHARDS {
        let server = master(shards, "");
        let mut listener = Listener::of(&server);
        let mut wires = [server.connect(), server.connect()];
        for number in 0..500 {
            wires[number % 2].ask(&format!("SET key:{number} {number}"));
        }
        let said = listener.until_mark(&mut wires[0]);
        let expected: Vec<String> = (0..500)
            .map(|number| format!("SET key:{number} {number}"))
            .collect();
        assert_eq!(said[1..], expected, "{shards} shards");
    }
}
