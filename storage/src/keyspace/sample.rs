//! Entries drawn at random: for RANDOMKEY, for eviction, for what judges many by some.

use super::{Keyspace, Spot};
use crate::directory::Slot;
use crate::entry::Entry;

/// Tries to find a segment that is not empty at random before looking at all in turn.
const RANDOM_TRIES: usize = 128;

/// Segments that a sample is drawn from at random before looking at many in turn.
const SAMPLE_TRIES: usize = 16;

/// Segments that a search for something to sample looks at in turn.
const SEGMENTS_PER_SEARCH_MAX: usize = 8192;

/// Which entries a sample is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eligible {
    /// Every entry.
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

impl Keyspace {
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
            let (directory, rest) = self.directory_of(random.u64(..));
            let segment = self.directories[directory].segment_of(rest);
            let len = self.directories[directory].segments()[segment].len();
            if len > 0 {
                let at = random.usize(..len);
                let slot = Slot { segment, at };
                return Some(Spot { directory, slot });
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

    /// Visits about `wanted` entries drawn at random, of those that are `eligible`; some may come
    /// twice. Where hardly any are it may find none in its bounds, though there is one: the next
    /// call looks elsewhere.
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
            let (directory, rest) = self.directory_of(random.u64(..));
            let directory = &self.directories[directory];
            let segment = &directory.segments()[directory.segment_of(rest)];
            left -= segment.sample(eligible, left, random, &mut visit);
            if left == 0 {
                return;
            }
        }
        if left < all {
            return;
        }
        let mut looks = SEGMENTS_PER_SEARCH_MAX;
        let first = random.usize(..self.directories.len());
        for directory in (first..self.directories.len()).chain(0..first) {
            let directory = &self.directories[directory];
            if eligible == Eligible::Volatile && directory.deadline_min == u64::MAX {
                continue;
            }
            let segments = directory.segments();
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
}
