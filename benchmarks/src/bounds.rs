//! What percore promises of its CPU time an operation, as ratios to servers measured in the same
//! rounds.
//!
//! A ratio is taken within each round, so that what slows the whole machine for a while slows both
//! sides; the median of the rounds is judged.

use crate::redis_benchmark::Workload;
use crate::series::{Series, Spread};
use crate::subject::{REDIS, Subject, kevy, percore};

/// percore's cost over another's is to stay within this.
pub struct Bound {
    /// The one judged.
    pub subject: Subject,
    /// Those it is held against: the cheapest of them counts.
    references: &'static [Subject],
    /// The depth of the pipeline it is about.
    pipeline: u32,
    /// The greatest ratio of CPU time an operation.
    pub ratio_max: f64,
}

const fn bound(ours: u8, references: &'static [Subject], pipeline: u32, ratio_max: f64) -> Bound {
    Bound {
        subject: percore(ours),
        references,
        pipeline,
        ratio_max,
    }
}

/// The project's promises.
pub const BOUNDS: &[Bound] = &[
    bound(1, &[REDIS, kevy(1)], 16, 0.90),
    bound(1, &[REDIS, kevy(1)], 1, 1.00),
    bound(2, &[kevy(2)], 16, 0.60),
    bound(2, &[kevy(2)], 1, 0.60),
    bound(2, &[REDIS], 16, 0.90),
    bound(2, &[REDIS], 1, 1.25),
    bound(4, &[percore(2)], 16, 1.15),
    bound(4, &[percore(2)], 1, 1.15),
];

/// How a bound fared under one workload.
pub struct Verdict {
    /// The reference that was cheapest, by its median.
    pub reference: Subject,
    /// The ratio, over the rounds.
    pub ratio: Spread,
    /// Whether the median is within the bound.
    pub holds: bool,
}

impl Bound {
    /// Judges the bound under `workload`; `None` where it is about another pipeline, or one side
    /// was not measured.
    pub fn judge(&self, workload: Workload, series: &[Series]) -> Option<Verdict> {
        let of = |subject| {
            series
                .iter()
                .find(|one| one.subject == subject && one.workload == workload)
        };
        let median = |series: &Series| Spread::of(series.cpu_us.iter().copied()).median;
        let subject = of(self.subject).filter(|_| workload.pipeline == self.pipeline)?;
        let references = self
            .references
            .iter()
            .filter_map(|&reference| of(reference));
        let cheapest = references.min_by(|a, b| median(a).total_cmp(&median(b)))?;
        let rounds = subject.cpu_us.iter().zip(&cheapest.cpu_us);
        let ratio = Spread::of(rounds.map(|(ours, theirs)| ours / theirs));
        Some(Verdict {
            reference: cheapest.subject,
            ratio,
            holds: ratio.median <= self.ratio_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_reference_counts_round_by_round() {
        let workload = Workload {
            command: "GET",
            words: None,
            pipeline: 16,
            requests: 1,
        };
        let series = |subject, cpu_us: &[f64]| Series {
            subject,
            workload,
            cpu_us: cpu_us.to_vec(),
            seen: Vec::new(),
        };
        let measured = [
            series(REDIS, &[1.0, 2.0, 1.0]),
            series(kevy(1), &[3.0, 3.0, 3.0]),
            series(percore(1), &[0.8, 1.6, 1.0]),
        ];
        let verdict = BOUNDS[0].judge(workload, &measured).unwrap();
        assert_eq!(verdict.reference, REDIS);
        assert_eq!(
            verdict.ratio,
            Spread {
                median: 0.8,
                least: 0.8,
                most: 1.0
            }
        );
        assert!(verdict.holds);
        assert!(
            BOUNDS[1].judge(workload, &measured).is_none(),
            "another pipeline"
        );
        assert!(
            BOUNDS[2].judge(workload, &measured).is_none(),
            "kevy-2 was not measured"
        );
    }
}
