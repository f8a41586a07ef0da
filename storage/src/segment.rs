//! A handful of entries whose hashes share a prefix: what the keyspace grows and shrinks by.
//!
//! ```text
//! segment   8 words of fingerprints | 8 rows | bounds and counts
//!             word 3 ----------------- row 3 -> 8 entries
//!
//! fingerprint   one byte of an entry's hash, in its word where the entry is in the row
//! ```
//!
//! Entries stand densely, in rows of eight that come and go one at a time. A lookup compares eight
//! fingerprints at once with plain arithmetic and looks at one entry in 256 in vain.
//!
//! Why not an open-addressing table per segment: its size is a power of two and all segments split
//! at about the same time, so it is half empty just then and costs up to 20 bytes a key where this
//! costs 12. Why not one vector of entries: as it grows it leaves blocks of eight sizes behind.
//! They are scattered over pages that other segments still use, and cost 20 bytes a key. Rows are
//! all of one size, so a freed one serves the next segment that grows.

use crate::block_size::block_size;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::keyspace::Eligible;
use crate::prefetch;

/// How far apart the places of a sample are: prime, so that steps of it come to every place of a
/// segment whose length it does not divide. Entries side by side are of about the same age, which a
/// sample should not be.
const SAMPLE_STRIDES: [usize; 2] = [37, 41];

/// Entries of a segment. More than that only where it may not split.
pub(crate) const SEGMENT_LEN_MAX: usize = 64;

/// Entries of a row: as many as fingerprints fit a word.
const ROW_LEN: usize = 8;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Eight places for entries; they fill from the front.
type Row = [Option<Entry>; ROW_LEN];

/// Entries whose hashes begin alike.
pub(crate) struct Segment {
    fingerprints: [u64; SEGMENT_LEN_MAX / ROW_LEN],
    /// As many rows as the entries need, from the front.
    rows: [Option<Box<Row>>; SEGMENT_LEN_MAX / ROW_LEN],
    /// Entries in a segment that is full and may not split.
    overflow: Option<Box<Overflow>>,
    /// No entry expires before this; `u64::MAX` where none does. A lower bound: it is corrected
    /// when the segment is swept.
    deadline_min: u64,
    /// The bits that the hashes share, behind those that choose the directory.
    pub(crate) prefix: u32,
    /// How many they are.
    pub(crate) depth: u8,
    /// Entries in rows.
    in_rows: u8,
    /// Entries with a deadline.
    volatile: u16,
}

const _: () = assert!(size_of::<Segment>() == 152 && size_of::<Row>() == 64);

/// Entries without a fingerprint.
#[derive(Default)]
struct Overflow {
    entries: Vec<Entry>,
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        let copy = |entry: &Entry| entry.duplicate(entry.key());
        let rows = self.rows.each_ref().map(|row| {
            let row = row.as_deref()?;
            row.iter().flatten().for_each(Entry::prefetch);
            Some(Box::new(
                row.each_ref().map(|entry| entry.as_ref().map(copy)),
            ))
        });
        let overflow = self.overflow.as_ref().map(|overflow| {
            let entries = overflow.entries.iter().map(copy).collect();
            Box::new(Overflow { entries })
        });
        Self {
            rows,
            overflow,
            ..*self
        }
    }
}

/// The byte of a hash by which a segment tells its entries apart. Prefixes use the other end.
fn fingerprint(hash: u64) -> u8 {
    hash as u8
}

impl Segment {
    pub(crate) const fn new(prefix: u32, depth: u8) -> Self {
        Self {
            fingerprints: [0; SEGMENT_LEN_MAX / ROW_LEN],
            rows: [const { None }; SEGMENT_LEN_MAX / ROW_LEN],
            overflow: None,
            deadline_min: u64::MAX,
            prefix,
            depth,
            in_rows: 0,
            volatile: 0,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.in_rows) + self.overflow().len()
    }

    #[inline]
    fn overflow(&self) -> &[Entry] {
        match &self.overflow {
            Some(overflow) => &overflow.entries,
            None => &[],
        }
    }

    pub(crate) fn volatile(&self) -> usize {
        usize::from(self.volatile)
    }

    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.in_rows) >= SEGMENT_LEN_MAX
    }

    /// All entries, in the order of their places.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let rows = self.rows.iter().map_while(Option::as_deref);
        rows.flatten().flatten().chain(self.overflow())
    }

    #[inline]
    pub(crate) fn entry(&self, at: usize) -> Option<&Entry> {
        match self.rows.get(at / ROW_LEN) {
            Some(row) => row.as_ref()?[at % ROW_LEN].as_ref(),
            None => self.overflow().get(at - SEGMENT_LEN_MAX),
        }
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, at: usize) -> Option<&mut Entry> {
        match self.rows.get_mut(at / ROW_LEN) {
            Some(row) => row.as_mut()?[at % ROW_LEN].as_mut(),
            None => self
                .overflow
                .as_mut()?
                .entries
                .get_mut(at - SEGMENT_LEN_MAX),
        }
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
        let words = usize::from(self.in_rows).div_ceil(ROW_LEN);
        for (word, (&eight, row)) in self
            .fingerprints
            .iter()
            .zip(&self.rows)
            .take(words)
            .enumerate()
        {
            let mut found = matches(eight, wanted);
            while found != 0 {
                let at = (found.trailing_zeros() / 8) as usize;
                if let Some(row) = row
                    && let Some(entry) = &row[at % ROW_LEN]
                    && entry.key() == key
                {
                    return Some(word * ROW_LEN + at);
                }
                found &= found - 1;
            }
        }
        self.find_beyond(key)
    }

    /// Fetches what [`Self::candidates`] looks at.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch::line(&self.fingerprints);
        prefetch::line(&self.rows);
        prefetch::line(&self.in_rows);
    }

    /// The places where the fingerprint says that the key of this hash may stand: the first of each
    /// row, which nearly always are all.
    #[inline]
    pub(crate) fn candidates<'s>(&'s self, hash: u64, mut tell: impl FnMut(&'s Option<Entry>)) {
        let wanted = LOW_BITS.wrapping_mul(u64::from(fingerprint(hash)));
        for (&eight, row) in self.fingerprints.iter().zip(&self.rows) {
            let found = matches(eight, wanted);
            if found != 0
                && let Some(row) = row
            {
                tell(&row[(found.trailing_zeros() / 8) as usize % ROW_LEN]);
            }
        }
    }

    /// Fetches where the entries stand, so that [`Self::prefetch_all`] need not wait for that.
    pub(crate) fn prefetch_rows(&self) {
        for row in self.rows.iter().map_while(Option::as_deref) {
            prefetch::line(row);
        }
    }

    /// Fetches the row of the last entry, which [`Self::remove`] moves.
    #[inline]
    pub(crate) fn prefetch_last_row(&self) {
        let last = usize::from(self.in_rows.saturating_sub(1)) / ROW_LEN;
        if let Some(Some(row)) = self.rows.get(last) {
            prefetch::line(&**row);
        }
    }

    /// Fetches all entries: their keys will be hashed.
    pub(crate) fn prefetch_all(&self) {
        for entry in self.entries() {
            entry.prefetch();
        }
    }

    /// Entries without a fingerprint: there are none but in a segment that may not split.
    #[inline]
    fn find_beyond(&self, key: &[u8]) -> Option<usize> {
        let at = self
            .overflow()
            .iter()
            .position(|entry| entry.key() == key)?;
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
        if let Some(deadline) = entry.deadline() {
            self.volatile = self.volatile.saturating_add(1);
            self.deadline_min = self.deadline_min.min(deadline.ms());
        }
        let at = self.len();
        self.set_fingerprint(at, hash);
        match self.rows.get_mut(at / ROW_LEN) {
            Some(row) => {
                row.get_or_insert_default()[at % ROW_LEN] = Some(entry);
                self.in_rows += 1;
            }
            None => self.overflow.get_or_insert_default().entries.push(entry),
        }
        at
    }

    /// Takes the last entry out, and the row that is empty then.
    fn pop(&mut self) -> Option<Entry> {
        if let Some(overflow) = &mut self.overflow {
            let last = overflow.entries.pop();
            if overflow.entries.is_empty() {
                self.overflow = None;
            }
            return last;
        }
        let at = usize::from(self.in_rows.checked_sub(1)?);
        self.in_rows -= 1;
        let row = self.rows.get_mut(at / ROW_LEN)?;
        let last = row.as_mut()?[at % ROW_LEN].take();
        if at % ROW_LEN == 0 {
            *row = None;
        }
        last
    }

    /// Takes the entry at `at` out; the last one moves to its place. `rehash` gives a key's hash.
    ///
    /// # Panics
    /// When the segment is empty.
    pub(crate) fn remove(&mut self, at: usize, rehash: impl Fn(&[u8]) -> u64) -> Entry {
        let fingerprint = self.fingerprint_at(self.len().saturating_sub(1));
        let last = self.pop().expect("an entry stands at `at`");
        let hash = fingerprint.unwrap_or_else(|| rehash(last.key()));
        let entry = match self.entry_mut(at) {
            Some(place) => {
                let entry = std::mem::replace(place, last);
                self.set_fingerprint(at, hash);
                entry
            }
            None => last,
        };
        if entry.deadline().is_some() {
            self.volatile -= 1;
            if self.volatile == 0 {
                self.deadline_min = u64::MAX;
            }
        }
        entry
    }

    /// Changes the deadline of the entry at `at`.
    pub(crate) fn set_deadline(&mut self, at: usize, deadline: Option<UnixMillis>) {
        let Some(entry) = self.entry_mut(at) else {
            return;
        };
        let before = entry.deadline();
        entry.set_deadline(deadline);
        match (before, deadline) {
            (None, Some(_)) => self.volatile = self.volatile.saturating_add(1),
            (Some(_), None) => self.volatile -= 1,
            _ => {}
        }
        if let Some(deadline) = deadline {
            self.deadline_min = self.deadline_min.min(deadline.ms());
        }
    }

    /// Looks at all deadlines: returns where some expired entry stands, and otherwise corrects
    /// `deadline_min`.
    pub(crate) fn find_expired(&mut self, now: UnixMillis) -> Option<usize> {
        let mut min = u64::MAX;
        for (at, entry) in self.entries().enumerate() {
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

    /// Memory of the rows.
    pub(crate) fn row_bytes(&self) -> usize {
        let rows = self.rows.iter().map_while(Option::as_ref).count();
        let beyond = self.overflow.as_ref().map_or(0, |overflow| {
            block_size(size_of::<Overflow>())
                + block_size(overflow.entries.capacity() * size_of::<Entry>())
        });
        rows * block_size(size_of::<Row>()) + beyond
    }

    /// Memory of the rows of `count` segments that are like these.
    pub(crate) fn row_bytes_of<'a>(count: usize, like: impl Iterator<Item = &'a Self>) -> usize {
        let (mut sum, mut seen) = (0, 0);
        for segment in like {
            sum += segment.row_bytes();
            seen += 1;
        }
        (sum * count).checked_div(seen).unwrap_or(0)
    }

    /// Visits up to `wanted` of the entries that are `eligible`, from anywhere in the segment.
    /// Returns how many.
    pub(crate) fn sample(
        &self,
        eligible: Eligible,
        wanted: usize,
        random: &mut fastrand::Rng,
        visit: &mut impl FnMut(&Entry),
    ) -> usize {
        let len = self.len();
        if len == 0 || eligible == Eligible::Volatile && self.volatile == 0 {
            return 0;
        }
        let [stride, other] = SAMPLE_STRIDES;
        let stride = if len.is_multiple_of(stride) {
            other
        } else {
            stride
        };
        let mut at = random.usize(..len);
        let mut visited = 0;
        for _ in 0..len {
            if visited == wanted {
                break;
            }
            if let Some(entry) = self.entry(at)
                && eligible.includes(entry)
            {
                visit(entry);
                visited += 1;
            }
            at = (at + stride) % len;
        }
        visited
    }

    /// Takes all entries out.
    pub(crate) fn take_entries(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let taken = std::mem::replace(self, Self::new(self.prefix, self.depth));
        let overflow = taken.overflow.map_or(Vec::new(), |it| it.entries);
        // A row is freed before the next one is asked for.
        let in_rows = taken.rows.into_iter().flatten().flat_map(|row| *row);
        in_rows.flatten().chain(overflow)
    }
}

/// The bytes of `eight` that equal those of `wanted`, as their top bits. The byte above a match may
/// be flagged too: the key refutes it then.
#[inline]
fn matches(eight: u64, wanted: u64) -> u64 {
    let differs = eight ^ wanted;
    differs.wrapping_sub(LOW_BITS) & !differs & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> String {
        format!("key:{number}")
    }

    /// A hash of 256 values, so that fingerprints collide.
    fn hash(number: usize) -> u64 {
        number as u64 * 37 % 256
    }

    #[test]
    fn a_segment_that_may_not_split_holds_more_than_its_rows() {
        const LEN: usize = SEGMENT_LEN_MAX + 20;
        let rehash = |key: &[u8]| {
            let number = std::str::from_utf8(&key[4..]).expect("digits");
            hash(number.parse().expect("digits"))
        };
        let mut segment = Segment::new(0, 0);
        for number in 0..LEN {
            let entry = Entry::string(key(number).as_bytes(), b"value", None);
            assert_eq!(segment.push(hash(number), entry), number);
        }
        assert!(segment.is_full());
        for number in 0..LEN {
            assert_eq!(
                (segment.len(), segment.entries().count()),
                (LEN - number, LEN - number)
            );
            for other in 0..LEN {
                let found = segment.find(hash(other), key(other).as_bytes());
                assert_eq!(found.is_some(), other >= number);
            }
            let name = key(number);
            let at = segment
                .find(hash(number), name.as_bytes())
                .expect("not removed yet");
            assert_eq!(segment.remove(at, rehash).key(), name.as_bytes());
        }
        assert!(segment.rows.iter().all(Option::is_none) && segment.overflow.is_none());
        assert_eq!(segment.take_entries().count(), 0);
    }
}
