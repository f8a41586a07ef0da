//! Lists: push, pop, ranges, moves between lists.
//!
//! A list that loses its last element loses its key. Where an element may stand at either end, LEFT
//! is the list's front.

use std::ops::Range;

use protocol::args::Args;
use protocol::reply::Reply;
use storage::{End, Item, List, ListLimits};

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::string::{write, write_or_null};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const RANK_ZERO: Error = Error::new(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
);
const COUNT_NEGATIVE: Error = Error::new("ERR COUNT can't be negative");
const MAXLEN_NEGATIVE: Error = Error::new("ERR MAXLEN can't be negative");

pub fn limits(ctx: &Context<'_>) -> ListLimits {
    ListLimits::from_setting(i64::from(ctx.config.list_max_listpack_size))
}

/// LEFT or RIGHT.
pub fn end(text: &[u8]) -> Result<End, Error> {
    if is(text, "LEFT") {
        Ok(End::Front)
    } else if is(text, "RIGHT") {
        Ok(End::Back)
    } else {
        Err(Error::SYNTAX)
    }
}

/// The place in a list of `len` that `index` means, which counts from the back where it is
/// negative.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let from_back = index.unsigned_abs();
    if index >= 0 {
        usize::try_from(index).ok().filter(|&index| index < len)
    } else {
        len.checked_sub(usize::try_from(from_back).ok()?)
    }
}

/// The places from `start` to `stop`, both included, of a list of `len`.
fn span(start: i64, stop: i64, len: usize) -> Range<usize> {
    // No list is longer than i64::MAX.
    let signed = len as i64;
    let place = |index: i64| {
        if index < 0 {
            index.saturating_add(signed)
        } else {
            index
        }
    };
    let start = usize::try_from(place(start)).unwrap_or(0);
    let stop = usize::try_from(place(stop)).map_or(0, |stop| stop.saturating_add(1).min(len));
    start.min(stop)..stop
}

fn refuse_oversized<'a>(mut elements: impl Iterator<Item = &'a [u8]>) -> Outcome {
    if elements.any(|element| element.len() > List::ELEMENT_BYTES_MAX) {
        Err(Error::STRING_TOO_LONG)
    } else {
        Ok(())
    }
}

const fn pushed(end: End) -> Event {
    match end {
        End::Front => Event::LPUSH,
        End::Back => Event::RPUSH,
    }
}

const fn popped(end: End) -> Event {
    match end {
        End::Front => Event::LPOP,
        End::Back => Event::RPOP,
    }
}

/// `LPUSH key element...`: pushes each element in turn in front of the list at `key`, which is
/// created where missing. The new length; WRONGTYPE where it is not a list.
pub fn lpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(ctx, args, reply, End::Front)
}

/// `RPUSH key element...`: appends the elements to the list at `key`, which is created where
/// missing. The new length; WRONGTYPE where it is not a list.
pub fn rpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(ctx, args, reply, End::Back)
}

fn push(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let (key, elements, limits) = (&args[1], args.tail(2), limits(ctx));
    refuse_oversized(elements.iter())?;
    let list = ctx.get_or_insert(key, List::new)?;
    list.push_all(end, elements.iter(), limits);
    reply.integer(list.len() as i64);
    ctx.changed_by(elements.len(), key, pushed(end));
    Ok(())
}

/// `LPUSHX key element...`: LPUSH where there is a list. The new length; 0 where there is no such
/// key, WRONGTYPE where it is not a list.
pub fn lpushx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push_to_existing(ctx, args, reply, End::Front)
}

/// `RPUSHX key element...`: RPUSH where there is a list. The new length; 0 where there is no such
/// key, WRONGTYPE where it is not a list.
pub fn rpushx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push_to_existing(ctx, args, reply, End::Back)
}

fn push_to_existing(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Outcome {
    if ctx.peek(&args[1]).is_some() {
        return push(ctx, args, reply, end);
    }
    reply.integer(0);
    Ok(())
}

/// `LPOP key [count]`: takes the first element of the list at `key`, or an array of up to `count`.
/// Nil where there is no list (a null array with `count`); WRONGTYPE where it is not a list.
/// Errors: a negative count.
pub fn lpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, args, reply, End::Front, "lpop")
}

/// `RPOP key [count]`: takes the last element of the list at `key`, or an array of up to `count`,
/// the last one first. Nil where there is no list (a null array with `count`); WRONGTYPE where it
/// is not a list. Errors: a negative count.
pub fn rpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, args, reply, End::Back, "rpop")
}

fn pop(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    command: &str,
) -> Outcome {
    if args.len() > 3 {
        return Err(Error::arity(command));
    }
    let count = args
        .get(2)
        .map(|count| options::at_least(0, count, Error::MUST_BE_POSITIVE))
        .transpose()?;
    let (key, limits) = (&args[1], limits(ctx));
    let Some(list) = ctx.get_mut::<List>(key)? else {
        match count {
            Some(_) => reply.null_array(),
            None => reply.null(),
        }
        return Ok(());
    };
    let before = list.len();
    match count {
        Some(0) => {
            reply.empty_array();
            return Ok(());
        }
        Some(count) => pop_some(list, end, count, limits, reply),
        None => {
            list.pop_with(end, limits, |item| write(reply, item));
        }
    }
    let (gone, now_empty) = (before - list.len(), list.is_empty());
    ctx.lost(gone, key, popped(end), now_empty);
    Ok(())
}

/// Pops up to `count` elements into an array.
fn pop_some(list: &mut List, end: End, count: usize, limits: ListLimits, reply: &mut Reply<'_>) {
    let len = list.len();
    let count = count.min(len);
    let (first, range) = match end {
        End::Front => (0, 0..count),
        End::Back => (len.saturating_sub(1), len - count..len),
    };
    reply.array(count);
    for item in list.iter_from(first, end).take(count) {
        write(reply, item);
    }
    list.remove_range(range, limits);
}

/// `LMPOP numkeys key... LEFT | RIGHT [COUNT count]`: takes up to `count` elements, or one, from
/// the first list that there is. An array of its key and an array of the elements; a null array
/// where there is no list; WRONGTYPE where a key before that holds something else. Errors:
/// `numkeys` or `count` that is not positive.
pub fn lmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (keys, end, count) = multi_pop_arguments(args)?;
    for key in keys.iter() {
        if multi_pop(ctx, key, end, count, reply)? {
            return Ok(());
        }
    }
    reply.null_array();
    Ok(())
}

/// The keys, the end and the count of LMPOP, of whose form BLMPOP is from its second argument on.
pub fn multi_pop_arguments<'a>(args: &Args<'a>) -> Result<(Args<'a>, End, usize), Error> {
    options::multi_pop(args, end)
}

/// Answers with the key and elements popped from its list; whether there was one.
pub fn multi_pop(
    ctx: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<bool, Error> {
    let limits = limits(ctx);
    let Some(list) = ctx.get_mut::<List>(key)? else {
        return Ok(false);
    };
    reply.array(2);
    reply.bulk(key);
    let before = list.len();
    pop_some(list, end, count, limits, reply);
    let (gone, now_empty) = (before - list.len(), list.is_empty());
    let count = count.to_string();
    ctx.propagate_as(key, &[verb(end, b"LPOP", b"RPOP"), key, count.as_bytes()]);
    ctx.lost(gone, key, popped(end), now_empty);
    Ok(true)
}

/// Answers with an element popped from a list that there is.
pub fn pop_one(ctx: &mut Context<'_>, key: &[u8], from: End, reply: &mut Reply<'_>) -> Outcome {
    let limits = limits(ctx);
    if let Some(list) = ctx.get_mut::<List>(key)?
        && let Some(element) = list.pop(from, limits)
    {
        let now_empty = list.is_empty();
        reply.bulk(&element);
        ctx.propagate_as(key, &[verb(from, b"LPOP", b"RPOP"), key]);
        ctx.lost(1, key, popped(from), now_empty);
    }
    Ok(())
}

/// `LLEN key`: the length of the list at `key`; 0 where there is none, WRONGTYPE where it is not a
/// list.
pub fn llen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let list = ctx.get::<List>(&args[1])?;
    reply.integer(list.map_or(0, List::len) as i64);
    Ok(())
}

/// `LINDEX key index`: the element at `index`, which counts from the back where it is negative. Nil
/// where there is none; WRONGTYPE where it is not a list.
pub fn lindex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(list) = ctx.get::<List>(&args[1])? else {
        reply.null();
        return Ok(());
    };
    let place = resolve(options::integer(&args[2])?, list.len());
    write_or_null(reply, place.and_then(|place| list.get(place)));
    Ok(())
}

/// `LSET key index element`: replaces the element at `index`, which counts from the back where it
/// is negative. OK; WRONGTYPE where it is not a list. Errors: no such key, an index out of range.
pub fn lset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, element, limits) = (&args[1], &args[3], limits(ctx));
    refuse_oversized(std::iter::once(element))?;
    let list = ctx.get_mut::<List>(key)?.ok_or(Error::NO_SUCH_KEY)?;
    // Redis looks at the last 32 bits of it.
    let index = options::integer(&args[2])? as i32;
    let place = resolve(i64::from(index), list.len()).ok_or(Error::INDEX_OUT_OF_RANGE)?;
    list.set(place, element, limits);
    ctx.changed(key, Event::LSET);
    reply.ok();
    Ok(())
}

/// `LINSERT key BEFORE | AFTER pivot element`: inserts beside the first element equal to `pivot`.
/// The new length; -1 where there is no such element, 0 where there is no list; WRONGTYPE where it
/// is not a list.
pub fn linsert(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let behind = match &args[2] {
        word if is(word, "BEFORE") => 0,
        word if is(word, "AFTER") => 1,
        _ => return Err(Error::SYNTAX),
    };
    let (key, element, limits) = (&args[1], &args[4], limits(ctx));
    refuse_oversized(std::iter::once(element))?;
    let Some(list) = ctx.get_mut::<List>(key)? else {
        reply.integer(0);
        return Ok(());
    };
    let Some(pivot) = list.position(&args[3]) else {
        reply.integer(-1);
        return Ok(());
    };
    list.insert(pivot + behind, element, limits);
    reply.integer(list.len() as i64);
    ctx.changed(key, Event::LINSERT);
    Ok(())
}

/// `LRANGE key start stop`: an array of the elements from `start` to `stop`, both included,
/// negative ones counted from the back. Empty where there are none; WRONGTYPE where it is not a
/// list.
pub fn lrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (options::integer(&args[2])?, options::integer(&args[3])?);
    let Some(list) = ctx.get::<List>(&args[1])? else {
        reply.empty_array();
        return Ok(());
    };
    let range = span(start, stop, list.len());
    reply.array(range.len());
    for item in list.iter_from(range.start, End::Front).take(range.len()) {
        write(reply, item);
    }
    Ok(())
}

/// `LTRIM key start stop`: keeps the elements from `start` to `stop`, both included, negative ones
/// counted from the back; none deletes the list. OK; WRONGTYPE where it is not a list.
pub fn ltrim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (options::integer(&args[2])?, options::integer(&args[3])?);
    let (key, limits) = (&args[1], limits(ctx));
    if let Some(list) = ctx.get_mut::<List>(key)? {
        let before = list.len();
        list.trim(span(start, stop, before), limits);
        let (gone, now_empty) = (before - list.len(), list.is_empty());
        ctx.lost(gone, key, Event::LTRIM, now_empty);
    }
    reply.ok();
    Ok(())
}

/// `LREM key count element`: removes the first `count` elements equal to `element`, the last where
/// it is negative, all where it is 0. How many went; WRONGTYPE where it is not a list.
pub fn lrem(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = options::signed(&args[2])?;
    let (key, limits) = (&args[1], limits(ctx));
    let end = if count < 0 { End::Back } else { End::Front };
    let max = match count {
        0 => usize::MAX,
        _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let Some(list) = ctx.get_mut::<List>(key)? else {
        reply.integer(0);
        return Ok(());
    };
    let gone = list.remove_equal(&args[3], end, max, limits);
    let now_empty = list.is_empty();
    if gone > 0 {
        ctx.lost(gone, key, Event::LREM, now_empty);
    }
    reply.integer(gone as i64);
    Ok(())
}

/// What LPOS looks for.
struct Search {
    /// The end it begins at.
    from: End,
    /// Matches passed over first.
    skipped: usize,
    /// Matches wanted; `None` for one, which is answered without an array.
    count: Option<usize>,
    /// Elements looked at.
    looked_at_max: usize,
}

impl Search {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let unless_zero = |limit| if limit == 0 { usize::MAX } else { limit };
        let mut search = Self {
            from: End::Front,
            skipped: 0,
            count: None,
            looked_at_max: usize::MAX,
        };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            if is(word, "RANK") {
                let rank = options::signed(options.value()?)?;
                let skipped = rank.unsigned_abs().checked_sub(1).ok_or(RANK_ZERO)?;
                search.skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
                search.from = if rank < 0 { End::Back } else { End::Front };
            } else if is(word, "COUNT") {
                let count = options::at_least(0, options.value()?, COUNT_NEGATIVE)?;
                search.count = Some(unless_zero(count));
            } else if is(word, "MAXLEN") {
                let limit = options::at_least(0, options.value()?, MAXLEN_NEGATIVE)?;
                search.looked_at_max = unless_zero(limit);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(search)
    }

    fn matches<'a>(
        &self,
        list: &'a List,
        element: &'a [u8],
    ) -> impl Iterator<Item = usize> + use<'a> {
        let (from, last) = (self.from, list.len().saturating_sub(1));
        let first = match from {
            End::Front => 0,
            End::Back => last,
        };
        let element = Item::parse(element);
        list.iter_from(first, from)
            .take(self.looked_at_max)
            .enumerate()
            .filter(move |&(_, item)| item == element)
            .skip(self.skipped)
            .take(self.count.unwrap_or(1))
            .map(move |(nth, _)| match from {
                End::Front => nth,
                End::Back => last - nth,
            })
    }
}

/// `LPOS key element [RANK rank] [COUNT matches] [MAXLEN len]`: the index of the first element
/// equal to `element`, nil where there is none; with COUNT an array of so many, all where it is 0.
/// RANK says with which match to begin, from the back where it is negative, MAXLEN how many
/// elements to compare. WRONGTYPE where it is not a list. Errors: a rank of 0, a negative COUNT or
/// MAXLEN.
pub fn lpos(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let search = Search::parse(args)?;
    let list = ctx.get::<List>(&args[1])?;
    let mut matches = list
        .into_iter()
        .flat_map(|list| search.matches(list, &args[2]));
    if search.count.is_none() {
        match matches.next() {
            Some(place) => reply.integer(place as i64),
            None => reply.null(),
        }
        return Ok(());
    }
    let mark = reply.begin();
    let mut found = 0;
    for place in matches {
        reply.integer(place as i64);
        found += 1;
    }
    reply.finish_array(mark, found);
    Ok(())
}

/// `LMOVE source destination LEFT | RIGHT LEFT | RIGHT`: takes an element from one end of `source`
/// and pushes it to one end of `destination`, which may be the same list. The element; nil where
/// there is no `source`; WRONGTYPE where either is not a list.
pub fn lmove(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (end(&args[3])?, end(&args[4])?);
    if !move_element(ctx, &args[1], &args[2], from, to, reply)? {
        reply.null();
    }
    Ok(())
}

/// `RPOPLPUSH source destination`: takes the last element of `source` and pushes it in front of
/// `destination`, which may be the same list. The element; nil where there is no `source`;
/// WRONGTYPE where either is not a list.
pub fn rpoplpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !move_element(ctx, &args[1], &args[2], End::Back, End::Front, reply)? {
        reply.null();
    }
    Ok(())
}

/// The verb for an end.
fn verb(end: End, front: &'static [u8], back: &'static [u8]) -> &'static [u8] {
    match end {
        End::Front => front,
        End::Back => back,
    }
}

/// Moves an element and answers with it; whether there was one. The lists may be the same.
pub fn move_element(
    ctx: &mut Context<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
    reply: &mut Reply<'_>,
) -> Result<bool, Error> {
    let limits = limits(ctx);
    if ctx.peek_mut::<List>(source)?.is_none() {
        return Ok(false);
    }
    // Before anything changes: the destination may hold something else.
    ctx.peek_mut::<List>(destination)?;
    let Some(list) = ctx.get_mut::<List>(source)? else {
        return Ok(false);
    };
    let Some(element) = list.pop(from, limits) else {
        return Ok(false);
    };
    let mut now_empty = list.is_empty();
    let target = ctx.get_or_insert(destination, List::new)?;
    target.push(to, &element, limits);
    if source == destination {
        now_empty = false;
    }
    reply.bulk(&element);
    let (pop, push) = (verb(from, b"LPOP", b"RPOP"), verb(to, b"LPUSH", b"RPUSH"));
    ctx.propagate_as(source, &[pop, source]);
    ctx.propagate_as(destination, &[push, destination, &element]);
    ctx.changed(destination, pushed(to));
    ctx.lost(0, source, popped(from), now_empty);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_count_from_both_ends() {
        assert_eq!(resolve(0, 3), Some(0));
        assert_eq!(resolve(3, 3), None);
        assert_eq!(resolve(-1, 3), Some(2));
        assert_eq!(resolve(-3, 3), Some(0));
        assert_eq!(resolve(-4, 3), None);
        assert_eq!(resolve(i64::MIN, 3), None);
        assert_eq!(resolve(i64::MAX, 3), None);
    }

    #[test]
    fn spans_are_cut_to_the_list() {
        assert_eq!(span(0, -1, 3), 0..3);
        assert_eq!(span(-2, -1, 3), 1..3);
        assert_eq!(span(1, 1, 3), 1..2);
        assert_eq!(span(i64::MIN, i64::MAX, 3), 0..3);
        assert!(span(2, 1, 3).is_empty());
        assert!(span(3, 9, 3).is_empty());
        assert!(span(0, -4, 3).is_empty());
        assert!(span(0, i64::MIN, 3).is_empty());
        assert!(span(i64::MAX, i64::MAX, 3).is_empty());
    }
}
