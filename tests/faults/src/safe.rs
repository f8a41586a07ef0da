//! What of the files would outlast a loss of power: kept beside them, and noted in the order in which it became safe.
//!
//! A file is known by its inode, and by how many files have had it: an inode is used again.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::raw::c_int;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const COPIED_AT_ONCE: usize = 1 << 20;

/// What is known of one inode.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Files that had it before.
    generation: u64,
    /// What lies behind this place may be other than what is safe; `None` where nothing was written since the last sync.
    dirty_from: Option<u64>,
    /// It has been seen.
    seen: bool,
}

impl Known {
    fn id(&self, inode: u64) -> String {
        format!("{inode}.{}", self.generation)
    }
}

pub struct Disk {
    data: PathBuf,
    safe: PathBuf,
    known: Mutex<HashMap<u64, Known>>,
}

impl Disk {
    pub fn new(data: PathBuf, safe: PathBuf) -> Self {
        Self {
            data,
            safe,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, inode: u64, work: impl FnOnce(&mut Known) -> T) -> T {
        work(self.known().entry(inode).or_default())
    }

    /// Something is written from this place on, or the file is cut there.
    pub fn is_written(&self, fd: c_int, at: u64) {
        if let Some(inode) = inode(fd) {
            self.with(inode, |known| {
                let from = known.dirty_from.map_or(at, |from| from.min(at));
                known.dirty_from = Some(from);
                known.seen = true;
            });
        }
    }

    /// The disk has dropped what was written since the last sync, and will not say so again.
    pub fn forget_unsynced(&self, fd: c_int) {
        if let Some(inode) = inode(fd) {
            self.with(inode, |known| {
                known.dirty_from = None;
                known.seen = true;
            });
        }
    }

    /// All that was written and not forgotten is safe.
    pub fn file_is_safe(&self, fd: c_int) {
        // SAFETY: open for as long as this call lasts, and not closed here.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
        let Ok(about) = file.metadata() else { return };
        let (from, id) = self.with(about.ino(), |known| {
            let all = !std::mem::replace(&mut known.seen, true);
            // What was written by calls that do not pass here, as copies of whole files are.
            let from = known.dirty_from.take().or(all.then_some(0));
            (from, known.id(about.ino()))
        });
        if let Some(from) = from {
            // A file that is open for writing only cannot be read: it is opened anew.
            let path = format!("/proc/self/fd/{fd}");
            let copied = File::open(path).and_then(|file| self.copy(&file, &id, from, about.len()));
            copied.expect("keeping what is safe");
        }
        self.note(&format!("file {id} {}\n", about.len()));
    }

    fn copy(&self, file: &File, id: &str, mut from: u64, end: u64) -> std::io::Result<()> {
        let kept = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.safe.join(id))?;
        let mut bytes = vec![0; COPIED_AT_ONCE];
        while from < end {
            let wanted = bytes.len().min((end - from) as usize);
            let read = file.read_at(&mut bytes[..wanted], from)?;
            if read == 0 {
                break;
            }
            kept.write_all_at(&bytes[..read], from)?;
            from += read as u64;
        }
        Ok(())
    }

    /// The names in a folder are as they are now.
    pub fn folder_is_safe(&self, path: &Path) {
        // Until it is noted: what another thread notes later, it has seen later.
        let mut known = self.known();
        let Ok(entries) = fs::read_dir(path) else {
            return;
        };
        let relative = path.strip_prefix(&self.data).unwrap_or(path);
        let mut line = format!("folder /{}", relative.display());
        for entry in entries.flatten() {
            if let Ok(about) = entry.metadata() {
                let id = known.entry(about.ino()).or_default().id(about.ino());
                let name = entry.file_name();
                // A string takes all that is written to it.
                let _ = write!(line, " {}={id}", name.to_string_lossy());
            }
        }
        line.push('\n');
        self.note(&line);
    }

    /// Does `really`, which removes the file at `path` or gives its name to another: if its inode is used again, it is another file.
    ///
    /// That is noted behind it. A kill in between leaves the name to what has it, and the old file as it is known; noted before, it would
    /// leave the name to a file of which nothing is safe.
    pub fn goes(&self, path: &Path, really: impl FnOnce() -> c_int) -> c_int {
        // Nobody has its inode, or looks at names, before that is done.
        let mut known = self.known();
        let about = fs::metadata(path).ok().filter(|about| about.nlink() == 1);
        let done = really();
        if done == 0
            && let Some(about) = about
        {
            let generation = known.get(&about.ino()).map_or(0, |it| it.generation) + 1;
            let new = Known {
                generation,
                ..Known::default()
            };
            known.insert(about.ino(), new);
            self.note(&format!("gone {} {generation}\n", about.ino()));
        }
        done
    }

    /// One line, written at once: a kill leaves it whole or leaves it out.
    fn note(&self, line: &str) {
        let notes = File::options()
            .create(true)
            .append(true)
            .open(self.safe.join("safe"));
        let noted = notes.and_then(|mut notes| notes.write_all(line.as_bytes()));
        noted.expect("noting what is safe");
    }
}

fn inode(fd: c_int) -> Option<u64> {
    // SAFETY: open for as long as this call lasts, and not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    file.metadata().ok().map(|about| about.ino())
}
