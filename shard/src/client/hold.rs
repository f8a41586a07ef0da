//! What holds a client: why its next command may not run yet, and why its output may not leave yet.
//!
//! Each is a set of reasons, and empty for most clients most of the time: one test says whether to
//! go on. Each reason is set in one place and cleared in one, and whoever clears it wakes the
//! connection's task. Clients that are held for the same reason are let go together, so they stand
//! in a queue for each reason ([`HoldQueue`]). Output that waits for the log is the exception: the
//! log keeps that queue, as it alone knows how far it has come ([`crate::aof::gates`]).

use std::collections::VecDeque;
use std::mem;

use bitflags::bitflags;
use engine::header::ClientToken;

use crate::client::Client;
use crate::client::cork::Cork;
use crate::shard::Shard;

bitflags! {
    /// Why a client's next command may not run yet.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct CommandHold: u8 {
        /// A command of its own has to finish first: a transaction, one that gathers from several
        /// shards, one that blocks. Set by [`Client::stall`], cleared by [`Client::end_stall`].
        const UNFINISHED = 1 << 0;
        /// CLIENT PAUSE. Set by [`Shard::postpones`], cleared when the pause ends.
        const PAUSED = 1 << 1;
        /// It may publish, and too much is on its way to subscribers. Set by [`Shard::crowds`],
        /// cleared by [`Shard::let_publish`].
        const BACKLOG = 1 << 2;
        /// Messages for it may lie in the mailbox, and its command comes behind those. Set by
        /// [`Shard::hears_first`], cleared when the turn has read the mailbox.
        const UNHEARD = 1 << 3;
        /// Its command comes behind all that it sent before, or it just did, and not all of that is
        /// answered. Set and cleared by [`Client::settle_commands`].
        const BEHIND_ALL = 1 << 4;
        /// Replies that wait, or output that has not left, are at their limit. Set and cleared by
        /// [`Client::settle_commands`].
        const NO_ROOM = 1 << 5;
        /// It is being closed. Set by [`Client::close`], and never cleared.
        const CLOSING = 1 << 6;
    }
}

bitflags! {
    /// Why a client's output may not leave yet.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct OutputHold: u8 {
        /// It may tell of what the log has not made safe. Set by [`Shard::gate_client`], cleared by
        /// [`Client::end_durability_wait`].
        const DURABILITY = 1 << 0;
        /// Others have to be told of its commands first: the reply fence. Set and cleared in
        /// [`crate::turn::reply_fence`].
        const FENCE = 1 << 1;
        /// It waits for what comes behind it. Set and cleared by [`Client::settle_cork`].
        const CORKED = 1 << 2;
    }
}

/// Clients that are held for one reason, the first that becomes due in front.
#[derive(Default)]
pub struct HoldQueue {
    clients: VecDeque<(u64, ClientToken)>,
}

impl HoldQueue {
    /// Puts a client at the end, which is not due before those before it.
    fn push(&mut self, due: u64, token: ClientToken) {
        debug_assert!(self.clients.back().is_none_or(|last| last.0 <= due));
        self.clients.push_back((due, token));
    }

    /// Takes the first client, if it is due at `now` or before.
    fn pop_due(&mut self, now: u64) -> Option<ClientToken> {
        let is_due = self.clients.front().is_some_and(|first| first.0 <= now);
        if is_due {
            self.clients.pop_front().map(|first| first.1)
        } else {
            None
        }
    }

    /// Whether nobody is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

/// The clients of one shard that are held.
#[derive(Default)]
pub struct HeldClients {
    paused: HoldQueue,
    backlog: HoldQueue,
    unheard: HoldQueue,
    pub(crate) fenced: HoldQueue,
    pub(crate) corked: HoldQueue,
}

impl HeldClients {
    /// Those whose commands are held for `reason`, which is one that ends for all of them at once.
    fn commands(&mut self, reason: CommandHold) -> &mut HoldQueue {
        match reason {
            CommandHold::PAUSED => &mut self.paused,
            CommandHold::BACKLOG => &mut self.backlog,
            CommandHold::UNHEARD => &mut self.unheard,
            _ => unreachable!("a client's own reason has no queue"),
        }
    }

    /// Those whose output is held for `reason`.
    fn output(&mut self, reason: OutputHold) -> &mut HoldQueue {
        match reason {
            OutputHold::FENCE => &mut self.fenced,
            OutputHold::CORKED => &mut self.corked,
            _ => unreachable!("the log keeps those who wait for it"),
        }
    }

    /// Whether commands wait for their shard to read its mailbox.
    #[inline]
    pub fn has_unheard(&self) -> bool {
        !self.unheard.is_empty()
    }
}

impl Shard {
    /// Holds a client's commands until [`Self::release_commands`] is called for the same reason.
    pub(crate) fn hold_commands(&mut self, client: &mut Client, reason: CommandHold) {
        client.command_hold.insert(reason);
        let mut queue = mem::take(self.connections.held.commands(reason));
        if queue.clients.len() > 2 * self.connections.clients.len() {
            // Clients that have gone leave their places behind.
            queue
                .clients
                .retain(|(_, token)| self.client(*token).is_some());
        }
        queue.push(0, client.token);
        *self.connections.held.commands(reason) = queue;
    }

    /// A reason for which commands are held has ended: those clients go on.
    pub(crate) fn release_commands(&mut self, reason: CommandHold) {
        let mut queue = mem::take(self.connections.held.commands(reason));
        while let Some(token) = queue.pop_due(u64::MAX) {
            if let Some(client) = self.client(token) {
                let mut client = client.borrow_mut();
                client.command_hold.remove(reason);
                client.wake();
            }
        }
    }

    /// Holds a client's output until [`Self::release_output`] is called for the same reason and for
    /// `due` or more.
    pub(crate) fn hold_output(&mut self, client: &mut Client, reason: OutputHold, due: u64) {
        client.output_hold.insert(reason);
        self.connections.held.output(reason).push(due, client.token);
    }

    /// A reason for which output is held has ended for those that are due at `now`: it may leave.
    pub(crate) fn release_output(&mut self, reason: OutputHold, now: u64) {
        while let Some(token) = self.connections.held.output(reason).pop_due(now) {
            if let Some(client) = self.client(token) {
                let mut client = client.borrow_mut();
                client.output_hold.remove(reason);
                if reason == OutputHold::CORKED {
                    client.cork = Cork::after_queue(client.has_output());
                }
                // Its state may have changed without anybody waking its task.
                client.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Closing, OUTPUT_UNSENT_BYTES_MAX};

    #[test]
    fn each_reason_holds_and_the_last_to_go_lets_the_command_run() {
        let mut client = Client::of_nobody();
        client.output_max = OUTPUT_UNSENT_BYTES_MAX;
        assert!(client.may_run());
        let reply = client.stall();
        client.command_hold.insert(CommandHold::PAUSED);
        assert_eq!(client.unfinished(), Some(reply.seq));
        client.end_stall();
        assert_eq!(client.unfinished(), None);
        assert!(!client.may_run(), "it is paused still");
        client.command_hold.remove(CommandHold::PAUSED);
        client.settle_commands();
        assert!(client.may_run());
        client.close(Closing::AfterReplies);
        assert!(!client.may_run());
    }

    #[test]
    fn a_command_that_comes_behind_all_holds_what_comes_behind_it() {
        let mut client = Client::of_nobody();
        client.output_max = OUTPUT_UNSENT_BYTES_MAX;
        assert!(!client.comes_behind(true), "nothing is pending");
        let seq = client.wait();
        client.settle_commands();
        assert!(!client.may_run(), "its own reply is to come");
        client.fold(seq, b"+OK\r\n");
        client.settle_commands();
        assert!(client.may_run());
        client.wait();
        assert!(!client.comes_behind(false));
        client.settle_commands();
        assert!(client.may_run());
        assert!(client.comes_behind(true));
    }

    #[test]
    fn output_without_room_holds_commands_until_it_is_sent() {
        let mut client = Client::of_nobody();
        client.output_max = 10;
        client.out = vec![b'x'; 10];
        client.settle_commands();
        assert!(!client.may_run());
        client.out.clear();
        client.settle_commands();
        assert!(client.may_run());
    }

    #[test]
    fn output_leaves_when_nothing_holds_it() {
        let mut client = Client::of_nobody();
        client.out = b"+OK\r\n".to_vec();
        client.output_hold = OutputHold::all();
        for reason in [
            OutputHold::DURABILITY,
            OutputHold::FENCE,
            OutputHold::CORKED,
        ] {
            assert!(client.next_due().is_pending());
            client.output_hold.remove(reason);
        }
        assert!(client.next_due().is_ready());
    }

    #[test]
    fn clients_become_due_in_their_order() {
        let token = |index| ClientToken {
            index,
            ..ClientToken::NOBODY
        };
        let mut queue = HoldQueue::default();
        for (due, index) in [(3, 1), (3, 2), (5, 3)] {
            queue.push(due, token(index));
        }
        assert_eq!(queue.pop_due(2), None);
        assert_eq!(queue.pop_due(4), Some(token(1)));
        assert_eq!(queue.pop_due(4), Some(token(2)));
        assert_eq!(queue.pop_due(4), None);
        assert_eq!(queue.pop_due(u64::MAX), Some(token(3)));
        assert!(queue.is_empty());
    }
}
