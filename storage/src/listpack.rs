//! A sequence of short elements in one allocation: what a small list, hash, set or sorted set is
//! made of, and a node of a long list.
//!
//! The bytes are those of Redis's own listpack, so that an RDB file or a DUMP takes them as they
//! stand:
//!
//! ```text
//! | total: u32 | count: u16 | entry ... | 0xFF |      numbers are little-endian
//!                                                     total: every byte shown
//! entry = | head | payload | back |
//!
//! head                        payload         element
//! 0vvvvvvv                    -               integer 0..=127
//! 10llllll                    l bytes         text of up to 63 bytes
//! 110vvvvv vvvvvvvv           -               integer -4096..=4095
//! 1110llll llllllll           l bytes         text of up to 4095 bytes
//! 11110000 l: u32             l bytes         longer text
//! 11110001 .. 11110100        i16 i24 i32 i64 integer
//!
//! back = | 0ggggggg | 1ggggggg | ...        bytes of head and payload, read from the right end:
//!                                           groups of seven bits, the highest first; 1 to 5 bytes
//! ```
//!
//! Behind the terminator stands slack up to the block's length, since the allocator rounds to size
//! classes anyway; where the count does not fit its 16 bits (they then hold 0xFFFF) the slack
//! begins with it as a u32, so that the length never takes a walk. A larger pack that is pushed to
//! or popped from at its front may have slack there too: the block then begins with how much, and
//! moving an end costs nothing.
//!
//! ```text
//! | gap: u32, its top bit set | ... | total | count | entry ... | 0xFF | slack
//! ```
//!
//! Invariants: the empty pack has no block. Any other is well formed, every element stands in its
//! one shortest encoding, and an integer's canonical text is always stored as an integer. Equal
//! elements have thus equal bytes, which is what makes [`Listpack::find`] a comparison of bytes;
//! one entry's are made and read in `listpack_entry`. [`Listpack::from_bytes`] is the only way in
//! for foreign bytes and re-encodes what is not so.

mod block;
mod entry;
mod iter;

use std::fmt;
use std::ops::Range;

use crate::item::Item;
use crate::thin_bytes::ThinBytes;
use entry::{
    BACK_MAX, END, Encoded, HEAD_MAX, HEADER, array, check_entry, decode, entry_after,
    entry_before, is_shortest,
};

pub use iter::Iter;

/// What the header's count says when it is too large for sixteen bits.
const COUNT_ELSEWHERE: u16 = u16::MAX;
/// Bytes of the count that then stands behind the terminator.
const WIDE_COUNT: usize = size_of::<u32>();
/// The empty pack, as [`Listpack::as_bytes`] shows it.
const EMPTY: [u8; Listpack::FRAME] = [7, 0, 0, 0, 0, 0, END];
/// A packed sequence of byte strings and integers, in the bytes of Redis's listpack
/// (<https://github.com/antirez/listpack/blob/master/listpack.md>). One pointer; the empty one has
/// no block. An index or a search is O(n), an end O(1).
#[derive(Clone, Default)]
pub struct Listpack {
    bytes: ThinBytes,
}

/// The place of an element: bytes from the pack's first. Good until the pack changes, but for what
/// the changing call returns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cursor(u32);

impl Cursor {
    fn new(at: usize) -> Self {
        // A pack never outgrows BYTES_MAX.
        Self(at as u32)
    }

    const fn at(self) -> usize {
        self.0 as usize
    }
}

/// An end of a sequence. As a direction: from there towards the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Where the first element is.
    Front,
    /// Where the last element is.
    Back,
}

/// Why bytes are not a listpack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// The total in the header is not the number of bytes, or is above [`Listpack::BYTES_MAX`].
    Total,
    /// The entry at this offset is unknown, cut off, or disagrees with its back-length.
    Entry(usize),
    /// The header counts other than there are.
    Count,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Total => f.write_str("a listpack of another length than it says"),
            Self::Entry(at) => write!(f, "a malformed listpack entry at offset {at}"),
            Self::Count => f.write_str("a listpack of other elements than it counts"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Listpack {
    /// The largest pack, in bytes: 1 GiB, as in Redis. Growing one beyond it panics, so a caller
    /// that may asks [`Self::has_room_for`].
    pub const BYTES_MAX: usize = 1 << 30;
    /// Bytes of a pack that are no entry's.
    pub const FRAME: usize = HEADER + 1;

    /// The empty pack, without a block.
    pub const fn new() -> Self {
        Self {
            bytes: ThinBytes::new(),
        }
    }

    /// Elements.
    #[inline]
    pub fn len(&self) -> usize {
        if self.bytes.is_empty() {
            return 0;
        }
        let start = self.start();
        match u16::from_le_bytes(array(&self.bytes, start + 4)) {
            COUNT_ELSEWHERE => {
                let behind = start + self.byte_len();
                u32::from_le_bytes(array(&self.bytes, behind)) as usize
            }
            count => usize::from(count),
        }
    }

    /// True where it has no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of the encoded pack, slack not included; what Redis compares with its size limits.
    pub fn byte_len(&self) -> usize {
        self.end() + 1
    }

    /// Heap memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.heap_bytes()
    }

    /// Bytes that `element` would take as an entry.
    pub fn entry_len(element: &[u8]) -> usize {
        Encoded::new(element).len()
    }

    /// Whether elements of `text_bytes` bytes in all, at most `count` of them, can still be added.
    pub fn has_room_for(&self, text_bytes: usize, count: usize) -> bool {
        count
            .checked_mul(HEAD_MAX + BACK_MAX)
            .and_then(|heads| heads.checked_add(text_bytes))
            .and_then(|bytes| bytes.checked_add(self.byte_len() + WIDE_COUNT))
            .is_some_and(|bytes| bytes <= Self::BYTES_MAX)
    }

    /// The elements in order, from either end.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            bytes: self.as_bytes(),
            front: HEADER,
            back: self.end(),
            left: self.len(),
        }
    }

    /// The elements of these indexes that there are.
    pub fn range(&self, range: Range<usize>) -> Iter<'_> {
        let len = self.len();
        let stop = range.end.min(len);
        let start = range.start.min(stop);
        Iter {
            bytes: self.as_bytes(),
            front: self.offset(start, len),
            back: self.offset(stop, len),
            left: stop - start,
        }
    }

    /// The first element.
    pub fn front(&self) -> Option<Item<'_>> {
        self.first().map(|cursor| self.get(cursor))
    }

    /// The last element.
    pub fn back(&self) -> Option<Item<'_>> {
        self.last().map(|cursor| self.get(cursor))
    }

    /// The place of the first element.
    pub fn first(&self) -> Option<Cursor> {
        (!self.is_empty()).then(|| Cursor::new(HEADER))
    }

    /// The place of the last element.
    pub fn last(&self) -> Option<Cursor> {
        (!self.is_empty()).then(|| Cursor::new(entry_before(self.as_bytes(), self.end())))
    }

    /// The place of the element at `index`, walking from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Cursor> {
        let len = self.len();
        if index >= len {
            return None;
        }
        Some(Cursor::new(self.offset(index, len)))
    }

    /// The element at a place.
    #[inline]
    pub fn get(&self, cursor: Cursor) -> Item<'_> {
        decode(self.as_bytes(), cursor.at())
    }

    /// The place after this one.
    #[inline]
    pub fn next(&self, cursor: Cursor) -> Option<Cursor> {
        let bytes = self.as_bytes();
        let next = entry_after(bytes, cursor.at());
        (bytes[next] != END).then(|| Cursor::new(next))
    }

    /// The place before this one.
    #[inline]
    pub fn prev(&self, cursor: Cursor) -> Option<Cursor> {
        (cursor.at() > HEADER).then(|| Cursor::new(entry_before(self.as_bytes(), cursor.at())))
    }

    /// Adds an element behind all others.
    pub fn push_back(&mut self, element: &[u8]) {
        let end = self.end();
        self.insert_at(end, element);
    }

    /// Adds an element before all others.
    pub fn push_front(&mut self, element: &[u8]) {
        self.insert_at(HEADER, element);
    }

    /// Removes the element at an end, once `read` has seen it.
    pub fn pop_with<T>(&mut self, end: End, read: impl FnOnce(Item<'_>) -> T) -> Option<T> {
        let cursor = match end {
            End::Front => self.first(),
            End::Back => self.last(),
        }?;
        let result = read(self.get(cursor));
        self.remove(cursor);
        Some(result)
    }

    /// The new element's place; the one at `cursor` comes after it.
    pub fn insert_before(&mut self, cursor: Cursor, element: &[u8]) -> Cursor {
        self.insert_at(cursor.at(), element);
        cursor
    }

    /// The new element's place.
    pub fn insert_after(&mut self, cursor: Cursor, element: &[u8]) -> Cursor {
        let at = entry_after(self.as_bytes(), cursor.at());
        self.insert_at(at, element);
        Cursor::new(at)
    }

    /// Puts another element in the place of the one at `cursor`, which stays good.
    pub fn replace(&mut self, cursor: Cursor, element: &[u8]) {
        let entry = cursor.at()..entry_after(self.as_bytes(), cursor.at());
        let count = self.len();
        self.put(entry, element, count);
    }

    /// Removes the element at `cursor`; the place of the one that followed it.
    pub fn remove(&mut self, cursor: Cursor) -> Option<Cursor> {
        let entry = cursor.at()..entry_after(self.as_bytes(), cursor.at());
        let count = self.len() - 1;
        self.splice(entry, &[], count);
        (cursor.at() < self.end()).then_some(cursor)
    }

    /// Removes up to `count` elements, of those there are, from `index` on.
    pub fn remove_range(&mut self, index: usize, count: usize) {
        let len = self.len();
        let stop = index.saturating_add(count).min(len);
        if index >= stop {
            return;
        }
        let range = self.offset(index, len)..self.offset(stop, len);
        self.splice(range, &[], len - (stop - index));
    }

    /// The first place, from `from` on, that holds `needle`, where `skip` elements are passed over
    /// after each that is compared (1 finds a field among fields and values).
    pub fn find(&self, needle: &[u8], from: Cursor, skip: usize) -> Option<Cursor> {
        let needle = Encoded::new(needle);
        let (head, payload) = (needle.head.as_slice(), needle.payload);
        let bytes = self.as_bytes();
        let mut at = from.at();
        while bytes[at] != END {
            if bytes[at] == head[0]
                && bytes[at..].starts_with(head)
                && bytes[at + head.len()..].starts_with(payload)
            {
                return Some(Cursor::new(at));
            }
            at = entry_after(bytes, at);
            for _ in 0..skip {
                if bytes[at] == END {
                    return None;
                }
                at = entry_after(bytes, at);
            }
        }
        None
    }

    /// Removes elements equal to `needle`, the first `max` of them from this end; how many.
    pub fn remove_equal(&mut self, needle: &[u8], end: End, max: usize) -> usize {
        let item = Item::parse(needle);
        let mut removed = 0;
        let mut at = match end {
            End::Front => self.first(),
            End::Back => self.last(),
        };
        while let Some(cursor) = at
            && removed < max
        {
            match end {
                End::Front => {
                    let found = self.find(needle, cursor, 0);
                    removed += usize::from(found.is_some());
                    at = found.and_then(|found| self.remove(found));
                }
                End::Back => {
                    at = self.prev(cursor);
                    if self.get(cursor) == item {
                        self.remove(cursor);
                        removed += 1;
                    }
                }
            }
        }
        removed
    }

    /// Keeps the first `index` elements and returns the rest.
    pub fn split_off(&mut self, index: usize) -> Self {
        let len = self.len();
        if index >= len {
            return Self::new();
        }
        let (at, end) = (self.offset(index, len), self.end());
        let mut rest = Self::new();
        rest.splice(HEADER..HEADER, &self.as_bytes()[at..end], len - index);
        self.splice(at..end, &[], index);
        rest
    }

    /// Adds the other's elements behind its own.
    pub fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let (end, count) = (self.end(), self.len() + other.len());
        self.splice(end..end, &other.as_bytes()[HEADER..other.end()], count);
    }

    /// The pack in Redis's format.
    pub fn as_bytes(&self) -> &[u8] {
        if self.is_empty() {
            return &EMPTY;
        }
        let start = self.start();
        &self.bytes[start..start + self.total_at(start)]
    }

    /// The pack that foreign bytes in Redis's format stand for.
    ///
    /// # Errors
    /// [`Malformed`] unless every entry, back-length and the header agree. Entries in a longer
    /// encoding than need be are accepted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let end = bytes.len().wrapping_sub(1);
        if bytes.len() < EMPTY.len()
            || bytes.len() > Self::BYTES_MAX - WIDE_COUNT
            || u32::from_le_bytes(array(bytes, 0)) as usize != bytes.len()
        {
            return Err(Malformed::Total);
        }
        if bytes[end] != END {
            return Err(Malformed::Entry(end));
        }
        let (mut at, mut count, mut shortest) = (HEADER, 0, true);
        while at < end {
            let next = check_entry(&bytes[..end], at).ok_or(Malformed::Entry(at))?;
            shortest = shortest && is_shortest(bytes, at);
            count += 1;
            at = next;
        }
        let says = u16::from_le_bytes(array(bytes, 4));
        if says != COUNT_ELSEWHERE && usize::from(says) != count {
            return Err(Malformed::Count);
        }
        let mut pack = Self::new();
        if shortest {
            pack.splice(HEADER..HEADER, &bytes[HEADER..end], count);
        } else {
            let foreign = Iter {
                bytes,
                front: HEADER,
                back: end,
                left: count,
            };
            let mut buffer = itoa::Buffer::new();
            foreign.for_each(|item| pack.push_back(item.text(&mut buffer)));
        }
        Ok(pack)
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
