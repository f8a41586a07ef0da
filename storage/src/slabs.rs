//! A vector that never moves what it holds: a list of slabs of equal size.
//!
//! A plain vector that doubles has up to half of its room empty, and 256 directories leave blocks
//! of every size behind as they grow. Slabs are all of one size, which the allocator hands out
//! again as it is, and adding one copies nothing but a list of pointers.
//!
//! Invariant: every slab but the last is full, and the last is not empty.

use crate::block_size::block_size;
use std::ops::{Index, IndexMut};

/// Elements in the first slab, before it grows to a whole one: small tables have only this.
const FIRST_LEN: usize = 2;

/// Elements in order, `SLAB` of them to a block.
#[derive(Clone)]
pub(crate) struct Slabs<T, const SLAB: usize> {
    slabs: Vec<Vec<T>>,
}

impl<T, const SLAB: usize> Slabs<T, SLAB> {
    /// One element, in a block of its size.
    pub(crate) fn of(first: T) -> Self {
        Self {
            slabs: vec![vec![first]],
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.slabs.last() {
            Some(last) => (self.slabs.len() - 1) * SLAB + last.len(),
            None => 0,
        }
    }

    /// Memory of the list and its slabs.
    pub(crate) fn memory_bytes(&self) -> usize {
        let of = |slab: &Vec<T>| block_size(slab.capacity() * size_of::<T>());
        let first = self.slabs.first().map_or(0, of);
        let last = self.slabs.last().map_or(0, of);
        let list = block_size(self.slabs.capacity() * size_of::<Vec<T>>());
        // All but the last are whole.
        list + first * self.slabs.len().saturating_sub(1) + last
    }

    pub(crate) fn push(&mut self, element: T) {
        let slabs = self.slabs.len();
        match self.slabs.last_mut() {
            Some(last) if last.len() < SLAB => {
                if last.len() == last.capacity() {
                    let room = (last.len() * 2).clamp(FIRST_LEN, SLAB);
                    last.reserve_exact(room - last.len());
                }
                last.push(element);
            }
            _ => {
                // An eighth of slack instead of a half.
                if slabs == self.slabs.capacity() {
                    self.slabs.reserve_exact(slabs / 8 + 2);
                }
                let mut slab = Vec::with_capacity(SLAB);
                slab.extend([element]);
                self.slabs.push(slab);
            }
        }
    }

    /// Takes the element at `at` out; the last one moves to its place.
    ///
    /// # Panics
    /// When there is none at `at`.
    pub(crate) fn swap_remove(&mut self, at: usize) -> T {
        let last = self.slabs.last_mut().expect("there is an element at `at`");
        let moved = last.pop().expect("no slab is empty");
        if last.is_empty() {
            self.slabs.pop();
            if self.slabs.capacity() > 2 * self.slabs.len() + 4 {
                self.slabs.shrink_to(self.slabs.len() + 2);
            }
        }
        if at == self.len() {
            moved
        } else {
            std::mem::replace(&mut self[at], moved)
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slabs.iter().flatten()
    }
}

impl<T, const SLAB: usize> Index<usize> for Slabs<T, SLAB> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.slabs[at / SLAB][at % SLAB]
    }
}

impl<T, const SLAB: usize> IndexMut<usize> for Slabs<T, SLAB> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.slabs[at / SLAB][at % SLAB]
    }
}

impl<T, const SLAB: usize> IntoIterator for Slabs<T, SLAB> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Vec<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.slabs.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

        #[test]
        fn behaves_as_a_vector(ops in proptest::collection::vec(any::<(bool, usize)>(), 0..200)) {
            let mut slabs: Slabs<usize, 5> = Slabs::of(0);
            let mut model = vec![0];
            for (pushes, at) in ops {
                if pushes || model.is_empty() {
                    slabs.push(at);
                    model.push(at);
                } else {
                    let at = at % model.len();
                    prop_assert_eq!(slabs.swap_remove(at), model.swap_remove(at));
                }
                prop_assert_eq!(slabs.len(), model.len());
                prop_assert!(slabs.iter().eq(&model));
                prop_assert!((0..model.len()).all(|at| slabs[at] == model[at]));
                prop_assert!(slabs.slabs.iter().all(|slab| !slab.is_empty() && slab.capacity() <= 5));
            }
            prop_assert!(slabs.into_iter().eq(model));
        }
    }
}
