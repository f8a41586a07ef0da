//! Keys of any type: deleting, renaming, moving, and when they expire.

use protocol::args::Args;
use protocol::reply::Reply;
use protocol::strtod;
use storage::UnixMillis;

use crate::commands::copy::database;
use crate::commands::exact;
use crate::commands::expiry::Scale;
use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// `DEL key [key ...]`: how many were there. Big values are freed on another thread, as UNLINK's.
pub fn del(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut deleted = 0;
    for key in args.iter().skip(1) {
        if ctx.delete(key) {
            ctx.changed(key, Event::DEL);
            deleted += 1;
        }
    }
    reply.integer(deleted);
    Ok(())
}

/// `UNLINK key [key ...]`
pub fn unlink(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    del(ctx, args, reply)
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub fn copy(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::copy::copy(ctx, args, reply)
}

/// `EXISTS key [key ...]`: how many are there; a key named twice counts twice.
pub fn exists(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut found = 0;
    for key in args.iter().skip(1) {
        let there = ctx.peek(key).is_some();
        ctx.looked_up(key, there);
        found += i64::from(there);
    }
    reply.integer(found);
    Ok(())
}

/// `TOUCH key [key ...]`: how many are there; their last use is now, under CLIENT NO-TOUCH, too.
pub fn touch(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    ctx.caller.no_touch = false;
    let found = args
        .iter()
        .skip(1)
        .filter(|key| ctx.read(key).is_some())
        .count();
    reply.integer(found as i64);
    Ok(())
}

/// `TYPE key`
pub fn type_(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let kind = ctx.peek(&args[1]).map(|entry| entry.kind().name());
    ctx.looked_up(&args[1], kind.is_some());
    reply.simple(kind.unwrap_or("none"));
    Ok(())
}

/// `RENAME key newkey`
pub fn rename(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    ctx.expect_key(&args[1])?;
    if args[1] != args[2] {
        rename_to(ctx, &args[1], &args[2]);
    }
    reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`: 1 where it was renamed, 0 where the new name is taken.
pub fn renamenx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    ctx.expect_key(&args[1])?;
    let free = ctx.find(&args[2]).is_none();
    if free {
        rename_to(ctx, &args[1], &args[2])
    } else {
        _ = ctx.find(&args[1])
    }
    reply.integer(i64::from(free));
    Ok(())
}

fn rename_to(ctx: &mut Context<'_>, from: &[u8], to: &[u8]) {
    let Some(mut entry) = ctx.take(from) else {
        return;
    };
    ctx.delete(to);
    entry.rename(to);
    ctx.insert(entry);
    ctx.changed(from, Event::RENAME_FROM);
    ctx.notify_event(to, Event::RENAME_TO);
}

/// `MOVE key db`: 1 where it was moved, 0 where it is missing or there already.
pub fn move_(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let to = database(ctx, &args[2])?;
    if to == ctx.selected {
        return Err(Error::SAME_OBJECT);
    }
    let moved = ctx.peek(key).is_some() && ctx.peek_in(to, key).is_none();
    if moved && let Some(entry) = ctx.take(key) {
        ctx.insert_in(to, entry);
        ctx.notify_event(key, Event::MOVE_FROM);
        ctx.changed_in(to, key, Event::MOVE_TO);
    }
    reply.integer(i64::from(moved));
    Ok(())
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub fn expire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_deadline(ctx, args, reply, Scale::EX, "expire")
}

/// `PEXPIRE key ms [NX | XX | GT | LT]`
pub fn pexpire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_deadline(ctx, args, reply, Scale::PX, "pexpire")
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`
pub fn expireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_deadline(ctx, args, reply, Scale::EXAT, "expireat")
}

/// `PEXPIREAT key unix-ms [NX | XX | GT | LT]`
pub fn pexpireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_deadline(ctx, args, reply, Scale::PXAT, "pexpireat")
}

/// Under which condition a deadline is set.
#[derive(Clone, Copy, Default)]
struct Conditions {
    no_deadline: bool,
    some_deadline: bool,
    later: bool,
    earlier: bool,
}

impl Conditions {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut conditions = Self::default();
        for word in Options::new(args, 3) {
            match () {
                () if is(word, "NX") => conditions.no_deadline = true,
                () if is(word, "XX") => conditions.some_deadline = true,
                () if is(word, "GT") => conditions.later = true,
                () if is(word, "LT") => conditions.earlier = true,
                () => {
                    let word = strtod::c_string(word);
                    return Err(Error::from_bytes(
                        [b"ERR Unsupported option ", word].concat(),
                    ));
                }
            }
        }
        if conditions.no_deadline
            && (conditions.some_deadline || conditions.later || conditions.earlier)
        {
            return Err(Error::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if conditions.later && conditions.earlier {
            return Err(Error::new(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    /// Whether they hold for a key with deadline `before` that is to get `after`. No deadline is
    /// later than any.
    fn hold(self, before: Option<UnixMillis>, after_ms: i64) -> bool {
        let before_ms = before.map_or(i64::MAX, |at| i64::try_from(at.ms()).unwrap_or(i64::MAX));
        !(self.no_deadline && before.is_some()
            || self.some_deadline && before.is_none()
            || self.later && (before.is_none() || after_ms <= before_ms)
            || self.earlier && before.is_some() && after_ms >= before_ms)
    }
}

fn set_deadline(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
    command: &str,
) -> Outcome {
    let key = &args[1];
    let conditions = Conditions::parse(args)?;
    let after_ms = scale
        .instant_ms(options::integer(&args[2])?, ctx.now)
        .ok_or_else(|| Error::invalid_expire(command))?;
    let held = ctx
        .find(key)
        .is_some_and(|entry| conditions.hold(entry.deadline(), after_ms));
    if held {
        match u64::try_from(after_ms) {
            Ok(ms) if ms > ctx.now.ms() => {
                ctx.db().set_deadline(key, Some(UnixMillis::new(ms)));
                exact::deadline_set(ctx, key, UnixMillis::new(ms));
                ctx.changed(key, Event::EXPIRE);
            }
            // Its time has come already.
            _ => {
                ctx.delete(key);
                exact::deleted(ctx, key);
                ctx.changed(key, Event::DEL);
            }
        }
    }
    reply.integer(i64::from(held));
    Ok(())
}

/// `PERSIST key`: 1 where it had a deadline.
pub fn persist(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let had = ctx.find(key).and_then(|entry| entry.deadline()).is_some();
    if had {
        ctx.db().set_deadline(key, None);
        ctx.changed(key, Event::PERSIST);
    }
    reply.integer(i64::from(had));
    Ok(())
}

/// `TTL key`: seconds, rounded to the nearest.
pub fn ttl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    time(ctx, args, reply, |at| {
        (at.since(now).as_millis() as i64 + 500) / 1000
    })
}

/// `PTTL key`: milliseconds.
pub fn pttl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = ctx.now;
    time(ctx, args, reply, |at| at.since(now).as_millis() as i64)
}

/// `EXPIRETIME key`: the deadline in Unix seconds, rounded to the nearest.
pub fn expiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    time(ctx, args, reply, |at| {
        i64::try_from(at.ms().saturating_add(500) / 1000).unwrap_or(i64::MAX)
    })
}

/// `PEXPIRETIME key`: the deadline in Unix milliseconds.
pub fn pexpiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    time(ctx, args, reply, |at| {
        i64::try_from(at.ms()).unwrap_or(i64::MAX)
    })
}

/// What `show` makes of the deadline; -1 where there is none, -2 where there is no key.
fn time(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    show: impl FnOnce(UnixMillis) -> i64,
) -> Outcome {
    let deadline = ctx.peek(&args[1]).map(|entry| entry.deadline());
    ctx.looked_up(&args[1], deadline.is_some());
    reply.integer(match deadline {
        None => -2,
        Some(deadline) => deadline.map_or(-1, show),
    });
    Ok(())
}
