//! What a machine and its driver say to one another: the call to run, the steps in which it runs,
//! and the answers between them.

use std::sync::Arc;

use protocol::args::Args;
use protocol::reply::Version;

use crate::library::Library;
use crate::script::Script;

/// What is to run.
#[derive(Clone, Copy, Debug)]
pub enum Chunk<'a> {
    Script(&'a Arc<Script>),
    Function {
        library: &'a Arc<Library>,
        name: &'a [u8],
    },
}

/// One call of a script or function.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub chunk: Chunk<'a>,
    /// KEYS, or a function's first argument.
    pub keys: Args<'a>,
    /// ARGV, or a function's second argument.
    pub args: Args<'a>,
    /// The protocol that its client speaks: the shape of the reply.
    pub version: Version,
}

/// What a script wants before it goes on.
#[derive(Debug)]
pub enum Step {
    /// A command is to run: [`Machine::command`](crate::machine::Machine::command). Goes on with
    /// [`Answer::Reply`].
    Command,
    /// `redis.acl_check_cmd`: whether the command in `Machine::command` may run. Goes on with
    /// [`Answer::Allowed`].
    MayRun,
    /// `redis.log`: a line for the server's log. Goes on with [`Answer::Go`].
    Log(LogLevel, Vec<u8>),
    /// `redis.set_repl`: whether the log, and whether replicas, are to have what follows. Goes on
    /// with [`Answer::Go`].
    Propagate { log: bool, replicas: bool },
    /// It has run for `Settings::tick_instructions` more: a moment to look at the clock. Goes on
    /// with [`Answer::Go`] or [`Answer::Kill`].
    Tick,
    /// It is over: [`Machine::reply`](crate::machine::Machine::reply) is what it returns, or
    /// its error.
    Done(Ending),
}

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Returned,
    /// With an error. `counted` where it is that of a command which has been counted as failed
    /// already (Redis's ignore_error_stats_update).
    Failed {
        counted: bool,
    },
}

/// The level of a line for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// What a script gets before it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// Nothing: the begin, or what needs no answer.
    Go,
    /// A whole reply, in the shape of [`Machine::version`](crate::machine::Machine::version); an
    /// error is one, too.
    Reply(&'a [u8]),
    /// Whether the command may run; none where there is no such command.
    Allowed(Option<bool>),
    /// It ends here with this error, which no `pcall` keeps back: SCRIPT KILL.
    Kill(&'a [u8]),
    /// It ends here, whatever it does about it; what it returns does not matter.
    GiveUp,
}
