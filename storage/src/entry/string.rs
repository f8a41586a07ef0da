//! Strings: integers, short ones behind their key, long ones in a block of their own.

#![allow(unsafe_code)]

use std::ptr;

use super::Entry;
use super::layout::{
    EDITED, EMBSTR_LEN_MAX, Header, INLINE_LEN_MAX, Payload, PayloadKind, VOLATILE, block_bytes,
    head_bytes,
};
use crate::block_size::block_size;
use crate::item::Item;
use crate::value::{Object, WrongType};

impl Entry {
    /// The string.
    #[inline]
    pub fn as_string(&self) -> Result<Item<'_>, WrongType> {
        let header = self.header();
        match header.kind() {
            PayloadKind::Int => Ok(Item::Int(self.word(header.payload_at()) as i64)),
            PayloadKind::Inline => Ok(Item::Bytes(self.key_and_inline().1)),
            PayloadKind::Heap => Ok(Item::Bytes(self.heap().map_or(&[], Vec::as_slice))),
            PayloadKind::Object => Err(WrongType),
        }
    }

    /// The heap string, where there is one.
    pub(super) fn heap(&self) -> Option<&Vec<u8>> {
        let header = self.header();
        // SAFETY: the header says that the payload is a vector.
        (header.kind() == PayloadKind::Heap).then(|| unsafe {
            self.block
                .add(header.payload_at())
                .cast::<Vec<u8>>()
                .as_ref()
        })
    }

    fn heap_mut(&mut self) -> Option<&mut Vec<u8>> {
        let header = self.header();
        // SAFETY: as above, and the entry is borrowed mutably.
        (header.kind() == PayloadKind::Heap).then(|| unsafe {
            self.block
                .add(header.payload_at())
                .cast::<Vec<u8>>()
                .as_mut()
        })
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        let header = self.header();
        match header.kind() {
            PayloadKind::Int => "int",
            PayloadKind::Inline if header.inline_len() <= EMBSTR_LEN_MAX && !header.has(EDITED) => {
                "embstr"
            }
            PayloadKind::Inline | PayloadKind::Heap => "raw",
            PayloadKind::Object => self.as_object().map_or("", Object::encoding),
        }
    }

    /// Puts another string in place of the value, whatever that was, and leaves the deadline.
    #[inline]
    pub fn set_string(&mut self, text: &[u8]) {
        let header = self.header();
        let head = head_bytes(self.key(), header.has(VOLATILE));
        match (header.kind(), Payload::of(text, head)) {
            // SAFETY: the payload is the integer's word.
            (PayloadKind::Int, Payload::Int(int)) => unsafe {
                self.block.add(header.payload_at()).cast::<i64>().write(int);
            },
            (PayloadKind::Inline, Payload::Inline(text)) => {
                let at = header.key_at() + self.key_len(header);
                if block_bytes(at + text.len()) != block_bytes(at + header.inline_len()) {
                    return self.replace_value(Payload::Inline(text));
                }
                self.set_header(Header(header.0 & !EDITED).with_inline_len(text.len()));
                // SAFETY: the block has room, as the new length rounds to the same size; `text` is
                // not part of it, being borrowed while the entry is borrowed mutably.
                unsafe {
                    ptr::copy_nonoverlapping(
                        text.as_ptr(),
                        self.block.as_ptr().add(at),
                        text.len(),
                    );
                }
            }
            (PayloadKind::Heap, Payload::Apart(text)) => self.overwrite_heap(text),
            (_, payload) => self.replace_value(payload),
        }
    }

    /// Puts a string that has a block of its own in place of another one, in the same block where
    /// its size is right.
    fn overwrite_heap(&mut self, text: &[u8]) {
        self.set_header(Header(self.header().0 & !EDITED));
        if let Some(old) = self.heap_mut() {
            if block_size(old.capacity()) == block_size(text.len()) {
                old.clear();
                old.extend_from_slice(text);
            } else {
                *old = text.to_vec()
            }
        }
    }

    /// Puts an integer in place of the value.
    #[inline]
    pub fn set_int(&mut self, int: i64) {
        let header = self.header();
        match header.kind() {
            // SAFETY: the payload is the integer's word.
            PayloadKind::Int => unsafe {
                self.block.add(header.payload_at()).cast::<i64>().write(int);
            },
            _ => self.replace_value(Payload::Int(int)),
        }
    }

    /// Puts a string in place of the value that stays text even where it reads as an integer: what
    /// Redis computes as a float.
    pub fn set_text(&mut self, text: &[u8]) {
        let head = head_bytes(self.key(), self.header().has(VOLATILE));
        self.replace_value(Payload::of_text(text, head));
    }

    /// Puts another string in place of the value, and leaves the deadline. A long string is taken
    /// over and not copied.
    pub fn set_owned_string(&mut self, mut text: Vec<u8>) {
        if text.len() <= INLINE_LEN_MAX {
            self.set_string(&text)
        } else {
            self.replace_value(Payload::Heap(std::mem::take(&mut text)))
        }
    }

    /// Lets `edit` change the string in place: APPEND, SETRANGE, SETBIT. What was an integer or
    /// short becomes bytes that were edited ("raw"). The string must stay below 4 GB.
    pub fn edit_string<R>(&mut self, edit: impl FnOnce(&mut Vec<u8>) -> R) -> Result<R, WrongType> {
        if let Some(text) = self.heap_mut() {
            return Ok(edit(text));
        }
        let mut text = self.as_string()?.to_vec();
        let result = edit(&mut text);
        let access = self.access();
        *self = Self::edited_string(self.key(), text, self.deadline());
        self.set_access(access);
        Ok(result)
    }
}
