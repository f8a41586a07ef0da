//! A sequence of short elements in one allocation: what a small list, hash, set or sorted set is made of, and a node of a long list.
//!
//! The bytes are those of Redis's own listpack, so that an RDB file or a DUMP takes them as they stand:
//!
//! ```text
//! | total: u32 | count: u16 | entry ... | 0xFF |          numbers are little-endian; total counts every byte shown
//!
//! entry = | head | payload | back |                       back: bytes of head and payload, legible from its right end
//!
//! head                        payload         element
//! 0vvvvvvv                    -               integer 0..=127
//! 10llllll                    l bytes         text of up to 63 bytes
//! 110vvvvv vvvvvvvv           -               integer -4096..=4095
//! 1110llll llllllll           l bytes         text of up to 4095 bytes
//! 11110000 l: u32             l bytes         longer text
//! 11110001 .. 11110100        i16 i24 i32 i64 integer
//!
//! back = | 0ggggggg | 1ggggggg | ...                      groups of seven bits, the highest first; 1 to 5 bytes
//! ```
//!
//! Behind the terminator stands slack up to the block's length, since the allocator rounds to size classes anyway; where the count
//! does not fit its 16 bits (they then hold 0xFFFF) the slack begins with it as a u32, so that the length never takes a walk.
//!
//! Invariants: the empty pack has no block. Any other is well formed, every element stands in its one shortest encoding, and an
//! integer's canonical text is always stored as an integer. Equal elements have thus equal bytes, which is what makes [`Listpack::find`]
//! a comparison of bytes. [`Listpack::from_bytes`] is the only way in for foreign bytes and re-encodes what is not so.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;

use crate::item::Item;
use crate::thin_bytes::ThinBytes;

/// Bytes in front of the first entry.
const HEADER: usize = 6;
/// The byte behind the last entry.
const END: u8 = 0xFF;
/// What the header's count says when it is too large for sixteen bits.
const COUNT_ELSEWHERE: u16 = u16::MAX;
/// Bytes of the count that then stands behind the terminator.
const WIDE_COUNT: usize = size_of::<u32>();
/// The empty pack, as [`Listpack::as_bytes`] shows it.
const EMPTY: [u8; HEADER + 1] = [7, 0, 0, 0, 0, 0, END];
/// The most that head, or integer, takes.
const HEAD_MAX: usize = 9;
/// The most that a back-length takes.
const BACK_MAX: usize = 5;

/// A packed sequence. See the module for its shape.
#[derive(Clone, Default)]
pub struct Listpack {
    bytes: ThinBytes,
}

/// The place of an element. Good until the pack changes, but for what the changing call returns.
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
    /// The largest pack, in bytes: 1 GiB, as in Redis. Growing one beyond it panics, so a caller that may asks [`Self::has_room_for`].
    pub const BYTES_MAX: usize = 1 << 30;

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
        match u16::from_le_bytes(array(&self.bytes, 4)) {
            COUNT_ELSEWHERE => u32::from_le_bytes(array(&self.bytes, self.end() + 1)) as usize,
            count => usize::from(count),
        }
    }

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
        (!self.is_empty()).then(|| Cursor::new(entry_before(&self.bytes, self.end())))
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
        decode(&self.bytes, cursor.at())
    }

    /// The place after this one.
    #[inline]
    pub fn next(&self, cursor: Cursor) -> Option<Cursor> {
        let next = entry_after(&self.bytes, cursor.at());
        (self.bytes[next] != END).then(|| Cursor::new(next))
    }

    /// The place before this one.
    #[inline]
    pub fn prev(&self, cursor: Cursor) -> Option<Cursor> {
        (cursor.at() > HEADER).then(|| Cursor::new(entry_before(&self.bytes, cursor.at())))
    }

    pub fn push_back(&mut self, element: &[u8]) {
        let end = self.end();
        self.insert_at(end, element);
    }

    pub fn push_front(&mut self, element: &[u8]) {
        self.insert_at(HEADER, element);
    }

    /// Removes the last element.
    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        let cursor = self.last()?;
        let element = self.get(cursor).to_vec();
        self.remove(cursor);
        Some(element)
    }

    /// Removes the first element.
    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        let cursor = self.first()?;
        let element = self.get(cursor).to_vec();
        self.remove(cursor);
        Some(element)
    }

    /// The new element's place; the one at `cursor` comes after it.
    pub fn insert_before(&mut self, cursor: Cursor, element: &[u8]) -> Cursor {
        self.insert_at(cursor.at(), element);
        cursor
    }

    /// The new element's place.
    pub fn insert_after(&mut self, cursor: Cursor, element: &[u8]) -> Cursor {
        let at = entry_after(&self.bytes, cursor.at());
        self.insert_at(at, element);
        Cursor::new(at)
    }

    /// Puts another element in the place of the one at `cursor`, which stays good.
    pub fn replace(&mut self, cursor: Cursor, element: &[u8]) {
        let entry = cursor.at()..entry_after(&self.bytes, cursor.at());
        let count = self.len();
        Encoded::new(element).with_parts(|parts| self.splice(entry, parts, count));
    }

    /// Removes the element at `cursor`; the place of the one that followed it.
    pub fn remove(&mut self, cursor: Cursor) -> Option<Cursor> {
        let entry = cursor.at()..entry_after(&self.bytes, cursor.at());
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

    /// The first place, from `from` on, that holds `needle`, where `skip` elements are passed over after each that is compared
    /// (1 finds a field among fields and values).
    pub fn find(&self, needle: &[u8], from: Cursor, skip: usize) -> Option<Cursor> {
        let needle = Encoded::new(needle);
        let (head, payload) = (needle.head.as_slice(), needle.payload);
        let bytes: &[u8] = &self.bytes;
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

    /// Keeps the first `index` elements and returns the rest.
    pub fn split_off(&mut self, index: usize) -> Self {
        let len = self.len();
        if index >= len {
            return Self::new();
        }
        let (at, end) = (self.offset(index, len), self.end());
        let mut rest = Self::new();
        rest.splice(HEADER..HEADER, &[&self.bytes[at..end]], len - index);
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
        self.splice(end..end, &[&other.as_bytes()[HEADER..other.end()]], count);
    }

    /// The pack in Redis's format.
    pub fn as_bytes(&self) -> &[u8] {
        if self.is_empty() {
            &EMPTY
        } else {
            &self.bytes[..=self.end()]
        }
    }

    /// The pack that foreign bytes in Redis's format stand for.
    ///
    /// # Errors
    /// [`Malformed`] unless every entry, back-length and the header agree. Entries in a longer encoding than need be are accepted.
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
            pack.splice(HEADER..HEADER, &[&bytes[HEADER..end]], count);
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

    /// Where the terminator stands.
    fn end(&self) -> usize {
        if self.bytes.is_empty() {
            HEADER
        } else {
            u32::from_le_bytes(array(&self.bytes, 0)) as usize - 1
        }
    }

    /// Where the element at `index` of `len` stands; the terminator's place for `len` itself.
    fn offset(&self, index: usize, len: usize) -> usize {
        debug_assert!(index <= len);
        if index <= len / 2 {
            (0..index).fold(HEADER, |at, _| entry_after(&self.bytes, at))
        } else {
            (index..len).fold(self.end(), |at, _| entry_before(&self.bytes, at))
        }
    }

    fn insert_at(&mut self, at: usize, element: &[u8]) {
        let count = self.len() + 1;
        Encoded::new(element).with_parts(|parts| self.splice(at..at, parts, count));
    }

    /// Puts whole encoded entries in the place of those in `range`, after which there are `count`.
    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]], count: usize) {
        if count == 0 {
            self.bytes = ThinBytes::new();
            return;
        }
        let old_end = self.end();
        let added: usize = parts.iter().map(|part| part.len()).sum();
        let new_end = old_end - range.len() + added;
        let wide = count >= usize::from(COUNT_ELSEWHERE);
        let needed = new_end + 1 + if wide { WIDE_COUNT } else { 0 };
        assert!(needed <= Self::BYTES_MAX, "a listpack is bounded");
        if needed > self.bytes.len() {
            self.bytes.resize(ThinBytes::roomy(needed));
        }
        self.bytes
            .copy_within(range.end..old_end, range.start + added);
        let mut at = range.start;
        for part in parts {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.bytes[new_end] = END;
        // Both fit: BYTES_MAX bounds the bytes, and an entry takes two at least.
        self.bytes[..4].copy_from_slice(&(new_end as u32 + 1).to_le_bytes());
        let short = if wide { COUNT_ELSEWHERE } else { count as u16 };
        self.bytes[4..HEADER].copy_from_slice(&short.to_le_bytes());
        if wide {
            self.bytes[new_end + 1..needed].copy_from_slice(&(count as u32).to_le_bytes());
        }
        // A block that is used by less than three quarters goes down to the size class that would do.
        let room = ThinBytes::roomy(needed);
        if room < self.bytes.len() / 4 * 3 {
            self.bytes.resize(room);
        }
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

/// The elements of a [`Listpack`].
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let at = self.front;
        self.front = entry_after(self.bytes, at);
        Some(decode(self.bytes, at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.back = entry_before(self.bytes, self.back);
        Some(decode(self.bytes, self.back))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

/// A few bytes on the stack.
struct Short<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Short<MAX> {
    fn of(parts: &[&[u8]]) -> Self {
        let mut short = Self {
            bytes: [0; MAX],
            len: 0,
        };
        for part in parts {
            short.bytes[short.len..short.len + part.len()].copy_from_slice(part);
            short.len += part.len();
        }
        short
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// An element in its one encoding.
struct Encoded<'a> {
    head: Short<HEAD_MAX>,
    payload: &'a [u8],
}

impl<'a> Encoded<'a> {
    fn new(element: &'a [u8]) -> Self {
        match Item::parse(element) {
            Item::Int(int) => Self {
                head: encode_int(int),
                payload: &[],
            },
            Item::Bytes(payload) => Self {
                head: encode_text_head(payload.len()),
                payload,
            },
        }
    }

    /// Bytes of the whole entry.
    fn len(&self) -> usize {
        let len = self.head.len + self.payload.len();
        len + back_size(len)
    }

    /// Calls `f` with the parts of the whole entry.
    fn with_parts<T>(&self, f: impl FnOnce(&[&[u8]]) -> T) -> T {
        let back = encode_back(self.head.len + self.payload.len());
        f(&[self.head.as_slice(), self.payload, back.as_slice()])
    }
}

fn encode_int(int: i64) -> Short<HEAD_MAX> {
    let wide = int.to_le_bytes();
    match int {
        0..=127 => Short::of(&[&wide[..1]]),
        -4096..=4095 => Short::of(&[&[0xC0 | (wide[1] & 0x1F), wide[0]]]),
        -0x8000..=0x7FFF => Short::of(&[&[0xF1], &wide[..2]]),
        -0x80_0000..=0x7F_FFFF => Short::of(&[&[0xF2], &wide[..3]]),
        -0x8000_0000..=0x7FFF_FFFF => Short::of(&[&[0xF3], &wide[..4]]),
        _ => Short::of(&[&[0xF4], &wide]),
    }
}

fn encode_text_head(len: usize) -> Short<HEAD_MAX> {
    // A length above BYTES_MAX is cut here, and stopped by `splice`.
    let wide = (len as u32).to_le_bytes();
    match len {
        0..=0x3F => Short::of(&[&[0x80 | wide[0]]]),
        0x40..=0xFFF => Short::of(&[&[0xE0 | wide[1], wide[0]]]),
        _ => Short::of(&[&[0xF0], &wide]),
    }
}

/// Bytes of the back-length of an entry whose head and payload take `len`. (One below each power, from the second on, is Redis's rule.)
#[inline]
fn back_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

fn encode_back(len: usize) -> Short<BACK_MAX> {
    let mut back = Short {
        bytes: [0; BACK_MAX],
        len: back_size(len),
    };
    let mut rest = len;
    for byte in back.bytes[..back.len].iter_mut().rev() {
        *byte = 0x80 | (rest & 0x7F) as u8;
        rest >>= 7;
    }
    back.bytes[0] &= 0x7F;
    back
}

/// Bytes of the head, and of head and payload, of the entry at `at`. Needs only as much of the entry as its length stands in.
#[inline]
fn extent(bytes: &[u8], at: usize) -> (usize, usize) {
    let first = bytes[at];
    match first {
        0..=0x7F => (1, 1),
        0x80..=0xBF => (1, 1 + usize::from(first & 0x3F)),
        0xC0..=0xDF => (2, 2),
        0xE0..=0xEF => {
            let len = usize::from(first & 0x0F) << 8 | usize::from(bytes[at + 1]);
            (2, 2 + len)
        }
        0xF0 => (5, 5 + u32::from_le_bytes(array(bytes, at + 1)) as usize),
        0xF1 => (3, 3),
        0xF2 => (4, 4),
        0xF3 => (5, 5),
        _ => (9, 9),
    }
}

/// Where the entry after the one at `at` stands, or the terminator.
#[inline]
fn entry_after(bytes: &[u8], at: usize) -> usize {
    let (_, len) = extent(bytes, at);
    at + len + back_size(len)
}

/// Where the entry that ends before `end` stands.
#[inline]
fn entry_before(bytes: &[u8], end: usize) -> usize {
    let (len, size) = decode_back(&bytes[HEADER..end]);
    end - size - len
}

/// The back-length at the end of `bytes` and how many bytes it takes.
#[inline]
fn decode_back(bytes: &[u8]) -> (usize, usize) {
    let (mut len, mut size) = (0, 0);
    for &byte in bytes.iter().rev().take(BACK_MAX) {
        len |= usize::from(byte & 0x7F) << (7 * size);
        size += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (len, size)
}

#[inline]
fn decode(bytes: &[u8], at: usize) -> Item<'_> {
    let first = bytes[at];
    let int = match first {
        0..=0x7F => i64::from(first),
        0x80..=0xBF | 0xE0..=0xF0 => {
            let (head, len) = extent(bytes, at);
            return Item::Bytes(&bytes[at + head..at + len]);
        }
        0xC0..=0xDF => {
            i64::from(i16::from_be_bytes([first << 3, 0]) >> 3 | i16::from(bytes[at + 1]))
        }
        0xF1 => i64::from(i16::from_le_bytes(array(bytes, at + 1))),
        0xF2 => {
            let [a, b, c] = array(bytes, at + 1);
            i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
        }
        0xF3 => i64::from(i32::from_le_bytes(array(bytes, at + 1))),
        _ => i64::from_le_bytes(array(bytes, at + 1)),
    };
    Item::Int(int)
}

/// Where the entry at `at` ends, if it is whole within `bytes`, which end before the terminator, and its back-length tells its length.
fn check_entry(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] > 0xF4 {
        return None;
    }
    let head_bytes = match bytes[at] {
        0xE0..=0xEF => 2,
        0xF0 => 5,
        _ => 1,
    };
    bytes.get(at..at + head_bytes)?;
    let (_, len) = extent(bytes, at);
    let end = at + len + back_size(len);
    let back = bytes.get(at + len..end)?;
    (back == encode_back(len).as_slice()).then_some(end)
}

/// Whether the checked entry at `at` is encoded as this module would.
fn is_shortest(bytes: &[u8], at: usize) -> bool {
    let (head, _) = extent(bytes, at);
    let head = &bytes[at..at + head];
    match decode(bytes, at) {
        Item::Int(int) => encode_int(int).as_slice() == head,
        Item::Bytes(text) => {
            matches!(Item::parse(text), Item::Bytes(_))
                && encode_text_head(text.len()).as_slice() == head
        }
    }
}

#[inline]
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;
