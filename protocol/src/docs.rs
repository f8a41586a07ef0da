//! What COMMAND answers about commands: `COMMAND INFO`, `COMMAND DOCS` and `COMMAND
//! GETKEYSANDFLAGS`.

use crate::args::Args;
use crate::command::{BeginSearch, Command, FindKeys, KeyFlags, KeyShape, KeySpec, LegacyRange};
use crate::keys::{KeysError, key_positions};
use crate::reply::Reply;
use crate::syntax::{self, Argument, Kind};
use crate::table::CommandId;

/// The properties of a command, as one element of the answer to `COMMAND INFO`, with its
/// sub-commands.
pub fn write_info(id: CommandId, reply: &mut Reply<'_>) {
    write_own_info(id.command(), reply);
    match id.subcommands().len() {
        // No container at all is an empty set; a container's sub-commands are an array.
        0 => reply.set(0),
        count => reply.array(count),
    }
    for sub in id.subcommands() {
        write_own_info(sub.command(), reply);
        reply.set(0);
    }
}

/// All properties but the last, which is the sub-commands.
fn write_own_info(command: &Command, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    reply.set(command.flags.len());
    command.flags.names().for_each(|name| reply.simple(name));
    let LegacyRange { first, last, step } = LegacyRange::of(command.keys);
    reply.integer(i64::from(first));
    reply.integer(i64::from(last));
    reply.integer(i64::from(step));
    reply.set(command.categories.len());
    command
        .categories
        .names()
        .for_each(|name| reply.simple(&format!("@{name}")));
    reply.set(command.tips.len());
    command
        .tips
        .iter()
        .for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command
        .keys
        .iter()
        .for_each(|spec| write_key_spec(spec, reply));
}

fn write_key_spec(spec: &KeySpec, reply: &mut Reply<'_>) {
    reply.map(3);
    reply.bulk(b"flags");
    write_key_flags(spec.flags, reply);
    reply.bulk(b"begin_search");
    match spec.begin {
        BeginSearch::Index(index) => write_search("index", &[("index", i64::from(index))], reply),
        BeginSearch::Keyword { word, from } => {
            write_search_type("keyword", reply);
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(i64::from(from));
        }
        BeginSearch::Unknown => write_search("unknown", &[], reply),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        FindKeys::Range { last, step, limit } => {
            let values = [
                ("lastkey", i64::from(last)),
                ("keystep", i64::from(step)),
                ("limit", i64::from(limit)),
            ];
            write_search("range", &values, reply);
        }
        FindKeys::KeyNum { count, first, step } => {
            let values = [
                ("keynumidx", i64::from(count)),
                ("firstkey", i64::from(first)),
                ("keystep", i64::from(step)),
            ];
            write_search("keynum", &values, reply);
        }
        FindKeys::Unknown => write_search("unknown", &[], reply),
    }
}

fn write_search(kind: &str, values: &[(&str, i64)], reply: &mut Reply<'_>) {
    write_search_type(kind, reply);
    reply.map(values.len());
    for (name, value) in values {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

/// The type of a search; the map of its values follows.
fn write_search_type(kind: &str, reply: &mut Reply<'_>) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
}

fn write_key_flags(flags: KeyFlags, reply: &mut Reply<'_>) {
    reply.set(flags.len());
    flags.names().for_each(|name| reply.simple(name));
}

/// A command's name and what it is for: one entry of the map that answers `COMMAND DOCS`.
pub fn write_docs(id: CommandId, reply: &mut Reply<'_>) {
    let command = id.command();
    let arguments = syntax::arguments(command.syntax);
    reply.bulk(command.name.as_bytes());
    let complexity = usize::from(!command.complexity.is_empty());
    reply.map(3 + complexity + usize::from(!arguments.is_empty()) + usize::from(id.is_container()));
    write_text("summary", command.summary, reply);
    write_text("since", command.since, reply);
    write_text("group", command.group.name(), reply);
    if complexity > 0 {
        write_text("complexity", command.complexity, reply);
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(&arguments, command.keys.len(), &mut 0, reply);
    }
    if id.is_container() {
        reply.bulk(b"subcommands");
        reply.map(id.subcommands().len());
        id.subcommands().for_each(|sub| write_docs(sub, reply));
    }
}

fn write_text(name: &str, text: &str, reply: &mut Reply<'_>) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

/// Arguments and those within them, which are as deep as a row of the table writes them.
/// `keys_seen` counts the key arguments before these: the first belongs to the first of the
/// command's `specs`, and so on.
fn write_arguments(
    arguments: &[Argument],
    specs: usize,
    keys_seen: &mut usize,
    reply: &mut Reply<'_>,
) {
    reply.array(arguments.len());
    for argument in arguments {
        let is_group = matches!(argument.kind, Kind::OneOf | Kind::Block);
        let is_key = argument.kind == Kind::Key && specs > 0;
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let flag_count = flags.iter().filter(|(set, _)| *set).count();
        // One that is no group shows its text, and a group its members: three in either case.
        reply.map(
            3 + usize::from(is_key)
                + usize::from(argument.token.is_some())
                + usize::from(flag_count > 0),
        );
        write_text("name", &argument.name, reply);
        write_text("type", argument.kind.name(), reply);
        if !is_group {
            write_text("display_text", &argument.name, reply);
        }
        if is_key {
            reply.bulk(b"key_spec_index");
            reply.integer(i64::try_from((*keys_seen).min(specs - 1)).unwrap_or(0));
            *keys_seen += 1;
        }
        if let Some(token) = argument.token {
            write_text("token", token, reply);
        }
        if flag_count > 0 {
            reply.bulk(b"flags");
            reply.set(flag_count);
            flags
                .iter()
                .filter(|(set, _)| *set)
                .for_each(|(_, name)| reply.simple(name));
        }
        if is_group {
            reply.bulk(b"arguments");
            write_arguments(&argument.arguments, specs, keys_seen, reply);
        }
    }
}

/// The answer to `COMMAND GETKEYSANDFLAGS`: each key of the command `args` with what is done to it.
/// Where it errs, or the command has no keys, what it has written is to be taken back.
pub fn write_keys_and_flags(
    command: &Command,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), KeysError> {
    let mark = reply.begin();
    let mut count = 0;
    key_positions(command, args, &mut |position, flags| {
        count += 1;
        reply.array(2);
        reply.bulk(args.get(position).unwrap_or_default());
        write_key_flags(flags, reply);
    })?;
    reply.finish_array(mark, count);
    Ok(())
}

/// The answer to `COMMAND GETKEYS`: each key of the command `args`. Where it errs, what it has
/// written is to be taken back.
pub fn write_keys(
    command: &Command,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), KeysError> {
    let mark = reply.begin();
    let mut count = 0;
    key_positions(command, args, &mut |position, _| {
        count += 1;
        reply.bulk(args.get(position).unwrap_or_default());
    })?;
    reply.finish_array(mark, count);
    Ok(())
}

/// True where COMMAND GETKEYS has something to ask: else Redis answers `ERR The command has no key
/// arguments`.
pub fn has_keys(command: &Command) -> bool {
    command.shape != KeyShape::None
}
