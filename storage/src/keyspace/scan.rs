//! SCAN's walk over a keyspace, in the order of hashes.

use super::Keyspace;
use crate::entry::Entry;
use crate::segment::Segment;

/// Bits of a scan position.
const POSITION_BITS: u32 = 40;

/// A place in the order of a scan: the first forty bits of a hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position(u64);

impl Position {
    /// The position that a cursor of a client's stands for, if there is one.
    pub fn new(bits: u64) -> Option<Self> {
        (bits < 1 << POSITION_BITS).then_some(Self(bits))
    }

    /// Forty bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn of(hash: u64) -> Self {
        Self(hash >> (64 - POSITION_BITS))
    }

    pub(crate) fn first_hash(self) -> u64 {
        self.0 << (64 - POSITION_BITS)
    }

    /// The first position behind all that share its first `bits` bits, if there is one.
    pub(crate) fn after(self, bits: u32) -> Option<Self> {
        let width = POSITION_BITS - bits;
        Self::new(((self.0 >> width) + 1) << width)
    }
}

impl Keyspace {
    /// Visits about `count` entries from `from` on, in the order of their hashes. Returns where to
    /// go on, or `None` at the end. Entries whose positions are equal are visited together, so none
    /// is left out.
    pub fn scan(
        &self,
        from: Position,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) -> Option<Position> {
        if self.directories.is_empty() {
            return None;
        }
        let mut from = from;
        let mut left = count.max(1);
        let mut in_order: Vec<(Position, &Entry)> = Vec::new();
        loop {
            let segment = self.segment_at(from);
            segment.prefetch_all();
            let next = from.after(u32::from(self.directory_bits) + u32::from(segment.depth));
            if let Some(next) = next {
                self.segment_at(next).prefetch_rows();
            }
            in_order.clear();
            in_order.extend(
                segment
                    .entries()
                    .map(|entry| (Position::of(self.hasher.hash(entry.key())), entry))
                    .filter(|(position, _)| *position >= from),
            );
            in_order.sort_unstable_by_key(|(position, _)| *position);
            let mut last = None;
            for &(position, entry) in &in_order {
                if left == 0 && last != Some(position) {
                    return Some(position);
                }
                visit(entry);
                left = left.saturating_sub(1);
                last = Some(position);
            }
            // An empty segment counts too: looking at it was work.
            if in_order.is_empty() {
                left = left.saturating_sub(1);
            }
            from = next?;
            if left == 0 {
                return Some(from);
            }
        }
    }

    /// Where the entries at and behind a position stand.
    fn segment_at(&self, position: Position) -> &Segment {
        let (directory, rest) = self.directory_of(position.first_hash());
        let directory = &self.directories[directory];
        &directory.segments()[directory.segment_of(rest)]
    }
}
