//! The reply fence: what others are to hear of a command leaves before its reply.
//!
//! A client that has the reply of a PUBLISH may act on it through another shard's connection, and
//! what that one hears must not be missing there yet. What a connection publishes, notifies of or
//! invalidates leaves with the turn, all at once for all connections. Its replies mostly leave
//! behind that, but neither driver promises it: epoll writes at once, and io_uring's executor
//! submits what it has when too many tasks run one after the other. So the replies are held until
//! the turn is over. Within one shard nothing can come in between.

use crate::client::Client;
use crate::client::hold::OutputHold;
use crate::shard::Shard;

/// What a turn tells others.
#[derive(Default)]
pub struct ReplyFence {
    /// Among its messages are some that tell other shards what their clients are to hear.
    pub(crate) effects_sent: bool,
}

impl Shard {
    /// Called when a connection's commands have run: holds their replies if other shards are to
    /// hear of them first.
    #[inline]
    pub(crate) fn hold_behind_fence(&mut self, client: &mut Client) {
        if self.has_effects_for_others()
            && client.has_output()
            && !client.output_hold.contains(OutputHold::FENCE)
        {
            self.hold_output(client, OutputHold::FENCE, 0);
            self.begin_turn();
        }
    }

    #[inline]
    fn has_effects_for_others(&self) -> bool {
        self.engine.slots.shards() > 1
            && (self.publishing.is_for_others
                || !self.engine.effects.notices.is_empty()
                || self.engine.effects.invalidations.is_for_turn())
    }

    /// The first messages of a turn that tells others something: those to shards that get no reply.
    /// Who gets a reply may act on it at once.
    #[cold]
    pub(crate) fn flush_effects(&mut self) {
        self.turns.reply_fence.effects_sent = false;
        self.links.deliver_without_replies();
    }

    /// All that this turn had for others has left. Returns whether anybody may be answered who
    /// could not before.
    #[inline]
    pub(crate) fn release_reply_fence(&mut self) -> bool {
        if self.connections.held.fenced.is_empty() {
            return false;
        }
        self.release_output(OutputHold::FENCE, 0);
        true
    }
}
