//! Replies as they are read, one element at a time.
//!
//! An element is a string, a number, a truth value, a null, or the header of a list: its members
//! are elements of their own that follow. [`scan`](super::scan) finds where a whole reply ends,
//! [`value`](super::value) makes a tree of it.

use std::fmt;

use super::header::{self, LINE_END, short_number};
use crate::number::parse_int;

/// The longest header in bytes, its end included.
const HEADER_LEN_MAX: usize = 64;

/// What a reader of replies takes before it gives up.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest line that is text, such as a status or an error, in bytes.
    pub line_len_max: usize,
    /// The longest string that follows its length, in bytes.
    pub bulk_len_max: usize,
    /// The most elements of one reply, those of lists within lists included.
    pub elements_max: usize,
    /// The most lists within one another.
    pub depth_max: usize,
}

impl Bounds {
    /// No bounds but memory: for bytes that we wrote ourselves.
    pub const NONE: Bounds = Bounds {
        line_len_max: usize::MAX,
        bulk_len_max: usize::MAX,
        elements_max: usize::MAX,
        depth_max: usize::MAX,
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            line_len_max: 1024 * 1024,
            bulk_len_max: 512 * 1024 * 1024,
            elements_max: i32::MAX as usize,
            depth_max: 128,
        }
    }
}

/// One element of a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element<'a> {
    /// `+OK`: a status.
    Simple(&'a [u8]),
    /// `-ERR ...`, or `!` with its length: an error with its code.
    Error(&'a [u8]),
    /// `:7`
    Integer(i64),
    /// `$1` and the bytes.
    Bulk(&'a [u8]),
    /// `$-1`, `*-1` or `_`, as it was written.
    Null(&'static str),
    /// `,1.5`, as text.
    Double(&'a [u8]),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(123`: the digits of an integer of any size.
    BigNumber(&'a [u8]),
    /// `=` and a length: three letters for the kind of text, a colon, the text.
    Verbatim(&'a [u8]),
    /// `*2`: this many elements follow.
    Array(usize),
    /// `~2`: this many elements follow.
    Set(usize),
    /// `%2`: this many keys, each with its value behind it, follow.
    Map(usize),
    /// `>2`: a message that answers no command; this many elements follow.
    Push(usize),
    /// `|2`: this many keys and values follow, and then the reply that they describe.
    Attribute(usize),
}

/// What is at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Read<'a> {
    /// A whole element in the first `len` bytes.
    Whole {
        /// The element.
        element: Element<'a>,
        /// Its length in bytes; what follows it begins there.
        len: usize,
    },
    /// The beginning of one. It is whole with `needed` bytes at the earliest.
    Incomplete {
        /// How many bytes from the front on.
        needed: usize,
    },
}

/// The bytes are no reply, or one beyond the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from the front of what was read.
    pub at: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No element begins with this byte.
    Kind(u8),
    /// A line that ends with `\n` alone.
    LineEnd,
    /// A line beyond [`Bounds::line_len_max`], or a header with more than a number.
    LineTooLong,
    /// Where a number or a truth value should be, there is none.
    Number,
    /// A string beyond [`Bounds::bulk_len_max`].
    BulkTooLong,
    /// A string that does not end where its length says.
    BulkEnd,
    /// More elements than [`Bounds::elements_max`].
    TooManyElements,
    /// More lists within one another than [`Bounds::depth_max`].
    TooDeep,
    /// The reply is not whole where it had to be.
    Cut,
    /// Something follows the reply where nothing may.
    MoreBehind,
}

impl Malformed {
    pub(super) fn new(at: usize, reason: Reason) -> Self {
        Malformed { at, reason }
    }

    /// The error of an element that begins `offset` bytes further on.
    pub(super) fn behind(self, offset: usize) -> Self {
        Malformed {
            at: self.at + offset,
            ..self
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Reason::Kind(byte) => {
                return write!(
                    f,
                    "no reply begins with '{}' (byte {})",
                    byte.escape_ascii(),
                    self.at
                );
            }
            Reason::LineEnd => "a line that does not end",
            Reason::LineTooLong => "a line that is too long",
            Reason::Number => "no number where one should be",
            Reason::BulkTooLong => "a string that is too long",
            Reason::BulkEnd => "a string of another length than it says",
            Reason::TooManyElements => "too many elements",
            Reason::TooDeep => "too many lists within one another",
            Reason::Cut => "a reply that is not whole",
            Reason::MoreBehind => "something behind the reply",
        };
        write!(f, "{what} (byte {})", self.at)
    }
}

impl std::error::Error for Malformed {}

/// The element at the front of `bytes`. It does not look at the elements of a list, and needs no
/// memory: called again with the same bytes and more, it begins anew.
///
/// # Errors
/// [`Malformed`] where no element begins there, or one beyond `bounds`. [`Bounds::elements_max`]
/// and [`Bounds::depth_max`] concern whole replies: they are not checked here.
#[inline]
pub fn read<'a>(bytes: &'a [u8], bounds: &Bounds) -> Result<Read<'a>, Malformed> {
    let Some(&kind) = bytes.first() else {
        return Ok(Read::Incomplete { needed: 1 });
    };
    match kind {
        b'$' | b'*' => match short_number(bytes, 1) {
            Some((number, end)) if bytes[end - 1] == b'\n' => match kind {
                b'$' => bulk(bytes, end, number as u64, bounds, Element::Bulk),
                _ => Ok(whole(Element::Array(number), end)),
            },
            _ => read_unusual(bytes, kind, bounds),
        },
        _ => read_unusual(bytes, kind, bounds),
    }
}

/// The element at the front of `bytes`, and its length in bytes: for bytes that we wrote ourselves,
/// or whose end has been found before. None where no whole element is there.
pub fn first(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    match read(bytes, &Bounds::NONE) {
        Ok(Read::Whole { element, len }) => Some((element, len)),
        _ => None,
    }
}

fn whole(element: Element<'_>, len: usize) -> Read<'_> {
    Read::Whole { element, len }
}

fn read_unusual<'a>(bytes: &'a [u8], kind: u8, bounds: &Bounds) -> Result<Read<'a>, Malformed> {
    let is_text = match kind {
        b'+' | b'-' | b',' | b'(' => true,
        b':' | b'_' | b'#' | b'$' | b'!' | b'=' | b'*' | b'~' | b'%' | b'>' | b'|' => false,
        _ => return Err(Malformed::new(0, Reason::Kind(kind))),
    };
    let len_max = if is_text {
        bounds.line_len_max
    } else {
        HEADER_LEN_MAX
    };
    let Some((line, end)) = line(bytes, len_max)? else {
        return Ok(Read::Incomplete {
            needed: bytes.len() + 1,
        });
    };
    let text = &line[1..];
    let no_number = Malformed::new(0, Reason::Number);
    let element = match kind {
        b'+' => Element::Simple(text),
        b'-' => Element::Error(text),
        b',' => Element::Double(text),
        b'(' => Element::BigNumber(text),
        b':' => Element::Integer(parse_int(text).ok_or(no_number)?),
        b'_' if text.is_empty() => Element::Null("_"),
        b'#' if text == b"t" => Element::Boolean(true),
        b'#' if text == b"f" => Element::Boolean(false),
        b'_' | b'#' => return Err(no_number),
        b'$' if text == b"-1" => Element::Null("$-1"),
        b'*' if text == b"-1" => Element::Null("*-1"),
        _ => {
            let number = header::digits(text).ok_or(no_number)?;
            match kind {
                b'$' => return bulk(bytes, end, number, bounds, Element::Bulk),
                b'!' => return bulk(bytes, end, number, bounds, Element::Error),
                b'=' => return bulk(bytes, end, number, bounds, Element::Verbatim),
                _ => {}
            }
            let number = usize::try_from(number).map_err(|_| no_number)?;
            match kind {
                b'*' => Element::Array(number),
                b'~' => Element::Set(number),
                b'%' => Element::Map(number),
                b'>' => Element::Push(number),
                _ => Element::Attribute(number),
            }
        }
    };
    Ok(whole(element, end))
}

/// The string of `len` bytes behind the header that ends at `start`.
#[inline]
fn bulk<'a>(
    bytes: &'a [u8],
    start: usize,
    len: u64,
    bounds: &Bounds,
    element: fn(&'a [u8]) -> Element<'a>,
) -> Result<Read<'a>, Malformed> {
    if len > bounds.bulk_len_max as u64 {
        return Err(Malformed::new(0, Reason::BulkTooLong));
    }
    // No overflow: the bounds fit memory, and so does what is there.
    let end = start.saturating_add(len as usize);
    let needed = end.saturating_add(LINE_END.len());
    let Some(behind) = bytes.get(end..needed) else {
        return Ok(Read::Incomplete { needed });
    };
    if behind != LINE_END {
        return Err(Malformed::new(end, Reason::BulkEnd));
    }
    Ok(whole(element(&bytes[start..end]), needed))
}

/// The line at the front of `bytes` without its end, and where that ends. None where it is not
/// whole.
///
/// # Errors
/// [`Malformed`] where it ends with `\n` alone, or where it is longer than `len_max` bytes, its end
/// included.
#[inline]
pub fn line(bytes: &[u8], len_max: usize) -> Result<Option<(&[u8], usize)>, Malformed> {
    let looked_at = &bytes[..bytes.len().min(len_max)];
    match memchr::memchr(b'\n', looked_at) {
        Some(end) => match looked_at[..end].strip_suffix(b"\r") {
            Some(line) => Ok(Some((line, end + 1))),
            None => Err(Malformed::new(0, Reason::LineEnd)),
        },
        None if bytes.len() > len_max => Err(Malformed::new(0, Reason::LineTooLong)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Result<Read<'_>, Malformed> {
        read(bytes, &Bounds::default())
    }

    #[test]
    fn every_kind_is_read() {
        let kinds: [(&[u8], Element<'_>); 22] = [
            (b"+OK\r\n", Element::Simple(b"OK")),
            (b"-ERR no\r\n", Element::Error(b"ERR no")),
            (b"!6\r\nERR\r\nx\r\n", Element::Error(b"ERR\r\nx")),
            (b":0\r\n", Element::Integer(0)),
            (b":-9223372036854775808\r\n", Element::Integer(i64::MIN)),
            (b"$0\r\n\r\n", Element::Bulk(b"")),
            (b"$3\r\na\r\n\r\n", Element::Bulk(b"a\r\n")),
            (b"$03\r\nabc\r\n", Element::Bulk(b"abc")),
            (b"$-1\r\n", Element::Null("$-1")),
            (b"*-1\r\n", Element::Null("*-1")),
            (b"_\r\n", Element::Null("_")),
            (b",1.5\r\n", Element::Double(b"1.5")),
            (b",-inf\r\n", Element::Double(b"-inf")),
            (b"#t\r\n", Element::Boolean(true)),
            (b"#f\r\n", Element::Boolean(false)),
            (b"(123\r\n", Element::BigNumber(b"123")),
            (b"=6\r\ntxt:hi\r\n", Element::Verbatim(b"txt:hi")),
            (b"*123456789\r\n", Element::Array(123_456_789)),
            (b"~2\r\n", Element::Set(2)),
            (b"%12\r\n", Element::Map(12)),
            (b">3\r\n", Element::Push(3)),
            (b"|1\r\n", Element::Attribute(1)),
        ];
        for (bytes, element) in kinds {
            let len = bytes.len();
            let more = [bytes, b"+next\r\n"].concat();
            assert_eq!(of(&more), Ok(Read::Whole { element, len }));
            assert_eq!(first(&more), Some((element, len)));
            for cut in 0..len {
                match of(&bytes[..cut]) {
                    Ok(Read::Incomplete { needed }) => assert!(needed > cut && needed <= len),
                    other => panic!("{} cut at {cut}: {other:?}", bytes.escape_ascii()),
                }
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for (bytes, at, reason) in [
            (&b"?"[..], 0, Reason::Kind(b'?')),
            (b"GET k\r\n", 0, Reason::Kind(b'G')),
            (b"+OK\n", 0, Reason::LineEnd),
            (b":x\r\n", 0, Reason::Number),
            (b":01\r\n", 0, Reason::Number),
            (b"$-2\r\n", 0, Reason::Number),
            (b"$\r\n", 0, Reason::Number),
            (b"%-1\r\n", 0, Reason::Number),
            (b"#x\r\n", 0, Reason::Number),
            (b"_x\r\n", 0, Reason::Number),
            (b"*99999999999999999999\r\n", 0, Reason::Number),
            (b"$1\r\nabc", 5, Reason::BulkEnd),
            (b"$999999999\r\n", 0, Reason::BulkTooLong),
            (b"$18446744073709551615\r\n", 0, Reason::BulkTooLong),
            (&[b'*'; 65], 0, Reason::LineTooLong),
            (&[b':'; 65], 0, Reason::LineTooLong),
            (&[b'+'; (1 << 20) + 1], 0, Reason::LineTooLong),
        ] {
            let shown = bytes[..bytes.len().min(30)].escape_ascii();
            assert_eq!(of(bytes), Err(Malformed::new(at, reason)), "{shown}");
        }
    }
}
