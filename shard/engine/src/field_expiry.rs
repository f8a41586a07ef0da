//! When fields of hashes are to be removed: an index by time of the hashes of one shard that have
//! fields which expire.
//!
//! Readers do not see an expired field, so the index only has to find them some time. It may name a
//! key that is no such hash any more, and it learns of a hash with deadlines through the events
//! that can bring one about. A database that moves (SWAPDB) takes its part of the index with it.
//!
//! Invariant: a hash stands in it once, however often its fields get other deadlines.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use storage::{Databases, DbIndex, Hash, UnixMillis};

use crate::effect::{Effect, What};
use crate::event::Event;

/// Hashes looked at in one go.
pub(crate) const HASHES_PER_STEP_MAX: usize = 64;

/// Fields removed from one hash in one go.
pub(crate) const FIELDS_PER_HASH_MAX: usize = 256;

/// Hashes that are looked at one by one to count them.
pub(crate) const HASHES_COUNTED_MAX: usize = 10_000;

/// How long a hash that is lent away is left alone.
pub(crate) const LATER: Duration = Duration::from_millis(100);

/// The index.
#[derive(Default)]
pub struct FieldClock(pub(crate) BTreeMap<DbIndex, DbClock>);

/// That of one database.
#[derive(Default)]
pub(crate) struct DbClock {
    /// Keys whose hash may have a new deadline.
    pub(crate) noted: HashSet<Box<[u8]>, RandomState>,
    pub(crate) due: BTreeSet<(UnixMillis, Arc<[u8]>)>,
    /// Where in `due` each key stands.
    pub(crate) times: HashMap<Arc<[u8]>, UnixMillis, RandomState>,
}

impl DbClock {
    pub(crate) fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.due.is_empty()
    }

    /// A key is to be looked at then, and not when it was to be before.
    pub(crate) fn set(&mut self, key: &[u8], at: UnixMillis) {
        let key: Arc<[u8]> = match self.times.get_key_value(key) {
            Some((_, before)) if *before == at => return,
            Some((known, before)) => {
                let known = known.clone();
                self.due.remove(&(*before, known.clone()));
                known
            }
            None => key.into(),
        };
        self.times.insert(key.clone(), at);
        self.due.insert((at, key));
    }

    /// A key that is to be looked at now.
    pub(crate) fn pop_due(&mut self, now: UnixMillis) -> Option<Arc<[u8]>> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.due.pop_first()?;
        self.times.remove(&key);
        Some(key)
    }

    pub(crate) fn hashes(&self, db: DbIndex, databases: &Databases) -> u64 {
        let keyspace = databases.get(db);
        let expires = |key: &[u8]| {
            let hash = keyspace.get(key).and_then(|it| it.get::<Hash>().ok());
            hash.is_some_and(|hash| hash.next_deadline().is_some())
        };
        let new = self.noted.iter().map(|key| &**key);
        let new = new.filter(|key| !self.times.contains_key(*key));
        let known = self.times.keys().map(|key| &**key);
        new.chain(known).filter(|key| expires(key)).count() as u64
    }
}

impl FieldClock {
    /// Whether no field of this shard expires, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(DbClock::is_empty)
    }

    /// How many hashes of each database have fields that expire. Of very many the index's own count
    /// is told, which may be of late.
    pub fn hashes(&self, databases: &Databases) -> BTreeMap<DbIndex, u64> {
        let known = self
            .0
            .values()
            .map(|clock| clock.times.len())
            .sum::<usize>();
        let count = |(db, clock): (&DbIndex, &DbClock)| {
            let count = if known > HASHES_COUNTED_MAX {
                (clock.noted.len() + clock.times.len()) as u64
            } else {
                clock.hashes(*db, databases)
            };
            (*db, count)
        };
        let counts = self.0.iter().map(count);
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Reads an effect: a key may have got fields with deadlines, or databases other places.
    pub(crate) fn heed(&mut self, effect: &Effect<'_>) {
        match effect.what {
            What::Event(event) if event.may_set_field_deadlines() => {
                self.note(effect.db, effect.key);
            }
            What::FieldsExpire => self.note(effect.db, effect.key),
            What::Swapped(a, b) => self.swap(a, b),
            _ => {}
        }
    }

    /// Something happened to a key that can give it fields with deadlines.
    pub fn note(&mut self, db: DbIndex, key: &[u8]) {
        self.0.entry(db).or_default().noted.insert(key.into());
    }

    /// Two databases have changed places.
    pub(crate) fn swap(&mut self, a: DbIndex, b: DbIndex) {
        let (of_a, of_b) = (self.0.remove(&a), self.0.remove(&b));
        self.0.extend(of_a.map(|clock| (b, clock)));
        self.0.extend(of_b.map(|clock| (a, clock)));
    }

    /// A database is empty.
    pub(crate) fn forget(&mut self, db: DbIndex) {
        self.0.remove(&db);
    }
}

impl Event {
    /// Whether it can bring about a hash with fields that expire.
    #[inline]
    pub fn may_set_field_deadlines(self) -> bool {
        use config::EventClass::{Generic, Hash};
        matches!(self.class, Generic | Hash)
            && [
                Self::HEXPIRE,
                Self::RENAME_TO,
                Self::COPY_TO,
                Self::MOVE_TO,
                Self::RESTORE,
            ]
            .contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases() -> Databases {
        Databases::new(3, storage::KeyHasher::random())
    }

    #[test]
    fn a_hash_stands_in_it_once_and_moves_with_its_database() {
        let all = databases();
        let [a, b] = [1, 2].map(|number| all.index(number).expect("it exists"));
        let mut clock = FieldClock::default();
        for at in [30, 10, 20, 20] {
            let clock = clock.0.entry(a).or_default();
            clock.set(b"hash", UnixMillis::new(at));
            assert_eq!((clock.due.len(), clock.times.len()), (1, 1));
        }
        clock.swap(a, b);
        assert!(!clock.0.contains_key(&a));
        let moved = clock.0.get_mut(&b).expect("it has moved");
        assert_eq!(moved.pop_due(UnixMillis::new(19)), None);
        let due = moved.pop_due(UnixMillis::new(20));
        assert_eq!(due.as_deref(), Some(b"hash".as_slice()));
        assert!(clock.is_empty());
    }
}
