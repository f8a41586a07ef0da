//! A set of integers: sorted, packed, each as wide as the widest needs.
//!
//! ```text
//! | width: u32 (2, 4 or 8 bytes) | count: u32 | integers, low byte first, ascending |
//! ```
//!
//! The bytes are Redis's own intset, so a dump is a copy. Membership is a binary search; inserting
//! moves what is behind. The count is bounded by `set-max-intset-entries`, which keeps that cheap.

use crate::thin_bytes::ThinBytes;

const HEADER: usize = 8;

/// A set of 64-bit integers, ascending, each in as few bytes as the largest needs: O(log n) to find
/// one, O(n) to change.
#[derive(Clone, Default)]
pub struct Intset {
    bytes: ThinBytes,
}

/// Bytes that are no intset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Bytes that `int` needs.
fn width_of(int: i64) -> usize {
    if i16::try_from(int).is_ok() {
        2
    } else if i32::try_from(int).is_ok() {
        4
    } else {
        8
    }
}

impl Intset {
    /// No integers, no memory.
    pub const fn new() -> Self {
        Self {
            bytes: ThinBytes::new(),
        }
    }

    fn word(&self, at: usize) -> usize {
        match self.bytes.get(at..at + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]) as usize,
            _ => 0,
        }
    }

    fn width(&self) -> usize {
        self.word(0).max(2)
    }

    /// How many integers.
    pub fn len(&self) -> usize {
        self.word(4)
    }

    /// True where it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap memory.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.heap_bytes()
    }

    /// The integer at `index`, in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = HEADER.checked_add(index.checked_mul(width)?)?;
        let bytes = self.bytes.get(at..at + width)?;
        let mut le = [if bytes.last()? & 0x80 != 0 { 0xff } else { 0 }; 8];
        le[..width].copy_from_slice(bytes);
        Some(i64::from_le_bytes(le))
    }

    /// All integers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// Where `int` stands, or where it would.
    fn search(&self, int: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).unwrap_or_default().cmp(&int) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// True where `int` is a member.
    pub fn contains(&self, int: i64) -> bool {
        width_of(int) <= self.width() && self.search(int).is_ok()
    }

    fn set_header(&mut self, width: usize, count: usize) {
        self.bytes[..4].copy_from_slice(&(width as u32).to_le_bytes());
        self.bytes[4..8].copy_from_slice(&(count as u32).to_le_bytes());
    }

    fn write(&mut self, index: usize, width: usize, int: i64) {
        let at = HEADER + index * width;
        self.bytes[at..at + width].copy_from_slice(&int.to_le_bytes()[..width]);
    }

    /// Adds an integer. Returns whether it is new.
    pub fn insert(&mut self, int: i64) -> bool {
        let width = self.width().max(width_of(int));
        if width > self.width() {
            self.widen(width);
        }
        let Err(index) = self.search(int) else {
            return false;
        };
        let len = self.len();
        self.bytes.resize(HEADER + (len + 1) * width);
        let from = HEADER + index * width;
        self.bytes
            .copy_within(from..HEADER + len * width, from + width);
        self.set_header(width, len + 1);
        self.write(index, width, int);
        true
    }

    fn widen(&mut self, width: usize) {
        let ints: Vec<i64> = self.iter().collect();
        self.bytes.resize(HEADER + ints.len() * width);
        self.set_header(width, ints.len());
        for (index, int) in ints.into_iter().enumerate() {
            self.write(index, width, int);
        }
    }

    /// Removes an integer. Returns whether it was there.
    pub fn remove(&mut self, int: i64) -> bool {
        if width_of(int) > self.width() {
            return false;
        }
        let Ok(index) = self.search(int) else {
            return false;
        };
        let (len, width) = (self.len(), self.width());
        if len == 1 {
            self.bytes = ThinBytes::new();
            return true;
        }
        let from = HEADER + index * width;
        self.bytes
            .copy_within(from + width..HEADER + len * width, from);
        self.set_header(width, len - 1);
        self.bytes.resize(HEADER + (len - 1) * width);
        true
    }

    /// The set as dumps hold it.
    pub fn as_bytes(&self) -> &[u8] {
        if self.is_empty() {
            &[2, 0, 0, 0, 0, 0, 0, 0]
        } else {
            &self.bytes
        }
    }

    /// The set that these untrusted bytes hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let set = Self {
            bytes: ThinBytes::from(bytes),
        };
        let (width, len) = (set.word(0), set.word(4));
        let fits = [2, 4, 8].contains(&width)
            && len
                .checked_mul(width)
                .and_then(|body| body.checked_add(HEADER))
                == Some(bytes.len());
        if !fits || !set.iter().is_sorted_by(|a, b| a < b) {
            return Err(Malformed);
        }
        match len {
            0 => Ok(Self::new()),
            _ => Ok(set),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
            #![proptest_config(ProptestConfig::with_cases(128))]

            #[test]
            fn behaves_as_a_set(ops in proptest::collection::vec((any::<bool>(), prop_oneof![
                -50i64..50, any::<i16>().prop_map(i64::from), any::<i32>().prop_map(i64::from), any::<i64>(),
            ]), 0..200)) {
                let (mut set, mut model) = (Intset::new(), BTreeSet::new());
                for (insert, int) in ops {
                    if insert {
    prop_assert_eq!(set.insert(int), model.insert(int))
    } else {
    prop_assert_eq!(set.remove(int), model.remove(&int))
    }
                    prop_assert_eq!(set.contains(int), model.contains(&int));
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                let copy = Intset::from_bytes(set.as_bytes()).expect("its own bytes");
                prop_assert!(copy.iter().eq(model));
            }

            #[test]
            fn untrusted_bytes_are_refused_or_sorted(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
                if let Ok(set) = Intset::from_bytes(&bytes) {
                    prop_assert!(set.iter().is_sorted());
                }
            }
        }
}
