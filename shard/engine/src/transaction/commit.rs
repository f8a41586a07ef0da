//! How a transaction is named whose answer waits until no crash can take it.

use crate::slot::ShardId;

/// A transaction whose answer waits, by its coordinator. The index names another one once that has
/// been told that this is durable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CommitId {
    pub coordinator: ShardId,
    pub index: usize,
}

/// What each shard hears of it whose log has a record of it, or whose data it has read.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    pub id: CommitId,
    /// How many such shards there are.
    pub parts: usize,
}
