//! From an element to its register, and from registers to the estimate.

use super::{HASH_SEED, INDEX_BITS, REGISTERS, RUN_BITS};

/// The register of an element and the length of its run of zeros, 1 to 51.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    let register = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

/// Ertl's improved raw estimator over how many registers hold each value.
pub(super) fn estimate(histogram: &[u32; 64]) -> u64 {
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
