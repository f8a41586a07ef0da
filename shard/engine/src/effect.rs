//! What a command did, as a value, and lists of such values.

use std::ops::Range;

use storage::DbIndex;

use crate::event::Event;
use crate::header::{ClientAddress, FlushId, TransactionKey};

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
