//! The leaves of the score B+tree ([`super::score_tree`]): up to [`LEAF_LEN_MAX`] members, one
//! after the other in a block.
//!
//! ```text
//! block    slack | member member member ... | slack     what stands in the slack means nothing
//!                ^ start                    ^ start + len
//! ```
//!
//! An insert or a removal moves what stands on the shorter side of it, so that who pops or appends
//! at an end moves nothing. A leaf that grows at an end begins with its slack where it will grow.

#![allow(unsafe_code)]

use std::ops::Range;
use std::slice;

use super::{Direction, Score};
use crate::entry::SharedEntry;

/// Members of a leaf: a kilobyte.
pub(crate) const LEAF_LEN_MAX: usize = 64;
/// How many entries ahead of a walk are on their way from memory.
const AHEAD: usize = 8;

/// A member as the tree knows it: its score, and the entry that holds its name.
#[derive(Clone, Copy)]
pub(crate) struct Scored {
    pub(crate) score: Score,
    pub(crate) entry: SharedEntry,
}

impl Scored {
    /// The member's name: a look at its entry.
    pub(crate) fn name(&self) -> &[u8] {
        // SAFETY: this is in a tree, and whoever inserted it keeps its entry until it is out again.
        unsafe { self.entry.key() }
    }
}

/// How many of `members` stand before a score and name. Names are looked at only where scores are
/// equal, which is seldom.
#[inline]
pub(crate) fn count_before(members: &[Scored], score: Score, name: &[u8]) -> usize {
    let at = members.partition_point(|scored| scored.score.get() < score.get());
    match members.get(at) {
        Some(scored) if scored.score == score => {
            let equal = &members[at..];
            at + equal.partition_point(|scored| scored.score == score && scored.name() < name)
        }
        _ => at,
    }
}

/// Members in order, somewhere in a block of [`LEAF_LEN_MAX`].
#[derive(Clone)]
pub(crate) struct Leaf {
    block: Box<[Scored; LEAF_LEN_MAX]>,
    start: u8,
    len: u8,
}

impl Leaf {
    /// A leaf of these members, of which there is one at least, with that much slack before them.
    pub(crate) fn new(members: &[Scored], start: usize) -> Self {
        // What stands in the slack means nothing.
        let mut block = Box::new([members[0]; LEAF_LEN_MAX]);
        block[start..start + members.len()].copy_from_slice(members);
        Self {
            block,
            start: start as u8,
            len: members.len() as u8,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    pub(crate) fn members(&self) -> &[Scored] {
        let start = usize::from(self.start);
        &self.block[start..start + self.len()]
    }

    /// Puts a member at `at`; there is room.
    pub(crate) fn insert(&mut self, at: usize, scored: Scored) {
        let (start, len) = (usize::from(self.start), self.len());
        let (before, behind) = (start, LEAF_LEN_MAX - start - len);
        let moves_front = before > 0 && (behind == 0 || at < len - at);
        if moves_front {
            self.block.copy_within(start..start + at, start - 1);
            self.start -= 1;
            self.block[start - 1 + at] = scored;
        } else {
            self.block
                .copy_within(start + at..start + len, start + at + 1);
            self.block[start + at] = scored;
        }
        self.len += 1;
    }

    /// Takes the members of a range out.
    pub(crate) fn remove(&mut self, range: Range<usize>) {
        let (start, len) = (usize::from(self.start), self.len());
        if range.start < len - range.end {
            self.block
                .copy_within(start..start + range.start, start + range.len());
            self.start += range.len() as u8;
        } else {
            self.block
                .copy_within(start + range.end..start + len, start + range.start);
        }
        self.len -= range.len() as u8;
    }

    /// Keeps the first `len` members and returns the rest.
    pub(crate) fn split_off(&mut self, len: usize) -> Self {
        let rest = &self.members()[len..];
        let rest = Self::new(rest, (LEAF_LEN_MAX - rest.len()) / 2);
        self.len = len as u8;
        rest
    }

    /// Adds members that stand behind all of its own and fit.
    pub(crate) fn append(&mut self, members: &[Scored]) {
        if usize::from(self.start) + self.len() + members.len() > LEAF_LEN_MAX {
            let (start, len) = (usize::from(self.start), self.len());
            self.block.copy_within(start..start + len, 0);
            self.start = 0;
        }
        let end = usize::from(self.start) + self.len();
        self.block[end..end + members.len()].copy_from_slice(members);
        self.len += members.len() as u8;
    }
}

/// A walk over the members of a leaf, with those ahead whose entries are asked for meanwhile.
#[derive(Clone, Default)]
pub(crate) struct LeafWalk<'a> {
    here: slice::Iter<'a, Scored>,
    ahead: slice::Iter<'a, Scored>,
}

impl<'a> LeafWalk<'a> {
    pub(crate) fn of(members: slice::Iter<'a, Scored>) -> Self {
        Self {
            here: members.clone(),
            ahead: members,
        }
    }

    pub(crate) fn next(&mut self, direction: Direction) -> Option<&'a Scored> {
        let step = |members: &mut slice::Iter<'a, Scored>| match direction {
            Direction::Forward => members.next(),
            Direction::Backward => members.next_back(),
        };
        while self.here.len() < self.ahead.len() + AHEAD
            && let Some(scored) = step(&mut self.ahead)
        {
            scored.entry.prefetch();
        }
        step(&mut self.here)
    }
}
