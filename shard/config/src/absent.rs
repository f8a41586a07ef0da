//! What a `redis.conf` may hold that is no parameter, or none of percore's.
//!
//! People bring the file that they have. What nothing depends on is passed over. What would break a
//! promise is refused.

/// What to do with a directive that has no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// Nothing depends on it: passed over.
    Passed,
    /// Refused, whatever its value.
    Refused,
}

use Absent::{Passed, Refused};

const DIRECTIVES: &[(&str, Absent)] = &[
    ("loadmodule", Refused),
    // Redis passes over these, too: they were parameters once.
    ("list-max-ziplist-entries", Passed),
    ("list-max-ziplist-value", Passed),
    ("lua-replicate-commands", Passed),
];

/// What to do with `name`, in any case. `None` where Redis has no such directive either.
pub fn find(name: &str) -> Option<Absent> {
    DIRECTIVES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, absent)| *absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parameter;

    #[test]
    fn nothing_is_both_absent_and_in_the_table() {
        for (name, _) in DIRECTIVES {
            assert!(Parameter::find(name).is_none(), "{name}");
        }
    }
}
