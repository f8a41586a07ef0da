//! What commands did, as a list of values.
//!
//! A command says once what it did to a key. When it is over, the engine hands the list to whoever
//! must know: watches, waiters, notifications, clients' caches, fields that expire and the log read
//! it, each in a function of its own (`heed`). A further reader is one more function, and no
//! command changes. While a transaction runs on keys of other shards the list is kept, and each
//! owner gets its part with the release of its locks.
//!
//! While nobody listens a change costs one branch.

use storage::{DbIndex, Entry};

use crate::blocking::waiting::{Wait, WaitTable};
use crate::effect::{Effect, EffectList, What};
use crate::event::Event;
use crate::field_expiry::FieldClock;
use crate::header::Caller;
use crate::journal::Journal;
use crate::notices::Notices;
use crate::tracking::invalidations::Invalidations;
use crate::watch::WatchTable;

/// Values worth more than this many frees are dropped on a thread of their own.
pub(crate) const FREE_EFFORT_MAX: usize = 64;

/// What commands did, and who must know.
#[derive(Default)]
pub struct Effects {
    /// What has happened and was not handed out yet.
    pub(crate) list: EffectList,
    /// A transaction runs on keys of other shards: the list is kept, and goes to their owners.
    pub(crate) is_away: bool,
    /// The keys that somebody watches on this shard.
    pub watches: WatchTable,
    /// Hashes of this shard with fields that expire.
    pub fields: FieldClock,
    /// Who waits for which key of this shard.
    pub waits: WaitTable,
    /// What subscribers to keyspace events are to be told.
    pub notices: Notices,
    /// What clients with caches are to be told.
    pub invalidations: Invalidations,
    /// What the append-only log is to say.
    pub journal: Journal,
    /// The command found nothing and wants to wait.
    pub wait: Option<Wait>,
    /// Changes that commands made since start: Redis's `dirty`. Of a collection each element
    /// counts; what expires or is evicted does not.
    pub dirty: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    pub evicted_keys: u64,
    pub expired_fields: u64,
    /// Big values on their way to the thread that frees them.
    pub discarded: Vec<Entry>,
    /// CLIENT PAUSE: what has expired is hidden, and stays, and nothing is evicted.
    pub is_paused: bool,
}

impl Effects {
    /// A key changed. `by` is who did it.
    #[inline]
    pub(crate) fn changed(&mut self, db: DbIndex, key: &[u8], event: Event, by: &Caller) {
        if self.nobody_listens() && !event.may_set_field_deadlines() {
            // The common case: nobody wants to know.
            return;
        }
        self.push(db, key, What::Event(event), by);
    }

    /// A key changed, which the event that is told of it does not say: see
    /// [`Event::changes_value`].
    pub(crate) fn signal_modified(&mut self, db: DbIndex, key: &[u8], by: &Caller) {
        if !self.nobody_listens() {
            self.push(db, key, What::Modified, by);
        }
    }

    /// A client that tracks what it reads has read a key.
    #[cold]
    pub(crate) fn read(&mut self, db: DbIndex, key: &[u8], by: &Caller) {
        self.push(db, key, What::Read, by);
    }

    /// Whether somebody is to hear of what happened.
    pub fn has_news(&self) -> bool {
        self.waits.has_ready() || !self.notices.is_empty() || self.invalidations.is_for_turn()
    }

    /// Whether there is nothing to tell behind a command.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.notices.is_empty() & !self.invalidations.is_for_here()
    }

    /// One branch for all: no short cuts.
    #[inline]
    fn nobody_listens(&self) -> bool {
        !self.is_away
            & self.watches.is_empty()
            & self.waits.is_empty()
            & !self.notices.is_on()
            & self.invalidations.nobody_tracks()
    }

    /// Something happened to a key that did not change it (a miss), or that is told apart from the
    /// change (a new key).
    #[inline]
    pub(crate) fn happened(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.notices.is_on() {
            self.notify_only(db, key, event);
        }
    }

    /// A look-up to read a key found none.
    pub(crate) fn missed(&mut self, db: DbIndex, key: &[u8]) {
        self.keyspace_misses += 1;
        self.happened(db, key, Event::KEY_MISS);
    }

    #[cold]
    fn notify_only(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.notices.wants(event) {
            self.push(db, key, What::Event(event), &Caller::NOBODY);
        }
    }

    #[cold]
    fn push(&mut self, db: DbIndex, key: &[u8], what: What, by: &Caller) {
        self.push_with(db, key, what, by, b"");
    }

    fn push_with(&mut self, db: DbIndex, key: &[u8], what: What, by: &Caller, payload: &[u8]) {
        self.list.push(Effect {
            db,
            key,
            what,
            by: by.address(),
            payload,
        });
    }

    /// The log says this in place of the command: all of what it did to `key`.
    pub(crate) fn propagate_as(&mut self, db: DbIndex, key: &[u8], parts: &[&[u8]]) {
        if self.journal.is_on() {
            let record = Journal::record(parts);
            self.push_with(db, key, What::PropagateAs, &Caller::NOBODY, &record);
        }
    }

    /// A key's time had come; its entry is out of the keyspace.
    #[cold]
    pub fn expired(&mut self, db: DbIndex, entry: Entry) {
        self.expired_keys += 1;
        self.gone(db, entry.key(), What::Expired);
        self.discard(entry);
    }

    /// A key had to go; its entry is out of the keyspace. It is freed at once, which is the point,
    /// unless `lazily`.
    pub(crate) fn evicted(&mut self, db: DbIndex, entry: Entry, lazily: bool) {
        self.evicted_keys += 1;
        self.gone(db, entry.key(), What::Evicted);
        if lazily {
            self.discard(entry);
        }
    }

    fn gone(&mut self, db: DbIndex, key: &[u8], what: What) {
        if self.journal.is_on() || !self.nobody_listens() {
            self.push(db, key, what, &Caller::NOBODY);
        }
    }

    /// The time of these fields had come; they are out of their hash.
    pub(crate) fn fields_expired(&mut self, db: DbIndex, key: &[u8], names: &[Vec<u8>]) {
        if names.is_empty() {
            return;
        }
        self.expired_fields += names.len() as u64;
        if !self.journal.is_on() && self.nobody_listens() {
            return;
        }
        let mut parts: Vec<&[u8]> = vec![b"HDEL", key];
        parts.extend(names.iter().map(Vec::as_slice));
        let record = Journal::record(&parts);
        self.push_with(db, key, What::FieldsExpired, &Caller::NOBODY, &record);
    }

    /// Drops what was deleted: at once where that is cheap, elsewhere where it is not.
    #[inline]
    pub(crate) fn discard(&mut self, entry: Entry) {
        if entry.effort_to_free() > FREE_EFFORT_MAX {
            self.discarded.push(entry);
        }
    }

    /// Hands what has happened on this shard to whoever must know.
    #[inline]
    pub(crate) fn hand_out(&mut self) {
        if !self.list.is_empty() {
            self.hand_out_all();
        }
    }

    #[cold]
    fn hand_out_all(&mut self) {
        debug_assert!(!self.is_away, "what others own goes to them");
        let mut list = std::mem::take(&mut self.list);
        for effect in list.iter() {
            self.journal.heed(&effect);
            self.heed(&effect);
        }
        list.clear();
        self.list = list;
    }

    /// Forgets what has happened: nobody is to know.
    pub fn forget(&mut self) {
        self.list.clear();
        self.wait = None;
        self.discarded.clear();
    }

    /// What a transaction on another shard did to keys of this one. Its record is in the log
    /// already.
    pub(crate) fn came_home(&mut self, effects: &EffectList) {
        effects.iter().for_each(|effect| self.heed(&effect));
    }

    /// Every reader but the log, which hears of transactions in another way.
    fn heed(&mut self, effect: &Effect<'_>) {
        self.watches.heed(effect);
        self.waits.heed(effect);
        self.notices.heed(effect);
        self.invalidations.heed(effect);
        self.fields.heed(effect);
    }
}
