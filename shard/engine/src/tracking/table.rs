//! Who may hold which keys of this shard in a cache: the readers of each key since it last changed,
//! among clients that track what they read.
//!
//! It is a keyspace of its own, from keys to packed readers, because it has a keyspace's needs: a
//! million keys at few bytes each, no pause when it grows, and some key at random when there are
//! too many. As in Redis a key is the same in all databases.
//!
//! ```text
//! key -> [home | place | generation] [home | place | generation] ..     1 + 4 + 4 bytes a reader, in ascending order
//! ```
//!
//! A reader that has gone is not looked for: its own shard drops what is sent to it. But a place
//! among a shard's connections has one tenant at a time, and a new one takes its predecessor's
//! place here too, so a key has no more readers than there ever were connections at once.

use smallvec::SmallVec;
use storage::{Entry, KeyHasher, Keyspace};

use crate::header::{ClientAddress, ClientToken};
use crate::slot::ShardId;

/// Bytes of one reader.
const PACKED_BYTES: usize = 9;

/// Bytes that say which reader it is; the others say which tenant of its place.
const PLACE_BYTES: usize = 5;

type Packed = [u8; PACKED_BYTES];

/// The readers of a key, those of one shard together.
pub type Readers = SmallVec<[ClientAddress; 2]>;

/// The tracked keys of one shard.
pub struct TrackingTable {
    keys: Keyspace,
    readers: usize,
    /// Beyond so many keys some are to go.
    keys_max: usize,
}

impl Default for TrackingTable {
    fn default() -> Self {
        Self {
            keys: Keyspace::new(KeyHasher::random()),
            readers: 0,
            keys_max: usize::MAX,
        }
    }
}

impl TrackingTable {
    /// How many keys are tracked.
    #[inline]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Readers of all keys.
    pub fn readers(&self) -> usize {
        self.readers
    }

    /// Bounds the table from now on.
    pub fn limit(&mut self, keys_max: usize) {
        self.keys_max = keys_max;
    }

    /// Whether some key is to go: see [`Self::forget_any`].
    #[inline]
    pub fn is_over(&self) -> bool {
        self.keys.len() > self.keys_max
    }

    /// A client has read a key.
    pub fn remember(&mut self, key: &[u8], reader: ClientAddress) {
        let packed = pack(reader);
        let Some(entry) = self.keys.get_mut(key) else {
            self.keys.insert_new(Entry::string(key, &packed, None));
            self.readers += 1;
            return;
        };
        let mut buffer = itoa::Buffer::new();
        let known = text(entry, &mut buffer);
        let (readers, _) = known.as_chunks::<PACKED_BYTES>();
        let place = |reader: &Packed| {
            let mut place = [0; PLACE_BYTES];
            place.copy_from_slice(&reader[..PLACE_BYTES]);
            place
        };
        let with_it = match readers.binary_search_by_key(&place(&packed), place) {
            Ok(at) if readers[at] == packed => return,
            Ok(at) => [
                readers[..at].as_flattened(),
                &packed,
                readers[at + 1..].as_flattened(),
            ],
            Err(at) => {
                self.readers += 1;
                [
                    readers[..at].as_flattened(),
                    &packed,
                    readers[at..].as_flattened(),
                ]
            }
        };
        let with_it = with_it.concat();
        entry.set_string(&with_it);
    }

    /// A key has changed. Returns who has read it before.
    pub fn forget(&mut self, key: &[u8]) -> Option<Readers> {
        let entry = self.keys.take(key)?;
        let mut buffer = itoa::Buffer::new();
        let (packed, _) = text(&entry, &mut buffer).as_chunks::<PACKED_BYTES>();
        self.readers -= packed.len();
        Some(packed.iter().map(unpack).collect())
    }

    /// Forgets some key.
    pub fn forget_any(&mut self, random: &mut fastrand::Rng) -> Option<(Box<[u8]>, Readers)> {
        let key: Box<[u8]> = self.keys.random(random)?.key().into();
        let readers = self.forget(&key)?;
        Some((key, readers))
    }

    /// Forgets all keys and gives what held them back, for whoever frees it.
    pub fn clear(&mut self) -> Keyspace {
        self.readers = 0;
        self.keys.clear()
    }
}

/// Packed readers could look like an integer's text, and be stored as one.
fn text<'b>(entry: &'b Entry, buffer: &'b mut itoa::Buffer) -> &'b [u8] {
    match entry.as_string() {
        Ok(item) => item.text(buffer),
        Err(_) => &[],
    }
}

fn pack(reader: ClientAddress) -> Packed {
    let ClientAddress { home, token } = reader;
    let mut packed = [0; PACKED_BYTES];
    // Below `SHARDS_MAX`, which a byte holds.
    packed[0] = home.index() as u8;
    packed[1..PLACE_BYTES].copy_from_slice(&token.index.to_be_bytes());
    packed[PLACE_BYTES..].copy_from_slice(&token.generation.to_be_bytes());
    packed
}

fn unpack(packed: &Packed) -> ClientAddress {
    let [home, i0, i1, i2, i3, g0, g1, g2, g3] = *packed;
    ClientAddress {
        home: ShardId::new(usize::from(home)),
        token: ClientToken {
            index: u32::from_be_bytes([i0, i1, i2, i3]),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(home: usize, index: u32, generation: u32) -> ClientAddress {
        ClientAddress {
            home: ShardId::new(home),
            token: ClientToken { index, generation },
        }
    }

    #[test]
    fn a_key_has_each_reader_once_until_it_changes() {
        let mut table = TrackingTable::default();
        let readers = [reader(0, 300, 5), reader(0, 1, 2), reader(2, 0, 9)];
        for _ in 0..2 {
            readers.iter().for_each(|it| table.remember(b"k", *it));
            table.remember(b"other", readers[0]);
        }
        assert_eq!((table.len(), table.readers()), (2, 4));
        let of_key = table.forget(b"k").expect("readers");
        assert_eq!(of_key[..], [readers[1], readers[0], readers[2]]);
        assert_eq!((table.len(), table.readers()), (1, 1));
        assert!(table.forget(b"k").is_none());
    }

    #[test]
    fn a_connection_takes_the_place_of_the_one_before_it() {
        let mut table = TrackingTable::default();
        (0..1000).for_each(|generation| table.remember(b"k", reader(1, 7, generation)));
        assert_eq!(table.readers(), 1);
        let readers = table.forget(b"k").expect("readers");
        assert_eq!(readers[..], [reader(1, 7, 999)]);
    }

    #[test]
    fn readers_that_look_like_a_number_are_none() {
        let mut table = TrackingTable::default();
        let digits = u32::from_be_bytes(*b"1234");
        let one = reader(usize::from(b'1'), digits, digits);
        table.remember(b"k", one);
        table.remember(b"k", one);
        let two = reader(usize::from(b'2'), digits, digits);
        table.remember(b"k", two);
        assert_eq!(table.readers(), 2);
        assert_eq!(table.forget(b"k").expect("readers")[..], [one, two]);
    }

    #[test]
    fn many_readers_stay_in_order() {
        let mut table = TrackingTable::default();
        for index in (0..2000).rev() {
            table.remember(b"k", reader(3, index, 1));
        }
        let readers = table.forget(b"k").expect("readers");
        assert_eq!(readers.len(), 2000);
        assert!(readers.is_sorted_by_key(|it| it.token.index));
    }

    #[test]
    fn a_full_table_says_so_until_enough_have_gone() {
        let mut table = TrackingTable::default();
        table.limit(10);
        for number in 0..100 {
            table.remember(format!("key:{number}").as_bytes(), reader(0, 0, 1));
        }
        let mut random = fastrand::Rng::with_seed(1);
        let mut gone = std::collections::HashSet::new();
        while table.is_over() {
            let (key, readers) = table.forget_any(&mut random).expect("a key");
            assert_eq!(readers.len(), 1);
            assert!(gone.insert(key));
        }
        assert_eq!((table.len(), gone.len()), (10, 90));
        table.clear();
        assert!(table.is_empty() && table.readers() == 0);
        assert!(table.forget_any(&mut random).is_none());
    }
}
