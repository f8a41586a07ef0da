//! The incremental command parser.
//!
//! A command comes as an array of bulk strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, or as one
//! [inline](super::inline) line. The parser looks at the connection's read buffer from the first
//! byte of the command in front; where that command is not whole, it keeps its place, so that a
//! million arguments that arrive in pieces are each looked at once. All offsets count from the
//! command's first byte: between calls the caller may move the partial command to the front of its
//! buffer.
//!
//! A large argument is not gathered in the read buffer, where growing would copy it again and
//! again. Once its length is known and its payload has not arrived whole, [`Parsed::Large`] asks
//! the caller to read it into a buffer of its own: see there.
//!
//! What is too long does not depend on how the bytes came in pieces; in Redis a line that is too
//! long passes where one read brings its end.
//!
//! Like Redis, the parser does not look at the two bytes that end an argument, nor at the one after
//! a header's `\r`. As there, an inline command with a zero byte seems never to end. Unlike there,
//! a zero byte in a header makes it no number at once.

use std::fmt;

use bytes::Bytes;

use super::header::{LINE_END, short_number};
use super::inline;
use crate::args::{Args, Span};
use crate::number::parse_int;

/// An argument of this length or more, not yet whole in the read buffer, gets a buffer of its own.
/// Redis draws the line here too.
pub const LARGE_ARG_BYTES: usize = 32 * 1024;

/// The most arguments of a client that has not authenticated where it must.
const UNAUTHENTICATED_ARGS_MAX: usize = 10;
/// The longest argument of such a client, in bytes.
const UNAUTHENTICATED_BULK_LEN_MAX: usize = 16384;
/// A parser keeps the capacity for this many arguments and large arguments from one command to the
/// next.
const KEPT_ARGS_MAX: usize = 256;
/// A parser keeps an inline buffer of this many bytes from one command to the next.
const KEPT_INLINE_BYTES_MAX: usize = 4096;

/// What a client may send. A command beyond them ends its connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest argument in bytes: `proto-max-bulk-len`.
    pub bulk_len_max: usize,
    /// The most arguments of a command.
    pub multibulk_len_max: usize,
    /// The longest inline command, and the longest header, in bytes.
    pub inline_len_max: usize,
    /// The longest command in bytes, its headers and large arguments included:
    /// `client-query-buffer-limit`.
    pub query_len_max: usize,
    /// False where the client must authenticate first and has not: it is held to small commands.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bulk_len_max: 512 * 1024 * 1024,
            multibulk_len_max: i32::MAX as usize,
            inline_len_max: 64 * 1024,
            query_len_max: 1024 * 1024 * 1024,
            authenticated: true,
        }
    }
}

/// What stands at the front of the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole command in the first `consumed` bytes. Its arguments are
    /// `parser.args(&buf[..consumed])` until the next call of [`Parser::parse`], which takes the
    /// buffer from `consumed` on.
    Command { consumed: usize },
    /// Nothing to run (an empty line, `*0`) in the first `consumed` bytes. The next call takes the
    /// buffer from there on.
    Skip { consumed: usize },
    /// More bytes are needed. The next call takes the same bytes, and more.
    Incomplete,
    /// A large argument of `len` bytes begins at offset `have_from`, and has not arrived whole: all
    /// the buffer holds from there on is the beginning of it. The caller
    ///
    /// 1. moves those bytes into a buffer of the argument's own ([`LargeArg::begin`]) and cuts its
    ///    read buffer at `have_from`;
    /// 2. reads from the socket into that buffer until it holds `len + 2` bytes and no more,
    ///    growing it as bytes arrive and not as the client promises ([`LargeArg::reserve`]);
    /// 3. hands it over with [`Parser::supply_large`], and goes on with [`Parser::parse`] on its
    ///    read buffer, to which what follows the argument is appended.
    ///
    /// Until it is supplied, `parse` answers this again.
    Large { have_from: usize, len: usize },
}

/// Why a connection ends: its bytes make no command. [`ProtocolError::text`] is Redis's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// `*` with no number, or too large a one.
    InvalidMultibulkLength,
    /// `$` with no number, a negative one, or too large a one.
    InvalidBulkLength,
    /// This byte stands where the `$` of an argument should.
    ExpectedBulk(u8),
    /// A line that begins with `*` and does not end.
    MultibulkHeaderTooLong,
    /// A line in the place of a `$` header that does not end.
    BulkHeaderTooLong,
    /// An inline command that does not end.
    InlineTooLong,
    /// See [`inline::UnbalancedQuotes`].
    UnbalancedQuotes,
    /// Too many arguments before authentication.
    UnauthenticatedMultibulkLength,
    /// Too long an argument before authentication.
    UnauthenticatedBulkLength,
    /// Longer in all than [`Limits::query_len_max`]. Redis closes such a connection without a word.
    QueryTooLong,
}

impl ProtocolError {
    /// The error's text after `-ERR `, in bytes, because that of [`ProtocolError::ExpectedBulk`]
    /// need not be UTF-8.
    pub fn text(&self) -> Vec<u8> {
        let reason: &[u8] = match self {
            ProtocolError::InvalidMultibulkLength => b"invalid multibulk length",
            ProtocolError::InvalidBulkLength => b"invalid bulk length",
            ProtocolError::ExpectedBulk(got) => {
                // A line end would cut the error in two.
                let shown = if matches!(got, b'\r' | b'\n') {
                    b' '
                } else {
                    *got
                };
                &[b"expected '$', got '".as_slice(), &[shown], b"'"].concat()
            }
            ProtocolError::MultibulkHeaderTooLong => b"too big mbulk count string",
            ProtocolError::BulkHeaderTooLong => b"too big bulk count string",
            ProtocolError::InlineTooLong => b"too big inline request",
            ProtocolError::UnbalancedQuotes => b"unbalanced quotes in request",
            ProtocolError::UnauthenticatedMultibulkLength => b"unauthenticated multibulk length",
            ProtocolError::UnauthenticatedBulkLength => b"unauthenticated bulk length",
            ProtocolError::QueryTooLong => b"too big query",
        };
        [b"Protocol error: ", reason].concat()
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::error::Error for ProtocolError {}

/// Where the parser stands in the command at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At its first byte.
    Start,
    /// At the header of an argument; `left` are to come.
    Argument { left: usize },
    /// After the header of a large argument of `len` bytes that the caller reads; `left` are to
    /// come, this one included.
    Large { left: usize, len: usize },
    /// Past its end: the next call is about the command that follows.
    Done,
    /// At its end too, but it is to be found once more.
    HeldBack { consumed: usize },
}

/// The parser of one connection.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// Bytes of the command behind the parser, large arguments not counted.
    at: usize,
    /// Bytes of the command in which the search for the end of the line at `at` has found none.
    scanned: usize,
    spans: Vec<Span>,
    large: Vec<Bytes>,
    /// The sum of the lengths of `large`.
    large_bytes: usize,
    /// The arguments of an inline command, unescaped. The spans refer to it where `is_inline`.
    inline: Vec<u8>,
    is_inline: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Parser::new()
    }
}

impl Parser {
    /// A parser at the first byte of a connection. It allocates at the first command.
    pub fn new() -> Self {
        Parser {
            state: State::Start,
            at: 0,
            scanned: 0,
            spans: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
            inline: Vec::new(),
            is_inline: false,
        }
    }

    /// Looks at the command at the front of `buf`. After an error the connection is to be closed,
    /// and `parse` not called again.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if self.state == State::Done {
            self.reset();
        }
        match self.state {
            State::Start => match buf.first() {
                None => Ok(Parsed::Incomplete),
                Some(b'*') => self.parse_header(buf, limits),
                Some(_) => self.parse_inline(buf, limits),
            },
            State::Argument { left } => self.parse_arguments(buf, limits, left),
            State::Large { len, .. } => Ok(Parsed::Large {
                have_from: self.at,
                len,
            }),
            State::HeldBack { consumed } => {
                self.state = State::Done;
                Ok(Parsed::Command { consumed })
            }
            State::Done => unreachable!("reset above"),
        }
    }

    /// The command just found may not run yet: the next call of [`Parser::parse`], with a buffer
    /// that begins with the same command, finds it again, its large arguments included, which are
    /// in no buffer any more. `consumed` is its length, as it was told.
    pub fn hold_back(&mut self, consumed: usize) {
        debug_assert_eq!(self.state, State::Done);
        self.state = State::HeldBack { consumed };
    }

    /// The arguments of the command that [`Parser::parse`] found whole in the first `consumed`
    /// bytes, which `command` is.
    #[inline]
    pub fn args<'a>(&'a self, command: &'a [u8]) -> Args<'a> {
        debug_assert_eq!(self.state, State::Done);
        Args::new(
            if self.is_inline {
                &self.inline
            } else {
                command
            },
            &self.spans,
            &self.large,
        )
    }

    /// Takes the large argument that [`Parsed::Large`] asked for: its payload and the two bytes
    /// that end it.
    ///
    /// # Panics
    /// Where none was asked for, or the length is not `len + 2`: the caller reads exactly so much.
    pub fn supply_large(&mut self, mut payload: Bytes) {
        let State::Large { left, len } = self.state else {
            panic!("no large argument was asked for")
        };
        assert_eq!(
            payload.len(),
            len + LINE_END.len(),
            "a large argument and its line end"
        );
        payload.truncate(len);
        self.large.push(payload);
        self.large_bytes += len;
        // Fewer than u32::MAX: each is at least 32 KiB of memory.
        self.spans
            .push(Span::large(self.large.len() - 1).expect("fewer large arguments than u32::MAX"));
        self.state = State::Argument { left: left - 1 };
    }

    /// Frees what is kept from one command to the next, where no command has begun. The last one's
    /// arguments are gone then.
    pub fn shrink(&mut self) {
        if self.is_between_commands() {
            *self = Self::new();
        }
    }

    /// Bytes of memory the parser holds besides itself, for the client's accounting.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
            + self.large.capacity() * size_of::<Bytes>()
            + self.large_bytes
            + self.inline.capacity()
    }

    /// True where no command has begun.
    fn is_between_commands(&self) -> bool {
        matches!(self.state, State::Start | State::Done)
    }

    #[inline]
    fn reset(&mut self) {
        self.state = State::Start;
        self.at = 0;
        self.scanned = 0;
        self.spans.clear();
        if self.is_inline || !self.large.is_empty() || self.spans.capacity() > KEPT_ARGS_MAX {
            self.reset_unusual();
        }
    }

    #[cold]
    fn reset_unusual(&mut self) {
        self.spans.shrink_to(KEPT_ARGS_MAX);
        self.large.clear();
        self.large.shrink_to(KEPT_ARGS_MAX);
        self.large_bytes = 0;
        self.inline.clear();
        self.inline.shrink_to(KEPT_INLINE_BYTES_MAX);
        self.is_inline = false;
    }

    /// `*<arguments>\r\n`
    #[inline]
    fn parse_header(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        let (count, next) = match short_number(buf, 1) {
            Some(found) => found,
            None => match self.find_line(buf, limits, ProtocolError::MultibulkHeaderTooLong)? {
                None => return Ok(Parsed::Incomplete),
                Some(end) => {
                    let count =
                        parse_int(&buf[1..end]).ok_or(ProtocolError::InvalidMultibulkLength)?;
                    if count <= 0 {
                        return Ok(self.skip(end + LINE_END.len()));
                    }
                    (
                        usize::try_from(count).unwrap_or(usize::MAX),
                        end + LINE_END.len(),
                    )
                }
            },
        };
        if count == 0 {
            return Ok(self.skip(next));
        }
        if count > limits.multibulk_len_max {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if count > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.at = next;
        self.parse_arguments(buf, limits, count)
    }

    /// `$<bytes>\r\n<payload>\r\n`, `left` times.
    #[inline]
    fn parse_arguments(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        mut left: usize,
    ) -> Result<Parsed, ProtocolError> {
        while left > 0 {
            let short = if buf.get(self.at) == Some(&b'$') {
                short_number(buf, self.at + 1)
            } else {
                None
            };
            let (len, start) = match short {
                Some(found) => found,
                None => match self.find_line(buf, limits, ProtocolError::BulkHeaderTooLong)? {
                    None => return Ok(self.wait(left)),
                    Some(end) => (self.bulk_length(&buf[self.at..end])?, end + LINE_END.len()),
                },
            };
            if len > limits.bulk_len_max {
                return Err(ProtocolError::InvalidBulkLength);
            }
            if len > UNAUTHENTICATED_BULK_LEN_MAX && !limits.authenticated {
                return Err(ProtocolError::UnauthenticatedBulkLength);
            }
            if start.saturating_add(len).saturating_add(self.large_bytes) > limits.query_len_max {
                return Err(ProtocolError::QueryTooLong);
            }
            // All that follows is in the buffer, or else bounded by query_len_max: no overflow.
            let end = start.saturating_add(len).saturating_add(LINE_END.len());
            if end > buf.len() {
                if len < LARGE_ARG_BYTES {
                    return Ok(self.wait(left));
                }
                self.at = start;
                self.scanned = start;
                self.state = State::Large { left, len };
                return Ok(Parsed::Large {
                    have_from: start,
                    len,
                });
            }
            self.spans
                .push(Span::within(start, len).ok_or(ProtocolError::QueryTooLong)?);
            self.at = end;
            left -= 1;
        }
        self.state = State::Done;
        Ok(Parsed::Command { consumed: self.at })
    }

    /// One line of words. It ends at `\n`; a `\r` before that belongs to the end. A line with a
    /// zero byte has no end: whoever sends one (a TLS hello, say) means another protocol, and
    /// nothing of it is run.
    fn parse_inline(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        let unseen = buf.get(self.scanned..).unwrap_or_default();
        let found = memchr::memchr2(b'\n', 0, unseen).map(|found| self.scanned + found);
        let line_end = found.filter(|&found| buf[found] == b'\n');
        let end = line_end.unwrap_or(buf.len());
        if end > limits.inline_len_max {
            return Err(ProtocolError::InlineTooLong);
        }
        if line_end.is_none() {
            // A zero byte is found again next time.
            self.scanned = found.unwrap_or(end);
            return Ok(Parsed::Incomplete);
        }
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        self.is_inline = true;
        inline::split(line, &mut self.inline, &mut self.spans)
            .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        if self.spans.is_empty() {
            return Ok(self.skip(end + 1));
        }
        self.state = State::Done;
        Ok(Parsed::Command { consumed: end + 1 })
    }

    /// Nothing to run in the first `consumed` bytes.
    fn skip(&mut self, consumed: usize) -> Parsed {
        self.state = State::Done;
        Parsed::Skip { consumed }
    }

    /// The argument at `at` is not whole.
    fn wait(&mut self, left: usize) -> Parsed {
        self.state = State::Argument { left };
        Parsed::Incomplete
    }

    /// Where the line that begins at `at` ends: the offset of its `\r`, of which the byte behind it
    /// has arrived too. None where it has not; `too_long` where it should have.
    #[cold]
    fn find_line(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let from = self.scanned.max(self.at);
        let found = memchr::memchr(b'\r', buf.get(from..).unwrap_or_default());
        // Where the `\r` has come without the byte behind it, it is looked at again.
        let end = found.map_or(buf.len(), |found| from + found);
        self.scanned = end;
        if end.saturating_sub(self.at) > limits.inline_len_max {
            return Err(too_long);
        }
        Ok(found.filter(|_| end + 1 < buf.len()).map(|_| end))
    }

    /// The number in `line`, which is to be an argument's header without its end.
    fn bulk_length(&self, line: &[u8]) -> Result<usize, ProtocolError> {
        match line.split_first() {
            Some((b'$', digits)) => {
                let len = parse_int(digits).ok_or(ProtocolError::InvalidBulkLength)?;
                usize::try_from(len).map_err(|_| ProtocolError::InvalidBulkLength)
            }
            Some((&got, _)) => Err(ProtocolError::ExpectedBulk(got)),
            // An empty line: its end stands where the `$` should.
            None => Err(ProtocolError::ExpectedBulk(b'\r')),
        }
    }
}

/// The buffer of a large argument while its bytes arrive. See [`Parsed::Large`].
#[derive(Debug)]
pub struct LargeArg {
    bytes: Vec<u8>,
    /// The payload's length and that of its line end.
    total: usize,
}

impl LargeArg {
    /// The first allocation, and the least growth: from there on the buffer doubles, up to exactly
    /// its full length.
    pub const STEP_BYTES: usize = 128 * 1024;

    /// A buffer for the `len` bytes that [`Parsed::Large`] announced, of which `have` are there:
    /// all the read buffer holds from `have_from` on.
    ///
    /// # Panics
    /// Where `have` is more than the argument: the parser would have taken that for a whole one.
    pub fn begin(len: usize, have: &[u8]) -> Self {
        let total = len + LINE_END.len();
        assert!(
            have.len() < total,
            "a large argument that has arrived whole"
        );
        let mut bytes = Vec::with_capacity(Self::STEP_BYTES.max(have.len()).min(total));
        bytes.extend_from_slice(have);
        LargeArg { bytes, total }
    }

    /// How many bytes are still to be read, the line end included. Zero: [`LargeArg::finish`] it.
    pub fn missing(&self) -> usize {
        self.total.saturating_sub(self.bytes.len())
    }

    /// Makes room, and says how many bytes may be read at most now: the room there is, but no more
    /// than is missing.
    pub fn reserve(&mut self) -> usize {
        if self.bytes.len() == self.bytes.capacity() {
            let more = self.bytes.len().max(Self::STEP_BYTES).min(self.missing());
            self.bytes.reserve_exact(more);
        }
        (self.bytes.capacity() - self.bytes.len()).min(self.missing())
    }

    /// The buffer itself, to read into its spare room, or to append to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What [`Parser::supply_large`] takes, without a copy.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
