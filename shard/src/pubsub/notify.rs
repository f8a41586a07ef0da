//! Keyspace notifications: what happens to keys, told to whoever subscribes to `__keyspace@N__:key`
//! and `__keyevent@N__:event`.
//!
//! The shard on which a change takes place tells it. Commands know nothing of connections, so what
//! they do is noted (`engine::notices`) and goes out when the command is over, in the order of its
//! happening: behind the command's reply where the subscriber has sent it itself. What a
//! transaction does to another shard's keys is told there, with the release of their locks; so one
//! key's events all come from one shard, in order.
//!
//! Only wanted events are noted: while `notify-keyspace-events` is off, nothing is ever copied.

use engine::notices::Notice;

use crate::client::Client;
use crate::pubsub::Topic;
use crate::pubsub::publish::Payload;
use crate::shard::Shard;

impl Shard {
    /// A command of this connection is over and its reply is written: now others hear of what it
    /// did, and itself too.
    #[inline]
    pub(crate) fn end_command(&mut self, client: &mut Client) {
        if !self.engine.effects.is_silent() {
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
        if !self.engine.effects.notices.is_empty() {
            self.tell_all_notices(current);
        }
    }

    #[cold]
    fn tell_all_notices(&mut self, mut current: Option<&mut Client>) {
        let noted = self.engine.effects.notices.take();
        if !self.process.pubsub.anybody_subscribes() {
            return;
        }
        let wanted = self.engine.effects.notices.wanted();
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
