//! Values as older versions of Redis wrote them: what they had then, in the forms that they had for
//! it.
//!
//! Written from the pictures in `legacy`, `stream` and the module's head, so that reader and writer
//! do not share a mistake in code.

use fastrand::Rng;

use super::samples::NOW;
use crate::entry::Entry;
use crate::hash::Hash;
use crate::item::Item;
use crate::list::List;
use crate::rdb::codes::Type;
use crate::rdb::{Compression, stream, write};
use crate::set::Set;
use crate::sorted_set::SortedSet;
use crate::stream::Stream;

/// The longest element that a zipmap gets here; one byte says its length.
const ZIPMAP_TEXT_MAX: usize = 253;

/// A value in one of the forms that are no longer written, with the form's type. `None` where it
/// had no other.
pub fn value(entry: &Entry, random: &mut Rng) -> Option<(Type, Vec<u8>)> {
    let compression = if random.bool() {
        Compression::Lzf
    } else {
        Compression::Off
    };
    let mut out = Vec::new();
    let of = if let Ok(list) = entry.get::<List>() {
        older_list(list, random, &mut out, compression)
    } else if let Ok(set) = entry.get::<Set>() {
        let members: Vec<Vec<u8>> = set.iter().map(Item::to_vec).collect();
        strings(&members, &mut out, compression);
        Type::Set
    } else if let Ok(hash) = entry.get::<Hash>() {
        if hash.next_deadline().is_some() {
            return None;
        }
        older_hash(hash, random, &mut out, compression)
    } else if let Ok(set) = entry.get::<SortedSet>() {
        older_sorted_set(set, random, &mut out, compression)
    } else if let Ok(stream) = entry.get::<Box<Stream>>() {
        let of = if random.bool() {
            Type::Stream1
        } else {
            Type::Stream2
        };
        older_stream(stream, of, &mut out, compression);
        of
    } else {
        return None;
    };
    Some((of, out))
}

fn older_list(list: &List, random: &mut Rng, out: &mut Vec<u8>, compression: Compression) -> Type {
    let elements: Vec<Vec<u8>> = list.iter().map(Item::to_vec).collect();
    match random.u8(..3) {
        0 => {
            strings(&elements, out, compression);
            Type::List
        }
        1 => {
            write::string(out, &ziplist(&elements, random), compression);
            Type::ListZiplist
        }
        _ => {
            let nodes: Vec<&[Vec<u8>]> = elements.chunks(random.usize(1..50)).collect();
            write::length(out, nodes.len() as u64);
            for node in nodes {
                write::string(out, &ziplist(node, random), compression);
            }
            Type::ListQuicklist
        }
    }
}

fn older_hash(hash: &Hash, random: &mut Rng, out: &mut Vec<u8>, compression: Compression) -> Type {
    let pairs: Vec<Vec<u8>> = hash
        .live(NOW)
        .flat_map(|field| [field.name.to_vec(), field.value.to_vec()])
        .collect();
    let short = pairs.iter().all(|text| text.len() <= ZIPMAP_TEXT_MAX);
    match random.u8(..3) {
        0 => {
            write::length(out, hash.len() as u64);
            for text in &pairs {
                write::string(out, text, compression);
            }
            Type::Hash
        }
        1 if short => {
            write::string(out, &zipmap(&pairs, random), compression);
            Type::HashZipmap
        }
        _ => {
            write::string(out, &ziplist(&pairs, random), compression);
            Type::HashZiplist
        }
    }
}

fn older_sorted_set(
    set: &SortedSet,
    random: &mut Rng,
    out: &mut Vec<u8>,
    compression: Compression,
) -> Type {
    let members = set
        .iter()
        .map(|(member, score)| (member.to_vec(), score.get()));
    if random.bool() {
        let elements: Vec<Vec<u8>> = members
            .flat_map(|(member, score)| [member, format!("{score}").into_bytes()])
            .collect();
        write::string(out, &ziplist(&elements, random), compression);
        Type::SortedSetZiplist
    } else {
        write::length(out, set.len() as u64);
        for (member, score) in members {
            write::string(out, &member, compression);
            score_text(score, out);
        }
        Type::SortedSet
    }
}

fn strings(elements: &[Vec<u8>], out: &mut Vec<u8>, compression: Compression) {
    write::length(out, elements.len() as u64);
    for element in elements {
        write::string(out, element, compression);
    }
}

/// A score in decimal behind its length, as the first versions wrote it.
fn score_text(score: f64, out: &mut Vec<u8>) {
    if score == f64::INFINITY {
        out.push(254);
    } else if score == f64::NEG_INFINITY {
        out.push(255);
    } else {
        let text = format!("{score:e}");
        out.push(text.len() as u8);
        out.extend(text.bytes());
    }
}

fn ziplist(elements: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut out = vec![0; 10];
    let mut before = 0usize;
    let mut last = 10;
    for element in elements {
        let start = out.len();
        last = start;
        match u8::try_from(before) {
            Ok(short @ ..254) => out.push(short),
            _ => {
                out.push(254);
                out.extend((before as u32).to_le_bytes());
            }
        }
        ziplist_value(element, &mut out, random);
        before = out.len() - start;
    }
    out.push(255);
    let bytes = out.len() as u32;
    out[..4].copy_from_slice(&bytes.to_le_bytes());
    out[4..8].copy_from_slice(&(last as u32).to_le_bytes());
    let count = u16::try_from(elements.len()).unwrap_or(u16::MAX);
    out[8..10].copy_from_slice(&count.to_le_bytes());
    out
}

fn ziplist_value(element: &[u8], out: &mut Vec<u8>, random: &mut Rng) {
    let Item::Int(int) = Item::parse(element) else {
        match element.len() {
            short @ ..64 => out.push(short as u8),
            middle @ ..16_384 => out.extend((middle as u16 | 0x4000).to_be_bytes()),
            long => {
                out.push(0x80);
                out.extend((long as u32).to_be_bytes());
            }
        }
        out.extend_from_slice(element);
        return;
    };
    let bytes = int.to_le_bytes();
    // Each integer in the narrowest form, or now and then in a wider one, as it remains after
    // others were replaced.
    let wider = random.u8(..8) == 0;
    match int {
        0..=12 if !wider => out.push(0xf1 + int as u8),
        -128..=127 if !wider => out.extend([0xfe, bytes[0]]),
        -32_768..=32_767 => {
            out.push(0xc0);
            out.extend_from_slice(&bytes[..2]);
        }
        -8_388_608..=8_388_607 => {
            out.push(0xf0);
            out.extend_from_slice(&bytes[..3]);
        }
        -2_147_483_648..=2_147_483_647 => {
            out.push(0xd0);
            out.extend_from_slice(&bytes[..4]);
        }
        _ => {
            out.push(0xe0);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Each text is at most [`ZIPMAP_TEXT_MAX`] long.
fn zipmap(pairs: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut out = vec![u8::try_from(pairs.len() / 2).unwrap_or(254)];
    for pair in pairs.chunks_exact(2) {
        out.push(pair[0].len() as u8);
        out.extend_from_slice(&pair[0]);
        // What a shorter value left free.
        let free = random.u8(..4);
        out.extend([pair[1].len() as u8, free]);
        out.extend_from_slice(&pair[1]);
        out.resize(out.len() + usize::from(free), 0);
    }
    out.push(255);
    out
}

/// Version 1 has neither counters nor times of activity, version 2 no times of activity.
fn older_stream(of_now: &Stream, of: Type, out: &mut Vec<u8>, compression: Compression) {
    stream::write_nodes(of_now, out, compression);
    let counts = of_now.log.counts();
    write::length(out, counts.len);
    stream::write_id(out, counts.last_id);
    if of == Type::Stream2 {
        stream::write_id(out, counts.first_id);
        stream::write_id(out, counts.max_deleted_id);
        write::length(out, counts.entries_added);
    }
    write::length(out, of_now.group_count() as u64);
    for (name, group) in of_now.groups() {
        write::string(out, name, compression);
        stream::write_id(out, group.last_id());
        if of == Type::Stream2 {
            write::length(out, group.entries_read().unwrap_or(u64::MAX));
        }
        stream::write_pending(group, out);
        write::length(out, group.consumer_count() as u64);
        for (_, consumer) in group.consumers() {
            write::string(out, consumer.name(), compression);
            write::millis(out, consumer.seen_ms);
            stream::write_owned(consumer, out);
        }
    }
}
