//! The allocator: mimalloc, and a count of the bytes each thread has asked for and not given back.
//!
//! The count is what `used_memory` and `maxmemory` go by. A thread counts for itself, so that counting costs an addition and no shared cache
//! line; memory that another thread frees makes that one's count negative, and the sum over all threads is right. Counted is what a block
//! takes, not what was asked for, by mimalloc's own rule (`block_size`): asking mimalloc would cost a look-up at every call.
//!
//! mimalloc's blocks are aligned to 16 bytes, those of 8 bytes to 8. Its calls with an alignment do not rely on that: they ask for up to
//! `size + alignment - 1` bytes, so that 8192 bytes aligned to 8 take 10,240. So small alignments are not passed on (see `plain`).

// The trait of allocators is unsafe to implement; nothing else in this crate is.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;
use storage::block_size;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

thread_local! {
    /// Without a destructor and with a constant start, so that it never allocates and outlives every other thread-local.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that the calling thread has allocated, less those that it has freed.
pub fn of_this_thread() -> isize {
    IN_USE.get()
}

/// The alignment of every block that is larger than the smallest.
const ALIGNED_TO: usize = 16;

/// The smallest block, and its alignment.
const LEAST: usize = 8;

/// The layout to ask mimalloc for: without an alignment that its blocks have anyway.
#[inline]
fn plain(layout: Layout) -> Layout {
    let natural = match layout.size() {
        0..=LEAST => LEAST,
        _ => ALIGNED_TO,
    };
    match layout.align() <= natural {
        // An alignment of one is always allowed.
        true => Layout::from_size_align(layout.size(), 1).unwrap_or(layout),
        false => layout,
    }
}

#[inline]
fn count(bytes: isize) {
    IN_USE.set(IN_USE.get().wrapping_add(bytes));
}

/// What a block of `size` bytes takes. A layout's size never exceeds `isize::MAX`.
#[inline]
fn taken(size: usize) -> isize {
    block_size(size) as isize
}

#[inline]
fn debug_check(block: *mut u8, layout: Layout) {
    debug_assert!(
        block.addr().is_multiple_of(layout.align()),
        "mimalloc's blocks are aligned"
    );
}

// SAFETY: every call goes to mimalloc with the caller's own size, and with the caller's alignment or where every block of that size has it (and
// a block may be freed without naming its alignment); so its guarantees are mimalloc's. Counting touches no memory but a thread-local
// integer that neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        let block = unsafe { MiMalloc.alloc(plain(layout)) };
        if !block.is_null() {
            count(taken(layout.size()));
        }
        debug_check(block, layout);
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        let block = unsafe { MiMalloc.alloc_zeroed(plain(layout)) };
        if !block.is_null() {
            count(taken(layout.size()));
        }
        debug_check(block, layout);
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `alloc` above with `layout`, so it is mimalloc's.
        unsafe { MiMalloc.dealloc(block, plain(layout)) };
        count(-taken(layout.size()));
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Plain only if both sizes are aligned so: the smallest blocks are less than the others.
        let small = layout.size().min(size) <= LEAST && layout.align() > LEAST;
        let asked = if small { layout } else { plain(layout) };
        // SAFETY: `block` came from `alloc` above with `layout`, and the caller vouches for `size`.
        let moved = unsafe { MiMalloc.realloc(block, asked, size) };
        if !moved.is_null() {
            count(taken(size) - taken(layout.size()));
        }
        debug_check(moved, layout);
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use storage::{
        End, Entry, FieldDeadline, Hash, HashLimits, List, ListLimits, Score, Set, SetLimits,
        SortedSet, SortedSetLimits, UnixMillis, Value,
    };

    use super::*;

    #[test]
    fn what_is_allocated_grown_and_freed_is_counted() {
        let before = of_this_thread();
        let mut bytes: Vec<u8> = Vec::with_capacity(1000);
        assert_eq!(of_this_thread() - before, 1024);
        bytes.reserve_exact(5000);
        assert_eq!(of_this_thread() - before, 5120);
        drop(bytes);
        let zeroed = vec![0_u64; 100];
        assert_eq!(of_this_thread() - before, 896);
        drop(zeroed);
        assert_eq!(of_this_thread(), before);
    }

    unsafe extern "C" {
        fn mi_usable_size(block: *const c_void) -> usize;
    }

    /// What the allocator says a block takes; it is freed again.
    fn usable(size: usize, align: usize) -> usize {
        let layout = Layout::from_size_align(size, align).expect("a power of two");
        // SAFETY: the block is this allocator's, has this layout, and is used for nothing else.
        unsafe {
            let block = ALLOCATOR.alloc(layout);
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            let usable = mi_usable_size(block.cast());
            ALLOCATOR.dealloc(block, layout);
            usable
        }
    }

    #[test]
    fn a_block_takes_what_the_rule_says() {
        for align in [1, 8, 16] {
            // A few kept blocks, so that not every one is the first of its page.
            let kept: Vec<Vec<u8>> = (1..200).map(|len| Vec::with_capacity(len * 7)).collect();
            for size in (align..5000).chain([8192, 10_000, 16_384, 20_000, 32_767]) {
                assert_eq!(
                    usable(size, align),
                    block_size(size),
                    "{size} aligned to {align}"
                );
            }
            for size in [32_768, 65_536, 100_000, 1 << 20, 5 << 20] {
                let usable = usable(size, align);
                assert!(
                    usable >= size && usable - size <= size / 4,
                    "{size}: {usable}"
                );
            }
            drop(kept);
        }
        // Larger alignments are passed on.
        assert!(usable(100, 64) >= 100);
    }

    #[test]
    fn memory_freed_elsewhere_counts_there() {
        let bytes = vec![1_u8; 4096];
        let freed = std::thread::spawn(move || {
            let before = of_this_thread();
            drop(bytes);
            of_this_thread() - before
        });
        assert_eq!(freed.join().expect("no panic"), -4096);
    }

    /// What an object takes, and what it says that it does.
    fn measure(name: &str, make: impl FnOnce() -> Entry, off_max: f64) {
        let before = of_this_thread();
        let entry = make();
        let taken = of_this_thread() - before;
        let said = entry.memory_bytes_by(usize::MAX) as isize;
        let off = (said - taken).abs() as f64 / taken as f64;
        assert!(off <= off_max, "{name}: takes {taken}, says {said}");
        let sampled = entry.memory_bytes() as f64;
        assert!(
            (sampled / taken as f64 - 1.0).abs() < 0.15,
            "{name}: takes {taken}, estimates {sampled}"
        );
        drop(entry);
        assert_eq!(of_this_thread(), before, "{name}");
    }

    #[test]
    fn values_say_what_they_take() {
        let now = UnixMillis::new(1);
        for len in [0, 1, 10, 44, 100, 1000, 2000, 100_000] {
            let text = vec![b'x'; len];
            measure("string", || Entry::string(b"key", &text, None), 0.0);
            measure("string", || Entry::string(&text, b"12345", Some(now)), 0.0);
        }
        for len in [1usize, 10, 100, 200, 1000, 3000, 100_000] {
            let numbers = || 0..len;
            let word = |n: usize| format!("element {n}").into_bytes();
            let entry = |object| Entry::object(b"key", object, None);
            measure(
                &format!("list of {len}"),
                || {
                    let mut list = List::new();
                    numbers().for_each(|n| list.push(End::Back, &word(n), ListLimits::default()));
                    entry(list.into_object())
                },
                0.02,
            );
            measure(
                &format!("hash of {len}"),
                || {
                    let mut hash = Hash::new();
                    let limits = HashLimits::default();
                    for n in numbers() {
                        hash.set(&word(n), b"value", FieldDeadline::Clear, limits, now);
                    }
                    entry(hash.into_object())
                },
                0.02,
            );
            measure(
                &format!("set of {len}"),
                || {
                    let mut set = Set::new();
                    numbers().for_each(|n| {
                        set.insert(&word(n), SetLimits::default());
                    });
                    entry(set.into_object())
                },
                0.02,
            );
            measure(
                &format!("integers {len}"),
                || {
                    let mut set = Set::new();
                    numbers().for_each(|n| {
                        set.insert(n.to_string().as_bytes(), SetLimits::default());
                    });
                    entry(set.into_object())
                },
                0.02,
            );
            measure(
                &format!("sorted set of {len}"),
                || {
                    let mut set = SortedSet::new();
                    for n in numbers() {
                        let score = Score::new(n as f64).expect("a number");
                        set.insert(&word(n), score, SortedSetLimits::default());
                    }
                    entry(set.into_object())
                },
                0.02,
            );
        }
    }
}
