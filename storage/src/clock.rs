//! Time as storage knows it: a number that comes in from outside.

use std::time::Duration;

/// Milliseconds since the Unix epoch: the unit of every deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The instant `ms` milliseconds after the epoch.
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// What is left until this instant; nothing where it has passed.
    pub const fn since(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }

    /// Whether a key with this deadline is gone at `now`. Redis keeps a key through the very
    /// millisecond of its deadline.
    pub const fn has_passed(self, now: Self) -> bool {
        now.0 > self.0
    }
}
