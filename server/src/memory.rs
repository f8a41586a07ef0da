//! The allocator: mimalloc, and a count of the bytes each thread has asked for and not given back.
//!
//! The count is what `used_memory` and `maxmemory` go by. A thread counts for itself, so that
//! counting costs an addition and no shared cache line; memory that another thread frees makes that
//! one's count negative, and the sum over all threads is right. Counted is what a block takes, not
//! what was asked for, by mimalloc's own rule (`block_size`): asking mimalloc would cost a look-up
//! at every call.
//!
//! mimalloc's functions are called as they are, not through its usual binding: that one asks for an
//! alignment with every block, and mimalloc then often takes the next larger size, so that 48 bytes
//! cost 64.

// The trait of allocators is unsafe to implement; nothing else in this crate is.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use libmimalloc_sys::{
    mi_collect, mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned,
    mi_stats_print_out, mi_zalloc, mi_zalloc_aligned,
};
use storage::block_size;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

thread_local! {
    /// Without a destructor and with a constant start, so that it never allocates and outlives
    /// every other thread-local.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that the calling thread has allocated, less those that it has freed.
pub fn of_this_thread() -> isize {
    IN_USE.get()
}

/// Gives memory that the calling thread has freed, and mimalloc keeps for its next blocks, back to
/// the system. It looks at every page of the thread's heap: some 100 us for each 64 MB.
pub fn give_back() {
    // SAFETY: it touches nothing that is in use.
    unsafe { mi_collect(true) };
}

/// Bytes of mimalloc's report that are kept; it takes some 4 KB.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// mimalloc's own statistics, for people.
pub fn report() -> String {
    /// Appends a piece of text as far as there is room: nothing may be allocated while mimalloc
    /// looks at itself.
    unsafe extern "C" fn append(piece: *const c_char, report: *mut c_void) {
        // SAFETY: mimalloc passes a text that ends with a zero, and what `report` was called with:
        // the vector below, which nobody else uses until the call is over.
        let (piece, report) = unsafe { (CStr::from_ptr(piece), &mut *report.cast::<Vec<u8>>()) };
        let room = report.capacity() - report.len();
        let piece = piece.to_bytes();
        report.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    let mut report: Vec<u8> = Vec::with_capacity(REPORT_BYTES_MAX);
    // SAFETY: `append` takes the pointer for what it is, and mimalloc calls it before it returns
    // only.
    unsafe { mi_stats_print_out(Some(append), (&raw mut report).cast()) };
    String::from_utf8_lossy(&report).into_owned()
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

/// Whether a block that becomes so much shorter is worth moving to a smaller one. mimalloc leaves
/// it where it is as long as half of it is used: what was shrunk to save memory would save none,
/// and be counted as if it did.
#[inline]
fn shrinks(from: usize, to: usize) -> bool {
    from < MOVED_BYTES_MAX && to < from && taken(to) < taken(from)
}

/// Larger blocks are left to mimalloc.
const MOVED_BYTES_MAX: usize = 32 * 1024;

/// What every block of mimalloc's is aligned to that is at least so large.
const NATURAL_ALIGN: usize = 16;

/// Whether a block of `size` bytes is aligned for `layout` without a word said about it.
#[inline]
fn is_natural(layout: Layout, size: usize) -> bool {
    layout.align() <= NATURAL_ALIGN && layout.align() <= size
}

// SAFETY: every call goes to mimalloc, whose blocks are as large and aligned as asked for, and as
// `is_natural` says where nothing is asked; its guarantees are those of this trait. Counting
// touches no memory but a thread-local integer that neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        // SAFETY: mimalloc takes any size, and the alignment of a layout is a power of two.
        let block = unsafe {
            if is_natural(layout, size) {
                mi_malloc(size)
            } else {
                mi_malloc_aligned(size, layout.align())
            }
        };
        if !block.is_null() {
            count(taken(size));
        }
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let size = layout.size();
        // SAFETY: as in `alloc`.
        let block = unsafe {
            if is_natural(layout, size) {
                mi_zalloc(size)
            } else {
                mi_zalloc_aligned(size, layout.align())
            }
        };
        if !block.is_null() {
            count(taken(size));
        }
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `alloc` above, so it is mimalloc's.
        unsafe { mi_free(block.cast()) };
        count(-taken(layout.size()));
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if shrinks(layout.size(), size) {
            // SAFETY: `block` is this allocator's, with `layout`, which has more bytes than the new
            // block; neither size is 0.
            return unsafe {
                let smaller = Layout::from_size_align_unchecked(size, layout.align());
                let moved = self.alloc(smaller);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, size);
                    self.dealloc(block, layout);
                }
                moved
            };
        }
        // SAFETY: `block` came from `alloc` above with `layout`, and the caller vouches for `size`.
        // A block that stays where it is has kept its alignment.
        let moved = unsafe {
            if is_natural(layout, size) {
                mi_realloc(block.cast(), size)
            } else {
                mi_realloc_aligned(block.cast(), size, layout.align())
            }
        };
        if !moved.is_null() {
            count(taken(size) - taken(layout.size()));
        }
        moved.cast()
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_block_that_shrinks_takes_less() {
        let before = of_this_thread();
        let mut bytes: Vec<u8> = Vec::with_capacity(4096);
        bytes.extend(0..=u8::MAX);
        for len in [2300, 1030, 1020, 300] {
            bytes.shrink_to(len);
            // SAFETY: the block is this allocator's.
            let usable = unsafe { mi_usable_size(bytes.as_ptr().cast()) };
            assert_eq!(usable, block_size(len));
            assert_eq!(of_this_thread() - before, taken(len));
            assert!(bytes.iter().copied().eq(0..=u8::MAX));
        }
    }

    #[test]
    fn the_allocator_tells_about_itself() {
        let report = report();
        assert!(report.contains("committed"), "{report}");
        assert!(report.len() < REPORT_BYTES_MAX, "it fits");
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
    fn every_block_is_aligned_however_it_came() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in [1, 7, 8, 15, 16, 24, 40, 48, 100, 1000, 5000] {
                let layout = Layout::from_size_align(size, align).expect("small");
                // SAFETY: the layout is not empty, and each block is freed with the size it has by
                // then.
                unsafe {
                    let block = ALLOCATOR.alloc(layout);
                    assert_eq!(block.addr() % align, 0);
                    let block = ALLOCATOR.realloc(block, layout, 3 * size);
                    assert_eq!(block.addr() % align, 0);
                    let layout = Layout::from_size_align(3 * size, align).expect("small");
                    let zeroed = ALLOCATOR.alloc_zeroed(layout);
                    assert_eq!(zeroed.addr() % align, 0);
                    ALLOCATOR.dealloc(block, layout);
                    ALLOCATOR.dealloc(zeroed, layout);
                }
            }
        }
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
