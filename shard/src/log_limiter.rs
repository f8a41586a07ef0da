//! A rate limit for log lines that could come by the thousand: slow commands, rejected clients,
//! evicted keys.
//!
//! A shard logs a few lines of each kind a second. The next line says how many were left out. So a
//! log at its usual level shows what happens, and how often, and does not fill the disk.

use std::cell::Cell;
use std::time::Instant;

use tracing::{info, warn};

use crate::shard::Shard;
use crate::snapshot::unix_s;

/// Lines of one kind in a second.
const LINES_PER_SECOND_MAX: u32 = 10;

/// The limit for one kind of line, of one thread.
#[derive(Default)]
pub struct LogLimiter {
    second: Cell<u64>,
    logged: Cell<u32>,
    left_out: Cell<u64>,
}

impl LogLimiter {
    /// `Some` where a line may be logged in this `second`: how many were left out since the last
    /// one. `None` where this one is to be left out.
    pub fn admit(&self, second: u64) -> Option<u64> {
        if self.second.replace(second) != second {
            self.logged.set(0);
        }
        if self.logged.get() >= LINES_PER_SECOND_MAX {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.logged.set(self.logged.get() + 1);
        Some(self.left_out.take())
    }
}

/// The limits of one shard's log lines.
#[derive(Default)]
pub struct LogLimits {
    pub slow_commands: LogLimiter,
    pub limits: LogLimiter,
    pub handshakes: LogLimiter,
    pub denied: LogLimiter,
    pub attacks: LogLimiter,
    pub evicted_clients: LogLimiter,
    /// When evictions were last logged, and what had been counted by then.
    evictions_at: Option<Instant>,
    evicted_keys: u64,
    refused_for_memory: u64,
}

impl Shard {
    /// Seconds of wall time since 1970, for [`LogLimiter::admit`]. It reads the clock: the turn's
    /// time stands still while connections are only turned away.
    pub(crate) fn second(&self) -> u64 {
        crate::shard::wall_time().ms() / 1_000
    }

    /// Logs, at most once a second, what the limit on memory has done.
    pub(crate) fn log_evictions(&mut self) {
        let (evicted, refused) = (
            self.engine.effects.evicted_keys,
            self.engine.stats.refused_for_memory,
        );
        let limits = &mut self.measured.log_limits;
        // CONFIG RESETSTAT begins anew.
        let keys = evicted.checked_sub(limits.evicted_keys).unwrap_or(evicted);
        let commands = refused
            .checked_sub(limits.refused_for_memory)
            .unwrap_or(refused);
        let is_early = limits
            .evictions_at
            .is_some_and(|at| self.clock.instant.saturating_duration_since(at).as_secs() < 1);
        if (keys, commands) == (0, 0) || is_early {
            return;
        }
        limits.evictions_at = Some(self.clock.instant);
        (limits.evicted_keys, limits.refused_for_memory) = (evicted, refused);
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
    fn the_next_line_says_how_many_were_left_out() {
        let limiter = LogLimiter::default();
        for _ in 0..LINES_PER_SECOND_MAX {
            assert_eq!(limiter.admit(7), Some(0));
        }
        assert_eq!((limiter.admit(7), limiter.admit(7)), (None, None));
        assert_eq!(limiter.admit(8), Some(2));
        assert_eq!(limiter.admit(8), Some(0));
    }
}
