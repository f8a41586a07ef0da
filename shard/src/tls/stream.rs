//! The two directions of a connection that is encrypted.
//!
//! A connection's task reads and writes with two futures. Both need the session, and neither keeps
//! it while it waits: what has arrived is decrypted between two reads of the socket, and output is
//! encrypted before its write. Only the writing side writes to the socket. What rustls has to say
//! of itself once the handshake is over (the answer to a change of keys, an alert) leaves in front
//! of the next output, or with the farewell.
//!
//! Replies that leave together are encrypted together: in records as large as they may be, 16 KB,
//! and with one write to the socket for 128 KB of output.
//!
//! An idle connection holds the session, a few KB, and a small buffer for the read in flight; what
//! output is encrypted into is freed when it is written.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, ErrorKind, IoSlice, Write};
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use monoio::BufResult;
use monoio::buf::{IoBufMut, IoVecBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use rustls::ServerConnection;
use smallvec::SmallVec;

use crate::client::vectored::Vectored;
use crate::connection::sink::Sink;

/// Room for the first read of the socket.
const READ_BYTES_MIN: usize = 512;

/// Room for a read of a connection that fills its reads: two records.
const READ_BYTES_MAX: usize = 36 * 1024;

/// Small reads in a row after which the room for them is halved.
const SMALL_READS_MAX: u32 = 16;

/// Output that is encrypted at once, and written with one call.
const WRITE_BYTES_MAX: usize = 128 * 1024;

/// Bytes that a record adds to what it holds, at the most; the last one of a write is not full.
const RECORD_BYTES_ADDED: usize = 64;

/// Bytes of output in a record.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// How long the end of a session may take to be told: the client may have stopped reading.
const FAREWELL_TIME_MAX: Duration = Duration::from_millis(100);

/// The state of the encryption, which both directions use.
pub struct Session {
    rustls: ServerConnection,
    /// A part of a record may be with the kernel, so nothing else may be written.
    is_writing: bool,
}

impl Session {
    /// Everything that is encrypted and not written yet, behind `cipher`.
    fn take_encrypted(&mut self, cipher: &mut Vec<u8>) -> io::Result<()> {
        while self.rustls.wants_write() {
            self.rustls.write_tls(cipher)?;
        }
        Ok(())
    }

    /// Encrypts `pieces`, one behind the other.
    fn encrypt(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<Vec<u8>> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let records = bytes / RECORD_BYTES_MAX + 1;
        let taken = self.rustls.writer().write_vectored(pieces)?;
        debug_assert_eq!(taken, bytes, "the buffer of rustls has no limit");
        let mut cipher = Vec::with_capacity(bytes + records * RECORD_BYTES_ADDED);
        self.take_encrypted(&mut cipher)?;
        Ok(cipher)
    }
}

/// Makes both directions of a socket's halves and a session whose handshake is over, and what comes
/// behind them. `cipher` has arrived and is not decrypted.
pub fn split<R, W>(
    mut rustls: ServerConnection,
    socket: (R, W),
    cipher: Vec<u8>,
) -> (Reader<R>, Writer<W>, Farewell<W>) {
    // What is encrypted is taken at once, so this side of it needs no limit.
    rustls.set_buffer_limit(None);
    let session = Rc::new(RefCell::new(Session {
        rustls,
        is_writing: false,
    }));
    let reader = Reader {
        socket: socket.0,
        session: session.clone(),
        cipher,
        decrypted: 0,
        room: READ_BYTES_MIN,
        small_reads: 0,
    };
    let left_behind = Rc::default();
    let farewell = Farewell {
        left_behind: Rc::clone(&left_behind),
        session: session.clone(),
    };
    let writer = Writer {
        socket: Some(socket.1),
        left_behind,
        session,
    };
    (reader, writer, farewell)
}

/// What the client sends, decrypted.
pub struct Reader<R> {
    socket: R,
    session: Rc<RefCell<Session>>,
    /// What has arrived.
    cipher: Vec<u8>,
    /// How much of it rustls has taken.
    decrypted: usize,
    room: usize,
    small_reads: u32,
}

/// What can be read.
enum Readable<T> {
    /// So much, which is in the buffer.
    Bytes(usize, T),
    /// Nothing before more has arrived.
    Nothing(T),
}

impl<R: AsyncReadRent> Reader<R> {
    /// Hands out what is decrypted, or decrypts until there is something, or the client has said
    /// that nothing comes any more.
    fn read_decrypted<T: IoBufMut>(&mut self, buffer: T) -> BufResult<Option<usize>, T> {
        let mut buffer = buffer;
        loop {
            match self.next_decrypted(buffer) {
                Readable::Bytes(count, buffer) => return (Ok(Some(count)), buffer),
                Readable::Nothing(same) => buffer = same,
            }
            if self.decrypted == self.cipher.len() {
                return (Ok(None), buffer);
            }
            if let Err(error) = self.decrypt() {
                return (Err(error), buffer);
            }
        }
    }

    fn next_decrypted<T: IoBufMut>(&mut self, buffer: T) -> Readable<T> {
        let mut session = self.session.borrow_mut();
        let mut reader = session.rustls.reader();
        let (count, buffer) = match reader.fill_buf() {
            Ok(decrypted) => copy(decrypted, buffer),
            // An end without a farewell is told by the socket; anything else is that nothing is
            // there.
            Err(_) => return Readable::Nothing(buffer),
        };
        reader.consume(count);
        Readable::Bytes(count, buffer)
    }

    /// Lets rustls have some of what has arrived.
    fn decrypt(&mut self) -> io::Result<()> {
        let session = &mut *self.session.borrow_mut();
        let mut rest = &self.cipher[self.decrypted..];
        let before = rest.len();
        session.rustls.read_tls(&mut rest)?;
        // It takes nothing behind the client's farewell.
        self.decrypted += match before - rest.len() {
            0 => before,
            taken => taken,
        };
        let processed = session.rustls.process_new_packets();
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(())
    }

    /// Reads the socket. Returns how much came, 0 where the client has closed its side.
    async fn fill(&mut self) -> io::Result<usize> {
        let mut cipher = mem::take(&mut self.cipher);
        self.decrypted = 0;
        cipher.clear();
        if cipher.capacity() < self.room || cipher.capacity() > 2 * self.room {
            cipher = Vec::with_capacity(self.room);
        }
        let (result, cipher) = self.socket.read(cipher.slice_mut(..self.room)).await;
        self.cipher = cipher.into_inner();
        let count = *result.as_ref().unwrap_or(&0);
        self.cipher.truncate(count);
        result?;
        let is_small = count < self.room / 4;
        self.small_reads = if is_small { self.small_reads + 1 } else { 0 };
        if count == self.room {
            self.room = (self.room * 2).min(READ_BYTES_MAX);
        } else if self.small_reads > SMALL_READS_MAX {
            self.room = (self.room / 2).max(READ_BYTES_MIN);
            self.small_reads = 0;
        }
        Ok(count)
    }
}

impl<R: AsyncReadRent> AsyncReadRent for Reader<R> {
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        let mut buffer = buffer;
        loop {
            let (result, same) = self.read_decrypted(buffer);
            buffer = same;
            match result {
                Ok(Some(count)) => return (Ok(count), buffer),
                Ok(None) => {}
                Err(error) => return (Err(error), buffer),
            }
            match self.fill().await {
                Ok(0) => return (Ok(0), buffer),
                Ok(_) => {}
                Err(error) => return (Err(error), buffer),
            }
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffers: T) -> BufResult<usize, T> {
        // Connections read into one buffer.
        (Err(ErrorKind::Unsupported.into()), buffers)
    }
}

/// Copies as much as fits.
fn copy<T: IoBufMut>(mut from: &[u8], to: T) -> (usize, T) {
    let mut reading = pin!(AsyncReadRent::read(&mut from, to));
    match reading
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready((Ok(count), to)) => (count, to),
        Poll::Ready((Err(_), to)) => (0, to),
        Poll::Pending => unreachable!("memory is read at once"),
    }
}

/// What the client gets, which is encrypted.
pub struct Writer<W> {
    /// Here until this is dropped.
    socket: Option<W>,
    /// Where it is then: a socket's writing half that is dropped ends that side of it.
    left_behind: Rc<Cell<Option<W>>>,
    session: Rc<RefCell<Session>>,
}

impl<W> Drop for Writer<W> {
    fn drop(&mut self) {
        self.left_behind.set(self.socket.take());
    }
}

impl<W: AsyncWriteRent> Writer<W> {
    /// Writes all of `pieces`, one behind the other.
    async fn write_all<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let mut together = SmallVec::<[IoSlice<'a>; 2]>::new();
        let (mut bytes, mut written) = (0, 0);
        for mut piece in pieces {
            while !piece.is_empty() {
                let (fits, rest) = piece.split_at(piece.len().min(WRITE_BYTES_MAX - bytes));
                together.push(IoSlice::new(fits));
                bytes += fits.len();
                piece = rest;
                if bytes == WRITE_BYTES_MAX {
                    self.write_encrypted(&together).await?;
                    together.clear();
                    written += mem::take(&mut bytes);
                }
            }
        }
        if bytes > 0 {
            self.write_encrypted(&together).await?;
        }
        Ok(written + bytes)
    }

    async fn write_encrypted(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Err(ErrorKind::NotConnected.into());
        };
        let cipher = self.session.borrow_mut().encrypt(pieces)?;
        self.session.borrow_mut().is_writing = true;
        // On an error the connection ends, and what is written would stand behind part of a record.
        socket.write_all(cipher).await.0?;
        self.session.borrow_mut().is_writing = false;
        Ok(())
    }
}

impl<W: AsyncWriteRent> Sink for Writer<W> {
    async fn write_chunk(&mut self, chunk: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        (self.write_all([&chunk[..]].into_iter()).await, chunk)
    }

    async fn write_shared(&mut self, piece: Bytes) -> io::Result<usize> {
        self.write_all([&piece[..]].into_iter()).await
    }

    async fn write_pieces(&mut self, pieces: Vectored) -> io::Result<usize> {
        self.write_all(pieces.pieces().iter().map(|piece| &piece[..]))
            .await
    }
}

/// What ends a session when both directions have gone.
pub struct Farewell<W> {
    left_behind: Rc<Cell<Option<W>>>,
    session: Rc<RefCell<Session>>,
}

impl<W: AsyncWriteRent> Farewell<W> {
    /// Tells the client that nothing comes any more, or what was wrong with what it sent.
    pub async fn send(self) {
        let Some(mut socket) = self.left_behind.take() else {
            return;
        };
        if let Some(cipher) = self.last_words() {
            // In a box: a connection is to be no larger for what comes at its end.
            let writing = Box::pin(socket.write_all(cipher));
            // Whether it hears makes no difference here.
            let _ = Box::pin(monoio::time::timeout(FAREWELL_TIME_MAX, writing)).await;
        }
    }

    /// `None` where nothing can be said behind what is written.
    fn last_words(&self) -> Option<Vec<u8>> {
        let session = &mut *self.session.borrow_mut();
        if session.is_writing {
            return None;
        }
        let mut cipher = Vec::new();
        session.rustls.send_close_notify();
        session.take_encrypted(&mut cipher).ok()?;
        Some(cipher)
    }
}
