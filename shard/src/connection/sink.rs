//! Where a connection's output goes: the socket, or what encrypts it first.

use std::io;

use bytes::Bytes;
use monoio::BufResult;
use monoio::io::{AsyncWriteRent, AsyncWriteRentExt, OwnedWriteHalf};

use crate::client::vectored::Vectored;

/// Takes output whole: a call is over when all is with the kernel, and says how much of it the
/// client gets.
pub trait Sink {
    /// The emptied buffer comes back.
    async fn write_chunk(&mut self, chunk: Vec<u8>) -> BufResult<usize, Vec<u8>>;

    /// What others write, too.
    async fn write_shared(&mut self, piece: Bytes) -> io::Result<usize>;

    /// One piece behind the other.
    async fn write_pieces(&mut self, pieces: Vectored) -> io::Result<usize>;
}

impl<S: AsyncWriteRent> Sink for OwnedWriteHalf<S> {
    async fn write_chunk(&mut self, chunk: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        self.write_all(chunk).await
    }

    async fn write_shared(&mut self, piece: Bytes) -> io::Result<usize> {
        self.write_all(piece).await.0
    }

    async fn write_pieces(&mut self, pieces: Vectored) -> io::Result<usize> {
        pieces.write_all(self).await
    }
}
