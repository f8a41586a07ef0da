//! Coalescing of reads: a shard that a few of many clients wake again and again naps before it
//! looks for input once more.
//!
//! Being woken costs both sides: the client's core wakes the shard's, which switches tasks, serves
//! five connections and parks again. While the shard naps nobody has to wake it, and then it finds
//! the input of many connections at once. So does a client with many connections when the replies
//! come. Network cards hold their interrupts back for the same reason.
//!
//! A nap must not make anybody wait who would have been served at once. So a shard naps only after
//! it has served several connections without a pause, and where several times as many have spoken
//! lately: most of those are about to speak. Few clients, or many that say little, see no nap.
//!
//! This is for a shard that is alone. Shards of several yield where clients share their cores, and
//! both together gained nothing. They nap for messages: see `publish_coalescing`.

use std::time::Instant;

use super::limits::{SERVED_MIN, SPEAKERS_PER_SERVED, WINDOW};

/// What a shard knows of how busy it is.
pub struct ReadCoalescing {
    /// When those who speak were last counted anew.
    counted_since: Instant,
    /// Connections that have spoken since then, each once.
    speaking: u64,
    /// Those of the window before.
    speakers: u64,
    /// The shard's reads when it last wanted to park.
    reads: u64,
}

impl ReadCoalescing {
    /// Nobody has spoken before `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            counted_since: now,
            speaking: 0,
            speakers: 0,
            reads: 0,
        }
    }

    /// A connection speaks that did so last at `before`. One that spoke in the turn that ended a
    /// window has not spoken in the next.
    #[inline]
    pub fn speaks(&mut self, before: Instant) {
        self.speaking += u64::from(before <= self.counted_since);
    }

    /// Whether a shard that has read `reads` times in all is to nap before it parks. Asked once
    /// whenever the shard wants to park.
    pub fn calls_for_nap(&mut self, reads: u64, now: Instant) -> bool {
        // CONFIG RESETSTAT begins again at none.
        let served = reads.saturating_sub(std::mem::replace(&mut self.reads, reads));
        if now.saturating_duration_since(self.counted_since) >= WINDOW {
            self.counted_since = now;
            self.speakers = std::mem::take(&mut self.speaking);
        }
        served >= SERVED_MIN && self.speakers >= SPEAKERS_PER_SERVED * served
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    /// A load of `connections`, each of which speaks once in a round of `round_us`, with `served`
    /// reads between two looks. Returns how many looks of the last ten called for a nap.
    fn naps(connections: usize, round_us: u32, served: usize) -> usize {
        let mut now = Instant::now();
        let mut coalescing = ReadCoalescing::new(now);
        let mut spoke = vec![now; connections];
        let (mut reads, mut called) = (0, Vec::new());
        for look in 0..1000 {
            now += MICROSECOND * round_us * served as u32 / connections as u32;
            for speaker in 0..served {
                let last = &mut spoke[(look * served + speaker) % connections];
                coalescing.speaks(std::mem::replace(last, now));
            }
            reads += served as u64;
            called.push(coalescing.calls_for_nap(reads, now));
        }
        called
            .iter()
            .rev()
            .take(10)
            .filter(|&&called| called)
            .count()
    }

    #[test]
    fn many_who_speak_often_are_waited_for() {
        assert_eq!(naps(50, 400, 6), 10);
        assert_eq!(naps(200, 900, 8), 10);
    }

    #[test]
    fn few_are_not() {
        assert_eq!(naps(1, 20, 1), 0);
        assert_eq!(naps(8, 60, 4), 0);
        assert_eq!(naps(50, 400, 3), 0, "hardly anything to do");
        assert_eq!(naps(50, 400, 30), 0, "most have just been served");
    }

    #[test]
    fn counts_may_begin_again() {
        let now = Instant::now();
        let mut coalescing = ReadCoalescing::new(now);
        assert!(!coalescing.calls_for_nap(100, now));
        assert!(!coalescing.calls_for_nap(1, now), "after CONFIG RESETSTAT");
    }

    #[test]
    fn many_who_say_little_are_not() {
        assert_eq!(naps(1000, 1_000_000, 4), 0);
    }
}
