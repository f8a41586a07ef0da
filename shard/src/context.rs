//! What a data command sees: the keys, the time, the configuration, and one place to say what it changed.
//!
//! Nothing about shards, sockets or logs is here. The same command runs on the keys of its own shard and, inside a transaction over several
//! shards, on databases that hold just the keys lent to it; it cannot tell which.
//!
//! Lookups come in three strengths. [`Context::peek`] only looks (EXISTS, TTL, TYPE). [`Context::find`] also notes the use, for commands that
//! write. [`Context::read`], and [`Context::string`] and [`Context::get`] on top of it, count a hit or a miss besides, for commands that read.
//! All of them remove a key whose time has come and say so, unless expiry is paused.

pub mod event;

use std::time::Duration;

use fastrand::Rng;
use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::table::CommandId;
use storage::prefetch::GROUP_LEN_MAX;
use storage::{
    AccessPolicy, Databases, DbIndex, Entry, Item, Keyspace, Looked, Object, Spot, UnixMillis,
    Value, WrongType,
};

use crate::aof::journal::{Away, Journal};
use crate::blocking::waiting::{Null, Wait, WaitTable};
use crate::context::event::Event;
use crate::error::{Error, Outcome};
use crate::field_expiry::FieldClock;
use crate::mailbox::batch::{ClientAddress, ClientToken};
use crate::mailbox::message::TransactionKey;
use crate::pubsub::notify::Notices;
use crate::slot::ShardId;
use crate::tracking::invalidation::{FlushId, Invalidations};
use crate::transaction::watch::WatchTable;
use config::Config;

/// Values worth more than this many frees are dropped on a thread of their own.
const FREE_EFFORT_MAX: usize = 64;

/// Who called, as far as a data command may care.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// `CLIENT ID`.
    pub client_id: u64,
    /// The shard whose connection it is, and its place there.
    pub home: ShardId,
    pub index: u32,
    /// `CLIENT NO-TOUCH` is on: look-ups leave the LRU and LFU clocks alone.
    pub no_touch: bool,
    /// What it reads is remembered, and it hears of the next change.
    pub tracks: bool,
}

impl Caller {
    /// For what no client has asked for.
    pub const NOBODY: Self = Self {
        client_id: 0,
        home: ShardId::FIRST,
        index: 0,
        no_touch: false,
        tracks: false,
    };

    /// The connection, if there is one.
    pub fn address(&self) -> Option<ClientAddress> {
        let token = ClientToken {
            index: self.index,
            generation: self.client_id as u32,
        };
        (self.client_id != 0).then_some(ClientAddress {
            home: self.home,
            token,
        })
    }
}

/// What a write does to the deadline its key may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    Keep,
    Clear,
    At(UnixMillis),
}

/// What happened to a key, and its owner does not know of yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub db: DbIndex,
    pub key: Box<[u8]>,
    pub what: What,
    /// Who did it; nobody where time did.
    pub by: Option<ClientAddress>,
}

/// What can happen to a key of another shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Event(Event),
    /// It changed, which the event told beside does not say.
    Touched,
    /// Its whole database went or came.
    Swept,
    /// It was loaded, and has fields that expire.
    FieldsExpire,
    /// Two whole databases have changed places.
    Swapped(DbIndex, DbIndex),
    /// A client has read it that is to hear of the next change.
    Read,
    /// All keys went or came, and not this one alone, which is empty. Named where anybody is to hear.
    Flush(Option<FlushId>),
}

impl Change {
    /// That all keys of a shard went or came.
    pub fn flush(id: Option<FlushId>) -> Self {
        Self::of_no_key(What::Flush(id))
    }

    /// That two databases of a shard have changed places.
    pub fn swapped((a, b): (DbIndex, DbIndex)) -> Self {
        Self::of_no_key(What::Swapped(a, b))
    }

    fn of_no_key(what: What) -> Self {
        Self {
            db: DbIndex::default(),
            key: Box::default(),
            what,
            by: None,
        }
    }
}

/// What commands did, gathered for those who must know.
#[derive(Default)]
pub struct Effects {
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
    /// The command found nothing and wants to wait.
    pub wait: Option<Wait>,
    /// Changes to keys of other shards, while a transaction runs on what they lent: these go home with the entries.
    pub away: Option<Vec<Change>>,
    /// Changes that commands made since start: Redis's `dirty`. Of a collection each element counts; what expires or is evicted does not.
    pub dirty: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    pub evicted_keys: u64,
    pub expired_fields: u64,
    /// What the append-only log is to say.
    pub journal: Journal,
    /// Big values on their way to the thread that frees them.
    pub discarded: Vec<Entry>,
    /// CLIENT PAUSE: what has expired is hidden, and stays.
    pub(crate) expiry_paused: bool,
}

impl Effects {
    /// The one place that watchers, waiters, notifications, caches and logs learn of a change from. `by` is who made it.
    #[inline]
    pub(crate) fn changed(&mut self, db: DbIndex, key: &[u8], event: Event, by: &Caller) {
        if self.nobody_listens() && !event.may_set_field_deadlines() {
            // The common case: nobody wants to know.
            return;
        }
        self.tell(db, key, What::Event(event), by);
    }

    /// A key changed, which the event that is told of it does not say: see [`Event::changes_value`].
    fn touched(&mut self, db: DbIndex, key: &[u8], by: &Caller) {
        if !self.nobody_listens() {
            self.tell(db, key, What::Touched, by);
        }
    }

    /// A client that tracks what it reads has read a key.
    #[cold]
    pub(crate) fn read(&mut self, db: DbIndex, key: &[u8], by: &Caller) {
        self.tell(db, key, What::Read, by);
    }

    /// Whether somebody is to hear of what happened.
    pub(crate) fn has_news(&self) -> bool {
        self.waits.has_ready() || !self.notices.is_empty() || self.invalidations.is_for_turn()
    }

    /// Whether there is nothing to tell behind a command.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.notices.is_empty() & !self.invalidations.is_for_here()
    }

    /// One branch for all: no short cuts.
    #[inline]
    fn nobody_listens(&self) -> bool {
        self.away.is_none()
            & self.watches.is_empty()
            & self.waits.is_empty()
            & !self.notices.is_on()
            & self.invalidations.nobody_tracks()
    }

    /// Something happened to a key that did not change it (a miss), or that is told apart from the change (a new key).
    #[inline]
    fn happened(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.notices.is_on() {
            self.tell_only(db, key, event);
        }
    }

    /// A look-up to read a key found none.
    fn missed(&mut self, db: DbIndex, key: &[u8]) {
        self.keyspace_misses += 1;
        self.happened(db, key, Event::KEY_MISS);
    }

    #[cold]
    fn tell_only(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.notices.wants(event) {
            self.tell(db, key, What::Event(event), &Caller::NOBODY);
        }
    }

    #[cold]
    fn tell(&mut self, db: DbIndex, key: &[u8], what: What, by: &Caller) {
        let by = by.address();
        match &mut self.away {
            Some(away) => away.push(Change {
                db,
                key: key.into(),
                what,
                by,
            }),
            None => self.heed(db, key, what, by),
        }
    }

    fn heed(&mut self, db: DbIndex, key: &[u8], what: What, by: Option<ClientAddress>) {
        match what {
            What::Event(event) => {
                self.notices.note(db, key, event);
                if event.is_change() {
                    self.waits.note(db, key);
                }
                if event.changes_value() {
                    self.watches.touch(db, key);
                    self.invalidations.note(key, by);
                }
                if event.may_set_field_deadlines() {
                    self.fields.note(db, key);
                }
            }
            What::Touched => {
                self.watches.touch(db, key);
                self.invalidations.note(key, by);
            }
            What::Swept => {
                self.watches.touch(db, key);
                self.waits.note(db, key);
            }
            What::FieldsExpire => self.fields.note(db, key),
            What::Swapped(a, b) => self.fields.swap(a, b),
            What::Read => {
                if let Some(by) = by {
                    self.invalidations.table.remember(key, by);
                }
            }
            What::Flush(id) => self.invalidations.flush(id),
        }
    }

    /// What a transaction on another shard did to a key of this one.
    pub fn came_home(&mut self, change: &Change) {
        self.heed(change.db, &change.key, change.what, change.by);
    }

    /// A key's time had come; its entry is out of the keyspace.
    #[cold]
    pub fn expired(&mut self, db: DbIndex, entry: Entry) {
        self.expired_keys += 1;
        self.changed(db, entry.key(), Event::EXPIRED, &Caller::NOBODY);
        self.say_gone(db, entry.key());
        self.discard(entry);
    }

    /// Says in the log that a key is gone which no command has deleted.
    pub fn say_gone(&mut self, db: DbIndex, key: &[u8]) {
        self.say_of(db, key, &[b"DEL", key]);
    }

    /// Says in the log what happened to a key by no command. In a transaction the log gets the key's value instead.
    pub fn say_of(&mut self, db: DbIndex, key: &[u8], parts: &[&[u8]]) {
        if !self.journal.is_on() {
            return;
        }
        match self.away {
            None => self.journal.say(db, parts),
            Some(_) => self.journal.away.push(Away::Keys(vec![TransactionKey {
                db,
                key: key.into(),
            }])),
        }
    }

    /// A key had to go; its entry is out of the keyspace. It is freed at once, which is the point, unless `lazily`.
    pub(crate) fn evicted(&mut self, db: DbIndex, entry: Entry, lazily: bool) {
        self.evicted_keys += 1;
        self.changed(db, entry.key(), Event::EVICTED, &Caller::NOBODY);
        self.say_gone(db, entry.key());
        if lazily {
            self.discard(entry);
        }
    }

    /// Drops what was deleted: at once where that is cheap, elsewhere where it is not.
    #[inline]
    fn discard(&mut self, entry: Entry) {
        if entry.effort_to_free() > FREE_EFFORT_MAX {
            self.discarded.push(entry);
        }
    }
}

/// Passed to every data command.
pub struct Context<'a> {
    pub command: CommandId,
    pub databases: &'a mut Databases,
    pub selected: DbIndex,
    pub now: UnixMillis,
    pub config: &'a Config,
    /// What the lookups note of a key's use.
    pub access: AccessPolicy,
    pub caller: Caller,
    pub effects: &'a mut Effects,
    pub random: &'a mut Rng,
}

impl Context<'_> {
    /// Whether what has expired is not to be removed. A command that writes and was on its way
    /// before the pause puts something in its place.
    pub(crate) fn keeps_expired(&self) -> bool {
        self.effects.expiry_paused && !self.command.command().flags.contains(Flags::WRITE)
    }

    /// A look-up has met a key whose time has come.
    #[cold]
    fn expire(&mut self, db: DbIndex, spot: Spot) {
        if !self.keeps_expired() {
            let entry = self.databases.get_mut(db).take_at(spot);
            self.effects.expired(db, entry);
        }
    }

    /// The selected database, as it stands: expired keys may still be in it.
    #[inline]
    pub fn db(&mut self) -> &mut Keyspace {
        self.databases.get_mut(self.selected)
    }

    /// The entry of `key`, if it is there, without any trace of the look.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let db = self.selected;
        self.peek_in(db, key)
    }

    /// The same in another database.
    pub fn peek_in(&mut self, db: DbIndex, key: &[u8]) -> Option<&mut Entry> {
        let spot = self.look(db, key)?;
        Some(self.databases.get_mut(db).at_mut(spot))
    }

    /// Where a key is; one whose time has come is none.
    #[inline]
    fn look(&mut self, db: DbIndex, key: &[u8]) -> Option<Spot> {
        match self.databases.get_mut(db).look(key, self.now) {
            Looked::Live(spot) => Some(spot),
            Looked::Missing => None,
            Looked::Expired(spot) => {
                self.expire(db, spot);
                None
            }
        }
    }

    /// The entry of `key`, to change it.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.find_in(self.selected, key)
    }

    /// The same in another database.
    #[inline]
    pub fn find_in(&mut self, db: DbIndex, key: &[u8]) -> Option<&mut Entry> {
        let spot = self.look(db, key)?;
        let entry = self.databases.get_mut(db).at_mut(spot);
        if !self.caller.no_touch {
            self.access.touch(entry, self.now, self.random);
        }
        Some(entry)
    }

    /// The entry of `key`, to read it: counts a hit or a miss.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let Some(spot) = self.look(self.selected, key) else {
            self.effects.missed(self.selected, key);
            return None;
        };
        self.effects.keyspace_hits += 1;
        let entry = self.databases.get_mut(self.selected).at_mut(spot);
        if !self.caller.no_touch {
            self.access.touch(entry, self.now, self.random);
        }
        Some(entry)
    }

    /// Counts the hit or miss of a command that reads no value (EXISTS).
    pub fn looked_up(&mut self, key: &[u8], found: bool) {
        match found {
            true => self.effects.keyspace_hits += 1,
            false => self.effects.missed(self.selected, key),
        }
    }

    /// The entry of `key`, to tell of it and not to read it (OBJECT): counts a hit or a miss, of which nobody is notified, and leaves no other trace.
    pub fn inspect(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let Some(spot) = self.look(self.selected, key) else {
            self.effects.keyspace_misses += 1;
            return None;
        };
        self.effects.keyspace_hits += 1;
        Some(self.databases.get_mut(self.selected).at_mut(spot))
    }

    /// The string at `key`, to read it.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Item<'_>>, WrongType> {
        self.read(key).map(|entry| entry.as_string()).transpose()
    }

    /// The value at `key`, to read it.
    #[inline]
    pub fn get<T: Value>(&mut self, key: &[u8]) -> Result<Option<&T>, WrongType> {
        self.read(key).map(|entry| entry.get()).transpose()
    }

    /// The value at `key`, to change it.
    #[inline]
    pub fn get_mut<T: Value>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.find(key).map(Entry::get_mut).transpose()
    }

    /// The same without any trace of the look, where another look-up of the command notes the use.
    #[inline]
    pub fn peek_mut<T: Value>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.peek(key).map(Entry::get_mut).transpose()
    }

    /// The same where Redis counts a hit or a miss, as it does of what it calls reading.
    pub fn read_mut<T: Value>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.read(key).map(Entry::get_mut).transpose()
    }

    /// The value at `key`, to change it; `new` makes it where there is none. Whoever makes one puts something in it.
    #[inline]
    pub fn get_or_insert<T: Value>(
        &mut self,
        key: &[u8],
        new: impl FnOnce() -> T,
    ) -> Result<&mut T, WrongType> {
        let (spot, is_new) = match self.look(self.selected, key) {
            Some(spot) => (spot, false),
            None => {
                let entry = Entry::object(key, new().into_object(), None);
                (self.insert(entry), true)
            }
        };
        let entry = self.databases.get_mut(self.selected).at_mut(spot);
        if !is_new && !self.caller.no_touch {
            self.access.touch(entry, self.now, self.random);
        }
        entry.get_mut()
    }

    /// Called before a command looks up `keys[at]`, of which every `step`th is a key: when the last group has been looked up, lets the next one be on
    /// its way from memory.
    #[inline]
    pub fn look_ahead(&self, keys: &Args<'_>, at: usize, step: usize) {
        let keyspace = self.databases.get(self.selected);
        if at.is_multiple_of(step * GROUP_LEN_MAX) && keyspace.is_worth_fetching() {
            keyspace.prefetch(keys.tail(at).iter().step_by(step));
        }
    }

    /// Puts a string at `key`, whatever was there before.
    #[inline]
    pub fn set_string(&mut self, key: &[u8], text: &[u8], deadline: Deadline) {
        match self.find(key) {
            Some(entry) => {
                if entry.effort_to_free() > FREE_EFFORT_MAX {
                    return self.exchange(key, deadline, |key, at| Entry::string(key, text, at));
                }
                let before = entry.deadline();
                entry.set_string(text);
                self.set_deadline(key, before, deadline);
            }
            None => {
                let at = deadline.of_new();
                self.insert(Entry::string(key, text, at));
            }
        }
    }

    /// The same with a string that is taken over and not copied.
    pub fn set_owned_string(&mut self, key: &[u8], text: Vec<u8>, deadline: Deadline) {
        self.replace(key, deadline, |key, at| Entry::owned_string(key, text, at));
    }

    /// Puts a value at `key`, whatever was there before, without a deadline.
    pub fn set_value<T: Value>(&mut self, key: &[u8], value: T) {
        self.set_object(key, value.into_object(), Deadline::Clear);
    }

    /// The same with any object and deadline.
    pub fn set_object(&mut self, key: &[u8], object: Object, deadline: Deadline) {
        self.replace(key, deadline, |key, at| Entry::object(key, object, at));
    }

    fn replace(
        &mut self,
        key: &[u8],
        deadline: Deadline,
        make: impl FnOnce(&[u8], Option<UnixMillis>) -> Entry,
    ) {
        self.find(key);
        self.exchange(key, deadline, make);
    }

    /// The same where the look-up before has noted the use. As in Redis the new value goes on with
    /// the use of the old one.
    fn exchange(
        &mut self,
        key: &[u8],
        deadline: Deadline,
        make: impl FnOnce(&[u8], Option<UnixMillis>) -> Entry,
    ) {
        let old = self.take(key);
        let at = match deadline {
            Deadline::Keep => old.as_ref().and_then(Entry::deadline),
            _ => deadline.of_new(),
        };
        let mut entry = make(key, at);
        match old {
            Some(old) => {
                entry.set_access(old.access());
                self.effects.discard(old);
                self.db().insert_new(entry);
            }
            None => {
                self.insert(entry);
            }
        }
    }

    /// Brings the deadline of `key`, which was `before`, in line.
    #[inline]
    fn set_deadline(&mut self, key: &[u8], before: Option<UnixMillis>, deadline: Deadline) {
        let after = match deadline {
            Deadline::Keep => before,
            _ => deadline.of_new(),
        };
        if after != before {
            self.db().set_deadline(key, after);
        }
    }

    /// Puts an entry whose key is new in the selected database, and notes its first use.
    pub fn insert(&mut self, entry: Entry) -> Spot {
        self.insert_in(self.selected, entry)
    }

    /// The same in another database.
    pub fn insert_in(&mut self, db: DbIndex, mut entry: Entry) -> Spot {
        self.effects.happened(db, entry.key(), Event::NEW);
        entry.set_access(self.access.fresh(self.now));
        let keyspace = self.databases.get_mut(db);
        keyspace.insert_at(keyspace.hash_of(entry.key()), entry)
    }

    /// Says that a key new in a database has been put there past [`Self::insert`] (RESTORE).
    pub fn created_in(&mut self, db: DbIndex, key: &[u8]) {
        self.effects.happened(db, key, Event::NEW);
    }

    /// Takes the entry of `key` out, if it is there.
    pub fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.db().take(key)?;
        match entry.is_expired(self.now) {
            false => Some(entry),
            true => {
                self.effects.expired(self.selected, entry);
                None
            }
        }
    }

    /// Deletes `key`. Returns whether it was there. What watches the key hears of it through [`Self::changed`] only.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let taken = self.take(key);
        let was_there = taken.is_some();
        if let Some(entry) = taken {
            self.effects.discard(entry);
        }
        was_there
    }

    /// Says that `key` of the selected database changed.
    #[inline]
    pub fn changed(&mut self, key: &[u8], event: Event) {
        self.changed_by(1, key, event);
    }

    /// The same where it is so many changes: of elements, where the key holds several. Of none only subscribers and watchers hear.
    #[inline]
    pub fn changed_by(&mut self, changes: usize, key: &[u8], event: Event) {
        self.effects.dirty += changes as u64;
        self.effects
            .changed(self.selected, key, event, &self.caller);
    }

    /// Something more is to be told of a change that is counted already.
    #[inline]
    pub fn changed_too(&mut self, key: &[u8], event: Event) {
        self.changed_by(0, key, event);
    }

    /// Says that `key` changed in a way that its event is silent about: a stream was made for a group.
    pub fn touched(&mut self, key: &[u8]) {
        self.effects.touched(self.selected, key, &self.caller);
    }

    /// Says that so many elements of the collection at `key` are gone. If they were the last, so is the key.
    pub fn lost(&mut self, elements: usize, key: &[u8], event: Event, now_empty: bool) {
        self.changed_by(elements, key, event);
        if now_empty {
            self.delete(key);
            self.changed_too(key, Event::DEL);
        }
    }

    /// Says that `key` of another database changed (COPY, MOVE).
    #[inline]
    pub fn changed_in(&mut self, db: DbIndex, key: &[u8], event: Event) {
        self.effects.dirty += 1;
        self.effects.changed(db, key, event, &self.caller);
    }

    /// Whether there is a log that would want to know.
    #[inline]
    pub fn is_logged(&self) -> bool {
        self.effects.journal.is_on()
    }

    /// The log says this in place of the command: all of what it did to `key`. Once for each key that it changed.
    #[inline]
    pub fn logs(&mut self, key: &[u8], parts: &[&[u8]]) {
        self.effects.journal.instead(key, parts);
    }

    /// There is nothing to answer with yet: waits until a key of the command changes, or for `timeout` (for ever where there is none).
    /// What answers then is the command, run again; nothing may be written before this.
    pub fn wait(&mut self, timeout: Option<Duration>, null: Null) -> Outcome {
        self.wait_for(None, timeout, null)
    }

    /// The same, where what is to be run again is not the command as it came.
    pub fn wait_as(&mut self, args: OwnedArgs, timeout: Option<Duration>, null: Null) -> Outcome {
        self.wait_for(Some(args), timeout, null)
    }

    fn wait_for(
        &mut self,
        args: Option<OwnedArgs>,
        timeout: Option<Duration>,
        null: Null,
    ) -> Outcome {
        let until = timeout.map(|timeout| {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            UnixMillis::new(self.now.ms().saturating_add(ms))
        });
        self.effects.wait = Some(Wait { until, null, args });
        Ok(())
    }

    /// Drops what was taken out.
    pub fn discard(&mut self, entry: Entry) {
        self.effects.discard(entry);
    }

    /// The error of a command that wants an existing key.
    pub fn expect_key(&mut self, key: &[u8]) -> Result<&mut Entry, Error> {
        self.peek(key).ok_or(Error::NO_SUCH_KEY)
    }
}

impl Deadline {
    /// The deadline of a key that had none.
    fn of_new(self) -> Option<UnixMillis> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::At(at) => Some(at),
        }
    }
}
