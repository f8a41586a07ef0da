//! `maxmemory-clients`: bytes, or a part of `maxmemory`.

use super::ConfigError;
use super::kind::{Kind, Setting, parse_memory};

/// What connections may take in memory together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientMemoryLimit {
    /// None where zero.
    Bytes(u64),
    /// Per cent of `maxmemory`, from 1 to 100.
    Percent(u8),
}

impl ClientMemoryLimit {
    /// No limit.
    pub const NONE: Self = Self::Bytes(0);

    /// Whether anything was asked for.
    #[inline]
    pub fn is_set(self) -> bool {
        self != Self::NONE
    }
}

impl Setting for ClientMemoryLimit {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        const REFUSED: &str = "argument must be a memory or percent value";
        let Some(part) = text.strip_suffix('%') else {
            return match parse_memory(text) {
                Some(bytes) => Ok(Self::Bytes(bytes)),
                None => Err(ConfigError::from(REFUSED)),
            };
        };
        if part.is_empty() || !part.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(ConfigError::from(REFUSED));
        }
        match part.parse() {
            Ok(0) => Ok(Self::NONE),
            Ok(part @ 1..=100) => Ok(Self::Percent(part)),
            _ => Err(ConfigError::from(
                "percentage argument must be less or equal to 100",
            )),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(part) => format!("{part}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn bytes_or_a_part() {
        let mut config = Config::default();
        for (text, shown, bytes) in [
            ("10mb", "10485760", Some(10 << 20)),
            ("5%", "5%", Some(50_000_000)),
            ("100%", "100%", Some(1_000_000_000)),
            ("0%", "0", None),
            ("", "0", None),
        ] {
            config.maxmemory = 1_000_000_000;
            config.set("maxmemory-clients", text).expect("allowed");
            assert_eq!(config.get("maxmemory-clients").as_deref(), Some(shown));
            assert_eq!(config.client_memory_max(), bytes, "{text}");
        }
        config.set("maxmemory-clients", "5%").expect("allowed");
        config.maxmemory = 0;
        assert_eq!(config.client_memory_max(), None);
        for text in ["-1", "%", "1.5%", "5%%", "-5%", "101%", "1000%"] {
            assert!(config.set("maxmemory-clients", text).is_err(), "{text}");
        }
    }
}
