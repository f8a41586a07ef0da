//! An append-only log that Redis wrote: which files it consists of.
//!
//! Redis 7 names them in `appenddirname`/`appendfilename.manifest`. Before that it was one file,
//! `appendfilename` in `dir`. Each file of commands may begin with a snapshot. Source: Redis's
//! documentation on persistence.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::manifest::Folder;
use crate::redis_manifest;
use config::Config;

/// The files of a log of Redis's, in the order in which they are to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisLog {
    pub files: Vec<PathBuf>,
}

impl RedisLog {
    /// The log of Redis's in the directories of this configuration. `None` where there is none.
    ///
    /// # Errors
    /// `InvalidData` where there is a manifest of Redis's that cannot be understood.
    pub fn find(config: &Config) -> io::Result<Option<Self>> {
        let folder = Folder::of(config);
        match fs::read_to_string(folder.manifest()) {
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
                Ok(files[0].is_file().then_some(Self { files }))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the file may end in the middle of a record: the last one, which a crash cut off.
    pub fn may_be_torn(&self, file: &Path) -> bool {
        self.files.last().is_some_and(|last| last == file)
    }
}
