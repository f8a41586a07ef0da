//! The small parts of the format, written: lengths, strings, numbers.

use super::codes::{LENGTH6_MAX, LENGTH14_MAX, LENGTH32, LENGTH64, special};
use super::lzf;
use crate::item::{Item, parse_int};

/// Whether strings are compressed where that makes them shorter: `rdbcompression`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Strings are written as they are.
    Off,
    /// Long strings are compressed where that makes them shorter (`rdbcompression`).
    Lzf,
}

/// Strings shorter than this are not worth a try, in Redis neither.
const COMPRESSED_LEN_MIN: usize = 21;

/// The longest text that may be written as an integer.
const INT_TEXT_MAX: usize = 11;

pub(super) fn length(out: &mut Vec<u8>, len: u64) {
    if len <= LENGTH6_MAX {
        out.push(len as u8);
    } else if len <= LENGTH14_MAX {
        out.extend((len as u16 | 0x4000).to_be_bytes());
    } else if let Ok(len) = u32::try_from(len) {
        out.push(LENGTH32);
        out.extend(len.to_be_bytes());
    } else {
        out.push(LENGTH64);
        out.extend(len.to_be_bytes());
    }
}

pub(super) fn string(out: &mut Vec<u8>, text: &[u8], compression: Compression) {
    if text.len() <= INT_TEXT_MAX
        && let Some(int) = parse_int(text)
        && put_int(out, int)
    {
        return;
    }
    if compression == Compression::Lzf && text.len() >= COMPRESSED_LEN_MIN {
        let mut packed = Vec::with_capacity(text.len());
        if lzf::compress(text, &mut packed) {
            out.push(0xc0 | special::LZF);
            length(out, packed.len() as u64);
            length(out, text.len() as u64);
            out.extend(packed);
            return;
        }
    }
    length(out, text.len() as u64);
    out.extend_from_slice(text);
}

pub(super) fn item(out: &mut Vec<u8>, item: Item<'_>, compression: Compression) {
    match item {
        Item::Int(int) if put_int(out, int) => {}
        item => string(out, item.text(&mut itoa::Buffer::new()), compression),
    }
}

/// Writes the integer as a string of that kind if it fits 32 bits.
fn put_int(out: &mut Vec<u8>, int: i64) -> bool {
    if let Ok(int) = i8::try_from(int) {
        out.push(0xc0 | special::INT8);
        out.extend(int.to_le_bytes());
    } else if let Ok(int) = i16::try_from(int) {
        out.push(0xc0 | special::INT16);
        out.extend(int.to_le_bytes());
    } else if let Ok(int) = i32::try_from(int) {
        out.push(0xc0 | special::INT32);
        out.extend(int.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Milliseconds since the epoch, or the like.
pub(super) fn millis(out: &mut Vec<u8>, ms: u64) {
    out.extend(ms.to_le_bytes());
}
