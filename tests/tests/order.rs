//! Replies come in the order of their commands, whichever shards they come from, in pipelines of
//! any length and cut. And whoever hears of something finds what its author wrote before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::reply::{Value, show};
use tests::server::eventually;
use tests::wire::encode;
use tests::{Options, SEVERAL_SHARDS, SHARDS, Server, Wire};

const KEYS: u32 = 32;
const PIPELINES: usize = 30;
const COMMANDS_MAX: usize = 400;

/// What one connection's own keys hold, to foretell every reply.
struct Model {
    owner: usize,
    random: Rng,
    values: Vec<Option<String>>,
    written: u32,
}

impl Model {
    fn new(owner: usize, seed: u64) -> Model {
        Model {
            owner,
            random: Rng::with_seed(seed),
            values: vec![None; KEYS as usize],
            written: 0,
        }
    }

    fn key(&self, index: usize) -> String {
        format!("{}:{index}", self.owner)
    }

    /// Appends a command, and the reply it must have.
    fn step(&mut self, pipeline: &mut Vec<u8>) -> Vec<u8> {
        let index = self.random.usize(..self.values.len());
        let key = self.key(index);
        match self.random.u8(..12) {
            0..4 => {
                self.written += 1;
                let value = format!("{}.{}", self.owner, self.written);
                encode(&["SET", &key, &value], pipeline);
                self.values[index] = Some(value);
                b"+OK\r\n".to_vec()
            }
            4..8 => {
                encode(&["GET", &key], pipeline);
                bulk(self.values[index].as_deref())
            }
            8 => {
                encode(&["STRLEN", &key], pipeline);
                let length = self.values[index].as_ref().map_or(0, String::len);
                format!(":{length}\r\n").into_bytes()
            }
            9 => {
                let indices: Vec<usize> = (0..4)
                    .map(|_| self.random.usize(..self.values.len()))
                    .collect();
                let mut arguments = vec!["MGET".to_owned()];
                arguments.extend(indices.iter().map(|&index| self.key(index)));
                encode(&arguments, pipeline);
                let values = indices
                    .iter()
                    .map(|&index| bulk(self.values[index].as_deref()));
                [b"*4\r\n".to_vec(), values.collect::<Vec<_>>().concat()].concat()
            }
            10 => {
                encode(&["DEL", &key], pipeline);
                let removed = i32::from(self.values[index].take().is_some());
                format!(":{removed}\r\n").into_bytes()
            }
            _ => {
                self.written += 1;
                let tag = self.written.to_string();
                if self.random.bool() {
                    encode(&["ECHO", &tag], pipeline)
                } else {
                    pipeline.extend_from_slice(format!("ECHO {tag}\r\n").as_bytes())
                }
                bulk(Some(&tag))
            }
        }
    }
}

fn bulk(value: Option<&str>) -> Vec<u8> {
    match value {
        None => b"$-1\r\n".to_vec(),
        Some(value) => format!("${}\r\n{value}\r\n", value.len()).into_bytes(),
    }
}

fn converse(mut wire: Wire, mut model: Model) {
    for _ in 0..PIPELINES {
        let mut pipeline = Vec::new();
        let count = model.random.usize(1..=COMMANDS_MAX);
        let expected: Vec<Vec<u8>> = (0..count).map(|_| model.step(&mut pipeline)).collect();
        let mut rest = pipeline.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(model.random.usize(1..=rest.len()));
            wire.send(piece);
            rest = later;
        }
        for (index, expected) in expected.iter().enumerate() {
            let reply = wire.reply();
            assert!(
                reply == *expected,
                "client {}, reply {index} of {count}: {} instead of {}",
                model.owner,
                show(&reply),
                show(expected)
            );
        }
    }
}

#[test]
fn replies_come_in_order_from_all_shards() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        std::thread::scope(|scope| {
            for client in 0..6 {
                let wire = server.connect();
                scope.spawn(move || converse(wire, Model::new(client, client as u64 + 1)));
            }
        });
    }
}

#[test]
fn a_blocked_command_holds_back_those_behind_it() {
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut blocked, mut other) = (server.connect(), server.connect());
        blocked.send(b"SET before 1\r\nBLPOP list 0\r\nGET before\r\nECHO last\r\n");
        assert_eq!(blocked.reply(), b"+OK\r\n");
        // The pop may not have begun to wait: the element serves it either way.
        assert_eq!(other.ask("RPUSH list x").integer(), 1);
        assert_eq!(blocked.reply(), b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
        assert_eq!(blocked.reply(), b"$1\r\n1\r\n");
        assert_eq!(blocked.reply(), b"$4\r\nlast\r\n");
    }
}

/// What is written together waits for what is under way elsewhere, but not for long.
#[test]
fn a_reply_does_not_wait_for_those_behind_it() {
    const CLIENTS: usize = 16;
    const SOON: Duration = Duration::from_secs(1);
    const SORTED: usize = 1_000_000;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        let began = Instant::now();
        wire.send(b"PING\r\nBLPOP a b c d e f 2\r\n");
        assert_eq!(wire.reply(), b"+PONG\r\n");
        assert!(began.elapsed() < SOON, "with {shards} shards");
        wire.reply();
        if shards == 1 {
            continue;
        }
        // One shard sorts for long, and the others have replies to what came before its own.
        let mut sorter = server.connect();
        sorter.fill_list("a", SORTED);
        let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| server.connect()).collect();
        let sorted = AtomicBool::new(false);
        let answered_soon = std::thread::scope(|scope| {
            sorter.send(b"SORT a ALPHA\r\n");
            for wire in &mut clients {
                wire.send(b"PING\r\nEXISTS a\r\nGET b\r\nGET c\r\nGET d\r\nGET e\r\nGET f\r\n");
            }
            let waits = clients.iter_mut().map(|wire| {
                let sorted = &sorted;
                scope.spawn(move || {
                    assert_eq!(wire.reply(), b"+PONG\r\n");
                    !sorted.load(Ordering::Relaxed)
                })
            });
            let waits: Vec<_> = waits.collect();
            sorter.reply();
            sorted.store(true, Ordering::Relaxed);
            let soon = waits.into_iter().map(|wait| wait.join().expect("a client"));
            soon.filter(|soon| *soon).count()
        });
        assert!(answered_soon > 0, "all waited, with {shards} shards");
    }
}

#[test]
fn a_slow_reader_gets_every_reply() {
    const VALUE_LENGTH: usize = 64 * 1024;
    const READS: usize = 1_000;
    let server = Server::start(Options::shards(2));
    let mut wire = server.connect();
    let value = "v".repeat(VALUE_LENGTH);
    for key in ["a", "b", "c"] {
        wire.command(&["SET", key, &value]);
    }
    // Far more than sockets hold: the server must stop reading or keep the replies, and lose none.
    let mut pipeline = Vec::new();
    for index in 0..READS {
        encode(&["GET", ["a", "b", "c"][index % 3]], &mut pipeline);
        encode(&["ECHO", &index.to_string()], &mut pipeline);
    }
    wire.send(&pipeline);
    for index in 0..READS {
        assert_eq!(wire.reply().len(), VALUE_LENGTH + "$65536\r\n\r\n".len());
        assert_eq!(wire.value().integer(), i64::try_from(index).expect("small"));
    }
}

/// Replies of commands that met a lock come late, while a transaction behind them in the same
/// pipeline is under way: they must not let loose what stands behind that one.
#[test]
fn a_late_reply_does_not_end_the_wait_for_a_transaction() {
    const ROUNDS: usize = 400;
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut wire = server.connect();
                    while !done.load(Ordering::Relaxed) {
                        wire.ask("MSET beta hot gamma hot delta hot mu hot");
                    }
                });
            }
            let mut wire = server.connect();
            let mut failure = None;
            for round in 0..ROUNDS {
                // Nobody else has the keys "alpha" and "kappa", on different shards: their replies
                // are known.
                wire.send(
                    format!(
                        "GET beta\r\nGET gamma\r\nMSET alpha {round} kappa {round}\r\nMGET delta alpha kappa mu\r\n\
                         MULTI\r\nDEL kappa\r\nDEL alpha\r\nEXEC\r\nMGET kappa mu alpha\r\n"
                    )
                    .as_bytes(),
                );
                let replies: Vec<_> = (0..9).map(|_| wire.value()).collect();
                let seen = replies[3].elements().expect("MGET's values");
                let deleted = replies[7].elements().expect("EXEC's replies");
                let gone = replies[8].elements().expect("MGET's values");
                let written = Value::Bulk(round.to_string().into_bytes());
                let right = seen[1] == written
                    && seen[2] == written
                    && deleted == [Value::Integer(1), Value::Integer(1)]
                    && gone[0] == Value::Null("$-1")
                    && gone[2] == Value::Null("$-1");
                if !right {
                    failure = Some(format!("with {shards} shards, round {round}: {replies:?}"));
                    break;
                }
            }
            done.store(true, Ordering::Relaxed);
            assert_eq!(failure, None);
        });
    }
}

/// How the news of what was written before it is told, and heard.
const SIGNALS: [(&str, &str); 19] = [
    ("RPUSH news #", "BLPOP news 0"),
    ("LPUSH news #", "BRPOP news other 0"),
    // Found without waiting.
    ("RPUSH news #", "LPOP news"),
    ("ZADD news # #", "BZPOPMIN news 0"),
    ("XADD news #-1 number #", "XREAD BLOCK 0 STREAMS news @-1"),
    ("XADD news #-1 number #", "XREAD STREAMS other news @-1 @-1"),
    (
        "RPUSH staging #|LMOVE staging news LEFT RIGHT",
        "BLPOP news 0",
    ),
    ("RPUSH staging #|BRPOPLPUSH staging news 0", "BLPOP news 0"),
    ("RPUSH staging #|RENAMENX staging news", "BLPOP news 0"),
    ("RPUSH staging #|SORT staging STORE news", "BRPOP news 0"),
    ("RPUSH staging #|COPY staging news REPLACE", "BRPOP news 0"),
    (
        "ZADD staging # #|ZUNIONSTORE news 1 staging",
        "BZPOPMAX news 0",
    ),
    (
        "ZADD staging # #|ZRANGESTORE news staging -1 -1",
        "BZPOPMAX news 0",
    ),
    ("GEOADD news 1 1 #", "BZPOPMIN news 0"),
    ("ZINCRBY news # #", "BZMPOP 0 1 news MIN"),
    (
        "XADD news #-1 number #",
        "XREAD BLOCK 0 STREAMS none news 0 @-1",
    ),
    ("MULTI|PING|RPUSH news #|EXEC", "BLPOP news 0"),
    ("MULTI|INCR count|RPUSH news #|EXEC", "BLPOP news 0"),
    (
        "MULTI|SET flag #|PUBLISH channel #|EXEC",
        "SUBSCRIBE channel",
    ),
];

/// The last number in what a consumer has heard, if there is one.
fn last_number(value: &Value) -> Option<u32> {
    match value.elements() {
        Some(parts) => parts.iter().rev().find_map(last_number),
        None if matches!(value, Value::Null(_)) => None,
        None => String::from_utf8_lossy(value.text()).parse().ok(),
    }
}

const NEWS: u32 = 150;
/// Keys that are written before.
const DATA: u32 = 24;

/// Locks the data, so that writes of it wait.
fn lock_data(server: &Server, done: &AtomicBool) {
    let mut wire = server.connect();
    let keys: String = (0..DATA).map(|at| format!(" data:{at}")).collect();
    while !done.load(Ordering::Relaxed) {
        for command in ["MGET", "EXISTS", "SDIFF"] {
            wire.ask(&format!("{command}{keys}"));
        }
        wire.ask("DBSIZE");
    }
}

/// Writes a number and tells of it, in one pipeline; the next when that has been answered.
fn tell(server: &Server, how: &str, is_heard: impl Fn() -> bool) {
    let mut wire = server.connect();
    for number in 1..=NEWS {
        let data = number % DATA;
        let told = how.replace('#', &number.to_string()).replace('|', "\r\n");
        let pipeline = format!("SET data:{data} {number}\r\n{told}\r\n");
        wire.send(pipeline.as_bytes());
        for _ in pipeline.lines() {
            wire.value();
        }
        // It goes to a key that must be free again.
        while how.contains("RENAMENX") && is_heard() && wire.ask("EXISTS news").integer() == 1 {}
    }
}

/// Hears of numbers and looks for what was written before. Returns what was not there.
fn hear(ear: &mut Wire, how: &str, wire: &mut Wire) -> Result<(), String> {
    let mut heard = 0;
    while heard < NEWS {
        if !how.starts_with("SUBSCRIBE") {
            ear.send((how.replace('@', &heard.to_string()) + "\r\n").as_bytes());
        }
        let Some(number) = last_number(&ear.value()) else {
            continue;
        };
        heard = number;
        let found = wire.ask(&format!("GET data:{}", number % DATA));
        let found = last_number(&found).unwrap_or_default();
        if found < number {
            return Err(format!("{found} where {number} was told of"));
        }
    }
    Ok(())
}

/// "SET data, PUSH ready" in one pipeline is a habit of Redis's users.
#[test]
fn who_hears_of_it_finds_what_was_written_before() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let (server, done) = (&server, AtomicBool::new(false));
        let failure = std::thread::scope(|scope| {
            scope.spawn(|| lock_data(server, &done));
            let failure = SIGNALS.iter().find_map(|(teller, hearer)| {
                server.connect().ask("FLUSHALL");
                let (mut ear, mut wire) = (server.connect(), server.connect());
                if hearer.starts_with("SUBSCRIBE") {
                    ear.ask(hearer);
                }
                let consumer = scope.spawn(move || hear(&mut ear, hearer, &mut wire));
                tell(server, teller, || !consumer.is_finished());
                let heard = consumer.join().unwrap_or(Err("it panicked".to_owned()));
                let failed = |what| format!("{what}: {teller}, {hearer}, {shards} shards");
                heard.err().map(failed)
            });
            done.store(true, Ordering::Relaxed);
            failure
        });
        assert_eq!(failure, None);
    }
}

/// How a stream goes for which a group's reader waits.
const ENDINGS: [&str; 15] = [
    "DEL news",
    "UNLINK news",
    "DEL nothing news elsewhere",
    "EXPIRE news -1",
    "PEXPIREAT news 1",
    "XGROUP DESTROY news group",
    "RENAME news other",
    "MOVE news 1",
    "SET news text",
    "MSET news text nothing text",
    "SUNIONSTORE news set",
    "BITOP NOT news text",
    "SORT numbers STORE news",
    "COPY text news REPLACE",
    "MULTI|DEL news|EXEC",
];

/// Rounds of each.
const ENDINGS_ROUNDS: u32 = 40;

/// Waits until a reader of `group` waits.
fn until_waiting(wire: &mut Wire) {
    eventually("the reader waits", Duration::from_secs(20), || {
        wire.figure("blocked_clients") == 1
    });
}

/// Writes and ends the stream in one pipeline, again and again. Returns what the reader did not
/// find.
fn end_streams(server: &Server, how: &str) -> Result<(), String> {
    let (mut reader, mut wire) = (server.connect(), server.connect());
    let mut manager = server.connect();
    for round in 1..=ENDINGS_ROUNDS {
        for step in [
            "DEL news other nothing elsewhere",
            "SELECT 1",
            "DEL news",
            "SELECT 0",
            "SET text t",
            "SADD set a",
            "RPUSH numbers 1",
            "XGROUP CREATE news group $ MKSTREAM",
        ] {
            manager.ask(step);
        }
        reader.send(b"XREADGROUP GROUP group me BLOCK 0 STREAMS news >\r\n");
        until_waiting(&mut manager);
        let data = round % DATA;
        let ending = how.replace('|', "\r\n");
        let pipeline = format!("SET data:{data} {round}\r\n{ending}\r\n");
        manager.send(pipeline.as_bytes());
        let heard = reader.reply();
        let found = last_number(&wire.ask(&format!("GET data:{data}"))).unwrap_or_default();
        for _ in pipeline.lines() {
            manager.value();
        }
        if !heard.starts_with(b"-") || found != round {
            return Err(format!("{found} in round {round}, {}", show(&heard)));
        }
    }
    Ok(())
}

/// It hears of the end as of any other news, though such commands need not come behind all that
/// their connection has sent.
#[test]
fn who_hears_that_a_stream_is_gone_finds_what_was_written_before() {
    for shards in SEVERAL_SHARDS {
        let server = Server::start(Options::shards(shards));
        let (server, done) = (&server, AtomicBool::new(false));
        let failure = std::thread::scope(|scope| {
            scope.spawn(|| lock_data(server, &done));
            let failure = ENDINGS.iter().find_map(|how| {
                let ended = end_streams(server, how);
                let failed = |what| format!("{what}: {how}, {shards} shards");
                ended.err().map(failed)
            });
            done.store(true, Ordering::Relaxed);
            failure
        });
        assert_eq!(failure, None);
    }
}
