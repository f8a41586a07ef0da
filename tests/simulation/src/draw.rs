//! What clients ask: commands on a handful of keys, so that they meet.

use fastrand::Rng;
use protocol::args::OwnedArgs;
use protocol::table::lookup;
use storage::DbIndex;

use crate::client::{Ask, Command};
use crate::scripts::{self, SCRIPTS};

/// Keys of each kind.
const KEYS: usize = 5;

/// Draws what a client asks.
pub struct Draw {
    pub rng: Rng,
    values: u64,
    /// Scripts are among it.
    scripts: bool,
}

impl Draw {
    /// From a seed.
    pub fn new(seed: u64, scripts: bool) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            values: 0,
            scripts,
        }
    }

    fn key(&mut self, kind: char) -> String {
        format!("{kind}{}", self.rng.usize(..KEYS))
    }

    /// A value that no other is.
    fn value(&mut self) -> String {
        self.values += 1;
        format!("v{}", self.values)
    }

    fn keys(&mut self, kind: char) -> String {
        let count = self.rng.usize(1..4);
        let keys: Vec<String> = (0..count).map(|_| self.key(kind)).collect();
        keys.join(" ")
    }

    fn pairs(&mut self) -> String {
        let count = self.rng.usize(1..4);
        let pairs: Vec<String> = (0..count)
            .map(|_| format!("{} {}", self.key('s'), self.value()))
            .collect();
        pairs.join(" ")
    }

    fn side(&mut self) -> &'static str {
        self.rng.choice(["LEFT", "RIGHT"]).unwrap_or("LEFT")
    }

    /// A command on data that never waits.
    fn plain(&mut self) -> String {
        match self.rng.u32(..34) {
            0..=2 => format!("GET {}", self.key('s')),
            3..=4 => format!("SET {} {}", self.key('s'), self.value()),
            5 => format!(
                "SET {} {} PX {}",
                self.key('s'),
                self.value(),
                self.rng.u32(1..30)
            ),
            6 => format!("APPEND {} {}", self.key('s'), self.value()),
            7 => format!("INCR {}", self.key('n')),
            8..=9 => format!("MGET {}", self.keys('s')),
            10..=11 => format!("MSET {}", self.pairs()),
            12 => format!("MSETNX {}", self.pairs()),
            13 => format!("DEL {}", self.keys('s')),
            14 => format!("EXISTS {}", self.keys('s')),
            15 => format!("RENAME {} {}", self.key('s'), self.key('s')),
            16 => format!("COPY {} {} REPLACE", self.key('s'), self.key('s')),
            17 => format!(
                "COPY {} {} DB {} REPLACE",
                self.key('s'),
                self.key('s'),
                self.rng.u32(..2)
            ),
            18..=19 => format!("RPUSH {} {}", self.key('l'), self.value()),
            20 => format!("LPUSH {} {} {}", self.key('l'), self.value(), self.value()),
            21 => format!("LPOP {}", self.key('l')),
            22 => {
                let (from, to) = (self.key('l'), self.key('l'));
                format!("LMOVE {from} {to} {} {}", self.side(), self.side())
            }
            23 => format!("LRANGE {} 0 -1", self.key('l')),
            24 => format!("SADD {} {}", self.key('t'), self.rng.u32(..6)),
            25 => format!("SREM {} {}", self.key('t'), self.rng.u32(..6)),
            26 => format!(
                "SMOVE {} {} {}",
                self.key('t'),
                self.key('t'),
                self.rng.u32(..6)
            ),
            27 => format!("SINTERCARD 2 {} {}", self.key('t'), self.key('t')),
            28 => format!(
                "SUNIONSTORE {} {} {}",
                self.key('t'),
                self.key('t'),
                self.key('t')
            ),
            29 => format!("PEXPIRE {} {}", self.key('s'), self.rng.u32(1..30)),
            30 => format!("MOVE {} {}", self.key('s'), self.rng.u32(..2)),
            31 => format!("SORT {} BY s* GET # GET n*", self.key('t')),
            32 => format!("DEL {}", self.keys('l')),
            _ => format!("LLEN {}", self.key('l')),
        }
    }

    /// A command that may wait.
    fn waiting(&mut self) -> String {
        let timeout = self.rng.choice(["0", "0", "0.005", "0.02"]).unwrap_or("0");
        match self.rng.u32(..4) {
            0..=1 => format!("BLPOP {} {timeout}", self.keys('l')),
            2 => {
                let (from, to) = (self.key('l'), self.key('l'));
                format!(
                    "BLMOVE {from} {to} {} {} {timeout}",
                    self.side(),
                    self.side()
                )
            }
            _ => format!(
                "BLMPOP {timeout} 2 {} {} LEFT COUNT 2",
                self.key('l'),
                self.key('l')
            ),
        }
    }

    /// A command on whole databases.
    fn whole(&mut self) -> String {
        match self.rng.u32(..6) {
            0 => "FLUSHDB".into(),
            1 => "FLUSHALL".into(),
            2..=3 => "SWAPDB 0 1".into(),
            _ => "KEYS *".into(),
        }
    }

    /// A call of a script, as [`Self::command`] wants it.
    fn script(&mut self) -> String {
        let named = self.rng.usize(..SCRIPTS.len() + 8);
        let named = SCRIPTS.get(named).unwrap_or(&SCRIPTS[0]);
        let name = named.name;
        let verbs = match named.keys {
            Some(_) => ["EVAL", "EVAL", "EVALSHA"],
            None => ["EVAL", "EVALSHA", "FCALL"],
        };
        let verb = self.rng.choice(verbs).unwrap_or("EVAL");
        if let Some(kinds) = named.keys {
            let keys: Vec<String> = kinds.chars().map(|kind| self.key(kind)).collect();
            let (count, keys) = (keys.len(), keys.join(" "));
            return format!("{verb} {name} {count} {keys} {}", self.value());
        }
        match name {
            "size" => format!("{verb} {name} 1 {} {}", self.key('s'), self.value()),
            "follow" | "look" => {
                let (first, steps) = (self.key('s'), self.rng.u32(1..6));
                let declared = self.rng.usize(..2);
                let declared = if declared == 0 {
                    "0".into()
                } else {
                    format!("1 {first}")
                };
                format!("{verb} {name} {declared} {first} {steps} {}", self.value())
            }
            _ => self.commands_in_script(verb),
        }
    }

    /// A script that runs some commands, of whose keys it declares some.
    fn commands_in_script(&mut self, verb: &str) -> String {
        let count = self.rng.usize(1..6);
        let mut lines: Vec<String> = (0..count).map(|_| self.line()).collect();
        if self.rng.u32(..3) == 0 {
            // It changes the same once more.
            let again = lines[self.rng.usize(..count)].clone();
            let last = self.line();
            lines.extend([again, last]);
        }
        let is_key = |word: &&str| {
            let kinds = ['s', 'l', 'n', 't', 'z', 'x'];
            word.len() == 2 && word.starts_with(kinds) && word.as_bytes()[1] < b'5'
        };
        let mut keys: Vec<&str> = lines.iter().flat_map(|line| line.split(',')).collect();
        keys.retain(is_key);
        let rng = &mut self.rng;
        let share = rng.u32(..4);
        keys.retain(|_| rng.u32(..3) < share);
        let mut keys: Vec<String> = keys.into_iter().map(str::to_string).collect();
        if self.rng.u32(..8) == 0 {
            keys.push(self.key('s'));
        }
        let verb = if self.rng.u32(..12) == 0 {
            "EVAL_RO"
        } else {
            verb
        };
        let mut words = vec![verb.to_string(), "run".into(), keys.len().to_string()];
        words.extend(keys);
        words.extend(lines);
        words.join(" ")
    }

    /// A command on a sorted set, which may grow too large to be copied.
    fn of_sorted_set(&mut self) -> String {
        let (key, score) = (self.key('z'), self.rng.u32(..9));
        let member = format!("{}{}", "long".repeat(9), self.rng.u32(..20));
        match self.rng.u32(..8) {
            0 => format!("ZREM {key} {member}"),
            1 => format!("ZINCRBY {key} {score} {member}"),
            2 => format!("ZRANGE {key} 0 -1 WITHSCORES"),
            3 => format!("ZADD {key} NX {score} {member} 1 other"),
            4 => format!("ZPOPMIN {key}"),
            _ => format!("ZADD {key} {score} {member} {score} {member}x"),
        }
    }

    /// A command on a stream, which may grow too large to be copied.
    fn of_stream(&mut self) -> String {
        let (key, value) = (self.key('x'), self.value());
        match self.rng.u32(..8) {
            0 => format!("XLEN {key}"),
            1 => format!("XRANGE {key} - +"),
            2 => format!("XTRIM {key} MAXLEN {}", self.rng.u32(..9)),
            3 => format!("XADD {key} MAXLEN 6 * name {value}"),
            4 => format!("DEL {key}"),
            _ => format!("XADD {key} * name {value} other {value}"),
        }
    }

    /// A command that a script runs: its words with commas between them.
    fn line(&mut self) -> String {
        let text = match self.rng.u32(..72) {
            0 => self.whole(),
            1 => "DBSIZE".into(),
            2 => self.waiting(),
            3..=4 => format!("PUBLISH c {}", self.value()),
            5..=6 => format!("SELECT {}", self.rng.u32(..2)),
            7 => "PING".into(),
            8 => "TIME".into(),
            9 => format!("NOSUCH {}", self.key('s')),
            10 => format!("INCR {}", self.key('s')),
            // More than is copied to be put back.
            11..=12 => format!("SETRANGE {} 200 {}", self.key('s'), self.value()),
            13..=16 => self.of_sorted_set(),
            17..=20 => self.of_stream(),
            // A list of few such is too large to be copied.
            21..=24 => {
                let (verb, key) = (["LPUSH", "RPUSH"][self.rng.usize(..2)], self.key('l'));
                format!("{verb} {key} {}{}", self.value(), "long".repeat(15))
            }
            _ => self.plain(),
        };
        let text = if self.rng.u32(..3) == 0 {
            format!("! {text}")
        } else {
            text
        };
        text.replace(' ', ",")
    }

    /// A command of words with a space between them. Of one that runs a script the second names it.
    ///
    /// # Panics
    /// Where there is no such command, or script.
    pub fn command(text: &str, db: DbIndex) -> Command {
        let mut words: Vec<Vec<u8>> = text.split(' ').map(Vec::from).collect();
        if text.starts_with("EVAL") {
            let name = text.split(' ').nth(1).unwrap_or_default();
            let script = scripts::named(name).expect("a script of this world").text;
            words[1] = if text.starts_with("EVALSHA") {
                lua::script::sha_of(script.as_bytes()).to_vec()
            } else {
                script.into()
            };
        }
        let args = OwnedArgs::from_parts(words.iter().map(Vec::as_slice));
        let id = lookup(args.borrow().get(0).unwrap_or_default());
        Command {
            id: id.expect("a command of the table"),
            db,
            args,
        }
    }

    /// What a client of this database asks next.
    pub fn ask(&mut self, db: DbIndex, is_watching: bool) -> Ask {
        let die = self.rng.u32(..100);
        if is_watching && die < 50 || die < 12 {
            let count = self.rng.usize(1..4);
            let commands = (0..count)
                .map(|_| {
                    let text = match self.rng.u32(..20) {
                        0 => self.whole(),
                        1..=5 if self.scripts => self.script(),
                        _ => self.plain(),
                    };
                    Self::command(&text, db)
                })
                .collect();
            return Ask::Exec(commands);
        }
        let text = match die {
            12..=17 => {
                let keys = self.keys('s');
                let keys = keys.split(' ').map(|key| key.as_bytes().to_vec()).collect();
                return Ask::Watch(db, keys);
            }
            18..=30 => self.waiting(),
            31..=32 => self.whole(),
            33..=69 if self.scripts => self.script(),
            _ => self.plain(),
        };
        Ask::Command(Self::command(&text, db))
    }
}
