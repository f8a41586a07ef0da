//! The index of a large sorted set: a table by name, a tree by score and name, and one block for
//! each member, which both know.
//!
//! ```text
//! table (a Keyspace)            tree (ScoreTree)
//!     |                             |
//!     +--> | header | score | name | <--- score, pointer
//! ```
//!
//! A member of 16 bytes is a block of 32, some twelve bytes more in the table and some twenty in
//! the tree. Nothing here ever pays for the whole set at once: the table splits one segment at a
//! time, the tree one node.
//!
//! Invariant: the tree has one [`Scored`] for each entry of the table, with the entry's score.

#![allow(unsafe_code)]

use fastrand::Rng;
use smallvec::SmallVec;

use super::score_leaf::Scored;
use super::score_tree::{ScoreTree, Walk};
use super::{Direction, Score};
use crate::block_size::block_size;
use crate::entry::Entry;
use crate::item::Item;
use crate::keyspace::{KeyHasher, Keyspace, Position};
use crate::prefetch::GROUP_LEN_MAX;

/// Members by name, and by score and name.
pub(crate) struct SortedSetIndex {
    table: Keyspace,
    tree: ScoreTree,
    /// How many of the members that will be popped next are on their way from memory.
    ahead: usize,
}

/// An entry of the table holds the score's bits as its integer.
fn score_of(entry: &Entry) -> Score {
    match entry.as_string() {
        Ok(Item::Int(bits)) => Score::of_bits(bits),
        _ => Score::ZERO,
    }
}

impl SortedSetIndex {
    pub(crate) fn new() -> Self {
        Self {
            table: Keyspace::new(KeyHasher::random()),
            tree: ScoreTree::default(),
            ahead: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Heap memory, in bytes, as judged by so many members.
    pub(crate) fn memory_bytes(&self, samples: usize) -> usize {
        block_size(size_of::<Self>())
            + self.table.memory_bytes_by(samples)
            + self.tree.memory_bytes()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<Score> {
        self.table.get(member).map(score_of)
    }

    /// Puts a member at that score, wherever it was. Returns the score that it had.
    pub(crate) fn insert(&mut self, member: &[u8], score: Score) -> Option<Score> {
        let hash = self.table.hash_of(member);
        let before = match self.table.locate(hash, member) {
            None => {
                let entry = Entry::int(member, score.bits());
                let scored = Scored {
                    score,
                    entry: entry.share(),
                };
                self.table.insert_at(hash, entry);
                // SAFETY: an entry leaves the table only in `take`, after the tree has given it up,
                // and none gets another key or kind of value.
                unsafe { self.tree.insert(scored) };
                return None;
            }
            Some(spot) => {
                let entry = self.table.at_mut(spot);
                let before = score_of(entry);
                // A zero keeps its sign, as in Redis: the two are equal.
                if before != score {
                    entry.set_int(score.bits());
                    let entry = entry.share();
                    self.tree.remove(before, member);
                    // SAFETY: as above.
                    unsafe { self.tree.insert(Scored { score, entry }) };
                }
                before
            }
        };
        Some(before)
    }

    pub(crate) fn remove(&mut self, member: &[u8]) -> Option<Score> {
        let hash = self.table.hash_of(member);
        let spot = self.table.locate(hash, member)?;
        let score = score_of(self.table.at(spot));
        self.tree.remove(score, member);
        self.table.take_at(spot);
        Some(score)
    }

    /// Removes `count` members from the rank `start` on, as many as there are.
    pub(crate) fn remove_range(&mut self, start: usize, count: usize) {
        let table = &mut self.table;
        let mut left = Leaving::default();
        self.tree.remove_range(start, count, |scored| {
            scored.entry.prefetch();
            left.coming.push(scored);
            if left.coming.len() == GROUP_LEN_MAX {
                left.take_group(table);
            }
        });
        left.take_group(table);
        left.take_group(table);
    }

    /// Removes the first member (forward) or the last, once `show` has seen it.
    pub(crate) fn pop<T>(
        &mut self,
        from: Direction,
        show: impl FnOnce(&[u8], Score) -> T,
    ) -> Option<T> {
        self.look_ahead(from);
        let scored = self.tree.pop(from)?;
        // SAFETY: its entry is in the table until the next line.
        let shown = show(unsafe { scored.entry.key() }, scored.score);
        take(&mut self.table, scored);
        Some(shown)
    }

    /// Who pops one member most often pops the next: its memory is on its way by then. The names of
    /// a group are asked for with the group before it, since the table is searched by name.
    fn look_ahead(&mut self, from: Direction) {
        if self.ahead > 0 {
            self.ahead -= 1;
            return;
        }
        if !self.table.is_worth_fetching() {
            return;
        }
        let end = match from {
            Direction::Forward => 0,
            Direction::Backward => self.len() - 1,
        };
        let mut next = self.tree.iter_from(end, from);
        self.ahead = self
            .table
            .prefetch_to_take(next.by_ref().map(|(name, _)| name))
            - 1;
        for _ in 0..GROUP_LEN_MAX {
            if let Some(scored) = next.next_scored() {
                scored.entry.prefetch();
            }
        }
    }

    /// Lets what a command needs that names these members be on its way from memory.
    pub(crate) fn prefetch<'k>(&self, members: impl Iterator<Item = &'k [u8]>) {
        self.table.prefetch(members);
    }

    /// Whether asking for members ahead is of use.
    pub(crate) fn is_worth_fetching(&self) -> bool {
        self.table.is_worth_fetching()
    }

    /// How many members stand before this one.
    pub(crate) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.tree.rank(score, member))
    }

    /// How many members, from the first on, `is_before` holds for; it holds for none after one that
    /// it does not hold for.
    pub(crate) fn partition_point(&self, is_before: impl FnMut(&Scored) -> bool) -> usize {
        self.tree.partition_point(is_before)
    }

    /// The entries from that rank on, in either direction.
    pub(crate) fn iter_from(&self, rank: usize, direction: Direction) -> Walk<'_> {
        self.tree.iter_from(rank, direction)
    }

    /// A member, each as likely as any other.
    pub(crate) fn random(&self, rng: &mut Rng) -> Option<(&[u8], Score)> {
        let rank = rng.usize(..self.len().max(1));
        self.tree.iter_from(rank, Direction::Forward).next()
    }

    /// Shows about `count` members from `from` on. Returns where to go on, or `None` at the end.
    pub(crate) fn scan(
        &self,
        from: Position,
        count: usize,
        mut show: impl FnMut(&[u8], Score),
    ) -> Option<Position> {
        self.table
            .scan(from, count, |entry| show(entry.key(), score_of(entry)))
    }
}

/// Members whose entries are looked for at once.
type Group = SmallVec<[Scored; GROUP_LEN_MAX]>;

/// Lets the entries of the group, and where their names stand in `table`, be on their way from
/// memory.
fn fetch(group: &[Scored], table: &Keyspace) {
    if table.is_worth_fetching() {
        group.iter().for_each(|scored| scored.entry.prefetch());
        // SAFETY: the entry of each member is in the table of its set, until the set is changed by
        // whoever calls this.
        table.prefetch(group.iter().map(|scored| unsafe { scored.entry.key() }));
    }
}

/// Members that have left the tree, whose entries are to be dropped: one group of them, and one on
/// its way from memory.
#[derive(Default)]
struct Leaving {
    here: Group,
    coming: Group,
}

impl Leaving {
    /// Drops the entries of the group that is here; the next one has come by then.
    fn take_group(&mut self, table: &mut Keyspace) {
        if table.is_worth_fetching() {
            // SAFETY: the entry of each member is in the table until it is taken below.
            table.prefetch_to_take(self.here.iter().map(|scored| unsafe { scored.entry.key() }));
        }
        self.here.drain(..).for_each(|scored| take(table, scored));
        std::mem::swap(&mut self.here, &mut self.coming);
    }
}

/// Drops the entry of a member that has left the tree.
fn take(table: &mut Keyspace, scored: Scored) {
    // SAFETY: every member of the tree has its entry in the table until now, and `locate` is done
    // with the name before the entry goes.
    let spot = unsafe {
        let name = scored.entry.key();
        table.locate(table.hash_of(name), name)
    };
    debug_assert!(spot.is_some(), "a scored in the tree has an entry");
    if let Some(spot) = spot {
        table.take_at(spot);
    }
}

impl Clone for SortedSetIndex {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        let mut walk = self.iter_from(0, Direction::Forward);
        loop {
            let group: Group = std::iter::from_fn(|| walk.next_scored().copied())
                .take(GROUP_LEN_MAX)
                .collect();
            if group.is_empty() {
                return copy;
            }
            fetch(&group, &copy.table);
            for scored in group {
                copy.insert(scored.name(), scored.score);
            }
        }
    }
}

#[cfg(test)]
impl SortedSetIndex {
    pub(crate) fn assert_sound(&self) {
        self.tree.assert_sound();
        assert_eq!(self.tree.len(), self.table.len());
        for (name, score) in self.iter_from(0, Direction::Forward) {
            assert_eq!(self.score(name), Some(score));
        }
    }
}
