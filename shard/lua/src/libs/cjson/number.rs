//! Numbers as C's `printf` writes them and `strtod` reads them.

use std::io::Write;

/// Whole numbers of fewer digits than this are exact, as doubles and in [`append_general`].
const EXACT_DIGITS: usize = 15;

/// Appends a finite number as `%.*g` writes it: with so many significant digits, no zeros at its
/// end, and an exponent where it is below -4 or leaves no digit behind the point.
pub fn append_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    debug_assert!(value.is_finite() && (1..=EXACT_DIGITS).contains(&precision));
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.abs() < POWERS_OF_TEN[precision] && value.trunc() == value && !is_negative_zero {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(value as i64).as_bytes());
        return;
    }

    // The digits are those of the notation with an exponent: "-d.ddde-7".
    let mut buffer = [0; 32];
    let mut free = &mut buffer[..];
    write!(free, "{value:.*e}", precision - 1).expect("at most 23 bytes");
    let free = free.len();
    let mut text = &buffer[..buffer.len() - free];
    if let Some(rest) = text.strip_prefix(b"-") {
        out.push(b'-');
        text = rest;
    }
    let e = text.iter().position(|&byte| byte == b'e');
    let (mantissa, exponent) = text.split_at(e.expect("there is an exponent"));
    let exponent: i32 = str::from_utf8(&exponent[1..])
        .ok()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    let (first, others) = (mantissa[0], mantissa.get(2..).unwrap_or_default());
    let significant = others.iter().rposition(|&digit| digit != b'0');
    let others = &others[..significant.map_or(0, |last| last + 1)];

    if exponent < -4 || exponent >= precision as i32 {
        out.push(first);
        if !others.is_empty() {
            out.push(b'.');
            out.extend_from_slice(others);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", exponent.unsigned_abs()).expect("a vector takes all");
    } else if exponent < 0 {
        out.extend_from_slice(&b"0.000"[..1 + exponent.unsigned_abs() as usize]);
        out.push(first);
        out.extend_from_slice(others);
    } else {
        out.push(first);
        let whole = exponent as usize;
        if let Some((whole, fraction)) = others.split_at_checked(whole) {
            out.extend_from_slice(whole);
            if !fraction.is_empty() {
                out.push(b'.');
                out.extend_from_slice(fraction);
            }
        } else {
            out.extend_from_slice(others);
            out.resize(out.len() + whole - others.len(), b'0');
        }
    }
}

const POWERS_OF_TEN: [f64; EXACT_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// The number that a text begins with, as `strtod` reads it, and its length; none where it begins
/// with no number. Decimal or hexadecimal, infinity or NaN; a sign, and no space before it.
pub fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let is_negative = text.first() == Some(&b'-');
    let unsigned = &text[sign..];
    let (value, length) = match unsigned.first()? {
        b'0' if is_letter(unsigned, 1, b'x') => {
            // Without a digit behind the x it is the zero before it.
            parse_hexadecimal(&unsigned[2..])
                .map_or((0.0, 1), |(value, length)| (value, 2 + length))
        }
        b'0'..=b'9' | b'.' => parse_decimal(unsigned)?,
        b'i' | b'I' if starts_with_word(unsigned, b"infinity") => (f64::INFINITY, 8),
        b'i' | b'I' if starts_with_word(unsigned, b"inf") => (f64::INFINITY, 3),
        b'n' | b'N' if starts_with_word(unsigned, b"nan") => (
            f64::NAN.copysign(1.0),
            3 + nan_payload_length(&unsigned[3..]),
        ),
        _ => return None,
    };
    Some((if is_negative { -value } else { value }, sign + length))
}

/// Whether a text begins with a word, in letters of either case.
pub fn starts_with_word(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len())
        .is_some_and(|it| it.eq_ignore_ascii_case(word))
}

fn is_letter(text: &[u8], at: usize, letter: u8) -> bool {
    text.get(at)
        .is_some_and(|it| it.to_ascii_lowercase() == letter)
}

fn count_digits(text: &[u8]) -> usize {
    let end = text.iter().position(|it| !it.is_ascii_digit());
    end.unwrap_or(text.len())
}

/// The bytes of an exponent, its letter included; 0 where there is none.
fn exponent_length(text: &[u8], letter: u8) -> usize {
    if !is_letter(text, 0, letter) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match count_digits(&text[1 + sign..]) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn parse_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = count_digits(text);
    let mut length = whole;
    if text.get(whole) == Some(&b'.') {
        let fraction = count_digits(&text[whole + 1..]);
        if whole + fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    length += exponent_length(&text[length..], b'e');
    if length == whole && whole <= EXACT_DIGITS {
        let value = text[..whole]
            .iter()
            .fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
        return Some((value as f64, length));
    }
    let value = str::from_utf8(&text[..length]).ok()?.parse().ok()?;
    Some((value, length))
}

/// What follows "0x".
fn parse_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    // The first 60 bits or so, and whether there was any beyond them: enough to round rightly.
    let mut mantissa = 0_u64;
    let mut is_inexact = false;
    let mut exponent = 0_i64;
    let mut point = None;
    let mut digits = 0;
    let mut length = 0;
    for &byte in text {
        match (byte as char).to_digit(16) {
            Some(digit) => {
                digits += 1;
                if mantissa >> 60 == 0 {
                    mantissa = mantissa << 4 | u64::from(digit);
                    exponent -= if point.is_some() { 4 } else { 0 };
                } else {
                    is_inexact |= digit != 0;
                    exponent += if point.is_some() { 0 } else { 4 };
                }
            }
            None if byte == b'.' && point.is_none() => point = Some(length),
            None => break,
        }
        length += 1;
    }
    if digits == 0 {
        return None;
    }
    let power = exponent_length(&text[length..], b'p');
    if power > 0 {
        exponent = exponent.saturating_add(parse_saturating(&text[length + 1..length + power]));
        length += power;
    }
    mantissa |= u64::from(is_inexact);
    Some((scale(mantissa, exponent), length))
}

/// A decimal number that ends at a bound far beyond any exponent of a double.
fn parse_saturating(text: &[u8]) -> i64 {
    let is_negative = text[0] == b'-';
    let digits = text.iter().filter(|it| it.is_ascii_digit());
    let value = digits.fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(i64::MAX >> 8)
    });
    if is_negative { -value } else { value }
}

/// `mantissa * 2^exponent`, rounded to the nearest double, to the even one of two.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    const LEAST_NORMAL: i64 = -1022;
    const GREATEST: i64 = 1023;
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    let exponent = exponent.saturating_sub(i64::from(shift));
    // The exponent of the first bit.
    let leading = exponent.saturating_add(63);
    if leading > GREATEST {
        return f64::INFINITY;
    }
    let kept_bits = 53 - (LEAST_NORMAL - leading).max(0);
    if kept_bits < 0 {
        return 0.0;
    }
    let dropped_bits = 64 - kept_bits as u32;
    let kept = mantissa.checked_shr(dropped_bits).unwrap_or(0);
    let dropped = mantissa << kept_bits;
    let half = 1 << 63;
    let rounds_up = dropped > half || dropped == half && kept & 1 == 1;
    // Both factors and their product are exact.
    (kept + u64::from(rounds_up)) as f64 * power_of_two(exponent + i64::from(dropped_bits))
}

/// `2^exponent`, for exponents from -1074 to 1023.
fn power_of_two(exponent: i64) -> f64 {
    if exponent < -1022 {
        f64::from_bits(1 << (exponent + 1074))
    } else {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    }
}

/// The bytes of "(letters)" behind "nan", which say nothing here.
fn nan_payload_length(text: &[u8]) -> usize {
    if text.first() != Some(&b'(') {
        return 0;
    }
    let is_payload = |it: &u8| it.is_ascii_alphanumeric() || *it == b'_';
    match text[1..].iter().position(|it| !is_payload(it)) {
        Some(end) if text[1 + end] == b')' => end + 2,
        _ => 0,
    }
}
