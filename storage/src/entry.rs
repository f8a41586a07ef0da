//! A key with its value: one heap block, one pointer.
//!
//! Redis spends a dict entry, an object header and a string header on each key. Here all of them
//! are one block whose parts follow one another:
//!
//! ```text
//! 0       8          8 more       8 or more                        key length  rest
//! header  [deadline] [key length] [integer | heap string | object] key         [inline string]
//!
//! header, low bit first:  32 access clock | 16 key length | 11 length of the inline string
//!                         | 2 what the value is | 1 has a deadline | 1 long key | 1 was edited
//! ```
//!
//! A short string stands behind its key; an integer costs eight bytes; a long string or another
//! value is kept by the three words in the middle. So is a shorter one where two blocks are smaller
//! than one: blocks come in few sizes, and a key of 16 bytes with a value of 500 would take 640. A
//! key of 16 bytes with a value of 16 bytes is a block of 40 bytes, for which the allocator gives
//! 48.
//!
//! This is the one module of the keyspace with `unsafe`. Its invariant: `block` points to a live
//! allocation of `block_bytes(header)` bytes, aligned to eight, whose first word is a header that
//! truly describes what follows, and which nobody else points to.

#![allow(unsafe_code)]

mod layout;
mod shared;
mod string;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use layout::{
    ACCESS_MASK, EDITED, Header, KEY_LEN_SHIFT, KIND_SHIFT, LONG_KEY, Payload, PayloadKind,
    VOLATILE, block_bytes, head_bytes, stands_apart,
};
pub(crate) use shared::SharedEntry;

use crate::block_size::block_size;
use crate::clock::UnixMillis;
use crate::item::Item;
use crate::keyspace::SAMPLES;
use crate::prefetch;
use crate::value::{Kind, Object, Value, WrongType};

/// A key, its value, its deadline (Unix milliseconds) and when it was last used: one pointer to one
/// block. A key of 16 bytes with a value of 16 takes 48 bytes of memory.
pub struct Entry {
    block: NonNull<u8>,
}

// SAFETY: an entry owns its block alone, and all that a block holds (bytes, `Vec<u8>`, `Object`)
// may move between threads.
unsafe impl Send for Entry where Object: Send {}

impl Entry {
    /// A key with a string. `text` is stored as an integer where it is the canonical text of one.
    pub fn string(key: &[u8], text: &[u8], deadline: Option<UnixMillis>) -> Self {
        let head = head_bytes(key, deadline.is_some());
        Self::build(key, deadline, Payload::of(text, head), 0)
    }

    /// A key with a string, which is taken over and not copied where it is long. It is stored as an
    /// integer where it is the canonical text of one.
    pub fn owned_string(key: &[u8], mut text: Vec<u8>, deadline: Option<UnixMillis>) -> Self {
        let head = head_bytes(key, deadline.is_some());
        Self::build(key, deadline, Payload::of_owned(&mut text, head), 0)
    }

    /// A key with a string that nobody calls short, or an integer: what a command has computed.
    pub fn edited_string(key: &[u8], text: Vec<u8>, deadline: Option<UnixMillis>) -> Self {
        let payload = if stands_apart(head_bytes(key, deadline.is_some()), text.len()) {
            Payload::Heap(text)
        } else {
            Payload::Inline(&text)
        };
        Self::build(key, deadline, payload, EDITED)
    }

    /// A key with an integer.
    pub fn int(key: &[u8], int: i64) -> Self {
        Self::build(key, None, Payload::Int(int), 0)
    }

    /// A key with a value of another type.
    pub fn object(key: &[u8], object: Object, deadline: Option<UnixMillis>) -> Self {
        Self::build(key, deadline, Payload::Object(object), 0)
    }

    /// A new block. `kept` holds the header bits that outlive a rebuild: the access clock, and
    /// whether the string was edited.
    fn build(key: &[u8], deadline: Option<UnixMillis>, payload: Payload<'_>, kept: u64) -> Self {
        let inline: &[u8] = match payload {
            Payload::Inline(text) => text,
            _ => &[],
        };
        let mut header = kept & (ACCESS_MASK | EDITED) | (payload.kind() as u64) << KIND_SHIFT;
        if deadline.is_some() {
            header |= VOLATILE;
        }
        match u16::try_from(key.len()) {
            Ok(len) => header |= u64::from(len) << KEY_LEN_SHIFT,
            Err(_) => header |= LONG_KEY,
        }
        let header = Header(header).with_inline_len(inline.len());
        let key_at = header.key_at();
        let layout = Self::layout(key_at + key.len() + inline.len());
        // SAFETY: the layout is not empty. Every write below stays in `layout.size()` bytes by the
        // sums just made, at offsets that are multiples of eight for words; `key` and `inline`
        // cannot overlap a fresh block.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout)) else {
                handle_alloc_error(layout)
            };
            let at = |offset: usize| block.as_ptr().add(offset);
            at(0).cast::<u64>().write(header.0);
            if let Some(deadline) = deadline {
                at(8).cast::<u64>().write(deadline.ms());
            }
            if header.has(LONG_KEY) {
                at(header.payload_at() - 8)
                    .cast::<u64>()
                    .write(key.len() as u64);
            }
            let words = at(header.payload_at());
            match payload {
                Payload::Int(int) => words.cast::<i64>().write(int),
                Payload::Inline(_) => {}
                Payload::Apart(text) => words.cast::<Vec<u8>>().write(text.to_vec()),
                Payload::Heap(text) => words.cast::<Vec<u8>>().write(text),
                Payload::Object(object) => words.cast::<Object>().write(object),
            }
            ptr::copy_nonoverlapping(key.as_ptr(), at(key_at), key.len());
            ptr::copy_nonoverlapping(inline.as_ptr(), at(key_at + key.len()), inline.len());
            Self { block }
        }
    }

    fn layout(used: usize) -> Layout {
        Layout::from_size_align(block_bytes(used), 8).expect("a key and a short string fit memory")
    }

    #[inline]
    fn header(&self) -> Header {
        // SAFETY: the first word of every block is its header.
        Header(unsafe { self.block.cast::<u64>().read() })
    }

    #[inline]
    fn set_header(&mut self, header: Header) {
        // SAFETY: as above; callers change only what leaves the description true.
        unsafe { self.block.cast::<u64>().write(header.0) }
    }

    /// The word at `offset`, which lies before the key.
    #[inline]
    fn word(&self, offset: usize) -> u64 {
        // SAFETY: callers pass the offset of a word that the header says is there.
        unsafe { self.block.add(offset).cast::<u64>().read() }
    }

    #[inline]
    fn key_len(&self, header: Header) -> usize {
        if header.has(LONG_KEY) {
            self.word(header.payload_at() - 8) as usize
        } else {
            header.short_key_len()
        }
    }

    /// Lets the block be on its way from memory while something else is done.
    #[inline]
    pub fn prefetch(&self) {
        prefetch_block(self.block);
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: the header tells where the key stands and how long it is; it was written when the
        // block was built.
        unsafe {
            std::slice::from_raw_parts(
                self.block.as_ptr().add(header.key_at()),
                self.key_len(header),
            )
        }
    }

    /// When the key expires.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMillis> {
        self.header()
            .has(VOLATILE)
            .then(|| UnixMillis::new(self.word(8)))
    }

    /// Whether the key is gone at `now`.
    #[inline]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.header().has(VOLATILE) && UnixMillis::new(self.word(8)).has_passed(now)
    }

    /// Changes the deadline. The keyspace counts keys that have one: only it may call this.
    pub(crate) fn set_deadline(&mut self, deadline: Option<UnixMillis>) {
        match (self.header().has(VOLATILE), deadline) {
            (false, None) => {}
            // SAFETY: the header says that the second word is the deadline.
            (true, Some(deadline)) => unsafe {
                self.block.add(8).cast::<u64>().write(deadline.ms());
            },
            _ => self.rebuild(None, deadline),
        }
    }

    /// Gives the entry another key.
    pub fn rename(&mut self, key: &[u8]) {
        self.rebuild(Some(key), self.deadline());
    }

    /// Moves everything to a block of the shape that `key` and `deadline` need.
    fn rebuild(&mut self, key: Option<&[u8]>, deadline: Option<UnixMillis>) {
        let header = self.header();
        let (old_key, inline) = self.key_and_inline();
        // SAFETY: the header says what stands in the payload. What is read out is moved: the old
        // block is freed below without dropping it, and nothing in between can unwind.
        let payload = unsafe {
            let words = self.block.add(header.payload_at());
            match header.kind() {
                PayloadKind::Int => Payload::Int(words.cast::<i64>().read()),
                PayloadKind::Inline => Payload::Inline(inline),
                PayloadKind::Heap => Payload::Heap(words.cast::<Vec<u8>>().read()),
                PayloadKind::Object => Payload::Object(words.cast::<Object>().read()),
            }
        };
        let new = Self::build(key.unwrap_or(old_key), deadline, payload, header.0);
        self.replace_block(new);
    }

    /// Puts the block of `new` in place of this one, whose payload must have been moved out or need
    /// no drop.
    fn replace_block(&mut self, new: Self) {
        let old = self.block;
        let layout = self.own_layout();
        self.block = ManuallyDrop::new(new).block;
        // SAFETY: `old` was allocated with this layout and nothing points to it any more.
        unsafe { dealloc(old.as_ptr(), layout) }
    }

    fn own_layout(&self) -> Layout {
        let header = self.header();
        Self::layout(header.key_at() + self.key_len(header) + header.inline_len())
    }

    fn key_and_inline(&self) -> (&[u8], &[u8]) {
        let header = self.header();
        let key_len = self.key_len(header);
        // SAFETY: key and inline string stand one behind the other, with the lengths the header
        // tells.
        let both = unsafe {
            std::slice::from_raw_parts(
                self.block.as_ptr().add(header.key_at()),
                key_len + header.inline_len(),
            )
        };
        both.split_at(key_len)
    }

    /// The value that is not a string, where it is not.
    #[inline]
    pub fn as_object(&self) -> Option<&Object> {
        let header = self.header();
        // SAFETY: the header says that the payload is an object.
        (header.kind() == PayloadKind::Object).then(|| unsafe {
            self.block
                .add(header.payload_at())
                .cast::<Object>()
                .as_ref()
        })
    }

    /// The value that is not a string, to change; None of a string.
    #[inline]
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        let header = self.header();
        // SAFETY: as above, and the entry is borrowed mutably.
        (header.kind() == PayloadKind::Object).then(|| unsafe {
            self.block
                .add(header.payload_at())
                .cast::<Object>()
                .as_mut()
        })
    }

    /// The value, where it is a `T`.
    #[inline]
    pub fn get<T: Value>(&self) -> Result<&T, WrongType> {
        self.as_object().and_then(T::of).ok_or(WrongType)
    }

    /// The value to change, where it is a `T`.
    #[inline]
    pub fn get_mut<T: Value>(&mut self) -> Result<&mut T, WrongType> {
        self.as_object_mut().and_then(T::of_mut).ok_or(WrongType)
    }

    /// The type of the value.
    pub fn kind(&self) -> Kind {
        self.as_object().map_or(Kind::String, Object::kind)
    }

    /// Puts another value in place of what there is, and leaves the deadline.
    pub fn set_object(&mut self, object: Object) {
        self.replace_value(Payload::Object(object));
    }

    fn replace_value(&mut self, payload: Payload<'_>) {
        let kept = self.header().0 & ACCESS_MASK;
        *self = Self::build(self.key(), self.deadline(), payload, kept);
    }

    /// A copy of the value and its deadline under another key.
    pub fn duplicate(&self, key: &[u8]) -> Self {
        let payload = match (self.as_object(), self.heap()) {
            (Some(object), _) => Payload::Object(object.clone()),
            (None, Some(text)) => Payload::Heap(text.clone()),
            (None, None) => match self.as_string() {
                Ok(Item::Int(int)) => Payload::Int(int),
                Ok(Item::Bytes(text)) => Payload::Inline(text),
                Err(WrongType) => Payload::Inline(&[]),
            },
        };
        Self::build(key, self.deadline(), payload, self.header().0)
    }

    /// When the value was last used, in bits whose meaning is the eviction policy's.
    #[inline]
    pub fn access(&self) -> u32 {
        (self.header().0 & ACCESS_MASK) as u32
    }

    /// Notes a use. Writes only what changes, so that a read seldom dirties the block.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        let header = self.header().0;
        let updated = header & !ACCESS_MASK | u64::from(access) & ACCESS_MASK;
        if updated != header {
            self.set_header(Header(updated));
        }
    }

    /// Memory of key, value and deadline, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_by(SAMPLES)
    }

    /// Memory of key, value and deadline, in bytes. Where the value is a table it is judged by
    /// `samples` of its elements.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        let beside = match self.header().kind() {
            PayloadKind::Int | PayloadKind::Inline => 0,
            PayloadKind::Heap => block_size(self.heap().map_or(0, Vec::capacity)),
            PayloadKind::Object => self.as_object().map_or(0, |it| it.memory_bytes_by(samples)),
        };
        self.own_layout().size() + beside
    }

    /// How many frees it takes to drop the value, about.
    #[inline]
    pub fn effort_to_free(&self) -> usize {
        match self.header().kind() {
            PayloadKind::Int | PayloadKind::Inline => 1,
            // Giving many pages back to the system costs as much as many small frees.
            PayloadKind::Heap => 1 + self.heap().map_or(0, Vec::capacity) / (64 * 1024),
            PayloadKind::Object => self.as_object().map_or(1, Object::effort_to_free),
        }
    }
}

fn prefetch_block(block: NonNull<u8>) {
    /// Where a small key and value end, about: in the next cache line, often.
    const TAIL: usize = 40;
    prefetch::line(block.as_ptr());
    prefetch::line(block.as_ptr().wrapping_byte_add(TAIL));
}

impl Drop for Entry {
    fn drop(&mut self) {
        let header = self.header();
        let layout = self.own_layout();
        // SAFETY: the header says what to drop; it is dropped once, as the entry is; the block was
        // allocated with this layout.
        unsafe {
            let words = self.block.add(header.payload_at());
            match header.kind() {
                PayloadKind::Int | PayloadKind::Inline => {}
                PayloadKind::Heap => words.cast::<Vec<u8>>().drop_in_place(),
                PayloadKind::Object => words.cast::<Object>().drop_in_place(),
            }
            dealloc(self.block.as_ptr(), layout);
        }
    }
}

#[cfg(test)]
mod tests;
