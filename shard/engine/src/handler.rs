//! The other half of the command table: what runs for each row, where that is a command on data.

use protocol::args::Args;
use protocol::reply::Reply;
use protocol::table::COMMANDS;

use crate::commands::*;
use crate::context::Context;
use crate::error::Outcome;
use crate::script::kind::{EVAL, EVAL_RO, EVALSHA, EVALSHA_RO, FCALL, FCALL_RO, ScriptKind};
use crate::transaction::global::Global;

/// A command on data: it runs where its keys are.
pub type DataCommand = fn(&mut Context<'_>, &Args<'_>, &mut Reply<'_>) -> Outcome;

/// A command on the whole keyspace: it runs on what all shards lend.
pub type WholeCommand = fn(&mut Global<'_>, &Args<'_>, &mut Reply<'_>) -> Outcome;

/// What runs for a row of the table.
#[derive(Clone, Copy)]
pub enum Handler {
    Keyed(DataCommand),
    /// A command on the whole keyspace, at one instant.
    Whole(WholeCommand),
    /// A script, which runs other commands.
    Script(ScriptKind),
    /// A command of the outside: about its connection or the process.
    Outside,
}

macro_rules! handler {
    (keyed $path:path) => {
        Handler::Keyed($path)
    };
    (whole $path:path) => {
        Handler::Whole($path)
    };
    (script $path:path) => {
        Handler::Script($path)
    };
    (roaming $path:path, $at_once:path) => {
        Handler::Whole($at_once)
    };
    (session $path:path) => {
        Handler::Outside
    };
    (outside $path:path) => {
        Handler::Outside
    };
    (container) => {
        Handler::Outside
    };
}

macro_rules! handlers {
    ($($name:literal => $kind:ident $(($($path:path),+))? { $($row:tt)* })*) => {
        /// What runs for each command, by its place in the table.
        pub static HANDLERS: [Handler; COMMANDS.len()] = [$(handler!($kind $($($path),+)?)),*];
    };
}

protocol::for_each_command!(handlers);
