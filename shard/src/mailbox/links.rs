//! The sending side of a shard: its ways to the others, and to itself.
//!
//! Sending never waits: a message stays in the outbox for its shard until the turn's flush. All
//! that one turn has for a shard thus arrives together, and wakes it once.

use std::collections::VecDeque;
use std::rc::Rc;

use engine::batch::Batch;
use engine::header::{Header, ReplyTo};
use engine::slot::ShardId;
use protocol::args::Args;

use crate::mailbox::Outlets;
use crate::mailbox::inbox::Incoming;
use crate::mailbox::message::Message;
use crate::mailbox::outbox::Outbox;

/// Emptied batches a shard keeps for its next turns.
const SPARE_BATCHES_MAX: usize = 32;

/// All of them.
pub(crate) struct Links {
    /// What others have sent to this shard.
    pub incoming: Rc<Incoming<Message>>,
    /// Messages to itself: what would otherwise recurse, and visits.
    pub own: VecDeque<Message>,
    outlets: Outlets<Message>,
    outboxes: Vec<Outbox>,
    /// Boxed as they travel: a batch keeps its box for life.
    #[allow(clippy::vec_box)]
    spare_batches: Vec<Box<Batch>>,
}

/// What a flush has done.
#[derive(Default)]
pub(crate) struct Flushed {
    /// A full ring has kept something back. Whoever makes room rings.
    pub kept_back: bool,
    pub batches: u64,
    /// Commands in these batches.
    pub batched: u64,
    /// Shards that it took a system call to wake.
    pub wakes: u64,
}

impl Links {
    /// Those of one of so many shards.
    pub fn new(incoming: Rc<Incoming<Message>>, outlets: Outlets<Message>, shards: usize) -> Self {
        Self {
            incoming,
            own: VecDeque::new(),
            outlets,
            outboxes: (0..shards).map(|_| Outbox::default()).collect(),
            spare_batches: Vec::new(),
        }
    }

    /// Sends a message to another shard, behind all that was sent to it before.
    pub fn send(&mut self, to: ShardId, message: Message) {
        self.outboxes[to.index()].push(message);
    }

    /// Sends a command to its owner: it joins the batch that is on its way there.
    #[inline]
    pub fn request(&mut self, owner: ShardId, to: ReplyTo, header: Header, args: &Args<'_>) {
        let outbox = &mut self.outboxes[owner.index()];
        let batch = outbox.open_batch(&mut self.spare_batches);
        batch.push(to, header, args);
        if batch.is_full() {
            outbox.seal();
        }
    }

    /// Delivers what goes to shards that get no reply.
    pub fn deliver_without_replies(&mut self) {
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            if !outbox.has_replies() {
                outbox.deliver(ShardId::new(index), &mut self.outlets);
            }
        }
    }

    /// Delivers all that was sent, and wakes those who got something and sleep.
    #[inline]
    pub fn flush(&mut self) -> Flushed {
        let mut flushed = Flushed::default();
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            if let Some(count) = outbox.seal() {
                flushed.batches += 1;
                flushed.batched += count as u64;
            }
            flushed.kept_back |= outbox.deliver(ShardId::new(index), &mut self.outlets);
        }
        if flushed.kept_back {
            self.outlets.announce_lack_of_room();
            // Room may have come before the announcement; if not, whoever makes it rings.
            flushed.kept_back = self.deliver_the_rest();
        }
        // Only now: a shard that is rung may take this one's core, and messages of one turn should
        // be there together.
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            flushed.wakes += u64::from(outbox.ring(ShardId::new(index), &self.outlets));
        }
        flushed
    }

    #[cold]
    fn deliver_the_rest(&mut self) -> bool {
        let mut kept_back = false;
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            kept_back |= outbox.deliver(ShardId::new(index), &mut self.outlets);
        }
        kept_back
    }

    /// Messages that wait for room elsewhere.
    pub fn kept_back(&self) -> usize {
        self.outboxes.iter().map(Outbox::waiting).sum()
    }

    /// Keeps an emptied batch for later commands.
    pub fn recycle(&mut self, batch: Box<Batch>) {
        if self.spare_batches.len() < SPARE_BATCHES_MAX && batch.worth_keeping() {
            self.spare_batches.push(batch);
        }
    }
}
