//! A connection that deals in bytes: it sends what it is told, whole or cut, and hands back replies
//! exactly as they came.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::reply::{Scan, Value, show};
use crate::tls::Encrypted;

/// How long any one reply may take. Generous, for a debug build on a busy machine: a test that
/// meets it has found a reply that never came.
pub const REPLY_TIME_MAX: Duration = Duration::from_secs(20);

const READ_SIZE: usize = 64 * 1024;

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Encrypted>),
}

impl Socket {
    fn stream(&mut self) -> &mut dyn ReadAndWrite {
        match self {
            Socket::Tcp(socket) => socket,
            Socket::Unix(socket) => socket,
            Socket::Tls(socket) => socket,
        }
    }
}

trait ReadAndWrite: Read + Write {}

impl<S: Read + Write> ReadAndWrite for S {}

/// A connection to a server. Every wait is bounded by [`REPLY_TIME_MAX`] a read.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    /// What has arrived and was not asked for yet.
    arrived: Vec<u8>,
}

impl Wire {
    /// Connects over TCP.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn connect(address: SocketAddr) -> std::io::Result<Wire> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Wire::over(Socket::Tcp(socket))
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn connect_unix(path: &Path) -> std::io::Result<Wire> {
        Wire::over(Socket::Unix(UnixStream::connect(path)?))
    }

    /// Connects over TCP and does TLS's handshake.
    ///
    /// # Errors
    /// Where nobody listens, or the server or its certificate is refused.
    pub fn connect_tls(address: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<Wire> {
        let mut encrypted = Encrypted::connect(address, tls)?;
        encrypted.socket.time_limit(REPLY_TIME_MAX)?;
        encrypted.shake_hands()?;
        Wire::over(Socket::Tls(Box::new(encrypted)))
    }

    /// Goes on with what has had its handshake already.
    ///
    /// # Errors
    /// Where the socket refuses a time limit.
    pub fn over_tls(encrypted: Encrypted) -> std::io::Result<Wire> {
        Wire::over(Socket::Tls(Box::new(encrypted)))
    }

    /// What it is encrypted with.
    ///
    /// # Panics
    /// Where it is not.
    pub fn encrypted(&mut self) -> &mut Encrypted {
        match &mut self.socket {
            Socket::Tls(encrypted) => encrypted,
            _ => panic!("this connection is plain"),
        }
    }

    fn over(socket: Socket) -> std::io::Result<Wire> {
        let wire = Wire {
            socket,
            arrived: Vec::new(),
        };
        wire.time_limit(REPLY_TIME_MAX)?;
        Ok(wire)
    }

    /// How long reads and writes wait from now on.
    ///
    /// # Errors
    /// Where the socket refuses.
    pub fn time_limit(&self, limit: Duration) -> std::io::Result<()> {
        match &self.socket {
            Socket::Tcp(socket) => {
                socket.set_read_timeout(Some(limit))?;
                socket.set_write_timeout(Some(limit))
            }
            Socket::Unix(socket) => {
                socket.set_read_timeout(Some(limit))?;
                socket.set_write_timeout(Some(limit))
            }
            Socket::Tls(encrypted) => encrypted.socket.time_limit(limit),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Where the server has closed or does not read.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stream = self.socket.stream();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// Where the server has closed or does not read.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes)
            .unwrap_or_else(|error| panic!("sending {}: {error}", show(bytes)));
    }

    /// The bytes of the next whole reply, `None` where the server has closed.
    ///
    /// # Errors
    /// Where it does not come in time, or the connection breaks.
    pub fn try_reply(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut scan = Scan::default();
        loop {
            if let Some(end) = scan.end(&self.arrived) {
                let rest = self.arrived.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.arrived, rest)));
            }
            if self.fill()? == 0 {
                return if self.arrived.is_empty() {
                    Ok(None)
                } else {
                    Err(std::io::Error::new(
                        ErrorKind::UnexpectedEof,
                        format!("closed within a reply: {}", show(&self.arrived)),
                    ))
                };
            }
        }
    }

    /// The bytes of the next whole reply.
    ///
    /// # Panics
    /// Where it does not come.
    pub fn reply(&mut self) -> Vec<u8> {
        match self.try_reply() {
            Ok(Some(reply)) => reply,
            Ok(None) => panic!("the server closed where a reply was due"),
            Err(error) => panic!("no reply: {error}; so far {}", show(&self.arrived)),
        }
    }

    /// The next reply as a tree.
    ///
    /// # Panics
    /// Where it does not come.
    pub fn value(&mut self) -> Value {
        Value::parse(&self.reply())
    }

    /// Fills a list with so many numbers in no order: something to sort, which takes a while.
    ///
    /// # Panics
    /// Where the connection ends.
    pub fn fill_list(&mut self, key: &str, numbers: usize) {
        const PUSHED: usize = 10_000;
        for from in (0..numbers).step_by(PUSHED) {
            let shuffled =
                (from..numbers.min(from + PUSHED)).map(|n| (n * 7919 % numbers).to_string());
            let words: Vec<String> = ["RPUSH".to_owned(), key.to_owned()]
                .into_iter()
                .chain(shuffled)
                .collect();
            let mut command = Vec::new();
            encode(&words, &mut command);
            self.send(&command);
            self.reply();
        }
    }

    /// Sends one command.
    ///
    /// # Panics
    /// Where the server has closed.
    pub fn send_command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        let mut bytes = Vec::new();
        encode(arguments, &mut bytes);
        self.send(&bytes);
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Panics
    /// Where none comes.
    pub fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Value {
        self.send_command(arguments);
        self.value()
    }

    /// Sends a command written as words with blanks between. One with a quote goes as it stands:
    /// the server parts it.
    ///
    /// # Panics
    /// Where the server has closed.
    pub fn send_words(&mut self, words: &str) {
        if words.contains('"') {
            self.send(format!("{words}\r\n").as_bytes());
        } else {
            let arguments: Vec<&str> = words.split_whitespace().collect();
            self.send_command(&arguments);
        }
    }

    /// Sends a command written as [`Wire::send_words`] has it, and waits for its reply.
    ///
    /// # Panics
    /// Where none comes.
    pub fn ask(&mut self, words: &str) -> Value {
        self.send_words(words);
        self.value()
    }

    /// Everything that arrives until the server closes. A reset counts as a close: the server may
    /// have had unread bytes.
    ///
    /// # Panics
    /// Where the server does not close in time.
    pub fn until_closed(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("not closed: {error}; so far {}", show(&self.arrived)),
            }
        }
        std::mem::take(&mut self.arrived)
    }

    /// Tells the server that nothing more will be sent; replies can still be read. It may have
    /// closed by now.
    ///
    /// # Panics
    /// Where the socket refuses.
    pub fn finish_sending(&mut self) {
        let shut = match &self.socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
            Socket::Tls(encrypted) => encrypted.socket.finish_sending(),
        };
        match shut {
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            shut => shut.expect("shutting down the sending half"),
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let before = self.arrived.len();
        // Grow with what is there, so that a reply of many megabytes takes few reads.
        self.arrived.resize(before + READ_SIZE.max(before / 4), 0);
        let read = loop {
            match self.socket.stream().read(&mut self.arrived[before..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.arrived.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }
}

/// Appends a command as an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A], bytes: &mut Vec<u8>) {
    protocol::resp::encode::command(bytes, arguments.iter().map(AsRef::as_ref));
}
