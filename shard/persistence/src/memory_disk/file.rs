//! A file of a disk in memory.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use storage::read_at::ReadAt;

use super::{EIO, ENOSPC, Fault, MemoryDisk, error, lock};
use crate::disk::DiskFile;
use crate::log_file::{AppendFile, Reach};

/// The bytes of a file.
#[derive(Default)]
pub struct Content {
    /// What the system shows.
    pub shown: Vec<u8>,
    /// Places that were written since the last sync. What reaches the disk is what the system shows
    /// there by then, never something older.
    dirty: Vec<Range<usize>>,
    /// What a loss of power leaves at least.
    pub durable: Vec<u8>,
    locked: bool,
}

/// A file of a [`MemoryDisk`] that is open. After a loss of power it is of no file.
#[derive(Debug)]
pub struct MemoryFile {
    disk: MemoryDisk,
    content: Arc<Mutex<Content>>,
    /// It holds the file's lock.
    locks: bool,
}

impl Content {
    /// Takes the lock. Returns whether it was free.
    pub fn lock(&mut self) -> bool {
        !std::mem::replace(&mut self.locked, true)
    }

    fn put(&mut self, bytes: &[u8], at: usize) {
        put(&mut self.shown, at, bytes);
    }

    fn reaches_disk(&mut self, place: Range<usize>) {
        put(&mut self.durable, place.start, &self.shown[place]);
    }

    /// Cuts the file off behind `size` bytes.
    pub fn truncate(&mut self, size: usize) {
        self.shown.truncate(size);
        self.dirty.retain_mut(|place| {
            place.end = place.end.min(size);
            place.start < place.end
        });
    }

    /// What is there when the power is back.
    pub fn after_loss_of_power(&mut self, random: &mut Rng) -> Content {
        let mut places = std::mem::take(&mut self.dirty);
        places.truncate(random.usize(0..=places.len()));
        if let Some(torn) = places.last_mut() {
            torn.end -= random.usize(0..=torn.len());
        }
        for place in places {
            self.reaches_disk(place);
        }
        let (size, durable_size) = (self.shown.len(), self.durable.len());
        if random.bool() && size != durable_size {
            self.durable.resize(size, 0);
        }
        Content {
            shown: self.durable.clone(),
            durable: std::mem::take(&mut self.durable),
            ..Content::default()
        }
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, durable) = (self.shown.len(), self.durable.len());
        write!(f, "{shown} bytes, {durable} of them durable")
    }
}

impl MemoryFile {
    /// An opening of a file with this content, which `locks` it or not.
    pub(super) fn new(disk: MemoryDisk, content: Arc<Mutex<Content>>, locks: bool) -> Self {
        Self {
            disk,
            content,
            locks,
        }
    }

    /// What the next write or sync does, and the file's bytes.
    fn next(&self) -> io::Result<(Fault, MutexGuard<'_, Content>)> {
        let mut state = lock(&self.disk.0);
        state.may_change()?;
        Ok((state.fault(), lock(&self.content)))
    }

    /// Writes some of `bytes`, which the system shows then.
    fn write_some(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let (fault, mut content) = self.next()?;
        let some = match fault {
            Fault::Fails | Fault::Short(0) => return Err(error(ENOSPC)),
            Fault::Short(most) => bytes.len().min(most),
            Fault::Works => bytes.len(),
        };
        content.put(&bytes[..some], at as usize);
        drop(content);
        if fault != Fault::Works {
            lock(&self.disk.0).faults.push_front(Fault::Fails);
        }
        Ok(some)
    }

    /// Whether the write that has just been done does not reach the disk.
    fn is_dropped(&self) -> bool {
        let faults = &mut lock(&self.disk.0).faults;
        let fails = faults.front() == Some(&Fault::Fails);
        if fails {
            faults.pop_front();
        }
        fails
    }
}

impl ReadAt for MemoryFile {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        lock(&self.content).shown.read_exact_at(bytes, at)
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.content).shown.len() as u64)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let some = self.write_some(bytes, at)?;
        let at = at as usize;
        lock(&self.content).dirty.push(at..at + some);
        Ok(some)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (fault, mut content) = self.next()?;
        let mut dirty = std::mem::take(&mut content.dirty);
        if let Fault::Short(some) = fault {
            dirty.truncate(some);
        }
        if fault != Fault::Fails {
            for place in dirty {
                content.reaches_disk(place);
            }
        }
        if fault != Fault::Works {
            return Err(error(EIO));
        }
        let size = content.shown.len();
        content.durable.truncate(size);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        // A file without a name is nobody's, and is cut by a thread of its own: it does not count.
        if state.names_of(&self.content) > 0 {
            state.may_change()?;
            if state.refuses_truncate {
                return Err(error(EIO));
            }
        }
        lock(&self.content).truncate(size as usize);
        Ok(())
    }

    fn names(&self) -> io::Result<u64> {
        Ok(lock(&self.disk.0).names_of(&self.content))
    }

    fn drop_cached(&self, _: u64, _: u64) {}
}

impl AppendFile for MemoryFile {
    async fn write_at(
        &self,
        bytes: Vec<u8>,
        from: usize,
        at: u64,
        reach: Reach,
    ) -> (io::Result<usize>, Vec<u8>) {
        if reach == Reach::System {
            return (self.append_at(&bytes[from..], at), bytes);
        }
        let some = match self.write_some(&bytes[from..], at) {
            Ok(some) => some,
            Err(error) => return (Err(error), bytes),
        };
        if self.is_dropped() {
            return (Err(error(EIO)), bytes);
        }
        let at = at as usize;
        lock(&self.content).reaches_disk(at..at + some);
        (Ok(some), bytes)
    }

    fn append_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        DiskFile::write_at(self, bytes, at)
    }

    async fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        DiskFile::truncate(self, size)
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if self.locks {
            lock(&self.content).locked = false;
        }
    }
}
