//! What a data command sees: the databases, the time, the configuration, and one place to say what it changed.
//!
//! Nothing about shards, sockets or logs is here. The same command runs on the keys of its own shard and, inside a transaction over several
//! shards, on databases that hold just the keys lent to it; it cannot tell which.

use fastrand::Rng;
use storage::{Database, Databases, DbIndex, Entry, UnixMillis};

use crate::config::Config;
use crate::event::Event;

/// Values worth more than this many frees are dropped on a thread of their own.
const FREE_EFFORT_MAX: usize = 64;

/// Who called, as far as a data command may care.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// `CLIENT ID`.
    pub client_id: u64,
    /// `CLIENT NO-TOUCH` is on: reads leave the LRU and LFU clocks alone.
    pub no_touch: bool,
}

/// What commands did, gathered for those who must know.
#[derive(Default)]
pub struct Effects {
    /// Changes to keys since start: Redis's `dirty`.
    pub dirty: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    pub expired_fields: u64,
    /// Big values on their way to the thread that frees them.
    pub discarded: Vec<Entry>,
}

/// Passed to every data command.
pub struct Context<'a> {
    pub databases: &'a mut Databases,
    pub selected: DbIndex,
    pub now: UnixMillis,
    pub config: &'a Config,
    pub caller: Caller,
    pub effects: &'a mut Effects,
    pub random: &'a mut Rng,
}

impl Context<'_> {
    /// The selected database.
    #[inline]
    pub fn db(&mut self) -> &mut Database {
        self.databases.get_mut(self.selected)
    }

    /// Says that `key` of the selected database changed: the one place that watchers, waiters, notifications and logs learn it from.
    #[inline]
    pub fn changed(&mut self, key: &[u8], event: Event) {
        self.changed_in(self.selected, key, event);
    }

    /// The same for a key of another database (COPY, MOVE).
    #[inline]
    pub fn changed_in(&mut self, _db: DbIndex, _key: &[u8], _event: Event) {
        self.effects.dirty += 1;
    }

    /// Counts a read that found its key, or did not.
    #[inline]
    pub fn looked_up(&mut self, found: bool) {
        match found {
            true => self.effects.keyspace_hits += 1,
            false => self.effects.keyspace_misses += 1,
        }
    }

    /// Drops what was deleted: at once where that is cheap, elsewhere where it is not.
    #[inline]
    pub fn discard(&mut self, entry: Entry) {
        if entry.effort_to_free() > FREE_EFFORT_MAX {
            self.effects.discarded.push(entry);
        }
    }
}
