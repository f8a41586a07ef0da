//! The least of a Redis client: enough to fill a server through a pipeline and to time one reply.
//!
//! An error reply is an `Err` here: no benchmark may take a refused command for a done one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::Result;

/// Commands on their way at once while filling: deep enough that the socket is not what is measured.
const FILL_DEPTH: u64 = 256;
/// Elements that one command adds while a collection is filled.
const FILL_STEP: u64 = 100;
/// A server that is silent for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// The bytes of each value.
const VALUE: &[u8; 16] = b"abcdefghijklmnop";

/// A blocking connection to a server on this machine.
pub struct Connection {
    stream: BufReader<TcpStream>,
    output: Vec<u8>,
    line: String,
}

/// The name of key `n`, 16 bytes for any `n` below 10^12. redis-benchmark names its keys the same way, so that it finds what was filled here.
pub fn key(n: u64) -> String {
    format!("key:{n:012}")
}

/// Appends a command as servers read it.
pub fn encode(words: &[&[u8]], output: &mut Vec<u8>) {
    output.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        output.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        output.extend_from_slice(word);
        output.extend_from_slice(b"\r\n");
    }
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

    /// Its socket, for who reads by himself: nothing may have been read ahead.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }

    /// Adds a command to those that `flush` will send.
    pub fn queue(&mut self, words: &[&[u8]]) {
        encode(words, &mut self.output);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Sends commands that are encoded already.
    pub fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(commands)?)
    }

    /// Reads what must be `expected`; `room` is where to.
    pub fn expect(&mut self, expected: &[u8], room: &mut Vec<u8>) -> Result<()> {
        room.resize(expected.len(), 0);
        self.stream.read_exact(room)?;
        match room == expected {
            true => Ok(()),
            false => Err(format!("unexpected: {:?}", String::from_utf8_lossy(room)).into()),
        }
    }

    /// Reads so many replies, whatever they are but errors.
    pub fn pass_over(&mut self, replies: usize) -> Result<()> {
        let mut left = replies;
        while left > 0 {
            left -= 1;
            self.line.clear();
            self.stream.read_line(&mut self.line)?;
            match self.line.trim_end().split_at_checked(1) {
                Some(("+" | ":", _)) | Some(("$" | "*", "-1")) => {}
                Some(("$", text)) => {
                    let mut bulk = text.parse::<usize>()? + 2;
                    while bulk > 0 {
                        let there = self.stream.fill_buf()?.len().min(bulk);
                        if there == 0 {
                            return Err("the server has hung up".into());
                        }
                        self.stream.consume(there);
                        bulk -= there;
                    }
                }
                Some(("*" | "~", text)) => left += text.parse::<usize>()?,
                Some(("%", text)) => left += 2 * text.parse::<usize>()?,
                _ => return Err(format!("unexpected reply: {:?}", self.line).into()),
            }
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
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        match self.line.trim_end().split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.to_string()),
            Some(("$", "-1")) => Ok(String::new()),
            Some(("$", text)) => {
                let length: u16 = text.parse()?;
                let mut bulk = vec![0; usize::from(length) + 2];
                self.stream.read_exact(&mut bulk)?;
                bulk.truncate(length.into());
                Ok(String::from_utf8(bulk)?)
            }
            _ => Err(format!("unexpected reply: {:?}", self.line).into()),
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

    /// Adds the elements 0 to `count` to the collection at `key`, [`FILL_STEP`] by a command: `verb key`, then the words of each element.
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
        for expected in ["OK", "7", "", "a\r\nb"] {
            assert_eq!(connection.reply().unwrap(), expected);
        }
        assert!(connection.reply().is_err());
        drop(server);
        assert!(
            connection.reply().is_err(),
            "a closed connection is no reply"
        );
    }
}
