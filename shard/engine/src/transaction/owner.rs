//! The owner's side of transactions: locks of this shard's keys are taken or queued for, entries
//! are lent and come home, and whoever met a lock goes on when it is free.
//!
//! A request that may not wait is refused only after the mailbox has been read once more: a release
//! that was sent before the request was, as far as any client could tell, lies there at the latest,
//! so a transaction is never refused on account of one that had ended before it.

use crate::message::LockRequest;
use crate::message::Work;
use crate::transaction::locks::ItemId;
use crate::transaction::locks::LockTable;

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
}
