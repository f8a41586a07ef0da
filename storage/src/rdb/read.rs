//! The small parts of the format, read: from memory (RESTORE) or from a file of any size, through
//! one window of it.

use std::fmt;
use std::io;

use super::codes::special;
use super::{CRC, lzf};
use crate::read_at::ReadAt;

/// What is wrong with bytes that should be in RDB format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Where, in bytes from the beginning.
    pub at: u64,
    /// In words.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Damage {}

/// Bytes asked of a file at a time.
const CHUNK: usize = 256 * 1024;

/// The longest string accepted: a listpack's largest, twice what a client can send.
const STRING_BYTES_MAX: u64 = 1 << 30;

enum Source {
    Memory,
    File {
        file: Box<dyn ReadAt>,
        /// Bytes that the file has beyond the window.
        left: u64,
        checksum: crc::Digest<'static, u64, crc::Table<16>>,
    },
}

/// Reads on from a place.
pub(super) struct Input<'a> {
    source: Source,
    /// All of the memory, or a window of the file.
    window: Window<'a>,
    /// The next byte in the window.
    next: usize,
    /// Where the window begins.
    offset: u64,
}

enum Window<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl Window<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// A length, or what stands in its place.
enum Length {
    Plain(u64),
    Special(u8),
}

impl<'a> Input<'a> {
    pub fn memory(bytes: &'a [u8]) -> Self {
        Self {
            source: Source::Memory,
            window: Window::Borrowed(bytes),
            next: 0,
            offset: 0,
        }
    }

    /// A file from its beginning, `len` bytes long.
    pub fn file(file: Box<dyn ReadAt>, len: u64) -> Input<'static> {
        Input {
            source: Source::File {
                file,
                left: len,
                checksum: CRC.digest(),
            },
            window: Window::Owned(Vec::new()),
            next: 0,
            offset: 0,
        }
    }

    /// Where the next byte stands.
    pub fn at(&self) -> u64 {
        self.offset + self.next as u64
    }

    pub fn damage<T>(&self, what: impl Into<String>) -> Result<T, Damage> {
        Err(Damage {
            at: self.at(),
            what: what.into(),
        })
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> u64 {
        let here = (self.window.bytes().len() - self.next) as u64;
        match self.source {
            Source::Memory => here,
            Source::File { left, .. } => here + left,
        }
    }

    /// The checksum of all bytes taken so far; zero in memory.
    pub fn checksum(&mut self) -> u64 {
        self.let_go();
        match &self.source {
            Source::Memory => 0,
            Source::File { checksum, .. } => checksum.clone().finalize(),
        }
    }

    /// Forgets what was taken from the window of a file.
    fn let_go(&mut self) {
        if let (Source::File { checksum, .. }, Window::Owned(window)) =
            (&mut self.source, &mut self.window)
        {
            checksum.update(&window[..self.next]);
            window.drain(..self.next);
            self.offset += self.next as u64;
            self.next = 0;
        }
    }

    /// Sees to it that the window holds `len` bytes from here on.
    fn fill(&mut self, len: usize) -> Result<(), Damage> {
        if self.window.bytes().len() - self.next >= len {
            return Ok(());
        }
        if (len as u64) > self.remaining() {
            return self.damage("the end comes too early");
        }
        self.let_go();
        let failed = |at, error: io::Error| Damage {
            at,
            what: format!("cannot be read: {error}"),
        };
        if let (Source::File { file, left, .. }, Window::Owned(window)) =
            (&mut self.source, &mut self.window)
        {
            let had = window.len();
            let wanted = len
                .max(CHUNK)
                .saturating_sub(had)
                .min(usize::try_from(*left).unwrap_or(usize::MAX));
            window.resize(had + wanted, 0);
            let at = self.offset + had as u64;
            file.read_exact_at(&mut window[had..], at)
                .map_err(|error| failed(at, error))?;
            *left -= wanted as u64;
        }
        Ok(())
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&[u8], Damage> {
        self.fill(len)?;
        let from = self.next;
        self.next += len;
        Ok(&self.window.bytes()[from..from + len])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn byte(&mut self) -> Result<u8, Damage> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u64_le(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn u32_le(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn sixteen(&mut self) -> Result<[u8; 16], Damage> {
        self.array()
    }

    /// A double in binary.
    pub fn f64_le(&mut self) -> Result<f64, Damage> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A double in decimal, as the first versions wrote it.
    pub fn f64_text(&mut self) -> Result<f64, Damage> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => {
                let text = self.take(usize::from(len))?;
                let value = std::str::from_utf8(text)
                    .ok()
                    .and_then(|text| text.parse().ok());
                value.map_or_else(|| self.damage("a score that is no number"), Ok)
            }
        }
    }

    fn length_or_special(&mut self) -> Result<Length, Damage> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match first >> 6 {
            0 => Length::Plain(low),
            1 => Length::Plain(low << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            3 => Length::Special(first & 0x3f),
            _ => return self.damage(format!("a length of an unknown kind, {first:#04x}")),
        })
    }

    /// A number in the form of a length.
    pub fn length(&mut self) -> Result<u64, Damage> {
        match self.length_or_special()? {
            Length::Plain(len) => Ok(len),
            Length::Special(_) => self.damage("a string where a length should be"),
        }
    }

    /// How many elements follow, of which each takes at least `bytes_each`: more than can be left
    /// is damage, before any is asked for.
    pub fn count(&mut self, bytes_each: u64) -> Result<usize, Damage> {
        let count = self.length()?;
        if count.saturating_mul(bytes_each) > self.remaining() {
            return self.damage(format!("{count} elements, which is more than can follow"));
        }
        usize::try_from(count).or_else(|_| self.damage("too many elements"))
    }

    /// The next string.
    pub fn string(&mut self) -> Result<Vec<u8>, Damage> {
        let mut text = Vec::new();
        self.string_into(&mut text)?;
        Ok(text)
    }

    /// The next string, in place of what `text` holds.
    pub fn string_into(&mut self, text: &mut Vec<u8>) -> Result<(), Damage> {
        text.clear();
        match self.length_or_special()? {
            Length::Plain(len) => {
                let len = self.bounded(len)?;
                text.extend_from_slice(self.take(len)?);
            }
            Length::Special(kind) => {
                let int = match kind {
                    special::INT8 => i64::from(i8::from_le_bytes(self.array()?)),
                    special::INT16 => i64::from(i16::from_le_bytes(self.array()?)),
                    special::INT32 => i64::from(i32::from_le_bytes(self.array()?)),
                    special::LZF => {
                        let packed_len = self.length()?;
                        let packed_len = self.bounded(packed_len)?;
                        let len = self.length()?;
                        let len = self.bounded(len)?;
                        let packed = self.take(packed_len)?;
                        let Some(unpacked) = lzf::decompress(packed, len) else {
                            return self.damage("a damaged compressed string");
                        };
                        *text = unpacked;
                        return Ok(());
                    }
                    _ => return self.damage(format!("a string of an unknown kind, {kind}")),
                };
                text.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
            }
        }
        Ok(())
    }

    /// Passes over the next string.
    pub fn skip_string(&mut self) -> Result<(), Damage> {
        let len = match self.length_or_special()? {
            Length::Plain(len) => self.bounded(len)?,
            Length::Special(special::INT8) => 1,
            Length::Special(special::INT16) => 2,
            Length::Special(special::INT32) => 4,
            Length::Special(special::LZF) => {
                let packed = self.length()?;
                self.length()?;
                self.bounded(packed)?
            }
            Length::Special(kind) => {
                return self.damage(format!("a string of an unknown kind, {kind}"));
            }
        };
        self.take(len).map(|_| ())
    }

    fn bounded(&self, len: u64) -> Result<usize, Damage> {
        match usize::try_from(len) {
            Ok(small) if len <= STRING_BYTES_MAX => Ok(small),
            _ => self.damage(format!("a string of {len} bytes")),
        }
    }
}
