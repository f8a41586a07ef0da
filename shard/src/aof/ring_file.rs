//! A file of the log, written through the shard's ring.

use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use monoio::buf::IoBuf;
use persistence::log_file::{AppendFile, LogFile, Reach};
use rustix::fs::OFlags;

/// A file of the log.
pub struct RingFile {
    ring: monoio::fs::File,
    /// The same file, whose writes are on disk when they are done.
    safely: monoio::fs::File,
    /// The same file, for system calls.
    direct: std::fs::File,
}

impl AppendFile for RingFile {
    async fn write_at(
        &self,
        bytes: Vec<u8>,
        from: usize,
        at: u64,
        reach: Reach,
    ) -> (io::Result<usize>, Vec<u8>) {
        let file = match reach {
            Reach::System => &self.ring,
            Reach::Disk => &self.safely,
        };
        let (result, slice) = file.write_at(bytes.slice(from..), at).await;
        (result, slice.into_inner())
    }

    fn append_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.direct.write_at(bytes, at)
    }

    async fn sync(&self) -> io::Result<()> {
        self.ring.sync_data().await
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.direct.set_len(size)
    }
}

/// Opens a log file, which is created where there is none, to go on at its end.
pub fn open(path: &Path) -> io::Result<LogFile<RingFile>> {
    let direct = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let bytes = direct.metadata()?.len();
    let safely = std::fs::File::options()
        .write(true)
        .custom_flags(OFlags::DSYNC.bits().cast_signed())
        .open(path)?;
    let disk = RingFile {
        ring: monoio::fs::File::from_std(direct.try_clone()?)?,
        safely: monoio::fs::File::from_std(safely)?,
        direct,
    };
    Ok(LogFile::new(disk, bytes))
}
