//! When fields of hashes are to be removed: an index by time of the hashes of one shard that have fields which expire.
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

use crate::context::Context;
use crate::effects::{Effect, What};
use crate::engine::Engine;
use crate::event::Event;
use crate::header::Caller;

/// Hashes looked at in one go.
const HASHES_PER_STEP_MAX: usize = 64;

/// Fields removed from one hash in one go.
const FIELDS_PER_HASH_MAX: usize = 256;

/// Hashes that are looked at one by one to count them.
const HASHES_COUNTED_MAX: usize = 10_000;

/// How long a hash that is lent away is left alone.
const LATER: Duration = Duration::from_millis(100);

/// The index.
#[derive(Default)]
pub struct FieldClock(BTreeMap<DbIndex, DbClock>);

/// That of one database.
#[derive(Default)]
struct DbClock {
    /// Keys whose hash may have a new deadline.
    noted: HashSet<Box<[u8]>, RandomState>,
    due: BTreeSet<(UnixMillis, Arc<[u8]>)>,
    /// Where in `due` each key stands.
    times: HashMap<Arc<[u8]>, UnixMillis, RandomState>,
}

impl DbClock {
    fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.due.is_empty()
    }

    /// A key is to be looked at then, and not when it was to be before.
    fn set(&mut self, key: &[u8], at: UnixMillis) {
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
    fn pop_due(&mut self, now: UnixMillis) -> Option<Arc<[u8]>> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.due.pop_first()?;
        self.times.remove(&key);
        Some(key)
    }

    fn hashes(&self, db: DbIndex, databases: &Databases) -> u64 {
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

    /// How many hashes of each database have fields that expire. Of very many the index's own count is told, which may be of late.
    pub fn hashes(&self, databases: &Databases) -> BTreeMap<DbIndex, u64> {
        let known = self
            .0
            .values()
            .map(|clock| clock.times.len())
            .sum::<usize>();
        let count = |(db, clock): (&DbIndex, &DbClock)| {
            let count = match known > HASHES_COUNTED_MAX {
                true => (clock.noted.len() + clock.times.len()) as u64,
                false => clock.hashes(*db, databases),
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

impl Context<'_> {
    /// A command did not find all of these fields of the hash at `key`. Those whose time has come are removed before the clock gets to them, as in
    /// Redis: who was told that a field is gone does not find it counted afterwards.
    pub fn expire_fields<'n>(&mut self, key: &[u8], names: impl Iterator<Item = &'n [u8]>) {
        let now = self.now;
        let Some(Ok(hash)) = self.peek(key).map(|entry| entry.get::<Hash>()) else {
            return;
        };
        let expired = names.filter(|name| hash.has_expired(name, now));
        let expired: Vec<Vec<u8>> = expired.map(<[u8]>::to_vec).collect();
        self.remove_expired_fields(key, &expired);
    }

    /// The same of all fields of the hash at `key`.
    pub fn expire_due_fields(&mut self, key: &[u8]) {
        let now = self.now;
        let Some(Ok(hash)) = self.peek(key).map(|entry| entry.get::<Hash>()) else {
            return;
        };
        if !hash.next_deadline().is_some_and(|due| due.has_passed(now)) {
            return;
        }
        let expired = hash.fields().filter(|field| !field.is_live(now));
        let expired: Vec<Vec<u8>> = expired.map(|field| field.name.to_vec()).collect();
        self.remove_expired_fields(key, &expired);
    }

    fn remove_expired_fields(&mut self, key: &[u8], expired: &[Vec<u8>]) {
        let (db, now) = (self.selected, self.now);
        if expired.is_empty() || self.keeps_expired() {
            return;
        }
        self.db().preserve(key);
        let Some(Ok(hash)) = self.peek(key).map(|entry| entry.get_mut::<Hash>()) else {
            return;
        };
        for name in expired {
            hash.remove_expired(name, now);
        }
        let is_empty = hash.is_empty();
        self.effects.fields_expired(db, key, expired);
        if is_empty {
            self.delete(key);
            self.effects.changed(db, key, Event::DEL, &Caller::NOBODY);
        }
    }
}

impl Engine {
    /// Removes fields whose time has come. True where more may be due.
    pub fn expire_fields(&mut self) -> bool {
        let known: Vec<DbIndex> = self.effects.fields.0.keys().copied().collect();
        let mut left = HASHES_PER_STEP_MAX;
        for db in known {
            self.index_noted(db);
            while let Some(key) = self.next_due(db) {
                self.expire_fields_of(db, &key);
                left -= 1;
                if left == 0 {
                    return true;
                }
            }
        }
        self.effects.fields.0.retain(|_, clock| !clock.is_empty());
        false
    }

    fn index_noted(&mut self, db: DbIndex) {
        let clock = self.effects.fields.0.get_mut(&db);
        let noted = clock.map(|clock| std::mem::take(&mut clock.noted));
        for key in noted.into_iter().flatten() {
            self.index_fields(db, &key);
        }
    }

    fn next_due(&mut self, db: DbIndex) -> Option<Arc<[u8]>> {
        self.effects.fields.0.get_mut(&db)?.pop_due(self.now)
    }

    fn expire_fields_of(&mut self, db: DbIndex, key: &[u8]) {
        if self.owner.locks.holds_key(key) {
            let later = self.now.ms().saturating_add(LATER.as_millis() as u64);
            return self.look_at_fields(db, key, UnixMillis::new(later));
        }
        let now = self.now;
        let keyspace = self.databases.get_mut(db);
        keyspace.preserve(key);
        let Some(hash) = keyspace
            .get_mut(key)
            .and_then(|entry| entry.get_mut::<Hash>().ok())
        else {
            return;
        };
        let mut names: Vec<Vec<u8>> = Vec::new();
        hash.expire(now, FIELDS_PER_HASH_MAX, |name| names.push(name.to_vec()));
        let is_empty = hash.is_empty();
        self.effects.fields_expired(db, key, &names);
        if is_empty {
            drop(self.databases.get_mut(db).take(key));
            self.effects.changed(db, key, Event::DEL, &Caller::NOBODY);
        } else {
            self.index_fields(db, key);
        }
        self.effects.hand_out();
    }

    fn index_fields(&mut self, db: DbIndex, key: &[u8]) {
        let entry = self.databases.get(db).get(key);
        let hash = entry.and_then(|entry| entry.get::<Hash>().ok());
        if let Some(at) = hash.and_then(Hash::next_deadline) {
            self.look_at_fields(db, key, at);
        } else if self.owner.locks.holds_key(key) {
            // Lent away: it may come home with deadlines.
            self.effects.fields.note(db, key);
        }
    }

    fn look_at_fields(&mut self, db: DbIndex, key: &[u8], at: UnixMillis) {
        self.effects.fields.0.entry(db).or_default().set(key, at);
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
