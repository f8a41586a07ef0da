//! Pieces of output that one write takes, without being copied together first.
//!
//! A subscriber that is some messages of 4 KB behind gets them with one call: written three at a
//! time, a message to 200 subscribers took 1.75 us of CPU time for each, and takes 0.83. Copied
//! together for it, 0.92, and each subscriber that does not read would hold a copy of its own.

// For monoio's trait alone.
#![allow(unsafe_code)]

use std::io;

use bytes::{Buf, Bytes};
use libc::iovec;
use monoio::buf::IoVecBuf;
use monoio::io::AsyncWriteRent;

/// Pieces that wait to be written, in their order.
///
/// Invariant: `vectors[at]` is what `pieces[at]` holds, for each `at` from `written` on. A
/// [`Bytes`] has its text at one address as long as it lives and is not advanced.
pub struct Vectored {
    pieces: Vec<Bytes>,
    vectors: Vec<iovec>,
    /// Pieces that are written.
    written: usize,
    unwritten_bytes: usize,
}

// SAFETY: the vectors lie on the heap, where they stay when this moves. Each is the text of a piece
// that lives as long as this does; both change only through `&mut self`, which nobody has while an
// operation owns it. The operation only reads.
unsafe impl IoVecBuf for Vectored {
    fn read_iovec_ptr(&self) -> *const iovec {
        self.vectors[self.written..].as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.vectors.len() - self.written
    }
}

impl Vectored {
    /// All of `pieces`.
    pub fn new(pieces: Vec<Bytes>) -> Self {
        Self {
            vectors: pieces.iter().map(vector).collect(),
            unwritten_bytes: pieces.iter().map(Bytes::len).sum(),
            pieces,
            written: 0,
        }
    }

    /// What is to be written yet.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces[self.written..]
    }

    /// How much is to be written yet.
    pub fn len(&self) -> usize {
        self.unwritten_bytes
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.unwritten_bytes == 0
    }

    /// So many bytes are written.
    fn advance(&mut self, mut bytes: usize) {
        self.unwritten_bytes -= bytes;
        while let Some(piece) = self.pieces.get_mut(self.written)
            && bytes >= piece.len()
        {
            bytes -= piece.len();
            // Perhaps nobody else holds it any more: it is freed before the rest is written.
            *piece = Bytes::new();
            self.written += 1;
        }
        if bytes > 0 {
            let piece = &mut self.pieces[self.written];
            piece.advance(bytes);
            self.vectors[self.written] = vector(piece);
        }
    }

    /// Writes all. Returns how much that was.
    pub async fn write_all(mut self, to: &mut impl AsyncWriteRent) -> io::Result<usize> {
        let len = self.len();
        while !self.is_empty() {
            let (result, rest) = to.writev(self).await;
            self = rest;
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }
}

fn vector(piece: &Bytes) -> iovec {
    iovec {
        iov_base: piece.as_ptr().cast_mut().cast(),
        iov_len: piece.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes what the vectors say, but no more than so many bytes at once, and every other time
    /// nothing, as a socket may.
    struct Narrow {
        taken: Vec<u8>,
        at_once: usize,
        interrupts: bool,
    }

    impl AsyncWriteRent for Narrow {
        async fn write<T: monoio::buf::IoBuf>(&mut self, _: T) -> monoio::BufResult<usize, T> {
            unreachable!("all is written vectored")
        }

        async fn writev<T: IoVecBuf>(&mut self, from: T) -> monoio::BufResult<usize, T> {
            self.interrupts = !self.interrupts;
            if self.interrupts {
                return (Err(io::ErrorKind::Interrupted.into()), from);
            }
            // SAFETY: what the trait promises.
            let texts = unsafe {
                std::slice::from_raw_parts(from.read_iovec_ptr(), from.read_iovec_len())
                    .iter()
                    .map(|it| std::slice::from_raw_parts(it.iov_base.cast::<u8>(), it.iov_len))
                    .collect::<Vec<_>>()
            };
            let mut all = texts.concat();
            all.truncate(self.at_once);
            self.taken.extend_from_slice(&all);
            (Ok(all.len()), from)
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write(pieces: Vec<Bytes>, at_once: usize) -> (io::Result<usize>, Vec<u8>) {
        let mut to = Narrow {
            taken: Vec::new(),
            at_once,
            interrupts: false,
        };
        let result = {
            let mut writing = std::pin::pin!(Vectored::new(pieces).write_all(&mut to));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match writing.as_mut().poll(&mut context) {
                std::task::Poll::Ready(result) => result,
                std::task::Poll::Pending => panic!("nothing to wait for"),
            }
        };
        (result, to.taken)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

        #[test]
        fn all_is_written_in_order_however_little_goes_at_once(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..12),
            at_once in 1_usize..50,
        ) {
            let all = texts.concat();
            let pieces = texts.into_iter().map(Bytes::from).collect();
            let (result, taken) = write(pieces, at_once);
            prop_assert_eq!(result?, all.len());
            prop_assert_eq!(taken, all);
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_an_error() {
        let (result, _) = write(vec![Bytes::from_static(b"text")], 0);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
