//! Keys whose time has come, which the clock removes before anybody looks for them.

use crate::engine::Engine;

/// Expired keys removed in one go; between two goes the shard's other work has its turn.
const EXPIRED_PER_STEP_MAX: usize = 256;

/// What one step has left.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Keys are due that were left for later.
    pub more_keys: bool,
    /// So are fields of hashes.
    pub more_fields: bool,
}

impl Engine {
    /// Removes some keys and fields whose time has come, and serves who waits for that.
    pub fn expire_step(&mut self) -> Step {
        let expired = self
            .databases
            .expire_some(self.now, EXPIRED_PER_STEP_MAX, |db, entry| {
                self.effects.expired(db, entry);
            });
        self.effects.hand_out();
        let more_fields = self.expire_fields();
        self.free_discarded();
        self.serve_ready();
        Step {
            more_keys: expired.more,
            more_fields,
        }
    }
}
