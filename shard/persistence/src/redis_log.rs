//! An append-only log that Redis wrote: which files it consists of.
//!
//! Redis 7 names them in `appenddirname`/`appendfilename.manifest`. Before that it was one file,
//! `appendfilename` in `dir`. Each file of commands may begin with a snapshot. Source: Redis's
//! documentation on persistence.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Config;
use storage::aof::{Record, Stop};

use crate::disk::{Access, Disk, open_log, read_text};
use crate::manifest::Folder;
use crate::redis_manifest;

/// Bytes that every snapshot begins with.
const SNAPSHOT_MAGIC: &[u8] = b"REDIS";

/// The files of a log of Redis's, in the order in which they are to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisLog {
    /// Their paths.
    pub files: Vec<PathBuf>,
}

impl RedisLog {
    /// The log of Redis's in the directories of this configuration. `None` where there is none.
    ///
    /// # Errors
    /// `InvalidData` where there is a manifest of Redis's that cannot be understood.
    pub fn find(disk: &Arc<dyn Disk>, config: &Config) -> io::Result<Option<Self>> {
        let folder = Folder::new(disk, config);
        match read_text(&**disk, &folder.manifest()) {
            Ok(text) if redis_manifest::is_redis(&text) => {
                let names = redis_manifest::names(&text).map_err(|line| {
                    let path = folder.manifest();
                    let what = format!("{}: the line \"{line}\" is not Redis's", path.display());
                    io::Error::new(ErrorKind::InvalidData, what)
                })?;
                let files = names.iter().map(|name| folder.path().join(name)).collect();
                Ok(Some(Self { files }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let single = config.dir.join(&config.appendfilename);
                let files = vec![single];
                Ok(disk.is_file(&files[0]).then_some(Self { files }))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the file may end in the middle of a record: the last one, which a crash cut off.
    pub fn may_be_torn(&self, file: &Path) -> bool {
        self.files.last().is_some_and(|last| last == file)
    }
}

/// Whether a file begins with a snapshot.
///
/// # Errors
/// Where it cannot be read.
pub fn begins_with_snapshot(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let file = disk.open(path, Access::Read)?;
    let mut begin = [0; SNAPSHOT_MAGIC.len()];
    if file.size()? < begin.len() as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut begin, 0)?;
    Ok(begin == SNAPSHOT_MAGIC)
}

/// Where the commands of one file of Redis's end.
pub struct RedisTail {
    /// Behind the last command, or MULTI ... EXEC, that is whole: a place in bytes.
    pub end: u64,
    /// Bytes of the file.
    pub len: u64,
    /// Commands up to the end.
    pub commands: u64,
}

impl RedisTail {
    /// Reads the commands of a file that begin at an offset.
    ///
    /// # Errors
    /// An offset, and what is wrong there.
    pub fn find(disk: &dyn Disk, path: &Path, from: u64) -> Result<Self, (u64, String)> {
        let reader = open_log(disk, path, from);
        let mut reader = reader.map_err(|error| (0, error.to_string()))?;
        let mut tail = Self {
            end: from,
            len: reader.len(),
            commands: 0,
        };
        let (mut is_open, mut commands) = (false, 0);
        loop {
            match reader.read() {
                Ok(Record::End) | Err(Stop::Torn { .. }) => return Ok(tail),
                Ok(Record::Time(_) | Record::Note) => {}
                Ok(Record::Command) => {
                    let verb = reader.args().next().unwrap_or_default();
                    is_open |= verb.eq_ignore_ascii_case(b"multi");
                    is_open &= !verb.eq_ignore_ascii_case(b"exec");
                    commands += 1;
                }
                Err(Stop::Damaged(damage)) => return Err((damage.at, damage.what)),
            }
            if !is_open {
                (tail.end, tail.commands) = (reader.at(), commands);
            }
        }
    }

    /// Bytes behind the end.
    pub fn torn_bytes(&self) -> u64 {
        self.len - self.end
    }

    /// Why a start does not pass over the bytes behind the end.
    pub fn refusal(&self, config: &Config) -> String {
        let bytes = self.torn_bytes();
        if config.aof_load_truncated {
            format!("its last {bytes} bytes are not whole, but another file follows it")
        } else {
            format!(
                "its last {bytes} bytes are not whole; start with --aof-load-truncated yes to pass \
                 them over"
            )
        }
    }
}
