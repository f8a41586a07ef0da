//! Lines for the log that could come by the thousand: slow commands, clients turned away, keys evicted.
//!
//! Of each kind a shard tells a few a second, and with the next one how many it has left out. So a log at its usual level shows that something
//! happens and how much of it, and neither fills the disk nor costs what it tells of.

use std::cell::Cell;
use std::time::Instant;

use tracing::{info, warn};

use crate::shard::Shard;
use crate::snapshot::unix_s;

/// Lines of one kind in a second.
const LINES_PER_SECOND_MAX: u32 = 10;

/// How many lines of one kind have been told in this second.
#[derive(Default)]
pub struct Sparing {
    second: Cell<u64>,
    told: Cell<u32>,
    left_out: Cell<u64>,
}

impl Sparing {
    /// Whether a line may be told in this second, and if so how many were left out since the last one.
    pub fn tell(&self, second: u64) -> Option<u64> {
        if self.second.replace(second) != second {
            self.told.set(0);
        }
        if self.told.get() >= LINES_PER_SECOND_MAX {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.told.set(self.told.get() + 1);
        Some(self.left_out.take())
    }
}

/// What one shard has told.
#[derive(Default)]
pub struct Told {
    pub slow_commands: Sparing,
    pub limits: Sparing,
    pub denied: Sparing,
    pub attacks: Sparing,
    pub evicted_clients: Sparing,
    /// When evictions were last told, and what had been counted by then.
    evictions_at: Option<Instant>,
    evicted_keys: u64,
    refused_for_memory: u64,
}

impl Shard {
    /// This second, for [`Sparing::tell`]. Not by the turn's clock, which stands while connections
    /// are only turned away.
    pub(crate) fn second(&self) -> u64 {
        crate::shard::wall_time().ms() / 1_000
    }

    /// Tells once a second what a limit on memory has done.
    pub(crate) fn tell_evictions(&mut self) {
        let (evicted, refused) = (
            self.engine.effects.evicted_keys,
            self.engine.stats.refused_for_memory,
        );
        let told = &mut self.told;
        // CONFIG RESETSTAT begins anew.
        let keys = evicted.checked_sub(told.evicted_keys).unwrap_or(evicted);
        let commands = refused
            .checked_sub(told.refused_for_memory)
            .unwrap_or(refused);
        let is_early = told
            .evictions_at
            .is_some_and(|at| self.instant.saturating_duration_since(at).as_secs() < 1);
        if (keys, commands) == (0, 0) || is_early {
            return;
        }
        told.evictions_at = Some(self.instant);
        (told.evicted_keys, told.refused_for_memory) = (evicted, refused);
        let used_bytes = self.process.memory.used_bytes(unix_s());
        let maxmemory = self.engine.config.maxmemory;
        if commands == 0 {
            // What a cache is for.
            info!(
                keys_evicted = keys,
                used_bytes, maxmemory, "memory is at its limit: keys are evicted"
            );
            return;
        }
        warn!(
            keys_evicted = keys,
            commands_refused = commands,
            used_bytes,
            maxmemory,
            "memory is at its limit: writes are refused"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_with_the_next_line() {
        let sparing = Sparing::default();
        for _ in 0..LINES_PER_SECOND_MAX {
            assert_eq!(sparing.tell(7), Some(0));
        }
        assert_eq!((sparing.tell(7), sparing.tell(7)), (None, None));
        assert_eq!(sparing.tell(8), Some(2));
        assert_eq!(sparing.tell(8), Some(0));
    }
}
