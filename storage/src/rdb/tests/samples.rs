//! Values of every type and in every form, drawn at random, and all that one holds in words.

use fastrand::Rng;

use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::hash::{FieldDeadline, Hash};
use crate::item::Item;
use crate::list::{End, List};
use crate::rdb::Limits;
use crate::set::Set;
use crate::sorted_set::{Score, SortedSet};
use crate::stream::Stream;
use crate::stream_group::Group;
use crate::stream_id::{NewId, StreamId};
use crate::stream_log::StreamLimits;
use crate::value::Value;

pub const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);

fn text(random: &mut Rng) -> Vec<u8> {
    match random.u8(..8) {
        0 => random.i64(..).to_string().into_bytes(),
        1 | 2 => random.i16(..).to_string().into_bytes(),
        3 => vec![random.u8(..); random.usize(..300)],
        4 => (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
        _ => format!("m{}", random.u16(..2_000)).into_bytes(),
    }
}

/// Mostly few: small collections and large ones are held in different ways.
fn count(random: &mut Rng) -> usize {
    match random.u8(..6) {
        0 => random.usize(100..700),
        _ => random.usize(1..20),
    }
}

fn integers(random: &mut Rng) -> impl Fn(&mut Rng) -> Vec<u8> + use<> {
    let shift = random.u32(..64);
    move |random| (random.i64(..) >> shift).to_string().into_bytes()
}

pub fn random_entry(random: &mut Rng, key: &[u8]) -> Entry {
    let limits = Limits::default();
    let deadline = random
        .bool()
        .then(|| UnixMillis::new(random.u64(1..1 << 62)));
    let elements = count(random);
    let object = match random.u8(..7) {
        0 => return Entry::string(key, &text(random), deadline),
        1 => {
            let mut list = List::new();
            for _ in 0..elements {
                list.push(End::Back, &text(random), limits.list);
            }
            list.into_object()
        }
        kind @ 2..4 => {
            let integers = integers(random);
            let member = |random: &mut Rng| match kind {
                2 => integers(random),
                _ => text(random),
            };
            let first = member(random);
            let mut set = Set::for_members(&first, 1, limits.set);
            set.insert(&first, limits.set);
            for _ in 1..elements {
                set.insert(&member(random), limits.set);
            }
            set.into_object()
        }
        4 => {
            let mut hash = Hash::new();
            let with_deadlines = random.bool();
            for _ in 0..elements {
                let (name, value) = (text(random), text(random));
                hash.set(&name, &value, FieldDeadline::Clear, limits.hash, NOW);
                if with_deadlines && random.bool() {
                    let at = UnixMillis::new(NOW.ms() + random.u64(1..1 << 40));
                    hash.set_deadline(&name, Some(at));
                }
            }
            hash.into_object()
        }
        5 => {
            let mut set = SortedSet::for_members(elements, 0, limits.sorted_set);
            for _ in 0..elements {
                let score = match random.u8(..4) {
                    0 => f64::from(random.i16(..)),
                    1 => f64::INFINITY,
                    2 => random.f64() * 1e-300,
                    _ => f64::from_bits(random.u64(..)),
                };
                if let Some(score) = Score::new(score) {
                    set.insert(&text(random), score, limits.sorted_set);
                }
            }
            set.insert(
                b"one at least",
                Score::new(-0.0).expect("a number"),
                limits.sorted_set,
            );
            set.into_object()
        }
        _ => Box::new(random_stream(random, elements)).into_object(),
    };
    Entry::object(key, object, deadline)
}

fn random_stream(random: &mut Rng, entries: usize) -> Stream {
    let mut stream = Stream::default();
    let mut id = StreamId {
        ms: random.u64(..1 << 50),
        seq: 0,
    };
    let mut ids = Vec::new();
    for _ in 0..entries {
        id = StreamId {
            ms: id.ms + random.u64(..3),
            seq: id.seq + random.u64(1..5),
        };
        let (name, value) = (text(random), text(random));
        let fields = [(&b"same"[..], &value[..]), (&name[..], &value[..])];
        let fields = &fields[random.usize(..2)..];
        let added = stream.log.append(
            &StreamLimits::default(),
            NewId::Exact(id),
            0,
            fields.iter().copied(),
        );
        assert_eq!(added, Ok(id));
        ids.push(id);
    }
    for group in 0..random.u8(..3) {
        let last = ids[random.usize(..ids.len())];
        let mut made = Group::new(last, random.bool().then(|| random.u64(..100)));
        for consumer in 0..random.u8(..4) {
            let added = made.add_consumer(&[b'c', consumer], random.u64(..1 << 45));
            let Some(owner) = added else { continue };
            for _ in 0..random.u8(..5) {
                let entry = ids[random.usize(..ids.len())];
                made.assign(entry, owner, random.u64(..1 << 45), random.u64(1..9));
            }
        }
        stream.add_group(&[b'g', group], made);
    }
    for _ in 0..random.usize(..3) {
        stream.log.delete(ids[random.usize(..ids.len())]);
    }
    stream
}

/// All that an entry holds, in words; what has no order sorted.
pub fn told(entry: &Entry) -> Vec<String> {
    let item = |item: Item<'_>| item.to_vec().escape_ascii().to_string();
    let mut all: Vec<String> = Vec::new();
    if let Ok(value) = entry.as_string() {
        all.push(item(value));
    } else if let Ok(list) = entry.get::<List>() {
        return list.iter().map(item).collect();
    } else if let Ok(set) = entry.get::<Set>() {
        set.for_each(|member| all.push(item(member)));
    } else if let Ok(hash) = entry.get::<Hash>() {
        all.extend(hash.fields().map(|field| {
            let (name, value) = (item(field.name), item(field.value));
            format!("{name}={value} until {:?}", field.deadline)
        }));
    } else if let Ok(set) = entry.get::<SortedSet>() {
        // A pack forgets the sign of zero, as Redis's does.
        let scores = set
            .iter()
            .map(|(member, score)| (item(member), score.get() + 0.0));
        all.extend(scores.map(|(member, score)| format!("{member} {score}")));
    } else if let Ok(stream) = entry.get::<Box<Stream>>() {
        all.push(format!("{:?}", stream.log.counts()));
        for entry in stream.log.range(StreamId::MIN..=StreamId::MAX) {
            let fields: Vec<_> = entry.fields.clone().collect();
            all.push(format!("{:?} {fields:?}", entry.id));
        }
        for (name, group) in stream.groups() {
            all.push(format!(
                "{name:?} {:?} {:?}",
                group.last_id(),
                group.entries_read()
            ));
            let name_of = |id| group.consumer(id).map(|it| it.name().to_vec());
            for (id, pending) in group.pending() {
                let (owner, at) = (name_of(pending.owner), pending.delivered_ms);
                all.push(format!("{id:?} {owner:?} {at} {}", pending.deliveries));
            }
            for (_, it) in group.consumers() {
                let ids = it.pending();
                all.push(format!(
                    "{:?} {} {:?} {ids:?}",
                    it.name(),
                    it.seen_ms,
                    it.active_ms
                ));
            }
        }
        return all;
    }
    all.sort();
    all
}
