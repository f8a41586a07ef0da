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
        name: "shortest-scores",
        reason: "since 7.2 a score is written with as few digits as tell it from all others (0.1), before with 17 (0.10000000000000001)",
        explains: |command, old, new| {
            let verb = command.verb();
            (verb.starts_with('Z') || verb.starts_with("BZ")) && same_scores(old, new)
        },
    },
    Difference {
        name: "lag-is-known",
        reason: "since 7.2 XINFO GROUPS knows a group's lag in more cases, as with an empty stream, where it was null before",
        explains: |command, old, new| command.verb() == "XINFO" && same_but_lag(old, new),
    },
    Difference {
        name: "lag-of-what-is-there",
        reason: "since 7.4.2 what was cut off before it was read is no part of a group's lag, and ENTRIESREAD is at most what was ever added",
        explains: |command, old, new| command.verb() == "XINFO" && same_but_counts(old, new),
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
        name: "least-number",
        reason: "since 7.2 LPOS refuses the RANK and LREM the count -2^63, which has no opposite, before it was searched for",
        explains: |command, old, new| match (command.verb().as_str(), old, new) {
            ("LPOS" | "LREM", _, new) => refuses_least(new),
            ("EXEC", Value::Array(old), Value::Array(new)) => {
                old.len() == new.len()
                    && std::iter::zip(old, new).all(|(old, new)| old == new || refuses_least(new))
            }
            _ => false,
        },
    },
    Difference {
        name: "id-below-the-deleted",
        reason: "since 7.2 XSETID refuses an id below that of an entry which was deleted",
        explains: |command, old, new| {
            command.verb() == "XSETID"
                && !old.is_error()
                && starts(new, "ERR The ID specified in XSETID is smaller")
        },
    },
    Difference {
        name: "fields-expire",
        reason: "since 7.4 the fields of a hash can have times to live",
        explains: |command, old, _| {
            command.verb().starts_with('H') && starts(old, "ERR unknown command 'H")
        },
    },
    Difference {
        name: "listpack-with-times",
        reason: "since 7.4 a small hash whose fields have times to live is a listpackex",
        explains: |command, old, new| encoding(command, old, new, "listpack", "listpackex"),
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
        explains: |command, old, _| {
            command.verb() == "XREAD"
                && command.arguments.iter().any(|word| word == b"+")
                && starts(old, "ERR Invalid stream ID")
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

/// Told by OBJECT ENCODING, also within a transaction.
fn encoding(command: &Command, old: &Value, new: &Value, was: &str, is: &str) -> bool {
    fn same(old: &Value, new: &Value, was: &str, is: &str) -> bool {
        match (old, new) {
            (Value::Array(old), Value::Array(new)) => {
                old.len() == new.len()
                    && std::iter::zip(old, new).all(|(old, new)| same(old, new, was, is))
            }
            (Value::Bulk(older), Value::Bulk(newer)) => {
                old == new || (older == was.as_bytes() && newer == is.as_bytes())
            }
            _ => old == new,
        }
    }
    matches!(command.verb().as_str(), "OBJECT" | "EXEC") && same(old, new, was, is)
}

/// The same trees but for scores that are equal as numbers, and not longer in the newer one.
fn same_scores(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len()
                && std::iter::zip(old, new).all(|(old, new)| same_scores(old, new))
        }
        (Value::Bulk(older), Value::Bulk(newer)) | (Value::Double(older), Value::Double(newer)) => {
            let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
            old == new
                || (number(older).is_some()
                    && number(older) == number(newer)
                    && newer.len() <= older.len())
        }
        _ => old == new,
    }
}

/// The same groups, but for `lag` where it was null.
fn same_but_lag(old: &Value, new: &Value) -> bool {
    let (Value::Array(old), Value::Array(new)) = (old, new) else {
        return false;
    };
    let without_lag = |group: &Value, unknown: bool| -> Option<Vec<Value>> {
        let mut fields = group.elements()?;
        let lag = fields
            .iter()
            .position(|field| matches!(field, Value::Bulk(name) if name == b"lag"))?
            + 1;
        let value = fields.get_mut(lag)?;
        (!unknown || matches!(value, Value::Null(_))).then(|| *value = Value::Null("lag"))?;
        Some(fields)
    };
    old.len() == new.len()
        && std::iter::zip(old, new).all(|(old, new)| {
            old == new || {
                let (old, new) = (without_lag(old, true), without_lag(new, false));
                old.is_some() && old == new
            }
        })
}

/// The same groups, but for numbers of entries read and left that the older one told, rightly or
/// not.
fn same_but_counts(old: &Value, new: &Value) -> bool {
    let same_group = |old: &Value, new: &Value| -> Option<bool> {
        let (old, new) = (old.elements()?, new.elements()?);
        let counted = |at: usize| {
            let name = at.checked_sub(1).and_then(|at| old.get(at));
            matches!(name, Some(Value::Bulk(name)) if name == b"entries-read" || name == b"lag")
        };
        let mut fields = std::iter::zip(&old, &new).enumerate();
        Some(
            old.len() == new.len()
                && fields.all(|(at, (old, new))| {
                    old == new || counted(at) && matches!(old, Value::Integer(_))
                }),
        )
    };
    let (Value::Array(old), Value::Array(new)) = (old, new) else {
        return false;
    };
    old.len() == new.len()
        && std::iter::zip(old, new).all(|(old, new)| same_group(old, new) == Some(true))
}

fn refuses_least(reply: &Value) -> bool {
    starts(reply, "ERR value is out of range, value must between")
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

    #[test]
    fn scores_may_be_shorter_and_not_other() {
        let score =
            |text: &str| Value::Array(vec![Value::Bulk(b"m".to_vec()), Value::Bulk(text.into())]);
        assert!(same_scores(&score("0.10000000000000001"), &score("0.1")));
        assert!(!same_scores(&score("0.1"), &score("0.10000000000000001")));
        assert!(!same_scores(&score("0.10000000000000001"), &score("0.2")));
    }
}
