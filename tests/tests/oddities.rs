//! Replies of Redis 7.4 that one would not expect. They stand here as it gave them, since an older
//! reference gives others.

use tests::reply::Value;
use tests::{Options, SHARDS, Server};

/// Asks for each in turn; the last reply must be this.
fn ends_with(asked: &[&str], reply: &Value) {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let last = asked.iter().map(|words| wire.ask(words)).last();
        assert_eq!(last.as_ref(), Some(reply), "{shards} shards: {asked:?}");
    }
}

fn integers(numbers: &[i64]) -> Value {
    Value::Array(numbers.iter().copied().map(Value::Integer).collect())
}

#[test]
fn a_field_is_as_great_as_can_be_where_the_value_is_far_too_small() {
    let set = "BITFIELD k OVERFLOW SAT SET i8 1 -9223372036854775808 GET i8 1";
    ends_with(&[set], &integers(&[0, 127]));
    let set = "BITFIELD k OVERFLOW SAT SET i8 1 -9223372036854775680 GET i8 1";
    ends_with(&[set], &integers(&[0, -128]));
    let add = "BITFIELD k SET i8 0 5 OVERFLOW SAT INCRBY i8 0 -9223372036854775808";
    ends_with(&[add], &integers(&[0, -128]));
}

#[test]
fn the_last_entry_of_a_stream_is_that_of_its_last_id() {
    let create = "XGROUP CREATE s g 0 MKSTREAM";
    let none = Value::Error(b"ERR the stream last element ID is 0-0".to_vec());
    ends_with(&[create, "XREAD STREAMS s +"], &none);
    ends_with(&[create, "XREAD BLOCK 10 STREAMS s +"], &none);
    ends_with(&["XREAD STREAMS s +"], &Value::Null("*-1"));
    let emptied = [create, "XADD s 1-1 f v", "XDEL s 1-1", "XREAD STREAMS s +"];
    ends_with(&emptied, &Value::Null("*-1"));
    let added = ["XADD s 1-1 f v", "XADD s 2-1 f v"];
    let deleted = [&added[..], &["XDEL s 2-1", "XREAD STREAMS s +"]].concat();
    ends_with(&deleted, &Value::Null("*-1"));
}

#[test]
fn a_lag_is_what_is_left_to_deliver() {
    let lag_of = |reads: &str, then: &str| {
        let server = Server::start(Options::default());
        let mut wire = server.connect();
        wire.ask("XADD s 1-1 f v");
        wire.ask("XADD s 2-1 f v");
        wire.ask(&format!("XGROUP CREATE s g 0 ENTRIESREAD {reads}"));
        wire.ask(then);
        let Value::Array(groups) = wire.ask("XINFO GROUPS s") else {
            panic!("an array of groups");
        };
        let Some(Value::Array(group)) = groups.into_iter().next() else {
            panic!("a group is an array in RESP2");
        };
        group.last().cloned()
    };
    // Redis 7.4.1 says -1, 2 and 1: it believes ENTRIESREAD, and counts what was cut off before it
    // was read. Later ones have mended that.
    assert_eq!(lag_of("3", "PING"), Some(Value::Integer(2)));
    assert_eq!(lag_of("0", "XTRIM s MAXLEN 1"), Some(Value::Integer(1)));
    assert_eq!(lag_of("1", "XTRIM s MAXLEN 0"), Some(Value::Integer(0)));
    // What was deleted before the first entry that is left is of no concern; what is gone among the
    // others makes it unknown.
    assert_eq!(lag_of("-1", "XDEL s 1-1"), Some(Value::Integer(1)));
    assert_eq!(lag_of("-1", "XDEL s 2-1"), Some(Value::Null("$-1")));
}

#[test]
fn a_sorted_set_that_was_sorted_is_large() {
    for sort in ["SORT z ALPHA", "SORT_RO z ALPHA", "SORT z BY nosort"] {
        let asked = ["ZADD z 1 a 2 b", sort, "OBJECT ENCODING z"];
        ends_with(&asked, &Value::Bulk(b"skiplist".to_vec()));
    }
}

#[test]
fn lset_takes_the_last_bits_of_an_index() {
    let push = "RPUSH l a b c";
    let elements =
        |texts: [&str; 3]| Value::Array(texts.map(|text| Value::Bulk(text.into())).to_vec());
    let sets = ["LSET l 4294967297 x", "LSET l -4294967297 y"];
    let asked = [push, sets[0], sets[1], "LRANGE l 0 -1"];
    ends_with(&asked, &elements(["a", "x", "y"]));
    let beyond = Value::Error(b"ERR index out of range".to_vec());
    ends_with(&[push, "LSET l 2147483648 x"], &beyond);
}

#[test]
fn an_unknown_option_of_hello_is_repeated_up_to_its_first_zero_byte() {
    let server = Server::start(Options::default());
    let reply = server.connect().command(&[&b"HELLO"[..], b"2", b"a\0b"]);
    let expected = b"ERR Syntax error in HELLO option 'a'".to_vec();
    assert_eq!(reply, Value::Error(expected));
}

#[test]
fn a_name_is_looked_at_up_to_its_first_zero_byte() {
    let ok = Value::Simple(b"OK".to_vec());
    let server = Server::start(Options::default());
    let mut wire = server.connect();
    let mut named = |name: &[u8]| {
        let reply = wire.command(&[&b"CLIENT"[..], b"SETNAME", name]);
        let is_named = reply == ok;
        if is_named && !name.is_empty() {
            assert_eq!(wire.ask("CLIENT GETNAME").text(), name);
        }
        is_named
    };
    for byte in 0..=u8::MAX {
        assert_eq!(
            named(&[byte]),
            byte == 0 || byte.is_ascii_graphic(),
            "{byte}"
        );
    }
    for taken in [&b"\0ab"[..], b"a\0 b", b"a\0", b""] {
        assert!(named(taken), "{}", taken.escape_ascii());
    }
    assert!(!named(b"a b") && !named(b" \0"));
    assert!(named(b"worker\0 \xff"));
    let shown = wire.ask("CLIENT INFO");
    let shown = String::from_utf8_lossy(shown.text());
    assert!(shown.contains(" name=worker age="), "{shown}");
}

/// Redis lets them in, and EXEC's reply has fewer elements than it says; Valkey refuses them.
#[test]
fn replies_are_not_switched_off_within_a_transaction() {
    let aborted =
        Value::Error(b"EXECABORT Transaction discarded because of previous errors.".to_vec());
    for mode in ["OFF", "skip"] {
        let refused = Value::Error(b"ERR Command not allowed inside a transaction".to_vec());
        let reply = format!("CLIENT REPLY {mode}");
        ends_with(&["MULTI", "PING", &reply], &refused);
        ends_with(&["MULTI", "PING", &reply, "EXEC"], &aborted);
        let pong = Value::Simple(b"PONG".to_vec());
        ends_with(&["MULTI", "PING", &reply, "EXEC", "PING"], &pong);
    }
    let on = ["MULTI", "CLIENT REPLY ON", "EXEC"];
    ends_with(&on, &Value::Array(vec![Value::Simple(b"OK".to_vec())]));
}

const NO_SWEEP: &str = "DEBUG SET-ACTIVE-EXPIRE 0";

/// Asks a server whose clock removes nothing, of a hash with two fields whose time has come, and
/// one other.
fn ends_with_expired_fields(asked: &[&str], reply: &Value) {
    for fields in ["", " d x e x f x g x h x i x"] {
        let set = format!("HSET h a 1 b 2 c 3{fields}");
        let others: Vec<&str> = fields.split_whitespace().step_by(2).collect();
        let drop_others = format!("HDEL h none {}", others.join(" "));
        let fill = [
            NO_SWEEP,
            "CONFIG SET hash-max-listpack-entries 4",
            &set,
            &drop_others,
            "HPEXPIRE h 1 FIELDS 2 a b",
            "DEBUG SLEEP 0.01",
        ];
        let asked = [&fill[..], asked].concat();
        for shards in SHARDS {
            let flags = "--enable-debug-command yes";
            let server = Server::start(Options::shards(shards).flags(flags));
            let mut wire = server.connect();
            let last = asked.iter().map(|words| wire.ask(words)).last();
            assert_eq!(last.as_ref(), Some(reply), "{shards} shards: {asked:?}");
        }
    }
}

#[test]
fn an_expired_field_that_is_stored_still_can_be_deleted() {
    let number = Value::Integer;
    ends_with_expired_fields(&["HLEN h"], &number(3));
    ends_with_expired_fields(&["HDEL h a"], &number(1));
    ends_with_expired_fields(&["HDEL h a", "HDEL h a"], &number(0));
    ends_with_expired_fields(&["HDEL h a z", "HLEN h"], &number(2));
    ends_with_expired_fields(&["HDEL h a b c"], &number(3));
    ends_with_expired_fields(&["HDEL h a b c", "EXISTS h"], &number(0));
}

#[test]
fn drawing_a_field_removes_what_has_expired() {
    let (number, left) = (Value::Integer, Value::Bulk(b"c".to_vec()));
    ends_with_expired_fields(&["HRANDFIELD h"], &left);
    for draw in ["HRANDFIELD h", "HRANDFIELD h 2", "HRANDFIELD h -2"] {
        ends_with_expired_fields(&[draw, "HLEN h"], &number(1));
        ends_with_expired_fields(&["HDEL h c", draw, "EXISTS h"], &number(0));
    }
}

#[test]
fn a_wait_ends_at_a_time_that_there_is() {
    let refused = Value::Error(b"ERR timeout is out of range".to_vec());
    for asked in [
        "XREAD BLOCK 9223372036854775807 STREAMS s 0",
        "XREAD BLOCK 9223371000000000000 STREAMS s 0",
        "BLPOP l 9223371000000000",
        "BZPOPMIN z 9223372036854775",
        "BLMOVE l l LEFT LEFT 9223372036854775.5",
        "BLMPOP 9223371000000000 1 l LEFT",
        "CLIENT PAUSE 9223371000000000000",
    ] {
        ends_with(&["XADD s 1-1 f v", asked], &refused);
    }
    let create = "XGROUP CREATE s g 0 MKSTREAM";
    let read = "XREADGROUP GROUP g me BLOCK 9223372036854775806 STREAMS s >";
    ends_with(&[create, read], &refused);
    let within = [create, "MULTI", read, "EXEC"];
    ends_with(&within, &Value::Array(vec![refused]));
}

#[test]
fn client_unblock_takes_one_reason() {
    let refused =
        "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.";
    let refused = Value::Error(refused.as_bytes().to_vec());
    for asked in ["CLIENT UNBLOCK 9999 TIMEOUT x", "CLIENT UNBLOCK x ERROR y"] {
        ends_with(&[asked], &refused);
    }
    ends_with(&["CLIENT UNBLOCK 9999 TIMEOUT"], &Value::Integer(0));
}
