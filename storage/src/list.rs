//! The list type: a [`Listpack`] while it is small, a [`Quicklist`] from then on.
//!
//! When one becomes the other is Redis's rule, since OBJECT ENCODING shows it: a list leaves the
//! packed form when the elements about to be added would take it over the limit of one node, and
//! comes back when it is down to one node of at most half that limit, so that a list at the border
//! does not change form with every push and pop.

mod quicklist;

use std::ops::Range;

use crate::item::Item;
pub use crate::listpack::End;
use crate::listpack::Listpack;
pub use quicklist::Elements;
use quicklist::Quicklist;

/// Redis's rule weighs the bare text of what one command adds, so that a million empty elements are
/// nothing to it; pushing them in front of one pack would move a megabyte each. Beyond this, well
/// over what any setting allows of elements that have some text, they are weighed.
const PACKED_BYTES_MAX: usize = 256 * 1024;
/// Bytes of an entry besides its text, at the least.
const ENTRY_OVERHEAD_MIN: usize = 2;

/// How large a node, and so a list in its packed form, may be: `list-max-listpack-size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListLimits {
    /// Bytes of the encoded pack.
    Bytes(usize),
    /// Elements, while their bytes do not exceed [`Self::COUNTED_BYTES_MAX`].
    Count(usize),
}

impl ListLimits {
    /// The bytes of a node whose elements are counted, so that the setting cannot ask for megabytes
    /// to be moved at each change.
    pub const COUNTED_BYTES_MAX: usize = 8192;
    /// The most elements that can be asked for.
    const COUNT_MAX: usize = 32_767;

    /// What the setting's value means: -1 to -5 are 4 to 64 KiB, a positive number is a count. What
    /// lies beyond is brought into range.
    pub const fn from_setting(value: i64) -> Self {
        match value {
            ..=-5 => Self::Bytes(65_536),
            -4 => Self::Bytes(32_768),
            -3 => Self::Bytes(16_384),
            -2 => Self::Bytes(8192),
            -1 => Self::Bytes(4096),
            0 => Self::Count(1),
            1..=32_767 => Self::Count(value as usize),
            _ => Self::Count(Self::COUNT_MAX),
        }
    }

    /// Whether a node of that size is too large.
    pub(crate) fn exceeded(self, bytes: usize, count: usize) -> bool {
        match self {
            Self::Bytes(limit) => bytes > limit,
            Self::Count(limit) => bytes > Self::COUNTED_BYTES_MAX || count > limit,
        }
    }

    /// Whether an element of that many bytes stands in a node of its own.
    pub(crate) fn is_large(self, bytes: usize) -> bool {
        match self {
            Self::Bytes(limit) => bytes > limit,
            Self::Count(_) => bytes > Self::COUNTED_BYTES_MAX,
        }
    }

    fn allows_packing_again(self, pack: &Listpack) -> bool {
        match self {
            Self::Bytes(limit) => pack.byte_len() <= limit / 2,
            Self::Count(limit) => pack.len() <= limit / 2,
        }
    }
}

impl Default for ListLimits {
    fn default() -> Self {
        Self::from_setting(-2)
    }
}

#[derive(Clone)]
enum Encoding {
    Packed(Listpack),
    Quick(Box<Quicklist>),
}

/// A list of byte strings, which grows and shrinks at either end in O(1).
///
/// It is one [`Listpack`] up to [`ListLimits`], and a quicklist of such packs from then on: an
/// index is found in two short scans. Indexes begin with 0. See
/// <https://redis.io/docs/latest/develop/data-types/lists/>.
#[derive(Clone)]
pub struct List {
    encoding: Encoding,
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// The largest element, in bytes: Redis's own limit for a string. Who takes elements from
    /// clients refuses larger ones.
    pub const ELEMENT_BYTES_MAX: usize = 512 << 20;

    /// The empty list, without a block.
    pub const fn new() -> Self {
        Self {
            encoding: Encoding::Packed(Listpack::new()),
        }
    }

    /// The list of these packs' elements, as an RDB file holds them; in the packed form where the
    /// limits let it.
    pub fn from_packs(packs: impl IntoIterator<Item = Listpack>, limits: ListLimits) -> Self {
        let mut quick = Quicklist::default();
        packs.into_iter().for_each(|pack| quick.push_pack(pack));
        let mut list = Self {
            encoding: Encoding::Quick(Box::new(quick)),
        };
        list.pack_if(|pack| !limits.exceeded(pack.byte_len(), pack.len()));
        list
    }

    /// The packs that hold the elements, in order: one where the list is packed.
    pub fn packs(&self) -> impl Iterator<Item = &Listpack> {
        let (packed, quick) = match &self.encoding {
            Encoding::Packed(pack) => (Some(pack), None),
            Encoding::Quick(quick) => (None, Some(quick)),
        };
        let nodes = quick.into_iter().flat_map(|quick| quick.packs());
        packed.into_iter().chain(nodes)
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match &self.encoding {
            Encoding::Packed(pack) => pack.len(),
            Encoding::Quick(quick) => quick.len(),
        }
    }

    /// True where it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one pack holds all of it.
    pub fn is_packed(&self) -> bool {
        matches!(self.encoding, Encoding::Packed(_))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self.encoding {
            Encoding::Packed(_) => "listpack",
            Encoding::Quick(_) => "quicklist",
        }
    }

    /// Heap memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match &self.encoding {
            Encoding::Packed(pack) => pack.memory_bytes(),
            Encoding::Quick(quick) => quick.memory_bytes(),
        }
    }

    /// How many frees it takes to drop the list, about.
    pub fn effort_to_free(&self) -> usize {
        match &self.encoding {
            Encoding::Packed(_) => 1,
            Encoding::Quick(quick) => quick.node_count(),
        }
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, element: &[u8], limits: ListLimits) {
        self.push_all(end, std::iter::once(element), limits);
    }

    /// Pushes one after the other. Their sum decides the encoding, as one LPUSH of them does.
    pub fn push_all<'a>(
        &mut self,
        end: End,
        elements: impl Iterator<Item = &'a [u8]> + Clone,
        limits: ListLimits,
    ) {
        self.push_items(end, elements.map(Item::Bytes), limits);
    }

    /// Pushes elements of another collection, one after the other. Their sum decides the encoding,
    /// as in [`List::push_all`].
    pub fn push_items<'a>(
        &mut self,
        end: End,
        elements: impl Iterator<Item = Item<'a>> + Clone,
        limits: ListLimits,
    ) {
        if self.is_packed() {
            let (bytes, count) = elements
                .clone()
                .fold((0usize, 0), |(bytes, count), element| {
                    (bytes.saturating_add(element.text_len()), count + 1)
                });
            self.make_room(bytes, count, limits);
        }
        let mut digits = itoa::Buffer::new();
        for element in elements {
            let element = element.text(&mut digits);
            match (&mut self.encoding, end) {
                (Encoding::Packed(pack), End::Front) => pack.push_front(element),
                (Encoding::Packed(pack), End::Back) => pack.push_back(element),
                (Encoding::Quick(quick), _) => quick.push(end, element, limits),
            }
        }
    }

    /// Removes the element at an end and returns it. None where the list is empty.
    pub fn pop(&mut self, end: End, limits: ListLimits) -> Option<Vec<u8>> {
        self.pop_with(end, limits, |item| item.to_vec())
    }

    /// Removes the element at an end, once `read` has seen it.
    pub fn pop_with<T>(
        &mut self,
        end: End,
        limits: ListLimits,
        read: impl FnOnce(Item<'_>) -> T,
    ) -> Option<T> {
        let result = match &mut self.encoding {
            Encoding::Packed(pack) => pack.pop_with(end, read),
            Encoding::Quick(quick) => quick.pop_with(end, read),
        };
        self.shrink(limits);
        result
    }

    /// The element at an index, the first at 0. None where there is none.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        match &self.encoding {
            Encoding::Packed(pack) => pack.seek(index).map(|cursor| pack.get(cursor)),
            Encoding::Quick(quick) => quick.get(index),
        }
    }

    /// Whether there was an element at `index` to replace.
    pub fn set(&mut self, index: usize, element: &[u8], limits: ListLimits) -> bool {
        if index >= self.len() {
            return false;
        }
        self.make_room(element.len(), 1, limits);
        let found = match &mut self.encoding {
            Encoding::Packed(pack) => match pack.seek(index) {
                Some(cursor) => {
                    pack.replace(cursor, element);
                    true
                }
                None => false,
            },
            Encoding::Quick(quick) => quick.set(index, element, limits),
        };
        self.shrink(limits);
        found
    }

    /// The index of the first element equal to `needle`.
    pub fn position(&self, needle: &[u8]) -> Option<usize> {
        let needle = Item::parse(needle);
        self.iter().position(|item| item == needle)
    }

    /// Puts an element before the one at `index`; at the back if there is none.
    pub fn insert(&mut self, index: usize, element: &[u8], limits: ListLimits) {
        self.make_room(element.len(), 1, limits);
        match &mut self.encoding {
            Encoding::Packed(pack) => match pack.seek(index) {
                Some(cursor) => {
                    pack.insert_before(cursor, element);
                }
                None => pack.push_back(element),
            },
            Encoding::Quick(quick) => quick.insert(index, element, limits),
        }
    }

    /// Removes elements equal to `needle`, the first `max` of them from this end; how many.
    pub fn remove_equal(
        &mut self,
        needle: &[u8],
        end: End,
        max: usize,
        limits: ListLimits,
    ) -> usize {
        let removed = match &mut self.encoding {
            Encoding::Packed(pack) => pack.remove_equal(needle, end, max),
            Encoding::Quick(quick) => quick.remove_equal(needle, end, max),
        };
        self.shrink(limits);
        removed
    }

    /// Removes the elements of these indexes that there are.
    pub fn remove_range(&mut self, range: Range<usize>, limits: ListLimits) {
        match &mut self.encoding {
            Encoding::Packed(pack) => pack.remove_range(range.start, range.len()),
            Encoding::Quick(quick) => quick.remove_range(range.start, range.len()),
        }
        self.shrink(limits);
    }

    /// Keeps only the elements of these indexes.
    pub fn trim(&mut self, keep: Range<usize>, limits: ListLimits) {
        let stop = keep.end.max(keep.start).min(self.len());
        self.remove_range(stop..self.len(), limits);
        self.remove_range(0..keep.start.min(stop), limits);
    }

    /// All elements in order.
    pub fn iter(&self) -> Elements<'_> {
        self.iter_from(0, End::Front)
    }

    /// The element at `index` and those that follow it coming from that end; none where there is no
    /// such index.
    pub fn iter_from(&self, index: usize, from: End) -> Elements<'_> {
        match &self.encoding {
            Encoding::Quick(quick) => quick.iter_from(index, from),
            Encoding::Packed(pack) => {
                let range = match from {
                    _ if index >= pack.len() => 0..0,
                    End::Front => index..pack.len(),
                    End::Back => 0..index + 1,
                };
                Elements::of_pack(pack.range(range), from)
            }
        }
    }

    /// Leaves the packed form if elements of so many bytes and number would take it over the limit.
    fn make_room(&mut self, bytes: usize, count: usize, limits: ListLimits) {
        if let Encoding::Packed(pack) = &mut self.encoding {
            let bytes = pack.byte_len().saturating_add(bytes);
            let encoded = count
                .saturating_mul(ENTRY_OVERHEAD_MIN)
                .saturating_add(bytes);
            if encoded <= PACKED_BYTES_MAX && !limits.exceeded(bytes, pack.len() + count) {
                return;
            }
            let mut quick = Box::<Quicklist>::default();
            quick.push_pack(std::mem::take(pack));
            self.encoding = Encoding::Quick(quick);
        }
    }

    /// Takes the packed form again if the list has become small enough.
    fn shrink(&mut self, limits: ListLimits) {
        self.pack_if(|pack| limits.allows_packing_again(pack));
    }

    fn pack_if(&mut self, allowed: impl FnOnce(&Listpack) -> bool) {
        let Encoding::Quick(quick) = &mut self.encoding else {
            return;
        };
        let small = quick.is_empty()
            || quick.node_count() == 1 && quick.packs().next().is_some_and(allowed);
        if small {
            let pack = std::mem::take(&mut **quick).into_pack();
            self.encoding = Encoding::Packed(pack.unwrap_or_default());
        }
    }
}

const _: () = assert!(size_of::<List>() <= 16);

#[cfg(test)]
mod tests;
