//! Fields of hashes whose time has come, as commands meet them.

use storage::Hash;

use crate::context::Context;
use crate::event::Event;
use crate::header::Caller;

impl Context<'_> {
    /// A command did not find all of these fields of the hash at `key`. Those whose time has come
    /// are removed before the clock gets to them, as in Redis: who was told that a field is gone
    /// does not find it counted afterwards.
    pub fn expire_fields<'n>(&mut self, key: &[u8], names: impl Iterator<Item = &'n [u8]>) {
        let now = self.now;
        let Some(Ok(hash)) = self.peek(key).map(|entry| entry.get::<Hash>()) else {
            return;
        };
        let expired = names.filter(|name| hash.has_expired(name, now));
        let expired: Vec<Vec<u8>> = expired.map(<[u8]>::to_vec).collect();
        self.remove_expired_fields(key, &expired);
    }

    /// Removes all fields of the hash at `key` whose time has come.
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
