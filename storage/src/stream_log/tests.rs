use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap as Model;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    Append(u64, u64, Pairs),
    Delete(u64, u64),
    Trim(Keep, Precision),
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (0..30i64).prop_map(|n| n.to_string().into_bytes()),
    ];
    let name = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"b".to_vec()),
        Just(b"7".to_vec())
    ];
    let keep = prop_oneof![
        (0u64..60).prop_map(Keep::Newest),
        (0u64..150, 0u64..5).prop_map(|(ms, seq)| Keep::From(StreamId::new(ms, seq))),
    ];
    let precision = prop_oneof![
        Just(Precision::Exact),
        (0u64..20).prop_map(|entries_max| Precision::Nodes { entries_max }),
    ];
    prop_oneof![
        8 => (0u64..3, 0u64..5, prop::collection::vec((name, text), 1..4)).prop_map(|(a, b, c)| Step::Append(a, b, c)),
        3 => (0u64..150, 0u64..5).prop_map(|(a, b)| Step::Delete(a, b)),
        1 => (keep, precision).prop_map(|(a, b)| Step::Trim(a, b)),
    ]
}

fn pairs(entry: &StreamEntry<'_>) -> Pairs {
    entry
        .fields
        .clone()
        .map(|(n, v)| (n.to_vec(), v.to_vec()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec(step(), 1..250), entries_max in 0usize..12, bytes_max in 0usize..200) {
        let limits = StreamLimits { node_bytes_max: bytes_max, node_entries_max: entries_max };
        let mut log = StreamLog::default();
        let mut model: Model<StreamId, Pairs> = Model::new();
        for step in steps {
            match step {
                Step::Append(ms, seq, fields) => {
                    let id = StreamId::new(log.last_id().ms + ms, if ms == 0 { log.last_id().seq + seq } else { seq });
                    let above = id > log.last_id();
                    let answer = log.append(&limits, NewId::Exact(id), 0, fields.iter().map(|(n, v)| (&n[..], &v[..])));
                    prop_assert_eq!(answer.is_ok(), above);
                    if above { model.insert(id, fields); }
                }
                Step::Delete(ms, seq) => {
                    let id = StreamId::new(ms, seq);
                    prop_assert_eq!(log.delete(id), model.remove(&id).is_some());
                }
                Step::Trim(keep, precision) => {
                    let removed = log.trim(keep, precision) as usize;
                    let due = match keep {
                        Keep::Newest(n) => model.len().saturating_sub(n as usize),
                        Keep::From(id) => model.range(..id).count(),
                    };
                    match precision {
                        Precision::Exact => prop_assert_eq!(removed, due),
                        Precision::Nodes { entries_max: 0 } => prop_assert!(removed <= due),
                        Precision::Nodes { entries_max } => prop_assert!(removed <= due.min(entries_max as usize)),
                    }
                    for _ in 0..removed { model.pop_first(); }
                }
            }
        }
        prop_assert_eq!(log.len() as usize, model.len());
        prop_assert_eq!(log.bytes, log.nodes.values().map(Node::memory_bytes).sum::<usize>());
        prop_assert!(log.nodes.values().all(|n| n.live() > 0));
        let whole = StreamId::MIN..=StreamId::MAX;
        let all: Vec<_> = log.range(whole.clone()).map(|e| (e.id, pairs(&e))).collect();
        let mut back: Vec<_> = log.range_back(whole).map(|e| (e.id, pairs(&e))).collect();
        back.reverse();
        prop_assert_eq!(&all, &back);
        prop_assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
        for (from, to) in [(3, 20), (10, 10), (50, 90), (9, 3)] {
            let (from, to) = (StreamId::new(from, 2), StreamId::new(to, 2));
            let want: Vec<StreamId> = model.keys().copied().filter(|id| *id >= from && *id <= to).collect();
            let got: Vec<StreamId> = log.range(from..=to).map(|e| e.id).collect();
            let mut back: Vec<StreamId> = log.range_back(from..=to).map(|e| e.id).collect();
            back.reverse();
            prop_assert_eq!(&got, &want);
            prop_assert_eq!(&back, &want);
        }
        for id in model.keys() { prop_assert!(log.contains(*id)); }
    }
}

#[test]
fn ids_follow_the_rules() {
    let mut log = StreamLog::default();
    let limits = StreamLimits::default();
    let one = || [(&b"f"[..], &b"v"[..])].into_iter();
    let mut add = |new, now| log.append(&limits, new, now, one());
    assert_eq!(
        add(NewId::Exact(StreamId::MIN), 0),
        Err(AppendError::IdZero)
    );
    assert_eq!(add(NewId::AutoSeq(0), 0), Ok(StreamId::new(0, 1)));
    assert_eq!(add(NewId::Auto, 5), Ok(StreamId::new(5, 0)));
    assert_eq!(add(NewId::Auto, 4), Ok(StreamId::new(5, 1)));
    assert_eq!(add(NewId::AutoSeq(5), 0), Ok(StreamId::new(5, 2)));
    assert_eq!(add(NewId::AutoSeq(4), 0), Err(AppendError::IdNotGreater));
    let edge = StreamId::new(9, u64::MAX);
    assert_eq!(add(NewId::Exact(edge), 0), Ok(edge));
    assert_eq!(add(NewId::AutoSeq(9), 0), Err(AppendError::IdNotGreater));
    assert_eq!(add(NewId::Auto, 0), Ok(StreamId::new(10, 0)));
    assert_eq!(add(NewId::Exact(StreamId::MAX), 0), Ok(StreamId::MAX));
    assert_eq!(add(NewId::Auto, 0), Err(AppendError::Exhausted));
}

#[test]
fn a_small_entry_is_small() {
    let mut log = StreamLog::default();
    for ms in 1..=100_000u64 {
        let value = (ms % 1000).to_string();
        let fields = [
            (&b"sensor"[..], value.as_bytes()),
            (b"temperature", b"1234"),
        ];
        log.append(
            &StreamLimits::default(),
            NewId::AutoSeq(ms),
            0,
            fields.into_iter(),
        )
        .unwrap();
    }
    assert!(
        log.memory_bytes() / 100_000 <= 12,
        "{}",
        log.memory_bytes() / 100_000
    );
}

#[test]
fn changes_are_undone() {
    let mut rng = fastrand::Rng::with_seed(5);
    let limits = StreamLimits {
        node_bytes_max: 100,
        node_entries_max: 3,
    };
    let all = |log: &StreamLog| -> Vec<(StreamId, Vec<u8>)> {
        let entries = log.range(StreamId::MIN..=StreamId::MAX);
        entries
            .map(|entry| {
                let texts = entry.fields.flat_map(|(_, value)| value.to_vec());
                (entry.id, texts.collect())
            })
            .collect()
    };
    for _ in 0..300 {
        let mut log = StreamLog::default();
        let change = |log: &mut StreamLog, rng: &mut fastrand::Rng| match rng.u32(..6) {
            0 => drop(log.delete(StreamId::new(rng.u64(..40), 0))),
            1 => drop(log.trim(Keep::Newest(rng.u64(..20)), Precision::Exact)),
            2 => {
                let precision = Precision::Nodes { entries_max: 0 };
                log.trim(Keep::From(StreamId::new(rng.u64(..40), 0)), precision);
            }
            _ => {
                let value = rng.u32(..1_000).to_string();
                let fields = [(&b"f"[..], value.as_bytes())];
                let id = NewId::AutoSeq(log.last_id().ms + rng.u64(1..4));
                assert!(log.append(&limits, id, 0, fields.into_iter()).is_ok());
            }
        };
        for _ in 0..rng.usize(..30) {
            change(&mut log, &mut rng);
        }
        let before = (log.counts(), all(&log));
        log.keep_changes();
        for _ in 0..rng.usize(..30) {
            change(&mut log, &mut rng);
        }
        log.undo_changes();
        assert_eq!((log.counts(), all(&log)), before);
        let bytes: usize = log.nodes.values().map(Node::memory_bytes).sum();
        assert_eq!(log.bytes, bytes);
        // Nothing is kept any more.
        let before = all(&log);
        log.undo_changes();
        assert_eq!(all(&log), before);
    }
}
