//! OBJECT: how a value is kept, and how long since or how often its key was used. Looking does not
//! count as a use.

use std::ops::Range;

use protocol::args::Args;
use protocol::reply::Reply;
use storage::AccessPolicy;

use crate::context::Context;
use crate::error::{Error, Outcome};

/// `OBJECT ENCODING key`
pub fn encoding(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match ctx.inspect(&args[2]) {
        Some(entry) => reply.bulk(entry.encoding().as_bytes()),
        None => reply.null(),
    }
    Ok(())
}

/// `OBJECT FREQ key`
pub fn freq(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (access, now) = (ctx.access, ctx.now);
    match ctx.inspect(&args[2]) {
        None => reply.null(),
        Some(entry) => {
            let frequency = access.frequency(entry, now).ok_or(Error::new(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
                 policies at runtime LRU and LFU data will take some time to adjust.",
            ))?;
            reply.integer(i64::from(frequency));
        }
    }
    Ok(())
}

/// `OBJECT IDLETIME key`
pub fn idletime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (access, now) = (ctx.access, ctx.now);
    match ctx.inspect(&args[2]) {
        None => reply.null(),
        Some(_) if access.is_lfu() => {
            return Err(Error::new(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
                 runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        Some(entry) => {
            reply.integer(AccessPolicy::idle_time(entry, now).as_secs().cast_signed());
        }
    }
    Ok(())
}

/// `OBJECT REFCOUNT key`: values are never shared. Redis shares small integers, unless each needs a
/// clock of its own for eviction, and says so with the largest number there is.
pub fn refcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const SHARED: Range<i64> = 0..10_000;
    const SHARED_COUNT: i64 = i32::MAX as i64;
    let may_share = ctx.config.maxmemory == 0 || !ctx.config.maxmemory_policy.goes_by_use();
    match ctx.inspect(&args[2]) {
        Some(entry) => {
            let number = entry.as_string().ok().and_then(|text| text.as_int());
            let number = number.filter(|_| entry.encoding() == "int");
            let is_shared = may_share && number.is_some_and(|it| SHARED.contains(&it));
            reply.integer(if is_shared { SHARED_COUNT } else { 1 });
        }
        None => reply.null(),
    }
    Ok(())
}
