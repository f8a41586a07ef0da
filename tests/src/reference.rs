//! The servers that say what is right: Redis 7.4, which percore is to be, and two that came after it.
//!
//! `tests/run` lays their binaries into `target/reference`. Nothing takes their place: an older Redis of a distribution says
//! other things.

use std::path::PathBuf;

use crate::binary::profile_directory;

/// A server that percore is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Redis 7.4. Whatever it answers, percore answers.
    Redis74,
    /// Redis 8.2. Where it answers otherwise than 7.4, [`differences`](crate::differences) says so.
    Redis82,
    /// Valkey 9.1, likewise.
    Valkey91,
}

impl Reference {
    /// Those that came after Redis 7.4.
    pub const NEWER: [Reference; 2] = [Reference::Redis82, Reference::Valkey91];

    /// The name it is reported by.
    pub fn name(self) -> &'static str {
        match self {
            Reference::Redis74 => "Redis 7.4",
            Reference::Redis82 => "Redis 8.2",
            Reference::Valkey91 => "Valkey 9.1",
        }
    }

    /// Its binary.
    ///
    /// # Panics
    /// Where there is none: a comparison with nothing would pass.
    pub fn path(self) -> PathBuf {
        let file = match self {
            Reference::Redis74 => "redis-server",
            Reference::Redis82 => "redis-server-8.2",
            Reference::Valkey91 => "valkey-server-9.1",
        };
        let path = profile_directory().with_file_name("reference").join(file);
        assert!(
            path.exists(),
            "{} is missing at {}: tests/run fetches it",
            self.name(),
            path.display()
        );
        path
    }
}
