//! Conversations about users, in the words of `tests::conversation`: each is a file beside this one.
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

/// Holds a conversation with servers of these flags.
fn compare(conversation: &str, flags: &str) {
    let line = |at: usize| conversation.lines().nth(at - 1).unwrap_or_default();
    let oracle = Oracle::with_flags(flags);
    let expected = VERSIONS.map(|version| hold(&oracle, version, conversation));
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags(flags));
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
                compare(include_str!(concat!(stringify!($name), ".txt")), FLAGS);
            }
        )*
    };
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
