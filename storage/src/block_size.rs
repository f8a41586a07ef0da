//! What a block of memory really takes: what was asked for, rounded up to what the allocator hands
//! out.
//!
//! mimalloc keeps blocks of one size together: steps of 16 bytes up to 128, then four sizes to each
//! power of two. A request for 520 bytes takes
//! 640. Whoever counts only what is asked for is off by up to a quarter;
//! `maxmemory` would be exceeded by that, and MEMORY USAGE would not be true.
//! `server/src/memory.rs` tests this against the allocator itself.

/// Sizes up to this rise in steps of [`SMALL_STEP`].
const SMALL_MAX: usize = 128;
const SMALL_STEP: usize = 16;

/// The smallest block.
const LEAST: usize = 8;

/// From here on what counts is pages: what a block has beyond its contents is never touched.
const PAGED_MIN: usize = 32 * 1024;
const PAGE: usize = 4096;

/// Bytes of memory that a block of `bytes` takes; 0 for none.
#[inline]
pub const fn block_size(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        PAGED_MIN.. => match bytes.checked_next_multiple_of(PAGE) {
            Some(rounded) => rounded,
            None => bytes,
        },
        _ => block_room(bytes),
    }
}

/// The most bytes that fit the block which the allocator gives for `bytes`, of 1 to `isize::MAX`.
/// Up to there a string may grow where it stands.
#[inline]
pub const fn block_room(bytes: usize) -> usize {
    match bytes {
        0..=LEAST => LEAST,
        9..=SMALL_MAX => bytes.next_multiple_of(SMALL_STEP),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_rise_and_are_sizes_themselves() {
        let sizes: Vec<usize> = (0..200_000).map(block_size).collect();
        assert!(sizes.is_sorted());
        for (asked, &size) in sizes.iter().enumerate() {
            assert!(size >= asked && block_size(size) == size);
            assert!(asked <= 64 || size <= asked + asked / 4);
        }
        assert_eq!(block_size(usize::MAX), usize::MAX);
    }
}
