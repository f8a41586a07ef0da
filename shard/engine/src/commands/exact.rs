//! What replicas hear of commands that count time from now, or whose result another server might
//! write differently: commands that do the same wherever and whenever they run. As Redis says it.
//!
//! Each of these says all that the command did to a key, and nothing where no replica hears.

use protocol::args::Args;
use storage::{Hash, StreamId, UnixMillis};

use crate::context::{Context, Deadline};

/// The key has a deadline now.
pub fn deadline_set(ctx: &mut Context<'_>, key: &[u8], at: UnixMillis) {
    if ctx.is_streamed() {
        let at = at.ms().to_string();
        ctx.propagate_as(key, &[b"PEXPIREAT", key, at.as_bytes()]);
    }
}

/// The key has no deadline any more.
pub fn deadline_cleared(ctx: &mut Context<'_>, key: &[u8]) {
    if ctx.is_streamed() {
        ctx.propagate_as(key, &[b"PERSIST", key]);
    }
}

/// The key has gone.
pub fn deleted(ctx: &mut Context<'_>, key: &[u8]) {
    if ctx.is_streamed() {
        ctx.propagate_as(key, &[b"DEL", key]);
    }
}

/// The key holds a string that expires.
pub fn string_set(ctx: &mut Context<'_>, key: &[u8], value: &[u8], at: UnixMillis) {
    if ctx.is_streamed() {
        let at = at.ms().to_string();
        ctx.propagate_as(key, &[b"SET", key, value, b"PXAT", at.as_bytes()]);
    }
}

/// The key holds another string, and the deadline that it had.
pub fn string_changed(ctx: &mut Context<'_>, key: &[u8], value: &[u8]) {
    if ctx.is_streamed() {
        ctx.propagate_as(key, &[b"SET", key, value, b"KEEPTTL"]);
    }
}

/// A field of the hash holds another value.
pub fn field_changed(ctx: &mut Context<'_>, key: &[u8], field: &[u8], value: &[u8]) {
    if ctx.is_streamed() {
        ctx.propagate_as(key, &[b"HSET", key, field, value]);
    }
}

/// The key holds what this payload of DUMP says.
pub fn restored(ctx: &mut Context<'_>, key: &[u8], payload: &[u8], at: Option<UnixMillis>) {
    if ctx.is_streamed() {
        let at = at.map_or(0, UnixMillis::ms).to_string();
        let parts: [&[u8]; 6] = [
            b"RESTORE",
            key,
            at.as_bytes(),
            payload,
            b"REPLACE",
            b"ABSTTL",
        ];
        ctx.propagate_as(key, &parts);
    }
}

/// These fields of the hash have a deadline now.
pub fn fields_expire(ctx: &mut Context<'_>, key: &[u8], names: &[&[u8]], at: UnixMillis) {
    if ctx.is_streamed() && !names.is_empty() {
        let (at, count) = (at.ms().to_string(), names.len().to_string());
        let mut parts: Vec<&[u8]> = vec![b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS"];
        parts.push(count.as_bytes());
        parts.extend(names);
        ctx.propagate_as(key, &parts);
    }
}

/// These fields of the hash have no deadline any more.
pub fn fields_persist(ctx: &mut Context<'_>, key: &[u8], names: &[&[u8]]) {
    if ctx.is_streamed() && !names.is_empty() {
        let count = names.len().to_string();
        let mut parts: Vec<&[u8]> = vec![b"HPERSIST", key, b"FIELDS", count.as_bytes()];
        parts.extend(names);
        ctx.propagate_as(key, &parts);
    }
}

/// These fields have gone from the hash.
pub fn fields_deleted(ctx: &mut Context<'_>, key: &[u8], names: &[&[u8]]) {
    if ctx.is_streamed() && !names.is_empty() {
        let mut parts: Vec<&[u8]> = vec![b"HDEL", key];
        parts.extend(names);
        ctx.propagate_as(key, &parts);
    }
}

/// These pairs of fields and values were set, and what became of their deadlines.
pub fn fields_set(ctx: &mut Context<'_>, key: &[u8], pairs: &Args<'_>, deadline: Deadline) {
    if !ctx.is_streamed() {
        return;
    }
    let names: Vec<&[u8]> = pairs.iter().step_by(2).collect();
    let gone = matches!(deadline, Deadline::At(at) if at <= ctx.now);
    if gone {
        return fields_deleted(ctx, key, &names);
    }
    let before: Vec<Option<UnixMillis>> = match deadline {
        Deadline::Keep => names
            .iter()
            .map(|name| field_deadline(ctx, key, name))
            .collect(),
        _ => Vec::new(),
    };
    let mut parts: Vec<&[u8]> = vec![b"HSET", key];
    parts.extend(pairs.iter());
    ctx.propagate_as(key, &parts);
    // HSET clears the deadlines of the fields that it sets.
    match deadline {
        Deadline::At(at) => fields_expire(ctx, key, &names, at),
        Deadline::Clear => {}
        Deadline::Keep => {
            for (name, at) in names.iter().zip(before) {
                if let Some(at) = at {
                    fields_expire(ctx, key, &[name], at);
                }
            }
        }
    }
}

fn field_deadline(ctx: &mut Context<'_>, key: &[u8], name: &[u8]) -> Option<UnixMillis> {
    let now = ctx.now;
    let hash = ctx.peek_mut::<Hash>(key).ok()??;
    hash.deadline(name, now).flatten()
}

/// Entries that a consumer has got, or an administrator has given to it.
pub struct Claims<'a> {
    pub group: &'a [u8],
    pub consumer: &'a [u8],
    /// Each with the time of its delivery, and how often it was delivered.
    pub entries: Vec<(StreamId, u64, u64)>,
    /// Pending entries that were found deleted.
    pub acknowledged: Vec<StreamId>,
    /// The consumer is new.
    pub created: bool,
    /// What the group has read up to, and how many entries: where that has changed.
    pub position: Option<(StreamId, Option<u64>)>,
}

impl<'a> Claims<'a> {
    /// None so far.
    pub fn of(group: &'a [u8], consumer: &'a [u8]) -> Self {
        Self {
            group,
            consumer,
            entries: Vec::new(),
            acknowledged: Vec::new(),
            created: false,
            position: None,
        }
    }
}

/// A group of the stream, and its consumer, have changed so.
pub fn claimed(ctx: &mut Context<'_>, key: &[u8], claims: &Claims<'_>) {
    if !ctx.is_streamed() {
        return;
    }
    let Claims {
        group, consumer, ..
    } = *claims;
    if claims.created && claims.entries.is_empty() {
        ctx.propagate_as(key, &[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
    }
    for (id, delivered_ms, deliveries) in &claims.entries {
        let (id, at, times) = (id.text(), delivered_ms.to_string(), deliveries.to_string());
        let parts: [&[u8]; 12] = [
            b"XCLAIM",
            key,
            group,
            consumer,
            b"0",
            &id,
            b"TIME",
            at.as_bytes(),
            b"RETRYCOUNT",
            times.as_bytes(),
            b"FORCE",
            b"JUSTID",
        ];
        ctx.propagate_as(key, &parts);
    }
    for id in &claims.acknowledged {
        ctx.propagate_as(key, &[b"XACK", key, group, &id.text()]);
    }
    if let Some((id, read)) = claims.position {
        let id = id.text();
        let read = read.map_or(-1, |read| i64::try_from(read).unwrap_or(i64::MAX));
        let read = read.to_string();
        let mut parts: Vec<&[u8]> = vec![b"XGROUP", b"SETID", key, group, &id];
        parts.extend([b"ENTRIESREAD".as_slice(), read.as_bytes()]);
        ctx.propagate_as(key, &parts);
    }
}
