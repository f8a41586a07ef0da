//! Rules as words: how they are put together, and what may be wrong with one.

use std::fmt;

/// What is wrong with a rule, in Redis's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleError {
    UnknownCommand,
    Syntax,
    PatternAfterAllKeys,
    PatternAfterAllChannels,
    FirstArgOfSubcommand,
    BadHash,
    NoSuchPassword,
    DuplicateUser,
}

impl RuleError {
    /// Redis's sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownCommand => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::PatternAfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::PatternAfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::FirstArgOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::DuplicateUser => {
                "Duplicate user found. A user can only be defined once in config files"
            }
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Why a list of rules was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RulesError {
    /// This rule, as it was given: it may hold a password.
    Rule(Vec<u8>, RuleError),
    /// A selector that begins with this word has no end.
    Unmatched(Vec<u8>),
}

impl RulesError {
    /// As the reply to ACL SETUSER, without the code.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::Rule(rule, error) => {
                let why = error.text().as_bytes();
                [b"Error in ACL SETUSER modifier '", &rule[..], b"': ", why].concat()
            }
            Self::Unmatched(word) => [
                b"Unmatched parenthesis in acl selector starting at '",
                &word[..],
                b"'.",
            ]
            .concat(),
        }
    }
}

/// Puts the words of each selector together, which begins with `(` and ends with `)`.
pub fn join_selectors<'a>(
    words: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Vec<u8>>, RulesError> {
    let mut joined: Vec<Vec<u8>> = Vec::new();
    // The selector that has begun, and how long its first word is.
    let mut open: Option<(Vec<u8>, usize)> = None;
    for word in words {
        let ends = word.last() == Some(&b')');
        open = match open.take() {
            None if word.first() == Some(&b'(') && !ends => Some((word.to_vec(), word.len())),
            None => {
                joined.push(word.to_vec());
                None
            }
            Some((mut selector, first)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if ends {
                    joined.push(selector);
                    None
                } else {
                    Some((selector, first))
                }
            }
        };
    }
    match open {
        None => Ok(joined),
        Some((mut selector, first)) => {
            selector.truncate(first);
            Err(RulesError::Unmatched(selector))
        }
    }
}

/// Whether a name or pattern has something in it that would part words: blanks, or a zero byte.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter()
        .any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b))
}

/// Whether a rule is this word, in any case.
pub(crate) fn is(rule: &[u8], word: &str) -> bool {
    rule.eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str]) -> Result<Vec<String>, String> {
        let joined = join_selectors(words.iter().map(|word| word.as_bytes()));
        let show = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
        joined
            .map(|all| all.into_iter().map(show).collect())
            .map_err(|error| show(error.text()))
    }

    #[test]
    fn selectors_are_put_together() {
        let expected = ["on", "(+get ~a)", "(+set)", "x)"].map(String::from);
        assert_eq!(
            joined(&["on", "(+get", "~a)", "(+set)", "x)"]),
            Ok(expected.to_vec())
        );
        assert_eq!(
            joined(&["(", "(+get", "~a"]),
            Err("Unmatched parenthesis in acl selector starting at '('.".into())
        );
        assert_eq!(joined(&["(", ")"]), Ok(vec!["( )".into()]));
    }
}
