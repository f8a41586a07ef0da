//! Files in the kernel's page cache: written out and dropped a step at a time, by the thread that writes a snapshot.
//!
//! What is left to one sync at the end, and to the rename over the file before, the kernel does in one go each: it writes out some hundred megabytes of
//! pages, it drops as many. One that does not preempt itself lets nobody else have that processor for 4 to 12 ms at a time, not even a shard. (Redis syncs
//! every 4 MB, `rdb-save-incremental-fsync`, and drops the pages of a file that it has saved.)

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::thread;

use rustix::fs::{Advice, fadvise};

/// How much is synced and dropped at once: about a quarter of a millisecond's work.
const STEP_BYTES: u64 = 1 << 20;

/// How far a file that grows has been written out.
#[derive(Default)]
pub struct Trail {
    synced: u64,
}

impl Trail {
    /// The file has so many bytes now.
    pub fn follow(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        if bytes - self.synced >= STEP_BYTES {
            file.sync_data()?;
            drop_pages(file, self.synced, bytes);
            self.synced = bytes;
        }
        Ok(())
    }
}

/// Drops the pages of a file that is about to be replaced, if there is one.
pub fn let_go_of(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let bytes = file.metadata().map_or(0, |it| it.len());
    let mut at = 0;
    while at < bytes {
        let end = bytes.min(at + STEP_BYTES);
        drop_pages(&file, at, end);
        at = end;
        thread::yield_now();
    }
}

/// An advice: where it is not taken, the pages stay.
fn drop_pages(file: &File, from: u64, to: u64) {
    if let Some(len) = NonZeroU64::new(to - from) {
        let _ = fadvise(file, from, Some(len), Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_written_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        let (mut trail, mut whole) = (Trail::default(), Vec::new());
        for n in 0..40u8 {
            let piece = vec![n; 100_000];
            file.write_all(&piece).unwrap();
            whole.extend(piece);
            trail.follow(&file, whole.len() as u64).unwrap();
        }
        assert!(whole.len() as u64 - trail.synced < STEP_BYTES);
        let_go_of(&path);
        assert!(std::fs::read(&path).unwrap() == whole);
    }

    #[test]
    fn a_sync_that_fails_is_told() {
        // A pipe cannot be synced.
        let (_reads, writes) = rustix::pipe::pipe().unwrap();
        let mut trail = Trail::default();
        assert!(trail.follow(&File::from(writes), STEP_BYTES).is_err());
        assert_eq!(trail.synced, 0);
    }

    #[test]
    fn there_need_be_no_file_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        let_go_of(&path);
        assert!(!path.exists());
    }
}
