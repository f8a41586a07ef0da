//! A snapshot's file: an RDB file that takes the place of the one before when it is whole.
//!
//! It is written beside the one that it is to replace, synced, renamed over it, and the folder
//! synced: at any moment the name stands for a whole file. What is given up before leaves nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use config::Config;
use storage::rdb::{self, Checksum, Format};
use storage::{Databases, Piece, Position, Terms};

use crate::disk::{Access, Disk, DiskFile, folder_of};
use crate::page_cache::{self, IncrementalSync};

static FILES_BEGUN: AtomicU64 = AtomicU64::new(0);

/// What a snapshot tells of itself before its first key.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Who is to read it.
    pub format: Format,
    /// The version of Redis whose format it is.
    pub redis_version: &'a str,
    /// When it was begun, in seconds of Unix time.
    pub created_unix_s: u64,
    /// Bytes of memory that the server used then.
    pub used_memory: u64,
}

impl Header<'_> {
    /// The first bytes of the file.
    fn bytes(&self) -> Vec<u8> {
        let (created, used) = (
            self.created_unix_s.to_string(),
            self.used_memory.to_string(),
        );
        let told = [
            ("redis-ver", self.redis_version),
            ("redis-bits", "64"),
            ("ctime", &created),
            ("used-mem", &used),
            ("aof-base", "0"),
        ];
        rdb::header(self.format, &told)
    }
}

/// Where the snapshots of a server with this configuration go.
pub fn dump_path(config: &Config) -> PathBuf {
    config.dir.join(&config.dbfilename)
}

/// Whether a snapshot could be begun, and take its place.
///
/// # Errors
/// Why it could not.
pub fn can_write(disk: &Arc<dyn Disk>, config: &Config) -> io::Result<()> {
    let name = dump_path(config);
    if disk.is_folder(&name) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    SnapshotFile::open(disk, &name, false).map(drop)
}

/// A snapshot that is being written. Dropped before [`SnapshotFile::publish`] it leaves no file.
pub struct SnapshotFile {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    name: PathBuf,
    /// What the file is called until it is whole.
    temporary: PathBuf,
    checksum: Checksum,
    bytes: u64,
    sync: IncrementalSync,
}

impl SnapshotFile {
    /// Begins a file that is to be called `name`, with its header.
    pub fn create(
        disk: &Arc<dyn Disk>,
        config: &Config,
        name: &Path,
        header: &Header<'_>,
    ) -> io::Result<Self> {
        let mut file = Self::open(disk, name, config.rdbchecksum)?;
        file.write(&header.bytes())?;
        Ok(file)
    }

    fn open(disk: &Arc<dyn Disk>, name: &Path, checksum: bool) -> io::Result<Self> {
        let temporary = temporary(name);
        Ok(Self {
            file: disk.open(&temporary, Access::Replace)?,
            disk: disk.clone(),
            name: name.into(),
            temporary,
            checksum: Checksum::new(checksum),
            bytes: 0,
            sync: IncrementalSync::default(),
        })
    }

    /// Appends a piece.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.checksum.update(piece);
        self.append(piece)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes databases that nobody changes meanwhile, `step` keys at a time. A snapshot that is
    /// being written of them is not disturbed.
    pub fn write_databases(
        &mut self,
        databases: &Databases,
        terms: Terms,
        step: usize,
    ) -> io::Result<()> {
        for db in databases.indices() {
            let mut from = Some(Position::default());
            while let Some(at) = from {
                let keyspace = databases.get(db);
                let (piece, next) = keyspace.write_from(at, step, db.number(), terms);
                self.write(&piece)?;
                from = next;
            }
        }
        Ok(())
    }

    /// Writes pieces as they come, until the last of so many keyspaces is there. They are synced as
    /// they are written, a step at a time.
    ///
    /// # Errors
    /// What the disk says; where nobody sends pieces any more before the last has come, what
    /// [`given_up`] says.
    pub fn write_pieces(&mut self, pieces: &Receiver<Piece>, keyspaces: usize) -> io::Result<()> {
        let mut left = keyspaces;
        while left > 0 {
            let piece = pieces.recv().map_err(|_| given_up())?;
            self.write(&piece.bytes)?;
            left -= usize::from(piece.last);
            self.sync.follow(&*self.file, self.bytes)?;
        }
        page_cache::drop_pages(&*self.disk, &self.name);
        Ok(())
    }

    /// Writes what ends the file, and returns when all of it is on disk.
    pub fn seal(&mut self) -> io::Result<()> {
        let checksum = std::mem::replace(&mut self.checksum, Checksum::new(false));
        self.append(&checksum.end())?;
        self.file.sync_all()
    }

    /// Gives a sealed file its name. Returns its size in bytes.
    pub fn publish(self) -> io::Result<u64> {
        self.disk.rename(&self.temporary, &self.name)?;
        self.disk.sync_folder(folder_of(&self.name))?;
        Ok(self.bytes)
    }
}

impl Drop for SnapshotFile {
    /// What was not published goes; after that there is nothing of this name.
    fn drop(&mut self) {
        let _ = self.disk.remove(&self.temporary);
    }
}

/// What a file is called until it is whole: beside its place, and a name of its own each time, as
/// what was given up may still be open.
fn temporary(name: &Path) -> PathBuf {
    let number = FILES_BEGUN.fetch_add(1, Ordering::Relaxed);
    name.with_file_name(format!("temp-{}-{number}.rdb", std::process::id()))
}

/// The error of a snapshot that is not wanted any more.
pub fn given_up() -> io::Error {
    io::Error::other("the snapshot was given up")
}
