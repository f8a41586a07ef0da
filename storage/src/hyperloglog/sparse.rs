//! The sparse form: runs of equal registers.

use super::dense::raise_dense;
use super::{Corrupt, HEADER_BYTES, REGISTERS, SPARSE_VALUE_MAX, make_dense};

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

/// Shows the runs that are not of zeros. They must come to all registers, where what would follow
/// does not count.
pub(super) fn each_run(value: &[u8], mut show: impl FnMut(Run)) -> Result<(), Corrupt> {
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

pub(super) fn push_zeros(out: &mut impl Extend<u8>, length: usize) {
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

/// Raises register `n`, in the steps in which Redis does it, since clients can see the bytes: the
/// run that holds it becomes up to three, then runs nearby that hold the same value join as far as
/// four registers go. What stands behind that is not looked at.
pub(super) fn raise_sparse(
    value: &mut Vec<u8>,
    n: usize,
    to: u8,
    bytes_max: usize,
) -> Result<bool, Corrupt> {
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

/// Joins neighbours that hold the same value in four registers at most, among the next few runs
/// from `at` on.
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
