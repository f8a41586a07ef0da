//! A handful of entries whose hashes share a prefix: what the keyspace grows and shrinks by.
//!
//! Entries stand densely in a vector that grows by a few places at a time, each with one byte of its hash, a *fingerprint*, in a fixed array of
//! eight words. A lookup compares eight fingerprints at once with plain arithmetic and looks at one entry in 256 in vain.
//!
//! Why not an open-addressing table per segment: its size is a power of two and all segments split at about the same time, so it is half empty
//! just then and costs up to 20 bytes a key where this costs 11.

use crate::clock::UnixMillis;
use crate::entry::Entry;

/// Entries of a segment. More than that only where it may not split.
pub(crate) const SEGMENT_LEN_MAX: usize = 64;

/// Places the vector of entries grows by.
const GROW_BY: usize = 8;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Entries whose hashes begin alike.
pub(crate) struct Segment {
    fingerprints: [u64; SEGMENT_LEN_MAX / 8],
    entries: Vec<Entry>,
    /// No entry expires before this; `u64::MAX` where none does. A lower bound: it is corrected when the segment is swept.
    deadline_min: u64,
    /// The bits that the hashes share, within the region.
    pub(crate) prefix: u32,
    /// How many they are.
    pub(crate) depth: u8,
    /// Entries with a deadline.
    volatile: u16,
}

/// The byte of a hash by which a segment tells its entries apart. Prefixes use the other end.
fn fingerprint(hash: u64) -> u8 {
    hash as u8
}

impl Segment {
    pub(crate) const fn new(prefix: u32, depth: u8) -> Self {
        Self {
            fingerprints: [0; SEGMENT_LEN_MAX / 8],
            entries: Vec::new(),
            deadline_min: u64::MAX,
            prefix,
            depth,
            volatile: 0,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn volatile(&self) -> usize {
        usize::from(self.volatile)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= SEGMENT_LEN_MAX
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry_mut(&mut self, at: usize) -> Option<&mut Entry> {
        self.entries.get_mut(at)
    }

    /// Whether some entry may have expired at `now`.
    pub(crate) fn may_be_due(&self, now: UnixMillis) -> bool {
        self.deadline_min < now.ms()
    }

    pub(crate) fn deadline_min(&self) -> u64 {
        self.deadline_min
    }

    /// Where the entry of `key` stands.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let wanted = LOW_BITS.wrapping_mul(u64::from(fingerprint(hash)));
        let indexed = self.entries.len().min(SEGMENT_LEN_MAX);
        let words = indexed.div_ceil(8);
        for (word, &eight) in self.fingerprints[..words].iter().enumerate() {
            // A zero byte of `differs` is a match; the trick may also flag the byte above one, which the key then refutes.
            let differs = eight ^ wanted;
            let mut found = differs.wrapping_sub(LOW_BITS) & !differs & HIGH_BITS;
            while found != 0 {
                let at = word * 8 + (found.trailing_zeros() / 8) as usize;
                if self.entries.get(at).is_some_and(|entry| entry.key() == key) {
                    return Some(at);
                }
                found &= found - 1;
            }
        }
        self.find_beyond(key)
    }

    /// Fetches the entries whose fingerprints match.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        let wanted = LOW_BITS.wrapping_mul(u64::from(fingerprint(hash)));
        for (word, &eight) in self.fingerprints.iter().enumerate() {
            let differs = eight ^ wanted;
            let found = differs.wrapping_sub(LOW_BITS) & !differs & HIGH_BITS;
            if found != 0 {
                let at = word * 8 + (found.trailing_zeros() / 8) as usize;
                if let Some(entry) = self.entries.get(at) {
                    entry.prefetch();
                }
            }
        }
    }

    /// Entries without a fingerprint: there are none but in a segment that may not split.
    #[inline]
    fn find_beyond(&self, key: &[u8]) -> Option<usize> {
        if self.entries.len() <= SEGMENT_LEN_MAX {
            return None;
        }
        let beyond = self.entries.get(SEGMENT_LEN_MAX..)?;
        let at = beyond.iter().position(|entry| entry.key() == key)?;
        Some(SEGMENT_LEN_MAX + at)
    }

    fn set_fingerprint(&mut self, at: usize, hash: u64) {
        if let Some(word) = self.fingerprints.get_mut(at / 8) {
            let shift = at % 8 * 8;
            *word = *word & !(0xff << shift) | u64::from(fingerprint(hash)) << shift;
        }
    }

    /// The fingerprint at `at`, which is all of a hash that [`Self::set_fingerprint`] needs.
    fn fingerprint_at(&self, at: usize) -> Option<u64> {
        self.fingerprints
            .get(at / 8)
            .map(|word| word >> (at % 8 * 8) & 0xff)
    }

    /// Adds an entry whose key is not here.
    pub(crate) fn push(&mut self, hash: u64, entry: Entry) -> usize {
        let at = self.entries.len();
        if at == self.entries.capacity() {
            self.entries.reserve_exact(GROW_BY);
        }
        if let Some(deadline) = entry.deadline() {
            self.volatile = self.volatile.saturating_add(1);
            self.deadline_min = self.deadline_min.min(deadline.ms());
        }
        self.set_fingerprint(at, hash);
        self.entries.push(entry);
        at
    }

    /// Takes the entry at `at` out; the last one moves to its place. `rehash` gives a key's hash.
    pub(crate) fn remove(&mut self, at: usize, rehash: impl Fn(&[u8]) -> u64) -> Entry {
        let last = self.entries.len() - 1;
        let moved = match self.fingerprint_at(last) {
            Some(fingerprint) => fingerprint,
            None => self.entries.last().map_or(0, |entry| rehash(entry.key())),
        };
        self.set_fingerprint(at, moved);
        let entry = self.entries.swap_remove(at);
        if entry.deadline().is_some() {
            self.volatile -= 1;
            if self.volatile == 0 {
                self.deadline_min = u64::MAX;
            }
        }
        if self.entries.capacity() - self.entries.len() > 2 * GROW_BY {
            self.entries.shrink_to(self.entries.len() + GROW_BY);
        }
        entry
    }

    /// Changes the deadline of the entry at `at`.
    pub(crate) fn set_deadline(&mut self, at: usize, deadline: Option<UnixMillis>) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        match (entry.deadline(), deadline) {
            (None, Some(_)) => self.volatile = self.volatile.saturating_add(1),
            (Some(_), None) => self.volatile -= 1,
            _ => {}
        }
        entry.set_deadline(deadline);
        if let Some(deadline) = deadline {
            self.deadline_min = self.deadline_min.min(deadline.ms());
        }
    }

    /// Looks at all deadlines: returns where some expired entry stands, and otherwise corrects `deadline_min`.
    pub(crate) fn find_expired(&mut self, now: UnixMillis) -> Option<usize> {
        let mut min = u64::MAX;
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(deadline) = entry.deadline() {
                if deadline.has_passed(now) {
                    return Some(at);
                }
                min = min.min(deadline.ms());
            }
        }
        self.deadline_min = min;
        None
    }

    /// Takes all entries out.
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        self.volatile = 0;
        self.deadline_min = u64::MAX;
        std::mem::take(&mut self.entries)
    }
}
