//! Commands while the data is being read: see [`engine::admission`].

use std::sync::atomic::Ordering;

use engine::error::Error;
use protocol::command::Command;

use crate::shard::Shard;

impl Shard {
    /// Whether `command` may run, where something keeps commands from it.
    #[cold]
    pub(crate) fn admit(&mut self, command: &Command) -> Result<(), Error> {
        // The word that all have their data may be on its way yet: nobody hears that they load
        // after another shard has let him in.
        let loaded =
            || self.process.shards_loaded.load(Ordering::Acquire) == self.engine.slots.shards();
        if self.engine.admission.loading && loaded() {
            self.engine.admission.loading = false;
            self.engine.admission.settle(&self.engine.config.clone());
        }
        self.engine.admission.admit(command)
    }

    /// This shard has its data. The last to have theirs open the server, as commands may need any
    /// of them.
    pub(crate) fn loaded(&mut self) {
        let before = self.process.shards_loaded.fetch_add(1, Ordering::AcqRel);
        if before + 1 == self.engine.slots.shards() {
            self.tell_all(|shard| {
                shard.engine.admission.loading = false;
                shard.engine.admission.settle(&shard.engine.config);
                shard.turns.load_wakers.wake_all();
            });
        }
    }
}
