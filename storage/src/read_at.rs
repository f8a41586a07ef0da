//! Where the bytes of a data file come from: a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read by their place.
pub trait ReadAt: Send + Sync {
    /// Fills `bytes` with what stands from the place `at` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where less stands there; what the system says otherwise.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, at)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let from = usize::try_from(at).ok();
        let range = from.and_then(|from| Some(from..from.checked_add(bytes.len())?));
        match range.and_then(|range| self.get(range)) {
            Some(there) => bytes.copy_from_slice(there),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}
