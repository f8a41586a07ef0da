//! Intent locks of one shard: who may touch which key while transactions over several shards run.
//!
//! Every key that a running or waiting piece of work names has a queue. An item (a transaction's
//! part on this shard, or a single command that met a locked key) stands in the queues of all its
//! keys from one instant on, and runs when it is at the front of every one of them. Because all its
//! places are taken at once, two items stand in the same order wherever they meet: no cycle can
//! form on one shard. (Across shards see `transaction`.) Order of arrival is order of service, so
//! nobody starves.
//!
//! An item may also lock the whole shard: a *barrier*. It runs when everything before it has ended,
//! and everything after it waits for it.
//!
//! A client with a waiting command is itself a key, so that its later commands on this shard queue
//! behind that one and keep their order. While nothing is locked the table is empty, and its one
//! cost to a command is that look.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use slab::Slab;
use smallvec::SmallVec;

use crate::header::ClientToken;
use crate::slot::ShardId;

/// What can be locked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LockName {
    /// A key, by its hash, in all databases: that COPY and SWAPDB reach over databases costs
    /// nothing to get right so. Two keys with one hash wait for each other, which harms nobody;
    /// names of eight bytes spare a lock the copies of its key.
    Key(u64),
    /// A connection, by its origin: keeps the order of its commands here.
    Client(ShardId, ClientToken),
}

impl LockName {
    pub fn of_key(key: &[u8]) -> Self {
        Self::Key(FixedState::default().hash_one(key))
    }
}

/// An item of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemId(usize);

struct Item<W> {
    names: Names,
    /// Queues in which somebody stands before it, and items that a barrier waits for, or it for a
    /// barrier.
    behind: usize,
    /// Items that wait for this one beyond its queues: the next barrier, or what came after this
    /// barrier.
    before: SmallVec<[ItemId; 1]>,
    /// What runs when `behind` reaches zero; taken out then.
    work: Option<W>,
}

type Names = SmallVec<[LockName; 4]>;

/// Who stands at a name: one at least, and most often no more.
struct Queue {
    front: ItemId,
    rest: VecDeque<ItemId>,
}

impl Queue {
    fn back(&self) -> ItemId {
        self.rest.back().copied().unwrap_or(self.front)
    }
}

/// The table; `W` is the work an item waits to do.
pub struct LockTable<W> {
    queues: HashMap<LockName, Queue, foldhash::fast::RandomState>,
    items: Slab<Item<W>>,
    /// The latest barrier that has not ended: what comes now waits for it.
    barrier: Option<ItemId>,
}

impl<W> Default for LockTable<W> {
    fn default() -> Self {
        Self {
            queues: HashMap::default(),
            items: Slab::new(),
            barrier: None,
        }
    }
}

impl<W> LockTable<W> {
    /// Whether nothing is locked: then no command needs to ask further.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items in the table.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether somebody holds or waits for `key`, or for the whole shard.
    pub fn holds_key(&self, key: &[u8]) -> bool {
        self.holds(LockName::of_key(key))
    }

    /// Whether somebody holds or waits for a key, by its name.
    pub fn holds(&self, key: LockName) -> bool {
        self.barrier.is_some() || self.queues.contains_key(&key)
    }

    /// Whether another item than `own` runs with this key locked: then it may be lent away.
    pub fn is_held(&self, key: &[u8], own: Option<ItemId>) -> bool {
        let runs = |id: &ItemId| self.items[id.0].behind == 0 && own != Some(*id);
        let queue = self.queues.get(&LockName::of_key(key));
        self.barrier.as_ref().is_some_and(runs) || queue.is_some_and(|queue| runs(&queue.front))
    }

    /// Whether a running item has this key locked.
    pub fn covers(&self, item: ItemId, key: &[u8]) -> bool {
        let queue = self.queues.get(&LockName::of_key(key));
        cfg!(feature = "torn")
            || self.barrier == Some(item)
            || queue.is_some_and(|queue| queue.front == item)
    }

    /// Whether somebody holds or waits for the whole shard.
    pub fn holds_all(&self) -> bool {
        self.barrier.is_some()
    }

    /// Whether a command of this connection waits here.
    pub fn holds_client(&self, origin: ShardId, client: ClientToken) -> bool {
        self.queues.contains_key(&LockName::Client(origin, client))
    }

    /// Queues an item for all of `names` (duplicates are folded). Returns `Some(work)` where it may
    /// run at once; it holds its locks either way.
    pub fn enqueue(
        &mut self,
        names: impl IntoIterator<Item = LockName>,
        work: W,
    ) -> (ItemId, Option<W>) {
        let mut unique = Names::new();
        let entry = self.items.vacant_entry();
        let id = ItemId(entry.key());
        let mut behind = 0;
        for name in names.into_iter().filter(|_| !cfg!(feature = "torn")) {
            match self.queues.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(Queue {
                        front: id,
                        rest: VecDeque::new(),
                    });
                }
                Entry::Occupied(queue) if queue.get().back() == id => continue,
                Entry::Occupied(mut queue) => {
                    behind += 1;
                    queue.get_mut().rest.push_back(id);
                }
            }
            unique.push(name);
        }
        if let Some(barrier) = self.barrier {
            behind += 1;
            // The borrow of the vacant entry ends with its insertion below.
            entry.insert(Item::new(unique, behind, work));
            self.items[barrier.0].before.push(id);
            return (id, None);
        }
        let item = entry.insert(Item::new(unique, behind, work));
        let now = if behind == 0 { item.work.take() } else { None };
        (id, now)
    }

    /// Locks names that nobody holds or waits for, for an item that runs from now on.
    pub fn lock_free(&mut self, names: impl IntoIterator<Item = LockName>, work: W) -> ItemId {
        let (item, work) = self.enqueue(names, work);
        debug_assert!(work.is_some(), "somebody stands at a name that was free");
        item
    }

    /// Whether an item that runs may lock one more name: nobody who runs has it. Those who wait for
    /// it have nothing of it yet.
    pub fn may_extend(&self, item: ItemId, name: LockName) -> bool {
        let runs = |id: ItemId| id != item && self.items[id.0].behind == 0;
        !self.barrier.is_some_and(runs) && !self.queues.get(&name).is_some_and(|it| runs(it.front))
    }

    /// Lets an item that runs lock more names, each of which it may: see [`Self::may_extend`]. It
    /// comes before all who wait at them. It waits for nobody, so they do not wait in a circle.
    pub fn extend(&mut self, item: ItemId, names: impl IntoIterator<Item = LockName>) {
        debug_assert_eq!(
            self.items[item.0].behind, 0,
            "only a running item is extended"
        );
        for name in names {
            debug_assert!(self.may_extend(item, name));
            match self.queues.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(Queue {
                        front: item,
                        rest: VecDeque::new(),
                    });
                }
                Entry::Occupied(queue) if queue.get().front == item => continue,
                Entry::Occupied(mut queue) => {
                    let queue = queue.get_mut();
                    let first = std::mem::replace(&mut queue.front, item);
                    queue.rest.push_front(first);
                    self.items[first.0].behind += 1;
                }
            }
            self.items[item.0].names.push(name);
        }
    }

    /// Queues a barrier, which locks the whole shard. Returns `Some(work)` where it may run at
    /// once.
    pub fn enqueue_barrier(&mut self, work: W) -> (ItemId, Option<W>) {
        if cfg!(feature = "torn") {
            return self.enqueue([], work);
        }
        let behind = self.items.len();
        let id = ItemId(self.items.insert(Item::new(Names::new(), behind, work)));
        for (at, item) in &mut self.items {
            if at != id.0 {
                item.before.push(id);
            }
        }
        self.barrier = Some(id);
        let now = match behind {
            0 => self.items[id.0].work.take(),
            _ => None,
        };
        (id, now)
    }

    /// Gives up an item's locks and hands every item that may run now to `run`, in order of arrival
    /// at the freed keys.
    pub fn release(&mut self, id: ItemId, mut run: impl FnMut(ItemId, W)) {
        let item = self.items.remove(id.0);
        debug_assert_eq!(item.behind, 0, "only a running item is released");
        if self.barrier == Some(id) {
            self.barrier = None;
        }
        for name in item.names {
            let Entry::Occupied(mut queue) = self.queues.entry(name) else {
                continue;
            };
            debug_assert_eq!(queue.get().front, id);
            match queue.get_mut().rest.pop_front() {
                None => {
                    queue.remove();
                }
                Some(next) => {
                    queue.get_mut().front = next;
                    self.step(next, &mut run);
                }
            }
        }
        for next in item.before {
            self.step(next, &mut run);
        }
    }

    /// One of the things that `next` waits for has ended.
    fn step(&mut self, next: ItemId, run: &mut impl FnMut(ItemId, W)) {
        let waiting = &mut self.items[next.0];
        waiting.behind -= 1;
        if waiting.behind == 0
            && let Some(work) = waiting.work.take()
        {
            run(next, work);
        }
    }
}

impl<W> Item<W> {
    fn new(names: Names, behind: usize, work: W) -> Self {
        Self {
            names,
            behind,
            before: SmallVec::new(),
            work: Some(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> LockName {
        LockName::of_key(name.as_bytes())
    }

    #[test]
    fn items_run_in_order_of_arrival_and_only_with_all_their_keys() {
        let mut table = LockTable::default();
        let (first, ran) = table.enqueue([key("a"), key("b"), key("a")], 1);
        assert_eq!(ran, Some(1));
        let (_, ran) = table.enqueue([key("b"), key("c")], 2);
        assert_eq!(ran, None);
        let (third, ran) = table.enqueue([key("c")], 3);
        assert_eq!(ran, None, "behind the second, which waits for b");
        assert!(table.holds_key(b"c") && !table.holds_key(b"d"));
        let mut ready = Vec::new();
        table.release(first, |id, work| ready.push((id, work)));
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].1, 2);
        let second = ready[0].0;
        ready.clear();
        table.release(second, |id, work| ready.push((id, work)));
        assert_eq!(ready, [(third, 3)]);
        table.release(third, |_, _| unreachable!());
        assert!(table.is_empty() && table.queues.is_empty());
    }

    #[test]
    fn a_barrier_waits_for_all_and_holds_up_all() {
        let mut table = LockTable::default();
        let (a, _) = table.enqueue([key("a")], 1);
        let (b, _) = table.enqueue([key("b")], 2);
        let (barrier, ran) = table.enqueue_barrier(3);
        assert_eq!(ran, None);
        let (_, ran) = table.enqueue([key("c")], 4);
        assert_eq!(ran, None, "behind the barrier, though nobody holds c");
        assert!(table.holds_key(b"never named"));
        table.release(a, |_, _| unreachable!());
        let mut ready = Vec::new();
        table.release(b, |id, work| ready.push((id, work)));
        assert_eq!(ready, [(barrier, 3)]);
        ready.clear();
        table.release(barrier, |id, work| ready.push((id, work)));
        assert_eq!(ready[0].1, 4);
        assert!(!table.holds_all());
        table.release(ready[0].0, |_, _| unreachable!());
        assert!(table.is_empty());
        assert_eq!(table.enqueue_barrier(5).1, Some(5));
    }

    #[test]
    fn random_work_always_finishes_and_never_overlaps() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut table = LockTable::default();
        let names: Vec<LockName> = (0..6).map(|i| key(&i.to_string())).collect();
        let mut running: Vec<(ItemId, u32)> = Vec::new();
        let mut wants: Vec<Vec<usize>> = Vec::new();
        let mut finished = 0;
        for work in 0..5_000u32 {
            let mine: Vec<usize> = (0..random.usize(1..4))
                .map(|_| random.usize(0..names.len()))
                .collect();
            let (id, now) = match random.u8(..20) {
                // The whole shard: every key, for the check below.
                0 => {
                    wants.push((0..names.len()).collect());
                    table.enqueue_barrier(work)
                }
                _ => {
                    let ready = table.enqueue(mine.iter().map(|&i| names[i]), work);
                    wants.push(mine);
                    ready
                }
            };
            running.extend(now.map(|work| (id, work)));
            while running.len() > 2 || (random.bool() && !running.is_empty()) {
                let (id, _) = running.swap_remove(random.usize(0..running.len()));
                finished += 1;
                table.release(id, |id, work| running.push((id, work)));
            }
            for (i, (_, a)) in running.iter().enumerate() {
                for (_, b) in &running[i + 1..] {
                    assert!(
                        wants[*a as usize]
                            .iter()
                            .all(|key| !wants[*b as usize].contains(key))
                    );
                }
            }
        }
        while let Some((id, _)) = running.pop() {
            finished += 1;
            table.release(id, |id, work| running.push((id, work)));
        }
        assert_eq!(finished, 5_000);
        assert!(table.is_empty());
    }
}
