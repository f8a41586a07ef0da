//! Where the keys of a command are.

use smallvec::SmallVec;

use crate::slot::ShardId;

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
