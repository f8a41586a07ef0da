//! Replies on the wire, RESP2 and RESP3, as the codec of `protocol` reads them. Here what is no
//! reply fails the test.

pub use protocol::resp::value::{Value, show};

/// Finds the end of one reply in bytes that arrive in pieces.
#[derive(Debug, Default)]
pub struct Scan(protocol::resp::Scan);

impl Scan {
    /// The length of the reply that `bytes` begins with, or `None` where it is not whole yet. Call
    /// it with the same bytes and more.
    ///
    /// # Panics
    /// Where the bytes are no reply.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = self.0.end(bytes);
        end.unwrap_or_else(|error| panic!("{error} in {}", show(bytes)))
    }
}
