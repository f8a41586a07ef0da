//! Client-side caching: CLIENT TRACKING as a connection's own shard, its home, knows it.
//!
//! A client that keeps what it reads in a cache of its own wants to hear when that is not valid any
//! more. The shard of a key remembers who has read it (`tracking_table`), in the instant of the
//! read, or by whom changes are to be told in any case (`broadcast`); it learns of changes where
//! everybody else does ([`engine::effects`]) and tells the readers' homes (`invalidation`). How a
//! client wants to hear is its home's to know and may change at any time: in which version of RESP,
//! through which other client, not of its own changes.
//!
//! What travels with a command is one bit: its keys are to be remembered. While nobody tracks, a
//! read looks at that bit, and a write at two counts among those that it looks at anyway.

pub mod audience;
pub mod invalidation;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use engine::header::{ClientAddress, ClientToken};
use engine::slot::ShardId;

use crate::client::{Client, Session};
use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::tracking::audience::Audience;
use crate::tracking::invalidation::Flushes;

/// Of which keys a client wants to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Those that it has read.
    #[default]
    Reads,
    /// Those that it has read directly behind CLIENT CACHING YES.
    OptIn,
    /// Those that it has read, but not directly behind CLIENT CACHING NO.
    OptOut,
    /// All that begin with one of its prefixes.
    Broadcast,
}

/// The client that hears in the place of another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// `CLIENT ID`.
    pub id: u64,
    pub to: ClientAddress,
}

/// How a connection tracks keys.
#[derive(Default)]
pub struct Tracking {
    pub mode: Mode,
    /// It does not want to hear of what it has changed itself.
    pub noloop: bool,
    pub redirect: Option<Redirect>,
    /// The client to hear in its place was gone when there was something to hear.
    pub redirect_is_broken: bool,
    /// In broadcast mode: they stay when it is turned on again with others.
    pub prefixes: BTreeSet<Bytes>,
}

impl Tracking {
    /// `CLIENT GETREDIR`: 0 where it hears for itself.
    pub fn redirect_id(&self) -> u64 {
        self.redirect.map_or(0, |redirect| redirect.id)
    }

    /// Bytes of memory beyond its own.
    pub fn memory_bytes(&self) -> usize {
        let prefixes = self.prefixes.iter();
        prefixes
            .map(|prefix| prefix.len() + size_of::<Bytes>())
            .sum()
    }
}

/// What a shard knows of its tracking connections besides.
#[derive(Default)]
pub struct Trackers {
    /// Those in broadcast mode.
    pub audience: Audience,
    pub flushes: Flushes,
}

impl Session {
    /// Whether it is in broadcast mode.
    pub fn broadcasts(&self) -> bool {
        self.tracking
            .as_ref()
            .is_some_and(|tracking| tracking.mode == Mode::Broadcast)
    }

    /// Decides anew whether what the next command reads is remembered.
    pub fn settle_tracking(&mut self) {
        self.tracks_reads = match self.tracking.as_ref().map(|tracking| tracking.mode) {
            None | Some(Mode::Broadcast) => false,
            Some(Mode::Reads) => true,
            Some(Mode::OptIn) => self.caching,
            Some(Mode::OptOut) => !self.caching,
        };
    }

    /// CLIENT CACHING, or the end of what it was for.
    pub fn set_caching(&mut self, given: bool) {
        self.caching = given;
        self.settle_tracking();
    }
}

impl Shard {
    /// Tracking is on from now on, as `wanted`; prefixes add up. All shards must know those
    /// already.
    pub fn track(&mut self, client: &mut Client, wanted: Tracking) {
        let session = &mut client.session;
        match &mut session.tracking {
            Some(tracking) => {
                let mut prefixes = std::mem::take(&mut tracking.prefixes);
                prefixes.extend(wanted.prefixes);
                **tracking = Tracking { prefixes, ..wanted };
            }
            none => {
                *none = Some(Box::new(wanted));
                self.process
                    .tracking_clients
                    .fetch_add(1, Ordering::Relaxed);
            }
        }
        session.settle_tracking();
    }

    /// Tracking is off from now on. What is remembered of its reads goes when the keys change.
    pub fn untrack(&mut self, client: &mut Client) {
        let Some(tracking) = client.session.tracking.take() else {
            return;
        };
        client.session.set_caching(false);
        self.process
            .tracking_clients
            .fetch_sub(1, Ordering::Relaxed);
        self.leave_audience(client.token, tracking.prefixes.into_iter().collect());
    }

    /// A client does not want to hear of these prefixes any more; where it was the last one here,
    /// no shard has to tell this one.
    pub(crate) fn leave_audience(&mut self, client: ClientToken, mut prefixes: Vec<Bytes>) {
        let audience = &mut self.hearers.trackers.audience;
        prefixes.retain(|prefix| audience.leave(prefix, client));
        if prefixes.is_empty() {
            return;
        }
        let home = self.engine.id;
        for shard in (0..self.engine.slots.shards()).map(ShardId::new) {
            let prefixes = prefixes.clone();
            let remove = move |shard: &mut Shard| {
                let known = &mut shard.engine.effects.invalidations.prefixes;
                prefixes
                    .iter()
                    .for_each(|prefix| known.remove(prefix, home));
            };
            self.send(shard, Message::Visit(Box::new(remove)));
        }
    }
}
