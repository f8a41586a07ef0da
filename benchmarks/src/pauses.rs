//! `pauses`: how long a client waits that asks for another key while one command works on a huge
//! collection, beside Redis.
//!
//! The prober asks GET of a key in the same slot, and so on the same shard, as fast as it gets
//! answers, on a connection of its own. The longest it waits from shortly before the command is
//! sent until a while after its reply is the pause. Commands that destroy work on a copy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, percore};
use crate::{Error, Result, placement};

const SUBJECTS: &[Subject] = &[REDIS, percore(1), percore(2)];
/// How long the prober goes on before the command and after its reply: what is put off shows as
/// well.
const AROUND: Duration = Duration::from_millis(300);
/// Between two probes: the prober and the reader of large replies share a core.
const PROBE_INTERVAL: Duration = Duration::from_micros(200);
/// percore's pause may be as long as Redis's and this: what the machine does in between.
const SLACK_MS: f64 = 5.0;
/// All keys are in one slot but one.
const ELSEWHERE: &str = "{elsewhere}moved";

/// What a command needs before it, in words: `copy` is a copy of the collection.
struct Case {
    collection: &'static str,
    /// Runs on a fresh copy, which it destroys.
    on_copy: bool,
    words: &'static str,
}

const fn case(collection: &'static str, words: &'static str) -> Case {
    Case {
        collection,
        on_copy: false,
        words,
    }
}

const fn on_copy(collection: &'static str, words: &'static str) -> Case {
    Case {
        collection,
        on_copy: true,
        words,
    }
}

/// `one`, `other`, `copy` and `result` are keys of one slot, `ELSEWHERE` is one of another.
const CASES: &[Case] = &[
    case("list", "LRANGE one 0 -1"),
    case("list", "LRANGE one 1000000 1000010"),
    case("list", "LPOS one nothing"),
    case("list", "LREM one 0 nothing"),
    case("list", "SORT one LIMIT 0 10"),
    case("list", "SORT one ALPHA STORE result"),
    case("list", "COPY one result REPLACE"),
    case("list", "DUMP one"),
    on_copy("list", "DEL copy"),
    on_copy("list", "UNLINK copy"),
    on_copy("list", "LTRIM copy 0 0"),
    on_copy("list", "RENAME copy ELSEWHERE"),
    on_copy("list", "PEXPIRE copy 1"),
    on_copy("list", "SET copy x"),
    case("set", "SMEMBERS one"),
    case("set", "SRANDMEMBER one 1000"),
    case("set", "SRANDMEMBER one -100000"),
    case("set", "SUNION one other"),
    case("set", "SUNIONSTORE result one other"),
    case("set", "SINTER one other"),
    case("set", "SINTERCARD 2 one other"),
    case("set", "SDIFF one other"),
    case("set", "SORT one ALPHA LIMIT 0 10"),
    case("set", "COPY one result REPLACE"),
    on_copy("set", "DEL copy"),
    on_copy("set", "UNLINK copy"),
    on_copy("set", "SPOP copy 1000000"),
    on_copy("set", "RENAME copy ELSEWHERE"),
    on_copy("set", "PEXPIRE copy 1"),
    case("hash", "HGETALL one"),
    case("hash", "HKEYS one"),
    case("hash", "HRANDFIELD one 1000"),
    case("hash", "COPY one result REPLACE"),
    on_copy("hash", "DEL copy"),
    on_copy("hash", "UNLINK copy"),
    on_copy("hash", "PEXPIRE copy 1"),
    case("sorted set", "ZRANGE one 0 -1"),
    case("sorted set", "ZCOUNT one -inf +inf"),
    case("sorted set", "ZUNIONSTORE result 2 one other"),
    case("sorted set", "ZINTERSTORE result 2 one other"),
    case("sorted set", "SORT one BY nosort LIMIT 0 10"),
    case("sorted set", "COPY one result REPLACE"),
    on_copy("sorted set", "ZREMRANGEBYRANK copy 0 -1"),
    on_copy("sorted set", "ZREMRANGEBYRANK copy 0 1000000"),
    on_copy("sorted set", "DEL copy"),
    on_copy("sorted set", "UNLINK copy"),
    on_copy("sorted set", "PEXPIRE copy 1"),
    case("stream", "XRANGE one - +"),
    case("stream", "COPY one result REPLACE"),
    on_copy("stream", "XTRIM copy MAXLEN 0"),
    on_copy("stream", "DEL copy"),
    on_copy("stream", "UNLINK copy"),
    // Last: nothing is left after it.
    case("list", "FLUSHALL"),
    case("set", "FLUSHALL"),
    case("hash", "FLUSHALL"),
    case("sorted set", "FLUSHALL"),
    case("stream", "FLUSHALL ASYNC"),
];

/// Milliseconds.
#[derive(Clone, Copy)]
struct Seen {
    command: f64,
    pause: f64,
}

/// Collections of `elements`; only of types, or for commands, that have `only` in them.
pub fn run(selection: &Selection, elements: u64, only: Option<&str>) -> Result<Vec<Table>> {
    let title = format!("The longest wait for GET beside a command on a collection of {elements}");
    let figures = [
        ("redis ms", 0),
        ("percore-1 ms", 0),
        ("percore-2 ms", 0),
        ("redis pause ms", 1),
        ("percore-1 pause ms", 1),
        ("percore-2 pause ms", 1),
    ];
    let mut table = Table::new(title, "type command verdict", &figures);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let wanted = |case: &&Case| {
        only.is_none_or(|only| case.collection.contains(only) || case.words.contains(only))
    };
    let cases: Vec<&Case> = CASES.iter().filter(wanted).collect();
    let mut collections: Vec<&str> = cases.iter().map(|case| case.collection).collect();
    collections.sort_unstable();
    collections.dedup();
    for collection in collections {
        let cases: Vec<&Case> = cases
            .iter()
            .copied()
            .filter(|case| case.collection == collection)
            .collect();
        let mut seen: Vec<[Option<Seen>; 3]> = vec![[None; 3]; cases.len()];
        for (at, subject) in SUBJECTS.iter().enumerate() {
            if !subjects.contains(subject) {
                continue;
            }
            eprintln!("{collection}: {subject}");
            let server = Server::start(selection, *subject)?;
            placement::pin_self(subject.placement().client)?;
            fill(&mut server.connect()?, collection, elements)?;
            for (case, seen) in cases.iter().zip(&mut seen) {
                seen[at] = Some(watch(&server, case)?);
            }
        }
        for (case, seen) in cases.iter().zip(seen) {
            let of = |figure: fn(Seen) -> f64| seen.map(|seen| seen.map_or(f64::NAN, figure));
            let pauses = of(|seen| seen.pause);
            let [redis, ours @ ..] = pauses;
            let verdict = match ours.into_iter().fold(f64::NAN, f64::max) {
                worst if worst.is_nan() || redis.is_nan() => "-",
                worst if worst <= redis + SLACK_MS => "holds",
                _ => "LONGER",
            };
            table.row(
                &[&collection, &case.words, &verdict],
                &[of(|seen| seen.command), pauses].concat(),
            );
        }
    }
    Ok(vec![table])
}

/// The keys' names, all but one in one slot.
fn key(word: &str) -> String {
    match word {
        "one" | "other" | "copy" | "result" => format!("{{same}}{word}"),
        "ELSEWHERE" => ELSEWHERE.to_string(),
        other => other.to_string(),
    }
}

fn fill(connection: &mut Connection, collection: &str, elements: u64) -> Result<()> {
    let element = |n: u64| format!("element:{n:012}");
    let shuffled = |n: u64| n.wrapping_mul(7_919) % 1_000_003;
    // Half of its elements are in `one` too.
    for (name, from) in [("one", 0), ("other", elements / 2)] {
        let name = key(name);
        match collection {
            "list" => connection.fill_collection("RPUSH", &name, elements, |n| {
                vec![(shuffled(n) + from).to_string()]
            })?,
            "set" => {
                connection.fill_collection("SADD", &name, elements, |n| vec![element(n + from)])?
            }
            "hash" => connection.fill_collection("HSET", &name, elements, |n| {
                vec![element(n + from), "abcdefghijklmnop".to_string()]
            })?,
            "sorted set" => connection.fill_collection("ZADD", &name, elements, |n| {
                vec![shuffled(n).to_string(), element(n + from)]
            })?,
            "stream" => connection.run_all((0..elements).map(|n| {
                ["XADD", &name, "*", "field", &element(n)]
                    .map(String::from)
                    .to_vec()
            }))?,
            other => return Err(format!("no collection is called {other}").into()),
        }
        if matches!(collection, "list" | "hash" | "stream") {
            break;
        }
    }
    connection.ask(&[b"SET", key_of_probe().as_bytes(), b"there"])?;
    Ok(())
}

fn key_of_probe() -> String {
    "{same}probe".to_string()
}

/// Runs one command beside a prober.
fn watch(server: &Server, case: &Case) -> Result<Seen> {
    let mut connection = server.connect()?;
    if case.on_copy {
        connection.ask(&[
            b"COPY",
            key("one").as_bytes(),
            key("copy").as_bytes(),
            b"REPLACE",
        ])?;
    }
    let words: Vec<String> = case.words.split(' ').map(key).collect();
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let mut prober = server.connect()?;
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let probing = scope.spawn(|| probe(&mut prober, &over));
        thread::sleep(AROUND);
        let began = Instant::now();
        connection.queue(&words);
        let answered = connection.flush().and_then(|()| connection.pass_over(1));
        let command = began.elapsed();
        thread::sleep(AROUND);
        over.store(true, Ordering::Relaxed);
        let pause = probing
            .join()
            .map_err(|_| Error::from("the probing thread panicked"))??;
        answered?;
        Ok::<_, Error>(Seen {
            command: command.as_secs_f64() * 1000.0,
            pause: pause.as_secs_f64() * 1000.0,
        })
    })?;
    connection.ask(&[
        b"UNLINK",
        key("copy").as_bytes(),
        key("result").as_bytes(),
        ELSEWHERE.as_bytes(),
    ])?;
    Ok(seen)
}

/// Asks until it is over; the longest wait.
fn probe(prober: &mut Connection, over: &AtomicBool) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        thread::sleep(PROBE_INTERVAL);
        let from = Instant::now();
        prober.ask(&[b"GET", key_of_probe().as_bytes()])?;
        longest = longest.max(from.elapsed());
    }
    Ok(longest)
}
