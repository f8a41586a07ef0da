//! Consumer groups: how far a group has read, who reads for it, and what was delivered and not yet
//! acknowledged.
//!
//! A pending entry stands twice: in the group's map by id, with its owner and delivery, and as a
//! bare id in its owner's set, so that both "who has this" and "what has he" are a tree look-up.
//! Owners are small numbers, not names, so that a pending entry costs 32 bytes.
//!
//! Invariant: an id is in a consumer's set exactly when the group's map names that consumer as its
//! owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::stream_id::StreamId;
use crate::stream_log::Counts;

/// What a pending entry costs, in both trees with their slack.
const PENDING_BYTES: usize = 72;
/// What a consumer costs besides its name.
const CONSUMER_BYTES: usize = 112;

/// A consumer within its group. Void once the consumer is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Who has it.
    pub owner: ConsumerId,
    /// Unix milliseconds of the last delivery.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// Someone who reads for a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// Unix milliseconds of the last command that named it.
    pub seen_ms: u64,
    /// Unix milliseconds of the last time it got an entry, if ever.
    pub active_ms: Option<u64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The ids it has pending.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A consumer group: what it was given last, and what is pending, by entry and by consumer.
#[derive(Clone, Debug)]
pub struct Group {
    last_id: StreamId,
    entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
    vacant: Vec<u32>,
    name_bytes: usize,
}

impl Group {
    /// A group that has read up to `last_id`; `entries_read` is how many entries that was, where
    /// known.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            by_name: BTreeMap::new(),
            consumers: Vec::new(),
            vacant: Vec::new(),
            name_bytes: 0,
        }
    }

    /// The last id delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many of the stream's entries ever were delivered; `None` where deletions made that
    /// unknowable.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Moves the group, as XGROUP SETID and XCLAIM LASTID do.
    pub fn set_position(&mut self, last_id: StreamId, entries_read: Option<u64>) {
        self.last_id = last_id;
        self.entries_read = entries_read;
    }

    /// Takes note that the entry `id` was delivered for the first time. It is the first one behind
    /// the last that was.
    pub fn advance(&mut self, id: StreamId, stream: &Counts) {
        if id <= self.last_id {
            return;
        }
        // A deletion of the very entry that was delivered last took nothing of what is to come.
        let next_in_line = !stream.trimmed_past(self.last_id)
            && self
                .last_id
                .next()
                .is_some_and(|next| !stream.deleted_since(next));
        self.entries_read = match self.entries_read {
            Some(read) if next_in_line => Some(read.saturating_add(1)),
            read if stream.entries_added == 0 => read,
            _ => stream.rank_of(id),
        };
        self.last_id = id;
    }

    /// How many entries are still to be delivered, where it can be known.
    pub fn lag(&self, stream: &Counts) -> Option<u64> {
        if stream.len == 0 {
            return Some(0);
        }
        let counts_on = !stream.trimmed_past(self.last_id) && !stream.deleted_since(self.last_id);
        let left = self
            .entries_read
            .filter(|_| counts_on)
            .and_then(|read| stream.entries_added.checked_sub(read));
        left.or_else(|| {
            Some(
                stream
                    .entries_added
                    .saturating_sub(stream.rank_of(self.last_id)?),
            )
        })
    }

    // Consumers.

    /// How many consumers the group has.
    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// The consumer of this name, if there is one.
    pub fn consumer_named(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// A consumer of this group. `None` for an id whose consumer was deleted.
    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.consumers.get(id.0 as usize)?.as_ref()
    }

    /// A consumer of this group, to change. `None` for an id whose consumer was deleted.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers.get_mut(id.0 as usize)?.as_mut()
    }

    /// Every consumer, by name.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.by_name
            .values()
            .filter_map(|id| Some((*id, self.consumer(*id)?)))
    }

    /// Adds a consumer. `None` where there is one of that name.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: u64) -> Option<ConsumerId> {
        if self.by_name.contains_key(name) {
            return None;
        }
        let consumer = Consumer {
            name: name.into(),
            seen_ms: now_ms,
            active_ms: None,
            pending: BTreeSet::new(),
        };
        let index = self.vacant.pop().unwrap_or(self.consumers.len() as u32);
        match self.consumers.get_mut(index as usize) {
            Some(slot) => *slot = Some(consumer),
            None => self.consumers.push(Some(consumer)),
        }
        self.by_name.insert(name.into(), ConsumerId(index));
        self.name_bytes += 2 * name.len();
        Some(ConsumerId(index))
    }

    /// The consumer of that name, added where missing; true where it was. It counts as seen.
    pub fn ensure_consumer(&mut self, name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
        match self.consumer_named(name) {
            Some(id) => {
                if let Some(consumer) = self.consumer_mut(id) {
                    consumer.seen_ms = now_ms;
                }
                (id, false)
            }
            None => {
                let added = self.add_consumer(name, now_ms);
                (added.unwrap_or(ConsumerId(u32::MAX)), true)
            }
        }
    }

    /// Deletes a consumer and what it has pending, and answers how many that were. `None` where
    /// there is none of that name.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.by_name.remove(name)?;
        let consumer = self.consumers.get_mut(id.0 as usize)?.take()?;
        self.vacant.push(id.0);
        self.name_bytes -= 2 * name.len();
        for entry in &consumer.pending {
            self.pending.remove(entry);
        }
        Some(consumer.pending.len())
    }

    // Pending entries.

    /// All that is pending, by id.
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// What is pending with ids in `ids`, lowest first; only `owner`'s where one is given.
    pub fn pending_in(
        &self,
        ids: RangeInclusive<StreamId>,
        owner: Option<ConsumerId>,
    ) -> impl Iterator<Item = (StreamId, Pending)> + '_ {
        let ids = (ids.start() <= ids.end()).then_some(ids);
        let mine = owner.and_then(|id| self.consumer(id));
        let of_one = mine.and_then(|c| Some(c.pending.range(ids.clone()?)));
        let of_all = match owner {
            None => ids.map(|ids| self.pending.range(ids)),
            Some(_) => None,
        };
        let of_one = of_one
            .into_iter()
            .flatten()
            .filter_map(|id| Some((*id, *self.pending.get(id)?)));
        of_one.chain(of_all.into_iter().flatten().map(|(id, p)| (*id, *p)))
    }

    /// Makes `id` pending with `owner`, whoever had it before.
    pub fn assign(&mut self, id: StreamId, owner: ConsumerId, delivered_ms: u64, deliveries: u64) {
        let now = Pending {
            owner,
            delivered_ms,
            deliveries,
        };
        match self.pending.insert(id, now) {
            Some(was) if was.owner == owner => return,
            Some(was) => {
                if let Some(before) = self.consumer_mut(was.owner) {
                    before.pending.remove(&id);
                }
            }
            None => {}
        }
        match self.consumer_mut(owner) {
            Some(owner) => {
                owner.pending.insert(id);
            }
            // Nobody to hold it: it must not stand in one tree only.
            None => {
                self.pending.remove(&id);
            }
        }
    }

    /// Acknowledges `id`. False where it was not pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(was) = self.pending.remove(&id) else {
            return false;
        };
        if let Some(owner) = self.consumer_mut(was.owner) {
            owner.pending.remove(&id);
        }
        true
    }

    /// Estimated heap bytes.
    pub fn memory_bytes(&self) -> usize {
        self.pending.len() * PENDING_BYTES + self.by_name.len() * CONSUMER_BYTES + self.name_bytes
    }
}

impl Counts {
    /// Whether an entry above or at `since` may have been deleted by name while lower ones remain:
    /// counting from there is void then.
    pub fn deleted_since(&self, since: StreamId) -> bool {
        !self.is_unbroken() && since <= self.max_deleted_id
    }

    /// Whether nothing was deleted by name among the entries that are left.
    fn is_unbroken(&self) -> bool {
        self.len == 0 || self.max_deleted_id < self.first_id
    }

    /// Whether entries above `since` may have been cut off, so that counting from there is void.
    fn trimmed_past(&self, since: StreamId) -> bool {
        self.len == 0 && since <= self.last_id || since < self.first_id
    }

    /// How many entries had been appended when `id` was the last: its place in the stream's whole
    /// history, where that can be known. Below the first entry that is left it is the place of the
    /// one before that, since what has gone is to be delivered to nobody.
    pub fn rank_of(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id || id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.first_id || !self.is_unbroken() {
            return None;
        }
        let gone = self.entries_added.saturating_sub(self.len);
        Some(gone.saturating_add(u64::from(id == self.first_id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_id::NewId;
    use crate::stream_log::{Keep, Precision, StreamLimits, StreamLog};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn both_trees_agree(steps in prop::collection::vec((0u8..6, 0u8..4, 0u64..12), 1..120)) {
            let mut group = Group::new(StreamId::MIN, None);
            for (what, who, seq) in steps {
                let name = [b'a' + who];
                let id = StreamId::new(1, seq);
                match what {
                    0..=2 => {
                        let (owner, _) = group.ensure_consumer(&name, 5);
                        group.assign(id, owner, 7, u64::from(who));
                        prop_assert_eq!(group.pending().get(&id).map(|p| p.owner), Some(owner));
                    }
                    3 => {
                        let was = group.pending().contains_key(&id);
                        prop_assert_eq!(group.acknowledge(id), was);
                    }
                    4 => { group.add_consumer(&name, 6); }
                    _ => {
                        let had = group.consumer_named(&name).and_then(|c| group.consumer(c)).map(|c| c.pending().len());
                        prop_assert_eq!(group.remove_consumer(&name), had);
                    }
                }
                let mut total = 0;
                for (id, consumer) in group.consumers() {
                    total += consumer.pending().len();
                    prop_assert!(consumer.pending().iter().all(|e| group.pending()[e].owner == id));
                    let range = StreamId::new(1, 3)..=StreamId::new(1, 8);
                    prop_assert_eq!(
                        group.pending_in(range.clone(), Some(id)).map(|p| p.0).collect::<Vec<_>>(),
                        consumer.pending().range(range).copied().collect::<Vec<_>>()
                    );
                }
                prop_assert_eq!(total, group.pending().len());
                prop_assert_eq!(group.pending_in(StreamId::MIN..=StreamId::MAX, None).count(), total);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        /// The model is a list of all entries there ever were and whether they are there still.
        #[test]
        fn lag_is_what_is_left_to_deliver(
            start in 0u64..4,
            told in prop::option::of(0u64..6),
            steps in prop::collection::vec((0u8..10, 0u64..8), 1..40),
        ) {
            let limits = StreamLimits::default();
            let mut log = StreamLog::default();
            let mut living: Vec<bool> = Vec::new();
            let mut group: Option<Group> = None;
            let (mut deleted, mut truthful) = (false, true);
            for (what, n) in steps {
                match what {
                    0..4 => {
                        let id = NewId::Exact(StreamId::new(living.len() as u64 + 1, 0));
                        log.append(&limits, id, 0, [(&b"f"[..], &b"v"[..])].into_iter()).unwrap();
                        living.push(true);
                    }
                    4 => if log.delete(StreamId::new(n, 0)) {
                        living[n as usize - 1] = false;
                        deleted = true;
                    },
                    5 => {
                        let gone = log.trim(Keep::Newest(n), Precision::Exact) as usize;
                        living.iter_mut().filter(|lives| **lives).take(gone).for_each(|lives| *lives = false);
                    }
                    6 if group.is_none() => {
                        // A start in the middle is told truly, or not at all.
                        let at = start.min(living.len() as u64);
                        let told = told.map(|_| at).or((at == 0).then_some(0));
                        truthful = told.is_some();
                        group = Some(Group::new(StreamId::new(at, 0), told));
                    }
                    _ => {
                        let Some(group) = &mut group else { continue };
                        let counts = log.counts();
                        let from = group.last_id().next().unwrap();
                        for entry in log.range(from..=StreamId::MAX).take(1 + n as usize % 3) {
                            group.advance(entry.id, &counts);
                        }
                    }
                }
                let Some(group) = &group else { continue };
                let left = living.iter().zip(1..).filter(|(lives, ms)| **lives && StreamId::new(*ms, 0) > group.last_id());
                let left = left.count() as u64;
                let lag = group.lag(&log.counts());
                prop_assert!(lag.is_none_or(|lag| lag == left), "{:?} of {}", lag, left);
                prop_assert!(lag.is_some() || deleted || !truthful, "unknown of {}", left);
            }
        }
    }

    #[test]
    fn lag_is_told_while_it_can_be_known() {
        let id = |seq| StreamId::new(1, seq);
        let mut stream = Counts {
            len: 5,
            first_id: id(1),
            last_id: id(5),
            max_deleted_id: StreamId::MIN,
            entries_added: 5,
        };
        let mut group = Group::new(StreamId::MIN, None);
        assert_eq!(group.lag(&stream), Some(5));
        group.advance(id(1), &stream);
        assert_eq!(
            (group.entries_read(), group.lag(&stream)),
            (Some(1), Some(4))
        );
        group.advance(id(2), &stream);
        assert_eq!(
            (group.entries_read(), group.lag(&stream)),
            (Some(2), Some(3))
        );
        // 1-4 goes: nobody can tell how many of those ahead remain.
        stream.len = 4;
        stream.max_deleted_id = id(4);
        assert_eq!(group.lag(&stream), None);
        group.advance(id(5), &stream);
        assert_eq!(
            (group.entries_read(), group.lag(&stream)),
            (Some(5), Some(0))
        );
    }
}
