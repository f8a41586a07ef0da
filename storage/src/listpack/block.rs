//! How a pack lies in its block: the gap in front, the counts, the slack behind.

use std::ops::Range;

use super::entry::{END, Encoded, HEADER, array, entry_after, entry_before};
use super::{COUNT_ELSEWHERE, Listpack, WIDE_COUNT};
use crate::thin_bytes::ThinBytes;

/// Marks the number of bytes in front of the pack, where the total would be: no pack is so large.
const GAP: u32 = 1 << 31;
/// Bytes of that number: no gap is smaller.
const GAP_MIN: usize = size_of::<u32>();
/// Bytes of entries that are moved rather than having a gap beside them.
const MOVED_MAX: usize = 128;

impl Listpack {
    /// Bytes in front of the pack.
    #[inline]
    pub(super) fn start(&self) -> usize {
        match u32::from_le_bytes(array(&self.bytes, 0)) {
            gap if gap & GAP != 0 => (gap & !GAP) as usize,
            _ => 0,
        }
    }

    #[inline]
    pub(super) fn total_at(&self, start: usize) -> usize {
        u32::from_le_bytes(array(&self.bytes, start)) as usize
    }

    /// Where the terminator stands.
    #[inline]
    pub(super) fn end(&self) -> usize {
        if self.bytes.is_empty() {
            HEADER
        } else {
            self.total_at(self.start()) - 1
        }
    }

    /// Where the element at `index` of `len` stands; the terminator's place for `len` itself.
    pub(super) fn offset(&self, index: usize, len: usize) -> usize {
        debug_assert!(index <= len);
        let bytes = self.as_bytes();
        if index <= len / 2 {
            (0..index).fold(HEADER, |at, _| entry_after(bytes, at))
        } else {
            (index..len).fold(self.end(), |at, _| entry_before(bytes, at))
        }
    }

    pub(super) fn insert_at(&mut self, at: usize, element: &[u8]) {
        let count = self.len() + 1;
        self.put(at..at, element, count);
    }

    /// Puts one element in the place of those in `range`, after which there are `count`.
    pub(super) fn put(&mut self, range: Range<usize>, element: &[u8], count: usize) {
        let encoded = Encoded::new(element);
        let len = encoded.len();
        let at = self.open(range, len, count);
        encoded.write(&mut self.bytes[at..at + len]);
    }

    /// Puts whole encoded entries in the place of those in `range`, after which there are `count`.
    pub(super) fn splice(&mut self, range: Range<usize>, entries: &[u8], count: usize) {
        if count == 0 {
            self.bytes = ThinBytes::new();
            return;
        }
        let at = self.open(range, entries.len(), count);
        self.bytes[at..at + entries.len()].copy_from_slice(entries);
    }

    /// Has a pack of `count` elements with `added` bytes yet to be written in the place of `range`.
    /// Returns where in the block.
    fn open(&mut self, range: Range<usize>, added: usize, count: usize) -> usize {
        let len = self.byte_len() - range.len() + added;
        let wide = count >= usize::from(COUNT_ELSEWHERE);
        let needed = len + if wide { WIDE_COUNT } else { 0 };
        assert!(needed <= Self::BYTES_MAX, "a listpack is bounded");
        let start = self.make_way(range.clone(), added, needed);
        self.bytes[start + len - 1] = END;
        if start > 0 {
            self.bytes[..GAP_MIN].copy_from_slice(&(GAP | start as u32).to_le_bytes());
        }
        // Both fit: BYTES_MAX bounds the bytes, and an entry takes two at least.
        let short = if wide { COUNT_ELSEWHERE } else { count as u16 };
        let header = &mut self.bytes[start..start + HEADER];
        header[..4].copy_from_slice(&(len as u32).to_le_bytes());
        header[4..].copy_from_slice(&short.to_le_bytes());
        if wide {
            self.bytes[start + len..start + needed].copy_from_slice(&(count as u32).to_le_bytes());
        }
        // A block that is used by less than three quarters goes down to the size class that would
        // do.
        let room = ThinBytes::roomy(needed);
        if room < self.bytes.len() / 4 * 3 {
            self.bytes.copy_within(start..start + needed, 0);
            self.bytes.resize(room);
            return range.start;
        }
        start + range.start
    }

    /// Has `added` bytes free in the place of `range`, and all else where it is to stand when the
    /// pack takes `needed` bytes. Returns where it begins.
    fn make_way(&mut self, range: Range<usize>, added: usize, needed: usize) -> usize {
        if self.bytes.is_empty() {
            self.bytes.resize(ThinBytes::roomy(needed));
            return 0;
        }
        let (start, tail) = (self.start(), self.end() - range.end);
        let begin = match range.start == HEADER && tail > MOVED_MAX {
            true => {
                // What stands behind stays there, if the front can go where it has to.
                let front = (start + range.len()).checked_sub(added);
                if let Some(front @ (0 | GAP_MIN..)) = front
                    && front + needed <= self.bytes.len()
                {
                    return front;
                }
                self.gap_for(needed)
            }
            false if start + needed <= self.bytes.len() => start,
            false => 0,
        };
        if needed > self.bytes.len() {
            self.bytes.resize(ThinBytes::roomy(needed));
        }
        if begin != start {
            let before = start + HEADER..start + range.start;
            self.bytes.copy_within(before, begin + HEADER);
        }
        let behind = start + range.end..start + range.end + tail;
        self.bytes.copy_within(behind, begin + range.start + added);
        begin
    }

    /// How much of the slack to have in front of a pack of that size: most of it, since the front
    /// is where things happen. All is moved anyhow, so even a little is worth it.
    fn gap_for(&self, needed: usize) -> usize {
        let room = ThinBytes::roomy(needed).max(self.bytes.len());
        let slack = room - needed;
        match slack - slack / 4 {
            gap @ GAP_MIN.. => gap,
            _ => 0,
        }
    }
}
