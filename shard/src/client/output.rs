//! What is due to a connection and shared with others: messages of pub/sub, a monitor's lines.
//!
//! A connection's own replies gather in `out`. Something long that others get too is attached as it
//! is, and stands in a *chain* in front of `out`, together with what was in `out` before it. Short
//! texts are copied: that costs less than to keep count of who still needs them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::client::vectored::Vectored;
use crate::client::{Client, Due};

/// Text up to here is copied and not shared.
const COPIED_BYTES_MAX: usize = 1024;

/// A write that has so much takes no more pieces: the system's own cost of a write hardly shows in
/// it, and it keeps the shard for some tens of microseconds.
const TOGETHER_BYTES_MIN: usize = 128 * 1024;

/// Pieces that one write takes.
const TOGETHER_LEN_MAX: usize = 64;

/// Pieces of a connection's output, the first to be sent first.
#[derive(Default)]
pub struct Chain {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Chain {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        Some(piece)
    }

    /// What they hold together.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

impl Client {
    /// Appends text to its output that others get too.
    pub fn attach(&mut self, pieces: &[Bytes]) {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if bytes <= COPIED_BYTES_MAX {
            return pieces
                .iter()
                .for_each(|piece| self.out.extend_from_slice(piece));
        }
        let chain = self.chain.get_or_insert_default();
        if !self.out.is_empty() {
            chain.push(std::mem::take(&mut self.out).into());
        }
        pieces.iter().for_each(|piece| chain.push(piece.clone()));
    }

    /// What is attached, from the first on, with what comes behind it.
    pub fn next_of_chain(&mut self) -> Option<Due> {
        let chain = self.chain.as_mut()?;
        let first = chain.pop()?;
        if first.len() >= TOGETHER_BYTES_MIN || (chain.is_empty() && self.out.is_empty()) {
            return Some(Due::Shared(first));
        }
        let mut bytes = first.len();
        let mut pieces = vec![first];
        while bytes < TOGETHER_BYTES_MIN && pieces.len() < TOGETHER_LEN_MAX {
            let Some(piece) = chain.pop() else {
                if !self.out.is_empty() {
                    let spare = std::mem::take(&mut self.spare);
                    pieces.push(std::mem::replace(&mut self.out, spare).into());
                }
                break;
            };
            bytes += piece.len();
            pieces.push(piece);
        }
        Some(Due::Vectored(Vectored::new(pieces)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent, write by write, and of how many shared pieces each is.
    fn sent(client: &mut Client) -> Vec<(Vec<u8>, usize)> {
        let mut sent = Vec::new();
        while let std::task::Poll::Ready(due) = client.next_due() {
            match due {
                Due::Chunk(chunk) => {
                    sent.push((chunk.clone(), 0));
                    client.written(Some(chunk));
                }
                Due::Shared(piece) => {
                    sent.push((piece.to_vec(), 1));
                    client.written(None);
                }
                Due::Vectored(pieces) => {
                    sent.push((pieces.pieces().concat(), pieces.pieces().len()));
                    client.written(None);
                }
                Due::Rest | Due::End => break,
            }
        }
        assert_eq!(client.unsent_bytes(), 0);
        sent
    }

    #[test]
    fn output_is_sent_in_order_and_what_is_not_short_is_shared() {
        let long = vec![b'l'; TOGETHER_BYTES_MIN];
        let middle = vec![b'm'; 2 * COPIED_BYTES_MAX];
        let shared = |text: &[u8]| Bytes::copy_from_slice(text);
        let mut client = Client::of_nobody();
        client.attach(&[shared(&long)]);
        assert_eq!(sent(&mut client), [(long.clone(), 1)]);
        client.attach(&[shared(b"short")]);
        assert_eq!(sent(&mut client), [(b"short".to_vec(), 0)]);
        client.out.extend_from_slice(b"a");
        client.attach(&[shared(&middle), shared(b"end")]);
        client.out.extend_from_slice(b"b");
        client.attach(&[shared(&long)]);
        client.attach(&[shared(&middle)]);
        client.out.extend_from_slice(b"c");
        let unsent = client.unsent_bytes();
        let first = [b"a", &*middle, b"endb", &*long].concat();
        let second = [&*middle, b"c"].concat();
        assert_eq!(unsent, first.len() + second.len());
        assert_eq!(sent(&mut client), [(first, 5), (second, 2)]);
    }

    #[test]
    fn many_pieces_are_sent_with_few_writes() {
        for (bytes, count, writes) in [
            (4 * COPIED_BYTES_MAX, 40, 2),
            (2 * COPIED_BYTES_MAX, 2 * TOGETHER_LEN_MAX + 1, 3),
            (TOGETHER_BYTES_MIN - 1, 4, 2),
        ] {
            let mut client = Client::of_nobody();
            let piece = Bytes::from(vec![b'p'; bytes]);
            (0..count).for_each(|_| client.attach(std::slice::from_ref(&piece)));
            let sent = sent(&mut client);
            assert_eq!(sent.len(), writes, "{bytes}");
            let all: usize = sent.iter().map(|write| write.0.len()).sum();
            assert_eq!(all, count * bytes);
        }
    }
}
