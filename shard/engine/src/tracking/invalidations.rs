//! What the keys of one shard have to tell clients with caches.
//!
//! The shard of a key notes who is to hear of a change when the command is over; the homes of the
//! readers are told at the end of the turn, and clients of this very shard at once, behind the
//! command, as in Redis. A read is remembered in the instant of the read, or, in a transaction,
//! with the release, before the key is free.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::reply::{Reply, Version};
use smallvec::SmallVec;
use storage::Keyspace;

use crate::effect::{Effect, What};
use crate::header::{ClientAddress, ClientToken, FlushId};
use crate::slot::ShardId;
use crate::tracking::prefixes::{Changed, OfPrefix, Prefixes};
use crate::tracking::table::{Readers, TrackingTable};

/// Some keys of one message, and who is to hear.
pub struct Notice {
    pub stale: Bytes,
    pub readers: Readers,
    pub by: Option<ClientAddress>,
}

/// What a shard tells a home.
pub enum ToHome {
    /// A key has changed that these clients have read.
    Read {
        stale: Bytes,
        readers: SmallVec<[ClientToken; 2]>,
        by: Option<ClientAddress>,
    },
    /// Keys with this prefix have changed.
    Prefix {
        prefix: Bytes,
        stale: Bytes,
        keys: Arc<[Changed]>,
    },
    Flush(FlushId),
}

/// What the keys of one shard have to tell.
#[derive(Default)]
pub struct Invalidations {
    pub table: TrackingTable,
    pub prefixes: Prefixes,
    /// This shard.
    pub(crate) home: ShardId,
    /// For clients of this shard.
    pub(crate) here: Vec<Notice>,
    /// For those of others.
    pub(crate) elsewhere: Vec<Notice>,
    pub(crate) flushes: Vec<FlushId>,
    /// Keys with a prefix that changed in this turn, and who did it last.
    pub(crate) changed: BTreeMap<Bytes, Option<ClientAddress>>,
    /// Emptied tables on their way to the thread that frees them.
    pub(crate) emptied: Vec<Keyspace>,
}

impl Invalidations {
    /// What there is on a shard: nothing yet.
    pub fn of(home: ShardId) -> Self {
        Self {
            home,
            ..Self::default()
        }
    }

    /// Whether nobody wants to hear of any change.
    #[inline]
    pub fn nobody_tracks(&self) -> bool {
        self.table.is_empty() & self.prefixes.is_empty()
    }

    /// Whether clients of this shard are to be told something of keys they have read.
    #[inline]
    pub fn is_for_here(&self) -> bool {
        !self.here.is_empty()
    }

    /// Whether there is something for a turn to do.
    #[inline]
    pub fn is_for_turn(&self) -> bool {
        !self.here.is_empty()
            | !self.elsewhere.is_empty()
            | !self.changed.is_empty()
            | !self.flushes.is_empty()
            | self.table.is_over()
    }

    /// Reads an effect: readers of a key that has changed are to hear of it.
    pub(crate) fn heed(&mut self, effect: &Effect<'_>) {
        match effect.what {
            What::Read => {
                if let Some(by) = effect.by {
                    self.table.remember(effect.key, by);
                }
            }
            What::Flushed(id) => self.flush(id),
            _ if effect.modifies() => self.note(effect.key, effect.by),
            _ => {}
        }
    }

    /// Takes what clients of this shard are to be told of keys they have read.
    pub fn take_here(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.here)
    }

    /// Gives back what could not be told yet.
    pub fn put_back_here(&mut self, notice: Notice) {
        self.here.push(notice);
    }

    /// A key has changed.
    pub fn note(&mut self, key: &[u8], by: Option<ClientAddress>) {
        if self.prefixes.fit(key) {
            self.changed.insert(Bytes::copy_from_slice(key), by);
        }
        if let Some(readers) = self.table.forget(key) {
            self.note_readers(key, readers, by);
        }
    }

    pub(crate) fn note_readers(&mut self, key: &[u8], readers: Readers, by: Option<ClientAddress>) {
        let stale = encode([key]);
        let (here, elsewhere): (Readers, Readers) =
            readers.into_iter().partition(|it| it.home == self.home);
        for (readers, notices) in [(here, &mut self.here), (elsewhere, &mut self.elsewhere)] {
            if !readers.is_empty() {
                let stale = stale.clone();
                notices.push(Notice { stale, readers, by });
            }
        }
    }

    /// All keys are gone, or others. Nothing where nobody tracks.
    pub fn flush(&mut self, id: Option<FlushId>) {
        if !self.table.is_empty() {
            let keys = self.table.clear();
            self.emptied.push(keys);
        }
        self.flushes.extend(id);
    }

    /// Takes what homes are to be told.
    pub(crate) fn take(&mut self, shards: usize) -> Vec<(ShardId, Vec<ToHome>)> {
        let mut told: Vec<Vec<ToHome>> = (0..shards).map(|_| Vec::new()).collect();
        for notice in self.here.drain(..).chain(self.elsewhere.drain(..)) {
            let Notice { stale, readers, by } = notice;
            for of_home in readers.chunk_by(|one, other| one.home == other.home) {
                let readers = of_home.iter().map(|it| it.token).collect();
                let stale = stale.clone();
                told[of_home[0].home.index()].push(ToHome::Read { stale, readers, by });
            }
        }
        for id in self.flushes.drain(..) {
            told.iter_mut().for_each(|it| it.push(ToHome::Flush(id)));
        }
        for of_prefix in self.prefixes.sort(std::mem::take(&mut self.changed)) {
            let OfPrefix {
                prefix,
                homes,
                keys,
            } = of_prefix;
            let stale = encode(keys.iter().map(|changed| &*changed.key));
            let keys: Arc<[Changed]> = keys.into();
            for home in homes {
                let (prefix, stale, keys) = (prefix.clone(), stale.clone(), keys.clone());
                told[home.index()].push(ToHome::Prefix {
                    prefix,
                    stale,
                    keys,
                });
            }
        }
        let homes = told
            .into_iter()
            .enumerate()
            .filter(|(_, told)| !told.is_empty());
        homes
            .map(|(home, told)| (ShardId::new(home), told))
            .collect()
    }
}

/// An array of keys, encoded as all versions of RESP have it.
pub fn encode<'k>(keys: impl IntoIterator<Item = &'k [u8], IntoIter: Clone>) -> Bytes {
    let keys = keys.into_iter();
    let mut encoded = Vec::new();
    let mut reply = Reply::new(&mut encoded, Version::Resp2);
    reply.array(keys.clone().count());
    keys.for_each(|key| reply.bulk(key));
    encoded.into()
}
