//! Pacing of the fan-out queue: how many subscribers a turn sends to before the shard looks for
//! input again.
//!
//! A turn sends to as many as it has read from, and to [`SENDS_MIN`] more: where there is much
//! input, the queue gets its share of the time. A look for input costs about half a write, so where
//! nothing has come each turn sends to half as many again as the one before.
//!
//! But where messages have come while a long queue was sent to, a publisher is quick. Then each
//! turn sends to one more than it has read from: what the queue takes up before it gets to the
//! others is worth more than the looks.

use std::mem;

use super::limits::{LONG_QUEUE_MIN, QUEUE_YIELD_MIN, SENDS_MAX, SENDS_MIN};

/// What the shard knows of how its fan-out queue grows and empties.
#[derive(Default)]
pub struct FanoutPacing {
    /// How often the shard had read when it sent last, and to how many that was.
    reads: u64,
    sent: usize,
    /// Some were sent to since the shard yielded.
    began: bool,
    /// The queue has been long since it was empty.
    is_long: bool,
    /// Messages have come since it was empty.
    grew: bool,
    /// They have, or did while the queue before was sent to: others are to come.
    expects_more: bool,
}

impl FanoutPacing {
    /// Messages have come while subscribers were in the queue.
    #[inline]
    pub fn grows(&mut self) {
        self.grew = true;
        self.expects_more = true;
    }

    /// Whether a look for input is worth more than it costs.
    fn looks_pay(&self) -> bool {
        self.is_long && self.expects_more
    }

    /// Whether the shard is to yield before it sends to some of `waiting` subscribers: perhaps it
    /// is the publisher whom that lets run. Asked once before each time that it sends.
    pub fn calls_for_yield(&mut self, waiting: usize) -> bool {
        self.is_long |= waiting >= LONG_QUEUE_MIN;
        let min = if self.looks_pay() {
            QUEUE_YIELD_MIN
        } else {
            LONG_QUEUE_MIN
        };
        mem::take(&mut self.began) && waiting >= min
    }

    /// To how many of `waiting` a turn sends, of a shard that has read `reads` times in all. The
    /// last few are not worth a look for input of their own.
    pub fn sends(&mut self, reads: u64, waiting: usize) -> usize {
        let since = reads.saturating_sub(mem::replace(&mut self.reads, reads)) as usize;
        let count = match since {
            _ if self.looks_pay() => 1 + since,
            0 => (self.sent + self.sent / 2).clamp(SENDS_MIN, SENDS_MAX),
            _ => SENDS_MIN + since,
        };
        self.sent = count;
        if waiting <= count + 1 { waiting } else { count }
    }

    /// A turn has sent; `is_over` says that nobody waits any more.
    pub fn has_sent(&mut self, is_over: bool) {
        self.began = true;
        if is_over {
            self.is_long = false;
            self.expects_more = mem::take(&mut self.grew);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many each turn sends to of a queue of `len`, which one command has made. `grows`:
    /// messages come behind the first turn.
    fn turns(pacing: &mut FanoutPacing, len: usize, grows: bool) -> Vec<usize> {
        let mut waiting = len;
        let mut turns = Vec::new();
        while waiting > 0 {
            pacing.calls_for_yield(waiting);
            let count = pacing.sends(pacing.reads + u64::from(turns.is_empty()), waiting);
            waiting -= count;
            pacing.has_sent(waiting == 0);
            turns.push(count);
            if grows && turns.len() == 1 && waiting > 0 {
                pacing.grows();
            }
        }
        turns
    }

    #[test]
    fn turns_of_a_long_queue_are_short_where_messages_come_meanwhile() {
        let mut pacing = FanoutPacing::default();
        let growing = [4, 6, 9, 11];
        assert_eq!(turns(&mut pacing, 30, false), growing);
        let first = [&[4][..], &[1; 24], &[2]].concat();
        assert_eq!(turns(&mut pacing, 30, true), first, "from then on");
        let next = [&[2][..], &[1; 26], &[2]].concat();
        assert_eq!(turns(&mut pacing, 30, false), next, "the next queue, too");
        assert_eq!(turns(&mut pacing, 30, false), growing, "it has learnt");
        assert_eq!(turns(&mut pacing, 7, true), [4, 3]);
        assert_eq!(turns(&mut pacing, 7, true), [4, 3], "a short queue");
    }

    #[test]
    fn the_shard_yields_between_two_turns_of_a_long_queue() {
        let mut pacing = FanoutPacing::default();
        assert!(!pacing.calls_for_yield(30), "nobody has been sent to");
        pacing.has_sent(false);
        assert!(pacing.calls_for_yield(26));
        assert!(!pacing.calls_for_yield(26), "once");
        pacing.has_sent(false);
        assert!(!pacing.calls_for_yield(LONG_QUEUE_MIN - 1));
        pacing.grows();
        pacing.has_sent(false);
        assert!(pacing.calls_for_yield(QUEUE_YIELD_MIN), "looks pay");
        pacing.has_sent(false);
        assert!(!pacing.calls_for_yield(QUEUE_YIELD_MIN - 1));
    }
}
