//! Messages without end, to whoever subscribes to `noise`: those find something in their mailbox
//! again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::Server;

/// Publishers that go on until this is dropped, which waits for them.
pub struct Noise {
    over: Arc<AtomicBool>,
    publishers: Vec<JoinHandle<()>>,
}

impl Noise {
    /// Begins with so many publishers.
    pub fn begin(server: &Server, publishers: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let publish = |_| {
            let (mut wire, over) = (server.connect(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    wire.ask("PUBLISH noise x");
                }
            })
        };
        let publishers = (0..publishers).map(publish).collect();
        Self { over, publishers }
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for publisher in self.publishers.drain(..) {
            // One that panicked has said so; the test has its own reason to fail then.
            let _ = publisher.join();
        }
    }
}
