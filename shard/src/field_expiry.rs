//! When fields of hashes are to be removed: an index by time of the hashes of one shard that have fields which expire.
//!
//! Readers do not see an expired field, so the index only has to find them some time. It may name a key that is no such hash any more, and it
//! learns of a hash with deadlines through the events that can bring one about. Each hash stands in it once for each time it was noted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use storage::{Databases, DbIndex, Hash, UnixMillis};

use crate::context::event::Event;
use crate::context::{Caller, Context, Effects};
use crate::mailbox::message::TransactionKey;
use crate::shard::Shard;

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
pub struct FieldClock {
    /// Keys whose hash may have a new deadline.
    noted: Vec<TransactionKey>,
    due: BTreeSet<(UnixMillis, TransactionKey)>,
}

impl FieldClock {
    /// Whether no field of this shard expires, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.due.is_empty()
    }

    /// How many hashes of each database have fields that expire. Of very many the index's own count is told, which may be of late.
    pub fn hashes(&self, databases: &Databases) -> BTreeMap<DbIndex, u64> {
        let mut counts = BTreeMap::new();
        let known = self.noted.iter().chain(self.due.iter().map(|(_, key)| key));
        if self.due.len() > HASHES_COUNTED_MAX {
            known.for_each(|key| *counts.entry(key.db).or_insert(0) += 1);
            return counts;
        }
        let distinct: BTreeSet<&TransactionKey> = known.collect();
        for key in distinct {
            let entry = databases.get(key.db).get(&key.key);
            let hash = entry.and_then(|entry| entry.get::<Hash>().ok());
            if hash.is_some_and(|hash| hash.next_deadline().is_some()) {
                *counts.entry(key.db).or_insert(0) += 1;
            }
        }
        counts
    }

    /// Something happened to a key that can give it fields with deadlines.
    pub fn note(&mut self, db: DbIndex, key: &[u8]) {
        let key = key.into();
        self.noted.push(TransactionKey { db, key });
    }
}

impl Event {
    /// Whether it can bring about a hash with fields that expire.
    #[inline]
    pub fn may_set_field_deadlines(self) -> bool {
        use crate::context::event::Class::{Generic, Hash};
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

impl Effects {
    /// The time of these fields had come; they are out of their hash.
    fn fields_expired(&mut self, db: DbIndex, key: &[u8], names: &[Vec<u8>]) {
        if names.is_empty() {
            return;
        }
        self.expired_fields += names.len() as u64;
        self.changed(db, key, Event::HEXPIRED, &Caller::NOBODY);
        let mut parts: Vec<&[u8]> = vec![b"HDEL", key];
        parts.extend(names.iter().map(Vec::as_slice));
        self.say_of(db, key, &parts);
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
        if expired.is_empty() {
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

impl Shard {
    /// Removes fields whose time has come. True where more may be due.
    pub(crate) fn expire_fields(&mut self) -> bool {
        let noted = std::mem::take(&mut self.effects.fields.noted);
        for key in noted {
            self.index_fields(key);
        }
        for _ in 0..HASHES_PER_STEP_MAX {
            let is_due = |(at, _): &&(UnixMillis, TransactionKey)| *at <= self.now;
            if self.effects.fields.due.first().filter(is_due).is_none() {
                return false;
            }
            if let Some((_, key)) = self.effects.fields.due.pop_first() {
                self.expire_fields_of(key);
            }
        }
        true
    }

    fn expire_fields_of(&mut self, key: TransactionKey) {
        if self.locks.holds_key(&key.key) {
            let later = self.now.ms().saturating_add(LATER.as_millis() as u64);
            self.effects
                .fields
                .due
                .insert((UnixMillis::new(later), key));
            return;
        }
        let now = self.now;
        let keyspace = self.databases.get_mut(key.db);
        keyspace.preserve(&key.key);
        let Some(hash) = keyspace
            .get_mut(&key.key)
            .and_then(|entry| entry.get_mut::<Hash>().ok())
        else {
            return;
        };
        let mut names: Vec<Vec<u8>> = Vec::new();
        hash.expire(now, FIELDS_PER_HASH_MAX, |name| names.push(name.to_vec()));
        let is_empty = hash.is_empty();
        self.effects.fields_expired(key.db, &key.key, &names);
        if is_empty {
            drop(self.databases.get_mut(key.db).take(&key.key));
            self.effects
                .changed(key.db, &key.key, Event::DEL, &Caller::NOBODY);
        } else {
            self.index_fields(key);
        }
    }

    fn index_fields(&mut self, key: TransactionKey) {
        let entry = self.databases.get(key.db).get(&key.key);
        let hash = entry.and_then(|entry| entry.get::<Hash>().ok());
        if let Some(at) = hash.and_then(Hash::next_deadline) {
            self.effects.fields.due.insert((at, key));
        } else if self.locks.holds_key(&key.key) {
            // Lent away: it may come home with deadlines.
            self.effects.fields.noted.push(key);
        }
    }
}
