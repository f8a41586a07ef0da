//! Where the servers that percore is compared with answer otherwise than percore, each by name.
//!
//! percore answers as Redis 7.4 does. A difference does not switch a comparison off: it says which two replies count as the
//! same, of which reference, in which family or conversation. One that is not met any more fails the test: then it goes.

use crate::grammar::Command;
use crate::reference::Reference;
use crate::reply::Value;

/// One known difference between replies to random commands.
#[derive(Debug)]
pub struct Difference {
    /// How it is called where it is reported.
    pub name: &'static str,
    /// What the reference does otherwise, and since when.
    pub reason: &'static str,
    /// The servers that show it.
    pub references: &'static [Reference],
    /// The families of commands whose tests meet it.
    pub families: &'static [&'static str],
    /// Whether the two hold different data from then on, or a transaction that the other does not: what follows is not compared.
    pub parts: bool,
    /// Whether it explains the replies of reference and tested server, in this order.
    explains: fn(&Command, &Value, &Value) -> bool,
}

/// All that are known.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "lag-of-what-is-there",
        reason: "since 7.4.2, which percore follows, what was cut off before it was read is no part of a group's lag, and ENTRIESREAD is at most what was ever added",
        references: &[Reference::Redis74],
        families: &["stream"],
        parts: false,
        explains: |command, old, new| command.verb() == "XINFO" && same_but_counts(old, new),
    },
    Difference {
        name: "shortest-coordinates",
        reason: "since Redis 8.0 a coordinate is written with as few digits as tell it from all others, before with 17 of them",
        references: &[Reference::Redis82],
        families: &["geo"],
        parts: false,
        explains: |command, theirs, ours| {
            command.verb().starts_with("GEO") && same_numbers(theirs, ours)
        },
    },
    Difference {
        name: "shorter-strings-embedded",
        reason: "since Redis 8.2 a string of 44 bytes is no longer embedded, since its key is",
        references: &[Reference::Redis82],
        families: &["list", "string"],
        parts: false,
        explains: |command, theirs, ours| {
            command.verb() == "OBJECT" && is(theirs, "raw") && is(ours, "embstr")
        },
    },
    Difference {
        name: "no-blank-before-a-score",
        reason: "since Redis 8.0 and Valkey 9.0 a limit of scores may not begin with a blank",
        references: &Reference::NEWER,
        families: &["sorted_set"],
        parts: true,
        explains: |command, theirs, _| {
            command.verb().starts_with('Z')
                && command.has(|word| word.starts_with(b" ") || word.starts_with(b"( "))
                && starts(theirs, "ERR min or max is not a float")
        },
    },
    Difference {
        name: "bits-from-a-start",
        reason: "since Valkey 8.1 BITCOUNT takes a start without an end",
        references: &[Reference::Valkey91],
        families: &["bitmap"],
        parts: false,
        explains: |command, _, ours| {
            command.verb() == "BITCOUNT"
                && command.arguments.len() == 3
                && starts(ours, "ERR syntax error")
        },
    },
    Difference {
        name: "places-in-a-polygon",
        reason: "since Valkey 9.0 GEOSEARCH takes BYPOLYGON, and says so",
        references: &[Reference::Valkey91],
        families: &["geo"],
        parts: false,
        explains: |_, theirs, ours| {
            starts(theirs, "ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON")
                && starts(ours, "ERR exactly one of BYRADIUS and BYBOX")
        },
    },
    Difference {
        name: "places-that-are-missing",
        reason: "since Valkey 9.0 the member that a search begins at is named where it is missing",
        references: &[Reference::Valkey91],
        families: &["geo"],
        parts: false,
        explains: |_, theirs, ours| {
            starts(theirs, "ERR member ")
                && starts(ours, "ERR could not decode requested zset member")
        },
    },
    Difference {
        name: "fields-that-expire-otherwise",
        reason: "Valkey 9.0 has times of fields of its own making: it refuses what Redis 7.4 refuses, in other words",
        references: &[Reference::Valkey91],
        families: &["hash"],
        parts: false,
        explains: |command, theirs, ours| {
            is_of_field_times(&command.verb()) && theirs.is_error() && ours.is_error()
        },
    },
    Difference {
        name: "no-listpack-of-times",
        reason: "Valkey keeps times of fields elsewhere: a hash that has any is no listpackex",
        references: &[Reference::Valkey91],
        families: &["hash"],
        parts: false,
        explains: |command, theirs, ours| {
            command.verb() == "OBJECT" && is(theirs, "listpack") && is(ours, "listpackex")
        },
    },
    Difference {
        name: "longer-strings-embedded",
        reason: "since Valkey 8.1 a string is embedded up to another length",
        references: &[Reference::Valkey91],
        families: &["hash", "string"],
        parts: false,
        explains: |command, theirs, ours| {
            command.verb() == "OBJECT" && is(theirs, "embstr") && is(ours, "raw")
        },
    },
    Difference {
        name: "getex-parses-first",
        reason: "since Valkey 8.1 GETEX looks at its time also where there is no key",
        references: &[Reference::Valkey91],
        families: &["string", "transaction"],
        parts: false,
        explains: |command, theirs, ours| {
            command.verb() == "GETEX" && theirs.is_error() && matches!(ours, Value::Null(_))
        },
    },
    Difference {
        name: "nesting-aborts",
        reason: "since Valkey 8.1 MULTI or WATCH within a transaction aborts it, and is refused in other words",
        references: &[Reference::Valkey91],
        families: &["transaction"],
        parts: true,
        explains: |command, theirs, _| {
            matches!(command.verb().as_str(), "MULTI" | "WATCH") && starts(theirs, "ERR Command '")
        },
    },
];

/// One known difference between replies in a conversation.
#[derive(Debug)]
pub struct Changed {
    /// What the reference does otherwise, and since when.
    pub reason: &'static str,
    /// The servers that show it.
    pub references: &'static [Reference],
    /// The name of the conversation.
    pub conversation: &'static str,
    /// The steps whose replies differ: each with the number of its line and as it is written there.
    pub steps: &'static [(usize, &'static str)],
}

/// All that are known.
pub const CHANGED: &[Changed] = &[
    Changed {
        reason: "since Valkey 8.1 MULTI or WATCH within a transaction aborts it, and is refused in other words",
        references: &[Reference::Valkey91],
        conversation: "watching",
        steps: &[(108, "1 MULTI"), (109, "1 WATCH q"), (111, "1 EXEC")],
    },
    Changed {
        reason: "since Valkey 8.1 READONLY and READWRITE are for servers without a cluster, too, and the slot of a key is told",
        references: &[Reference::Valkey91],
        conversation: "absent",
        steps: &[
            (2, "1 READONLY"),
            (4, "1 READWRITE"),
            (12, "1 CLUSTER KEYSLOT a"),
        ],
    },
    Changed {
        reason: "modules that are built in count as loaded: vector sets since Redis 8.0, Lua since Valkey 9.0",
        references: &Reference::NEWER,
        conversation: "absent",
        steps: &[(17, "1 MODULE LIST"), (45, "1 EXEC")],
    },
    Changed {
        reason: "Valkey does not call itself Redis",
        references: &[Reference::Valkey91],
        conversation: "absent",
        steps: &[(37, "1 ACL LOAD"), (38, "1 ACL SAVE")],
    },
];

/// The steps of a conversation whose replies differ: the numbers of their lines, and how they are written there.
pub fn steps(
    reference: Reference,
    conversation: &str,
) -> impl Iterator<Item = (usize, &'static str)> {
    let such = CHANGED.iter().filter(move |changed| {
        changed.references.contains(&reference) && changed.conversation == conversation
    });
    such.flat_map(|changed| changed.steps.iter().copied())
}

/// The difference that explains why the tested server replies otherwise, if there is one.
pub fn explanation(
    (reference, family): (Reference, &str),
    command: &Command,
    expected: &[u8],
    tested: &[u8],
) -> Option<&'static Difference> {
    let (expected, tested) = (Value::parse(expected), Value::parse(tested));
    of(reference, family).find(|difference| (difference.explains)(command, &expected, &tested))
}

/// The differences that the commands of a family meet.
pub fn of(reference: Reference, family: &str) -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(move |difference| {
        difference.references.contains(&reference) && difference.families.contains(&family)
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

/// The same trees but for numbers that are equal and shorter on the reference's side.
fn same_numbers(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.len() == ours.len()
                && std::iter::zip(theirs, ours).all(|(theirs, ours)| same_numbers(theirs, ours))
        }
        (Value::Bulk(shorter), Value::Bulk(longer))
        | (Value::Double(shorter), Value::Double(longer)) => {
            let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
            theirs == ours
                || (number(shorter).is_some()
                    && number(shorter) == number(longer)
                    && shorter.len() < longer.len())
        }
        _ => theirs == ours,
    }
}

fn is_of_field_times(verb: &str) -> bool {
    matches!(
        verb,
        "HEXPIRE"
            | "HPEXPIRE"
            | "HEXPIREAT"
            | "HPEXPIREAT"
            | "HTTL"
            | "HPTTL"
            | "HEXPIRETIME"
            | "HPEXPIRETIME"
            | "HPERSIST"
    )
}

fn is(value: &Value, text: &str) -> bool {
    matches!(value, Value::Bulk(bulk) if bulk == text.as_bytes())
}

fn starts(value: &Value, with: &str) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(with.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_shorter_and_not_other() {
        let pair =
            |text: &str| Value::Array(vec![Value::Bulk(b"m".to_vec()), Value::Bulk(text.into())]);
        let long = pair("0.10000000000000001");
        assert!(same_numbers(&pair("0.1"), &long));
        assert!(!same_numbers(&long, &pair("0.1")));
        assert!(!same_numbers(&pair("0.2"), &long));
    }

    #[test]
    fn names_are_unique() {
        for (index, difference) in DIFFERENCES.iter().enumerate() {
            let again = DIFFERENCES[index + 1..]
                .iter()
                .any(|other| other.name == difference.name);
            assert!(!again, "{} twice", difference.name);
        }
    }
}
