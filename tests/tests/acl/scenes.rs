//! Conversations about users, in the words of `tests::conversation`: each is a file beside this.
//!
//! Connections begin as `default`. A scene removes the users that it makes and gives `default` back
//! what it takes: the next scene's connections, and the one that removes the data, are its own.

use std::fmt::Write as _;

use tests::conversation::{VERSIONS, hold};
use tests::{Options, Oracle, SHARDS, Server};

use crate::masks::masked;

const FLAGS: &str = "--enable-debug-command yes";

/// So many differences are reported at once.
const REPORTED_MAX: usize = 30;

/// Holds a conversation with servers that start so.
fn compare(conversation: &str, options: &Options) {
    let options = |shards| Options {
        shards,
        ..options.clone()
    };
    let line = |at: usize| conversation.lines().nth(at - 1).unwrap_or_default();
    let oracle = Oracle::start_with(options(1));
    let expected = VERSIONS.map(|version| hold(&oracle, version, conversation));
    for shards in SHARDS {
        let server = Server::start(options(shards));
        for (version, expected) in std::iter::zip(VERSIONS, &expected) {
            let heard = hold(&server, version, conversation);
            let pairs = std::iter::zip(expected, &heard).map(|((at, expected), (_, heard))| {
                let line = line(*at);
                (at, line, masked(line, expected), masked(line, heard))
            });
            let mut report = String::new();
            let differing = pairs.filter(|(_, _, expected, heard)| expected != heard);
            for (at, line, expected, heard) in differing.take(REPORTED_MAX) {
                let _ = writeln!(
                    report,
                    "line {at}: {line}\n  Redis: {expected}\n  here:  {heard}"
                );
            }
            assert!(
                report.is_empty(),
                "RESP{version}, {shards} shards:\n{report}"
            );
        }
    }
}

macro_rules! scenes {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let file = include_str!(concat!(stringify!($name), ".txt"));
                compare(file, &Options::default().flags(FLAGS));
            }
        )*
    };
}

/// A file of users, an empty one at the start.
#[test]
fn load() {
    let options = Options::default().flags("--aclfile users.acl");
    compare(include_str!("load.txt"), &options.file("users.acl", b""));
}

#[test]
fn renamed() {
    let lines = "rename-command GET FETCH\nrename-command CONFIG SETTINGS\n\
                 rename-command DEL \"\"\nrename-command ACL USERS\n\
                 rename-command EVAL RUN\n";
    compare(
        include_str!("renamed.txt"),
        &Options::default().config(lines),
    );
}

scenes! {
    users
    auth
    log
    dryrun
    channels
    transactions
    scripts
    blocked
    closing
    traces
}
