//! Reads an append-only log, at the start: the snapshot it begins with, then its parts, each part's
//! files side by side on threads of their own.
//!
//! Each record can be replayed from one file alone (see `journal`), on the keys of the shard that
//! wrote it. So a part is replayed on as many sets of databases as it had shards, and between
//! parts, and at the end, keys move to where the next number of shards wants them.
//!
//! First all files are read for where they end (see [`persistence::recovery`]), and cut back to
//! where all is whole. Under `appendfsync always` nothing that was answered goes, since a reply
//! waits until its transaction, and those before it in its file, are whole on disk (see `aof`).

use std::path::Path;
use std::thread;
use std::time::Instant;

use config::Config;
use engine::slot::SlotMap;
use lua::libraries::LibraryStore;
use persistence::disk::{Disk, open_log};
use persistence::manifest::{Folder, Manifest};
use persistence::not_started::NotReplayed;
use persistence::progress::Progress;
use storage::aof::{Record, Stop};
use storage::{Databases, DbIndex, Entry, Hash};
use tracing::info;

use crate::aof::player::Player;
use crate::loading;
use crate::process::Process;

/// Reads the log that `manifest` names. Its libraries of functions go to `libraries`.
pub fn replay(
    folder: &Folder,
    manifest: &Manifest,
    config: &Config,
    process: &Process,
    libraries: &LibraryStore,
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
            let part = (slots, shard);
            loading::load_part(&path, config, databases, libraries, part, process, progress)
                .map(drop)
                .map_err(|error| NotReplayed::new(&error.path, error.damage.at, error.damage.what))
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
            let disk = &**folder.disk();
            replay_file(disk, &path, config, databases, libraries, progress)?;
            match stray(databases, slots, shard) {
                None => Ok(()),
                Some(key) => {
                    let key = key.escape_ascii();
                    let what = format!(
                        "the key \"{key}\" belongs to another shard: is this another shard's file?"
                    );
                    Err(NotReplayed::new(&path, 0, what))
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
            joined.unwrap_or_else(|_| {
                Err(NotReplayed::new(
                    Path::new("the log"),
                    0,
                    "a thread panicked",
                ))
            })
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
    disk: &dyn Disk,
    path: &Path,
    config: &Config,
    databases: &mut Databases,
    libraries: &LibraryStore,
    progress: &Progress,
) -> Result<(), NotReplayed> {
    let reader = open_log(disk, path, 0);
    let mut reader = reader.map_err(|error| NotReplayed::new(path, 0, error.to_string()))?;
    let mut done = progress.of_file();
    let mut player = Player::new(config, databases, libraries);
    loop {
        let at = reader.at();
        done.reach(at);
        match reader.read() {
            Ok(Record::End) => return Ok(()),
            Ok(Record::Time(now)) => player.now = now,
            Ok(Record::Note) => {}
            Ok(Record::Command) => player
                .play(&reader)
                .map_err(|what| NotReplayed::new(path, at, what))?,
            Err(Stop::Torn { at }) => {
                return Err(NotReplayed::new(path, at, "the end comes too early"));
            }
            Err(Stop::Damaged(damage)) => {
                return Err(NotReplayed::new(path, damage.at, damage.what));
            }
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
