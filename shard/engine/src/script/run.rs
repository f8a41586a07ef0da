//! One run of a script: the machine, and what is known of what it did so far.

use std::time::Instant;

use hashbrown::{Equivalent, HashSet};
use lua::machine::{Ending, Machine};
use lua::script::ScriptFlags;
use protocol::table::CommandId;
use smallvec::SmallVec;
use storage::{DbIndex, UnixMillis};

use crate::header::{Header, TransactionKey};
use crate::message::Parked;
use crate::script::known::Program;
use crate::script::told::Told;
use crate::script::undo::Undo;
use crate::transaction::workspace::Workspace;

/// Which keys a script finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Those of its shard that nobody has locked, where they live.
    Here,
    /// Those that its transaction has locked.
    Locked,
    /// All there are.
    Everything,
}

/// How it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// From where it stands.
    Go,
    /// The command that it has called is tried again: its keys are here now.
    Again,
    /// With the reply in `encoded`.
    Reply,
    /// The answer to whether a command may run.
    Allowed(Option<bool>),
    /// It is killed.
    Kill,
}

/// What a script wants, or has come to.
#[derive(Debug)]
pub(crate) enum Progress {
    Done,
    /// These keys.
    Keys(Vec<TransactionKey>),
    /// All keys.
    Everything,
    /// A command of the outside.
    Outside(CommandId),
    /// A moment for others.
    Pause,
    /// It has scouted: what it holds and wants is known, and what it did is nothing.
    Scouted,
}

/// An error that has been counted.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) command: Option<CommandId>,
    pub(crate) was_refused: bool,
    pub(crate) code: Box<str>,
}

/// One run. Where it is over, the machine is kept for the next.
pub struct ScriptRun {
    /// From its first step on, until its end or until it is undone: who waits for locks before that
    /// has none.
    pub(crate) machine: Option<Box<Machine>>,
    pub(crate) state: RunState,
}

/// What is known of a run, besides what its machine knows.
pub struct RunState {
    pub(crate) workspace: Workspace,
    /// Where it came from, once it has outlasted the call.
    pub(crate) parked: Option<Parked>,
    pub(crate) program: Option<Program>,
    /// That of EVAL itself.
    pub(crate) header: Header,
    pub(crate) flags: ScriptFlags,
    pub(crate) reads_only: bool,
    /// Monitors are shown what it calls.
    pub(crate) is_watched: bool,
    /// Memory was short when it began.
    pub(crate) is_short_of_memory: bool,
    /// What it has chosen with SELECT.
    pub(crate) db: DbIndex,
    /// The instant at which all of it happens.
    pub(crate) now: UnixMillis,
    /// That instant in microseconds, once it has asked.
    pub(crate) now_micros: Option<u64>,
    pub(crate) began: Instant,
    /// When it last went on.
    pub(crate) resumed: Instant,
    pub(crate) reach: Reach,
    /// The keys that it has named or declared and that it holds: of a plain script in place none.
    pub(crate) held: HashSet<TransactionKey, foldhash::fast::RandomState>,
    /// It has this one shard to itself, which has all keys: nothing can be refused.
    pub(crate) is_alone: bool,
    /// It is to scout before it asks other shards for keys, if it has to ask.
    pub(crate) is_to_scout: bool,
    /// It goes on without keys that it has not, as if they did not exist, to learn which it names.
    pub(crate) scouts: bool,
    /// It has scouted, and runs again since.
    pub(crate) has_scouted: bool,
    /// How often it has asked other shards for keys in this run.
    pub(crate) asks: u32,
    /// What it has changed, where it may have to be undone.
    pub(crate) undo: Option<Undo>,
    /// It has called a command that writes.
    pub(crate) has_written: bool,
    /// Changes that it has made.
    pub(crate) dirtied: u64,
    /// Look-ups of keys that it has made, those that found one and those that did not.
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Commands that it has called, where it may have to be undone.
    pub(crate) called: SmallVec<[CommandId; 8]>,
    /// Those of them that failed, or were refused, with the codes of their errors.
    pub(crate) failures: Vec<Failure>,
    /// What monitors, the slow log and the server's log are to be told of these.
    pub(crate) told: Vec<Told>,
    pub(crate) next: Next,
    /// How it ended; none before.
    pub(crate) ending: Option<Ending>,
    /// The reply to its last command.
    pub(crate) encoded: Vec<u8>,
    /// How often it had to be run again.
    pub(crate) attempts: u32,
    /// It has run for longer than `busy-reply-threshold`.
    pub(crate) is_busy: bool,
    /// Its log, and replicas, have what it does.
    pub(crate) propagates: bool,
}

/// A key as the set of held keys is asked for it.
#[derive(Hash)]
pub(crate) struct KeyName<'a> {
    pub(crate) db: DbIndex,
    pub(crate) key: &'a [u8],
}

impl Equivalent<TransactionKey> for KeyName<'_> {
    fn equivalent(&self, other: &TransactionKey) -> bool {
        self.db == other.db && *self.key == *other.key
    }
}

impl ScriptRun {
    /// Its machine.
    ///
    /// # Panics
    /// Where it does not run.
    pub(crate) fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().expect("a script that runs")
    }
}

impl RunState {
    /// Remembers that the command whose reply is `encoded` has been counted as failed.
    pub(crate) fn note_failure(&mut self, command: Option<CommandId>, was_refused: bool) {
        let text = String::from_utf8_lossy(self.encoded.get(1..).unwrap_or_default());
        let code = text.split([' ', '\r']).next().unwrap_or_default();
        self.failures.push(Failure {
            command,
            was_refused,
            code: code.into(),
        });
    }

    /// Whether it may scout: what it does can be undone, and it has not been run before.
    pub(crate) fn may_scout(&self) -> bool {
        self.scouts || (self.undo.is_some() && self.attempts == 0 && self.is_to_scout)
    }

    /// Whether it is a function.
    pub(crate) fn is_function(&self) -> bool {
        matches!(self.program, Some(Program::Function { .. }))
    }
}
