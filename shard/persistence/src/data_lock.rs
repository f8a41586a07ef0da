//! Two servers must not write the same files: each would cut off, replace and remove what the other
//! has written.
//!
//! A server holds a lock (flock) on a file beside what it writes: beside its append-only log while
//! there is one, and beside its snapshot while there are save points. So servers that share a
//! directory under other names, or keep nothing, do not hinder one another. The system takes a lock
//! away when its process ends, however that is; the files go at an orderly end, and hinder nobody
//! where they stay.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tracing::warn;

use crate::manifest::Folder;
use config::Config;

/// A killed server's lock is gone a moment after it: so long a new one waits for that as it starts.
pub const AT_START: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(20);

/// Digits of a process id and a line's end.
const PID_BYTES_MAX: u64 = 32;

/// What a lock is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Log,
    Snapshot,
}

/// Another server writes what this one is to write.
#[derive(Debug)]
pub struct Held {
    what: What,
    path: PathBuf,
    /// Who it is, where that can be read.
    pid: Option<u32>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        f.write_str("another server")?;
        if let Some(pid) = self.pid {
            write!(f, " (process {pid})")?;
        }
        match self.what {
            What::Log => write!(
                f,
                " keeps its append-only log in {path}; stop that one, or choose another directory with --dir or --appenddirname"
            ),
            What::Snapshot => write!(
                f,
                " writes its snapshots to {path}; stop that one, or choose another place with --dir or --dbfilename, or take none with --save ''"
            ),
        }
    }
}

impl std::error::Error for Held {}

/// What a server writes, and the file beside it whose lock says so.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    what: What,
    path: PathBuf,
    lock: PathBuf,
    /// The log's.
    folder: Option<Folder>,
}

impl Place {
    fn of_log(config: &Config) -> Self {
        let folder = Folder::of(config);
        Self {
            what: What::Log,
            path: folder.path().into(),
            lock: folder
                .path()
                .join(format!(".{}.lock", config.appendfilename)),
            folder: Some(folder),
        }
    }

    fn of_snapshot(config: &Config) -> Self {
        Self {
            what: What::Snapshot,
            path: config.dir.join(&config.dbfilename),
            lock: config.dir.join(format!(".{}.lock", config.dbfilename)),
            folder: None,
        }
    }

    fn held(&self, pid: Option<u32>) -> Held {
        Held {
            what: self.what,
            path: self.path.clone(),
            pid,
        }
    }
}

/// The locks of this process.
#[derive(Default)]
pub struct DataLocks(Mutex<Vec<(Place, File)>>);

impl DataLocks {
    /// Takes the locks for what a server with this configuration writes, and lets go of those for
    /// snapshots that it does not write any more. That of a log is kept: its last records may be on
    /// their way. Waits at most for `patience` for another server's end.
    pub fn take(&self, config: &Config, patience: Duration) -> Result<(), Held> {
        let mut wanted = Vec::new();
        if config.appendonly {
            wanted.push(Place::of_log(config));
        }
        if !config.save.0.is_empty() {
            wanted.push(Place::of_snapshot(config));
        }
        for place in &wanted {
            self.take_one(place, patience)?;
        }
        self.locks().retain(|(place, _)| {
            let stays = place.what == What::Log || wanted.contains(place);
            if !stays {
                // Whoever has removed it already is right.
                let _ = fs::remove_file(&place.lock);
            }
            stays
        });
        Ok(())
    }

    /// Takes the lock for a log that is written as a whole and not kept.
    pub fn take_for_log(&self, config: &Config) -> Result<(), Held> {
        self.take_one(&Place::of_log(config), Duration::ZERO)
    }

    /// Nothing is written any more: the files go, and with the process the locks.
    pub fn remove_files(&self) {
        for (place, _) in &*self.locks() {
            let _ = fs::remove_file(&place.lock);
        }
    }

    fn locks(&self) -> std::sync::MutexGuard<'_, Vec<(Place, File)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_one(&self, place: &Place, patience: Duration) -> Result<(), Held> {
        let mut locks = self.locks();
        if locks.iter().any(|(known, _)| known == place) {
            return Ok(());
        }
        if let Some(folder) = &place.folder {
            // Synced, as a log's folder is. Where it cannot be made, neither can the log, and that
            // is told then.
            let _ = folder.make();
        }
        let began = Instant::now();
        loop {
            match lock(&place.lock) {
                Ok(Some(file)) => {
                    locks.push((place.clone(), file));
                    return Ok(());
                }
                Ok(None) if began.elapsed() < patience => std::thread::sleep(PAUSE),
                Ok(None) => return Err(place.held(holder(&place.lock))),
                Err(error) => {
                    // A directory that cannot be written, or a file system without locks.
                    let file = place.lock.display();
                    warn!(%file, %error, "cannot see whether another server writes the same files");
                    return Ok(());
                }
            }
        }
    }
}

/// The file with its lock, `None` where another process has that.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it may have removed the file meanwhile: then this is the lock of nothing.
        let is_there = fs::metadata(path).is_ok_and(|there| {
            file.metadata()
                .is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
        });
        if is_there {
            // Only for people.
            let _ = file.set_len(0);
            let _ = writeln!(file, "{}", std::process::id());
            return Ok(Some(file));
        }
    }
}

/// The process that says it has the lock.
fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path, appendonly: bool, save: &str) -> Config {
        let mut config = Config {
            dir: dir.into(),
            appendonly,
            ..Config::default()
        };
        config.set("save", save).expect("save points");
        config
    }

    #[test]
    fn what_one_writes_no_other_gets() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (DataLocks::default(), DataLocks::default());
        let both = config(dir.path(), true, "10 10");
        first.take(&both, Duration::ZERO).expect("free");
        first.take(&both, Duration::ZERO).expect("its own");
        for (appendonly, save, word) in [(true, "", "log"), (false, "10 10", "snapshots")] {
            let refused = second.take(&config(dir.path(), appendonly, save), Duration::ZERO);
            let text = refused.expect_err("held").to_string();
            let pid = format!("(process {})", std::process::id());
            assert!(text.contains(word) && text.contains(&pid), "{text}");
        }
        let nothing = config(dir.path(), false, "");
        second
            .take(&nothing, Duration::ZERO)
            .expect("it writes nothing");
        assert!(second.take_for_log(&nothing).is_err());
        let mut other = config(dir.path(), true, "10 10");
        other.set("dbfilename", "other.rdb").expect("a name");
        other.appendfilename = "other.aof".into();
        second.take(&other, Duration::ZERO).expect("other names");
    }

    #[test]
    fn a_lock_goes_with_its_holder_or_with_the_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (DataLocks::default(), DataLocks::default());
        let saves = config(dir.path(), false, "10 10");
        first.take(&saves, Duration::ZERO).expect("free");
        first
            .take(&config(dir.path(), false, ""), Duration::ZERO)
            .expect("none");
        second.take(&saves, Duration::ZERO).expect("free again");
        second.remove_files();
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
        first.take(&saves, Duration::ZERO).expect("free again");
    }
}
