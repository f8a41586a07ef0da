//! What replicas are to hear of a shard: the effects of its commands, as commands that do the same
//! wherever and whenever they run.
//!
//! A shard gathers them and hands them on before anything leaves it that may tell of them: replies,
//! and messages to other shards. So in the one stream of all shards each shard's own order holds, a
//! transaction over several shards is one group of its coordinator, behind whatever it saw and
//! before whatever saw it, and what began after another was answered comes behind it. See
//! `docs/replication.md`.

use protocol::args::Args;
use storage::{DbIndex, aof};

/// A part of the stream.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Segment {
    pub bytes: Vec<u8>,
    /// The database that its first command needs, and the one that is selected behind it. None
    /// where it is empty.
    pub databases: Option<(DbIndex, DbIndex)>,
}

/// What a shard has said since this was last taken.
#[derive(Default)]
pub struct Stream {
    on: bool,
    segment: Segment,
}

impl Stream {
    /// Whether anybody hears.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn turn(&mut self, on: bool) {
        self.on = on;
        self.segment = Segment::default();
    }

    /// Whether there is something to take.
    #[inline]
    pub fn has_more(&self) -> bool {
        !self.segment.bytes.is_empty()
    }

    /// Bytes that have not been taken.
    #[inline]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.segment.bytes.len()
    }

    /// Takes what was said.
    pub fn take(&mut self) -> Segment {
        std::mem::take(&mut self.segment)
    }

    /// Says something that is about no database.
    pub(crate) fn say(&mut self, args: &Args<'_>) {
        if self.on {
            aof::command_as_sent(&mut self.segment.bytes, args.bytes(), args.iter());
        }
    }

    /// Lets what is said next be about a database.
    pub(crate) fn select(&mut self, db: DbIndex) -> &mut Vec<u8> {
        match &mut self.segment.databases {
            none @ None => *none = Some((db, db)),
            Some((_, last)) if *last == db => {}
            Some((_, last)) => {
                *last = db;
                select(&mut self.segment.bytes, db);
            }
        }
        &mut self.segment.bytes
    }

    /// What follows happens together.
    pub(crate) fn begin_group(&mut self) -> usize {
        if self.on {
            aof::command(&mut self.segment.bytes, [b"MULTI".as_slice()].into_iter());
        }
        self.segment.bytes.len()
    }

    /// What has been said since [`Self::begin_group`] happens together. Where that is nothing,
    /// nothing is said.
    pub(crate) fn end_group(&mut self, begun: usize) {
        const MULTI_BYTES: usize = b"*1\r\n$5\r\nMULTI\r\n".len();
        if !self.on {
            return;
        }
        if self.segment.bytes.len() == begun {
            self.segment.bytes.truncate(begun - MULTI_BYTES);
            return;
        }
        aof::command(&mut self.segment.bytes, [b"EXEC".as_slice()].into_iter());
    }
}

/// Writes the command that selects a database.
pub fn select(out: &mut Vec<u8>, db: DbIndex) {
    let mut digits = itoa::Buffer::new();
    let number = digits.format(db.number()).as_bytes();
    aof::command(out, [b"SELECT", number].into_iter());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db(number: u16) -> DbIndex {
        storage::Databases::new(16, storage::KeyHasher::random())
            .index(number)
            .expect("a database")
    }

    #[test]
    fn databases_are_selected_where_they_change() {
        let mut stream = Stream::default();
        stream.turn(true);
        stream.select(db(1)).extend_from_slice(b"a");
        stream.select(db(1)).extend_from_slice(b"b");
        stream.select(db(2)).extend_from_slice(b"c");
        let segment = stream.take();
        assert_eq!(segment.bytes, b"ab*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\nc");
        assert_eq!(segment.databases, Some((db(1), db(2))));
        assert_eq!(stream.take(), Segment::default());
    }

    #[test]
    fn empty_groups_are_nothing() {
        let mut stream = Stream::default();
        stream.turn(true);
        let begun = stream.begin_group();
        stream.end_group(begun);
        assert_eq!(stream.take(), Segment::default());
    }
}
