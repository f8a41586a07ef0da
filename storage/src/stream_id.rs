//! The name of a stream's entry: a time in milliseconds and a sequence number within it, ordered as a pair.
//!
//! Ids are 128-bit numbers in all but spelling: `next` and `prev` carry between the halves and say `None` at the two ends.

use std::fmt;

/// Longest text of an id: two 20-digit numbers and the dash.
pub const ID_TEXT_MAX: usize = 41;

/// `ms-seq`; the order is that of entries in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, by the clock of whoever named the entry.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

/// An id as a client may write it for a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`: both halves from the clock.
    Auto,
    /// `ms-*`: the next free sequence number within `ms`.
    AutoSeq(u64),
    /// Both halves given.
    Exact(StreamId),
}

impl StreamId {
    /// `0-0`: below every entry; no entry may have it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// Above or equal to every entry.
    pub const MAX: StreamId = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id right after this one; `None` after `MAX`.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id right before this one; `None` before `MIN`.
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self
                .ms
                .checked_sub(1)
                .map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// `ms-seq`, or `ms` alone, whose sequence is then `missing_seq`. `None` for any other text.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match text.iter().position(|&b| b == b'-') {
            None => Some(StreamId::new(parse_u64(text)?, missing_seq)),
            Some(dash) => {
                let (ms, seq) = text.split_at(dash);
                Some(StreamId::new(parse_u64(ms)?, parse_u64(seq.get(1..)?)?))
            }
        }
    }

    /// The text of the id, on the stack.
    pub fn text(self) -> IdText {
        let mut out = IdText {
            bytes: [0; ID_TEXT_MAX],
            len: 0,
        };
        out.push(itoa::Buffer::new().format(self.ms).as_bytes());
        out.push(b"-");
        out.push(itoa::Buffer::new().format(self.seq).as_bytes());
        out
    }

    /// Big-endian, as data files and comparisons of bytes want it.
    pub fn to_be_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// Reads `to_be_bytes` back.
    pub fn from_be_bytes(bytes: [u8; 16]) -> StreamId {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        StreamId {
            ms: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            seq: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
        }
    }
}

impl NewId {
    /// `*`, `ms-*`, `ms-seq` or `ms` (which means `ms-0`). `None` for any other text.
    pub fn parse(text: &[u8]) -> Option<NewId> {
        if text == b"*" {
            return Some(NewId::Auto);
        }
        match text.strip_suffix(b"-*") {
            Some(ms) => parse_u64(ms).map(NewId::AutoSeq),
            None => StreamId::parse(text, 0).map(NewId::Exact),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An id's text. Derefs to its bytes.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; ID_TEXT_MAX],
    len: u8,
}

impl IdText {
    fn push(&mut self, part: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(usize::from(self.len)).zip(part) {
            *to = *from;
            self.len += 1;
        }
    }
}

impl std::ops::Deref for IdText {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// A number as Redis reads it, which is as C's `strtoull` does: space before it, a sign and leading zeros are let through, and what is
/// negative is counted from 2^64 down. Only what is plainly a negative number of 64 bits is refused.
fn parse_u64(text: &[u8]) -> Option<u64> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_space(byte))?;
    let signed = text.get(start..)?;
    let (negative, digits) = match signed {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let first = *digits.first()?;
    let number = digits.iter().try_fold(0u64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    let plainly_negative = start == 0 && first != b'0' && number <= i64::MIN.unsigned_abs();
    match negative {
        true if plainly_negative => None,
        true => Some(number.wrapping_neg()),
        false => Some(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_spelling() {
        assert_eq!(StreamId::parse(b"5-3", 0), Some(StreamId::new(5, 3)));
        assert_eq!(StreamId::parse(b"5", 9), Some(StreamId::new(5, 9)));
        assert_eq!(
            StreamId::parse(b"18446744073709551615-18446744073709551615", 0),
            Some(StreamId::MAX)
        );
        for bad in [
            &b"5-"[..],
            b"-5",
            b"",
            b"-",
            b"18446744073709551616",
            b"1-2-3",
            b"a-1",
        ] {
            assert_eq!(StreamId::parse(bad, 0), None);
        }
        for (odd, seq) in [
            (&b"5-007"[..], 7),
            (b" +5-\t+7", 7),
            (b"5--0", 0),
            (b"5--07", u64::MAX - 6),
            (b"5- -7", u64::MAX - 6),
        ] {
            assert_eq!(StreamId::parse(odd, 0), Some(StreamId::new(5, seq)));
        }
        assert_eq!(StreamId::parse(b"5--7", 0), None);
        assert_eq!(NewId::parse(b"*"), Some(NewId::Auto));
        assert_eq!(NewId::parse(b"7-*"), Some(NewId::AutoSeq(7)));
        assert_eq!(NewId::parse(b"7"), Some(NewId::Exact(StreamId::new(7, 0))));
        assert_eq!(NewId::parse(b"-*"), None);
    }

    #[test]
    fn carries_and_stops_at_the_ends() {
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).prev(), Some(StreamId::new(1, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.prev(), None);
    }

    #[test]
    fn text_and_bytes_come_back() {
        for id in [StreamId::MIN, StreamId::MAX, StreamId::new(12, 345)] {
            assert_eq!(StreamId::parse(&id.text(), 1), Some(id));
            assert_eq!(StreamId::from_be_bytes(id.to_be_bytes()), id);
            assert_eq!(id.to_string().as_bytes(), &*id.text());
        }
    }
}
