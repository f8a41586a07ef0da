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
    pub sealed: VecDeque<Message>,
    /// The batch that this turn's commands join.
    pub open: Option<Box<Batch>>,
    /// Its shard is to be rung when all that goes out now is in the rings.
    pub rings: bool,
}

impl Outbox {
    /// Whether a client is answered by something in it.
    pub fn has_replies(&self) -> bool {
        let is_reply = |message: &Message| match message {
            Message::Replies(_) | Message::Late(_) | Message::Engine(EngineMessage::Told(_)) => {
                true
            }
            Message::Engine(EngineMessage::Granted(grant)) => {
                matches!(grant.lent, CheckedOut::Ran(_))
            }
            _ => false,
        };
        self.sealed.iter().any(is_reply)
    }

    /// Puts what is sealed into the ring to `to`, as far as there is room.
    #[inline]
    pub fn send(&mut self, to: ShardId, outlets: &mut Outlets<Message>) {
        if !self.sealed.is_empty() {
            self.rings = true;
            outlets.send(to, &mut self.sealed);
        }
    }
}
