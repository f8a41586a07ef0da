//! Which files an append-only log consists of, in the order in which they are to be read.
//!
//! ```text
//! percore append-only log 1
//! base NAME                     a snapshot that comes first, where there is one
//! part SEQUENCE shards COUNT    then the log files NAME.SEQUENCE.SHARD.aof, one for each shard
//! part ...
//! ```
//!
//! It is replaced whole: written beside, synced, renamed, the folder synced. A part is named here
//! before its first record is written, and what is no longer named is removed after.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Config;

use crate::deferred_truncate::DeferredTruncate;
use crate::disk::{Access, Disk, folder_of, read_text};
use crate::progress::Progress;
use crate::redis_manifest;

const FIRST_LINE: &str = "percore append-only log 1";

/// Log files that were written side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its number: greater than that of every part before it.
    pub sequence: u64,
    /// Shards there were, and so files.
    pub shards: usize,
}

/// What the manifest says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// The snapshot that comes first: a file's name in the folder.
    pub base: Option<String>,
    /// The parts that follow it, in the order of their numbers.
    pub parts: Vec<Part>,
}

/// Where a log's files are.
#[derive(Clone, Debug)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// What their names begin with.
    name: String,
}

impl Folder {
    /// The folder of a server with this configuration, on `disk`. It need not be there yet.
    pub fn new(disk: &Arc<dyn Disk>, config: &Config) -> Self {
        Self {
            disk: disk.clone(),
            path: config.dir.join(&config.appenddirname),
            name: config.appendfilename.clone(),
        }
    }

    /// What the folder lies on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The folder's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the manifest.
    pub fn manifest(&self) -> PathBuf {
        self.path.join(format!("{}.manifest", self.name))
    }

    /// The log file of one shard.
    pub fn part(&self, sequence: u64, shard: usize) -> PathBuf {
        self.path
            .join(format!("{}.{sequence}.{shard}.aof", self.name))
    }

    /// The file of that name.
    pub fn base(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The name of the snapshot that belongs before the part with this number.
    pub fn base_name(&self, sequence: u64) -> String {
        format!("{}.{sequence}.base.rdb", self.name)
    }

    /// What there is; `None` where there is no log of percore's.
    pub fn read(&self) -> io::Result<Option<Manifest>> {
        match read_text(&*self.disk, &self.manifest()) {
            Ok(text) if redis_manifest::is_redis(&text) => Ok(None),
            Ok(text) => Manifest::parse(&text).map(Some).ok_or_else(|| {
                let what = format!(
                    "{} is no manifest of percore's; move the folder away to start without its data",
                    self.manifest().display()
                );
                io::Error::new(io::ErrorKind::InvalidData, what)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the folder, where there is none, so that it outlasts a loss of power.
    pub fn create(&self) -> io::Result<()> {
        if self.disk.is_folder(&self.path) {
            return Ok(());
        }
        self.disk.create_folder(&self.path)?;
        self.disk.sync_folder(folder_of(&self.path))
    }

    /// Puts `manifest` in the place of the one there is. Where that was Redis's, the files of the
    /// folder are kept in another one, which is returned: nobody but Redis can read them later.
    pub fn write(&self, manifest: &Manifest) -> io::Result<Option<PathBuf>> {
        self.create()?;
        let before = read_text(&*self.disk, &self.manifest()).unwrap_or_default();
        let kept_in = if redis_manifest::is_redis(&before) {
            Some(self.keep_files_of_redis(&before)?)
        } else {
            None
        };
        let temporary = self.path.join(format!("{}.manifest.new", self.name));
        let file = self.disk.open(&temporary, Access::Replace)?;
        file.write_all_at(manifest.text().as_bytes(), 0)?;
        file.sync_all()?;
        self.disk.rename(&temporary, &self.manifest())?;
        self.disk.sync_folder(&self.path)?;
        Ok(kept_in)
    }

    /// Gives the files that a manifest of Redis's names, and itself, second names in a new folder
    /// beside this one, or copies them there where the file system has no second names. Returns
    /// the new folder.
    fn keep_files_of_redis(&self, manifest: &str) -> io::Result<PathBuf> {
        let disk = &self.disk;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let names = (0..).map(|number: u32| match number {
            0 => format!("{name}.redis"),
            _ => format!("{name}.redis.{number}"),
        });
        let mut folders = names.map(|name| self.path.with_file_name(name));
        let kept = folders.find(|path| !disk.exists(path));
        let kept = kept.ok_or(io::ErrorKind::AlreadyExists)?;
        disk.create_folder(&kept)?;
        // Where a line cannot be understood, a person has the manifest and what it says.
        let files = redis_manifest::names(manifest).unwrap_or_default();
        let files = files.iter().map(|name| self.path.join(name));
        for path in files.chain([self.manifest()]) {
            let copy = kept.join(path.file_name().unwrap_or_default());
            if disk.is_file(&path) && disk.link(&path, &copy).is_err() {
                disk.copy(&path, &copy)?;
            }
        }
        disk.sync_folder(&kept)?;
        Ok(kept)
    }

    /// Creates the empty files of a part.
    pub fn create_part(&self, part: Part) -> io::Result<()> {
        self.create()?;
        for shard in 0..part.shards {
            let path = self.part(part.sequence, shard);
            self.disk.open(&path, Access::Replace)?;
        }
        self.disk.sync_folder(&self.path)
    }

    /// Where what is cut off a log file is kept. [`Self::tidy`] leaves it to whoever runs the
    /// server.
    pub fn kept(&self, log: &Path) -> PathBuf {
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        self.path.join(format!("cut-off.{name}"))
    }

    /// Tells `progress` what loading all of it comes to. `shards` is the number of them where no
    /// part says another.
    pub fn expect(
        &self,
        manifest: &Manifest,
        shards: usize,
        progress: &Progress,
    ) -> io::Result<()> {
        let (base, all) = self.sizes(manifest)?;
        // Every shard of the first part reads the snapshot; logs are read for their ends first.
        progress.expect(base, manifest.parts.first().map_or(shards, |it| it.shards));
        progress.expect(all - base, 2);
        Ok(())
    }

    /// Bytes of the snapshot, and of all files, that `manifest` names.
    pub fn sizes(&self, manifest: &Manifest) -> io::Result<(u64, u64)> {
        let size = |path: PathBuf| {
            self.disk.size(&path).map_err(|error| {
                let what = format!("{}: {error}", path.display());
                io::Error::new(error.kind(), what)
            })
        };
        let base = manifest.base.as_ref().map(|name| size(self.base(name)));
        let base = base.transpose()?.unwrap_or(0);
        let mut all = base;
        for part in &manifest.parts {
            for shard in 0..part.shards {
                all += size(self.part(part.sequence, shard))?;
            }
        }
        Ok((base, all))
    }

    /// Removes the files that `manifest` does not name.
    pub fn tidy(&self, manifest: &Manifest) -> io::Result<()> {
        let base = manifest.base.as_ref().map(|name| self.base(name));
        let files = manifest
            .parts
            .iter()
            .flat_map(|part| (0..part.shards).map(move |shard| self.part(part.sequence, shard)));
        let named: Vec<PathBuf> = files.chain(base).chain([self.manifest()]).collect();
        let mut unnamed = DeferredTruncate::default();
        for path in self.disk.list(&self.path)? {
            let ours = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&self.name));
            if ours && !named.contains(&path) {
                unnamed.remove(&*self.disk, &path)?;
            }
        }
        unnamed.run();
        Ok(())
    }
}

impl Manifest {
    fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(base) = &self.base {
            text.push_str(&format!("base {base}\n"));
        }
        for Part { sequence, shards } in &self.parts {
            text.push_str(&format!("part {sequence} shards {shards}\n"));
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let mut manifest = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match *words.as_slice() {
                ["base", name] if manifest.base.is_none() && !name.contains('/') => {
                    manifest.base = Some(name.into());
                }
                ["part", sequence, "shards", shards] => manifest.parts.push(Part {
                    sequence: sequence.parse().ok()?,
                    shards: shards
                        .parse()
                        .ok()
                        .filter(|shards| (1..=256).contains(shards))?,
                }),
                _ => return None,
            }
        }
        let in_order = manifest.parts.is_sorted_by(|a, b| a.sequence < b.sequence);
        in_order.then_some(manifest)
    }

    /// The number of the next part.
    pub fn next_sequence(&self) -> u64 {
        self.parts.last().map_or(1, |part| part.sequence + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let part = |sequence, shards| Part { sequence, shards };
        for manifest in [
            Manifest::default(),
            Manifest {
                base: Some("appendonly.aof.3.base.rdb".into()),
                parts: vec![part(3, 4), part(4, 2)],
            },
        ] {
            assert_eq!(Manifest::parse(&manifest.text()), Some(manifest));
        }
        for wrong in [
            "",
            "file appendonly.aof.1.base.rdb seq 1 type b\n",
            "percore append-only log 1\npart 2 shards 1\npart 1 shards 1\n",
            "percore append-only log 1\npart 1 shards 0\n",
            "percore append-only log 1\nbase ../../etc/passwd\n",
        ] {
            assert_eq!(Manifest::parse(wrong), None, "{wrong}");
        }
    }
}
