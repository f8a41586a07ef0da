//! The fan-out queue: subscribers that have messages to be sent.
//!
//! A message to a thousand subscribers is a thousand writes to sockets, of some microseconds each,
//! and the shard would look at no input before the last of them. So subscribers stand in a queue,
//! and a turn sends to a few. In between the shard looks for input: others wait for a few writes
//! and not for all, and the publisher, who has its reply by then, may publish again. What is
//! published meanwhile joins what those in the queue are to get, and one write takes it all: the
//! more a shard has to deliver, the less a delivery costs. The last in the queue waits no longer
//! than without one.
//!
//! How many a turn sends to, and whether the shard yields to publishers before that, is the idle
//! policy's to say: see [`crate::turn::idle_policy`].

use std::collections::VecDeque;
use std::mem;

use engine::header::ClientToken;

use crate::client::Client;
use crate::shard::Shard;

/// Subscribers with output of which nobody has told them, each once.
#[derive(Default)]
pub struct FanoutQueue {
    /// With the place, among all bytes handed out, of the next that they are to be sent.
    waiting: VecDeque<(ClientToken, u64)>,
    /// Bytes handed out so far.
    handed_out: u64,
    /// How many of these have been sent to all in the queue.
    sent: u64,
    /// The bell was rung, and nobody is sent to until it is heard: by then the shard has looked at
    /// what came from outside.
    awaits_bell: bool,
}

impl FanoutQueue {
    /// Puts a subscriber at the end, unless it is in the queue. One that is being written to joins
    /// when that is over: see [`Self::rejoin`].
    pub fn join(&mut self, client: &mut Client) {
        if client.writing_bytes > 0 {
            client.rejoins_fanout = true;
        } else if !mem::replace(&mut client.in_fanout, true) {
            let next = self.handed_out.saturating_sub(client.unsent_bytes() as u64);
            self.waiting.push_back((client.token, next));
        }
    }

    /// Puts a subscriber at the end that has got messages while it was written to. Returns whether
    /// it has to wait until it is woken; a reply between these messages waits with them. If it
    /// went on at once, soon all would, each behind its last write: the queue would be empty, and
    /// hundreds of writes would come before the next look for input.
    pub fn rejoin(&mut self, client: &mut Client) -> bool {
        let rejoins = mem::take(&mut client.rejoins_fanout) && client.has_output();
        if rejoins {
            self.join(client);
        }
        rejoins
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// So many bytes are handed out now.
    #[inline]
    pub fn hands_out(&mut self, bytes: usize) {
        self.handed_out += bytes as u64;
    }

    /// Bytes that all in the queue have been sent since this was asked last. It does not wait for a
    /// subscriber whose socket is full: that one is not in the queue.
    pub fn take_sent(&mut self) -> usize {
        let first = self.waiting.front();
        let sent = first.map_or(self.handed_out, |(_, next)| *next);
        let since = sent.saturating_sub(self.sent);
        self.sent += since;
        since as usize
    }

    /// The bell was heard.
    #[inline]
    pub fn heard_bell(&mut self) {
        self.awaits_bell = false;
    }
}

impl Shard {
    /// Lets the first in the queue send, if it is time. Returns whether there is more to do.
    #[inline]
    pub(crate) fn send_fanout(&mut self) -> bool {
        let queue = &self.publishing.fanout;
        !queue.is_empty() && !queue.awaits_bell && self.send_to_first()
    }

    fn send_to_first(&mut self) -> bool {
        let waiting = self.publishing.fanout.waiting.len();
        if self.yield_to_publishers(waiting) {
            self.look_before_fanout();
            return true;
        }
        let count = self
            .turns
            .idle_policy
            .fanout_sends(self.engine.stats.reads, waiting);
        for _ in 0..count {
            let Some((token, _)) = self.publishing.fanout.waiting.pop_front() else {
                break;
            };
            if let Some(client) = self.client(token) {
                let mut client = client.borrow_mut();
                client.in_fanout = false;
                client.wake();
            }
        }
        self.count_sent();
        let is_over = self.publishing.fanout.is_empty();
        self.turns.idle_policy.fanout_has_sent(is_over);
        if !is_over {
            self.look_before_fanout();
        }
        true
    }

    /// The shard looks for input from outside before it sends to the next.
    fn look_before_fanout(&mut self) {
        self.publishing.fanout.awaits_bell = true;
        self.links.incoming.call_receiver_behind_input();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::client::Due;

    #[test]
    fn who_gets_messages_while_written_to_goes_back_into_the_queue() {
        let (mut queue, mut client) = (FanoutQueue::default(), Client::of_nobody());
        client.out.extend_from_slice(b"first");
        assert!(matches!(client.next_due(), Poll::Ready(Due::Chunk(_))));
        client.out.extend_from_slice(b"second");
        queue.join(&mut client);
        assert!(queue.is_empty(), "it is being written to");
        client.written(None);
        assert!(queue.rejoin(&mut client));
        assert_eq!(queue.waiting.len(), 1);
        queue.join(&mut client);
        assert_eq!(queue.waiting.len(), 1, "each once");
    }

    #[test]
    fn who_has_got_nothing_new_does_not_wait() {
        let (mut queue, mut client) = (FanoutQueue::default(), Client::of_nobody());
        client.out.extend_from_slice(b"first");
        assert!(matches!(client.next_due(), Poll::Ready(Due::Chunk(_))));
        client.written(None);
        assert!(!queue.rejoin(&mut client));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_sent_is_what_nobody_in_the_queue_waits_for() {
        let mut queue = FanoutQueue::default();
        let (mut first, mut second) = (Client::of_nobody(), Client::of_nobody());
        queue.hands_out(7);
        assert_eq!(queue.take_sent(), 7, "nobody is in the queue");
        let tell = |queue: &mut FanoutQueue, client: &mut Client| {
            client.out.extend_from_slice(b"message");
            queue.hands_out(7);
            queue.join(client);
        };
        tell(&mut queue, &mut first);
        tell(&mut queue, &mut second);
        assert_eq!(queue.take_sent(), 0);
        tell(&mut queue, &mut first);
        queue.waiting.pop_front();
        assert_eq!(
            queue.take_sent(),
            7,
            "the second waits for what it was told"
        );
        queue.waiting.pop_front();
        assert_eq!(queue.take_sent(), 14, "all that is left");
        // The first could be sent a part only, and comes behind the second.
        first.in_fanout = false;
        first.out.truncate(3);
        second.in_fanout = false;
        second.out.clear();
        tell(&mut queue, &mut second);
        queue.join(&mut first);
        queue.waiting.pop_front();
        assert_eq!(queue.take_sent(), 4);
        queue.waiting.pop_front();
        assert_eq!(queue.take_sent(), 3);
    }
}
