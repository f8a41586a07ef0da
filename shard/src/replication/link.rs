//! What is known of a replica, by its connection and by all shards.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use crate::replication::ReplicaId;

/// How far a replica has come.
#[derive(Default)]
pub enum State {
    /// It tells of itself.
    #[default]
    Greets,
    /// It waits for the instant of a snapshot, and then for the snapshot to be written: its place
    /// in the stream is known once the instant has been.
    Waits(Option<u64>),
    /// It is sent a snapshot of so many bytes, of which it has got some.
    Loads {
        file: Arc<File>,
        bytes: u64,
        sent: u64,
        /// Where the stream goes on behind it.
        from: u64,
    },
    /// It has been sent the stream up to here.
    Follows(u64),
}

/// A replica's connection.
#[derive(Default)]
pub struct Link {
    pub state: State,
    /// Where it listens itself.
    pub port: u16,
    pub address: Option<Box<str>>,
    /// It wants all data and nothing more (`redis-cli --rdb`).
    pub wants_snapshot_only: bool,
    /// It wants the libraries of functions and nothing more (`redis-cli --functions-rdb`).
    pub wants_functions_only: bool,
    /// It understands offsets: it asked with PSYNC.
    pub knows_offsets: bool,
    /// Up to here it has what it was sent.
    pub acknowledged: u64,
    /// Up to here it has that on disk.
    pub synced: u64,
}

impl Link {
    /// Whether it has not asked for data yet.
    pub fn greets(&self) -> bool {
        matches!(self.state, State::Greets)
    }
}

/// A replica as all shards know it.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: ReplicaId,
    pub address: Box<str>,
    pub port: u16,
    pub state: KnownState,
    pub acknowledged: u64,
    pub synced: u64,
    pub heard_at: Instant,
}

/// How far it has come, in INFO's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownState {
    WaitsForSnapshot,
    GetsSnapshot,
    Online,
}

impl KnownState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::WaitsForSnapshot => "wait_bgsave",
            Self::GetsSnapshot => "send_bulk",
            Self::Online => "online",
        }
    }
}
