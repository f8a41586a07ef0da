//! What a keyspace costs: resident bytes a key and time an operation, while it grows.
//!
//! Segments all fill and split at about the same time, so the bytes a key rise and fall in waves
//! with each doubling: several sizes are measured, and the dearest counts as much as the one in the
//! headline. Keys and values have 16 bytes; the allocator is the server's.
//!
//! ```text
//! cargo run --release -p storage --example footprint [keys, ascending ...]
//! ```

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::time::{Duration, Instant};

use libmimalloc_sys::{mi_free, mi_malloc, mi_malloc_aligned};
use storage::{Entry, KeyHasher, Keyspace};

#[global_allocator]
static ALLOCATOR: Natural = Natural;

/// mimalloc as the server calls it: blocks of up to 16-byte alignment are so without being asked.
struct Natural;

// SAFETY: mimalloc's blocks are as large as asked for, and those of at least 16 bytes aligned to
// 16; its guarantees are those of this trait.
unsafe impl GlobalAlloc for Natural {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: mimalloc takes any size and any power of two.
        let block = unsafe {
            if layout.align() <= layout.size().min(16) {
                mi_malloc(layout.size())
            } else {
                mi_malloc_aligned(layout.size(), layout.align())
            }
        };
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: `block` came from `alloc` above.
        unsafe { mi_free(block.cast()) }
    }
}

/// Sizes at which it stops to measure, unless others are asked for.
const SIZES: [usize; 13] = [
    100_000, 1_000_000, 1_250_000, 1_500_000, 1_750_000, 2_000_000, 2_250_000, 2_500_000,
    2_750_000, 3_000_000, 3_500_000, 4_000_000, 5_000_000,
];

/// Lookups of each sort at each size.
const LOOKUPS: usize = 500_000;

/// Where the numbers of keys that are never put begin.
const ABSENT_FROM: usize = 1 << 40;

fn main() {
    let asked: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if asked.is_empty() {
        SIZES.to_vec()
    } else {
        asked
    };
    let mut random = fastrand::Rng::with_seed(7);
    let mut keyspace = Keyspace::new(KeyHasher::random());
    let before = resident_bytes();
    println!("      keys  bytes/key  insert ns  longest us   hit ns  miss ns");
    for size in sizes {
        let first = keyspace.len();
        let started = Instant::now();
        let mut longest = Duration::ZERO;
        let mut last = started;
        for number in first..size {
            let key = key(number);
            keyspace.insert(Entry::string(&key, &value(number), None));
            let now = Instant::now();
            longest = longest.max(now - last);
            last = now;
        }
        let inserted = (size - first).max(1);
        let insert_ns = started.elapsed().as_nanos() as f64 / inserted as f64;
        let bytes = resident_bytes().saturating_sub(before) as f64 / size.max(1) as f64;
        let hit_ns = lookup_ns(&keyspace, || random.usize(..size), true);
        let miss_ns = lookup_ns(&keyspace, || ABSENT_FROM + random.usize(..size), false);
        println!(
            "{size:>10} {bytes:>10.2} {insert_ns:>10.0} {:>11} {hit_ns:>8.0} {miss_ns:>8.0}",
            longest.as_micros()
        );
    }
}

/// Nanoseconds a lookup of keys that are all there, or all not.
fn lookup_ns(keyspace: &Keyspace, mut next: impl FnMut() -> usize, there: bool) -> f64 {
    let started = Instant::now();
    let mut found = 0;
    for _ in 0..LOOKUPS {
        found += usize::from(black_box(keyspace.get(&key(next()))).is_some());
    }
    let elapsed = started.elapsed();
    assert_eq!(
        found,
        if there { LOOKUPS } else { 0 },
        "the table lost or invented a key"
    );
    elapsed.as_nanos() as f64 / LOOKUPS as f64
}

/// Sixteen bytes that are no integer.
fn key(number: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    digits(number, &mut key[4..]);
    key
}

fn value(number: usize) -> [u8; 16] {
    let mut value = *b"value:0000000000";
    digits(number, &mut value[6..]);
    value
}

fn digits(mut number: usize, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Resident memory of this process. From `smaps_rollup`, which walks the pages: the counters behind
/// `VmRSS` may lag.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = text
        .lines()
        .find(|line| line.starts_with("Rss:"))
        .expect("a sum");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<usize>().ok());
    kib.expect("a number of KiB") * 1024
}
