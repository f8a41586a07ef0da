//! Values of every type through payloads and files, and both after bytes of them were changed.
//!
//! `PERCORE_FUZZ_SECONDS` makes the search for bytes that break the reader longer; run it with a limit of address space
//! (`ulimit -v`), so that an allocation out of all proportion ends it too.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::access::AccessPolicy;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::hash::{FieldDeadline, Hash};
use crate::item::Item;
use crate::list::{End, List};
use crate::set::Set;
use crate::sorted_set::{Score, SortedSet};
use crate::stream::Stream;
use crate::stream_group::Group;
use crate::stream_id::{NewId, StreamId};
use crate::stream_log::StreamLimits;
use crate::value::Value;

/// How long `cargo test` searches.
const SEARCH: Duration = Duration::from_secs(3);

/// How long one input may take: far more than any does, for a busy machine.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of memory that a byte of a payload may come to: LZF's longest copy is 264 bytes for three, and a member of a
/// set takes an entry for two.
const BYTES_PER_BYTE_MAX: usize = 128;

const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);

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

fn random_entry(random: &mut Rng, key: &[u8]) -> Entry {
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
fn told(entry: &Entry) -> Vec<String> {
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

fn a_file() -> PathBuf {
    std::env::temp_dir().join(format!(
        "percore-rdb-{}-{}",
        std::process::id(),
        fastrand::u64(..)
    ))
}

/// A file's bytes with these entries.
fn file_of(entries: &[Entry], compression: Compression) -> Vec<u8> {
    let mut out = header(&[("made-by", "a test")]);
    select(&mut out, 2);
    for entry in entries {
        key(&mut out, entry, AccessPolicy::Lru, NOW, compression);
    }
    function(&mut out, b"#!lua name=none");
    out.push(codes::opcode::EOF);
    out.extend(CRC.checksum(&out).to_le_bytes());
    out
}

/// Every key in a file, or how far it could be read.
fn read_all(bytes: &[u8], wanted: bool) -> Result<Vec<Entry>, Damage> {
    let path = a_file();
    std::fs::write(&path, bytes).expect("a temporary file");
    let read = || {
        let mut reader = FileReader::open(&path)?;
        let mut all = Vec::new();
        loop {
            match reader.next(&Limits::default(), |_, _| wanted)? {
                Part::Key(key) => all.push(key.entry),
                Part::End => return Ok(all),
                _ => {}
            }
        }
    };
    let result = read();
    std::fs::remove_file(&path).expect("removing it");
    result
}

fn compression(random: &mut Rng) -> Compression {
    match random.bool() {
        true => Compression::Lzf,
        false => Compression::Off,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_value_comes_back_from_its_payload(seed in any::<u64>()) {
        let random = &mut Rng::with_seed(seed);
        let entry = random_entry(random, b"k");
        let payload = dump(&entry, compression(random));
        let restored = restore(b"k", &payload, &Limits::default()).unwrap().unwrap();
        prop_assert_eq!(told(&restored), told(&entry));
        prop_assert_eq!(restored.kind(), entry.kind());
        prop_assert_eq!(restored.deadline(), None);
    }

    #[test]
    fn values_come_back_from_a_file(seed in any::<u64>()) {
        let random = &mut Rng::with_seed(seed);
        let entries: Vec<Entry> =
            (0..6u8).map(|number| random_entry(random, &[b'k', number])).collect();
        let bytes = file_of(&entries, compression(random));
        let read = read_all(&bytes, true).unwrap();
        prop_assert_eq!(read.len(), entries.len());
        for (read, entry) in std::iter::zip(&read, &entries) {
            prop_assert_eq!(told(read), told(entry));
            prop_assert_eq!(read.key(), entry.key());
            prop_assert_eq!(read.deadline(), entry.deadline());
        }
        // Who wants none of them passes over all the same bytes.
        prop_assert_eq!(read_all(&bytes, false).unwrap().len(), 0);
    }

    #[test]
    fn a_file_that_was_cut_is_refused(seed in any::<u64>()) {
        let random = &mut Rng::with_seed(seed);
        let bytes = file_of(&[random_entry(random, b"k")], compression(random));
        let cut = random.usize(..bytes.len());
        for wanted in [true, false] {
            let damage = read_all(&bytes[..cut], wanted).err();
            prop_assert!(damage.is_some_and(|damage| damage.at <= cut as u64));
        }
    }

    #[test]
    fn a_byte_that_was_changed_is_noticed(seed in any::<u64>()) {
        let random = &mut Rng::with_seed(seed);
        let mut bytes = file_of(&[random_entry(random, b"k")], compression(random));
        // The digits of the version may say another one that we read as well; a checksum of zero is none.
        let at = random.usize(9..bytes.len() - 8);
        bytes[at] ^= random.u8(1..);
        for wanted in [true, false] {
            prop_assert!(read_all(&bytes, wanted).is_err());
        }
    }
}

/// Changes bytes as a fault or an attacker would: one, a run, a length, a piece lost or doubled.
fn spoil(bytes: &mut Vec<u8>, random: &mut Rng) {
    for _ in 0..random.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(..bytes.len());
        let end = bytes.len().min(at + random.usize(1..9));
        match random.u8(..8) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => {
                bytes[at] = random
                    .choice([0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc3, 0xff])
                    .unwrap_or(0)
            }
            3 => bytes[at..end].fill(0xff),
            4 => drop(bytes.drain(at..end)),
            5 => bytes.truncate(at),
            6 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                // Lengths of eight bytes, of a size that nothing has.
                let length = (u64::MAX >> random.u32(..40)).to_be_bytes();
                bytes.splice(at..at, std::iter::once(0x81).chain(length));
            }
        }
    }
}

/// Reads spoilt bytes as a payload with a checksum that agrees: what comes of it is an error or a value that can be used.
fn read_payload(mut body: Vec<u8>, random: &mut Rng) {
    body.extend(VERSION.to_le_bytes());
    body.extend(CRC.checksum(&body).to_le_bytes());
    let Ok(Some(entry)) = restore(b"k", &body, &Limits::default()) else {
        return;
    };
    let most = body.len() * BYTES_PER_BYTE_MAX + 4_096;
    assert!(
        entry.memory_bytes() <= most,
        "{} of {}",
        entry.memory_bytes(),
        body.len()
    );
    told(&entry);
    let again = dump(&entry, compression(random));
    // What could be read can be written and read again.
    let again = restore(b"k", &again, &Limits::default()).expect("our own payload");
    assert!(again.is_some());
}

#[test]
fn spoilt_bytes_are_refused_or_read() {
    let seconds = std::env::var("PERCORE_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = Instant::now() + seconds.map_or(SEARCH, Duration::from_secs);
    // The same seeds in every run: a longer one goes further.
    let mut seed = 0;
    while Instant::now() < end {
        seed += 1;
        let random = &mut Rng::with_seed(seed);
        let entry = random_entry(random, b"k");
        let payload = dump(&entry, compression(random));
        let body = &payload[..payload.len() - 10];
        let file = file_of(std::slice::from_ref(&entry), compression(random));
        for _ in 0..20 {
            let mut spoilt = body.to_vec();
            // The type may become another: its reader gets bytes that were never meant for it.
            if random.u8(..6) == 0 {
                spoilt[0] = random.u8(..27);
            }
            spoil(&mut spoilt, random);
            let began = Instant::now();
            read_payload(spoilt.clone(), random);
            assert!(
                began.elapsed() < READ_TIME_MAX,
                "seed {seed} takes {:?}",
                began.elapsed()
            );
        }
        for _ in 0..4 {
            let mut spoilt = file.clone();
            spoil(&mut spoilt, random);
            let began = Instant::now();
            for wanted in [true, false] {
                let _ = read_all(&spoilt, wanted);
            }
            assert!(
                began.elapsed() < READ_TIME_MAX,
                "seed {seed} takes {:?}",
                began.elapsed()
            );
        }
    }
    println!("{seed} values");
}
