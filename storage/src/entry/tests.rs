use proptest::prelude::*;

use super::*;

fn text(entry: &Entry) -> Vec<u8> {
    entry.as_string().map(Item::to_vec).unwrap_or_default()
}

#[test]
fn a_small_key_and_value_take_forty_eight_bytes() {
    let key = [b'k'; 16];
    let value = [b'v'; 16];
    let now = UnixMillis::new(1);
    assert_eq!(Entry::string(&key, &value, None).memory_bytes(), 48);
    assert_eq!(Entry::string(&key, &value, Some(now)).memory_bytes(), 48);
    assert_eq!(Entry::string(&key, b"123456", None).memory_bytes(), 32);
}

#[test]
fn the_encoding_is_named_as_in_redis() {
    assert_eq!(Entry::string(b"k", b"12", None).encoding(), "int");
    assert_eq!(Entry::string(b"k", b"012", None).encoding(), "embstr");
    assert_eq!(Entry::string(b"k", &[b'x'; 44], None).encoding(), "embstr");
    assert_eq!(Entry::string(b"k", &[b'x'; 45], None).encoding(), "raw");
    let mut entry = Entry::string(b"k", b"ab", None);
    entry.edit_string(|text| text.push(b'c')).expect("a string");
    assert_eq!((entry.encoding(), text(&entry)), ("raw", b"abc".to_vec()));
    entry.set_string(b"abd");
    assert_eq!(entry.encoding(), "embstr");
}

#[test]
fn a_very_long_key_keeps_its_length() {
    for len in [65_535, 65_536, 200_000] {
        let key = vec![b'k'; len];
        let mut entry = Entry::string(&key, b"value", None);
        entry.set_deadline(Some(UnixMillis::new(9)));
        assert_eq!(entry.key(), key);
        entry.rename(b"short");
        assert_eq!(
            (entry.key(), text(&entry)),
            (&b"short"[..], b"value".to_vec())
        );
        assert_eq!(entry.deadline(), Some(UnixMillis::new(9)));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>),
    SetOwned(Vec<u8>),
    Append(Vec<u8>),
    Deadline(Option<u64>),
    Rename(Vec<u8>),
    Access(u32),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..70),
        (0usize..3000).prop_map(|len| vec![b'x'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        bytes().prop_map(Op::Set),
        bytes().prop_map(Op::SetOwned),
        bytes().prop_map(Op::Append),
        any::<Option<u64>>().prop_map(Op::Deadline),
        bytes().prop_map(Op::Rename),
        any::<u32>().prop_map(Op::Access),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

    #[test]
    fn behaves_as_its_parts(key in bytes(), first in bytes(), ops in proptest::collection::vec(op(), 0..20)) {
        let mut entry = Entry::string(&key, &first, None);
        let (mut key, mut value, mut deadline, mut access) = (key, first, None, 0);
        for op in ops {
            match op {
                Op::Set(text) => { entry.set_string(&text); value = text; }
                Op::SetOwned(text) => { entry.set_owned_string(text.clone()); value = text; }
                Op::Append(more) => {
                    entry.edit_string(|text| text.extend_from_slice(&more)).expect("a string");
                    value.extend_from_slice(&more);
                }
                Op::Deadline(at) => { deadline = at.map(UnixMillis::new); entry.set_deadline(deadline); }
                Op::Rename(to) => { entry.rename(&to); key = to; }
                Op::Access(at) => { entry.set_access(at); access = at; }
            }
            prop_assert_eq!(entry.key(), &key[..]);
            prop_assert_eq!(text(&entry), value.clone());
            prop_assert_eq!(entry.deadline(), deadline);
            prop_assert_eq!(entry.access(), access);
        }
    }
}

#[test]
fn a_string_has_a_block_of_its_own_where_two_are_smaller_than_one() {
    let bytes = |len: usize| {
        let mut entry = Entry::string(b"key:000000000001", &vec![b'v'; len], None);
        let bytes = entry.memory_bytes();
        // What replaces it lies as well as what it replaces.
        for other in [1, 600, len] {
            entry.set_string(&vec![b'w'; other]);
        }
        assert_eq!(entry.memory_bytes(), bytes);
        entry.set_text(&vec![b'x'; len]);
        assert_eq!(entry.memory_bytes(), bytes);
        bytes
    };
    for (len, expected) in [
        (100, 128),
        (400, 448),
        (488, 512),
        (489, 48 + 512),
        (500, 48 + 512),
        (512, 48 + 512),
        (513, 640),
        (1000, 1024),
        (1001, 48 + 1024),
        (1024, 48 + 1024),
        (1025, 48 + 1280),
    ] {
        assert_eq!(bytes(len), expected, "{len}");
    }
}
