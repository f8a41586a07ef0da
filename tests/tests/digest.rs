//! DEBUG DIGEST: equal to the reference's for equal data, whatever the number of shards; different
//! after any change.

use tests::reply::Value;
use tests::{Options, Oracle, SHARDS, Server, Wire};

/// Every type in its packed and its large form, scores and texts of odd shapes, deadlines of keys
/// and fields, two databases.
fn fill(wire: &mut Wire) {
    for words in [
        "SET text word",
        "SET number -17",
        "SET expires word EX 100000",
        "APPEND edited 12",
        "SETRANGE zeros 5 x",
        "RPUSH list a 1 -0 a 9223372036854775807",
        "SADD integers 3 1 2",
        "SADD words b 1 a",
        "ZADD scores 1 a 1.5 b -inf c +inf d 1e300 e 0.1 f 3e-7 g 12345678901234567890 h 7 8",
        "ZADD whole-scores 5e9 a 1e17 b -1e16 c 4e18 d 5e18 e 123456789012 f 1e7 g 1e8 h 12e8 i -0 j 1e15 k 9007199254740993 l",
        "HSET hash f v 1 2 g 3.0",
        "HEXPIRE hash 100000 FIELDS 1 g",
        "XADD stream 1-1 f v g 1",
        "XADD stream 1-2 f w g 2",
        "XADD stream 5-0 other 3",
        "XDEL stream 1-2",
        "XGROUP CREATE stream group 0",
        "GEOADD places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "PFADD estimate a b c d",
        "SETBIT bits 100 1",
    ] {
        ask(wire, words);
    }
    for index in 0..600 {
        ask(wire, &format!("RPUSH long-list element-{index} {index}"));
        ask(wire, &format!("SADD large-set member-{index} {index}"));
        ask(
            wire,
            &format!("ZADD large-scores {} m{index}", f64::from(index) / 7.0),
        );
        ask(wire, &format!("HSET large-hash f{index} {index}"));
        let whole = f64::from(index + 1) * 10f64.powi(index % 20);
        ask(wire, &format!("ZADD whole-{} {whole} m", index % 6));
        ask(wire, &format!("ZADD whole-scores {} w{index}", -whole));
    }
    ask(wire, "HEXPIRE large-hash 100000 FIELDS 2 f1 f2");
    ask(wire, "SELECT 3");
    ask(wire, "SET text word");
    ask(wire, "SELECT 0");
}

fn ask(wire: &mut Wire, words: &str) -> Value {
    let reply = wire.ask(words);
    assert!(!reply.is_error(), "{words}: {reply:?}");
    reply
}

const VALUES: &str = "DEBUG DIGEST-VALUE text missing list integers words scores hash stream large-set whole-scores large-scores whole-0 whole-1 whole-2 whole-3 whole-4 whole-5 large-hash expires text";

#[test]
fn equal_data_has_the_references_digest() {
    let oracle = Oracle::with_flags("--enable-debug-command local");
    let mut reference = oracle.connect();
    fill(&mut reference);
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards).flags("--enable-debug-command local"));
        let mut wire = server.connect();
        let nothing = ask(&mut wire, "DEBUG DIGEST");
        assert_eq!(nothing, Value::Simple(b"0".repeat(40)));
        fill(&mut wire);
        assert_eq!(ask(&mut wire, VALUES), ask(&mut reference, VALUES));
        let whole = ask(&mut wire, "DEBUG DIGEST");
        assert_eq!(whole, ask(&mut reference, "DEBUG DIGEST"));
        for (change, undo) in [
            ("SADD words c", "SREM words c"),
            ("PERSIST expires", "EXPIRE expires 100000"),
            ("HPERSIST hash FIELDS 1 g", "HEXPIRE hash 5000 FIELDS 1 g"),
            ("SWAPDB 2 3", "SWAPDB 2 3"),
            ("RENAME text other", "RENAME other text"),
        ] {
            ask(&mut wire, change);
            assert_ne!(ask(&mut wire, "DEBUG DIGEST"), whole, "{change}");
            ask(&mut wire, undo);
            assert_eq!(ask(&mut wire, "DEBUG DIGEST"), whole, "{undo}");
        }
    }
}

#[test]
fn a_transaction_refuses_to_look_and_goes_on() {
    let server = Server::start(Options::shards(2).flags("--enable-debug-command local"));
    let mut wire = server.connect();
    for looks in ["DIGEST", "DIGEST-VALUE a b c", "OBJECT a", "LISTPACK b"] {
        ask(&mut wire, "MULTI");
        ask(&mut wire, "MSET a 1 b 2 c 3");
        ask(&mut wire, &format!("DEBUG {looks}"));
        ask(&mut wire, "GET a");
        let replies = ask(&mut wire, "EXEC").elements().expect("replies");
        assert!(replies[1].is_error(), "{looks}: {replies:?}");
        assert_eq!(replies[2], Value::Bulk(b"1".to_vec()));
    }
}

#[test]
fn values_are_shown_as_they_lie() {
    let server = Server::start(Options::shards(2).flags("--enable-debug-command local"));
    let mut wire = server.connect();
    fill(&mut wire);
    let shown = ask(&mut wire, "DEBUG OBJECT scores");
    let text = String::from_utf8_lossy(shown.text()).into_owned();
    for part in [
        " refcount:1 encoding:listpack serializedlength:",
        " lru:",
        " lru_seconds_idle:",
    ] {
        assert!(text.contains(part), "{text}");
    }
    ask(&mut wire, "DEBUG LISTPACK scores");
    assert!(wire.ask("DEBUG LISTPACK large-set").is_error());
    assert!(wire.ask("DEBUG LISTPACK missing").is_error());
    ask(&mut wire, "DEBUG SLEEP x");
}
