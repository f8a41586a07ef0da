//! The least of a Redis client: enough to fill a server through a pipeline and to time one reply.
//!
//! An error reply is an `Err` here: no benchmark may take a refused command for a done one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use crate::{Error, Result};

/// Commands on their way at once while filling: deep enough that the socket is not what is measured.
const FILL_DEPTH: u64 = 256;
/// A server that is silent for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A reply larger than this is no answer to anything asked here.
const BULK_BYTES_MAX: usize = 1 << 20;
/// The bytes of each value.
const VALUE: &[u8; 16] = b"abcdefghijklmnop";

/// A blocking connection to a server on this machine.
pub struct Connection {
    stream: BufReader<TcpStream>,
    output: Vec<u8>,
    line: String,
}

/// What a server may answer here.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`, `+PONG`.
    Status(String),
    /// `:n`.
    Integer(i64),
    /// `$n`: the value of a key.
    Bulk(Vec<u8>),
    /// `$-1`: no such key.
    Nil,
}

/// The name of key `n`, 16 bytes for any `n` below 10^12. redis-benchmark names its keys the same way, so that it finds what was filled here.
pub fn key(n: u64) -> String {
    format!("key:{n:012}")
}

impl Connection {
    /// Connects to `port` of 127.0.0.1.
    pub fn open(port: u16) -> Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Connection {
            stream: BufReader::new(stream),
            output: Vec::new(),
            line: String::new(),
        })
    }

    /// Adds a command to those that `flush` will send.
    pub fn queue(&mut self, words: &[&[u8]]) {
        self.output
            .extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.output
                .extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.output.extend_from_slice(word);
            self.output.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Sends one command and waits for its reply.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Reply> {
        self.queue(words);
        self.flush()?;
        self.reply()
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Reply> {
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        let line = self.line.trim_end();
        let unexpected = || Error::from(format!("unexpected reply: {line:?}"));
        match line.split_at_checked(1).ok_or_else(unexpected)? {
            ("+", text) => Ok(Reply::Status(text.to_string())),
            (":", text) => Ok(Reply::Integer(text.parse()?)),
            ("$", "-1") => Ok(Reply::Nil),
            ("$", text) => {
                let length: usize = text.parse()?;
                if length > BULK_BYTES_MAX {
                    return Err(unexpected());
                }
                let mut bulk = vec![0; length + 2];
                self.stream.read_exact(&mut bulk)?;
                bulk.truncate(length);
                Ok(Reply::Bulk(bulk))
            }
            _ => Err(unexpected()),
        }
    }

    /// Sets the keys of `range`, all in one pipeline's depth, and waits until the server has done so.
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

    /// Sets the keys from 0 up to `keys` and checks that the server holds as many.
    pub fn fill(&mut self, keys: u64) -> Result<()> {
        let mut next = 0;
        while next < keys {
            let end = keys.min(next + FILL_DEPTH);
            self.set_batch(next..end)?;
            next = end;
        }
        match self.ask(&[b"DBSIZE"])? {
            Reply::Integer(held) if u64::try_from(held) == Ok(keys) => Ok(()),
            other => Err(format!("filled {keys} keys, yet DBSIZE says {other:?}").into()),
        }
    }
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
            .write_all(b"+OK\r\n:7\r\n$-1\r\n$4\r\na\r\nb\r\n-ERR no\r\n")
            .unwrap();
        assert_eq!(connection.reply().unwrap(), Reply::Status("OK".to_string()));
        assert_eq!(connection.reply().unwrap(), Reply::Integer(7));
        assert_eq!(connection.reply().unwrap(), Reply::Nil);
        assert_eq!(connection.reply().unwrap(), Reply::Bulk(b"a\r\nb".to_vec()));
        assert!(connection.reply().is_err());
        drop(server);
        assert!(
            connection.reply().is_err(),
            "a closed connection is no reply"
        );
    }
}
