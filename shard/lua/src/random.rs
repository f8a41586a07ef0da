//! Redis's `math.random`: the 48-bit generator of `lrand48`, the same on every platform.

/// The generator. It is never seeded but by a script, and its state outlives the call: Redis
/// replicates effects, and so need not repeat a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Random(0x1234_abcd_330e)
    }
}

impl Random {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const INCREMENT: u64 = 0xb;
    const BITS: u64 = (1 << 48) - 1;

    /// The generator after `math.randomseed(seed)`.
    pub fn seeded(seed: i32) -> Self {
        Random(u64::from(seed as u32) << 16 | 0x330e)
    }

    /// The next number of 31 bits.
    pub fn next(&mut self) -> i32 {
        self.0 = self
            .0
            .wrapping_mul(Self::MULTIPLIER)
            .wrapping_add(Self::INCREMENT)
            & Self::BITS;
        (self.0 >> 17) as i32
    }
}
