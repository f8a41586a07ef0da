//! An entry's address, for an index beside the table in which it stands.

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::{Entry, prefetch_block};

/// The block of an entry that stands in a table, for an index beside the table. Copies do not own
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SharedEntry {
    block: NonNull<u8>,
}

// SAFETY: this is an address; whoever reads what is there answers for it, and the table goes from
// thread to thread with its index.
unsafe impl Send for SharedEntry {}

impl SharedEntry {
    /// The key.
    ///
    /// # Safety
    /// The entry is still there and has neither another key nor a value of another kind, for as
    /// long as the key is looked at.
    #[inline]
    pub(crate) unsafe fn key<'a>(self) -> &'a [u8] {
        let entry = ManuallyDrop::new(Entry { block: self.block });
        let key: *const [u8] = entry.key();
        // SAFETY: the key stands in the block, not in `entry`, and stays there as the caller says.
        unsafe { &*key }
    }

    /// Lets the block be on its way from memory.
    #[inline]
    pub(crate) fn prefetch(self) {
        prefetch_block(self.block);
    }
}

impl Entry {
    /// The block, for an index beside the table that the entry stands in.
    #[inline]
    pub(crate) fn share(&self) -> SharedEntry {
        SharedEntry { block: self.block }
    }
}
