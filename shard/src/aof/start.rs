//! The append-only log at the start of the process: what there is, is read, and there is a part to
//! write to.

use std::io;

use persistence::manifest::{Folder, Manifest, Part};
use persistence::not_started::NotStarted;
use persistence::recovery;
use persistence::redis_log::RedisLog;
use persistence::rewriting::begin_with_dump;
use storage::Databases;

use crate::aof::{import, replay};
use crate::process::Process;

/// Reads the log, and leaves the process with a manifest whose last part is to be written to.
/// Returns each shard's databases.
pub(crate) fn load(process: &Process) -> Result<Vec<Databases>, NotStarted> {
    let config = process.current_config();
    let folder = Folder::new(&process.disk, &config);
    let files = |error| NotStarted::Files(folder.clone(), error);
    let mut manifest = match folder.read().map_err(files)? {
        Some(manifest) => manifest,
        None => match RedisLog::find(&process.disk, &config).map_err(files)? {
            Some(log) => {
                let (databases, manifest) = import::import(&log, &folder, &config, process)?;
                go_on_with(process, &folder, manifest).map_err(files)?;
                return Ok(databases);
            }
            None => begin_with_dump(&folder, &config).map_err(files)?,
        },
    };
    let progress = &process.progress;
    folder
        .expect(&manifest, config.shards, progress)
        .map_err(files)?;
    recovery::mend(&folder, &manifest, &config, progress).map_err(NotStarted::Replay)?;
    let libraries = &process.scripts.libraries;
    let databases = replay::replay(&folder, &manifest, &config, process, libraries, progress)
        .map_err(NotStarted::Replay)?;
    if manifest
        .parts
        .last()
        .is_none_or(|last| last.shards != config.shards)
    {
        let part = Part {
            sequence: manifest.next_sequence(),
            shards: config.shards,
        };
        folder.create_part(part).map_err(files)?;
        manifest.parts.push(part);
        folder.write(&manifest).map_err(files)?;
    }
    go_on_with(process, &folder, manifest).map_err(files)?;
    Ok(databases)
}

/// Leaves the process with a manifest that stands on disk, and the folder with what that names.
fn go_on_with(process: &Process, folder: &Folder, manifest: Manifest) -> io::Result<()> {
    folder.tidy(&manifest)?;
    let (base, all) = folder.sizes(&manifest)?;
    process.snapshots.log_based(base, all);
    process.snapshots.log_is_based();
    process.set_manifest(manifest);
    Ok(())
}
