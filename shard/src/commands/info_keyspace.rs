//! INFO's figures about a database.

use std::fmt::Write;

use fastrand::Rng;
use storage::{Eligible, Keyspace, UnixMillis};

/// Keys of a database looked at, on each shard, for the mean time to live.
const TTL_SAMPLES: usize = 20;

/// What one shard has of a database, and the sum of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Database {
    keys: u64,
    /// Keys with a deadline.
    volatile: u64,
    /// Milliseconds that these have left together, as some of them tell.
    left_ms: u128,
    /// Hashes with fields that have a deadline.
    with_field_deadlines: u64,
}

impl Database {
    /// Of one shard, at `now`; `random` chooses the keys that are looked at.
    pub fn of(
        keyspace: &Keyspace,
        now: UnixMillis,
        random: &mut Rng,
        with_field_deadlines: u64,
    ) -> Self {
        let volatile = keyspace.volatile_len() as u64;
        let (mut left_ms, mut seen) = (0, 0);
        keyspace.sample(Eligible::Volatile, TTL_SAMPLES, random, |entry| {
            if let Some(deadline) = entry.deadline() {
                left_ms += u128::from(deadline.ms().saturating_sub(now.ms()));
                seen += 1;
            }
        });
        Self {
            keys: keyspace.len() as u64,
            volatile,
            left_ms: left_ms * u128::from(volatile) / u128::max(seen, 1),
            with_field_deadlines,
        }
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.volatile += other.volatile;
        self.left_ms += other.left_ms;
        self.with_field_deadlines += other.with_field_deadlines;
    }

    fn mean_left_ms(&self) -> u128 {
        self.left_ms / u128::from(self.volatile.max(1))
    }

    /// The line of database `number`, unless it is empty.
    pub fn write(&self, number: usize, out: &mut String) -> std::fmt::Result {
        let Self { keys, volatile, .. } = self;
        match keys {
            0 => Ok(()),
            _ => write!(
                out,
                "db{number}:keys={keys},expires={volatile},avg_ttl={},subexpiry={}\r\n",
                self.mean_left_ms(),
                self.with_field_deadlines
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_one_over_all_shards() {
        let shard = |keys, volatile, left_ms| Database {
            keys,
            volatile,
            left_ms,
            with_field_deadlines: keys / 2,
        };
        let mut sum = Database::default();
        let mut text = String::new();
        sum.write(0, &mut text).expect("written");
        for part in [shard(1, 0, 0), shard(2, 1, 100), shard(9, 3, 900)] {
            sum.add(&part);
        }
        sum.write(3, &mut text).expect("written");
        assert_eq!(text, "db3:keys=12,expires=4,avg_ttl=250,subexpiry=5\r\n");
    }
}
