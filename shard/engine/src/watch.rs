//! WATCH: has this key changed since?
//!
//! The shard that owns a key counts its changes for as long as somebody watches it; a watcher
//! remembers the count it saw. EXEC compares the two while it holds the key's lock, so nothing can
//! happen between the look and the run.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use storage::DbIndex;

use crate::effect::{Effect, What};
use crate::header::TransactionKey;

/// A state of a watched key. No two states of any key on a shard have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version(u64);

/// A key that a connection watches, as it saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    pub key: TransactionKey,
    pub version: Version,
    /// Its time had come, and a pause kept it: that it is gone for all who look is not a change.
    pub was_hidden: bool,
}

/// What a connection watches: each key once, as it was when that began.
#[derive(Default)]
pub struct Watching {
    items: HashMap<TransactionKey, (Version, bool), RandomState>,
    key_bytes: usize,
}

impl Watching {
    /// Adds keys. Returns those that it watches already.
    pub fn extend(&mut self, more: impl Iterator<Item = Watched>) -> Vec<Watched> {
        let mut again = Vec::new();
        for watched in more {
            match self.items.entry_ref(&watched.key) {
                EntryRef::Vacant(place) => {
                    self.key_bytes += watched.key.key.len();
                    place.insert((watched.version, watched.was_hidden));
                }
                EntryRef::Occupied(_) => again.push(watched),
            }
        }
        again
    }

    /// Leaves it with nothing.
    pub fn take(&mut self) -> Vec<Watched> {
        self.key_bytes = 0;
        let items = std::mem::take(&mut self.items).into_iter();
        items
            .map(|(key, (version, was_hidden))| Watched {
                key,
                version,
                was_hidden,
            })
            .collect()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of memory, without itself.
    pub fn memory_bytes(&self) -> usize {
        self.items.allocation_size() + self.key_bytes
    }
}

struct Count {
    version: Version,
    watchers: usize,
}

/// The watched keys of one database.
type Keys = HashMap<Box<[u8]>, Count, RandomState>;

/// The watched keys of one shard.
#[derive(Default)]
pub struct WatchTable {
    databases: HashMap<DbIndex, Keys, RandomState>,
    last: u64,
}

impl WatchTable {
    /// Whether nobody watches anything here: then a change need not be told.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Begins to watch a key. Every call wants one [`Self::unwatch`].
    pub fn watch(&mut self, db: DbIndex, key: &[u8]) -> Version {
        let keys = self.databases.entry(db).or_default();
        if let Some(known) = keys.get_mut(key) {
            known.watchers += 1;
            return known.version;
        }
        self.last += 1;
        let version = Version(self.last);
        let watchers = 1;
        keys.insert(key.into(), Count { version, watchers });
        version
    }

    /// Ends what [`Self::watch`] began.
    pub fn unwatch(&mut self, db: DbIndex, key: &[u8]) {
        let Some(keys) = self.databases.get_mut(&db) else {
            return;
        };
        if let EntryRef::Occupied(mut known) = keys.entry_ref(key) {
            known.get_mut().watchers -= 1;
            if known.get().watchers == 0 {
                known.remove();
            }
        }
        if keys.is_empty() {
            self.databases.remove(&db);
        }
    }

    /// Reads an effect: a key that is watched may have another state.
    pub(crate) fn heed(&mut self, effect: &Effect<'_>) {
        if effect.modifies() || effect.what == What::DatabaseReplaced {
            self.touch(effect.db, effect.key);
        }
    }

    /// The key has changed.
    pub fn touch(&mut self, db: DbIndex, key: &[u8]) {
        if let Some(count) = self
            .databases
            .get_mut(&db)
            .and_then(|keys| keys.get_mut(key))
        {
            self.last += 1;
            count.version = Version(self.last);
        }
    }

    /// Whether the key is as its watcher saw it.
    pub fn is_unchanged(&self, watched: &Watched) -> bool {
        self.databases
            .get(&watched.key.db)
            .and_then(|keys| keys.get(&watched.key.key))
            .is_some_and(|count| count.version == watched.version)
    }

    /// How many keys are watched.
    pub fn len(&self) -> usize {
        self.databases.values().map(HashMap::len).sum()
    }

    /// All watched keys, for what changes whole databases.
    pub fn keys(&self) -> Vec<TransactionKey> {
        self.databases
            .iter()
            .flat_map(|(&db, keys)| {
                keys.keys().map(move |key| TransactionKey {
                    db,
                    key: key.clone(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_those_who_watched_before_it() {
        let db = DbIndex::default();
        let mut table = WatchTable::default();
        let watched = |version| Watched {
            key: TransactionKey {
                db,
                key: b"k".as_slice().into(),
            },
            version,
            was_hidden: false,
        };
        let early = watched(table.watch(db, b"k"));
        assert!(table.is_unchanged(&early));
        table.touch(db, b"other");
        assert!(table.is_unchanged(&early));
        table.touch(db, b"k");
        let late = watched(table.watch(db, b"k"));
        assert!(!table.is_unchanged(&early));
        assert!(table.is_unchanged(&late));
        table.unwatch(db, b"k");
        assert!(table.is_unchanged(&late));
        table.unwatch(db, b"k");
        assert!(table.is_empty());
        assert!(
            !table.is_unchanged(&late),
            "a new watcher's count never looks like an old one's"
        );
    }
}
