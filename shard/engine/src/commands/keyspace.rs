//! The whole keyspace: DBSIZE, KEYS, SCAN, RANDOMKEY, FLUSHDB, FLUSHALL, SWAPDB.
//!
//! Most run on the databases of all shards at once ([`Global`]), so they see and change everything
//! at one instant. SCAN, which promises less, goes from shard to shard in the order of its cursor
//! and holds up only the one it is at. It and RANDOMKEY run on all shards at once inside MULTI,
//! where keys may be lent to the very transaction.

use fastrand::Rng;
use protocol::args::Args;
use protocol::glob;
use protocol::reply::Reply;
use storage::item::parse_int;
use storage::{Databases, DbIndex, Entry, Kind, Position, UnixMillis};

use crate::commands::options::{Options, integer, is};
use crate::error::{Error, Outcome};
use crate::transaction::global::Global;

/// Entries that SCAN visits where it is not told how many.
const SCAN_COUNT: usize = 10;

/// Low bits of a cursor: the shard it is at. Together with a position's forty bits it stays below
/// 2^53, which every client can hold.
const CURSOR_SHARD_BITS: u32 = 10;

/// `DBSIZE`: keys of the selected database.
pub fn dbsize(global: &mut Global<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.integer(global.len(global.selected) as i64);
    Ok(())
}

/// `FLUSHDB [ASYNC | SYNC]`: memory is freed in the background either way.
pub fn flushdb(global: &mut Global<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    global.frees_lazily = frees_lazily(global, args)?;
    global.flush(global.selected);
    reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`: deletes all keys, and gives up what BGSAVE is writing.
pub fn flushall(global: &mut Global<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    global.frees_lazily = frees_lazily(global, args)?;
    for db in global.databases() {
        global.flush(db);
    }
    global.gives_up_dump = true;
    reply.ok();
    Ok(())
}

/// Whether what goes counts as freed lazily. Redis makes a flush that need not be lazy such a one,
/// but inside EXEC, where it frees at once.
fn frees_lazily(global: &Global<'_>, args: &Args<'_>) -> Result<bool, Error> {
    let asked = match args.get(1) {
        None => global.config.lazyfree_lazy_user_flush,
        Some(mode) if args.len() == 2 && is(mode, "ASYNC") => true,
        Some(mode) if args.len() == 2 && is(mode, "SYNC") => false,
        Some(_) => return Err(Error::SYNTAX),
    };
    Ok(asked || !global.in_exec)
}

/// `SWAPDB index index`
pub fn swapdb(global: &mut Global<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let number = |at: usize, error: &'static str| {
        parse_int(&args[at])
            .filter(|number| i32::try_from(*number).is_ok())
            .ok_or(Error::new(error))
    };
    let first = number(1, "ERR invalid first DB index")?;
    let second = number(2, "ERR invalid second DB index")?;
    let database = |number: i64| {
        u16::try_from(number)
            .ok()
            .and_then(|number| global.database(number))
            .ok_or(Error::DB_OUT_OF_RANGE)
    };
    let (first, second) = (database(first)?, database(second)?);
    if first != second {
        global.swap(first, second);
    }
    reply.ok();
    Ok(())
}

/// `KEYS pattern`: all keys that match, at one instant. It holds up everybody, as in Redis; SCAN
/// does not.
pub fn keys(global: &mut Global<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pattern = &args[1];
    let now = global.now;
    let mark = reply.begin();
    let mut count = 0;
    for entry in global
        .keyspaces(global.selected)
        .flat_map(|keyspace| keyspace.iter())
    {
        if !entry.is_expired(now) && glob::matches(pattern, entry.key(), false) {
            reply.bulk(entry.key());
            count += 1;
        }
    }
    reply.finish_array(mark, count);
    Ok(())
}

/// What one shard offers to RANDOMKEY: its number of keys, and one of them.
pub type Offer = (usize, Option<Vec<u8>>);

/// What a shard offers of a database.
pub fn offer(databases: &Databases, db: DbIndex, now: UnixMillis, random: &mut Rng) -> Offer {
    /// Expired keys drawn in a row before the shard offers none.
    const TRIES: usize = 100;
    let keyspace = databases.get(db);
    let mut live = None;
    for _ in 0..TRIES {
        match keyspace.random(random) {
            Some(entry) if entry.is_expired(now) => {}
            drawn => {
                live = drawn.map(|entry| entry.key().to_vec());
                break;
            }
        }
    }
    (if live.is_some() { keyspace.len() } else { 0 }, live)
}

/// Picks one of the offers, each with the weight of its number of keys.
pub fn choose(offers: Vec<Offer>, random: &mut Rng, reply: &mut Reply<'_>) {
    let total: usize = offers.iter().map(|(len, _)| len).sum();
    let mut drawn = match total {
        0 => 0,
        _ => random.usize(..total),
    };
    for (len, key) in offers {
        match key {
            Some(key) if drawn < len => return reply.bulk(&key),
            _ => drawn = drawn.saturating_sub(len),
        }
    }
    reply.null();
}

/// `RANDOMKEY` inside MULTI: some key of the selected database, nil where there is none.
pub fn randomkey_at_once(global: &mut Global<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut random = Rng::new();
    let (db, now) = (global.selected, global.now);
    let offers = global
        .shards
        .iter()
        .map(|lent| offer(&lent.databases, db, now, &mut random))
        .collect();
    choose(offers, &mut random, reply);
    Ok(())
}

/// Where a scan stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cursor {
    shard: usize,
    position: Position,
}

impl Cursor {
    /// The cursor that a client sends back. One that no scan has given out is refused where it
    /// could not be one.
    fn parse(text: &[u8], shards: usize) -> Result<Self, Error> {
        let number = parse_unsigned(text).ok_or(Error::INVALID_CURSOR)?;
        let shard = (number & ((1 << CURSOR_SHARD_BITS) - 1)) as usize;
        let position = Position::new(number >> CURSOR_SHARD_BITS);
        // A number out of thin air ends the scan, as Redis answers one with whatever lies there.
        Ok(match position {
            Some(position) if shard < shards => Self { shard, position },
            _ => Self {
                shard: shards,
                position: Position::default(),
            },
        })
    }

    fn number(self) -> u64 {
        self.position.bits() << CURSOR_SHARD_BITS | self.shard as u64
    }
}

fn parse_unsigned(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// What a scan looks for.
#[derive(Clone)]
struct Filter {
    pattern: Option<Box<[u8]>>,
    kind: Option<Kind>,
    /// TYPE named none that exists.
    nothing: bool,
}

impl Filter {
    fn matches(&self, entry: &Entry, now: UnixMillis) -> bool {
        let pattern = self.pattern.as_ref();
        !entry.is_expired(now)
            && pattern.is_none_or(|pattern| glob::matches(pattern, entry.key(), false))
    }

    fn wants_type_of(&self, entry: &Entry) -> bool {
        !self.nothing && self.kind.is_none_or(|kind| entry.kind() == kind)
    }
}

/// A scan under way: it travels from shard to shard.
pub struct Scan {
    db: DbIndex,
    cursor: Cursor,
    filter: Filter,
    left: usize,
    keys: Vec<Vec<u8>>,
    /// Keys whose type was looked at: Redis counts these as hits.
    pub hits: u64,
}

impl Scan {
    /// What a command asks for, of so many shards.
    pub fn parse(db: DbIndex, args: &Args<'_>, shards: usize) -> Result<Self, Error> {
        let mut scan = Self {
            db,
            cursor: Cursor::parse(&args[1], shards)?,
            filter: Filter {
                pattern: None,
                kind: None,
                nothing: false,
            },
            left: SCAN_COUNT,
            keys: Vec::new(),
            hits: 0,
        };
        let mut options = Options::new(args, 2);
        while let Some(word) = options.next() {
            if is(word, "COUNT") && options.left() > 0 {
                let count = integer(options.value()?)?;
                scan.left = usize::try_from(count)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(Error::SYNTAX)?;
            } else if is(word, "MATCH") && options.left() > 0 {
                let pattern = options.value()?;
                scan.filter.pattern = (pattern != b"*").then(|| pattern.into());
            } else if is(word, "TYPE") && options.left() > 0 {
                let kind = Kind::named(options.value()?);
                scan.filter.nothing = kind.is_none();
                scan.filter.kind = kind;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(scan)
    }

    /// The shard it is at: `shards` or beyond where it is over.
    pub fn shard(&self) -> usize {
        self.cursor.shard
    }

    /// Visits entries of the shard it is at. Returns whether it is to go on, at the shard its
    /// cursor then names.
    pub fn step(&mut self, databases: &Databases, now: UnixMillis) -> bool {
        let Self {
            filter,
            keys,
            left,
            hits,
            ..
        } = self;
        let mut visited = 0;
        let next = databases
            .get(self.db)
            .scan(self.cursor.position, *left, |entry| {
                visited += 1;
                if !filter.matches(entry, now) {
                    return;
                }
                *hits += u64::from(filter.kind.is_some() || filter.nothing);
                if filter.wants_type_of(entry) {
                    keys.push(entry.key().to_vec());
                }
            });
        *left = left.saturating_sub(visited);
        match next {
            Some(position) => {
                self.cursor.position = position;
                false
            }
            None => {
                self.cursor.shard += 1;
                self.cursor.position = Position::default();
                self.left > 0
            }
        }
    }

    /// The reply: the cursor to go on with, and the keys.
    pub fn write(&self, shards: usize, reply: &mut Reply<'_>) {
        let number = if self.cursor.shard < shards {
            self.cursor.number()
        } else {
            0
        };
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(number).as_bytes());
        reply.array(self.keys.len());
        for key in &self.keys {
            reply.bulk(key);
        }
    }
}

/// `SCAN` inside MULTI.
pub fn scan_at_once(global: &mut Global<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let shards = global.shards.len();
    let mut scan = Scan::parse(global.selected, args, shards)?;
    while let Some(lent) = global.shards.get(scan.cursor.shard)
        && scan.step(&lent.databases, global.now)
    {}
    global.hits += scan.hits;
    scan.write(shards, reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor = Cursor {
            shard: 255,
            position: Position::new((1 << 40) - 1).expect("forty bits"),
        };
        assert!(cursor.number() < 1 << 53);
        let text = cursor.number().to_string();
        assert_eq!(Cursor::parse(text.as_bytes(), 256), Ok(cursor));
        assert_eq!(Cursor::parse(b"0", 4).map(Cursor::number), Ok(0));
        for text in ["", "-1", "x", "18446744073709551616"] {
            assert_eq!(
                Cursor::parse(text.as_bytes(), 4),
                Err(Error::INVALID_CURSOR)
            );
        }
        // Beyond the last shard: the scan is over.
        assert_eq!(Cursor::parse(b"7", 4).map(|cursor| cursor.shard), Ok(4));
    }
}
