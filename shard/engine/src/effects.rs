//! What commands did, as a list of values.
//!
//! A command says once what it did to a key. When it is over, the engine hands the list to whoever
//! must know: watches, waiters, notifications, clients' caches, fields that expire and the log read
//! it, each in a function of its own (`heed`). A further reader is one more function, and no command
//! changes. While a transaction runs on keys of other shards the list is kept, and each owner gets
//! its part with the release of its locks.
//!
//! While nobody listens a change costs one branch.

use std::ops::Range;

use storage::{DbIndex, Entry};

use crate::blocking::waiting::{Wait, WaitTable};
use crate::event::Event;
use crate::field_expiry::FieldClock;
use crate::header::{Caller, ClientAddress};
use crate::journal::Journal;
use crate::message::TransactionKey;
use crate::notices::Notices;
use crate::tracking::invalidations::{FlushId, Invalidations};
use crate::watch::WatchTable;

/// Values worth more than this many frees are dropped on a thread of their own.
pub(crate) const FREE_EFFORT_MAX: usize = 64;

/// What can happen to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Told under this name; most are changes: see [`Event::is_change`].
    Event(Event),
    /// It changed, which the event told beside does not say.
    Modified,
    /// Its time had come. No command deleted it, so the log says so.
    Expired,
    /// It had to go for `maxmemory`; the log says so, too.
    Evicted,
    /// Fields of its hash had to go by time; the payload is the log's record of that.
    FieldsExpired,
    /// The payload is what the log says in place of the command: the whole effect on this key.
    PropagateAs,
    /// Its whole database went or came.
    DatabaseReplaced,
    /// It was loaded, and has fields that expire.
    FieldsExpire,
    /// A client has read it that is to hear of the next change.
    Read,
    /// Of no key: two whole databases have changed places.
    Swapped(DbIndex, DbIndex),
    /// Of no key: all keys went or came. Named where anybody is to hear.
    Flushed(Option<FlushId>),
}

/// One effect, as readers see it.
#[derive(Clone, Copy, Debug)]
pub struct Effect<'a> {
    pub db: DbIndex,
    /// Empty where it is of no key.
    pub key: &'a [u8],
    pub what: What,
    /// Who did it; nobody where time did.
    pub by: Option<ClientAddress>,
    /// A record for the log, where `what` has one.
    pub payload: &'a [u8],
}

impl Effect<'_> {
    /// The event that subscribers are told of, if there is one.
    pub fn event(&self) -> Option<Event> {
        match self.what {
            What::Event(event) => Some(event),
            What::Expired => Some(Event::EXPIRED),
            What::Evicted => Some(Event::EVICTED),
            What::FieldsExpired => Some(Event::HEXPIRED),
            _ => None,
        }
    }

    /// The key with its database.
    pub fn key_name(&self) -> TransactionKey {
        TransactionKey {
            db: self.db,
            key: self.key.into(),
        }
    }

    /// Whether the key has another value after it, for who watches it or has it in a cache.
    pub fn modifies(&self) -> bool {
        let by_event = self.event().is_some_and(Event::changes_value);
        by_event || self.what == What::Modified
    }
}

/// One effect, as the list keeps it.
#[derive(Clone, Copy, Debug)]
struct Stored {
    db: DbIndex,
    what: What,
    by: Option<ClientAddress>,
    /// Its key begins here among the list's bytes; the payload stands behind it.
    start: usize,
    key_len: u32,
    payload_len: u32,
}

impl Stored {
    fn key(&self) -> Range<usize> {
        self.start..self.start + self.key_len as usize
    }

    fn payload(&self) -> Range<usize> {
        let start = self.key().end;
        start..start + self.payload_len as usize
    }
}

/// Effects in the order of their happening. Keys stand in one buffer, which is used again.
#[derive(Clone, Default, Debug)]
pub struct EffectList {
    stored: Vec<Stored>,
    bytes: Vec<u8>,
}

impl EffectList {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, effect: Effect<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(effect.key);
        self.bytes.extend_from_slice(effect.payload);
        self.stored.push(Stored {
            db: effect.db,
            what: effect.what,
            by: effect.by,
            start,
            key_len: length(effect.key),
            payload_len: length(effect.payload),
        });
    }

    /// Adds one of no single key.
    pub fn push_keyless(&mut self, what: What) {
        self.push(Effect {
            db: DbIndex::default(),
            key: b"",
            what,
            by: None,
            payload: b"",
        });
    }

    /// All of them from the one at `from` on.
    pub fn since(&self, from: usize) -> impl Iterator<Item = Effect<'_>> {
        self.stored[from..].iter().map(|stored| Effect {
            db: stored.db,
            key: &self.bytes[stored.key()],
            what: stored.what,
            by: stored.by,
            payload: &self.bytes[stored.payload()],
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Effect<'_>> {
        self.since(0)
    }

    /// Takes out those that `is_meant` says, in their order.
    pub fn extract(&mut self, is_meant: impl Fn(&Effect<'_>) -> bool) -> Self {
        let (mut meant, mut rest) = (Self::default(), Self::default());
        for effect in self.iter() {
            if is_meant(&effect) {
                meant.push(effect);
            } else {
                rest.push(effect);
            }
        }
        *self = rest;
        meant
    }

    /// This list, and behind it all of another one.
    pub fn followed_by(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        other.iter().for_each(|effect| self.push(effect));
        self
    }

    /// Forgets all and keeps the room.
    pub fn clear(&mut self) {
        self.stored.clear();
        self.bytes.clear();
    }
}

/// Arguments are shorter than `proto-max-bulk-len`, whose most a list's place can hold.
fn length(bytes: &[u8]) -> u32 {
    debug_assert!(u32::try_from(bytes.len()).is_ok());
    bytes.len() as u32
}

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
    /// CLIENT PAUSE: what has expired is hidden, and stays.
    pub expiry_paused: bool,
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
