//! A script that a shard has used, and what a command runs.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::Equivalent;
use lua::library::Library;
use lua::machine::Chunk;
use lua::script::ScriptFlags;
use lua::store::Known;

use crate::script::outline::Outline;

/// A script, and what its text shows.
pub struct Seen {
    pub known: Arc<Known>,
    pub outline: Outline,
    asks: Asks,
}

impl Seen {
    pub(crate) fn new(known: Arc<Known>) -> Self {
        Self {
            outline: Outline::of(&known.script.source),
            known,
            asks: Asks::default(),
        }
    }
}

/// How often runs of a script have asked other shards for keys while they ran.
#[derive(Default)]
pub(crate) struct Asks {
    /// The last that had scouted before.
    scouted: Cell<Option<u32>>,
    /// The last that had not.
    unscouted: Cell<Option<u32>>,
    runs: Cell<u32>,
}

/// Asking takes a round trip, during which keys are locked. Scouting takes one, too, and the script
/// runs twice.
const COST_OF_SCOUTING: u32 = 2;

/// One of so many runs does what does not seem to be best, to see whether it is.
const RUNS_TO_TRIAL: u32 = 128;

impl Asks {
    /// Whether a run is to scout before it asks.
    pub(crate) fn advise_scouting(&self) -> bool {
        let runs = self.runs.get().wrapping_add(1);
        self.runs.set(runs);
        let pays = match (self.scouted.get(), self.unscouted.get()) {
            (None, _) => true,
            (_, None) => false,
            (Some(scouted), Some(unscouted)) => scouted + COST_OF_SCOUTING < unscouted,
        };
        pays != runs.is_multiple_of(RUNS_TO_TRIAL)
    }

    /// Remembers a run that is over.
    pub(crate) fn note(&self, had_scouted: bool, asks: u32) {
        let of_kind = if had_scouted {
            &self.scouted
        } else {
            &self.unscouted
        };
        of_kind.set(Some(asks));
    }
}

/// What a command runs.
#[derive(Clone)]
pub enum Program {
    Script(Rc<Seen>),
    Function {
        library: Arc<Library>,
        name: Box<[u8]>,
        outline: Outline,
    },
}

impl Program {
    /// What its text shows; of a function that of its library.
    pub fn outline(&self) -> Outline {
        match self {
            Self::Script(seen) => seen.outline,
            Self::Function { outline, .. } => *outline,
        }
    }

    /// How often its runs have asked other shards for keys. Of functions nothing is remembered.
    pub(crate) fn asks(&self) -> Option<&Asks> {
        match self {
            Self::Script(seen) => Some(&seen.asks),
            Self::Function { .. } => None,
        }
    }

    /// What its first line, or its registration, says.
    pub fn flags(&self) -> ScriptFlags {
        match self {
            Self::Script(seen) => seen.known.script.flags,
            Self::Function { library, name, .. } => library
                .functions
                .iter()
                .find(|function| *function.name == **name)
                .map(|function| function.flags)
                .unwrap_or_default(),
        }
    }

    /// As the machine wants it.
    pub(crate) fn chunk(&self) -> Chunk<'_> {
        match self {
            Self::Script(seen) => Chunk::Script(&seen.known.script),
            Self::Function { library, name, .. } => Chunk::Function { library, name },
        }
    }
}

/// A script by its text.
pub(crate) struct ByText(pub(crate) Rc<Seen>);

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.known.script.source.hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.known.script.source == other.0.known.script.source
    }
}

impl Eq for ByText {}

#[derive(Hash)]
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl Equivalent<ByText> for Text<'_> {
    fn equivalent(&self, key: &ByText) -> bool {
        *self.0 == *key.0.known.script.source
    }
}
