//! The large form of a sorted set: an order-statistics tree and a table over one dense array of members.
//!
//! Every member has one [`Slot`] of 32 bytes: its score, its bytes, and its place in a treap (a search tree by score and name that is at the
//! same time a heap by hash). The table holds only slot numbers, so that a member's bytes are stored once, and finding a rank, a score or a
//! name takes O(log n) expected steps. The hash is keyed with a secret, so that no client can choose members that unbalance the tree.
//!
//! Slots are dense: the last one moves into a hole. So a random member is a random number, memory shrinks with the set, and SCAN walks slot
//! numbers downwards: what moves goes from a high number to a lower one, so that nothing that stays is ever passed over.
//!
//! Why not a B+tree or a skip list: leaves of (score, slot) beside the slab cost about as much memory again as the three links here, and a
//! skip list's towers cost more; a B+tree would miss the cache less often, which a benchmark may decide one day behind this same interface.

use crate::block_size::block_size;
use std::cmp::Ordering;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::sorted_set::{Direction, Score};
use crate::thin_bytes::ThinBytes;

/// The number of a slot.
type Id = u32;
/// No slot.
const NONE: Id = Id::MAX;

#[derive(Clone)]
struct Slot {
    score: Score,
    member: ThinBytes,
    left: Id,
    right: Id,
    /// Members of the subtree under this one, itself included.
    size: u32,
    /// Keyed hash of the member: its place in the table and its height in the heap.
    hash: u32,
}

/// Where the number of a subtree's root is kept.
#[derive(Clone, Copy)]
enum Link {
    Root,
    Left(Id),
    Right(Id),
}

/// Members by score and name, and by name alone. At most `u32::MAX - 1` of them, which take more memory than a shard has.
#[derive(Clone)]
pub struct RankTree {
    slots: Vec<Slot>,
    table: HashTable<Id>,
    root: Id,
    hasher: RandomState,
}

/// The table wants its bits spread over the whole word.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl RankTree {
    pub fn with_capacity(members: usize) -> Self {
        Self {
            slots: Vec::with_capacity(members),
            table: HashTable::with_capacity(members),
            root: NONE,
            hasher: RandomState::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Heap memory, in bytes; of more than a few members, from a sample.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let sampled = self.slots.len().min(samples);
        // From everywhere: those that came early may be unlike the rest.
        let step = self.slots.len().checked_div(sampled).unwrap_or(1).max(1);
        let sample: usize = self
            .slots
            .iter()
            .step_by(step)
            .take(sampled)
            .map(|slot| slot.member.heap_bytes())
            .sum();
        let members = (sample as u128 * self.slots.len() as u128)
            .checked_div(sampled as u128)
            .map_or(0, |bytes| bytes as usize);
        block_size(self.slots.capacity() * size_of::<Slot>())
            + block_size(self.table.allocation_size())
            + members
    }

    pub fn score(&self, member: &[u8]) -> Option<Score> {
        self.find(member).map(|id| self.slot(id).score)
    }

    /// The entry in that slot; slots have no order that means anything.
    pub fn in_slot(&self, index: usize) -> Option<(&[u8], Score)> {
        self.slots
            .get(index)
            .map(|slot| (&slot.member[..], slot.score))
    }

    /// Adds a member that is not there.
    pub fn add(&mut self, member: &[u8], score: Score) {
        let hash = self.hash(member);
        let id = self.slots.len() as Id;
        self.slots.push(Slot {
            score,
            member: ThinBytes::from(member),
            left: NONE,
            right: NONE,
            size: 1,
            hash,
        });
        let slots = &self.slots;
        self.table
            .insert_unique(spread(hash), id, |&id| spread(slots[id as usize].hash));
        self.link(id);
    }

    /// Gives a member another score. Returns the one it had; nothing where there is no such member.
    pub fn rescore(&mut self, member: &[u8], score: Score) -> Option<Score> {
        let id = self.find(member)?;
        let before = self.slot(id).score;
        // A zero keeps its sign, as in Redis: the two are equal.
        if before != score {
            self.unlink(id);
            self.slot_mut(id).score = score;
            self.link(id);
        }
        Some(before)
    }

    pub fn remove(&mut self, member: &[u8]) -> Option<Score> {
        let id = self.find(member)?;
        let score = self.slot(id).score;
        self.remove_id(id);
        self.shrink();
        Some(score)
    }

    /// Removes `count` members from the rank `start` on, as many as there are.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        for _ in 0..count {
            let Some(id) = self.select(start) else { break };
            self.remove_id(id);
        }
        self.shrink();
    }

    /// How many members stand before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let id = self.find(member)?;
        let slot = self.slot(id);
        Some(self.partition_point(|score, name| {
            order(score, name, slot.score, member) == Ordering::Less
        }))
    }

    /// How many members, from the first on, `is_before` holds for; it holds for none after one that it does not hold for.
    pub fn partition_point(&self, mut is_before: impl FnMut(Score, &[u8]) -> bool) -> usize {
        let (mut at, mut rank) = (self.root, 0);
        while at != NONE {
            let slot = self.slot(at);
            if is_before(slot.score, &slot.member) {
                rank += self.size(slot.left) + 1;
                at = slot.right;
            } else {
                at = slot.left;
            }
        }
        rank
    }

    /// The entries from that rank on, in either direction.
    pub fn iter_from(&self, rank: usize, direction: Direction) -> Walk<'_> {
        let mut walk = Walk {
            tree: self,
            direction,
            path: SmallVec::new(),
        };
        // Past the last rank there is nothing, in either direction.
        let start = if rank < self.len() { self.root } else { NONE };
        let (mut at, mut left) = (start, rank);
        while at != NONE {
            let slot = self.slot(at);
            let before = self.size(slot.left);
            // Only those that come later in the walk are kept to return to.
            match left.cmp(&before) {
                Ordering::Equal => {
                    walk.path.push(at);
                    break;
                }
                Ordering::Less => {
                    if direction == Direction::Forward {
                        walk.path.push(at);
                    }
                    at = slot.left;
                }
                Ordering::Greater => {
                    if direction == Direction::Backward {
                        walk.path.push(at);
                    }
                    left -= before + 1;
                    at = slot.right;
                }
            }
        }
        walk
    }

    fn hash(&self, member: &[u8]) -> u32 {
        (self.hasher.hash_one(member) >> 32) as u32
    }

    fn find(&self, member: &[u8]) -> Option<Id> {
        let hash = self.hash(member);
        self.table
            .find(spread(hash), |&id| {
                let slot = self.slot(id);
                slot.hash == hash && slot.member[..] == *member
            })
            .copied()
    }

    fn select(&self, rank: usize) -> Option<Id> {
        let (mut at, mut left) = (self.root, rank);
        while at != NONE {
            let slot = self.slot(at);
            let before = self.size(slot.left);
            match left.cmp(&before) {
                Ordering::Equal => return Some(at),
                Ordering::Less => at = slot.left,
                Ordering::Greater => {
                    left -= before + 1;
                    at = slot.right;
                }
            }
        }
        None
    }

    /// A slot whose number comes from the tree or the table, which hold no others.
    fn slot(&self, id: Id) -> &Slot {
        &self.slots[id as usize]
    }

    fn slot_mut(&mut self, id: Id) -> &mut Slot {
        &mut self.slots[id as usize]
    }

    fn size(&self, id: Id) -> usize {
        match id {
            NONE => 0,
            id => self.slot(id).size as usize,
        }
    }

    fn is_before(&self, a: Id, b: Id) -> bool {
        let (a, b) = (self.slot(a), self.slot(b));
        order(a.score, &a.member, b.score, &b.member) == Ordering::Less
    }

    fn resize(&mut self, id: Id) {
        let slot = self.slot(id);
        let size = self.size(slot.left) + self.size(slot.right) + 1;
        self.slot_mut(id).size = size as u32;
    }

    fn set(&mut self, link: Link, to: Id) {
        match link {
            Link::Root => self.root = to,
            Link::Left(parent) => self.slot_mut(parent).left = to,
            Link::Right(parent) => self.slot_mut(parent).right = to,
        }
    }

    /// The way on from `at` towards the place of `id`.
    fn towards(&self, at: Id, id: Id) -> (Link, Id) {
        match self.is_before(at, id) {
            true => (Link::Right(at), self.slot(at).right),
            false => (Link::Left(at), self.slot(at).left),
        }
    }

    /// Puts a slot that is not in the tree into it.
    fn link(&mut self, id: Id) {
        let (mut link, mut at) = (Link::Root, self.root);
        while at != NONE && self.slot(at).hash >= self.slot(id).hash {
            self.slot_mut(at).size += 1;
            (link, at) = self.towards(at, id);
        }
        let (left, right) = self.split(at, id);
        let slot = self.slot_mut(id);
        (slot.left, slot.right) = (left, right);
        self.resize(id);
        self.set(link, id);
    }

    /// Takes a slot out of the tree; it stays in the array.
    fn unlink(&mut self, id: Id) {
        let (mut link, mut at) = (Link::Root, self.root);
        while at != id {
            self.slot_mut(at).size -= 1;
            (link, at) = self.towards(at, id);
        }
        let slot = self.slot(id);
        let merged = self.merge(slot.left, slot.right);
        self.set(link, merged);
    }

    /// Parts a subtree into what stands before `id` and what stands after. Recurses to the tree's depth, which is O(log n).
    fn split(&mut self, at: Id, id: Id) -> (Id, Id) {
        if at == NONE {
            return (NONE, NONE);
        }
        let slot = self.slot(at);
        if self.is_before(at, id) {
            let (left, right) = self.split(slot.right, id);
            self.slot_mut(at).right = left;
            self.resize(at);
            (at, right)
        } else {
            let (left, right) = self.split(slot.left, id);
            self.slot_mut(at).left = right;
            self.resize(at);
            (left, at)
        }
    }

    /// Joins two subtrees, all of the first before all of the second. Recurses to the tree's depth, which is O(log n).
    fn merge(&mut self, first: Id, second: Id) -> Id {
        if first == NONE || second == NONE {
            return if first == NONE { second } else { first };
        }
        if self.slot(first).hash >= self.slot(second).hash {
            let right = self.merge(self.slot(first).right, second);
            self.slot_mut(first).right = right;
            self.resize(first);
            first
        } else {
            let left = self.merge(first, self.slot(second).left);
            self.slot_mut(second).left = left;
            self.resize(second);
            second
        }
    }

    fn remove_id(&mut self, id: Id) {
        self.unlink(id);
        self.forget(id);
        let last = (self.slots.len() - 1) as Id;
        if id != last {
            self.renumber(last, id);
        }
        self.slots.swap_remove(id as usize);
    }

    fn forget(&mut self, id: Id) {
        let hash = spread(self.slot(id).hash);
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
    }

    /// Points the tree and the table to `to` instead of `from`, before the slot itself moves.
    fn renumber(&mut self, from: Id, to: Id) {
        let (mut link, mut at) = (Link::Root, self.root);
        while at != from {
            (link, at) = self.towards(at, from);
        }
        self.set(link, to);
        let hash = spread(self.slot(from).hash);
        if let Some(id) = self.table.find_mut(hash, |&other| other == from) {
            *id = to;
        }
    }

    /// Gives memory back once three quarters of it lie idle.
    fn shrink(&mut self) {
        const CAPACITY_KEPT: usize = 64;
        let len = self.slots.len();
        if self.slots.capacity() > CAPACITY_KEPT && len < self.slots.capacity() / 4 {
            self.slots.shrink_to(len * 2);
            let slots = &self.slots;
            self.table
                .shrink_to(len * 2, |&id| spread(slots[id as usize].hash));
        }
    }
}

fn order(score: Score, member: &[u8], other: Score, other_member: &[u8]) -> Ordering {
    score.cmp(&other).then_with(|| member.cmp(other_member))
}

/// The entries of a tree from some rank on.
pub struct Walk<'a> {
    tree: &'a RankTree,
    direction: Direction,
    /// The next slot at the end, under it those that come after its subtree.
    path: SmallVec<[Id; 32]>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a [u8], Score);

    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.tree.slot(self.path.pop()?);
        let forward = self.direction == Direction::Forward;
        let mut at = if forward { slot.right } else { slot.left };
        while at != NONE {
            self.path.push(at);
            let below = self.tree.slot(at);
            at = if forward { below.left } else { below.right };
        }
        Some((&slot.member, slot.score))
    }
}
