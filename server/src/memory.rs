//! The allocator: mimalloc, and a count of the bytes each thread has asked for and not given back.
//!
//! The count is what `used_memory` and `maxmemory` go by. A thread counts for itself, so that counting costs an addition and no shared cache
//! line; memory that another thread frees makes that one's count negative, and the sum over all threads is right. Counted is what was asked
//! for, not what the allocator rounds it up to (a few per cent more): asking mimalloc for it would cost a look-up at every call.

// The trait of allocators is unsafe to implement; nothing else in this crate is.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;

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

#[inline]
fn count(bytes: isize) {
    IN_USE.set(IN_USE.get().wrapping_add(bytes));
}

/// A layout's size never exceeds `isize::MAX`.
#[inline]
fn signed(size: usize) -> isize {
    size as isize
}

// SAFETY: every call goes to mimalloc with the caller's own arguments, so its guarantees are mimalloc's; counting touches no memory but a
// thread-local integer that neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        let block = unsafe { MiMalloc.alloc(layout) };
        if !block.is_null() {
            count(signed(layout.size()));
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        let block = unsafe { MiMalloc.alloc_zeroed(layout) };
        if !block.is_null() {
            count(signed(layout.size()));
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `alloc` above with `layout`, so it is mimalloc's.
        unsafe { MiMalloc.dealloc(block, layout) };
        count(-signed(layout.size()));
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `block` came from `alloc` above with `layout`, and the caller vouches for `size`.
        let moved = unsafe { MiMalloc.realloc(block, layout, size) };
        if !moved.is_null() {
            count(signed(size) - signed(layout.size()));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_grown_and_freed_is_counted() {
        let before = of_this_thread();
        let mut bytes: Vec<u8> = Vec::with_capacity(1000);
        assert_eq!(of_this_thread() - before, 1000);
        bytes.reserve_exact(5000);
        assert_eq!(of_this_thread() - before, 5000);
        drop(bytes);
        let zeroed = vec![0_u64; 100];
        assert_eq!(of_this_thread() - before, 800);
        drop(zeroed);
        assert_eq!(of_this_thread(), before);
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
}
