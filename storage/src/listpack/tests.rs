use proptest::prelude::*;

use super::*;

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(Item::to_vec).collect()
}

fn packed(elements: &[&[u8]]) -> Listpack {
    let mut pack = Listpack::new();
    elements.iter().for_each(|element| pack.push_back(element));
    pack
}

/// Walks it both ways and through its own validation.
fn check(pack: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(pack.len(), model.len());
    assert_eq!(texts(pack), model);
    let mut backward: Vec<_> = pack.iter().rev().map(Item::to_vec).collect();
    backward.reverse();
    assert_eq!(backward, model);
    assert_eq!(pack.as_bytes().len(), pack.byte_len());
    let again = Listpack::from_bytes(pack.as_bytes()).expect("well formed");
    assert_eq!(again.as_bytes(), pack.as_bytes());
}

#[test]
fn is_one_word() {
    assert_eq!(size_of::<Listpack>(), 8);
    assert_eq!(size_of::<Option<Cursor>>(), 8);
    assert_eq!(Listpack::new().memory_bytes(), 0);
}

#[test]
fn bytes_are_as_redis_writes_them() {
    let pack = packed(&[b"1", b"hello", b"-3", b"1024", b"100000"]);
    let expected: &[u8] = &[
        33, 0, 0, 0, 5, 0, // header
        1, 1, // 1
        0x85, b'h', b'e', b'l', b'l', b'o', 6, // hello
        0xDF, 0xFD, 2, // -3
        0xC4, 0, 2, // 1024
        0xF2, 0xA0, 0x86, 0x01, 4, // 100000
        END,
    ];
    assert_eq!(pack.as_bytes()[HEADER..], expected[HEADER..]);
    assert_eq!(usize::from(pack.as_bytes()[0]), expected.len());
    assert_eq!(Listpack::new().as_bytes(), EMPTY);
    assert!(
        Listpack::from_bytes(&EMPTY)
            .expect("well formed")
            .is_empty()
    );
}

#[test]
fn every_width_of_element_comes_back() {
    let mut elements: Vec<Vec<u8>> = Vec::new();
    for power in [0, 6, 7, 12, 13, 15, 16, 23, 24, 31, 32, 62, 63] {
        for near in [-1, 0, 1] {
            let int = (1i128 << power) + near;
            elements.push(int.to_string().into_bytes());
            elements.push((-int).to_string().into_bytes());
        }
    }
    for len in [
        0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16_377, 16_378, 16_379, 16_380, 70_000, 2_097_146,
        2_097_147,
    ] {
        elements.push(vec![b'x'; len]);
    }
    let mut pack = Listpack::new();
    elements.iter().for_each(|element| pack.push_back(element));
    check(&pack, &elements);
    for (index, element) in elements.iter().enumerate() {
        let cursor = pack.seek(index).expect("in range");
        assert_eq!(pack.get(cursor), element[..]);
        assert_eq!(pack.find(element, cursor, 0), Some(cursor));
    }
}

#[test]
fn counts_beyond_sixteen_bits() {
    let mut pack = Listpack::new();
    for _ in 0..65_534 {
        pack.push_back(b"7");
    }
    for len in 65_535..65_540 {
        pack.push_back(b"8");
        assert_eq!(pack.len(), len);
    }
    assert_eq!(pack.as_bytes()[4..6], [0xFF, 0xFF]);
    assert_eq!(
        Listpack::from_bytes(pack.as_bytes())
            .expect("well formed")
            .len(),
        65_539
    );
    pack.remove_range(10, 5);
    assert_eq!(pack.len(), 65_534);
    assert_eq!(pack.iter().rev().count(), 65_534);
}

/// Whichever end a larger pack grows and shrinks at, a change moves little: on the average no more
/// than a few dozen bytes.
#[test]
fn the_ends_of_a_larger_pack_move_for_little() {
    use std::collections::VecDeque;
    for (pushed, popped) in [
        (End::Front, End::Front),
        (End::Front, End::Back),
        (End::Back, End::Front),
        (End::Back, End::Back),
    ] {
        for element in [&b"abcdefghijklmnop"[..], b"7", b"-3000"] {
            let (mut pack, mut model) = (Listpack::new(), VecDeque::new());
            let steps = if cfg!(miri) { 150 } else { 3000 };
            // Grows, stays about as large, shrinks.
            for step in 0..steps {
                let grows = step < steps / 3 || step < steps * 2 / 3 && step % 2 == 0;
                match (grows, if grows { pushed } else { popped }) {
                    (true, End::Front) => {
                        pack.push_front(element);
                        model.push_front(element.to_vec());
                    }
                    (true, End::Back) => {
                        pack.push_back(element);
                        model.push_back(element.to_vec());
                    }
                    (false, End::Front) => assert_eq!(
                        pack.pop_with(End::Front, |item| item.to_vec()),
                        model.pop_front()
                    ),
                    (false, End::Back) => assert_eq!(
                        pack.pop_with(End::Back, |item| item.to_vec()),
                        model.pop_back()
                    ),
                }
                if step % 97 == 0 {
                    check(&pack, model.make_contiguous());
                }
            }
            assert!(pack.memory_bytes() <= ThinBytes::roomy(pack.byte_len()) * 4 / 3 + 4);
        }
    }
}

#[test]
fn find_steps_over_values() {
    let pack = packed(&[b"b", b"a", b"a", b"1", b"c"]);
    let first = pack.first().expect("not empty");
    assert_eq!(pack.find(b"a", first, 1), pack.seek(2));
    assert_eq!(pack.find(b"a", first, 0), pack.seek(1));
    assert_eq!(pack.find(b"1", first, 1), None);
    assert_eq!(pack.find(b"c", first, 1), pack.seek(4));
    assert_eq!(pack.find(b"c", first, usize::MAX), None);
}

#[test]
fn foreign_encodings_are_brought_to_ours() {
    // The text "5", and 6 in sixteen bits.
    let bytes = [15, 0, 0, 0, 2, 0, 0x81, b'5', 2, 0xF1, 6, 0, 3, END];
    let bytes = [&[14], &bytes[1..]].concat();
    let pack = Listpack::from_bytes(&bytes).expect("well formed");
    assert_eq!(pack.as_bytes(), packed(&[b"5", b"6"]).as_bytes());
}

#[test]
fn refuses_what_does_not_agree() {
    let good = packed(&[b"hello", b"12", &[b'x'; 300]]);
    let good = good.as_bytes();
    assert_eq!(Listpack::from_bytes(b"").err(), Some(Malformed::Total));
    for len in 0..good.len() {
        let mut cut = good[..len].to_vec();
        assert!(Listpack::from_bytes(&cut).is_err());
        if len >= EMPTY.len() {
            cut[..4].copy_from_slice(&(len as u32).to_le_bytes());
            assert!(Listpack::from_bytes(&cut).is_err());
        }
    }
    let mut miscounted = good.to_vec();
    miscounted[4] = 4;
    assert_eq!(
        Listpack::from_bytes(&miscounted).err(),
        Some(Malformed::Count)
    );
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        4 => (-200i64..200).prop_map(|int| int.to_string().into_bytes()),
        6 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (0usize..5000).prop_map(|len| vec![b'y'; len]),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    PopBack,
    PopFront,
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize),
    RemoveRange(usize, usize),
    SplitAndSwap(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        element().prop_map(Step::PushBack),
        element().prop_map(Step::PushFront),
        Just(Step::PopBack),
        Just(Step::PopFront),
        (any::<usize>(), element()).prop_map(|(i, e)| Step::InsertBefore(i, e)),
        (any::<usize>(), element()).prop_map(|(i, e)| Step::InsertAfter(i, e)),
        (any::<usize>(), element()).prop_map(|(i, e)| Step::Replace(i, e)),
        any::<usize>().prop_map(Step::Remove),
        (any::<usize>(), 0usize..6).prop_map(|(i, n)| Step::RemoveRange(i, n)),
        any::<usize>().prop_map(Step::SplitAndSwap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

    /// Some begin large, so that there is slack at either end.
    #[test]
    fn behaves_as_a_vector(large in any::<bool>(), steps in proptest::collection::vec(step(), 1..80)) {
        let mut pack = Listpack::new();
        let mut model: Vec<Vec<u8>> = if large { vec![b"0123456789".to_vec(); 30] } else { Vec::new() };
        model.iter().for_each(|element| pack.push_front(element));
        for step in steps {
            let place = |index: usize| index % model.len().max(1);
            match step {
                Step::PushBack(element) => {
                    pack.push_back(&element);
                    model.push(element);
                }
                Step::PushFront(element) => {
                    pack.push_front(&element);
                    model.insert(0, element);
                }
                Step::PopBack => prop_assert_eq!(pack.pop_with(End::Back, |item| item.to_vec()), model.pop()),
                Step::PopFront => {
                    let expected = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(pack.pop_with(End::Front, |item| item.to_vec()), expected);
                }
                Step::InsertBefore(index, element) => if let Some(cursor) = pack.seek(place(index)) {
                    let new = pack.insert_before(cursor, &element);
                    prop_assert_eq!(pack.get(new), Item::Bytes(&element));
                    model.insert(place(index), element);
                },
                Step::InsertAfter(index, element) => if let Some(cursor) = pack.seek(place(index)) {
                    let new = pack.insert_after(cursor, &element);
                    prop_assert_eq!(pack.get(new), Item::Bytes(&element));
                    model.insert(place(index) + 1, element);
                },
                Step::Replace(index, element) => if let Some(cursor) = pack.seek(place(index)) {
                    pack.replace(cursor, &element);
                    let index = place(index);
                    model[index] = element;
                },
                Step::Remove(index) => if let Some(cursor) = pack.seek(place(index)) {
                    let index = place(index);
                    let next = pack.remove(cursor);
                    model.remove(index);
                    prop_assert_eq!(next.map(|next| pack.get(next).to_vec()), model.get(index).cloned());
                },
                Step::RemoveRange(index, count) => {
                    let index = place(index);
                    pack.remove_range(index, count);
                    let stop = (index + count).min(model.len());
                    model.drain(index.min(stop)..stop);
                }
                Step::SplitAndSwap(index) => {
                    let index = place(index);
                    let mut rest = pack.split_off(index);
                    rest.append(pack);
                    pack = rest;
                    model.rotate_left(index);
                }
            }
            check(&pack, &model);
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 7..80)) {
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..6].copy_from_slice(&[0xFF, 0xFF]);
        *bytes.last_mut().expect("not empty") = END;
        if let Ok(pack) = Listpack::from_bytes(&bytes) {
            check(&pack, &texts(&pack));
        }
    }
}
