//! XGROUP and XACK: who reads a stream together, and what they are done with.

use protocol::args::Args;
use protocol::reply::Reply;
use protocol::strtod::c_string;
use storage::StreamId;
use storage::stream_group::Group;
use storage::stream_log::StreamLog;

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::stream::{StreamValue, changed_quietly, int, parse_id};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const KEY_MISSING: Error = Error::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// `NOGROUP No such consumer group 'group' for key name 'key'`
pub fn no_group(key: &[u8], group: &[u8]) -> Error {
    Error::from_bytes(
        [
            b"NOGROUP No such consumer group '",
            c_string(group),
            b"' for key name '",
            c_string(key),
            b"'",
        ]
        .concat(),
    )
}

/// `NOGROUP No such key 'key' or consumer group 'group'`
pub fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    Error::from_bytes(
        [
            b"NOGROUP No such key '",
            c_string(key),
            b"' or consumer group '",
            c_string(group),
            b"'",
        ]
        .concat(),
    )
}

/// The options behind `XGROUP CREATE | SETID key group id`.
struct PositionOptions {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl PositionOptions {
    fn parse(args: &Args<'_>, of_create: bool) -> Result<PositionOptions, Error> {
        let mut parsed = PositionOptions {
            make_stream: false,
            entries_read: None,
        };
        let mut options = Options::new(args, 5);
        while let Some(word) = options.next() {
            if of_create && is(word, "MKSTREAM") {
                parsed.make_stream = true;
            } else if is(word, "ENTRIESREAD") && options.left() > 0 {
                parsed.entries_read = match options::integer(options.value()?)? {
                    -1 => None,
                    count => Some(u64::try_from(count).map_err(|_| {
                        Error::new("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(Error::bad_subcommand("XGROUP", &args[1]));
            }
        }
        Ok(parsed)
    }

    /// What is said to have been read, which cannot be more than `log` ever had.
    fn entries_read(&self, log: &StreamLog) -> Option<u64> {
        self.entries_read.map(|read| read.min(log.entries_added()))
    }
}

/// `XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]`
pub fn xgroup_create(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (&args[2], &args[3]);
    let options = PositionOptions::parse(args, true)?;
    let last_id = ctx.peek_mut::<StreamValue>(key)?;
    let last_id = last_id.map(|stream| stream.log.last_id());
    if last_id.is_none() && !options.make_stream {
        return Err(KEY_MISSING);
    }
    let id = match &args[4] {
        b"$" => last_id.unwrap_or(StreamId::MIN),
        text => parse_id(text, 0)?,
    };
    let stream = ctx.get_or_insert(key, StreamValue::default)?;
    let group = Group::new(id, options.entries_read(&stream.log));
    if !stream.add_group(name, group) {
        return Err(Error::new("BUSYGROUP Consumer Group name already exists"));
    }
    if last_id.is_none() {
        ctx.signal_modified(key);
    }
    ctx.changed(key, Event::XGROUP_CREATE);
    reply.ok();
    Ok(())
}

/// `XGROUP SETID key group id | $ | - | + [ENTRIESREAD entries-read]`
pub fn xgroup_setid(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (&args[2], &args[3]);
    let options = PositionOptions::parse(args, false)?;
    let stream = ctx.get_mut::<StreamValue>(key)?.ok_or(KEY_MISSING)?;
    let last_id = stream.log.last_id();
    let entries_read = options.entries_read(&stream.log);
    let group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    let id = match &args[4] {
        b"$" => last_id,
        b"-" => StreamId::MIN,
        b"+" => StreamId::MAX,
        text => parse_id(text, 0)?,
    };
    group.set_position(id, entries_read);
    ctx.changed(key, Event::XGROUP_SETID);
    reply.ok();
    Ok(())
}

/// `XGROUP DESTROY key group`: 1 where there was one.
pub fn xgroup_destroy(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[2];
    let stream = ctx.get_mut::<StreamValue>(key)?.ok_or(KEY_MISSING)?;
    let destroyed = stream.remove_group(&args[3]).is_some();
    if destroyed {
        ctx.changed(key, Event::XGROUP_DESTROY);
    }
    reply.integer(i64::from(destroyed));
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`: 1 where there was none.
pub fn xgroup_createconsumer(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (key, name, now_ms) = (&args[2], &args[3], ctx.now.ms());
    let stream = ctx.get_mut::<StreamValue>(key)?.ok_or(KEY_MISSING)?;
    let group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    let created = group.add_consumer(&args[4], now_ms).is_some();
    if created {
        ctx.changed(key, Event::XGROUP_CREATECONSUMER);
    }
    reply.integer(i64::from(created));
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer`: how many entries it had pending.
pub fn xgroup_delconsumer(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (key, name) = (&args[2], &args[3]);
    let stream = ctx.get_mut::<StreamValue>(key)?.ok_or(KEY_MISSING)?;
    let group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    let removed = group.remove_consumer(&args[4]);
    if removed.is_some() {
        ctx.changed(key, Event::XGROUP_DELCONSUMER);
    }
    reply.integer(int(removed.unwrap_or(0) as u64));
    Ok(())
}

/// `XACK key group id [id ...]`: how many were pending.
pub fn xack(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = ctx.read_mut::<StreamValue>(&args[1])?;
    let Some(group) = stream.and_then(|stream| stream.group_mut(&args[2])) else {
        reply.integer(0);
        return Ok(());
    };
    let ids = args.tail(3);
    for text in ids {
        parse_id(text, 0)?;
    }
    let mut acknowledged = 0;
    for text in ids {
        acknowledged += u64::from(group.acknowledge(parse_id(text, 0)?));
    }
    changed_quietly(ctx, acknowledged);
    reply.integer(int(acknowledged));
    Ok(())
}
