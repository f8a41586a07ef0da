//! One virtual machine: it runs one script at a time, and stands still at each command.

use std::sync::Arc;

use protocol::args::Args;
use protocol::reply::Version;

use crate::library::Library;
use crate::script::Script;

/// What a machine is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes that its values may take; a script that wants more ends with an error.
    pub memory_max: usize,
    /// `redis.REDIS_VERSION`, as "7.4.1".
    pub redis_version: &'static str,
    /// Instructions from one [`Step::Tick`] to the next.
    pub tick_instructions: u32,
}

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
    /// A command is to run: [`Machine::command`]. Goes on with [`Answer::Reply`].
    Command,
    /// `redis.acl_check_cmd`: whether the command in [`Machine::command`] may run. Goes on with
    /// [`Answer::Allowed`].
    MayRun,
    /// `redis.log`: a line for the server's log. Goes on with [`Answer::Go`].
    Log(LogLevel, Vec<u8>),
    /// `redis.set_repl`: whether the log, and whether replicas, are to have what follows. Goes on
    /// with [`Answer::Go`].
    Propagate { log: bool, replicas: bool },
    /// It has run for [`Settings::tick_instructions`] more: a moment to look at the clock. Goes on
    /// with [`Answer::Go`] or [`Answer::Kill`].
    Tick,
    /// It is over: [`Machine::reply`] is what it returns, or its error.
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
    /// A whole reply, in the shape of [`Machine::version`]; an error is one, too.
    Reply(&'a [u8]),
    /// Whether the command may run; none where there is no such command.
    Allowed(Option<bool>),
    /// It ends here with this error, which no `pcall` keeps back: SCRIPT KILL.
    Kill(&'a [u8]),
    /// It ends here, whatever it does about it; what it returns does not matter.
    GiveUp,
}

/// One virtual machine.
pub struct Machine {}

impl Machine {
    /// A machine with nothing loaded.
    pub fn new(_settings: &Settings) -> Self {
        todo!()
    }

    /// Whether a script compiles. The error is a whole one, with its code.
    pub fn compile(&mut self, _script: &Arc<Script>) -> Result<(), Vec<u8>> {
        todo!()
    }

    /// Loads a library and says what it has registered. The error is a whole one, with its code.
    pub fn load_library(
        &mut self,
        _code: &[u8],
        _generation: u64,
    ) -> Result<Arc<Library>, Vec<u8>> {
        todo!()
    }

    /// Begins a call. [`Machine::resume`] with [`Answer::Go`] runs it up to its first step.
    ///
    /// # Panics
    /// Where another one is not over.
    pub fn begin(&mut self, _call: &Call<'_>) {
        todo!()
    }

    /// Goes on to the next step.
    pub fn resume(&mut self, _answer: Answer<'_>) -> Step {
        todo!()
    }

    /// The command that was called, verb first; at least that.
    pub fn command(&self) -> Args<'_> {
        todo!()
    }

    /// The protocol in which the script wants the replies of commands: `redis.setresp`.
    pub fn version(&self) -> Version {
        todo!()
    }

    /// The reply of what is over, in its client's protocol; an error is one, too.
    pub fn reply(&self) -> &[u8] {
        todo!()
    }

    /// Bytes that its values take.
    pub fn memory_bytes(&self) -> usize {
        todo!()
    }

    /// Forgets all scripts: SCRIPT FLUSH.
    pub fn forget_scripts(&mut self) {
        todo!()
    }
}
