//! The append-only log's format: commands as clients send them, one behind the other, so that a person can read it.
//!
//! ```text
//! log      record*
//! record   command                                         one change
//!          | MULTI [PERCORE.TX id shard shard ...] command* EXEC       changes that happen together, or not at all
//!          | "#MS:" milliseconds CR LF                     when what follows happened, in Unix time
//!          | "#TS:" seconds CR LF                          Redis's note of the time, which changes nothing
//! command  "*" count CR LF ( "$" bytes CR LF text CR LF )*             RESP
//! ```
//!
//! SELECT names the database of what follows, as with a client. The time is the one by which a command decided what had expired, so that
//! replaying it decides the same. PERCORE.TX names a transaction over several shards, each of whose logs has a part of it.

use std::io;
use std::ops::Range;

use crate::clock::UnixMillis;
use crate::rdb::Damage;
use crate::read_at::ReadAt;

/// The command that names a transaction over several shards.
pub const TRANSACTION: &[u8] = b"PERCORE.TX";

/// What a line about time begins with.
const TIME: &[u8] = b"#MS:";

/// What a line begins with that Redis notes the time by (`aof-timestamp-enabled`).
const NOTE: &[u8] = b"#TS:";

/// The longest line: a count, a length or a time.
const LINE_BYTES_MAX: usize = 64;

/// What most lines are shorter than.
const LINE_BYTES_USUAL: usize = 8;

/// Bytes asked of a file at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Appends a command.
pub fn command<'a>(out: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    head(out, b'*', parts.len());
    for part in parts {
        head(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a command that came as the bytes `sent`, in which its `parts` lie: in one piece where that is what [`command`] would write.
#[inline]
pub fn command_as_sent<'a>(
    out: &mut Vec<u8>,
    sent: &[u8],
    parts: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) {
    match is_as_written(sent, parts.clone()) {
        true => out.extend_from_slice(sent),
        false => command(out, parts),
    }
}

/// Whether `sent` is what [`command`] writes of `parts`, byte for byte. False where one is long: there it does not matter how it is copied.
#[inline]
fn is_as_written<'a>(sent: &[u8], parts: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
    let Some(mut rest) = without_head(sent, b'*', parts.len()) else {
        return false;
    };
    for part in parts {
        let text = without_head(rest, b'$', part.len());
        // The very bytes, which need no comparing.
        let Some(text) = text.filter(|text| std::ptr::eq(text.as_ptr(), part.as_ptr())) else {
            return false;
        };
        let behind = text.get(part.len()..);
        let Some(next) = behind.and_then(|behind| behind.strip_prefix(b"\r\n")) else {
            return false;
        };
        rest = next;
    }
    rest.is_empty()
}

/// Four bytes are compared as one number: as bytes they were stored one by one and loaded together, for which the processor waits.
#[inline]
fn without_head(bytes: &[u8], sign: u8, number: usize) -> Option<&[u8]> {
    let (four, rest) = bytes.split_first_chunk()?;
    let (four, sign) = (u32::from_le_bytes(*four), u32::from(sign));
    let digit = |number: usize| u32::from(b'0') + (number % 10) as u32;
    const CR: u32 = b'\r' as u32;
    const LF: u32 = b'\n' as u32;
    match number {
        0..10 => (four == sign | digit(number) << 8 | CR << 16 | LF << 24).then_some(rest),
        10..100 => (four == sign | digit(number / 10) << 8 | digit(number) << 16 | CR << 24)
            .then(|| rest.strip_prefix(b"\n"))
            .flatten(),
        _ => None,
    }
}

/// A count or a length, most of which have one digit or two: pieces of a size that the compiler knows are stored, not copied.
#[inline]
fn head(out: &mut Vec<u8>, sign: u8, number: usize) {
    let digit = |number: usize| b'0' + (number % 10) as u8;
    match number {
        0..10 => out.extend_from_slice(&[sign, digit(number), b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (digit(number / 10), digit(number));
            out.extend_from_slice(&[sign, tens, ones, b'\r', b'\n']);
        }
        _ => {
            out.push(sign);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
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
    /// A line that changes nothing.
    Note,
    End,
}

/// Reads a log from its beginning, through a window that holds the record at hand: as large as that, never as what it only claims to be.
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

    /// What stands behind this is zeros to the end of the file: it is longer than what was written into it, as some file systems leave one
    /// behind. `None` where that does not explain what is wrong with the record at hand.
    #[cold]
    fn torn_by_zeros(&mut self) -> Option<Stop> {
        let len = self.len;
        self.len = self.end_of_content().ok()?.max(self.begins());
        self.next = self.begins;
        let read = match self.len < len {
            true => self.read_record(),
            false => return None,
        };
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
        let (line, mut end) = self.line(0)?;
        let line = &self.window[self.begins..][line];
        if let Some(digits) = line.strip_prefix(TIME) {
            let now = number(digits).map(UnixMillis::new);
            let now = now.ok_or_else(|| self.damage(0, "a time that is no number"))?;
            self.next = self.begins + end;
            return Ok(Record::Time(now));
        }
        let count = line.strip_prefix(b"*").and_then(number);
        let Some(count) = count.filter(|count| *count > 0) else {
            if line.strip_prefix(NOTE).and_then(number).is_none() {
                return Err(self.damage(0, "no command begins here"));
            }
            self.next = self.begins + end;
            return Ok(Record::Note);
        };
        self.args.clear();
        for _ in 0..count {
            let (line, text) = self.line(end)?;
            let digits = self.window[self.begins..][line].strip_prefix(b"$");
            let Some(len) = digits.and_then(number) else {
                return Err(self.damage(end, "an argument without its length"));
            };
            // Held against what is there before room is made for it.
            let left = self.len - self.begins() - text as u64;
            if len.saturating_add(2) > left {
                return Err(self.torn());
            }
            let text = text..text + len as usize;
            self.fill(text.end + 2)?;
            if self.window[self.begins..][text.end..text.end + 2] != *b"\r\n" {
                return Err(self.damage(text.end, "an argument of another length than it says"));
            }
            end = text.end + 2;
            self.args.push(text);
        }
        self.next = self.begins + end;
        Ok(Record::Command)
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

    /// The line that begins `from` bytes into the record, without its end, and what comes behind that.
    #[inline]
    fn line(&mut self, from: usize) -> Result<(Range<usize>, usize), Stop> {
        let left = self.len - self.begins() - from as u64;
        // Most are short, and here already.
        for bytes in [LINE_BYTES_USUAL, LINE_BYTES_MAX] {
            let bytes = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.fill(from + bytes)?;
            let text = &self.window[self.begins + from..][..bytes];
            let Some(end) = memchr::memchr(b'\n', text) else {
                continue;
            };
            return match text[..end].strip_suffix(b"\r") {
                Some(line) => Ok((from..from + line.len(), from + end + 1)),
                None => Err(self.damage(from, "a line that does not end")),
            };
        }
        match left <= LINE_BYTES_MAX as u64 {
            true => Err(self.torn()),
            false => Err(self.damage(from, "a line that does not end")),
        }
    }

    /// Sees to it that the window has so many bytes of the record at hand, of which the file has as many.
    #[inline]
    fn fill(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.window.len() - self.begins >= bytes {
            true => Ok(()),
            false => self.fill_more(bytes),
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

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        (digit < 10).then_some(number)
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
    fn a_command_is_recorded_as_it_was_sent_only_where_that_is_canonical() {
        let of = |sent: &[u8], places: &[(usize, usize)]| {
            let parts: Vec<&[u8]> = places.iter().map(|&(from, to)| &sent[from..to]).collect();
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            command_as_sent(&mut fast, sent, parts.iter().copied());
            command(&mut slow, parts.iter().copied());
            assert_eq!(fast, slow, "{:?}", sent.escape_ascii().to_string());
            is_as_written(sent, parts.into_iter())
        };
        assert!(of(b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n", &[(8, 11), (17, 18)]));
        assert!(of(
            b"*2\r\n$3\r\nDEL\r\n$11\r\nhello world\r\n",
            &[(8, 11), (18, 29)]
        ));
        // Fewer parts than were sent, other lengths, inline, more behind it, a number in other digits, another order, a line that ends otherwise.
        assert!(!of(b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n", &[(8, 11)]));
        assert!(!of(
            b"*2\r\n$3\r\nDEL\r\n$2\r\nkk\r\n",
            &[(8, 11), (17, 18)]
        ));
        assert!(!of(b"DEL k\r\n", &[(0, 3), (4, 5)]));
        assert!(!of(b"*1\r\n$3\r\nDEL\r\n*", &[(8, 11)]));
        assert!(!of(b"*1\r\n$03\r\nDEL\r\n", &[(9, 12)]));
        assert!(!of(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", &[(15, 16), (8, 9)]));
        assert!(!of(b"*1\r\n$3\r\nDEL\n\n", &[(8, 11)]));
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
    fn what_is_no_log_is_told() {
        for bytes in [
            &b"hello\r\n"[..],
            b"*1\r\nPING\r\n",
            b"*1\r\n$4\r\nPINGxx",
            b"*0\r\n",
            b"#MS:x\r\n",
            b"#TS:x\r\n",
            b"#\r\n",
            &[b'*'; 100],
        ] {
            assert!(matches!(read(bytes).1, Err(Stop::Damaged(_))), "{bytes:?}");
        }
    }
}
