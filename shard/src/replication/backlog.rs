//! The stream of all shards' effects, and as much of its past as replicas may ask for.
//!
//! Offsets are bytes since the stream began, as Redis counts them: the first byte has offset 1. The
//! past is kept for those who follow it, each from its own place on, and beyond that for
//! `repl-backlog-size`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use engine::stream::{self, Segment};
use storage::DbIndex;

use crate::replication::ReplicaId;

/// Room that is made for what is said, at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// The stream.
pub struct Backlog {
    inner: Mutex<Inner>,
    /// There is one: shards say their effects.
    on: AtomicBool,
    /// Bytes of the stream so far.
    end: AtomicU64,
}

struct Inner {
    /// Names this history of changes: forty hexadecimal digits.
    id: String,
    /// Pieces of the past, the oldest first, and where that begins.
    pieces: VecDeque<Bytes>,
    start: u64,
    /// Where the last piece ends.
    pieces_end: u64,
    /// What has been said since the last piece.
    tail: BytesMut,
    /// The database that is selected behind it.
    selected: Option<DbIndex>,
    size_max: u64,
    /// From where on each follower still needs it.
    followers: Vec<(ReplicaId, u64)>,
}

impl Backlog {
    /// None so far.
    pub fn new(id: &str) -> Self {
        let inner = Inner {
            id: id.to_owned(),
            pieces: VecDeque::new(),
            start: 0,
            pieces_end: 0,
            tail: BytesMut::new(),
            selected: None,
            size_max: 0,
            followers: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
            on: AtomicBool::new(false),
            end: AtomicU64::new(0),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether shards are to say their effects.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Shards are to say their effects from now on. What there was before is not in it.
    pub fn open(&self, size_max: u64) {
        self.inner().size_max = size_max;
        self.on.store(true, Ordering::Release);
    }

    /// Nobody has asked for long: shards need say nothing. Whoever comes back needs all data, as
    /// this history ends here; the next has another name.
    pub fn close(&self, next_id: &str) {
        let mut inner = self.inner();
        self.on.store(false, Ordering::Release);
        inner.cut_tail();
        inner.pieces.clear();
        inner.start = inner.pieces_end;
        inner.tail = BytesMut::new();
        next_id.clone_into(&mut inner.id);
    }

    /// As much of the past is kept as this.
    pub fn resize(&self, size_max: u64) {
        let mut inner = self.inner();
        inner.size_max = size_max;
        inner.trim();
    }

    /// Bytes of the stream so far.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The name of this history.
    pub fn id(&self) -> String {
        self.inner().id.clone()
    }

    /// The first byte of the past that is kept, and how many are.
    pub fn kept(&self) -> (u64, u64) {
        let inner = self.inner();
        let kept = inner.end() - inner.start;
        (inner.start + 1, kept)
    }

    /// Adds what a shard has said.
    pub fn append(&self, segment: &Segment) {
        let mut inner = self.inner();
        if let Some((first, last)) = segment.databases {
            if inner.selected != Some(first) {
                let mut select = Vec::new();
                stream::select(&mut select, first);
                inner.push(&select);
            }
            inner.selected = Some(last);
        }
        inner.push(&segment.bytes);
        inner.trim();
        self.end.store(inner.end(), Ordering::Release);
    }

    /// Adds something that is about no database.
    pub fn say(&self, parts: &[&[u8]]) {
        let mut bytes = Vec::new();
        storage::aof::command(&mut bytes, parts.iter().copied());
        self.append(&Segment {
            bytes,
            databases: None,
        });
    }

    /// Lets somebody follow from the end on, who knows nothing of the selected database. Returns
    /// where that is.
    pub fn follow(&self, who: ReplicaId) -> u64 {
        let mut inner = self.inner();
        inner.selected = None;
        let end = inner.end();
        inner.followers.push((who, end));
        end
    }

    /// Lets somebody follow from a place in the past on, if all of it is there still.
    pub fn resume(&self, who: ReplicaId, id: &[u8], from: u64) -> bool {
        let mut inner = self.inner();
        let has_it = self.is_on()
            && id.eq_ignore_ascii_case(inner.id.as_bytes())
            && (inner.start..=inner.end()).contains(&from);
        if has_it {
            inner.followers.push((who, from));
        }
        has_it
    }

    /// Somebody follows no longer.
    pub fn leave(&self, who: ReplicaId) {
        let mut inner = self.inner();
        inner.followers.retain(|(it, _)| *it != who);
        inner.trim();
    }

    /// What comes behind `from`, at most so much, for somebody who needs nothing before that any
    /// more. Empty at the end.
    pub fn read(&self, who: ReplicaId, from: u64, bytes_max: usize) -> Bytes {
        let mut inner = self.inner();
        if let Some((_, place)) = inner.followers.iter_mut().find(|(it, _)| *it == who) {
            *place = from;
        }
        inner.read(from, bytes_max)
    }
}

impl Inner {
    fn end(&self) -> u64 {
        self.pieces_end + self.tail.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.cut_tail();
            self.tail.reserve(bytes.len().max(BLOCK_BYTES));
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Makes a piece of what has been said since the last one.
    fn cut_tail(&mut self) {
        if !self.tail.is_empty() {
            let piece = self.tail.split().freeze();
            self.pieces_end += piece.len() as u64;
            self.pieces.push_back(piece);
        }
    }

    fn read(&mut self, from: u64, bytes_max: usize) -> Bytes {
        if from >= self.pieces_end {
            self.cut_tail();
        }
        // From the end, near which followers mostly are.
        let mut behind = self.pieces_end;
        for piece in self.pieces.iter().rev() {
            let begin = behind - piece.len() as u64;
            if (begin..behind).contains(&from) {
                let begin = usize::try_from(from - begin).unwrap_or(0);
                let end = piece.len().min(begin.saturating_add(bytes_max));
                return piece.slice(begin..end);
            }
            behind = begin;
        }
        Bytes::new()
    }

    /// Forgets the oldest pieces that nobody needs.
    fn trim(&mut self) {
        let needed = self.followers.iter().map(|(_, from)| *from).min();
        let end = self.end();
        while let Some(piece) = self.pieces.front() {
            let behind = self.start + piece.len() as u64;
            let is_needed = needed.is_some_and(|needed| needed < behind);
            if is_needed || end - behind < self.size_max {
                return;
            }
            self.start = behind;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(index: u32) -> ReplicaId {
        let token = engine::header::ClientToken {
            index,
            generation: 1,
        };
        (engine::slot::ShardId::new(0), token)
    }

    fn segment(text: &str) -> Segment {
        Segment {
            bytes: text.as_bytes().to_vec(),
            databases: None,
        }
    }

    #[test]
    fn followers_read_from_their_places_on() {
        let backlog = Backlog::new("id");
        backlog.open(0);
        backlog.append(&segment("before"));
        let from = backlog.follow(who(1));
        assert_eq!(from, 6);
        backlog.append(&segment("abc"));
        assert_eq!(&backlog.read(who(1), from, 2)[..], b"ab");
        assert_eq!(&backlog.read(who(1), from + 2, 9)[..], b"c");
        assert!(backlog.read(who(1), from + 3, 9).is_empty());
        backlog.append(&segment("d"));
        assert_eq!(&backlog.read(who(1), from + 3, 9)[..], b"d");
        assert_eq!(backlog.end(), 10);
    }

    #[test]
    fn the_past_is_kept_for_followers_and_up_to_its_size() {
        let backlog = Backlog::new("id");
        backlog.open(10);
        let from = backlog.follow(who(1));
        for _ in 0..10 {
            backlog.append(&segment("0123456789"));
            backlog.inner().cut_tail();
        }
        assert_eq!(backlog.kept(), (1, 100));
        assert_eq!(backlog.read(who(1), from + 100, 1), Bytes::new());
        backlog.append(&segment("x"));
        assert_eq!(backlog.kept().0, 91);
        assert!(!backlog.resume(who(2), b"id", 89));
        assert!(!backlog.resume(who(2), b"other", 95));
        assert!(backlog.resume(who(2), b"id", 95));
        assert_eq!(&backlog.read(who(2), 95, 99)[..], b"56789");
        backlog.leave(who(2));
        backlog.leave(who(1));
    }
}
