//! A consistent copy of a keyspace, written while it goes on changing: all keys as they were at one
//! instant, the *cut*.
//!
//! A walk passes the keys in the order of their hashes and writes each. A key that is about to
//! change, go or come before the walk has reached its place is written as it is first, and noted,
//! so that the walk leaves it out; behind the walk everything may happen. So the copy takes no more
//! memory than what changes in front of the walk, and no fork.
//!
//! What leaves or enters the keyspace is caught here ([`Keyspace::take`] and its like); who changes
//! an entry in place calls [`Keyspace::preserve`] before. The cut goes where the keyspace goes:
//! into another database with SWAPDB, out of all of them with FLUSHALL.

use std::collections::HashSet;

use foldhash::quality::RandomState;

use crate::access::AccessPolicy;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::keyspace::{Keyspace, Position};
use crate::rdb::{self, Compression, Format};

/// A piece is handed on when there is so much of it: each wakes the thread that writes the file.
/// Tests have small keyspaces of several pieces.
const PIECE_BYTES_MIN: usize = if cfg!(test) { 256 } else { 64 << 10 };

/// How keys are written.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which of LRU and LFU goes with them.
    pub access: AccessPolicy,
    /// When the cut was made.
    pub now: UnixMillis,
    /// How long strings are written.
    pub compression: Compression,
    /// Who reads them.
    pub format: Format,
}

/// A walk over a keyspace under way.
pub(crate) struct Cut {
    out: Writing,
    /// Where the walk goes on: what lies before this has been written.
    pub(crate) next: Position,
    /// Keys at or behind `next` that were written before they changed, or were not there at the
    /// cut.
    touched: HashSet<Box<[u8]>, RandomState>,
}

/// A piece in the making.
struct Writing {
    /// The number that the database has in the file: the one at the cut.
    database: u16,
    terms: Terms,
    /// What has been written since the last piece.
    piece: Vec<u8>,
    /// Keys that have been written and not been told of.
    keys: u64,
}

/// Keys as a file holds them, behind the number of their database; none where the next piece will
/// have them.
pub struct Piece {
    /// Keys in RDB format.
    pub bytes: Vec<u8>,
    /// Keys that were written since the piece before, this one's or the next one's.
    pub keys: u64,
    /// It was this keyspace's last.
    pub last: bool,
}

impl Writing {
    fn write(&mut self, entry: &Entry) {
        if self.piece.is_empty() {
            rdb::select(&mut self.piece, self.database);
        }
        let Terms {
            access,
            now,
            compression,
            format,
        } = self.terms;
        let forms = (format, compression);
        rdb::key(&mut self.piece, entry, access, now, forms);
        self.keys += 1;
    }
}

impl Cut {
    /// Notes that `key` is about to change; `entry` is what it holds.
    pub(crate) fn preserve(&mut self, key: &[u8], entry: Option<&Entry>) {
        if !self.touched.contains(key) {
            if let Some(entry) = entry {
                self.out.write(entry);
            }
            self.touched.insert(key.into());
        }
    }
}

impl Keyspace {
    /// This instant is the cut. A walk that was under way is forgotten.
    pub fn begin_cut(&mut self, database: u16, terms: Terms) {
        self.cut = Some(Box::new(Cut {
            out: Writing {
                database,
                terms,
                piece: Vec::new(),
                keys: 0,
            },
            next: Position::default(),
            touched: HashSet::default(),
        }));
    }

    /// Whether a walk is under way.
    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Forgets the walk.
    pub fn abandon_cut(&mut self) {
        self.cut = None;
    }

    /// Says that the entry of `key` is about to change in place.
    #[inline]
    pub fn preserve(&mut self, key: &[u8]) {
        if self.cut.is_some() {
            self.preserve_ahead(key);
        }
    }

    #[cold]
    pub(crate) fn preserve_ahead(&mut self, key: &[u8]) {
        if let Some(mut cut) = self.cut.take() {
            if self.position_of(key) >= cut.next {
                cut.preserve(key, self.get(key));
            }
            self.cut = Some(cut);
        }
    }

    /// Writes about `count` keys from `from` on, as keys of `database`, without a cut: for who sees
    /// to it that nothing changes meanwhile. Returns them and where to go on. A walk that is under
    /// way is not touched.
    pub fn write_from(
        &self,
        from: Position,
        count: usize,
        database: u16,
        terms: Terms,
    ) -> (Vec<u8>, Option<Position>) {
        let mut out = Writing {
            database,
            terms,
            piece: Vec::new(),
            keys: 0,
        };
        let next = self.scan(from, count, |entry| out.write(entry));
        (out.piece, next)
    }

    /// Walks on over about `count` keys. `None` where no walk is under way.
    pub fn write_on(&mut self, count: usize) -> Option<Piece> {
        let mut cut = self.cut.take()?;
        let from = cut.next;
        let next = self.scan(from, count, |entry| {
            if cut.touched.is_empty() || !cut.touched.remove(entry.key()) {
                cut.out.write(entry);
            }
        });
        let Some(next) = next else {
            return Some(Piece {
                bytes: cut.out.piece,
                keys: cut.out.keys,
                last: true,
            });
        };
        let mut bytes = Vec::new();
        if cut.out.piece.len() >= PIECE_BYTES_MIN {
            // The next one will be about as large, but for great values.
            let room = Vec::with_capacity(2 * PIECE_BYTES_MIN);
            bytes = std::mem::replace(&mut cut.out.piece, room);
        }
        cut.next = next;
        let keys = std::mem::take(&mut cut.out.keys);
        self.cut = Some(cut);
        Some(Piece {
            bytes,
            keys,
            last: false,
        })
    }
}
