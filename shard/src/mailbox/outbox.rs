//! What a shard has for another one until it leaves with the turn.

use std::collections::VecDeque;

use engine::batch::Batch;
use engine::message::{CheckedOut, Message as EngineMessage};
use engine::slot::ShardId;

use crate::mailbox::Outlets;
use crate::mailbox::message::Message;

/// Messages to one shard, in order, that its ring has not taken yet.
#[derive(Default)]
pub struct Outbox {
    sealed: VecDeque<Message>,
    /// The batch that this turn's commands join; `sealed` comes before it.
    open: Option<Box<Batch>>,
    /// Its shard is to be rung when all that goes out now is in the rings.
    rings: bool,
}

impl Outbox {
    /// Puts a message behind all that is there.
    pub fn push(&mut self, message: Message) {
        self.seal();
        self.sealed.push_back(message);
    }

    /// The batch that commands join, which is one of `spare` where none is open.
    #[inline]
    pub fn open_batch(&mut self, spare: &mut Vec<Box<Batch>>) -> &mut Batch {
        self.open
            .get_or_insert_with(|| spare.pop().unwrap_or_default())
    }

    /// Closes the batch, so that the next command begins another one. Returns how many commands it
    /// has.
    #[inline]
    pub fn seal(&mut self) -> Option<usize> {
        let batch = self.open.take()?;
        let count = batch.count();
        self.sealed.push_back(Message::Requests(batch));
        Some(count)
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.sealed.len()
    }

    /// Whether a client is answered by something in it.
    pub fn has_replies(&self) -> bool {
        let is_reply = |message: &Message| match message {
            Message::Replies(_)
            | Message::DeferredReply(_)
            | Message::Engine(EngineMessage::Told(_)) => true,
            Message::Engine(EngineMessage::Granted(grant)) => {
                matches!(grant.lent, CheckedOut::Ran(_))
            }
            _ => false,
        };
        self.sealed.iter().any(is_reply)
    }

    /// Puts what is sealed into the ring to `to`. Returns whether that had no room for all.
    #[inline]
    pub fn deliver(&mut self, to: ShardId, outlets: &mut Outlets<Message>) -> bool {
        if self.sealed.is_empty() {
            return false;
        }
        self.rings = true;
        outlets.push(to, &mut self.sealed);
        !self.sealed.is_empty()
    }

    /// After everything was delivered: wakes `to` if it got something and sleeps. Returns whether
    /// that took a system call.
    #[inline]
    pub fn ring(&mut self, to: ShardId, outlets: &Outlets<Message>) -> bool {
        std::mem::take(&mut self.rings) && outlets.ring(to)
    }
}
