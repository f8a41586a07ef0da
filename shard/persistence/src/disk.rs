//! What data files lie on, as far as they need it: a file system, or a model of one.
//!
//! What is written, and what names are given, outlasts the end of the process at once. It outlasts
//! a loss of power after a sync: of the file for its bytes, of the folder for its names.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use storage::aof;
use storage::rdb::{Damage, FileReader};
use storage::read_at::ReadAt;

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// To be read. There has to be one.
    Read,
    /// To be changed. There has to be one.
    Change,
    /// To be written on. Without one an empty one is created.
    Extend,
    /// To be written from the beginning: an empty one stands in its place.
    Replace,
}

/// Where data files are kept. Errors are those of the system.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none and `access` asks for one.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file, which is created where there is none, and locks it. `None` while another
    /// opening holds the lock. The lock goes with the file that is returned, or with the process.
    fn open_locked(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>>;

    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The size of a file in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;

    /// Whether there is anything of this name.
    fn exists(&self, path: &Path) -> bool;

    /// Whether there is a file of this name.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether there is a folder of this name.
    fn is_folder(&self, path: &Path) -> bool;

    /// The paths of all that a folder names, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a folder, and those above it. One that is there is left as it is.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder outlast a loss of power.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same folder, in place of what had that before.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name. What it holds goes with its last name and its last opening.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name. Not every file system can.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Copies a file, and syncs the copy.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// A file that is open.
pub trait DiskFile: ReadAt + Debug {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Writes some of `bytes` to the place `at`. Returns how many.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Returns when the bytes that were written, and what is needed to find them, would outlast a
    /// loss of power.
    fn sync_data(&self) -> io::Result<()>;

    /// Returns when all that was written, times and rights too, would outlast a loss of power.
    fn sync_all(&self) -> io::Result<()>;

    /// Cuts the file off behind `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// How many names the file has.
    fn names(&self) -> io::Result<u64>;

    /// Lets the system drop what it caches of these bytes. They have to be synced.
    fn drop_cached(&self, from: u64, to: u64);

    /// Writes all of `bytes` to the place `at`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WriteZero`] where the disk takes no more; some of them may be written then.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.write_at(&bytes[done..], at + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(some) => done += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opens a log to be read from an offset on, where a record begins.
pub fn open_log(disk: &dyn Disk, path: &Path, offset: u64) -> io::Result<aof::Reader> {
    let file = disk.open(path, Access::Read)?;
    let size = file.size()?;
    Ok(aof::Reader::new(file, size, offset))
}

/// Opens a snapshot to be read.
///
/// # Errors
/// Where the file cannot be read, or is no snapshot of a version that we know.
pub fn open_snapshot(disk: &dyn Disk, path: &Path) -> Result<FileReader, Damage> {
    let unreadable = |error: io::Error| Damage {
        at: 0,
        what: format!("cannot be read: {error}"),
    };
    let file = disk.open(path, Access::Read).map_err(unreadable)?;
    let size = file.size().map_err(unreadable)?;
    FileReader::new(file, size)
}

/// The text of a file.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where it is not UTF-8.
pub(crate) fn read_text(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let text = String::from_utf8(disk.read(path)?);
    let unreadable = |_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8");
    text.map_err(unreadable)
}

/// The folder in which a path names something: the current one where the path has none.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
