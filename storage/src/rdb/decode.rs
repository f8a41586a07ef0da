//! Values read: each in the form that it would have here, whatever form the writer had.

use std::hash::BuildHasher;

use super::codes::{Type, container};
use super::read::{Damage, Input};
use super::{legacy, stream};
use crate::clock::UnixMillis;
use crate::hash::{FieldDeadline, Hash, HashLimits};
use crate::intset::Intset;
use crate::item::Item;
use crate::list::{List, ListLimits};
use crate::listpack::{End, Listpack};
use crate::set::{Set, SetLimits};
use crate::sorted_set::{Inserted, Score, SortedSet, SortedSetLimits};
use crate::value::{Object, Value};

/// Up to where collections are packed: the reader's, not the writer's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Of a list's nodes.
    pub list: ListLimits,
    /// Up to where a set is packed.
    pub set: SetLimits,
    /// Up to where a hash is packed.
    pub hash: HashLimits,
    /// Up to where a sorted set is packed.
    pub sorted_set: SortedSetLimits,
}

/// A value that was read.
pub(super) enum Decoded {
    String(Vec<u8>),
    Object(Object),
    /// A collection without elements, which Redis never keeps: the key is left out.
    Empty,
}

/// Reads a value of that type.
pub(super) fn value(input: &mut Input<'_>, of: Type, limits: &Limits) -> Result<Decoded, Damage> {
    let object = match of {
        Type::String => return Ok(Decoded::String(input.string()?)),
        Type::List => strings(input, 1)?.list(limits),
        Type::ListZiplist => list_of([ziplist(input)?], limits),
        Type::ListQuicklist => {
            let nodes = input.count(1)?;
            let packs: Result<Vec<_>, _> = (0..nodes).map(|_| ziplist(input)).collect();
            list_of(packs?, limits)
        }
        Type::ListQuicklist2 => quicklist(input, limits)?,
        Type::Set => strings(input, 1)?.set(input, limits)?,
        Type::SetIntset => intset(input, limits)?,
        Type::SetListpack => {
            let pack = listpack(input)?;
            once_each(input, &pack, 1)?;
            let mut set = Set::for_members(b"", pack.len(), limits.set);
            if pack.len() <= limits.set.listpack_entries {
                set = Set::from_pack(pack);
            } else {
                each(&pack, |member| {
                    set.insert(member, limits.set);
                });
            }
            set.into_object()
        }
        Type::SortedSet | Type::SortedSet2 => sorted_set(input, of, limits)?,
        Type::SortedSetZiplist => packed_sorted_set(input, ziplist, limits)?,
        Type::SortedSetListpack => packed_sorted_set(input, listpack, limits)?,
        Type::Hash => strings(input, 2)?.hash(input, limits)?,
        Type::HashZipmap => {
            let text = input.string()?;
            let pack = legacy::zipmap(&text).or_else(|what| input.damage(what))?;
            hash_of(input, pack, limits)?
        }
        Type::HashZiplist => {
            let pack = ziplist(input)?;
            hash_of(input, pack, limits)?
        }
        Type::HashListpack => {
            let pack = listpack(input)?;
            hash_of(input, pack, limits)?
        }
        Type::HashMetadata | Type::HashMetadataPreGa => hash_with_deadlines(input, of, limits)?,
        Type::HashListpackEx | Type::HashListpackExPreGa => {
            packed_hash_with_deadlines(input, of, limits)?
        }
        Type::Stream1 | Type::Stream2 | Type::Stream3 => {
            return Ok(Decoded::Object(
                Box::new(stream::read(input, of)?).into_object(),
            ));
        }
    };
    Ok(if is_empty(&object) {
        Decoded::Empty
    } else {
        Decoded::Object(object)
    })
}

fn is_empty(object: &Object) -> bool {
    match object {
        Object::List(list) => list.is_empty(),
        Object::Set(set) => set.is_empty(),
        Object::Hash(hash) => hash.is_empty(),
        Object::SortedSet(set) => set.is_empty(),
        Object::Stream(_) => false,
    }
}

/// The time that deadlines in a file are held against: none. What has expired meanwhile is for
/// expiry to find.
const NEVER: UnixMillis = UnixMillis::new(0);

/// Strings one behind the other.
struct Strings(Vec<Vec<u8>>);

fn strings(input: &mut Input<'_>, a_piece: usize) -> Result<Strings, Damage> {
    let count = input.count(a_piece as u64)?;
    let strings: Result<Vec<_>, _> = (0..count * a_piece).map(|_| input.string()).collect();
    strings.map(Strings)
}

impl Strings {
    fn list(self, limits: &Limits) -> Object {
        let mut list = List::new();
        let elements = self.0.iter().map(Vec::as_slice);
        list.push_all(End::Back, elements, limits.list);
        list.into_object()
    }

    fn set(self, input: &Input<'_>, limits: &Limits) -> Result<Object, Damage> {
        let first = self.0.first().map_or(&b""[..], Vec::as_slice);
        let mut set = Set::for_members(first, self.0.len(), limits.set);
        for member in &self.0 {
            if !set.insert(member, limits.set) {
                return input.damage(TWICE);
            }
        }
        Ok(set.into_object())
    }

    fn hash(self, input: &Input<'_>, limits: &Limits) -> Result<Object, Damage> {
        let mut hash = Hash::new();
        hash.expect(self.0.len() / 2, limits.hash);
        for pair in self.0.chunks_exact(2) {
            if !hash.set(&pair[0], &pair[1], FieldDeadline::Clear, limits.hash, NEVER) {
                return input.damage(TWICE);
            }
        }
        Ok(hash.into_object())
    }
}

/// What is wrong where a collection names one of its elements again.
const TWICE: &str = "a collection with an element twice";

/// Sees to it that of the elements `stride` apart, the names of a packed collection, none stands
/// twice: no command looks for a second one, and the large form has no place for it.
fn once_each(input: &Input<'_>, pack: &Listpack, stride: usize) -> Result<(), Damage> {
    let hasher = foldhash::fast::RandomState::default();
    let mut digits = itoa::Buffer::new();
    let mut names: Vec<(u64, Item<'_>)> = pack
        .iter()
        .step_by(stride)
        .map(|item| (hasher.hash_one(item.text(&mut digits)), item))
        .collect();
    names.sort_unstable_by_key(|(hash, _)| *hash);
    let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    if twice { input.damage(TWICE) } else { Ok(()) }
}

/// Shows each element's text.
fn each(pack: &Listpack, mut show: impl FnMut(&[u8])) {
    let mut digits = itoa::Buffer::new();
    pack.iter().for_each(|item| show(item.text(&mut digits)));
}

fn listpack(input: &mut Input<'_>) -> Result<Listpack, Damage> {
    let bytes = input.string()?;
    Listpack::from_bytes(&bytes).or_else(|malformed| input.damage(malformed.to_string()))
}

fn ziplist(input: &mut Input<'_>) -> Result<Listpack, Damage> {
    let bytes = input.string()?;
    legacy::ziplist(&bytes).or_else(|what| input.damage(what))
}

fn list_of(packs: impl IntoIterator<Item = Listpack>, limits: &Limits) -> Object {
    let packs = packs.into_iter().filter(|pack| !pack.is_empty());
    List::from_packs(packs, limits.list).into_object()
}

fn quicklist(input: &mut Input<'_>, limits: &Limits) -> Result<Object, Damage> {
    let nodes = input.count(2)?;
    let mut packs = Vec::new();
    for _ in 0..nodes {
        packs.push(match input.length()? {
            container::PLAIN => {
                let element = input.string()?;
                let mut pack = Listpack::new();
                if !pack.has_room_for(element.len(), 1) {
                    return input.damage("an element too large for a list");
                }
                pack.push_back(&element);
                pack
            }
            container::PACKED => listpack(input)?,
            held => return input.damage(format!("a list node of an unknown kind, {held}")),
        });
    }
    Ok(list_of(packs, limits))
}

fn intset(input: &mut Input<'_>, limits: &Limits) -> Result<Object, Damage> {
    let bytes = input.string()?;
    let Ok(ints) = Intset::from_bytes(&bytes) else {
        return input.damage("a malformed intset");
    };
    if ints.len() <= limits.set.intset_entries {
        return Ok(Set::from_intset(ints).into_object());
    }
    let mut set = Set::for_members(b"", usize::MAX, limits.set);
    for int in ints.iter() {
        set.insert(itoa::Buffer::new().format(int).as_bytes(), limits.set);
    }
    Ok(set.into_object())
}

fn score(input: &Input<'_>, value: f64) -> Result<Score, Damage> {
    Score::new(value).map_or_else(|| input.damage("a score that is no number"), Ok)
}

fn sorted_set(input: &mut Input<'_>, of: Type, limits: &Limits) -> Result<Object, Damage> {
    let count = input.count(2)?;
    let mut set = SortedSet::for_members(count, 0, limits.sorted_set);
    let mut member = Vec::new();
    for _ in 0..count {
        input.string_into(&mut member)?;
        let value = match of {
            Type::SortedSet => input.f64_text()?,
            _ => input.f64_le()?,
        };
        let inserted = set.insert(&member, score(input, value)?, limits.sorted_set);
        if inserted != Inserted::New {
            return input.damage(TWICE);
        }
    }
    Ok(set.into_object())
}

fn packed_sorted_set(
    input: &mut Input<'_>,
    read: fn(&mut Input<'_>) -> Result<Listpack, Damage>,
    limits: &Limits,
) -> Result<Object, Damage> {
    let pack = read(input)?;
    once_each(input, &pack, 2)?;
    let fits = pack.len() / 2 <= limits.sorted_set.entries;
    let longest = limits.sorted_set.value;
    match SortedSet::from_pack(pack) {
        None => input.damage("a malformed packed sorted set"),
        Some(mut set) => {
            if !fits || set.iter().any(|(member, _)| member.text_len() > longest) {
                set.make_large();
            }
            Ok(set.into_object())
        }
    }
}

/// The hash of these pairs.
fn hash_of(input: &Input<'_>, pack: Listpack, limits: &Limits) -> Result<Object, Damage> {
    if !pack.len().is_multiple_of(2) {
        return input.damage("a packed hash without a last value");
    }
    once_each(input, &pack, 2)?;
    let fits = pack.len() / 2 <= limits.hash.entries
        && pack.iter().all(|item| item.text_len() <= limits.hash.value);
    let mut hash = Hash::from_pack(pack);
    if !fits {
        hash.make_table();
    }
    Ok(hash.into_object())
}

/// The latest time that a field may have, in Unix milliseconds: Redis has 48 bits for it.
const FIELD_TIME_MAX: u64 = (1 << 48) - 1;

const TOO_LATE: &str = "a deadline of a field beyond 48 bits";

/// A number for each field, 0 where it has no deadline: the deadline itself, or, in all released
/// versions, by how much it comes after the soonest one, and one more.
fn hash_with_deadlines(input: &mut Input<'_>, of: Type, limits: &Limits) -> Result<Object, Damage> {
    let least = match of {
        Type::HashMetadata => Some(input.u64_le()?),
        _ => None,
    };
    let count = input.count(3)?;
    let mut hash = Hash::new();
    hash.expect(count, limits.hash);
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let number = input.length()?;
        input.string_into(&mut name)?;
        input.string_into(&mut value)?;
        if !hash.set(&name, &value, FieldDeadline::Clear, limits.hash, NEVER) {
            return input.damage(TWICE);
        }
        if let Some(after) = number.checked_sub(1) {
            let at = least.map_or(number, |least| least.saturating_add(after));
            if at > FIELD_TIME_MAX {
                return input.damage(TOO_LATE);
            }
            hash.set_deadline(&name, Some(UnixMillis::new(at)));
        }
    }
    Ok(hash.into_object())
}

fn packed_hash_with_deadlines(
    input: &mut Input<'_>,
    of: Type,
    limits: &Limits,
) -> Result<Object, Damage> {
    if of == Type::HashListpackEx {
        input.u64_le()?;
    }
    let pack = listpack(input)?;
    let triples = pack.len() / 3;
    let whole = pack.len().is_multiple_of(3);
    let times = pack.iter().skip(2).step_by(3);
    if !whole
        || !times
            .clone()
            .all(|it| it.as_int().is_some_and(|ms| ms >= 0))
    {
        return input.damage("a malformed packed hash with deadlines");
    }
    let is_late = |it: Item<'_>| it.as_int().is_some_and(|ms| ms as u64 > FIELD_TIME_MAX);
    if times.clone().any(is_late) {
        return input.damage(TOO_LATE);
    }
    once_each(input, &pack, 3)?;
    // Soonest first, those without one last.
    let in_order = times
        .map(|it| it.as_int().filter(|ms| *ms > 0).unwrap_or(i64::MAX))
        .is_sorted();
    if !in_order {
        return input.damage("a packed hash with deadlines in disorder");
    }
    let long = |item: Item<'_>| item.text_len() > limits.hash.value;
    let fits = triples <= limits.hash.entries && !pack.iter().any(long);
    let mut hash = Hash::from_pack_ex(pack);
    if !fits {
        hash.make_table();
    }
    Ok(hash.into_object())
}
