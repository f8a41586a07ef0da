//! Files in the system's page cache: written out and dropped a step at a time, by the thread that
//! writes a snapshot.
//!
//! What is left to one sync at the end, and to the rename over the file before, the kernel does in
//! one go each: it writes out some hundred megabytes of pages, it drops as many. One that does not
//! preempt itself lets nobody else have that processor for 4 to 12 ms at a time, not even a shard.
//! (Redis syncs every 4 MB, `rdb-save-incremental-fsync`, and drops the pages of a file that it has
//! saved.)

use std::io;
use std::path::Path;
use std::thread;

use crate::disk::{Access, Disk, DiskFile};

/// How much is synced and dropped at once: about a quarter of a millisecond's work.
const STEP_BYTES: u64 = 1 << 20;

/// How far a file that grows has been synced.
#[derive(Default, Debug)]
pub struct IncrementalSync {
    synced: u64,
}

impl IncrementalSync {
    /// Syncs `file`, which has so many bytes now, where a step of them is not synced yet, and drops
    /// their pages.
    pub fn follow(&mut self, file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
        if bytes - self.synced >= STEP_BYTES {
            file.sync_data()?;
            file.drop_cached(self.synced, bytes);
            self.synced = bytes;
        }
        Ok(())
    }
}

/// Drops the pages of a file that is about to be replaced, if there is one.
pub fn drop_pages(disk: &dyn Disk, path: &Path) {
    let Ok(file) = disk.open(path, Access::Read) else {
        return;
    };
    let bytes = file.size().unwrap_or(0);
    let mut at = 0;
    while at < bytes {
        let end = bytes.min(at + STEP_BYTES);
        file.drop_cached(at, end);
        at = end;
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;
    use crate::file_system::FileSystem;

    #[test]
    fn what_is_written_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        let (mut sync, mut whole) = (IncrementalSync::default(), Vec::new());
        for n in 0..40u8 {
            let piece = vec![n; 100_000];
            file.write_all(&piece).unwrap();
            whole.extend(piece);
            sync.follow(&file, whole.len() as u64).unwrap();
        }
        assert!(whole.len() as u64 - sync.synced < STEP_BYTES);
        drop_pages(&FileSystem, &path);
        assert!(std::fs::read(&path).unwrap() == whole);
    }

    #[test]
    fn a_sync_that_fails_is_told() {
        // A pipe cannot be synced.
        let (_reads, writes) = rustix::pipe::pipe().unwrap();
        let mut sync = IncrementalSync::default();
        assert!(sync.follow(&File::from(writes), STEP_BYTES).is_err());
        assert_eq!(sync.synced, 0);
    }

    #[test]
    fn there_need_be_no_file_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        drop_pages(&FileSystem, &path);
        assert!(!path.exists());
    }
}
