//! A script that a shard has used, and what a command runs.

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
}

/// What a command runs.
#[derive(Clone)]
pub enum Program {
    Script(Rc<Seen>),
    Function {
        library: Arc<Library>,
        name: Box<[u8]>,
    },
}

impl Program {
    /// What its text shows. Of functions nothing is known.
    pub fn outline(&self) -> Outline {
        match self {
            Self::Script(seen) => seen.outline,
            Self::Function { .. } => Outline::of_function(),
        }
    }

    /// What its first line, or its registration, says.
    pub fn flags(&self) -> ScriptFlags {
        match self {
            Self::Script(seen) => seen.known.script.flags,
            Self::Function { library, name } => library
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
            Self::Function { library, name } => Chunk::Function { library, name },
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
