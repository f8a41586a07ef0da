//! What an engine asks of the outside while it works, and what all engines share.

use lua::store::ScriptStore;
use storage::{Entry, Keyspace};

use crate::ledger::Ledger;

/// The outside.
pub trait Environment: Send + Sync {
    /// What memory each shard's thread has in use, and what shards owe one another.
    fn ledger(&self) -> &Ledger;

    /// Frees big values elsewhere and leaves the vector empty.
    fn free(&self, entries: &mut Vec<Entry>);

    /// Frees whole databases' contents elsewhere; whether that counts as done lazily.
    fn free_keyspaces(&self, keyspaces: Vec<Keyspace>, lazily: bool);

    /// Whether any client of the process subscribes to anything.
    fn anybody_subscribes(&self) -> bool;

    /// Whether anybody watches what commands run (MONITOR).
    fn anybody_monitors(&self) -> bool;

    /// The scripts that the process knows.
    fn scripts(&self) -> &ScriptStore;

    /// Whether any client of the process wants to hear what it has in a cache and is stale.
    fn anybody_tracks(&self) -> bool;
}
