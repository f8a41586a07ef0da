//! What a shard keeps of scripts: those that it has used, and the machines that run them.

use std::rc::Rc;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use lua::libraries;
use lua::script::Sha;
use lua::store::Known;

use crate::script::known::{ByText, Seen, Text};
use crate::script::outline::Outline;
use crate::script::run::ScriptRun;
use crate::script::undo::CopyLimit;

/// Scripts that a shard remembers.
const REMEMBERED_MAX: usize = 2_000;

/// Machines that are kept for the next scripts. To make one takes a hundred microseconds, and each
/// script that waits for keys has one.
const IDLE_MAX: usize = 128;

/// Where scripts give way. A simulator has them do so more often.
#[derive(Clone, Copy, Debug)]
pub struct ScriptLimits {
    /// Instructions from one look at the clock to the next.
    pub tick_instructions: u32,
    /// What is copied before its first change, to be put back.
    pub copy: CopyLimit,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            tick_instructions: 10_000,
            copy: CopyLimit::default(),
        }
    }
}

/// What a shard keeps of scripts.
#[derive(Default)]
pub struct Scripting {
    pub limits: ScriptLimits,
    by_sha: HashMap<Sha, Rc<Seen>, foldhash::fast::RandomState>,
    by_text: HashSet<ByText, foldhash::fast::RandomState>,
    /// Boxed, as they move between this and transactions.
    #[allow(clippy::vec_box)]
    idle: Vec<Box<ScriptRun>>,
    pub(crate) libraries: libraries::Seen,
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
        let seen = Rc::new(Seen {
            outline: Outline::of(&known.script.source),
            known,
        });
        self.by_text.replace(ByText(seen.clone()));
        self.by_sha.insert(seen.known.script.sha, seen.clone());
        seen
    }

    /// A machine that nobody uses.
    pub(crate) fn take_idle(&mut self) -> Option<Box<ScriptRun>> {
        self.idle.pop()
    }

    /// Keeps a machine for the next script.
    pub(crate) fn keep_idle(&mut self, run: Box<ScriptRun>) {
        if self.idle.len() < IDLE_MAX {
            self.idle.push(run);
        }
    }

    /// Forgets all of them.
    pub(crate) fn forget(&mut self) {
        self.by_sha.clear();
        self.by_text.clear();
        self.idle.clear();
    }

    /// Bytes of the machines that nobody uses.
    pub fn memory_bytes(&self) -> usize {
        self.idle.iter().map(|run| run.machine.memory_bytes()).sum()
    }
}
