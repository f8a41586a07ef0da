//! Streams: their entries as Redis's listpacks, then the counters, then the groups.
//!
//! ```text
//! stream    nodes (master-id(16, BE) listpack)*
//!           entries last-id [first-id greatest-deleted-id entries-added]
//!           groups (name last-id [entries-read] pending (id(16) time(8) deliveries)*
//!                   consumers (name seen(8) [active(8)] pending id(16)*)* )*
//!
//! listpack  count deleted fields name*fields 0                          the master entry
//!           (flags ms-difference seq-difference value*fields back       with the master's names
//!           |flags ms-difference seq-difference n (name value)*n back)*
//! ```
//! `back` counts the elements before it, for readers that come from behind.

use super::Format;
use super::codes::Type;
use super::read::{Damage, Input};
use super::write::{self, Compression};
use crate::item::Item;
use crate::listpack::Listpack;
use crate::stream::Stream;
use crate::stream_group::{Consumer, Group};
use crate::stream_id::{NewId, StreamId};
use crate::stream_log::{Counts, StreamEntry, StreamLimits, StreamLog};

const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// What Redis writes where it does not know how many entries a group has read, or when a consumer
/// was active.
const UNKNOWN: u64 = u64::MAX;

/// A written node has no more entries, and no more bytes before the last: Redis's own defaults.
const NODE_ENTRIES_MAX: u64 = 100;
const NODE_BYTES_MAX: usize = 4096;

/// Bytes that the names of one node may come to over all its entries.
const NAME_BYTES_TOLD_MAX: usize = 1 << 30;

pub(super) fn write(stream: &Stream, out: &mut Vec<u8>, format: Format, compression: Compression) {
    write_nodes(stream, out, compression);
    let counts = stream.log.counts();
    write::length(out, counts.len);
    write_id(out, counts.last_id);
    write_id(out, counts.first_id);
    write_id(out, counts.max_deleted_id);
    write::length(out, counts.entries_added);
    write::length(out, stream.group_count() as u64);
    for (name, group) in stream.groups() {
        write::string(out, name, compression);
        write_id(out, group.last_id());
        write::length(out, group.entries_read().unwrap_or(UNKNOWN));
        write_pending(group, out);
        write::length(out, group.consumer_count() as u64);
        for (_, consumer) in group.consumers() {
            write::string(out, consumer.name(), compression);
            write::millis(out, consumer.seen_ms);
            if format == Format::Current {
                write::millis(out, consumer.active_ms.unwrap_or(UNKNOWN));
            }
            write_owned(consumer, out);
        }
    }
}

/// The entries, all versions alike.
pub(super) fn write_nodes(stream: &Stream, out: &mut Vec<u8>, compression: Compression) {
    let mut nodes = Vec::new();
    let mut count = 0;
    let mut entries = stream.log.range(StreamId::MIN..=StreamId::MAX);
    let mut next = entries.next();
    while let Some(master) = next {
        let mut node = NodeWriter::new(&master);
        next = Some(master);
        while let Some(entry) = next.take_if(|_| node.has_room()) {
            node.push(&entry);
            next = entries.next();
        }
        nodes.extend_from_slice(&[16]);
        nodes.extend(node.master.to_be_bytes());
        write::string(&mut nodes, node.finish().as_bytes(), compression);
        count += 1;
    }
    write::length(out, count);
    out.extend(nodes);
}

/// What a group has delivered and not seen acknowledged.
pub(super) fn write_pending(group: &Group, out: &mut Vec<u8>) {
    write::length(out, group.pending().len() as u64);
    for (id, pending) in group.pending() {
        out.extend(id.to_be_bytes());
        write::millis(out, pending.delivered_ms);
        write::length(out, pending.deliveries);
    }
}

/// What of it a consumer has.
pub(super) fn write_owned(consumer: &Consumer, out: &mut Vec<u8>) {
    write::length(out, consumer.pending().len() as u64);
    for id in consumer.pending() {
        out.extend(id.to_be_bytes());
    }
}

pub(super) fn write_id(out: &mut Vec<u8>, id: StreamId) {
    write::length(out, id.ms);
    write::length(out, id.seq);
}

struct NodeWriter {
    master: StreamId,
    names: Vec<Vec<u8>>,
    entries: Listpack,
    count: u64,
}

impl NodeWriter {
    fn new(master: &StreamEntry<'_>) -> Self {
        Self {
            master: master.id,
            names: master
                .fields
                .clone()
                .map(|(name, _)| name.to_vec())
                .collect(),
            entries: Listpack::new(),
            count: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.count < NODE_ENTRIES_MAX && self.entries.byte_len() < NODE_BYTES_MAX
    }

    fn push(&mut self, entry: &StreamEntry<'_>) {
        let fields = entry.fields.len();
        let names = entry.fields.clone().map(|(name, _)| name);
        let same = fields == self.names.len() && names.zip(&self.names).all(|(a, b)| *a == **b);
        let mut elements = 3;
        self.int(if same { SAME_NAMES } else { 0 });
        // Differences wrap as Redis's do.
        self.int(entry.id.ms.wrapping_sub(self.master.ms) as i64);
        self.int(entry.id.seq.wrapping_sub(self.master.seq) as i64);
        if !same {
            self.int(fields as i64);
            elements += 1;
        }
        for (name, value) in entry.fields.clone() {
            if !same {
                self.entries.push_back(&name);
                elements += 1;
            }
            self.entries.push_back(&value);
            elements += 1;
        }
        self.int(elements);
        self.count += 1;
    }

    fn int(&mut self, int: i64) {
        self.entries
            .push_back(itoa::Buffer::new().format(int).as_bytes());
    }

    fn finish(self) -> Listpack {
        let mut node = Listpack::new();
        let mut int = |int: u64| node.push_back(itoa::Buffer::new().format(int).as_bytes());
        int(self.count);
        int(0);
        int(self.names.len() as u64);
        self.names.iter().for_each(|name| node.push_back(name));
        node.push_back(b"0");
        node.append(self.entries);
        node
    }
}

pub(super) fn read(input: &mut Input<'_>, of: Type) -> Result<Stream, Damage> {
    let mut stream = Stream::default();
    for _ in 0..input.count(2)? {
        let master = input.string()?;
        let Ok(master) = <[u8; 16]>::try_from(master) else {
            return input.damage("a stream node's id of another length than 16 bytes");
        };
        let bytes = input.string()?;
        let node = Listpack::from_bytes(&bytes).or_else(|wrong| input.damage(wrong.to_string()))?;
        let read = read_node(&node, StreamId::from_be_bytes(master), &mut stream.log);
        if read.is_none() {
            return input.damage("a malformed stream node");
        }
    }
    let len = input.length()?;
    if len != stream.log.len() {
        return input.damage("a stream of other entries than it counts");
    }
    let last_id = read_id(input)?;
    let (max_deleted_id, entries_added) = match of {
        Type::Stream1 => (StreamId::MIN, len),
        _ => {
            read_id(input)?;
            (read_id(input)?, input.length()?)
        }
    };
    if last_id < stream.log.last_id() {
        return input.damage("a stream's last id below its last entry");
    }
    stream.log.set_last_id(last_id);
    stream.log.set_max_deleted_id(max_deleted_id);
    stream.log.set_entries_added(entries_added);
    for _ in 0..input.count(5)? {
        let (name, group) = read_group(input, of, &stream.log.counts())?;
        if !stream.add_group(&name, group) {
            return input.damage("a stream with a group twice");
        }
    }
    Ok(stream)
}

fn read_id(input: &mut Input<'_>) -> Result<StreamId, Damage> {
    Ok(StreamId::new(input.length()?, input.length()?))
}

/// Appends the living entries of a node. `None` where it is malformed.
fn read_node(node: &Listpack, master: StreamId, log: &mut StreamLog) -> Option<()> {
    let limits = StreamLimits::default();
    let mut items = node.iter();
    let int = |items: &mut dyn Iterator<Item = Item<'_>>| items.next()?.as_int();
    let living = int(&mut items)?;
    let dead = int(&mut items)?;
    let fields = usize::try_from(int(&mut items)?).ok()?;
    if fields > node.len() {
        return None;
    }
    let names: Option<Vec<Vec<u8>>> = (0..fields).map(|_| Some(items.next()?.to_vec())).collect();
    let names = names?;
    int(&mut items)?;
    // A long name stands once for many entries: what they would come to is bounded.
    let name_bytes: usize = names.iter().map(Vec::len).sum();
    let entries = usize::try_from(living.checked_add(dead)?).ok()?;
    if name_bytes.saturating_mul(entries) > NAME_BYTES_TOLD_MAX {
        return None;
    }
    let mut own_names: Vec<Vec<u8>> = Vec::new();
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut seen = 0;
    while let Some(flags) = items.next() {
        let flags = flags.as_int()?;
        let ms = master.ms.wrapping_add(int(&mut items)? as u64);
        let seq = master.seq.wrapping_add(int(&mut items)? as u64);
        let same = flags & SAME_NAMES != 0;
        let count = if same {
            fields
        } else {
            usize::try_from(int(&mut items)?).ok()?
        };
        own_names.clear();
        values.clear();
        for _ in 0..count {
            if !same {
                own_names.push(items.next()?.to_vec());
            }
            values.push(items.next()?.to_vec());
        }
        int(&mut items)?;
        seen += 1;
        if flags & DELETED != 0 {
            continue;
        }
        if values.is_empty() || seen > entries {
            return None;
        }
        let names = if same { &names } else { &own_names };
        let fields = names
            .iter()
            .zip(&values)
            .map(|(name, value)| (&name[..], &value[..]));
        let id = NewId::Exact(StreamId::new(ms, seq));
        log.append(&limits, id, 0, fields).ok()?;
    }
    Some(())
}

fn read_group(
    input: &mut Input<'_>,
    of: Type,
    counts: &Counts,
) -> Result<(Vec<u8>, Group), Damage> {
    let name = input.string()?;
    let last_id = read_id(input)?;
    let entries_read = match of {
        // They were not counted then.
        Type::Stream1 => counts.rank_of(last_id),
        _ => Some(input.length()?).filter(|read| *read != UNKNOWN),
    };
    let mut group = Group::new(last_id, entries_read);
    let mut deliveries = std::collections::HashMap::new();
    for _ in 0..input.count(25)? {
        let id = StreamId::from_be_bytes(input.sixteen()?);
        let delivered_ms = input.u64_le()?;
        if deliveries
            .insert(id, (delivered_ms, input.length()?))
            .is_some()
        {
            return input.damage("an entry pending twice in a group");
        }
    }
    for _ in 0..input.count(10)? {
        let name = input.string()?;
        let seen_ms = input.u64_le()?;
        let active_ms = match of {
            Type::Stream3 => Some(input.u64_le()?).filter(|ms| *ms != UNKNOWN),
            _ => Some(seen_ms),
        };
        let Some(consumer) = group.add_consumer(&name, seen_ms) else {
            return input.damage("a consumer twice in a group");
        };
        if let Some(consumer) = group.consumer_mut(consumer) {
            consumer.active_ms = active_ms;
        }
        for _ in 0..input.count(16)? {
            let id = StreamId::from_be_bytes(input.sixteen()?);
            let Some((delivered_ms, count)) = deliveries.remove(&id) else {
                return input.damage("a consumer's entry that its group does not have pending");
            };
            group.assign(id, consumer, delivered_ms, count);
        }
    }
    if !deliveries.is_empty() {
        return input.damage("pending entries without a consumer");
    }
    Ok((name, group))
}
