//! The append-only log's format: commands as clients send them, one behind the other, so that a
//! person can read it.
//!
//! ```text
//! log      record*
//! record   command                                      one change
//!          | MULTI [PERCORE.TX id shard shard ...] command* EXEC
//!                                                    changes that happen together, or not at all
//!          | "#MS:" milliseconds CR LF                  when what follows happened, in Unix time
//!          | "#TS:" seconds CR LF                       Redis's note of the time: changes nothing
//! command  "*" count CR LF ( "$" bytes CR LF text CR LF )*     RESP
//! ```
//!
//! SELECT names the database of what follows, as with a client. The time is the one by which a
//! command decided what had expired, so that replaying it decides the same. PERCORE.TX names a
//! transaction over several shards, each of whose logs has a part of it.

use std::io;
use std::ops::Range;

use protocol::resp::element::{self, Bounds, Element, Malformed, Read as Piece, Reason};
use protocol::resp::header;

use crate::clock::UnixMillis;
use crate::rdb::Damage;
use crate::read_at::ReadAt;

pub use protocol::resp::encode::{command, command_as_sent};

/// The command that names a transaction over several shards.
pub const TRANSACTION: &[u8] = b"PERCORE.TX";

/// What a line about time begins with.
const TIME: &[u8] = b"#MS:";

/// What a line begins with that Redis notes the time by (`aof-timestamp-enabled`).
const NOTE: &[u8] = b"#TS:";

/// The longest line about time.
const LINE_BYTES_MAX: usize = 64;

/// What is wrong where a record should begin.
const NO_COMMAND: &str = "no command begins here";

/// What is wrong where an argument should begin.
const NO_LENGTH: &str = "an argument without its length";

/// Bytes asked of a file at a time.
const CHUNK_BYTES: usize = 256 * 1024;

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
    /// When what follows happened.
    Time(UnixMillis),
    /// A line that changes nothing.
    Note,
    /// The log ends here, behind a whole record.
    End,
}

/// Reads a log from its beginning, through a window that holds the record at hand: as large as
/// that, never as what it only claims to be.
pub struct Reader {
    file: Box<dyn ReadAt>,
    len: u64,
    window: Vec<u8>,
    /// Where the window begins in the file.
    offset: u64,
    /// The record at hand begins here in the window; the next one, where `next` says.
    begins: usize,
    next: usize,
    /// Arguments of the last command, as places behind `begins`.
    args: Vec<Range<usize>>,
}

impl Reader {
    /// Reads a file of `len` bytes from an offset on, where a record begins.
    pub fn new(file: Box<dyn ReadAt>, len: u64, offset: u64) -> Self {
        Self {
            len: len.max(offset),
            file,
            window: Vec::new(),
            offset,
            begins: 0,
            next: 0,
            args: Vec::new(),
        }
    }

    /// Bytes read.
    pub fn at(&self) -> u64 {
        self.offset + self.next as u64
    }

    /// Bytes that the file has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True where the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the command just read, and where in them its arguments are.
    pub fn command(&self) -> (&[u8], &[Range<usize>]) {
        (&self.window[self.begins..self.next], &self.args)
    }

    /// The arguments of the command just read, the verb first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (bytes, args) = self.command();
        args.iter().map(|arg| &bytes[arg.clone()])
    }

    /// Reads the next thing.
    pub fn read(&mut self) -> Result<Record, Stop> {
        match self.read_record() {
            Err(Stop::Damaged(damage)) => {
                Err(self.torn_by_zeros().unwrap_or(Stop::Damaged(damage)))
            }
            read => read,
        }
    }

    /// What stands behind this is zeros to the end of the file: it is longer than what was written
    /// into it, as some file systems leave one behind. `None` where that does not explain what is
    /// wrong with the record at hand.
    #[cold]
    fn torn_by_zeros(&mut self) -> Option<Stop> {
        let len = self.len;
        self.len = self.end_of_content().ok()?.max(self.begins());
        self.next = self.begins;
        if self.len == len {
            return None;
        }
        let read = self.read_record();
        self.len = len;
        match read {
            Ok(Record::End) => Some(self.torn()),
            Err(torn @ Stop::Torn { .. }) => Some(torn),
            _ => None,
        }
    }

    /// Where the last byte ends that is not zero.
    fn end_of_content(&self) -> io::Result<u64> {
        let mut end = self.len;
        let mut bytes = vec![0; CHUNK_BYTES];
        while end > 0 {
            let from = end.saturating_sub(CHUNK_BYTES as u64);
            let some = &mut bytes[..(end - from) as usize];
            self.file.read_exact_at(some, from)?;
            match some.iter().rposition(|byte| *byte != 0) {
                Some(last) => return Ok(from + last as u64 + 1),
                None => end = from,
            }
        }
        Ok(0)
    }

    fn read_record(&mut self) -> Result<Record, Stop> {
        self.begins = self.next;
        if self.at() == self.len {
            return Ok(Record::End);
        }
        self.fill(1)?;
        if self.window[self.begins] == b'*' {
            self.read_command()
        } else {
            self.read_line()
        }
    }

    /// A line about time.
    fn read_line(&mut self) -> Result<Record, Stop> {
        let left = usize::try_from(self.len - self.begins()).unwrap_or(usize::MAX);
        self.fill(left.min(LINE_BYTES_MAX))?;
        let (line, end) = match element::line(self.record(), LINE_BYTES_MAX) {
            Ok(Some(found)) => found,
            Ok(None) => return Err(self.torn()),
            Err(malformed) => return Err(self.malformed(0, malformed, NO_COMMAND)),
        };
        let record = if let Some(digits) = line.strip_prefix(TIME) {
            let now = header::digits(digits).map(UnixMillis::new);
            Record::Time(now.ok_or_else(|| self.damage(0, "a time that is no number"))?)
        } else if line.strip_prefix(NOTE).and_then(header::digits).is_some() {
            Record::Note
        } else {
            return Err(self.damage(0, NO_COMMAND));
        };
        self.next = self.begins + end;
        Ok(record)
    }

    fn read_command(&mut self) -> Result<Record, Stop> {
        let (count, mut end) = self.element(0, b'*', NO_COMMAND)?;
        if count == 0 {
            return Err(self.damage(0, NO_COMMAND));
        }
        self.args.clear();
        for _ in 0..count {
            let (len, next) = self.element(end, b'$', NO_LENGTH)?;
            let text_end = next - header::LINE_END.len();
            self.args.push(text_end - len..text_end);
            end = next;
        }
        self.next = self.begins + end;
        Ok(Record::Command)
    }

    /// Reads the element of `kind` that begins `at` bytes into the record: the number in its
    /// header, and where it ends in the record. `wrong` tells what is wrong where something else is
    /// there.
    #[inline]
    fn element(&mut self, at: usize, kind: u8, wrong: &str) -> Result<(usize, usize), Stop> {
        loop {
            let there = &self.record()[at..];
            if there.first().is_some_and(|byte| *byte != kind) {
                return Err(self.misplaced(at, wrong));
            }
            match element::read(there, &Bounds::NONE) {
                Ok(Piece::Whole { element, len }) => {
                    return match element {
                        Element::Array(count) => Ok((count, at + len)),
                        Element::Bulk(text) => Ok((text.len(), at + len)),
                        _ => Err(self.damage(at, wrong)),
                    };
                }
                Ok(Piece::Incomplete { needed }) => {
                    // Held against what the file has before room is made for it.
                    let needed = at.saturating_add(needed);
                    if needed as u64 > self.len - self.begins() {
                        return Err(self.torn());
                    }
                    self.fill(needed)?;
                }
                Err(malformed) => return Err(self.malformed(at, malformed, wrong)),
            }
        }
    }

    /// Something else than what is due begins `at` bytes into the record: `wrong`, if its line is
    /// whole.
    #[cold]
    fn misplaced(&mut self, at: usize, wrong: &str) -> Stop {
        let left = self.len - self.begins() - at as u64;
        let looked_at =
            usize::try_from(left).map_or(LINE_BYTES_MAX, |left| left.min(LINE_BYTES_MAX));
        if let Err(stop) = self.fill(at + looked_at) {
            return stop;
        }
        match element::line(&self.record()[at..], LINE_BYTES_MAX) {
            Ok(Some(_)) => self.damage(at, wrong),
            Ok(None) => self.torn(),
            Err(malformed) => self.malformed(at, malformed, wrong),
        }
    }

    /// What the codec says of what begins `at` bytes into the record.
    #[cold]
    fn malformed(&self, at: usize, malformed: Malformed, wrong: &str) -> Stop {
        let what = match malformed.reason {
            Reason::LineEnd | Reason::LineTooLong => "a line that does not end",
            Reason::BulkEnd => "an argument of another length than it says",
            _ => wrong,
        };
        self.damage(at + malformed.at, what)
    }

    /// What the window has of the record at hand and of what follows it, up to the end of the log.
    #[inline]
    fn record(&self) -> &[u8] {
        let end = usize::try_from(self.len - self.offset).unwrap_or(usize::MAX);
        &self.window[self.begins..self.window.len().min(end)]
    }

    /// Where the record at hand begins in the file.
    fn begins(&self) -> u64 {
        self.offset + self.begins as u64
    }

    fn torn(&self) -> Stop {
        Stop::Torn { at: self.begins() }
    }

    /// `at` is a place in the record at hand.
    fn damage(&self, at: usize, what: &str) -> Stop {
        damage(self.begins() + at as u64, what)
    }

    /// Sees to it that the window has so many bytes of the record at hand, of which the file has as
    /// many.
    #[inline]
    fn fill(&mut self, bytes: usize) -> Result<(), Stop> {
        if self.window.len() - self.begins >= bytes {
            Ok(())
        } else {
            self.fill_more(bytes)
        }
    }

    #[cold]
    fn fill_more(&mut self, bytes: usize) -> Result<(), Stop> {
        self.window.drain(..self.begins);
        self.offset += self.begins as u64;
        self.begins = 0;
        let had = self.window.len();
        let left = self.len - self.offset - had as u64;
        let wanted = (bytes - had).max(CHUNK_BYTES) as u64;
        self.window.resize(had + wanted.min(left) as usize, 0);
        self.window.shrink_to(CHUNK_BYTES);
        let at = self.offset + had as u64;
        let read = self.file.read_exact_at(&mut self.window[had..], at);
        read.map_err(|error| self.damage(had, &format!("cannot be read: {error}")))
    }
}

fn damage(at: u64, what: &str) -> Stop {
    Stop::Damaged(Damage {
        at,
        what: what.into(),
    })
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
        let mut reader = Reader::new(Box::new(bytes.to_vec()), bytes.len() as u64, 0);
        let mut commands = Vec::new();
        loop {
            match reader.read() {
                Ok(Record::Command) => commands.push(reader.args().map(<[u8]>::to_vec).collect()),
                Ok(Record::Time(now)) => assert_eq!(now.ms(), 1_700_000_000_123),
                Ok(Record::Note) => {}
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
    fn notes_of_redis_are_passed_over() {
        let (commands, end) = read(b"#TS:1700000000\r\n*1\r\n$4\r\nPING\r\n#TS:1\r\n");
        assert!(end.is_ok());
        assert_eq!(commands, [[b"PING"]]);
    }

    #[test]
    fn lengths_of_any_size_come_back() {
        for len in [0, 1, 9, 10, 11, 99, 100, 101, 12_345] {
            let text = vec![b'x'; len];
            let many: Vec<&[u8]> = vec![&text; len.clamp(1, 101)];
            let mut out = Vec::new();
            command(&mut out, many.iter().copied());
            let begin = format!("*{}\r\n${len}\r\n", many.len());
            assert!(out.starts_with(begin.as_bytes()), "{len}");
            let (commands, end) = read(&out);
            assert!(end.is_ok(), "{len}");
            assert_eq!(commands, [many], "{len}");
        }
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
    fn zeros_at_the_end_are_no_damage() {
        let whole = log();
        let starts = [0, 19, 19 + 28, whole.len()];
        for cut in 0..=whole.len() {
            let begun = *starts.iter().rfind(|start| **start <= cut).unwrap();
            let mut zeros = whole[..cut].to_vec();
            zeros.resize(cut + 100, 0);
            match read(&zeros).1 {
                Err(Stop::Torn { at }) => assert_eq!(at, begun as u64, "cut at {cut}"),
                other => panic!("cut at {cut}: {other:?}"),
            }
            zeros.push(b'x');
            assert!(
                matches!(read(&zeros).1, Err(Stop::Damaged(_))),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_is_not_whole_is_torn_whatever_it_is() {
        for bytes in [
            &b"h"[..],
            b"*",
            b"*1\r",
            b"*1\r\nPIN",
            b"*1\r\n$4\r\nPIN",
            b"*1\r\n$18446744073709551615\r\nPING\r\n",
            b"*99999\r\n",
            b"#MS:1",
        ] {
            assert!(
                matches!(read(bytes).1, Err(Stop::Torn { at: 0 })),
                "{bytes:?}"
            );
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
            b"#TS:x\r\n",
            b"#\r\n",
            b"*-1\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n+PING\r\n",
            &[b'*'; 100],
            &[b'h'; 100],
        ] {
            assert!(matches!(read(bytes).1, Err(Stop::Damaged(_))), "{bytes:?}");
        }
    }
}
