//! Corked output: output that waits for what comes behind it.
//!
//! The commands of one pipeline that go to several shards are answered at different times. Written
//! as they come, 16 GETs over two shards take two writes, and 16 MSETs sixteen: a write is several
//! microseconds of the kernel's time, for both sides. So while replies of a connection are under
//! way, those before them are corked, but never for long. They leave when nothing is under way any
//! more, when they are many, when the shard has nothing else to do before it parks, and after some
//! turns in any case. A client that is blocked gets its output at once.
//!
//! With `idle-policy off` nothing is corked.

use crate::client::Client;
use crate::client::hold::OutputHold;
use crate::shard::Shard;
use crate::turn::idle_policy::limits::{CORKED_BYTES_MAX, CORKED_TURNS_MAX};

/// What a shard knows of a connection's corked output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cork {
    /// The connection is not in the shard's queue.
    #[default]
    No,
    /// It is in the queue.
    Queued,
    /// It was in the queue for long enough: what is there leaves, corked or not.
    Overdue,
}

impl Cork {
    /// The state of a connection that leaves the queue.
    pub(super) fn after_queue(has_output: bool) -> Self {
        if has_output { Self::Overdue } else { Self::No }
    }
}

impl Client {
    /// Whether what is due to it waits for the replies behind it, where `corks` says that output
    /// may.
    #[inline]
    fn waits_for_rest(&self, corks: bool) -> bool {
        corks
            && !self.pending.is_empty()
            && self.cork != Cork::Overdue
            && self.out.len() < CORKED_BYTES_MAX
            && self.blocked.is_none()
            && self.closing.is_none()
            && self.chain.as_ref().is_none_or(|chain| chain.is_empty())
    }

    /// Looks whether its output is corked: called by its task before that sends. `corks` is
    /// `idle_policy.corks()`.
    #[inline]
    pub fn settle_cork(&mut self, corks: bool) {
        let waits = self.waits_for_rest(corks);
        self.output_hold.set(OutputHold::CORKED, waits);
    }
}

impl Shard {
    /// A connection's task has run: if its output is corked, the shard has to know.
    #[inline]
    pub(crate) fn note_corked(&mut self, client: &mut Client) {
        if !client.has_output() || client.cork != Cork::No {
            return;
        }
        client.settle_cork(self.idle_policy.corks());
        if client.output_hold.contains(OutputHold::CORKED) {
            client.cork = Cork::Queued;
            let due = self.idle_policy.turns() + CORKED_TURNS_MAX;
            self.hold_output(client, OutputHold::CORKED, due);
            if !self.awake {
                // Somebody has to let it go.
                self.begin_turn();
            }
        }
    }

    /// A turn begins: what has been corked for too many of them leaves.
    #[inline]
    pub(crate) fn age_corked_output(&mut self) {
        if !self.held.corked.is_empty() {
            self.release_output(OutputHold::CORKED, self.idle_policy.turns() - 1);
        }
    }

    /// All corked output leaves.
    pub(crate) fn uncork_all(&mut self) {
        self.release_output(OutputHold::CORKED, u64::MAX);
    }
}
