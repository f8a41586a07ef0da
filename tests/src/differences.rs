//! Where Redis 7.4, which percore is to be, differs from the older Redis that the tests find installed (7.0 on Debian 12).
//!
//! A difference does not switch a comparison off: it says what the newer reply is. With a reference of 7.4 none of them is met.

use crate::grammar::Command;
use crate::reply::Value;

/// One known difference.
#[derive(Debug)]
pub struct Difference {
    /// How it is called where it is reported.
    pub name: &'static str,
    /// Since when, and what changed.
    pub reason: &'static str,
    /// Whether it explains the replies of reference and tested server, in this order.
    explains: fn(&Command, &Value, &Value) -> bool,
}

/// All that are known.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "listpack-sets",
        reason: "since 7.2 a small set with members that are no integers is a listpack, before it was a hashtable",
        explains: |command, old, new| encoding(command, old, new, "hashtable", "listpack"),
    },
    Difference {
        name: "listpack-lists",
        reason: "since 7.2 a small list is a bare listpack, before it was a quicklist with one node",
        explains: |command, old, new| encoding(command, old, new, "quicklist", "listpack"),
    },
    Difference {
        name: "bits-of-nothing",
        reason: "since 7.2 BITCOUNT and BITPOS check their arguments also where there is no key, before they answered 0 or -1",
        explains: |command, old, new| {
            matches!(command.verb().as_str(), "BITCOUNT" | "BITPOS")
                && matches!(old, Value::Integer(0 | -1))
                && new.is_error()
        },
    },
    Difference {
        name: "bit-is-checked-late",
        reason: "since 7.2 BITPOS and BITCOUNT report an argument that is no integer before the key's wrong type",
        explains: |command, old, new| {
            matches!(command.verb().as_str(), "BITCOUNT" | "BITPOS")
                && old.is_error()
                && new.is_error()
        },
    },
    Difference {
        name: "rank-with-score",
        reason: "since 7.2 ZRANK and ZREVRANK take WITHSCORE, so that a fourth argument is a syntax error and no wrong arity",
        explains: |command, old, new| {
            matches!(command.verb().as_str(), "ZRANK" | "ZREVRANK")
                && command.arguments.len() > 3
                && starts(old, "ERR wrong number of arguments")
                && starts(new, "ERR syntax error")
        },
    },
    Difference {
        name: "scan-without-values",
        reason: "since 7.4 HSCAN takes NOVALUES",
        explains: |command, old, new| {
            command.verb() == "HSCAN"
                && command
                    .arguments
                    .iter()
                    .any(|word| word.eq_ignore_ascii_case(b"NOVALUES"))
                && old.is_error()
                && !new.is_error()
        },
    },
    Difference {
        name: "read-the-last",
        reason: "since 7.4 XREAD takes + for the last entry of a stream",
        explains: |command, old, new| {
            command.verb() == "XREAD"
                && command.arguments.iter().any(|word| word == b"+")
                && old.is_error()
                && !new.is_error()
        },
    },
];

/// The difference that explains why the tested server replies otherwise, if there is one.
pub fn explanation(
    command: &Command,
    reference: &[u8],
    tested: &[u8],
) -> Option<&'static Difference> {
    let (old, new) = (Value::parse(reference), Value::parse(tested));
    DIFFERENCES
        .iter()
        .find(|difference| (difference.explains)(command, &old, &new))
}

fn encoding(command: &Command, old: &Value, new: &Value, was: &str, is: &str) -> bool {
    command.verb() == "OBJECT"
        && *old == Value::Bulk(was.as_bytes().to_vec())
        && *new == Value::Bulk(is.as_bytes().to_vec())
}

fn starts(value: &Value, with: &str) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(with.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_reasons_given() {
        for (index, difference) in DIFFERENCES.iter().enumerate() {
            assert!(difference.reason.starts_with("since 7."));
            let again = DIFFERENCES[index + 1..]
                .iter()
                .any(|other| other.name == difference.name);
            assert!(!again, "{} twice", difference.name);
        }
    }
}
