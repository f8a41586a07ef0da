//! What must hold of every row of the table.

use std::collections::HashSet;

use super::*;

#[test]
fn names_are_unique_and_lower_case() {
    let names: HashSet<&str> = COMMANDS.iter().map(|command| command.name).collect();
    assert_eq!(names.len(), COMMANDS.len());
    assert!(COMMANDS.len() > 300);
    assert!(names.iter().all(|name| !name.is_empty()
        && !name.contains(|byte: char| byte.is_ascii_uppercase() || byte == ' ')));
}

/// A new command that may put a list, a sorted set or an entry where a client waits for it must
/// not be forgotten.
#[test]
fn what_may_serve_a_waiter_comes_behind_writes() {
    // They change or take away what is there, or make what nobody waits for.
    const SERVE_NOBODY: [&str; 11] = [
        "del",
        "unlink",
        "expire",
        "expireat",
        "pexpire",
        "pexpireat",
        "persist",
        "lset",
        "xack",
        "xclaim",
        "xsetid",
    ];
    let kinds = [
        Categories::KEYSPACE,
        Categories::LIST,
        Categories::SORTEDSET,
        Categories::STREAM,
        Categories::GEO,
    ];
    let puts = KeyFlags::INSERT.with(KeyFlags::UPDATE).with(KeyFlags::OW);
    let mut forgotten = Vec::new();
    for command in &COMMANDS {
        let may_serve = command.flags.contains(Flags::WRITE)
            && kinds.iter().any(|kind| command.categories.contains(*kind))
            && command.keys.iter().any(|spec| spec.flags.intersects(puts));
        if may_serve
            && matches!(command.behind, Behind::Nothing | Behind::Much)
            && !SERVE_NOBODY.contains(&command.name)
        {
            forgotten.push(command.name);
        }
    }
    assert_eq!(forgotten, [""; 0]);
}

#[test]
fn every_name_is_found_in_any_case() {
    for id in CommandId::all() {
        let name = id.command().name;
        let mixed: String = name
            .char_indices()
            .map(|(i, c)| {
                if i % 2 == 0 {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect();
        for spelling in [name.to_owned(), name.to_ascii_uppercase(), mixed] {
            assert_eq!(lookup_full(spelling.as_bytes()), Some(id), "{spelling}");
            if !name.contains('|') {
                assert_eq!(lookup(spelling.as_bytes()), Some(id), "{spelling}");
            }
        }
        assert_eq!(CommandId::named(name), id);
        assert_eq!(CommandId::from_index(id.index()), Some(id));
    }
    assert_eq!(CommandId::from_index(COMMANDS.len()), None);
}

#[test]
fn other_names_are_not_found() {
    for id in CommandId::all() {
        let name = id.command().name.as_bytes();
        for at in 0..name.len() {
            let mut other = name.to_vec();
            // The bytes that a careless fold would take for a letter's other case.
            for change in [0x20, 0x80, 0x40, 1] {
                other[at] = name[at] ^ change;
                let found = lookup(&other).map(|id| id.command().name.as_bytes());
                assert!(
                    found.is_none_or(|found| found.eq_ignore_ascii_case(&other)),
                    "{}",
                    other.escape_ascii()
                );
            }
        }
    }
    let long = vec![b'g'; 1 << 20];
    for other in [
        &b""[..],
        b"g",
        b"gett",
        b"get ",
        b"get\0",
        b"client|id",
        b"georadiusbymembex_ro",
        b"georadiusbyxember_ro",
        &long,
    ] {
        assert_eq!(lookup(other), None);
    }
    for other in [
        &b"client|"[..],
        b"client|nope",
        b"|",
        b"get|x",
        b"client|id|x",
    ] {
        assert_eq!(lookup_full(other), None);
    }
}

#[test]
fn containers_have_their_subcommands() {
    let client = lookup(b"client").unwrap();
    assert!(client.is_container());
    let id = lookup_sub(client, b"ID").unwrap();
    assert_eq!((id.command().name, id.command().arity), ("client|id", 2));
    assert_eq!(id.command().container(), Some(("client", "id")));
    assert_eq!(lookup_sub(client, b"encoding"), None);
    assert_eq!(lookup_sub(lookup(b"get").unwrap(), b"id"), None);
    let subs: usize = CommandId::all().map(|id| id.subcommands().len()).sum();
    assert_eq!(
        subs,
        COMMANDS
            .iter()
            .filter(|command| command.container().is_some())
            .count()
    );
}

#[test]
fn rows_make_sense() {
    for command in &COMMANDS {
        let name = command.name;
        assert!(
            command.arity.unsigned_abs() > u16::from(command.container().is_some()),
            "{name}"
        );
        assert!(
            !(command.flags.contains(Flags::WRITE) && command.flags.contains(Flags::READONLY)),
            "{name}"
        );
        assert!(
            command.summary.ends_with('.') && command.summary.len() < 120,
            "{name}"
        );
        assert_eq!(
            command.flags.contains(Flags::FAST),
            command.categories.contains(Categories::FAST),
            "{name}"
        );
        assert_eq!(
            command.flags.contains(Flags::MOVABLEKEYS),
            command.shape == KeyShape::Other,
            "{name}"
        );
        for spec in command.keys {
            let kinds = [KeyFlags::RO, KeyFlags::RW, KeyFlags::OW, KeyFlags::RM];
            let channel = spec.flags.contains(KeyFlags::NOT_KEY);
            assert_eq!(
                kinds
                    .iter()
                    .filter(|kind| spec.flags.contains(**kind))
                    .count(),
                usize::from(!channel),
                "{name}"
            );
        }
    }
}

#[test]
fn shapes_of_well_known_commands() {
    let shape = |name: &str| CommandId::named(name).command().shape;
    assert_eq!(shape("ping"), KeyShape::None);
    assert_eq!(shape("get"), KeyShape::One);
    assert_eq!(shape("set"), KeyShape::One);
    assert_eq!(
        shape("mset"),
        KeyShape::Range {
            first: 1,
            last: -1,
            step: 2
        }
    );
    assert_eq!(
        shape("blpop"),
        KeyShape::Range {
            first: 1,
            last: -2,
            step: 1
        }
    );
    assert_eq!(
        shape("rename"),
        KeyShape::Range {
            first: 1,
            last: 2,
            step: 1
        }
    );
    assert_eq!(
        shape("object|encoding"),
        KeyShape::Range {
            first: 2,
            last: 2,
            step: 1
        }
    );
    assert_eq!(shape("zunion"), KeyShape::Other);
    assert_eq!(shape("spublish"), KeyShape::None);
    const GET: CommandId = CommandId::named("get");
    assert!(GET.command().accepts(2) && !GET.command().accepts(3));
    assert!(
        CommandId::named("mget").command().accepts(9)
            && !CommandId::named("mget").command().accepts(1)
    );
}
