//! The other half of the command table: what runs for each row.

use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use protocol::table::COMMANDS;

use crate::client::Client;
use crate::commands::*;
use crate::shard::Shard;

/// A command about the connection, the whole keyspace or the process: it runs on the connection's
/// own shard.
pub type SessionCommand =
    fn(&mut Shard, &mut Client, &Args<'_>, &mut Reply<'_>) -> Result<Answer, Error>;

/// When a session command answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The reply is written.
    Now,
    /// It comes through [`Shard::complete`]; the connection stalls until then.
    Later,
    /// There is none (CLIENT REPLY OFF).
    None,
}

/// What runs for a row of the table.
#[derive(Clone, Copy)]
pub enum Handler {
    /// A command on data, which the engine runs.
    Keyed,
    Session(SessionCommand),
    /// A command on the whole keyspace, at one instant.
    Whole,
    /// A command that goes from shard to shard; inside EXEC it runs on what all lend.
    Roaming(SessionCommand),
    /// A script, which the engine runs.
    Script,
    /// Only its sub-commands run.
    Container,
}

macro_rules! handler {
    (keyed $path:path) => {
        Handler::Keyed
    };
    (session $path:path) => {
        Handler::Session($path)
    };
    (whole $path:path) => {
        Handler::Whole
    };
    (roaming $path:path, $at_once:path) => {
        Handler::Roaming($path)
    };
    (script $path:path) => {
        Handler::Script
    };
    (container) => {
        Handler::Container
    };
}

macro_rules! handlers {
    ($($name:literal => $kind:ident $(($($path:path),+))? { $($row:tt)* })*) => {
        /// What runs for each command, by its place in the table.
        pub static HANDLERS: [Handler; COMMANDS.len()] = [$(handler!($kind $($($path),+)?)),*];
    };
}

protocol::for_each_command!(handlers);

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;
