//! Sorted sets: members with scores, put in, asked for, taken out. Ranges are in [`sorted_set_range`], unions and their kin in
//! [`sorted_set_algebra`].
//!
//! A sorted set that loses its last member loses its key. Every command reads all its scores before it changes anything, so that a bad one
//! leaves the set as it was.
//!
//! [`sorted_set_range`]: crate::commands::sorted_set_range
//! [`sorted_set_algebra`]: crate::commands::sorted_set_algebra

use std::collections::HashSet;

use protocol::args::Args;
use protocol::number::format_double;
use protocol::reply::{Reply, Version};
use protocol::strtod;
use smallvec::SmallVec;
use storage::sorted_set::{Direction, Inserted};
use storage::{Item, Score, SortedSet, SortedSetLimits};

use crate::commands::options::{self, Options, is};
use crate::commands::scan::{ElementScan, cursor, write_cursor};
use crate::commands::string::write;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const NX_AND_XX: Error = Error::new("ERR XX and NX options at the same time are not compatible");
const GT_LT_NX: Error =
    Error::new("ERR GT, LT, and/or NX options at the same time are not compatible");
const INCR_ONE_PAIR: Error = Error::new("ERR INCR option supports a single increment-element pair");
const SCORE_IS_NAN: Error = Error::new("ERR resulting score is not a number (NaN)");
const NUMKEYS_NOT_POSITIVE: Error = Error::new("ERR numkeys should be greater than 0");
const COUNT_NOT_POSITIVE: Error = Error::new("ERR count should be greater than 0");

/// Members that ZRANDMEMBER repeats at the most: the reply to a short command stays in memory.
const REPEATED_MAX: usize = 1 << 24;

/// How large the packed form may be here.
pub fn limits(ctx: &Context<'_>) -> SortedSetLimits {
    SortedSetLimits {
        entries: ctx.config.zset_max_listpack_entries,
        value: ctx.config.zset_max_listpack_value,
    }
}

/// The double in `text`. What is too large or too small for one is refused, where infinity and zero may be said outright.
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

fn parse_score(text: &[u8]) -> Result<Score, Error> {
    parse_double(text)
        .and_then(Score::new)
        .ok_or(Error::NOT_A_FLOAT)
}

/// Begins a list of `len` members, with or without their scores: RESP3 has a pair for each, RESP2 twice as many elements.
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

/// What ZADD is asked besides the pairs.
#[derive(Clone, Copy, Default)]
struct AddOptions {
    /// NX: no member that is there changes.
    only_new: bool,
    /// XX: no member is added.
    only_present: bool,
    /// GT: no score falls.
    only_greater: bool,
    /// LT: no score rises.
    only_less: bool,
    /// CH: the answer counts the changed too.
    count_changed: bool,
    /// INCR: the score is added to the one there is, and the sum is the answer.
    increment: bool,
}

impl AddOptions {
    /// The options and the number of the first argument behind them.
    fn parse(args: &Args<'_>) -> Result<(Self, usize), Error> {
        let mut parsed = Self::default();
        let mut options = Options::new(args, 2);
        let mut pairs_at = options.position();
        while let Some(word) = options.next() {
            let option = match word {
                word if is(word, "NX") => &mut parsed.only_new,
                word if is(word, "XX") => &mut parsed.only_present,
                word if is(word, "GT") => &mut parsed.only_greater,
                word if is(word, "LT") => &mut parsed.only_less,
                word if is(word, "CH") => &mut parsed.count_changed,
                word if is(word, "INCR") => &mut parsed.increment,
                _ => break,
            };
            *option = true;
            pairs_at = options.position();
        }
        let left = args.len() - pairs_at;
        if left == 0 || !left.is_multiple_of(2) {
            return Err(Error::SYNTAX);
        }
        let Self {
            only_new,
            only_present,
            only_greater,
            only_less,
            ..
        } = parsed;
        if only_new && only_present {
            return Err(NX_AND_XX);
        }
        if (only_new && (only_greater || only_less)) || (only_greater && only_less) {
            return Err(GT_LT_NX);
        }
        if parsed.increment && left > 2 {
            return Err(INCR_ONE_PAIR);
        }
        Ok((parsed, pairs_at))
    }

    /// The score that a member is to have, which has `before` now; nothing where it is to be left alone.
    fn apply(&self, before: Option<Score>, given: Score) -> Result<Option<Score>, Error> {
        let Some(before) = before else {
            return Ok((!self.only_present).then_some(given));
        };
        if self.only_new {
            return Ok(None);
        }
        let score = match self.increment {
            true => Score::new(before.get() + given.get()).ok_or(SCORE_IS_NAN)?,
            false => given,
        };
        let refused = (self.only_less && score >= before) || (self.only_greater && score <= before);
        Ok((!refused).then_some(score))
    }

    /// Whether a member is put in whatever score it has: then it need not be looked up first.
    fn is_plain(&self) -> bool {
        !(self.only_new
            || self.only_present
            || self.only_greater
            || self.only_less
            || self.increment)
    }
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`
pub fn zadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (options, pairs_at) = AddOptions::parse(args)?;
    add(ctx, &args[1], args.tail(pairs_at), options, reply)
}

/// `ZINCRBY key increment member`
pub fn zincrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = AddOptions {
        increment: true,
        ..AddOptions::default()
    };
    add(ctx, &args[1], args.tail(2), options, reply)
}

/// Adds `pairs`, which are as many scores as members.
fn add(
    ctx: &mut Context<'_>,
    key: &[u8],
    pairs: Args<'_>,
    options: AddOptions,
    reply: &mut Reply<'_>,
) -> Outcome {
    let mut scores = SmallVec::<[Score; 8]>::new();
    for at in (0..pairs.len()).step_by(2) {
        scores.push(parse_score(&pairs[at])?);
        if pairs[at + 1].len() > SortedSet::MEMBER_BYTES_MAX {
            return Err(Error::STRING_TOO_LONG);
        }
    }
    let limits = limits(ctx);
    if options.only_present && ctx.get_mut::<SortedSet>(key)?.is_none() {
        match options.increment {
            true => reply.null(),
            false => reply.integer(0),
        }
        return Ok(());
    }
    let first_member = pairs.get(1).map_or(0, <[u8]>::len);
    let set = ctx.get_or_insert(key, || {
        SortedSet::for_members(scores.len(), first_member, limits)
    })?;
    if scores.len() > limits.entries {
        set.make_large();
    }
    let (mut added, mut rescored) = (0usize, 0usize);
    let mut last = None;
    for (&given, member) in scores.iter().zip(pairs.iter().skip(1).step_by(2)) {
        last = match options.is_plain() {
            true => Some(given),
            // Only INCR may fail, and it has one pair.
            false => options.apply(set.score(member), given)?,
        };
        if let Some(score) = last {
            match set.insert(member, score, limits) {
                Inserted::New => added += 1,
                Inserted::Rescored(_) => rescored += 1,
                Inserted::Same => {}
            }
        }
    }
    if added + rescored > 0 {
        ctx.changed_by(
            added + rescored,
            key,
            match options.increment {
                true => Event::ZINCR,
                false => Event::ZADD,
            },
        );
    }
    match (options.increment, last) {
        (true, Some(score)) => reply.double(score.get()),
        (true, None) => reply.null(),
        (false, _) if options.count_changed => reply.integer((added + rescored) as i64),
        (false, _) => reply.integer(added as i64),
    }
    Ok(())
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
    let keys = options::at_least(1, &args[1], NUMKEYS_NOT_POSITIVE)?;
    let where_at = keys.checked_add(2).ok_or(Error::SYNTAX)?;
    let from = end(args.get(where_at).ok_or(Error::SYNTAX)?)?;
    let mut count = None;
    let mut options = Options::new(args, where_at + 1);
    while let Some(word) = options.next() {
        if !is(word, "COUNT") || count.is_some() {
            return Err(Error::SYNTAX);
        }
        count = Some(options::at_least(1, options.value()?, COUNT_NOT_POSITIVE)?);
    }
    let keys = Args::new(
        args.bytes(),
        args.spans().get(2..where_at).unwrap_or_default(),
        args.large(),
    );
    Ok((keys, from, count.unwrap_or(1)))
}

/// Answers with the key and the entries popped from its set, a pair for each; whether there was one.
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
    ctx.logs(key, &[pop_verb(from), key, number.as_bytes()]);
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

/// Answers with key, member and score of an entry popped from the set at `key`; whether there was one.
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
    ctx.logs(key, &[pop_verb(from), key]);
    ctx.lost(1, key, popped(from), now_empty);
    Ok(true)
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`: different members, or as many as asked, perhaps repeated, where the count is negative.
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

/// `count` different numbers below `len`, every choice as likely as any other; `count` is at most `len`.
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
