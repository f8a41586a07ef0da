//! Yielding: a shard that is about to park first lets others that want its core run.
//!
//! Where clients share the cores with the shards, the kernel lets a shard that a request wakes
//! interrupt the very client that is about to send more. The shard answers one command, parks, and
//! is woken by the next: two task switches a command. A shard that yields stays runnable instead:
//! the client sends all it has without waking anybody, and the shard then finds it all at once.
//!
//! The price is the tail of the latencies there: p99 rose from 1.0 to 2.4 ms, since a shard may
//! wait while a client works off all its replies.
//!
//! A yield is one system call in a turn. It returns at once where nobody wants the core. Where
//! somebody wants it for long (a compiler, say), the shard would get it back only after that
//! one's time slice, some milliseconds. So after one such yield the shard does not yield for a
//! while, and for longer each time that this happens again. Nothing is polled.

use std::time::{Duration, Instant};

use super::limits::{SWITCH_MIN, YIELD_MAX, YIELD_PAUSE_MAX, YIELD_PAUSE_MIN};

/// Whether a shard yields its core.
#[derive(Default)]
pub struct Yielding {
    /// When it yields again.
    resumes_at: Option<Instant>,
    /// The last pause; zero where there was none.
    pause: Duration,
}

impl Yielding {
    /// Lets others run, unless yields have been long lately. `now` may be as old as the turn.
    /// Returns whether somebody ran.
    pub fn yield_core(&mut self, now: Instant) -> bool {
        if self.resumes_at.is_some_and(|resumes_at| now < resumes_at) {
            return false;
        }
        let before = Instant::now();
        rustix::thread::sched_yield();
        let after = Instant::now();
        self.took(after - before, after);
        after - before > SWITCH_MIN
    }

    /// Learns from a yield.
    fn took(&mut self, time: Duration, now: Instant) {
        if time <= YIELD_MAX {
            return;
        }
        // As long without a long yield as the pause was: the pauses begin anew.
        let is_new = self
            .resumes_at
            .is_none_or(|resumes_at| now.saturating_duration_since(resumes_at) > self.pause);
        self.pause = if is_new {
            YIELD_PAUSE_MIN
        } else {
            (self.pause * 2).min(YIELD_PAUSE_MAX)
        };
        self.resumes_at = Some(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_yields_are_long_and_start_anew_after_good_times() {
        let mut yielding = Yielding::default();
        let mut now = Instant::now();
        yielding.took(YIELD_MAX, now);
        assert!(yielding.resumes_at.is_none());
        for doublings in 0..12 {
            yielding.took(2 * YIELD_MAX, now);
            assert_eq!(
                yielding.pause,
                (YIELD_PAUSE_MIN * (1 << doublings)).min(YIELD_PAUSE_MAX)
            );
            now += yielding.pause;
            assert_eq!(yielding.resumes_at, Some(now));
        }
        now += YIELD_PAUSE_MAX + YIELD_PAUSE_MIN;
        yielding.took(2 * YIELD_MAX, now);
        assert_eq!(yielding.pause, YIELD_PAUSE_MIN);
    }

    #[test]
    fn a_shard_in_a_pause_does_not_yield() {
        let now = Instant::now();
        let mut yielding = Yielding::default();
        yielding.took(2 * YIELD_MAX, now);
        let resumes_at = yielding.resumes_at;
        yielding.yield_core(now);
        assert_eq!(yielding.resumes_at, resumes_at);
    }
}
