//! Keyspace notifications: what has happened to keys and is to be told to whoever subscribes to
//! `__keyspace@N__:key` and `__keyevent@N__:event`.
//!
//! The shard that owns a key notes the event when the command is over, or with the release of a
//! transaction's locks; so one key's events all come from one shard, in order. Only wanted events
//! are noted: while `notify-keyspace-events` is off, nothing is ever copied.

use config::Notify;
use storage::DbIndex;

use crate::effect::Effect;
use crate::event::Event;

/// Something that happened to a key and that has not been told yet.
pub struct Notice {
    pub db: DbIndex,
    pub key: Box<[u8]>,
    pub event: Event,
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

    /// What is wanted.
    pub fn wanted(&self) -> Notify {
        self.wanted
    }

    /// Whether any event is wanted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.wanted.is_on()
    }

    /// Whether there is nothing to tell.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// Whether an event is wanted.
    #[inline]
    pub fn wants(&self, event: Event) -> bool {
        self.wanted.is_on() && self.wanted.includes(event.class)
    }

    /// What is to be told, in order; then there is nothing.
    pub fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.noted)
    }

    /// Reads an effect: notes its event, if that is wanted.
    pub(crate) fn heed(&mut self, effect: &Effect<'_>) {
        if let Some(event) = effect.event().filter(|event| self.wants(*event)) {
            self.noted.push(Notice {
                db: effect.db,
                key: effect.key.into(),
                event,
            });
        }
    }
}
