//! Redis in miniature: some commands on seven keys, done one at a time. What concurrent clients saw
//! is held against it (see [`history`]).
//!
//! It says whether a reply can be right in a state, not what the reply is, because a blocked
//! command's reply also depends on what happened while it waited. Strings hold numbers only, so
//! every error there is follows from a value's type.
//!
//! [`history`]: crate::history

use fastrand::Rng;

use crate::history::Model;
use crate::reply::Value;

/// The keys. With two, four and eight shards they lie on all of them, but for one of eight.
pub const KEYS: [&str; 7] = ["alpha", "delta", "mu", "beta", "gamma", "epsilon", "kappa"];

/// The first of them mostly hold numbers, the others lists. RENAME and errors mix them.
const NUMBERS: usize = 4;

/// Longest wait of a blocked command, so that a round of commands ends.
const WAIT_SECONDS: &str = "0.02";

const WRONG_TYPE: &[u8] = b"WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_SUCH_KEY: &[u8] = b"ERR no such key";

/// One of [`KEYS`], by its position.
pub type Key = usize;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Get(Key),
    Set(Key, i64),
    Incr(Key),
    MGet(Vec<Key>),
    MSet(Vec<(Key, i64)>),
    Del(Vec<Key>),
    Rename(Key, Key),
    RPush(Key, i64),
    LPop(Key),
    /// From the left of one to the right of the other.
    LMove(Key, Key),
    /// The same, waiting for an element.
    BLMove(Key, Key),
    BLPop(Vec<Key>),
    DbSize,
    FlushAll,
    /// MULTI, these, EXEC.
    Exec(Vec<Call>),
    /// WATCH of a key and a look at it, then the same. The look is an operation of its own, which
    /// saw `seen`.
    Watched {
        key: Key,
        seen: Value,
        then: Vec<Call>,
    },
}

impl Call {
    /// A random command; `number` is what it writes. Use it once, so that a value says who wrote
    /// it.
    pub fn random(random: &mut Rng, number: i64) -> Call {
        match random.u8(..40) {
            0..4 => Call::Get(key(random)),
            4..8 => Call::Set(key(random), number),
            8..11 => Call::Incr(key(random)),
            11..16 => Call::MGet(keys(random, 2..=KEYS.len())),
            16..20 => {
                let keys = keys(random, 2..=NUMBERS);
                Call::MSet(keys.into_iter().map(|key| (key, number)).collect())
            }
            20..22 => Call::Del(keys(random, 1..=3)),
            22..24 => {
                let pair = keys(random, 2..=2);
                Call::Rename(pair[0], pair[1])
            }
            24..27 => Call::RPush(list(random), number),
            27 => Call::LPop(list(random)),
            28..31 => Call::LMove(list(random), list(random)),
            31 => Call::BLMove(list(random), list(random)),
            32 => Call::BLPop(vec![list(random), list(random)]),
            33 => Call::DbSize,
            34 if random.u8(..4) == 0 => Call::FlushAll,
            _ => {
                let count = random.usize(2..=4);
                let calls = (0..count).map(|_| Call::plain(random, number)).collect();
                Call::Exec(calls)
            }
        }
    }

    /// One that may stand between MULTI and EXEC.
    fn plain(random: &mut Rng, number: i64) -> Call {
        loop {
            match Call::random(random, number) {
                // Inside EXEC nothing waits, and the whole keyspace would make most of them lock
                // everything.
                Call::Exec(_)
                | Call::BLMove(..)
                | Call::BLPop(_)
                | Call::DbSize
                | Call::FlushAll => {}
                other => return other,
            }
        }
    }

    /// Appends its words, a command after the other.
    pub fn commands(&self, commands: &mut Vec<Vec<String>>) {
        let name = |key: &Key| KEYS[*key].to_owned();
        let words = |verb: &str, rest: &[String]| [&[verb.to_owned()], rest].concat();
        let names = |keys: &[Key]| keys.iter().map(name).collect::<Vec<_>>();
        let last = match self {
            Call::Get(key) => words("GET", &[name(key)]),
            Call::Set(key, number) => words("SET", &[name(key), number.to_string()]),
            Call::Incr(key) => words("INCR", &[name(key)]),
            Call::MGet(keys) => words("MGET", &names(keys)),
            Call::MSet(pairs) => {
                let pairs = pairs.iter();
                let flat = pairs.flat_map(|(key, number)| [name(key), number.to_string()]);
                words("MSET", &flat.collect::<Vec<_>>())
            }
            Call::Del(keys) => words("DEL", &names(keys)),
            Call::Rename(from, to) => words("RENAME", &[name(from), name(to)]),
            Call::RPush(key, number) => words("RPUSH", &[name(key), number.to_string()]),
            Call::LPop(key) => words("LPOP", &[name(key)]),
            Call::LMove(from, to) => words(
                "LMOVE",
                &[name(from), name(to), "LEFT".into(), "RIGHT".into()],
            ),
            Call::BLMove(from, to) => words(
                "BLMOVE",
                &[
                    name(from),
                    name(to),
                    "LEFT".into(),
                    "RIGHT".into(),
                    WAIT_SECONDS.into(),
                ],
            ),
            Call::BLPop(keys) => words("BLPOP", &[names(keys), vec![WAIT_SECONDS.into()]].concat()),
            Call::DbSize => words("DBSIZE", &[]),
            Call::FlushAll => words("FLUSHALL", &[]),
            Call::Exec(calls) | Call::Watched { then: calls, .. } => {
                commands.push(words("MULTI", &[]));
                for call in calls {
                    call.commands(commands);
                }
                words("EXEC", &[])
            }
        };
        commands.push(last);
    }

    /// The keys it names; `None` where it is on all of them.
    fn keys(&self) -> Option<Vec<Key>> {
        Some(match self {
            Call::Get(key)
            | Call::Set(key, _)
            | Call::Incr(key)
            | Call::RPush(key, _)
            | Call::LPop(key) => vec![*key],
            Call::MGet(keys) | Call::Del(keys) | Call::BLPop(keys) => keys.clone(),
            Call::MSet(pairs) => pairs.iter().map(|(key, _)| *key).collect(),
            Call::Rename(from, to) | Call::LMove(from, to) | Call::BLMove(from, to) => {
                vec![*from, *to]
            }
            Call::DbSize | Call::FlushAll => return None,
            Call::Exec(calls) => each_key(calls)?,
            Call::Watched { key, then, .. } => [vec![*key], each_key(then)?].concat(),
        })
    }
}

fn each_key(calls: &[Call]) -> Option<Vec<Key>> {
    let keys: Option<Vec<Vec<Key>>> = calls.iter().map(Call::keys).collect();
    Some(keys?.concat())
}

/// A key that is mostly a number.
fn key(random: &mut Rng) -> Key {
    match random.u8(..20) {
        0 => list(random),
        _ => random.usize(..NUMBERS),
    }
}

/// A key that is mostly a list.
fn list(random: &mut Rng) -> Key {
    match random.u8(..20) {
        0 => random.usize(..NUMBERS),
        _ => random.usize(NUMBERS..KEYS.len()),
    }
}

/// Different keys of all kinds.
fn keys(random: &mut Rng, count: std::ops::RangeInclusive<usize>) -> Vec<Key> {
    let mut all: Vec<Key> = (0..KEYS.len()).collect();
    random.shuffle(&mut all);
    all.truncate(random.usize(count));
    all
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Held {
    Number(i64),
    /// Never empty.
    List(Vec<i64>),
}

/// The keyspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Miniature([Option<Held>; KEYS.len()]);

impl Model for Miniature {
    type Call = Call;
    type Reply = Value;

    fn accept(&self, call: &Call, reply: &Value) -> Option<Self> {
        let mut next = self.clone();
        next.allows(call, reply).then_some(next)
    }

    fn is_look(call: &Call, reply: &Value) -> bool {
        match call {
            Call::Get(_) | Call::MGet(_) | Call::DbSize => true,
            Call::Exec(calls) | Call::Watched { then: calls, .. } => match reply {
                Value::Array(replies) => {
                    let mut each = calls.iter().zip(replies);
                    each.all(|(call, reply)| Self::is_look(call, reply))
                }
                _ => true,
            },
            _ => reply.is_error() || is_null(reply),
        }
    }

    /// What shares a key does; what does not may run on different shards.
    fn in_order(first: &Call, second: &Call) -> bool {
        match (first.keys(), second.keys()) {
            (Some(first), Some(second)) => first.iter().any(|key| second.contains(key)),
            _ => false,
        }
    }
}

impl Miniature {
    /// Whether `call` can answer `reply`; then it has happened.
    fn allows(&mut self, call: &Call, reply: &Value) -> bool {
        match call {
            Call::BLPop(keys) => self.allows_pop(keys, reply),
            Call::Watched { .. } if is_null(reply) => true,
            Call::Watched { key, seen, then } => {
                same(&self.answer(&Call::Get(*key)), seen) && self.allows_each(then, reply)
            }
            Call::Exec(calls) => self.allows_each(calls, reply),
            _ => same(&self.answer(call), reply),
        }
    }

    fn allows_each(&mut self, calls: &[Call], reply: &Value) -> bool {
        match reply {
            Value::Array(replies) if replies.len() == calls.len() => {
                let mut each = calls.iter().zip(replies);
                each.all(|(call, reply)| self.allows(call, reply))
            }
            _ => false,
        }
    }

    /// One that waited takes from the key that became ready, which need not be the first that has
    /// something by then.
    fn allows_pop(&mut self, keys: &[Key], reply: &Value) -> bool {
        let mut found = keys
            .iter()
            .map(|key| self.0[*key].as_ref())
            .filter(Option::is_some);
        match reply {
            Value::Array(pair) => keys.iter().any(|key| {
                let Some(Held::List(list)) = &self.0[*key] else {
                    return false;
                };
                let expected = [Value::Bulk(KEYS[*key].into()), number(list[0])];
                if *pair != expected {
                    return false;
                }
                self.pop(*key);
                true
            }),
            Value::Error(text) => {
                text == WRONG_TYPE && matches!(found.next(), Some(Some(Held::Number(_))))
            }
            _ => is_null(reply) && found.next().is_none(),
        }
    }

    /// Does a command that has one answer only.
    fn answer(&mut self, call: &Call) -> Value {
        match call {
            Call::Get(key) => match &self.0[*key] {
                None => null(),
                Some(Held::Number(held)) => number(*held),
                Some(Held::List(_)) => wrong_type(),
            },
            Call::Set(key, number) => {
                self.0[*key] = Some(Held::Number(*number));
                ok()
            }
            Call::Incr(key) => {
                let sum = match &self.0[*key] {
                    None => 1,
                    Some(Held::Number(held)) => held + 1,
                    Some(Held::List(_)) => return wrong_type(),
                };
                self.0[*key] = Some(Held::Number(sum));
                Value::Integer(sum)
            }
            Call::MGet(keys) => Value::Array(
                keys.iter()
                    .map(|key| match &self.0[*key] {
                        Some(Held::Number(held)) => number(*held),
                        _ => null(),
                    })
                    .collect(),
            ),
            Call::MSet(pairs) => {
                for (key, number) in pairs {
                    self.0[*key] = Some(Held::Number(*number));
                }
                ok()
            }
            Call::Del(keys) => count(
                keys.iter()
                    .filter(|key| self.0[**key].take().is_some())
                    .count(),
            ),
            Call::Rename(from, to) => match self.0[*from].take() {
                None => Value::Error(NO_SUCH_KEY.to_vec()),
                Some(held) => {
                    self.0[*to] = Some(held);
                    ok()
                }
            },
            Call::RPush(key, number) => match self.push(*key, *number) {
                Some(length) => count(length),
                None => wrong_type(),
            },
            Call::LPop(key) => match &self.0[*key] {
                None => null(),
                Some(Held::Number(_)) => wrong_type(),
                Some(Held::List(_)) => self.pop(*key).map_or_else(null, number),
            },
            Call::LMove(from, to) | Call::BLMove(from, to) => {
                match (&self.0[*from], &self.0[*to]) {
                    (None, _) => null(),
                    (Some(Held::Number(_)), _) | (_, Some(Held::Number(_))) => wrong_type(),
                    (Some(Held::List(_)), _) => {
                        let Some(element) = self.pop(*from) else {
                            return null();
                        };
                        self.push(*to, element);
                        number(element)
                    }
                }
            }
            Call::DbSize => count(self.0.iter().flatten().count()),
            Call::FlushAll => {
                *self = Miniature::default();
                ok()
            }
            Call::BLPop(_) | Call::Exec(_) | Call::Watched { .. } => {
                unreachable!("these have many answers: {call:?}")
            }
        }
    }

    /// The first element of a list, which goes with its last one.
    fn pop(&mut self, key: Key) -> Option<i64> {
        let Some(Held::List(list)) = &mut self.0[key] else {
            return None;
        };
        let element = list.remove(0);
        if list.is_empty() {
            self.0[key] = None;
        }
        Some(element)
    }

    /// The list's new length, `None` where it is no list.
    fn push(&mut self, key: Key, element: i64) -> Option<usize> {
        match self.0[key].get_or_insert_with(|| Held::List(Vec::new())) {
            Held::List(list) => {
                list.push(element);
                Some(list.len())
            }
            Held::Number(_) => None,
        }
    }
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn null() -> Value {
    Value::Null("$-1")
}

fn is_null(value: &Value) -> bool {
    matches!(value, Value::Null(_))
}

fn number(number: i64) -> Value {
    Value::Bulk(number.to_string().into_bytes())
}

fn count(count: usize) -> Value {
    Value::Integer(i64::try_from(count).expect("few"))
}

fn wrong_type() -> Value {
    Value::Error(WRONG_TYPE.to_vec())
}

/// Nulls of all spellings are one: a wait that ends in vain has its own.
fn same(expected: &Value, seen: &Value) -> bool {
    expected == seen || (is_null(expected) && is_null(seen))
}
