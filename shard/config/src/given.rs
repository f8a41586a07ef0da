//! Which parameters were given a value, by a file, a flag or CONFIG SET. The others stand at their
//! defaults, and CONFIG REWRITE leaves them out.

use super::{PARAMETERS, Parameter};

/// Rows that the set has room for.
const ROWS_MAX: usize = 320;
const WORDS: usize = ROWS_MAX / u64::BITS as usize;

/// A set of parameters: a bit for each row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Given([u64; WORDS]);

impl Given {
    /// Whether `row` is among them.
    pub fn has(&self, row: &Parameter) -> bool {
        place(row).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }

    pub(super) fn add(&mut self, row: &Parameter) {
        if let Some((word, bit)) = place(row) {
            self.0[word] |= bit;
        }
    }

    pub(super) fn remove(&mut self, row: &Parameter) {
        if let Some((word, bit)) = place(row) {
            self.0[word] &= !bit;
        }
    }
}

/// The word and the bit of a row.
fn place(row: &Parameter) -> Option<(usize, u64)> {
    let index = PARAMETERS
        .iter()
        .position(|known| std::ptr::eq(known, row))?;
    let bits = u64::BITS as usize;
    Some((index / bits, 1 << (index % bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_bit() {
        assert!(PARAMETERS.len() <= ROWS_MAX);
        for row in PARAMETERS {
            let mut given = Given::default();
            given.add(row);
            let found: Vec<_> = PARAMETERS.iter().filter(|row| given.has(row)).collect();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].name, row.name);
            given.remove(row);
            assert_eq!(given, Given::default());
        }
    }
}
