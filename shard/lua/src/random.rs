//! Redis's `math.random`: the 48-bit generator of `lrand48`, the same on every platform.

use std::ffi::c_int;

use crate::context::{Context, Mode};
use crate::state::State;

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

    fn seeded(seed: i32) -> Self {
        Random(u64::from(seed as u32) << 16 | 0x330e)
    }

    /// The next number of 31 bits.
    fn next(&mut self) -> i32 {
        self.0 = self
            .0
            .wrapping_mul(Self::MULTIPLIER)
            .wrapping_add(Self::INCREMENT)
            & Self::BITS;
        (self.0 >> 17) as i32
    }
}

/// `math.random([m [, n]])`
pub fn random(state: State, context: &Context) -> c_int {
    if context.mode.get() != Mode::Running {
        state.fail(b"math.random can only be called inside a script invocation");
    }
    let mut random = context.random.get();
    let fraction = f64::from(random.next() % i32::MAX) / f64::from(i32::MAX);
    context.random.set(random);
    match state.top() {
        0 => state.push_number(fraction),
        1 => {
            let upper = state.check_int(1);
            if upper < 1 {
                state.bad_argument(1, c"interval is empty");
            }
            state.push_number((fraction * f64::from(upper)).floor() + 1.0);
        }
        2 => {
            let lower = state.check_int(1);
            let upper = state.check_int(2);
            if lower > upper {
                state.bad_argument(2, c"interval is empty");
            }
            let width = upper.wrapping_sub(lower).wrapping_add(1);
            state.push_number((fraction * f64::from(width)).floor() + f64::from(lower));
        }
        _ => state.fail(b"wrong number of arguments"),
    }
    1
}

/// `math.randomseed(x)`
pub fn randomseed(state: State, context: &Context) -> c_int {
    if context.mode.get() != Mode::Running {
        state.fail(b"math.randomseed can only be called inside a script invocation");
    }
    context.random.set(Random::seeded(state.check_int(1)));
    0
}
