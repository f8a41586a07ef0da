//! Why there is no append-only log to go on with, said to whoever started the process.

use std::fmt;
use std::io;

use crate::aof::replay::NotReplayed;
use persistence::manifest::Folder;

/// Why there is no log to go on with.
#[derive(Debug)]
pub enum NotStarted {
    Replay(NotReplayed),
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
                    "the append-only log in {path} cannot be used: {why}. Nothing was overwritten. Restore the file from a copy, or move the folder \
                     away to start without the log"
                )
            }
        }
    }
}

impl std::error::Error for NotStarted {}
