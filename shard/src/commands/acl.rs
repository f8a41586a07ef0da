//! ACL, as far as there is one user, `default`, who may do everything: what asks about users works,
//! what changes them does not exist.

use engine::error::Error;
use protocol::args::Args;
use protocol::command::Categories;
use protocol::reply::Reply;
use protocol::table::CommandId;
use storage::item::parse_int;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const USER: &[u8] = b"default";

/// Bits of a generated password.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    The categories of commands, or the commands of one.",
    "GENPASS [<bits>]",
    "    A random password, of 256 bits where none are given.",
    "LOAD",
    "    Read the users from a file: there is none.",
    "SAVE",
    "    Write the users to a file: there is none.",
    "USERS",
    "    The names of all users: default.",
    "WHOAMI",
    "    The connection's user: default.",
    "HELP",
    "    Show this help.",
];

/// `ACL WHOAMI`: `default`.
pub fn whoami(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.bulk(USER);
    Ok(Answer::Now)
}

/// `ACL USERS`: `default` alone.
pub fn users(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.array(1);
    reply.bulk(USER);
    Ok(Answer::Now)
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

/// `ACL LOAD`, `ACL SAVE`: there is no file.
pub fn no_file(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Err(Error::new(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a \
         CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
    ))
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
