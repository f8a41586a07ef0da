//! XPENDING, XCLAIM and XAUTOCLAIM: what was delivered and not acknowledged, and who takes it over.

use std::ops::RangeInclusive;

use protocol::args::Args;
use protocol::reply::Reply;
use storage::stream_group::{Group, Pending};
use storage::{Stream, StreamId};

use crate::commands::exact::{self, Claims};
use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::stream::{
    StreamValue, at_least_zero, changed_quietly, int, parse_end, parse_id, parse_start, write_entry,
};
use crate::commands::stream_group::no_key_or_group;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// XAUTOCLAIM looks at so many pending entries for each that it may claim.
const ATTEMPTS_PER_CLAIM: u64 = 10;
/// XAUTOCLAIM without COUNT.
const AUTOCLAIM_COUNT_DEFAULT: u64 = 100;
/// The greatest COUNT of XAUTOCLAIM.
const AUTOCLAIM_COUNT_MAX: i64 = i64::MAX / 16;

/// What the long form of XPENDING asks for.
struct PendingOptions<'a> {
    idle_ms_min: u64,
    ids: RangeInclusive<StreamId>,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> PendingOptions<'a> {
    /// `None` is the short form.
    fn parse(args: &Args<'a>) -> Result<Option<PendingOptions<'a>>, Error> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(Error::SYNTAX);
        }
        let mut idle_ms_min = 0;
        let mut at = 3;
        if is(&args[3], "IDLE") {
            idle_ms_min = at_least_zero(options::integer(&args[4])?) as u64;
            at = 5;
        }
        let (Some(start), Some(end), Some(count)) =
            (args.get(at), args.get(at + 1), args.get(at + 2))
        else {
            return Err(Error::SYNTAX);
        };
        Ok(Some(PendingOptions {
            count: at_least_zero(options::integer(count)?),
            ids: parse_start(start)?..=parse_end(end)?,
            idle_ms_min,
            consumer: args.get(at + 3),
        }))
    }
}

/// `XPENDING key group [[IDLE min-idle-ms] start end count [consumer]]`
pub fn xpending(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name, now_ms) = (&args[1], &args[2], ctx.now.ms());
    let options = PendingOptions::parse(args)?;
    let group = ctx
        .get::<StreamValue>(key)?
        .and_then(|stream| stream.group(name))
        .ok_or_else(|| no_key_or_group(key, name))?;
    match options {
        None => write_summary(reply, group),
        Some(options) => write_pending(reply, group, &options, now_ms),
    }
    Ok(())
}

/// How many are pending, the lowest and the highest id, and how many each consumer has.
fn write_summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.integer(int(pending.len() as u64));
    let (Some(first), Some(last)) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply.bulk(&first.0.text());
    reply.bulk(&last.0.text());
    let mark = reply.begin();
    let mut count = 0;
    for (_, consumer) in group.consumers() {
        if !consumer.pending().is_empty() {
            reply.array(2);
            reply.bulk(consumer.name());
            reply.bulk_integer(int(consumer.pending().len() as u64));
            count += 1;
        }
    }
    reply.finish_array(mark, count);
}

/// Of each: id, consumer, milliseconds since it was delivered, deliveries.
fn write_pending(reply: &mut Reply<'_>, group: &Group, options: &PendingOptions<'_>, now_ms: u64) {
    let owner = match options.consumer.map(|name| group.consumer_named(name)) {
        Some(None) => return reply.empty_array(),
        Some(owner) => owner,
        None => None,
    };
    let mark = reply.begin();
    let mut count = 0;
    let all = group.pending_in(options.ids.clone(), owner);
    let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms);
    for (id, pending) in all
        .filter(|(_, pending)| idle_ms(pending) >= options.idle_ms_min)
        .take(options.count)
    {
        reply.array(4);
        reply.bulk(&id.text());
        reply.bulk(group.consumer(pending.owner).map_or(&[], |c| c.name()));
        reply.integer(int(idle_ms(&pending)));
        reply.integer(int(pending.deliveries));
        count += 1;
    }
    reply.finish_array(mark, count);
}

/// The options of XCLAIM.
struct ClaimOptions {
    delivered_ms: u64,
    deliveries: Option<u64>,
    force: bool,
    ids_only: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(args: &Args<'_>, from: usize, now_ms: u64) -> Result<ClaimOptions, Error> {
        let mut parsed = ClaimOptions {
            delivered_ms: now_ms,
            deliveries: None,
            force: false,
            ids_only: false,
            last_id: StreamId::MIN,
        };
        let invalid = |option: &str| {
            Error::from_text(format!("ERR Invalid {option} option argument for XCLAIM"))
        };
        let mut options = Options::new(args, from);
        // A time in the future, or before 1970, is now.
        let past = |ms: Option<i64>| {
            let ms = ms.and_then(|ms| u64::try_from(ms).ok());
            ms.filter(|ms| *ms <= now_ms).unwrap_or(now_ms)
        };
        while let Some(word) = options.next() {
            let valued = options.left() > 0;
            if is(word, "FORCE") {
                parsed.force = true;
            } else if is(word, "JUSTID") {
                parsed.ids_only = true;
            } else if is(word, "IDLE") && valued {
                let idle = options::integer(options.value()?).map_err(|_| invalid("IDLE"))?;
                parsed.delivered_ms = past(int(now_ms).checked_sub(idle));
            } else if is(word, "TIME") && valued {
                let time = options::integer(options.value()?).map_err(|_| invalid("TIME"))?;
                parsed.delivered_ms = past(Some(time));
            } else if is(word, "RETRYCOUNT") && valued {
                let count =
                    options::integer(options.value()?).map_err(|_| invalid("RETRYCOUNT"))?;
                parsed.deliveries = u64::try_from(count).ok();
            } else if is(word, "LASTID") && valued {
                parsed.last_id = parse_id(options.value()?, 0)?;
            } else {
                return Err(Error::from_bytes(
                    [b"ERR Unrecognized XCLAIM option '", word, b"'"].concat(),
                ));
            }
        }
        Ok(parsed)
    }
}

/// The group of XCLAIM and XAUTOCLAIM, with its stream.
fn claimed_stream<'c>(
    ctx: &'c mut Context<'_>,
    key: &[u8],
    group: &[u8],
) -> Result<&'c mut Stream, Error> {
    match ctx.read_mut::<StreamValue>(key)? {
        Some(stream) if stream.group(group).is_some() => Ok(stream),
        _ => Err(no_key_or_group(key, group)),
    }
}

fn idle_ms_min(text: &[u8], command: &str) -> Result<u64, Error> {
    let ms = options::integer(text).map_err(|_| {
        Error::from_text(format!("ERR Invalid min-idle-time argument for {command}"))
    })?;
    Ok(at_least_zero(ms) as u64)
}

/// `XCLAIM key group consumer min-idle-ms id [id ...] [IDLE ms] [TIME unix-ms] [RETRYCOUNT count]
/// [FORCE] [JUSTID] [LASTID id]`: what was taken over, entries or with JUSTID their ids.
pub fn xclaim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name, consumer, now_ms) = (&args[1], &args[2], &args[3], ctx.now.ms());
    claimed_stream(ctx, key, name)?;
    let idle_ms_min = idle_ms_min(&args[4], "XCLAIM")?;
    let ids = args.iter().skip(5).map_while(|text| parse_id(text, 0).ok());
    let options_at = 5 + ids.clone().count();
    let options = ClaimOptions::parse(args, options_at, now_ms)?;

    let mut claims = Claims::of(name, consumer);
    let stream = ctx.peek_mut::<StreamValue>(key)?;
    let Some((log, group)) = stream.and_then(|stream| stream.log_and_group_mut(name)) else {
        return Err(no_key_or_group(key, name));
    };
    let mut changes = 0;
    if options.last_id > group.last_id() {
        let entries_read = group.entries_read();
        group.set_position(options.last_id, entries_read);
        claims.position = Some((options.last_id, entries_read));
        changes += 1;
    }
    let (me, created) = group.ensure_consumer(consumer, now_ms);
    claims.created = created;
    let mark = reply.begin();
    let mut claimed = 0;
    for id in ids {
        let Some(entry) = log.get(id) else {
            // Its entry was deleted: nobody can ever process it.
            if group.acknowledge(id) {
                changes += 1;
                claims.acknowledged.push(id);
            }
            continue;
        };
        let before = match group.pending().get(&id) {
            Some(pending) if now_ms.saturating_sub(pending.delivered_ms) < idle_ms_min => continue,
            Some(pending) => pending.deliveries,
            None if options.force => 1,
            None => continue,
        };
        let deliveries = match options.deliveries {
            Some(deliveries) => deliveries,
            None => before.saturating_add(u64::from(!options.ids_only)),
        };
        group.assign(id, me, options.delivered_ms, deliveries);
        let claim = (id, options.delivered_ms, deliveries);
        claims.entries.push(claim);
        if options.ids_only {
            reply.bulk(&id.text())
        } else {
            write_entry(reply, &entry)
        }
        claimed += 1;
    }
    reply.finish_array(mark, claimed);
    if let (Some(me), true) = (group.consumer_mut(me), claimed > 0) {
        me.active_ms = Some(now_ms);
    }
    exact::claimed(ctx, key, &claims);
    if created {
        ctx.changed(key, Event::XGROUP_CREATECONSUMER);
    }
    changed_quietly(ctx, changes + claimed as u64);
    Ok(())
}

/// What XAUTOCLAIM looks for.
struct Autoclaim {
    idle_ms_min: u64,
    start: StreamId,
    count: u64,
    ids_only: bool,
}

impl Autoclaim {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut wanted = Self {
            idle_ms_min: idle_ms_min(&args[4], "XAUTOCLAIM")?,
            start: parse_start(&args[5])?,
            count: AUTOCLAIM_COUNT_DEFAULT,
            ids_only: false,
        };
        let mut options = Options::new(args, 6);
        while let Some(word) = options.next() {
            if is(word, "COUNT") && options.left() > 0 {
                wanted.count = options::integer(options.value()?)
                    .ok()
                    .filter(|count| (1..=AUTOCLAIM_COUNT_MAX).contains(count))
                    .and_then(|count| u64::try_from(count).ok())
                    .ok_or(Error::new("ERR COUNT must be > 0"))?;
            } else if is(word, "JUSTID") {
                wanted.ids_only = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(wanted)
    }
}

/// `XAUTOCLAIM key group consumer min-idle-ms start [COUNT count] [JUSTID]`: where to go on (0-0 at
/// the end), what was taken over, and the ids of pending entries that were deleted.
pub fn xautoclaim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name, consumer, now_ms) = (&args[1], &args[2], &args[3], ctx.now.ms());
    // The look-up counts, whatever the options are.
    let stream = claimed_stream(ctx, key, name);
    let Autoclaim {
        idle_ms_min,
        start,
        mut count,
        ids_only,
    } = Autoclaim::parse(args)?;
    let stream = stream?;
    let Some((log, group)) = stream.log_and_group_mut(name) else {
        return Err(no_key_or_group(key, name));
    };
    let (me, created) = group.ensure_consumer(consumer, now_ms);
    let mut claims = Claims::of(name, consumer);
    claims.created = created;
    let mut attempts = count.saturating_mul(ATTEMPTS_PER_CLAIM);
    let mut cursor = Some(start);
    // The cursor stands before what was claimed, and is known only after it.
    let mut body = Vec::new();
    let mut entries = Reply::new(&mut body, reply.version());
    while attempts > 0 && count > 0 {
        let next = cursor.and_then(|from| group.pending().range(from..).next());
        let Some((id, pending)) = next.map(|(id, pending)| (*id, *pending)) else {
            cursor = None;
            break;
        };
        cursor = id.next();
        attempts -= 1;
        let Some(entry) = log.get(id) else {
            group.acknowledge(id);
            claims.acknowledged.push(id);
            count -= 1;
            continue;
        };
        if now_ms.saturating_sub(pending.delivered_ms) < idle_ms_min {
            continue;
        }
        let deliveries = pending.deliveries.saturating_add(u64::from(!ids_only));
        group.assign(id, me, now_ms, deliveries);
        claims.entries.push((id, now_ms, deliveries));
        if ids_only {
            entries.bulk(&id.text())
        } else {
            write_entry(&mut entries, &entry)
        }
        count -= 1;
    }
    let (claimed, deleted) = (claims.entries.len(), &claims.acknowledged);
    let rest = cursor.and_then(|from| group.pending().range(from..).next());
    reply.array(3);
    reply.bulk(&rest.map_or(StreamId::MIN, |(id, _)| *id).text());
    reply.array(claimed);
    reply.raw(&body);
    reply.array(deleted.len());
    for id in deleted {
        reply.bulk(&id.text());
    }
    if let (Some(me), true) = (group.consumer_mut(me), claimed > 0) {
        me.active_ms = Some(now_ms);
    }
    let changes = (claimed + deleted.len()) as u64;
    exact::claimed(ctx, key, &claims);
    if created {
        ctx.changed(key, Event::XGROUP_CREATECONSUMER);
    }
    changed_quietly(ctx, changes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;

    use super::*;

    fn parse<R>(words: &str, look: impl FnOnce(&Args<'_>) -> R) -> R {
        look(&OwnedArgs::from_parts(words.split(' ').map(str::as_bytes)).borrow())
    }

    #[test]
    fn pending_has_a_short_and_a_long_form() {
        let count = |words| {
            parse(words, |args| {
                PendingOptions::parse(args).map(|long| long.map(|long| long.count))
            })
        };
        assert_eq!(count("XPENDING k g"), Ok(None));
        assert_eq!(count("XPENDING k g - + 10"), Ok(Some(10)));
        assert_eq!(count("XPENDING k g - + -10 me"), Ok(Some(0)));
        assert_eq!(count("XPENDING k g IDLE 9 - + 10 me"), Ok(Some(10)));
        assert_eq!(count("XPENDING k g - +"), Err(Error::SYNTAX));
        assert_eq!(count("XPENDING k g IDLE 9 - +"), Err(Error::SYNTAX));
    }

    #[test]
    fn claimed_entries_were_delivered_in_the_past() {
        const NOW_MS: u64 = 1_000_000;
        let delivered = |words| {
            parse(words, |args| {
                ClaimOptions::parse(args, 0, NOW_MS).map(|options| options.delivered_ms)
            })
        };
        assert_eq!(delivered("JUSTID"), Ok(NOW_MS));
        assert_eq!(delivered("IDLE 400"), Ok(NOW_MS - 400));
        assert_eq!(delivered("IDLE -400"), Ok(NOW_MS));
        assert_eq!(delivered("IDLE -9223372036854775808"), Ok(NOW_MS));
        assert_eq!(delivered("IDLE 9223372036854775807"), Ok(NOW_MS));
        assert_eq!(delivered("TIME 77"), Ok(77));
        assert_eq!(delivered("TIME -1"), Ok(NOW_MS));
        assert!(delivered("IDLE x").is_err());
        assert!(delivered("TIME").is_err());
    }
}
