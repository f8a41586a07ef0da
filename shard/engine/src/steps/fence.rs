//! Answers that tell a waiter of something gone.
//!
//! What puts something where a client waits comes behind all that its connection has written before
//! (see `behind` in the command's row). What takes a stream away under a group's reader does not:
//! nearly every command that writes can (DEL, SET, a store, EXPIRE), nearly none of them ever does,
//! and all of them would be slower in a pipeline. So the reader's answer waits instead. What the
//! author has sent before is on its way to its owners already; an answer that has gone through each
//! shard to each other one comes behind all that.

use crate::blocking::fenced::{Fence, Fenced};
use crate::engine::Engine;
use crate::message::{Message, Work};
use crate::slot::ShardId;

impl Engine {
    /// Whether an answer to a waiter tells that there is nothing to wait for any more.
    pub(crate) fn tells_of_an_end(&self, encoded: &[u8]) -> bool {
        self.slots.shards() > 1 && encoded.starts_with(b"-")
    }

    /// Answers when all has taken effect that any connection has sent to any shard until now.
    pub(crate) fn answer_behind_all(&mut self, answers: Vec<Fenced>) {
        if answers.is_empty() {
            return;
        }
        let shards = self.slots.shards();
        let missing = shards * shards;
        let index = self.blocking.fences.insert(Fence { missing, answers });
        for via in self.slots.all() {
            self.send(via, Message::FenceFrom(self.id, index as u32));
        }
    }

    /// On a shard whose connections may have sent something: to all to which it may have gone,
    /// behind it.
    pub(crate) fn pass_on_fence(&mut self, home: ShardId, index: u32) {
        for owner in self.slots.all() {
            self.send(owner, Message::FenceAt(home, index));
        }
    }

    /// On such a shard. What met a lock there runs before.
    pub(crate) fn arrive_fence(&mut self, home: ShardId, index: u32) {
        let is_free = self.owner.locks.is_empty() || {
            let work = Work::Fence(home, index);
            let queued = self.owner.locks.enqueue_barrier(work);
            self.is_free_now(queued)
        };
        if is_free {
            self.send(home, Message::FencePassed(index));
        }
    }

    /// At home: it has passed one way.
    pub(crate) fn pass_fence(&mut self, index: u32) {
        let index = index as usize;
        let fence = &mut self.blocking.fences[index];
        fence.missing -= 1;
        if fence.missing > 0 {
            return;
        }
        for answer in self.blocking.fences.remove(index).answers {
            self.complete(answer.origin, answer.to, answer.encoded, 0);
        }
    }
}
