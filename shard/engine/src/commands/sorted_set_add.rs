//! ZADD and ZINCRBY: members put into sorted sets. Both read all their scores before they change
//! anything, so that a bad one leaves the set as it was.

use protocol::args::Args;
use protocol::reply::Reply;
use smallvec::SmallVec;
use storage::sorted_set::Inserted;
use storage::{Score, SortedSet};

use crate::commands::options::{Options, is};
use crate::commands::sorted_set::{limits, parse_score};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const NX_AND_XX: Error = Error::new("ERR XX and NX options at the same time are not compatible");
const GT_LT_NX: Error =
    Error::new("ERR GT, LT, and/or NX options at the same time are not compatible");
const INCR_ONE_PAIR: Error = Error::new("ERR INCR option supports a single increment-element pair");
const SCORE_IS_NAN: Error = Error::new("ERR resulting score is not a number (NaN)");

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

    /// The score that a member is to have, which has `before` now; nothing where it is to be left
    /// alone.
    fn apply(&self, before: Option<Score>, given: Score) -> Result<Option<Score>, Error> {
        let Some(before) = before else {
            return Ok((!self.only_present).then_some(given));
        };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increment {
            Score::new(before.get() + given.get()).ok_or(SCORE_IS_NAN)?
        } else {
            given
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
    if options.only_present && ctx.peek_mut::<SortedSet>(key)?.is_none() {
        if options.increment {
            reply.null()
        } else {
            reply.integer(0)
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
        last = if options.is_plain() {
            Some(given)
        } else {
            // Only INCR may fail, and it has one pair.
            options.apply(set.score(member), given)?
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
            if options.increment {
                Event::ZINCR
            } else {
                Event::ZADD
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
