//! The least of a Redis client: enough to fill a server through a pipeline and to time one reply.
//!
//! An error reply is an `Err` here: no benchmark may take a refused command for a done one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use protocol::resp::{Scan, Value};

use crate::{Error, Result};

/// Commands on their way at once while filling: deep enough that the socket is not what is
/// measured.
const FILL_DEPTH: u64 = 256;
/// Elements that one command adds while a collection is filled.
const FILL_STEP: u64 = 100;
/// A server that is silent for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Bytes asked of a socket at a time, at least.
const READ_BYTES: usize = 16 * 1024;
/// The bytes of each value.
const VALUE: &[u8; 16] = b"abcdefghijklmnop";

/// A blocking connection to a server on this machine.
pub struct Connection {
    stream: TcpStream,
    output: Vec<u8>,
    /// What has arrived, of which the first `read` bytes are done with.
    arrived: Vec<u8>,
    read: usize,
}

/// The name of key `n`, 16 bytes for any `n` below 10^12. redis-benchmark names its keys the same
/// way, so that it finds what was filled here.
pub fn key(n: u64) -> String {
    format!("key:{n:012}")
}

/// Appends a command as servers read it.
pub fn encode(words: &[&[u8]], output: &mut Vec<u8>) {
    protocol::resp::encode::command(output, words.iter().copied());
}

impl Connection {
    /// Connects to `port` of 127.0.0.1.
    pub fn open(port: u16) -> Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Connection {
            stream,
            output: Vec::new(),
            arrived: Vec::new(),
            read: 0,
        })
    }

    /// Its socket, for who reads by himself: nothing may have been read ahead.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Adds a command to those that `flush` will send.
    pub fn queue(&mut self, words: &[&[u8]]) {
        encode(words, &mut self.output);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Sends commands that are encoded already.
    pub fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(commands)?)
    }

    /// Reads what must be `expected`; `room` is where to.
    pub fn expect(&mut self, expected: &[u8], room: &mut Vec<u8>) -> Result<()> {
        room.clear();
        let ahead = self.arrived.len().min(self.read + expected.len());
        room.extend_from_slice(&self.arrived[self.read..ahead]);
        self.read = ahead;
        let had = room.len();
        room.resize(expected.len(), 0);
        self.stream.read_exact(&mut room[had..])?;
        if room == expected {
            Ok(())
        } else {
            Err(format!("unexpected: {:?}", String::from_utf8_lossy(room)).into())
        }
    }

    /// Reads so many replies, whatever they are but errors.
    pub fn pass_over(&mut self, replies: usize) -> Result<()> {
        for _ in 0..replies {
            self.next_reply()?;
        }
        Ok(())
    }

    /// The bytes of the next reply. An error, also one within it, is an `Err`.
    fn next_reply(&mut self) -> Result<&[u8]> {
        let mut scan = Scan::default();
        loop {
            if let Some(len) = scan.end(&self.arrived[self.read..])? {
                self.read += len;
                let reply = &self.arrived[self.read - len..self.read];
                return if scan.has_error() {
                    Err(unexpected(reply))
                } else {
                    Ok(reply)
                };
            }
            self.receive()?;
        }
    }

    /// Reads more behind what is not done with.
    fn receive(&mut self) -> Result<()> {
        self.arrived.drain(..self.read);
        self.read = 0;
        let had = self.arrived.len();
        // Grows with what is there, so that a large reply takes few reads.
        self.arrived.resize(had + READ_BYTES.max(had), 0);
        let read = self.stream.read(&mut self.arrived[had..]);
        self.arrived.truncate(had + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            return Err("the server has hung up".into());
        }
        Ok(())
    }

    /// Sends one command and waits for its reply.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<String> {
        self.queue(words);
        self.flush()?;
        self.reply()
    }

    /// The next reply as text: a status, an integer, or a key's value, empty where there is none.
    pub fn reply(&mut self) -> Result<String> {
        let reply = self.next_reply()?;
        match Value::read(reply)? {
            Value::Simple(text) | Value::Bulk(text) => Ok(String::from_utf8(text)?),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Null(_) => Ok(String::new()),
            _ => Err(unexpected(reply)),
        }
    }

    /// Sets the keys of `range`, all in one pipeline's depth, and waits until the server has done
    /// so.
    pub fn set_batch(&mut self, range: Range<u64>) -> Result<()> {
        for n in range.clone() {
            self.queue(&[b"SET", key(n).as_bytes(), VALUE]);
        }
        self.flush()?;
        for _ in range {
            self.reply()?;
        }
        Ok(())
    }

    /// Sends all of `commands`, some hundred at a time, and waits until the server has done them.
    pub fn run_all(&mut self, commands: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
        let mut commands = commands.into_iter();
        loop {
            let mut sent = 0;
            while sent < FILL_DEPTH
                && let Some(command) = commands.next()
            {
                let words: Vec<&[u8]> = command.iter().map(String::as_bytes).collect();
                self.queue(&words);
                sent += 1;
            }
            if sent == 0 {
                return Ok(());
            }
            self.flush()?;
            for _ in 0..sent {
                self.reply()?;
            }
        }
    }

    /// Adds the elements 0 to `count` to the collection at `key`, [`FILL_STEP`] by a command: `verb
    /// key`, then the words of each element.
    pub fn fill_collection(
        &mut self,
        verb: &str,
        key: &str,
        count: u64,
        element: impl Fn(u64) -> Vec<String>,
    ) -> Result<()> {
        let step = usize::try_from(FILL_STEP)?;
        self.run_all((0..count).step_by(step).map(|first| {
            let elements = first..count.min(first + FILL_STEP);
            let head = [verb.to_string(), key.to_string()];
            head.into_iter()
                .chain(elements.flat_map(&element))
                .collect()
        }))
    }

    /// Sets the keys from 0 up to `keys`, at least one, and checks that the last is there.
    pub fn fill(&mut self, keys: u64) -> Result<()> {
        let mut next = 0;
        while next < keys {
            let end = keys.min(next + FILL_DEPTH);
            self.set_batch(next..end)?;
            next = end;
        }
        let last = self.ask(&[b"GET", key(keys - 1).as_bytes()])?;
        if last.as_bytes() == VALUE {
            Ok(())
        } else {
            Err("the last key filled is not there".into())
        }
    }
}

fn unexpected(reply: &[u8]) -> Error {
    format!("unexpected reply: {}", protocol::resp::value::show(reply)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sixteen_bytes() {
        assert_eq!(key(0).len(), 16);
        assert_eq!(key(4_999_999), "key:000004999999");
    }

    #[test]
    fn replies_are_told_apart() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap().port()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server
            .write_all(
                b"+OK\r\n:7\r\n$-1\r\n$4\r\na\r\nb\r\n-ERR no\r\n*1\r\n-ERR\r\n*1\r\n+OK\r\n!",
            )
            .unwrap();
        for expected in ["OK", "7", "", "a\r\nb"] {
            assert_eq!(connection.reply().unwrap(), expected);
        }
        assert!(connection.reply().is_err());
        assert!(connection.pass_over(1).is_err(), "an error within");
        connection.pass_over(1).unwrap();
        connection.expect(b"!", &mut Vec::new()).unwrap();
        drop(server);
        assert!(
            connection.reply().is_err(),
            "a closed connection is no reply"
        );
    }
}
