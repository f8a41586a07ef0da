//! The numbered databases of one shard (SELECT, SWAPDB).

use crate::clock::UnixMillis;
use crate::cut::Terms;
use crate::entry::Entry;
use crate::keyspace::{Expired, KeyHasher, Keyspace};

/// The number of a database that exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct DbIndex(u16);

impl DbIndex {
    /// The number, as SELECT takes it.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// All databases of one shard: a [`Keyspace`] for each number, with one hasher.
pub struct Databases {
    keyspaces: Box<[Keyspace]>,
    hasher: KeyHasher,
    /// Where the next sweep for expired keys begins.
    sweep: usize,
    /// A walk over some of them may be under way.
    cut: bool,
}

impl Databases {
    /// `count` empty databases; at least one.
    pub fn new(count: u16, hasher: KeyHasher) -> Self {
        Self {
            keyspaces: (0..count.max(1))
                .map(|_| Keyspace::new(hasher.clone()))
                .collect(),
            hasher,
            sweep: 0,
            cut: false,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.keyspaces.len() as u16
    }

    /// The hash of all of them.
    pub fn hasher(&self) -> KeyHasher {
        self.hasher.clone()
    }

    /// The database with this number, if it exists.
    pub fn index(&self, number: u16) -> Option<DbIndex> {
        (number < self.count()).then_some(DbIndex(number))
    }

    /// All numbers, in order.
    pub fn indices(&self) -> impl Iterator<Item = DbIndex> + use<> {
        (0..self.count()).map(DbIndex)
    }

    /// The keys of a database.
    #[inline]
    pub fn get(&self, index: DbIndex) -> &Keyspace {
        &self.keyspaces[usize::from(index.0)]
    }

    /// The keys of a database, to change.
    #[inline]
    pub fn get_mut(&mut self, index: DbIndex) -> &mut Keyspace {
        &mut self.keyspaces[usize::from(index.0)]
    }

    /// Exchanges two databases' contents.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.keyspaces.swap(usize::from(a.0), usize::from(b.0));
    }

    /// This instant is the cut of all of them.
    pub fn begin_cut(&mut self, terms: Terms) {
        for (number, keyspace) in self.keyspaces.iter_mut().enumerate() {
            keyspace.begin_cut(number as u16, terms);
        }
        self.cut = true;
    }

    /// Whether a walk may be under way: who changes an entry in place preserves it before.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// A keyspace over which a walk is under way.
    pub fn cut(&mut self) -> Option<&mut Keyspace> {
        let found = self.keyspaces.iter_mut().find(|it| it.is_cut());
        self.cut = found.is_some();
        found
    }

    /// Forgets all walks.
    pub fn abandon_cut(&mut self) {
        self.keyspaces.iter_mut().for_each(Keyspace::abandon_cut);
        self.cut = false;
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keyspaces.iter().all(Keyspace::is_empty)
    }

    /// Keys with a deadline, over all databases.
    pub fn volatile_len(&self) -> usize {
        self.keyspaces.iter().map(Keyspace::volatile_len).sum()
    }

    /// Removes expired keys, at most `budget`, and hands each to `removed`.
    pub fn expire_some(
        &mut self,
        now: UnixMillis,
        budget: usize,
        mut removed: impl FnMut(DbIndex, Entry),
    ) -> Expired {
        let mut expired = Expired::default();
        for _ in 0..self.keyspaces.len() {
            let index = DbIndex(self.sweep as u16);
            let part =
                self.keyspaces[self.sweep].expire_some(now, budget - expired.removed, |entry| {
                    removed(index, entry);
                });
            expired.removed += part.removed;
            if part.more {
                expired.more = true;
                break;
            }
            self.sweep = (self.sweep + 1) % self.keyspaces.len();
        }
        expired
    }
}
