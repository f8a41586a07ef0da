//! Tracking in broadcast mode: clients that hear of every change to a key that begins with one of
//! their prefixes, whether they have read it or not.
//!
//! Every shard knows all prefixes and on which shards there are clients for each; only a client's
//! own shard, its home, knows which clients those are. A home tells the others when a prefix has
//! its first client there and when its last one has gone. A client that turns broadcasting on is
//! answered once all shards know.
//!
//! What changes in a turn is told at its end, one message a prefix, with the keys in order: as
//! Redis does before it sleeps.

use std::collections::BTreeMap;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::header::ClientAddress;
use crate::slot::ShardId;

/// Shards that have clients for a prefix.
type Homes = SmallVec<[ShardId; 4]>;

/// All prefixes there are, as a shard knows them that has keys.
#[derive(Default)]
pub struct Prefixes {
    homes: BTreeMap<Bytes, Homes>,
    /// How many prefixes have each length: so many looks tell whether one fits a key.
    lengths: BTreeMap<usize, usize>,
}

/// A key that has changed, and who changed it last; nobody where time did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    pub key: Bytes,
    pub by: Option<ClientAddress>,
}

/// What clients for one prefix are to hear.
#[derive(Debug)]
pub struct OfPrefix {
    pub prefix: Bytes,
    pub homes: Homes,
    /// In ascending order.
    pub keys: Vec<Changed>,
}

impl Prefixes {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.homes.is_empty()
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.homes.len()
    }

    /// There are clients for a prefix on this shard.
    pub fn add(&mut self, prefix: &Bytes, home: ShardId) {
        let homes = self.homes.entry(prefix.clone()).or_default();
        if homes.is_empty() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        if !homes.contains(&home) {
            homes.push(home);
        }
    }

    /// There are none any more.
    pub fn remove(&mut self, prefix: &Bytes, home: ShardId) {
        let Some(homes) = self.homes.get_mut(prefix) else {
            return;
        };
        homes.retain(|other| *other != home);
        if homes.is_empty() {
            self.homes.remove(prefix);
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }

    /// Those that a key begins with.
    fn fitting<'p, 'k>(
        &'p self,
        key: &'k [u8],
    ) -> impl Iterator<Item = (&'p Bytes, &'p Homes)> + use<'p, 'k> {
        let lengths = self.lengths.range(..=key.len());
        lengths.filter_map(|(&len, _)| self.homes.get_key_value(&key[..len]))
    }

    /// Whether some client wants to hear of a key.
    pub fn fit(&self, key: &[u8]) -> bool {
        self.fitting(key).next().is_some()
    }

    /// What is to be told of the keys that have changed, in the order of the prefixes.
    pub fn sort(&self, changed: BTreeMap<Bytes, Option<ClientAddress>>) -> Vec<OfPrefix> {
        let mut sorted: BTreeMap<&Bytes, OfPrefix> = BTreeMap::new();
        for (key, by) in changed {
            for (prefix, homes) in self.fitting(&key) {
                let of_prefix = sorted.entry(prefix).or_insert_with(|| OfPrefix {
                    prefix: prefix.clone(),
                    homes: homes.clone(),
                    keys: Vec::new(),
                });
                let key = key.clone();
                of_prefix.keys.push(Changed { key, by });
            }
        }
        sorted.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(keys: &[&'static str]) -> BTreeMap<Bytes, Option<ClientAddress>> {
        let keys = keys
            .iter()
            .map(|key| (Bytes::from_static(key.as_bytes()), None));
        keys.collect()
    }

    #[test]
    fn keys_are_told_by_prefix_in_order() {
        let (a, b) = (ShardId::new(0), ShardId::new(1));
        let mut prefixes = Prefixes::default();
        let prefix = Bytes::from_static;
        prefixes.add(&prefix(b"user:"), a);
        prefixes.add(&prefix(b"user:"), b);
        prefixes.add(&prefix(b"job:"), b);
        prefixes.add(&prefix(b"u"), b);
        assert!(prefixes.fit(b"user:1") && prefixes.fit(b"u") && prefixes.fit(b"job:"));
        assert!(!prefixes.fit(b"") && !prefixes.fit(b"job") && !prefixes.fit(b"x"));
        let told = prefixes.sort(changed(&["x", "user:2", "job:1", "user:1", "us"]));
        let told: Vec<_> = told
            .iter()
            .map(|it| {
                let keys = it.keys.iter().map(|it| it.key.escape_ascii().to_string());
                let keys: Vec<_> = keys.collect();
                (
                    it.prefix.escape_ascii().to_string(),
                    it.homes.len(),
                    keys.join(" "),
                )
            })
            .collect();
        let expected = [
            ("job:", 1, "job:1"),
            ("u", 1, "us user:1 user:2"),
            ("user:", 2, "user:1 user:2"),
        ];
        let expected = expected.map(|(prefix, homes, keys)| (prefix.into(), homes, keys.into()));
        assert_eq!(told, expected);
        prefixes.remove(&prefix(b"user:"), a);
        assert!(prefixes.fit(b"user:1"));
        for name in [b"user:".as_slice(), b"job:", b"u"] {
            prefixes.remove(&Bytes::copy_from_slice(name), b);
        }
        assert!(prefixes.is_empty() && prefixes.lengths.is_empty() && !prefixes.fit(b"user:1"));
    }

    #[test]
    fn the_empty_prefix_fits_everything() {
        let mut prefixes = Prefixes::default();
        prefixes.add(&Bytes::new(), ShardId::new(0));
        assert!(prefixes.fit(b"") && prefixes.fit(b"anything"));
        assert_eq!(prefixes.sort(changed(&["", "a"]))[0].keys.len(), 2);
    }
}
