//! Moderation: a shard that is woken again and again, each time by a few of many clients, naps before it looks for input once more.
//!
//! Being woken costs both sides: the client's core wakes the shard's, which switches tasks, serves five connections and sleeps again. While it naps
//! nobody has to wake it, and then it finds the input of many connections at once; so does a client with many connections when the replies come. Network cards
//! hold their interrupts back for the same reason. With one shard and 50 connections this takes a tenth and more of its CPU time, and throughput is up by as much.
//!
//! It is for those whose turn comes while the shard is busy anyway, and must not make others wait: a shard naps only after it has served several connections without a
//! pause, where several times as many have spoken lately, so that most of them are about to. Few clients, or many that say little, are answered at once.
//! Shards of several do not nap for clients: where these share their cores they give way instead, and both together brought nothing. They nap for messages of
//! other shards, see [`crate::pubsub::patience`].

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use tracing::debug;

/// How long a nap is. Of 3 us nothing is left when the thread has slept and woken; 80 us gained nothing more.
const NAP: Duration = Duration::from_micros(50);

/// The kernel may wake the thread so much later than it has asked: the default is as long as a nap.
const SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

/// Those who speak are counted anew after this time.
const WINDOW: Duration = Duration::from_millis(1);

/// Reads without a pause from which on a nap may follow.
const SERVED_MIN: u64 = 4;

/// How many connections must have spoken lately for each that was just served.
const SPEAKERS_PER_SERVED: u64 = 3;

/// What a shard knows of how busy it is.
pub struct Moderation {
    /// When those who speak were last counted anew.
    counted_since: Instant,
    /// Connections that have spoken since then, each once.
    speaking: u64,
    /// Those of the window before.
    speakers: u64,
    /// The shard's reads when it last wanted to sleep.
    reads: u64,
    /// The thread's timers are exact.
    is_exact: bool,
}

impl Moderation {
    /// Of a shard that begins now.
    pub fn new(now: Instant) -> Self {
        Self {
            counted_since: now,
            speaking: 0,
            speakers: 0,
            reads: 0,
            is_exact: false,
        }
    }

    /// A connection speaks that did so last at `before`. Who spoke in the turn that ended a window has not spoken in this one.
    #[inline]
    pub fn speaks(&mut self, before: Instant) {
        self.speaking += u64::from(before <= self.counted_since);
    }

    /// Whether a shard that has read so often should nap before it sleeps; asked once each time.
    pub fn calls_for_nap(&mut self, reads: u64, now: Instant) -> bool {
        // CONFIG RESETSTAT begins again at none.
        let served = reads.saturating_sub(std::mem::replace(&mut self.reads, reads));
        if now.saturating_duration_since(self.counted_since) >= WINDOW {
            self.counted_since = now;
            self.speakers = std::mem::take(&mut self.speaking);
        }
        served >= SERVED_MIN && self.speakers >= SPEAKERS_PER_SERVED * served
    }

    /// Sleeps for a moment, whatever comes.
    pub fn nap(&mut self) {
        if !std::mem::replace(&mut self.is_exact, true)
            && let Err(error) = rustix::thread::set_current_timer_slack(Some(SLACK_NS))
        {
            debug!(%error, "naps may take twice as long");
        }
        std::thread::sleep(NAP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    /// A load of so many connections, each of which speaks once in a round of so many microseconds, and so many reads between two looks. Returns how
    /// many looks of the last ten called for a nap.
    fn naps(connections: usize, round_us: u32, served: usize) -> usize {
        let mut now = Instant::now();
        let mut moderation = Moderation::new(now);
        let mut spoke = vec![now; connections];
        let (mut reads, mut called) = (0, Vec::new());
        for look in 0..1000 {
            now += MICROSECOND * round_us * served as u32 / connections as u32;
            for speaker in 0..served {
                let last = &mut spoke[(look * served + speaker) % connections];
                moderation.speaks(std::mem::replace(last, now));
            }
            reads += served as u64;
            called.push(moderation.calls_for_nap(reads, now));
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
        let mut moderation = Moderation::new(now);
        assert!(!moderation.calls_for_nap(100, now));
        assert!(!moderation.calls_for_nap(1, now), "after CONFIG RESETSTAT");
    }

    #[test]
    fn many_who_say_little_are_not() {
        assert_eq!(naps(1000, 1_000_000, 4), 0);
    }
}
