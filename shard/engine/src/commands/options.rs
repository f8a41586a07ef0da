//! Reading the arguments of a command: numbers and words, with Redis's errors.

use protocol::args::Args;
use protocol::strtod;
use storage::item::parse_int;

use crate::error::Error;

/// The integer in `text`.
pub fn integer(text: &[u8]) -> Result<i64, Error> {
    parse_int(text).ok_or(Error::NOT_AN_INTEGER)
}

/// The integer of 32 bits in `text`.
pub fn small_integer(text: &[u8]) -> Result<i32, Error> {
    i32::try_from(integer(text)?).map_err(|_| {
        Error::from_text(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        ))
    })
}

/// The integer in `text`, which may not be negative.
pub fn count(text: &[u8]) -> Result<usize, Error> {
    usize::try_from(integer(text)?).map_err(|_| Error::MUST_BE_POSITIVE)
}

/// The integer in `text`, which may not be `i64::MIN`: where its sign gives a direction, it must
/// have an opposite.
pub fn signed(text: &[u8]) -> Result<i64, Error> {
    match integer(text)? {
        i64::MIN => Err(Error::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        value => Ok(value),
    }
}

/// The integer in `text`; `refusal` where it is none or below `min`.
pub fn at_least(min: usize, text: &[u8], refusal: Error) -> Result<usize, Error> {
    parse_int(text)
        .and_then(|value| usize::try_from(value).ok())
        .filter(|&value| value >= min)
        .ok_or(refusal)
}

/// The float in `text`: finite or infinite, never NaN, nothing around it.
pub fn float(text: &[u8]) -> Result<f64, Error> {
    strtod::whole(text).ok_or(Error::NOT_A_FLOAT)
}

/// The keys, the end and the count of `numkeys key [key ...] END [COUNT count]`, behind the verb:
/// what LMPOP and ZMPOP have in common.
pub fn multi_pop<'a, End>(
    args: &Args<'a>,
    end: impl FnOnce(&[u8]) -> Result<End, Error>,
) -> Result<(Args<'a>, End, usize), Error> {
    const NUMKEYS_NOT_POSITIVE: Error = Error::new("ERR numkeys should be greater than 0");
    const COUNT_NOT_POSITIVE: Error = Error::new("ERR count should be greater than 0");
    let keys = at_least(1, &args[1], NUMKEYS_NOT_POSITIVE)?;
    let where_at = keys.checked_add(2).ok_or(Error::SYNTAX)?;
    let end = end(args.get(where_at).ok_or(Error::SYNTAX)?)?;
    let mut count = None;
    let mut options = Options::new(args, where_at + 1);
    while let Some(word) = options.next() {
        if !is(word, "COUNT") || count.is_some() {
            return Err(Error::SYNTAX);
        }
        count = Some(at_least(1, options.value()?, COUNT_NOT_POSITIVE)?);
    }
    let keys = Args::new(
        args.bytes(),
        args.spans().get(2..where_at).unwrap_or_default(),
        args.large(),
    );
    Ok((keys, end, count.unwrap_or(1)))
}

/// Walks over the options behind a command's fixed arguments.
pub struct Options<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Options<'a> {
    /// The options from argument `from` on.
    pub fn new(args: &Args<'a>, from: usize) -> Self {
        Self {
            args: *args,
            next: from,
        }
    }

    /// The value that follows the option just read.
    pub fn value(&mut self) -> Result<&'a [u8], Error> {
        self.next().ok_or(Error::SYNTAX)
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.args.len().saturating_sub(self.next)
    }

    /// The number of the argument that comes next.
    pub fn position(&self) -> usize {
        self.next
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        Some(arg)
    }
}

/// Whether `arg` is `word`, in any case.
pub fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}
