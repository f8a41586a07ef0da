//! Who waits for which key of this shard, in order of arrival: BLPOP and its kin, XREAD BLOCK.
//!
//! Every change to a key that somebody waits for makes it *ready*; once the command that changed it
//! (or the whole transaction) is over, its waiters are served in order, before anything else runs
//! here. See `blocking` for how.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::args::OwnedArgs;
use protocol::facts::Wants;
use protocol::reply::Reply;
use storage::{DbIndex, Keyspace, Kind, UnixMillis};

use crate::effect::{Effect, What};
use crate::event::Event;
use crate::header::{ClientToken, Header, ReplyTo, TransactionKey};
use crate::slot::ShardId;

/// A waiter's number on its shard. They grow: a smaller one came earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct WaiterId(u64);

/// A blocked command with keys on several shards, on its origin. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct BlockedId {
    pub origin: ShardId,
    pub number: u64,
    pub wants: Wants,
}

/// Whether a key wakes who waits for it, by the kind of its value, if it has one. Where the group
/// of a stream is waited for, each key does: that the stream has gone is an answer too.
pub fn is_met(wants: Wants, kind: Option<Kind>) -> bool {
    match wants {
        Wants::Nothing => false,
        Wants::List => kind == Some(Kind::List),
        Wants::SortedSet => kind == Some(Kind::SortedSet),
        Wants::Stream => kind == Some(Kind::Stream),
        Wants::Group => true,
    }
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
    pub header: Header,
    pub args: OwnedArgs,
    pub until: Option<UnixMillis>,
}

impl Blocked {
    pub fn wants(&self) -> Wants {
        self.header.command.command().waits
    }
}

/// Who serves a waiter.
pub enum Waiter {
    /// All its keys are here: this shard.
    Here(Box<Blocked>),
    /// Its origin, which must be told.
    Elsewhere(BlockedId),
}

struct Enrolled {
    waiter: Waiter,
    keys: Vec<TransactionKey>,
    turn: Turn,
}

/// Whether a waiter that is served elsewhere has its turn here: it keeps those behind it from
/// theirs until its origin has tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Waits,
    /// It is being tried.
    Its,
    /// And there was news of a key of it meanwhile: if it goes on waiting, it is to be tried again.
    ItsAndNews,
}

/// By whom a waiter is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Whose {
    Client(ShardId, ClientToken),
    BlockedId(BlockedId),
}

impl Waiter {
    pub fn wants(&self) -> Wants {
        match self {
            Self::Here(blocked) => blocked.wants(),
            Self::Elsewhere(blocked_id) => blocked_id.wants,
        }
    }

    fn whose(&self) -> Whose {
        match self {
            Self::Here(blocked) => Whose::Client(blocked.origin, blocked.to.client),
            Self::Elsewhere(blocked_id) => Whose::BlockedId(*blocked_id),
        }
    }
}

/// In order of arrival, as their numbers are.
type Queue = BTreeSet<WaiterId>;
type Queues = HashMap<Box<[u8]>, Queue, RandomState>;

/// The waiters of one shard.
#[derive(Default)]
pub struct WaitTable {
    waiters: BTreeMap<WaiterId, Enrolled>,
    ids: HashMap<Whose, WaiterId, RandomState>,
    /// Those of them that this shard serves.
    served_here: usize,
    /// Those that want a group, and so heed that a key has gone.
    of_groups: usize,
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

    /// Those of them where somebody is answered, too, when the key goes.
    pub fn waited_for_without_value(&self) -> usize {
        if self.of_groups == 0 {
            return 0;
        }
        let of_groups = self.waiters.values();
        let of_groups = of_groups.filter(|it| it.waiter.wants() == Wants::Group);
        let keys: BTreeSet<_> = of_groups.flat_map(|it| &it.keys).collect();
        keys.len()
    }

    /// Waiters whose time can run out here.
    pub fn with_deadline(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether a key without a value wakes somebody.
    pub fn some_want_groups(&self) -> bool {
        self.of_groups > 0
    }

    /// Waiters that this shard serves.
    pub fn served_here(&self) -> usize {
        self.served_here
    }

    /// Puts a waiter at the end of its keys' queues.
    pub fn enroll(&mut self, waiter: Waiter, mut keys: Vec<TransactionKey>) -> WaiterId {
        keys.sort_unstable();
        keys.dedup();
        self.last += 1;
        let id = WaiterId(self.last);
        for TransactionKey { db, key } in &keys {
            let queues = self.queues.entry(*db).or_default();
            queues.entry(key.clone()).or_default().insert(id);
        }
        if let Waiter::Here(blocked) = &waiter {
            self.served_here += 1;
            self.deadlines
                .extend(blocked.until.map(|until| (until, id)));
        }
        self.of_groups += usize::from(waiter.wants() == Wants::Group);
        self.ids.insert(waiter.whose(), id);
        let turn = Turn::Waits;
        self.waiters.insert(id, Enrolled { waiter, keys, turn });
        id
    }

    /// Takes a waiter out. If it had its turn, those behind it have theirs.
    pub fn leave(&mut self, id: WaiterId) -> Option<Waiter> {
        let Enrolled { waiter, keys, turn } = self.waiters.remove(&id)?;
        self.of_groups -= usize::from(waiter.wants() == Wants::Group);
        self.ids.remove(&waiter.whose());
        for TransactionKey { db, key } in &keys {
            let Some(queues) = self.queues.get_mut(db) else {
                continue;
            };
            if let Some(queue) = queues.get_mut(key) {
                queue.remove(&id);
                if queue.is_empty() {
                    queues.remove(key);
                }
            }
            if queues.is_empty() {
                self.queues.remove(db);
            }
        }
        if let Waiter::Here(blocked) = &waiter {
            self.served_here -= 1;
            if let Some(until) = blocked.until {
                self.deadlines.remove(&(until, id));
            }
        }
        if turn != Turn::Waits {
            for key in keys {
                self.push_ready(key, Some(id));
            }
        }
        Some(waiter)
    }

    /// Gives a waiter its turn. False where it has it already: then it is tried once more after
    /// that.
    pub fn begin_turn(&mut self, id: WaiterId) -> bool {
        let Some(enrolled) = self.waiters.get_mut(&id) else {
            return false;
        };
        let may = enrolled.turn == Turn::Waits;
        enrolled.turn = if may { Turn::Its } else { Turn::ItsAndNews };
        may
    }

    /// Ends a waiter's turn: if it still waits, those behind it have theirs, and itself once more
    /// where there was news.
    pub fn end_turn(&mut self, id: WaiterId) {
        let Some(enrolled) = self.waiters.get_mut(&id) else {
            return;
        };
        let after = match std::mem::replace(&mut enrolled.turn, Turn::Waits) {
            Turn::ItsAndNews => None,
            Turn::Waits | Turn::Its => Some(id),
        };
        for key in self.keys(id) {
            self.push_ready(key, after);
        }
    }

    /// The waiter of a blocked id.
    pub fn of_blocked_id(&self, blocked_id: BlockedId) -> Option<WaiterId> {
        self.ids.get(&Whose::BlockedId(blocked_id)).copied()
    }

    /// The waiter of a connection that this shard serves.
    pub fn of_client(&self, origin: ShardId, client: ClientToken) -> Option<WaiterId> {
        self.ids.get(&Whose::Client(origin, client)).copied()
    }

    pub fn get(&self, id: WaiterId) -> Option<&Waiter> {
        self.waiters.get(&id).map(|enrolled| &enrolled.waiter)
    }

    /// The keys of a waiter, on this shard.
    pub fn keys(&self, id: WaiterId) -> Vec<TransactionKey> {
        let known = self.waiters.get(&id);
        known.map_or_else(Vec::new, |enrolled| enrolled.keys.clone())
    }

    /// Reads an effect: a key that somebody waits for may be ready.
    pub(crate) fn heed(&mut self, effect: &Effect<'_>) {
        let by_event = effect.event().is_some_and(Event::is_change);
        if by_event || effect.what == What::DatabaseReplaced {
            self.note(effect.db, effect.key);
        }
    }

    /// A key changed: if somebody waits for it, it is ready.
    pub fn note(&mut self, db: DbIndex, key: &[u8]) {
        let queued = self.queues.get(&db).and_then(|queues| queues.get(key));
        if queued.is_some() {
            let key = key.into();
            self.push_ready(TransactionKey { db, key }, None);
        }
    }

    /// A database was emptied or exchanged and holds these keys now: those that somebody waits for
    /// are ready, in the order of arrival.
    pub fn note_overturned(&mut self, db: DbIndex, keyspace: &Keyspace) {
        if !self.queues.contains_key(&db) {
            return;
        }
        let matters = |key: &&TransactionKey| {
            key.db == db && (self.of_groups > 0 || keyspace.get(&key.key).is_some())
        };
        let waited_for = self.waiters.values().flat_map(|enrolled| &enrolled.keys);
        let ready: Vec<_> = waited_for.filter(matters).cloned().collect();
        for key in ready {
            self.push_ready(key, None);
        }
    }

    /// The waiters of this key are to be tried, from behind `after` on.
    pub fn push_ready(&mut self, key: TransactionKey, after: Option<WaiterId>) {
        match self.ready.iter_mut().find(|(ready, _)| *ready == key) {
            // From the foremost of both on: nobody may be passed over.
            Some((_, pending)) => *pending = after.min(*pending),
            None => self.ready.push_back((key, after)),
        }
    }

    /// The next ready key.
    pub fn pop_ready(&mut self) -> Option<(TransactionKey, Option<WaiterId>)> {
        self.ready.pop_front()
    }

    /// Who waits for a key next, behind `after`.
    pub fn next(&self, key: &TransactionKey, after: Option<WaiterId>) -> Option<WaiterId> {
        let queue = self.queues.get(&key.db)?.get(&key.key)?;
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        queue.range((behind, Bound::Unbounded)).next().copied()
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
            Waiter::Elsewhere(BlockedId {
                origin: ShardId::new(0),
                number,
                wants: Wants::List,
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
        assert_eq!(table.next(&key("b"), None), Some(first));
        assert_eq!(table.next(&key("b"), Some(first)), Some(second));
        assert_eq!(table.next(&key("b"), Some(second)), None);
        assert!(table.leave(first).is_some() && table.leave(first).is_none());
        assert_eq!(table.next(&key("a"), None), None);
        assert!(table.leave(second).is_some());
        assert!(table.is_empty() && table.queues.is_empty());
    }

    #[test]
    fn a_turn_keeps_the_place_and_forgets_nobody() {
        let mut table = WaitTable::default();
        let blocked_id = |number| BlockedId {
            origin: ShardId::new(0),
            number,
            wants: Wants::List,
        };
        let [first, second] = [1, 2]
            .map(|number| table.enroll(Waiter::Elsewhere(blocked_id(number)), vec![key("a")]));
        assert!(table.begin_turn(first));
        assert!(!table.has_ready(), "nobody else until it is over");
        table.end_turn(first);
        assert_eq!(table.pop_ready(), Some((key("a"), Some(first))));
        assert!(table.begin_turn(first) && !table.begin_turn(first));
        table.end_turn(first);
        assert_eq!(table.pop_ready(), Some((key("a"), None)), "there was news");
        assert!(table.begin_turn(first));
        table.leave(first);
        table.push_ready(key("a"), Some(second));
        assert_eq!(table.pop_ready(), Some((key("a"), Some(first))));
        assert_eq!(table.next(&key("a"), Some(first)), Some(second));
        table.end_turn(first);
        assert!(!table.has_ready() && table.of_blocked_id(blocked_id(1)).is_none());
    }
}
