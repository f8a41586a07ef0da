//! The options that HSCAN, SSCAN and ZSCAN share with SCAN, and the form of their reply.

use protocol::args::Args;
use protocol::glob;
use protocol::reply::Reply;
use storage::Position;

use crate::commands::options::{Options, integer, is};
use crate::error::Error;

/// Elements that a call visits where it is not told how many.
const COUNT: usize = 10;

/// A call of HSCAN, SSCAN or ZSCAN.
pub struct ElementScan<'a> {
    /// Where it begins; `None` for a cursor that no scan gives out: there is nothing behind it.
    pub from: Option<Position>,
    pub count: usize,
    /// HSCAN NOVALUES.
    pub no_values: bool,
    pattern: Option<&'a [u8]>,
}

/// The cursor that a client sent.
pub fn cursor(text: &[u8]) -> Result<Option<Position>, Error> {
    std::str::from_utf8(text)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .map(Position::new)
        .ok_or(Error::INVALID_CURSOR)
}

impl<'a> ElementScan<'a> {
    /// Reads what follows the cursor.
    pub fn parse(
        from: Option<Position>,
        args: &Args<'a>,
        with_values: bool,
    ) -> Result<Self, Error> {
        let mut scan = Self {
            from,
            count: COUNT,
            no_values: false,
            pattern: None,
        };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            if is(word, "COUNT") && options.left() > 0 {
                scan.count = usize::try_from(integer(options.value()?)?)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(Error::SYNTAX)?;
            } else if is(word, "MATCH") && options.left() > 0 {
                scan.pattern = Some(options.value()?);
            } else if is(word, "NOVALUES") {
                if !with_values {
                    return Err(Error::new("ERR NOVALUES option can only be used in HSCAN"));
                }
                scan.no_values = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(scan)
    }

    /// Whether an element of this name is asked for.
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, name, false))
    }
}

/// Writes where to go on, ahead of the elements.
pub fn write_cursor(reply: &mut Reply<'_>, next: Option<Position>) {
    let number = next.map_or(0, Position::bits);
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(number).as_bytes());
}
