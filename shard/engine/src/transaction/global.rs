//! Everything at once: the databases of all shards in one hand, for commands on the whole keyspace
//! (DBSIZE, FLUSHALL, SWAPDB, KEYS).
//!
//! A transaction that locks whole shards is lent their databases as they are: a few pointers each.
//! What runs on them runs at one instant, for everybody. It holds up every shard for as long as it
//! runs, as such a command holds up Redis.

use config::Config;
use storage::{Databases, DbIndex, Keyspace, UnixMillis};

use crate::effect::{Effect, EffectList, What};
use crate::event::Event;
use crate::header::TransactionKey;

/// The instant of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The snapshot's number.
    pub number: u64,
    /// A new part of the logs begins here: its sequence number.
    pub part: Option<u64>,
}

/// What one shard lends.
pub struct OwnerDatabases {
    pub databases: Databases,
    /// The keys that somebody watches there.
    pub watched: Vec<TransactionKey>,
    /// What the shard is to be told with its databases, before what is told of single keys.
    pub effects: EffectList,
    /// Databases that were emptied or exchanged: who waits for keys of theirs may find something
    /// else now.
    pub overturned: Vec<DbIndex>,
    /// This was the instant of a snapshot.
    pub cut: Option<Cut>,
    /// Changes that its commands had made.
    pub dirty: u64,
    /// Its log cannot be written.
    pub log_fails: bool,
}

/// The databases of all shards, in their order.
pub struct Global<'a> {
    pub shards: Vec<&'a mut OwnerDatabases>,
    pub selected: DbIndex,
    pub now: UnixMillis,
    pub config: &'a Config,
    /// This is a command of an EXEC.
    pub in_exec: bool,
    /// Emptied databases on their way to the thread that frees them.
    pub discarded: Vec<Keyspace>,
    /// Their values count as freed lazily.
    pub frees_lazily: bool,
    /// Keys that went.
    pub dirty: u64,
    /// Keys that were looked at as a read does.
    pub hits: u64,
    /// Whole databases went or came: nothing that a client has cached is to be relied on.
    pub all_changed: bool,
    /// Two databases have changed places.
    pub swapped: Option<(DbIndex, DbIndex)>,
    /// What BGSAVE is writing is of no use any more.
    pub gives_up_dump: bool,
}

impl Global<'_> {
    /// All databases' numbers.
    pub fn databases(&self) -> Vec<DbIndex> {
        let first = self.shards.first();
        first.map_or_else(Vec::new, |lent| lent.databases.indices().collect())
    }

    /// The database with this number, if it exists.
    pub fn database(&self, number: u16) -> Option<DbIndex> {
        self.shards
            .first()
            .and_then(|lent| lent.databases.index(number))
    }

    /// Keys in a database.
    pub fn len(&self, db: DbIndex) -> usize {
        self.keyspaces(db).map(Keyspace::len).sum()
    }

    /// The parts of a database, in the order of their shards.
    pub fn keyspaces(&self, db: DbIndex) -> impl Iterator<Item = &Keyspace> {
        self.shards.iter().map(move |lent| lent.databases.get(db))
    }

    /// Deletes all keys of a database.
    pub fn flush(&mut self, db: DbIndex) {
        self.dirty += self.forget(db);
    }

    /// Deletes all keys of a database, which no log or snapshot would have to have. Returns how
    /// many keys there were.
    pub fn forget(&mut self, db: DbIndex) -> u64 {
        self.all_changed = true;
        let mut keys = 0;
        for lent in &mut self.shards {
            lent.note_watched(db, db, self.now);
            lent.overturned.push(db);
            let keyspace = lent.databases.get_mut(db).clear();
            keys += keyspace.len() as u64;
            // An empty one of which a snapshot is being made has a last piece to hand on, with what
            // it held at the cut.
            if !keyspace.is_empty() || keyspace.is_cut() {
                self.discarded.push(keyspace);
            }
        }
        keys
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.all_changed = true;
        self.swapped = Some((a, b));
        for lent in &mut self.shards {
            lent.note_watched(a, b, self.now);
            lent.note_watched(b, a, self.now);
            lent.overturned.extend([a, b]);
            lent.databases.swap(a, b);
        }
        self.dirty += 1;
    }
}

impl OwnerDatabases {
    /// Watched keys of `a` change when these are emptied (with `b` the same) or exchanged: those
    /// that are there, and those that come. What comes and has expired is nothing, and goes now,
    /// since its removal later would be taken for a change.
    fn note_watched(&mut self, a: DbIndex, b: DbIndex, now: UnixMillis) {
        for TransactionKey { db, key } in &self.watched {
            if *db != a {
                continue;
            }
            let coming = self.databases.get(b).get(key);
            let coming = coming.map(|entry| entry.is_expired(now));
            let is_there = self.databases.get(a).get(key).is_some();
            let (db, what) = match coming {
                Some(true) if !is_there => {
                    drop(self.databases.get_mut(b).take(key));
                    (b, What::Event(Event::EXPIRED))
                }
                Some(false) => (a, What::DatabaseReplaced),
                _ if is_there => (a, What::DatabaseReplaced),
                _ => continue,
            };
            self.effects.push(Effect {
                db,
                key,
                what,
                by: None,
                payload: b"",
            });
        }
    }
}
