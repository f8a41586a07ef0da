//! OBJECT ENCODING's names on both sides of each limit, and the values whole across the change.
//!
//! The limits are the defaults of Redis 7.4, which the reference at hand need not have: they stand
//! here as figures.

use tests::reply::Value;
use tests::{Options, Server, Wire};

/// A collection that grows by one: how, how many it has before, and how it is called before and
/// after.
struct Growth {
    /// Creates it with `before` elements.
    fill: fn(&mut Wire, usize),
    before: usize,
    small: &'static str,
    /// Adds what no longer fits.
    grow: &'static str,
    large: &'static str,
    /// Counts it.
    count: &'static str,
}

/// Adds items with one command.
fn add(wire: &mut Wire, verb: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    let reply = wire.ask(&format!("{verb} k {}", items.join(" ")));
    assert!(!reply.is_error(), "{reply:?}");
}

const LONG: &str = "sixty-five-bytes-are-one-more-than-fits-an-element-of-a-listpack!";

const GROWTHS: &[(&str, Growth)] = &[
    (
        "set of integers",
        Growth {
            fill: |wire, count| add(wire, "SADD", (0..count).map(|index| index.to_string())),
            before: 512,
            small: "intset",
            grow: "SADD k 512",
            large: "hashtable",
            count: "SCARD k",
        },
    ),
    (
        "set that meets a word",
        Growth {
            fill: |wire, count| add(wire, "SADD", (0..count).map(|index| index.to_string())),
            before: 127,
            small: "intset",
            grow: "SADD k word",
            large: "listpack",
            count: "SCARD k",
        },
    ),
    (
        "set of many integers that meets a word",
        Growth {
            fill: |wire, count| add(wire, "SADD", (0..count).map(|index| index.to_string())),
            before: 129,
            small: "intset",
            grow: "SADD k word",
            large: "hashtable",
            count: "SCARD k",
        },
    ),
    (
        "set of words",
        Growth {
            fill: |wire, count| add(wire, "SADD", (0..count).map(|index| format!("w{index}"))),
            before: 128,
            small: "listpack",
            grow: "SADD k word",
            large: "hashtable",
            count: "SCARD k",
        },
    ),
    (
        "set with a long word",
        Growth {
            fill: |wire, count| add(wire, "SADD", (0..count).map(|index| format!("w{index}"))),
            before: 3,
            small: "listpack",
            grow: "SADD k LONG",
            large: "hashtable",
            count: "SCARD k",
        },
    ),
    (
        "hash",
        Growth {
            fill: |wire, count| add(wire, "HSET", (0..count).map(|index| format!("f{index} v"))),
            before: 512,
            small: "listpack",
            grow: "HSET k field v",
            large: "hashtable",
            count: "HLEN k",
        },
    ),
    (
        "hash with a long value",
        Growth {
            fill: |wire, count| add(wire, "HSET", (0..count).map(|index| format!("f{index} v"))),
            before: 3,
            small: "listpack",
            grow: "HSET k field LONG",
            large: "hashtable",
            count: "HLEN k",
        },
    ),
    (
        "sorted set",
        Growth {
            fill: |wire, count| {
                add(
                    wire,
                    "ZADD",
                    (0..count).map(|index| format!("{index} m{index}")),
                )
            },
            before: 128,
            small: "listpack",
            grow: "ZADD k 1 member",
            large: "skiplist",
            count: "ZCARD k",
        },
    ),
    (
        "sorted set with a long member",
        Growth {
            fill: |wire, count| {
                add(
                    wire,
                    "ZADD",
                    (0..count).map(|index| format!("{index} m{index}")),
                )
            },
            before: 3,
            small: "listpack",
            grow: "ZADD k 1 LONG",
            large: "skiplist",
            count: "ZCARD k",
        },
    ),
];

fn encoding(wire: &mut Wire) -> String {
    let reply = wire.ask("OBJECT ENCODING k");
    String::from_utf8_lossy(reply.text()).into_owned()
}

#[test]
fn collections_change_their_encoding_at_the_limits() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    for (name, growth) in GROWTHS {
        wire.ask("DEL k");
        (growth.fill)(&mut wire, growth.before);
        assert_eq!(
            encoding(&mut wire),
            growth.small,
            "{name} of {}",
            growth.before
        );
        assert_eq!(
            wire.ask(&growth.grow.replace("LONG", LONG)),
            Value::Integer(1),
            "{name}"
        );
        assert_eq!(encoding(&mut wire), growth.large, "{name} grown");
        assert_eq!(
            wire.ask(growth.count),
            Value::Integer(growth.before as i64 + 1),
            "{name} grown"
        );
    }
}

#[test]
fn lists_are_packed_up_to_8_kilobytes() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    wire.ask("RPUSH k a b c");
    assert_eq!(encoding(&mut wire), "listpack");
    let element = "e".repeat(1_000);
    for _ in 0..9 {
        wire.command(&["RPUSH", "k", &element]);
    }
    assert_eq!(encoding(&mut wire), "quicklist");
    assert_eq!(
        wire.ask("LRANGE k 0 2"),
        Value::Array(
            [b"a", b"b", b"c"]
                .map(|text| Value::Bulk(text.to_vec()))
                .to_vec()
        )
    );
}

#[test]
fn strings_are_called_by_what_they_hold() {
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    for (value, expected) in [
        ("12345".to_owned(), "int"),
        ("-9223372036854775808".to_owned(), "int"),
        ("9223372036854775808".to_owned(), "embstr"),
        ("012".to_owned(), "embstr"),
        ("x".repeat(44), "embstr"),
        ("x".repeat(45), "raw"),
    ] {
        wire.command(&["SET", "k", &value]);
        assert_eq!(encoding(&mut wire), expected, "{value}");
        assert_eq!(wire.ask("GET k").text(), value.as_bytes());
    }
    wire.ask("SET k short");
    wire.ask("APPEND k er");
    assert_eq!(encoding(&mut wire), "raw");
}
