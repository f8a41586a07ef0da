//! COMMAND: what the server knows of its own commands. All of it stands in the command table; here
//! it is chosen and counted.

use engine::commands::options::is;
use engine::error::Error;
use protocol::args::Args;
use protocol::command::{Categories, Command, Flags};
use protocol::keys::KeysError;
use protocol::reply::Reply;
use protocol::table::{CommandId, lookup, lookup_full, lookup_sub};
use protocol::{docs, glob};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    The properties of all commands.",
    "COUNT",
    "    How many commands there are.",
    "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    The names of commands.",
    "INFO [<command-name> ...]",
    "    The properties of these commands, or of all.",
    "DOCS [<command-name> ...]",
    "    What these commands are for, or all.",
    "GETKEYS <command> [<arg> ...]",
    "    The keys of a whole command.",
    "GETKEYSANDFLAGS <command> [<arg> ...]",
    "    The keys of a whole command, and what is done to them.",
    "HELP",
    "    Show this help.",
];

/// The commands that are not sub-commands.
fn top_level() -> impl Iterator<Item = CommandId> {
    CommandId::all().filter(|id| !id.command().name.contains('|'))
}

fn write_all_info(reply: &mut Reply<'_>) {
    reply.array(top_level().count());
    top_level().for_each(|id| docs::write_info(id, reply));
}

/// `COMMAND`
pub fn command(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    // A word behind it names a sub-command, and one that does not exist was refused before.
    debug_assert_eq!(args.len(), 1);
    write_all_info(reply);
    Ok(Answer::Now)
}

/// `COMMAND COUNT`
pub fn count(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.integer(top_level().count() as i64);
    Ok(Answer::Now)
}

/// `COMMAND INFO [name ...]`: nil for each that there is not.
pub fn info(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() == 2 {
        write_all_info(reply);
        return Ok(Answer::Now);
    }
    reply.array(args.len() - 2);
    for name in args.iter().skip(2) {
        match lookup_full(name) {
            Some(id) => docs::write_info(id, reply),
            None => reply.null(),
        }
    }
    Ok(Answer::Now)
}

/// `COMMAND DOCS [name ...]`: a map of those that there are.
pub fn docs(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let wanted: Vec<CommandId> = match args.len() {
        2 => top_level().collect(),
        _ => args.iter().skip(2).filter_map(lookup_full).collect(),
    };
    reply.map(wanted.len());
    wanted
        .into_iter()
        .for_each(|id| docs::write_docs(id, reply));
    Ok(Answer::Now)
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]`: sub-commands too.
pub fn list(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let listed = listed(args)?;
    reply.array(listed.len());
    listed
        .into_iter()
        .for_each(|command| reply.bulk(command.name.as_bytes()));
    Ok(Answer::Now)
}

fn listed(args: &Args<'_>) -> Result<Vec<&'static Command>, Error> {
    let all = CommandId::all().map(CommandId::command);
    if args.len() == 2 {
        return Ok(all.collect());
    }
    if args.len() != 5 || !is(&args[2], "FILTERBY") {
        return Err(Error::SYNTAX);
    }
    let (kind, value) = (&args[3], &args[4]);
    if is(kind, "MODULE") {
        // There are no modules.
        Ok(Vec::new())
    } else if is(kind, "ACLCAT") {
        let category = Categories::named(value);
        Ok(all
            .filter(|command| category.is_some_and(|one| command.categories.contains(one)))
            .collect())
    } else if is(kind, "PATTERN") {
        Ok(all
            .filter(|command| glob::matches(value, command.name.as_bytes(), true))
            .collect())
    } else {
        Err(Error::SYNTAX)
    }
}

/// `COMMAND GETKEYS command [arg ...]`
pub fn getkeys(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_keys(args, reply, docs::write_keys)
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]`
pub fn getkeysandflags(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_keys(args, reply, docs::write_keys_and_flags)
}

type WriteKeys = fn(&Command, &Args<'_>, &mut Reply<'_>) -> Result<(), KeysError>;

fn write_keys(args: &Args<'_>, reply: &mut Reply<'_>, write: WriteKeys) -> Result<Answer, Error> {
    const INVALID: Error = Error::new("ERR Invalid arguments specified for command");
    let inner = args.tail(2);
    let command = named(&inner)
        .ok_or(Error::new("ERR Invalid command specified"))?
        .command();
    if !docs::has_keys(command) {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !command.accepts(inner.len()) {
        return Err(Error::new(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let start = reply.written();
    let written = write(command, &inner, reply);
    let none = written.is_err() || reply.written() == start + EMPTY_ARRAY_BYTES;
    if none {
        if !command.flags.contains(Flags::NO_MANDATORY_KEYS) {
            return Err(INVALID);
        }
        // Whatever is wrong with its keys, it has none.
        reply.truncate(start);
        reply.array(0);
    }
    Ok(Answer::Now)
}

/// `*0` and its line end.
const EMPTY_ARRAY_BYTES: usize = 4;

/// The command or sub-command that a whole command calls.
fn named(args: &Args<'_>) -> Option<CommandId> {
    let id = lookup(args.get(0)?)?;
    match args.get(1) {
        Some(sub) if id.is_container() => lookup_sub(id, sub),
        _ => Some(id),
    }
}

/// `COMMAND HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;
    use protocol::reply::Version;

    use super::*;

    fn args(words: &str) -> OwnedArgs {
        OwnedArgs::from_parts(words.split(' ').map(str::as_bytes))
    }

    #[test]
    fn keys_of_a_whole_command() {
        for (words, expected) in [
            (
                "command getkeys mset a 1 b 2",
                "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            ),
            (
                "command getkeys ping x",
                "ERR The command has no key arguments",
            ),
            (
                "command getkeys nonsense x",
                "ERR Invalid command specified",
            ),
            (
                "command getkeys get",
                "ERR Invalid number of arguments specified for command",
            ),
            (
                "command getkeys xread count 1 x",
                "ERR Invalid arguments specified for command",
            ),
        ] {
            let mut out = Vec::new();
            let mut reply = Reply::new(&mut out, Version::Resp2);
            let answer = write_keys(&args(words).borrow(), &mut reply, docs::write_keys);
            let text = match answer {
                Ok(_) => String::from_utf8_lossy(&out).into_owned(),
                Err(error) => error.text().into_owned(),
            };
            assert_eq!(text, expected, "{words}");
        }
    }

    #[test]
    fn lists_are_filtered() {
        let names = |words: &str| {
            listed(&args(words).borrow())
                .map(|found| found.iter().map(|command| command.name).collect::<Vec<_>>())
        };
        assert_eq!(
            names("command list filterby pattern GETR*"),
            Ok(vec!["getrange"])
        );
        assert_eq!(names("command list filterby module x"), Ok(Vec::new()));
        assert_eq!(names("command list filterby aclcat odd"), Ok(Vec::new()));
        assert!(
            names("command list filterby aclcat BITMAP").is_ok_and(|all| all.contains(&"setbit"))
        );
        assert!(names("command list filterby color red").is_err());
        assert!(names("command list filterby").is_err());
    }
}
