//! The append-only log's format: commands as clients send them, one behind the other, so that a person can read it.
//!
//! ```text
//! log      record*
//! record   command                                         one change
//!          | MULTI [PERCORE.TX id shard shard ...] command* EXEC       changes that happen together, or not at all
//!          | "#MS:" milliseconds CR LF                     when what follows happened, in Unix time
//! command  "*" count CR LF ( "$" bytes CR LF text CR LF )*             RESP
//! ```
//!
//! SELECT names the database of what follows, as with a client. The time is the one by which a command decided what had expired, so that
//! replaying it decides the same. PERCORE.TX names a transaction over several shards, each of whose logs has a part of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::clock::UnixMillis;
use crate::rdb::Damage;

/// The command that names a transaction over several shards.
pub const TRANSACTION: &[u8] = b"PERCORE.TX";

/// What a line about time begins with.
const TIME: &[u8] = b"#MS:";

/// The longest line: a count, a length or a time.
const LINE_BYTES_MAX: u64 = 64;

/// Appends a command.
pub fn command<'a>(out: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut digits = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(digits.format(parts.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for part in parts {
        out.push(b'$');
        out.extend_from_slice(digits.format(part.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Says when what follows happened.
pub fn time(out: &mut Vec<u8>, now: UnixMillis) {
    out.extend_from_slice(TIME);
    out.extend_from_slice(itoa::Buffer::new().format(now.ms()).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Why a log cannot be read on.
#[derive(Debug)]
pub enum Stop {
    /// It ends in the middle of something that began at this offset: the write was cut off.
    Torn { at: u64 },
    /// What stands at the offset is no log.
    Damaged(Damage),
}

/// The next thing in a log.
#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    /// The arguments are in the reader.
    Command,
    Time(UnixMillis),
    End,
}

/// Reads a log from its beginning.
pub struct Reader {
    file: BufReader<File>,
    len: u64,
    at: u64,
    /// Arguments of the last command: bytes, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Reader {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            len: file.metadata()?.len(),
            file: BufReader::with_capacity(256 * 1024, file),
            at: 0,
            bytes: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Bytes read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that the file has.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The arguments of the command just read, the verb first.
    pub fn args(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .filter_map(|(start, &end)| self.bytes.get(start..end))
    }

    /// Reads the next thing.
    pub fn read(&mut self) -> Result<Record, Stop> {
        let began = self.at;
        if self.at == self.len {
            return Ok(Record::End);
        }
        let line = self.line(began)?;
        if let Some(digits) = line.strip_prefix(TIME) {
            let ms = number(digits).map(UnixMillis::new);
            return ms
                .map(Record::Time)
                .ok_or_else(|| damage(began, "a time that is no number"));
        }
        let count = line.strip_prefix(b"*").and_then(number);
        let Some(count) = count.filter(|count| *count > 0) else {
            return Err(damage(began, "no command begins here"));
        };
        self.bytes.clear();
        self.ends.clear();
        for _ in 0..count {
            let at = self.at;
            let line = self.line(began)?;
            let Some(len) = line.strip_prefix(b"$").and_then(number) else {
                return Err(damage(at, "an argument without its length"));
            };
            // Held against what is there before room is made for it.
            if len.saturating_add(2) > self.len - self.at {
                return Err(Stop::Torn { at: began });
            }
            let from = self.bytes.len();
            self.bytes.resize(from + len as usize, 0);
            let mut end = [0; 2];
            let read = self.file.read_exact(&mut self.bytes[from..]);
            read.and_then(|()| self.file.read_exact(&mut end))
                .map_err(|error| damage(at, &format!("cannot be read: {error}")))?;
            self.at += len + 2;
            if end != *b"\r\n" {
                return Err(damage(at, "an argument of another length than it says"));
            }
            self.ends.push(self.bytes.len());
        }
        Ok(Record::Command)
    }

    /// The next line without its end. What began at `began` is torn where there is none.
    fn line(&mut self, began: u64) -> Result<Vec<u8>, Stop> {
        let at = self.at;
        let mut line = Vec::new();
        let read = (&mut self.file)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|error| damage(at, &format!("cannot be read: {error}")))?;
        self.at += read as u64;
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(text.to_vec()),
            None if self.at == self.len => Err(Stop::Torn { at: began }),
            None => Err(damage(at, "a line that does not end")),
        }
    }
}

fn damage(at: u64, what: &str) -> Stop {
    Stop::Damaged(Damage {
        at,
        what: what.into(),
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<u8> {
        let mut out = Vec::new();
        time(&mut out, UnixMillis::new(1_700_000_000_123));
        command(&mut out, [&b"SET"[..], b"a\r\n", b""].into_iter());
        command(&mut out, [&b"DEL"[..], b"a\r\n"].into_iter());
        out
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, Result<(), Stop>) {
        let path = std::env::temp_dir().join(format!("percore-log-{}", fastrand::u64(..)));
        std::fs::write(&path, bytes).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut commands = Vec::new();
        loop {
            match reader.read() {
                Ok(Record::Command) => commands.push(reader.args().map(<[u8]>::to_vec).collect()),
                Ok(Record::Time(now)) => assert_eq!(now.ms(), 1_700_000_000_123),
                Ok(Record::End) => return (commands, Ok(())),
                Err(stop) => return (commands, Err(stop)),
            }
        }
    }

    #[test]
    fn commands_come_back() {
        let (commands, end) = read(&log());
        assert!(end.is_ok());
        assert_eq!(
            commands,
            [vec![&b"SET"[..], b"a\r\n", b""], vec![b"DEL", b"a\r\n"]]
        );
    }

    #[test]
    fn a_log_cut_anywhere_is_torn_at_the_beginning_of_a_record() {
        let whole = log();
        let starts = [0, 19, 19 + 28, whole.len()];
        for cut in 0..whole.len() {
            let begun = *starts.iter().rfind(|start| **start <= cut).unwrap();
            match read(&whole[..cut]).1 {
                Ok(()) => assert_eq!(begun, cut),
                Err(Stop::Torn { at }) => assert_eq!(at, begun as u64, "cut at {cut}"),
                Err(Stop::Damaged(damage)) => panic!("cut at {cut}: {damage}"),
            }
        }
    }

    #[test]
    fn what_is_no_log_is_told() {
        for bytes in [
            &b"hello\r\n"[..],
            b"*1\r\nPING\r\n",
            b"*1\r\n$4\r\nPINGxx",
            b"*0\r\n",
            b"#MS:x\r\n",
            &[b'*'; 100],
        ] {
            assert!(matches!(read(bytes).1, Err(Stop::Damaged(_))), "{bytes:?}");
        }
    }
}
