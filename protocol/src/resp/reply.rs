//! Replies: what the server sends, in the shape of RESP2 or RESP3.
//!
//! A [`Reply`] appends to a connection's output. It does not check that an array gets as many
//! elements as it announced: that is the handler's promise. Where the count is known only at the
//! end, [`Reply::begin`] marks the place and `finish_*` puts the header there.

use super::header;
use crate::number::{self, DoubleText};

/// The protocol's version that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Before `HELLO 3`: strings, integers, errors and arrays.
    #[default]
    Resp2,
    /// Maps, sets, doubles, booleans, nulls and pushes too.
    Resp3,
}

/// Where in the output a list of yet unknown length begins. See [`Reply::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the header of the list is missing until it is finished"]
pub struct Mark(usize);

/// Writes one reply in the shape of `version` at the end of a connection's output.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Reply<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Reply { out, version }
    }

    /// The shape in which it writes.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Writes in another shape from here on: `HELLO` answers in the version it has just chosen.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The length of the output so far, in bytes, what was there before this reply included.
    #[inline]
    pub fn written(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written since [`Reply::written`] was `to`: a half-written reply makes
    /// room for an error.
    pub fn truncate(&mut self, to: usize) {
        self.out.truncate(to);
    }

    /// Appends bytes that are a whole reply in the right shape already, such as one that another
    /// shard wrote.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `+text`, where `text` is one line of our own.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a simple string of two lines");
        self.line(b'+', text.as_bytes());
    }

    /// `-text`, where `text` begins with its code, such as `ERR` or `WRONGTYPE`. Line ends within,
    /// which may stem from the client, become blanks.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        self.out.reserve(text.len() + 3);
        self.out.push(b'-');
        self.out.extend(text.iter().map(|&byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                byte
            }
        }));
        self.raw(b"\r\n");
    }

    /// `:value`
    #[inline]
    pub fn integer(&mut self, value: i64) {
        header::write(self.out, b':', value);
    }

    /// `$len` and the bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.count(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.raw(b"\r\n");
    }

    /// The header of a bulk string; so many bytes and a line's end follow.
    #[inline]
    pub fn bulk_header(&mut self, len: usize) {
        self.count(b'$', len);
    }

    /// The decimal text of `value` as a bulk string.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No string: `$-1`, or RESP3's null.
    #[inline]
    pub fn null(&mut self) {
        self.raw(match self.version {
            Version::Resp2 => b"$-1\r\n".as_slice(),
            Version::Resp3 => b"_\r\n",
        });
    }

    /// No array: `*-1`, or RESP3's null.
    pub fn null_array(&mut self) {
        self.raw(match self.version {
            Version::Resp2 => b"*-1\r\n".as_slice(),
            Version::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array; `len` elements follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.count(b'*', len);
    }

    /// `*0`
    pub fn empty_array(&mut self) {
        self.raw(b"*0\r\n");
    }

    /// The header of a map; `pairs` times a key and a value follow. In RESP2 an array of both.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.count(b'*', pairs.saturating_mul(2)),
            Version::Resp3 => self.count(b'%', pairs),
        }
    }

    /// The header of a set; `len` members follow. In RESP2 an array.
    pub fn set(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.count(b'*', len),
            Version::Resp3 => self.count(b'~', len),
        }
    }

    /// The header of a message that answers no command; `len` elements follow. In RESP2 an array.
    pub fn push(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.count(b'*', len),
            Version::Resp3 => self.count(b'>', len),
        }
    }

    /// A double, in RESP2 as a bulk string of its text. See [`number::format_double`].
    pub fn double(&mut self, value: f64) {
        let text: DoubleText = number::format_double(value);
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// A truth value, in RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.raw(match (self.version, value) {
            (Version::Resp2, true) => b":1\r\n",
            (Version::Resp2, false) => b":0\r\n",
            (Version::Resp3, true) => b"#t\r\n",
            (Version::Resp3, false) => b"#f\r\n",
        });
    }

    /// An integer of any size, given as its decimal digits. In RESP2 a bulk string of them.
    pub fn big_number(&mut self, digits: &str) {
        match self.version {
            Version::Resp2 => self.bulk(digits.as_bytes()),
            Version::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Text for people, of the kind that the three letters of `extension` name (`txt`, `mkd`). In
    /// RESP2 a bulk string.
    pub fn verbatim(&mut self, extension: &str, text: &[u8]) {
        debug_assert_eq!(
            extension.len(),
            3,
            "a verbatim string's kind is three letters"
        );
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                self.count(b'=', extension.len() + 1 + text.len());
                self.raw(extension.as_bytes());
                self.raw(b":");
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// Marks the place of a list whose length is not known yet. Write its elements, then finish it.
    pub fn begin(&mut self) -> Mark {
        Mark(self.out.len())
    }

    /// Puts the header of an array of `len` elements at `mark`. It moves what was written since:
    /// for lists that are long and whose length can be known, [`Reply::array`] is better.
    pub fn finish_array(&mut self, mark: Mark, len: usize) {
        self.insert(mark, |reply| reply.array(len));
    }

    /// Puts the header of a map of `pairs` keys and values at `mark`, and moves what was written
    /// since.
    pub fn finish_map(&mut self, mark: Mark, pairs: usize) {
        self.insert(mark, |reply| reply.map(pairs));
    }

    /// Puts the header of a set of `len` members at `mark`, and moves what was written since.
    pub fn finish_set(&mut self, mark: Mark, len: usize) {
        self.insert(mark, |reply| reply.set(len));
    }

    fn insert(&mut self, mark: Mark, header: impl FnOnce(&mut Reply<'_>)) {
        let end = self.out.len();
        header(self);
        let header_len = self.out.len() - end;
        if let Some(moved) = self.out.get_mut(mark.0..) {
            moved.rotate_right(header_len);
        }
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn count(&mut self, kind: u8, count: usize) {
        header::write_len(self.out, kind, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
        for (version, expected) in [(Version::Resp2, resp2), (Version::Resp3, resp3)] {
            let mut out = b"before".to_vec();
            let mut reply = Reply::new(&mut out, version);
            assert_eq!(reply.version(), version);
            write(&mut reply);
            assert_eq!(
                String::from_utf8_lossy(&out),
                format!("before{expected}"),
                "{version:?}"
            );
        }
    }

    #[test]
    fn the_same_in_both_versions() {
        check(|reply| reply.ok(), "+OK\r\n", "+OK\r\n");
        check(|reply| reply.simple("PONG"), "+PONG\r\n", "+PONG\r\n");
        check(
            |reply| reply.error("ERR a\r\nb"),
            "-ERR a  b\r\n",
            "-ERR a  b\r\n",
        );
        check(
            |reply| reply.error([b'E', 0xff]),
            "-E\u{fffd}\r\n",
            "-E\u{fffd}\r\n",
        );
        for value in [0, 9, 10, -1, i64::MAX, i64::MIN] {
            let text = format!(":{value}\r\n");
            check(|reply| reply.integer(value), &text, &text);
        }
        check(|reply| reply.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
        check(
            |reply| reply.bulk(b"a\r\nb c d e f"),
            "$12\r\na\r\nb c d e f\r\n",
            "$12\r\na\r\nb c d e f\r\n",
        );
        check(
            |reply| reply.bulk_integer(-12),
            "$3\r\n-12\r\n",
            "$3\r\n-12\r\n",
        );
        check(
            |reply| reply.array(1_000_000),
            "*1000000\r\n",
            "*1000000\r\n",
        );
        check(|reply| reply.empty_array(), "*0\r\n", "*0\r\n");
        check(|reply| reply.raw(b":1\r\n"), ":1\r\n", ":1\r\n");
    }

    #[test]
    fn the_shapes_of_each_version() {
        check(|reply| reply.null(), "$-1\r\n", "_\r\n");
        check(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
        check(|reply| reply.map(6), "*12\r\n", "%6\r\n");
        check(|reply| reply.set(2), "*2\r\n", "~2\r\n");
        check(|reply| reply.push(3), "*3\r\n", ">3\r\n");
        check(|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(
            |reply| reply.double(f64::NEG_INFINITY),
            "$4\r\n-inf\r\n",
            ",-inf\r\n",
        );
        check(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
        check(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
        check(|reply| reply.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
        check(
            |reply| reply.verbatim("txt", b"hi"),
            "$2\r\nhi\r\n",
            "=6\r\ntxt:hi\r\n",
        );
    }

    #[test]
    fn a_count_may_follow_its_elements() {
        let nested = |reply: &mut Reply<'_>| {
            let outer = reply.begin();
            let inner = reply.begin();
            reply.integer(1);
            reply.integer(2);
            reply.finish_map(inner, 1);
            let empty = reply.begin();
            reply.finish_set(empty, 0);
            reply.finish_array(outer, 2);
        };
        check(
            nested,
            "*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n",
            "*2\r\n%1\r\n:1\r\n:2\r\n~0\r\n",
        );
    }

    #[test]
    fn an_error_takes_the_place_of_a_half_written_reply() {
        let write = |reply: &mut Reply<'_>| {
            let start = reply.written();
            reply.array(2);
            reply.integer(1);
            reply.truncate(start);
            reply.error("ERR no");
        };
        check(write, "-ERR no\r\n", "-ERR no\r\n");
    }

    #[test]
    fn hello_changes_the_version_in_mid_reply() {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Version::Resp2);
        reply.set_version(Version::Resp3);
        reply.null();
        assert_eq!(out, b"_\r\n");
    }
}
