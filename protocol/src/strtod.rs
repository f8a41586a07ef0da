//! Floats as C's `strtod` reads them, which is how Redis reads scores, weights, coordinates and
//! timeouts.
//!
//! ```text
//! [blanks] [+ | -] ( digits [. digits] [e [+ | -] digits]
//!                  | 0x hex digits [. hex digits] [p [+ | -] digits]
//!                  | inf[inity] | nan[(...)] )
//! ```
//!
//! Who calls decides what may stand before and behind the number, and what becomes of one that does
//! not fit a double.

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read {
    /// 0 where there is no number.
    pub value: f64,
    /// Bytes of blanks, sign and number; 0 where there is no number.
    pub len: usize,
    /// The number is too large for a double, or too small to be exact in one: C's ERANGE.
    pub out_of_range: bool,
}

/// The number that `text` begins with.
pub fn strtod(text: &[u8]) -> Read {
    let blanks = text.iter().take_while(|byte| is_space(**byte)).count();
    let (negative, sign) = match text.get(blanks) {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let before = blanks + sign;
    let Some((magnitude, len, out_of_range)) = unsigned(&text[before..]) else {
        return Read {
            value: 0.0,
            len: 0,
            out_of_range: false,
        };
    };
    Read {
        value: if negative { -magnitude } else { magnitude },
        len: before + len,
        out_of_range,
    }
}

/// The number that all of `text` is, with nothing around it: a double that is not NaN, nor out of
/// the range of doubles.
pub fn whole(text: &[u8]) -> Option<f64> {
    if text.first().is_none_or(|byte| is_space(*byte)) {
        return None;
    }
    let read = strtod(text);
    let misses = read.out_of_range && (read.value.is_infinite() || read.value == 0.0);
    (read.len == text.len() && !misses && !read.value.is_nan()).then_some(read.value)
}

/// What C takes for the end of a string: everything before the first zero byte.
pub fn c_string(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    &text[..end]
}

/// Whether C takes the byte for a blank.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

/// Value, bytes, and whether it is out of range.
fn unsigned(text: &[u8]) -> Option<(f64, usize, bool)> {
    let starts = |word: &[u8]| {
        let head = text.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    if starts(b"infinity") {
        return Some((f64::INFINITY, 8, false));
    } else if starts(b"inf") {
        return Some((f64::INFINITY, 3, false));
    } else if starts(b"nan") {
        return Some((f64::NAN, 3 + payload_len(&text[3..]), false));
    }
    if let Some(hex) = Hex::read(text) {
        let value = hex.value();
        return Some((value, hex.len, hex.misses(value)));
    }
    let whole = digits_len(text, u8::is_ascii_digit);
    let fraction = match text.get(whole) {
        Some(b'.') => digits_len(&text[whole + 1..], u8::is_ascii_digit) + 1,
        _ => 0,
    };
    if whole + fraction.saturating_sub(1) == 0 {
        return None;
    }
    let mantissa = whole + fraction;
    let len = mantissa + exponent_len(&text[mantissa..], b'e');
    let value = std::str::from_utf8(&text[..len])
        .ok()?
        .parse::<f64>()
        .ok()?;
    let is_zero = text[..mantissa]
        .iter()
        .all(|byte| matches!(byte, b'0' | b'.'));
    Some((value, len, misses(value, is_zero)))
}

/// Whether a double cannot hold what it was read from.
fn misses(value: f64, is_zero: bool) -> bool {
    value.is_infinite() || (!is_zero && !value.is_normal())
}

fn digits_len(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

/// Bytes of `e+12` and the like; 0 where there are no digits.
fn exponent_len(text: &[u8], mark: u8) -> usize {
    let [first, rest @ ..] = text else { return 0 };
    if !first.eq_ignore_ascii_case(&mark) {
        return 0;
    }
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    match digits_len(&rest[sign..], u8::is_ascii_digit) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

/// Bytes of the `(...)` behind a NaN.
fn payload_len(text: &[u8]) -> usize {
    let [b'(', rest @ ..] = text else { return 0 };
    let word = digits_len(rest, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    match rest.get(word) {
        Some(b')') => word + 2,
        _ => 0,
    }
}

/// A hexadecimal float.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hex<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
    pub(crate) len: usize,
}

impl<'a> Hex<'a> {
    /// The one that `text` begins with: no sign.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        let [b'0', b'x' | b'X', digits @ ..] = text else {
            return None;
        };
        let (whole, rest) = digits.split_at(digits_len(digits, u8::is_ascii_hexdigit));
        let fraction = match rest {
            [b'.', rest @ ..] => &rest[..digits_len(rest, u8::is_ascii_hexdigit)],
            _ => &[],
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let point = usize::from(rest.first() == Some(&b'.'));
        let mantissa = 2 + whole.len() + point + fraction.len();
        let exponent = exponent_len(&text[mantissa..], b'p');
        Some(Self {
            whole,
            fraction,
            exponent: power(&text[mantissa..mantissa + exponent]),
            len: mantissa + exponent,
        })
    }

    /// The digits without the point, and the power of two of the last one's unit.
    pub(crate) fn parts(&self) -> (impl Iterator<Item = u8>, i64) {
        let digits = self.whole.iter().chain(self.fraction);
        let digits = digits.map(|byte| char::from(*byte).to_digit(16).unwrap_or(0) as u8);
        let fraction = i64::try_from(self.fraction.len()).unwrap_or(i64::MAX);
        let bits = fraction.saturating_mul(4);
        (digits, self.exponent.saturating_sub(bits))
    }

    fn misses(&self, value: f64) -> bool {
        misses(value, self.parts().0.all(|digit| digit == 0))
    }

    fn value(&self) -> f64 {
        /// Bits that are kept; that others follow shows in one more.
        const KEPT_MAX: u32 = 60;
        let (digits, mut exponent) = self.parts();
        let (mut mantissa, mut sticky) = (0u64, false);
        for digit in digits {
            if u64::BITS - mantissa.leading_zeros() + 4 <= KEPT_MAX {
                mantissa = mantissa << 4 | u64::from(digit);
            } else {
                sticky |= digit > 0;
                exponent = exponent.saturating_add(4);
            }
        }
        if mantissa == 0 {
            return 0.0;
        }
        scale(
            mantissa << 1 | u64::from(sticky),
            exponent.saturating_sub(1),
        )
    }
}

/// The number of `p+12` and the like. Beyond what any digits make up for it does not matter how
/// large it is.
fn power(text: &[u8]) -> i64 {
    const MAX: i64 = 1 << 40;
    let negative = text.get(1) == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let magnitude = digits.fold(0i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(MAX)
    });
    if negative { -magnitude } else { magnitude }
}

/// `mantissa` times two to the power of `exponent`, rounded to the nearest double.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    const LEAST: i64 = -1074;
    let top = exponent.saturating_add(i64::from(mantissa.ilog2()));
    if top > 1023 {
        return f64::INFINITY;
    }
    if top < -1022 {
        // Fewer bits than usual are left.
        let shift = u32::try_from(LEAST - exponent).unwrap_or(u32::MAX);
        let kept = mantissa.checked_shr(shift).unwrap_or(0);
        let half = shift.checked_sub(1).and_then(|bits| 1u64.checked_shl(bits));
        let rest = mantissa - kept.checked_shl(shift).unwrap_or(0);
        let up = half.is_some_and(|half| rest > half || rest == half && kept & 1 == 1);
        return f64::from_bits(kept + u64::from(up));
    }
    let power = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    if exponent < -1022 {
        mantissa as f64 * power(exponent + 64) * power(-64)
    } else {
        mantissa as f64 * power(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, value, len) in [
            ("1", 1.0, 1),
            (" \t\u{b}-1.5x", -1.5, 7),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1e+2", 100.0, 4),
            (".5", 0.5, 2),
            ("5.", 5.0, 2),
            ("+inf", f64::INFINITY, 4),
            ("-infinity", f64::NEG_INFINITY, 9),
            ("infinit", f64::INFINITY, 3),
            ("0x10", 16.0, 4),
            ("0x1.8p1", 3.0, 7),
            ("-0X.8P-1", -0.25, 8),
            ("0x", 0.0, 1),
            ("0x.p1", 0.0, 1),
            ("0x1p", 1.0, 3),
            ("0x1.fffffffffffff8", 2.0, 18),
            ("0x1p-1074", 5e-324, 9),
            ("0x1.8p-1074", 1e-323, 11),
            ("0x1p-1075", 0.0, 9),
            ("0x0.0000000000000000000000001p100", 1.0, 33),
            ("0x1p1024", f64::INFINITY, 8),
            ("1e400", f64::INFINITY, 5),
            ("", 0.0, 0),
            (" ", 0.0, 0),
            ("-", 0.0, 0),
            (".", 0.0, 0),
            ("e5", 0.0, 0),
        ] {
            let read = strtod(text.as_bytes());
            assert_eq!((read.value, read.len), (value, len), "{text}");
        }
        assert_eq!(strtod(b"nan(abc_1)").len, 10);
        assert_eq!(strtod(b"NaN(").len, 3);
        assert!(strtod(b"-0").value.is_sign_negative());
    }

    #[test]
    fn a_whole_number_has_nothing_around_it() {
        for text in [
            "", " 1", "1 ", "1e400", "-1e400", "1e-400", "nan", "0x", "1\0",
        ] {
            assert_eq!(whole(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(whole(b"1e-310"), Some(1e-310));
        assert_eq!(whole(b"0e-400"), Some(0.0));
        assert_eq!(c_string(b"1\x002"), b"1");
    }
}
