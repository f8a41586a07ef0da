//! A blocked command with keys on several shards, on its origin.

use crate::blocking::ending::End;
use crate::blocking::waiting::Blocked;
use crate::task::TaskId;

/// A blocked command with keys on several shards.
pub struct BlockedOnSeveral {
    pub(crate) blocked: Blocked,
    /// A transaction is trying to serve it.
    pub(crate) trying: bool,
    /// Another key became ready meanwhile.
    pub(crate) again: bool,
    /// It is to end as soon as that transaction has failed, and who is to be told.
    pub(crate) end: Option<(End, TaskId)>,
}
