//! What homes of clients with caches are told.

use crate::engine::Engine;
use crate::header::FlushId;
use crate::slot::ShardId;
use crate::tracking::invalidations::ToHome;

impl Engine {
    /// Names an emptying of databases which this shard coordinates, if there is anybody to hear of
    /// it: whoever has read something, anywhere, was counted before.
    pub(crate) fn next_flush(&mut self) -> Option<FlushId> {
        if !self.environment.anybody_tracks() {
            return None;
        }
        self.coordinator.last_flush += 1;
        Some(FlushId {
            coordinator: self.id,
            number: self.coordinator.last_flush,
        })
    }

    /// Once a turn: what each home is to be told; a table that is too full forgets some keys.
    pub fn take_invalidations(&mut self) -> Vec<(ShardId, Vec<ToHome>)> {
        let invalidations = &mut self.effects.invalidations;
        for _ in 0..FORGOTTEN_PER_TURN_MAX {
            if !invalidations.table.is_over() {
                break;
            }
            if let Some((key, readers)) = invalidations.table.forget_any(&mut self.random) {
                invalidations.note_readers(&key, readers, None);
            }
        }
        let emptied = std::mem::take(&mut invalidations.emptied);
        if !emptied.is_empty() {
            self.environment.free_keyspaces(emptied, true);
        }
        self.effects.invalidations.take(self.slots.shards())
    }
}

/// Keys that a full table forgets in one turn.
const FORGOTTEN_PER_TURN_MAX: usize = 1024;
