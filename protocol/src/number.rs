//! How numbers read as text.
//!
//! * [`parse_int`]: an integer in the only form that counts as one.
//! * [`format_double`]: what `ZSCORE` answers, digits that read back as the same double
//!   ([`crate::grisu`]).
//! * [`format_human`]: what a float increment stores, never with an exponent.

use std::fmt::Write;

use smallvec::SmallVec;

use crate::grisu;

/// The longest canonical text of an `i64`: `-9223372036854775808`.
const INT_TEXT_MAX: usize = 20;

/// The integer whose canonical text this is: no blanks, no `+`, no leading zeros, no `-0`. None
/// where it is of another form, or does not fit.
#[inline]
pub fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match *text {
        [b'-', ref digits @ ..] => (true, digits),
        ref digits => (false, digits),
    };
    match *digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if text.len() <= INT_TEXT_MAX => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// A double's text. Nearly all fit without an allocation; only the plain form of a huge one does
/// not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubleText(SmallVec<[u8; 32]>);

impl DoubleText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(bytes: &[u8]) -> Self {
        DoubleText(SmallVec::from_slice(bytes))
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whole numbers up to this size, half of the 64-bit range, print as integers.
const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

/// A short text that reads back as `value`: `3`, `0.1`, `1e+22`, `inf`, `-0`. Whole numbers have no
/// exponent up to half of the 64-bit range.
pub fn format_double(value: f64) -> DoubleText {
    if value.abs() <= INTEGER_MAX && value.trunc() == value && value != 0.0 {
        return DoubleText::of(itoa::Buffer::new().format(value as i64).as_bytes());
    }
    format_shortest(value)
}

/// A short text that reads back as `value`, where whole numbers are written like all others: `5e+9`
/// for five billion.
pub fn format_shortest(value: f64) -> DoubleText {
    if value.is_nan() {
        return DoubleText::of(b"nan");
    }
    if value.is_infinite() {
        return DoubleText::of(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value == 0.0 {
        return DoubleText::of(if value.is_sign_negative() {
            b"-0"
        } else {
            b"0"
        });
    }
    let mut text = DoubleText::of(if value < 0.0 { b"-" } else { b"" });
    let (digits, exponent) = grisu::digits(value.abs());
    lay_out(&digits, exponent, &mut text.0);
    text
}

/// `digits` times ten to the power of `last`, plain where that is not much longer than the digits,
/// else with an exponent.
fn lay_out(digits: &[u8], last: i32, text: &mut SmallVec<[u8; 32]>) {
    let count = digits.len() as i32;
    let first = last + count - 1;
    if last >= 0 && first < count + 7 {
        text.extend_from_slice(digits);
        text.extend(std::iter::repeat_n(b'0', last.unsigned_abs() as usize));
    } else if last < 0 && (last > -7 || first.abs() < 4) {
        let point = count + last;
        if point <= 0 {
            text.extend_from_slice(b"0.");
            text.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
            text.extend_from_slice(digits);
        } else {
            let (whole, fraction) = digits.split_at(point.unsigned_abs() as usize);
            text.extend_from_slice(whole);
            text.push(b'.');
            text.extend_from_slice(fraction);
        }
    } else {
        text.extend_from_slice(&digits[..1]);
        if digits.len() > 1 {
            text.push(b'.');
            text.extend_from_slice(&digits[1..]);
        }
        text.push(b'e');
        text.push(if first < 0 { b'-' } else { b'+' });
        text.extend_from_slice(itoa::Buffer::new().format(first.unsigned_abs()).as_bytes());
    }
}

/// Decimals after the point in the human form.
const HUMAN_DECIMALS: usize = 17;

/// `value` without an exponent: up to seventeen decimals, trailing zeros removed. Zero has no sign.
pub fn format_human(value: f64) -> DoubleText {
    if !value.is_finite() {
        return format_double(value);
    }
    // The digits beyond those that tell the double apart are noise of its binary form, which
    // Redis's wider floats do not show.
    let mut text = DoubleText::of(b"");
    let _ = write!(text, "{value}");
    if let Some(point) = memchr::memchr(b'.', &text.0) {
        if text.0.len() - point - 1 > HUMAN_DECIMALS {
            text.0.clear();
            let _ = write!(text, "{value:.HUMAN_DECIMALS$}");
        }
        while text.0.last() == Some(&b'0') && memchr::memchr(b'.', &text.0).is_some() {
            text.0.pop();
        }
        if text.0.last() == Some(&b'.') {
            text.0.pop();
        }
    }
    if text.0.as_slice() == b"-0" {
        DoubleText::of(b"0")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(format_double(value).as_bytes().to_vec()).unwrap()
    }

    fn human(value: f64) -> String {
        String::from_utf8(format_human(value).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_shortest_form() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-2.5, "-2.5"),
            (std::f64::consts::PI, "3.141592653589793"),
            (1e15, "1000000000000000"),
            (1e18, "1000000000000000000"),
            (4.611686018427388e18, "4611686018427387904"),
            (1e19, "1e+19"),
            (1.5e300, "1.5e+300"),
            (12345678901234568e6, "12345678901234568000000"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (0.0001, "0.0001"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (0.0012345, "0.0012345"),
            (0.00012345, "1.2345e-4"),
            (1.0000000000000002, "1.0000000000000002"),
            (-1.25e-9, "-1.25e-9"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn the_human_form() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (10.5, "10.5"),
            (10.6, "10.6"),
            (-3.0, "-3"),
            (5200.0, "5200"),
            (1e-20, "0"),
            (-1e-20, "0"),
            (1e21, "1000000000000000000000"),
            (1.5e-7, "0.00000015"),
        ] {
            assert_eq!(human(value), expected);
        }
        assert_eq!(human(f64::MAX).len(), 309);
    }

    #[test]
    fn integers_are_strict() {
        assert_eq!(parse_int(b"0"), Some(0));
        assert_eq!(parse_int(b"-1"), Some(-1));
        assert_eq!(parse_int(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
        for text in [
            &b""[..],
            b"-",
            b"-0",
            b"00",
            b"01",
            b"+1",
            b" 1",
            b"1 ",
            b"1a",
            b"9223372036854775808",
            b"-9223372036854775809",
        ] {
            assert_eq!(parse_int(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_double(bits in any::<u64>(), small in -1e6f64..1e6) {
            for value in [f64::from_bits(bits), small] {
                if !value.is_nan() {
                    prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
                }
            }
        }
    }
}
