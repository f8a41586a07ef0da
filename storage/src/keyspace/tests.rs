use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::access::AccessPolicy;
use crate::cut::Terms;
use crate::item::Item;
use crate::rdb::{Checksum, Compression, FileReader, Format, Limits, Section, header};

fn keyspace() -> Keyspace {
    Keyspace::new(KeyHasher::random())
}

fn key(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn put(keyspace: &mut Keyspace, number: usize) {
    let key = key(number);
    keyspace.insert(Entry::string(&key, &key, None));
}

#[derive(Clone, Debug)]
enum Op {
    Put(usize, Option<u64>),
    Take(usize),
    Deadline(usize, Option<u64>),
    Expire(u64),
    /// Goes on with a copy.
    Copy,
}

fn op() -> impl Strategy<Value = Op> {
    let number = 0usize..300;
    let deadline = proptest::option::of(1u64..1000);
    prop_oneof![
        4 => (number.clone(), deadline.clone()).prop_map(|(n, d)| Op::Put(n, d)),
        3 => number.clone().prop_map(Op::Take),
        1 => (number, deadline).prop_map(|(n, d)| Op::Deadline(n, d)),
        1 => (1u64..1000).prop_map(Op::Expire),
        1 => Just(Op::Copy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_a_plain_map(ops in proptest::collection::vec(op(), 1..600)) {
        let mut keyspace = keyspace();
        let mut model: BTreeMap<usize, Option<u64>> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put(number, deadline) => {
                    let entry = Entry::string(&key(number), b"value", deadline.map(UnixMillis::new));
                    prop_assert_eq!(keyspace.insert(entry).is_some(), model.insert(number, deadline).is_some());
                }
                Op::Take(number) => {
                    prop_assert_eq!(keyspace.take(&key(number)).is_some(), model.remove(&number).is_some());
                }
                Op::Deadline(number, deadline) => {
                    let known = model.get_mut(&number).map(|known| *known = deadline).is_some();
                    prop_assert_eq!(keyspace.set_deadline(&key(number), deadline.map(UnixMillis::new)), known);
                }
                Op::Expire(now) => {
                    let mut removed = 0;
                    while keyspace.expire_some(UnixMillis::new(now), 7, |_| removed += 1).more {}
                    let before = model.len();
                    model.retain(|_, deadline| deadline.is_none_or(|deadline| deadline >= now));
                    prop_assert_eq!(removed, before - model.len());
                }
                Op::Copy => keyspace = keyspace.clone(),
            }
            prop_assert_eq!(keyspace.len(), model.len());
            prop_assert_eq!(keyspace.volatile_len(), model.values().flatten().count());
        }
        for number in 0..300 {
            let found = keyspace.get(&key(number)).map(|entry| entry.deadline().map(UnixMillis::ms));
            prop_assert_eq!(found, model.get(&number).copied());
        }
    }
}

/// Visits all, with `count` a call and `between` between two calls.
fn scan_all(
    keyspace: &mut Keyspace,
    count: usize,
    mut between: impl FnMut(&mut Keyspace),
) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut from = Position::default();
    loop {
        let mut visited = 0;
        let next = keyspace.scan(from, count, |entry| {
            visited += 1;
            seen.push(entry.key().to_vec());
        });
        assert!(
            visited <= count + 1,
            "{visited} entries for a count of {count}"
        );
        match next {
            Some(next) => from = next,
            None => return seen,
        }
        between(keyspace);
    }
}

#[test]
fn a_scan_visits_every_key_once() {
    for len in [0, 1, 63, 64, 65, 1000, 20_000] {
        let mut keyspace = keyspace();
        (0..len).for_each(|number| put(&mut keyspace, number));
        for count in [1, 10, 1000] {
            if len / count > 5000 {
                continue;
            }
            let seen = scan_all(&mut keyspace, count, |_| {});
            assert_eq!(seen.len(), len);
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), len);
        }
    }
}

#[test]
fn a_scan_visits_what_stays_while_the_table_grows_and_shrinks() {
    let mut keyspace = keyspace();
    (0..1000).for_each(|number| put(&mut keyspace, number));
    let mut next = 1000;
    let mut calls = 0;
    let seen = scan_all(&mut keyspace, 10, |keyspace| {
        calls += 1;
        // Grow twentyfold, then shrink again.
        if calls % 60 < 30 {
            (next..next + 600).for_each(|number| put(keyspace, number));
            next += 600;
        } else {
            for number in next.saturating_sub(600).max(1000)..next {
                keyspace.take(&key(number));
            }
            next = next.saturating_sub(600).max(1000);
        }
    });
    let seen: HashSet<_> = seen.into_iter().collect();
    for number in 0..1000 {
        assert!(seen.contains(&key(number)), "key {number} was left out");
    }
}

#[test]
fn a_table_that_shrinks_gives_its_directory_back() {
    let mut keyspace = keyspace();
    (0..100_000).for_each(|number| put(&mut keyspace, number));
    let segments = |keyspace: &Keyspace| {
        keyspace
            .directories
            .iter()
            .map(|directory| directory.segments().len())
            .sum::<usize>()
    };
    assert!(segments(&keyspace) > 1500);
    for number in 10..100_000 {
        assert!(keyspace.take(&key(number)).is_some());
    }
    assert_eq!(keyspace.len(), 10);
    assert!(segments(&keyspace) < 32, "{}", segments(&keyspace));
    assert_eq!(keyspace.directories.len(), 1);
    for number in 0..10 {
        let key = key(number);
        let entry = keyspace.get(&key).expect("it stayed");
        assert_eq!(entry.as_string(), Ok(Item::Bytes(&key)));
    }
}

#[test]
fn random_entries_are_spread_over_all() {
    let mut keyspace = keyspace();
    let mut random = fastrand::Rng::with_seed(7);
    assert!(keyspace.random(&mut random).is_none());
    (0..200).for_each(|number| put(&mut keyspace, number));
    let seen: HashSet<_> = (0..20_000)
        .filter_map(|_| {
            keyspace
                .random(&mut random)
                .map(|entry| entry.key().to_vec())
        })
        .collect();
    assert_eq!(seen.len(), 200);
}

#[test]
fn a_sweep_stops_at_its_budget_and_goes_on_there() {
    let mut keyspace = keyspace();
    for number in 0..10_000 {
        let deadline = (number % 2 == 0).then(|| UnixMillis::new(number as u64));
        keyspace.insert(Entry::string(&key(number), b"1", deadline));
    }
    let now = UnixMillis::new(5000);
    let mut removed = 0;
    let mut calls = 0;
    while keyspace.expire_some(now, 100, |_| removed += 1).more {
        calls += 1;
    }
    assert_eq!(removed, 2500);
    assert_eq!(calls, 24);
    assert_eq!(keyspace.expire_some(now, 100, |_| {}), Expired::default());
    assert_eq!(keyspace.volatile_len(), 2500);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever happens while a copy is written, it holds all keys as they were at the cut.
    #[test]
    fn a_copy_is_of_one_instant(
        before in prop::collection::vec(0u16..3000, 0..2500),
        steps in prop::collection::vec((0u8..6, 0u16..3000), 1..400),
    ) {
        let mut keyspace = Keyspace::new(KeyHasher::random());
        let name = |key: u16| format!("key:{key}").into_bytes();
        for key in &before {
            keyspace.insert(Entry::string(&name(*key), b"before", None));
        }
        let mut expected: Vec<Vec<u8>> = keyspace.iter().map(|it| it.key().to_vec()).collect();
        expected.sort();
        let terms = Terms { access: AccessPolicy::Lru, now: UnixMillis::new(0), compression: Compression::Off, format: Format::Current };
        keyspace.begin_cut(3, terms);
        let mut file = header(Format::Current, &[("made-by", "a test")]);
        let mut ended = false;
        for (what, key) in steps {
            let key = name(key);
            match what {
                0 => drop(keyspace.insert(Entry::string(&key, b"new", None))),
                1 => drop(keyspace.take(&key)),
                2 | 3 => {
                    keyspace.preserve(&key);
                    if let Some(entry) = keyspace.get_mut(&key) {
                        entry.set_string(b"changed");
                    }
                }
                _ => if let Some(piece) = keyspace.write_on(20) {
                    file.extend(&piece.bytes);
                    ended = piece.last;
                }
            }
        }
        while !ended {
            let piece = keyspace.write_on(100).expect("a walk is under way until its last piece");
            file.extend(&piece.bytes);
            ended = piece.last;
        }
        prop_assert!(!keyspace.is_cut());
        let mut checksum = Checksum::new(true);
        checksum.update(&file);
        file.extend(checksum.end());
        let len = file.len() as u64;
        let mut reader = FileReader::new(Box::new(file), len).unwrap();
        let mut found = Vec::new();
        loop {
            match reader.next(&Limits::default(), |_, _| true).unwrap() {
                Section::Key(key) => {
                    prop_assert_eq!(key.entry.as_string().unwrap(), Item::Bytes(b"before"));
                    found.push(key.entry.key().to_vec());
                }
                Section::Database(number) => prop_assert_eq!(number, 3),
                Section::End => break,
                _ => {}
            }
        }
        found.sort();
        prop_assert_eq!(found, expected);
    }
}
