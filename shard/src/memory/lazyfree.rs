//! Lazyfree: the thread that frees large values, so that deleting one does not stop a shard.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use engine::ledger::Ledger;
use storage::{Entry, Keyspace};

/// Something to free.
struct Garbage {
    what: Box<dyn Send>,
    /// Values that `lazyfreed_objects` counts.
    objects: usize,
    /// About how many bytes it takes.
    bytes: usize,
}

/// The sending side of the thread's queue. Each shard has a clone.
#[derive(Clone)]
pub struct Lazyfree {
    garbage: Sender<Garbage>,
    ledger: Arc<Ledger>,
}

impl Lazyfree {
    /// Starts the thread, which ends with the last clone of the sender. `Err` where the system has
    /// no thread.
    pub fn start(ledger: Arc<Ledger>) -> std::io::Result<Self> {
        let (garbage, received) = channel::<Garbage>();
        let counts = ledger.clone();
        thread::Builder::new()
            .name("lazyfree".into())
            .spawn(move || {
                for garbage in received {
                    drop(garbage.what);
                    counts.lazyfree_ended(garbage.objects, garbage.bytes);
                }
            })?;
        Ok(Self { garbage, ledger })
    }

    /// Frees `entries` on the thread and leaves the vector empty.
    pub fn free(&self, entries: &mut Vec<Entry>) {
        let objects = entries.len();
        let bytes = entries.iter().map(Entry::memory_bytes).sum();
        self.send(Box::new(std::mem::take(entries)), objects, bytes);
    }

    /// Frees the contents of whole databases on the thread. `lazily` says whether their values
    /// count in INFO's `lazyfreed_objects`.
    pub fn free_keyspaces(&self, keyspaces: Vec<Keyspace>, lazily: bool) {
        let bytes = keyspaces.iter().map(Keyspace::memory_bytes).sum();
        let counted = keyspaces.iter().filter(|_| lazily);
        let objects = counted.map(Keyspace::len).sum();
        self.send(Box::new(keyspaces), objects, bytes);
    }

    fn send(&self, what: Box<dyn Send>, objects: usize, bytes: usize) {
        self.ledger.lazyfree_begins(objects, bytes);
        // Where the thread has gone the process ends, and what comes back is freed here.
        drop(self.garbage.send(Garbage {
            what,
            objects,
            bytes,
        }));
    }
}
