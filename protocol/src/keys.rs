//! Which arguments of a command are keys.
//!
//! The table's key specs say it for nearly all commands. Four have a search of their own, because an option anywhere in the command names
//! a key or changes what is done to one: SET, BITFIELD, SORT and MIGRATE.

use crate::args::Args;
use crate::command::{BeginSearch, Command, FindKeys, KeyFlags, KeyShape, KeySpec};
use crate::parse::strict_integer;

/// The arguments do not say where the keys are: `numkeys` is no number, say, or more than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysError;

impl KeysError {
    /// Redis's text for it in `COMMAND GETKEYS`.
    pub const TEXT: &'static str = "ERR Invalid arguments specified for command";
}

/// Visits the position of each key of the command `args`, and what is done to it, in the order of the key specs. The arity was checked
/// before. Where it errs some keys may have been visited.
#[inline]
pub fn key_positions(
    command: &Command,
    args: &Args<'_>,
    visit: &mut impl FnMut(usize, KeyFlags),
) -> Result<(), KeysError> {
    match (command.shape, command.keys) {
        (KeyShape::None, _) => Ok(()),
        (KeyShape::One, [spec]) if !spec.flags.contains(KeyFlags::VARIABLE_FLAGS) => {
            visit(1, spec.flags);
            Ok(())
        }
        _ => search(command, args, visit),
    }
}

fn search(
    command: &Command,
    args: &Args<'_>,
    visit: &mut impl FnMut(usize, KeyFlags),
) -> Result<(), KeysError> {
    match command.name {
        "set" => visit(1, set_flags(args)),
        "bitfield" => visit(1, bitfield_flags(args)),
        "sort" => sort(args, visit),
        "migrate" => return migrate(args, visit),
        _ => {
            for spec in command.keys {
                by_spec(spec, args, visit)?;
            }
        }
    }
    Ok(())
}

/// The keys that one spec finds. A word that is missing is no error: it belongs to an option.
fn by_spec(
    spec: &KeySpec,
    args: &Args<'_>,
    visit: &mut impl FnMut(usize, KeyFlags),
) -> Result<(), KeysError> {
    if spec.flags.contains(KeyFlags::NOT_KEY) {
        return Ok(());
    }
    let begin = match spec.begin {
        BeginSearch::Index(index) => usize::from(index),
        BeginSearch::Keyword { word, from } => match after_word(args, word, from) {
            Some(begin) => begin,
            None => return Ok(()),
        },
        BeginSearch::Unknown => return Ok(()),
    };
    let (first, last, step) = match spec.find {
        FindKeys::Range { last, step, limit } => {
            (begin, range_end(args.len(), begin, last, limit)?, step)
        }
        FindKeys::KeyNum { count, first, step } => {
            let number = args
                .get(begin + usize::from(count))
                .and_then(strict_integer)
                .ok_or(KeysError)?;
            let number = usize::try_from(number)
                .ok()
                .filter(|&number| number > 0)
                .ok_or(KeysError)?;
            let first = begin + usize::from(first);
            (
                first,
                (number - 1)
                    .saturating_mul(usize::from(step))
                    .saturating_add(first),
                step,
            )
        }
        FindKeys::Unknown => return Ok(()),
    };
    if first > last || last >= args.len() {
        return Err(KeysError);
    }
    for position in (first..=last).step_by(usize::from(step.max(1))) {
        visit(position, spec.flags);
    }
    Ok(())
}

/// The last argument of a range that begins at `begin` in a command of `len` arguments.
fn range_end(len: usize, begin: usize, last: i16, limit: u16) -> Result<usize, KeysError> {
    let back = usize::from(last.unsigned_abs());
    if last >= 0 {
        return Ok(begin + back);
    }
    let end = if limit < 2 {
        len
    } else {
        begin + len.saturating_sub(begin) / usize::from(limit)
    };
    end.checked_sub(back).ok_or(KeysError)
}

/// The argument after `word`. The command's last argument is not looked at going forward, nor its first going back.
fn after_word(args: &Args<'_>, word: &str, from: i16) -> Option<usize> {
    let is_word = |&i: &usize| {
        args.get(i)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    let back = usize::from(from.unsigned_abs());
    let found = if from > 0 {
        (back..args.len().saturating_sub(1)).find(is_word)
    } else {
        (2..=args.len().checked_sub(back)?).rev().find(is_word)
    };
    found.map(|i| i + 1)
}

fn has_option(args: &Args<'_>, from: usize, option: &str) -> bool {
    args.iter()
        .skip(from)
        .any(|arg| arg.eq_ignore_ascii_case(option.as_bytes()))
}

/// `SET key value ... [GET]`: with GET it reads too.
fn set_flags(args: &Args<'_>) -> KeyFlags {
    if has_option(args, 3, "get") {
        KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE)
    } else {
        KeyFlags::OW.with(KeyFlags::UPDATE)
    }
}

/// `BITFIELD key [GET encoding offset | SET encoding offset value | INCRBY encoding offset increment | OVERFLOW kind]...`: with GET alone it
/// only reads.
fn bitfield_flags(args: &Args<'_>) -> KeyFlags {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if word.eq_ignore_ascii_case(b"get") && at + 2 < args.len() {
            at += 3;
        } else {
            return KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
        }
    }
    KeyFlags::RO.with(KeyFlags::ACCESS)
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern]... [STORE destination]`: the last STORE counts. Patterns are no keys.
fn sort(args: &Args<'_>, visit: &mut impl FnMut(usize, KeyFlags)) {
    visit(1, KeyFlags::RO.with(KeyFlags::ACCESS));
    let mut store = None;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        at += 1 + match word.to_ascii_lowercase_short().as_slice() {
            b"limit" => 2,
            b"by" | b"get" => 1,
            b"store" if at + 1 < args.len() => {
                store = Some(at + 1);
                1
            }
            _ => 0,
        };
    }
    if let Some(position) = store {
        visit(position, KeyFlags::OW.with(KeyFlags::UPDATE));
    }
}

/// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key...]`
fn migrate(args: &Args<'_>, visit: &mut impl FnMut(usize, KeyFlags)) -> Result<(), KeysError> {
    let flags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);
    let mut at = 6;
    while let Some(word) = args.get(at) {
        at += 1 + match word.to_ascii_lowercase_short().as_slice() {
            b"auth" => 1,
            b"auth2" => 2,
            b"keys" => {
                // One key before the options and more behind them contradict each other.
                if args.get(3).is_none_or(|key| !key.is_empty()) || at + 1 >= args.len() {
                    return Err(KeysError);
                }
                (at + 1..args.len()).for_each(|position| visit(position, flags));
                return Ok(());
            }
            _ => 0,
        };
    }
    visit(3, flags);
    Ok(())
}

/// Option words in lower case, without an allocation.
trait ShortWord {
    /// At most eight bytes, the longest that an option here can have and one more; what is longer is cut.
    fn to_ascii_lowercase_short(&self) -> smallvec::SmallVec<[u8; 8]>;
}

impl ShortWord for &[u8] {
    fn to_ascii_lowercase_short(&self) -> smallvec::SmallVec<[u8; 8]> {
        self.iter().take(8).map(u8::to_ascii_lowercase).collect()
    }
}
