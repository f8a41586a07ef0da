//! The log written anew: a snapshot takes the place of its beginning, and of all parts before the
//! instant of that snapshot.
//!
//! The part that begins at the instant is named before its first record is written. A crash from
//! there on reads the old base, the old parts and this one. When the new base is whole, one more
//! manifest names it in their place, and they are removed.

use std::io;
use std::path::PathBuf;

use config::Config;
use tracing::info;

use crate::manifest::{Folder, Manifest, Part};
use crate::snapshot_file::dump_path;

/// What a snapshot is the beginning of.
#[derive(Clone, Debug)]
pub struct NewBase {
    folder: Folder,
    /// The file's name in the folder.
    name: String,
    /// The part that follows it. None where nobody writes a log.
    part: Option<Part>,
}

impl NewBase {
    /// Begins the part that follows a new base, in the files of as many shards. `manifest` is the
    /// one in force, and names the part from here on, unless the log is just being turned on: there
    /// is nothing then that the part could follow, and it is named when its base is whole. `least`
    /// is the least number that the part may have.
    pub fn with_part(
        folder: Folder,
        manifest: &mut Manifest,
        least: u64,
        shards: usize,
    ) -> io::Result<Self> {
        let part = Part {
            sequence: next_sequence(&folder, manifest, least)?,
            shards,
        };
        folder.create_part(part)?;
        if !manifest.parts.is_empty() {
            let mut with_part = manifest.clone();
            with_part.parts.push(part);
            folder.write(&with_part)?;
            *manifest = with_part;
        }
        Ok(Self {
            name: folder.base_name(part.sequence),
            folder,
            part: Some(part),
        })
    }

    /// A base that is all of the log: nobody writes one.
    pub fn alone(folder: Folder, manifest: &Manifest, least: u64) -> io::Result<Self> {
        folder.create()?;
        let sequence = next_sequence(&folder, manifest, least)?;
        Ok(Self {
            name: folder.base_name(sequence),
            folder,
            part: None,
        })
    }

    /// The part that follows the base.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Where the base is to be written.
    pub fn path(&self) -> PathBuf {
        self.folder.base(&self.name)
    }

    /// The base is whole: it takes the place of what was before it, which is removed. `manifest`,
    /// the one in force, names it from here on, unless nobody writes a log.
    pub fn commit(self, manifest: &mut Manifest) -> io::Result<()> {
        let Some(part) = self.part else {
            let alone = Manifest {
                base: Some(self.name),
                parts: Vec::new(),
            };
            self.folder.write(&alone)?;
            return self.folder.tidy(&alone);
        };
        let mut rewritten = manifest.clone();
        rewritten.base = Some(self.name);
        rewritten.parts.retain(|it| it.sequence >= part.sequence);
        if rewritten.parts.is_empty() {
            rewritten.parts.push(part);
        }
        self.folder.write(&rewritten)?;
        *manifest = rewritten;
        self.folder.tidy(manifest)
    }
}

/// A number, at least `least`, that no file of the log has.
fn next_sequence(folder: &Folder, known: &Manifest, least: u64) -> io::Result<u64> {
    let on_disk = folder.read()?;
    let sequences = [known].into_iter().chain(&on_disk);
    Ok(sequences.map(Manifest::next_sequence).fold(least, u64::max))
}

/// Begins a log with the snapshot, where there is one, so that turning the log on loses nothing.
/// Returns its manifest, which does not stand on disk yet.
pub fn begin_with_dump(folder: &Folder, config: &Config) -> io::Result<Manifest> {
    let mut manifest = Manifest::default();
    let snapshot = dump_path(config);
    if folder.disk().exists(&snapshot) {
        let name = folder.base_name(0);
        info!(
            snapshot = %snapshot.display(),
            "there is no append-only log yet: it begins with the snapshot"
        );
        folder.create()?;
        folder.disk().copy(&snapshot, &folder.base(&name))?;
        manifest.base = Some(name);
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use fastrand::Rng;
    use storage::rdb::Section;

    use super::*;
    use crate::disk::{Access, Disk, open_snapshot};
    use crate::memory_disk::MemoryDisk;
    use crate::snapshot_file::{Header, SnapshotFile};

    const EIO: i32 = 5;

    fn header(created_unix_s: u64) -> Header<'static> {
        Header {
            format: storage::rdb::Format::Current,
            redis_version: "7.4.0",
            created_unix_s,
            used_memory: 1,
        }
    }

    /// When the base that `manifest` names was begun. It has to be whole.
    fn base_of(folder: &Folder, manifest: &Manifest) -> Option<u64> {
        let path = folder.base(manifest.base.as_ref()?);
        let mut reader = open_snapshot(&**folder.disk(), &path).expect("a snapshot");
        let mut created = None;
        loop {
            match reader
                .next(&Default::default(), |_, _| true)
                .expect("whole")
            {
                Section::Aux(name, value) if name == b"ctime" => {
                    created = String::from_utf8(value).ok().and_then(|it| it.parse().ok());
                }
                Section::End => return created,
                _ => {}
            }
        }
    }

    /// Rewrites the log once.
    fn rewrite(
        folder: &Folder,
        config: &Config,
        manifest: &mut Manifest,
        now: u64,
    ) -> io::Result<()> {
        let base = NewBase::with_part(folder.clone(), manifest, 1, 2)?;
        let path = base.path();
        let mut file = SnapshotFile::create(folder.disk(), config, &path, &header(now))?;
        file.write(&[])?;
        file.seal()?;
        file.publish()?;
        base.commit(manifest)
    }

    /// The power goes after each number of changes of a rewrite: the log is the old one or the new
    /// one, and all of its files are there.
    #[test]
    fn a_rewrite_that_a_crash_ends_leaves_a_log() {
        let config = Config {
            dir: "/data".into(),
            ..Config::default()
        };
        let random = &mut Rng::with_seed(7);
        for changes in 0.. {
            let disk = MemoryDisk::new(Path::new("/data"));
            let on: Arc<dyn Disk> = Arc::new(disk.clone());
            let folder = Folder::new(&on, &config);
            // The first rewrite turns the log on.
            let mut manifest = Manifest::default();
            rewrite(&folder, &config, &mut manifest, 1).expect("a disk that works");
            disk.refuse_after(changes, EIO);
            let rewritten = rewrite(&folder, &config, &mut manifest, 2);
            disk.lose_power(random);
            let found = folder.read().expect("a manifest").expect("percore's own");
            folder.sizes(&found).expect("all files");
            let base = base_of(&folder, &found);
            let sequences: Vec<u64> = found.parts.iter().map(|it| it.sequence).collect();
            match (base, &*sequences) {
                (Some(1), [1] | [1, 2]) => assert!(rewritten.is_err(), "after {changes} changes"),
                (Some(2), [2]) => {}
                other => panic!("{other:?} after {changes} changes"),
            }
            folder.tidy(&found).expect("a disk that works");
            let left = on.list(folder.path()).expect("the folder");
            let of_log = left
                .iter()
                .filter(|it| !it.to_string_lossy().contains("/temp-"));
            assert_eq!(of_log.count(), 2 + 2 * found.parts.len());
            if rewritten.is_ok() {
                return;
            }
        }
    }

    #[test]
    fn what_redis_wrote_is_kept_beside() {
        let config = Config {
            dir: "/data".into(),
            ..Config::default()
        };
        let disk = MemoryDisk::new(Path::new("/data"));
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        let folder = Folder::new(&on, &config);
        folder.create().expect("a folder");
        let log = folder.base("appendonly.aof.1.incr.aof");
        for (path, text) in [
            (&log, "*1\r\n$4\r\nPING\r\n"),
            (
                &folder.manifest(),
                "file appendonly.aof.1.incr.aof seq 1 type i\n",
            ),
        ] {
            let file = on.open(path, Access::Replace).expect("a file");
            file.write_all_at(text.as_bytes(), 0).expect("a write");
        }
        assert_eq!(folder.read().expect("a manifest"), None);
        let kept = folder
            .write(&Manifest::default())
            .expect("a write")
            .expect("a folder");
        assert_eq!(kept, Path::new("/data/appendonlydir.redis"));
        folder
            .tidy(&Manifest::default())
            .expect("a disk that works");
        assert!(!on.exists(&log));
        assert_eq!(
            disk.shown(&kept.join("appendonly.aof.1.incr.aof")),
            b"*1\r\n$4\r\nPING\r\n"
        );
    }
}
