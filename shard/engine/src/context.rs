//! What a data command sees: the keys, the time, the configuration, and one place to say what it
//! changed.
//!
//! Nothing about shards, sockets or logs is here. The same command runs on the keys of its own
//! shard and, inside a transaction over several shards, on databases that hold just the keys lent
//! to it; it cannot tell which.
//!
//! Lookups come in three strengths. [`Context::peek`] only looks (EXISTS, TTL, TYPE).
//! [`Context::find`] also notes the use, for commands that write. [`Context::read`], and
//! [`Context::string`] and [`Context::get`] on top of it, count a hit or a miss besides, for
//! commands that read. All of them remove a key whose time has come and say so, unless expiry is
//! paused.

mod fields;

use std::time::Duration;

use config::Config;
use fastrand::Rng;
use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::table::CommandId;
use storage::prefetch::GROUP_LEN_MAX;
use storage::{
    AccessPolicy, Databases, DbIndex, Entry, Item, Keyspace, Looked, Object, Spot, UnixMillis,
    Value, WrongType,
};

use crate::blocking::waiting::{Null, Wait};
use crate::effects::{Effects, FREE_EFFORT_MAX};
use crate::error::{Error, Outcome};
use crate::event::Event;
use crate::header::Caller;

/// What a write does to the deadline its key may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    Keep,
    Clear,
    At(UnixMillis),
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
        self.effects.is_paused && !self.command.command().flags.contains(Flags::WRITE)
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

    /// The entry of `key` in another database, without any trace of the look.
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

    /// The entry of `key` in another database, to change it.
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
        if found {
            self.effects.keyspace_hits += 1
        } else {
            self.effects.missed(self.selected, key)
        }
    }

    /// The entry of `key`, to tell of it and not to read it (OBJECT): counts a hit or a miss, of
    /// which nobody is notified, and leaves no other trace.
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

    /// The value at `key`, to change it, without any trace of the look: another look-up notes the
    /// use.
    #[inline]
    pub fn peek_mut<T: Value>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.peek(key).map(Entry::get_mut).transpose()
    }

    /// The value at `key`, to change it, where Redis counts a hit or a miss as of a read.
    pub fn read_mut<T: Value>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.read(key).map(Entry::get_mut).transpose()
    }

    /// The value at `key`, to change it; `new` makes it where there is none. Whoever makes one puts
    /// something in it.
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

    /// Called before a command looks up `keys[at]`, of which every `step`th is a key: when the last
    /// group has been looked up, lets the next one be on its way from memory.
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

    /// Puts a string at `key` that is taken over and not copied.
    pub fn set_owned_string(&mut self, key: &[u8], text: Vec<u8>, deadline: Deadline) {
        self.replace(key, deadline, |key, at| Entry::owned_string(key, text, at));
    }

    /// Puts a string at `key`, without a deadline, that a command has computed: it is never kept
    /// as an integer.
    pub fn set_computed_string(&mut self, key: &[u8], text: Vec<u8>) {
        self.replace(key, Deadline::Clear, |key, at| {
            Entry::edited_string(key, text, at)
        });
    }

    /// Puts a value at `key`, whatever was there before, without a deadline.
    pub fn set_value<T: Value>(&mut self, key: &[u8], value: T) {
        self.set_object(key, value.into_object(), Deadline::Clear);
    }

    /// Puts any object at `key`, with a deadline.
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

    /// Puts an entry in the place of another whose use is noted. As in Redis the new value goes on
    /// with the use of the old one.
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

    /// Puts an entry whose key is new in a database, and notes its first use.
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
        if entry.is_expired(self.now) {
            self.effects.expired(self.selected, entry);
            None
        } else {
            Some(entry)
        }
    }

    /// Deletes `key`. Returns whether it was there. What watches the key hears of it through
    /// [`Self::changed`] only.
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

    /// Says that `key` changed so often: of elements, where it holds several. Of no change only
    /// subscribers and watchers hear.
    #[inline]
    pub fn changed_by(&mut self, changes: usize, key: &[u8], event: Event) {
        self.effects.dirty += changes as u64;
        self.effects
            .changed(self.selected, key, event, &self.caller);
    }

    /// Something more is to be told of a change that is counted already.
    #[inline]
    pub fn notify_event(&mut self, key: &[u8], event: Event) {
        self.changed_by(0, key, event);
    }

    /// Says that `key` changed in a way that its event is silent about: a stream was made for a
    /// group.
    pub fn signal_modified(&mut self, key: &[u8]) {
        self.effects
            .signal_modified(self.selected, key, &self.caller);
    }

    /// Says that so many elements of the collection at `key` are gone. If they were the last, so is
    /// the key.
    pub fn lost(&mut self, elements: usize, key: &[u8], event: Event, now_empty: bool) {
        self.changed_by(elements, key, event);
        if now_empty {
            self.delete(key);
            self.notify_event(key, Event::DEL);
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

    /// Whether replicas hear: what the command does is to be said so that it does the same at any
    /// time.
    #[inline]
    pub fn is_streamed(&self) -> bool {
        self.effects.journal.stream.is_on()
    }

    /// The log says this in place of the command: all of what it did to `key`. Once for each key
    /// that it changed.
    #[inline]
    pub fn propagate_as(&mut self, key: &[u8], parts: &[&[u8]]) {
        self.effects.propagate_as(self.selected, key, parts);
    }

    /// There is nothing to answer with yet: waits until a key of the command changes, or for
    /// `timeout` (for ever where there is none). What answers then is the command, run again;
    /// nothing may be written before this.
    pub fn wait(&mut self, timeout: Option<Duration>, null: Null) -> Outcome {
        self.wait_for(None, timeout, null)
    }

    /// Waits like [`Self::wait`], where what is to be run again is not the command as it came.
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
