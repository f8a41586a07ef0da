//! Scripts that name keys as they go, on any shards, happen at one instant: beside one another,
//! beside MULTI, MSET and MGET.
//!
//! Money moves between accounts, in many ways at once; whoever counts it, in whatever way, always
//! counts the same. `PERCORE_READS=N` makes it go on, with each number of shards, until it has been
//! counted so often, instead of for a moment.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::reply::Value;
use tests::{MANY_SHARDS, Options, Server, Wire};

/// For each number of shards.
const DURATION: Duration = Duration::from_millis(1500);

const ACCOUNTS: usize = 12;
const EACH: i64 = 1000;
const TOTAL: i64 = EACH * ACCOUNTS as i64;
const CLIENTS: u64 = 8;

/// Moves ARGV[3] from one account to another, where there is so much; none is declared.
const MOVE: &str = "local a, b = 'account:' .. ARGV[1], 'account:' .. ARGV[2] \
    local has = tonumber(redis.call('GET', a)) if has < tonumber(ARGV[3]) then return 0 end \
    redis.call('SET', a, has - ARGV[3]) redis.call('INCRBY', b, ARGV[3]) return 1";

/// Moves ARGV[1] between two declared accounts.
const MOVE_DECLARED: &str =
    "redis.call('DECRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])";

/// Moves half of the richest account to the poorest: which these are is known when all are read.
const SPREAD: &str = "local most, least for i = 0, ARGV[1] - 1 do \
    local key = 'account:' .. i local has = tonumber(redis.call('GET', key)) \
    if not most or has > most[2] then most = {key, has} end \
    if not least or has < least[2] then least = {key, has} end end \
    local half = math.floor(most[2] / 2) \
    redis.call('DECRBY', most[1], half) redis.call('INCRBY', least[1], half) return half";

const COUNT: &str = "local sum = 0 for i = 0, ARGV[1] - 1 do \
    sum = sum + redis.call('GET', 'account:' .. i) end return sum";

fn account(number: usize) -> String {
    format!("account:{number}")
}

fn eval(wire: &mut Wire, script: &str, keys: &[String], args: &[String]) -> Value {
    let count = keys.len().to_string();
    let mut words = vec!["EVAL", script, &count];
    words.extend(keys.iter().chain(args).map(String::as_str));
    wire.command(&words)
}

fn number(value: &Value) -> i64 {
    let text = String::from_utf8_lossy(value.text()).into_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("no number: {value:?}"))
}

/// What all accounts hold, counted in one of several ways.
fn count(wire: &mut Wire, random: &mut Rng) -> i64 {
    match random.u8(..3) {
        0 => match eval(wire, COUNT, &[], &[ACCOUNTS.to_string()]) {
            Value::Integer(sum) => sum,
            other => panic!("no sum: {other:?}"),
        },
        1 => {
            let words: Vec<String> = std::iter::once("MGET".to_owned())
                .chain((0..ACCOUNTS).map(account))
                .collect();
            let all = wire.command(&words);
            all.elements().expect("an array").iter().map(number).sum()
        }
        _ => {
            wire.send(b"MULTI\r\n");
            for at in 0..ACCOUNTS {
                wire.send_command(&["GET", &account(at)]);
            }
            wire.send(b"EXEC\r\n");
            let mut replies: Vec<Value> = (0..ACCOUNTS + 2).map(|_| wire.value()).collect();
            let all = replies.remove(ACCOUNTS + 1);
            all.elements().expect("an array").iter().map(number).sum()
        }
    }
}

/// Moves money in one of several ways.
fn pay(wire: &mut Wire, random: &mut Rng) {
    let from = random.usize(..ACCOUNTS);
    let to = (from + random.usize(1..ACCOUNTS)) % ACCOUNTS;
    let amount = random.u32(1..40).to_string();
    let reply = match random.u8(..10) {
        0..5 => {
            let args = [from.to_string(), to.to_string(), amount];
            eval(wire, MOVE, &[], &args)
        }
        5..7 => eval(
            wire,
            MOVE_DECLARED,
            &[account(from), account(to)],
            &[amount],
        ),
        7 => eval(wire, SPREAD, &[], &[ACCOUNTS.to_string()]),
        _ => {
            wire.send(b"MULTI\r\n");
            wire.send_command(&["DECRBY", &account(from), &amount]);
            let (a, b) = (from.to_string(), to.to_string());
            wire.send_command(&["EVAL", MOVE, "0", &b, &a, "1"]);
            wire.send_command(&["INCRBY", &account(to), &amount]);
            wire.send(b"EXEC\r\n");
            let mut replies: Vec<Value> = (0..5).map(|_| wire.value()).collect();
            replies.remove(4)
        }
    };
    assert!(!reply.is_error(), "{reply:?}");
}

#[test]
fn scripts_move_money_and_lose_none() {
    let wanted: Option<usize> = std::env::var("PERCORE_READS")
        .ok()
        .map(|text| text.parse().expect("PERCORE_READS is a number"));
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        for at in 0..ACCOUNTS {
            wire.command(&["SET", &account(at), &EACH.to_string()]);
        }
        let counted = AtomicUsize::new(0);
        let end = Instant::now() + DURATION;
        let goes_on = || match wanted {
            Some(wanted) => counted.load(Ordering::Relaxed) < wanted,
            None => Instant::now() < end,
        };
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, counted, goes_on) = (&server, &counted, &goes_on);
                scope.spawn(move || {
                    let mut random = Rng::with_seed(client);
                    let mut wire = server.connect();
                    while goes_on() {
                        if client % 2 == 0 || random.u8(..4) > 0 {
                            pay(&mut wire, &mut random);
                        } else {
                            let sum = count(&mut wire, &mut random);
                            assert_eq!(sum, TOTAL, "torn with {shards} shards");
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(count(&mut wire, &mut Rng::with_seed(0)), TOTAL);
    }
}

const LISTS: usize = 4;
const ELEMENTS: usize = 2_500;
const MOVES: usize = 150;

/// Moves an element from one long list to another, gives it a point, and notes that; no key is
/// declared.
const MOVE_ELEMENT: &str = "local from, to = 'long:' .. ARGV[1], 'long:' .. ARGV[2] \
    local element = redis.call('LPOP', from) redis.call('RPUSH', to, element) \
    redis.call('ZINCRBY', 'points:' .. ARGV[2], 1, element) \
    redis.call('HINCRBY', 'counts:' .. ARGV[1], element, 1) \
    redis.call('SADD', 'moved:' .. ARGV[2], element) \
    redis.call('XADD', 'notes:' .. ARGV[1], 'MAXLEN', '~', 500, '*', 'element', element) \
    local other = redis.call('LMOVE', to, from, 'RIGHT', 'LEFT') \
    redis.call('LMOVE', from, to, 'LEFT', 'RIGHT') \
    return redis.call('INCR', 'count:' .. #redis.call('GET', 'pad:' .. ARGV[2]) .. other)";

/// Fills the values of one list, all of them too large to be copied.
fn fill(wire: &mut Wire, list: usize) {
    let all: Vec<String> = (0..ELEMENTS)
        .map(|at| format!("{list:03}{at:037}"))
        .collect();
    let scored = all.iter().flat_map(|it| ["0".to_owned(), it.clone()]);
    let zeroes = all.iter().flat_map(|it| [it.clone(), "0".to_owned()]);
    for (verb, key, words) in [
        ("ZADD", "points", scored.collect()),
        ("HSET", "counts", zeroes.collect()),
        (
            "SADD",
            "moved",
            (0..ELEMENTS).map(|at| format!("{at:080}")).collect(),
        ),
        ("RPUSH", "long", all.clone()),
        ("SET", "pad", vec!["x".repeat(list)]),
    ] {
        let mut command = vec![verb.to_owned(), format!("{key}:{list}")];
        command.extend::<Vec<String>>(words);
        assert!(!wire.command(&command).is_error());
    }
    for at in 0..ELEMENTS {
        wire.send_command(&["XADD", &format!("notes:{list}"), "*", "at", &at.to_string()]);
    }
    (0..ELEMENTS).for_each(|_| drop(wire.value()));
}

/// All that an array has.
fn texts(wire: &mut Wire, words: &str) -> Vec<String> {
    let array = wire.ask(words);
    let all = array.elements().expect("an array").into_iter();
    all.map(|it| String::from_utf8_lossy(it.text()).into_owned())
        .collect()
}

/// Values that are too large to be copied are undone, too: nothing is lost or doubled, and all that
/// a script has changed goes together.
#[test]
fn scripts_change_long_values() {
    for shards in MANY_SHARDS {
        let server = Server::start(Options::shards(shards));
        let mut wire = server.connect();
        (0..LISTS).for_each(|list| fill(&mut wire, list));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let mut wire = server.connect();
                scope.spawn(move || {
                    let mut random = Rng::with_seed(client);
                    for _ in 0..MOVES {
                        let from = random.usize(..LISTS);
                        let to = (from + random.usize(1..LISTS)) % LISTS;
                        let args = [from.to_string(), to.to_string()];
                        let reply = eval(&mut wire, MOVE_ELEMENT, &[], &args);
                        assert!(!reply.is_error(), "{reply:?}");
                    }
                });
            }
        });
        let mut elements = HashSet::new();
        let (mut points, mut counts) = (0, 0);
        for list in 0..LISTS {
            elements.extend(texts(&mut wire, &format!("LRANGE long:{list} 0 -1")));
            let scores = texts(&mut wire, &format!("ZRANGE points:{list} 0 -1 WITHSCORES"));
            let scores = scores.iter().skip(1).step_by(2);
            points += scores
                .map(|it| it.parse::<usize>().expect("a score"))
                .sum::<usize>();
            let values = texts(&mut wire, &format!("HVALS counts:{list}"));
            counts += values
                .iter()
                .map(|it| it.parse::<usize>().expect("a count"))
                .sum::<usize>();
            // Trimmed to whole nodes.
            let notes = wire.ask(&format!("XLEN notes:{list}"));
            assert!(matches!(notes, Value::Integer(500..=600)), "{notes:?}");
        }
        let moves = MOVES * CLIENTS as usize;
        assert_eq!(elements.len(), LISTS * ELEMENTS, "{shards} shards");
        assert_eq!((points, counts), (moves, moves), "{shards} shards");
    }
}
