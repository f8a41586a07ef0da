//! Visits of threads that are no shards: the rings have one sender each, which are shards, so such
//! a thread leaves its visit here and rings shard 0, which looks once a turn and may send it on.
//!
//! Rare by design (a scrape of the metrics): while nobody has left anything, a turn of shard 0 pays
//! one relaxed load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::process::Process;
use crate::shard::Shard;

/// Visits that wait at a time; more are refused, as shard 0 is not answering.
const WAITING_MAX: usize = 16;

/// Something to be done on shard 0.
pub type Visit = Box<dyn FnOnce(&mut Shard) + Send>;

/// The visits that wait for shard 0.
#[derive(Default)]
pub struct Visitors {
    /// Set after the visit is there, cleared before they are taken: so none is left behind.
    any: AtomicBool,
    waiting: Mutex<Vec<Visit>>,
}

impl Visitors {
    /// False where too many wait already.
    fn leave(&self, visit: Visit) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push(visit);
        self.any.store(true, Ordering::Release);
        true
    }

    fn take(&self) -> Vec<Visit> {
        if !self.any.load(Ordering::Relaxed) || !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut waiting)
    }
}

impl Process {
    /// Has `visit` run on shard 0, from any thread. False where shard 0 has not come to those
    /// before.
    pub fn visit_first_shard(&self, visit: impl FnOnce(&mut Shard) + Send + 'static) -> bool {
        let left = self.visitors.leave(Box::new(visit));
        self.wake_first_shard();
        left
    }
}

impl Shard {
    /// On shard 0, once a turn: does what other threads have asked for.
    #[inline]
    pub(crate) fn receive_visitors(&mut self) {
        if self.engine.id.index() == 0 {
            for visit in self.process.visitors.take() {
                visit(self);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_are_taken_once_and_bounded() {
        let visitors = Visitors::default();
        assert!(visitors.take().is_empty());
        for _ in 0..WAITING_MAX {
            assert!(visitors.leave(Box::new(|_| {})));
        }
        assert!(!visitors.leave(Box::new(|_| {})));
        assert_eq!(visitors.take().len(), WAITING_MAX);
        assert!(visitors.take().is_empty());
        assert!(visitors.leave(Box::new(|_| {})));
        assert_eq!(visitors.take().len(), 1);
    }
}
