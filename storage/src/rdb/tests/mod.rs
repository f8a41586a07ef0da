//! Values of every type through payloads and files, and both after bytes of them were changed
//! (`fuzz`).

mod fuzz;
mod older;
mod samples;

use fastrand::Rng;
use proptest::prelude::*;

use super::codes::{Type, opcode};
use super::*;
use crate::access::AccessPolicy;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::stream::Stream;
use samples::{NOW, random_entry, told};

/// A file's bytes with these entries.
fn file_of(entries: &[Entry], compression: Compression) -> Vec<u8> {
    let mut out = header(Format::Current, &[("made-by", "a test")]);
    select(&mut out, 2);
    for entry in entries {
        key(
            &mut out,
            entry,
            AccessPolicy::Lru,
            NOW,
            (Format::Current, compression),
        );
    }
    function(&mut out, b"#!lua name=none", Compression::Off);
    out.push(opcode::EOF);
    out.extend(CRC.checksum(&out).to_le_bytes());
    out
}

/// A file with one value of that type, and with what else a file may say.
fn older_file(of: Type, value: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut out = b"REDIS0009".to_vec();
    out.push(opcode::AUX);
    write::string(&mut out, b"redis-bits", Compression::Off);
    write::string(&mut out, b"64", Compression::Off);
    select(&mut out, 0);
    out.push(opcode::RESIZEDB);
    write::length(&mut out, 1);
    write::length(&mut out, random.u64(..2));
    out.push(opcode::SLOT_INFO);
    for number in [random.u64(..16_384), 1, 0] {
        write::length(&mut out, number);
    }
    match random.u8(..3) {
        0 => {
            out.push(opcode::EXPIRETIME);
            out.extend(random.u32(1 << 31..).to_le_bytes());
        }
        1 => {
            out.push(opcode::EXPIRETIME_MS);
            write::millis(&mut out, random.u64(NOW.ms()..1 << 50));
        }
        _ => {}
    }
    match random.u8(..3) {
        0 => {
            out.push(opcode::IDLE);
            write::length(&mut out, random.u64(..1 << 32));
        }
        1 => out.extend([opcode::FREQ, random.u8(..)]),
        _ => {}
    }
    out.push(of as u8);
    write::string(&mut out, b"k", Compression::Off);
    out.extend_from_slice(value);
    out.push(opcode::EOF);
    out.extend(CRC.checksum(&out).to_le_bytes());
    out
}

/// Every key in a file, or how far it could be read.
fn read_all(bytes: &[u8], wanted: bool) -> Result<Vec<Entry>, Damage> {
    let mut reader = FileReader::new(Box::new(bytes.to_vec()), bytes.len() as u64)?;
    let mut all = Vec::new();
    loop {
        match reader.next(&Limits::default(), |_, _| wanted)? {
            Section::Key(key) => all.push(key.entry),
            Section::End => return Ok(all),
            _ => {}
        }
    }
}

fn compression(random: &mut Rng) -> Compression {
    if random.bool() {
        Compression::Lzf
    } else {
        Compression::Off
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
    fn a_value_of_an_older_version_is_the_same_value(seed in any::<u64>()) {
        let random = &mut Rng::with_seed(seed);
        let entry = random_entry(random, b"k");
        let Some((of, value)) = older::value(&entry, random) else {
            return Ok(());
        };
        let bytes = older_file(of, &value, random);
        let read = read_all(&bytes, true).unwrap();
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(read_all(&bytes, false).unwrap().len(), 0);
        if entry.get::<Box<Stream>>().is_err() {
            prop_assert_eq!(told(&read[0]), told(&entry));
        } else {
            // Not told then: what was counted and when consumers were active. The entries are.
            let entries = |entry: &Entry| -> Vec<String> {
                told(entry).into_iter().filter(|line| line.starts_with("StreamId")).collect()
            };
            prop_assert_eq!(entries(&read[0]), entries(&entry));
        }
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
        // The digits of the version may say another one that we read as well; a checksum of zero is
        // none.
        let at = random.usize(9..bytes.len() - 8);
        bytes[at] ^= random.u8(1..);
        for wanted in [true, false] {
            prop_assert!(read_all(&bytes, wanted).is_err());
        }
    }
}

/// No command looks for a second one, and the large forms have no place for it.
#[test]
fn an_element_stands_once() {
    let pack = |texts: &[&str]| {
        let mut pack = crate::listpack::Listpack::new();
        texts
            .iter()
            .for_each(|text| pack.push_back(text.as_bytes()));
        let mut value = Vec::new();
        write::string(&mut value, pack.as_bytes(), Compression::Off);
        value
    };
    let strings = |count: u64, texts: &[&str]| {
        let mut value = Vec::new();
        write::length(&mut value, count);
        for text in texts {
            write::string(&mut value, text.as_bytes(), Compression::Off);
        }
        value
    };
    let no_deadline = u64::MAX.to_le_bytes().to_vec();
    for (of, once, twice) in [
        (Type::SetListpack, pack(&["a", "b"]), pack(&["a", "b", "a"])),
        (Type::Set, strings(2, &["a", "b"]), strings(2, &["b", "b"])),
        (
            Type::HashListpack,
            pack(&["a", "b", "b", "b"]),
            pack(&["7", "b", "7", "c"]),
        ),
        (
            Type::Hash,
            strings(2, &["a", "b", "b", "b"]),
            strings(2, &["a", "b", "a", "b"]),
        ),
        (
            Type::HashListpackEx,
            [no_deadline.clone(), pack(&["a", "b", "0", "c", "d", "0"])].concat(),
            [no_deadline, pack(&["a", "b", "0", "a", "d", "0"])].concat(),
        ),
        (
            Type::SortedSetListpack,
            pack(&["a", "1", "b", "2"]),
            pack(&["a", "1", "a", "2"]),
        ),
    ] {
        let restored = |value: &[u8]| {
            let mut payload = [&[of as u8][..], value, &VERSION.to_le_bytes()].concat();
            payload.extend(CRC.checksum(&payload).to_le_bytes());
            restore(b"k", &payload, &Limits::default())
        };
        assert!(matches!(restored(&once), Ok(Some(_))), "{of:?}");
        assert!(restored(&twice).is_err(), "{of:?}");
    }
}

/// Each of the four types writes the times in another way, and Redis has 48 bits for one.
#[test]
fn times_of_fields_are_read_whoever_wrote_them() {
    const SOON: u64 = 1 << 41;
    let deadlines = |of: Type, later: u64| {
        let mut value = match of {
            Type::HashMetadata | Type::HashListpackEx => SOON.to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        let fields = [("a", SOON), ("b", later), ("c", 0)];
        if matches!(of, Type::HashListpackEx | Type::HashListpackExPreGa) {
            let mut pack = crate::listpack::Listpack::new();
            for (name, at) in fields {
                for text in [name, "v", &at.to_string()] {
                    pack.push_back(text.as_bytes());
                }
            }
            write::string(&mut value, pack.as_bytes(), Compression::Off);
            return value;
        }
        write::length(&mut value, 3);
        for (name, at) in fields {
            let number = match of {
                Type::HashMetadata if at > 0 => at - SOON + 1,
                _ => at,
            };
            write::length(&mut value, number);
            write::string(&mut value, name.as_bytes(), Compression::Off);
            write::string(&mut value, b"v", Compression::Off);
        }
        value
    };
    for of in [
        Type::HashMetadataPreGa,
        Type::HashListpackExPreGa,
        Type::HashMetadata,
        Type::HashListpackEx,
    ] {
        let restored = |later: u64| {
            let value = deadlines(of, later);
            let mut payload = [&[of as u8][..], &value, &VERSION.to_le_bytes()].concat();
            payload.extend(CRC.checksum(&payload).to_le_bytes());
            restore(b"k", &payload, &Limits::default())
        };
        for later in [SOON + 7, (1 << 48) - 1] {
            let Ok(Some(entry)) = restored(later) else {
                panic!("{of:?} with {later} is refused");
            };
            let hash = entry.get::<crate::hash::Hash>().expect("a hash");
            let at = |name: &[u8]| hash.deadline(name, UnixMillis::new(0));
            assert_eq!(at(b"a"), Some(Some(UnixMillis::new(SOON))), "{of:?}");
            assert_eq!(at(b"b"), Some(Some(UnixMillis::new(later))), "{of:?}");
            assert_eq!(at(b"c"), Some(None), "{of:?}");
        }
        assert!(restored(1 << 48).is_err(), "{of:?}");
        let random = &mut Rng::with_seed(7);
        let file = older_file(of, &deadlines(of, SOON + 7), random);
        for wanted in [true, false] {
            assert!(read_all(&file, wanted).is_ok(), "{of:?}");
        }
    }
}
