//! How long commands take: a logarithmic histogram with linear steps within each doubling, so a
//! percentile is off by at most 1.6 %.

/// Linear steps in each doubling.
const STEPS: usize = 64;

/// Doublings behind the first `2 * STEPS` values, which have a place each. Covers a bit more than
/// two minutes; what takes longer counts as that.
const DOUBLINGS: u32 = 30;

const PLACES: usize = 2 * STEPS + DOUBLINGS as usize * STEPS;

/// The bounds of LATENCY HISTOGRAM are powers of two from here on.
const FIRST_BOUND_NS: u64 = 1024;

/// Durations in nanoseconds, counted.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64; PLACES]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; PLACES]),
            total: 0,
        }
    }
}

impl Histogram {
    /// The place of a duration.
    #[inline]
    fn place(nanos: u64) -> usize {
        let doubling = (nanos | (2 * STEPS as u64 - 1)).ilog2() - STEPS.ilog2();
        let place = doubling as usize * STEPS + (nanos >> doubling) as usize;
        place.min(PLACES - 1)
    }

    /// The longest duration that has this place.
    fn longest_at(place: usize) -> u64 {
        let doubling = (place / STEPS).saturating_sub(1);
        let step = (place - doubling * STEPS) as u64;
        ((step + 1) << doubling) - 1
    }

    /// Counts so many that took as long each.
    #[inline]
    pub fn note(&mut self, nanos: u64, times: u32) {
        self.counts[Self::place(nanos)] += u64::from(times);
        self.total += u64::from(times);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
    }

    /// The duration in nanoseconds that `percent` of all do not exceed. 0 where nothing was
    /// counted.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Self::longest_at(place);
            }
        }
        0
    }

    /// Upper bounds of what metrics count apart, in nanoseconds: from a microsecond to two seconds.
    pub const BOUNDS_NS: [u64; 22] = {
        let mut bounds = [FIRST_BOUND_NS; 22];
        let mut at = 1;
        while at < bounds.len() {
            bounds[at] = 2 * bounds[at - 1];
            at += 1;
        }
        bounds
    };

    /// How many durations lie below each of [`Self::BOUNDS_NS`] and not below the one before; the
    /// last count is of those beyond all.
    pub fn between_bounds(&self) -> [u64; Self::BOUNDS_NS.len() + 1] {
        let mut between = [0; Self::BOUNDS_NS.len() + 1];
        let mut at = 0;
        for (place, count) in self.counts.iter().enumerate() {
            while at < Self::BOUNDS_NS.len() && Self::longest_at(place) >= Self::BOUNDS_NS[at] {
                at += 1;
            }
            between[at] += count;
        }
        between
    }

    /// Upper bounds in microseconds, each twice the one before, with how many took no longer; only
    /// those where the count grows.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut cumulative = Vec::new();
        let mut bound = FIRST_BOUND_NS;
        let mut seen = 0;
        let mut shown = 0;
        for (place, count) in self.counts.iter().enumerate() {
            while Self::longest_at(place) >= bound {
                if seen > shown {
                    cumulative.push((bound / FIRST_BOUND_NS, seen));
                    shown = seen;
                }
                bound *= 2;
            }
            seen += count;
        }
        if seen > shown {
            cumulative.push((bound / FIRST_BOUND_NS, seen));
        }
        cumulative
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_place_holds_what_is_near(nanos in 0..(1u64 << 37)) {
            let place = Histogram::place(nanos);
            let longest = Histogram::longest_at(place);
            prop_assert!(nanos <= longest);
            prop_assert!(longest - nanos <= nanos / STEPS as u64);
            prop_assert!(place == 0 || Histogram::longest_at(place - 1) < nanos);
        }

        #[test]
        fn percentiles_are_those_of_a_sorted_list(mut all in prop::collection::vec(0..1_000_000u64, 1..200), percent in 0.0..100.0f64) {
            let mut histogram = Histogram::default();
            all.iter().for_each(|&nanos| histogram.note(nanos, 1));
            all.sort_unstable();
            let at = ((all.len() as f64 * percent / 100.0).ceil() as usize).max(1) - 1;
            prop_assert_eq!(Histogram::place(histogram.percentile(percent)), Histogram::place(all[at]));
        }
    }

    #[test]
    fn the_longest_has_the_last_place() {
        let mut histogram = Histogram::default();
        histogram.note(u64::MAX, 1);
        assert_eq!(
            histogram.percentile(50.0),
            Histogram::longest_at(PLACES - 1)
        );
    }

    #[test]
    fn bounds_double() {
        let mut histogram = Histogram::default();
        for nanos in [0, 1_000, 1_023, 1_024, 5_000, 5_000, 1_000_000] {
            histogram.note(nanos, 1);
        }
        assert_eq!(histogram.cumulative(), [(1, 3), (2, 4), (8, 6), (1024, 7)]);
        assert_eq!(Histogram::default().cumulative(), []);
        let between = histogram.between_bounds();
        assert_eq!(between[..4], [3, 1, 0, 2]);
        assert_eq!(between.iter().sum::<u64>(), histogram.total());
        assert_eq!(between[10], 1, "a millisecond is below 1,048,576 ns");
    }
}
