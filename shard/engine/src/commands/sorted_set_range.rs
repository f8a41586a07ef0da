//! Ranges of sorted sets, by rank, score or name: shown, counted, removed, stored.
//!
//! Whatever a range is said in, it comes down to a range of ranks first; then all of them are
//! handled alike.
//!
//! A range of names means something only where all scores are equal. Where they are not, a packed
//! set is walked from end to end as Redis walks it, with the same unspecified answer; a large one
//! answers what its search meets.

use std::ops::Range;

use protocol::args::Args;
use protocol::reply::Reply;
use protocol::strtod;
use storage::sorted_set::{Direction, compare};
use storage::{Item, Score, SortedSet};

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::sorted_set::{begin_entries, limits, write_entry};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const BAD_SCORE: Error = Error::new("ERR min or max is not a float");
const BAD_NAME: Error = Error::new("ERR min or max not valid string range item");
const LIMIT_OF_RANKS: Error = Error::new(
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
);
const SCORES_OF_NAMES: Error =
    Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

/// One end of a range of scores or names.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Bound<T> {
    /// `-`: before all.
    First,
    /// `[at`
    Including(T),
    /// `(at`
    Excluding(T),
    /// `+`: after all.
    Last,
}

impl Bound<Score> {
    /// A score, behind a `(` where it is not in the range itself. Nothing is 0 and blanks may go
    /// before, as C reads numbers.
    fn parse_score(text: &[u8]) -> Result<Self, Error> {
        let (number, excluded) = match text.strip_prefix(b"(") {
            Some(number) => (number, true),
            None => (text, false),
        };
        let number = strtod::c_string(number);
        let read = strtod::strtod(number);
        let score = (read.len == number.len()).then_some(read.value);
        let score = score.and_then(Score::new).ok_or(BAD_SCORE)?;
        Ok(if excluded {
            Self::Excluding(score)
        } else {
            Self::Including(score)
        })
    }
}

impl<'a> Bound<&'a [u8]> {
    fn parse_name(text: &'a [u8]) -> Result<Self, Error> {
        match text {
            b"-" => Ok(Self::First),
            b"+" => Ok(Self::Last),
            [b'[', name @ ..] => Ok(Self::Including(name)),
            [b'(', name @ ..] => Ok(Self::Excluding(name)),
            _ => Err(BAD_NAME),
        }
    }
}

impl<T: Copy> Bound<T> {
    /// Whether a value, which compares with the bound's as `order` says, lies below a range that
    /// begins here.
    fn is_above(self, order: impl Fn(T) -> std::cmp::Ordering) -> bool {
        match self {
            Self::First => false,
            Self::Including(at) => order(at).is_lt(),
            Self::Excluding(at) => order(at).is_le(),
            Self::Last => true,
        }
    }

    /// Whether such a value lies in or below a range that ends here.
    fn reaches(self, order: impl Fn(T) -> std::cmp::Ordering) -> bool {
        match self {
            Self::First => false,
            Self::Including(at) => order(at).is_le(),
            Self::Excluding(at) => order(at).is_lt(),
            Self::Last => true,
        }
    }
}

/// What the bounds of a range are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Rank,
    Score,
    Name,
}

/// The bounds of a range, the lower one first; ranks in the order that they are counted in.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(Bound<Score>, Bound<Score>),
    Names(Bound<&'a [u8]>, Bound<&'a [u8]>),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, Error> {
        Ok(match by {
            By::Rank => Self::Ranks(options::integer(low)?, options::integer(high)?),
            By::Score => Self::Scores(Bound::parse_score(low)?, Bound::parse_score(high)?),
            By::Name => Self::Names(Bound::parse_name(low)?, Bound::parse_name(high)?),
        })
    }

    /// The ranks of the members within, counted from the lowest whatever `direction`, which only
    /// says from where `Ranks` count.
    fn ranks(&self, set: &SortedSet, direction: Direction) -> Range<usize> {
        let len = set.len();
        let ranks = match *self {
            Self::Ranks(start, stop) => {
                let ranks = span(start, stop, len);
                match direction {
                    Direction::Forward => ranks,
                    Direction::Backward => len - ranks.end..len - ranks.start,
                }
            }
            Self::Scores(low, high) => {
                let start = set.partition_by_score(|score| low.is_above(|at| score.cmp(&at)));
                let end = set.partition_by_score(|score| high.reaches(|at| score.cmp(&at)));
                start..end
            }
            Self::Names(low, high) => names(set, low, high, direction),
        };
        ranks.start.min(ranks.end)..ranks.end
    }
}

/// The places from `start` to `stop`, both included, of a sequence of `len`; negative ones count
/// from its end.
fn span(start: i64, stop: i64, len: usize) -> Range<usize> {
    // No set is longer than i64::MAX.
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

fn names(
    set: &SortedSet,
    low: Bound<&[u8]>,
    high: Bound<&[u8]>,
    direction: Direction,
) -> Range<usize> {
    let below = |member: Item<'_>| low.is_above(|at| compare(member, at));
    let reached = |member: Item<'_>| high.reaches(|at| compare(member, at));
    let last = set.len().saturating_sub(1);
    let backward = || set.iter_from(last, Direction::Backward);
    if set.pack().is_none() {
        let start = set.partition_by_name(&below);
        return start..set.partition_by_name(&reached);
    }
    let first_reached = set.iter().next().is_some_and(|(first, _)| reached(first));
    let last_below = backward().next().is_none_or(|(last, _)| below(last));
    if last_below || !first_reached {
        return 0..0;
    }
    match direction {
        Direction::Forward => {
            let start = set.iter().take_while(|&(member, _)| below(member)).count();
            let within = set.iter_from(start, Direction::Forward);
            start..start + within.take_while(|&(member, _)| reached(member)).count()
        }
        Direction::Backward => {
            let above = backward().take_while(|&(member, _)| !reached(member));
            let end = set.len() - above.count();
            let within = match end.checked_sub(1) {
                Some(last) => set.iter_from(last, Direction::Backward),
                None => return 0..0,
            };
            end - within.take_while(|&(member, _)| !below(member)).count()..end
        }
    }
}

/// The part of a range that LIMIT selects.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Entries passed over. A negative number leaves so many of a large set's, as in Redis since
    /// 7.4, and none of a packed one's.
    offset: i64,
    /// Entries wanted, all where it is negative.
    count: i64,
}

impl Limit {
    const NONE: Self = Self {
        offset: 0,
        count: -1,
    };

    /// Cuts `ranks`, which are walked in that direction.
    fn cut(self, ranks: Range<usize>, direction: Direction, packed: bool) -> Range<usize> {
        let skipped = match usize::try_from(self.offset) {
            Ok(offset) => offset.min(ranks.len()),
            Err(_) => usize::try_from(self.offset.unsigned_abs())
                .ok()
                .filter(|_| !packed)
                .and_then(|left| ranks.len().checked_sub(left))
                .unwrap_or(ranks.len()),
        };
        let kept = usize::try_from(self.count)
            .unwrap_or(usize::MAX)
            .min(ranks.len() - skipped);
        match direction {
            Direction::Forward => {
                let start = ranks.start + skipped;
                start..start + kept
            }
            Direction::Backward => {
                let end = ranks.end - skipped;
                end - kept..end
            }
        }
    }
}

/// What a range command is, before its arguments are read.
#[derive(Clone, Copy)]
struct Form {
    /// The number of the argument that names the set.
    source_at: usize,
    /// None where BYSCORE or BYLEX may say it.
    by: Option<By>,
    /// None where REV may say it.
    direction: Option<Direction>,
    /// Whether WITHSCORES may be said.
    may_have_scores: bool,
}

/// A range that is asked for.
struct Query<'a> {
    bounds: Bounds<'a>,
    direction: Direction,
    limit: Limit,
    with_scores: bool,
}

impl<'a> Query<'a> {
    fn parse(args: &Args<'a>, form: Form) -> Result<Self, Error> {
        let (mut by, mut direction) = (form.by, form.direction);
        let (mut limit, mut with_scores) = (Limit::NONE, false);
        let bounds_at = form.source_at + 1;
        let mut options = Options::new(args, bounds_at + 2);
        while let Some(word) = options.next() {
            if form.may_have_scores && is(word, "WITHSCORES") {
                with_scores = true;
            } else if is(word, "LIMIT") && options.left() >= 2 {
                limit.offset = options::integer(options.value()?)?;
                limit.count = options::integer(options.value()?)?;
            } else if direction.is_none() && is(word, "REV") {
                direction = Some(Direction::Backward);
            } else if by.is_none() && is(word, "BYLEX") {
                by = Some(By::Name);
            } else if by.is_none() && is(word, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let by = by.unwrap_or(By::Rank);
        let direction = direction.unwrap_or(Direction::Forward);
        if by == By::Rank && limit.count != -1 {
            return Err(LIMIT_OF_RANKS);
        }
        if by == By::Name && with_scores {
            return Err(SCORES_OF_NAMES);
        }
        if by == By::Rank {
            limit = Limit::NONE;
        }
        let (mut low, mut high) = (
            args.get(bounds_at).ok_or(Error::SYNTAX)?,
            args.get(bounds_at + 1).ok_or(Error::SYNTAX)?,
        );
        if direction == Direction::Backward && by != By::Rank {
            (low, high) = (high, low);
        }
        Ok(Self {
            bounds: Bounds::parse(by, low, high)?,
            direction,
            limit,
            with_scores,
        })
    }

    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = self.bounds.ranks(set, self.direction);
        self.limit.cut(ranks, self.direction, set.pack().is_some())
    }
}

fn show(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, form: Form) -> Outcome {
    let query = Query::parse(args, form)?;
    let Some(set) = ctx.get::<SortedSet>(&args[form.source_at])? else {
        reply.empty_array();
        return Ok(());
    };
    let ranks = query.ranks(set);
    let first = match query.direction {
        Direction::Forward => ranks.start,
        Direction::Backward => ranks.end.saturating_sub(1),
    };
    begin_entries(reply, ranks.len(), query.with_scores);
    for (member, score) in set.iter_from(first, query.direction).take(ranks.len()) {
        write_entry(reply, member, score, query.with_scores);
    }
    Ok(())
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub fn zrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form {
        source_at: 1,
        by: None,
        direction: None,
        may_have_scores: true,
    };
    show(ctx, args, reply, form)
}

fn show_by(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    by: By,
    direction: Direction,
) -> Outcome {
    let form = Form {
        source_at: 1,
        by: Some(by),
        direction: Some(direction),
        may_have_scores: true,
    };
    show(ctx, args, reply, form)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub fn zrevrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show_by(ctx, args, reply, By::Rank, Direction::Backward)
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub fn zrangebyscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show_by(ctx, args, reply, By::Score, Direction::Forward)
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub fn zrevrangebyscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show_by(ctx, args, reply, By::Score, Direction::Backward)
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub fn zrangebylex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show_by(ctx, args, reply, By::Name, Direction::Forward)
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub fn zrevrangebylex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show_by(ctx, args, reply, By::Name, Direction::Backward)
}

/// `ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`: how many
/// were stored. Where none were, the destination is gone.
pub fn zrangestore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form {
        source_at: 2,
        by: None,
        direction: None,
        may_have_scores: false,
    };
    let query = Query::parse(args, form)?;
    let limits = limits(ctx);
    let mut stored = SortedSet::new();
    if let Some(set) = ctx.get::<SortedSet>(&args[form.source_at])? {
        let ranks = query.ranks(set);
        stored = SortedSet::for_members(ranks.len(), 0, limits);
        let mut digits = itoa::Buffer::new();
        let entries = set.iter_from(ranks.start, Direction::Forward);
        for (member, score) in entries.take(ranks.len()) {
            stored.insert(member.text(&mut digits), score, limits);
        }
    }
    store(ctx, &args[1], stored, Event::ZRANGESTORE, reply);
    Ok(())
}

/// Puts what a command found at `key`, in the place of whatever was there, and answers with how
/// much it is. Nothing found leaves no key.
pub fn store(
    ctx: &mut Context<'_>,
    key: &[u8],
    found: SortedSet,
    event: Event,
    reply: &mut Reply<'_>,
) {
    reply.integer(found.len() as i64);
    if !found.is_empty() {
        ctx.set_value(key, found);
        ctx.changed(key, event);
    } else if ctx.delete(key) {
        ctx.changed(key, Event::DEL);
    }
}

/// `ZCOUNT key min max`
pub fn zcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(ctx, args, reply, By::Score)
}

/// `ZLEXCOUNT key min max`
pub fn zlexcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(ctx, args, reply, By::Name)
}

fn count(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(by, &args[2], &args[3])?;
    let set = ctx.get::<SortedSet>(&args[1])?;
    let count = set.map_or(0, |set| bounds.ranks(set, Direction::Forward).len());
    reply.integer(count as i64);
    Ok(())
}

/// `ZREMRANGEBYRANK key start stop`
pub fn zremrangebyrank(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove(ctx, args, reply, By::Rank, Event::ZREM_BY_RANK)
}

/// `ZREMRANGEBYSCORE key min max`
pub fn zremrangebyscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove(ctx, args, reply, By::Score, Event::ZREM_BY_SCORE)
}

/// `ZREMRANGEBYLEX key min max`
pub fn zremrangebylex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove(ctx, args, reply, By::Name, Event::ZREM_BY_LEX)
}

fn remove(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    by: By,
    event: Event,
) -> Outcome {
    let key = &args[1];
    let bounds = Bounds::parse(by, &args[2], &args[3])?;
    let mut gone = 0;
    if let Some(set) = ctx.get_mut::<SortedSet>(key)? {
        let ranks = bounds.ranks(set, Direction::Forward);
        gone = ranks.len();
        let now_empty = gone == set.len();
        // One that goes as a whole is freed with its key, elsewhere where it is large.
        if !now_empty {
            set.remove_range(ranks);
        }
        if gone > 0 {
            ctx.lost(gone, key, event, now_empty);
        }
    }
    reply.integer(gone as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_cut_from_where_the_walk_begins() {
        let cut = |offset, count, direction, packed| {
            Limit { offset, count }.cut(10..20, direction, packed)
        };
        assert_eq!(cut(0, -1, Direction::Forward, true), 10..20);
        assert_eq!(cut(1, 3, Direction::Forward, true), 11..14);
        assert_eq!(cut(1, 3, Direction::Backward, true), 16..19);
        assert!(cut(i64::MAX, i64::MAX, Direction::Forward, false).is_empty());
        assert!(cut(-1, 3, Direction::Forward, true).is_empty());
        assert_eq!(cut(-2, 3, Direction::Forward, false), 18..20);
        assert_eq!(cut(-2, 1, Direction::Backward, false), 11..12);
        assert!(cut(i64::MIN, 1, Direction::Backward, false).is_empty());
    }

    #[test]
    fn bounds_read_as_c_reads_numbers() {
        let including = |score| Score::new(score).map(Bound::Including);
        assert_eq!(Bound::parse_score(b"").ok(), including(0.0));
        assert_eq!(Bound::parse_score(b" 1").ok(), including(1.0));
        assert_eq!(
            Bound::parse_score(b"(-inf").ok(),
            Score::new(f64::NEG_INFINITY).map(Bound::Excluding)
        );
        for text in [&b"nan"[..], b"1 ", b"((1", b"x"] {
            assert!(Bound::parse_score(text).is_err());
        }
        assert_eq!(
            Bound::parse_name(b"[a").ok(),
            Some(Bound::Including(&b"a"[..]))
        );
        assert!(Bound::parse_name(b"++").is_err());
        assert!(Bound::parse_name(b"").is_err());
    }
}
