//! What SETUSER makes of rules: its reply, and the user as GETUSER and LIST show it.
//!
//! `rules.txt` has a user a line: what it is given at first, and behind `;;` what it is given then.

use tests::conversation::VERSIONS;
use tests::reply::show;
use tests::{FEW_SHARDS, Options, Oracle, Server, Wire};

/// What is asked after each change, as it is sent.
const ASKED: [&str; 2] = ["ACL GETUSER u", "ACL LIST"];

/// All that is sent for a line of the file.
fn commands(line: &str) -> Vec<String> {
    let changes = line.split(" ;; ");
    let with_answers = changes.flat_map(|rules| {
        let change = format!("ACL SETUSER u {rules}");
        std::iter::once(change).chain(ASKED.map(str::to_owned))
    });
    let removal = std::iter::once("ACL DELUSER u".to_owned());
    with_answers.chain(removal).collect()
}

/// What a server answers, a list a line of the file.
fn heard(server: &Server, version: &str, cases: &[Vec<String>]) -> Vec<Vec<Vec<u8>>> {
    let mut wire: Wire = server.connect();
    wire.command(&["HELLO", version]);
    let answers = cases.iter().map(|commands| {
        commands.iter().for_each(|command| wire.send_words(command));
        commands.iter().map(|_| wire.reply()).collect()
    });
    answers.collect()
}

#[test]
fn rules_are_taken_as_by_redis() {
    let lines = include_str!("rules.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("# "));
    let cases: Vec<Vec<String>> = lines.map(commands).collect();
    let oracle = Oracle::start();
    for shards in FEW_SHARDS {
        let server = Server::start(Options::shards(shards));
        for version in VERSIONS {
            let expected = heard(&oracle, version, &cases);
            let found = heard(&server, version, &cases);
            let mut report = Vec::new();
            for ((commands, expected), found) in cases.iter().zip(&expected).zip(&found) {
                let mut pairs = commands.iter().zip(expected).zip(found);
                // What follows a difference comes from it.
                let differing = pairs.find(|((_, expected), found)| expected != found);
                if let Some(((command, expected), found)) = differing {
                    let (expected, found) = (show(expected), show(found));
                    report.push(format!("{command}\n  Redis: {expected}\n  here:  {found}"));
                }
            }
            let count = report.len();
            report.truncate(30);
            assert!(
                report.is_empty(),
                "RESP{version}, {shards} shards, {count} differ:\n{}",
                report.join("\n")
            );
        }
    }
}
