//! The scripts that a process knows, for all its shards.
//!
//! Each shard keeps what it has used, so that a call of a known script asks nobody. A script that
//! is forgotten is marked, which is all that a shard has to look at.
//!
//! What EVAL has brought is forgotten when there are more than [`BY_EVAL_MAX`] of those, the one
//! whose last use is longest ago first; what SCRIPT LOAD has brought stays (as Redis since 7.4).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::libraries::LibraryStore;
use crate::script::{Script, Sha};

/// Scripts that EVAL alone has brought which are kept.
pub const BY_EVAL_MAX: usize = 500;

/// Bytes that a script takes besides its text, about.
const SCRIPT_OVERHEAD_BYTES: usize = 200;

/// A script that is known, or was.
#[derive(Debug)]
pub struct Known {
    pub script: Arc<Script>,
    /// SCRIPT LOAD has brought it: it stays.
    stays: AtomicBool,
    is_forgotten: AtomicBool,
    /// The number of its last use.
    used: AtomicU64,
}

impl Known {
    /// Whether it is to be unknown.
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Acquire)
    }
}

#[derive(Default, Debug)]
struct Scripts {
    by_sha: HashMap<Sha, Arc<Known>>,
    /// How many of them may be forgotten.
    by_eval: usize,
    evicted: u64,
}

/// The scripts of a process.
#[derive(Default, Debug)]
pub struct ScriptStore {
    scripts: Mutex<Scripts>,
    uses: AtomicU64,
    /// The libraries of functions.
    pub libraries: LibraryStore,
}

/// What INFO tells of scripts.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScriptCounts {
    pub scripts: usize,
    pub bytes: usize,
    /// Those that were forgotten for others.
    pub evicted: u64,
}

impl ScriptStore {
    fn lock(&self) -> MutexGuard<'_, Scripts> {
        // Nothing is left half way where somebody panics.
        self.scripts.lock().unwrap_or_else(|it| it.into_inner())
    }

    /// The script with this SHA1, if it is known.
    pub fn find(&self, sha: &Sha) -> Option<Arc<Known>> {
        self.lock().by_sha.get(sha).cloned()
    }

    /// Makes a script known, which `stays` where SCRIPT LOAD brings it.
    pub fn add(&self, script: Arc<Script>, stays: bool) -> Arc<Known> {
        let mut scripts = self.lock();
        if let Some(known) = scripts.by_sha.get(&script.sha).cloned() {
            if stays && !known.stays.swap(true, Ordering::Relaxed) {
                scripts.by_eval -= 1;
            }
            return known;
        }
        if !stays {
            scripts.by_eval += 1;
            if scripts.by_eval > BY_EVAL_MAX {
                scripts.forget_oldest();
            }
        }
        let known = Arc::new(Known {
            stays: AtomicBool::new(stays),
            is_forgotten: AtomicBool::new(false),
            used: AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed) + 1),
            script,
        });
        scripts.by_sha.insert(known.script.sha, known.clone());
        known
    }

    /// Notes a use. Where it is the last that was noted, as most often, this only looks.
    #[inline]
    pub fn note_use(&self, known: &Known) {
        let last = self.uses.load(Ordering::Relaxed);
        if known.used.load(Ordering::Relaxed) != last && !known.stays.load(Ordering::Relaxed) {
            let number = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
            known.used.store(number, Ordering::Relaxed);
        }
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let forgotten = std::mem::take(&mut *self.lock());
        for known in forgotten.by_sha.values() {
            known.is_forgotten.store(true, Ordering::Release);
        }
    }

    /// How many there are.
    pub fn counts(&self) -> ScriptCounts {
        let scripts = self.lock();
        let bytes = |known: &Arc<Known>| known.script.source.len() + SCRIPT_OVERHEAD_BYTES;
        ScriptCounts {
            scripts: scripts.by_sha.len(),
            bytes: scripts.by_sha.values().map(bytes).sum(),
            evicted: scripts.evicted,
        }
    }
}

impl Scripts {
    fn forget_oldest(&mut self) {
        let may_go = |known: &&Arc<Known>| !known.stays.load(Ordering::Relaxed);
        let last_use = |known: &&Arc<Known>| known.used.load(Ordering::Relaxed);
        let oldest = self.by_sha.values().filter(may_go).min_by_key(last_use);
        if let Some(sha) = oldest.map(|known| known.script.sha)
            && let Some(known) = self.by_sha.remove(&sha)
        {
            known.is_forgotten.store(true, Ordering::Release);
            self.by_eval -= 1;
            self.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::ScriptFlags;

    fn script(number: usize) -> Arc<Script> {
        let mut sha = [b'0'; 40];
        sha[..4].copy_from_slice(format!("{number:04}").as_bytes());
        Arc::new(Script {
            sha,
            source: Box::default(),
            flags: ScriptFlags::default(),
        })
    }

    #[test]
    fn what_was_not_used_for_longest_goes_and_what_was_loaded_stays() {
        let store = ScriptStore::default();
        let loaded = store.add(script(0), true);
        let first = store.add(script(1), false);
        let second = store.add(script(2), false);
        for number in 3..=BY_EVAL_MAX {
            store.add(script(number), false);
        }
        store.note_use(&first);
        assert_eq!(store.counts().scripts, BY_EVAL_MAX + 1);
        store.add(script(9_999), false);
        assert!(second.is_forgotten() && !first.is_forgotten() && !loaded.is_forgotten());
        assert!(store.find(&second.script.sha).is_none());
        store.flush();
        assert!(first.is_forgotten() && loaded.is_forgotten());
        assert_eq!(store.counts().scripts, 0);
    }

    #[test]
    fn a_script_that_is_loaded_later_stays() {
        let store = ScriptStore::default();
        let known = store.add(script(0), false);
        store.add(script(0), true);
        for number in 1..=BY_EVAL_MAX + 1 {
            store.add(script(number), false);
        }
        assert!(!known.is_forgotten());
        assert_eq!(store.counts().evicted, 1);
    }
}
