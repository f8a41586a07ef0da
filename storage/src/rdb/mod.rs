//! Redis's RDB format: values as DUMP and RESTORE carry them, and whole files.
//!
//! ```text
//! file     "REDIS" version(4 digits)
//!          (AUX name value)*
//!          (FUNCTION2 code)*
//!          ( SELECTDB number
//!            RESIZEDB keys volatile-keys
//!            ( [EXPIRETIME_MS time(8, LE)] [IDLE seconds | FREQ counter(1)]
//!              type(1) key value )* )*
//!          EOF crc64(8, LE)
//!
//! payload  type(1) value version(2, LE) crc64(8, LE)         what DUMP answers
//!          (FUNCTION2 code)* version(2, LE) crc64(8, LE)     what FUNCTION DUMP answers
//!
//! length   00nnnnnn | 01nnnnnn n(1) | 10000000 n(4, BE) | 10000001 n(8, BE)
//! string   length bytes | 11000000 int8 | 11000001 int16 | 11000010 int32
//!          | 11000011 packed-length length LZF
//! ```
//!
//! Sources: the documentation of Redis, the format's description by its readers (rdbtools), and
//! what redis-server 7.4 writes. We write version 12, as 7.4 does, and read all of its
//! predecessors; what only modules could write is refused.
//!
//! Nothing read here is trusted: a length is held against the bytes that are left before anything
//! is allocated for it.

mod codes;
mod decode;
mod encode;
mod file;
mod functions;
mod legacy;
pub mod lzf;
mod payload;
mod read;
mod skip;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use decode::Limits;
pub use file::{Checksum, FileReader, Key, Section, function, header, key, select};
pub use functions::{DumpedFunctions, NotFunction, dump_functions};
pub use payload::{NotPayload, dump, restore};
pub use read::Damage;
pub use write::Compression;

/// The version we write: Redis 7.4's.
pub const VERSION: u16 = 12;

/// Who is to read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Redis 7.4 and what came after it.
    #[default]
    Current,
    /// Redis 7.0 and Valkey, too: without forms that came later. What these cannot say otherwise,
    /// deadlines of fields, is written as it is.
    Since7,
}

impl Format {
    /// The version that a file says it has.
    pub const fn version(self) -> u16 {
        match self {
            Self::Current => VERSION,
            Self::Since7 => 10,
        }
    }
}

/// The checksum of payloads and files: CRC-64 with Jones' polynomial, as Redis has it.
pub const CRC: crc::Crc<u64, crc::Table<16>> =
    crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_REDIS);
