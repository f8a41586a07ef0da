//! The spikes that `latency-monitor-threshold` asks for. Each shard notes its own; LATENCY joins
//! them. Histograms of commands are the engine's ([`engine::histogram`]).

use std::collections::VecDeque;

/// Samples that are kept of an event.
pub const SAMPLES_MAX: usize = 160;

/// What can take long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Spike {
    Command,
    /// A command that takes constant or logarithmic time.
    FastCommand,
    /// Removing keys whose time has come.
    ExpireCycle,
    /// Making room under `maxmemory`.
    EvictionCycle,
}

impl Spike {
    pub const ALL: [Self; 4] = [
        Self::Command,
        Self::FastCommand,
        Self::ExpireCycle,
        Self::EvictionCycle,
    ];

    /// Redis's name of the event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FastCommand => "fast-command",
            Self::ExpireCycle => "expire-cycle",
            Self::EvictionCycle => "eviction-cycle",
        }
    }

    /// The event of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        let is = |spike: &Self| name.eq_ignore_ascii_case(spike.name().as_bytes());
        Self::ALL.into_iter().find(is)
    }
}

/// The worst of one second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sample {
    pub unix_s: u64,
    pub ms: u64,
}

/// The samples of one event, the oldest first.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Series {
    pub samples: VecDeque<Sample>,
    /// The worst since the last reset.
    pub worst_ms: u64,
}

impl Series {
    fn note(&mut self, sample: Sample) {
        self.worst_ms = self.worst_ms.max(sample.ms);
        if let Some(last) = self.samples.back_mut()
            && last.unix_s == sample.unix_s
        {
            last.ms = last.ms.max(sample.ms);
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Joins another shard's samples: one a second, the worst.
    pub fn add(&mut self, other: &Self) {
        let worst_ms = self.worst_ms.max(other.worst_ms);
        let mut all: Vec<Sample> = self.samples.iter().chain(&other.samples).copied().collect();
        all.sort_unstable();
        self.samples.clear();
        all.into_iter().for_each(|sample| self.note(sample));
        self.worst_ms = worst_ms;
    }
}

/// The spikes of one shard, by event.
#[derive(Clone, Default)]
pub struct Spikes {
    series: [Option<Series>; Spike::ALL.len()],
}

impl Spikes {
    /// Notes that something took `ms` milliseconds.
    pub fn note(&mut self, spike: Spike, unix_s: u64, ms: u64) {
        let series = self.series[spike as usize].get_or_insert_default();
        series.note(Sample { unix_s, ms });
    }

    /// The samples of an event, if it has ever happened.
    pub fn series(&self, spike: Spike) -> Option<&Series> {
        self.series[spike as usize].as_ref()
    }

    /// Forgets an event. Returns whether there was anything to forget.
    pub fn reset(&mut self, spike: Spike) -> bool {
        self.series[spike as usize].take().is_some()
    }

    /// Joins another shard's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.series.iter_mut().zip(&other.series) {
            if let Some(theirs) = theirs {
                mine.get_or_insert_default().add(theirs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample() {
        let (mut one, mut other) = (Spikes::default(), Spikes::default());
        for (unix_s, ms) in [(1, 20), (1, 30), (1, 10), (3, 5)] {
            one.note(Spike::Command, unix_s, ms);
        }
        for (unix_s, ms) in [(1, 40), (2, 7), (3, 4)] {
            other.note(Spike::Command, unix_s, ms);
        }
        one.add(&other);
        let series = one.series(Spike::Command).expect("noted");
        let samples: Vec<_> = series.samples.iter().map(|it| (it.unix_s, it.ms)).collect();
        assert_eq!(
            (samples, series.worst_ms),
            (vec![(1, 40), (2, 7), (3, 5)], 40)
        );
        assert!(one.reset(Spike::Command) && !one.reset(Spike::Command));
    }
}
