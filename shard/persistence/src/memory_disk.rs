//! A model of a disk, for tests: it fails as it is told to, and remembers what a loss of power
//! leaves.
//!
//! It is as bad as Linux on real hardware. Bytes are durable after a sync of their file, names
//! after a sync of their folder. After a sync that failed the system still shows what was written,
//! the disk has lost it, and the next sync says that all is well. What is not synced when the power
//! goes is there up to some byte of some write, with or without zeros behind that, and names are
//! there up to some change.

mod file;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use crate::disk::{Access, Disk, DiskFile, folder_of};
use file::Content;

pub use file::MemoryFile;

/// The system's numbers of the errors: an error of the device, and no room left on it.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What a write or a sync does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// What it should.
    Works,
    /// Fails with nothing done: a write for want of room (ENOSPC), a sync for the device (EIO).
    Fails,
    /// A write takes no more than so many bytes, and the next call fails. A sync brings no more
    /// than so many writes to the disk, and fails.
    Short(usize),
}

/// A disk in memory. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What the system shows.
    names: Names,
    /// What a loss of power leaves at least.
    durable_names: Names,
    /// The changes that lie between those two, in order.
    changes: Vec<Change>,
    /// What the next writes and syncs do. All that follow work.
    faults: VecDeque<Fault>,
    /// After so many changes all that changes anything fails, with this error.
    refuses: Option<(usize, i32)>,
    refuses_truncate: bool,
}

type Names = BTreeMap<PathBuf, Node>;

/// Names of one folder that change at once: what each is from then on.
type Change = Vec<(PathBuf, Option<Node>)>;

/// What a name stands for.
#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Arc<Mutex<Content>>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl MemoryDisk {
    /// A disk with one folder, which is empty.
    pub fn new(root: &Path) -> Self {
        let names = Names::from([(root.into(), Node::Folder)]);
        Self(Arc::new(Mutex::new(State {
            durable_names: names.clone(),
            names,
            changes: Vec::new(),
            faults: VecDeque::new(),
            refuses: None,
            refuses_truncate: false,
        })))
    }

    /// Says what the next writes and syncs do, in order. All that follow work.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.0).faults = faults.into_iter().collect();
    }

    /// The next `changes` calls that change anything work, and all that follow fail with the
    /// system's number of an error, until the power goes or [`Self::heal`].
    pub fn refuse_after(&self, changes: usize, error: i32) {
        lock(&self.0).refuses = Some((changes, error));
    }

    /// From now on everything works.
    pub fn heal(&self) {
        lock(&self.0).heal();
    }

    /// From now on files cannot be cut shorter, or can again.
    pub fn refuse_truncate(&self, refuses: bool) {
        lock(&self.0).refuses_truncate = refuses;
    }

    /// The bytes of a file as the system shows them. Empty where there is none.
    pub fn shown(&self, path: &Path) -> Vec<u8> {
        let content = lock(&self.0).content(path);
        content.map_or_else(|_| Vec::new(), |it| lock(&it).shown.clone())
    }

    /// The bytes of a file that a loss of power leaves at least, if it leaves the name.
    pub fn durable(&self, path: &Path) -> Vec<u8> {
        let content = lock(&self.0).content(path);
        content.map_or_else(|_| Vec::new(), |it| lock(&it).durable.clone())
    }

    /// The power goes: what is not synced is there by chance. All faults are over.
    pub fn lose_power(&self, random: &mut Rng) {
        let state = &mut *lock(&self.0);
        let outlast = random.usize(0..=state.changes.len());
        for change in state.changes.drain(..).take(outlast) {
            apply(&mut state.durable_names, change);
        }
        // A second name is of the same file still.
        let mut left: Vec<(Arc<Mutex<Content>>, Node)> = Vec::new();
        let mut names = Names::new();
        for (path, node) in &state.durable_names {
            let node = match node {
                Node::Folder => Node::Folder,
                Node::File(before) => {
                    let known = left.iter().find(|(it, _)| Arc::ptr_eq(it, before));
                    known.map(|(_, after)| after.clone()).unwrap_or_else(|| {
                        let after = Node::file(lock(before).after_loss_of_power(random));
                        left.push((before.clone(), after.clone()));
                        after
                    })
                }
            };
            names.insert(path.clone(), node);
        }
        state.durable_names = names.clone();
        state.names = names;
        state.heal();
    }
}

fn apply(names: &mut Names, change: Change) {
    for (path, node) in change {
        match node {
            Some(node) => drop(names.insert(path, node)),
            None => drop(names.remove(&path)),
        }
    }
}

impl Node {
    fn file(content: Content) -> Self {
        Self::File(Arc::new(Mutex::new(content)))
    }
}

impl State {
    fn content(&self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        match self.names.get(path) {
            Some(Node::File(content)) => Ok(content.clone()),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found()),
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.may_change()?;
        let folders = change.iter().map(|(path, _)| folder_of(path));
        for folder in folders {
            if !matches!(self.names.get(folder), Some(Node::Folder)) {
                return Err(not_found());
            }
        }
        apply(&mut self.names, change.clone());
        self.changes.push(change);
        Ok(())
    }

    /// Counts a change, which may be refused.
    fn may_change(&mut self) -> io::Result<()> {
        match &mut self.refuses {
            None => Ok(()),
            Some((0, number)) => Err(error(*number)),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn heal(&mut self) {
        self.faults.clear();
        self.refuses = None;
        self.refuses_truncate = false;
    }

    /// How many names a file has.
    fn names_of(&self, content: &Arc<Mutex<Content>>) -> u64 {
        let is_this = |node: &&Node| matches!(node, Node::File(it) if Arc::ptr_eq(it, content));
        self.names.values().filter(is_this).count() as u64
    }

    fn open(&mut self, path: &Path, access: Access) -> io::Result<Arc<Mutex<Content>>> {
        match (self.content(path), access) {
            (Ok(content), Access::Replace) => {
                self.may_change()?;
                lock(&content).truncate(0);
                Ok(content)
            }
            (Err(error), Access::Extend | Access::Replace)
                if error.kind() == io::ErrorKind::NotFound =>
            {
                self.change(vec![(path.into(), Some(Node::file(Content::default())))])?;
                self.content(path)
            }
            (content, _) => content,
        }
    }

    /// What the next write or sync does.
    fn fault(&mut self) -> Fault {
        self.faults.pop_front().unwrap_or(Fault::Works)
    }
}

impl MemoryDisk {
    fn file(&self, content: Arc<Mutex<Content>>, locks: bool) -> MemoryFile {
        MemoryFile::new(self.clone(), content, locks)
    }

    /// Opens a file as [`Disk::open`] does.
    pub fn open_file(&self, path: &Path, access: Access) -> io::Result<MemoryFile> {
        let content = lock(&self.0).open(path, access)?;
        Ok(self.file(content, false))
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.open_file(path, access)?))
    }

    fn open_locked(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let content = lock(&self.0).open(path, Access::Extend)?;
        if !lock(&content).lock() {
            return Ok(None);
        }
        Ok(Some(Box::new(self.file(content, true))))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let content = lock(&self.0).content(path)?;
        let bytes = lock(&content).shown.clone();
        Ok(bytes)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        Ok(self.read(path)?.len() as u64)
    }

    fn exists(&self, path: &Path) -> bool {
        lock(&self.0).names.contains_key(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        lock(&self.0).content(path).is_ok()
    }

    fn is_folder(&self, path: &Path) -> bool {
        matches!(lock(&self.0).names.get(path), Some(Node::Folder))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.is_folder(folder) {
            return Err(not_found());
        }
        let state = lock(&self.0);
        let names = state.names.keys();
        let listed = names.filter(|it| it.parent() == Some(folder));
        Ok(listed.cloned().collect())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if self.is_folder(path) {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.create_folder(above)?;
        }
        lock(&self.0).change(vec![(path.into(), Some(Node::Folder))])
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if !self.is_folder(path) {
            return Err(not_found());
        }
        let state = &mut *lock(&self.0);
        state.may_change()?;
        let of_folder = |change: &Change| change.iter().all(|(it, _)| folder_of(it) == path);
        let (synced, left) = state.changes.drain(..).partition(of_folder);
        state.changes = left;
        let synced: Vec<Change> = synced;
        for change in synced {
            apply(&mut state.durable_names, change);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let content = state.content(from)?;
        state.change(vec![
            (from.into(), None),
            (to.into(), Some(Node::File(content))),
        ])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.content(path)?;
        state.change(vec![(path.into(), None)])
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let content = state.content(from)?;
        state.change(vec![(to.into(), Some(Node::File(content)))])
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.read(from)?;
        let copy = self.open_file(to, Access::Replace)?;
        copy.write_all_at(&bytes, 0)?;
        copy.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "/data";

    #[test]
    fn what_is_not_synced_is_there_by_chance_and_the_rest_is() {
        let path = Path::new("/data/file");
        let mut seen = [false; 3];
        for seed in 0..100 {
            let disk = MemoryDisk::new(Path::new(ROOT));
            let file = disk.open(path, Access::Replace).unwrap();
            file.write_all_at(b"one", 0).unwrap();
            file.sync_all().unwrap();
            disk.sync_folder(Path::new(ROOT)).unwrap();
            file.write_all_at(b"two", 3).unwrap();
            disk.link(path, Path::new("/data/second")).unwrap();
            disk.lose_power(&mut Rng::with_seed(seed));
            let left = disk.read(path).unwrap();
            assert!(left.starts_with(b"one") && left.len() <= 6);
            seen[0] |= left == b"one";
            seen[1] |= left == b"onetwo";
            seen[2] |= disk.exists(Path::new("/data/second"));
            // What was open is of no file any more.
            file.write_all_at(b"three", 0).unwrap();
            assert_eq!(disk.read(path).unwrap(), left);
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn a_lock_goes_with_what_was_opened_for_it() {
        let disk = MemoryDisk::new(Path::new(ROOT));
        let path = Path::new("/data/lock");
        let first = disk.open_locked(path).unwrap();
        assert!(first.is_some());
        assert!(disk.open_locked(path).unwrap().is_none());
        drop(first);
        assert!(disk.open_locked(path).unwrap().is_some());
    }

    #[test]
    fn a_full_disk_refuses_until_it_heals() {
        let disk = MemoryDisk::new(Path::new(ROOT));
        let path = Path::new("/data/file");
        disk.refuse_after(1, ENOSPC);
        let file = disk.open(path, Access::Extend).unwrap();
        let refused = file.write_all_at(b"x", 0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        disk.heal();
        file.write_all_at(b"x", 0).unwrap();
        assert_eq!(disk.shown(path), b"x");
        assert!(disk.durable(path).is_empty());
    }
}
