//! What percore promises of its CPU time an operation, as ratios to servers measured in the same rounds.
//!
//! A ratio is taken within each round, so that what slows the whole machine for a while slows both sides; the median of the rounds is judged.

use crate::redis_benchmark::Workload;
use crate::servers::{REDIS, Subject, kevy, percore};
use crate::spread::Spread;

/// percore's cost over another's is to stay below this.
pub struct Bound {
    /// The one judged.
    pub subject: Subject,
    /// Those it is held against: the cheapest of them.
    pub references: &'static [Subject],
    /// The depth of the pipeline it is about.
    pub pipeline: u32,
    /// The greatest ratio of CPU time an operation.
    pub ratio_max: f64,
}

/// The project's promises.
pub const BOUNDS: &[Bound] = &[
    Bound {
        subject: percore(1),
        references: &[REDIS, kevy(1)],
        pipeline: 16,
        ratio_max: 0.90,
    },
    Bound {
        subject: percore(1),
        references: &[REDIS, kevy(1)],
        pipeline: 1,
        ratio_max: 1.00,
    },
    Bound {
        subject: percore(2),
        references: &[kevy(2)],
        pipeline: 16,
        ratio_max: 0.60,
    },
    Bound {
        subject: percore(2),
        references: &[kevy(2)],
        pipeline: 1,
        ratio_max: 0.60,
    },
    Bound {
        subject: percore(2),
        references: &[REDIS],
        pipeline: 16,
        ratio_max: 0.90,
    },
    Bound {
        subject: percore(2),
        references: &[REDIS],
        pipeline: 1,
        ratio_max: 1.25,
    },
    Bound {
        subject: percore(4),
        references: &[percore(2)],
        pipeline: 16,
        ratio_max: 1.15,
    },
    Bound {
        subject: percore(4),
        references: &[percore(2)],
        pipeline: 1,
        ratio_max: 1.15,
    },
];

/// CPU time an operation of one server under one workload, a figure a round.
pub struct Costs {
    /// The server.
    pub subject: Subject,
    /// What it was asked.
    pub workload: Workload,
    /// Microseconds of CPU time an operation, in the order of the rounds.
    pub cpu_us: Vec<f64>,
}

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
    /// Judges the bound under `workload`; `None` where it is about another pipeline, or one side was not measured.
    pub fn judge(&self, workload: Workload, costs: &[Costs]) -> Option<Verdict> {
        if workload.pipeline != self.pipeline {
            return None;
        }
        let of = |subject: Subject| {
            costs
                .iter()
                .find(|cost| cost.subject == subject && cost.workload == workload)
        };
        let median = |cost: &Costs| {
            Spread::of(cost.cpu_us.iter().copied()).map_or(f64::INFINITY, |spread| spread.median)
        };
        let subject = of(self.subject)?;
        let cheapest = self
            .references
            .iter()
            .filter_map(|&subject| of(subject))
            .min_by(|a, b| median(a).total_cmp(&median(b)))?;
        let ratio = Spread::of(
            subject
                .cpu_us
                .iter()
                .zip(&cheapest.cpu_us)
                .map(|(ours, theirs)| ours / theirs),
        )?;
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

    const GET: Workload = Workload {
        command: "GET",
        pipeline: 16,
        requests: 1,
    };

    #[test]
    fn the_cheapest_reference_counts_round_by_round() {
        let costs = [
            Costs {
                subject: REDIS,
                workload: GET,
                cpu_us: vec![1.0, 2.0, 1.0],
            },
            Costs {
                subject: kevy(1),
                workload: GET,
                cpu_us: vec![3.0, 3.0, 3.0],
            },
            Costs {
                subject: percore(1),
                workload: GET,
                cpu_us: vec![0.8, 1.6, 1.0],
            },
        ];
        let verdict = BOUNDS[0].judge(GET, &costs).unwrap();
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
        assert!(BOUNDS[1].judge(GET, &costs).is_none(), "another pipeline");
        assert!(
            BOUNDS[2].judge(GET, &costs).is_none(),
            "kevy-2 was not measured"
        );
    }
}
