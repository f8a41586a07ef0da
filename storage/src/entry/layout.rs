//! What stands where in an entry's block.

use crate::block_size::block_size;
use crate::item::parse_int;
use crate::value::Object;

/// Strings up to this long stand in the key's own block; longer ones can grow without moving the
/// key.
pub(super) const INLINE_LEN_MAX: usize = 1024;

/// Shorter ones always do: what a block of their own could save is less than it costs.
const APART_LEN_MIN: usize = 256;

/// Bytes that a block of its own must save.
const APART_SAVING_MIN: usize = 32;

/// Strings up to this long are called "embstr" as long as nobody edits them.
pub(super) const EMBSTR_LEN_MAX: usize = 44;

/// Bits of the access clock.
pub(super) const ACCESS_MASK: u64 = (1 << 32) - 1;

pub(super) const KEY_LEN_SHIFT: u32 = 32;
const INLINE_LEN_SHIFT: u32 = 48;
const INLINE_LEN_MASK: u64 = (1 << 11) - 1;
pub(super) const KIND_SHIFT: u32 = 59;

pub(super) const VOLATILE: u64 = 1 << 61;
pub(super) const LONG_KEY: u64 = 1 << 62;
pub(super) const EDITED: u64 = 1 << 63;

const _: () = assert!(INLINE_LEN_MAX as u64 <= INLINE_LEN_MASK);

/// What stands in the middle of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadKind {
    Int = 0,
    Inline = 1,
    Heap = 2,
    Object = 3,
}

impl PayloadKind {
    /// Bytes it takes before the key.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Int => 8,
            Self::Inline => 0,
            Self::Heap => size_of::<Vec<u8>>(),
            Self::Object => size_of::<Object>().next_multiple_of(8),
        }
    }
}

/// The first word of a block.
#[derive(Clone, Copy)]
pub(super) struct Header(pub(super) u64);

impl Header {
    pub(super) fn kind(self) -> PayloadKind {
        match self.0 >> KIND_SHIFT & 3 {
            0 => PayloadKind::Int,
            1 => PayloadKind::Inline,
            2 => PayloadKind::Heap,
            _ => PayloadKind::Object,
        }
    }

    pub(super) fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    pub(super) fn short_key_len(self) -> usize {
        (self.0 >> KEY_LEN_SHIFT & 0xffff) as usize
    }

    pub(super) fn inline_len(self) -> usize {
        (self.0 >> INLINE_LEN_SHIFT & INLINE_LEN_MASK) as usize
    }

    pub(super) fn with_inline_len(self, len: usize) -> Self {
        debug_assert!(len <= INLINE_LEN_MAX);
        let others = self.0 & !(INLINE_LEN_MASK << INLINE_LEN_SHIFT);
        Self(others | (len as u64) << INLINE_LEN_SHIFT)
    }

    /// Where the value's words begin.
    pub(super) fn payload_at(self) -> usize {
        8 + 8 * (usize::from(self.has(VOLATILE)) + usize::from(self.has(LONG_KEY)))
    }

    /// Where the key begins.
    pub(super) fn key_at(self) -> usize {
        self.payload_at() + self.kind().bytes()
    }
}

/// The bytes of a block with `used` bytes in it: as many as the allocator gives, so that a value
/// may change its length a little and stay where it is.
pub(super) fn block_bytes(used: usize) -> usize {
    block_size(used)
}

/// A value on its way into a block.
pub(super) enum Payload<'a> {
    Int(i64),
    Inline(&'a [u8]),
    /// A string that gets a block of its own.
    Apart(&'a [u8]),
    /// One that has it.
    Heap(Vec<u8>),
    Object(Object),
}

/// How much of a block stands before its value, where that is inline.
pub(super) fn head_bytes(key: &[u8], is_volatile: bool) -> usize {
    let is_long = u16::try_from(key.len()).is_err();
    8 + 8 * (usize::from(is_volatile) + usize::from(is_long)) + key.len()
}

/// Whether a string of `len` bytes behind so much has a block of its own.
#[inline]
pub(super) fn stands_apart(head_bytes: usize, len: usize) -> bool {
    match len {
        0..APART_LEN_MIN => false,
        APART_LEN_MIN..=INLINE_LEN_MAX => {
            let two = block_bytes(head_bytes + PayloadKind::Heap.bytes()) + block_bytes(len);
            two + APART_SAVING_MIN <= block_bytes(head_bytes + len)
        }
        _ => true,
    }
}

impl<'a> Payload<'a> {
    /// How the keyspace stores `text` behind so much: as an integer where that gives the same text
    /// back.
    #[inline]
    pub(super) fn of(text: &'a [u8], head_bytes: usize) -> Self {
        match parse_int(text) {
            Some(int) => Self::Int(int),
            None => Self::of_text(text, head_bytes),
        }
    }

    /// How the keyspace stores text that stays text, even where it reads as an integer.
    #[inline]
    pub(super) fn of_text(text: &'a [u8], head_bytes: usize) -> Self {
        if stands_apart(head_bytes, text.len()) {
            Self::Apart(text)
        } else {
            Self::Inline(text)
        }
    }

    pub(super) fn of_owned(text: &'a mut Vec<u8>, head_bytes: usize) -> Self {
        if text.len() <= INLINE_LEN_MAX {
            Self::of(text, head_bytes)
        } else {
            Self::Heap(std::mem::take(text))
        }
    }

    pub(super) fn kind(&self) -> PayloadKind {
        match self {
            Self::Int(_) => PayloadKind::Int,
            Self::Inline(_) => PayloadKind::Inline,
            Self::Apart(_) | Self::Heap(_) => PayloadKind::Heap,
            Self::Object(_) => PayloadKind::Object,
        }
    }
}
