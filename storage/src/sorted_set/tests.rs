//! Sorted sets against a plain model, in both forms.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use fastrand::Rng;

const TINY: SortedSetLimits = SortedSetLimits {
    entries: 8,
    value: 12,
};

fn score(value: f64) -> Score {
    Score::new(value).expect("not NaN")
}

/// The model's entries in order.
fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
    let mut entries: Vec<_> = model.iter().map(|(m, &s)| (m.clone(), s)).collect();
    entries.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    entries
}

fn owned(entry: (Item<'_>, Score)) -> (Vec<u8>, f64) {
    (entry.0.to_vec(), entry.1.get())
}

fn check(set: &SortedSet, model: &BTreeMap<Vec<u8>, f64>) {
    let expected = sorted(model);
    assert_eq!(set.len(), expected.len());
    set.assert_sound();
    assert_eq!(set.iter().map(owned).collect::<Vec<_>>(), expected);
    for (rank, (member, value)) in expected.iter().enumerate() {
        assert_eq!(set.rank(member), Some(rank));
        assert_eq!(set.score(member), Some(score(*value)));
        let ahead: Vec<_> = set.iter_from(rank, Direction::Forward).map(owned).collect();
        assert_eq!(ahead, expected[rank..]);
        let mut behind: Vec<_> = set
            .iter_from(rank, Direction::Backward)
            .map(owned)
            .collect();
        behind.reverse();
        assert_eq!(behind, expected[..=rank]);
        let below = expected.iter().filter(|e| e.1 < *value).count();
        let up_to = expected.iter().filter(|e| e.1 <= *value).count();
        assert_eq!(set.first_from_score(score(*value)), below);
        assert_eq!(set.partition_by_score(|it| it <= score(*value)), up_to);
    }
    for direction in [Direction::Forward, Direction::Backward] {
        assert!(set.iter_from(set.len(), direction).next().is_none());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, i8),
    Remove(u8),
    RemoveRange(usize, usize),
    Pop(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..40, -4i8..4).prop_map(|(m, s)| Step::Insert(m, s)),
        2 => (0u8..40).prop_map(Step::Remove),
        1 => (0usize..20, 0usize..6).prop_map(|(at, n)| Step::RemoveRange(at, at + n)),
        1 => any::<bool>().prop_map(Step::Pop),
    ]
}

/// Some members are integers, some are not.
fn name(member: u8) -> Vec<u8> {
    match member % 2 {
        0 => member.to_string().into_bytes(),
        _ => format!("m{member}").into_bytes(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

    #[test]
    fn behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 0..120), large in any::<bool>()) {
        let limits = if large { TINY } else { SortedSetLimits::default() };
        let (mut set, mut model) = (SortedSet::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(member, value) => {
                    let (member, value) = (name(member), f64::from(value) / 2.0);
                    let expected = match model.insert(member.clone(), value) {
                        None => Inserted::New,
                        Some(before) if before == value => Inserted::Same,
                        Some(before) => Inserted::Rescored(score(before)),
                    };
                    prop_assert_eq!(set.insert(&member, score(value), limits), expected);
                }
                Step::Remove(member) => {
                    let member = name(member);
                    prop_assert_eq!(set.remove(&member).map(Score::get), model.remove(&member));
                }
                Step::RemoveRange(start, end) => {
                    set.remove_range(start..end);
                    for (member, _) in sorted(&model).into_iter().take(end).skip(start) {
                        model.remove(&member);
                    }
                }
                Step::Pop(first) => {
                    let entries = sorted(&model);
                    let expected = if first { entries.first() } else { entries.last() };
                    let direction = if first { Direction::Forward } else { Direction::Backward };
                    let popped = set.pop_with(direction, |m, s| (m.to_vec(), s.get()));
                    prop_assert_eq!(popped.as_ref(), expected);
                    if let Some((member, _)) = popped {
                        model.remove(&member);
                    }
                }
            }
        }
        check(&set, &model);
    }

    #[test]
    fn scores_survive_packing(bits in any::<u64>(), whole in any::<i64>()) {
        for value in [f64::from_bits(bits), whole as f64, (whole % 1000) as f64, f64::INFINITY, f64::NEG_INFINITY] {
            let Some(expected) = Score::new(value) else { continue };
            let mut set = SortedSet::new();
            set.insert(b"m", expected, SortedSetLimits::default());
            prop_assert_eq!(set.encoding(), "listpack");
            prop_assert_eq!(set.score(b"m"), Some(expected));
        }
    }

    #[test]
    fn a_scan_shows_all_that_stays(stay in 20usize..60, changes in prop::collection::vec((any::<u16>(), any::<bool>()), 0..200)) {
        let mut set = SortedSet::new();
        let kept: BTreeSet<Vec<u8>> = (0..stay).map(|n| format!("kept:{n}").into_bytes()).collect();
        for n in 0..40u16 {
            set.insert(format!("gone:{n}").as_bytes(), score(f64::from(n)), TINY);
        }
        for member in &kept {
            set.insert(member, score(1.0), TINY);
        }
        let (mut shown, mut changes) = (BTreeSet::new(), changes.into_iter());
        let mut from = Some(Position::default());
        while let Some(at) = from {
            from = set.scan(at, 3, |member, _| { shown.insert(member.to_vec()); });
            for (number, add) in changes.by_ref().take(6) {
                let member = format!("gone:{}", number % 80);
                if add {
set.insert(member.as_bytes(), score(f64::from(number)), TINY);
} else {
set.remove(member.as_bytes());
}
            }
        }
        prop_assert!(kept.is_subset(&shown));
    }
}

#[test]
fn the_limits_decide_the_form() {
    let limits = SortedSetLimits::default();
    let mut set = SortedSet::new();
    for n in 0..128 {
        set.insert(n.to_string().as_bytes(), score(0.0), limits);
    }
    assert_eq!(set.encoding(), "listpack");
    set.insert(b"0", score(9.0), limits);
    assert_eq!(set.encoding(), "listpack");
    set.insert(b"128", score(0.0), limits);
    assert_eq!(set.encoding(), "skiplist");
    let mut set = SortedSet::new();
    set.insert(&[b'x'; 64], score(0.0), limits);
    assert_eq!(set.encoding(), "listpack");
    set.insert(&[b'x'; 65], score(0.0), limits);
    assert_eq!(set.encoding(), "skiplist");
    assert_eq!(
        SortedSet::for_members(129, 1, limits).encoding(),
        "skiplist"
    );
    assert_eq!(SortedSet::for_members(1, 65, limits).encoding(), "skiplist");
    assert_eq!(
        SortedSet::for_members(128, 64, limits).encoding(),
        "listpack"
    );
}

#[test]
fn names_order_ranges_where_scores_are_equal() {
    for limits in [TINY, SortedSetLimits::default()] {
        let mut set = SortedSet::new();
        for n in 0..20 {
            set.insert(format!("{n:02}").as_bytes(), Score::ZERO, limits);
        }
        let from = |name: &[u8]| set.partition_by_name(|it| compare(it, name) == Ordering::Less);
        let behind =
            |name: &[u8]| set.partition_by_name(|it| compare(it, name) != Ordering::Greater);
        assert_eq!(from(b"05"), 5);
        assert_eq!(behind(b"05"), 6);
        assert_eq!(from(b""), 0);
        assert_eq!(behind(b"zz"), 20);
    }
}

#[derive(Clone, Debug)]
enum LargeStep {
    /// Members of these numbers, with scores that rise, fall or jump about, or are all equal.
    Insert(u16, u16, u8),
    Remove(u16, u16),
    RemoveRange(u16, u16),
    Pop(bool, u16),
}

fn large_step() -> impl Strategy<Value = LargeStep> {
    prop_oneof![
        3 => (0u16..3000, 1u16..600, 0u8..4).prop_map(|(at, n, way)| LargeStep::Insert(at, n, way)),
        1 => (0u16..3000, 1u16..300).prop_map(|(at, n)| LargeStep::Remove(at, n)),
        1 => (0u16..3000, 1u16..500).prop_map(|(at, n)| LargeStep::RemoveRange(at, n)),
        1 => (any::<bool>(), 1u16..400).prop_map(|(first, n)| LargeStep::Pop(first, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 48 }))]

    /// Deep trees: nodes part, join and go at every depth.
    #[test]
    fn large_sets_behave_like_a_sorted_map(steps in prop::collection::vec(large_step(), 1..if cfg!(miri) { 4 } else { 40 })) {
        let (mut set, mut model) = (SortedSet::new(), BTreeMap::new());
        let member = |n: u16| format!("member:{n}").into_bytes();
        let mut expected: Vec<(i64, Vec<u8>)> = Vec::new();
        for step in steps {
            match step {
                LargeStep::Insert(at, n, way) => for n in at..at + n {
                    let value = match way {
                        0 => i64::from(n),
                        1 => -i64::from(n),
                        2 => i64::from(n) * 7919 % 1009,
                        _ => 5,
                    };
                    set.insert(&member(n), score(value as f64), TINY);
                    model.insert(member(n), value);
                },
                LargeStep::Remove(at, n) => for n in at..at + n {
                    let was = model.remove(&member(n)).map(|value| score(value as f64));
                    prop_assert_eq!(set.remove(&member(n)), was);
                },
                LargeStep::RemoveRange(at, n) => {
                    let range = usize::from(at)..usize::from(at) + usize::from(n);
                    for (_, name) in expected.iter().take(range.end).skip(range.start) {
                        model.remove(name);
                    }
                    set.remove_range(range);
                }
                LargeStep::Pop(first, n) => for _ in 0..n.min(expected.len() as u16) {
                    let direction = if first { Direction::Forward } else { Direction::Backward };
                    let popped = set.pop_with(direction, |name, score| (score.get() as i64, name.to_vec()));
                    let end = if first { expected.remove(0) } else { expected.pop().expect("some are left") };
                    prop_assert_eq!(popped.as_ref(), Some(&end));
                    model.remove(&end.1);
                },
            }
            expected = model.iter().map(|(name, &value)| (value, name.clone())).collect();
            expected.sort();
            set.assert_sound();
            prop_assert_eq!(set.len(), expected.len());
            prop_assert!(set.iter().map(|(name, score)| (score.get() as i64, name.to_vec())).eq(expected.iter().cloned()));
            for (rank, (value, name)) in expected.iter().enumerate().step_by(37) {
                prop_assert_eq!(set.rank(name), Some(rank));
                let below = expected.partition_point(|other| other.0 < *value);
                prop_assert_eq!(set.first_from_score(score(*value as f64)), below);
                let behind = set.iter_from(rank, Direction::Backward).next();
                prop_assert!(behind.is_some_and(|(other, _)| other == name[..]));
            }
        }
        prop_assert!(set.clone().iter().map(owned).eq(set.iter().map(owned)));
    }
}

#[test]
fn large_sets_keep_their_order_and_give_memory_back() {
    // What the ten that stay take besides themselves weighs more among few.
    const MEMBERS: usize = if cfg!(miri) { 700 } else { 20_000 };
    const PART_LEFT: usize = if cfg!(miri) { 5 } else { 100 };
    let limits = SortedSetLimits::default();
    let mut set = SortedSet::new();
    for n in 0..MEMBERS {
        let value = (n * 7919 % MEMBERS) as f64;
        set.insert(format!("member:{n}").as_bytes(), score(value), limits);
    }
    let full = set.memory_bytes();
    for rank in [0, 1, MEMBERS / 2, MEMBERS - 1] {
        let entry = set.iter_from(rank, Direction::Forward).next();
        assert_eq!(entry.map(|(_, s)| s.get()), Some(rank as f64));
    }
    set.remove_range(10..MEMBERS);
    assert_eq!(set.len(), 10);
    assert!(set.memory_bytes() < full / PART_LEFT);
    assert!(set.random(&mut Rng::with_seed(1)).is_some());
    set.remove_range(0..usize::MAX);
    assert!(set.is_empty() && set.random(&mut Rng::with_seed(1)).is_none());
}
