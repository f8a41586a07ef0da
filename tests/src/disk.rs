//! A disk below a server that fails when it is told to, and loses its power: the library `faults`
//! between the server and the system.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use tempfile::TempDir;

use crate::binary::faults;

/// What the library maps: numbers of four bytes.
const CONTROL_BYTES: u64 = 64;

/// Where in it the calls that have failed are counted.
const FAILED_AT: u64 = 7 * 4;

/// The name of the server's own log, which is no data.
const LOG: &str = "log";

/// The system's number for an error of the device.
pub const EIO: u32 = 5;
/// The same for a disk that is full.
pub const ENOSPC: u32 = 28;

/// A call of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Write = 0,
    Sync = 1,
    Rename = 2,
    SyncFolder = 3,
}

/// Which files fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    All = 0,
    Log = 1,
    Snapshot = 2,
    Manifest = 3,
    /// The log of one shard among others.
    FirstLog = 4,
}

/// The disk, and what it has kept.
#[derive(Debug)]
pub struct Disk {
    safe: TempDir,
    control: File,
}

/// What the server's process needs to have it below.
pub(crate) fn environment(safe: &Path, data: &Path) -> [(&'static str, OsString); 3] {
    // As the system names the files that are open.
    let data = data.canonicalize().expect("the server's directory");
    [
        ("LD_PRELOAD", faults().into()),
        ("FAULTS_DATA", data.into()),
        ("FAULTS_SAFE", safe.into()),
    ]
}

/// What is known to be safe, by the ids of files.
#[derive(Default)]
struct Safe {
    bytes: HashMap<String, u64>,
    folders: HashMap<String, BTreeMap<String, String>>,
    generations: HashMap<u64, u64>,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// A disk that works.
    ///
    /// # Panics
    /// Where there is no room for what it keeps.
    pub fn new() -> Disk {
        let safe = tempfile::tempdir().expect("a temporary directory");
        let control = File::options()
            .create_new(true)
            .write(true)
            .read(true)
            .open(safe.path().join("control"))
            .expect("a file");
        control.set_len(CONTROL_BYTES).expect("a file of zeros");
        Disk { safe, control }
    }

    /// Where it keeps what it does: for [`crate::Options`].
    pub fn path(&self) -> PathBuf {
        self.safe.path().into()
    }

    fn set(&self, at: u64, number: u32) {
        let written = self.control.write_all_at(&number.to_ne_bytes(), at * 4);
        written.expect("a file that is mapped");
    }

    /// From now on this call fails, on these files.
    ///
    /// # Panics
    /// Where the library cannot be told.
    pub fn fail(&self, call: Call, error: u32, which: Which) {
        self.set(4, which as u32);
        self.set(call as u64, error);
    }

    /// Every so many-th write takes only half of what it is given.
    ///
    /// # Panics
    /// Where the library cannot be told.
    pub fn tear_every(&self, writes: u32) {
        self.set(5, writes);
    }

    /// A sync takes longer.
    ///
    /// # Panics
    /// Where the library cannot be told.
    pub fn slow_down(&self, by: Duration) {
        self.set(6, by.as_millis() as u32);
    }

    /// From now on all works.
    ///
    /// # Panics
    /// Where the library cannot be told.
    pub fn work(&self) {
        (0..7).for_each(|at| self.set(at, 0));
    }

    /// Calls that have failed.
    ///
    /// # Panics
    /// Where the library does not tell.
    pub fn failed(&self) -> u32 {
        let mut bytes = [0; 4];
        let read = self.control.read_exact_at(&mut bytes, FAILED_AT);
        read.expect("a file that is mapped");
        u32::from_ne_bytes(bytes)
    }

    /// All that there is, is safe: where a server begins.
    ///
    /// # Panics
    /// Where it cannot be kept.
    pub fn begin(&self, data: &Path) {
        for kept in fs::read_dir(self.safe.path()).expect("a folder") {
            let kept = kept.expect("a file");
            if kept.file_name() != "control" {
                fs::remove_file(kept.path()).expect("removing a file");
            }
        }
        let mut notes = String::new();
        for folder in folders(data) {
            let mut line = format!("folder /{folder}");
            for (name, path) in names(&data.join(&folder)) {
                let about = fs::metadata(&path).expect("a file");
                let id = format!("{}.0", about.ino());
                line.push_str(&format!(" {name}={id}"));
                if about.is_file() {
                    fs::copy(&path, self.safe.path().join(&id)).expect("a copy");
                    notes.push_str(&format!("file {id} {}\n", about.len()));
                }
            }
            notes.push_str(&line);
            notes.push('\n');
        }
        fs::write(self.safe.path().join("safe"), notes).expect("a file");
    }

    fn safe(&self) -> Safe {
        let notes = fs::read_to_string(self.safe.path().join("safe")).expect("notes");
        let mut safe = Safe::default();
        // A line that was not written whole is none.
        for line in notes
            .split_inclusive('\n')
            .filter_map(|it| it.strip_suffix('\n'))
        {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["file", id, bytes] => {
                    safe.bytes
                        .insert(id.into(), bytes.parse().expect("a length"));
                }
                ["gone", inode, generation] => {
                    let (inode, generation) = (inode.parse(), generation.parse());
                    safe.generations
                        .insert(inode.expect("an inode"), generation.expect("a number"));
                }
                ["folder", path, ref names @ ..] => {
                    let names = names.iter().filter_map(|it| it.split_once('='));
                    let names = names.map(|(name, id)| (name.into(), id.into()));
                    let path = path.trim_start_matches('/').to_owned();
                    safe.folders.insert(path, names.collect());
                }
                _ => panic!("a note: {line}"),
            }
        }
        safe
    }

    /// Whether all that is in the files of a server's log is safe.
    ///
    /// # Panics
    /// Where it is not known what is.
    pub fn has_synced_logs(&self, data: &Path) -> bool {
        let safe = self.safe();
        names(&data.join("appendonlydir"))
            .into_iter()
            .filter(|(name, _)| name.ends_with(".aof"))
            .all(|(_, path)| {
                let Ok(about) = fs::metadata(path) else {
                    return false;
                };
                let generation = safe.generations.get(&about.ino()).unwrap_or(&0);
                let id = format!("{}.{generation}", about.ino());
                safe.bytes.get(&id).copied().unwrap_or(0) == about.len()
            })
    }

    /// The machine has lost its power, and the server with it: what is left is what was safe, and
    /// of everything else some.
    ///
    /// # Panics
    /// Where the files cannot be laid out so.
    pub fn lose_power(&self, data: &Path, rng: &mut Rng) {
        let safe = self.safe();
        let mut left: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
        for folder in folders(data) {
            let nothing = BTreeMap::new();
            let was = safe.folders.get(&folder).unwrap_or(&nothing);
            let now: BTreeMap<String, (String, PathBuf)> = names(&data.join(&folder))
                .into_iter()
                .map(|(name, path)| {
                    let inode = fs::metadata(&path).expect("a file").ino();
                    let generation = safe.generations.get(&inode).unwrap_or(&0);
                    (name, (format!("{inode}.{generation}"), path))
                })
                .collect();
            let all: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
            for name in all.into_iter().filter(|name| *name != LOG) {
                let place = data.join(&folder).join(name);
                let (before, after) = (was.get(name), now.get(name));
                // A name of which the folder was not synced is the old one or the new one.
                let kept = match (before, after) {
                    (Some(before), Some(after)) if *before == after.0 => Some(before.clone()),
                    (before, after) => {
                        if rng.bool() {
                            before.cloned()
                        } else {
                            after.map(|after| after.0.clone())
                        }
                    }
                };
                let Some(id) = kept else { continue };
                let path = after.filter(|after| after.0 == id).map(|after| &after.1);
                left.push(if path.is_some_and(|path| path.is_dir()) {
                    (place, None)
                } else {
                    (place, Some(self.content(&safe, &id, path, rng)))
                });
            }
        }
        for folder in folders(data) {
            for (name, path) in names(&data.join(folder)) {
                if path.is_file() && name != LOG {
                    fs::remove_file(path).expect("removing a file");
                }
            }
        }
        let lost: Vec<PathBuf> = folders(data)
            .into_iter()
            .map(|folder| data.join(folder))
            .filter(|folder| folder != data && !left.iter().any(|it| it.0 == *folder))
            .collect();
        for (path, content) in left {
            if let Some(content) = content
                && !lost.iter().any(|folder| path.starts_with(folder))
            {
                fs::write(path, content).expect("a file");
            }
        }
        for folder in lost {
            fs::remove_dir_all(folder).expect("removing a folder");
        }
    }

    /// What is safe of a file, and some of what it has now besides, of which the last may be zeros.
    fn content(&self, safe: &Safe, id: &str, now: Option<&PathBuf>, rng: &mut Rng) -> Vec<u8> {
        let bytes = safe.bytes.get(id).copied().unwrap_or(0) as usize;
        let mut content = match bytes {
            0 => Vec::new(),
            _ => fs::read(self.safe.path().join(id)).expect("what is kept"),
        };
        content.resize(bytes, 0);
        let now = now.map(|path| fs::read(path).expect("a file"));
        if let Some(more) = now.as_deref().and_then(|now| now.get(bytes..)) {
            let some = &more[..rng.usize(..=more.len())];
            content.extend_from_slice(some);
            if rng.bool() {
                let zeros = rng.usize(..=some.len());
                let from = content.len() - zeros;
                content[from..].fill(0);
            }
        }
        content
    }
}

/// The folders of a server's data, relative: its own, and those in it.
fn folders(data: &Path) -> Vec<String> {
    let inner = names(data).into_iter().filter(|(_, path)| path.is_dir());
    std::iter::once(String::new())
        .chain(inner.map(|(name, _)| name))
        .collect()
}

fn names(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect()
}
