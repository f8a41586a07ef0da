//! The ways of one shard to others, and to itself.

use std::collections::VecDeque;

use engine::batch::Batch;

use crate::mailbox::message::Message;
use crate::mailbox::outbox::Outbox;
use crate::mailbox::{Mailbox, Outlets};

/// All of them.
pub(crate) struct Links {
    pub mailbox: Mailbox<Message>,
    pub outlets: Outlets<Message>,
    pub outboxes: Vec<Outbox>,
    /// Messages to itself: what would otherwise recurse, and visits.
    pub own: VecDeque<Message>,
    /// Boxed as they travel: a batch keeps its box for life.
    #[allow(clippy::vec_box)]
    pub spare_batches: Vec<Box<Batch>>,
}

impl Links {
    /// Those of one of so many shards.
    pub fn new(mailbox: Mailbox<Message>, outlets: Outlets<Message>, shards: usize) -> Self {
        Self {
            mailbox,
            outlets,
            outboxes: (0..shards).map(|_| Outbox::default()).collect(),
            own: VecDeque::new(),
            spare_batches: Vec::new(),
        }
    }
}
