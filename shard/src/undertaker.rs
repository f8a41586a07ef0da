//! The thread that frees big values, so that deleting one stops nobody.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use storage::{Entry, Keyspace};

/// What is to be freed: anything at all.
type Remains = Box<dyn Send>;

/// The sending side; each shard has a clone.
#[derive(Clone)]
pub struct Undertaker {
    remains: Sender<Remains>,
}

impl Undertaker {
    /// Starts the thread; it ends with the last clone of the sender.
    pub fn start() -> std::io::Result<Self> {
        let (remains, received) = channel();
        thread::Builder::new()
            .name("undertaker".into())
            .spawn(move || received.into_iter().for_each(drop::<Remains>))?;
        Ok(Self { remains })
    }

    /// Frees `entries` elsewhere and leaves the vector empty.
    pub fn bury(&self, entries: &mut Vec<Entry>) {
        self.send(Box::new(std::mem::take(entries)));
    }

    /// Frees whole databases' contents elsewhere.
    pub fn bury_keyspaces(&self, keyspaces: Vec<Keyspace>) {
        self.send(Box::new(keyspaces));
    }

    fn send(&self, remains: Remains) {
        // Where the thread is gone the process is going down, and what comes back is freed here.
        drop(self.remains.send(remains));
    }
}
