//! DEBUG DIGEST: twenty bytes that are equal where two servers hold equal data, whatever the order
//! in which it lies in their tables.
//!
//! The scheme is Redis's, so that a test can compare percore's keyspace with the reference's. Two
//! steps make it, both on SHA-1:
//!
//! ```text
//! add(x)    digest = digest XOR sha1(x)            the order of what is added does not count
//! mix(x)    digest = sha1(digest XOR sha1(x))      the order of what is mixed in does
//! ```
//!
//! An element of a set is added, one of a list is mixed in; a field with its value, or a member
//! with its score, is a digest of its own that is added. A key's digest, with its type, is added to
//! the dataset's, into which the number of each database was mixed before its keys.
//!
//! What has expired and is not yet removed is no data here. Redis counts it until it removes it;
//! two servers never do so at the same moment.

use std::fmt;

use protocol::number::format_shortest;
use sha1::{Digest as _, Sha1};
use storage::{Entry, Keyspace, Kind, Object, StreamId, UnixMillis};

const BYTES: usize = 20;

/// What a key with a deadline adds, whatever the deadline.
const EXPIRES: &[u8] = b"!!expire!!";
/// What marks a field of a hash that expires.
const FIELD_EXPIRES: &[u8] = b"!!hexpire!!";

/// A digest of data. All zeros where there is none. Displayed as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// The digest of some databases, each given by its number and its parts.
    pub fn of_databases<'a, Parts>(
        databases: impl Iterator<Item = (u16, Parts)>,
        now: UnixMillis,
    ) -> Self
    where
        Parts: Iterator<Item = &'a Keyspace>,
    {
        let mut whole = Self::default();
        for (number, parts) in databases {
            let mut keys = parts
                .flat_map(Keyspace::iter)
                .filter(|entry| !entry.is_expired(now))
                .peekable();
            if keys.peek().is_none() {
                continue;
            }
            whole.mix(&u32::from(number).to_be_bytes());
            for entry in keys {
                let mut of_key = Self::default();
                of_key.mix(entry.key());
                of_key.mix_value(entry, now);
                whole.add(&of_key.0);
            }
        }
        whole
    }

    /// The digest of one key's value and of whether it expires, without the key's name.
    pub fn of_value(entry: &Entry, now: UnixMillis) -> Self {
        let mut digest = Self::default();
        digest.mix_value(entry, now);
        digest
    }

    fn add(&mut self, bytes: &[u8]) {
        let added: [u8; BYTES] = Sha1::digest(bytes).into();
        for (ours, theirs) in std::iter::zip(&mut self.0, added) {
            *ours ^= theirs;
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn mix_value(&mut self, entry: &Entry, now: UnixMillis) {
        let mut digits = itoa::Buffer::new();
        self.mix(&type_number(entry.kind()).to_be_bytes());
        match entry.as_object() {
            None => {
                if let Ok(text) = entry.as_string() {
                    self.mix(text.text(&mut digits));
                }
            }
            Some(Object::List(list)) => {
                for element in list.iter() {
                    self.mix(element.text(&mut digits));
                }
            }
            Some(Object::Set(set)) => set.for_each(|member| self.add(member.text(&mut digits))),
            Some(Object::SortedSet(set)) => {
                for (member, score) in set.iter() {
                    let mut pair = Self::default();
                    pair.mix(member.text(&mut digits));
                    // Not as replies show it: Redis takes the shortest form of whole numbers, too.
                    pair.mix(format_shortest(score.get()).as_bytes());
                    self.add(&pair.0);
                }
            }
            Some(Object::Hash(hash)) => {
                for field in hash.live(now) {
                    let mut pair = Self::default();
                    pair.mix(field.name.text(&mut digits));
                    pair.mix(field.value.text(&mut digits));
                    if field.deadline.is_some() {
                        pair.add(FIELD_EXPIRES);
                    }
                    self.add(&pair.0);
                }
            }
            Some(Object::Stream(stream)) => {
                for entry in stream.log.range(StreamId::MIN..=StreamId::MAX) {
                    self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    for (name, value) in entry.fields {
                        self.mix(&name);
                        self.mix(&value);
                    }
                }
            }
        }
        if entry.deadline().is_some() {
            self.add(EXPIRES);
        }
    }
}

/// The number that Redis has for a type.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use storage::KeyHasher;

    use super::*;

    #[test]
    fn nothing_has_a_digest_of_zeros() {
        let empty = Keyspace::new(KeyHasher::random());
        let databases = [(0, [&empty].into_iter())].into_iter();
        let digest = Digest::of_databases(databases, UnixMillis::new(1));
        assert_eq!(digest.to_string(), "0".repeat(40));
    }

    #[test]
    fn where_a_key_lies_does_not_count_and_its_number_of_database_does() {
        let now = UnixMillis::new(1000);
        let keyspace = |keys: &[&str]| {
            let mut keyspace = Keyspace::new(KeyHasher::random());
            for key in keys {
                keyspace.insert(Entry::string(key.as_bytes(), b"v", None));
            }
            keyspace.insert(Entry::string(b"gone", b"v", Some(UnixMillis::new(1))));
            keyspace
        };
        let digest = |number, parts: &[Keyspace]| {
            Digest::of_databases([(number, parts.iter())].into_iter(), now)
        };
        let both = digest(0, &[keyspace(&["a", "b"])]);
        assert_eq!(both, digest(0, &[keyspace(&["b"]), keyspace(&["a"])]));
        assert_ne!(both, digest(1, &[keyspace(&["a", "b"])]));
        assert_ne!(both, digest(0, &[keyspace(&["a"])]));
    }
}
