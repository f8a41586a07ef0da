//! Files of the log that nobody needs any more, given back to the file system a piece at a time.
//!
//! A file's last name and its last opener take its pages and blocks with them in one system call: some tens of milliseconds for 200 MB, in which a
//! kernel that does not preempt itself lets nobody else have that processor, not even a shard. Made shorter step by step before, a file takes no
//! longer than a step at a time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// By how much a file is made shorter at once: less than half a millisecond's work.
const STEP_BYTES: u64 = 1 << 20;

/// Between two steps: others have the processor then.
const REST: Duration = Duration::from_millis(1);

/// Files that have lost the name by which the log knew them.
#[derive(Default)]
pub struct Outlived(Vec<File>);

impl Outlived {
    /// Takes the file's name away. What it holds goes with [`Self::free`].
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path);
        fs::remove_file(path)?;
        self.0.extend(file);
        Ok(())
    }

    /// Gives back what the files hold, on a thread of its own. One that has another name, a link that somebody keeps it by, stays as it is.
    pub fn free(self) {
        if self.0.is_empty() {
            return;
        }
        let freeing = thread::Builder::new().name("outlived".into());
        // Without a thread for it the files are closed here: slower for others, and no less right.
        let _ = freeing.spawn(|| self.0.into_iter().for_each(shorten));
    }
}

fn shorten(file: File) {
    let Ok(meta) = file.metadata() else {
        return;
    };
    if meta.nlink() > 0 || !meta.is_file() {
        return;
    }
    let mut left = meta.len();
    while left > 0 {
        left = left.saturating_sub(STEP_BYTES);
        if file.set_len(left).is_err() {
            return;
        }
        thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_another_name_is_kept_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, backup] = ["ours", "backup"].map(|name| folder.path().join(name));
        fs::write(&ours, vec![7; 3 << 20]).unwrap();
        fs::hard_link(&ours, &backup).unwrap();
        let mut outlived = Outlived::default();
        outlived.remove(&ours).unwrap();
        outlived.0.into_iter().for_each(shorten);
        assert!(!ours.exists());
        assert_eq!(fs::read(&backup).unwrap(), vec![7; 3 << 20]);
    }

    #[test]
    fn what_has_no_name_left_becomes_empty() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        fs::write(&ours, vec![7; (2 << 20) + 5]).unwrap();
        let witness = File::open(&ours).unwrap();
        let mut outlived = Outlived::default();
        outlived.remove(&ours).unwrap();
        outlived.0.into_iter().for_each(shorten);
        assert_eq!(witness.metadata().unwrap().len(), 0);
    }
}
