//! HyperLogLog: how many different elements were seen, within 0.81%, in 12 KiB or less.
//!
//! The value is an ordinary string in Redis's own format, so that data files, GET/SET and clients that keep such strings work:
//!
//! ```text
//! header  "HYLL" [0 dense | 1 sparse] [unused: 3] [cached count: u64 le; its top bit says that it is stale]
//! dense   16384 registers of 6 bits, the lowest bits of each byte first
//! sparse  runs:  00nnnnnn            n+1 registers of 0
//!                01nnnnnn nnnnnnnn   n+1 registers of 0
//!                1vvvvvnn            n+1 registers of v+1
//! ```
//!
//! As anybody can SET such a string, nothing here trusts it: a header that is not one is [`NotHyperLogLog`], runs that do not add up to 16384
//! registers are [`Corrupt`], and neither can lead outside of the string. The estimator is Ertl's (arXiv:1702.01284), as in Redis
//! since 5.0; the hash is MurmurHash64A with Redis's seed, or old strings would count everything twice.

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
    Dense,
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

/// Adds `element` to a dense string where it lies. True where a register changed.
pub fn add_dense(value: &mut [u8], element: &[u8]) -> bool {
    let (register, run) = place(element);
    let changed = raise_dense(value, register, run);
    if changed {
        mark_stale(value);
    }
    changed
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

/// The estimate of how many elements a string that [`encoding`] accepted has seen, reckoned from its registers.
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

/// Registers unpacked, to merge many strings.
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

/// The register of an element and the length of its run of zeros, 1 to 51.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    let register = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

// Dense.

fn get_dense(registers: &[u8], n: usize) -> u8 {
    let (byte, shift) = (n * 6 / 8, n * 6 % 8);
    let low = registers.get(byte).copied().unwrap_or(0);
    let high = registers.get(byte + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([low, high]) >> shift) as u8 & 63
}

fn set_dense(registers: &mut [u8], n: usize, value: u8) {
    let (byte, shift) = (n * 6 / 8, n * 6 % 8);
    let clear = !(63u16 << shift).to_le_bytes()[0];
    let [low, high] = (u16::from(value & 63) << shift).to_le_bytes();
    if let Some(at) = registers.get_mut(byte) {
        *at = *at & clear | low;
    }
    let clear_high = !((63u16 << shift) >> 8) as u8;
    if let Some(at) = registers.get_mut(byte + 1) {
        *at = *at & clear_high | high;
    }
}

fn raise_dense(value: &mut [u8], n: usize, to: u8) -> bool {
    let Some(registers) = value.get_mut(HEADER_BYTES..) else {
        return false;
    };
    let higher = get_dense(registers, n) < to;
    if higher {
        set_dense(registers, n, to);
    }
    higher
}

/// Eight registers stand in six bytes.
fn each_dense(value: &[u8], mut visit: impl FnMut(usize, u8)) {
    let (groups, _) = value.get(HEADER_BYTES..).unwrap_or(&[]).as_chunks::<6>();
    for (n, &[a, b, c, d, e, f]) in groups.iter().enumerate() {
        let mut word = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        for register in 8 * n..8 * n + 8 {
            visit(register, word as u8 & 63);
            word >>= 6;
        }
    }
}

// Sparse.

/// A run of equal registers as it stands in the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What each register holds.
    pub value: u8,
    /// The first register.
    pub first: usize,
    /// How many registers.
    pub length: usize,
    at: usize,
    width: usize,
}

/// The runs of a sparse string as they stand, whether or not they add up to all registers.
pub fn runs(value: &[u8]) -> Runs<'_> {
    Runs {
        value,
        at: HEADER_BYTES,
        register: 0,
    }
}

/// Shows the runs that are not of zeros. They must come to all registers, where what would follow does not count.
fn each_run(value: &[u8], mut show: impl FnMut(Run)) -> Result<(), Corrupt> {
    let mut registers = 0;
    for run in runs(value) {
        if run.value > 0 {
            if run.first + run.length > REGISTERS {
                break;
            }
            show(run);
        }
        registers = run.first + run.length;
    }
    match registers {
        REGISTERS => Ok(()),
        _ => Err(Corrupt),
    }
}

impl Run {
    /// A run of zeros written in two bytes.
    pub fn is_long(&self) -> bool {
        self.width == 2
    }
}

/// See [`runs`].
pub struct Runs<'a> {
    value: &'a [u8],
    at: usize,
    register: usize,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Self::Item> {
        let (value, length, width) = match *self.value.get(self.at..)? {
            [] => return None,
            [one, ..] if one & 0x80 != 0 => ((one >> 2 & 0x1f) + 1, usize::from(one & 3) + 1, 1),
            [one, ..] if one & 0x40 == 0 => (0, usize::from(one) + 1, 1),
            // Behind the end stands a zero byte, as behind Redis's strings.
            [one, ref rest @ ..] => {
                let low = rest.first().copied().unwrap_or(0);
                (0, (usize::from(one & 0x3f) << 8 | usize::from(low)) + 1, 2)
            }
        };
        let run = Run {
            value,
            first: self.register,
            length,
            at: self.at,
            width,
        };
        self.at += width;
        self.register += length;
        Some(run)
    }
}

fn push_zeros(out: &mut impl Extend<u8>, length: usize) {
    match length {
        0 => {}
        1..=64 => out.extend([(length - 1) as u8]),
        _ => {
            let length = (length - 1) as u16 & 0x3fff;
            out.extend([0x40 | (length >> 8) as u8, length as u8]);
        }
    }
}

/// Some of the registers of a run, which hold `value`.
fn push_part(out: &mut impl Extend<u8>, value: u8, length: usize) {
    match (value, length) {
        (_, 0) => {}
        (0, length) => push_zeros(out, length),
        (value, length) => out.extend([run_of(value, length)]),
    }
}

/// The byte of a run of up to four registers that hold a value of 1 to 32.
fn run_of(value: u8, length: usize) -> u8 {
    0x80 | ((value - 1) & 0x1f) << 2 | ((length - 1) & 3) as u8
}

/// Raises register `n`, in the steps in which Redis does it, since clients can see the bytes: the run that holds it becomes up to three, then
/// runs nearby that hold the same value join as far as four registers go. What stands behind that is not looked at.
fn raise_sparse(value: &mut Vec<u8>, n: usize, to: u8, bytes_max: usize) -> Result<bool, Corrupt> {
    if to > SPARSE_VALUE_MAX {
        make_dense(value)?;
        return Ok(raise_dense(value, n, to));
    }
    let mut before = None;
    let mut hit = None;
    for run in runs(value) {
        if n < run.first + run.length {
            hit = Some(run);
            break;
        }
        before = Some(run);
    }
    let hit = hit.ok_or(Corrupt)?;
    if hit.value >= to {
        return Ok(false);
    }
    let mut written: smallvec::SmallVec<[u8; 5]> = smallvec::SmallVec::new();
    push_part(&mut written, hit.value, n - hit.first);
    push_part(&mut written, to, 1);
    push_part(&mut written, hit.value, hit.first + hit.length - n - 1);
    let replaced = hit.at..value.len().min(hit.at + hit.width);
    // A long run whose second byte is missing counts in full, as in Redis: what takes its place is
    // one byte short.
    let grown = value.len() + written.len() - hit.width;
    if grown > value.len() && grown > bytes_max {
        make_dense(value)?;
        return Ok(raise_dense(value, n, to));
    }
    value.splice(replaced, written);
    value.truncate(grown);
    join_runs(value, before.map_or(HEADER_BYTES, |run| run.at));
    Ok(true)
}

/// Joins neighbours that hold the same value in four registers at most, among the next few runs from `at` on.
fn join_runs(value: &mut Vec<u8>, mut at: usize) {
    /// Runs looked at, and joins made.
    const STEPS: usize = 5;
    for _ in 0..STEPS {
        let Some(&run) = value.get(at) else { return };
        let next = value.get(at + 1).copied().unwrap_or(0);
        let length = usize::from(run & 3) + usize::from(next & 3) + 2;
        if run & 0x80 == 0 {
            at += 1 + usize::from(run & 0x40 != 0);
        } else if run & 0xfc == next & 0xfc && length <= 4 {
            value.remove(at);
            value[at] = next & 0xfc | (length - 1) as u8;
        } else {
            at += 1;
        }
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

// Arithmetic.

/// Ertl's improved raw estimator over how many registers hold each value.
fn estimate(histogram: &[u32; 64]) -> u64 {
    const ALPHA_INF: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let of = |n: usize| f64::from(histogram.get(n).copied().unwrap_or(0));
    let top = RUN_BITS as usize + 1;
    let mut z = m * tau((m - of(top)) / m);
    for n in (1..top).rev() {
        z = (z + of(n)) * 0.5;
    }
    z += m * sigma(of(0) / m);
    (ALPHA_INF * m * m / z).round() as u64
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        weight *= 0.5;
        let next = sum - (1.0 - x).powi(2) * weight;
        if next == sum || !next.is_finite() {
            return sum / 3.0;
        }
        sum = next;
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let next = sum + x * weight;
        if next == sum || !next.is_finite() {
            return sum;
        }
        sum = next;
        weight += weight;
    }
}

/// Austin Appleby's MurmurHash2, 64-bit variant A.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> R).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(tail) {
            *to = *from;
        }
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
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
