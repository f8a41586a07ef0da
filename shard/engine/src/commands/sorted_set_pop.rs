//! Members taken from an end of a sorted set, and what those share that wait for one
//! ([`blocking`]).
//!
//! [`blocking`]: crate::commands::blocking

use protocol::args::Args;
use protocol::reply::Reply;
use storage::sorted_set::Direction;
use storage::{Item, Score, SortedSet};

use crate::commands::options;
use crate::commands::options::is;
use crate::commands::sorted_set::{begin_entries, write_entry};
use crate::commands::string::write;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// MIN or MAX: the end that entries are popped from.
fn end(text: &[u8]) -> Result<Direction, Error> {
    if is(text, "MIN") {
        Ok(Direction::Forward)
    } else if is(text, "MAX") {
        Ok(Direction::Backward)
    } else {
        Err(Error::SYNTAX)
    }
}

const fn popped(from: Direction) -> Event {
    match from {
        Direction::Forward => Event::ZPOPMIN,
        Direction::Backward => Event::ZPOPMAX,
    }
}

/// `ZPOPMIN key [count]`
pub fn zpopmin(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, args, reply, Direction::Forward)
}

/// `ZPOPMAX key [count]`
pub fn zpopmax(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, args, reply, Direction::Backward)
}

fn pop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, from: Direction) -> Outcome {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let count = args
        .get(2)
        .map(|count| options::at_least(0, count, Error::MUST_BE_POSITIVE))
        .transpose()?;
    let key = &args[1];
    let Some(set) = ctx.get_mut::<SortedSet>(key)? else {
        reply.empty_array();
        return Ok(());
    };
    let popped_count = count.unwrap_or(1).min(set.len());
    match count {
        Some(0) => {
            reply.empty_array();
            return Ok(());
        }
        Some(_) => {
            let count = popped_count;
            begin_entries(reply, count, true);
            pop_some(set, from, count, |member, score| {
                write_entry(reply, member, score, true);
            });
        }
        None => {
            reply.array(2);
            pop_some(set, from, 1, |member, score| {
                write(reply, member);
                reply.double(score.get());
            });
        }
    }
    let now_empty = set.is_empty();
    ctx.lost(popped_count, key, popped(from), now_empty);
    Ok(())
}

/// Shows the first `count` entries of that end, of which there are as many, and removes them.
fn pop_some(
    set: &mut SortedSet,
    from: Direction,
    count: usize,
    mut show: impl FnMut(Item<'_>, Score),
) {
    if count == 1 {
        set.pop_with(from, show);
        return;
    }
    let len = set.len();
    let (first, ranks) = match from {
        Direction::Forward => (0, 0..count),
        Direction::Backward => (len.saturating_sub(1), len.saturating_sub(count)..len),
    };
    for (member, score) in set.iter_from(first, from).take(count) {
        show(member, score);
    }
    set.remove_range(ranks);
}

/// `ZMPOP numkeys key [key ...] MIN | MAX [COUNT count]`: from the first sorted set that there is.
pub fn zmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (keys, from, count) = multi_pop_arguments(args)?;
    for key in keys.iter() {
        if multi_pop(ctx, key, from, count, reply)? {
            return Ok(());
        }
    }
    reply.null_array();
    Ok(())
}

/// The keys, the end and the count of ZMPOP, of whose form BZMPOP is from its second argument on.
pub fn multi_pop_arguments<'a>(args: &Args<'a>) -> Result<(Args<'a>, Direction, usize), Error> {
    options::multi_pop(args, end)
}

/// Answers with the key and the entries popped from its set, a pair for each; whether there was
/// one.
pub fn multi_pop(
    ctx: &mut Context<'_>,
    key: &[u8],
    from: Direction,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<bool, Error> {
    let Some(set) = ctx.get_mut::<SortedSet>(key)? else {
        return Ok(false);
    };
    let count = count.min(set.len());
    reply.array(2);
    reply.bulk(key);
    reply.array(count);
    pop_some(set, from, count, |member, score| {
        reply.array(2);
        write(reply, member);
        reply.double(score.get());
    });
    let now_empty = set.is_empty();
    let number = count.to_string();
    ctx.propagate_as(key, &[pop_verb(from), key, number.as_bytes()]);
    ctx.lost(count, key, popped(from), now_empty);
    Ok(true)
}

/// The verb that pops at an end.
fn pop_verb(from: Direction) -> &'static [u8] {
    match from {
        Direction::Forward => b"ZPOPMIN",
        Direction::Backward => b"ZPOPMAX",
    }
}

/// Answers with key, member and score of an entry popped from the set at `key`; whether there was
/// one.
pub fn pop_one(
    ctx: &mut Context<'_>,
    key: &[u8],
    from: Direction,
    reply: &mut Reply<'_>,
) -> Result<bool, Error> {
    let Some(set) = ctx.get_mut::<SortedSet>(key)? else {
        return Ok(false);
    };
    reply.array(3);
    reply.bulk(key);
    pop_some(set, from, 1, |member, score| {
        write(reply, member);
        reply.double(score.get());
    });
    let now_empty = set.is_empty();
    ctx.propagate_as(key, &[pop_verb(from), key]);
    ctx.lost(1, key, popped(from), now_empty);
    Ok(true)
}
