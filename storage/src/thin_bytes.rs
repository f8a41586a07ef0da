//! An owned byte string behind one eight-byte pointer.
//!
//! ```text
//! ThinBytes -> | length: u32 | bytes ... |
//! ```
//!
//! Every packed collection and every member of a table is one of these. `Box<[u8]>` would do the
//! same in sixteen bytes, but then an enum of three packed forms takes twenty-four, and a table of
//! a million fields pays eight bytes more per bucket (some 13 MB), so the length stands in the heap
//! block instead. The standard library has no safe type of this shape, hence the unsafe code, all
//! of it here.
//!
//! Invariants: the pointer addresses a `u32` followed by that many initialised bytes; length 0 is
//! the static `EMPTY`, which is never freed; any other length is a block of the global allocator
//! with the layout that `layout` computes from it.

#![allow(unsafe_code)]

use crate::block_size::{block_room, block_size};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes that the length takes in front of the contents.
const PREFIX: usize = size_of::<u32>();

/// What a value of length 0 points to, so that it needs no block.
static EMPTY: u32 = 0;

/// A thin, owned, growable byte string. Its length is its capacity: who wants slack keeps count
/// inside.
pub struct ThinBytes {
    block: NonNull<u32>,
}

// SAFETY: a block is owned by exactly one value, and `EMPTY` is never written, so moving a value to
// another thread moves all there is.
unsafe impl Send for ThinBytes {}
// SAFETY: a shared reference only reads, and there is no interior mutability.
unsafe impl Sync for ThinBytes {}

impl ThinBytes {
    /// The longest string, in bytes. Callers bound what they store well below it (Redis's own limit
    /// for one string is 512 MiB).
    pub const LEN_MAX: usize = (u32::MAX >> 1) as usize;

    /// The empty string, without a block.
    pub const fn new() -> Self {
        // SAFETY: the address of a static is not null.
        let block = unsafe { NonNull::new_unchecked((&raw const EMPTY).cast_mut()) };
        Self { block }
    }

    /// `len` zero bytes.
    ///
    /// # Panics
    /// When `len` is above [`Self::LEN_MAX`].
    pub fn zeroed(len: usize) -> Self {
        let mut bytes = Self::new();
        bytes.resize(len);
        bytes
    }

    /// The parts one after the other, in one block of just their length.
    ///
    /// # Panics
    /// When they are longer than [`Self::LEN_MAX`] together.
    pub fn concat(parts: &[&[u8]]) -> Self {
        let len = parts
            .iter()
            .map(|part| part.len())
            .fold(0, usize::saturating_add);
        let mut bytes = Self::new();
        if len == 0 {
            return bytes;
        }
        bytes.block = Self::allocate(len);
        let mut at = 0;
        for part in parts {
            // SAFETY: the block holds `len` bytes, the sum of the parts, of which `at` are written;
            // `part` cannot overlap a fresh block. After the loop all of them are initialised, and
            // nothing reads them before.
            unsafe {
                bytes
                    .data()
                    .add(at)
                    .copy_from_nonoverlapping(part.as_ptr(), part.len())
            };
            at += part.len();
        }
        bytes
    }

    /// Changes the length, keeping what fits; new bytes are zero.
    ///
    /// # Panics
    /// When `len` is above [`Self::LEN_MAX`].
    pub fn resize(&mut self, len: usize) {
        let old = self.len();
        if len == old {
            return;
        }
        if len == 0 {
            *self = Self::new();
            return;
        }
        self.block = if old == 0 {
            Self::allocate(len)
        } else {
            self.reallocate(old, len)
        };
        if len > old {
            // SAFETY: the block now holds `len` bytes; the first `old` came along, these are the
            // rest.
            unsafe { self.data().add(old).write_bytes(0, len - old) };
        }
    }

    /// Memory of the heap block, its prefix included; 0 for the empty string.
    pub fn heap_bytes(&self) -> usize {
        match self.len() {
            0 => 0,
            len => block_size(PREFIX + len),
        }
    }

    /// The longest string whose block takes no more than that of one of `len` bytes: slack up to
    /// here costs nothing and saves reallocations.
    pub fn roomy(len: usize) -> usize {
        block_room(PREFIX + len) - PREFIX
    }

    fn layout(len: usize) -> Layout {
        assert!(len <= Self::LEN_MAX, "a thin byte string is bounded");
        Layout::from_size_align(PREFIX + len, align_of::<u32>()).expect("bounded by LEN_MAX")
    }

    /// A block for `len` bytes, its prefix written, its contents not. `len` is not 0.
    fn allocate(len: usize) -> NonNull<u32> {
        let layout = Self::layout(len);
        // SAFETY: the layout's size is at least the prefix's, not 0.
        let block = unsafe { alloc(layout) };
        Self::adopt(block, len, layout)
    }

    /// Changes a block's room from `old` bytes to `len`, and returns where it is now. Neither is 0.
    fn reallocate(&mut self, old: usize, len: usize) -> NonNull<u32> {
        let layout = Self::layout(len);
        // SAFETY: length `old` is not 0, so the block came from the allocator with the layout of
        // `old`; the new size is not 0 and `layout` has checked that it does not overflow. On
        // failure the old block stays and we do not return.
        let block =
            unsafe { realloc(self.block.as_ptr().cast(), Self::layout(old), layout.size()) };
        Self::adopt(block, len, layout)
    }

    fn adopt(block: *mut u8, len: usize, layout: Layout) -> NonNull<u32> {
        let Some(block) = NonNull::new(block.cast::<u32>()) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the block is ours, aligned for a u32 by its layout and large enough. `len` fits:
        // `layout` asserts LEN_MAX.
        unsafe { block.write(len as u32) };
        block
    }

    /// Where the contents begin, to be fetched ahead: the block itself is not looked at.
    pub(crate) fn start(&self) -> *const u8 {
        self.data()
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: the contents begin right after the prefix, inside the block (for `EMPTY`, one
        // past its end, with length 0).
        unsafe { self.block.as_ptr().add(1).cast() }
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        let len = self.len();
        if len != 0 {
            // SAFETY: the length is not 0, so the block came from the allocator with this layout,
            // and nobody else has it.
            unsafe { dealloc(self.block.as_ptr().cast(), Self::layout(len)) };
        }
    }
}

impl Deref for ThinBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: by the invariant the prefix says how many initialised bytes follow; the borrow
        // keeps the block alive and unwritten.
        unsafe { std::slice::from_raw_parts(self.data(), self.block.read() as usize) }
    }
}

impl DerefMut for ThinBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the exclusive borrow makes this the only path to the block.
        // `EMPTY` yields no byte to write.
        unsafe { std::slice::from_raw_parts_mut(self.data(), self.block.read() as usize) }
    }
}

impl Default for ThinBytes {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        Self::concat(&[self])
    }
}

impl From<&[u8]> for ThinBytes {
    fn from(bytes: &[u8]) -> Self {
        Self::concat(&[bytes])
    }
}

impl fmt::Debug for ThinBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_word_even_in_an_option() {
        assert_eq!(size_of::<ThinBytes>(), 8);
        assert_eq!(size_of::<Option<ThinBytes>>(), 8);
    }

    #[test]
    fn grows_shrinks_and_keeps_what_fits() {
        let mut bytes = ThinBytes::concat(&[b"hello", b"", b" world"]);
        assert_eq!(&*bytes, b"hello world");
        bytes.resize(13);
        assert_eq!(&*bytes, b"hello world\0\0");
        bytes.resize(5);
        assert_eq!(&*bytes, b"hello");
        let copy = bytes.clone();
        bytes[0] = b'j';
        assert_eq!((&*copy, &*bytes), (&b"hello"[..], &b"jello"[..]));
        bytes.resize(0);
        assert!(bytes.is_empty() && bytes.heap_bytes() == 0);
        bytes.resize(3);
        assert_eq!(&*bytes, b"\0\0\0");
        assert!(ThinBytes::concat(&[b"", b""]).is_empty());
        assert!(ThinBytes::default().clone().is_empty());
    }

    #[test]
    fn room_ends_where_the_next_class_begins() {
        for (len, room) in [
            (0, 4),
            (4, 4),
            (5, 12),
            (60, 60),
            (61, 76),
            (76, 76),
            (77, 92),
            (124, 124),
            (125, 156),
            (8188, 8188),
            (8189, 10236),
        ] {
            assert_eq!(ThinBytes::roomy(len), room, "for {len}");
        }
    }
}
