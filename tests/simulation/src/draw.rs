//! What clients ask: commands on a handful of keys, so that they meet.

use fastrand::Rng;
use protocol::args::OwnedArgs;
use protocol::table::lookup;
use storage::DbIndex;

use crate::client::{Ask, Command};

/// Keys of each kind.
const KEYS: usize = 5;

/// Draws what a client asks.
pub struct Draw {
    pub rng: Rng,
    values: u64,
}

impl Draw {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            values: 0,
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

    /// A command of words with a space between them.
    ///
    /// # Panics
    /// Where there is no such command.
    pub fn command(text: &str, db: DbIndex) -> Command {
        let args = OwnedArgs::from_parts(text.split(' ').map(str::as_bytes));
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
                    let text = if self.rng.u32(..20) == 0 {
                        self.whole()
                    } else {
                        self.plain()
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
            _ => self.plain(),
        };
        Ask::Command(Self::command(&text, db))
    }
}
