//! Sorted sets: members with scores, asked for by name or by chance and taken out by name, and what
//! the other files of the family share.
//!
//! - [`sorted_set_add`]: put in. [`sorted_set_pop`]: taken from an end.
//! - [`sorted_set_range`]: asked for and taken out by rank, score or name.
//! - [`sorted_set_store`]: unions and their kin.
//!
//! A sorted set that loses its last member loses its key.
//!
//! [`sorted_set_add`]: crate::commands::sorted_set_add
//! [`sorted_set_pop`]: crate::commands::sorted_set_pop
//! [`sorted_set_range`]: crate::commands::sorted_set_range
//! [`sorted_set_store`]: crate::commands::sorted_set_store

use std::collections::HashSet;

use protocol::args::Args;
use protocol::number::format_double;
use protocol::reply::{Reply, Version};
use protocol::strtod;
use storage::sorted_set::Direction;
use storage::{Item, Score, SortedSet, SortedSetLimits};

use crate::commands::options;
use crate::commands::options::is;
use crate::commands::scan::{ElementScan, cursor, write_cursor};
use crate::commands::string::write;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// Members that ZRANDMEMBER repeats at the most: the reply to a short command stays in memory.
const REPEATED_MAX: usize = 1 << 24;

/// How large the packed form may be here.
pub fn limits(ctx: &Context<'_>) -> SortedSetLimits {
    SortedSetLimits {
        entries: ctx.config.zset_max_listpack_entries,
        value: ctx.config.zset_max_listpack_value,
    }
}

/// The double in `text`. What is too large or too small for one is refused, where infinity and zero
/// may be said outright.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    short_whole(text).or_else(|| strtod::whole(text))
}

/// The whole number in `text`, where it is but a few digits, as most scores are.
fn short_whole(text: &[u8]) -> Option<f64> {
    /// So many always make an exact double.
    const DIGITS_MAX: usize = 15;
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1.0, digits),
        digits => (1.0, digits),
    };
    if !(1..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    let mut magnitude = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    Some(sign * magnitude as f64)
}

pub fn parse_score(text: &[u8]) -> Result<Score, Error> {
    parse_double(text)
        .and_then(Score::new)
        .ok_or(Error::NOT_A_FLOAT)
}

/// Begins a list of `len` members, with or without their scores: RESP3 has a pair for each, RESP2
/// twice as many elements.
pub fn begin_entries(reply: &mut Reply<'_>, len: usize, with_scores: bool) {
    let flat_pairs = with_scores && reply.version() == Version::Resp2;
    reply.array(if flat_pairs {
        len.saturating_mul(2)
    } else {
        len
    });
}

/// Writes an entry of such a list.
pub fn write_entry(reply: &mut Reply<'_>, member: Item<'_>, score: Score, with_scores: bool) {
    if with_scores && reply.version() == Version::Resp3 {
        reply.array(2);
    }
    write(reply, member);
    if with_scores {
        reply.double(score.get());
    }
}

/// `ZCARD key`
pub fn zcard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<SortedSet>(&args[1])?;
    reply.integer(set.map_or(0, SortedSet::len) as i64);
    Ok(())
}

fn write_score(reply: &mut Reply<'_>, score: Option<Score>) {
    match score {
        Some(score) => reply.double(score.get()),
        None => reply.null(),
    }
}

/// `ZSCORE key member`
pub fn zscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<SortedSet>(&args[1])?;
    write_score(reply, set.and_then(|set| set.score(&args[2])));
    Ok(())
}

/// `ZMSCORE key member [member ...]`
pub fn zmscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = ctx.get::<SortedSet>(&args[1])?;
    let members = args.tail(2);
    reply.array(members.len());
    for member in members {
        write_score(reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

/// `ZRANK key member [WITHSCORE]`
pub fn zrank(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(ctx, args, reply, Direction::Forward, "zrank")
}

/// `ZREVRANK key member [WITHSCORE]`
pub fn zrevrank(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(ctx, args, reply, Direction::Backward, "zrevrank")
}

fn rank(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    direction: Direction,
    command: &str,
) -> Outcome {
    if args.len() > 4 {
        return Err(Error::arity(command));
    }
    let with_score = match args.get(3) {
        None => false,
        Some(word) if is(word, "WITHSCORE") => true,
        Some(_) => return Err(Error::SYNTAX),
    };
    let member = &args[2];
    let found = ctx.get::<SortedSet>(&args[1])?.and_then(|set| {
        let rank = set.rank(member)?;
        Some(match direction {
            Direction::Forward => (set, rank),
            Direction::Backward => (set, set.len() - 1 - rank),
        })
    });
    match (found, with_score) {
        (Some((_, rank)), false) => reply.integer(rank as i64),
        (Some((set, rank)), true) => {
            reply.array(2);
            reply.integer(rank as i64);
            write_score(reply, set.score(member));
        }
        (None, false) => reply.null(),
        (None, true) => reply.null_array(),
    }
    Ok(())
}

/// `ZREM key member [member ...]`
pub fn zrem(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let mut gone = 0;
    if let Some(set) = ctx.get_mut::<SortedSet>(key)? {
        for member in args.tail(2) {
            gone += usize::from(set.remove(member).is_some());
        }
        let now_empty = set.is_empty();
        if gone > 0 {
            ctx.lost(gone, key, Event::ZREM, now_empty);
        }
    }
    reply.integer(gone as i64);
    Ok(())
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`: different members, or as many as asked, perhaps
/// repeated, where the count is negative.
pub fn zrandmember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut rng = ctx.random.fork();
    let Some(count) = args.get(2) else {
        let set = ctx.get::<SortedSet>(&args[1])?;
        match set.and_then(|set| set.random(&mut rng)) {
            Some((member, _)) => write(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = options::signed(count)?;
    let with_scores = match (args.len(), args.get(3)) {
        (..=3, _) => false,
        (4, Some(word)) if is(word, "WITHSCORES") => true,
        _ => return Err(Error::SYNTAX),
    };
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::OUT_OF_RANGE);
    }
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(set) = ctx.get::<SortedSet>(&args[1])? else {
        reply.empty_array();
        return Ok(());
    };
    if count < 0 {
        if wanted > REPEATED_MAX {
            return Err(Error::OUT_OF_RANGE);
        }
        begin_entries(reply, wanted, with_scores);
        for (member, score) in (0..wanted).filter_map(|_| set.random(&mut rng)) {
            write_entry(reply, member, score, with_scores);
        }
    } else if wanted >= set.len() {
        begin_entries(reply, set.len(), with_scores);
        for (member, score) in set.iter() {
            write_entry(reply, member, score, with_scores);
        }
    } else {
        begin_entries(reply, wanted, with_scores);
        for rank in sample(&mut rng, set.len(), wanted) {
            if let Some((member, score)) = set.iter_from(rank, Direction::Forward).next() {
                write_entry(reply, member, score, with_scores);
            }
        }
    }
    Ok(())
}

/// `count` different numbers below `len`, every choice as likely as any other; `count` is at most
/// `len`.
fn sample(rng: &mut fastrand::Rng, len: usize, count: usize) -> HashSet<usize> {
    // Floyd's way: the last number stands in for one that is taken.
    let mut chosen = HashSet::with_capacity(count);
    for last in len - count..len {
        if !chosen.insert(rng.usize(..=last)) {
            chosen.insert(last);
        }
    }
    chosen
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub fn zscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let from = cursor(&args[2])?;
    let Some(set) = ctx.get::<SortedSet>(&args[1])? else {
        write_cursor(reply, None);
        reply.empty_array();
        return Ok(());
    };
    let scan = ElementScan::parse(from, args, false)?;
    let mut page = Vec::new();
    let mut shown = 0;
    let mut body = Reply::new(&mut page, reply.version());
    let mut show = |member: Item<'_>, score: Score| {
        let mut digits = itoa::Buffer::new();
        let text = member.text(&mut digits);
        if scan.wants(text) {
            body.bulk(text);
            body.bulk(format_double(score.get()).as_bytes());
            shown += 2;
        }
    };
    let next = scan
        .from
        .and_then(|from| set.scan(from, scan.count, &mut show));
    write_cursor(reply, next);
    reply.array(shown);
    reply.raw(&page);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_not_rounded_to_infinity_or_nought() {
        for (text, value) in [
            ("inf", f64::INFINITY),
            ("-0", -0.0),
            ("007", 7.0),
            ("-12345678901234567890", -12_345_678_901_234_567_890.0),
            ("0e5", 0.0),
            ("1e-300", 1e-300),
        ] {
            let parsed = parse_double(text.as_bytes()).map(f64::to_bits);
            assert_eq!(parsed, Some(value.to_bits()), "{text}");
        }
        for text in ["1e400", "-1e400", "1e-400", "nan", "", "-", "1a"] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_sample_has_different_numbers() {
        let mut rng = fastrand::Rng::with_seed(1);
        for count in 0..=10 {
            let chosen = sample(&mut rng, 10, count);
            assert_eq!(chosen.len(), count);
            assert!(chosen.iter().all(|&number| number < 10));
        }
    }
}
