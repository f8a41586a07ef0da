//! The thread that frees big values, so that deleting one stops nobody.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use storage::{Entry, Keyspace};

use engine::ledger::Ledger;

/// What is to be freed: anything at all, how many values it is, and about how many bytes it takes.
struct Remains {
    what: Box<dyn Send>,
    objects: usize,
    bytes: usize,
}

/// The sending side; each shard has a clone.
#[derive(Clone)]
pub struct Undertaker {
    remains: Sender<Remains>,
    ledger: Arc<Ledger>,
}

impl Undertaker {
    /// Starts the thread; it ends with the last clone of the sender.
    pub fn start(ledger: Arc<Ledger>) -> std::io::Result<Self> {
        let (remains, received) = channel::<Remains>();
        let book = ledger.clone();
        thread::Builder::new()
            .name("undertaker".into())
            .spawn(move || {
                for remains in received {
                    drop(remains.what);
                    book.buried(remains.objects, remains.bytes);
                }
            })?;
        Ok(Self { remains, ledger })
    }

    /// Frees `entries` elsewhere and leaves the vector empty.
    pub fn bury(&self, entries: &mut Vec<Entry>) {
        let objects = entries.len();
        let bytes = entries.iter().map(Entry::memory_bytes).sum();
        self.send(Box::new(std::mem::take(entries)), objects, bytes);
    }

    /// Frees whole databases' contents elsewhere. Where they are not to count as freed `lazily`,
    /// nobody is told how many values they were.
    pub fn bury_keyspaces(&self, keyspaces: Vec<Keyspace>, lazily: bool) {
        let bytes = keyspaces.iter().map(Keyspace::memory_bytes).sum();
        let counted = keyspaces.iter().filter(|_| lazily);
        let objects = counted.map(Keyspace::len).sum();
        self.send(Box::new(keyspaces), objects, bytes);
    }

    fn send(&self, what: Box<dyn Send>, objects: usize, bytes: usize) {
        self.ledger.bury(objects, bytes);
        // Where the thread is gone the process is going down, and what comes back is freed here.
        drop(self.remains.send(Remains {
            what,
            objects,
            bytes,
        }));
    }
}
