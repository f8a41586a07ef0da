//! Values written: what is packed goes as it is, what is not, element by element.

use super::Format;
use super::codes::{Type, container};
use super::stream;
use super::write::{self, Compression};
use crate::entry::Entry;
use crate::hash::Hash;
use crate::set::Set;
use crate::value::Object;

/// The code of a value's type and form.
pub(super) fn type_of(entry: &Entry, format: Format) -> Type {
    match entry.as_object() {
        None => Type::String,
        Some(Object::List(_)) => Type::ListQuicklist2,
        Some(Object::Set(set)) if set.as_intset().is_some() => Type::SetIntset,
        Some(Object::Set(set)) if packs(set, format) => Type::SetListpack,
        Some(Object::Set(_)) => Type::Set,
        Some(Object::SortedSet(set)) if set.pack().is_some() => Type::SortedSetListpack,
        Some(Object::SortedSet(_)) => Type::SortedSet2,
        Some(Object::Hash(hash)) if hash.as_listpack().is_some() => Type::HashListpack,
        Some(Object::Hash(hash)) if hash.as_listpack_ex().is_some() => Type::HashListpackEx,
        Some(Object::Hash(hash)) if hash.next_deadline().is_some() => Type::HashMetadata,
        Some(Object::Hash(_)) => Type::Hash,
        Some(Object::Stream(_)) => match format {
            Format::Current => Type::Stream3,
            Format::Since7 => Type::Stream2,
        },
    }
}

/// Whether a set is written as the listpack that it is.
fn packs(set: &Set, format: Format) -> bool {
    format == Format::Current && set.as_listpack().is_some()
}

/// The value of an entry, without type and key.
pub(super) fn value(entry: &Entry, out: &mut Vec<u8>, format: Format, compression: Compression) {
    let Some(object) = entry.as_object() else {
        if let Ok(item) = entry.as_string() {
            write::item(out, item, compression);
        }
        return;
    };
    match object {
        Object::List(list) => {
            write::length(out, list.packs().count() as u64);
            for pack in list.packs() {
                write::length(out, container::PACKED);
                write::string(out, pack.as_bytes(), compression);
            }
        }
        Object::Set(set) => self::set(set, out, format, compression),
        Object::SortedSet(set) => match set.pack() {
            Some(pack) => write::string(out, pack.as_bytes(), compression),
            None => {
                write::length(out, set.len() as u64);
                for (member, score) in set.iter() {
                    write::item(out, member, compression);
                    out.extend(score.get().to_le_bytes());
                }
            }
        },
        Object::Hash(hash) => self::hash(hash, out, compression),
        Object::Stream(stream) => stream::write(stream, out, format, compression),
    }
}

fn set(set: &Set, out: &mut Vec<u8>, format: Format, compression: Compression) {
    if let Some(ints) = set.as_intset() {
        write::string(out, ints.as_bytes(), compression);
    } else if let Some(pack) = set.as_listpack().filter(|_| packs(set, format)) {
        write::string(out, pack.as_bytes(), compression);
    } else {
        write::length(out, set.len() as u64);
        set.for_each(|member| write::item(out, member, compression));
    }
}

fn hash(hash: &Hash, out: &mut Vec<u8>, compression: Compression) {
    let least = hash.next_deadline();
    if let Some(pack) = hash.as_listpack() {
        write::string(out, pack.as_bytes(), compression);
    } else if let Some(pack) = hash.as_listpack_ex() {
        write::millis(out, least.map_or(u64::MAX, |least| least.ms()));
        write::string(out, pack.as_bytes(), compression);
    } else {
        if let Some(least) = least {
            write::millis(out, least.ms());
        }
        write::length(out, hash.len() as u64);
        for field in hash.fields() {
            if let Some(least) = least {
                // Zero is no deadline, so that the least one is told as 1.
                let after = field.deadline.map_or(0, |at| at.ms() - least.ms() + 1);
                write::length(out, after);
            }
            write::item(out, field.name, compression);
            write::item(out, field.value, compression);
        }
    }
}
