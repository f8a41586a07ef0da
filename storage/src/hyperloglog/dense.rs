//! The dense form: 16384 registers of six bits.

use super::HEADER_BYTES;

fn get_dense(registers: &[u8], n: usize) -> u8 {
    let (byte, shift) = (n * 6 / 8, n * 6 % 8);
    let low = registers.get(byte).copied().unwrap_or(0);
    let high = registers.get(byte + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([low, high]) >> shift) as u8 & 63
}

pub(super) fn set_dense(registers: &mut [u8], n: usize, value: u8) {
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

pub(super) fn raise_dense(value: &mut [u8], n: usize, to: u8) -> bool {
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
pub(super) fn each_dense(value: &[u8], mut visit: impl FnMut(usize, u8)) {
    let (groups, _) = value.get(HEADER_BYTES..).unwrap_or(&[]).as_chunks::<6>();
    for (n, &[a, b, c, d, e, f]) in groups.iter().enumerate() {
        let mut word = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        for register in 8 * n..8 * n + 8 {
            visit(register, word as u8 & 63);
            word >>= 6;
        }
    }
}
