//! What the log tells every few seconds to who looks closer: the server in one line at `verbose`,
//! each shard and database at `debug`.
//!
//! The clock stops while nothing happens, and these lines with it.

use std::sync::atomic::Ordering;

use tracing::{Level, debug, trace};

use crate::shard::Shard;
use crate::snapshot::unix_s;

impl Shard {
    /// Tells how things stand.
    pub(crate) fn report(&self) {
        if self.engine.id.index() == 0 {
            debug!(
                clients = self.process.connections.load(Ordering::Relaxed),
                used_bytes = self.process.memory.used_bytes(unix_s()),
                peak_bytes = self.process.memory.peak_bytes(),
                unsaved_changes = self.process.snapshots.changes(),
                "serving"
            );
        }
        if !tracing::enabled!(Level::TRACE) {
            return;
        }
        let (inbound, outbound) = self.messages_waiting();
        trace!(
            clients = self.connections.clients.len(),
            commands = self.engine.stats.commands,
            forwarded = self.engine.stats.forwarded,
            transactions = self.engine.stats.transactions,
            transactions_retried = self.engine.stats.transactions_retried,
            lock_items = self.engine.owner.locks.len(),
            inbound,
            outbound,
            used_bytes = self.used_by_thread(),
            "shard"
        );
        for index in self.engine.databases.indices() {
            let keyspace = self.engine.databases.get(index);
            if !keyspace.is_empty() {
                trace!(
                    db = index.number(),
                    keys = keyspace.len(),
                    volatile_keys = keyspace.volatile_len(),
                    "database"
                );
            }
        }
    }
}
