//! Answers that tell a waiter of something gone.
//!
//! What puts something where a client waits comes behind all that its connection has written before
//! (see `dispatch::order`). What takes a stream away under a group's reader does not: nearly every
//! command that writes can (DEL, SET, a store, EXPIRE), nearly none of them ever does, and all of
//! them would be slower in a pipeline. So the reader's answer waits instead. What the author has
//! sent before is on its way to its owners already; an answer that has gone through each shard to
//! each other one comes behind all that.

use crate::mailbox::batch::ReplyTo;
use crate::mailbox::message::{Message, Visit};
use crate::shard::Shard;
use crate::slot::ShardId;

/// An answer that waits.
pub(crate) struct Behind {
    pub origin: ShardId,
    pub to: ReplyTo,
    pub encoded: Vec<u8>,
}

/// Some of them, until every shard has done what every other one had sent it.
pub(crate) struct Fence {
    missing: usize,
    answers: Vec<Behind>,
}

impl Shard {
    /// Whether an answer to a waiter tells that there is nothing to wait for any more.
    pub(crate) fn tells_of_an_end(&self, encoded: &[u8]) -> bool {
        self.slots.shards() > 1 && encoded.starts_with(b"-")
    }

    /// Answers when all has taken effect that any connection has sent to any shard until now.
    pub(crate) fn answer_behind_all(&mut self, answers: Vec<Behind>) {
        if answers.is_empty() {
            return;
        }
        let shards = self.slots.shards();
        let missing = shards * shards;
        let index = self.fences.insert(Fence { missing, answers });
        let home = self.id;
        for via in (0..shards).map(ShardId::new) {
            let on = move |shard: &mut Shard| shard.pass_on_fence(home, index);
            self.send(via, Message::Visit(Box::new(on)));
        }
    }

    /// On a shard whose connections may have sent something: to all to which it may have gone,
    /// behind it.
    fn pass_on_fence(&mut self, home: ShardId, index: usize) {
        for owner in (0..self.slots.shards()).map(ShardId::new) {
            let passed: Visit = Box::new(move |shard: &mut Shard| shard.pass_fence(index));
            let there: Visit = Box::new(move |shard| shard.send(home, Message::Visit(passed)));
            // What met a lock there runs before.
            let arrive = move |shard: &mut Shard| shard.when_all_home(there);
            self.send(owner, Message::Visit(Box::new(arrive)));
        }
    }

    fn pass_fence(&mut self, index: usize) {
        let fence = &mut self.fences[index];
        fence.missing -= 1;
        if fence.missing > 0 {
            return;
        }
        for Behind {
            origin,
            to,
            encoded,
        } in self.fences.remove(index).answers
        {
            self.complete(origin, to, &encoded);
        }
    }
}
