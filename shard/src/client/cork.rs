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

use std::collections::VecDeque;

use crate::client::Client;
use crate::shard::Shard;
use crate::turn::idle_policy::limits::{CORKED_BYTES_MAX, CORKED_TURNS_MAX};
use engine::header::ClientToken;

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

/// The connections of a shard whose output is corked.
#[derive(Default)]
pub struct CorkedOutput {
    /// With the turns in which they came, in their order.
    queue: VecDeque<(u64, ClientToken)>,
    turns: u64,
}

impl CorkedOutput {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
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
        self.is_corked = self.waits_for_rest(corks);
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
        if client.is_corked {
            client.cork = Cork::Queued;
            self.corked
                .queue
                .push_back((self.corked.turns, client.token));
            if !self.awake {
                // Somebody has to let it go.
                self.begin_turn();
            }
        }
    }

    /// A turn begins: what has been corked for too many of them leaves.
    #[inline]
    pub(crate) fn age_corked_output(&mut self) {
        self.corked.turns += 1;
        while let Some(&(since, _)) = self.corked.queue.front()
            && self.corked.turns - since > CORKED_TURNS_MAX
        {
            self.uncork_first();
        }
    }

    /// All corked output leaves.
    pub(crate) fn uncork_all(&mut self) {
        while !self.corked.is_empty() {
            self.uncork_first();
        }
    }

    fn uncork_first(&mut self) {
        let Some((_, token)) = self.corked.queue.pop_front() else {
            return;
        };
        if let Some(client) = self.client(token) {
            let client = &mut *client.borrow_mut();
            client.cork = if client.has_output() {
                Cork::Overdue
            } else {
                Cork::No
            };
            // Its state may have changed without anybody waking its task.
            client.wake();
        }
    }
}
