use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SETTINGS: [i64; 5] = [-1, -2, 1, 3, 128];

fn texts(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(Item::to_vec).collect()
}

fn check(list: &List, model: &VecDeque<Vec<u8>>, limits: ListLimits) {
    assert_eq!(list.len(), model.len());
    assert_eq!(list.is_empty(), model.is_empty());
    assert!(texts(list).iter().eq(model));
    let last = model.len().saturating_sub(1);
    let backward = list.iter_from(last, End::Back).map(Item::to_vec);
    assert!(backward.eq(model.iter().rev().cloned()));
    for index in [0, model.len() / 3, model.len() / 2, last] {
        let item = list.get(index).map(Item::to_vec);
        assert_eq!(item.as_ref(), model.get(index));
        let rest = list.iter_from(index, End::Front).map(Item::to_vec);
        assert!(rest.eq(model.iter().skip(index).cloned()));
    }
    assert!(list.get(model.len()).is_none());
    if let Encoding::Quick(quick) = &list.encoding {
        quick.assert_sound(limits);
        assert!(!quick.is_empty());
    }
}

#[test]
fn changes_form_where_redis_does() {
    let limits = ListLimits::from_setting(4);
    let mut list = List::new();
    list.push_all(End::Back, [&b"a"[..], b"b", b"c", b"d"].into_iter(), limits);
    assert_eq!(list.encoding(), "listpack");
    list.push(End::Back, b"e", limits);
    assert_eq!(list.encoding(), "quicklist");
    list.pop(End::Back, limits);
    assert_eq!(list.encoding(), "quicklist");
    list.pop(End::Back, limits);
    assert_eq!(list.encoding(), "quicklist");
    list.pop(End::Back, limits);
    assert_eq!(list.encoding(), "listpack");

    let limits = ListLimits::default();
    let mut list = List::new();
    list.push(End::Back, &[b'x'; 8192], limits);
    assert_eq!(list.encoding(), "quicklist");
    list.push(End::Back, b"y", limits);
    list.set(0, b"x", limits);
    assert_eq!((list.len(), list.effort_to_free()), (2, 2));
    list.pop(End::Front, limits);
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn settings_mean_what_redis_says() {
    assert_eq!(
        ListLimits::from_setting(i64::MIN),
        ListLimits::Bytes(65_536)
    );
    assert_eq!(ListLimits::from_setting(-1), ListLimits::Bytes(4096));
    assert_eq!(ListLimits::from_setting(0), ListLimits::Count(1));
    assert_eq!(ListLimits::from_setting(128), ListLimits::Count(128));
    assert_eq!(
        ListLimits::from_setting(i64::MAX),
        ListLimits::Count(32_767)
    );
    assert_eq!(ListLimits::default(), ListLimits::Bytes(8192));
}

#[test]
fn many_elements_without_text_are_no_pack() {
    let limits = ListLimits::default();
    let mut list = List::new();
    list.push_all(End::Front, std::iter::repeat_n(&b""[..], 300_000), limits);
    assert_eq!((list.len(), list.encoding()), (300_000, "quicklist"));
    assert!(list.packs().all(|pack| pack.byte_len() <= 8192));
}

/// Nodes of one element make chunks overflow soon.
#[test]
fn many_chunks_hold_together() {
    let limits = ListLimits::from_setting(1);
    let mut list = List::new();
    let mut model = VecDeque::new();
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..6000usize {
        let element = step.to_string().into_bytes();
        match random.u8(..10) {
            0..3 => {
                list.push(End::Back, &element, limits);
                model.push_back(element);
            }
            3..6 => {
                list.push(End::Front, &element, limits);
                model.push_front(element);
            }
            6..9 => {
                let index = random.usize(..=model.len());
                list.insert(index, &element, limits);
                model.insert(index, element);
            }
            _ if !model.is_empty() => {
                let index = random.usize(..model.len());
                list.remove_range(index..index + 1, limits);
                model.remove(index);
            }
            _ => {}
        }
    }
    check(&list, &model, limits);
    let from_packs = List::from_packs(list.packs().cloned(), limits);
    check(&from_packs, &model, limits);
    let trimmed = model.len() / 4..model.len() / 2;
    list.trim(trimmed.clone(), limits);
    let model: VecDeque<_> = model.drain(trimmed).collect();
    check(&list, &model, limits);
    while list.pop(End::Front, limits).is_some() {}
    assert_eq!((list.len(), list.encoding()), (0, "listpack"));
}

#[test]
fn counts_its_memory() {
    let limits = ListLimits::default();
    let mut list = List::new();
    for int in 0..100_000 {
        list.push(End::Back, int.to_string().as_bytes(), limits);
    }
    let bytes = list.memory_bytes();
    assert!((400_000..600_000).contains(&bytes), "{bytes}");
    assert_eq!(list.get(77_777), Some(Item::Int(77_777)));
    assert_eq!(list.position(b"66666"), Some(66_666));
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<Vec<u8>>),
    Pop(bool),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    RemoveEqual(Vec<u8>, bool, usize),
    RemoveRange(usize, usize),
    Trim(usize, usize),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0i64..9).prop_map(|int| int.to_string().into_bytes()),
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        2 => (0usize..1500).prop_map(|len| vec![b'y'; len]),
        1 => (4000usize..9000).prop_map(|len| vec![b'z'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0usize..80;
    prop_oneof![
        6 => (any::<bool>(), proptest::collection::vec(element(), 1..6)).prop_map(|(e, v)| Step::Push(e, v)),
        2 => any::<bool>().prop_map(Step::Pop),
        2 => (place.clone(), element()).prop_map(|(i, e)| Step::Set(i, e)),
        4 => (place.clone(), element()).prop_map(|(i, e)| Step::Insert(i, e)),
        1 => (element(), any::<bool>(), 1usize..4).prop_map(|(e, b, n)| Step::RemoveEqual(e, b, n)),
        1 => (place.clone(), 0usize..6).prop_map(|(i, n)| Step::RemoveRange(i, n)),
        1 => (0usize..3, 20usize..90).prop_map(|(i, n)| Step::Trim(i, n)),
    ]
}

const fn end(front: bool) -> End {
    if front { End::Front } else { End::Back }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_a_deque(setting in 0..SETTINGS.len(), steps in proptest::collection::vec(step(), 1..80)) {
        let limits = ListLimits::from_setting(SETTINGS[setting]);
        let mut list = List::new();
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for step in steps {
            match step {
                Step::Push(front, elements) => {
                    list.push_all(end(front), elements.iter().map(Vec::as_slice), limits);
                    for element in elements {
                        if front { model.push_front(element) } else { model.push_back(element) }
                    }
                }
                Step::Pop(front) => {
                    let expected = if front { model.pop_front() } else { model.pop_back() };
                    prop_assert_eq!(list.pop(end(front), limits), expected);
                }
                Step::Set(index, element) => {
                    let slot = model.get_mut(index);
                    prop_assert_eq!(list.set(index, &element, limits), slot.is_some());
                    if let Some(slot) = slot { *slot = element }
                }
                Step::Insert(index, element) => {
                    list.insert(index, &element, limits);
                    model.insert(index.min(model.len()), element);
                }
                Step::RemoveEqual(needle, front, max) => {
                    let mut removed = 0;
                    prop_assert_eq!(list.position(&needle), model.iter().position(|e| *e == needle));
                    while removed < max {
                        let at = if front { model.iter().position(|e| *e == needle) } else { model.iter().rposition(|e| *e == needle) };
                        let Some(at) = at else { break };
                        model.remove(at);
                        removed += 1;
                    }
                    prop_assert_eq!(list.remove_equal(&needle, end(front), max, limits), removed);
                }
                Step::RemoveRange(index, count) => {
                    list.remove_range(index..index + count, limits);
                    let stop = (index + count).min(model.len());
                    model.drain(index.min(stop)..stop);
                }
                Step::Trim(start, stop) => {
                    list.trim(start..stop, limits);
                    model.truncate(stop);
                    model.drain(..start.min(model.len()));
                }
            }
            check(&list, &model, limits);
        }
    }
}
