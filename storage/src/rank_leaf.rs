//! The leaves of the order of a large sorted set ([`crate::rank_tree`]): up to [`LEAF_LEN_MAX`] places, one after the other in a block.
//!
//! ```text
//! block    slack | place place place ... | slack        what stands in the slack means nothing
//!                ^ start                 ^ start + len
//! ```
//!
//! An insert or a removal moves what stands on the shorter side of it, so that who pops or appends at an end moves nothing. A leaf that grows at
//! an end begins with its slack where it will grow.

#![allow(unsafe_code)]

use std::ops::Range;
use std::slice;

use crate::entry::SharedEntry;
use crate::sorted_set::{Direction, Score};

/// Places of a leaf: a kilobyte.
pub(crate) const LEAF_LEN_MAX: usize = 64;
/// How many entries ahead of a walk are on their way from memory.
const AHEAD: usize = 8;

/// Where a member stands in the order.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) score: Score,
    pub(crate) entry: SharedEntry,
}

impl Place {
    /// The member's name: a look at its entry.
    pub(crate) fn name(&self) -> &[u8] {
        // SAFETY: this place is in a tree, and whoever inserted it keeps its entry until it is out again.
        unsafe { self.entry.key() }
    }
}

/// How many of `places` stand before a score and name. Names are looked at only where scores are equal, which is seldom.
#[inline]
pub(crate) fn count_before(places: &[Place], score: Score, name: &[u8]) -> usize {
    let at = places.partition_point(|place| place.score.get() < score.get());
    match places.get(at) {
        Some(place) if place.score == score => {
            let equal = &places[at..];
            at + equal.partition_point(|place| place.score == score && place.name() < name)
        }
        _ => at,
    }
}

/// Places in order, somewhere in a block of [`LEAF_LEN_MAX`].
#[derive(Clone)]
pub(crate) struct Leaf {
    block: Box<[Place; LEAF_LEN_MAX]>,
    start: u8,
    len: u8,
}

impl Leaf {
    /// A leaf of these places, of which there is one at least, with that much slack before them.
    pub(crate) fn new(places: &[Place], start: usize) -> Self {
        // What stands in the slack means nothing.
        let mut block = Box::new([places[0]; LEAF_LEN_MAX]);
        block[start..start + places.len()].copy_from_slice(places);
        Self {
            block,
            start: start as u8,
            len: places.len() as u8,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    pub(crate) fn places(&self) -> &[Place] {
        let start = usize::from(self.start);
        &self.block[start..start + self.len()]
    }

    /// Puts a place at `at`; there is room.
    pub(crate) fn insert(&mut self, at: usize, place: Place) {
        let (start, len) = (usize::from(self.start), self.len());
        let (before, behind) = (start, LEAF_LEN_MAX - start - len);
        let moves_front = before > 0 && (behind == 0 || at < len - at);
        if moves_front {
            self.block.copy_within(start..start + at, start - 1);
            self.start -= 1;
            self.block[start - 1 + at] = place;
        } else {
            self.block
                .copy_within(start + at..start + len, start + at + 1);
            self.block[start + at] = place;
        }
        self.len += 1;
    }

    /// Takes the places of a range out.
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

    /// Keeps the first `len` places and returns the rest.
    pub(crate) fn split_off(&mut self, len: usize) -> Self {
        let rest = &self.places()[len..];
        let rest = Self::new(rest, (LEAF_LEN_MAX - rest.len()) / 2);
        self.len = len as u8;
        rest
    }

    /// Adds places that stand behind all of its own and fit.
    pub(crate) fn append(&mut self, places: &[Place]) {
        if usize::from(self.start) + self.len() + places.len() > LEAF_LEN_MAX {
            let (start, len) = (usize::from(self.start), self.len());
            self.block.copy_within(start..start + len, 0);
            self.start = 0;
        }
        let end = usize::from(self.start) + self.len();
        self.block[end..end + places.len()].copy_from_slice(places);
        self.len += places.len() as u8;
    }
}

/// Places of a leaf from some place on, and those whose entries are asked for meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Places<'a> {
    here: slice::Iter<'a, Place>,
    ahead: slice::Iter<'a, Place>,
}

impl<'a> Places<'a> {
    pub(crate) fn of(places: slice::Iter<'a, Place>) -> Self {
        Self {
            here: places.clone(),
            ahead: places,
        }
    }

    pub(crate) fn next(&mut self, direction: Direction) -> Option<&'a Place> {
        let step = |places: &mut slice::Iter<'a, Place>| match direction {
            Direction::Forward => places.next(),
            Direction::Backward => places.next_back(),
        };
        while self.here.len() < self.ahead.len() + AHEAD
            && let Some(place) = step(&mut self.ahead)
        {
            place.entry.prefetch();
        }
        step(&mut self.here)
    }
}
