//! One element as a packed collection stores it: an integer where its text is one, bytes otherwise.
//!
//! Redis keeps `"12"` as the integer 12 but `"012"`, `"+12"` and `"-0"` as text, since only the
//! canonical text of an integer comes back from it unchanged. [`parse_int`] is that rule, in one
//! place.

use std::fmt;

pub use protocol::number::parse_int;

/// An element read from a collection. Two are equal when their texts are.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// Stored as an integer; its text is the canonical decimal.
    Int(i64),
    /// Stored as it is.
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    /// The item that a packed collection would store for `text`.
    #[inline]
    pub fn parse(text: &'a [u8]) -> Self {
        parse_int(text).map_or(Self::Bytes(text), Self::Int)
    }

    /// Its text; `buffer` holds it where it has to be written out.
    #[inline]
    pub fn text<'b>(self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Int(int) => buffer.format(int).as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Bytes of its text.
    pub fn text_len(self) -> usize {
        match self {
            Self::Int(int) => {
                int.unsigned_abs()
                    .checked_ilog10()
                    .map_or(1, |log| log as usize + 1)
                    + usize::from(int < 0)
            }
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Its text as an owned string.
    pub fn to_vec(self) -> Vec<u8> {
        self.text(&mut itoa::Buffer::new()).to_vec()
    }

    /// Its text at the end of `out`.
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text(&mut itoa::Buffer::new()));
    }

    /// The integer, where the text is a canonical one.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(int),
            Self::Bytes(bytes) => parse_int(bytes),
        }
    }
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Int(int), Self::Bytes(bytes)) | (Self::Bytes(bytes), Self::Int(int)) => {
                parse_int(bytes) == Some(int)
            }
        }
    }
}

impl Eq for Item<'_> {}

impl PartialEq<[u8]> for Item<'_> {
    fn eq(&self, text: &[u8]) -> bool {
        *self == Item::Bytes(text)
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_text_is_an_integer() {
        for int in [
            0,
            1,
            -1,
            9,
            10,
            -10,
            4095,
            -4096,
            i64::MAX,
            i64::MIN,
            i64::MAX - 1,
        ] {
            assert_eq!(parse_int(int.to_string().as_bytes()), Some(int));
            assert_eq!(Item::Int(int).text_len(), int.to_string().len());
            assert_eq!(Item::Int(int), *int.to_string().as_bytes());
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1a",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551617",
            "111111111111111111111",
        ] {
            assert_eq!(parse_int(text.as_bytes()), None, "{text}");
        }
    }
}
