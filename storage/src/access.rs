//! When and how often a key was used: the 32 bits by which OBJECT IDLETIME, OBJECT FREQ and
//! eviction judge it.
//!
//! ```text
//! LRU   32 bits: ticks of 32 ms since the epoch, which wrap after four years
//! LFU   16 bits: minutes since the epoch, when the counter last decayed
//!       8 bits: logarithmic counter of uses
//! ```
//!
//! LFU as in Redis (see "Key eviction" in its documentation): the counter of a new key is five,
//! grows with probability `1 / ((counter - 5) * lfu-log-factor + 1)` a use, and loses one every
//! `lfu-decay-time` minutes. Redis's clock of LRU counts seconds: in a small cache, where keys live
//! for some seconds, it hardly tells them apart.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::entry::Entry;

/// The counter of a new key, so that it has a chance to be used before it is evicted.
const LFU_INITIAL: u32 = 5;

/// Milliseconds of LRU's tick: fine enough to order what lives for seconds, and seldom another one
/// for a key that is used all the time.
const TICK_MS: u64 = 32;

const LFU_MINUTES_MASK: u64 = (1 << 16) - 1;

/// What a use of a key notes, as `maxmemory-policy` has it: when it was (LRU), or that it was (LFU,
/// a logarithmic counter after Morris, "Counting large numbers of events in small registers",
/// 1978). See <https://redis.io/docs/latest/develop/reference/eviction/>.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AccessPolicy {
    /// The time of the last use. Without an eviction policy too, for OBJECT IDLETIME.
    #[default]
    Lru,
    /// How often, with decay.
    Lfu {
        /// How seldom the counter grows: the larger, the more uses it takes (`lfu-log-factor`).
        log_factor: u32,
        /// Minutes; 0 never decays.
        decay_time_min: u32,
    },
}

fn lru_clock(now: UnixMillis) -> u32 {
    (now.ms() / TICK_MS) as u32
}

fn minutes(now: UnixMillis) -> u32 {
    ((now.seconds() / 60) & LFU_MINUTES_MASK) as u32
}

impl AccessPolicy {
    /// Whether it counts uses.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::Lfu { .. })
    }

    /// What a new key starts with.
    #[inline]
    pub fn fresh(self, now: UnixMillis) -> u32 {
        match self {
            Self::Lru => lru_clock(now),
            Self::Lfu { .. } => (minutes(now) << 8) | LFU_INITIAL,
        }
    }

    /// Notes a use of `entry`.
    #[inline]
    pub fn touch(self, entry: &mut Entry, now: UnixMillis, random: &mut fastrand::Rng) {
        match self {
            Self::Lru => entry.set_access(lru_clock(now)),
            Self::Lfu {
                log_factor,
                decay_time_min,
            } => {
                let counter = decayed(entry.access(), now, decay_time_min);
                let base = counter.saturating_sub(LFU_INITIAL);
                let grows = counter < 255 && random.f64() * f64::from(base * log_factor + 1) < 1.0;
                entry.set_access((minutes(now) << 8) | (counter + u32::from(grows)));
            }
        }
    }

    /// How long `entry` has not been used. Means something under LRU only.
    pub fn idle_time(entry: &Entry, now: UnixMillis) -> Duration {
        Duration::from_millis(Self::idle_ms(entry, now))
    }

    /// How long the value was not used, in milliseconds.
    #[inline]
    pub fn idle_ms(entry: &Entry, now: UnixMillis) -> u64 {
        let ticks = lru_clock(now).wrapping_sub(entry.access());
        u64::from(ticks) * TICK_MS
    }

    /// Notes a use that was told from outside (RESTORE, a file); without one, that it is fresh.
    pub fn restore(
        self,
        entry: &mut Entry,
        idle_s: Option<u64>,
        frequency: Option<u8>,
        now: UnixMillis,
    ) {
        let access = match (self, idle_s, frequency) {
            (Self::Lru, Some(idle_s), _) => {
                // Rounded up, so that it counts as so many seconds at once.
                let ticks = idle_s.saturating_mul(1_000).div_ceil(TICK_MS);
                lru_clock(now).wrapping_sub(u32::try_from(ticks).unwrap_or(u32::MAX))
            }
            (Self::Lfu { .. }, _, Some(counter)) => (minutes(now) << 8) | u32::from(counter),
            _ => self.fresh(now),
        };
        entry.set_access(access);
    }

    /// The counter of `entry` after decay; `None` under LRU.
    pub fn frequency(self, entry: &Entry, now: UnixMillis) -> Option<u32> {
        match self {
            Self::Lru => None,
            Self::Lfu { decay_time_min, .. } => Some(decayed(entry.access(), now, decay_time_min)),
        }
    }
}

/// The counter in `access`, less one for every decay period since it last decayed.
fn decayed(access: u32, now: UnixMillis, decay_time_min: u32) -> u32 {
    let elapsed = minutes(now).wrapping_sub(access >> 8) & LFU_MINUTES_MASK as u32;
    let periods = elapsed.checked_div(decay_time_min).unwrap_or(0);
    (access & 0xff).saturating_sub(periods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_counts_seconds_since_the_last_use() {
        let mut entry = Entry::string(b"k", b"v", None);
        let mut random = fastrand::Rng::with_seed(1);
        AccessPolicy::Lru.touch(&mut entry, UnixMillis::new(1_000_000), &mut random);
        let later = UnixMillis::new(1_042_999);
        assert_eq!(AccessPolicy::idle_time(&entry, later).as_secs(), 42);
    }

    #[test]
    fn a_counter_grows_ever_more_slowly_and_decays() {
        let policy = AccessPolicy::Lfu {
            log_factor: 10,
            decay_time_min: 1,
        };
        let now = UnixMillis::new(60_000 * 100);
        let mut entry = Entry::string(b"k", b"v", None);
        let mut random = fastrand::Rng::with_seed(1);
        entry.set_access(policy.fresh(now));
        assert_eq!(policy.frequency(&entry, now), Some(5));
        let mut counts = Vec::new();
        for uses in 1..=100_000 {
            policy.touch(&mut entry, now, &mut random);
            if [100, 1000, 100_000].contains(&uses) {
                counts.push(policy.frequency(&entry, now).unwrap_or(0));
            }
        }
        // Redis's documentation gives 10, 18 and 142 for these.
        assert!((8..=13).contains(&counts[0]), "{counts:?}");
        assert!((14..=22).contains(&counts[1]), "{counts:?}");
        assert!((120..=160).contains(&counts[2]), "{counts:?}");
        let later = UnixMillis::new(60_000 * 110);
        assert_eq!(policy.frequency(&entry, later), Some(counts[2] - 10));
    }
}
