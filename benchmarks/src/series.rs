//! Figures of several rounds of one server under one workload, told by their median and how far
//! they spread.

use crate::redis_benchmark::{Seen, Workload};
use crate::subject::Subject;

/// The rounds of one server under one workload.
pub struct Series {
    /// The server.
    pub subject: Subject,
    /// What it was asked.
    pub workload: Workload,
    /// Microseconds of the server's CPU time an operation, in the order of the rounds.
    pub cpu_us: Vec<f64>,
    /// What the client saw, in the same order.
    pub seen: Vec<Seen>,
}

/// The middle and the ends of some measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle measurement, or the mean of the middle two.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// The spread of `measurements`; NaN, shown as absent, when there are none.
    pub fn of(measurements: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Spread {
            median,
            least: at(0),
            most: at(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even() {
        let of = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(
            of(&[3.0, 1.0, 2.0]),
            Spread {
                median: 2.0,
                least: 1.0,
                most: 3.0
            }
        );
        assert_eq!(
            of(&[4.0, 1.0]),
            Spread {
                median: 2.5,
                least: 1.0,
                most: 4.0
            }
        );
        assert!(of(&[]).median.is_nan());
    }
}
