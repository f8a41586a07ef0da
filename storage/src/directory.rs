//! An extendible directory of segments: the hash table that never pays for all of itself at once.
//!
//! The first bits of a hash choose a pointer of the directory, which names a segment; several
//! pointers name one segment while it is shallow. A full segment splits in two by its next bit, and
//! a directory that is too coarse for that doubles: a few kilobytes of copying, since a large
//! keyspace has 256 directories. Near-empty neighbours merge, and the directory halves when no
//! segment needs its last bit. (Fagin, Nievergelt, Pippenger, Strong: "Extendible hashing: a fast
//! access method for dynamic files", 1979.)

use crate::block_size::block_size;
use crate::entry::Entry;
use crate::segment::{SEGMENT_LEN_MAX, Segment};
use crate::slabs::Slabs;

/// Segments in a slab: the most that fit the 2,048 bytes which allocators have a class for.
const SEGMENTS_PER_SLAB: usize = 2048 / size_of::<Segment>();

/// Segments where they do not move.
pub(crate) type Segments = Slabs<Segment, SEGMENTS_PER_SLAB>;

/// Bits a directory uses at most. Segments at this depth overflow and do not split: only hashes
/// that collide on purpose get there.
const DEPTH_MAX: u8 = 22;

/// Neighbours that together hold no more than this merge. Far below a full segment, so that a few
/// inserts do not split them again.
const MERGED_LEN_MAX: usize = SEGMENT_LEN_MAX * 3 / 8;

/// Segments by whose rows those of a directory are judged.
const ROWS_SAMPLED: usize = 4;

/// Some of the keyspace's range of hashes, and the segments that hold its entries.
#[derive(Clone)]
pub(crate) struct Directory {
    /// Bits of the hash (behind those that choose the directory) that choose a pointer.
    depth: u8,
    pointers: Vec<u32>,
    segments: Segments,
    /// Segments that use all bits of the directory.
    deepest: u32,
    /// No key expires before this: the least of the segments' bounds, or less.
    pub(crate) deadline_min: u64,
}

/// Where an entry stands: its segment, and its number there.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) segment: usize,
    pub(crate) at: usize,
}

/// The first `bits` bits of `hash`, as a number.
#[inline]
fn first_bits(hash: u64, bits: u8) -> usize {
    (hash >> 1 >> (63 - bits)) as usize
}

impl Directory {
    /// Memory of the table, its entries and this struct aside. The segments' rows are estimated
    /// unless `exact`.
    pub(crate) fn memory_bytes(&self, exact: bool) -> usize {
        let rows = if exact {
            self.segments.iter().map(Segment::row_bytes).sum()
        } else {
            Segment::row_bytes_of(self.segments.len(), self.segments.iter().take(ROWS_SAMPLED))
        };
        self.segments.memory_bytes()
            + block_size(self.pointers.capacity() * size_of::<u32>())
            + rows
    }

    pub(crate) fn new() -> Self {
        Self {
            depth: 0,
            pointers: vec![0],
            segments: Segments::of(Segment::new(0, 0)),
            deepest: 1,
            deadline_min: u64::MAX,
        }
    }

    /// Directory bits in use.
    pub(crate) fn depth(&self) -> u8 {
        self.depth
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(crate) fn segment_mut(&mut self, segment: usize) -> &mut Segment {
        &mut self.segments[segment]
    }

    pub(crate) fn into_segments(self) -> Segments {
        self.segments
    }

    /// The segment of a hash. `rest` is the hash without the bits that chose the directory.
    #[inline]
    pub(crate) fn segment_of(&self, rest: u64) -> usize {
        self.pointers[first_bits(rest, self.depth)] as usize
    }

    #[inline]
    pub(crate) fn find(&self, rest: u64, hash: u64, key: &[u8]) -> Option<Slot> {
        let segment = self.segment_of(rest);
        let at = self.segments[segment].find(hash, key)?;
        Some(Slot { segment, at })
    }

    /// Adds an entry whose key is not here. `rehash` gives a key's hash without the bits that chose
    /// the directory, and the whole one.
    pub(crate) fn insert(
        &mut self,
        rest: u64,
        hash: u64,
        entry: Entry,
        rehash: impl Fn(&[u8]) -> (u64, u64),
    ) -> Slot {
        let mut segment = self.segment_of(rest);
        while self.segments[segment].is_full() && self.segments[segment].depth < DEPTH_MAX {
            self.split(segment, &rehash);
            segment = self.segment_of(rest);
        }
        if let Some(deadline) = entry.deadline() {
            self.deadline_min = self.deadline_min.min(deadline.ms());
        }
        let at = self.segments[segment].push(hash, entry);
        Slot { segment, at }
    }

    pub(crate) fn remove(&mut self, slot: Slot, rehash: impl Fn(&[u8]) -> (u64, u64)) -> Entry {
        let entry = self.segments[slot.segment].remove(slot.at, |key| rehash(key).1);
        if self.segments[slot.segment].len() * 2 < MERGED_LEN_MAX {
            self.merge(slot.segment, rehash);
        }
        entry
    }

    /// Splits a segment by the first bit its entries do not share.
    fn split(&mut self, segment: usize, rehash: &impl Fn(&[u8]) -> (u64, u64)) {
        if self.segments[segment].depth == self.depth {
            self.pointers = self
                .pointers
                .iter()
                .flat_map(|&segment| [segment, segment])
                .collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let old = &mut self.segments[segment];
        // One wait for all keys instead of one for each.
        old.prefetch_all();
        old.depth += 1;
        old.prefix <<= 1;
        let depth = old.depth;
        let mut other = Segment::new(old.prefix | 1, depth);
        for entry in old.take_entries() {
            let (rest, hash) = rehash(entry.key());
            match first_bits(rest, depth) & 1 {
                0 => old.push(hash, entry),
                _ => other.push(hash, entry),
            };
        }
        if depth == self.depth {
            self.deepest += 2;
        }
        let named = self.pointers_to(&other);
        // 2^22 pointers cannot name more segments.
        let index = self.segments.len() as u32;
        self.segments.push(other);
        self.pointers[named].fill(index);
    }

    /// The pointers that name this segment.
    fn pointers_to(&self, segment: &Segment) -> std::ops::Range<usize> {
        let shift = self.depth - segment.depth;
        let first = (segment.prefix as usize) << shift;
        first..first + (1 << shift)
    }

    /// Joins a near-empty segment with the one beside it, where that is near-empty too.
    fn merge(&mut self, segment: usize, rehash: impl Fn(&[u8]) -> (u64, u64)) {
        let (prefix, depth) = (self.segments[segment].prefix, self.segments[segment].depth);
        if depth == 0 {
            return;
        }
        let beside = self.pointers[((prefix ^ 1) as usize) << (self.depth - depth)] as usize;
        if self.segments[beside].depth != depth
            || self.segments[beside].len() + self.segments[segment].len() > MERGED_LEN_MAX
        {
            return;
        }
        let entries = self.segments[beside].take_entries();
        let kept = &mut self.segments[segment];
        for entry in entries {
            let (_, hash) = rehash(entry.key());
            kept.push(hash, entry);
        }
        kept.prefix >>= 1;
        kept.depth -= 1;
        let named = self.pointers_to(&self.segments[segment]);
        self.pointers[named].fill(segment as u32);
        // The last segment takes the freed place.
        self.segments.swap_remove(beside);
        if beside < self.segments.len() {
            let named = self.pointers_to(&self.segments[beside]);
            self.pointers[named].fill(beside as u32);
        }
        if depth == self.depth {
            self.deepest -= 2;
            if self.deepest == 0 {
                self.halve();
            }
        }
    }

    /// Gives up directory bits that no segment uses.
    fn halve(&mut self) {
        let used = self
            .segments
            .iter()
            .map(|segment| segment.depth)
            .max()
            .unwrap_or(0);
        let step = 1 << (self.depth - used);
        self.pointers = self.pointers.iter().step_by(step).copied().collect();
        self.depth = used;
        self.deepest = self
            .segments
            .iter()
            .filter(|segment| segment.depth == used)
            .count() as u32;
    }
}
