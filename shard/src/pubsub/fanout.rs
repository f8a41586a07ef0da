//! The line of subscribers that have messages to be sent.
//!
//! A message to a thousand subscribers is a thousand writes to sockets, of some microseconds each, and the shard would look at no input before the last of
//! them. So they stand in line, and a turn sends to a few. In between the shard looks for input: others wait for a few writes and not for
//! all, and the publisher, who has its reply by then, may publish again. What is published meanwhile joins what those in line are to get,
//! and one write takes it all: the more a shard has to deliver, the less a delivery costs. The last in line waits no longer than without a queue.
//!
//! A turn sends to as many as it has read from, and to [`SENDS_MIN`] more: where there is much input, the line gets its share of the time. Looking costs
//! about as much as half a write, so where nothing has come each turn sends to half as many again as the one before. But where messages have come while a long
//! line was sent to, a publisher is quick, and each turn sends to one more than it has read from: what the line takes up before it gets to the others is
//! worth more than the looks. That took the delivery of 16 bytes to 50 subscribers of one shard from 1.1 to 0.74 us of CPU time.
//!
//! Shards of several leave no core to clients that share it, as long as they have somebody to send to: the publisher would come again when all have been
//! sent to, every time, and each message would be a write of its own. So between two turns of a long line they give way, and look once more if somebody
//! ran. With two shards on two cores and 50 subscribers, both together took a delivery of 4 KB from 3.1 to 1.4 us, one of 16 bytes from 3.1 to 0.92.

use std::collections::VecDeque;
use std::mem;

use crate::client::Client;
use crate::mailbox::batch::ClientToken;
use crate::shard::Shard;

/// Subscribers that a turn sends to at least.
const SENDS_MIN: usize = 3;

/// Subscribers that a turn sends to where nothing else goes on: not much longer than it takes a publisher to come again.
const SENDS_MAX: usize = 12;

/// A line of so many is long.
const LONG_MIN: usize = 8;

/// With fewer left a shard does not give way before it is done, where looks pay.
const GIVE_WAY_MIN: usize = 3;

/// Subscribers with output that nobody has told them of, each once.
#[derive(Default)]
pub struct FanoutQueue {
    /// With the place, in all that has been handed out, of what they are to be sent next.
    waiting: VecDeque<(ClientToken, u64)>,
    /// Bytes handed out so far, and how far all in line are with these.
    told: u64,
    passed: u64,
    /// The bell was rung, and until it is heard no more are sent to: what comes from outside has been looked at by then.
    awaits_bell: bool,
    /// How often the shard had read when it sent last, and to how many that was.
    reads: u64,
    sent: usize,
    /// Some were sent to since the shard gave way.
    began: bool,
    /// It has been long since it was empty.
    is_long: bool,
    /// Messages have come since it was empty.
    grew: bool,
    /// They have, or did while the line before was sent to: others are to come.
    expects_more: bool,
}

impl FanoutQueue {
    /// Puts a subscriber at the end, unless it stands in line already. One that is being written to joins when that is over: see [`Self::rejoin`].
    pub fn join(&mut self, client: &mut Client) {
        if client.writing_bytes > 0 {
            client.rejoins_fanout = true;
        } else if !mem::replace(&mut client.in_fanout, true) {
            let next = self.told.saturating_sub(client.unsent_bytes() as u64);
            self.waiting.push_back((client.token, next));
        }
    }

    /// Puts a subscriber at the end that has got messages while it was written to. Returns whether it has to wait until it is woken; a reply between
    /// these messages waits with them. Would it go on at once, then soon all would, each behind its last write: none in line, and hundreds of
    /// writes before the next look for input.
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

    /// Messages have come, and are about to be handed out.
    #[inline]
    pub fn news_came(&mut self) {
        if !self.is_empty() {
            self.grew = true;
            self.expects_more = true;
        }
    }

    /// So many bytes are handed out now.
    #[inline]
    pub fn tells(&mut self, bytes: usize) {
        self.told += bytes as u64;
    }

    /// Bytes that no longer wait for anybody in line, since this was asked last. For a subscriber whose socket is full nobody waits: it is not in queue.
    pub fn passed(&mut self) -> usize {
        let passed = self.waiting.front().map_or(self.told, |first| first.1);
        let since = passed.saturating_sub(self.passed);
        self.passed += since;
        since as usize
    }

    /// The bell was heard.
    #[inline]
    pub fn heard_bell(&mut self) {
        self.awaits_bell = false;
    }

    /// Whether a look for input is worth more than it costs.
    fn looks_pay(&self) -> bool {
        self.is_long && self.expects_more
    }

    /// Whether so many wait that the shard gives way to others.
    fn gives_way(&self) -> bool {
        let min = match self.looks_pay() {
            true => GIVE_WAY_MIN,
            false => LONG_MIN,
        };
        self.waiting.len() >= min
    }

    /// All have been let send.
    fn ended(&mut self) {
        self.is_long = false;
        self.expects_more = mem::take(&mut self.grew);
    }

    /// How many are sent to in this turn, of a shard that has read so often. The last few are not worth a look for input of their own.
    fn admits(&mut self, reads: u64) -> usize {
        let since = reads.saturating_sub(mem::replace(&mut self.reads, reads)) as usize;
        let count = match since {
            _ if self.looks_pay() => 1 + since,
            0 => (self.sent + self.sent / 2).clamp(SENDS_MIN, SENDS_MAX),
            _ => SENDS_MIN + since,
        };
        self.sent = count;
        match self.waiting.len() {
            all if all <= count + 1 => all,
            _ => count,
        }
    }
}

impl Shard {
    /// Lets the first in line send, if it is time. Returns whether anybody does.
    #[inline]
    pub(crate) fn send_fanout(&mut self) -> bool {
        let queue = &self.publishing.fanout;
        !queue.is_empty() && !queue.awaits_bell && self.send_to_first()
    }

    fn send_to_first(&mut self) -> bool {
        self.publishing.fanout.is_long |= self.publishing.fanout.waiting.len() >= LONG_MIN;
        // Perhaps it is the publisher whom that lets run.
        if self.slots.shards() > 1
            && mem::take(&mut self.publishing.fanout.began)
            && self.publishing.fanout.gives_way()
            && self.has_time()
            && self.giving_way.give_way(self.instant)
        {
            self.publishing.fanout.awaits_bell = true;
            self.mailbox.bell().ring_from_outside();
            return true;
        }
        let count = self.publishing.fanout.admits(self.stats.reads);
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
        self.publishing.fanout.began = true;
        self.count_passed();
        if self.publishing.fanout.is_empty() {
            self.publishing.fanout.ended();
        } else {
            self.publishing.fanout.awaits_bell = true;
            self.mailbox.bell().ring_from_outside();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::client::Due;

    #[test]
    fn who_gets_messages_while_written_to_goes_back_into_the_line() {
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

    /// How many each turn sends to of a line of so many, which one command has made. `grows`: messages come behind the first turn.
    fn turns(queue: &mut FanoutQueue, len: usize, grows: bool) -> Vec<usize> {
        queue.waiting = (0..len).map(|_| (Client::of_nobody().token, 0)).collect();
        queue.is_long |= len >= LONG_MIN;
        let mut turns = Vec::new();
        while !queue.is_empty() {
            let count = queue.admits(queue.reads + u64::from(turns.is_empty()));
            queue.waiting.drain(..count);
            turns.push(count);
            if grows && turns.len() == 1 {
                queue.news_came();
            }
        }
        queue.ended();
        turns
    }

    #[test]
    fn turns_of_a_long_line_are_short_where_messages_come_meanwhile() {
        let mut queue = FanoutQueue::default();
        let growing = [4, 6, 9, 11];
        assert_eq!(turns(&mut queue, 30, false), growing);
        let first = [&[4][..], &[1; 24], &[2]].concat();
        assert_eq!(turns(&mut queue, 30, true), first, "from then on");
        let next = [&[2][..], &[1; 26], &[2]].concat();
        assert_eq!(turns(&mut queue, 30, false), next, "the next line, too");
        assert_eq!(turns(&mut queue, 30, false), growing, "it has learnt");
        assert_eq!(turns(&mut queue, 7, true), [4, 3]);
        assert_eq!(turns(&mut queue, 7, true), [4, 3], "a short line");
    }

    #[test]
    fn what_has_passed_is_what_nobody_in_line_waits_for() {
        let mut queue = FanoutQueue::default();
        let (mut first, mut second) = (Client::of_nobody(), Client::of_nobody());
        queue.tells(7);
        assert_eq!(queue.passed(), 7, "nobody is in line");
        let tell = |queue: &mut FanoutQueue, client: &mut Client| {
            client.out.extend_from_slice(b"message");
            queue.tells(7);
            queue.join(client);
        };
        tell(&mut queue, &mut first);
        tell(&mut queue, &mut second);
        assert_eq!(queue.passed(), 0);
        tell(&mut queue, &mut first);
        queue.waiting.pop_front();
        assert_eq!(queue.passed(), 7, "the second waits for what it was told");
        queue.waiting.pop_front();
        assert_eq!(queue.passed(), 14, "all that is left");
        // The first could be sent a part only, and comes behind the second.
        first.in_fanout = false;
        first.out.truncate(3);
        second.in_fanout = false;
        second.out.clear();
        tell(&mut queue, &mut second);
        queue.join(&mut first);
        queue.waiting.pop_front();
        assert_eq!(queue.passed(), 4);
        queue.waiting.pop_front();
        assert_eq!(queue.passed(), 3);
    }
}
