//! Who waits for which key of one shard, in order of arrival, and which keys are to be looked at.

use crate::keyspace::{Call, Key};
use crate::state::{ClientId, Ticket};

/// A waiter's number on its shard; a smaller one came earlier.
pub type WaiterId = u8;

/// Who serves a waiter.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Waiter {
    /// All its keys are here: this shard.
    Here(ClientId, Call),
    /// Its origin, which must be told.
    Elsewhere(Ticket),
}

impl Waiter {
    pub fn client(&self) -> ClientId {
        match self {
            Self::Here(client, _) | Self::Elsewhere((client, _)) => *client,
        }
    }

    /// Which of its client's calls it is, where it could be an earlier one.
    pub fn call(&self) -> Option<usize> {
        match self {
            Self::Here(..) => None,
            Self::Elsewhere((_, call)) => Some(*call),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Turn {
    Waits,
    Its,
    ItsAndNews,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Enrolled {
    id: WaiterId,
    waiter: Waiter,
    keys: Vec<Key>,
    turn: Turn,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct WaitTable {
    enrolled: Vec<Enrolled>,
    ready: Vec<(Key, Option<WaiterId>)>,
    last: WaiterId,
}

impl WaitTable {
    pub fn enroll(&mut self, waiter: Waiter, keys: Vec<Key>) {
        self.last += 1;
        self.enrolled.push(Enrolled {
            id: self.last,
            waiter,
            keys,
            turn: Turn::Waits,
        });
    }

    /// Takes a waiter out. Where it had its turn, those behind it have theirs, unless `keeps_turn`.
    pub fn leave(&mut self, id: WaiterId, keeps_turn: bool) {
        let Some(at) = self.enrolled.iter().position(|it| it.id == id) else {
            return;
        };
        let left = self.enrolled.remove(at);
        if left.turn != Turn::Waits && !keeps_turn {
            for key in left.keys {
                self.push_ready(key, Some(id));
            }
        }
    }

    pub fn begin_turn(&mut self, id: WaiterId) -> bool {
        let Some(it) = self.enrolled.iter_mut().find(|it| it.id == id) else {
            return false;
        };
        let may = it.turn == Turn::Waits;
        it.turn = if may { Turn::Its } else { Turn::ItsAndNews };
        may
    }

    pub fn end_turn(&mut self, id: WaiterId) {
        let Some(it) = self.enrolled.iter_mut().find(|it| it.id == id) else {
            return;
        };
        let after = match std::mem::replace(&mut it.turn, Turn::Waits) {
            Turn::ItsAndNews => None,
            Turn::Waits | Turn::Its => Some(id),
        };
        for key in it.keys.clone() {
            self.push_ready(key, after);
        }
    }

    pub fn get(&self, id: WaiterId) -> Option<&Waiter> {
        self.enrolled
            .iter()
            .find(|it| it.id == id)
            .map(|it| &it.waiter)
    }

    pub fn keys(&self, id: WaiterId) -> Vec<Key> {
        let it = self.enrolled.iter().find(|it| it.id == id);
        it.map_or_else(Vec::new, |it| it.keys.clone())
    }

    pub fn find(&self, waiter: impl Fn(&Waiter) -> bool) -> Option<WaiterId> {
        self.enrolled
            .iter()
            .find(|it| waiter(&it.waiter))
            .map(|it| it.id)
    }

    /// A key changed: if somebody waits for it, it is ready.
    pub fn note(&mut self, key: Key) {
        if self.next(key, None).is_some() {
            self.push_ready(key, None);
        }
    }

    pub fn push_ready(&mut self, key: Key, after: Option<WaiterId>) {
        match self.ready.iter_mut().find(|(ready, _)| *ready == key) {
            Some((_, pending)) => *pending = after.min(*pending),
            None => self.ready.push((key, after)),
        }
    }

    pub fn pop_ready(&mut self) -> Option<(Key, Option<WaiterId>)> {
        (!self.ready.is_empty()).then(|| self.ready.remove(0))
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Who waits for a key next, behind `after`.
    pub fn next(&self, key: Key, after: Option<WaiterId>) -> Option<WaiterId> {
        let behind =
            |it: &&Enrolled| it.keys.contains(&key) && after.is_none_or(|after| it.id > after);
        self.enrolled.iter().find(behind).map(|it| it.id)
    }

    /// Everybody, with his keys.
    pub fn all(&self) -> impl Iterator<Item = (&Waiter, &[Key])> {
        self.enrolled.iter().map(|it| (&it.waiter, &*it.keys))
    }
}
