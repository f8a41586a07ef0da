//! Random commands and conversations, answered as Redis 8.2 and Valkey 9.1 answer them, but for
//! what has changed since 7.4: that stands by name in `tests::differences`.
//!
//! `tests/run` runs this where it can fetch those servers; `tests/run --slow` fails where it
//! cannot.

use tests::conversation::{VERSIONS, hold};
use tests::differences;
use tests::duel::Duel;
use tests::grammar::FAMILIES;
use tests::reply::show;
use tests::{Options, Oracle, Reference, Server};

/// Sequences a family. That all numbers of shards answer alike is told by comparing with Redis 7.4.
const SEQUENCES: u64 = 100;
const SHARDS: u16 = 2;

const CONVERSATIONS: [(&str, &str); 8] = [
    ("blocking", include_str!("conversations/blocking.txt")),
    (
        "subscriptions",
        include_str!("conversations/subscriptions.txt"),
    ),
    ("watching", include_str!("conversations/watching.txt")),
    ("shared", include_str!("conversations/shared.txt")),
    ("memory", include_str!("conversations/memory.txt")),
    ("hyperloglog", include_str!("conversations/hyperloglog.txt")),
    ("absent", include_str!("conversations/absent.txt")),
    ("waiting", include_str!("conversations/waiting.txt")),
];

fn commands(reference: Reference) {
    let duel = Duel::start(reference, &[SHARDS]);
    // Scripts are compared with Redis 7.4 alone: most of what they return is in Lua's words.
    let families = FAMILIES.iter().filter(|family| family.name != "script");
    let found = families.filter_map(|family| duel.family(family, SEQUENCES).err());
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    let gone = duel.examples_in_vain();
    assert!(
        gone.is_empty(),
        "there is no such difference any more: {gone:?}"
    );
}

/// Holds them all; what differs and is not listed is told together, as is what is listed and does
/// not differ.
fn conversations(reference: Reference) {
    let flags = "--enable-debug-command yes";
    let oracle = Oracle::of(reference, Options::shards(1).flags(flags));
    let server = Server::start(Options::shards(SHARDS).flags(flags));
    let mut unlisted = String::new();
    let mut gone = Vec::new();
    for (name, conversation) in CONVERSATIONS {
        let listed: Vec<(usize, &str)> = differences::steps(reference, name).collect();
        let mut differing = Vec::new();
        for version in VERSIONS {
            let expected = hold(&oracle, version, conversation);
            let heard = hold(&server, version, conversation);
            for ((at, expected), (_, heard)) in std::iter::zip(expected, heard) {
                if expected == heard {
                    continue;
                }
                let step = conversation.lines().nth(at - 1).unwrap_or_default();
                differing.push((at, step));
                if !listed.contains(&(at, step)) {
                    unlisted += &format!(
                        "{name}, line {at}, RESP{version}: {step}\n  {}: {}\n  here: {}\n",
                        reference.name(),
                        show(&expected),
                        show(&heard)
                    );
                }
            }
        }
        let same = listed.iter().filter(|step| !differing.contains(step));
        gone.extend(same.map(|(at, step)| format!("{name}, line {at}: {step}")));
    }
    assert!(unlisted.is_empty(), "not listed:\n{unlisted}");
    assert!(
        gone.is_empty(),
        "listed, and there is no such difference any more: {gone:?}"
    );
}

#[test]
#[ignore = "wants Redis 8.2, which tests/run fetches"]
fn commands_are_answered_as_by_redis_8_2() {
    commands(Reference::Redis82);
}

#[test]
#[ignore = "wants Valkey 9.1, which tests/run fetches"]
fn commands_are_answered_as_by_valkey_9_1() {
    commands(Reference::Valkey91);
}

#[test]
#[ignore = "wants Redis 8.2, which tests/run fetches"]
fn conversations_are_held_as_by_redis_8_2() {
    conversations(Reference::Redis82);
}

#[test]
#[ignore = "wants Valkey 9.1, which tests/run fetches"]
fn conversations_are_held_as_by_valkey_9_1() {
    conversations(Reference::Valkey91);
}

/// SCRIPT SHOW, which Valkey alone has.
const SHOWN: &str = r##"1 SCRIPT LOAD "return 2"
1 SCRIPT SHOW 7f923f79fe76194c868d7e1d0820de36700eb649
1 script show 7F923F79FE76194C868D7E1D0820DE36700EB649
1 SCRIPT SHOW 7f923f79fe76194c868d7e1d0820de36700eb648
1 SCRIPT SHOW x
1 SCRIPT SHOW ""
1 SCRIPT SHOW
1 SCRIPT SHOW x y
1 EVAL "#!lua flags=no-writes\nreturn '\x01\r\n'" 0
1 SCRIPT SHOW c1dfd4e80258a4763d4feb08733b639d5239f0cd
1 MULTI
1 SCRIPT SHOW 7f923f79fe76194c868d7e1d0820de36700eb649
1 EXEC
1 SCRIPT FLUSH
1 SCRIPT SHOW 7f923f79fe76194c868d7e1d0820de36700eb649
"##;

#[test]
fn a_known_script_is_shown() {
    let server = Server::start(Options::shards(SHARDS));
    let heard = hold(&server, VERSIONS[0], SHOWN);
    assert_eq!(heard[1].1, b"$8\r\nreturn 2\r\n");
    let unknown = b"-NOSCRIPT No matching script.\r\n";
    assert_eq!(heard[3].1, unknown);
}

#[test]
#[ignore = "wants Valkey 9.1, which tests/run fetches"]
fn a_known_script_is_shown_as_by_valkey_9_1() {
    let oracle = Oracle::of(Reference::Valkey91, Options::shards(1));
    let server = Server::start(Options::shards(SHARDS));
    for version in VERSIONS {
        let expected = hold(&oracle, version, SHOWN);
        assert_eq!(hold(&server, version, SHOWN), expected);
    }
}
