//! Log files that nobody needs any more, given back to the file system a piece at a time.
//!
//! A file's last name and its last opener take its pages and blocks with them in one system call:
//! some tens of milliseconds for 200 MB, in which a kernel that does not preempt itself lets nobody
//! else have that processor, not even a shard. Cut shorter step by step before, a file takes no
//! longer than a step at a time.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::disk::{Access, Disk, DiskFile};

/// By how much a file is cut at once: less than half a millisecond's work.
const STEP_BYTES: u64 = 1 << 20;

/// Between two steps: others have the processor then.
const REST: Duration = Duration::from_millis(1);

/// Files that have lost the name by which the log knew them, and still hold their bytes.
#[derive(Default, Debug)]
pub struct DeferredTruncate(Vec<Box<dyn DiskFile>>);

impl DeferredTruncate {
    /// Takes a file's name away. Its bytes go with [`Self::run`].
    ///
    /// # Errors
    /// Where the name cannot be removed.
    pub fn remove(&mut self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let file = if disk.is_file(path) {
            disk.open(path, Access::Change).ok()
        } else {
            None
        };
        disk.remove(path)?;
        self.0.extend(file);
        Ok(())
    }

    /// Cuts the files to nothing, on a thread of its own. One that has another name, a link that
    /// somebody keeps it by, stays as it is.
    pub fn run(self) {
        if self.0.is_empty() {
            return;
        }
        let thread = thread::Builder::new().name("truncate".into());
        // Without a thread for it the files are closed here: slower for others, and no less right.
        let _ = thread.spawn(|| self.truncate_all());
    }

    fn truncate_all(self) {
        for file in self.0 {
            truncate(&*file);
        }
    }
}

fn truncate(file: &dyn DiskFile) {
    let (Ok(names), Ok(mut left)) = (file.names(), file.size()) else {
        return;
    };
    if names > 0 {
        return;
    }
    while left > 0 {
        left = left.saturating_sub(STEP_BYTES);
        if file.truncate(left).is_err() {
            return;
        }
        thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::file_system::FileSystem;

    #[test]
    fn what_has_another_name_is_kept_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, backup] = ["ours", "backup"].map(|name| folder.path().join(name));
        fs::write(&ours, vec![7; 3 << 20]).unwrap();
        fs::hard_link(&ours, &backup).unwrap();
        let mut deferred = DeferredTruncate::default();
        deferred.remove(&FileSystem, &ours).unwrap();
        deferred.truncate_all();
        assert!(!ours.exists());
        assert_eq!(fs::read(&backup).unwrap(), vec![7; 3 << 20]);
    }

    #[test]
    fn what_has_no_name_left_becomes_empty() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        fs::write(&ours, vec![7; (2 << 20) + 5]).unwrap();
        let witness = File::open(&ours).unwrap();
        let mut deferred = DeferredTruncate::default();
        deferred.remove(&FileSystem, &ours).unwrap();
        deferred.truncate_all();
        assert_eq!(witness.metadata().unwrap().len(), 0);
    }
}
