//! MODULE: there are none, and none can be loaded.

use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const HELP: &[&str] = &[
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    The modules that are loaded: none.",
    "LOAD <path> [<arg> ...]",
    "    Not allowed.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Not allowed.",
    "UNLOAD <name>",
    "    Not allowed.",
    "HELP",
    "    Show this help.",
];

/// `MODULE LIST`: an empty array.
pub fn list(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.array(0);
    Ok(Answer::Now)
}

/// `MODULE LOAD`, `LOADEX` and `UNLOAD`: refused with the words of a Redis that does not allow
/// them.
pub fn not_allowed(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Err(Error::new(
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, \
         otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

/// `MODULE HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}
