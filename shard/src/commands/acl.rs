//! ACL: users, and what they may do. Who was refused is in [`crate::commands::acl_log`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use acl::file;
use acl::rule::has_blanks;
use acl::selector::{Denied, Selector};
use acl::user::DEFAULT;
use config::kind::plain;
use engine::error::Error;
use engine::restricted;
use protocol::args::Args;
use protocol::command::Categories;
use protocol::reply::Reply;
use protocol::table::{CommandId, lookup_sub};
use storage::item::parse_int;
use tracing::{info, warn};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

/// Bits of a generated password.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;

const NO_FILE: Error = Error::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a \
     CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
);
const NOT_SAVED: Error = Error::new(
    "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
);

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    The categories of commands, or the commands of one.",
    "DELUSER <username> [<username> ...]",
    "    Remove users, and close their connections.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Whether the user may run the command, which is not run.",
    "GENPASS [<bits>]",
    "    A random password, of 256 bits where none are given.",
    "GETUSER <username>",
    "    What there is to know of a user.",
    "LIST",
    "    The users with the rules that make them, as files have them.",
    "LOAD",
    "    Read the users from the ACL file: all of them, or none where one is wrong.",
    "LOG [<count> | RESET]",
    "    Who was refused, newest first.",
    "SAVE",
    "    Write the users to the ACL file.",
    "SETUSER <username> <rule> [<rule> ...]",
    "    Make a user, or change one: by all rules, or none where one is wrong.",
    "USERS",
    "    The names of all users.",
    "WHOAMI",
    "    The connection's user.",
    "HELP",
    "    Show this help.",
];

/// `ACL WHOAMI`: the name of the connection's user.
pub fn whoami(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.bulk(&client.session.identity.user().name);
    Ok(Answer::Now)
}

/// `ACL USERS`: the names of all users, in order.
pub fn users(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let users = &shard.connections.users;
    reply.array(users.iter().len());
    users.iter().for_each(|user| reply.bulk(&user.name));
    Ok(Answer::Now)
}

/// `ACL LIST`: a line for each user, as files have them.
pub fn list(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let users = &shard.connections.users;
    reply.array(users.iter().len());
    users.iter().for_each(|user| reply.bulk(&user.describe()));
    Ok(Answer::Now)
}

/// `ACL GETUSER name`: a map of flags, hashes of passwords, and permissions. Nil where there is no
/// such user.
pub fn getuser(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let Some(user) = shard.connections.users.get(&args[2]) else {
        reply.null();
        return Ok(Answer::Now);
    };
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    let passwords = user.password_digits();
    reply.array(passwords.len());
    passwords
        .iter()
        .for_each(|digits| reply.bulk(digits.as_bytes()));
    let (root, others) = user.selectors.split_first().expect("a user has a selector");
    write_selector(root, reply);
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3);
        write_selector(selector, reply);
    }
    Ok(Answer::Now)
}

fn write_selector(selector: &Selector, reply: &mut Reply<'_>) {
    reply.bulk(b"commands");
    reply.bulk(&selector.commands.describe());
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

/// `ACL SETUSER name rule...`: OK once every shard goes by the rules: all of them, or none where
/// one is wrong.
pub fn setuser(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let name = &args[2];
    if has_blanks(name) {
        return Err(Error::new(
            "ERR Usernames can't contain spaces or null characters",
        ));
    }
    let new_channels = shard.engine.config.new_channels();
    let rules = || args.iter().skip(3);
    let changed = shard
        .process
        .access
        .change(|users| users.change(name, rules(), new_channels));
    changed.map_err(|wrong| Error::from_bytes([b"ERR ", &wrong.text()[..]].concat()))?;
    let (user, by) = (name.escape_ascii().to_string(), client.session.id);
    info!(
        user,
        client = by,
        address = &*client.peer.address,
        "user changed (ACL SETUSER)"
    );
    Ok(shard.enforce_users(client, |reply| reply.ok()))
}

/// `ACL DELUSER name...`: how many there were, once their connections are closed on every shard.
pub fn deluser(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let names = || args.iter().skip(2);
    if names().any(|name| name == DEFAULT) {
        return Err(Error::new("ERR The 'default' user cannot be removed"));
    }
    let change = shard.process.access.change(|users| {
        let removed = names().filter(|name| users.remove(name)).count();
        Ok::<usize, std::convert::Infallible>(removed)
    });
    let Ok(removed) = change;
    let by = client.session.id;
    info!(
        removed,
        client = by,
        address = &*client.peer.address,
        "users removed (ACL DELUSER)"
    );
    let removed = i64::try_from(removed).unwrap_or(i64::MAX);
    Ok(shard.enforce_users(client, move |reply| reply.integer(removed)))
}

/// `ACL DRYRUN name command...`: OK where the user may run it, else why not.
pub fn dryrun(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let quoted = |before: &str, name: &[u8], behind: &str| {
        Error::from_bytes([before.as_bytes(), name, behind.as_bytes()].concat())
    };
    let users = &shard.connections.users;
    let user = users
        .get(&args[2])
        .ok_or_else(|| quoted("ERR User '", &args[2], "' not found"))?;
    let line = args.tail(3);
    let unknown = || quoted("ERR Command '", &line[0], "' not found");
    let renames = &shard.engine.config.renames;
    let id = renames.called(&line[0]).ok_or_else(unknown)?;
    let id = match line.get(1) {
        Some(sub) if id.is_container() => lookup_sub(id, sub).ok_or_else(unknown)?,
        _ => id,
    };
    let command = id.command();
    if !command.accepts(line.len()) {
        return Err(Error::arity(command.name));
    }
    let Err(denied) = user.check(id, &line) else {
        reply.ok();
        return Ok(Answer::Now);
    };
    let no_permissions = |what: &str, object: &[u8]| {
        let name = &user.name[..];
        let parts = [
            b"User ",
            name,
            b" has no permissions to access the '",
            object,
            b"' ",
        ];
        [&parts.concat()[..], what.as_bytes()].concat()
    };
    reply.bulk(&match denied {
        Denied::Command => restricted::text_of(denied, user, command),
        Denied::Key(at) => no_permissions("key", &line[at]),
        Denied::Channel(at) => no_permissions("channel", &line[at]),
    });
    Ok(Answer::Now)
}

/// `ACL LOAD`: OK once every shard goes by the users of the ACL file. An error says what is wrong
/// there, and nothing has changed.
pub fn load(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let config = shard.engine.config.clone();
    let file = config.aclfile.as_ref().ok_or(NO_FILE)?;
    let loaded = config.users_of_file(file).map_err(|wrong| {
        warn!(file, wrong, "the ACL file was not loaded");
        Error::from_text(format!("ERR {wrong}"))
    })?;
    let change = shard.process.access.change(|users| {
        *users = loaded;
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(()) = change;
    info!(file, client = client.session.id, "users loaded (ACL LOAD)");
    Ok(shard.enforce_users(client, |reply| reply.ok()))
}

/// `ACL SAVE`: OK once the ACL file is whole on disk.
pub fn save(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let config = &shard.engine.config;
    let file = config.aclfile.as_ref().ok_or(NO_FILE)?;
    let path = config.dir.join(file);
    let access = &shard.process.access;
    let saved = access.save(|users| replace(&path, &file::write(users)));
    if let Err(error) = saved {
        warn!(file, error = plain(&error), "the ACL file was not saved");
        return Err(NOT_SAVED);
    }
    info!(file, client = client.session.id, "users saved (ACL SAVE)");
    reply.ok();
    Ok(Answer::Now)
}

/// Writes a file beside the one at `path`, and puts it in its place: readers find the old one or
/// the new one whole.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".tmp-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut file = fs::File::create(&beside)?;
        // It may be for its owner's eyes only.
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent().filter(|it| !it.as_os_str().is_empty()) {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// `ACL CAT [category]`: the names of all categories, or of the commands in one.
pub fn cat(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() > 3 {
        return Err(Error::bad_subcommand("ACL", &args[1]));
    }
    let names = match args.get(2) {
        None => Categories::NAMES.iter().map(|(_, name)| *name).collect(),
        Some(category) => commands_of(category)?,
    };
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(Answer::Now)
}

/// The names of a category's commands, sub-commands among them.
fn commands_of(category: &[u8]) -> Result<Vec<&'static str>, Error> {
    let mut known = Categories::NAMES.iter();
    let known = known.find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(category));
    let Some((bit, _)) = known else {
        return Err(Error::from_bytes(
            [b"ERR Unknown category '", category, b"'"].concat(),
        ));
    };
    let commands = CommandId::all().map(CommandId::command);
    let of_category = commands.filter(|command| command.categories.contains(*bit));
    Ok(of_category.map(|command| command.name).collect())
}

/// `ACL GENPASS [bits]`: so many random bits in hexadecimal digits, rounded up to a whole one.
pub fn genpass(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() > 3 {
        return Err(Error::bad_subcommand("ACL", &args[1]));
    }
    let bits = match args.get(2) {
        None => PASSWORD_BITS,
        Some(text) => parse_int(text).ok_or(Error::NOT_AN_INTEGER)?,
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(Error::new(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = usize::try_from(bits).unwrap_or(0).div_ceil(4);
    reply.bulk(random_digits(digits)?.as_bytes());
    Ok(Answer::Now)
}

/// Hexadecimal digits from the system's own source, as they are meant for secrets.
fn random_digits(count: usize) -> Result<String, Error> {
    let mut bytes = vec![0; count.div_ceil(2)];
    rustix::io::retry_on_intr(|| {
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
    })
    .map_err(|_| Error::new("ERR the system has no random numbers"))?;
    let mut digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(count);
    Ok(digits)
}

/// `ACL HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}
