//! Which shard owns a key.
//!
//! A key belongs to slot CRC16(hash tag) mod 16384, as in Redis Cluster, and slots map to shards in
//! even, contiguous ranges, so that a cluster slot never spans two shards.

use config::SHARDS_MAX;
use crc::{CRC_16_XMODEM, Crc, Table};

/// Slots of the key space, as in Redis Cluster.
pub const SLOTS: u32 = 16_384;

static CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// A Redis Cluster slot, below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(u16);

/// A shard's number, below the process's shard count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(u8);

impl ShardId {
    /// The one that every process has.
    pub const FIRST: Self = Self(0);

    /// The shard at `index`; callers count up to a [`SlotMap`]'s `shards`, which [`SHARDS_MAX`]
    /// bounds.
    pub fn new(index: usize) -> Self {
        debug_assert!(index < SHARDS_MAX);
        Self(index as u8)
    }

    /// Position in tables with an element a shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The part of `key` that decides its slot: what stands between the first `{` and the next `}`,
/// unless that is empty.
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else {
        return key;
    };
    let inner = &key[open + 1..];
    match memchr::memchr(b'}', inner) {
        None | Some(0) => key,
        Some(close) => &inner[..close],
    }
}

/// The slot of `key`.
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(CRC16.checksum(hash_tag(key)) & (SLOTS as u16 - 1))
}

/// The even division of slots over shards.
#[derive(Clone, Copy, Debug)]
pub struct SlotMap {
    shards: u32,
}

impl SlotMap {
    /// A map over `shards` shards, from one to [`SHARDS_MAX`].
    pub fn new(shards: usize) -> Self {
        assert!(
            (1..=SHARDS_MAX).contains(&shards),
            "from 1 to {SHARDS_MAX} shards"
        );
        Self {
            shards: shards as u32,
        }
    }

    /// How many shards there are.
    pub fn shards(self) -> usize {
        self.shards as usize
    }

    /// All of them.
    pub fn all(self) -> Vec<ShardId> {
        (0..self.shards()).map(ShardId::new).collect()
    }

    /// The owner of a slot.
    pub fn shard_of_slot(self, slot: Slot) -> ShardId {
        ShardId((u32::from(slot.0) * self.shards / SLOTS) as u8)
    }

    /// The owner of a key. One shard owns everything without a look at the key.
    #[inline]
    pub fn owner(self, key: &[u8]) -> ShardId {
        if self.shards == 1 {
            ShardId(0)
        } else {
            self.shard_of_slot(slot_of(key))
        }
    }

    /// Those of `keys` that `shard` owns.
    pub fn owned(self, shard: ShardId, keys: &[Box<[u8]>]) -> impl Iterator<Item = &[u8]> {
        keys.iter()
            .map(|key| &**key)
            .filter(move |key| self.owner(key) == shard)
    }

    /// The shards that own any of `keys`, in order.
    pub fn owners(self, keys: &[Box<[u8]>]) -> Vec<ShardId> {
        let mut owners: Vec<_> = keys.iter().map(|key| self.owner(key)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // CLUSTER KEYSLOT of a Redis server.
        for (key, slot) in [
            ("foo", 12182),
            ("bar", 5061),
            ("somekey", 11058),
            ("foo{hash_tag}", 2515),
            ("", 0),
        ] {
            assert_eq!(slot_of(key.as_bytes()), Slot(slot), "{key}");
        }
        assert_eq!(
            slot_of(b"{user1000}.following"),
            slot_of(b"{user1000}.followers")
        );
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
    }

    #[test]
    fn every_shard_owns_one_even_range() {
        for shards in [1usize, 2, 3, 4, 7, 16, 256] {
            let map = SlotMap::new(shards);
            let mut sizes = vec![0u32; shards];
            let mut last = 0;
            for slot in 0..SLOTS as u16 {
                let owner = map.shard_of_slot(Slot(slot)).index();
                assert!(owner == last || owner == last + 1);
                last = owner;
                sizes[owner] += 1;
            }
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }
}
