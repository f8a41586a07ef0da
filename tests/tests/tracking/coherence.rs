//! Caches that go by invalidations are never wrong for long: when all is quiet, what a client has cached is what the server holds.
//!
//! Readers of every mode keep caches as their clients' libraries do, in the order of what they hear: a reply is cached, an invalidation removes.
//! They send pipelines over keys of all shards, so that replies wait for one another. Writers change the keys meanwhile in every way: alone, many
//! at once, in transactions, by time, by renaming, by emptying everything. Then each reader makes sure to have heard everything that was to
//! be told before, and every cached value is compared. An invalidation that is lost, or comes before the reply that it is about, leaves a wrong value
//! behind. Rounds are short and many, for a later change of the same key would hide it.
//!
//! Variables: `PERCORE_SEED` begins elsewhere, `PERCORE_ROUNDS` for each server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tests::reply::Value;
use tests::server::eventually;
use tests::wire::encode;
use tests::{Options, Oracle, SHARDS, Server, Wire};

use crate::invalidated;

const ROUNDS: u64 = 24;
const KEYS: usize = 12;
const WRITERS: usize = 3;
const CHANGES: usize = 40;
/// Most commands that are sent together.
const TOGETHER_MAX: usize = 12;
/// Keys over all shards by which a reader knows that it has heard everything.
const LAST_KEYS: usize = 16;
const QUIET_TIME_MAX: Duration = Duration::from_secs(20);

fn variable(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// How a reader tracks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Reads,
    OptIn,
    OptOut,
    NoLoop,
    Broadcast,
    BroadcastNoLoop,
    /// Another connection hears, in this version of RESP.
    Redirect(u8),
}

const MODES: [Mode; 8] = [
    Mode::Reads,
    Mode::OptIn,
    Mode::OptOut,
    Mode::NoLoop,
    Mode::Broadcast,
    Mode::BroadcastNoLoop,
    Mode::Redirect(2),
    Mode::Redirect(3),
];

/// What a cache knows of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Known {
    /// It was asked for, by the question with this number: the answer may be cached if nothing comes between.
    Asked(u64),
    /// Nothing where there is no such key.
    Value(Option<Vec<u8>>),
}

#[derive(Default)]
struct Cache {
    known: BTreeMap<String, Known>,
    /// Of the last keys, those that were not heard of yet.
    awaited: BTreeSet<String>,
}

impl Cache {
    fn hear(&mut self, keys: Option<Vec<Vec<u8>>>) {
        let Some(keys) = keys else {
            return self.known.clear();
        };
        for key in keys {
            let key = String::from_utf8(key).expect("a key");
            self.known.remove(&key);
            self.awaited.remove(&key);
        }
    }
}

/// A command of a reader, and the keys whose values its reply has.
struct Question {
    number: u64,
    keys: Vec<String>,
    /// Its reply is not to be cached: the server does not track it.
    untracked: bool,
    /// The reply is that of EXEC, behind others.
    skipped_replies: usize,
    /// It writes this key, and reads none unless it is a transaction.
    writes: Option<String>,
}

struct Reader {
    mode: Mode,
    wire: Wire,
    cache: Arc<Mutex<Cache>>,
    /// Hears in its place until the other end is closed.
    listener: Option<std::thread::JoinHandle<()>>,
    random: Rng,
    asked: u64,
}

impl Reader {
    fn new(server: &Server, mode: Mode, random: Rng) -> Reader {
        let cache = Arc::default();
        let mut wire = server.connect();
        wire.ask("HELLO 3");
        let (how, listener) = match mode {
            Mode::Reads => (String::new(), None),
            Mode::OptIn => ("OPTIN".into(), None),
            Mode::OptOut => ("OPTOUT".into(), None),
            Mode::NoLoop => ("NOLOOP".into(), None),
            Mode::Broadcast => ("BCAST PREFIX key: PREFIX last:".into(), None),
            Mode::BroadcastNoLoop => ("BCAST NOLOOP".into(), None),
            Mode::Redirect(version) => {
                let (id, listener) = listen(server, version, Arc::clone(&cache));
                (format!("REDIRECT {id}"), Some(listener))
            }
        };
        let reply = wire.ask(&format!("CLIENT TRACKING ON {how}"));
        assert_eq!(reply, Value::Simple(b"OK".to_vec()), "{mode:?}");
        Reader {
            mode,
            wire,
            cache,
            listener,
            random,
            asked: 0,
        }
    }

    /// The next thing that is no invalidation.
    fn reply(&mut self) -> Value {
        loop {
            let value = self.wire.value();
            match invalidated(&value) {
                Some(keys) => self.cache.lock().expect("a cache").hear(keys),
                None => return value,
            }
        }
    }

    /// Some commands at once, and their replies.
    fn read(&mut self) {
        let mut pipeline = Vec::new();
        let mut questions = Vec::new();
        for _ in 0..self.random.usize(1..=TOGETHER_MAX) {
            let question = self.ask(&mut pipeline);
            questions.push(question);
        }
        self.wire.send(&pipeline);
        for question in questions {
            for _ in 0..question.skipped_replies {
                self.reply();
            }
            let reply = self.reply();
            self.learn(&question, &reply);
        }
    }

    /// A key to ask for: rarely one that is cached, for asking again would hide what is wrong.
    fn key(&mut self) -> String {
        const TRIES: usize = 8;
        let cache = self.cache.lock().expect("a cache");
        let mut found = key(&mut self.random);
        for _ in 0..TRIES {
            if !matches!(cache.known.get(&found), Some(Known::Value(_))) {
                break;
            }
            found = key(&mut self.random);
        }
        found
    }

    fn ask(&mut self, pipeline: &mut Vec<u8>) -> Question {
        self.asked += 1;
        let is_request = matches!(self.mode, Mode::OptIn | Mode::OptOut) && self.random.bool();
        let mut question = Question {
            number: self.asked,
            keys: vec![self.key()],
            untracked: match self.mode {
                Mode::OptIn => !is_request,
                Mode::OptOut => is_request,
                _ => false,
            },
            skipped_replies: 0,
            writes: None,
        };
        if is_request {
            let answer = if self.mode == Mode::OptIn {
                "YES"
            } else {
                "NO"
            };
            encode(&["CLIENT", "CACHING", answer], pipeline);
            question.skipped_replies += 1;
        }
        let value = self.random.u32(..).to_string();
        match self.random.u8(..9) {
            0 => {
                let more = self.random.usize(1..4);
                let more: Vec<String> = (0..more).map(|_| self.key()).collect();
                question.keys.extend(more);
                let words = ["MGET"]
                    .into_iter()
                    .chain(question.keys.iter().map(String::as_str));
                encode(&words.collect::<Vec<_>>(), pipeline);
            }
            1 => {
                let other = self.key();
                question.keys.push(other);
                encode(&["MULTI"], pipeline);
                for key in &question.keys {
                    encode(&["GET", key], pipeline);
                }
                question.skipped_replies += 1 + question.keys.len();
                if self.random.bool() {
                    // Behind the reads: what it reads is older.
                    let written = key(&mut self.random);
                    encode(&["SET", &written, &value], pipeline);
                    question.skipped_replies += 1;
                    question.writes = Some(written);
                }
                encode(&["EXEC"], pipeline);
            }
            2 => {
                encode(&["SET", &question.keys[0], &value], pipeline);
                question.writes = question.keys.pop();
                return question;
            }
            _ => encode(&["GET", &question.keys[0]], pipeline),
        }
        if !question.untracked {
            let mut cache = self.cache.lock().expect("a cache");
            for key in &question.keys {
                cache
                    .known
                    .insert(key.clone(), Known::Asked(question.number));
            }
        }
        question
    }

    fn learn(&mut self, question: &Question, reply: &Value) {
        let cache = &mut self.cache.lock().expect("a cache");
        if !question.untracked && !question.keys.is_empty() {
            let values = match reply {
                Value::Array(values) => values.clone(),
                value => vec![value.clone()],
            };
            self.keep(cache, question, values);
        }
        if let Some(key) = &question.writes
            && matches!(self.mode, Mode::NoLoop | Mode::BroadcastNoLoop)
        {
            // Its own change is not told.
            cache.known.remove(key);
        }
    }

    fn keep(&self, cache: &mut Cache, question: &Question, values: Vec<Value>) {
        for (key, value) in std::iter::zip(&question.keys, values) {
            // Who hears on the connection on which it reads needs no care: what it hears before the reply is older.
            let may_cache = match self.mode {
                Mode::Redirect(_) => cache.known.get(key) == Some(&Known::Asked(question.number)),
                _ => true,
            };
            if may_cache {
                let value = match value {
                    Value::Null(_) => None,
                    value => Some(value.text().to_vec()),
                };
                cache.known.insert(key.clone(), Known::Value(value));
            }
        }
    }

    /// Reads the last keys, so that it hears when they change, behind everything else.
    fn await_last(&mut self) {
        let last: Vec<String> = (0..LAST_KEYS).map(|at| format!("last:{at}")).collect();
        self.cache.lock().expect("a cache").awaited = last.iter().cloned().collect();
        if self.mode == Mode::OptIn {
            self.wire.send(b"CLIENT CACHING YES\r\n");
            self.reply();
        }
        let words = ["MGET"].into_iter().chain(last.iter().map(String::as_str));
        self.wire.send_command(&words.collect::<Vec<_>>());
        self.reply();
    }

    fn hear_last(&mut self) {
        let cache = Arc::clone(&self.cache);
        let missing = || cache.lock().expect("a cache").awaited.len();
        if self.listener.is_some() {
            return eventually("everything is heard", QUIET_TIME_MAX, || missing() == 0);
        }
        while missing() > 0 {
            let value = self.wire.value();
            let keys = invalidated(&value).unwrap_or_else(|| panic!("{value:?}"));
            self.cache.lock().expect("a cache").hear(keys);
        }
    }
}

/// Another connection that hears. Returns its id.
fn listen(
    server: &Server,
    version: u8,
    cache: Arc<Mutex<Cache>>,
) -> (i64, std::thread::JoinHandle<()>) {
    let mut wire = server.connect();
    let id = wire.ask("CLIENT ID").integer();
    wire.ask(&format!("HELLO {version}"));
    if version == 2 {
        wire.ask("SUBSCRIBE __redis__:invalidate");
    }
    let hear = move || {
        while let Ok(Some(message)) = wire.try_reply() {
            let keys = invalidated(&Value::parse(&message));
            cache
                .lock()
                .expect("a cache")
                .hear(keys.expect("an invalidation"));
        }
    };
    (id, std::thread::spawn(hear))
}

fn key(random: &mut Rng) -> String {
    format!("key:{}", random.usize(..KEYS))
}

/// What writers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    All,
    /// All but what Redis does not tell caches of (see `own_ways`): databases that are exchanged.
    ToldByRedis,
}

/// Some change of some keys. Returns how many replies it has.
fn change(changes: Changes, random: &mut Rng, pipeline: &mut Vec<u8>) -> usize {
    let (one, two, three) = (key(random), key(random), key(random));
    let value = random.u32(..).to_string();
    let time = random.u32(1..20).to_string();
    let mut send = |words: &[&str]| encode(words, pipeline);
    let kinds = if changes == Changes::All { 40 } else { 39 };
    match random.u8(..kinds) {
        0..10 => send(&["SET", &one, &value]),
        10..13 => send(&["SET", &one, &value, "PX", &time]),
        13..16 => send(&["DEL", &one, &two]),
        16..18 => send(&["APPEND", &one, "x"]),
        18..20 => send(&["GETDEL", &one]),
        20..25 => send(&["MSET", &one, &value, &two, &value, &three, &value]),
        25..28 => send(&["RENAME", &one, &two]),
        28..30 => send(&["COPY", &one, &two, "REPLACE"]),
        30 => send(&["PEXPIRE", &one, &time]),
        31 => send(&["MOVE", &one, "1"]),
        32 => send(&["MSETNX", &one, &value, &two, &value]),
        33..38 => {
            send(&["MULTI"]);
            send(&["SET", &one, &value]);
            send(&["DEL", &two]);
            send(&["SET", &three, &value]);
            send(&["EXEC"]);
            return 5;
        }
        38 => send(&["FLUSHALL"]),
        _ => send(&["SWAPDB", "0", "1"]),
    }
    1
}

fn write(server: &Server, changes: Changes, mut random: Rng, start: &Barrier) {
    let mut wire = server.connect();
    start.wait();
    let mut left = CHANGES;
    while left > 0 {
        let together = random.usize(1..=4).min(left);
        left -= together;
        let mut pipeline = Vec::new();
        let replies: usize = (0..together)
            .map(|_| change(changes, &mut random, &mut pipeline))
            .sum();
        wire.send(&pipeline);
        (0..replies).for_each(|_| drop(wire.reply()));
    }
}

fn round(server: &Server, changes: Changes, control: &mut Wire, readers: &mut [Reader], seed: u64) {
    control.ask("FLUSHALL");
    let mut random = Rng::with_seed(seed);
    let start = Barrier::new(WRITERS + readers.len());
    let (quiet, ready) = (AtomicBool::new(false), AtomicUsize::new(0));
    let all = readers.len();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (random, start) = (random.fork(), &start);
                scope.spawn(move || write(server, changes, random, start))
            })
            .collect();
        for reader in readers.iter_mut() {
            reader.random = random.fork();
            let (start, quiet, ready) = (&start, &quiet, &ready);
            scope.spawn(move || {
                start.wait();
                while !quiet.load(Ordering::Relaxed) {
                    reader.read();
                }
                reader.await_last();
                ready.fetch_add(1, Ordering::Relaxed);
                reader.hear_last();
            });
        }
        writers
            .into_iter()
            .for_each(|it| it.join().expect("a writer"));
        // Only now keys whose time has come are sure to be gone.
        for number in 0..KEYS {
            eventually("its time comes", QUIET_TIME_MAX, || {
                control.ask(&format!("PTTL key:{number}")).integer() < 0
            });
        }
        quiet.store(true, Ordering::Relaxed);
        eventually("all readers wait for the last keys", QUIET_TIME_MAX, || {
            ready.load(Ordering::Relaxed) == all
        });
        for at in 0..LAST_KEYS {
            control.ask(&format!("SET last:{at} {seed}"));
        }
    });
    for number in 0..KEYS {
        let key = format!("key:{number}");
        let there = match control.command(&["GET", &key]) {
            Value::Null(_) => None,
            value => Some(value.text().to_vec()),
        };
        for reader in readers.iter() {
            let cache = reader.cache.lock().expect("a cache");
            if let Some(Known::Value(cached)) = cache.known.get(&key) {
                assert!(
                    *cached == there,
                    "seed {seed}, {:?}: {key} is cached as {cached:?} and holds {there:?}",
                    reader.mode
                );
            }
        }
    }
}

fn hold(server: &Server, changes: Changes, rounds: u64) {
    let first = variable("PERCORE_SEED", 1);
    let mut control = server.connect();
    let mut random = Rng::with_seed(first);
    let mut readers: Vec<Reader> = MODES
        .into_iter()
        .map(|mode| Reader::new(server, mode, random.fork()))
        .collect();
    for seed in first..first + rounds {
        round(server, changes, &mut control, &mut readers, seed);
    }
    let listeners: Vec<_> = readers
        .iter_mut()
        .filter_map(|it| it.listener.take())
        .collect();
    drop(readers);
    control.ask("CLIENT KILL TYPE normal");
    control.ask("CLIENT KILL TYPE pubsub");
    listeners
        .into_iter()
        .for_each(|it| it.join().expect("a listener"));
}

#[test]
fn caches_hold_what_the_server_holds() {
    let rounds = variable("PERCORE_ROUNDS", ROUNDS);
    for shards in SHARDS {
        let server = Server::start(Options::shards(shards));
        hold(&server, Changes::All, rounds);
    }
}

/// Replies wait for the disk here, and invalidations must not come before them.
#[test]
fn caches_hold_it_when_everything_waits_for_the_disk() {
    let rounds = variable("PERCORE_ROUNDS", ROUNDS / 2);
    for shards in SHARDS {
        let flags = "--appendonly yes --appendfsync always";
        let server = Server::start(Options::shards(shards).flags(flags));
        hold(&server, Changes::All, rounds);
    }
}

/// The checker itself: what it asks for, Redis does.
#[test]
fn caches_hold_what_redis_holds() {
    let rounds = variable("PERCORE_ROUNDS", ROUNDS);
    hold(&Oracle::start(), Changes::ToldByRedis, rounds);
}
