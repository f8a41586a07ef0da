//! Several connections that track, hear and change, a step a line, as Redis has it. A number is a
//! connection:
//!
//! ```text
//! 1 GET a       sends, and waits for the reply; @2 stands for the id of connection 2
//! 1~ HELLO 3    the same, whatever the reply
//! 1= PING       sends, and there will be no reply
//! 1! BLPOP a 0  sends, and waits until the server counts one more blocked client
//! 1<            waits for a message, or a late reply
//! ~ 20          waits so many milliseconds
//! ```
//!
//! A word with blanks in it stands in quotes.
//!
//! An empty line ends a scene: the next one has new connections, and no data. What comes too much
//! is found by the next thing that is waited for.

use std::time::Duration;

use tests::reply::show;
use tests::server::eventually;
use tests::{Options, Oracle, SHARDS, Server, Wire};

const CONNECTIONS: usize = 3;
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(10);
const FLAGS: &str = "--enable-debug-command yes";

/// A scene's connections.
struct Cast {
    wires: Vec<Wire>,
    ids: Vec<i64>,
    /// The line that is played, and those before it.
    played: Vec<String>,
}

impl Cast {
    fn new(server: &Server) -> Cast {
        let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        let ids = wires.iter_mut().map(|wire| wire.ask("CLIENT ID").integer());
        let ids = ids.collect();
        let played = Vec::new();
        Cast { wires, ids, played }
    }

    fn send(&mut self, number: usize, words: &str) {
        if words.contains('"') {
            return self.wires[number - 1].send_words(words);
        }
        let words = words
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(number) => {
                    self.ids[number.parse::<usize>().expect("a number") - 1].to_string()
                }
                None => word.to_owned(),
            });
        let words: Vec<String> = words.collect();
        self.wires[number - 1].send_command(&words);
    }

    /// The next reply or message, in which ids stand as they do in scenes.
    fn hear(&mut self, number: usize, line: &str) -> String {
        let played = || self.played.join("\n");
        let reply = match self.wires[number - 1].try_reply() {
            Ok(Some(reply)) => reply,
            Ok(None) => panic!("closed:\n{}", played()),
            Err(error) => panic!("{error}:\n{}", played()),
        };
        let mut shown = show(&reply);
        if shown.contains("redirect") || shown.contains("redir-broken") || line.contains("GETREDIR")
        {
            for (index, id) in self.ids.iter().enumerate() {
                shown = shown.replace(&format!(":{id}\\r"), &format!(":@{}\\r", index + 1));
            }
        }
        shown
    }
}

/// All that was heard, each with its line.
fn play(server: &Server, scene: &str) -> Vec<(String, String)> {
    let mut control = server.connect();
    eventually(
        "the last scene's clients are gone",
        BLOCKED_TIME_MAX,
        || control.figure("connected_clients") == 1,
    );
    control.ask("FLUSHALL");
    let mut cast = Cast::new(server);
    let mut heard = Vec::new();
    for line in scene.lines().filter(|line| !line.starts_with('#')) {
        cast.played.push(line.to_owned());
        let (who, words) = line.split_once(' ').unwrap_or((line, ""));
        if who == "~" {
            std::thread::sleep(Duration::from_millis(words.parse().expect("a time")));
            continue;
        }
        let number: usize = who[..1].parse().expect("a connection's number");
        match &who[1..] {
            "" => {
                cast.send(number, words);
                heard.push((line.to_owned(), cast.hear(number, line)));
            }
            "~" => {
                cast.send(number, words);
                cast.hear(number, line);
            }
            "=" => cast.send(number, words),
            "<" => heard.push((line.to_owned(), cast.hear(number, line))),
            "!" => {
                let before = control.figure("blocked_clients");
                cast.send(number, words);
                eventually(line, BLOCKED_TIME_MAX, || {
                    control.figure("blocked_clients") > before
                });
            }
            other => panic!("what is {other:?}?"),
        }
    }
    heard
}

#[test]
fn scenes_are_played_as_redis_plays_them() {
    let oracle = Oracle::with_flags(FLAGS);
    let servers = SHARDS.map(|shards| Server::start(Options::shards(shards).flags(FLAGS)));
    for scene in include_str!("scenes.txt").split("\n\n").map(str::trim) {
        let title = scene.lines().next().unwrap_or_default();
        let expected = play(&oracle, scene);
        for (server, shards) in std::iter::zip(&servers, SHARDS) {
            let heard = play(server, scene);
            for (at, (expected, heard)) in std::iter::zip(&expected, &heard).enumerate() {
                assert!(
                    expected == heard,
                    "{title}\n{shards} shards, step {at}: {}\n  Redis: {}\n  here:  {}",
                    expected.0,
                    expected.1,
                    heard.1
                );
            }
        }
    }
}
