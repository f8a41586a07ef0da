//! Which arguments of a command are keys.
//!
//! The table's key specs say it for nearly all commands. Four have a search of their own (column
//! `finds` of their rows), because an option anywhere in the command names a key or changes what is
//! done to one: SET, BITFIELD, SORT and MIGRATE.

use crate::args::Args;
use crate::command::{BeginSearch, Command, FindKeys, KeyFlags, KeyShape, KeySpec};
use crate::facts::KeyRule;
use crate::number::parse_int;

/// The arguments do not say where the keys are: `numkeys` is no number, say, or more than there
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysError;

impl KeysError {
    /// Redis's text for it in `COMMAND GETKEYS`.
    pub const TEXT: &'static str = "ERR Invalid arguments specified for command";
}

/// Visits the position of each key of the command `args`, and what is done to it, in the order of
/// the key specs. The arity was checked before. Where it errs some keys may have been visited.
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
    match command.finds {
        KeyRule::Set => visit(1, set_flags(args)),
        KeyRule::Bitfield => visit(1, bitfield_flags(args)),
        KeyRule::Sort => sort(args, visit),
        KeyRule::Migrate => return migrate(args, visit),
        KeyRule::Specs => {
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
                .and_then(parse_int)
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
    if first == args.len() && last + 1 == first {
        // A list that may be empty and is: `PFMERGE destination`, of which Redis's COMMAND GETKEYS
        // says that it is invalid.
        return Ok(());
    }
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

/// The argument after `word`. The command's last argument is not looked at going forward, nor its
/// first going back.
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

/// `BITFIELD key [GET encoding offset | SET encoding offset value | INCRBY encoding offset
/// increment | OVERFLOW kind]...`: where only GET is an operation it only reads.
fn bitfield_flags(args: &Args<'_>) -> KeyFlags {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if word.eq_ignore_ascii_case(b"get") && at + 2 < args.len() {
            at += 3;
        } else if word.eq_ignore_ascii_case(b"overflow") && at + 1 < args.len() {
            at += 2;
        } else {
            return KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
        }
    }
    KeyFlags::RO.with(KeyFlags::ACCESS)
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern]... [STORE destination]`: the last
/// STORE counts. Patterns are no keys.
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

/// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password]
/// [KEYS key...]`
fn migrate(args: &Args<'_>, visit: &mut impl FnMut(usize, KeyFlags)) -> Result<(), KeysError> {
    let flags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);
    let mut at = 6;
    while let Some(word) = args.get(at) {
        at += 1 + match word.to_ascii_lowercase_short().as_slice() {
            b"auth" => 1,
            b"auth2" => 2,
            b"keys" if at + 1 < args.len() => {
                // One key before the options and more behind them contradict each other.
                if args.get(3).is_none_or(|key| !key.is_empty()) {
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
    /// At most eight bytes, the longest that an option here can have and one more; what is longer
    /// is cut.
    fn to_ascii_lowercase_short(&self) -> smallvec::SmallVec<[u8; 8]>;
}

impl ShortWord for &[u8] {
    fn to_ascii_lowercase_short(&self) -> smallvec::SmallVec<[u8; 8]> {
        self.iter().take(8).map(u8::to_ascii_lowercase).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;
    use crate::table::{CommandId, lookup_full};

    /// The keys of a command line, each as `position:flags`, where `container|sub` are two words.
    fn keys(line: &str) -> Result<String, KeysError> {
        let words: Vec<&[u8]> = line
            .split(' ')
            .map(|word| if word == "''" { b"" } else { word.as_bytes() })
            .collect();
        let owned = OwnedArgs::from_parts(words.iter().copied());
        let full = [words[0], b"|", words.get(1).copied().unwrap_or_default()].concat();
        let id = lookup_full(&full)
            .or_else(|| lookup_full(words[0]))
            .expect("a command");
        let mut found = Vec::new();
        key_positions(id.command(), &owned.borrow(), &mut |position, flags| {
            assert!(position < words.len());
            found.push(format!(
                "{position}:{}",
                flags.names().collect::<Vec<_>>().join("+")
            ));
        })?;
        Ok(found.join(" "))
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(keys(line).as_deref(), Ok(expected), "{line}");
    }

    /// Asked from a Redis server with COMMAND GETKEYSANDFLAGS.
    #[test]
    fn finds_what_redis_finds() {
        check("PING", "");
        check("GET k", "1:RO+access");
        check("MGET a b c", "1:RO+access 2:RO+access 3:RO+access");
        check("MSET a 1 b 2", "1:OW+update 3:OW+update");
        check("MSET a 1 b", "1:OW+update 3:OW+update");
        check("SET k v", "1:OW+update");
        check("SET k v EX 10 get", "1:RW+access+update");
        check("BITFIELD k get u8 0", "1:RO+access");
        check("BITFIELD k overflow sat set u8 0 1", "1:RW+access+update");
        check("BITFIELD k overflow sat get u8 0", "1:RO+access");
        check("BITFIELD k overflow", "1:RW+access+update");
        check("RENAME a b", "1:RW+access+delete 2:OW+update");
        check("OBJECT ENCODING k", "2:RO");
        check("ZUNION 2 a b", "2:RO+access 3:RO+access");
        check(
            "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
            "1:OW+update 3:RO+access 4:RO+access",
        );
        check(
            "BLMPOP 0 2 a b LEFT",
            "3:RW+access+delete 4:RW+access+delete",
        );
        check("BLPOP a b 0", "1:RW+access+delete 2:RW+access+delete");
        check("XREAD COUNT 2 STREAMS a b 0 0", "4:RO+access 5:RO+access");
        check("XREAD streams a b c", "2:RO+access");
        check("XREADGROUP GROUP g c streams s >", "5:RO+access");
        check("SORT k by a store d store e", "1:RO+access 7:OW+update");
        check("SORT k limit store store get store", "1:RO+access");
        check("SORT k store", "1:RO+access");
        check("SORT_RO k BY p", "1:RO+access");
        check("MIGRATE h p k 0 1", "3:RW+access+delete");
        check(
            "MIGRATE h p '' 0 1 keys a b",
            "7:RW+access+delete 8:RW+access+delete",
        );
        check(
            "MIGRATE h p '' 0 1 auth keys keys a b",
            "9:RW+access+delete 10:RW+access+delete",
        );
        check(
            "GEORADIUS k 1 2 3 m store d storedist e",
            "1:RO+access 7:OW+update 9:OW+update",
        );
        check("SPUBLISH c m", "");
        check("XGROUP CREATE s g $", "2:RW+insert");
        check("LCS a b", "1:RO+access 2:RO+access");
    }

    #[test]
    fn refuses_what_redis_refuses() {
        for line in [
            "ZUNION 9 a",
            "ZUNION 0 a",
            "ZUNION x a",
            "ZUNION -1 a",
            "ZUNION 9223372036854775807 a",
            "MIGRATE h p k 0 1 keys a",
        ] {
            assert_eq!(keys(line), Err(KeysError), "{line}");
        }
    }

    /// Whatever the arguments are, a key is one of them.
    #[test]
    fn stays_within_the_arguments() {
        for words in 0..6 {
            for filler in ["a", "1", "7", "STREAMS", "KEYS", "STORE", "-1"] {
                for id in CommandId::all() {
                    let command = id.command();
                    let name = command.name.replace('|', " ");
                    let line = std::iter::once(name.as_str())
                        .chain(std::iter::repeat_n(filler, words))
                        .collect::<Vec<_>>()
                        .join(" ");
                    if command.accepts(line.split(' ').count()) {
                        let _ = keys(&line);
                    }
                }
            }
        }
    }

    /// The shape is what the search finds, for every command whose shape is not `Other`.
    #[test]
    fn shapes_agree_with_the_specs() {
        for id in CommandId::all() {
            let command = id.command();
            for len in 2..9 {
                if !command.accepts(len) {
                    continue;
                }
                let owned = OwnedArgs::from_parts(std::iter::repeat_n(b"a".as_slice(), len));
                let mut found = Vec::new();
                let searched = search(command, &owned.borrow(), &mut |position, _| {
                    found.push(position)
                });
                let expected: Vec<usize> = match command.shape {
                    KeyShape::None => vec![],
                    KeyShape::One => vec![1],
                    KeyShape::Range { first, last, step } => {
                        let last = if last < 0 {
                            len - usize::from(last.unsigned_abs())
                        } else {
                            usize::from(last.unsigned_abs())
                        };
                        (usize::from(first)..=last)
                            .step_by(usize::from(step))
                            .collect()
                    }
                    KeyShape::Other => continue,
                };
                if searched.is_ok() {
                    assert_eq!(found, expected, "{} with {len} arguments", command.name);
                } else {
                    assert!(
                        expected.is_empty() || expected.iter().any(|&position| position >= len),
                        "{}",
                        command.name
                    );
                }
            }
        }
    }
}
