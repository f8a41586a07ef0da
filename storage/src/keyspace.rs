//! The keys of one database on one shard.
//!
//! Up to a few thousand keys there is one [`Region`]; a larger keyspace has 256, chosen by the first bits of the hash, so that the largest piece
//! ever copied is a directory of some kilobytes. Nothing is ever rehashed as a whole.
//!
//! SCAN's cursor is a position in the order of hashes, forty bits of it. That order does not change when segments split or merge, so a key that
//! stays throughout is passed exactly once, whatever the table does meanwhile.
//!
//! Invariants: a key stands at most once, in the segment of its hash; `len` and `volatile` count what stands.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use crate::block_size::block_size;
use crate::clock::UnixMillis;
use crate::cut::Cut;
use crate::entry::Entry;
use crate::region::{Place, Region};
use crate::segment::Segment;

/// Hash bits that choose the region of a large keyspace.
const REGION_BITS: u8 = 8;

/// Directory bits at which the only region becomes 256: about 3,000 keys, moved at once.
const SINGLE_REGION_DEPTH_MAX: u8 = 6;

/// Entries below which 256 regions become one again: with a few of them each, regions take more memory than entries.
const REUNITED_LEN: usize = 512;

/// Bits of a scan position.
const POSITION_BITS: u32 = 40;

/// Tries to find a segment that is not empty at random before looking at all in turn.
const RANDOM_TRIES: usize = 128;

/// Entries by which the memory of many is judged, unless the caller says how many.
pub const SAMPLES: usize = 64;

/// Segments that a sample is drawn from at random before looking at many in turn.
const SAMPLE_TRIES: usize = 16;

/// Segments that a search for something to sample looks at in turn.
const SEGMENTS_PER_SEARCH_MAX: usize = 8192;

const STANDS: &str = "a spot is good until the keyspace changes";

/// Segments that one sweep for expired keys looks at.
const SEGMENTS_PER_SWEEP_MAX: usize = 8192;

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

/// A place in the order of a scan: the first forty bits of a hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position(u64);

impl Position {
    /// The position that a cursor of a client's stands for, if there is one.
    pub fn new(bits: u64) -> Option<Self> {
        (bits < 1 << POSITION_BITS).then_some(Self(bits))
    }

    /// Forty bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn of(hash: u64) -> Self {
        Self(hash >> (64 - POSITION_BITS))
    }

    pub(crate) fn first_hash(self) -> u64 {
        self.0 << (64 - POSITION_BITS)
    }

    /// The first position behind all that share its first `bits` bits, if there is one.
    pub(crate) fn after(self, bits: u32) -> Option<Self> {
        let width = POSITION_BITS - bits;
        Self::new(((self.0 >> width) + 1) << width)
    }
}

/// The hash of a key in one keyspace: whoever asks for a key twice computes it once.
#[derive(Clone, Copy)]
pub struct KeyHash(u64);

/// Where an entry stands. Good until the keyspace changes.
#[derive(Clone, Copy)]
pub struct Spot {
    region: usize,
    place: Place,
}

/// What a lookup found, and where.
pub enum Looked {
    Missing,
    Live(Spot),
    /// Its time has come. Whoever looked takes it out, unless expiry is paused.
    Expired(Spot),
}

/// What a sweep for expired keys did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub removed: usize,
    /// It stopped at a bound: there may be more.
    pub more: bool,
}

/// Which entries a sample is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eligible {
    All,
    /// Those with a deadline.
    Volatile,
}

impl Eligible {
    /// Whether `entry` is one of them.
    pub fn includes(self, entry: &Entry) -> bool {
        self == Self::All || entry.deadline().is_some()
    }
}

/// The keys of one database.
pub struct Keyspace {
    /// None before the first key, then 1, then 256.
    regions: Vec<Region>,
    region_bits: u8,
    len: usize,
    volatile: usize,
    /// Where the next sweep begins.
    sweep_region: usize,
    sweep_segment: usize,
    hasher: KeyHasher,
    /// A consistent copy that is being written.
    pub(crate) cut: Option<Box<Cut>>,
}

impl Keyspace {
    /// No keys, no memory.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            regions: Vec::new(),
            region_bits: 0,
            len: 0,
            volatile: 0,
            sweep_region: 0,
            sweep_segment: 0,
            hasher,
            cut: None,
        }
    }

    /// Keys, expired ones that are still here included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keys with a deadline.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    #[inline]
    fn region_of(&self, hash: u64) -> (usize, u64) {
        let region = (hash >> 1 >> (63 - self.region_bits)) as usize;
        (region, hash << self.region_bits)
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
        let (region, rest) = self.region_of(hash.0);
        let place = self.regions[region].find(rest, hash.0, key)?;
        Some(Spot { region, place })
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
        let segment = &self.regions[spot.region].segments()[spot.place.segment];
        segment.entry(spot.place.at).expect(STANDS)
    }

    /// The entry at a spot, to change it.
    #[inline]
    pub fn at_mut(&mut self, spot: Spot) -> &mut Entry {
        let segment = self.regions[spot.region].segment_mut(spot.place.segment);
        segment.entry_mut(spot.place.at).expect(STANDS)
    }

    /// The hash of `key`, and the segment where its entry stands if it is here.
    #[inline]
    pub(crate) fn segment_of(&self, key: &[u8]) -> (u64, &Segment) {
        let hash = self.hasher.hash(key);
        let (region, rest) = self.region_of(hash);
        let region = &self.regions[region];
        (hash, &region.segments()[region.segment_of(rest)])
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
        if self.regions.is_empty() {
            self.regions.push(Region::new());
        }
        if self.region_bits == 0 && self.regions[0].depth() >= SINGLE_REGION_DEPTH_MAX {
            self.rebuild(REGION_BITS);
        }
        debug_assert!(self.get(entry.key()).is_none(), "a key stands once");
        self.preserve(entry.key());
        self.len += 1;
        self.volatile += usize::from(entry.deadline().is_some());
        let (region, rest) = self.region_of(hash.0);
        let (hasher, bits) = (&self.hasher, self.region_bits);
        let place = self.regions[region].insert(rest, hash.0, entry, |key| {
            let hash = hasher.hash(key);
            (hash << bits, hash)
        });
        Spot { region, place }
    }

    /// Moves all entries to regions of their own, chosen by so many bits.
    fn rebuild(&mut self, region_bits: u8) {
        let old = std::mem::take(&mut self.regions);
        // Keys change their places in memory here, not in the order of hashes, by which a walk goes.
        let cut = self.cut.take();
        self.regions = (0..1 << region_bits).map(|_| Region::new()).collect();
        self.region_bits = region_bits;
        (self.sweep_region, self.sweep_segment) = (0, 0);
        let (len, volatile) = (self.len, self.volatile);
        for mut segment in old.into_iter().flat_map(Region::into_segments) {
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
        if self.region_bits > 0 && self.len < REUNITED_LEN {
            self.rebuild(0);
        }
        entry
    }

    /// The same, and no region comes or goes.
    fn take_in_place(&mut self, spot: Spot) -> Entry {
        if self.cut.is_some() {
            self.preserve_at(spot);
        }
        let Spot { region, place } = spot;
        let (hasher, bits) = (&self.hasher, self.region_bits);
        let entry = self.regions[region].remove(place, |key| {
            let hash = hasher.hash(key);
            (hash << bits, hash)
        });
        self.len -= 1;
        self.volatile -= usize::from(entry.deadline().is_some());
        entry
    }

    #[cold]
    fn preserve_at(&mut self, spot: Spot) {
        let segment = &self.regions[spot.region].segments()[spot.place.segment];
        if let (Some(cut), Some(entry)) = (&mut self.cut, segment.entry(spot.place.at)) {
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
        let Some(Spot { region, place }) = self.locate_key(key) else {
            return false;
        };
        let region = &mut self.regions[region];
        if let Some(deadline) = deadline {
            region.deadline_min = region.deadline_min.min(deadline.ms());
        }
        let segment = region.segment_mut(place.segment);
        let before = segment.volatile();
        segment.set_deadline(place.at, deadline);
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
        all.regions
            .into_iter()
            .flat_map(Region::into_segments)
            .flat_map(|mut segment| segment.take_entries())
    }

    /// Memory of all entries and of the table itself, in bytes: estimated from some of them where they are many.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_by(SAMPLES)
    }

    /// The same, as judged by so many entries. Exact where they are all.
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
        let regions = self.regions.iter().map(|it| it.memory_bytes(exact));
        regions.sum::<usize>() + block_size(self.regions.capacity() * size_of::<Region>())
    }

    /// When the next entry may expire: no later than any does.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let min = self.regions.iter().map(|it| it.deadline_min).min();
        min.filter(|min| *min != u64::MAX).map(UnixMillis::new)
    }

    /// All entries, in the order of their segments.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.regions
            .iter()
            .flat_map(|region| region.segments().iter())
            .flat_map(|segment| {
                segment.prefetch_all();
                segment.entries()
            })
    }

    /// Visits about `count` entries from `from` on, in the order of their hashes. Returns where to go on, or `None` at the end. Entries whose
    /// positions are equal are visited together, so none is left out.
    pub fn scan(
        &self,
        from: Position,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) -> Option<Position> {
        if self.regions.is_empty() {
            return None;
        }
        let mut from = from;
        let mut left = count.max(1);
        let mut in_order: Vec<(Position, &Entry)> = Vec::new();
        loop {
            let segment = self.segment_at(from);
            segment.prefetch_all();
            let next = from.after(u32::from(self.region_bits) + u32::from(segment.depth));
            if let Some(next) = next {
                self.segment_at(next).prefetch_rows();
            }
            in_order.clear();
            in_order.extend(
                segment
                    .entries()
                    .map(|entry| (Position::of(self.hasher.hash(entry.key())), entry))
                    .filter(|(position, _)| *position >= from),
            );
            in_order.sort_unstable_by_key(|(position, _)| *position);
            let mut last = None;
            for &(position, entry) in &in_order {
                if left == 0 && last != Some(position) {
                    return Some(position);
                }
                visit(entry);
                left = left.saturating_sub(1);
                last = Some(position);
            }
            // An empty segment counts too: looking at it was work.
            if in_order.is_empty() {
                left = left.saturating_sub(1);
            }
            from = next?;
            if left == 0 {
                return Some(from);
            }
        }
    }

    /// Where the entries at and behind a position stand.
    fn segment_at(&self, position: Position) -> &Segment {
        let (region, rest) = self.region_of(position.first_hash());
        let region = &self.regions[region];
        &region.segments()[region.segment_of(rest)]
    }

    /// Some entry; nearly every one is as likely as every other.
    pub fn random(&self, random: &mut fastrand::Rng) -> Option<&Entry> {
        Some(self.at(self.random_spot(random)?))
    }

    /// Where such an entry stands.
    pub fn random_spot(&self, random: &mut fastrand::Rng) -> Option<Spot> {
        if self.len == 0 {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            let (region, rest) = self.region_of(random.u64(..));
            let segment = self.regions[region].segment_of(rest);
            let len = self.regions[region].segments()[segment].len();
            if len > 0 {
                let at = random.usize(..len);
                let place = Place { segment, at };
                return Some(Spot { region, place });
            }
        }
        self.locate_key(self.iter().next()?.key())
    }

    /// How many entries are `eligible`.
    pub fn eligible_len(&self, eligible: Eligible) -> usize {
        match eligible {
            Eligible::All => self.len,
            Eligible::Volatile => self.volatile,
        }
    }

    /// Visits about `wanted` entries drawn at random, of those that are `eligible`; some may come twice. Where hardly any are it may find none in
    /// its bounds, though there is one: the next call looks elsewhere.
    pub fn sample(
        &self,
        eligible: Eligible,
        wanted: usize,
        random: &mut fastrand::Rng,
        mut visit: impl FnMut(&Entry),
    ) {
        let mut left = wanted.min(self.eligible_len(eligible));
        if left == 0 {
            return;
        }
        let all = left;
        for _ in 0..SAMPLE_TRIES {
            let (region, rest) = self.region_of(random.u64(..));
            let region = &self.regions[region];
            let segment = &region.segments()[region.segment_of(rest)];
            left -= segment.sample(eligible, left, random, &mut visit);
            if left == 0 {
                return;
            }
        }
        if left < all {
            return;
        }
        let mut looks = SEGMENTS_PER_SEARCH_MAX;
        let first = random.usize(..self.regions.len());
        for region in (first..self.regions.len()).chain(0..first) {
            let region = &self.regions[region];
            if eligible == Eligible::Volatile && region.deadline_min == u64::MAX {
                continue;
            }
            let segments = region.segments();
            let first = random.usize(..segments.len());
            for segment in (first..segments.len()).chain(0..first) {
                left -= segments[segment].sample(eligible, left, random, &mut visit);
                looks -= 1;
                if left == 0 || looks == 0 {
                    return;
                }
            }
        }
    }

    /// Removes expired entries, at most `budget`, and hands each to `removed`. Looks only where some key may be due, and at a bounded number of
    /// segments; the next call goes on where this one stopped.
    pub fn expire_some(
        &mut self,
        now: UnixMillis,
        budget: usize,
        mut removed: impl FnMut(Entry),
    ) -> Expired {
        let mut expired = Expired::default();
        if self.volatile == 0 {
            return expired;
        }
        let mut looks = SEGMENTS_PER_SWEEP_MAX;
        for _ in 0..=self.regions.len() {
            self.sweep_region %= self.regions.len();
            let region = self.sweep_region;
            if self.regions[region].deadline_min < now.ms() {
                while self.sweep_segment < self.regions[region].segments().len() {
                    let segment = self.sweep_segment;
                    if looks == 0 {
                        expired.more = true;
                        return expired;
                    }
                    looks -= 1;
                    if self.regions[region].segments()[segment].may_be_due(now)
                        && let Some(at) =
                            self.regions[region].segment_mut(segment).find_expired(now)
                    {
                        if expired.removed == budget {
                            expired.more = true;
                            return expired;
                        }
                        // The same segment again: the removal may have put another in its place.
                        let place = Place { segment, at };
                        removed(self.take_in_place(Spot { region, place }));
                        expired.removed += 1;
                        continue;
                    }
                    self.sweep_segment += 1;
                }
                let min = self.regions[region]
                    .segments()
                    .iter()
                    .map(|segment| segment.deadline_min())
                    .min();
                self.regions[region].deadline_min = min.unwrap_or(u64::MAX);
            }
            self.sweep_region += 1;
            self.sweep_segment = 0;
        }
        expired
    }
}

impl Clone for Keyspace {
    /// The same hasher puts the same keys into the same places: nothing is looked up.
    fn clone(&self) -> Self {
        Self {
            regions: self.regions.clone(),
            hasher: self.hasher.clone(),
            cut: None,
            ..*self
        }
    }
}

#[cfg(test)]
#[path = "keyspace_tests.rs"]
mod tests;
