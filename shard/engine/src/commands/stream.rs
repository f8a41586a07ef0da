//! Streams: appending, deleting, trimming and ranges. Their groups are in `stream_group`, reading
//! in `stream_read`.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::stream_log::{AppendError, Keep, Precision, StreamEntry, StreamLimits};
use storage::{NewId, Stream, StreamId};

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// As a key holds it.
pub type StreamValue = Box<Stream>;

/// Approximate trimming without LIMIT stops after so many entries for each that a node may hold,
const TRIM_LIMIT_PER_NODE_ENTRY: u64 = 100;
/// after so many where nodes are not limited,
const TRIM_LIMIT_DEFAULT: u64 = 10_000;
/// and after so many in any case.
const TRIM_LIMIT_MAX: u64 = 1_000_000;
/// Longest text that is looked at as an id.
const ID_BYTES_MAX: usize = 127;

const INVALID_ID: Error = Error::new("ERR Invalid stream ID specified as stream command argument");
const ID_ZERO: Error = Error::new("ERR The ID specified in XADD must be greater than 0-0");
const INVALID_START: Error = Error::new("ERR invalid start ID for the interval");
const INVALID_END: Error = Error::new("ERR invalid end ID for the interval");

// Ids and entries, for all commands on streams.

/// `ms-seq` or `ms`, with `missing_seq` in the latter case.
pub fn parse_id(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    if text.len() > ID_BYTES_MAX {
        return Err(INVALID_ID);
    }
    StreamId::parse(text, missing_seq).ok_or(INVALID_ID)
}

/// The id of a new entry.
fn parse_new_id(text: &[u8]) -> Result<NewId, Error> {
    if text.len() > ID_BYTES_MAX {
        return Err(INVALID_ID);
    }
    NewId::parse(text).ok_or(INVALID_ID)
}

/// A bound of an interval: also `-` and `+`; true where a `(` before an id leaves the id itself
/// out.
fn parse_bound(text: &[u8], missing_seq: u64) -> Result<(StreamId, bool), Error> {
    match text {
        b"-" => Ok((StreamId::MIN, false)),
        b"+" => Ok((StreamId::MAX, false)),
        [b'(', id @ ..] if !id.is_empty() => Ok((parse_id(id, missing_seq)?, true)),
        id => Ok((parse_id(id, missing_seq)?, false)),
    }
}

/// The first id of an interval that begins with `text`.
pub fn parse_start(text: &[u8]) -> Result<StreamId, Error> {
    match parse_bound(text, 0)? {
        (id, false) => Ok(id),
        (id, true) => id.next().ok_or(INVALID_START),
    }
}

/// The last id of an interval that ends with `text`.
pub fn parse_end(text: &[u8]) -> Result<StreamId, Error> {
    match parse_bound(text, u64::MAX)? {
        (id, false) => Ok(id),
        (id, true) => id.prev().ok_or(INVALID_END),
    }
}

/// An entry: `[id, [name, value, ...]]`.
pub fn write_entry(reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
    reply.array(2);
    reply.bulk(&entry.id.text());
    reply.array(entry.fields.len().saturating_mul(2));
    for (name, value) in entry.fields.clone() {
        reply.bulk(&name);
        reply.bulk(&value);
    }
}

/// A list of entries whose number is not known before. Answers how many there were.
pub fn write_entries<'a>(
    reply: &mut Reply<'_>,
    entries: impl Iterator<Item = StreamEntry<'a>>,
) -> usize {
    let mark = reply.begin();
    let mut count = 0;
    for entry in entries {
        write_entry(reply, &entry);
        count += 1;
    }
    reply.finish_array(mark, count);
    count
}

/// A length as a reply's integer.
pub fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A change of a group's bookkeeping: counted, but neither watchers nor notifications hear of it,
/// as in Redis.
pub fn changed_quietly(ctx: &mut Context<'_>, times: u64) {
    ctx.effects.dirty += times;
}

fn limits(ctx: &Context<'_>) -> StreamLimits {
    StreamLimits {
        node_bytes_max: ctx.config.stream_node_max_bytes,
        node_entries_max: ctx.config.stream_node_max_entries,
    }
}

// Appending and trimming.

/// What XADD and XTRIM say about trimming.
struct Trim {
    keep: Keep,
    precision: Precision,
}

/// The part that XADD and XTRIM share: `[NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT
/// count]]`.
struct TrimOptions {
    trim: Option<Trim>,
    make_stream: bool,
    /// XADD: the id, and the number of its argument.
    id: Option<NewId>,
    id_at: usize,
}

impl TrimOptions {
    fn parse(ctx: &Context<'_>, args: &Args<'_>, of_xadd: bool) -> Result<TrimOptions, Error> {
        let mut keep = None;
        let mut approximate = false;
        let mut limit = None;
        let mut make_stream = true;
        let mut id = None;
        let mut id_at = args.len();
        let mut options = Options::new(args, 2);
        while let Some(word) = options.next() {
            let by_length = is(word, "MAXLEN");
            if of_xadd && word == b"*" {
                id = Some(NewId::Auto);
                id_at = options.position() - 1;
                break;
            } else if (by_length || is(word, "MINID")) && options.left() > 0 {
                if keep.is_some() {
                    return Err(Error::new(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let mut threshold = options.value()?;
                approximate = threshold == b"~" && options.left() > 0;
                if approximate || threshold == b"=" && options.left() > 0 {
                    threshold = options.value()?;
                }
                keep = Some(if by_length {
                    Keep::Newest(
                        u64::try_from(options::integer(threshold)?)
                            .map_err(|_| Error::new("ERR The MAXLEN argument must be >= 0."))?,
                    )
                } else {
                    Keep::From(parse_id(threshold, 0)?)
                });
            } else if is(word, "LIMIT") && options.left() > 0 {
                let count = options::integer(options.value()?)?;
                limit = Some(
                    u64::try_from(count)
                        .map_err(|_| Error::new("ERR The LIMIT argument must be >= 0."))?,
                );
            } else if of_xadd && is(word, "NOMKSTREAM") {
                make_stream = false;
            } else if of_xadd {
                id = Some(parse_new_id(word)?);
                id_at = options.position() - 1;
                break;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if keep.is_none() && limit.is_some_and(|limit| limit > 0) {
            return Err(Error::new(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if keep.is_none() && !of_xadd {
            return Err(Error::new(
                "ERR syntax error, XTRIM must be called with either MAXLEN or MINID",
            ));
        }
        if limit.is_some() && !approximate {
            return Err(Error::new(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        let precision = if approximate {
            Precision::Nodes {
                entries_max: limit.unwrap_or_else(|| default_trim_limit(ctx)),
            }
        } else {
            Precision::Exact
        };
        Ok(TrimOptions {
            trim: keep.map(|keep| Trim { keep, precision }),
            make_stream,
            id,
            id_at,
        })
    }
}

fn default_trim_limit(ctx: &Context<'_>) -> u64 {
    match ctx.config.stream_node_max_entries as u64 {
        0 => TRIM_LIMIT_DEFAULT,
        entries => entries
            .saturating_mul(TRIM_LIMIT_PER_NODE_ENTRY)
            .min(TRIM_LIMIT_MAX),
    }
}

fn append_error(error: AppendError) -> Error {
    match error {
        AppendError::IdZero => ID_ZERO,
        AppendError::IdNotGreater => Error::new(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
        AppendError::Exhausted => Error::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ),
        AppendError::TooLarge => Error::new("ERR Elements are too large to be stored"),
    }
}

/// The names and values from argument `from` on.
#[derive(Clone)]
struct Pairs<'a>(protocol::args::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// `XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value
/// [field value ...]`: the new entry's id.
pub fn xadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let options = TrimOptions::parse(ctx, args, true)?;
    let new = options.id.ok_or(Error::arity("xadd"))?;
    let fields = args.tail(options.id_at + 1);
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(Error::arity("xadd"));
    }
    if new == NewId::Exact(StreamId::MIN) {
        return Err(ID_ZERO);
    }
    let (limits, now_ms) = (limits(ctx), ctx.now.ms());
    if !options.make_stream && ctx.get_mut::<StreamValue>(key)?.is_none() {
        reply.null();
        return Ok(());
    }
    let stream = ctx.get_or_insert(key, StreamValue::default)?;
    let appended = stream
        .log
        .append(&limits, new, now_ms, Pairs(fields.iter()));
    let id = match appended {
        Ok(id) => id,
        Err(error) => {
            if stream.is_pristine() {
                ctx.delete(key);
            }
            return Err(append_error(error));
        }
    };
    let trimmed = options
        .trim
        .map_or(0, |trim| stream.log.trim(trim.keep, trim.precision));
    let len = stream.log.len();
    if ctx.is_logged() {
        let id = id.text();
        let mut parts: Vec<&[u8]> = vec![b"XADD", key, &id];
        parts.extend(fields.iter());
        ctx.propagate_as(key, &parts);
        log_trim(ctx, key, trimmed, len);
    }
    ctx.changed(key, Event::XADD);
    if trimmed > 0 {
        ctx.notify_event(key, Event::XTRIM);
    }
    reply.bulk(&id.text());
    Ok(())
}

/// Says what trimming left: where `~` cuts depends on how entries lie in memory, which is another
/// matter after a restart.
fn log_trim(ctx: &mut Context<'_>, key: &[u8], trimmed: u64, len: u64) {
    if trimmed > 0 {
        let len = len.to_string();
        ctx.propagate_as(key, &[b"XTRIM", key, b"MAXLEN", b"=", len.as_bytes()]);
    }
}

/// `XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]`: how many entries went.
pub fn xtrim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let options = TrimOptions::parse(ctx, args, false)?;
    let (trimmed, len) = match (ctx.get_mut::<StreamValue>(key)?, options.trim) {
        (Some(stream), Some(trim)) => {
            let trimmed = stream.log.trim(trim.keep, trim.precision);
            (trimmed, stream.log.len())
        }
        _ => (0, 0),
    };
    log_trim(ctx, key, trimmed, len);
    if trimmed > 0 {
        ctx.changed_by(trimmed as usize, key, Event::XTRIM);
    }
    reply.integer(int(trimmed));
    Ok(())
}

/// `XDEL key id [id ...]`: how many entries went.
pub fn xdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let Some(stream) = ctx.get_mut::<StreamValue>(key)? else {
        reply.integer(0);
        return Ok(());
    };
    let ids = args.tail(2);
    for text in ids {
        parse_id(text, 0)?;
    }
    let mut deleted = 0;
    for text in ids {
        deleted += u64::from(stream.log.delete(parse_id(text, 0)?));
    }
    if deleted > 0 {
        ctx.changed_by(deleted as usize, key, Event::XDEL);
    }
    reply.integer(int(deleted));
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`
pub fn xsetid(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = &args[1];
    let id = parse_id(&args[2], 0)?;
    let mut entries_added = None;
    let mut max_deleted_id = None;
    let mut options = Options::new(args, 3);
    while let Some(word) = options.next() {
        if is(word, "ENTRIESADDED") && options.left() > 0 {
            let count = options::integer(options.value()?)?;
            entries_added = Some(
                u64::try_from(count)
                    .map_err(|_| Error::new("ERR entries_added must be positive"))?,
            );
        } else if is(word, "MAXDELETEDID") && options.left() > 0 {
            let deleted = parse_id(options.value()?, 0)?;
            if id < deleted {
                return Err(Error::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted_id = Some(deleted);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let stream = ctx.get_mut::<StreamValue>(key)?.ok_or(Error::NO_SUCH_KEY)?;
    let log = &mut stream.log;
    if id < log.max_deleted_id() {
        return Err(Error::new(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if log.last().is_some_and(|last| id < last.id) {
        return Err(Error::new(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if entries_added.is_some_and(|count| count < log.len()) {
        return Err(Error::new(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    log.set_last_id(id);
    if let Some(count) = entries_added {
        log.set_entries_added(count);
    }
    if let Some(deleted) = max_deleted_id.filter(|id| *id != StreamId::MIN) {
        log.set_max_deleted_id(deleted);
    }
    ctx.changed(key, Event::XSETID);
    reply.ok();
    Ok(())
}

// Looking.

/// `XLEN key`
pub fn xlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = ctx.get::<StreamValue>(&args[1])?;
    reply.integer(stream.map_or(0, |stream| int(stream.log.len())));
    Ok(())
}

/// `XRANGE key start end [COUNT count]`
pub fn xrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ids = parse_start(&args[2])?..=parse_end(&args[3])?;
    let count = range_count(args)?;
    match ctx.get::<StreamValue>(&args[1])? {
        None => reply.empty_array(),
        Some(_) if count == Some(0) => reply.null_array(),
        Some(stream) => {
            let entries = stream.log.range(ids).take(count.unwrap_or(usize::MAX));
            write_entries(reply, entries);
        }
    }
    Ok(())
}

/// `XREVRANGE key end start [COUNT count]`: the same, last entry first.
pub fn xrevrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ids = parse_start(&args[3])?..=parse_end(&args[2])?;
    let count = range_count(args)?;
    match ctx.get::<StreamValue>(&args[1])? {
        None => reply.empty_array(),
        Some(_) if count == Some(0) => reply.null_array(),
        Some(stream) => {
            let entries = stream.log.range_back(ids).take(count.unwrap_or(usize::MAX));
            write_entries(reply, entries);
        }
    }
    Ok(())
}

fn range_count(args: &Args<'_>) -> Result<Option<usize>, Error> {
    let mut count = None;
    let mut options = Options::new(args, 4);
    while let Some(word) = options.next() {
        if !is(word, "COUNT") || options.left() == 0 {
            return Err(Error::SYNTAX);
        }
        count = Some(at_least_zero(options::integer(options.value()?)?));
    }
    Ok(count)
}

/// A count; what is below zero counts as zero.
pub fn at_least_zero(count: i64) -> usize {
    usize::try_from(count.max(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_may_leave_their_ends_out() {
        let id = StreamId::new;
        assert_eq!(parse_start(b"-"), Ok(StreamId::MIN));
        assert_eq!(parse_end(b"+"), Ok(StreamId::MAX));
        assert_eq!(parse_start(b"7"), Ok(id(7, 0)));
        assert_eq!(parse_end(b"7"), Ok(id(7, u64::MAX)));
        assert_eq!(parse_start(b"(7"), Ok(id(7, 1)));
        assert_eq!(parse_end(b"(7"), Ok(id(7, u64::MAX - 1)));
        assert_eq!(parse_end(b"(7-0"), Ok(id(6, u64::MAX)));
        let last = "(18446744073709551615-18446744073709551615";
        assert_eq!(parse_start(last.as_bytes()), Err(INVALID_START));
        assert_eq!(parse_end(b"(0-0"), Err(INVALID_END));
        for bad in [&b"("[..], b"(-", b"", b"7-", b"x"] {
            assert_eq!(parse_start(bad), Err(INVALID_ID));
        }
        assert_eq!(parse_id(&[b'0'; ID_BYTES_MAX + 1], 0), Err(INVALID_ID));
    }
}
