//! Who waits for which key of this shard, in order of arrival: BLPOP and its kin, XREAD BLOCK.
//!
//! Every change to a key that somebody waits for makes it *ready*; once the command that changed it (or the whole transaction) is over, its
//! waiters are served in order, before anything else runs here. See `blocking` for how.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::args::OwnedArgs;
use protocol::reply::Reply;
use storage::{DbIndex, UnixMillis};

use crate::batch::{ClientToken, Facts, ReplyTo};
use crate::message::TransactionKey;
use crate::slot::ShardId;

/// A waiter's number on its shard. They grow: a smaller one came earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct WaiterId(u64);

/// A blocked command with keys on several shards, on its origin. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Ticket {
    pub origin: ShardId,
    pub number: u64,
}

/// What a command answers that would wait where it may not: inside EXEC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Null {
    Bulk,
    Array,
}

impl Null {
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            Self::Bulk => reply.null(),
            Self::Array => reply.null_array(),
        }
    }
}

/// What a command says that found nothing and wants to wait.
pub struct Wait {
    /// Until when; without end where there is none.
    pub until: Option<UnixMillis>,
    pub null: Null,
    /// What to run when a key is ready, where that is not the command as it came (XREAD's `$`).
    pub args: Option<OwnedArgs>,
}

/// A command that waits.
pub struct Blocked {
    pub origin: ShardId,
    pub to: ReplyTo,
    pub facts: Facts,
    pub args: OwnedArgs,
    pub until: Option<UnixMillis>,
}

/// Who serves a waiter.
pub enum Waiter {
    /// All its keys are here: this shard.
    Here(Box<Blocked>),
    /// Its origin, which must be told.
    Elsewhere(Ticket),
}

struct Enrolled {
    waiter: Waiter,
    keys: Vec<TransactionKey>,
}

type Queues = HashMap<Box<[u8]>, VecDeque<WaiterId>, RandomState>;

/// The waiters of one shard.
#[derive(Default)]
pub struct WaitTable {
    waiters: BTreeMap<WaiterId, Enrolled>,
    queues: HashMap<DbIndex, Queues, RandomState>,
    /// Keys whose waiters are to be tried, from behind the given one on.
    ready: VecDeque<(TransactionKey, Option<WaiterId>)>,
    deadlines: BTreeSet<(UnixMillis, WaiterId)>,
    last: u64,
}

impl WaitTable {
    /// Whether nobody waits here: then a change makes nothing ready.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Whether some key's waiters are to be tried.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Keys that somebody waits for.
    pub fn waited_for(&self) -> usize {
        self.queues.values().map(HashMap::len).sum()
    }

    /// Waiters whose time can run out here.
    pub fn with_deadline(&self) -> usize {
        self.deadlines.len()
    }

    /// Waiters that this shard serves.
    pub fn served_here(&self) -> usize {
        self.waiters
            .values()
            .filter(|enrolled| matches!(enrolled.waiter, Waiter::Here(_)))
            .count()
    }

    /// Puts a waiter at the end of its keys' queues.
    pub fn enroll(&mut self, waiter: Waiter, mut keys: Vec<TransactionKey>) -> WaiterId {
        keys.sort_unstable();
        keys.dedup();
        self.last += 1;
        let id = WaiterId(self.last);
        for TransactionKey { db, key } in &keys {
            let queues = self.queues.entry(*db).or_default();
            queues.entry(key.clone()).or_default().push_back(id);
        }
        if let Waiter::Here(blocked) = &waiter
            && let Some(until) = blocked.until
        {
            self.deadlines.insert((until, id));
        }
        self.waiters.insert(id, Enrolled { waiter, keys });
        id
    }

    /// Takes a waiter out.
    pub fn leave(&mut self, id: WaiterId) -> Option<Waiter> {
        let Enrolled { waiter, keys } = self.waiters.remove(&id)?;
        for TransactionKey { db, key } in &keys {
            let Some(queues) = self.queues.get_mut(db) else {
                continue;
            };
            if let Some(queue) = queues.get_mut(key) {
                queue.retain(|other| *other != id);
                if queue.is_empty() {
                    queues.remove(key);
                }
            }
            if queues.is_empty() {
                self.queues.remove(db);
            }
        }
        if let Waiter::Here(blocked) = &waiter
            && let Some(until) = blocked.until
        {
            self.deadlines.remove(&(until, id));
        }
        Some(waiter)
    }

    /// The waiter of a ticket.
    pub fn of_ticket(&self, ticket: Ticket) -> Option<WaiterId> {
        self.waiters
            .iter()
            .find(|(_, enrolled)| matches!(enrolled.waiter, Waiter::Elsewhere(t) if t == ticket))
            .map(|(id, _)| *id)
    }

    /// The waiter of a connection that this shard serves.
    pub fn of_client(&self, origin: ShardId, client: ClientToken) -> Option<WaiterId> {
        let is_theirs = |enrolled: &Enrolled| matches!(&enrolled.waiter, Waiter::Here(blocked) if blocked.origin == origin && blocked.to.client == client);
        self.waiters
            .iter()
            .find(|(_, enrolled)| is_theirs(enrolled))
            .map(|(id, _)| *id)
    }

    pub fn get(&self, id: WaiterId) -> Option<&Waiter> {
        self.waiters.get(&id).map(|enrolled| &enrolled.waiter)
    }

    /// The keys of a waiter, on this shard.
    pub fn keys(&self, id: WaiterId) -> Vec<TransactionKey> {
        let known = self.waiters.get(&id);
        known.map_or_else(Vec::new, |enrolled| enrolled.keys.clone())
    }

    /// A key changed: if somebody waits for it, it is ready.
    pub fn note(&mut self, db: DbIndex, key: &[u8]) {
        let queued = self.queues.get(&db).and_then(|queues| queues.get(key));
        if queued.is_some() {
            let key = key.into();
            self.push_ready(TransactionKey { db, key }, None);
        }
    }

    /// The waiters of this key are to be tried, from behind `after` on.
    pub fn push_ready(&mut self, key: TransactionKey, after: Option<WaiterId>) {
        let entry = (key, after);
        if !self.ready.contains(&entry) {
            self.ready.push_back(entry);
        }
    }

    /// The next ready key.
    pub fn pop_ready(&mut self) -> Option<(TransactionKey, Option<WaiterId>)> {
        self.ready.pop_front()
    }

    /// Who waits for a key, from behind `after` on, in order.
    pub fn queue(&self, key: &TransactionKey, after: Option<WaiterId>) -> Vec<WaiterId> {
        self.queues
            .get(&key.db)
            .and_then(|queues| queues.get(&key.key))
            .into_iter()
            .flatten()
            .filter(|id| after.is_none_or(|after| **id > after))
            .copied()
            .collect()
    }

    /// When the next waiter's time is up.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// A waiter whose time is up.
    pub fn timed_out(&self, now: UnixMillis) -> Option<WaiterId> {
        self.deadlines
            .first()
            .filter(|(until, _)| *until <= now)
            .map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> TransactionKey {
        TransactionKey {
            db: DbIndex::default(),
            key: name.as_bytes().into(),
        }
    }

    #[test]
    fn waiters_stand_in_order_at_each_of_their_keys() {
        let mut table = WaitTable::default();
        let waiter = |number| {
            Waiter::Elsewhere(Ticket {
                origin: ShardId::new(0),
                number,
            })
        };
        let first = table.enroll(waiter(1), vec![key("a"), key("b"), key("a")]);
        let second = table.enroll(waiter(2), vec![key("b")]);
        table.note(DbIndex::default(), b"c");
        assert!(!table.has_ready());
        table.note(DbIndex::default(), b"b");
        table.note(DbIndex::default(), b"b");
        assert_eq!(table.pop_ready(), Some((key("b"), None)));
        assert_eq!(table.pop_ready(), None, "ready once is enough");
        assert_eq!(table.queue(&key("b"), None), [first, second]);
        assert_eq!(table.queue(&key("b"), Some(first)), [second]);
        assert!(table.leave(first).is_some() && table.leave(first).is_none());
        assert_eq!(table.queue(&key("a"), None), []);
        assert!(table.leave(second).is_some());
        assert!(table.is_empty() && table.queues.is_empty());
    }
}
