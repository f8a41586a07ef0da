//! Headers: one byte that tells the kind, a number, `\r\n`. Most numbers have one digit or two, so
//! these go ahead of all others.

/// What ends a header, and a string that follows one.
pub const LINE_END: &[u8] = b"\r\n";

/// Appends the header of `kind` and `number`.
#[inline]
pub fn write(out: &mut Vec<u8>, kind: u8, number: i64) {
    let digit = |number: i64| b'0' + (number % 10) as u8;
    // Pieces of a size that the compiler knows are stored, not copied.
    match number {
        0..10 => out.extend_from_slice(&[kind, digit(number), b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (digit(number / 10), digit(number));
            out.extend_from_slice(&[kind, tens, ones, b'\r', b'\n']);
        }
        _ => {
            out.push(kind);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.extend_from_slice(LINE_END);
        }
    }
}

/// Appends the header of `kind` with a count or a length.
#[inline]
pub fn write_len(out: &mut Vec<u8>, kind: u8, len: usize) {
    // A length in memory is far below i64::MAX.
    write(out, kind, i64::try_from(len).unwrap_or(i64::MAX));
}

/// What follows the header of `kind` and `number` at the front of `bytes`. None where another
/// header is there, or where the number has more than two digits.
///
/// Four bytes are compared as one number: as bytes they would be stored one by one and loaded
/// together, for which the processor waits.
#[inline]
pub(super) fn strip(bytes: &[u8], kind: u8, number: usize) -> Option<&[u8]> {
    let (four, rest) = bytes.split_first_chunk()?;
    let (four, kind) = (u32::from_le_bytes(*four), u32::from(kind));
    let digit = |number: usize| u32::from(b'0') + (number % 10) as u32;
    const CR: u32 = b'\r' as u32;
    const LF: u32 = b'\n' as u32;
    match number {
        0..10 => (four == kind | digit(number) << 8 | CR << 16 | LF << 24).then_some(rest),
        10..100 => (four == kind | digit(number / 10) << 8 | digit(number) << 16 | CR << 24)
            .then(|| rest.strip_prefix(b"\n"))
            .flatten(),
        _ => None,
    }
}

/// The most digits that [`short_number`] reads.
const SHORT_DIGITS_MAX: usize = 8;

/// The number of up to eight digits at offset `at`, and the offset of what follows its line. The
/// byte behind the `\r` must be there and is not looked at. None where the number is longer, odd in
/// any way, or its line not whole: then a slower reader decides.
#[inline]
pub(crate) fn short_number(buf: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = buf.get(at..)?;
    // One or two digits, as nearly all have.
    if let Some(&[first, second, third, _]) = rest.first_chunk() {
        let (tens, ones) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
        if tens <= 9 && second == b'\r' {
            return Some((usize::from(tens), at + 1 + LINE_END.len()));
        }
        if tens.wrapping_sub(1) < 9 && ones <= 9 && third == b'\r' {
            let number = usize::from(tens) * 10 + usize::from(ones);
            return Some((number, at + 2 + LINE_END.len()));
        }
    }
    let mut number = 0usize;
    for (i, &byte) in rest.iter().enumerate().take(SHORT_DIGITS_MAX + 1) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            // The byte behind the `\r` must be there; a leading zero is no number, but zero is.
            let odd = byte != b'\r' || i == 0 || (i > 1 && rest[0] == b'0') || i + 1 >= rest.len();
            return if odd {
                None
            } else {
                Some((number, at + i + LINE_END.len()))
            };
        }
        number = number * 10 + usize::from(digit);
    }
    None
}

/// The number that `digits` write, leading zeros allowed. None where there is none, or where it
/// does not fit.
pub fn digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        (digit < 10).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_stripped() {
        for number in [0, 1, 9, 10, 11, 99, 100, 101, 12_345, 99_999_999] {
            let mut out = Vec::new();
            write_len(&mut out, b'$', number);
            assert_eq!(out, format!("${number}\r\n").as_bytes());
            assert_eq!(short_number(&out, 1), Some((number, out.len())));
            out.push(b'x');
            let stripped = strip(&out, b'$', number);
            assert_eq!(stripped, (number < 100).then_some(&b"x"[..]));
            assert_eq!(strip(&out, b'*', number), None);
            assert_eq!(strip(&out, b'$', number + 1), None);
        }
        let mut out = Vec::new();
        write(&mut out, b':', i64::MIN);
        assert_eq!(out, b":-9223372036854775808\r\n");
    }

    #[test]
    fn digits_are_digits() {
        assert_eq!(digits(b"0"), Some(0));
        assert_eq!(digits(b"007"), Some(7));
        assert_eq!(digits(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b""[..], b"-1", b"+1", b"1 ", b"18446744073709551616"] {
            assert_eq!(digits(text), None, "{}", text.escape_ascii());
        }
    }
}
