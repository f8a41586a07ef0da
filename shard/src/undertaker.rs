//! The thread that frees big values, so that deleting one stops nobody.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use storage::{Entry, Keyspace};

use crate::memory::Ledger;

/// What is to be freed: anything at all, and about how many bytes it takes.
struct Remains {
    what: Box<dyn Send>,
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
                for Remains { what, bytes } in received {
                    drop(what);
                    book.buried(bytes);
                }
            })?;
        Ok(Self { remains, ledger })
    }

    /// Frees `entries` elsewhere and leaves the vector empty.
    pub fn bury(&self, entries: &mut Vec<Entry>) {
        let bytes = entries.iter().map(Entry::memory_bytes).sum();
        self.send(Box::new(std::mem::take(entries)), bytes);
    }

    /// Frees whole databases' contents elsewhere.
    pub fn bury_keyspaces(&self, keyspaces: Vec<Keyspace>) {
        let bytes = keyspaces.iter().map(Keyspace::memory_bytes).sum();
        self.send(Box::new(keyspaces), bytes);
    }

    fn send(&self, what: Box<dyn Send>, bytes: usize) {
        self.ledger.bury(bytes);
        // Where the thread is gone the process is going down, and what comes back is freed here.
        drop(self.remains.send(Remains { what, bytes }));
    }
}
