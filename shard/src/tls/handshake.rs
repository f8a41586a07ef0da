//! The handshake of a connection, which ends with both sides knowing the keys.
//!
//! Until then nothing that the client sends is a command, and it may send anything: RESP, HTTP, one
//! byte a second, nothing. rustls bounds what it keeps of that; the time is bounded here, and the
//! number of handshakes in [`super::Tls`].

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use monoio::buf::IoBufMut;
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Split,
    Splitable,
};
use rustls::{ServerConfig, ServerConnection};

use crate::tls::stream::{self, Farewell, Reader, Writer};

/// How long a handshake may take.
pub const TIME_MAX: Duration = Duration::from_secs(10);

/// Room for a read of the socket: a client's part is some hundred bytes, more with certificates.
const READ_BYTES: usize = 4 * 1024;

/// A connection that is encrypted from here on.
pub struct Encrypted<S: AsyncWriteRent> {
    pub reader: Reader<OwnedReadHalf<S>>,
    pub writer: Writer<OwnedWriteHalf<S>>,
    pub farewell: Farewell<OwnedWriteHalf<S>>,
}

/// Why there is no such connection.
pub enum Failed {
    /// The client left before it had sent anything: it only looked whether somebody listens.
    NothingCame,
    /// What came was no handshake, or none that can be agreed to.
    Because(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Because(error)
    }
}

/// Does the server's part of a handshake. A client that is refused is told why first, in TLS's
/// alerts.
pub async fn accept<S>(settings: Arc<ServerConfig>, socket: S) -> Result<Encrypted<S>, Failed>
where
    S: AsyncReadRent + AsyncWriteRent + Split,
{
    let (mut read_half, mut write_half) = socket.into_split();
    let mut rustls = ServerConnection::new(settings).map_err(io::Error::other)?;
    let mut cipher = Vec::with_capacity(READ_BYTES);
    let mut has_come = false;
    let unread = loop {
        cipher.clear();
        let (result, slice) = read_half.read(cipher.slice_mut(..READ_BYTES)).await;
        cipher = slice.into_inner();
        let count = result?;
        cipher.truncate(count);
        if count == 0 {
            return Err(if has_come {
                Failed::Because(ErrorKind::UnexpectedEof.into())
            } else {
                Failed::NothingCame
            });
        }
        has_come = true;
        let mut unread = &cipher[..];
        let taken = take(&mut rustls, &mut unread);
        let unread = unread.len();
        let mut answer = Vec::new();
        while rustls.wants_write() {
            rustls.write_tls(&mut answer)?;
        }
        let written = write_half.write_all(answer).await.0;
        taken?;
        written?;
        if !rustls.is_handshaking() {
            break unread;
        }
    };
    cipher.drain(..cipher.len() - unread);
    let (reader, writer, farewell) = stream::split(rustls, (read_half, write_half), cipher);
    Ok(Encrypted {
        reader,
        writer,
        farewell,
    })
}

/// Lets rustls have what has come, up to the end of the handshake.
fn take(rustls: &mut ServerConnection, unread: &mut &[u8]) -> io::Result<()> {
    while !unread.is_empty() && rustls.is_handshaking() {
        rustls.read_tls(unread)?;
        let state = rustls
            .process_new_packets()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if state.peer_has_closed() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}
