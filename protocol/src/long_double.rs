//! INCRBYFLOAT's arithmetic: x86's 80-bit floats, as Redis computes and prints them.
//!
//! Redis reads both numbers as `long double`, adds them, and prints the sum with `%.17Lf`, its
//! trailing zeros removed. Clients see the digits, so they must come out the same: a mantissa of 64
//! bits, rounded to nearest, ties to even. Rust has no such type; big integers make one.

use num_bigint::BigUint;

use crate::strtod::Hex;

/// Bits of the mantissa.
const MANTISSA_BITS: u64 = 64;

/// Decimal exponents beyond these are infinite or zero as 80-bit floats; nothing larger is ever
/// written out.
const EXPONENT_MAX: i64 = 4932;
const EXPONENT_MIN: i64 = -4970;

/// The largest binary exponent: the mantissa times two to the power of this is the largest number.
const BINARY_EXPONENT_MAX: i64 = 16383 - 63;

/// Powers of two just above numbers: the largest, and one below which all are zero.
const BINARY_TOP_MAX: i64 = 16384;
const BINARY_TOP_MIN: i64 = -16445;

/// The longest text that is looked at, as in Redis.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// Decimals that are printed.
const DECIMALS: u32 = 17;

/// A finite 80-bit float: `mantissa` times two to the power of `exponent`. The mantissa has 64
/// bits, or is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongDouble {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

/// Why a text is no finite number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoNumber {
    /// It reads as something else.
    Malformed,
    /// It is an infinity, by name.
    Infinite,
}

impl LongDouble {
    pub const ZERO: Self = Self {
        negative: false,
        mantissa: 0,
        exponent: 0,
    };

    /// The number that `text` is, decimal or hexadecimal, and nothing around it. One too large or
    /// too small for the type is malformed, as in Redis.
    pub fn parse(text: &[u8]) -> Result<Self, NoNumber> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Err(NoNumber::Infinite);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(NoNumber::Malformed);
        }
        if let Some(hex) = Hex::read(unsigned) {
            return Self::of_hex(negative, hex, unsigned.len());
        }
        let (digits, exponent) = split_exponent(unsigned)?;
        let point = memchr::memchr(b'.', digits);
        let (whole, fraction) = match point {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &[][..]),
        };
        let all: Vec<u8> = [whole, fraction].concat();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return Err(NoNumber::Malformed);
        }
        let significant: &[u8] = match all.iter().position(|digit| *digit != b'0') {
            Some(first) => &all[first..],
            None => &[],
        };
        let last = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
        let first = last.saturating_add(i64::try_from(significant.len()).unwrap_or(i64::MAX));
        if significant.is_empty() {
            return Ok(Self {
                negative,
                ..Self::ZERO
            });
        }
        if !(EXPONENT_MIN..=EXPONENT_MAX + 1).contains(&first) {
            return Err(NoNumber::Malformed);
        }
        let number = BigUint::parse_bytes(significant, 10).ok_or(NoNumber::Malformed)?;
        let power = BigUint::from(10u8).pow(last.unsigned_abs() as u32);
        let rounded = if last >= 0 {
            Self::round(negative, number * power, BigUint::from(1u8))
        } else {
            Self::round(negative, number, power)
        };
        // Its mantissa has 64 bits.
        let is_held = |float: &Self| float.exponent + 64 >= BINARY_TOP_MIN;
        rounded.filter(is_held).ok_or(NoNumber::Malformed)
    }

    fn of_hex(negative: bool, hex: Hex<'_>, len: usize) -> Result<Self, NoNumber> {
        let (digits, exponent) = hex.parts();
        let digits: Vec<u8> = digits.collect();
        let number = BigUint::from_radix_be(&digits, 16).ok_or(NoNumber::Malformed)?;
        let top = exponent.saturating_add(i64::try_from(number.bits()).unwrap_or(i64::MAX));
        let is_zero = number.bits() == 0;
        if hex.len != len || !is_zero && !(BINARY_TOP_MIN..=BINARY_TOP_MAX).contains(&top) {
            return Err(NoNumber::Malformed);
        }
        let one = BigUint::from(1u8);
        let rounded = match exponent {
            _ if is_zero => Self::round(negative, number, one),
            0.. => Self::round(negative, number << exponent.unsigned_abs(), one),
            _ => Self::round(negative, number, one << exponent.unsigned_abs()),
        };
        rounded.ok_or(NoNumber::Malformed)
    }

    /// The float nearest to `numerator / denominator`; none where that is too large.
    fn round(negative: bool, numerator: BigUint, denominator: BigUint) -> Option<Self> {
        if numerator.bits() == 0 {
            return Some(Self {
                negative,
                ..Self::ZERO
            });
        }
        // So that the quotient has 65 or 66 bits: the mantissa, and one or two to round by.
        let shift = numerator.bits() as i64 - denominator.bits() as i64 - 65;
        let (numerator, denominator) = if shift <= 0 {
            (numerator << shift.unsigned_abs(), denominator)
        } else {
            (numerator, denominator << shift.unsigned_abs())
        };
        let quotient = &numerator / &denominator;
        let exact = &quotient * &denominator == numerator;
        let extra = quotient.bits() - MANTISSA_BITS;
        let mut wide = u128::try_from(quotient).ok()?;
        let half = 1u128 << (extra - 1);
        let rest = wide & ((1u128 << extra) - 1);
        wide >>= extra;
        if rest > half || rest == half && (!exact || wide & 1 == 1) {
            wide += 1;
        }
        let mut exponent = shift + extra as i64;
        if wide >> MANTISSA_BITS != 0 {
            wide >>= 1;
            exponent += 1;
        }
        (exponent <= BINARY_EXPONENT_MAX).then_some(Self {
            negative,
            mantissa: wide as u64,
            exponent,
        })
    }

    /// The sum, rounded; none where it is too large.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.mantissa == 0 {
            return Some(other);
        }
        if other.mantissa == 0 {
            return Some(self);
        }
        let low = self.exponent.min(other.exponent);
        let scaled = |it: Self| BigUint::from(it.mantissa) << (it.exponent - low).unsigned_abs();
        let (a, b) = (scaled(self), scaled(other));
        let (negative, magnitude) = match self.negative == other.negative {
            true => (self.negative, a + b),
            false if a >= b => (self.negative && a != b, a - b),
            false => (other.negative, b - a),
        };
        if low >= 0 {
            Self::round(
                negative,
                magnitude << low.unsigned_abs(),
                BigUint::from(1u8),
            )
        } else {
            Self::round(
                negative,
                magnitude,
                BigUint::from(1u8) << low.unsigned_abs(),
            )
        }
    }

    /// The text that Redis stores: up to seventeen decimals, never an exponent.
    pub fn text(self) -> String {
        let scale = BigUint::from(10u8).pow(DECIMALS);
        let scaled = BigUint::from(self.mantissa) * scale;
        let rounded = if self.exponent >= 0 {
            scaled << self.exponent.unsigned_abs()
        } else {
            let divisor = BigUint::from(1u8) << self.exponent.unsigned_abs();
            let quotient = &scaled / &divisor;
            let twice = (&scaled - &quotient * &divisor) * 2u8;
            let up = twice > divisor || twice == divisor && quotient.bit(0);
            quotient + u8::from(up)
        };
        let digits = rounded.to_str_radix(10);
        let digits = format!("{digits:0>width$}", width = DECIMALS as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS as usize);
        let fraction = fraction.trim_end_matches('0');
        let is_zero = whole == "0" && fraction.is_empty();
        let sign = if self.negative && !is_zero { "-" } else { "" };
        if fraction.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }
}

/// The digits with their point, and the decimal exponent.
fn split_exponent(text: &[u8]) -> Result<(&[u8], i64), NoNumber> {
    let Some(at) = memchr::memchr2(b'e', b'E', text) else {
        return Ok((text, 0));
    };
    let (negative, digits) = match &text[at + 1..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NoNumber::Malformed);
    }
    let mut exponent: i64 = 0;
    for digit in digits {
        exponent = exponent
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'));
    }
    // Far beyond either bound, and far from overflow.
    let exponent = exponent.min(1 << 32);
    Ok((&text[..at], if negative { -exponent } else { exponent }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let number = |text: &str| LongDouble::parse(text.as_bytes()).expect("a number");
        let sum = number(a).checked_add(number(b));
        sum.map_or("too large".into(), LongDouble::text)
    }

    #[test]
    fn sums_are_those_of_redis() {
        // INCRBYFLOAT's replies from a Redis server on x86.
        for (a, b, expected) in [
            ("10.5", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("9223372036854775807", "5", "9223372036854775812"),
            ("3.0e3", "200", "3200"),
            ("-0", "0", "0"),
            ("1.5", "-1.5", "0"),
            ("1e-20", "0", "0"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
        assert_eq!(sum("1e4932", "1e4932"), "too large");
        assert!(sum("1e300", "0").starts_with("100000000000000000000899732407955919"));
    }

    #[test]
    fn only_numbers_are_numbers() {
        for text in [
            "", ".", "e5", "1e", "1 ", " 1", "nan", "--1", "1e5000", "0x",
        ] {
            let parsed = LongDouble::parse(text.as_bytes());
            assert_eq!(parsed, Err(NoNumber::Malformed), "{text}");
        }
        assert_eq!(LongDouble::parse(b"-inf"), Err(NoNumber::Infinite));
        for (text, parsed) in [
            ("1e-99999999999", Err(NoNumber::Malformed)),
            ("1e-4960", Err(NoNumber::Malformed)),
            ("1e-4951", Err(NoNumber::Malformed)),
            ("0e-99999", Ok(LongDouble::ZERO)),
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), parsed, "{text}");
        }
    }
}
