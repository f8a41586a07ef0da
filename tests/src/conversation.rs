//! Several connections that meet, as a script: what each hears.
//!
//! A conversation is a step a line; a number is a connection:
//!
//! ```text
//! 1 GET a       sends, and waits for the reply
//! 1! BLPOP a 0  sends, and waits until the server counts one more blocked client
//! 1> SET a b    sends, and expects no reply
//! 1<            waits for a reply, or a message
//! 1x            waits until the server closes, and hears what comes before that
//! 1~2 DBSIZE    asks until the answer is this number
//! ```
//!
//! A word with blanks in it, or line ends, stands in quotes: `1 EVAL "return 1" 0`.
//!
//! An empty line ends a scene: the next one has new connections. The data stays.

use std::io::ErrorKind;
use std::time::Duration;

use crate::reply::Value;
use crate::server::{START_TIME_MAX, Server, eventually};
use crate::wire::Wire;

const CONNECTIONS: usize = 3;
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(10);

/// The versions of RESP a conversation is held in.
pub const VERSIONS: [&str; 2] = ["2", "3"];

/// Holds a conversation with a server, whose data is removed before. Returns the replies heard,
/// each with the number of the line that waits for it.
///
/// # Panics
/// Where a step is not followed by what it says, or is no step.
pub fn hold(server: &Server, version: &str, conversation: &str) -> Vec<(usize, Vec<u8>)> {
    let mut control = server.connect();
    control.ask("FLUSHALL");
    let mut wires = Vec::new();
    let mut heard = Vec::new();
    for (index, line) in conversation.lines().enumerate() {
        let at = index + 1;
        if line.is_empty() {
            wires.clear();
            eventually(
                "the last scene's clients are gone",
                BLOCKED_TIME_MAX,
                || control.blocked_clients() == 0,
            );
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        if wires.is_empty() {
            wires = (0..CONNECTIONS)
                .map(|_| {
                    let mut wire = server.connect();
                    wire.command(&["HELLO", version]);
                    wire
                })
                .collect();
        }
        let (who, words) = line.split_once(' ').unwrap_or((line, ""));
        let number: usize = who[..1]
            .parse()
            .unwrap_or_else(|_| panic!("line {at}: no connection's number: {line}"));
        let wire: &mut Wire = &mut wires[number - 1];
        match &who[1..] {
            "" => {
                wire.send_words(words);
                heard.push((at, hear(wire, at, line)));
            }
            ">" => wire.send_words(words),
            "<" => heard.push((at, hear(wire, at, line))),
            "x" => heard.push((at, hear_all(wire, at, line))),
            "!" => {
                let before = control.blocked_clients();
                wire.send_words(words);
                eventually(
                    &format!("line {at} blocks: {line}"),
                    BLOCKED_TIME_MAX,
                    || control.blocked_clients() > before,
                );
            }
            other => {
                let number = other.strip_prefix('~').and_then(|it| it.parse().ok());
                let number = number.unwrap_or_else(|| panic!("line {at}: what is {other:?}?"));
                eventually(&format!("line {at}: {line}"), START_TIME_MAX, || {
                    wire.send_words(words);
                    wire.value() == Value::Integer(number)
                });
            }
        }
    }
    heard
}

fn hear(wire: &mut Wire, at: usize, line: &str) -> Vec<u8> {
    match wire.try_reply() {
        Ok(Some(reply)) => reply,
        Ok(None) => panic!("line {at}: closed: {line}"),
        Err(error) => panic!("line {at}: {error}: {line}"),
    }
}

/// What comes before the server closes.
fn hear_all(wire: &mut Wire, at: usize, line: &str) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match wire.try_reply() {
            Ok(Some(reply)) => all.extend(reply),
            Ok(None) => return all,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("line {at}: not closed: {error}: {line}"),
        }
    }
}
