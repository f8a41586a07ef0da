//! Patterns of keys and channels. Most are a name, or a name and a star; these are compared without
//! the walk of a general pattern.

use protocol::glob;

/// Bytes that have a meaning in a pattern.
const SPECIAL: &[u8] = b"*?[]\\";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// It means itself.
    Exact,
    /// All but its last byte, and then anything.
    Prefix,
    General,
}

/// A pattern as KEYS takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    text: Box<[u8]>,
    shape: Shape,
}

impl Pattern {
    pub fn new(text: &[u8]) -> Self {
        let is_plain = |text: &[u8]| !text.iter().any(|byte| SPECIAL.contains(byte));
        let shape = match text {
            [front @ .., b'*'] if is_plain(front) => Shape::Prefix,
            text if is_plain(text) => Shape::Exact,
            _ => Shape::General,
        };
        Self {
            text: text.into(),
            shape,
        }
    }

    /// Whether the whole of `name` matches.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self.shape {
            Shape::Exact => *self.text == *name,
            Shape::Prefix => name.starts_with(&self.text[..self.text.len() - 1]),
            Shape::General => glob::matches(&self.text, name, false),
        }
    }

    /// As it was given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// What may be done with keys that match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyAccess {
    pub reads: bool,
    pub writes: bool,
}

impl KeyAccess {
    pub const ALL: Self = Self {
        reads: true,
        writes: true,
    };

    /// Whether all of `wanted` is in it.
    #[inline]
    pub fn covers(self, wanted: Self) -> bool {
        (self.reads | !wanted.reads) & (self.writes | !wanted.writes)
    }

    /// What stands before a pattern.
    pub const fn prefix(self) -> &'static [u8] {
        match (self.reads, self.writes) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            _ => b"~",
        }
    }
}

/// A rule about keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyPattern {
    pub pattern: Pattern,
    pub access: KeyAccess,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_cuts_say_what_the_general_pattern_says(
            pattern in "[ab*?\\[\\]\\\\]{0,4}",
            name in "[ab*]{0,4}",
        ) {
            let expected = glob::matches(pattern.as_bytes(), name.as_bytes(), false);
            prop_assert_eq!(Pattern::new(pattern.as_bytes()).matches(name.as_bytes()), expected);
        }
    }
}
