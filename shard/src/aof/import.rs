//! A log that Redis wrote becomes percore's own, at the start.
//!
//! It is one stream of commands for all keys, so one thread replays it on one set of databases; the
//! keys then go to their shards, and the log goes on from a snapshot of them. Redis's files stay: a
//! single file where it is, those of a folder in a folder beside it (see `Folder::write`).

use std::path::Path;
use std::time::Instant;

use config::Config;
use engine::slot::SlotMap;
use persistence::disk::open_log;
use persistence::manifest::{Folder, Manifest, Part};
use persistence::not_started::{NotReplayed, NotStarted};
use persistence::redis_log::{RedisLog, RedisTail, begins_with_snapshot};
use storage::Databases;
use storage::aof::{Record, Stop};
use tracing::{info, warn};

use crate::aof::player::Player;
use crate::aof::replay::distribute;
use crate::process::Process;
use crate::{loading, snapshot};

/// Loads `log` and begins a log of percore's with what it holds. Returns each shard's databases,
/// and the manifest, which stands on disk.
pub fn import(
    log: &RedisLog,
    folder: &Folder,
    config: &Config,
    process: &Process,
) -> Result<(Vec<Databases>, Manifest), NotStarted> {
    let began = Instant::now();
    let files = |error| NotStarted::Files(folder.clone(), error);
    for path in &log.files {
        let bytes = process.disk.size(path).map_err(files)?;
        process.progress.expect(bytes, 2);
    }
    let empty = || Databases::new(config.databases, process.hasher.clone());
    let mut all = empty();
    for path in &log.files {
        load(path, log, config, &mut all, process).map_err(NotStarted::Replay)?;
    }
    let keys: usize = all.indices().map(|db| all.get(db).len()).sum();
    // A log does not say when a key was last used: now counts.
    let (access, now) = (config.access_policy(), crate::shard::wall_time());
    let shards = (0..config.shards).map(|_| empty()).collect();
    let slots = SlotMap::new(config.shards);
    let databases = distribute(vec![all], shards, slots, |entry| {
        access.restore(entry, None, None, now);
    });
    let base = folder.base_name(0);
    folder.create().map_err(files)?;
    snapshot::file::save_as(process, config, &folder.base(&base), databases.iter())
        .map_err(files)?;
    let part = Part {
        sequence: 1,
        shards: config.shards,
    };
    let manifest = Manifest {
        base: Some(base),
        parts: vec![part],
    };
    folder.create_part(part).map_err(files)?;
    let kept_in = folder.write(&manifest).map_err(files)?;
    info!(
        files = log.files.len(),
        keys,
        took_ms = began.elapsed().as_millis() as u64,
        kept_in = %kept_in.as_deref().unwrap_or(&config.dir).display(),
        "the append-only log of Redis is loaded and goes on as percore's; Redis's files are kept"
    );
    Ok((databases, manifest))
}

/// Loads one file: a snapshot, commands, or commands behind a snapshot.
fn load(
    path: &Path,
    log: &RedisLog,
    config: &Config,
    databases: &mut Databases,
    process: &Process,
) -> Result<(), NotReplayed> {
    let mut from = 0;
    let disk = &*process.disk;
    let begins = begins_with_snapshot(disk, path);
    if begins.map_err(|error| NotReplayed::new(path, 0, error.to_string()))? {
        let (all, progress) = ((SlotMap::new(1), 0), &process.progress);
        let libraries = &process.scripts.libraries;
        from = loading::load_part(path, config, databases, libraries, all, process, progress)
            .map_err(|error| NotReplayed::new(&error.path, error.damage.at, error.damage.what))?;
    }
    let tail = RedisTail::find(disk, path, from)
        .map_err(|damage| NotReplayed::new(path, damage.0, damage.1))?;
    if tail.torn_bytes() > 0 {
        if !log.may_be_torn(path) || !config.aof_load_truncated {
            return Err(NotReplayed::new(path, tail.end, tail.refusal(config)));
        }
        warn!(
            file = %path.display(),
            bytes = tail.torn_bytes(),
            at = tail.end,
            "the end of this log was not written whole, and is passed over"
        );
    }
    replay(path, from..tail.end, config, databases, process)
}

/// Runs the commands in a range of a file.
fn replay(
    path: &Path,
    range: std::ops::Range<u64>,
    config: &Config,
    databases: &mut Databases,
    process: &Process,
) -> Result<(), NotReplayed> {
    let reader = open_log(&*process.disk, path, range.start);
    let mut reader = reader.map_err(|error| NotReplayed::new(path, 0, error.to_string()))?;
    let mut done = process.progress.of_file();
    // Nothing expires on the way: Redis recorded as DEL what had. A file begins with the first
    // database.
    let mut player = Player::new(config, databases, &process.scripts.libraries);
    player.selected = player.databases.index(0);
    while reader.at() < range.end {
        let at = reader.at();
        done.reach(at);
        match reader.read() {
            Ok(Record::End) => break,
            Ok(Record::Time(_) | Record::Note) => {}
            Ok(Record::Command) => {
                let played = player.play(&reader);
                played.map_err(|what| NotReplayed::new(path, at, what))?;
            }
            Err(Stop::Torn { at }) => {
                return Err(NotReplayed::new(path, at, "the end comes too early"));
            }
            Err(Stop::Damaged(damage)) => {
                return Err(NotReplayed::new(path, damage.at, damage.what));
            }
        }
    }
    Ok(())
}
