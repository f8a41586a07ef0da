//! Why there is no append-only log to go on with, said to whoever started the process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::Folder;
use crate::recovery::Unreadable;

/// Why the log was not loaded. Nothing has been changed.
#[derive(Debug)]
pub struct NotReplayed {
    path: PathBuf,
    at: u64,
    what: String,
}

impl NotReplayed {
    /// What is wrong with a file, at this offset in it.
    pub fn new(path: &Path, at: u64, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            at,
            what: what.into(),
        }
    }
}

impl fmt::Display for NotReplayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot load {} at offset {}: {}. Nothing was overwritten. Restore the file from a \
             copy, or move its folder away to start without the log",
            self.path.display(),
            self.at,
            self.what
        )
    }
}

impl std::error::Error for NotReplayed {}

impl From<Unreadable> for NotReplayed {
    fn from(Unreadable { path, damage }: Unreadable) -> Self {
        Self::new(&path, damage.at, damage.what)
    }
}

/// Why there is no log to go on with.
#[derive(Debug)]
pub enum NotStarted {
    /// What it holds was not loaded.
    Replay(NotReplayed),
    /// Its files cannot be used.
    Files(Folder, io::Error),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replay(why) => why.fmt(f),
            Self::Files(folder, why) => {
                let path = folder.path().display();
                write!(
                    f,
                    "the append-only log in {path} cannot be used: {why}. Nothing was overwritten. \
                     Restore the file from a copy, or move the folder away to start without the log"
                )
            }
        }
    }
}

impl std::error::Error for NotStarted {}
