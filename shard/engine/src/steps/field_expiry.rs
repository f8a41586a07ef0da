//! Fields of hashes whose time has come: see [`crate::field_expiry`].

use std::sync::Arc;

use storage::{DbIndex, Hash, UnixMillis};

use crate::engine::Engine;
use crate::event::Event;
use crate::field_expiry::{FIELDS_PER_HASH_MAX, HASHES_PER_STEP_MAX, LATER};
use crate::header::Caller;

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
            // OwnerDatabases away: it may come home with deadlines.
            self.effects.fields.note(db, key);
        }
    }

    fn look_at_fields(&mut self, db: DbIndex, key: &[u8], at: UnixMillis) {
        self.effects.fields.0.entry(db).or_default().set(key, at);
    }
}
