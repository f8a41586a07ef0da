//! Fields that expire: HEXPIRE and its kin, and Redis 8's HGETEX, HSETEX, HGETDEL.
//!
//! Each answers with an array, one entry a field: -2 where there is no such field.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::{FieldDeadline, Hash, UnixMillis};

use crate::commands::exact;
use crate::commands::expiry::{Base, Scale, Unit};
use crate::commands::hash::limits;
use crate::commands::options;
use crate::commands::options::{Options, integer, is};
use crate::commands::string::write_or_null;
use crate::context::{Context, Deadline};
use crate::error::{Error, Outcome};
use crate::event::Event;

/// The latest deadline of a field, in milliseconds since the epoch: Redis keeps 46 bits.
const DEADLINE_MS_MAX: i64 = 0xffff_ffff_ffff >> 2;

const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const CONDITION_NOT_MET: i64 = 0;
const DONE: i64 = 1;
const DELETED: i64 = 2;

/// The names behind `FIELDS numfields`, which begin at argument `at`.
fn fields<'a>(
    args: &Args<'a>,
    at: usize,
    per_field: usize,
    not_positive: Error,
) -> Result<Args<'a>, Error> {
    if !args.get(at).is_some_and(|word| is(word, "FIELDS")) {
        return Err(Error::new(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.get(at + 1).ok_or(Error::SYNTAX)?;
    let count = options::at_least(1, count, not_positive)?;
    let names = args.tail(at + 2);
    if count.checked_mul(per_field) == Some(names.len()) {
        Ok(names)
    } else {
        Err(Error::new(
            "ERR The `numfields` parameter must match the number of arguments",
        ))
    }
}

/// What a number of fields that is none is answered with: HEXPIRE and its kin say it so, the others
/// otherwise.
const NUMFIELDS_NOT_POSITIVE: Error =
    Error::new("ERR Parameter `numFields` should be greater than 0");
const FIELDS_NOT_POSITIVE: Error = Error::new("ERR Number of fields must be a positive integer");

fn answer_missing(reply: &mut Reply<'_>, fields: usize) -> Outcome {
    reply.array(fields);
    (0..fields).for_each(|_| reply.integer(NO_FIELD));
    Ok(())
}

/// Under which condition a field's deadline is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    NoDeadline,
    SomeDeadline,
    Later,
    Earlier,
}

impl Condition {
    fn of(word: &[u8]) -> Option<Self> {
        [
            ("NX", Self::NoDeadline),
            ("XX", Self::SomeDeadline),
            ("GT", Self::Later),
            ("LT", Self::Earlier),
        ]
        .into_iter()
        .find_map(|(name, condition)| is(word, name).then_some(condition))
    }

    fn holds(self, before: Option<UnixMillis>, after: UnixMillis) -> bool {
        match (self, before) {
            (Self::Always, _) => true,
            (Self::NoDeadline, before) => before.is_none(),
            (Self::SomeDeadline, before) => before.is_some(),
            (Self::Later, before) => before.is_some_and(|before| after > before),
            (Self::Earlier, before) => before.is_none_or(|before| after < before),
        }
    }
}

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field...`
pub fn hexpire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, args, reply, Scale::EX, "hexpire")
}

/// `HPEXPIRE key ms [NX | XX | GT | LT] FIELDS numfields field...`
pub fn hpexpire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, args, reply, Scale::PX, "hpexpire")
}

/// `HEXPIREAT key unix-seconds [NX | XX | GT | LT] FIELDS numfields field...`
pub fn hexpireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, args, reply, Scale::EXAT, "hexpireat")
}

/// `HPEXPIREAT key unix-ms [NX | XX | GT | LT] FIELDS numfields field...`
pub fn hpexpireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, args, reply, Scale::PXAT, "hpexpireat")
}

/// The instant that a number means, within what a field can have.
fn instant(number: i64, scale: Scale, now: UnixMillis, command: &str) -> Result<UnixMillis, Error> {
    if number < 0 {
        return Err(Error::new("ERR invalid expire time, must be >= 0"));
    }
    scale
        .instant_ms(number, now)
        .filter(|ms| *ms <= DEADLINE_MS_MAX)
        .and_then(|ms| u64::try_from(ms).ok())
        .map(UnixMillis::new)
        .ok_or_else(|| Error::invalid_expire(command))
}

fn expire(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
    command: &str,
) -> Outcome {
    let (key, now) = (&args[1], ctx.now);
    ctx.peek_mut::<Hash>(key)?;
    let after = instant(integer(&args[2])?, scale, now, command)?;
    let condition = Condition::of(&args[3]);
    let names_at = 3 + usize::from(condition.is_some());
    let names = fields(args, names_at, 1, NUMFIELDS_NOT_POSITIVE)?;
    let condition = condition.unwrap_or(Condition::Always);
    let Some(hash) = ctx.get_mut::<Hash>(key)? else {
        return answer_missing(reply, names.len());
    };
    hash.expect_deadlines();
    let (mut set, mut deleted) = (0, 0);
    let mut done: Vec<&[u8]> = Vec::new();
    reply.array(names.len());
    for name in names.iter() {
        reply.integer(match hash.deadline(name, now) {
            None => NO_FIELD,
            Some(before) if !condition.holds(before, after) => CONDITION_NOT_MET,
            Some(_) if after <= now => {
                hash.remove(name, now);
                deleted += 1;
                done.push(name);
                DELETED
            }
            Some(_) => {
                hash.set_deadline(name, Some(after));
                set += 1;
                done.push(name);
                DONE
            }
        });
    }
    let now_empty = hash.is_empty();
    if after <= now {
        exact::fields_deleted(ctx, key, &done);
    } else {
        exact::fields_expire(ctx, key, &done, after);
    }
    if set > 0 {
        ctx.changed_by(set, key, Event::HEXPIRE);
    }
    if deleted > 0 {
        ctx.lost(deleted, key, Event::HDEL, now_empty);
    }
    Ok(())
}

/// `HPERSIST key FIELDS numfields field...`
pub fn hpersist(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (&args[1], ctx.now);
    ctx.peek_mut::<Hash>(key)?;
    let names = fields(args, 2, 1, FIELDS_NOT_POSITIVE)?;
    let Some(hash) = ctx.get_mut::<Hash>(key)? else {
        return answer_missing(reply, names.len());
    };
    let mut any = false;
    reply.array(names.len());
    for name in names.iter() {
        reply.integer(match hash.deadline(name, now) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(_)) => {
                any = true;
                hash.set_deadline(name, None);
                DONE
            }
        });
    }
    if any {
        ctx.changed(key, Event::HPERSIST);
    }
    Ok(())
}

/// `HTTL key FIELDS numfields field...`: seconds, rounded up.
pub fn httl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    times(ctx, args, reply, Unit::Seconds, Base::Now)
}

/// `HPTTL key FIELDS numfields field...`: milliseconds.
pub fn hpttl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    times(ctx, args, reply, Unit::Milliseconds, Base::Now)
}

/// `HEXPIRETIME key FIELDS numfields field...`: Unix seconds, rounded up.
pub fn hexpiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    times(ctx, args, reply, Unit::Seconds, Base::Epoch)
}

/// `HPEXPIRETIME key FIELDS numfields field...`: Unix milliseconds.
pub fn hpexpiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    times(ctx, args, reply, Unit::Milliseconds, Base::Epoch)
}

fn times(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    unit: Unit,
    base: Base,
) -> Outcome {
    let now = ctx.now;
    let hash = ctx.get::<Hash>(&args[1])?;
    let names = fields(args, 2, 1, FIELDS_NOT_POSITIVE)?;
    let Some(hash) = hash else {
        return answer_missing(reply, names.len());
    };
    reply.array(names.len());
    for name in names.iter() {
        reply.integer(match hash.deadline(name, now) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(at)) => {
                let ms = match base {
                    Base::Now => at.ms().saturating_sub(now.ms()),
                    Base::Epoch => at.ms(),
                };
                let shown = match unit {
                    Unit::Milliseconds => ms,
                    Unit::Seconds => ms.div_ceil(1000),
                };
                i64::try_from(shown).unwrap_or(i64::MAX)
            }
        });
    }
    Ok(())
}

/// `HGETDEL key FIELDS numfields field...`: the values, whose fields are deleted.
pub fn hgetdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (&args[1], ctx.now);
    ctx.peek_mut::<Hash>(key)?;
    let names = fields(args, 2, 1, FIELDS_NOT_POSITIVE)?;
    reply.array(names.len());
    let Some(hash) = ctx.get_mut::<Hash>(key)? else {
        names.iter().for_each(|_| reply.null());
        return Ok(());
    };
    let (mut deleted, mut done) = (0, Vec::new());
    for name in names.iter() {
        write_or_null(reply, hash.get(name, now));
        if hash.remove(name, now) {
            deleted += 1;
            done.push(name);
        }
    }
    let (now_empty, may_expire) = (hash.is_empty(), hash.may_expire());
    exact::fields_deleted(ctx, key, &done);
    if deleted > 0 {
        ctx.lost(deleted, key, Event::HDEL, now_empty);
    }
    if deleted < names.len() && may_expire {
        ctx.expire_fields(key, names.iter());
    }
    Ok(())
}

/// `HGETEX key [EX seconds | PX ms | EXAT unix-seconds | PXAT unix-ms | PERSIST] FIELDS numfields
/// field...`
pub fn hgetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (&args[1], ctx.now);
    ctx.peek_mut::<Hash>(key)?;
    let (deadline, names_at) = hgetex_deadline(args, now)?;
    let names = fields(args, names_at, 1, FIELDS_NOT_POSITIVE)?;
    reply.array(names.len());
    let Some(hash) = ctx.get_mut::<Hash>(key)? else {
        names.iter().for_each(|_| reply.null());
        return Ok(());
    };
    let (mut event, mut set, mut deleted) = (None, 0, 0);
    let mut done: Vec<&[u8]> = Vec::new();
    for name in names.iter() {
        let value = hash.get(name, now);
        write_or_null(reply, value);
        if value.is_none() {
            continue;
        }
        match deadline {
            Deadline::Keep => {}
            Deadline::Clear => {
                if hash.deadline(name, now).flatten().is_some() {
                    hash.set_deadline(name, None);
                    set += 1;
                    done.push(name);
                    event = Some(Event::HPERSIST);
                }
            }
            Deadline::At(at) if at <= now => {
                deleted += usize::from(hash.remove(name, now));
                done.push(name);
            }
            Deadline::At(at) => {
                hash.set_deadline(name, Some(at));
                set += 1;
                done.push(name);
                event = Some(Event::HEXPIRE);
            }
        }
    }
    let now_empty = hash.is_empty();
    match deadline {
        Deadline::Keep => {}
        Deadline::Clear => exact::fields_persist(ctx, key, &done),
        Deadline::At(at) if at <= now => exact::fields_deleted(ctx, key, &done),
        Deadline::At(at) => exact::fields_expire(ctx, key, &done, at),
    }
    if let Some(event) = event {
        ctx.changed_by(set, key, event);
    }
    if deleted > 0 {
        ctx.lost(deleted, key, Event::HDEL, now_empty);
    }
    Ok(())
}

/// What HGETEX makes of the deadlines, and where its fields begin.
fn hgetex_deadline(args: &Args<'_>, now: UnixMillis) -> Result<(Deadline, usize), Error> {
    let mut options = Options::new(args, 2);
    let mut deadline = Deadline::Keep;
    loop {
        let at = options.position();
        match options.next() {
            Some(word) if is(word, "PERSIST") && deadline == Deadline::Keep => {
                deadline = Deadline::Clear;
            }
            Some(word) => match Scale::of_option(word) {
                Some(scale) if deadline == Deadline::Keep => {
                    let number = integer(options.value()?)?;
                    deadline = Deadline::At(instant(number, scale, now, "hgetex")?);
                }
                Some(_) => return Err(Error::SYNTAX),
                None => return Ok((deadline, at)),
            },
            None => return Ok((deadline, at)),
        }
    }
}

/// `HSETEX key [FNX | FXX] [EX seconds | PX ms | EXAT unix-seconds | PXAT unix-ms | KEEPTTL] FIELDS
/// numfields (field value)...`: 1 where all fields were set, 0 where the condition did not hold for
/// all.
pub fn hsetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, now) = (&args[1], limits(ctx), ctx.now);
    ctx.peek_mut::<Hash>(key)?;
    let mut options = Options::new(args, 2);
    let mut deadline = Deadline::Clear;
    // What must hold of every field: that it is there, or that it is not.
    let mut present = None;
    let pairs_at = loop {
        let at = options.position();
        match options.next() {
            Some(word) if is(word, "FNX") && present.is_none() => present = Some(false),
            Some(word) if is(word, "FXX") && present.is_none() => present = Some(true),
            Some(word) if is(word, "KEEPTTL") && deadline == Deadline::Clear => {
                deadline = Deadline::Keep;
            }
            Some(word) => match Scale::of_option(word) {
                Some(scale) if deadline == Deadline::Clear => {
                    let number = integer(options.value()?)?;
                    deadline = Deadline::At(instant(number, scale, now, "hsetex")?);
                }
                Some(_) => return Err(Error::SYNTAX),
                None => break at,
            },
            None => break at,
        }
    };
    let pairs = fields(args, pairs_at, 2, FIELDS_NOT_POSITIVE)?;
    if let Some(present) = present {
        let hash = ctx.get_mut::<Hash>(key)?;
        let holds = |name| {
            hash.as_ref()
                .is_some_and(|hash| hash.get(name, now).is_some())
                == present
        };
        if !pairs.iter().step_by(2).all(holds) {
            reply.integer(0);
            return Ok(());
        }
    }
    let hash = ctx.get_or_insert(key, Hash::new)?;
    let mode = match deadline {
        Deadline::Keep => FieldDeadline::Keep,
        _ => FieldDeadline::Clear,
    };
    let mut deleted = 0;
    for at in (0..pairs.len()).step_by(2) {
        let name = &pairs[at];
        hash.set(name, &pairs[at + 1], mode, limits, now);
        match deadline {
            Deadline::At(at) if at <= now => deleted += usize::from(hash.remove(name, now)),
            Deadline::At(at) => {
                hash.set_deadline(name, Some(at));
            }
            _ => {}
        }
    }
    let now_empty = hash.is_empty();
    exact::fields_set(ctx, key, &pairs, deadline);
    ctx.changed_by(pairs.len() / 2, key, Event::HSET);
    if let Deadline::At(_) = deadline {
        ctx.notify_event(key, Event::HEXPIRE);
    }
    if deleted > 0 {
        ctx.lost(0, key, Event::HDEL, now_empty);
    }
    reply.integer(1);
    Ok(())
}
