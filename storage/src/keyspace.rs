//! The keys of one database on one shard.
//!
//! Up to a few thousand keys there is one [`Directory`]; a larger keyspace has 256, chosen by the
//! first bits of the hash, so that the largest piece ever copied is a directory of some kilobytes.
//! Nothing is ever rehashed as a whole.
//!
//! SCAN's cursor is a position in the order of hashes, forty bits of it. That order does not change
//! when segments split or merge, so a key that stays throughout is passed exactly once, whatever
//! the table does meanwhile.
//!
//! Invariants: a key stands at most once, in the segment of its hash; `len` and `volatile` count
//! what stands.

mod sample;
mod scan;
mod sweep;

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use crate::block_size::block_size;
use crate::clock::UnixMillis;
use crate::cut::Cut;
use crate::directory::{Directory, Slot};
use crate::entry::Entry;
use crate::segment::Segment;

pub use sample::Eligible;
pub use scan::Position;
pub use sweep::Expired;

/// Hash bits that choose the directory in a large keyspace.
const DIRECTORY_BITS: u8 = 8;

/// Depth at which the only directory becomes 256: about 3,000 keys, moved at once.
const SINGLE_DEPTH_MAX: u8 = 6;

/// Entries below which 256 directories become one again: with a few entries each, directories take
/// more memory than entries.
const REUNITED_LEN: usize = 512;

/// Entries by which the memory of many is judged, unless the caller says how many.
pub const SAMPLES: usize = 64;

const STANDS: &str = "a spot is good until the keyspace changes";

/// The keyed hash of all keyspaces of a process: clients cannot aim at a segment.
#[derive(Clone)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    /// A hasher with a seed of its own.
    pub fn random() -> Self {
        Self(RandomState::default())
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash_one(key)
    }
}

/// The hash of a key in one keyspace: whoever asks for a key twice computes it once.
#[derive(Clone, Copy)]
pub struct KeyHash(u64);

/// Where an entry stands. Good until the keyspace changes.
#[derive(Clone, Copy)]
pub struct Spot {
    directory: usize,
    slot: Slot,
}

/// What a lookup found, and where.
pub enum Looked {
    /// No such key.
    Missing,
    /// The key is here, and its time has not come.
    Live(Spot),
    /// Its time has come. Whoever looked takes it out, unless expiry is paused.
    Expired(Spot),
}

/// The keys of one database on one shard, with their values: an extendible hash table.
///
/// A look-up, an insertion or a removal is O(1) and moves a few dozen entries at most, a few
/// kilobytes of directory now and then. Time comes in as an argument: an entry whose deadline has
/// passed is found until it is taken out. The value of a large hash is one of these, too.
pub struct Keyspace {
    /// None before the first key, then 1, then 256.
    directories: Vec<Directory>,
    directory_bits: u8,
    len: usize,
    volatile: usize,
    /// Where the next sweep begins.
    sweep_directory: usize,
    sweep_segment: usize,
    hasher: KeyHasher,
    /// A consistent copy that is being written.
    pub(crate) cut: Option<Box<Cut>>,
}

impl Keyspace {
    /// No keys, no memory.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            directories: Vec::new(),
            directory_bits: 0,
            len: 0,
            volatile: 0,
            sweep_directory: 0,
            sweep_segment: 0,
            hasher,
            cut: None,
        }
    }

    /// Keys, expired ones that are still here included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where there is no key, not even an expired one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keys with a deadline.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    #[inline]
    fn directory_of(&self, hash: u64) -> (usize, u64) {
        let directory = (hash >> 1 >> (63 - self.directory_bits)) as usize;
        (directory, hash << self.directory_bits)
    }

    /// The hash of `key` here.
    #[inline]
    pub fn hash_of(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.hasher.hash(key))
    }

    /// Where the entry of `key` stands, expired or not.
    #[inline]
    pub fn locate(&self, hash: KeyHash, key: &[u8]) -> Option<Spot> {
        if self.len == 0 {
            return None;
        }
        let (directory, rest) = self.directory_of(hash.0);
        let slot = self.directories[directory].find(rest, hash.0, key)?;
        Some(Spot { directory, slot })
    }

    #[inline]
    fn locate_key(&self, key: &[u8]) -> Option<Spot> {
        match self.len {
            0 => None,
            _ => self.locate(self.hash_of(key), key),
        }
    }

    /// The entry at a spot.
    #[inline]
    pub fn at(&self, spot: Spot) -> &Entry {
        let segment = &self.directories[spot.directory].segments()[spot.slot.segment];
        segment.entry(spot.slot.at).expect(STANDS)
    }

    /// The entry at a spot, to change it.
    #[inline]
    pub fn at_mut(&mut self, spot: Spot) -> &mut Entry {
        let segment = self.directories[spot.directory].segment_mut(spot.slot.segment);
        segment.entry_mut(spot.slot.at).expect(STANDS)
    }

    /// The hash of `key`, and the segment where its entry stands if it is here.
    #[inline]
    pub(crate) fn segment_of(&self, key: &[u8]) -> (u64, &Segment) {
        let hash = self.hasher.hash(key);
        let (directory, rest) = self.directory_of(hash);
        let directory = &self.directories[directory];
        (hash, &directory.segments()[directory.segment_of(rest)])
    }

    /// The entry of `key`, expired or not.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        Some(self.at(self.locate_key(key)?))
    }

    /// The entry of `key` to change, expired or not.
    #[inline]
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let spot = self.locate_key(key)?;
        Some(self.at_mut(spot))
    }

    /// Looks `key` up, and says where it is.
    #[inline]
    pub fn look(&mut self, key: &[u8], now: UnixMillis) -> Looked {
        match self.locate_key(key) {
            None => Looked::Missing,
            Some(spot) if self.at(spot).is_expired(now) => Looked::Expired(spot),
            Some(spot) => Looked::Live(spot),
        }
    }

    /// Puts an entry, in place of the one with its key if there is one, which comes back.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let old = self.take(entry.key());
        self.insert_new(entry);
        old
    }

    /// Puts an entry whose key is not here, and gives it back to change.
    pub fn insert_new(&mut self, entry: Entry) -> &mut Entry {
        let spot = self.insert_at(self.hash_of(entry.key()), entry);
        self.at_mut(spot)
    }

    /// Puts an entry whose key has this hash and is not here.
    pub fn insert_at(&mut self, hash: KeyHash, entry: Entry) -> Spot {
        if self.directories.is_empty() {
            self.directories.push(Directory::new());
        }
        if self.directory_bits == 0 && self.directories[0].depth() >= SINGLE_DEPTH_MAX {
            self.rebuild(DIRECTORY_BITS);
        }
        debug_assert!(self.get(entry.key()).is_none(), "a key stands once");
        self.preserve(entry.key());
        self.len += 1;
        self.volatile += usize::from(entry.deadline().is_some());
        let (directory, rest) = self.directory_of(hash.0);
        let (hasher, bits) = (&self.hasher, self.directory_bits);
        let slot = self.directories[directory].insert(rest, hash.0, entry, |key| {
            let hash = hasher.hash(key);
            (hash << bits, hash)
        });
        Spot { directory, slot }
    }

    /// Moves all entries to new directories, chosen by so many bits of the hash.
    fn rebuild(&mut self, directory_bits: u8) {
        let old = std::mem::take(&mut self.directories);
        // Keys change their places in memory here, not in the order of hashes, by which a walk
        // goes.
        let cut = self.cut.take();
        self.directories = (0..1 << directory_bits).map(|_| Directory::new()).collect();
        self.directory_bits = directory_bits;
        (self.sweep_directory, self.sweep_segment) = (0, 0);
        let (len, volatile) = (self.len, self.volatile);
        for mut segment in old.into_iter().flat_map(Directory::into_segments) {
            for entry in segment.take_entries() {
                self.insert_new(entry);
            }
        }
        (self.len, self.volatile) = (len, volatile);
        self.cut = cut;
    }

    /// Takes the entry of `key` out, expired or not.
    pub fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let spot = self.locate_key(key)?;
        Some(self.take_at(spot))
    }

    /// Takes the entry of `key` out; one that has expired is dropped and counts as none.
    pub fn remove(&mut self, key: &[u8], now: UnixMillis) -> Option<Entry> {
        self.take(key).filter(|entry| !entry.is_expired(now))
    }

    /// Takes the entry at a spot out.
    pub fn take_at(&mut self, spot: Spot) -> Entry {
        let entry = self.take_in_place(spot);
        if self.directory_bits > 0 && self.len < REUNITED_LEN {
            self.rebuild(0);
        }
        entry
    }

    /// Takes the entry at a spot out and leaves the number of directories as it is, for who walks
    /// over them.
    fn take_in_place(&mut self, spot: Spot) -> Entry {
        if self.cut.is_some() {
            self.preserve_at(spot);
        }
        let Spot { directory, slot } = spot;
        let (hasher, bits) = (&self.hasher, self.directory_bits);
        let entry = self.directories[directory].remove(slot, |key| {
            let hash = hasher.hash(key);
            (hash << bits, hash)
        });
        self.len -= 1;
        self.volatile -= usize::from(entry.deadline().is_some());
        entry
    }

    #[cold]
    fn preserve_at(&mut self, spot: Spot) {
        let segment = &self.directories[spot.directory].segments()[spot.slot.segment];
        if let (Some(cut), Some(entry)) = (&mut self.cut, segment.entry(spot.slot.at)) {
            let position = Position::of(self.hasher.hash(entry.key()));
            if position >= cut.next {
                cut.preserve(entry.key(), Some(entry));
            }
        }
    }

    /// Where `key` stands, or would, in the order of a scan.
    pub(crate) fn position_of(&self, key: &[u8]) -> Position {
        Position::of(self.hasher.hash(key))
    }

    /// Changes when `key` expires. Returns whether the key is here.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMillis>) -> bool {
        let Some(Spot { directory, slot }) = self.locate_key(key) else {
            return false;
        };
        let directory = &mut self.directories[directory];
        if let Some(deadline) = deadline {
            directory.deadline_min = directory.deadline_min.min(deadline.ms());
        }
        let segment = directory.segment_mut(slot.segment);
        let before = segment.volatile();
        segment.set_deadline(slot.at, deadline);
        self.volatile = self.volatile + segment.volatile() - before;
        true
    }

    /// Forgets all keys and gives them back, for whoever frees them.
    pub fn clear(&mut self) -> Self {
        let empty = Self::new(self.hasher.clone());
        std::mem::replace(self, empty)
    }

    /// Gives up all entries, one by one.
    pub fn drain(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let all = self.clear();
        all.directories
            .into_iter()
            .flat_map(Directory::into_segments)
            .flat_map(|mut segment| segment.take_entries())
    }

    /// Memory of all entries and of the table itself, in bytes: estimated from some of them where
    /// they are many.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_by(SAMPLES)
    }

    /// Memory of all entries and of the table itself, in bytes, as judged by `samples` entries.
    /// Exact where that is all of them.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        let measured = self.len.min(samples.max(1));
        let sum: usize = self.iter().take(measured).map(Entry::memory_bytes).sum();
        let entries = sum as u128 * self.len as u128 / measured.max(1) as u128;
        entries as usize + self.tables_bytes(measured == self.len)
    }

    /// Memory of the table without its entries, in bytes: estimated where it is large.
    pub fn table_bytes(&self) -> usize {
        self.tables_bytes(false)
    }

    fn tables_bytes(&self, exact: bool) -> usize {
        let directories = self.directories.iter().map(|it| it.memory_bytes(exact));
        directories.sum::<usize>()
            + block_size(self.directories.capacity() * size_of::<Directory>())
    }

    /// When the next entry may expire: no later than any does.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let min = self.directories.iter().map(|it| it.deadline_min).min();
        min.filter(|min| *min != u64::MAX).map(UnixMillis::new)
    }

    /// All entries, in the order of their segments.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.directories
            .iter()
            .flat_map(|directory| directory.segments().iter())
            .flat_map(|segment| {
                segment.prefetch_all();
                segment.entries()
            })
    }
}

impl Clone for Keyspace {
    /// A copy with the same hasher, in which every key has its place already: nothing is looked up.
    fn clone(&self) -> Self {
        Self {
            directories: self.directories.clone(),
            hasher: self.hasher.clone(),
            cut: None,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests;
