//! Hostile bytes: payloads and files of every type and version, spoilt, are refused or read;
//! nothing panics, hangs or takes memory out of all proportion, and what was read can be used.
//!
//! `PERCORE_FUZZ_SECONDS` makes the search longer, `PERCORE_FUZZ_SEED` begins it elsewhere; run it
//! with a limit of address space (`ulimit -v`), so that an allocation out of all proportion ends it
//! too.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::samples::{NOW, random_entry, told};
use super::*;
use crate::hash::{FieldDeadline, Hash};
use crate::keyspace::Position;
use crate::list::{End, List};
use crate::set::Set;
use crate::sorted_set::{Direction, Score, SortedSet};
use crate::stream_id::{NewId, StreamId};
use crate::stream_log::{Keep, Precision, StreamLimits};

/// How long `cargo test` searches.
const SEARCH: Duration = Duration::from_secs(3);

/// CPU time that one input may take: far more than any does.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of memory that a byte of a payload may come to: LZF's longest copy is 264 bytes for three,
/// and a member of a set takes an entry for two.
const BYTES_PER_BYTE_MAX: usize = 128;

/// Every code that could stand for a type, modules' and unreleased ones among them.
const TYPE_CODES: u8 = 32;

/// CPU time of this thread: on a busy machine the clock on the wall says little.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
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
                    .choice([0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff])
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

/// Does to a value what commands would.
fn handle(entry: &mut Entry, random: &mut Rng) {
    let limits = Limits::default();
    if let Ok(list) = entry.get_mut::<List>() {
        list.push(End::Front, b"new", limits.list);
        list.set(random.usize(..list.len()), b"other", limits.list);
        list.insert(random.usize(..list.len()), b"between", limits.list);
        list.pop(End::Back, limits.list);
        list.remove_equal(b"other", End::Front, 0, limits.list);
        let half = list.len() / 2;
        list.remove_range(0..half, limits.list);
    } else if let Ok(set) = entry.get_mut::<Set>() {
        let first = set.iter().next().map(|member| member.to_vec());
        set.insert(b"new", limits.set);
        set.random(random);
        set.scan(Position::default(), 10, |_| {});
        set.remove(&first.unwrap_or_default());
        set.expect(1_000_000, limits.set);
        set.contains(b"new");
    } else if let Ok(hash) = entry.get_mut::<Hash>() {
        let first = hash.fields().next().map(|field| field.name.to_vec());
        let first = first.unwrap_or_default();
        hash.set(b"new", b"1", FieldDeadline::Keep, limits.hash, NOW);
        hash.set(&first, b"2", FieldDeadline::Clear, limits.hash, NOW);
        hash.set_deadline(&first, Some(NOW));
        hash.random(random, NOW);
        hash.expire(NOW, 10, |_| {});
        hash.remove(&first, NOW);
        hash.make_table();
        hash.get(b"new", NOW);
    } else if let Ok(set) = entry.get_mut::<SortedSet>() {
        let first = set.iter().next().map(|(member, _)| member.to_vec());
        set.insert(b"new", Score::ZERO, limits.sorted_set);
        set.insert(&first.unwrap_or_default(), Score::ZERO, limits.sorted_set);
        set.rank(b"new");
        set.first_from_score(Score::ZERO);
        set.random(random);
        set.pop_with(Direction::Forward, |_, _| ());
        set.make_large();
        let half = set.len() / 2;
        set.remove_range(0..half);
        set.remove(b"new");
    } else if let Ok(stream) = entry.get_mut::<Box<Stream>>() {
        let log = &mut stream.log;
        let fields = [(&b"name"[..], &b"value"[..])];
        let limits = StreamLimits::default();
        let _ = log.append(&limits, NewId::Auto, NOW.ms(), fields.into_iter());
        if let Some(first) = log.first().map(|entry| entry.id) {
            log.delete(first);
        }
        log.range_back(StreamId::MIN..=StreamId::MAX).count();
        log.trim(Keep::Newest(log.len() / 2), Precision::Exact);
        let names: Vec<Vec<u8>> = stream.groups().map(|(name, _)| name.to_vec()).collect();
        for name in names {
            let Some(group) = stream.group_mut(&name) else {
                continue;
            };
            let pending: Vec<StreamId> = group.pending().keys().copied().collect();
            let (consumer, _) = group.ensure_consumer(b"new", NOW.ms());
            for id in pending {
                if random.bool() {
                    group.assign(id, consumer, NOW.ms(), 1)
                } else {
                    _ = group.acknowledge(id)
                }
            }
            group.remove_consumer(b"new");
        }
    }
}

/// What was read can be used, written, and read again.
fn use_up(mut entry: Entry, bytes: usize, random: &mut Rng) {
    let most = bytes * BYTES_PER_BYTE_MAX + 4_096;
    let held = entry.memory_bytes();
    assert!(held <= most, "{held} of {bytes}");
    told(&entry);
    let again = dump(&entry, compression(random));
    let again = restore(b"k", &again, &Limits::default()).expect("our own payload");
    assert!(again.is_some());
    handle(&mut entry, random);
}

/// Reads spoilt bytes as a payload with a checksum that agrees: what comes of it is an error or a
/// value that can be used.
fn read_payload(mut body: Vec<u8>, random: &mut Rng) -> bool {
    body.extend(VERSION.to_le_bytes());
    body.extend(CRC.checksum(&body).to_le_bytes());
    let Ok(Some(entry)) = restore(b"k", &body, &Limits::default()) else {
        return false;
    };
    use_up(entry, body.len(), random);
    true
}

/// Reads a spoilt file, or one with a checksum that forgives all.
fn read_file(mut file: Vec<u8>, random: &mut Rng) -> bool {
    if random.bool() {
        let end = file.len().saturating_sub(8);
        file[end..].fill(0);
    }
    let _ = read_all(&file, false);
    let Ok(entries) = read_all(&file, true) else {
        return false;
    };
    for entry in entries {
        use_up(entry, file.len(), random);
    }
    true
}

/// What a search has met.
#[derive(Default)]
struct Met {
    payloads: u64,
    payloads_read: u64,
    files: u64,
    files_read: u64,
    slowest: Duration,
}

impl Met {
    fn time(&mut self, seed: u64, read: impl FnOnce() -> bool) -> bool {
        let began = cpu_time();
        let was_read = read();
        let took = cpu_time() - began;
        assert!(took < READ_TIME_MAX, "seed {seed} takes {took:?}");
        self.slowest = self.slowest.max(took);
        was_read
    }
}

#[test]
fn spoilt_bytes_are_refused_or_read() {
    let end = Instant::now() + setting("PERCORE_FUZZ_SECONDS").map_or(SEARCH, Duration::from_secs);
    // Every run begins with this seed: a longer one goes further.
    let first = setting("PERCORE_FUZZ_SEED").unwrap_or(0);
    let mut met = Met::default();
    let mut seed = first;
    while Instant::now() < end {
        seed += 1;
        let random = &mut Rng::with_seed(seed);
        let entry = random_entry(random, b"k");
        let older = older::value(&entry, random).filter(|_| random.bool());
        let (body, file) = match older {
            Some((of, value)) => {
                let body = [&[of as u8][..], &value].concat();
                (body, older_file(of, &value, random))
            }
            None => {
                let payload = dump(&entry, compression(random));
                let body = payload[..payload.len() - 10].to_vec();
                let file = file_of(std::slice::from_ref(&entry), compression(random));
                (body, file)
            }
        };
        for _ in 0..20 {
            let mut spoilt = body.clone();
            // The type may become another: its reader gets bytes that were never meant for it.
            if random.u8(..6) == 0 {
                spoilt[0] = random.u8(..TYPE_CODES);
            }
            spoil(&mut spoilt, random);
            let read = met.time(seed, || read_payload(spoilt, random));
            met.payloads += 1;
            met.payloads_read += u64::from(read);
        }
        for _ in 0..4 {
            let mut spoilt = file.clone();
            spoil(&mut spoilt, random);
            let read = met.time(seed, || read_file(spoilt, random));
            met.files += 1;
            met.files_read += u64::from(read);
        }
    }
    let Met {
        payloads,
        payloads_read,
        files,
        files_read,
        slowest,
    } = met;
    println!(
        "seeds {first} to {seed}: {payloads} payloads, {payloads_read} of them read; {files} files, {files_read} read; the slowest took {slowest:?}"
    );
}
