//! Clients that push numbers in pipelines over keys of all shards until the server is gone: every
//! number that was answered must be there.

use std::time::Instant;

use tests::reply::Value;
use tests::wire::encode;
use tests::{Server, Wire};

/// Clients, each with lists of its own.
const CLIENTS: usize = 4;

/// Lists of a client: over all shards.
const LISTS: usize = 8;

/// Commands that are sent together.
const DEPTH: usize = 16;

/// What was sent, and what of it was answered, of one list.
#[derive(Clone, Copy, Default)]
struct Pushed {
    sent: usize,
    answered: usize,
}

/// What the clients know.
#[derive(Default)]
pub struct Pipelines([[Pushed; LISTS]; CLIENTS]);

fn list(client: usize, at: usize) -> String {
    format!("pipe:{client}:{at}")
}

impl Pipelines {
    /// Runs all of them until the server is gone, which `end` sees to. Returns when it had
    /// returned.
    pub fn run(&mut self, server: &Server, end: impl FnOnce()) -> Instant {
        std::thread::scope(|scope| {
            for (client, lists) in self.0.iter_mut().enumerate() {
                let mut wire = server.connect();
                scope.spawn(move || while push(&mut wire, client, lists).is_some() {});
            }
            end();
            Instant::now()
        })
    }

    /// Holds what is there against what they know, and begins anew.
    pub fn check(&mut self, wire: &mut Wire, told: &str) {
        for (client, lists) in self.0.iter_mut().enumerate() {
            for (at, pushed) in lists.iter_mut().enumerate() {
                let key = list(client, at);
                let length = wire.ask(&format!("LLEN {key}")).integer() as usize;
                assert!(
                    (pushed.answered..=pushed.sent).contains(&length),
                    "{length} are there, {} were sent, {} answered: {told}",
                    pushed.sent,
                    pushed.answered
                );
                if let Value::Bulk(last) = wire.ask(&format!("LINDEX {key} -1")) {
                    assert_eq!(last, length.to_string().as_bytes(), "{told}");
                }
                wire.ask(&format!("DEL {key}"));
                *pushed = Pushed::default();
            }
        }
    }
}

/// One pipeline; `None` where the server is gone.
fn push(wire: &mut Wire, client: usize, lists: &mut [Pushed; LISTS]) -> Option<()> {
    let mut bytes = Vec::new();
    for n in 0..DEPTH {
        let at = n % LISTS;
        lists[at].sent += 1;
        let number = lists[at].sent.to_string();
        encode(&["RPUSH", &list(client, at), &number], &mut bytes);
    }
    wire.try_send(&bytes).ok()?;
    for n in 0..DEPTH {
        let reply = wire.try_reply().ok()??;
        let length = &mut lists[n % LISTS].answered;
        *length += 1;
        assert_eq!(Value::parse(&reply), Value::Integer(*length as i64));
    }
    Some(())
}
