//! One entry of a listpack, in bytes: how it is written, read, stepped over and checked. The
//! picture is [`crate::listpack`]'s.
//!
//! Offsets are into the whole pack. All but [`check_entry`] take it as well formed.

use crate::item::Item;

/// Bytes in front of the first entry.
pub(crate) const HEADER: usize = 6;
/// The byte behind the last entry.
pub(crate) const END: u8 = 0xFF;
/// The most that head, or integer, takes.
pub(crate) const HEAD_MAX: usize = 9;
/// The most that a back-length takes.
pub(crate) const BACK_MAX: usize = 5;

/// A few bytes on the stack.
pub(crate) struct Short<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Short<MAX> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// An element in its one encoding.
pub(crate) struct Encoded<'a> {
    pub(crate) head: Short<HEAD_MAX>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Encoded<'a> {
    #[inline]
    pub(crate) fn new(element: &'a [u8]) -> Self {
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
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let len = self.head.len + self.payload.len();
        len + back_size(len)
    }

    /// Writes the whole entry to `place`, which is as long.
    #[inline]
    pub(crate) fn write(&self, place: &mut [u8]) {
        let (head, rest) = place.split_at_mut(self.head.len);
        head.copy_from_slice(self.head.as_slice());
        let (payload, back) = rest.split_at_mut(self.payload.len());
        payload.copy_from_slice(self.payload);
        let len = self.head.len + self.payload.len();
        match back {
            [only] => *only = len as u8,
            back => back.copy_from_slice(encode_back(len).as_slice()),
        }
    }
}

fn encode_int(int: i64) -> Short<HEAD_MAX> {
    let wide = int.to_le_bytes();
    let (tag, len) = match int {
        0..=127 => (wide[0], 1),
        -4096..=4095 => {
            let mut bytes = [0; HEAD_MAX];
            bytes[0] = 0xC0 | (wide[1] & 0x1F);
            bytes[1] = wide[0];
            return Short { bytes, len: 2 };
        }
        -0x8000..=0x7FFF => (0xF1, 3),
        -0x80_0000..=0x7F_FFFF => (0xF2, 4),
        -0x8000_0000..=0x7FFF_FFFF => (0xF3, 5),
        _ => (0xF4, 9),
    };
    Short::tagged(tag, wide, len)
}

#[inline]
fn encode_text_head(len: usize) -> Short<HEAD_MAX> {
    // A length above BYTES_MAX is cut here, and stopped by `splice`.
    let wide = (len as u64).to_le_bytes();
    match len {
        0..=0x3F => Short::tagged(0x80 | wide[0], [0; 8], 1),
        0x40..=0xFFF => Short::tagged(0xE0 | wide[1], [wide[0]; 8], 2),
        _ => Short::tagged(0xF0, wide, 5),
    }
}

impl Short<HEAD_MAX> {
    /// The first `len` bytes of a tag and what follows it.
    #[inline]
    fn tagged(tag: u8, rest: [u8; 8], len: usize) -> Self {
        let mut bytes = [0; HEAD_MAX];
        bytes[0] = tag;
        bytes[1..].copy_from_slice(&rest);
        Self { bytes, len }
    }
}

/// Bytes of the back-length of an entry whose head and payload take `len`. (One below each power,
/// from the second on, is Redis's rule.)
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

/// Bytes of the head, and of head and payload, of the entry at `at`. Needs only as much of the
/// entry as its length stands in.
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
pub(crate) fn entry_after(bytes: &[u8], at: usize) -> usize {
    let (_, len) = extent(bytes, at);
    at + len + back_size(len)
}

/// Where the entry that ends before `end` stands.
#[inline]
pub(crate) fn entry_before(bytes: &[u8], end: usize) -> usize {
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
pub(crate) fn decode(bytes: &[u8], at: usize) -> Item<'_> {
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

/// Where the entry at `at` ends, if it is whole within `bytes`, which end before the terminator,
/// and its back-length tells its length.
pub(crate) fn check_entry(bytes: &[u8], at: usize) -> Option<usize> {
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
pub(crate) fn is_shortest(bytes: &[u8], at: usize) -> bool {
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
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
