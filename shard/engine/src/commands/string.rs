//! Strings: SET and its kin, ranges, counters.
//!
//! A string is an integer in the keyspace where its text is one, so counters cost no parsing and
//! eight bytes.

use protocol::args::Args;
use protocol::long_double::{LongDouble, NoNumber};
use protocol::reply::Reply;
use storage::{Entry, Item};

use crate::commands::expiry::Scale;
use crate::commands::options::{Options, is};
use crate::commands::{exact, options};
use crate::context::{Context, Deadline};
use crate::error::{Error, Outcome};
use crate::event::Event;

/// Strings from this length on grow by no more than a megabyte beyond what they need, as Redis's
/// do.
const GROWTH_BYTES_MAX: usize = 1024 * 1024;

/// Writes a string's text.
#[inline]
pub fn write(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Int(int) => reply.bulk_integer(int),
    }
}

/// Writes a string as a bulk reply; null where there is none.
pub fn write_or_null(reply: &mut Reply<'_>, item: Option<Item<'_>>) {
    match item {
        Some(item) => write(reply, item),
        None => reply.null(),
    }
}

/// Puts argument `at` at `key`; what came as a large argument is taken over where nobody else holds
/// it.
#[inline]
fn put(ctx: &mut Context<'_>, key: &[u8], args: &Args<'_>, at: usize, deadline: Deadline) {
    if args.is_large(at) {
        ctx.set_owned_string(key, args.to_bytes(at).into(), deadline)
    } else {
        ctx.set_string(key, &args[at], deadline)
    }
}

/// `GET key`: the string at `key`. Nil where there is none; WRONGTYPE where it is not a string.
pub fn get(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_or_null(reply, ctx.string(&args[1])?);
    Ok(())
}

/// What SET is asked besides the value.
struct SetOptions {
    condition: Option<Condition>,
    get: bool,
    deadline: Deadline,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Missing,
    Present,
}

impl SetOptions {
    fn parse(ctx: &Context<'_>, args: &Args<'_>) -> Result<Self, Error> {
        let mut parsed = Self {
            condition: None,
            get: false,
            deadline: Deadline::Clear,
        };
        let mut scale: Option<(Scale, &[u8])> = None;
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            if is(word, "NX") && parsed.condition != Some(Condition::Present) {
                parsed.condition = Some(Condition::Missing);
            } else if is(word, "XX") && parsed.condition != Some(Condition::Missing) {
                parsed.condition = Some(Condition::Present);
            } else if is(word, "GET") {
                parsed.get = true;
            } else if is(word, "KEEPTTL") && scale.is_none() {
                parsed.deadline = Deadline::Keep;
            } else if let Some(given) = Scale::of_option(word)
                && scale.is_none_or(|(scale, _)| scale == given)
                && parsed.deadline == Deadline::Clear
            {
                scale = Some((given, options.value()?));
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if let Some((scale, number)) = scale {
            parsed.deadline = Deadline::At(scale.deadline(number, ctx.now, "set")?);
        }
        Ok(parsed)
    }
}

/// `SET key value [NX|XX] [GET] [EX seconds|PX ms|EXAT unix-seconds|PXAT unix-ms|KEEPTTL]`: sets
/// the string at `key`, whatever it held, and clears its deadline unless told otherwise. OK; nil
/// where NX or XX kept it from that. With GET the string that was there instead, nil where there
/// was none, and WRONGTYPE where it was not a string. Errors: a time that is no integer, not
/// positive, or too large.
pub fn set(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    if args.len() == 3 {
        put(ctx, key, args, 2, Deadline::Clear);
        ctx.changed(key, Event::SET);
        reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(ctx, args)?;
    if options.get {
        write_or_null(reply, ctx.string(key)?);
    }
    let present = options.condition.map(|_| ctx.peek(key).is_some());
    let refused = match options.condition {
        None => false,
        Some(Condition::Missing) => present == Some(true),
        Some(Condition::Present) => present == Some(false),
    };
    if refused {
        // Looked at it has been.
        ctx.find(key);
        if !options.get {
            reply.null();
        }
        return Ok(());
    }
    put(ctx, key, args, 2, options.deadline);
    ctx.changed(key, Event::SET);
    if let Deadline::At(at) = options.deadline {
        exact::string_set(ctx, key, &args[2], at);
        ctx.notify_event(key, Event::EXPIRE);
    }
    if !options.get {
        reply.ok();
    }
    Ok(())
}

/// `SETNX key value`: sets the string at `key` where there is no such key. 1 where it did, else 0.
pub fn setnx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let missing = ctx.find(key).is_none();
    if missing {
        put(ctx, key, args, 2, Deadline::Clear);
        ctx.changed(key, Event::SET);
    }
    reply.integer(i64::from(missing));
    Ok(())
}

/// `SETEX key seconds value`: sets the string at `key`, to expire after `seconds`. OK. Errors: a
/// time that is no integer, not positive, or too large.
pub fn setex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiring(ctx, args, reply, Scale::EX, "setex")
}

/// `PSETEX key ms value`: sets the string at `key`, to expire after `ms` milliseconds. OK. Errors:
/// a time that is no integer, not positive, or too large.
pub fn psetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiring(ctx, args, reply, Scale::PX, "psetex")
}

fn set_expiring(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
    command: &str,
) -> Outcome {
    let key = &args[1];
    let deadline = scale.deadline(&args[2], ctx.now, command)?;
    put(ctx, key, args, 3, Deadline::At(deadline));
    exact::string_set(ctx, key, &args[3], deadline);
    ctx.changed(key, Event::SET);
    ctx.notify_event(key, Event::EXPIRE);
    reply.ok();
    Ok(())
}

/// `GETSET key value`: sets the string at `key` and clears its deadline. The string that was there;
/// nil where there was none; WRONGTYPE where it was not a string.
pub fn getset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    write_or_null(reply, ctx.string(key)?);
    put(ctx, key, args, 2, Deadline::Clear);
    ctx.changed(key, Event::SET);
    Ok(())
}

/// `GETDEL key`: the string at `key`, which is deleted. Nil where there is none; WRONGTYPE where it
/// is not a string.
pub fn getdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let Some(item) = ctx.string(key)? else {
        reply.null();
        return Ok(());
    };
    write(reply, item);
    ctx.delete(key);
    ctx.changed(key, Event::DEL);
    Ok(())
}

/// `GETEX key [EX seconds|PX ms|EXAT unix-seconds|PXAT unix-ms|PERSIST]`: the string at `key`,
/// whose deadline is set or cleared; one that has passed deletes it. Nil where there is none;
/// WRONGTYPE where it is not a string. Errors: a time that is no integer, not positive, or too
/// large.
pub fn getex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let mut options = Options::new(args, 2);
    let mut deadline = Deadline::Keep;
    let mut given: Option<(Scale, &[u8])> = None;
    while let Some(word) = options.next() {
        if is(word, "PERSIST") && given.is_none() {
            deadline = Deadline::Clear;
        } else if let Some(scale) = Scale::of_option(word)
            && given.is_none_or(|(given, _)| given == scale)
            && deadline == Deadline::Keep
        {
            given = Some((scale, options.value()?));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let now = ctx.now;
    if ctx.string(key)?.is_none() {
        reply.null();
        return Ok(());
    }
    if let Some((scale, number)) = given {
        deadline = Deadline::At(scale.deadline(number, now, "getex")?);
    }
    let Some(entry) = ctx.peek(key) else {
        reply.null();
        return Ok(());
    };
    let had_deadline = entry.deadline().is_some();
    write(reply, entry.as_string()?);
    match deadline {
        Deadline::At(at) if at.has_passed(now) => {
            ctx.delete(key);
            exact::deleted(ctx, key);
            ctx.changed(key, Event::DEL);
        }
        Deadline::At(at) => {
            ctx.db().set_deadline(key, Some(at));
            exact::deadline_set(ctx, key, at);
            ctx.changed(key, Event::EXPIRE);
        }
        Deadline::Clear if had_deadline => {
            ctx.db().set_deadline(key, None);
            exact::deadline_cleared(ctx, key);
            ctx.changed(key, Event::PERSIST);
        }
        _ => {}
    }
    Ok(())
}

/// `MGET key [key ...]`: an array with the string at each key, nil for what is missing or is no
/// string.
pub fn mget(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let keys = args.tail(1);
    reply.array(keys.len());
    for (at, key) in keys.iter().enumerate() {
        ctx.look_ahead(&keys, at, 1);
        write_or_null(reply, ctx.string(key).unwrap_or(None));
    }
    Ok(())
}

/// `MSET key value [key value ...]`: sets all these strings, whatever the keys held. OK. Errors: a
/// key without a value.
pub fn mset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expect_pairs(args, "mset")?;
    put_pairs(ctx, args);
    reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ...]`: sets all these strings, or, where one of the keys is there
/// already, none. 1 where it did, else 0. Errors: a key without a value.
pub fn msetnx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expect_pairs(args, "msetnx")?;
    let any_present = (1..args.len())
        .step_by(2)
        .any(|at| ctx.find(&args[at]).is_some());
    if !any_present {
        put_pairs(ctx, args);
    }
    reply.integer(i64::from(!any_present));
    Ok(())
}

fn expect_pairs(args: &Args<'_>, command: &str) -> Outcome {
    match args.len() % 2 {
        1 => Ok(()),
        _ => Err(Error::arity(command)),
    }
}

fn put_pairs(ctx: &mut Context<'_>, args: &Args<'_>) {
    let pairs = args.tail(1);
    for at in (0..pairs.len()).step_by(2) {
        ctx.look_ahead(&pairs, at, 2);
        put(ctx, &pairs[at], &pairs, at + 1, Deadline::Clear);
        ctx.changed(&pairs[at], Event::SET);
    }
}

/// `STRLEN key`: the bytes of the string at `key`; 0 where there is none, WRONGTYPE where it is not
/// a string.
pub fn strlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = ctx.string(&args[1])?.map_or(0, Item::text_len);
    reply.integer(len as i64);
    Ok(())
}

/// `APPEND key value`: appends to the string at `key`, which is created where missing. The new
/// length in bytes; WRONGTYPE where it is not a string. Errors: a string that would grow beyond
/// `proto-max-bulk-len`.
pub fn append(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, more) = (&args[1], &args[2]);
    let len_max = ctx.config.proto_max_bulk_len;
    let len = match ctx.find(key) {
        Some(entry) => {
            let len = entry.as_string()?.text_len();
            expect_len(len.checked_add(more.len()), len_max)?;
            entry.edit_string(|text| {
                grow(text, len + more.len());
                text.extend_from_slice(more);
                text.len()
            })?
        }
        None => {
            put(ctx, key, args, 2, Deadline::Clear);
            more.len()
        }
    };
    ctx.changed(key, Event::APPEND);
    reply.integer(len as i64);
    Ok(())
}

fn expect_len(len: Option<usize>, len_max: usize) -> Result<usize, Error> {
    len.filter(|len| *len <= len_max)
        .ok_or(Error::STRING_TOO_LONG)
}

/// Makes room for `len` bytes and some more.
fn grow(text: &mut Vec<u8>, len: usize) {
    if len > text.capacity() && len > GROWTH_BYTES_MAX {
        text.reserve_exact(len + GROWTH_BYTES_MAX - text.len());
    }
}

/// `SETRANGE key offset value`: overwrites the string at `key` from byte `offset` on. Zero bytes
/// fill a gap; an empty value changes nothing. The new length in bytes; WRONGTYPE where it is not a
/// string. Errors: a negative offset, a string that would grow beyond `proto-max-bulk-len`.
pub fn setrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, part) = (&args[1], &args[3]);
    let offset = usize::try_from(options::integer(&args[2])?)
        .map_err(|_| Error::new("ERR offset is out of range"))?;
    let len_max = ctx.config.proto_max_bulk_len;
    let len = match ctx.find(key) {
        Some(entry) => {
            let len = entry.as_string()?.text_len();
            if part.is_empty() {
                reply.integer(len as i64);
                return Ok(());
            }
            let end = expect_len(offset.checked_add(part.len()), len_max)?;
            entry.edit_string(|text| {
                if end > text.len() {
                    grow(text, end);
                    text.resize(end, 0);
                }
                text[offset..end].copy_from_slice(part);
                text.len()
            })?
        }
        None if part.is_empty() => {
            reply.integer(0);
            return Ok(());
        }
        None => {
            let end = expect_len(offset.checked_add(part.len()), len_max)?;
            let mut text = vec![0; end];
            text[offset..].copy_from_slice(part);
            ctx.set_string(key, b"", Deadline::Clear);
            if let Some(entry) = ctx.find(key) {
                entry.edit_string(|empty| *empty = text)?;
            }
            end
        }
    };
    ctx.changed(key, Event::SETRANGE);
    reply.integer(len as i64);
    Ok(())
}

/// `GETRANGE key start end`: the bytes from `start` to `end`, both included, negative ones counted
/// from the back. Empty where there are none; WRONGTYPE where it is not a string.
pub fn getrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let start = options::integer(&args[2])?;
    let end = options::integer(&args[3])?;
    let mut digits = itoa::Buffer::new();
    let text = match ctx.string(&args[1])? {
        Some(item) => item.text(&mut digits),
        None => b"",
    };
    reply.bulk(&text[range(start, end, text.len())]);
    Ok(())
}

/// `SUBSTR key start end`: GETRANGE's older name.
pub fn substr(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    getrange(ctx, args, reply)
}

/// The part of `len` elements from `start` to `end`, both included, as Redis counts; empty where
/// there is none.
fn range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_back = |at: i64| {
        if at < 0 {
            at.saturating_add(len).max(0)
        } else {
            at
        }
    };
    let (start, end) = (from_back(start), from_back(end).min(len - 1));
    if start <= end {
        start as usize..end as usize + 1
    } else {
        0..0
    }
}

/// `INCR key`: adds one to the integer at `key`, 0 where there is none. The sum; WRONGTYPE where it
/// is not a string. Errors: a string that is no 64-bit integer, a sum that is none.
pub fn incr(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(ctx, &args[1], 1, reply)
}

/// `DECR key`: subtracts one from the integer at `key`, 0 where there is none. The difference;
/// WRONGTYPE where it is not a string. Errors: a string that is no 64-bit integer, a difference
/// that is none.
pub fn decr(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(ctx, &args[1], -1, reply)
}

/// `INCRBY key increment`: adds to the integer at `key`, 0 where there is none. The sum; WRONGTYPE
/// where it is not a string. Errors: a string or an increment that is no 64-bit integer, a sum that
/// is none.
pub fn incrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(ctx, &args[1], options::integer(&args[2])?, reply)
}

/// `DECRBY key decrement`: subtracts from the integer at `key`, 0 where there is none. The
/// difference; WRONGTYPE where it is not a string. Errors: a string or a decrement that is no
/// 64-bit integer, a difference that is none.
pub fn decrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let increment = options::integer(&args[2])?
        .checked_neg()
        .ok_or(Error::new("ERR decrement would overflow"))?;
    add(ctx, &args[1], increment, reply)
}

fn add(ctx: &mut Context<'_>, key: &[u8], increment: i64, reply: &mut Reply<'_>) -> Outcome {
    let sum = match ctx.find(key) {
        Some(entry) => {
            let sum = entry
                .as_string()?
                .as_int()
                .ok_or(Error::NOT_AN_INTEGER)?
                .checked_add(increment)
                .ok_or(Error::OVERFLOW)?;
            entry.set_int(sum);
            sum
        }
        None => {
            let mut digits = itoa::Buffer::new();
            let text = digits.format(increment).as_bytes();
            ctx.set_string(key, text, Deadline::Clear);
            increment
        }
    };
    ctx.changed(key, Event::INCRBY);
    reply.integer(sum);
    Ok(())
}

/// `INCRBYFLOAT key increment`: adds to the number at `key`, 0 where there is none. The sum as
/// text; WRONGTYPE where it is not a string. Errors: a string or an increment that is no number, a
/// sum that is not finite.
pub fn incrbyfloat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let value = match ctx.peek(key) {
        Some(entry) => LongDouble::parse(entry.as_string()?.text(&mut itoa::Buffer::new())),
        None => Ok(LongDouble::ZERO),
    };
    let text = add_floats(value, &args[2], Error::NOT_A_FLOAT)?;
    match ctx.find(key) {
        Some(entry) => entry.set_text(text.as_bytes()),
        None => {
            let mut entry = Entry::string(key, b"", None);
            entry.set_text(text.as_bytes());
            ctx.insert(entry);
        }
    }
    exact::string_changed(ctx, key, text.as_bytes());
    ctx.changed(key, Event::INCRBYFLOAT);
    reply.bulk(text.as_bytes());
    Ok(())
}

/// The text of the sum of a stored float and an increment. `not_a_float` is the error of a stored
/// value that is none.
pub fn add_floats(
    value: Result<LongDouble, NoNumber>,
    increment: &[u8],
    not_a_float: Error,
) -> Result<String, Error> {
    let increment = LongDouble::parse(increment);
    if value == Err(NoNumber::Malformed) {
        return Err(not_a_float);
    }
    if increment == Err(NoNumber::Malformed) {
        return Err(Error::NOT_A_FLOAT);
    }
    value
        .and_then(|value| Ok(value.checked_add(increment?)))
        .ok()
        .flatten()
        .map(LongDouble::text)
        .ok_or(Error::NAN_OR_INFINITY)
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`: the longest common subsequence of
/// two strings, a missing key being an empty one. With LEN its length; with IDX a map of the
/// matching ranges and that length. Errors: a key that holds no string, LEN together with IDX,
/// strings too long for the table.
pub fn lcs(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    crate::commands::lcs::lcs(ctx, args, reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_from_both_ends() {
        for (start, end, expected) in [
            (0, -1, 0..5),
            (0, 0, 0..1),
            (-3, -1, 2..5),
            (1, 100, 1..5),
            (-100, 1, 0..2),
            (3, 1, 0..0),
            (-1, -3, 0..0),
            (5, 9, 0..0),
            (i64::MIN, i64::MAX, 0..5),
        ] {
            assert_eq!(range(start, end, 5), expected, "{start} {end}");
        }
        assert_eq!(range(0, -1, 0), 0..0);
        assert_eq!(range(-1, -1, 0), 0..0);
    }
}
