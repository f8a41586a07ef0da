//! Reads an append-only log, at the start: the snapshot it begins with, then its parts, each part's files side by side on threads of their own.
//!
//! Each record can be replayed from one file alone (see `journal`), on the keys of the shard that wrote it. So a part is replayed on as many
//! sets of databases as it had shards, and between parts, and at the end, keys move to where the next number of shards wants them.
//!
//! First all files are read for where they end (see `tails`), and cut back to where all is whole. Under `appendfsync always` nothing that was
//! answered goes, since a reply waits until its transaction, and those before it in its file, are whole on disk (see `aof`).

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use storage::aof::{Reader, Record, Stop};
use storage::{Databases, DbIndex, Entry, Hash};
use tracing::{info, warn};

use crate::aof::manifest::{Folder, Manifest};
use crate::aof::player::Player;
use crate::aof::tails::{self, Unreadable};
use crate::loading;
use crate::loading::progress::Progress;
use crate::process::Process;
use config::Config;
use engine::slot::SlotMap;

/// Why the log was not loaded. Nothing has been changed.
#[derive(Debug)]
pub struct NotReplayed {
    path: PathBuf,
    at: u64,
    what: String,
}

impl fmt::Display for NotReplayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot load {} at offset {}: {}. Nothing was overwritten. Restore the file from a copy, or move its folder away to start without the log",
            self.path.display(),
            self.at,
            self.what
        )
    }
}

impl std::error::Error for NotReplayed {}

pub(super) fn failed(path: &Path, at: u64, what: impl Into<String>) -> NotReplayed {
    NotReplayed {
        path: path.into(),
        at,
        what: what.into(),
    }
}

impl From<Unreadable> for NotReplayed {
    fn from(Unreadable { path, damage }: Unreadable) -> Self {
        failed(&path, damage.at, damage.what)
    }
}

/// Cuts the files that `manifest` names back to where all is whole.
pub fn mend(
    folder: &Folder,
    manifest: &Manifest,
    config: &Config,
    progress: &Progress,
) -> Result<(), NotReplayed> {
    let tails = tails::find(folder, &manifest.parts, progress)?;
    for tail in &tails {
        // What is read now must not be lost to a later crash, when there are parts that build on it.
        let synced = File::open(&tail.path).and_then(|file| file.sync_all());
        synced.map_err(|error| failed(&tail.path, 0, error.to_string()))?;
    }
    for tail in tails.iter().filter(|tail| tail.cut_bytes() > 0) {
        let bytes = tail.cut_bytes();
        if !config.aof_load_truncated {
            let what = format!(
                "its last {bytes} bytes are not whole; start with --aof-load-truncated yes to cut them off"
            );
            return Err(failed(&tail.path, tail.end, what));
        }
        let kept = folder.kept(&tail.path);
        let kept_in = match tail.loses_records() {
            true => kept.display().to_string(),
            false => String::new(),
        };
        warn!(
            file = %tail.path.display(),
            bytes,
            at = tail.end,
            kept_in,
            "the end of this log was not written whole, and is cut off"
        );
        tail.cut_off(&kept)
            .map_err(|error| failed(&tail.path, tail.end, error.to_string()))?;
    }
    Ok(())
}

/// Reads the log that `manifest` names.
pub fn replay(
    folder: &Folder,
    manifest: &Manifest,
    config: &Config,
    process: &Process,
    progress: &Progress,
) -> Result<Vec<Databases>, NotReplayed> {
    let began = Instant::now();
    let hasher = &process.hasher;
    let empty = |shards: usize| -> Vec<Databases> {
        let one = || Databases::new(config.databases, hasher.clone());
        (0..shards).map(|_| one()).collect()
    };
    let mut slots = SlotMap::new(manifest.parts.first().map_or(config.shards, |it| it.shards));
    let mut databases = empty(slots.shards());
    if let Some(name) = &manifest.base {
        let path = folder.base(name);
        side_by_side(process, &mut databases, |shard, databases| {
            loading::load_part(&path, config, databases, slots, shard, process, progress)
                .map(drop)
                .map_err(|error| failed(&error.path, error.damage.at, error.damage.what))
        })?;
    }
    for part in &manifest.parts {
        let next = SlotMap::new(part.shards);
        if next.shards() != slots.shards() {
            databases = distribute(databases, empty(next.shards()), next, |_| {});
            slots = next;
        }
        side_by_side(process, &mut databases, |shard, databases| {
            let path = folder.part(part.sequence, shard);
            replay_file(&path, config, databases, progress)?;
            match stray(databases, slots, shard) {
                None => Ok(()),
                Some(key) => {
                    let key = key.escape_ascii();
                    let what = format!(
                        "the key \"{key}\" belongs to another shard: is this another shard's file?"
                    );
                    Err(failed(&path, 0, what))
                }
            }
        })?;
    }
    let now = SlotMap::new(config.shards);
    if now.shards() != slots.shards() {
        info!(
            written_by = slots.shards(),
            shards = now.shards(),
            "giving keys to another number of shards"
        );
        databases = distribute(databases, empty(now.shards()), now, |_| {});
    }
    let keys: usize = databases
        .iter()
        .flat_map(|of_shard| of_shard.indices().map(|db| of_shard.get(db).len()))
        .sum();
    let took_ms = began.elapsed().as_millis() as u64;
    info!(keys, took_ms, "append-only log loaded");
    Ok(databases)
}

/// Does something with each shard's databases, on a thread each.
fn side_by_side(
    process: &Process,
    databases: &mut [Databases],
    work: impl Fn(usize, &mut Databases) -> Result<(), NotReplayed> + Sync,
) -> Result<(), NotReplayed> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = databases
            .iter_mut()
            .enumerate()
            .map(|(shard, databases)| {
                scope.spawn(move || {
                    let done = work(shard, databases);
                    process.memory.leave();
                    done
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err(failed(Path::new("the log"), 0, "a thread panicked")))
        })
    })
}

/// A key that `slots` gives to another shard than this.
fn stray(databases: &Databases, slots: SlotMap, shard: usize) -> Option<&[u8]> {
    let all = databases.indices().flat_map(|db| databases.get(db).iter());
    let mut keys = all.map(Entry::key);
    keys.find(|key| slots.owner(key).index() != shard)
}

/// Moves all keys to where `slots` wants them; `adjust` meets each on its way.
pub(super) fn distribute(
    from: Vec<Databases>,
    mut to: Vec<Databases>,
    slots: SlotMap,
    adjust: impl Fn(&mut Entry),
) -> Vec<Databases> {
    for mut databases in from {
        for db in databases.indices() {
            for mut entry in databases.get_mut(db).drain() {
                adjust(&mut entry);
                let owner = slots.owner(entry.key());
                to[owner.index()].get_mut(db).insert_new(entry);
            }
        }
    }
    to
}

/// Hashes with fields that expire.
pub fn hashes_with_deadlines(databases: &Databases) -> Vec<(DbIndex, Box<[u8]>)> {
    let mut found = Vec::new();
    for db in databases.indices() {
        for entry in databases.get(db).iter() {
            let hash = entry.get::<Hash>();
            if hash.is_ok_and(|hash| hash.next_deadline().is_some()) {
                found.push((db, entry.key().into()));
            }
        }
    }
    found
}

/// Replays one file on the databases of the shard that wrote it.
fn replay_file(
    path: &Path,
    config: &Config,
    databases: &mut Databases,
    progress: &Progress,
) -> Result<(), NotReplayed> {
    let mut reader = Reader::open(path).map_err(|error| failed(path, 0, error.to_string()))?;
    let mut done = progress.of_file();
    let mut player = Player::new(config, databases);
    loop {
        let at = reader.at();
        done.reach(at);
        match reader.read() {
            Ok(Record::End) => return Ok(()),
            Ok(Record::Time(now)) => player.now = now,
            Ok(Record::Note) => {}
            Ok(Record::Command) => player
                .play(&reader)
                .map_err(|what| failed(path, at, what))?,
            Err(Stop::Torn { at }) => return Err(failed(path, at, "the end comes too early")),
            Err(Stop::Damaged(damage)) => return Err(failed(path, damage.at, damage.what)),
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
