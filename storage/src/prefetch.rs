//! Several keys' entries on their way from memory at once.
//!
//! A lookup touches three places, each found through the one before: the segment, a row of it, the
//! entry. For one key these are three waits in a row. For a group of keys they are three waits in
//! all: every segment is asked for before the first one is looked at, then every row, then every
//! entry. This gives hints and changes nothing.

// For `line` alone.
#![allow(unsafe_code)]

use smallvec::SmallVec;

use crate::entry::Entry;
use crate::item::Item;
use crate::keyspace::Keyspace;
use crate::segment::Segment;

/// Keys of a group: as many as the processor keeps loads under way, about.
pub const GROUP_LEN_MAX: usize = 16;

/// Keyspaces with fewer keys stay in the processor's caches: fetching ahead would cost more than it
/// saves.
const LEN_MIN: usize = 10_000;

/// Lets the cache line of this address be on its way.
#[inline]
pub(crate) fn line<T>(at: *const T) {
    // SAFETY: a prefetch reads nothing; any address will do.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Shows items with their texts in groups of [`GROUP_LEN_MAX`], so that something can be asked for
/// ahead of each group, until `visit` says that it has enough. Returns whether it has seen all.
pub fn in_groups<'a>(
    mut items: impl Iterator<Item = Item<'a>>,
    mut visit: impl FnMut(&[Item<'a>], &[&[u8]]) -> bool,
) -> bool {
    let mut digits = [itoa::Buffer::new(); GROUP_LEN_MAX];
    loop {
        let group: SmallVec<[Item<'a>; GROUP_LEN_MAX]> =
            items.by_ref().take(GROUP_LEN_MAX).collect();
        if group.is_empty() {
            return true;
        }
        let texts: SmallVec<[&[u8]; GROUP_LEN_MAX]> = group
            .iter()
            .zip(&mut digits)
            .map(|(item, digits)| item.text(digits))
            .collect();
        if !visit(&group, &texts) {
            return false;
        }
    }
}

impl Keyspace {
    /// Whether fetching ahead is of use here.
    #[inline]
    pub fn is_worth_fetching(&self) -> bool {
        self.len() >= LEN_MIN
    }

    /// Lets the entries of these keys be on their way: they will be asked for soon. Takes
    /// [`GROUP_LEN_MAX`] at most and returns how many.
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> usize {
        self.prefetch_for::<false>(keys)
    }

    /// Lets the entries of these keys be on their way, and with them the last entry of each
    /// segment, which moves to the place of one that is taken out. Takes [`GROUP_LEN_MAX`] at most
    /// and returns how many.
    pub(crate) fn prefetch_to_take<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> usize {
        self.prefetch_for::<true>(keys)
    }

    #[inline]
    fn prefetch_for<'k, const TAKING: bool>(&self, keys: impl Iterator<Item = &'k [u8]>) -> usize {
        let mut segments: SmallVec<[(u64, &Segment); GROUP_LEN_MAX]> = SmallVec::new();
        for key in keys.take(GROUP_LEN_MAX) {
            let (hash, segment) = self.segment_of(key);
            segment.prefetch();
            segments.push((hash, segment));
        }
        let mut places: SmallVec<[&Option<Entry>; 2 * GROUP_LEN_MAX]> = SmallVec::new();
        for (hash, segment) in &segments {
            if TAKING {
                segment.prefetch_last_row();
            }
            segment.candidates(*hash, |slot| {
                line(slot);
                places.push(slot);
            });
        }
        for entry in places.into_iter().flatten() {
            entry.prefetch();
        }
        segments.len()
    }
}
