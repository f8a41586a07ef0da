//! When a key is to expire, as clients say it: in seconds or milliseconds, from now or since the
//! epoch.

use storage::UnixMillis;

use crate::commands::options;
use crate::commands::options::is;
use crate::error::Error;

/// The unit of a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Seconds,
    Milliseconds,
}

/// What a time counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    Now,
    Epoch,
}

/// How a command or an option means its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    pub unit: Unit,
    pub base: Base,
}

impl Scale {
    pub const EX: Self = Self::new(Unit::Seconds, Base::Now);
    pub const PX: Self = Self::new(Unit::Milliseconds, Base::Now);
    pub const EXAT: Self = Self::new(Unit::Seconds, Base::Epoch);
    pub const PXAT: Self = Self::new(Unit::Milliseconds, Base::Epoch);

    const fn new(unit: Unit, base: Base) -> Self {
        Self { unit, base }
    }

    /// The scale that the option `word` stands for.
    pub fn of_option(word: &[u8]) -> Option<Self> {
        [
            ("EX", Self::EX),
            ("PX", Self::PX),
            ("EXAT", Self::EXAT),
            ("PXAT", Self::PXAT),
        ]
        .into_iter()
        .find_map(|(name, scale)| is(word, name).then_some(scale))
    }

    /// The instant that `number` means, in milliseconds since the epoch: negative where that lies
    /// before it. `None` where it overflows.
    pub fn instant_ms(self, number: i64, now: UnixMillis) -> Option<i64> {
        let ms = match self.unit {
            Unit::Seconds => number.checked_mul(1000)?,
            Unit::Milliseconds => number,
        };
        match self.base {
            Base::Now => ms.checked_add(i64::try_from(now.ms()).ok()?),
            Base::Epoch => Some(ms),
        }
    }

    /// The deadline that SET and its kin take: a positive number, else `invalid expire time in
    /// 'command' command`.
    pub fn deadline(
        self,
        number: &[u8],
        now: UnixMillis,
        command: &str,
    ) -> Result<UnixMillis, Error> {
        let number = options::integer(number)?;
        self.instant_ms(number, now)
            .filter(|_| number > 0)
            .and_then(|ms| u64::try_from(ms).ok())
            .map(UnixMillis::new)
            .ok_or_else(|| Error::invalid_expire(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_positive_and_fits() {
        let now = UnixMillis::new(1_000_000);
        let ms = |scale: Scale, number: &str| {
            scale
                .deadline(number.as_bytes(), now, "set")
                .map(UnixMillis::ms)
        };
        assert_eq!(ms(Scale::EX, "10"), Ok(1_010_000));
        assert_eq!(ms(Scale::PX, "10"), Ok(1_000_010));
        assert_eq!(ms(Scale::EXAT, "10"), Ok(10_000));
        assert_eq!(ms(Scale::PXAT, "10"), Ok(10));
        for number in ["0", "-1", "9223372036854775807"] {
            assert_eq!(ms(Scale::EX, number), Err(Error::invalid_expire("set")));
        }
        assert_eq!(ms(Scale::EX, "ten"), Err(Error::NOT_AN_INTEGER));
    }
}
