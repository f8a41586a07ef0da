//! XINFO: the figures of a stream, its groups and their consumers.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::stream_group::Group;
use storage::stream_log::{Counts, StreamEntry, StreamLog};
use storage::{Stream, StreamId};

use crate::commands::options;
use crate::commands::options::is;
use crate::commands::stream::{StreamValue, at_least_zero, int, write_entries, write_entry};
use crate::commands::stream_group::no_group;
use crate::context::Context;
use crate::error::{Error, Outcome};

/// What FULL shows of each list, unless COUNT says otherwise.
const FULL_COUNT_DEFAULT: usize = 10;

/// `XINFO STREAM key [FULL [COUNT count]]`
pub fn xinfo_stream(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = ctx
        .get::<StreamValue>(&args[2])?
        .ok_or(Error::NO_SUCH_KEY)?;
    let full = match (args.get(3), args.get(4), args.get(5)) {
        (None, ..) => None,
        (Some(full), None, _) if is(full, "FULL") => Some(FULL_COUNT_DEFAULT),
        (Some(full), Some(word), Some(count))
            if args.len() == 6 && is(full, "FULL") && is(word, "COUNT") =>
        {
            match options::integer(count)? {
                0 => Some(usize::MAX),
                count if count < 0 => Some(FULL_COUNT_DEFAULT),
                count => Some(at_least_zero(count)),
            }
        }
        _ => return Err(Error::bad_subcommand("XINFO", &args[1])),
    };
    reply.map(if full.is_some() { 9 } else { 10 });
    write_figures(reply, &stream.log);
    match full {
        None => write_ends(reply, stream),
        Some(count) => write_full(reply, stream, count),
    }
    Ok(())
}

fn field(reply: &mut Reply<'_>, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(int(value));
}

fn id_field(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply.bulk(&id.text());
}

fn write_figures(reply: &mut Reply<'_>, log: &StreamLog) {
    let counts = log.counts();
    let nodes = log.node_count() as u64;
    field(reply, "length", counts.len);
    field(reply, "radix-tree-keys", nodes);
    // Redis counts the nodes of its radix tree, which has a root besides the keys.
    field(reply, "radix-tree-nodes", nodes.saturating_add(1));
    id_field(reply, "last-generated-id", counts.last_id);
    id_field(reply, "max-deleted-entry-id", counts.max_deleted_id);
    field(reply, "entries-added", counts.entries_added);
    id_field(reply, "recorded-first-entry-id", counts.first_id);
}

fn write_ends(reply: &mut Reply<'_>, stream: &Stream) {
    field(reply, "groups", stream.group_count() as u64);
    for (name, entry) in [
        ("first-entry", stream.log.first()),
        ("last-entry", stream.log.last()),
    ] {
        reply.bulk(name.as_bytes());
        write_entry_or_null(reply, entry);
    }
}

fn write_entry_or_null(reply: &mut Reply<'_>, entry: Option<StreamEntry<'_>>) {
    match entry {
        Some(entry) => write_entry(reply, &entry),
        None => reply.null(),
    }
}

fn write_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    let counts = stream.log.counts();
    reply.bulk(b"entries");
    let all = StreamId::MIN..=StreamId::MAX;
    write_entries(reply, stream.log.range(all).take(count));
    reply.bulk(b"groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        write_position(reply, group, &counts);
        field(reply, "pel-count", group.pending().len() as u64);
        reply.bulk(b"pending");
        reply.array(group.pending().len().min(count));
        for (id, pending) in group.pending().iter().take(count) {
            reply.array(4);
            reply.bulk(&id.text());
            reply.bulk(group.consumer(pending.owner).map_or(&[], |c| c.name()));
            reply.integer(int(pending.delivered_ms));
            reply.integer(int(pending.deliveries));
        }
        reply.bulk(b"consumers");
        write_full_consumers(reply, group, count);
    }
}

fn write_full_consumers(reply: &mut Reply<'_>, group: &Group, count: usize) {
    reply.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        reply.map(5);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        field(reply, "seen-time", consumer.seen_ms);
        reply.bulk(b"active-time");
        reply.integer(consumer.active_ms.map_or(-1, int));
        field(reply, "pel-count", consumer.pending().len() as u64);
        reply.bulk(b"pending");
        reply.array(consumer.pending().len().min(count));
        for id in consumer.pending().iter().take(count) {
            let pending = group.pending().get(id);
            reply.array(3);
            reply.bulk(&id.text());
            reply.integer(pending.map_or(0, |pending| int(pending.delivered_ms)));
            reply.integer(pending.map_or(0, |pending| int(pending.deliveries)));
        }
    }
}

/// `last-delivered-id`, `entries-read` and `lag`; the latter two nil where deletions made them
/// unknowable.
fn write_position(reply: &mut Reply<'_>, group: &Group, counts: &Counts) {
    id_field(reply, "last-delivered-id", group.last_id());
    for (name, value) in [
        ("entries-read", group.entries_read().map(int)),
        ("lag", group.lag(counts).map(int)),
    ] {
        reply.bulk(name.as_bytes());
        match value {
            Some(value) => reply.integer(value),
            None => reply.null(),
        }
    }
}

/// `XINFO GROUPS key`
pub fn xinfo_groups(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = ctx
        .get::<StreamValue>(&args[2])?
        .ok_or(Error::NO_SUCH_KEY)?;
    let counts = stream.log.counts();
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        field(reply, "consumers", group.consumer_count() as u64);
        field(reply, "pending", group.pending().len() as u64);
        write_position(reply, group, &counts);
    }
    Ok(())
}

/// `XINFO CONSUMERS key group`
pub fn xinfo_consumers(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name, now_ms) = (&args[2], &args[3], ctx.now.ms());
    let stream = ctx.get::<StreamValue>(key)?.ok_or(Error::NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| no_group(key, name))?;
    reply.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        field(reply, "pending", consumer.pending().len() as u64);
        field(reply, "idle", now_ms.saturating_sub(consumer.seen_ms));
        reply.bulk(b"inactive");
        let inactive = consumer.active_ms.map(|ms| now_ms.saturating_sub(ms));
        reply.integer(inactive.map_or(-1, int));
    }
    Ok(())
}
