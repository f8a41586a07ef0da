//! What keys held before a script's first write to them, to put them back where it has to be run
//! again.

use hashbrown::HashMap;
use storage::{Databases, Entry};

use crate::effects::Effects;
use crate::header::TransactionKey;

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

/// The entries that a script has changed, as they were. None where there was none.
#[derive(Default)]
pub struct Undo {
    before: HashMap<TransactionKey, Option<Entry>, foldhash::fast::RandomState>,
}

impl Undo {
    /// Keeps what a key holds before it is changed. False where that is too large to be copied.
    pub(crate) fn keep(
        &mut self,
        key: &TransactionKey,
        databases: &Databases,
        limit: CopyLimit,
    ) -> bool {
        if self.before.contains_key(key) {
            return true;
        }
        let entry = databases.get(key.db).get(&key.key);
        if entry.is_some_and(|entry| limit.forbids(entry)) {
            return false;
        }
        let copy = entry.map(|entry| {
            let mut copy = entry.duplicate(&key.key);
            copy.set_access(entry.access());
            copy
        });
        self.before.insert(key.clone(), copy);
        true
    }

    /// Puts everything back.
    pub(crate) fn put_back(&mut self, databases: &mut Databases, effects: &mut Effects) {
        for (key, before) in self.before.drain() {
            let keyspace = databases.get_mut(key.db);
            if let Some(after) = keyspace.take(&key.key) {
                effects.discard(after);
            }
            if let Some(entry) = before {
                keyspace.insert_new(entry);
            }
        }
    }

    /// Forgets everything: it has happened.
    pub(crate) fn clear(&mut self) {
        self.before.clear();
    }
}

impl CopyLimit {
    fn forbids(self, entry: &Entry) -> bool {
        entry.effort_to_free() > self.effort || entry.memory_bytes_by(SAMPLES) > self.bytes
    }
}
