//! Random commands, by family.
//!
//! A family is a function that draws one command. Keys, members and numbers come from small pools,
//! so that commands meet on the same data; options are drawn right and wrong; and [`Draw::command`]
//! bends one command in twenty out of shape, in its arity or an argument. Some commands of a
//! sequence come from the other families' *seeds*, so that keys of the wrong type are met.

mod bitmap;
mod connection;
mod geo;
mod hash;
mod hyperloglog;
mod keys;
mod list;
mod script;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transaction;

use fastrand::Rng;

use crate::compare::Compare;

/// A command with the way its replies are compared.
#[derive(Clone)]
pub struct Command {
    /// The verb first.
    pub arguments: Vec<Vec<u8>>,
    /// When two replies to it are the same.
    pub compare: Compare,
    /// Never bent: a bent one could block, or change data by chance.
    rigid: bool,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whole, however long: it is to be sent again.
        let words = self.arguments.iter();
        let words: Vec<String> = words
            .map(|word| format!("\"{}\"", word.escape_ascii()))
            .collect();
        f.write_str(&words.join(" "))
    }
}

impl Command {
    /// The verb in capitals.
    pub fn verb(&self) -> String {
        let verb = self.arguments.first().map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(verb).to_uppercase()
    }

    /// Whether one of its arguments is such a word.
    pub fn has(&self, is_such: impl Fn(&[u8]) -> bool) -> bool {
        let mut arguments = self.arguments.iter().skip(1);
        arguments.any(|word| is_such(word))
    }

    fn compare(mut self, compare: Compare) -> Command {
        self.compare = compare;
        self
    }

    fn any_order(self) -> Command {
        self.compare(Compare::AnyOrder)
    }

    fn rigid(mut self) -> Command {
        self.rigid = true;
        self
    }

    fn arg(mut self, argument: impl AsRef<[u8]>) -> Command {
        self.arguments.push(argument.as_ref().to_vec());
        self
    }

    fn args<A: AsRef<[u8]>>(mut self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_vec()),
        );
        self
    }
}

/// A command from words with blanks between.
pub fn command(words: &str) -> Command {
    Command {
        arguments: words
            .split_whitespace()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        compare: Compare::Exact,
        rigid: false,
    }
}

/// A family of commands.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// As in the command table's `group`.
    pub name: &'static str,
    /// Draws one command.
    draw: fn(&mut Draw) -> Command,
    /// Draws one command that leaves a value of the family's type: for the others, to meet a wrong
    /// type.
    seed: Option<fn(&mut Draw) -> Command>,
}

/// The families that percore has, each tested against the reference. A new family is tested from
/// the line here on.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "connection",
        draw: connection::draw,
        seed: None,
    },
    Family {
        name: "keys",
        draw: keys::draw,
        seed: None,
    },
    Family {
        name: "string",
        draw: string::draw,
        seed: Some(string::seed),
    },
    Family {
        name: "list",
        draw: list::draw,
        seed: Some(list::seed),
    },
    Family {
        name: "hash",
        draw: hash::draw,
        seed: Some(hash::seed),
    },
    Family {
        name: "set",
        draw: set::draw,
        seed: Some(set::seed),
    },
    Family {
        name: "sorted_set",
        draw: sorted_set::draw,
        seed: Some(sorted_set::seed),
    },
    Family {
        name: "stream",
        draw: stream::draw,
        seed: Some(stream::seed),
    },
    Family {
        name: "bitmap",
        draw: bitmap::draw,
        seed: None,
    },
    Family {
        name: "hyperloglog",
        draw: hyperloglog::draw,
        seed: None,
    },
    Family {
        name: "geo",
        draw: geo::draw,
        seed: None,
    },
    Family {
        name: "transaction",
        draw: transaction::draw,
        seed: None,
    },
    Family {
        name: "script",
        draw: script::draw,
        seed: None,
    },
];

/// Keys of all shards, with a pair that shares a hash tag.
const KEYS: &[&str] = &["a", "b", "c", "foo", "bar", "{t}1", "{t}2", "key:0007"];

/// Strings: plain, empty, binary, numeric, of the lengths where encodings change.
const VALUES: &[&[u8]] = &[
    b"", b"v", b"hello", b"0", b"1", b"-1", b"10", b"007", b"3.5", b"1e3", b"inf", b"nan", b" 1", b"9223372036854775807",
    b"-9223372036854775808", b"9223372036854775808", b"\x00\xff\r\n", b"\xe2\x82\xac",
    b"exactly-forty-four-bytes-long-string-for-emb",
    b"exactly-forty-five-bytes-long-string-for-embs",
    b"one hundred bytes, more than a listpack takes in one element with its default limit of sixty-four bytes",
];

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "5",
    "10",
    "100",
    "-100",
    "2147483647",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
];

const NO_INTEGERS: &[&str] = &[
    "9223372036854775808",
    "-9223372036854775809",
    "",
    "x",
    "1.0",
    " 1",
    "+1",
    "01",
    "1e2",
    "0x10",
    "-0",
];

const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "1.5",
    "-2.25",
    "3",
    "0.1",
    "1e3",
    "1e300",
    "-1e300",
    "inf",
    "-inf",
    "+inf",
    "3.0",
    "1e-10",
    "123456789.125",
];

const NO_FLOATS: &[&str] = &["nan", "", "x", "1.5x", " 1", "1,5", "--1"];

/// Draws commands, reproducibly from a seed.
#[derive(Debug)]
pub struct Draw {
    random: Rng,
    /// Lifetimes drawn so far.
    lifetimes: u64,
}

impl Draw {
    /// The same seed draws the same commands.
    pub fn new(seed: u64) -> Draw {
        Draw {
            random: Rng::with_seed(seed),
            lifetimes: 0,
        }
    }

    /// The next command for a test of `family`.
    pub fn command(&mut self, family: &Family) -> Command {
        let command = if self.one_in(8) {
            self.visitor()
        } else {
            (family.draw)(self)
        };
        if !command.rigid && self.one_in(20) {
            self.bent(command)
        } else {
            command
        }
    }

    /// A command of another family.
    fn visitor(&mut self) -> Command {
        let seeds: Vec<fn(&mut Draw) -> Command> =
            FAMILIES.iter().filter_map(|family| family.seed).collect();
        match self.random.usize(..seeds.len() + 2) {
            0 => command("DEL").arg(self.key()),
            1 => command("EXPIRE").arg(self.key()).arg("1000"),
            other => seeds[other - 2](self),
        }
    }

    /// With an argument lost, added, doubled or replaced.
    fn bent(&mut self, mut command: Command) -> Command {
        let at = self.random.usize(..command.arguments.len());
        match self.random.u8(..5) {
            0 => {
                command.arguments.pop();
                if command.arguments.is_empty() {
                    command.arguments.push(b"nothing".to_vec());
                }
            }
            1 => command.arguments.push(self.value()),
            2 => {
                let double = command.arguments[at].clone();
                command.arguments.push(double);
            }
            3 if at > 0 => command.arguments[at] = self.value(),
            _ => {
                let verb = command.arguments[0].iter().enumerate();
                command.arguments[0] = verb
                    .map(|(index, byte)| match index % 2 {
                        0 => byte.to_ascii_lowercase(),
                        _ => byte.to_ascii_uppercase(),
                    })
                    .collect();
            }
        }
        command
    }

    fn one_in(&mut self, chances: u32) -> bool {
        self.random.u32(..chances) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.usize(..all.len())]
    }

    /// A time to live, in seconds or milliseconds, near this one. Each of a sequence is another:
    /// whether the same one, given later, ends later depends on whether the clock has gone on by a
    /// millisecond, and GT and LT ask for that.
    fn lifetime(&mut self, near: u64) -> String {
        const APART: u64 = 7_000;
        self.lifetimes += 1;
        (near + self.lifetimes * APART).to_string()
    }

    fn key(&mut self) -> &'static str {
        self.pick(KEYS)
    }

    fn keys(&mut self, count_max: usize) -> Vec<&'static str> {
        (0..self.random.usize(1..=count_max))
            .map(|_| self.key())
            .collect()
    }

    /// A count of keys as given before them: mostly right.
    fn counted_keys(&mut self, count_max: usize) -> Vec<String> {
        let keys = self.keys(count_max);
        let count = if self.one_in(12) {
            self.integer()
        } else {
            keys.len().to_string()
        };
        std::iter::once(count)
            .chain(keys.into_iter().map(str::to_owned))
            .collect()
    }

    fn value(&mut self) -> Vec<u8> {
        if self.one_in(4) {
            self.random.u16(..).to_string().into_bytes()
        } else {
            self.pick(VALUES).to_vec()
        }
    }

    /// A name out of few, for members and fields: they must meet.
    fn member(&mut self) -> String {
        match self.random.u8(..10) {
            0 => self
                .pick(&["", "one two", "\u{20ac}", "-5", "9223372036854775807"])
                .to_owned(),
            1..4 => self.random.u8(..6).to_string(),
            _ => format!("m{}", self.random.u8(..8)),
        }
    }

    fn members(&mut self, count_max: usize) -> Vec<String> {
        (0..self.random.usize(1..=count_max))
            .map(|_| self.member())
            .collect()
    }

    /// A whole number, rarely none.
    fn integer(&mut self) -> String {
        match self.random.u8(..20) {
            0 => self.pick(NO_INTEGERS).to_owned(),
            1..4 => self.pick(INTEGERS).to_owned(),
            4..8 => (i32::from(self.random.i8(..)) / 4).to_string(),
            _ => self.random.u8(..6).to_string(),
        }
    }

    /// A small index of either sign.
    fn index(&mut self) -> String {
        if self.one_in(12) {
            self.integer()
        } else {
            self.random.i8(-7..8).to_string()
        }
    }

    fn float(&mut self) -> String {
        match self.random.u8(..20) {
            0 => self.pick(NO_FLOATS).to_owned(),
            1..5 => self.pick(FLOATS).to_owned(),
            5..10 => (f64::from(self.random.i16(..)) / 8.0).to_string(),
            _ => self.random.i8(-9..10).to_string(),
        }
    }

    /// A count that is rarely no count.
    fn count(&mut self) -> String {
        if self.one_in(10) {
            self.integer()
        } else {
            self.random.u8(1..6).to_string()
        }
    }

    /// Half of the time an option out of these, each words with blanks between; an unknown word now
    /// and then.
    fn option(&mut self, command: Command, options: &[&str]) -> Command {
        match self.random.u8(..16) {
            0 => command.arg("WHATEVER"),
            1..9 => command.args(self.pick(options).split_whitespace()),
            _ => command,
        }
    }

    /// A pattern for `MATCH` and `KEYS`.
    fn pattern(&mut self) -> &'static str {
        self.pick(&[
            "*", "m*", "?", "[a-c]", "[^a-c]", "*o*", "\\a", "", "{t}*", "foo", "m[0-4",
        ])
    }
}
