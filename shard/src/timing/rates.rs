//! How much a shard does just now: commands and bytes a second, over the last second and a half, as
//! INFO shows them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::stats::Stats;

/// How far back the rates look.
const WINDOW: Duration = Duration::from_millis(1_600);

/// Marks kept: one a tick of the clock.
const MARKS_MAX: usize = 16;

/// What is counted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Counts {
    commands: u64,
    input_bytes: u64,
    output_bytes: u64,
    turns: u64,
    busy_us: u64,
}

impl Counts {
    fn of(stats: &Stats) -> Self {
        Self {
            commands: stats.commands,
            input_bytes: stats.net_input_bytes,
            output_bytes: stats.net_output_bytes,
            turns: stats.turns,
            busy_us: stats.busy_us,
        }
    }
}

/// What was counted when; the oldest first.
#[derive(Default)]
pub struct Rates {
    marks: VecDeque<(Instant, Counts)>,
}

/// A shard's rates, a second.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Current {
    pub commands: f64,
    pub input_bytes: f64,
    pub output_bytes: f64,
    /// Turns, and microseconds of CPU that they took with all that belongs to them.
    pub turns: f64,
    pub busy_us: f64,
}

impl Rates {
    /// Remembers how far the counters are. Called by the clock; while that rests, nothing is
    /// counted either.
    pub fn mark(&mut self, now: Instant, stats: &Stats) {
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back((now, Counts::of(stats)));
    }

    /// The rates since the oldest mark of the window; since the latest, where all are older.
    pub fn current(&self, now: Instant, stats: &Stats) -> Current {
        let age = |then: Instant| now.saturating_duration_since(then);
        let recent = self.marks.iter().find(|(then, _)| age(*then) <= WINDOW);
        let Some((then, before)) = recent.or(self.marks.back()) else {
            return Current::default();
        };
        let seconds = age(*then).as_secs_f64();
        if seconds == 0.0 {
            return Current::default();
        }
        let counts = Counts::of(stats);
        // The counters may have been set back meanwhile.
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        Current {
            commands: rate(counts.commands, before.commands),
            input_bytes: rate(counts.input_bytes, before.input_bytes),
            output_bytes: rate(counts.output_bytes, before.output_bytes),
            turns: rate(counts.turns, before.turns),
            busy_us: rate(counts.busy_us, before.busy_us),
        }
    }
}

impl Current {
    /// Adds another shard's.
    pub fn add(&mut self, other: Self) {
        self.commands += other.commands;
        self.input_bytes += other.input_bytes;
        self.output_bytes += other.output_bytes;
        self.turns += other.turns;
        self.busy_us += other.busy_us;
    }

    /// Microseconds of CPU a turn.
    pub fn us_per_turn(&self) -> f64 {
        if self.turns > 0.0 {
            self.busy_us / self.turns
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(commands: u64) -> Stats {
        Stats {
            commands,
            net_input_bytes: 10 * commands,
            ..Stats::default()
        }
    }

    #[test]
    fn rates_look_back_over_the_window() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rates = Rates::default();
        assert_eq!(rates.current(at(0), &stats(5)), Current::default());
        for tick in 0..100 {
            rates.mark(at(100 * tick), &stats(tick * 50));
        }
        let current = rates.current(at(10_000), &stats(5_000));
        assert_eq!((current.commands, current.input_bytes), (500.0, 5_000.0));
        // After a long rest: since the last mark.
        let current = rates.current(at(19_900), &stats(5_950));
        assert_eq!(current.commands, 100.0);
        assert_eq!(rates.current(at(10_000), &stats(0)).commands, 0.0);
    }
}
