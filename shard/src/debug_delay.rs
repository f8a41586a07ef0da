//! Saving and loading slowed down, so that tests can look at what goes on meanwhile:
//! `rdb-key-save-delay` and `key-load-delay`.
//!
//! A shard that waits goes on serving. What is left of a wait ends when the parameter changes, so
//! that nobody has to sit one out.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use config::Config;

use crate::shard::Shard;

/// How often who waits looks whether he still has to.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The wait that belongs to so many keys, in microseconds a key; negative: one microsecond for so
/// many keys.
fn delay_after(keys: u64, delay_us: i64) -> Duration {
    let us = match delay_us {
        0 => 0,
        1.. => keys.saturating_mul(delay_us.unsigned_abs()),
        ..0 => keys / delay_us.unsigned_abs(),
    };
    Duration::from_micros(us)
}

/// Waits after so many keys as long as `delay_us` says, and as long as that stays what it is and
/// `goes_on` holds.
pub async fn wait_after(
    shard: &RefCell<Shard>,
    keys: u64,
    delay_us: fn(&Config) -> i64,
    goes_on: impl Fn(&Shard) -> bool,
) {
    let told = delay_us(&shard.borrow().engine.config);
    let delay = delay_after(keys, told);
    if delay.is_zero() {
        return;
    }
    let began = Instant::now();
    loop {
        let left = delay.saturating_sub(began.elapsed());
        let still = {
            let shard = shard.borrow();
            !shard.stop.is_under_way && delay_us(&shard.engine.config) == told && goes_on(&shard)
        };
        if left.is_zero() || !still {
            return;
        }
        monoio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}

/// Waits as a delay asks, on a thread that serves nobody.
pub fn block_after(keys: u64, config: impl Fn() -> i64) {
    let told = config();
    let delay = delay_after(keys, told);
    let began = Instant::now();
    while began.elapsed() < delay && config() == told {
        std::thread::sleep(delay.saturating_sub(began.elapsed()).min(LOOK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_delay_is_a_part_of_a_microsecond() {
        assert_eq!(delay_after(3, 0), Duration::ZERO);
        assert_eq!(delay_after(3, 50), Duration::from_micros(150));
        assert_eq!(delay_after(30, -10), Duration::from_micros(3));
        assert_eq!(delay_after(u64::MAX, 2), Duration::from_micros(u64::MAX));
    }
}
