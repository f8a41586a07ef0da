//! `oom-score-adj` and its values: how soon the kernel ends this process when memory runs out.

use super::ConfigError;
use super::kind::{Kind, Setting};

/// What the score is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OomScoreAdj {
    /// The score stays as the process found it.
    No,
    /// The value is added to what the process found.
    Relative,
    /// The value is the score.
    Absolute,
}

impl OomScoreAdj {
    pub(super) const KIND: Kind = Kind::OneOf(&["no", "yes", "relative", "absolute"]);
}

impl Setting for OomScoreAdj {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        match text.to_ascii_lowercase().as_str() {
            "no" => Ok(Self::No),
            "yes" | "relative" => Ok(Self::Relative),
            "absolute" => Ok(Self::Absolute),
            _ => Err(ConfigError::from(
                "argument(s) must be one of the following: no, yes, relative, absolute",
            )),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::No => "no",
            // Redis's list has this name first.
            Self::Relative => "yes",
            Self::Absolute => "absolute",
        }
        .into()
    }
}

/// The largest score that may be given. The kernel takes half of it; the rest is for relative ones.
const SCORE_MAX: i32 = 2000;
/// The kernel's bounds.
const KERNEL_SCORE_MAX: i32 = 1000;

/// Scores of a master, of a replica, and of a background process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OomScores(pub [i32; 3]);

impl OomScores {
    pub(super) fn redis_default() -> Self {
        Self([0, 200, 800])
    }

    /// The score for the kernel, of a process that began with `found`. `None` where it is to stay
    /// as it is.
    pub fn of_master(self, adjust: OomScoreAdj, found: i32) -> Option<i32> {
        let score = match adjust {
            OomScoreAdj::No => return None,
            OomScoreAdj::Relative => found.saturating_add(self.0[0]),
            OomScoreAdj::Absolute => self.0[0],
        };
        Some(score.clamp(-KERNEL_SCORE_MAX, KERNEL_SCORE_MAX))
    }
}

impl Setting for OomScores {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let words: Vec<&str> = text.split(' ').collect();
        let words: [&str; 3] = words
            .try_into()
            .map_err(|_| ConfigError::from("wrong number of arguments"))?;
        let mut scores = [0; 3];
        for (score, word) in scores.iter_mut().zip(words) {
            *score = word
                .parse()
                .ok()
                .filter(|value| (-SCORE_MAX..=SCORE_MAX).contains(value))
                .ok_or(ConfigError::from(
                    "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
                ))?;
        }
        Ok(Self(scores))
    }

    fn show(&self) -> String {
        let [master, replica, background] = self.0;
        format!("{master} {replica} {background}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn scores_keep_to_the_bounds_of_the_kernel() {
        let scores = OomScores([300, 0, 0]);
        assert_eq!(scores.of_master(OomScoreAdj::No, 5), None);
        assert_eq!(scores.of_master(OomScoreAdj::Relative, 5), Some(305));
        assert_eq!(scores.of_master(OomScoreAdj::Relative, 900), Some(1000));
        assert_eq!(scores.of_master(OomScoreAdj::Absolute, 900), Some(300));
        assert_eq!(
            OomScores([-2000, 0, 0]).of_master(OomScoreAdj::Absolute, 0),
            Some(-1000)
        );
    }

    #[test]
    fn values_are_those_of_redis() {
        let mut config = Config::default();
        for (text, shown) in [("1 2 3", "1 2 3"), ("-2000 5 2000", "-2000 5 2000")] {
            config.set("oom-score-adj-values", text).expect("allowed");
            assert_eq!(config.get("oom-score-adj-values").as_deref(), Some(shown));
        }
        for text in ["", "1 2", "1 2 3 4", " 1  2 3", "1 x 3", "1 2 2001"] {
            assert!(config.set("oom-score-adj-values", text).is_err(), "{text}");
        }
        for (text, shown) in [("relative", "yes"), ("Absolute", "absolute"), ("no", "no")] {
            config.set("oom-score-adj", text).expect("allowed");
            assert_eq!(config.get("oom-score-adj").as_deref(), Some(shown));
        }
    }
}
