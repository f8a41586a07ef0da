//! What is due to a connection and shared with others: messages of pub/sub, a monitor's lines.
//!
//! A connection's own replies gather in `out`. Something long that others get too is attached as it is, and stands in a *chain* in front of
//! `out`, together with what was in `out` before it. Short texts are copied: that costs less than to keep count of who still needs them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::client::{Client, Due};

/// Text up to here is copied and not shared.
const COPIED_BYTES_MAX: usize = 1024;

/// Pieces from here on are written alone, shorter ones together with what follows.
const ALONE_BYTES_MIN: usize = 16 * 1024;

/// Short pieces that are written together. They are copied for that, once for each who gets them: a thousand that do not read hold a thousand copies.
const GATHERED_BYTES_MAX: usize = 16 * 1024;

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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
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

    /// The next of what is attached, and what comes behind it where both are short.
    pub fn next_of_chain(&mut self) -> Option<Due> {
        let chain = self.chain.as_mut()?;
        let first = chain.pieces.front()?;
        let is_last = chain.len() == 1 && self.out.is_empty();
        if is_last || first.len() >= ALONE_BYTES_MIN {
            return chain.pop().map(Due::Shared);
        }
        let mut gathered = std::mem::take(&mut self.spare);
        while let Some(piece) = chain.pieces.front()
            && piece.len() < ALONE_BYTES_MIN
            && gathered.len() + piece.len() <= GATHERED_BYTES_MAX
        {
            gathered.extend_from_slice(piece);
            chain.pop();
        }
        if chain.is_empty() && gathered.len() + self.out.len() <= GATHERED_BYTES_MAX {
            gathered.append(&mut self.out);
        }
        Some(Due::Chunk(gathered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent, piece by piece, and whether each was shared.
    fn sent(client: &mut Client) -> Vec<(Vec<u8>, bool)> {
        let mut sent = Vec::new();
        while let std::task::Poll::Ready(due) = client.next_due() {
            match due {
                Due::Chunk(chunk) => {
                    sent.push((chunk.clone(), false));
                    client.written(Some(chunk));
                }
                Due::Shared(piece) => {
                    sent.push((piece.to_vec(), true));
                    client.written(None);
                }
                Due::Rest | Due::End => break,
            }
        }
        assert_eq!(client.unsent_bytes(), 0);
        sent
    }

    #[test]
    fn output_is_sent_in_order_and_long_pieces_are_shared() {
        let long = vec![b'l'; ALONE_BYTES_MIN];
        let middle = vec![b'm'; 2 * COPIED_BYTES_MAX];
        let shared = |text: &[u8]| Bytes::copy_from_slice(text);
        let mut client = Client::of_nobody();
        client.attach(&[shared(&long)]);
        assert_eq!(sent(&mut client), [(long.clone(), true)]);
        client.attach(&[shared(b"short")]);
        assert_eq!(sent(&mut client), [(b"short".to_vec(), false)]);
        client.out.extend_from_slice(b"a");
        client.attach(&[shared(&middle), shared(b"end")]);
        client.out.extend_from_slice(b"b");
        client.attach(&[shared(&long)]);
        client.out.extend_from_slice(b"c");
        let unsent = client.unsent_bytes();
        let first = [b"a", &*middle, b"endb"].concat();
        assert_eq!(unsent, first.len() + long.len() + 1);
        let rest = [(long, true), (b"c".to_vec(), false)];
        let expected = [vec![(first, false)], rest.to_vec()].concat();
        assert_eq!(sent(&mut client), expected);
    }

    #[test]
    fn many_short_pieces_are_written_in_few_chunks() {
        let mut client = Client::of_nobody();
        let piece = Bytes::from(vec![b'p'; 4 * COPIED_BYTES_MAX]);
        (0..40).for_each(|_| client.attach(std::slice::from_ref(&piece)));
        let sent = sent(&mut client);
        assert_eq!(sent.len(), 10);
        assert_eq!(
            sent.iter().map(|it| it.0.len()).sum::<usize>(),
            40 * piece.len()
        );
    }
}
