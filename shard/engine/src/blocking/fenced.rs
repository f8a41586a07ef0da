//! Answers that wait until all has taken effect that anybody has sent.

use slab::Slab;

use crate::header::ReplyTo;
use crate::slot::ShardId;

/// An answer that waits.
pub(crate) struct Fenced {
    pub origin: ShardId,
    pub to: ReplyTo,
    pub encoded: Vec<u8>,
}

/// Some of them, until every shard has done what every other one had sent it.
pub(crate) struct Fence {
    pub missing: usize,
    pub answers: Vec<Fenced>,
}

/// What a shard knows of its waiting besides who waits for which key.
#[derive(Default)]
pub struct Blocking {
    /// Answers to waiters that wait for what others have sent before.
    pub(crate) fences: Slab<Fence>,
}
