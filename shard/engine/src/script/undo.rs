//! What a script has changed, to undo it where it has to be run again.
//!
//! A value is copied whole before its first change. Of one that is too large for that, only what
//! the command at hand changes is kept, where its row says what that is (column `changes`).

use hashbrown::HashSet;
use protocol::facts::Changes;
use storage::{Databases, Entry, List, rdb};

use crate::effects::Effects;
use crate::header::TransactionKey;
use crate::script::undo_step::{Change, Step};

/// What a value may be to be copied. A simulator has a lower limit, to meet it.
#[derive(Clone, Copy, Debug)]
pub struct CopyLimit {
    /// A value worth more frees than this is not copied.
    pub effort: usize,
    /// A value of more bytes than this is not copied.
    pub bytes: usize,
}

impl Default for CopyLimit {
    fn default() -> Self {
        Self {
            effort: 512,
            bytes: 64 * 1024,
        }
    }
}

/// Elements of a value by which its size is judged.
const SAMPLES: usize = 5;

/// Changes of one script that are kept.
const STEPS_MAX: usize = 10_000;

/// What is kept of values too large to be copied, together, in bytes that a copy may have.
const STEPS_BYTES_MAX: usize = 32;

/// What a script has changed, as it was.
#[derive(Default)]
pub struct Undo {
    /// In the order of the changes.
    steps: Vec<(TransactionKey, Step)>,
    /// Keys that are kept whole: no further change of them need be kept.
    whole: HashSet<TransactionKey, foldhash::fast::RandomState>,
    /// Streams that keep themselves what changes of their entries.
    streams: HashSet<TransactionKey, foldhash::fast::RandomState>,
    /// Kept of values that are too large to be copied.
    bytes: usize,
}

impl Undo {
    /// Keeps what a command may change of a key. False where that is too much.
    pub(crate) fn keep(
        &mut self,
        change: Change<'_>,
        databases: &mut Databases,
        limit: CopyLimit,
    ) -> bool {
        let Change { key, what, .. } = change;
        if self.whole.contains(key) {
            return true;
        }
        if self.streams.contains(key) {
            return what == Changes::Entries;
        }
        let entry = databases.get_mut(key.db).get_mut(&key.key);
        if self.steps.len() >= STEPS_MAX {
            return false;
        }
        let step = match entry {
            None => Step::whole(None, key),
            Some(entry) if !limit.forbids(entry) => Step::whole(Some(entry), key),
            Some(entry) => {
                if self.repeats_push(change, entry) {
                    return true;
                }
                let step = Step::before(change, entry);
                let Some(step) = step else {
                    return false;
                };
                self.bytes += step.bytes();
                if self.bytes > limit.bytes.saturating_mul(STEPS_BYTES_MAX) {
                    return false;
                }
                step
            }
        };
        match step {
            Step::Whole(_) => self.whole.insert(key.clone()),
            Step::Entries => self.streams.insert(key.clone()),
            _ => false,
        };
        self.steps.push((key.clone(), step));
        true
    }

    /// Whether the last step undoes a push at the same end, and so this one, too.
    fn repeats_push(&self, change: Change<'_>, entry: &Entry) -> bool {
        let Some((key, Step::Pushed { end, .. })) = self.steps.last() else {
            return false;
        };
        let is_list = entry.get::<List>().is_ok();
        is_list && key == change.key && Step::pushes_at(change) == Some(*end)
    }

    /// Undoes everything, the last change first.
    pub(crate) fn put_back(
        &mut self,
        databases: &mut Databases,
        effects: &mut Effects,
        limits: &rdb::Limits,
    ) {
        for (key, step) in self.steps.drain(..).rev() {
            let keyspace = databases.get_mut(key.db);
            match step {
                Step::Whole(before) => {
                    if let Some(after) = keyspace.take(&key.key) {
                        effects.discard(after);
                    }
                    if let Some(entry) = before {
                        keyspace.insert_new(entry);
                    }
                }
                step => match keyspace.get_mut(&key.key) {
                    Some(entry) => step.undo(entry, limits),
                    None => debug_assert!(false, "a large value was emptied"),
                },
            }
        }
        self.whole.clear();
        self.streams.clear();
        self.bytes = 0;
    }

    /// Forgets everything: it has happened. The values are still where they were changed.
    pub(crate) fn settle(&mut self, databases: &mut Databases) {
        for key in self.streams.drain() {
            if let Some(entry) = databases.get_mut(key.db).get_mut(&key.key) {
                Step::Entries.settle(entry);
            }
        }
        self.steps.clear();
        self.whole.clear();
        self.bytes = 0;
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl CopyLimit {
    fn forbids(self, entry: &Entry) -> bool {
        entry.effort_to_free() > self.effort || entry.memory_bytes_by(SAMPLES) > self.bytes
    }
}
