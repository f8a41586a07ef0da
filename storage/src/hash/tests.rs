use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SMALL: HashLimits = HashLimits {
    entries: 6,
    value: 10,
};

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>, bool),
    Remove(Vec<u8>),
    RemoveExpired(Vec<u8>),
    Deadline(Vec<u8>, Option<u64>),
    Advance(u64),
    Expire(usize),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0i64..10).prop_map(|int| int.to_string().into_bytes()),
        1 => "[a-c]{0,2}".prop_map(String::into_bytes),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => any::<i16>().prop_map(|int| int.to_string().into_bytes()),
        1 => "[a-c]{9,12}".prop_map(String::into_bytes),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (name(), value(), any::<bool>()).prop_map(|(n, v, keep)| Op::Set(n, v, keep)),
        2 => name().prop_map(Op::Remove),
        1 => name().prop_map(Op::RemoveExpired),
        2 => (name(), proptest::option::of(1u64..100)).prop_map(|(n, d)| Op::Deadline(n, d)),
        1 => (1u64..20).prop_map(Op::Advance),
        1 => (1usize..4).prop_map(Op::Expire),
    ]
}

/// The hash shows what the model has, at this time.
fn agree(
    hash: &Hash,
    model: &BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>,
    now: u64,
) -> Result<(), TestCaseError> {
    let clock = UnixMillis::new(now);
    prop_assert_eq!(hash.len(), model.len());
    let shown: BTreeMap<_, _> = hash
        .live(clock)
        .map(|it| (it.name.to_vec(), it.value.to_vec()))
        .collect();
    let expected: BTreeMap<_, _> = model
        .iter()
        .filter(|(_, (_, at))| at.is_none_or(|at| at >= now))
        .map(|(name, (value, _))| (name.clone(), value.clone()))
        .collect();
    prop_assert_eq!(&shown, &expected);
    let earliest = model.values().filter_map(|(_, at)| *at).min();
    match (hash.next_deadline(), earliest) {
        (Some(bound), Some(at)) => prop_assert!(bound.ms() <= at),
        (None, at) => prop_assert_eq!(at, None),
        (Some(_), None) => {}
    }
    for (name, (value, at)) in model {
        let is_live = at.is_none_or(|at| at >= now);
        prop_assert_eq!(
            hash.get(name, clock).map(Item::to_vec),
            is_live.then(|| value.clone())
        );
        prop_assert_eq!(
            hash.deadline(name, clock),
            is_live.then_some(at.map(UnixMillis::new))
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn behaves_as_a_map_whose_entries_expire(ops in proptest::collection::vec(op(), 0..100)) {
        let mut hash = Hash::new();
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)> = BTreeMap::new();
        let mut now = 1;
        for op in ops {
            let clock = UnixMillis::new(now);
            let live = |entry: Option<&(Vec<u8>, Option<u64>)>| {
                entry.is_some_and(|(_, deadline)| deadline.is_none_or(|at| at >= now))
            };
            match op {
                Op::Set(name, value, keep) => {
                    let mode = if keep { FieldDeadline::Keep } else { FieldDeadline::Clear };
                    let was_live = live(model.get(&name));
                    prop_assert_eq!(hash.set(&name, &value, mode, SMALL, clock), !was_live);
                    let deadline = model.get(&name).and_then(|(_, at)| *at).filter(|_| keep && was_live);
                    model.insert(name, (value, deadline));
                }
                Op::Remove(name) => {
                    let was_live = live(model.get(&name));
                    prop_assert_eq!(hash.remove(&name, clock), was_live);
                    if was_live {
                        model.remove(&name);
                    }
                }
                Op::RemoveExpired(name) => {
                    let has_expired = model.contains_key(&name) && !live(model.get(&name));
                    prop_assert_eq!(hash.has_expired(&name, clock), has_expired);
                    prop_assert_eq!(hash.remove_expired(&name, clock), has_expired);
                    if has_expired {
                        model.remove(&name);
                    }
                }
                Op::Deadline(name, after) => {
                    let at = after.map(|after| now + after);
                    prop_assert_eq!(hash.set_deadline(&name, at.map(UnixMillis::new)), model.contains_key(&name));
                    if let Some(entry) = model.get_mut(&name) {
                        entry.1 = at;
                    }
                }
                Op::Advance(by) => now += by,
                Op::Expire(budget) => {
                    let due: Vec<_> = model.iter().filter(|(_, entry)| !live(Some(entry))).map(|(name, _)| name.clone()).collect();
                    let mut gone = Vec::new();
                    let removed = hash.expire(clock, budget, |name| gone.push(name.to_vec()));
                    prop_assert_eq!(removed, due.len().min(budget));
                    for name in gone {
                        prop_assert!(due.contains(&name));
                        model.remove(&name);
                    }
                }
            }
            agree(&hash, &model, now)?;
        }
    }
}

#[test]
fn forms_change_at_redis_limits() {
    let limits = HashLimits::default();
    let now = UnixMillis::new(1);
    let mut hash = Hash::new();
    for field in 0..512 {
        let name = field.to_string();
        hash.set(name.as_bytes(), b"v", FieldDeadline::Clear, limits, now);
    }
    assert_eq!(hash.encoding(), "listpack");
    let mut expiring = hash.clone();
    expiring.set_deadline(b"5", Some(UnixMillis::new(9)));
    assert_eq!(expiring.encoding(), "listpackex");
    hash.set(b"one more", b"v", FieldDeadline::Clear, limits, now);
    assert_eq!(hash.encoding(), "hashtable");
    let mut hash = Hash::new();
    hash.set(b"f", &[b'x'; 65], FieldDeadline::Clear, limits, now);
    assert_eq!(hash.encoding(), "hashtable");
}
