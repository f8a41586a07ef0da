//! The name of a stream's entry: a time in milliseconds and a sequence number within it, ordered as
//! a pair.
//!
//! Ids are 128-bit numbers in all but spelling: `next` and `prev` carry between the halves and say
//! `None` at the two ends.

use std::fmt;

use crate::item::parse_int;

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

    /// The ID `ms-seq`.
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

    /// `ms-seq`, or `ms` alone, whose sequence is then `missing_seq`. `None` for any other text,
    /// which ends at a zero byte.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match halves(text) {
            (ms, None) => Some(StreamId::new(parse_u64(ms)?, missing_seq)),
            (ms, Some(seq)) => Some(StreamId::new(parse_u64(ms)?, parse_u64(seq)?)),
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
        match halves(text) {
            (b"*", None) => Some(NewId::Auto),
            (ms, Some(b"*")) => parse_u64(ms).map(NewId::AutoSeq),
            _ => StreamId::parse(text, 0).map(NewId::Exact),
        }
    }
}

/// What stands before and behind the first dash, if there is one. As in C, the text ends at a zero
/// byte.
fn halves(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    match text.iter().position(|&byte| byte == b'-') {
        None => (text, None),
        Some(dash) => (&text[..dash], Some(&text[dash + 1..])),
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

/// The number as Redis reads it: where it is not spelled as integers are, C's `strtoull` has its
/// say, which lets blanks, a sign and zeros through, and takes a negative number for what it is
/// modulo 2^64.
fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(int) = parse_int(text) {
        return u64::try_from(int).ok();
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | 9..=13));
    let (negative, digits) = match &text[blanks.count()..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0u64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
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
        assert_eq!(StreamId::parse(b"+1", 0), Some(StreamId::new(1, 0)));
        assert_eq!(StreamId::parse(b" 07- 2", 0), Some(StreamId::new(7, 2)));
        assert_eq!(
            StreamId::parse(b"1--05", 0),
            Some(StreamId::new(1, u64::MAX - 4))
        );
        assert_eq!(StreamId::parse(b"3\0x", 0), Some(StreamId::new(3, 0)));
        for bad in [
            &b"5-"[..],
            b"1--5",
            b"1 ",
            b"+",
            b"-5",
            b"",
            b"-",
            b"18446744073709551616",
            b"1-2-3",
            b"a-1",
        ] {
            assert_eq!(StreamId::parse(bad, 0), None);
        }
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
