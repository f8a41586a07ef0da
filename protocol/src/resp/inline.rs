//! A command typed by hand: one line, words parted by blanks, with quotes.
//!
//! In double quotes `\n \r \t \b \a` stand for their control characters, `\xHH` for a byte, and a
//! backslash before anything else for that thing. In single quotes only `\'` is special. A quote
//! may open in mid-word, but what follows a closing quote must be a blank or the line's end.

use crate::args::Span;

/// A quote that is not closed, or closed in mid-word.
#[derive(Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Splits `line` (without its end) into words: appends their bytes, unescaped, to `bytes` and where
/// they lie to `spans`. The spans are offsets into `bytes`. `line` is at most a few times 64 KiB
/// long, so that they fit.
pub fn split(
    line: &[u8],
    bytes: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<(), UnbalancedQuotes> {
    let mut rest = line;
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            return Ok(());
        }
        let start = bytes.len();
        rest = word(rest, bytes)?;
        // A line beyond four gigabytes cannot arrive: the parser's bound on it is far lower.
        spans.push(Span::within(start, bytes.len() - start).ok_or(UnbalancedQuotes)?);
    }
}

/// Appends the word at the front of `rest` to `bytes` and returns what follows it.
fn word<'l>(mut rest: &'l [u8], bytes: &mut Vec<u8>) -> Result<&'l [u8], UnbalancedQuotes> {
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => break,
            b'"' => return closed(double_quoted(after, bytes)?),
            b'\'' => return closed(single_quoted(after, bytes)?),
            _ => bytes.push(byte),
        }
        rest = after;
    }
    Ok(rest)
}

/// What follows the quote that closes `rest`; the bytes before it are appended unescaped.
fn double_quoted<'l>(
    mut rest: &'l [u8],
    bytes: &mut Vec<u8>,
) -> Result<&'l [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(hex_value(*high) << 4 | hex_value(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                bytes.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
            [] => return Err(UnbalancedQuotes),
        }
    }
}

/// What follows the single quote that closes `rest`; the bytes before it are appended, where only
/// `\'` stands for something else.
fn single_quoted<'l>(
    mut rest: &'l [u8],
    bytes: &mut Vec<u8>,
) -> Result<&'l [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => {
                bytes.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
            [] => return Err(UnbalancedQuotes),
        }
    }
}

/// `rest`, which follows a closing quote, where a word may end there.
fn closed(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest.first() {
        Some(&byte) if !is_blank(byte) => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|&&byte| is_blank(byte)).count();
    &line[blanks..]
}

/// C's `isspace`: between words the vertical tab and the form feed are blanks too, though within a
/// word they are not.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        split(line, &mut bytes, &mut spans).ok()?;
        Some(
            Args::new(&bytes, &spans, &[])
                .iter()
                .map(<[u8]>::to_vec)
                .collect(),
        )
    }

    #[track_caller]
    fn check(line: &[u8], expected: &[&[u8]]) {
        assert_eq!(words(line).expect("balanced"), expected);
    }

    /// Asked from a Redis server, line by line.
    #[test]
    fn splits_as_redis_does() {
        check(b"", &[]);
        check(b"  \t ", &[]);
        check(b"PING", &[b"PING"]);
        check(b"  set  k\tv ", &[b"set", b"k", b"v"]);
        check(b"PING\rX", &[b"PING", b"X"]);
        check(br#"echo "\x41\n\q\"" "#, &[b"echo", b"A\nq\""]);
        check(br#"echo "\xzz\x4""#, &[b"echo", b"xzzx4"]);
        check(br#""\r\t\b\a\\""#, &[b"\r\t\x08\x07\\"]);
        check(br"echo 'it\'s' 'a\n'", &[b"echo", b"it's", br"a\n"]);
        check(br#"echo a"b c""#, &[b"echo", b"ab c"]);
        check(b"echo ab'c d'", &[b"echo", b"abc d"]);
        check(br#"echo "" ''"#, &[b"echo", b"", b""]);
        check(b"echo\ta\x0bb", &[b"echo", b"a\x0bb"]);
        check(b"\x0b\x0cPING", &[b"PING"]);
        check(br#""\xfF""#, &[b"\xff"]);
    }

    #[test]
    fn refuses_unbalanced_quotes() {
        for line in [
            &b"echo \"a"[..],
            b"echo 'a",
            b"echo 'a'b",
            b"echo \"a\"b",
            b"\"a\\\"",
            b"'a\\'",
            b"\"a\\",
        ] {
            assert_eq!(words(line), None, "{}", line.escape_ascii());
        }
    }
}
