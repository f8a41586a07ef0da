//! What a shard keeps for `maxmemory`, and how long it may take over it: see `steps::eviction`.

use std::time::Duration;

use storage::Pool;

use crate::slot::ShardId;

/// Evictions between two looks at the time.
pub(crate) const VICTIMS_PER_LOOK: usize = 16;

/// Searches without a victim before others have their turn.
pub(crate) const SEARCHES_MAX: usize = 4;

/// What a key is taken to be worth before one was evicted, in bytes.
pub(crate) const VICTIM_BYTES: i64 = 256;

/// Of how many victims their mean size is, about.
pub(crate) const VICTIMS_OF_MEAN: i64 = 16;

/// The part of its limit by which memory may exceed it while a shard does not come to what it owes.
pub(crate) const OVERDRAFT: i64 = 16;

/// Whether there is memory for a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is.
    Enough,
    /// Not yet: the time for evicting is up, and this shard has more that may go.
    Unfinished,
    /// Not yet: other shards will evict.
    Elsewhere,
    /// No, and nothing may go.
    None,
}

/// How far a shard has come with evicting.
pub struct Evicting {
    /// The first shard on the same thread, which has the account of its memory.
    pub(crate) first_of_thread: ShardId,
    /// What may be evicted next.
    pub candidates: Pool,
    /// What a key that was evicted took, in bytes: a running mean.
    pub(crate) victim_bytes_mean: i64,
    /// The next turn is to go on with it.
    pub is_unfinished: bool,
}

impl Evicting {
    pub fn new(first_of_thread: ShardId) -> Self {
        Self {
            first_of_thread,
            candidates: Pool::default(),
            victim_bytes_mean: VICTIM_BYTES,
            is_unfinished: false,
        }
    }
}

/// How long one command's eviction may take; nothing where it may take any time. Up to 10 it is
/// linear, half a millisecond at the default of 10, and then grows by 15 % a step.
pub(crate) fn time_allowed(tenacity: u32) -> Option<Duration> {
    const STEP: Duration = Duration::from_micros(50);
    match tenacity {
        0..=10 => Some(STEP * tenacity),
        11..100 => Some((STEP * 10).mul_f64(1.15_f64.powi(tenacity as i32 - 10))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_takes_more_time_each_step_and_all_at_last() {
        assert_eq!(time_allowed(0), Some(Duration::ZERO));
        assert_eq!(time_allowed(10), Some(Duration::from_micros(500)));
        let times: Vec<_> = (0..100).map(time_allowed).collect();
        assert!(times.is_sorted() && times.iter().all(Option::is_some));
        assert_eq!(time_allowed(100), None);
    }
}
