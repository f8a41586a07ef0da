//! `latency-tracking-info-percentiles`: which percentiles INFO shows of each command's duration.

use std::fmt;

use super::ConfigError;
use super::kind::{Kind, Setting};

/// Percentiles at the most.
const PERCENTILES_MAX: usize = 128;

/// Parts of a per cent that are told apart, as many as Redis shows.
const PARTS: u32 = 1_000_000;

/// A percentile, exact to a millionth of a per cent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Percentile(u32);

impl Percentile {
    /// In per cent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(PARTS)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / PARTS, self.0 % PARTS);
        match parts {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{parts:06}").trim_end_matches('0')),
        }
    }
}

/// The percentiles, in the order given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Percentiles(pub Vec<Percentile>);

impl Percentiles {
    /// Redis's default: 50, 99 and 99.9.
    pub fn redis_default() -> Self {
        let parts = [50 * PARTS, 99 * PARTS, 99 * PARTS + 9 * PARTS / 10];
        Self(parts.map(Percentile).to_vec())
    }
}

impl Setting for Percentiles {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        const REFUSED: &str = "Invalid latency-tracking-info-percentiles parameters";
        const BEYOND: &str =
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        let mut all = Vec::new();
        for word in text.split_ascii_whitespace() {
            let percent: f64 = word.parse().map_err(|_| ConfigError::from(REFUSED))?;
            if percent.is_nan() || all.len() == PERCENTILES_MAX {
                return Err(ConfigError::from(REFUSED));
            }
            if !(0.0..=100.0).contains(&percent) {
                return Err(ConfigError::from(BEYOND));
            }
            // Within the bounds just looked at it fits.
            all.push(Percentile((percent * f64::from(PARTS)).round() as u32));
        }
        Ok(Self(all))
    }

    fn show(&self) -> String {
        let shown: Vec<String> = self.0.iter().map(Percentile::to_string).collect();
        shown.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn percentiles_are_shown_as_redis_shows_them() {
        const NAME: &str = "latency-tracking-info-percentiles";
        let mut config = Config::default();
        assert_eq!(config.get(NAME).as_deref(), Some("50 99 99.9"));
        for (text, shown) in [
            ("0 100", "0 100"),
            ("50.0 1e1", "50 10"),
            ("99.1234567 0.001", "99.123457 0.001"),
            ("99.99999999", "100"),
            ("", ""),
        ] {
            config.set(NAME, text).expect("allowed");
            assert_eq!(config.get(NAME).as_deref(), Some(shown));
        }
        for text in ["101", "-1", "abc", "nan", "inf", "1,2"] {
            assert!(config.set(NAME, text).is_err(), "{text}");
        }
    }
}
