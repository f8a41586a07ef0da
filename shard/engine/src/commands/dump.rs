//! DUMP and RESTORE: a value in Redis's own serialized form, to and from clients.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::UnixMillis;
use storage::rdb::{self, NotPayload};

use crate::commands::exact;
use crate::commands::options::{Options, integer, is};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const BUSY_KEY: Error = Error::new("BUSYKEY Target key name already exists.");
const INVALID_TTL: Error = Error::new("ERR Invalid TTL value, must be >= 0");
const INVALID_IDLETIME: Error = Error::new("ERR Invalid IDLETIME value, must be >= 0");
const INVALID_FREQ: Error = Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255");
const WRONG_CHECKSUM: Error = Error::new("ERR DUMP payload version or checksum are wrong");
const BAD_DATA: Error = Error::new("ERR Bad data format");

/// `DUMP key`
pub fn dump(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let compression = ctx.config.compression();
    match ctx.read(&args[1]) {
        Some(entry) => reply.bulk(&rdb::dump(entry, compression)),
        None => reply.null(),
    }
    Ok(())
}

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub fn restore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let (mut replace, mut absolute) = (false, false);
    let (mut idle_s, mut frequency) = (None, None);
    let mut options = Options::new(args, 4);
    while let Some(word) = options.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "ABSTTL") {
            absolute = true;
        } else if is(word, "IDLETIME") && options.left() > 0 && frequency.is_none() {
            let seconds = integer(options.value()?)?;
            idle_s = Some(u64::try_from(seconds).map_err(|_| INVALID_IDLETIME)?);
        } else if is(word, "FREQ") && options.left() > 0 && idle_s.is_none() {
            let counter = integer(options.value()?)?;
            frequency = Some(u8::try_from(counter).map_err(|_| INVALID_FREQ)?);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    if !replace && ctx.peek(key).is_some() {
        return Err(BUSY_KEY);
    }
    let ttl_ms = u64::try_from(integer(&args[2])?).map_err(|_| INVALID_TTL)?;
    let restored = rdb::restore(key, &args[3], &ctx.config.packing_limits());
    let mut entry = match restored {
        Ok(Some(entry)) => entry,
        Ok(None) | Err(NotPayload::Damaged) => return Err(BAD_DATA),
        Err(NotPayload::VersionOrChecksum) => return Err(WRONG_CHECKSUM),
    };
    let replaced = replace && ctx.delete(key);
    let deadline = (ttl_ms > 0).then(|| {
        if absolute {
            UnixMillis::new(ttl_ms)
        } else {
            UnixMillis::new(ctx.now.ms().saturating_add(ttl_ms))
        }
    });
    reply.ok();
    if deadline.is_some_and(|deadline| deadline.has_passed(ctx.now)) {
        if replaced {
            exact::deleted(ctx, key);
            ctx.changed(key, Event::DEL);
        }
        return Ok(());
    }
    ctx.created_in(ctx.selected, key);
    ctx.access.restore(&mut entry, idle_s, frequency, ctx.now);
    ctx.db().insert_new(entry);
    if deadline.is_some() {
        ctx.db().set_deadline(key, deadline);
    }
    exact::restored(ctx, key, &args[3], deadline);
    ctx.changed(key, Event::RESTORE);
    Ok(())
}
