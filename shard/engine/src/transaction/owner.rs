//! What a shard keeps of the transactions that have locks of its keys: see `steps::check_out`.

use crate::message::{LockRequest, Work};
use crate::transaction::locks::{ItemId, LockTable};

/// What a shard knows of the transactions that have locks of its keys.
#[derive(Default)]
pub struct Owner {
    pub locks: LockTable<Work>,
    /// Requests that do not wait and have met a lock: they are looked at again when the mailbox has
    /// been read.
    #[allow(clippy::vec_box)]
    pub(crate) tries: Vec<Box<LockRequest>>,
    /// The item of the lock table whose work this shard is doing.
    pub runs_under: Option<ItemId>,
    /// That item goes on to be held: a script which ran under it is not over.
    pub(crate) kept: Option<ItemId>,
}
