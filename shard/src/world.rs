//! Everything at once: the databases of all shards in one hand, for commands on the whole keyspace (DBSIZE, FLUSHALL, SWAPDB, KEYS).
//!
//! A transaction that locks whole shards is lent their databases as they are: a few pointers each. What runs on them runs at one instant,
//! for everybody. It holds up every shard for as long as it runs, as such a command holds up Redis.

use std::sync::Arc;

use storage::{Databases, DbIndex, Keyspace, UnixMillis};

use crate::aof_manifest::Part;
use crate::context::Change;
use crate::message::TransactionKey;
use crate::process::Process;

/// What one shard lends.
pub struct Lent {
    pub databases: Databases,
    /// The keys that somebody watches there.
    pub watched: Vec<TransactionKey>,
    /// What the shard is to be told with its databases: keys that changed.
    pub changes: Vec<Change>,
    /// Databases that were emptied or exchanged: who waits for keys of theirs may find something else now.
    pub overturned: Vec<DbIndex>,
    /// The shard's log goes on in this part.
    pub next_part: Option<Part>,
}

/// The databases of all shards, in their order.
pub struct World<'a> {
    pub shards: Vec<&'a mut Lent>,
    pub selected: DbIndex,
    pub now: UnixMillis,
    pub process: Arc<Process>,
    /// Emptied databases on their way to the thread that frees them.
    pub discarded: Vec<Keyspace>,
    /// Keys that went.
    pub dirty: u64,
}

impl World<'_> {
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
        for lent in &mut self.shards {
            lent.note_watched(db, db);
            lent.overturned.push(db);
            let keyspace = lent.databases.get_mut(db).clear();
            self.dirty += keyspace.len() as u64;
            // An empty one of which a snapshot is being made has a last piece to hand on, with what it held at the cut.
            if !keyspace.is_empty() || keyspace.is_cut() {
                self.discarded.push(keyspace);
            }
        }
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        for lent in &mut self.shards {
            lent.note_watched(a, b);
            lent.overturned.extend([a, b]);
            lent.databases.swap(a, b);
        }
        self.dirty += 1;
    }
}

impl Lent {
    /// A watched key of `a` or `b` that exists in either of the two changes when these are emptied or exchanged.
    fn note_watched(&mut self, a: DbIndex, b: DbIndex) {
        for TransactionKey { db, key } in &self.watched {
            let concerned = *db == a || *db == b;
            if concerned
                && (self.databases.get(a).get(key).is_some()
                    || self.databases.get(b).get(key).is_some())
            {
                self.changes.push(Change {
                    db: *db,
                    key: key.clone(),
                    event: None,
                });
            }
        }
    }
}
