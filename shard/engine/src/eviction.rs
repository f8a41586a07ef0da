//! `maxmemory`: what a shard does before a command when the process uses too much.
//!
//! Memory is one for the process and keys are many shards'. Whoever is about to run a command and
//! finds too much in use draws the shard that is to give a key up, each with the chance of its
//! share of the keys: so a shard that is written to much does not lose its keys while others keep
//! old ones for ever. It evicts its own at once; others it *charges* with the bytes (see `memory`),
//! and counts them as freed. A charged shard evicts before its own next command, or when it is
//! called. Nobody waits: what a command takes too much is bounded by [`OWED_MAX`] a shard, and so
//! is what races between shards evict too much.
//!
//! Inside a shard the pool decides, see `storage::eviction`. Work is bounded by time, as
//! `maxmemory-eviction-tenacity` says; what is left is done before the next commands, and by the
//! clock.
//!
//! A command is refused when no shard has a key that may go and none owes anything; or when those
//! that owe do not come to it, in the middle of a long command, and memory is [far](OVERDRAFT)
//! beyond its limit. Keys lent to a transaction may not; nothing is evicted while the whole
//! keyspace is lent.
//!
//! Why no common order of all keys: it would be a lock, or messages, at every use of a key.

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
    /// CLIENT PAUSE: nothing is evicted.
    pub is_paused: bool,
}

impl Evicting {
    pub fn new(first_of_thread: ShardId) -> Self {
        Self {
            first_of_thread,
            candidates: Pool::default(),
            victim_bytes_mean: VICTIM_BYTES,
            is_unfinished: false,
            is_paused: false,
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
