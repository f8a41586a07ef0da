//! What a shard keeps of scripts: those that it has used, and the machines that run them.

use std::rc::Rc;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use lua::libraries;
use lua::library::Library;
use lua::machine::{Machine, Settings};
use lua::script::Sha;
use lua::store::Known;

use crate::script::known::{ByText, Seen, Text};
use crate::script::outline::Outline;
use crate::script::run::ScriptRun;
use crate::script::undo::CopyLimit;

/// Scripts that a shard remembers, and libraries.
const REMEMBERED_MAX: usize = 2_000;

/// Machines that are kept for the next scripts. To make one takes a hundred microseconds.
const MACHINES_IDLE_MAX: usize = 128;

/// Runs that are kept without a machine.
const RUNS_IDLE_MAX: usize = 128;

/// Bytes that the values of one script may take.
const SCRIPT_BYTES_MAX: usize = 1 << 30;

/// Which scripts scout before they ask other shards for keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scouting {
    /// Those for which it pays, as their last runs tell.
    Learnt,
    /// All, or none: for a simulator that is to find the same each time.
    Always,
    Never,
}

/// Where scripts give way. A simulator has them do so more often.
#[derive(Clone, Copy, Debug)]
pub struct ScriptLimits {
    /// Instructions from one look at the clock to the next.
    pub tick_instructions: u32,
    /// What is copied before its first change, to be put back.
    pub copy: CopyLimit,
    pub scouting: Scouting,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            tick_instructions: 10_000,
            copy: CopyLimit::default(),
            scouting: Scouting::Learnt,
        }
    }
}

/// What a shard keeps of scripts.
#[derive(Default)]
pub struct Scripting {
    pub limits: ScriptLimits,
    by_sha: HashMap<Sha, Rc<Seen>, foldhash::fast::RandomState>,
    by_text: HashSet<ByText, foldhash::fast::RandomState>,
    /// Machines that nobody uses. The one that was used last is the next: its memory is at hand.
    /// They and the runs are boxed, as they move between this and transactions.
    #[allow(clippy::vec_box)]
    machines: Vec<Box<Machine>>,
    #[allow(clippy::vec_box)]
    runs: Vec<Box<ScriptRun>>,
    pub(crate) libraries: libraries::Seen,
    /// What the texts of libraries show, by their generation.
    outlines: HashMap<u64, Outline, foldhash::fast::RandomState>,
    /// Transactions of this coordinator whose scripts have run long and are to go on.
    pub(crate) paused: Vec<usize>,
}

impl Scripting {
    /// A script that this shard has used, by its text.
    pub(crate) fn by_text(&self, text: &[u8]) -> Option<Rc<Seen>> {
        let found = self.by_text.get(&Text(text))?;
        (!found.0.known.is_forgotten()).then(|| found.0.clone())
    }

    /// A script that this shard has used, by its SHA1.
    pub(crate) fn by_sha(&self, sha: &Sha) -> Option<Rc<Seen>> {
        let found = self.by_sha.get(sha)?;
        (!found.known.is_forgotten()).then(|| found.clone())
    }

    /// Remembers a script that is known.
    pub(crate) fn remember(&mut self, known: Arc<Known>) -> Rc<Seen> {
        if self.by_sha.len() >= REMEMBERED_MAX {
            self.by_sha.clear();
            self.by_text.clear();
        }
        let seen = Rc::new(Seen::new(known));
        self.by_text.replace(ByText(seen.clone()));
        self.by_sha.insert(seen.known.script.sha, seen.clone());
        seen
    }

    /// What the text of a library shows.
    pub(crate) fn outline_of(&mut self, library: &Library) -> Outline {
        if let Some(outline) = self.outlines.get(&library.generation) {
            return *outline;
        }
        if self.outlines.len() >= REMEMBERED_MAX {
            self.outlines.clear();
        }
        let outline = Outline::of_library(&library.code);
        self.outlines.insert(library.generation, outline);
        outline
    }

    /// A machine that nobody uses.
    pub(crate) fn take_machine(&mut self) -> Box<Machine> {
        let new = || Box::new(machine_with(&self.limits));
        self.machines.pop().unwrap_or_else(new)
    }

    /// Keeps a machine for the next script.
    pub(crate) fn keep_machine(&mut self, machine: Option<Box<Machine>>) {
        if self.machines.len() < MACHINES_IDLE_MAX {
            self.machines.extend(machine);
        }
    }

    /// A run that is over.
    pub(crate) fn take_run(&mut self) -> Option<Box<ScriptRun>> {
        self.runs.pop()
    }

    /// Keeps a run that is over, and its machine, for the next script.
    pub(crate) fn keep_run(&mut self, mut run: Box<ScriptRun>) {
        self.keep_machine(run.machine.take());
        if self.runs.len() < RUNS_IDLE_MAX {
            self.runs.push(run);
        }
    }

    /// Forgets all of them.
    pub(crate) fn forget(&mut self) {
        self.by_sha.clear();
        self.by_text.clear();
        self.machines.clear();
    }

    /// Bytes of the machines that nobody uses.
    pub(crate) fn machine_bytes(&self) -> MachineBytes {
        self.machines
            .iter()
            .map(|it| MachineBytes::of(it))
            .fold(MachineBytes::default(), MachineBytes::with)
    }
}

/// Bytes of Lua's machines.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct MachineBytes {
    /// All but the libraries.
    pub eval: usize,
    /// The libraries that they have loaded.
    pub functions: usize,
}

impl MachineBytes {
    pub(crate) fn of(machine: &Machine) -> Self {
        let functions = machine.library_bytes();
        Self {
            eval: machine.memory_bytes().saturating_sub(functions),
            functions,
        }
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            eval: self.eval + other.eval,
            functions: self.functions + other.functions,
        }
    }
}

/// A machine with nothing loaded.
pub fn new_machine() -> Machine {
    machine_with(&ScriptLimits::default())
}

fn machine_with(limits: &ScriptLimits) -> Machine {
    Machine::new(&Settings {
        memory_max: SCRIPT_BYTES_MAX,
        redis_version: config::REDIS_VERSION,
        tick_instructions: limits.tick_instructions,
    })
}
