//! The commands that wait for an element: each is its quiet sibling, asked again and again. How
//! they wait is in [`crate::blocking`].

use std::time::Duration;

use protocol::args::Args;
use protocol::long_double::LongDouble;
use protocol::reply::Reply;
use protocol::strtod;
use storage::UnixMillis;
use storage::list::List;
use storage::listpack::End;
use storage::sorted_set::Direction;

use crate::blocking::waiting::Null;
use crate::commands::list::{end, move_element, multi_pop, multi_pop_arguments};
use crate::commands::{list, sorted_set_pop};
use crate::context::Context;
use crate::error::{Error, Outcome};

/// The time to wait that an argument means, in seconds with a fraction; none where it is 0: for
/// ever. It ends at a time that there is.
pub fn timeout(text: &[u8], now: UnixMillis) -> Result<Option<Duration>, Error> {
    let seconds = match (strtod::whole(text), LongDouble::parse(text)) {
        (Some(seconds), _) => seconds,
        // Only a wider float than a double holds it.
        (None, Ok(_)) => strtod::strtod(text).value,
        (None, Err(_)) => return Err(Error::TIMEOUT_NOT_A_FLOAT),
    };
    if seconds < 0.0 {
        return Err(Error::TIMEOUT_NEGATIVE);
    }
    let ms = (seconds * 1000.0).ceil();
    if ms >= i64::MAX as f64 || ms as u64 > (i64::MAX as u64).saturating_sub(now.ms()) {
        return Err(Error::TIMEOUT_OUT_OF_RANGE);
    }
    Ok((ms > 0.0).then(|| Duration::from_millis(ms as u64)))
}

/// `BLPOP key [key ...] timeout`
pub fn blpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, args, reply, End::Front)
}

/// `BRPOP key [key ...] timeout`
pub fn brpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, args, reply, End::Back)
}

fn pop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, from: End) -> Outcome {
    let last = args.len() - 1;
    let timeout = timeout(&args[last], ctx.now)?;
    for at in 1..last {
        let key = &args[at];
        if ctx.peek_mut::<List>(key)?.is_some() {
            reply.array(2);
            reply.bulk(key);
            return list::pop_one(ctx, key, from, reply);
        }
    }
    ctx.wait(timeout, Null::Array)
}

/// `BLMPOP timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]`
pub fn blmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (keys, from, count) = multi_pop_arguments(&args.tail(1))?;
    let timeout = timeout(&args[1], ctx.now)?;
    for key in keys.iter() {
        if multi_pop(ctx, key, from, count, reply)? {
            return Ok(());
        }
    }
    ctx.wait(timeout, Null::Array)
}

/// `BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout`
pub fn blmove(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (end(&args[3])?, end(&args[4])?);
    let timeout = timeout(&args[5], ctx.now)?;
    if move_element(ctx, &args[1], &args[2], from, to, reply)? {
        Ok(())
    } else {
        ctx.wait(timeout, Null::Bulk)
    }
}

/// `BRPOPLPUSH source destination timeout`
pub fn brpoplpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let timeout = timeout(&args[3], ctx.now)?;
    if move_element(ctx, &args[1], &args[2], End::Back, End::Front, reply)? {
        Ok(())
    } else {
        ctx.wait(timeout, Null::Bulk)
    }
}

/// `BZPOPMIN key [key ...] timeout`
pub fn bzpopmin(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_entry(ctx, args, reply, Direction::Forward)
}

/// `BZPOPMAX key [key ...] timeout`
pub fn bzpopmax(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_entry(ctx, args, reply, Direction::Backward)
}

fn pop_entry(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    from: Direction,
) -> Outcome {
    let last = args.len() - 1;
    let timeout = timeout(&args[last], ctx.now)?;
    for at in 1..last {
        if sorted_set_pop::pop_one(ctx, &args[at], from, reply)? {
            return Ok(());
        }
    }
    ctx.wait(timeout, Null::Array)
}

/// `BZMPOP timeout numkeys key [key ...] MIN | MAX [COUNT count]`
pub fn bzmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (keys, from, count) = sorted_set_pop::multi_pop_arguments(&args.tail(1))?;
    let timeout = timeout(&args[1], ctx.now)?;
    for key in keys.iter() {
        if sorted_set_pop::multi_pop(ctx, key, from, count, reply)? {
            return Ok(());
        }
    }
    ctx.wait(timeout, Null::Array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_rounded_up_to_the_millisecond() {
        let timeout = |text: &[u8]| timeout(text, UnixMillis::new(1_000));
        assert_eq!(timeout(b"0"), Ok(None));
        assert_eq!(timeout(b"0.0001"), Ok(Some(Duration::from_millis(1))));
        assert_eq!(timeout(b"1.5"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(timeout(b"-1"), Err(Error::TIMEOUT_NEGATIVE));
        assert_eq!(timeout(b"soon"), Err(Error::TIMEOUT_NOT_A_FLOAT));
        assert!(timeout(b"1e300").is_err());
        assert!(timeout(b"9223372036854774").is_ok_and(|it| it.is_some()));
        assert_eq!(
            timeout(b"9223372036854775"),
            Err(Error::TIMEOUT_OUT_OF_RANGE)
        );
    }
}
