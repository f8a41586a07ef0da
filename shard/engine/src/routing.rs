//! Where the keys of a command are.

use smallvec::SmallVec;

use crate::slot::ShardId;

/// Where a script begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptRoute {
    /// On this shard, in place.
    Here,
    /// On another one that owns all its keys, and it touches no others.
    At(ShardId),
    /// On another one that owns all keys that it declares, and it may touch others: its connection
    /// waits for it.
    Sent(ShardId),
    /// As a transaction, once its declared keys are locked.
    Locked,
}

/// Where a command's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// All on this shard, or there are none.
    Here,
    /// All on one other.
    At(ShardId),
    /// On several; here is the owner of each key, in the order of the keys.
    Several(SmallVec<[ShardId; 16]>),
    /// Some are known only while it runs, and may be anywhere.
    Anywhere,
}
