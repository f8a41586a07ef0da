//! Whole files: written in pieces that shards make, read key by key.
//!
//! A piece is any number of keys behind a SELECTDB of its own, so that the pieces of several shards
//! may follow one another in any order.

use super::codes::{Type, opcode};
use super::decode::{self, Decoded, Limits};
use super::read::{Damage, Input};
use super::write::{self, Compression};
use super::{CRC, Format, VERSION, encode, skip};
use crate::access::AccessPolicy;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::read_at::ReadAt;

const MAGIC: &[u8; 5] = b"REDIS";

/// Bytes before the first key that tell the version.
const VERSION_DIGITS: usize = 4;

/// Checksums came with this version of the format.
const CHECKSUM_SINCE: u16 = 5;

/// The first bytes of a file: its version, and what else is told about it.
pub fn header(format: Format, told: &[(&str, &str)]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(format!("{:04}", format.version()).as_bytes());
    for (name, value) in told {
        out.push(opcode::AUX);
        write::string(&mut out, name.as_bytes(), Compression::Off);
        write::string(&mut out, value.as_bytes(), Compression::Off);
    }
    out
}

/// The keys from here on are of this database.
pub fn select(out: &mut Vec<u8>, database: u16) {
    out.push(opcode::SELECTDB);
    write::length(out, u64::from(database));
}

/// A library of functions, by its code.
pub fn function(out: &mut Vec<u8>, code: &[u8], compression: Compression) {
    out.push(opcode::FUNCTION2);
    write::string(out, code, compression);
}

/// One key with all that belongs to it.
pub fn key(
    out: &mut Vec<u8>,
    entry: &Entry,
    access: AccessPolicy,
    now: UnixMillis,
    (format, compression): (Format, Compression),
) {
    if let Some(deadline) = entry.deadline() {
        out.push(opcode::EXPIRETIME_MS);
        write::millis(out, deadline.ms());
    }
    match access.frequency(entry, now) {
        Some(counter) => out.extend([opcode::FREQ, counter as u8]),
        None => {
            let idle_s = AccessPolicy::idle_time(entry, now).as_secs();
            if idle_s > 0 {
                out.push(opcode::IDLE);
                write::length(out, idle_s);
            }
        }
    }
    out.push(encode::type_of(entry, format) as u8);
    write::string(out, entry.key(), compression);
    encode::value(entry, out, format, compression);
}

/// The checksum of a file that is being written, and the bytes that end it.
pub struct Checksum(Option<crc::Digest<'static, u64, crc::Table<16>>>);

impl Checksum {
    /// Of a file that has nothing yet. Not `wanted`, it is zero, which readers take for none.
    pub fn new(wanted: bool) -> Self {
        Self(wanted.then(|| CRC.digest()))
    }

    /// The file goes on with `piece`.
    pub fn update(&mut self, piece: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(piece);
        }
    }

    /// What stands behind all pieces: the mark of the end and the checksum.
    pub fn end(mut self) -> Vec<u8> {
        let mut end = vec![opcode::EOF];
        self.update(&end);
        let sum = self.0.map_or(0u64, |digest| digest.finalize());
        end.extend(sum.to_le_bytes());
        end
    }
}

/// What a file says next.
pub enum Section {
    /// Something about the file: a name and a value.
    Aux(Vec<u8>, Vec<u8>),
    /// The keys from here on are of this database.
    Database(u64),
    /// A key that is wanted.
    Key(Box<Key>),
    /// A key that is not, or one without a value.
    Passed,
    /// A library of functions.
    Function(Vec<u8>),
    /// The end, and the checksum agrees.
    End,
}

/// A key as it stands in a file.
pub struct Key {
    /// The key with its value and deadline.
    pub entry: Entry,
    /// Seconds since its last use.
    pub idle_s: Option<u64>,
    /// Its LFU counter.
    pub frequency: Option<u8>,
}

impl Key {
    /// The entry, with its last use as `access` notes it.
    pub fn into_entry(mut self, access: AccessPolicy, now: UnixMillis) -> Entry {
        access.restore(&mut self.entry, self.idle_s, self.frequency, now);
        self.entry
    }
}

/// Reads an RDB file section by section, through a window of it: neither is it held in memory, nor
/// anything that no more than claims to be in it.
pub struct FileReader {
    input: Input<'static>,
    version: u16,
}

impl FileReader {
    /// Reads a file of `len` bytes in RDB format.
    ///
    /// # Errors
    /// Where it is none, or of a version that we do not know.
    pub fn new(file: Box<dyn ReadAt>, len: u64) -> Result<Self, Damage> {
        let mut input = Input::file(file, len);
        let magic = input.take(MAGIC.len() + VERSION_DIGITS).ok();
        let digits = magic.and_then(|it| it.strip_prefix(MAGIC));
        let version = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok());
        match version {
            Some(version @ 1..=VERSION) => Ok(Self { input, version }),
            Some(version) => Err(Damage {
                at: 0,
                what: format!("RDB version {version}, of which we know 1 to {VERSION}"),
            }),
            None => Err(Damage {
                at: 0,
                what: "not an RDB file: it does not begin with REDIS and a version".into(),
            }),
        }
    }

    /// The format's version that the file says it has.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Where the next part stands.
    pub fn at(&self) -> u64 {
        self.input.at()
    }

    /// Bytes behind that.
    pub fn remaining(&self) -> u64 {
        self.input.remaining()
    }

    /// The next part. `wanted` says of a key and its deadline whether the value is to be built;
    /// others are passed over.
    pub fn next(
        &mut self,
        limits: &Limits,
        wanted: impl FnOnce(&[u8], Option<UnixMillis>) -> bool,
    ) -> Result<Section, Damage> {
        let input = &mut self.input;
        let (mut deadline, mut idle_s, mut frequency) = (None, None, None);
        loop {
            match input.byte()? {
                opcode::EXPIRETIME_MS => deadline = Some(UnixMillis::new(input.u64_le()?)),
                opcode::EXPIRETIME => {
                    let ms = u64::from(input.u32_le()?) * 1000;
                    deadline = Some(UnixMillis::new(ms));
                }
                opcode::IDLE => idle_s = Some(input.length()?),
                opcode::FREQ => frequency = Some(input.byte()?),
                opcode::AUX => return Ok(Section::Aux(input.string()?, input.string()?)),
                opcode::SELECTDB => return Ok(Section::Database(input.length()?)),
                opcode::RESIZEDB => {
                    input.length()?;
                    input.length()?;
                }
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        input.length()?;
                    }
                }
                opcode::FUNCTION2 => return Ok(Section::Function(input.string()?)),
                opcode::FUNCTION_PRE_GA => {
                    return input.damage("a library of functions of an unreleased version");
                }
                opcode::MODULE_AUX => return input.damage("data of a module"),
                opcode::EOF => return self.end(),
                code => {
                    let Some(of) = Type::new(code) else {
                        return input.damage(format!("a value of an unknown type, {code}"));
                    };
                    let name = input.string()?;
                    if !wanted(&name, deadline) {
                        skip::value(input, of)?;
                        return Ok(Section::Passed);
                    }
                    let entry = match decode::value(input, of, limits)? {
                        Decoded::String(text) => Entry::owned_string(&name, text, deadline),
                        Decoded::Object(object) => Entry::object(&name, object, deadline),
                        Decoded::Empty => return Ok(Section::Passed),
                    };
                    return Ok(Section::Key(Box::new(Key {
                        entry,
                        idle_s,
                        frequency,
                    })));
                }
            }
        }
    }

    fn end(&mut self) -> Result<Section, Damage> {
        if self.version >= CHECKSUM_SINCE {
            let reckoned = self.input.checksum();
            let written = self.input.u64_le()?;
            if written != 0 && written != reckoned {
                return self.input.damage(format!(
                    "the checksum is {reckoned:016x} and should be {written:016x}"
                ));
            }
        }
        Ok(Section::End)
    }
}
