//! Keyspace notifications: what happens to keys, told to whoever subscribes to `__keyspace@N__:key`
//! and `__keyevent@N__:event`.
//!
//! The shard on which a change takes place tells it. Commands know nothing of connections, so what
//! they do is noted in [`Notices`] and goes out when the command is over, in the order of its
//! happening: behind the command's reply where the subscriber has sent it itself. What a
//! transaction does to another shard's keys is told there, with the release of their locks; so one
//! key's events all come from one shard, in order.
//!
//! Only wanted events are noted: while `notify-keyspace-events` is off, nothing is ever copied.

use storage::DbIndex;

use crate::client::Client;
use crate::context::event::Event;
use crate::pubsub::Topic;
use crate::pubsub::publish::Payload;
use crate::shard::Shard;
use config::Notify;

/// Something that happened to a key and that has not been told yet.
struct Notice {
    db: DbIndex,
    key: Box<[u8]>,
    event: Event,
}

/// What is to be told.
#[derive(Default)]
pub struct Notices {
    wanted: Notify,
    noted: Vec<Notice>,
}

impl Notices {
    /// Goes by `notify-keyspace-events` as it is from now on.
    pub fn want(&mut self, wanted: Notify) {
        self.wanted = wanted;
    }

    /// Whether any event is wanted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.wanted.is_on()
    }

    /// Whether there is something to tell.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// Whether an event is wanted.
    #[inline]
    pub fn wants(&self, event: Event) -> bool {
        self.wanted.is_on() && self.wanted.includes(event.class)
    }

    /// Notes an event, if it is wanted.
    pub fn note(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.wants(event) {
            let key = key.into();
            self.noted.push(Notice { db, key, event });
        }
    }
}

impl Shard {
    /// A command of this connection is over and its reply is written: now others hear of what it
    /// did, and itself too.
    #[inline]
    pub(crate) fn end_command(&mut self, client: &mut Client) {
        if !self.effects.is_silent() {
            self.tell_behind(client);
        }
    }

    #[cold]
    fn tell_behind(&mut self, client: &mut Client) {
        self.tell_readers_here(Some(client));
        self.tell_notices(Some(client));
        self.flush_pushes(client);
    }

    /// Tells what has happened. `current` is the connection that is in use just now, if one is.
    #[inline]
    pub(crate) fn tell_notices(&mut self, current: Option<&mut Client>) {
        if !self.effects.notices.is_empty() {
            self.tell_all_notices(current);
        }
    }

    #[cold]
    fn tell_all_notices(&mut self, mut current: Option<&mut Client>) {
        let noted = std::mem::take(&mut self.effects.notices.noted);
        if !self.process.pubsub.anybody_subscribes() {
            return;
        }
        let wanted = self.effects.notices.wanted;
        for Notice { db, key, event } in noted {
            let number = db.number();
            if wanted.keyspace() {
                let channel = [format!("__keyspace@{number}__:").as_bytes(), &key].concat();
                let event = Payload::Short(event.name.as_bytes());
                self.spread(Topic::Channel, &channel, &event, current.as_deref_mut());
            }
            if wanted.keyevent() {
                let channel = format!("__keyevent@{number}__:{}", event.name);
                self.spread(
                    Topic::Channel,
                    channel.as_bytes(),
                    &Payload::Short(&key),
                    current.as_deref_mut(),
                );
            }
        }
    }
}
