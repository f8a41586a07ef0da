//! What a command may answer instead of its reply, with Redis's own words, encoded in one place.

use std::borrow::Cow;

use protocol::reply::Reply;

/// Bytes of an unknown verb or argument that an error repeats at the most.
const ECHOED_BYTES_MAX: usize = 128;

/// An error reply: its code and message as Redis writes them, without the leading `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(Cow<'static, [u8]>);

/// What a command returns once it has written its reply.
pub type Outcome = Result<(), Error>;

impl Error {
    pub const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub const SYNTAX: Self = Self::new("ERR syntax error");
    pub const NOT_AN_INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    pub const NOT_A_FLOAT: Self = Self::new("ERR value is not a valid float");
    pub const OUT_OF_RANGE: Self = Self::new("ERR value is out of range");
    pub const MUST_BE_POSITIVE: Self = Self::new("ERR value is out of range, must be positive");
    pub const INDEX_OUT_OF_RANGE: Self = Self::new("ERR index out of range");
    pub const NO_SUCH_KEY: Self = Self::new("ERR no such key");
    pub const SAME_OBJECT: Self = Self::new("ERR source and destination objects are the same");
    pub const OVERFLOW: Self = Self::new("ERR increment or decrement would overflow");
    pub const NAN_OR_INFINITY: Self = Self::new("ERR increment would produce NaN or Infinity");
    pub const STRING_TOO_LONG: Self =
        Self::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    pub const DB_OUT_OF_RANGE: Self = Self::new("ERR DB index is out of range");
    pub const NO_AUTH: Self = Self::new("NOAUTH Authentication required.");
    pub const WRONG_PASS: Self =
        Self::new("WRONGPASS invalid username-password pair or user is disabled.");
    pub const OUT_OF_MEMORY: Self =
        Self::new("OOM command not allowed when used memory > 'maxmemory'.");
    pub const INVALID_CURSOR: Self = Self::new("ERR invalid cursor");
    pub const TIMEOUT_NOT_A_FLOAT: Self = Self::new("ERR timeout is not a float or out of range");
    pub const TIMEOUT_OUT_OF_RANGE: Self = Self::new("ERR timeout is out of range");
    pub const TIMEOUT_NEGATIVE: Self = Self::new("ERR timeout is negative");

    /// An error with fixed words.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// An error whose words depend on what was asked: `Error::from_text(format!(..))`.
    pub fn from_text(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }

    /// `ERR wrong number of arguments for 'name' command`.
    pub fn arity(name: &str) -> Self {
        Self::from_text(format!(
            "ERR wrong number of arguments for '{name}' command"
        ))
    }

    /// This error, where EXEC itself was refused.
    pub fn of_exec(&self) -> Self {
        let text = self.text();
        let message = text.strip_prefix("ERR ").unwrap_or(&text);
        Self::from_text(format!(
            "EXECABORT Transaction discarded because of: {message}"
        ))
    }

    /// A count that has no opposite.
    pub fn beyond_long() -> Self {
        Self::from_text(format!(
            "ERR value is out of range, value must between -{0} and {0}",
            i64::MAX
        ))
    }

    /// `ERR invalid expire time in 'name' command`.
    pub fn invalid_expire(name: &str) -> Self {
        Self::from_text(format!("ERR invalid expire time in '{name}' command"))
    }

    /// `ERR unknown command 'verb', with args beginning with: ...`; both are cut to 128 bytes as
    /// Redis does.
    pub fn unknown_command<'a>(verb: &[u8], rest: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut shown = Vec::new();
        for arg in rest {
            let room = ECHOED_BYTES_MAX.saturating_sub(shown.len());
            if room == 0 {
                break;
            }
            shown.push(b'\'');
            shown.extend_from_slice(&arg[..arg.len().min(room)]);
            shown.extend_from_slice(b"' ");
        }
        let verb = echoed(verb);
        Self::from_bytes(
            [
                b"ERR unknown command '",
                verb,
                b"', with args beginning with: ",
                &shown,
            ]
            .concat(),
        )
    }

    /// A command of a RESP2 subscriber that it may not use.
    pub fn not_while_subscribed(name: &str) -> Self {
        Self::from_text(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    }

    /// `ERR unknown subcommand or wrong number of arguments for 'sub'. Try NAME HELP.`, with `sub`
    /// as the client wrote it.
    pub fn bad_subcommand(container: &str, sub: &[u8]) -> Self {
        Self::from_bytes(
            [
                b"ERR unknown subcommand or wrong number of arguments for '",
                echoed(sub),
                b"'. Try ",
                container.as_bytes(),
                b" HELP.",
            ]
            .concat(),
        )
    }

    /// `ERR unknown subcommand 'sub'. Try NAME HELP.`
    pub fn unknown_subcommand(container: &str, sub: &[u8]) -> Self {
        let sub = echoed(sub);
        let container = container.to_ascii_uppercase();
        Self::from_bytes(
            [
                b"ERR unknown subcommand '",
                sub,
                b"'. Try ",
                container.as_bytes(),
                b" HELP.",
            ]
            .concat(),
        )
    }

    /// An error that repeats bytes of the client's; line ends in it become spaces when it is
    /// written.
    pub fn from_bytes(text: Vec<u8>) -> Self {
        Self(Cow::Owned(text))
    }

    /// The whole text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The code before the first space: what INFO errorstats counts by.
    pub fn code(&self) -> &str {
        let code = self
            .0
            .split(|&byte| byte == b' ')
            .next()
            .unwrap_or_default();
        std::str::from_utf8(code).unwrap_or("ERR")
    }

    /// Writes it as the reply.
    pub fn write(&self, reply: &mut Reply<'_>) {
        reply.error(&self.0);
    }
}

/// As much of a client's word as an error repeats: it ends at a zero byte, as a C string does.
fn echoed(word: &[u8]) -> &[u8] {
    let word = &word[..word.len().min(ECHOED_BYTES_MAX)];
    word.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl From<storage::WrongType> for Error {
    fn from(_: storage::WrongType) -> Self {
        Self::WRONG_TYPE
    }
}
