//! Replication: this server as a master. See `docs/replication.md`.
//!
//! All shards say their effects into one stream, the [`backlog`], before anything leaves them that
//! may tell of these. A replica gets a snapshot of one instant, whose place in the stream is known,
//! and then the stream from there on ([`full_sync`]); one whose link broke gets only what it has
//! missed, as long as the backlog has it. [`feed`] brings the stream to the replicas' connections,
//! [`link`](mod@link) is what is known of one of these.

pub mod backlog;
pub mod feed;
pub mod full_sync;
pub mod link;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use engine::header::ClientToken;
use engine::slot::ShardId;

use self::backlog::Backlog;
use self::full_sync::Syncs;
use self::link::Known;

/// A replica's connection, as the whole process names it.
pub type ReplicaId = (ShardId, ClientToken);

/// What all shards share about replication.
pub struct Replication {
    pub backlog: Backlog,
    /// Replicas that wait for all data.
    syncs: Mutex<Syncs>,
    /// Every replica, as INFO, ROLE and WAIT know it.
    replicas: Mutex<Vec<Known>>,
    /// How often replicas got all data, or what they had missed, or asked for that in vain.
    pub counts: Counts,
    /// Since when there has been none.
    pub(crate) idle_since: Mutex<Option<Instant>>,
    /// Commands that wait for replicas, of all shards.
    pub(crate) ack_waits: AtomicUsize,
    /// When the stream was last said something only to show that it lives.
    pub(crate) pinged: Mutex<Option<Instant>>,
    /// Shards that have been told of something new in the stream, and have not looked.
    told: Vec<AtomicBool>,
}

/// How replicas came to their data.
#[derive(Debug, Default)]
pub struct Counts {
    pub full: AtomicU64,
    pub partial: AtomicU64,
    pub refused: AtomicU64,
}

impl Counts {
    /// Full ones, partial ones, and those refused.
    pub fn shown(&self) -> [u64; 3] {
        [&self.full, &self.partial, &self.refused].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Replication {
    /// Without replicas.
    pub fn new(shards: usize, id: &str) -> Self {
        Self {
            backlog: Backlog::new(id),
            syncs: Mutex::default(),
            replicas: Mutex::default(),
            counts: Counts::default(),
            idle_since: Mutex::default(),
            ack_waits: AtomicUsize::new(0),
            pinged: Mutex::default(),
            told: (0..shards).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub(crate) fn syncs(&self) -> MutexGuard<'_, Syncs> {
        lock(&self.syncs)
    }

    /// Every replica.
    pub fn replicas(&self) -> MutexGuard<'_, Vec<Known>> {
        lock(&self.replicas)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
