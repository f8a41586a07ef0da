//! LZF, the compression of strings in RDB files (after Marc Lehmann's LibLZF, whose format this
//! is).
//!
//! ```text
//! 000nnnnn                       n + 1 bytes follow as they are
//! lllooooo oooooooo              l + 2 bytes from o + 1 bytes back, l in 1..=6
//! 111ooooo llllllll oooooooo     l + 9 bytes from o + 1 bytes back
//! ```

use std::cell::RefCell;

/// Bytes of a run of literals, at the most.
const LITERALS_MAX: usize = 32;
/// How far back a copy may reach.
const DISTANCE_MAX: usize = 1 << 13;
/// Bytes of a copy, at the least and at the most.
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
/// Places remembered of three-byte sequences, as bits: fewer for shorter inputs, which then touch
/// less memory.
const BITS_MIN: u32 = 6;
const BITS_MAX: u32 = 13;

type Table = [u32; 1 << BITS_MAX];

/// Where three-byte sequences stood last. It serves one input after the other without being
/// cleared: what an earlier one left lies below `base`.
struct Dictionary {
    table: Box<Table>,
    base: u32,
}

thread_local! {
    static DICTIONARY: RefCell<Dictionary> = RefCell::new(Dictionary {
        table: Box::new([0; 1 << BITS_MAX]),
        base: 0,
    });
}

impl Dictionary {
    /// Makes room for the places of an input of so many bytes. Returns whether there is any for one
    /// so long.
    fn begin(&mut self, len: usize) -> bool {
        let Ok(len) = u32::try_from(len + 1) else {
            return false;
        };
        if self.base.checked_add(len).is_none() {
            self.table.fill(0);
            self.base = 0;
        }
        true
    }
}

/// Appends the compressed form of `input` to `out` if it is shorter than `input` by more than four
/// bytes, as Redis asks of it. Returns whether it was; else `out` is as it was.
pub fn compress(input: &[u8], out: &mut Vec<u8>) -> bool {
    DICTIONARY.with_borrow_mut(|dictionary| {
        if !dictionary.begin(input.len()) {
            return false;
        }
        let pays = compress_with(&mut dictionary.table, dictionary.base, input, out);
        dictionary.base += input.len() as u32 + 1;
        pays
    })
}

fn compress_with(table: &mut Table, base: u32, input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let budget = input.len().saturating_sub(4);
    let bits = (usize::BITS - input.len().leading_zeros()).clamp(BITS_MIN, BITS_MAX);
    let mut literals = 0;
    let mut at = 0;
    while at < input.len() {
        let copy = input.get(at..at + COPY_MIN).and_then(|next| {
            // Every place is within the table; this tells the compiler.
            let slot = &mut table[slot_of(next, bits) % (1 << BITS_MAX)];
            // Stored plus one: below is what other inputs have left, or nothing.
            let before =
                std::mem::replace(slot, base + at as u32 + 1).checked_sub(base + 1)? as usize;
            let distance = at - before;
            let same = distance <= DISTANCE_MAX && input[before..before + COPY_MIN] == *next;
            same.then_some((before, distance))
        });
        let Some((before, distance)) = copy else {
            at += 1;
            if at - literals == LITERALS_MAX {
                put_literals(&input[literals..at], out);
                literals = at;
                if out.len() - start >= budget {
                    out.truncate(start);
                    return false;
                }
            }
            continue;
        };
        put_literals(&input[literals..at], out);
        let length = COPY_MIN + common(&input[before + COPY_MIN..], &input[at + COPY_MIN..]);
        put_copy(distance - 1, length, out);
        at += length;
        literals = at;
        if out.len() - start >= budget {
            out.truncate(start);
            return false;
        }
    }
    put_literals(&input[literals..], out);
    let pays = out.len() - start < budget;
    if !pays {
        out.truncate(start);
    }
    pays
}

/// How many first bytes are the same in both, as far as a copy can tell. `behind` is the shorter.
fn common(before: &[u8], behind: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    let most = (COPY_MAX - COPY_MIN).min(behind.len());
    let (before, behind) = (&before[..most], &behind[..most]);
    let words = before
        .as_chunks::<WORD>()
        .0
        .iter()
        .zip(behind.as_chunks::<WORD>().0);
    let mut same = 0;
    for (one, other) in words {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += WORD;
    }
    same + std::iter::zip(&before[same..], &behind[same..])
        .take_while(|(one, other)| one == other)
        .count()
}

fn slot_of(next: &[u8], bits: u32) -> usize {
    let three = u32::from(next[0]) << 16 | u32::from(next[1]) << 8 | u32::from(next[2]);
    // Fibonacci hashing: the golden ratio spreads neighbours.
    (three.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

fn put_literals(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.push((bytes.len() - 1) as u8);
        out.extend_from_slice(bytes);
    }
}

fn put_copy(offset: usize, length: usize, out: &mut Vec<u8>) {
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    match length - 2 {
        short @ ..7 => out.extend([(short as u8) << 5 | high, low]),
        long => out.extend([7 << 5 | high, (long - 7) as u8, low]),
    }
}

/// The bytes that `input` stands for, which must be `len`; `None` where it is damaged. Takes no
/// more memory than they are worth: each byte of input can stand for at most [`COPY_MAX`].
pub fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > input.len().saturating_mul(COPY_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        let control = usize::from(control);
        if control < LITERALS_MAX {
            let (run, after) = rest.split_at_checked(control + 1)?;
            out.extend_from_slice(run);
            rest = after;
        } else {
            let mut length = (control >> 5) + 2;
            if length == 9 {
                length += usize::from(take_byte(&mut rest)?);
            }
            let offset = (control & 0x1f) << 8 | usize::from(take_byte(&mut rest)?);
            let from = out.len().checked_sub(offset + 1)?;
            if out.len() + length > len {
                return None;
            }
            // The copy may overlap what it writes: that is how runs are told.
            for at in from..from + length {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_and_repetitions_come_back() {
        for text in [
            "a".repeat(300),
            "abcabcabcabcabcabcabcabcabc".into(),
            (0..5000).map(|i| format!("user:{i};")).collect(),
            "x".repeat(100_000),
        ] {
            let mut packed = vec![9];
            assert!(compress(text.as_bytes(), &mut packed));
            assert!(packed.len() < text.len() / 2 + 10);
            assert_eq!(
                decompress(&packed[1..], text.len()).as_deref(),
                Some(text.as_bytes())
            );
            assert_eq!(decompress(&packed[1..], text.len() - 1), None);
            assert_eq!(decompress(&packed[1..], text.len() + 1), None);
        }
        let mut out = Vec::new();
        assert!(!compress(b"no two alike: 1234567890", &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn the_table_begins_anew_before_its_places_run_out() {
        let text = "again and again and again and again".repeat(10);
        for base in [u32::MAX - 600, u32::MAX - 2, u32::MAX] {
            DICTIONARY.with_borrow_mut(|dictionary| dictionary.base = base);
            for _ in 0..3 {
                let mut packed = Vec::new();
                assert!(compress(text.as_bytes(), &mut packed));
                assert_eq!(
                    decompress(&packed, text.len()).as_deref(),
                    Some(text.as_bytes())
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn what_was_packed_unpacks(input in prop::collection::vec(0u8..4, 0..2000)) {
            let mut packed = Vec::new();
            if compress(&input, &mut packed) {
                prop_assert_eq!(decompress(&packed, input.len()), Some(input));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(input in prop::collection::vec(any::<u8>(), 0..300), len in 0usize..5000) {
            if let Some(out) = decompress(&input, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
