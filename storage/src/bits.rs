//! Bits of byte strings: counted, searched, combined, and read as integers of any width.
//!
//! Bit 0 is the most significant bit of byte 0, as Redis numbers them. Everything runs on words of
//! 64 bits: big-endian words keep that order, so the first set bit of a word is its number of
//! leading zeros. Whole words come from `as_chunks`, which the compiler unrolls and vectorises; no
//! table and no intrinsics.
//!
//! Ranges are half-open and already clamped by the caller; what lies beyond the string does not
//! exist for `count` and `find`, and is zero for `get_field`.

use std::ops::Range;

/// Bytes in a word.
const WORD: usize = 8;
/// Bytes combined while they are in the first-level cache.
const STRIPE_BYTES: usize = 4096;

/// How many bits of `bytes` are set.
pub fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<WORD>();
    let whole: u64 = words
        .iter()
        .map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()))
        .sum();
    whole + rest.iter().map(|b| u64::from(b.count_ones())).sum::<u64>()
}

/// How many bits are set among those of `bits`, clamped to the string.
pub fn count_bits(bytes: &[u8], bits: Range<u64>) -> u64 {
    let Some(cut) = Cut::new(bytes, bits) else {
        return 0;
    };
    let (first, last) = cut.outside();
    count(cut.bytes) - u64::from(first.count_ones()) - u64::from(last.count_ones())
}

/// The place of the first bit equal to `bit` among those of `bits`, clamped to the string; `None`
/// where there is none.
pub fn find(bytes: &[u8], bit: bool, bits: Range<u64>) -> Option<u64> {
    let cut = Cut::new(bytes, bits.clone())?;
    let skip = if bit { 0 } else { u64::MAX };
    let start = cut.first_byte * 8;
    // Where the range begins within a byte, that byte is looked at alone, with what is before
    // turned to the other bit.
    let mut from = 0;
    if let (Some(head), true) = (cut.bytes.first(), cut.skip_before > 0) {
        let interesting = (head ^ skip as u8) & (0xff >> cut.skip_before);
        if interesting != 0 {
            return Some(start + u64::from(interesting.leading_zeros()))
                .filter(|at| *at < bits.end);
        }
        from = 1;
    }
    let (words, rest) = cut.bytes.get(from..)?.as_chunks::<WORD>();
    let base = start + 8 * from as u64;
    if let Some(n) = words.iter().position(|w| u64::from_ne_bytes(*w) != skip) {
        let word = u64::from_be_bytes(words[n]) ^ skip;
        let at = base + 64 * n as u64 + u64::from(word.leading_zeros());
        return Some(at).filter(|at| *at < bits.end);
    }
    let n = rest.iter().position(|b| *b != skip as u8)?;
    let byte = rest[n] ^ skip as u8;
    let at = base + 8 * (words.len() * WORD + n) as u64 + u64::from(byte.leading_zeros());
    Some(at).filter(|at| *at < bits.end)
}

/// The bytes that a range of bits touches, and how much of the outer two lies outside.
struct Cut<'a> {
    bytes: &'a [u8],
    first_byte: u64,
    skip_before: u32,
    skip_after: u32,
}

impl<'a> Cut<'a> {
    fn new(bytes: &'a [u8], bits: Range<u64>) -> Option<Cut<'a>> {
        let end = bits.end.min(bytes.len() as u64 * 8);
        if bits.start >= end {
            return None;
        }
        let first_byte = bits.start / 8;
        let range = usize::try_from(first_byte).ok()?..usize::try_from(end.div_ceil(8)).ok()?;
        Some(Cut {
            bytes: bytes.get(range)?,
            first_byte,
            skip_before: (bits.start % 8) as u32,
            skip_after: ((8 - end % 8) % 8) as u32,
        })
    }

    /// The bits of the first and of the last byte that are not in the range.
    fn outside(&self) -> (u8, u8) {
        let first = self.bytes.first().copied().unwrap_or(0);
        let last = self.bytes.last().copied().unwrap_or(0);
        let before = !(0xffu32 >> self.skip_before) as u8;
        let after = ((1u32 << self.skip_after) - 1) as u8;
        (first & before, last & after)
    }
}

/// The bit at `offset`; what is beyond the string is clear.
pub fn get(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8)
        .ok()
        .and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte >> (7 - offset % 8) & 1 == 1)
}

/// Sets the bit at `offset`, which must lie within the string, and answers what it was.
pub fn set(bytes: &mut [u8], offset: u64, bit: bool) -> bool {
    let was = get(bytes, offset);
    if let Some(byte) = usize::try_from(offset / 8)
        .ok()
        .and_then(|at| bytes.get_mut(at))
    {
        let mask = 0x80u8 >> (offset % 8);
        *byte = if bit { *byte | mask } else { *byte & !mask };
    }
    was
}

/// How strings are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// A bit that is set in all.
    And,
    /// A bit that is set in one at least.
    Or,
    /// A bit that is set in an odd number of them.
    Xor,
    /// Of the first string alone.
    Not,
}

/// Combines `inputs` bit by bit. The result is as long as the longest; the others are as if padded
/// with zeros.
pub fn combine(how: Combine, inputs: &[&[u8]]) -> Vec<u8> {
    let Some((first, others)) = inputs.split_first() else {
        return Vec::new();
    };
    if how == Combine::Not {
        return first.iter().map(|b| !b).collect();
    }
    let length = inputs.iter().map(|i| i.len()).max().unwrap_or(0);
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(first);
    out.resize(length, 0);
    // A stripe at a time, so that many inputs do not stream the result through memory once each.
    for (n, stripe) in out.chunks_mut(STRIPE_BYTES).enumerate() {
        let from = n * STRIPE_BYTES;
        for input in others {
            let input = input.get(from..).unwrap_or(&[]);
            match how {
                Combine::And => {
                    let (both, beyond) = stripe.split_at_mut(input.len().min(stripe.len()));
                    apply(both, input, |a, b| a & b);
                    beyond.fill(0);
                }
                Combine::Or => apply(stripe, input, |a, b| a | b),
                Combine::Xor => apply(stripe, input, |a, b| a ^ b),
                Combine::Not => {}
            }
        }
    }
    out
}

fn apply(out: &mut [u8], input: &[u8], op: impl Fn(u64, u64) -> u64) {
    let (words, rest) = out.as_chunks_mut::<WORD>();
    let (input_words, input_rest) = input.as_chunks::<WORD>();
    let whole = words.len();
    for (a, b) in words.iter_mut().zip(input_words) {
        *a = op(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    // Either both end within the same word, or one ends in a word that is whole in the other.
    let tail = match input_words.get(whole) {
        Some(word) => &word[..],
        None => input_rest,
    };
    let out_tail = match words.get_mut(input_words.len()) {
        Some(word) => &mut word[..],
        None => rest,
    };
    for (a, b) in out_tail.iter_mut().zip(tail) {
        *a = op(u64::from(*a), u64::from(*b)) as u8;
    }
}

/// An integer type of BITFIELD: signed of 1 to 64 bits, or unsigned of 1 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u8,
}

/// What becomes of a value that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Taken modulo the width.
    #[default]
    Wrap,
    /// The nearest that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl FieldType {
    /// `None` for a width that BITFIELD does not know.
    pub fn new(signed: bool, bits: u8) -> Option<FieldType> {
        let max = if signed { 64 } else { 63 };
        (1..=max)
            .contains(&bits)
            .then_some(FieldType { signed, bits })
    }

    /// `i8`, `u63`: in lower case, as Redis wants it.
    pub fn parse(text: &[u8]) -> Option<FieldType> {
        let (kind, digits) = text.split_first()?;
        let signed = match kind {
            b'i' => true,
            b'u' => false,
            _ => return None,
        };
        if digits.is_empty() || digits.len() > 2 || digits[0] == b'0' {
            return None;
        }
        let bits = digits.iter().try_fold(0u8, |sum, b| {
            b.is_ascii_digit().then(|| sum * 10 + (b - b'0'))
        })?;
        FieldType::new(signed, bits)
    }

    /// The width in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// What SET stores of the integer `value`: unsigned types take it modulo 2^64 first, so that -1
    /// is their greatest value. Redis weighs in 64 bits how far a signed one is below the greatest:
    /// where that is too far to say, it counts as above it.
    pub fn fit_given(self, value: i64, overflow: Overflow) -> Option<i64> {
        let (_, max) = self.bounds();
        let distance = max - i128::from(value);
        let is_beyond = self.signed && self.bits < 64 && distance > i64::MAX.into();
        match overflow {
            Overflow::Saturate if is_beyond => i64::try_from(max).ok(),
            _ if self.signed => self.fit(value.into(), overflow),
            _ => self.fit((value as u64).into(), overflow),
        }
    }

    fn bounds(self) -> (i128, i128) {
        if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// `value` as this type holds it, which for every type here fits an `i64`. `None` where it
    /// overflows and that is to fail.
    pub fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        let fitted = if (min..=max).contains(&value) {
            value
        } else {
            match overflow {
                Overflow::Wrap => self.extend(value as u64).into(),
                Overflow::Saturate => value.clamp(min, max),
                Overflow::Fail => return None,
            }
        };
        i64::try_from(fitted).ok()
    }

    /// The lowest bits of `raw` as a number of this type.
    fn extend(self, raw: u64) -> i64 {
        let spare = 64 - u32::from(self.bits);
        let top = raw << spare;
        if self.signed {
            top as i64 >> spare
        } else {
            (top >> spare) as i64
        }
    }
}

/// The bits of a field lie in at most nine bytes: these, as one big-endian number, and how far it
/// is from their right end.
fn window(offset: u64, bits: u8) -> (usize, u32) {
    let first = usize::try_from(offset / 8).unwrap_or(usize::MAX);
    let right = 128 - (offset % 8) as u32 - u32::from(bits);
    (first, right)
}

fn load(bytes: &[u8], first: usize) -> u128 {
    let mut word = [0u8; 16];
    let from = bytes.get(first..).unwrap_or(&[]);
    for (to, from) in word.iter_mut().zip(from) {
        *to = *from;
    }
    u128::from_be_bytes(word)
}

/// The field of that type at bit `offset`; what is beyond the string is zero.
pub fn get_field(bytes: &[u8], field: FieldType, offset: u64) -> i64 {
    let (first, right) = window(offset, field.bits);
    field.extend((load(bytes, first) >> right) as u64)
}

/// Writes the lowest bits of `value` at bit `offset`. The string must reach there; what is beyond
/// it is lost.
pub fn set_field(bytes: &mut [u8], field: FieldType, offset: u64, value: i64) {
    let (first, right) = window(offset, field.bits);
    let mask = ((1u128 << field.bits) - 1) << right;
    let word = load(bytes, first) & !mask | (value as u64 as u128) << right & mask;
    let to = bytes.get_mut(first..).unwrap_or(&mut []);
    // Bytes that the field does not touch get back what was read.
    for (to, from) in to.iter_mut().zip(word.to_be_bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit_at(bytes: &[u8], at: u64) -> bool {
        bytes[(at / 8) as usize] & (0x80 >> (at % 8)) != 0
    }

    fn sparse_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop_oneof![4 => Just(0u8), 4 => Just(0xff), 1 => any::<u8>()],
            0..80,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn counting_and_finding_agree_with_one_bit_at_a_time(bytes in sparse_bytes(), from in 0u64..700, to in 0u64..700, bit in any::<bool>()) {
            let all = bytes.len() as u64 * 8;
            let inside = from.min(all)..to.min(all);
            prop_assert_eq!(count(&bytes), (0..all).filter(|n| bit_at(&bytes, *n)).count() as u64);
            prop_assert_eq!(count_bits(&bytes, from..to), inside.clone().filter(|n| bit_at(&bytes, *n)).count() as u64);
            prop_assert_eq!(find(&bytes, bit, from..to), inside.clone().find(|n| bit_at(&bytes, *n) == bit));
            for n in inside { prop_assert_eq!(get(&bytes, n), bit_at(&bytes, n)); }
        }

        #[test]
        fn combining_agrees_with_one_byte_at_a_time(inputs in prop::collection::vec(sparse_bytes(), 1..5)) {
            let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            let longest = inputs.iter().map(Vec::len).max().unwrap_or(0);
            type Op = fn(u8, u8) -> u8;
            for (how, op) in [(Combine::And, (|a, b| a & b) as Op), (Combine::Or, |a, b| a | b), (Combine::Xor, |a, b| a ^ b)] {
                let byte = |input: &[u8], n: usize| input.get(n).copied().unwrap_or(0);
                let want: Vec<u8> = (0..longest)
                    .map(|n| inputs[1..].iter().fold(byte(&inputs[0], n), |sum, i| op(sum, byte(i, n))))
                    .collect();
                prop_assert_eq!(combine(how, &slices), want);
            }
            prop_assert_eq!(combine(Combine::Not, &slices), inputs[0].iter().map(|b| !b).collect::<Vec<_>>());
        }

        #[test]
        fn fields_come_back_and_leave_the_rest(mut bytes in prop::collection::vec(any::<u8>(), 30), signed in any::<bool>(), bits in 1u8..=64, offset in 0u64..170, value in any::<i64>()) {
            let Some(field) = FieldType::new(signed, bits) else { return Ok(()) };
            let before = bytes.clone();
            let wrapped = field.fit(value.into(), Overflow::Wrap).unwrap();
            set_field(&mut bytes, field, offset, wrapped);
            prop_assert_eq!(get_field(&bytes, field, offset), wrapped);
            for n in (0..240).filter(|n| !(offset..offset + u64::from(bits)).contains(n)) {
                prop_assert_eq!(bit_at(&bytes, n), bit_at(&before, n));
            }
            let modulus = 1i128 << bits;
            prop_assert_eq!((i128::from(wrapped) - i128::from(value)).rem_euclid(modulus), 0);
            let (min, max) = field.bounds();
            prop_assert_eq!(field.fit(value.into(), Overflow::Saturate).map(i128::from), Some(i128::from(value).clamp(min, max)));
            prop_assert_eq!(field.fit(value.into(), Overflow::Fail).is_some(), (min..=max).contains(&i128::from(value)));
        }
    }

    #[test]
    fn what_is_far_too_small_is_too_great_as_in_redis() {
        let stored = |kind: &str, value| {
            let field = FieldType::parse(kind.as_bytes()).unwrap();
            field.fit_given(value, Overflow::Saturate).unwrap()
        };
        assert_eq!(stored("i8", i64::MIN), 127);
        assert_eq!(stored("i8", i64::MIN + 127), 127);
        assert_eq!(stored("i8", i64::MIN + 128), -128);
        assert_eq!(stored("i63", i64::MIN), i64::MAX / 2);
        assert_eq!(stored("i64", i64::MIN), i64::MIN);
        assert_eq!(stored("u8", i64::MIN), 255);
    }

    #[test]
    fn combines_beyond_one_stripe() {
        let long = vec![0xf0u8; STRIPE_BYTES * 2 + 13];
        let short = vec![0x3cu8; STRIPE_BYTES + 5];
        let out = combine(Combine::And, &[&long, &short]);
        assert_eq!(out.len(), long.len());
        assert!(out[..short.len()].iter().all(|b| *b == 0x30));
        assert!(out[short.len()..].iter().all(|b| *b == 0));
    }

    #[test]
    fn types_are_read_as_redis_reads_them() {
        assert_eq!(FieldType::parse(b"u63"), FieldType::new(false, 63));
        assert_eq!(FieldType::parse(b"i64"), FieldType::new(true, 64));
        for bad in [&b"u64"[..], b"i65", b"i0", b"u", b"", b"x8", b"i08", b"u-1"] {
            assert_eq!(FieldType::parse(bad), None);
        }
    }

    #[test]
    fn setting_a_bit_answers_the_old_one() {
        let mut bytes = [0u8; 2];
        assert!(!set(&mut bytes, 9, true));
        assert!(set(&mut bytes, 9, true));
        assert_eq!(bytes, [0, 0x40]);
        assert!(set(&mut bytes, 9, false));
        assert_eq!(bytes, [0, 0]);
    }
}
