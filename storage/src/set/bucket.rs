//! Some dozens of a large set's members in one block.
//!
//! ```text
//! block  | mark: u8, a slot each | code: u8, a slot each | body ... | slack
//!
//! slots  the members' count, rounded up to eight
//! mark   eight bits of the member's hash: a lookup compares eight marks at once
//! code   0lllllll   text of l bytes
//!        1000wwww   integer of w bytes, the low one first
//!        10000000   longer text, in a block of its own: the next of `apart`
//! ```
//!
//! The low seven bits of a code are the bytes of the body, so where a body stands is the sum of
//! those before.
//!
//! A member of 16 bytes takes 18 and its share of the slack; with a block of its own it took 32 and
//! a pointer. The price is that a removal moves what stands behind it, a kilobyte at most where
//! members are short.
//!
//! Invariants: codes and bodies stand in one order, without gaps; `used` is the sum of the bodies;
//! the canonical text of an integer is always an integer, so that equal members have equal codes
//! and bodies; `apart` has as many texts as there are codes of that kind, in their order.

use std::ops::Range;

use smallvec::SmallVec;

use crate::block_size::block_size;
use crate::item::{Item, parse_int};
use crate::prefetch;
use crate::thin_bytes::ThinBytes;

/// The longest text that stands among the others.
const TEXT_LEN_MAX: usize = 0x7f;
/// Marks a code that is not of a text in place.
const INT: u8 = 0x80;
/// The code of a text that stands elsewhere: it has no body.
const APART: u8 = INT;
/// The part of a code that says how long the body is.
const SIZE_MASK: u8 = 0x7f;

/// Slots come in words, which are looked at as a whole.
const WORD: usize = 8;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const CACHE_LINE: usize = 64;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Bucket {
    block: ThinBytes,
    /// A vector behind a pointer: nearly all buckets have none.
    #[allow(clippy::box_collection)]
    apart: Option<Box<Vec<ThinBytes>>>,
    len: u32,
    used: u32,
}

const _: () = assert!(size_of::<Bucket>() == 24);

/// A member as a bucket keeps it.
pub(crate) struct Packed<'a> {
    code: u8,
    digits: [u8; 8],
    text: &'a [u8],
}

impl<'a> Packed<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        let mut digits = [0; 8];
        let code = match parse_int(text) {
            Some(int) => {
                digits = int.to_le_bytes();
                INT | width_of(int)
            }
            None if text.len() <= TEXT_LEN_MAX => text.len() as u8,
            None => APART,
        };
        Self { code, digits, text }
    }

    fn body(&self) -> &[u8] {
        match self.code {
            APART => &[],
            code if code & INT != 0 => &self.digits[..size(code)],
            _ => self.text,
        }
    }
}

/// Bytes that keep an integer's value and sign.
fn width_of(int: i64) -> u8 {
    let magnitude = if int < 0 { !int } else { int };
    let bits = 65 - magnitude.leading_zeros();
    bits.div_ceil(8) as u8
}

/// Bytes of a body.
#[inline]
fn size(code: u8) -> usize {
    usize::from(code & SIZE_MASK)
}

const fn slots_of(len: usize) -> usize {
    len.next_multiple_of(WORD)
}

/// The first eight bytes, of as many or more.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let (word, _) = bytes.split_first_chunk().expect("a whole word");
    u64::from_le_bytes(*word)
}

/// Whether two bodies are the same, for which calling `memcmp` takes longer than comparing does.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let len = one.len();
    if len != other.len() || len < WORD {
        return one == other;
    }
    let at_end = len - WORD;
    let words = (0..at_end).step_by(WORD).chain([at_end]);
    words.fold(0, |differs, at| {
        differs | (word(&one[at..]) ^ word(&other[at..]))
    }) == 0
}

/// The sum of the sizes that eight codes tell.
#[inline]
fn sum_of_sizes(codes: u64) -> usize {
    const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;
    let sizes = codes & (LOW_BITS * SIZE_MASK as u64);
    let pairs = (sizes & PAIRS) + (sizes >> 8 & PAIRS);
    (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize
}

impl Bucket {
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    fn slots(&self) -> usize {
        slots_of(self.len())
    }

    fn codes(&self) -> &[u8] {
        let slots = self.slots();
        &self.block[slots..slots + self.len()]
    }

    /// Heap memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let apart = self.apart.as_ref().map_or(0, |apart| {
            let texts = apart.iter().map(ThinBytes::heap_bytes);
            block_size(size_of::<Vec<ThinBytes>>())
                + block_size(apart.capacity() * size_of::<ThinBytes>())
                + texts.sum::<usize>()
        });
        self.block.heap_bytes() + apart
    }

    /// Lets what a lookup reads, and where a new member goes, be on their way from memory.
    #[inline]
    pub fn prefetch(&self) {
        let start = self.block.start();
        let head = 2 * self.slots();
        for line in (0..head).step_by(CACHE_LINE) {
            prefetch::line(start.wrapping_add(line));
        }
        prefetch::line(start.wrapping_add(head + self.used as usize));
    }

    /// Lets the places where members of this mark stand be on their way.
    pub fn prefetch_matches(&self, mark: u8) {
        self.each_match(mark, |at| {
            let body = &self.block[self.body(at)];
            prefetch::line(body.as_ptr());
            prefetch::line(body.as_ptr().wrapping_add(body.len()));
            false
        });
    }

    /// Shows where the mark stands until `stop` says so, which then is returned.
    #[inline]
    fn each_match(&self, mark: u8, mut stop: impl FnMut(usize) -> bool) -> Option<usize> {
        let wanted = LOW_BITS.wrapping_mul(u64::from(mark));
        let len = self.len();
        for (at, eight) in self.block[..self.slots()].chunks_exact(WORD).enumerate() {
            let differs = word(eight) ^ wanted;
            // A byte above a match may be flagged too: its code and body refute it.
            let mut found = differs.wrapping_sub(LOW_BITS) & !differs & HIGH_BITS;
            while found != 0 {
                let at = at * WORD + (found.trailing_zeros() / 8) as usize;
                if at < len && stop(at) {
                    return Some(at);
                }
                found &= found - 1;
            }
        }
        None
    }

    /// Where in the block the body of the member at `at` stands.
    fn body(&self, at: usize) -> Range<usize> {
        let slots = self.slots();
        let codes = &self.block[slots..2 * slots];
        let (whole, rest) = (at / WORD * WORD, at % WORD);
        let before: usize = codes[..whole]
            .chunks_exact(WORD)
            .map(|eight| sum_of_sizes(word(eight)))
            .sum();
        // Of the word in which it stands, those before it.
        let mask = (1 << (8 * rest)) - 1;
        let start = 2 * slots + before + sum_of_sizes(word(&codes[whole..]) & mask);
        start..start + size(codes[at])
    }

    /// Which of the texts apart the member at `at` is, if it is one.
    fn apart_at(&self, at: usize) -> usize {
        self.codes()[..at]
            .iter()
            .filter(|code| **code == APART)
            .count()
    }

    /// Where the member stands.
    #[inline]
    pub fn find(&self, mark: u8, member: &Packed<'_>) -> Option<usize> {
        self.each_match(mark, |at| {
            self.codes()[at] == member.code
                && match &self.apart {
                    Some(apart) if member.code == APART => apart
                        .get(self.apart_at(at))
                        .is_some_and(|text| **text == *member.text),
                    _ => is_same(&self.block[self.body(at)], member.body()),
                }
        })
    }

    /// The member at `at`.
    pub fn get(&self, at: usize) -> Item<'_> {
        match self.codes()[at] {
            APART => Item::Bytes(self.apart.as_ref().map_or(&[], |it| &it[self.apart_at(at)])),
            code => item(code, &self.block[self.body(at)]),
        }
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        let mut bodies = &self.block[2 * self.slots()..];
        let mut apart = self.apart.iter().flat_map(|apart| apart.iter());
        self.codes().iter().map(move |&code| {
            let (body, behind) = bodies.split_at(size(code));
            bodies = behind;
            match code {
                APART => Item::Bytes(apart.next().map_or(&[], |text| text)),
                code => item(code, body),
            }
        })
    }

    /// Adds a member that is not here.
    pub fn push(&mut self, mark: u8, member: &Packed<'_>) {
        if member.code == APART {
            self.apart
                .get_or_insert_default()
                .push(ThinBytes::from(member.text));
        }
        self.push_packed(mark, member.code, member.body());
    }

    fn push_packed(&mut self, mark: u8, code: u8, body: &[u8]) {
        let (len, used, old) = (self.len(), self.used as usize, self.slots());
        let slots = slots_of(len + 1);
        let needed = 2 * slots + used + body.len();
        if needed > self.block.len() {
            self.block.resize(ThinBytes::roomy(needed));
        }
        if slots != old {
            self.block.copy_within(2 * old..2 * old + used, 2 * slots);
            self.block.copy_within(old..old + len, slots);
        }
        self.block[len] = mark;
        self.block[slots + len] = code;
        self.block[needed - body.len()..needed].copy_from_slice(body);
        self.len += 1;
        self.used += body.len() as u32;
    }

    /// Removes the member at `at`.
    pub fn remove(&mut self, at: usize) {
        let (len, old, body) = (self.len(), self.slots(), self.body(at));
        if self.codes()[at] == APART {
            let index = self.apart_at(at);
            if let Some(apart) = &mut self.apart {
                apart.remove(index);
                if apart.is_empty() {
                    self.apart = None;
                }
            }
        }
        let end = 2 * old + self.used as usize;
        self.used -= body.len() as u32;
        self.len -= 1;
        let (slots, used) = (self.slots(), self.used as usize);
        if slots == 0 {
            self.block = ThinBytes::new();
            return;
        }
        self.block.copy_within(at + 1..len, at);
        self.block.copy_within(old + at + 1..old + len, old + at);
        self.block.copy_within(body.end..end, body.start);
        if slots != old {
            self.block.copy_within(old..old + len - 1, slots);
            self.block.copy_within(2 * old..2 * old + used, 2 * slots);
        }
        // A block that is used by less than three quarters goes down to the size class that would
        // do.
        let room = ThinBytes::roomy(2 * slots + used);
        if room < self.block.len() / 4 * 3 {
            self.block.resize(room);
        }
    }

    /// Moves the members that `goes` says so of to a new bucket. Both have just the room that they
    /// need.
    pub fn split(&mut self, mut goes: impl FnMut(Item<'_>) -> bool) -> Self {
        let mut old = std::mem::take(self);
        let sides: SmallVec<[bool; 128]> = old.iter().map(&mut goes).collect();
        let mut sums = [(0, 0); 2];
        for (&side, &code) in sides.iter().zip(old.codes()) {
            let (len, used) = &mut sums[usize::from(side)];
            *len += 1;
            *used += size(code);
        }
        let slots = sums.map(|(len, _)| slots_of(len));
        let mut parts = sums.map(|(len, used)| Self::with_room(len, used));
        let mut apart = old.apart.take().map_or(Vec::new(), |it| *it).into_iter();
        let mut from = 2 * old.slots();
        for (at, &side) in sides.iter().enumerate() {
            let (part, slots) = (&mut parts[usize::from(side)], slots[usize::from(side)]);
            let code = old.block[old.slots() + at];
            let (len, used) = (part.len(), 2 * slots + part.used as usize);
            part.block[len] = old.block[at];
            part.block[slots + len] = code;
            part.block[used..used + size(code)]
                .copy_from_slice(&old.block[from..from + size(code)]);
            if code == APART {
                part.apart.get_or_insert_default().extend(apart.next());
            }
            from += size(code);
            part.len += 1;
            part.used += size(code) as u32;
        }
        let [stay, go] = parts;
        *self = stay;
        go
    }

    /// An empty bucket with a block for so many members, whose bodies take so many bytes.
    fn with_room(len: usize, used: usize) -> Self {
        let block = match len {
            0 => ThinBytes::new(),
            _ => ThinBytes::zeroed(ThinBytes::roomy(2 * slots_of(len) + used)),
        };
        Self {
            block,
            ..Self::default()
        }
    }

    /// Takes the other's members over.
    pub fn absorb(&mut self, mut other: Self) {
        if let Some(apart) = other.apart.take() {
            self.apart.get_or_insert_default().extend(*apart);
        }
        let mut from = 2 * other.slots();
        for at in 0..other.len() {
            let code = other.codes()[at];
            let to = from + size(code);
            self.push_packed(other.block[at], code, &other.block[from..to]);
            from = to;
        }
    }
}

fn item(code: u8, body: &[u8]) -> Item<'_> {
    if code & INT == 0 {
        return Item::Bytes(body);
    }
    let sign = body
        .last()
        .map_or(0, |last| if last & 0x80 != 0 { 0xff } else { 0 });
    let mut int = [sign; 8];
    int[..body.len()].copy_from_slice(body);
    Item::Int(i64::from_le_bytes(int))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (-300i64..300).prop_map(|int| int.to_string().into_bytes()),
            2 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
            4 => "[a-f]{0,3}".prop_map(String::into_bytes),
            2 => "[a-b]{120,135}".prop_map(String::into_bytes),
        ]
    }

    /// One of four marks.
    fn mark(member: &[u8]) -> u8 {
        member
            .iter()
            .fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
            % 4
    }

    fn texts(bucket: &Bucket) -> Vec<Vec<u8>> {
        (0..bucket.len())
            .map(|at| bucket.get(at).to_vec())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

        #[test]
        fn behaves_as_a_vector(ops in proptest::collection::vec((0u8..7, member()), 0..if cfg!(miri) { 60 } else { 300 })) {
            let (mut bucket, mut model) = (Bucket::default(), Vec::<Vec<u8>>::new());
            for (op, member) in ops {
                let found = bucket.find(mark(&member), &Packed::new(&member));
                prop_assert_eq!(found, model.iter().position(|it| *it == member));
                match (op, found) {
                    (0, _) => {
                        let even = |item: Item<'_>| item.to_vec().len().is_multiple_of(2);
                        let gone = bucket.split(even);
                        let (even, odd): (Vec<_>, Vec<_>) = model.into_iter().partition(|it| it.len().is_multiple_of(2));
                        prop_assert_eq!(texts(&gone), even.clone());
                        prop_assert_eq!(texts(&bucket), odd.clone());
                        bucket.absorb(gone);
                        model = [odd, even].concat();
                    }
                    (1..=3, Some(at)) => {
                        bucket.remove(at);
                        model.remove(at);
                    }
                    (_, None) => {
                        bucket.push(mark(&member), &Packed::new(&member));
                        model.push(member);
                    }
                    _ => {}
                }
                prop_assert_eq!(texts(&bucket), model.clone());
                prop_assert!(bucket.iter().map(Item::to_vec).eq(model.iter().cloned()));
                let apart = bucket.apart.as_ref().map_or(0, |apart| apart.len());
                prop_assert_eq!(apart, model.iter().filter(|it| it.len() > TEXT_LEN_MAX).count());
                bucket.prefetch();
                bucket.prefetch_matches(1);
            }
            prop_assert_eq!(texts(&bucket.clone()), model);
        }
    }

    #[test]
    fn integers_take_what_they_need() {
        for (int, width) in [
            (0, 1),
            (-1, 1),
            (127, 1),
            (128, 2),
            (-128, 1),
            (-129, 2),
            (32_767, 2),
            (32_768, 3),
            (i64::MAX, 8),
            (i64::MIN, 8),
        ] {
            assert_eq!(width_of(int), width, "{int}");
        }
    }
}
