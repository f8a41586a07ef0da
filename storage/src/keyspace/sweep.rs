//! Active expiry: a sweep over the segments in which something may be due.

use super::{Keyspace, Spot};
use crate::clock::UnixMillis;
use crate::directory::Slot;
use crate::entry::Entry;

/// Segments that one sweep for expired keys looks at.
const SEGMENTS_PER_SWEEP_MAX: usize = 8192;

/// What a sweep for expired keys did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// How many entries it removed.
    pub removed: usize,
    /// It stopped at a bound: there may be more.
    pub more: bool,
}

impl Keyspace {
    /// Removes expired entries, at most `budget`, and hands each to `removed`. Looks only where
    /// some key may be due, and at a bounded number of segments; the next call goes on where this
    /// one stopped.
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
        for _ in 0..=self.directories.len() {
            self.sweep_directory %= self.directories.len();
            let directory = self.sweep_directory;
            if self.directories[directory].deadline_min < now.ms() {
                while self.sweep_segment < self.directories[directory].segments().len() {
                    let segment = self.sweep_segment;
                    if looks == 0 {
                        expired.more = true;
                        return expired;
                    }
                    looks -= 1;
                    if self.directories[directory].segments()[segment].may_be_due(now)
                        && let Some(at) = self.directories[directory]
                            .segment_mut(segment)
                            .find_expired(now)
                    {
                        if expired.removed == budget {
                            expired.more = true;
                            return expired;
                        }
                        // This segment once more: the removal may have moved another entry there.
                        let slot = Slot { segment, at };
                        removed(self.take_in_place(Spot { directory, slot }));
                        expired.removed += 1;
                        continue;
                    }
                    self.sweep_segment += 1;
                }
                let min = self.directories[directory]
                    .segments()
                    .iter()
                    .map(|segment| segment.deadline_min())
                    .min();
                self.directories[directory].deadline_min = min.unwrap_or(u64::MAX);
            }
            self.sweep_directory += 1;
            self.sweep_segment = 0;
        }
        expired
    }
}
