//! The members of a large set: buckets that are added and taken away one at a time.
//!
//! A member's bucket is told by the last bits of its hash. With n buckets, those from n to the next
//! power of two are not there yet, and their members are in the bucket without the first of those
//! bits; adding bucket n parts that one. So no insertion pays for the whole table, and nothing has
//! to be kept about where buckets are. (Litwin: Linear hashing, 1980.)
//!
//! Why not the keyspace, which a set's table was before: its entries are a block each, 32 bytes for
//! 16, and 12 more for their place. A million members of 16 bytes took 44.9 bytes each where Redis
//! takes 38.5, integers 28.8 where Redis takes 24.3.
//!
//! A scan goes by the bits of the hashes read backwards: there every bucket is one range, whatever
//! buckets come and go, so that a member which stays throughout is passed exactly once.
//!
//! Invariants: a member stands at most once, in the bucket of its hash; there is at least one
//! bucket; `len` counts members.

use super::bucket::{Bucket, Packed};
use crate::block_size::block_size;
use crate::item::Item;
use crate::keyspace::{KeyHasher, Position};
use crate::prefetch::{self, GROUP_LEN_MAX};
use crate::slabs::Slabs;

use smallvec::SmallVec;

/// Members for each bucket above which one is added.
const LOAD_MAX: usize = 32;
/// Members for each bucket below which one goes.
const LOAD_MIN: usize = 12;
/// Buckets in a slab: the most that fit the 2,048 bytes which allocators have a class for.
const BUCKETS_PER_SLAB: usize = 2048 / size_of::<Bucket>();
/// Tables with fewer members stay in the processor's caches: fetching ahead would cost more than it
/// saves.
const FETCHED_LEN_MIN: usize = 10_000;
/// In smaller ones the members themselves do, where nobody else wants the caches: only where they
/// stand is fetched.
const MATCHES_LEN_MIN: usize = 20_000;
/// Draws of a random place before the first member is taken as it is.
const RANDOM_TRIES: usize = 1000;

/// A set of byte strings in buckets that come and go one at a time: linear hashing (Litwin, "Linear
/// hashing: a new tool for file and table addressing", 1980).
#[derive(Clone)]
pub(crate) struct LinearHashSet {
    buckets: Slabs<Bucket, BUCKETS_PER_SLAB>,
    len: usize,
    hasher: KeyHasher,
}

/// Where a member stands. Good until the table changes.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    bucket: usize,
    at: usize,
}

/// The part of a hash that its bucket keeps: the bits that choose the bucket last.
fn mark(hash: u64) -> u8 {
    (hash >> 56) as u8
}

impl LinearHashSet {
    pub fn new() -> Self {
        Self {
            buckets: Slabs::of(Bucket::default()),
            len: 0,
            hasher: KeyHasher::random(),
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Blocks of memory, about.
    pub fn block_count(&self) -> usize {
        self.buckets.len()
    }

    /// The greatest power of two up to the count of buckets.
    fn base(&self) -> usize {
        1 << self.buckets.len().ilog2()
    }

    #[inline]
    fn bucket_of(&self, hash: u64) -> usize {
        let (count, base) = (self.buckets.len(), self.base());
        let wide = hash as usize & (2 * base - 1);
        if wide < count {
            wide
        } else {
            wide & (base - 1)
        }
    }

    /// How many last bits the hashes in a bucket share.
    fn depth(&self, bucket: usize) -> u32 {
        let (count, base) = (self.buckets.len(), self.base());
        let parted = bucket >= base || bucket < count - base;
        base.trailing_zeros() + u32::from(parted)
    }

    fn hash_of(&self, item: Item<'_>) -> u64 {
        self.hasher.hash(item.text(&mut itoa::Buffer::new()))
    }

    fn locate(&self, hash: u64, member: &Packed<'_>) -> Option<Spot> {
        let bucket = self.bucket_of(hash);
        let at = self.buckets[bucket].find(mark(hash), member)?;
        Some(Spot { bucket, at })
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        let hash = self.hasher.hash(member);
        self.locate(hash, &Packed::new(member)).is_some()
    }

    /// Adds a member. Returns whether it is new.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        let (hash, member) = (self.hasher.hash(member), Packed::new(member));
        let bucket = self.bucket_of(hash);
        let place = &mut self.buckets[bucket];
        if place.find(mark(hash), &member).is_some() {
            return false;
        }
        place.push(mark(hash), &member);
        self.len += 1;
        if self.len > self.buckets.len() * LOAD_MAX {
            self.grow();
        }
        true
    }

    /// Removes a member. Returns whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher.hash(member);
        match self.locate(hash, &Packed::new(member)) {
            Some(spot) => {
                self.remove_at(spot);
                true
            }
            None => false,
        }
    }

    /// Removes the member at a spot.
    pub fn remove_at(&mut self, spot: Spot) {
        self.buckets[spot.bucket].remove(spot.at);
        self.len -= 1;
        if self.len < self.buckets.len() * LOAD_MIN {
            self.shrink();
        }
    }

    /// The member at a spot.
    pub fn at(&self, spot: Spot) -> Item<'_> {
        self.buckets[spot.bucket].get(spot.at)
    }

    /// Adds a bucket.
    fn grow(&mut self) {
        let base = self.base();
        let parted = self.buckets.len() - base;
        let hasher = &self.hasher;
        let added = self.buckets[parted].split(|item| {
            let hash = hasher.hash(item.text(&mut itoa::Buffer::new()));
            hash as usize & base != 0
        });
        self.buckets.push(added);
    }

    /// Takes the last bucket away.
    fn shrink(&mut self) {
        let Some(last) = self.buckets.len().checked_sub(1).filter(|last| *last > 0) else {
            return;
        };
        let gone = self.buckets.swap_remove(last);
        let joined = last - (1 << last.ilog2());
        self.buckets[joined].absorb(gone);
    }

    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        self.buckets.iter().flat_map(Bucket::iter)
    }

    /// Some place, each as likely as any other, as long as no bucket is much fuller than all are.
    pub fn random_spot(&self, random: &mut fastrand::Rng) -> Option<Spot> {
        // A bucket is drawn by a hash, so one that is not parted yet twice as often; a place of it
        // by a bound twice as large.
        let deepest = self.base().trailing_zeros() + 1;
        let bound = (self.len >> deepest) * 3 / 2 + 12;
        for _ in 0..RANDOM_TRIES {
            let bucket = self.bucket_of(random.u64(..));
            let len = self.buckets[bucket].len();
            let bound = bound << (deepest - self.depth(bucket));
            let at = random.usize(..bound.max(len));
            if at < len {
                return Some(Spot { bucket, at });
            }
        }
        let bucket = (0..self.buckets.len()).find(|it| self.buckets[*it].len() > 0)?;
        Some(Spot { bucket, at: 0 })
    }

    /// Visits about `count` members from `from` on, in the order of their hashes read backwards.
    /// Returns where to go on, or `None` at the end. Members whose positions are equal are visited
    /// together, so none is left out.
    pub fn scan(
        &self,
        mut from: Position,
        count: usize,
        mut visit: impl FnMut(Item<'_>),
    ) -> Option<Position> {
        let mut left = count.max(1);
        let mut in_order: Vec<(Position, usize)> = Vec::new();
        loop {
            let index = self.bucket_of(from.first_hash().reverse_bits());
            let bucket = &self.buckets[index];
            let position = |item| Position::of(self.hash_of(item).reverse_bits());
            in_order.clear();
            in_order.extend(bucket.iter().map(position).zip(0..));
            in_order.retain(|(position, _)| *position >= from);
            in_order.sort_unstable();
            let mut last = None;
            for &(position, at) in &in_order {
                if left == 0 && last != Some(position) {
                    return Some(position);
                }
                visit(bucket.get(at));
                left = left.saturating_sub(1);
                last = Some(position);
            }
            // An empty bucket counts too: looking at it was work.
            if in_order.is_empty() {
                left = left.saturating_sub(1);
            }
            from = from.after(self.depth(index))?;
            if left == 0 {
                return Some(from);
            }
        }
    }

    /// Heap memory, in bytes, as judged by the buckets of so many members. Exact where they are
    /// all.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        let count = self.buckets.len();
        let measured = samples.div_ceil(LOAD_MIN).clamp(1, count);
        let (mut bytes, mut members) = (0, 0);
        // All over the table, since buckets that are parted already are smaller.
        for at in 0..measured {
            let bucket = &self.buckets[at * count / measured];
            bytes += bucket.memory_bytes();
            members += bucket.len();
        }
        let all = if measured == count {
            bytes
        } else {
            (bytes as u128 * self.len as u128 / members.max(1) as u128) as usize
        };
        block_size(size_of::<Self>()) + self.buckets.memory_bytes() + all
    }

    /// Whether asking for members ahead is of use.
    pub fn is_worth_fetching(&self) -> bool {
        self.len >= FETCHED_LEN_MIN
    }

    /// Lets what a command needs that names these members be on its way from memory. Takes
    /// [`GROUP_LEN_MAX`] at most.
    pub fn prefetch<'k>(&self, members: impl Iterator<Item = &'k [u8]>) {
        let mut buckets: SmallVec<[(u8, &Bucket); GROUP_LEN_MAX]> = SmallVec::new();
        for member in members.take(GROUP_LEN_MAX) {
            let hash = self.hasher.hash(member);
            let bucket = &self.buckets[self.bucket_of(hash)];
            prefetch::line(bucket);
            buckets.push((mark(hash), bucket));
        }
        for (_, bucket) in &buckets {
            bucket.prefetch();
        }
        if self.len < MATCHES_LEN_MIN {
            return;
        }
        for (mark, bucket) in &buckets {
            bucket.prefetch_matches(*mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn text(number: usize) -> Vec<u8> {
        match number % 3 {
            0 => number.to_string().into_bytes(),
            1 => format!("member:{number}").into_bytes(),
            _ => format!("{number:0140}").into_bytes(),
        }
    }

    /// Runs begin below the first number and are shorter than the second: under Miri some buckets'
    /// worth.
    const RUNS: (usize, usize) = if cfg!(miri) { (60, 90) } else { (1500, 700) };

    proptest! {
            #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 48 }))]

            /// Runs of insertions and removals, so that buckets come and go, under a scan that goes
            /// on all the while.
            #[test]
            fn behaves_as_a_set(runs in proptest::collection::vec((any::<bool>(), 0..RUNS.0, 0..RUNS.1), 1..8)) {
                let (mut table, mut model) = (LinearHashSet::new(), BTreeSet::new());
                let (mut stayed, mut seen) = (None::<BTreeSet<Vec<u8>>>, Vec::new());
                let mut from = Some(Position::default());
                for (adds, first, count) in runs {
                    for number in first..first + count {
                        let member = text(number);
                        if adds {
    prop_assert_eq!(table.insert(&member), model.insert(member))
    } else {
    prop_assert_eq!(table.remove(&member), model.remove(&member));
                                if let Some(stayed) = &mut stayed { stayed.remove(&member); }
    }
                    }
                    stayed.get_or_insert_with(|| model.clone());
                    prop_assert_eq!(table.len(), model.len());
                    prop_assert!((0..RUNS.0 + RUNS.1 + 100).map(text).all(|it| table.contains(&it) == model.contains(&it)));
                    prop_assert_eq!(table.iter().map(Item::to_vec).collect::<BTreeSet<_>>(), model.clone());
                    prop_assert!(table.buckets.len() <= model.len() / LOAD_MIN + 2);
                    let members: Vec<_> = (0..GROUP_LEN_MAX).map(text).collect();
                    table.prefetch(members.iter().map(Vec::as_slice));
                    if let Some(at) = from {
                        from = table.scan(at, 100, |item| seen.push(item.to_vec()));
                    }
                }
                while let Some(at) = from {
                    from = table.scan(at, 100, |item| seen.push(item.to_vec()));
                }
                for member in stayed.into_iter().flatten() {
                    prop_assert_eq!(seen.iter().filter(|it| **it == member).count(), 1);
                }
            }
        }

    #[test]
    fn every_member_is_drawn_as_often() {
        let mut table = LinearHashSet::new();
        // Some buckets are parted and some are not.
        let len = LOAD_MAX * 11;
        (0..len).for_each(|number| assert!(table.insert(&text(number))));
        let mut random = fastrand::Rng::with_seed(7);
        let mut drawn = std::collections::BTreeMap::<Vec<u8>, f64>::new();
        const TIMES: usize = if cfg!(miri) { 10 } else { 400 };
        for _ in 0..len * TIMES {
            let spot = table.random_spot(&mut random).expect("it is not empty");
            *drawn.entry(table.at(spot).to_vec()).or_default() += 1.0;
        }
        assert_eq!(drawn.len(), len);
        let expected = TIMES as f64;
        let chi_square: f64 = drawn
            .values()
            .map(|it| (it - expected).powi(2) / expected)
            .sum();
        // Its mean is `len`, its deviation the root of twice that.
        let deviation = (2.0 * len as f64).sqrt();
        assert!(
            (chi_square - len as f64).abs() < 5.0 * deviation,
            "{chi_square}"
        );
    }

    #[test]
    fn the_last_member_can_be_drawn() {
        let mut table = LinearHashSet::new();
        let mut random = fastrand::Rng::with_seed(7);
        assert!(table.random_spot(&mut random).is_none());
        (0..500).for_each(|number| assert!(table.insert(&text(number))));
        for left in (0..500).rev() {
            let spot = table.random_spot(&mut random).expect("it is not empty");
            table.remove_at(spot);
            assert_eq!(table.len(), left);
        }
        assert_eq!(table.buckets.len(), 1);
    }
}
