//! A walk over a pack, from either end.

use std::iter::FusedIterator;

use super::entry::{decode, entry_after, entry_before};
use crate::item::Item;

/// The elements of a [`Listpack`].
#[derive(Clone)]
pub struct Iter<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) front: usize,
    pub(super) back: usize,
    pub(super) left: usize,
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
