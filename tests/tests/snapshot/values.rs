//! Every type and encoding through files and through DUMP: written by Redis and read here, written
//! here and read by Redis, and by percore with another number of shards.
//!
//! What Redis holds after it has loaded a file is what percore must hold after it has loaded it,
//! encodings too.

use std::time::{SystemTime, UNIX_EPOCH};

use tests::contents::{Contents, pipeline};
use tests::grammar::{Draw, FAMILIES};
use tests::reply::Value;
use tests::{FEW_SHARDS, Options, Oracle, SHARDS, Server, Wire};

use crate::{FILE, save};

/// Sequences of random commands for each family.
const ROUNDS: u64 = 12;

/// Commands a sequence.
const LENGTH: usize = 80;

fn file_of(server: &Server) -> Vec<u8> {
    std::fs::read(server.directory().join(FILE)).expect("a snapshot")
}

fn command(wire: &mut Wire, words: &[&str]) {
    let reply = wire.command(words);
    assert!(!reply.is_error(), "{words:?}: {reply:?}");
}

/// A command with items made from numbers.
fn many(
    wire: &mut Wire,
    verb: &str,
    numbers: impl Iterator<Item = u64>,
    item: impl Fn(u64) -> String,
) {
    let mut words: Vec<String> = verb.split(' ').map(str::to_owned).collect();
    words.extend(numbers.flat_map(|number| {
        let item = item(number);
        item.split(' ').map(str::to_owned).collect::<Vec<_>>()
    }));
    let reply = wire.command(&words);
    assert!(!reply.is_error(), "{verb}: {reply:?}");
}

/// Values chosen for how they are held: each encoding, and both sides of the limits between them.
fn fill_chosen(wire: &mut Wire) {
    for (key, value) in [
        ("string:int", "12345".to_owned()),
        ("string:int8", "-128".to_owned()),
        ("string:int16", "32767".to_owned()),
        ("string:int32", "-2147483648".to_owned()),
        ("string:int64", "1152921504606846976".to_owned()),
        ("string:least", "-9223372036854775808".to_owned()),
        ("string:beyond", "9223372036854775808".to_owned()),
        ("string:zero-before", "01".to_owned()),
        ("string:minus-zero", "-0".to_owned()),
        ("string:empty", String::new()),
        ("string:embedded", "e".repeat(44)),
        ("string:raw", "r".repeat(45)),
        ("string:repeated", "abc".repeat(5_000)),
        ("string:63", "x1".repeat(31) + "y"),
        ("string:64", "x1".repeat(32)),
        ("string:16383", "q".repeat(16_383)),
        ("string:16384", "q".repeat(16_384)),
    ] {
        command(wire, &["SET", key, &value]);
    }
    // Nothing that compresses, and every byte.
    let noise: Vec<u8> = (0u32..5_000)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    wire.command(&[&b"SET"[..], b"string:noise", &noise]);
    wire.command(&[&b"SET"[..], &noise[..300], b"a long key"]);

    command(
        wire,
        &["RPUSH", "list:small", "a", "1", "-500", "", "70000"],
    );
    many(wire, "RPUSH list:big", 0..5_000, |n| format!("element{n}"));
    command(
        wire,
        &[
            "RPUSH",
            "list:huge",
            &"y".repeat(20_000),
            "z",
            &"w".repeat(9_000),
        ],
    );

    many(wire, "SADD set:intset16", 0..100, |n| n.to_string());
    command(wire, &["SADD", "set:intset32", "1", "-70000"]);
    command(
        wire,
        &[
            "SADD",
            "set:intset64",
            "1",
            "1099511627776",
            "-4611686018427387904",
        ],
    );
    many(wire, "SADD set:intset-full", 0..512, |n| n.to_string());
    many(wire, "SADD set:of-integers", 0..513, |n| n.to_string());
    command(wire, &["SADD", "set:packed", "a", "b", "3"]);
    many(wire, "SADD set:table", 0..1_000, |n| format!("m{n}"));

    many(wire, "HSET hash:packed", 0..20, |n| format!("f{n} {n}"));
    many(wire, "HSET hash:table", 0..700, |n| {
        format!("f{n} {}", "v".repeat(n as usize + 1))
    });
    let late = in_a_year();
    command(
        wire,
        &[
            "HSET",
            "hash:packed-deadlines",
            "a",
            "1",
            "b",
            "2",
            "c",
            "3",
        ],
    );
    command(
        wire,
        &[
            "HPEXPIREAT",
            "hash:packed-deadlines",
            &late.to_string(),
            "FIELDS",
            "2",
            "a",
            "c",
        ],
    );
    command(
        wire,
        &[
            "HPEXPIREAT",
            "hash:packed-deadlines",
            &(late - 5).to_string(),
            "FIELDS",
            "1",
            "c",
        ],
    );
    many(wire, "HSET hash:table-deadlines", 0..600, |n| {
        format!("f{n} v{n}")
    });
    many(
        wire,
        &format!("HPEXPIREAT hash:table-deadlines {late} FIELDS 300"),
        0..300,
        |n| format!("f{n}"),
    );
    command(
        wire,
        &[
            "HPEXPIREAT",
            "hash:table-deadlines",
            &(late - 100_000).to_string(),
            "FIELDS",
            "1",
            "f9",
        ],
    );

    many(wire, "ZADD zset:packed", 0..20, |n| {
        format!("{} m{n}", n as f64 * 1.5)
    });
    many(wire, "ZADD zset:whole", 0..20, |n| format!("{n} m{n}"));
    command(
        wire,
        &[
            "ZADD",
            "zset:extremes",
            "inf",
            "a",
            "-inf",
            "b",
            "1e300",
            "c",
            "-0.0",
            "d",
            "0.1",
            "e",
        ],
    );
    many(wire, "ZADD zset:large", 0..1_000, |n| {
        format!("{} m{n}", n as f64 / 7.0)
    });
    many(wire, "GEOADD geo", 0..20, |n| {
        format!("{}.5 {}.25 place{n}", n * 3, n)
    });

    many(wire, "PFADD loglog:sparse", 0..50, |n| n.to_string());
    many(wire, "PFADD loglog:dense", 0..5_000, |n| n.to_string());
    command(wire, &["SETBIT", "bits", "100000", "1"]);

    fill_stream(wire);

    command(wire, &["SET", "deadline", "x", "PXAT", &late.to_string()]);
    command(wire, &["SELECT", "3"]);
    command(wire, &["SET", "in another database", "x"]);
    command(wire, &["SELECT", "15"]);
    command(wire, &["RPUSH", "in the last one", "x"]);
    command(wire, &["SELECT", "0"]);
}

fn fill_stream(wire: &mut Wire) {
    for n in 0..350u64 {
        let id = format!("{}-{}", 1_000 + n / 3, n % 3);
        match n % 5 {
            0 => command(wire, &["XADD", "stream", &id, "other", "field"]),
            _ => command(
                wire,
                &["XADD", "stream", &id, "a", &n.to_string(), "b", "v"],
            ),
        }
    }
    for words in [
        "XDEL stream 1001-1 1010-0",
        "XGROUP CREATE stream g 0",
        "XGROUP CREATE stream h 1005-0 ENTRIESREAD 12",
        "XREADGROUP GROUP g me COUNT 10 STREAMS stream >",
        "XREADGROUP GROUP g you COUNT 5 STREAMS stream >",
        "XREADGROUP GROUP h me COUNT 1 STREAMS stream >",
        "XACK stream g 1000-0",
        "XCLAIM stream g you 0 1000-1",
        "XGROUP CREATECONSUMER stream h idle",
        "XADD stream:emptied 5-5 a 1",
        "XDEL stream:emptied 5-5",
        "XGROUP CREATE stream:made made $ MKSTREAM",
        "XADD stream:trimmed 1-1 a 1",
        "XADD stream:trimmed MAXLEN 1 2-1 a 1",
    ] {
        let reply = wire.ask(words);
        assert!(!reply.is_error(), "{words}: {reply:?}");
    }
}

/// Unix milliseconds.
fn in_a_year() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    now.as_millis() as u64 + 365 * 24 * 3_600 * 1_000
}

/// What random commands of all families leave behind, under names of their own.
fn fill_random(wire: &mut Wire, first_seed: u64) {
    for seed in first_seed..first_seed + ROUNDS {
        for family in FAMILIES {
            let mut draw = Draw::new(seed);
            let unwanted = ["FLUSHALL", "FLUSHDB", "SWAPDB", "QUIT", "RESET", "SHUTDOWN"];
            let sequence: Vec<Vec<Vec<u8>>> = (0..LENGTH)
                .map(|_| draw.command(family))
                .filter(|command| !unwanted.contains(&command.verb().as_str()))
                .map(|command| command.arguments)
                .collect();
            pipeline(wire, &sequence);
            wire.ask("DISCARD");
            wire.ask("UNWATCH");
            wire.ask("HELLO 2");
            wire.ask("SELECT 0");
            let keys = wire.ask("KEYS *").elements().expect("keys");
            for key in keys {
                let key = key.text().to_vec();
                if !key.starts_with(b"kept:") {
                    let kept = [format!("kept:{}:{seed}:", family.name).as_bytes(), &key].concat();
                    wire.command(&[&b"RENAME"[..], &key, &kept]);
                }
            }
        }
    }
}

fn filled(wire: &mut Wire, seed: u64) -> Contents {
    fill_random(wire, seed);
    fill_chosen(wire);
    let contents = Contents::of(wire);
    assert!(contents.0.len() > 200, "only {} keys", contents.0.len());
    contents
}

fn load(shards: u16, file: &[u8]) -> Contents {
    let server = Server::start(Options::shards(shards).file(FILE, file));
    Contents::of(&mut server.connect())
}

fn load_by_redis(file: &[u8]) -> Contents {
    let redis = Oracle::start_with(Options::shards(1).file(FILE, file));
    Contents::of(&mut redis.connect())
}

#[test]
fn a_file_of_redis_is_loaded() {
    let redis = Oracle::start();
    let mut wire = redis.connect();
    let filled = filled(&mut wire, 1_000);
    save(&mut wire);
    let file = file_of(&redis);
    let loaded = load_by_redis(&file);
    loaded
        .without_encodings()
        .assert_same(&filled.without_encodings(), "Redis before and after");
    for shards in SHARDS {
        let here = load(shards, &file);
        here.assert_same(
            &loaded,
            &format!("{shards} shards and Redis, a file of Redis"),
        );
    }
}

#[test]
fn redis_loads_our_files_and_so_does_any_number_of_shards() {
    for (shards, seed) in SHARDS.into_iter().zip([2_000, 3_000, 4_000]) {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let filled = filled(&mut wire, seed);
        save(&mut wire);
        let file = file_of(&server);
        let loaded = load_by_redis(&file);
        let what = format!("a file of {shards} shards");
        loaded.without_encodings().assert_same(
            &filled.without_encodings(),
            &format!("Redis and before, {what}"),
        );
        for others in SHARDS {
            let here = load(others, &file);
            here.assert_same(&loaded, &format!("{others} shards and Redis, {what}"));
        }
    }
}

#[test]
fn dumps_are_restored_by_either() {
    let redis = Oracle::start();
    let servers: Vec<Server> = FEW_SHARDS
        .map(|shards| Server::start(Options::shards(shards)))
        .into();
    let mut theirs = redis.connect();
    let mut ours = servers[0].connect();
    let mut others = servers[1].connect();
    let filled = filled(&mut theirs, 6_000);
    let mut names: Vec<(u16, Vec<u8>)> = filled.0.keys().cloned().collect();
    names.retain(|(database, _)| *database == 0);
    let mut want = filled.without_encodings();
    want.0.retain(|(database, _), _| *database == 0);
    carry(&mut theirs, &mut ours, &names);
    let here = Contents::of(&mut ours);
    here.without_encodings()
        .assert_same(&want, "restored here and dumped by Redis");
    carry(&mut ours, &mut others, &names);
    Contents::of(&mut others).assert_same(&here, "restored here and dumped here");
    theirs.ask("FLUSHALL");
    carry(&mut others, &mut theirs, &names);
    Contents::of(&mut theirs).assert_same(&here, "restored by Redis and dumped here");
}

/// Dumps keys at one end, and restores them at the other.
fn carry(from: &mut Wire, to: &mut Wire, keys: &[(u16, Vec<u8>)]) {
    let ask = |verb: &[u8]| -> Vec<Vec<Vec<u8>>> {
        keys.iter()
            .map(|(_, key)| vec![verb.to_vec(), key.clone()])
            .collect()
    };
    let dumps = pipeline(from, &ask(b"DUMP"));
    let deadlines = pipeline(from, &ask(b"PEXPIRETIME"));
    let restores: Vec<Vec<Vec<u8>>> = std::iter::zip(keys, std::iter::zip(&dumps, &deadlines))
        .map(|((_, key), (dump, deadline))| {
            vec![
                b"RESTORE".to_vec(),
                key.clone(),
                deadline.integer().max(0).to_string().into_bytes(),
                dump.text().to_vec(),
                b"ABSTTL".to_vec(),
            ]
        })
        .collect();
    for (reply, (_, key)) in std::iter::zip(pipeline(to, &restores), keys) {
        assert_eq!(
            reply,
            Value::Simple(b"OK".to_vec()),
            "RESTORE {}",
            key.escape_ascii()
        );
    }
}

#[test]
fn uses_of_keys_are_kept() {
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        let (field, option, values) = match policy {
            "allkeys-lru" => ("IDLETIME", "IDLETIME", ["1000", "100000"]),
            _ => ("FREQ", "FREQ", ["200", "77"]),
        };
        let flags = format!("--maxmemory-policy {policy}");
        let redis = Oracle::start_with(Options::shards(1).flags(&flags));
        let mut wire = redis.connect();
        wire.ask("SET source x");
        let dump = wire.ask("DUMP source").text().to_vec();
        for (key, value) in ["a", "b"].into_iter().zip(values) {
            let words: [&[u8]; 6] = [
                b"RESTORE",
                key.as_bytes(),
                b"0",
                &dump,
                option.as_bytes(),
                value.as_bytes(),
            ];
            assert_eq!(wire.command(&words).text(), b"OK");
        }
        save(&mut wire);
        let check = |server: &Server, what: &str| {
            let mut wire = server.connect();
            for (key, value) in ["a", "b"].into_iter().zip(values) {
                let value: i64 = value.parse().expect("a number");
                let seen = wire.ask(&format!("OBJECT {field} {key}")).integer();
                // The clock goes on.
                assert!(
                    (seen - value).abs() < 60,
                    "{what}: {field} {key} is {seen}, was {value}"
                );
            }
        };
        check(&redis, "Redis");
        let options = Options::shards(2)
            .flags(&flags)
            .file(FILE, &file_of(&redis));
        let server = Server::start(options);
        check(&server, "loaded from Redis");
        save(&mut server.connect());
        let options = Options::shards(1)
            .flags(&flags)
            .file(FILE, &file_of(&server));
        check(&Oracle::start_with(options.clone()), "loaded by Redis");
        check(&Server::start(options), "loaded by one shard");
    }
}
