//! Clients that wait, while everything goes on that may come between them and an element: timeouts,
//! kills, hang-ups, CLIENT UNBLOCK, transactions, moves between databases, snapshots. At the end
//! every element is accounted for.
//!
//! `PERCORE_ELEMENTS=N` makes the long test push so many, with each number of shards or with
//! `PERCORE_SHARDS=N`; `PERCORE_SEED` begins elsewhere.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::reply::Value;
use tests::server::eventually;
use tests::{MANY_SHARDS, Options, Server, Wire};

const ELEMENTS: usize = 1_500;
const PRODUCERS: usize = 3;
/// Consumers of each kind.
const CONSUMERS: usize = 3;
const QUIET_TIME_MAX: Duration = Duration::from_secs(20);

/// Spread over all shards; some share one.
const LISTS: [&str; 7] = [
    "alpha", "beta", "gamma", "delta", "epsilon", "{alpha}2", "{beta}2",
];
const ZSETS: [&str; 3] = ["zset:1", "zset:2", "{zset:1}3"];
const STREAMS: [&str; 3] = ["stream:1", "stream:2", "{stream:1}3"];

/// What a consumer waits with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Takes elements out.
    Pop,
    /// Moves them to a list of its own, where they are found whatever becomes of the reply.
    Move,
    PopOfZset,
    /// Reads for a group, which remembers who was given what.
    Read,
}

const KINDS: [Kind; 4] = [Kind::Pop, Kind::Move, Kind::PopOfZset, Kind::Read];

/// What all threads share.
struct Run<'s> {
    server: &'s Server,
    elements: usize,
    /// Keys are flushed, evicted and expire, and any client may be killed: elements go, but none
    /// comes twice, and nobody waits beside one.
    lossy: bool,
    /// The number of the next element.
    next: AtomicUsize,
    /// Elements that somebody was given.
    taken: Mutex<Vec<usize>>,
    /// Producers at work.
    producing: AtomicUsize,
    /// Consumers wait for any list without end, and take what is left.
    rests: AtomicBool,
    over: AtomicBool,
    /// The consumers' connections.
    ids: Vec<AtomicI64>,
}

fn words<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

fn some_of<'k>(random: &mut Rng, keys: &[&'k str]) -> Vec<&'k str> {
    let mut keys = keys.to_vec();
    random.shuffle(&mut keys);
    keys.truncate(random.usize(1..=keys.len()));
    keys
}

fn number(value: &Value) -> usize {
    usize::try_from(value.integer()).expect("an element's number")
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Up to so many new elements.
    fn new_elements(&self, most: usize) -> Vec<String> {
        let first = self.next.fetch_add(most, Ordering::Relaxed);
        let all = first..(first + most).min(self.elements);
        all.map(|number| number.to_string()).collect()
    }

    fn produce(&self, seed: u64) {
        let mut wire = self.server.connect();
        let mut random = Rng::with_seed(seed);
        let staging = ["list", "zset"].map(|name| format!("staging:{name}:{seed}"));
        loop {
            let new = self.new_elements(random.usize(1..=3));
            if new.is_empty() {
                self.producing.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            let list = LISTS[random.usize(..LISTS.len())];
            match random.u8(..12) {
                0..3 => wire.command(&words(&[&["RPUSH", list], &new])),
                3 => wire.command(&words(&[&["LPUSH", list], &new])),
                4 => {
                    wire.ask("MULTI");
                    for element in new {
                        wire.command(&["RPUSH", LISTS[random.usize(..LISTS.len())], element]);
                    }
                    wire.ask("EXEC")
                }
                5 | 6 => {
                    let zset = ZSETS[random.usize(..ZSETS.len())];
                    let scored = new.iter().flat_map(|element| [*element, *element]);
                    wire.command(&words(&[&["ZADD", zset], &scored.collect::<Vec<_>>()]))
                }
                7 | 8 => {
                    let stream = STREAMS[random.usize(..STREAMS.len())];
                    for element in new {
                        wire.command(&["XADD", stream, "*", "element", element]);
                    }
                    continue;
                }
                9 => {
                    let zset = ZSETS[random.usize(..ZSETS.len())];
                    let scored = new.iter().flat_map(|element| [*element, *element]);
                    wire.command(&words(&[
                        &["ZADD", &staging[1]],
                        &scored.collect::<Vec<_>>(),
                    ]));
                    self.bring(&mut wire, &staging[1], zset, 4 + random.usize(..3))
                }
                _ => {
                    wire.command(&words(&[&["RPUSH", &staging[0]], &new]));
                    self.bring(&mut wire, &staging[0], list, random.usize(..7))
                }
            };
        }
    }

    /// Brings a whole value to where somebody may wait, in one of many ways, unless there is
    /// something already.
    fn bring(&self, wire: &mut Wire, staging: &str, key: &str, way: usize) -> Value {
        match way {
            0 => return wire.command(&["LMOVE", staging, key, "LEFT", "RIGHT"]),
            4 => return wire.command(&["RENAMENX", staging, key]),
            _ => {}
        }
        wire.command(&["WATCH", staging, key]);
        let dumped = wire.command(&["DUMP", staging]);
        let is_free = wire.command(&["EXISTS", key]) == Value::Integer(0);
        let Value::Bulk(dumped) = dumped else {
            return wire.ask("UNWATCH");
        };
        if !is_free {
            return wire.ask("UNWATCH");
        }
        wire.ask("MULTI");
        match way {
            1 => wire.command(&["SORT", staging, "BY", "nosort", "STORE", key]),
            2 => wire.command(&["SORT", staging, "STORE", key]),
            5 => wire.command(&["COPY", staging, key]),
            6 => wire.command(&[
                b"RESTORE".as_slice(),
                key.as_bytes(),
                b"0".as_slice(),
                &dumped,
            ]),
            _ => wire.command(&["RENAME", staging, key]),
        };
        wire.command(&["DEL", staging]);
        wire.ask("EXEC")
    }

    /// A command that waits, and how many elements it takes at most.
    fn wait(&self, kind: Kind, place: usize, random: &mut Rng) -> Vec<String> {
        let rests = self.rests.load(Ordering::Relaxed);
        let time = ["0", "0", "0.001", "0.004", "0.03"][random.usize(..5)];
        let time = if rests { "0" } else { time };
        let pick = |random: &mut Rng, keys: &[&'static str]| {
            if rests {
                keys.to_vec()
            } else {
                some_of(random, keys)
            }
        };
        let command = match kind {
            Kind::Pop => {
                let keys = pick(random, &LISTS);
                let count = keys.len().to_string();
                match random.u8(..3) {
                    0 => words(&[&["BLPOP"], &keys, &[time]]).join(" "),
                    1 => words(&[&["BRPOP"], &keys, &[time]]).join(" "),
                    _ => words(&[&["BLMPOP", time, &count], &keys, &["LEFT", "COUNT", "2"]])
                        .join(" "),
                }
            }
            Kind::Move => {
                let from = LISTS[random.usize(..LISTS.len())];
                let own = format!("own:{place}");
                if random.bool() {
                    format!("BLMOVE {from} {own} LEFT RIGHT {time}")
                } else {
                    format!("BRPOPLPUSH {from} {own} {time}")
                }
            }
            Kind::PopOfZset => {
                let keys = pick(random, &ZSETS);
                let count = keys.len().to_string();
                match random.u8(..3) {
                    0 => words(&[&["BZPOPMIN"], &keys, &[time]]).join(" "),
                    1 => words(&[&["BZPOPMAX"], &keys, &[time]]).join(" "),
                    _ => words(&[&["BZMPOP", time, &count], &keys, &["MIN"]]).join(" "),
                }
            }
            Kind::Read => {
                let keys = pick(random, &STREAMS);
                let ms = (time.parse::<f64>().expect("seconds") * 1_000.0).to_string();
                let new = vec![">"; keys.len()];
                let reader = format!("reader:{place}");
                words(&[
                    &["XREADGROUP", "GROUP", "g", &reader, "BLOCK", &ms, "STREAMS"],
                    &keys,
                    &new,
                ])
                .join(" ")
            }
        };
        command.split(' ').map(str::to_owned).collect()
    }

    fn consume(&self, kind: Kind, place: usize, seed: u64) {
        let mut random = Rng::with_seed(seed);
        let mut wire = None;
        while !self.is_over() {
            let wire = match &mut wire {
                Some(wire) => wire,
                none => {
                    let wire = none.insert(self.server.connect());
                    let id = wire.ask("CLIENT ID").integer();
                    self.ids[place].store(id, Ordering::Relaxed);
                    wire
                }
            };
            let command = self.wait(kind, place, &mut random);
            wire.send_command(&command);
            if self.may_be_lost(kind) && random.u8(..10) == 0 {
                // Hangs up at some moment, with or without notice.
                std::thread::sleep(Duration::from_micros(random.u64(..2_000)));
                if random.bool() {
                    wire.finish_sending();
                    wire.until_closed();
                }
                *wire = self.server.connect();
                let id = wire.ask("CLIENT ID").integer();
                self.ids[place].store(id, Ordering::Relaxed);
                continue;
            }
            match wire.try_reply() {
                Ok(Some(reply)) => self.note(kind, &Value::parse(&reply)),
                // Killed.
                _ => {
                    assert!(self.may_be_lost(kind), "{command:?}: the connection closed");
                    *wire = self.server.connect();
                    let id = wire.ask("CLIENT ID").integer();
                    self.ids[place].store(id, Ordering::Relaxed);
                }
            }
        }
    }

    fn note(&self, kind: Kind, reply: &Value) {
        let taken: Vec<usize> = match reply {
            Value::Null(_) => return,
            Value::Error(text) => {
                let is_expected = text.starts_with(b"UNBLOCKED")
                    || self.lossy && (text.starts_with(b"NOGROUP") || text.starts_with(b"OOM"));
                assert!(is_expected, "{reply:?}");
                return;
            }
            _ if matches!(kind, Kind::Move | Kind::Read) => return,
            // BLMPOP and BZMPOP: a list within; of a scored set each element with its score.
            Value::Array(parts) => match (&parts[1], kind) {
                (Value::Array(all), Kind::Pop) => all.iter().map(number).collect(),
                (Value::Array(all), _) => all
                    .iter()
                    .map(|pair| number(&pair.elements().expect("a pair")[0]))
                    .collect(),
                (one, _) => vec![number(one)],
            },
            other => panic!("{other:?}"),
        };
        self.taken.lock().expect("no panic").extend(taken);
    }

    /// Ends waits and connections.
    fn disturb_clients(&self, seed: u64) {
        let mut wire = self.server.connect();
        let mut random = Rng::with_seed(seed);
        while !self.is_over() {
            let place = random.usize(..self.ids.len());
            let id = self.ids[place].load(Ordering::Relaxed);
            let kind = KINDS[place % KINDS.len()];
            match random.u8(..6) {
                0 | 1 => wire.ask(&format!("CLIENT UNBLOCK {id} TIMEOUT")),
                2 => wire.ask(&format!("CLIENT UNBLOCK {id} ERROR")),
                3 if self.may_be_lost(kind) && self.producing.load(Ordering::Relaxed) > 0 => {
                    wire.ask(&format!("CLIENT KILL ID {id}"))
                }
                4 => {
                    wire.ask("MULTI");
                    for key in LISTS {
                        wire.command(&["LLEN", key]);
                    }
                    wire.command(&["CLIENT", "UNBLOCK", &id.to_string()]);
                    wire.ask("EXEC")
                }
                _ => wire.command(&words(&[&["EXISTS"], &LISTS])),
            };
            std::thread::sleep(Duration::from_micros(random.u64(..3_000)));
        }
    }

    /// Whether a consumer may be killed: nothing is lost with its reply, or that does not matter.
    fn may_be_lost(&self, kind: Kind) -> bool {
        self.lossy || matches!(kind, Kind::Move | Kind::Read)
    }

    /// Touches everything at once. DEBUG RELOAD and BGSAVE write the same file, in Redis too, so it
    /// is the one or the other.
    fn disturb_data(&self, seed: u64) {
        let mut wire = self.server.connect();
        let mut random = Rng::with_seed(seed);
        while self.producing.load(Ordering::Relaxed) > 0 {
            match random.u8(..12) {
                0 if seed % 2 == 1 => wire.ask("DEBUG RELOAD"),
                1 if seed.is_multiple_of(2) => wire.ask("BGSAVE"),
                2 => wire.ask("DBSIZE"),
                3 => wire.ask("KEYS *"),
                4 | 5 => {
                    wire.ask("SWAPDB 0 1");
                    wire.ask("SWAPDB 0 1")
                }
                6 => wire.command(&["PEXPIRE", LISTS[random.usize(..LISTS.len())], "100000"]),
                7 => wire.command(&["PERSIST", LISTS[random.usize(..LISTS.len())]]),
                8 if self.lossy => wire.ask(["FLUSHALL", "FLUSHDB"][random.usize(..2)]),
                9 if self.lossy => {
                    wire.command(&["PEXPIRE", LISTS[random.usize(..LISTS.len())], "1"]);
                    wire.command(&["PEXPIRE", ZSETS[random.usize(..ZSETS.len())], "1"]);
                    wire.command(&["PEXPIRE", STREAMS[random.usize(..STREAMS.len())], "1"])
                }
                10 if self.lossy => {
                    let filler = "x".repeat(300_000);
                    wire.command(&["SET", &format!("filler:{}", random.u8(..)), &filler])
                }
                11 if self.lossy => {
                    let stream = STREAMS[random.usize(..STREAMS.len())];
                    wire.command(&["XGROUP", "CREATE", stream, "g", "$", "MKSTREAM"])
                }
                _ => wire.command(&["OBJECT", "ENCODING", LISTS[random.usize(..LISTS.len())]]),
            };
            std::thread::sleep(Duration::from_micros(random.u64(..10_000)));
        }
    }
}

/// What is left in the lists and scored sets of the selected database.
fn left(wire: &mut Wire) -> Vec<usize> {
    let mut all = Vec::new();
    let keys = wire.ask("KEYS *").elements().expect("keys");
    for key in keys {
        let key = key.text();
        let kind = wire.command(&[b"TYPE", key]);
        let elements = match kind.text() {
            b"list" => wire.command(&[b"LRANGE".as_slice(), key, b"0", b"-1"]),
            b"zset" => wire.command(&[b"ZRANGE".as_slice(), key, b"0", b"-1"]),
            _ => continue,
        };
        all.extend(elements.elements().expect("elements").iter().map(number));
    }
    all
}

/// The elements of a stream's entries, as XREADGROUP and XRANGE tell them.
fn of_entries(entries: &Value) -> Vec<usize> {
    let element = |entry: &Value| {
        let fields = entry.elements().expect("an entry")[1].clone();
        number(&fields.elements().expect("fields")[1])
    };
    let entries = entries.elements().unwrap_or_default();
    entries.iter().map(element).collect()
}

/// Every entry of the streams was given to one reader, or to nobody.
fn of_streams(wire: &mut Wire, readers: usize) -> Vec<usize> {
    let mut all = Vec::new();
    for stream in STREAMS {
        let mut given: Vec<usize> = Vec::new();
        for reader in 0..readers {
            let command = format!("XREADGROUP GROUP g reader:{reader} STREAMS {stream} 0");
            if let Some(streams) = wire.ask(&command).elements() {
                given.extend(of_entries(&streams[0].elements().expect("a stream")[1]));
            }
        }
        let rest = wire.ask(&format!("XREADGROUP GROUP g rest STREAMS {stream} >"));
        if let Some(streams) = rest.elements() {
            given.extend(of_entries(&streams[0].elements().expect("a stream")[1]));
        }
        let mut entries = of_entries(&wire.ask(&format!("XRANGE {stream} - +")));
        entries.sort_unstable();
        given.sort_unstable();
        assert_eq!(given, entries, "of {stream}");
        all.extend(entries);
    }
    all
}

fn run(shards: u16, elements: usize, seed: u64, lossy: bool) {
    let mut options = Options::shards(shards).flags("--enable-debug-command yes");
    if lossy {
        options = options.flags("--maxmemory 24mb --maxmemory-policy allkeys-random");
    }
    let server = Server::start(options);
    let places = KINDS.len() * CONSUMERS;
    let run = Run {
        server: &server,
        elements,
        lossy,
        next: AtomicUsize::new(0),
        taken: Mutex::default(),
        producing: AtomicUsize::new(PRODUCERS),
        rests: AtomicBool::new(false),
        over: AtomicBool::new(false),
        ids: (0..places).map(|_| AtomicI64::new(0)).collect(),
    };
    let mut wire = server.connect();
    for db in ["SELECT 1", "SELECT 0"] {
        wire.ask(db);
        for stream in STREAMS {
            let created = wire.command(&["XGROUP", "CREATE", stream, "g", "$", "MKSTREAM"]);
            assert_eq!(created, Value::Simple(b"OK".to_vec()), "{stream} {db}");
        }
    }
    std::thread::scope(|scope| {
        let run = &run;
        for place in 0..places {
            let kind = KINDS[place % KINDS.len()];
            scope.spawn(move || run.consume(kind, place, seed * 100 + place as u64));
        }
        for producer in 0..PRODUCERS {
            scope.spawn(move || run.produce(seed * 100 + 50 + producer as u64));
        }
        scope.spawn(move || run.disturb_clients(seed * 100 + 60));
        scope
            .spawn(move || run.disturb_data(seed))
            .join()
            .expect("it ends with the producers");
        // Nobody sleeps beside an element: those who wait for all lists empty them.
        run.rests.store(true, Ordering::Relaxed);
        let exist = words(&[&["EXISTS"], &LISTS, &ZSETS]);
        eventually("all is taken", QUIET_TIME_MAX, || {
            wire.command(&exist) == Value::Integer(0)
        });
        run.over.store(true, Ordering::Relaxed);
        // Whoever is not waiting yet will see that it is over, or wait and be woken by the next
        // look.
        eventually("nobody waits", QUIET_TIME_MAX, || {
            for id in &run.ids {
                let id = id.load(Ordering::Relaxed);
                wire.ask(&format!("CLIENT UNBLOCK {id}"));
            }
            wire.blocked_clients() == 0
        });
    });
    eventually("all have gone", QUIET_TIME_MAX, || {
        wire.info("clients").number::<i64>("connected_clients") == 1
    });
    assert_eq!(wire.blocked_clients(), 0);
    let mut all = run.taken.into_inner().expect("no panic");
    for db in ["SELECT 1", "SELECT 0"] {
        wire.ask(db);
        all.extend(left(&mut wire));
        if !lossy {
            all.extend(of_streams(&mut wire, places));
        }
    }
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for element in all {
        *times.entry(element).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(
        twice.is_empty(),
        "more than once with {shards} shards and seed {seed}: {twice:?}"
    );
    let lost: Vec<usize> = (0..elements).filter(|it| !times.contains_key(it)).collect();
    assert!(
        lossy || lost.is_empty(),
        "lost with {shards} shards and seed {seed}: {lost:?}"
    );
    // What comes now is nobody's, and nothing has to make room for it.
    wire.ask("CONFIG SET maxmemory 0");
    for key in LISTS {
        wire.command(&["RPUSH", key, "last"]);
        assert_eq!(wire.command(&["LLEN", key]), Value::Integer(1), "of {key}");
    }
}

fn run_all(lossy: bool) {
    let variable = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse::<usize>()
                .unwrap_or_else(|_| panic!("{name} is a number")),
        )
    };
    let elements = variable("PERCORE_ELEMENTS").unwrap_or(ELEMENTS);
    let seed = variable("PERCORE_SEED").unwrap_or(1) as u64;
    match variable("PERCORE_SHARDS") {
        Some(shards) => run(shards as u16, elements, seed, lossy),
        None => MANY_SHARDS
            .into_iter()
            .for_each(|shards| run(shards, elements, seed, lossy)),
    }
}

#[test]
fn every_element_is_accounted_for() {
    run_all(false);
}

#[test]
fn whatever_goes_nothing_comes_twice_and_nobody_sleeps_on() {
    run_all(true);
}

/// Once CLIENT KILL or UNBLOCK has answered, its victim gets nothing any more.
#[test]
fn whoever_was_killed_or_unblocked_takes_nothing() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for round in 0..120 {
            let key = LISTS[round % LISTS.len()];
            let mut waiter = server.connect();
            let id = waiter.ask("CLIENT ID").integer();
            let command = match round % 3 {
                0 => format!("BLPOP {key} 0"),
                1 => format!("BLPOP {key} elsewhere another 0"),
                _ => format!("BLMOVE {key} elsewhere LEFT LEFT 0"),
            };
            waiter.send(format!("{command}\r\n").as_bytes());
            eventually("it waits", QUIET_TIME_MAX, || wire.blocked_clients() == 1);
            let end = match round % 2 {
                0 => format!("CLIENT KILL ID {id}"),
                _ => format!("CLIENT UNBLOCK {id} ERROR"),
            };
            assert_eq!(wire.ask(&end), Value::Integer(1));
            wire.command(&["RPUSH", key, "element"]);
            assert_eq!(
                wire.command(&["LPOP", key]),
                Value::Bulk(b"element".to_vec()),
                "{command}, {end}, with {shards} shards"
            );
            if round % 2 == 1 {
                assert!(waiter.value().is_error());
            }
        }
    }
}

/// Whom an element has reached is not unblocked any more.
#[test]
fn unblock_tells_whether_it_was_in_time() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let (mut wire, mut other) = (server.connect(), server.connect());
        for round in 0..120 {
            let key = LISTS[round % LISTS.len()];
            let mut waiter = server.connect();
            let id = waiter.ask("CLIENT ID").integer();
            let command = match round % 2 {
                0 => format!("BLPOP {key} 0\r\n"),
                _ => format!("BLPOP {key} elsewhere another 0\r\n"),
            };
            waiter.send(command.as_bytes());
            eventually("it waits", QUIET_TIME_MAX, || wire.blocked_clients() == 1);
            // Neither knows of the other.
            other.send(format!("CLIENT UNBLOCK {id}\r\n").as_bytes());
            wire.command(&["RPUSH", key, "element"]);
            let unblocked = other.value() == Value::Integer(1);
            let is_null = matches!(waiter.value(), Value::Null(_));
            assert_eq!(unblocked, is_null, "with {shards} shards");
            let left = wire.command(&["LLEN", key]).integer() == 1;
            assert_eq!(unblocked, left, "with {shards} shards");
            wire.command(&["DEL", key]);
        }
    }
}

/// A client that says all it has to say and closes its side has its reply, if it need not wait for
/// it.
#[test]
fn who_closes_his_side_gets_what_is_there() {
    // With epoll the end may be seen together with the command.
    let drivers = MANY_SHARDS.map(|shards| ["auto", "epoll"].map(|driver| (shards, driver)));
    for (shards, driver) in drivers.into_iter().flatten() {
        let flags = format!("--io-driver {driver}");
        let server = Server::start(Options::shards(shards).flags(&flags));
        let mut wire = server.connect();
        for round in 0..60 {
            let key = LISTS[round % LISTS.len()];
            wire.command(&["RPUSH", key, "element"]);
            let mut waiter = server.connect();
            waiter.send(format!("BLPOP {key} 0\r\n").as_bytes());
            waiter.finish_sending();
            let expected = format!("*2\r\n${}\r\n{key}\r\n$7\r\nelement\r\n", key.len());
            assert_eq!(
                waiter.until_closed(),
                expected.as_bytes(),
                "with {shards} shards, {driver}"
            );
            let mut waiter = server.connect();
            let others = ["", "elsewhere another"][round % 2];
            waiter.send(format!("SET before 1\r\nBLPOP {key} {others} 0\r\n").as_bytes());
            waiter.finish_sending();
            assert_eq!(
                waiter.until_closed(),
                b"+OK\r\n",
                "with {shards} shards, {driver}"
            );
            wire.command(&["RPUSH", key, "element"]);
            assert_eq!(wire.command(&["LLEN", key]), Value::Integer(1));
            wire.command(&["DEL", key]);
        }
    }
}

/// Never before its time, and to the millisecond where the machine is not busy: of many, the best.
/// A busy one is given more of them.
#[test]
fn time_runs_out_to_the_millisecond() {
    const ROUNDS_MAX: usize = 400;
    const WAIT: Duration = Duration::from_millis(30);
    /// The server counts from the millisecond in which it began.
    const EARLY_MAX: Duration = Duration::from_millis(1);
    const LATE_MAX: Duration = Duration::from_millis(4);
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for command in [
            "BLPOP alpha 0.03",
            "BLPOP alpha beta gamma delta 0.03",
            "BZPOPMIN beta 0.03",
            "XREAD BLOCK 30 STREAMS gamma delta $ $",
        ] {
            let mut waits = (0..ROUNDS_MAX).map(|_| {
                let began = Instant::now();
                assert!(matches!(wire.ask(command), Value::Null(_)));
                let took = began.elapsed();
                let is_early = took + EARLY_MAX < WAIT;
                assert!(!is_early, "{command}: {took:?} with {shards} shards");
                took
            });
            let is_right = |took| took <= WAIT + LATE_MAX;
            assert!(waits.any(is_right), "{command} with {shards} shards");
        }
    }
}
