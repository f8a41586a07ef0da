//! Two servers must not write the same files: each would cut off, replace and remove what the other
//! has written.
//!
//! A server holds a lock (flock) on a file beside what it writes: beside its append-only log while
//! there is one, and beside its snapshot while there are save points. So servers that share a
//! directory under other names, or keep nothing, do not hinder one another. The system takes a lock
//! away when its process ends, however that is; the files go at an orderly end, and hinder nobody
//! where they stay.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::Config;
use tracing::warn;

use crate::disk::{Access, Disk, DiskFile};
use crate::manifest::Folder;

/// A killed server's lock is gone a moment after it: so long a new one waits for that as it starts.
pub const AT_START: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(20);

/// Digits of a process id and a line's end.
const PID_BYTES_MAX: usize = 32;

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
#[derive(Clone, Debug)]
struct Place {
    what: What,
    path: PathBuf,
    lock: PathBuf,
    /// The log's.
    folder: Option<Folder>,
}

impl Place {
    fn of_log(disk: &Arc<dyn Disk>, config: &Config) -> Self {
        let folder = Folder::new(disk, config);
        let lock = format!(".{}.lock", config.appendfilename);
        Self {
            what: What::Log,
            path: folder.path().into(),
            lock: folder.path().join(lock),
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

    /// Whether both are locked by the same file for the same reason.
    fn is(&self, other: &Self) -> bool {
        self.what == other.what && self.path == other.path && self.lock == other.lock
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
#[derive(Debug)]
pub struct DataLocks {
    disk: Arc<dyn Disk>,
    held: Mutex<Vec<(Place, Box<dyn DiskFile>)>>,
}

impl DataLocks {
    /// No locks yet, of files on `disk`.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            held: Mutex::default(),
        }
    }

    /// Takes the locks for what a server with this configuration writes, and lets go of those for
    /// snapshots that it does not write any more. That of a log is kept: its last records may be on
    /// their way. Waits at most for `patience` for another server's end.
    pub fn take(&self, config: &Config, patience: Duration) -> Result<(), Held> {
        let mut wanted = Vec::new();
        if config.appendonly {
            wanted.push(Place::of_log(&self.disk, config));
        }
        if !config.save.0.is_empty() {
            wanted.push(Place::of_snapshot(config));
        }
        for place in &wanted {
            self.take_one(place, patience)?;
        }
        self.locks().retain(|(place, _)| {
            let stays = place.what == What::Log || wanted.iter().any(|it| it.is(place));
            if !stays {
                // Whoever has removed it already is right.
                let _ = self.disk.remove(&place.lock);
            }
            stays
        });
        Ok(())
    }

    /// Takes the lock for a log that is written as a whole and not kept.
    pub fn take_for_log(&self, config: &Config) -> Result<(), Held> {
        self.take_one(&Place::of_log(&self.disk, config), Duration::ZERO)
    }

    /// Nothing is written any more: the files go, and with the process the locks.
    pub fn remove_files(&self) {
        for (place, _) in &*self.locks() {
            let _ = self.disk.remove(&place.lock);
        }
    }

    fn locks(&self) -> MutexGuard<'_, Vec<(Place, Box<dyn DiskFile>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_one(&self, place: &Place, patience: Duration) -> Result<(), Held> {
        let mut locks = self.locks();
        if locks.iter().any(|(known, _)| known.is(place)) {
            return Ok(());
        }
        if let Some(folder) = &place.folder {
            // Synced, as a log's folder is. Where it cannot be made, neither can the log, and that
            // is told then.
            let _ = folder.create();
        }
        let began = Instant::now();
        loop {
            match self.disk.open_locked(&place.lock) {
                Ok(Some(file)) => {
                    note_holder(&*file);
                    locks.push((place.clone(), file));
                    return Ok(());
                }
                Ok(None) if began.elapsed() < patience => std::thread::sleep(PAUSE),
                Ok(None) => return Err(place.held(holder(&*self.disk, place))),
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

/// Says in a lock's file who holds it. Only people read that.
fn note_holder(file: &dyn DiskFile) {
    let _ = file.truncate(0);
    let _ = file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0);
}

/// The process that says it has the lock.
fn holder(disk: &dyn Disk, place: &Place) -> Option<u32> {
    let file = disk.open(&place.lock, Access::Read).ok()?;
    let size = usize::try_from(file.size().ok()?).ok()?;
    let mut text = vec![0; size.min(PID_BYTES_MAX)];
    file.read_exact_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::file_system::FileSystem;

    fn config(dir: &Path, appendonly: bool, save: &str) -> Config {
        let mut config = Config {
            dir: dir.into(),
            appendonly,
            ..Config::default()
        };
        config.set("save", save).expect("save points");
        config
    }

    fn locks() -> DataLocks {
        DataLocks::new(Arc::new(FileSystem))
    }

    #[test]
    fn what_one_writes_no_other_gets() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (locks(), locks());
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
        let (first, second) = (locks(), locks());
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
