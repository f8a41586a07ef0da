//! HyperLogLog: how many different elements were seen, within 0.81%, in 12 KiB or less.
//!
//! The value is an ordinary string in Redis's own format, so that data files, GET/SET and clients
//! that keep such strings work:
//!
//! ```text
//! header  "HYLL" [0 dense | 1 sparse] [unused: 3] [cached count: u64 le; its top bit: stale]
//! dense   16384 registers of 6 bits, the lowest bits of each byte first
//! sparse  runs:  00nnnnnn            n+1 registers of 0
//!                01nnnnnn nnnnnnnn   n+1 registers of 0
//!                1vvvvvnn            n+1 registers of v+1
//! ```
//!
//! As anybody can SET such a string, nothing here trusts it: a header that is not one is
//! [`NotHyperLogLog`], runs that do not add up to 16384 registers are [`Corrupt`], and neither can
//! lead outside of the string. The estimator is Ertl's (arXiv:1702.01284), as in Redis since 5.0;
//! the hash is MurmurHash64A with Redis's seed, or old strings would count everything twice.

mod dense;
mod estimate;
mod sparse;

use dense::{each_dense, raise_dense, set_dense};
use estimate::{estimate, place};
pub use sparse::{Run, Runs, runs};
use sparse::{each_run, push_zeros, raise_sparse};

/// Registers, 2 to the `INDEX_BITS`.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// Bits of the hash left for the run of zeros.
const RUN_BITS: u32 = 64 - INDEX_BITS;
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
/// Greatest register that a sparse run can say.
const SPARSE_VALUE_MAX: u8 = 32;
const HASH_SEED: u64 = 0xadc8_3b19;
/// Where the byte with the stale bit stands.
const STALE_AT: usize = 15;

/// The string does not begin like a HyperLogLog, or has not a dense one's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHyperLogLog;

/// The runs of a sparse HyperLogLog do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How the registers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits a register.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

/// An empty HyperLogLog: sparse, with a count of 0 cached.
pub fn empty() -> Vec<u8> {
    let mut value = header(Encoding::Sparse);
    push_zeros(&mut value, REGISTERS);
    value
}

fn header(encoding: Encoding) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER_BYTES + 2);
    value.extend_from_slice(b"HYLL");
    value.push(u8::from(encoding == Encoding::Sparse));
    value.resize(HEADER_BYTES, 0);
    value
}

/// Looks at the header, and at the length where that is fixed.
pub fn encoding(value: &[u8]) -> Result<Encoding, NotHyperLogLog> {
    match value {
        [b'H', b'Y', b'L', b'L', 1, ..] if value.len() >= HEADER_BYTES => Ok(Encoding::Sparse),
        [b'H', b'Y', b'L', b'L', 0, ..] if value.len() == DENSE_BYTES => Ok(Encoding::Dense),
        _ => Err(NotHyperLogLog),
    }
}

/// The count as of the last [`cache_count`], unless registers have changed since.
pub fn cached_count(value: &[u8]) -> Option<u64> {
    let bytes = value.get(8..HEADER_BYTES)?.try_into().ok()?;
    let count = u64::from_le_bytes(bytes);
    (count >> 63 == 0).then_some(count)
}

/// Writes a count into the header.
pub fn cache_count(value: &mut [u8], count: u64) {
    if let Some(cache) = value.get_mut(8..HEADER_BYTES) {
        cache.copy_from_slice(&(count & (u64::MAX >> 1)).to_le_bytes());
    }
}

/// Says in the header that registers changed.
pub fn mark_stale(value: &mut [u8]) {
    if let Some(byte) = value.get_mut(STALE_AT) {
        *byte |= 0x80;
    }
}

/// Adds `element` to a string that [`encoding`] accepted. True where a register changed; the cached
/// count is stale then. A sparse string that would grow beyond `sparse_bytes_max`
/// (`hll-sparse-max-bytes`, which counts the header) becomes dense.
pub fn add(value: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let (register, run) = place(element);
    let changed = match encoding(value) {
        Ok(Encoding::Dense) => raise_dense(value, register, run),
        _ => raise_sparse(value, register, run, sparse_bytes_max)?,
    };
    if changed {
        mark_stale(value);
    }
    Ok(changed)
}

/// Turns a sparse string into a dense one; a dense one stays as it is. The cached count stays.
pub fn make_dense(value: &mut Vec<u8>) -> Result<(), Corrupt> {
    if encoding(value) == Ok(Encoding::Dense) {
        return Ok(());
    }
    let mut dense = vec![0; DENSE_BYTES];
    let (head, registers) = dense.split_at_mut(HEADER_BYTES);
    head.copy_from_slice(value.get(..HEADER_BYTES).ok_or(Corrupt)?);
    head[4] = 0;
    each_run(value, |run| {
        for register in run.first..run.first + run.length {
            set_dense(registers, register, run.value);
        }
    })?;
    *value = dense;
    Ok(())
}

/// The estimate of how many elements a string that [`encoding`] accepted has seen, reckoned from
/// its registers.
pub fn count(value: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0u32; 64];
    if encoding(value) == Ok(Encoding::Dense) {
        each_dense(value, |_, register| {
            histogram[usize::from(register & 63)] += 1
        });
    } else {
        let mut seen = 0;
        for run in runs(value) {
            histogram[usize::from(run.value & 63)] += run.length as u32;
            seen += run.length;
        }
        if seen != REGISTERS {
            return Err(Corrupt);
        }
    }
    Ok(estimate(&histogram))
}

/// The 16384 registers of a HyperLogLog, a byte each, to merge many strings.
pub struct Registers(Box<[u8]>);

impl Default for Registers {
    fn default() -> Self {
        Registers(vec![0; REGISTERS].into_boxed_slice())
    }
}

impl Registers {
    /// Raises each register to that of `value`, a string that [`encoding`] accepted.
    pub fn merge(&mut self, value: &[u8]) -> Result<(), Corrupt> {
        if encoding(value) == Ok(Encoding::Dense) {
            each_dense(value, |n, register| {
                if let Some(mine) = self.0.get_mut(n) {
                    *mine = (*mine).max(register);
                }
            });
            return Ok(());
        }
        each_run(value, |run| {
            for mine in self.0.iter_mut().skip(run.first).take(run.length) {
                *mine = (*mine).max(run.value);
            }
        })
    }

    /// The estimate of how many elements were seen.
    pub fn count(&self) -> u64 {
        let mut histogram = [0u32; 64];
        for register in &self.0 {
            histogram[usize::from(register & 63)] += 1;
        }
        estimate(&histogram)
    }

    /// Each register's value.
    pub fn values(&self) -> &[u8] {
        &self.0
    }
}

/// Raises each register to what it is in `all`. The count is stale then.
pub fn raise_all(
    value: &mut Vec<u8>,
    all: &Registers,
    sparse_bytes_max: usize,
) -> Result<(), Corrupt> {
    for (n, &to) in all.0.iter().enumerate().filter(|(_, to)| **to > 0) {
        match encoding(value) {
            Ok(Encoding::Dense) => raise_dense(value, n, to),
            _ => raise_sparse(value, n, to, sparse_bytes_max)?,
        };
    }
    mark_stale(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registers(value: &[u8]) -> Vec<u8> {
        let mut all = Registers::default();
        all.merge(value).unwrap();
        all.values().to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sparse_and_dense_agree_with_an_array(raises in prop::collection::vec((0usize..40, 1u8..=40, 0usize..4), 1..150), bytes_max in 0usize..120) {
            let mut model = vec![0u8; REGISTERS];
            let mut value = empty();
            for (n, to, spread) in raises {
                let n = [n, n * 400, REGISTERS - 1 - n, 8192 + n % 5][spread];
                let changed = if encoding(&value) == Ok(Encoding::Dense) {
                    raise_dense(&mut value, n, to)
                } else {
                    raise_sparse(&mut value, n, to, bytes_max).unwrap()
                };
                prop_assert_eq!(changed, model[n] < to);
                model[n] = model[n].max(to);
                if encoding(&value) == Ok(Encoding::Sparse) {
                    prop_assert!(value.len() <= bytes_max.max(HEADER_BYTES + 2));
                }
            }
            prop_assert_eq!(&registers(&value), &model);
            let mut all = Registers::default();
            all.merge(&value).unwrap();
            prop_assert_eq!(count(&value).unwrap(), all.count());
            for mut copy in [empty(), value.clone()] {
                raise_all(&mut copy, &all, 3000).unwrap();
                prop_assert_eq!(registers(&copy), model.clone());
            }
            make_dense(&mut value).unwrap();
            prop_assert_eq!(registers(&value), model);
        }

        #[test]
        fn any_bytes_are_an_error_at_worst(tail in prop::collection::vec(any::<u8>(), 0..60), element in any::<[u8; 4]>()) {
            let mut value = header(Encoding::Sparse);
            value.extend_from_slice(&tail);
            let _ = count(&value);
            let _ = Registers::default().merge(&value);
            let _ = add(&mut value.clone(), &element, 3000);
            let _ = make_dense(&mut value);
        }
    }

    #[test]
    fn estimates_within_its_error() {
        let mut value = empty();
        assert_eq!(cached_count(&value), Some(0));
        let mut next = 1;
        for n in 0..100_000u32 {
            add(&mut value, &n.to_le_bytes(), 3000).unwrap();
            if n + 1 == next {
                let error = count(&value).unwrap() as f64 / f64::from(next) - 1.0;
                assert!(error.abs() < 0.03, "{next}: {error}");
                next *= 10;
            }
        }
        assert_eq!(encoding(&value), Ok(Encoding::Dense));
        assert_eq!(cached_count(&value), None);
    }

    #[test]
    fn the_cache_is_the_headers_last_eight_bytes() {
        let mut value = empty();
        cache_count(&mut value, 513);
        assert_eq!(value[8..16], [1, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cached_count(&value), Some(513));
        mark_stale(&mut value);
        assert_eq!(cached_count(&value), None);
    }

    #[test]
    fn writes_what_redis_writes() {
        // As redis-server 7.0 answers GET after PFADD k a b c.
        let mut value = empty();
        for element in [b"a", b"b", b"c"] {
            add(&mut value, element, 3000).unwrap();
        }
        let want = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80`\xf3\x80P\xb1\x84K\xfb\x80BZ";
        assert_eq!(value, want);
        assert_eq!(count(&value), Ok(3));
    }
    #[test]
    fn headers_are_checked() {
        assert_eq!(encoding(b"HYLL"), Err(NotHyperLogLog));
        assert_eq!(encoding(&[b'x'; 18]), Err(NotHyperLogLog));
        let mut short = header(Encoding::Dense);
        short.resize(DENSE_BYTES - 1, 0);
        assert_eq!(encoding(&short), Err(NotHyperLogLog));
        short.push(0);
        assert_eq!(encoding(&short), Ok(Encoding::Dense));
    }
}
