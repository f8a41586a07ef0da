//! XREAD and XREADGROUP: entries after given ids, of several streams at once.
//!
//! A [`Request`] is parsed, then resolved (`$` becomes the last id there is now), then served. They
//! are apart because a client that waits is served again and again by the same resolved request
//! (see [`crate::blocking`]).

use std::time::Duration;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::{Reply, Version};
use protocol::strtod::c_string;
use storage::{StreamId, UnixMillis};

use crate::blocking::waiting::Null;
use crate::commands::exact::{self, Claims};
use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::stream::{
    StreamValue, at_least_zero, changed_quietly, parse_id, write_entries, write_entry,
};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const NOTHING_BEFORE: Error = Error::new("ERR the stream last element ID is 0-0");

/// What XREAD or XREADGROUP asks for.
pub struct Request<'a> {
    /// XREADGROUP: the group and the consumer.
    pub group: Option<(&'a [u8], &'a [u8])>,
    /// What is delivered is not pending.
    pub no_ack: bool,
    /// Entries of each stream at the most.
    pub count: usize,
    /// Milliseconds to wait where there is nothing; 0 is without end.
    pub block_ms: Option<u64>,
    streams: Vec<(&'a [u8], After)>,
}

/// Where reading begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// Above an id.
    Id(StreamId),
    /// Above what the group has delivered.
    Delivered,
}

impl<'a> Request<'a> {
    /// Reads the arguments and what the ids stand for now. Fails where a key is no stream, or where
    /// a stream has not the group.
    pub fn parse(
        ctx: &mut Context<'_>,
        args: &Args<'a>,
        of_group: bool,
    ) -> Result<Request<'a>, Error> {
        let mut request = Request {
            group: None,
            no_ack: false,
            count: usize::MAX,
            block_ms: None,
            streams: Vec::new(),
        };
        let mut streams = None;
        let mut options = Options::new(args, 1);
        while let Some(word) = options.next() {
            if is(word, "BLOCK") && options.left() > 0 {
                request.block_ms = Some(timeout_ms(options.value()?, ctx.now)?);
            } else if is(word, "COUNT") && options.left() > 0 {
                request.count = match at_least_zero(options::integer(options.value()?)?) {
                    0 => usize::MAX,
                    count => count,
                };
            } else if is(word, "STREAMS") && options.left() > 0 {
                streams = Some(args.tail(options.position()));
                break;
            } else if is(word, "GROUP") && options.left() >= 2 {
                if !of_group {
                    return Err(only_xreadgroup("GROUP"));
                }
                request.group = Some((options.value()?, options.value()?));
            } else if is(word, "NOACK") {
                if !of_group {
                    return Err(only_xreadgroup("NOACK"));
                }
                request.no_ack = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let streams = streams.ok_or(Error::SYNTAX)?;
        if streams.len() % 2 == 1 {
            let (name, newest) = if of_group {
                ("xreadgroup", '>')
            } else {
                ("xread", '$')
            };
            return Err(Error::from_text(format!(
                "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{newest}' must be specified."
            )));
        }
        if of_group && request.group.is_none() {
            return Err(Error::new("ERR Missing GROUP option for XREADGROUP"));
        }
        let ids = streams.tail(streams.len() / 2);
        for (key, id) in streams.iter().zip(ids) {
            let after = request.resolve(ctx, key, id)?;
            request.streams.push((key, after));
        }
        Ok(request)
    }

    fn resolve(&self, ctx: &mut Context<'_>, key: &[u8], id: &[u8]) -> Result<After, Error> {
        let stream = ctx.get::<StreamValue>(key)?;
        if let Some((name, _)) = self.group
            && stream.is_none_or(|stream| stream.group(name).is_none())
        {
            return Err(Error::from_bytes(
                [
                    b"NOGROUP No such key '",
                    c_string(key),
                    b"' or consumer group '",
                    c_string(name),
                    b"' in XREADGROUP with GROUP option",
                ]
                .concat(),
            ));
        }
        let log = stream.map(|stream| &stream.log);
        match id {
            b"$" | b"+" if self.group.is_some() => {
                let sign = char::from(id[0]);
                Err(Error::from_text(format!(
                    "ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The {sign} ID would just return an empty result set."
                )))
            }
            b"$" => Ok(After::Id(log.map_or(StreamId::MIN, |log| log.last_id()))),
            // The last entry itself is wanted: none, as in Redis, where that was deleted.
            b"+" => match log.map(|log| log.last_id().prev()) {
                None => Ok(After::Id(StreamId::MIN)),
                Some(Some(id)) => Ok(After::Id(id)),
                Some(None) => Err(NOTHING_BEFORE),
            },
            b">" if self.group.is_some() => Ok(After::Delivered),
            b">" => Err(Error::new(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
            )),
            text => match parse_id(text, 0)? {
                StreamId::MAX if self.group.is_some() => Ok(After::Delivered),
                id => Ok(After::Id(id)),
            },
        }
    }

    /// The command with the ids that its own stood for when it came.
    fn resolved(&self, args: &Args<'_>) -> OwnedArgs {
        let ids: Vec<Vec<u8>> = self
            .streams
            .iter()
            .map(|(_, after)| match after {
                After::Id(id) => id.text().to_vec(),
                After::Delivered => b">".to_vec(),
            })
            .collect();
        let before = args.len().saturating_sub(ids.len());
        OwnedArgs::from_parts(args.iter().take(before).chain(ids.iter().map(|id| &**id)))
    }

    /// Writes what there is, and answers whether there was anything; nothing is written where not.
    pub fn serve(&self, ctx: &mut Context<'_>, reply: &mut Reply<'_>) -> Result<bool, Error> {
        let mark = reply.begin();
        let mut served = 0;
        for (key, after) in &self.streams {
            let written = match self.group {
                Some(_) => self.serve_group(ctx, key, *after, reply)?,
                None => self.serve_plain(ctx, key, *after, reply)?,
            };
            served += usize::from(written);
        }
        if served > 0 {
            match reply.version() {
                Version::Resp2 => reply.finish_array(mark, served),
                Version::Resp3 => reply.finish_map(mark, served),
            }
        }
        Ok(served > 0)
    }

    fn serve_plain(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        after: After,
        reply: &mut Reply<'_>,
    ) -> Result<bool, Error> {
        let After::Id(after) = after else {
            return Ok(false);
        };
        let Some(stream) = ctx.get::<StreamValue>(key)? else {
            return Ok(false);
        };
        let Some(from) = after.next() else {
            return Ok(false);
        };
        let mut entries = stream
            .log
            .range(from..=StreamId::MAX)
            .take(self.count)
            .peekable();
        if entries.peek().is_none() {
            return Ok(false);
        }
        write_key(reply, key);
        write_entries(reply, entries);
        Ok(true)
    }

    fn serve_group(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        after: After,
        reply: &mut Reply<'_>,
    ) -> Result<bool, Error> {
        let Some((group_name, consumer_name)) = self.group else {
            return Ok(false);
        };
        let (now_ms, is_streamed) = (ctx.now.ms(), ctx.is_streamed());
        let mut delivered = Vec::new();
        let Some(stream) = ctx.read_mut::<StreamValue>(key)? else {
            return Ok(false);
        };
        let counts = stream.log.counts();
        let Some((log, group)) = stream.log_and_group_mut(group_name) else {
            return Ok(false);
        };
        let (me, created) = group.ensure_consumer(consumer_name, now_ms);
        let served = match after {
            After::Id(after) => {
                write_key(reply, key);
                let from = after.next().unwrap_or(StreamId::MAX);
                let history: Vec<_> = group
                    .pending_in(from..=StreamId::MAX, Some(me))
                    .take(self.count)
                    .collect();
                reply.array(history.len());
                for (id, pending) in history {
                    match log.get(id) {
                        Some(entry) => {
                            write_entry(reply, &entry);
                            let deliveries = pending.deliveries.saturating_add(1);
                            group.assign(id, me, now_ms, deliveries);
                        }
                        None => {
                            reply.array(2);
                            reply.bulk(&id.text());
                            reply.null_array();
                        }
                    }
                }
                true
            }
            After::Delivered => {
                let from = group.last_id().next().unwrap_or(StreamId::MAX);
                let mut entries = log.range(from..=StreamId::MAX).take(self.count).peekable();
                // An id that is the very last there can be has nothing after it.
                let any = entries.peek().is_some() && group.last_id() != StreamId::MAX;
                if any {
                    write_key(reply, key);
                    let mark = reply.begin();
                    let mut count = 0;
                    for entry in entries {
                        write_entry(reply, &entry);
                        count += 1;
                        group.advance(entry.id, &counts);
                        if !self.no_ack {
                            group.assign(entry.id, me, now_ms, 1);
                        }
                        if is_streamed && !self.no_ack {
                            delivered.push((entry.id, now_ms, 1));
                        }
                    }
                    reply.finish_array(mark, count);
                    if let (false, Some(me)) = (self.no_ack, group.consumer_mut(me)) {
                        me.active_ms = Some(now_ms);
                    }
                }
                any
            }
        };
        let has_moved = served && after == After::Delivered;
        let claims = Claims {
            group: group_name,
            consumer: consumer_name,
            entries: delivered,
            acknowledged: Vec::new(),
            created,
            position: has_moved.then(|| (group.last_id(), group.entries_read())),
        };
        exact::claimed(ctx, key, &claims);
        if created {
            ctx.changed(key, Event::XGROUP_CREATECONSUMER);
        }
        // That the history was looked at again is on record, but is no change, as in Redis.
        if has_moved {
            changed_quietly(ctx, 1);
        }
        Ok(served)
    }
}

fn write_key(reply: &mut Reply<'_>, key: &[u8]) {
    if reply.version() == Version::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

fn only_xreadgroup(option: &str) -> Error {
    Error::from_text(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

/// A time to wait whose end is a time.
fn timeout_ms(text: &[u8], now: UnixMillis) -> Result<u64, Error> {
    let ms = options::integer(text)
        .map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
    match i64::try_from(ms.saturating_add(now.ms())) {
        Ok(_) => Ok(ms),
        Err(_) => Err(Error::TIMEOUT_OUT_OF_RANGE),
    }
}

/// `XREAD [COUNT count] [BLOCK ms] STREAMS key [key ...] id [id ...]`: pairs of a key and its
/// entries; nil where there is nothing.
pub fn xread(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(ctx, args, reply, false)
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK ms] [NOACK] STREAMS key [key ...] id [id
/// ...]`: with `>` what nobody of the group has got yet, with an id what this consumer has pending
/// after it.
pub fn xreadgroup(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(ctx, args, reply, true)
}

fn read(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, of_group: bool) -> Outcome {
    let request = Request::parse(ctx, args, of_group)?;
    if request.serve(ctx, reply)? {
        return Ok(());
    }
    let Some(block_ms) = request.block_ms else {
        reply.null_array();
        return Ok(());
    };
    let timeout = (block_ms > 0).then(|| Duration::from_millis(block_ms));
    ctx.wait_as(request.resolved(args), timeout, Null::Array)
}
