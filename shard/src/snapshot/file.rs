//! The files of snapshots, on threads of their own: where they are made, how they begin, and what
//! happens when one is whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::{io, thread};

use config::Config;
use engine::transaction::global::Cut;
use persistence::manifest::Folder;
use persistence::rewriting::NewBase;
use persistence::snapshot_file::{Header, SnapshotFile, dump_path, given_up};
use storage::rdb::{Checksum, Format};
use storage::{Databases, Piece, Terms, rdb};
use tracing::debug;

use crate::process::{Process, REDIS_VERSION};
use crate::snapshot::{Aim, KEYS_PER_STEP, Writer, lock, unix_s};

/// Pieces that the writer may be behind.
const PIECES_WAITING_MAX: usize = 16;

fn create(
    process: &Process,
    config: &Config,
    name: &Path,
    format: Format,
) -> io::Result<SnapshotFile> {
    let header = Header {
        format,
        redis_version: REDIS_VERSION,
        created_unix_s: unix_s(),
        used_memory: process.memory.used_bytes(unix_s()),
    };
    SnapshotFile::create(&process.disk, config, name, &header)
}

/// The libraries of functions as a file has them.
pub(crate) fn functions(process: &Process, config: &Config) -> Vec<u8> {
    let mut out = Vec::new();
    for library in process.scripts.libraries.current().iter() {
        rdb::function(&mut out, &library.code, config.compression());
    }
    out
}

/// A file that has the libraries of functions, and no key.
pub(crate) fn functions_alone(process: &Process, config: &Config) -> Vec<u8> {
    let mut file = rdb::header(Format::Since7, &[("redis-ver", REDIS_VERSION)]);
    file.extend(functions(process, config));
    let mut checksum = Checksum::new(config.rdbchecksum);
    checksum.update(&file);
    file.extend(checksum.end());
    file
}

/// Writes a snapshot at once, of databases that nobody changes meanwhile. One that is being written
/// of them is not disturbed.
pub fn save_now<'a>(
    process: &Process,
    config: &Config,
    shards: impl Iterator<Item = &'a Databases>,
) -> io::Result<u64> {
    save_as(process, config, &dump_path(config), shards)
}

/// Writes a snapshot at once into a file of this name, of databases that nobody changes meanwhile.
pub fn save_as<'a>(
    process: &Process,
    config: &Config,
    name: &Path,
    shards: impl Iterator<Item = &'a Databases>,
) -> io::Result<u64> {
    let mut file = create(process, config, name, Format::Current)?;
    file.write(&functions(process, config))?;
    for databases in shards {
        file.write_databases(databases, terms(config, Format::Current), KEYS_PER_STEP)?;
    }
    file.seal()?;
    file.publish()
}

/// What the kernel gives others, where they want it, is ten times as much. With one shard that took
/// a GET beside a snapshot from 3 to 5 ms at p99.9 to 2 to 3, and the snapshot from 3 s to 4. 19
/// gained nothing more.
const NICE: i32 = 10;

pub(crate) fn terms(config: &Config, format: Format) -> Terms {
    Terms {
        format,
        access: config.access_policy(),
        now: crate::shard::wall_time(),
        compression: config.compression(),
    }
}

/// Begins to write a file: makes ready for it, says so to shard 0, writes the pieces of so many
/// keyspaces as they come, and gives it its name.
pub(crate) fn spawn(
    process: &Arc<Process>,
    config: &Arc<Config>,
    number: u64,
    aim: Aim,
    keyspaces: usize,
) -> io::Result<Writer> {
    let (pieces, received) = sync_channel(PIECES_WAITING_MAX);
    let (process, config) = (process.clone(), config.clone());
    let thread = thread::Builder::new()
        .name("snapshot".into())
        .spawn(move || {
            if aim != Aim::LastDump && process.permitted.priority {
                give_way();
            }
            let result = write(&process, &config, number, aim, &received, keyspaces);
            // The walks notice that nobody takes their pieces.
            drop(received);
            process.snapshots.end(&result);
            process.wake_first_shard();
        })?;
    Ok(Writer { pieces, thread })
}

/// Lets the thread that calls it wait for all others: where shards and clients want the cores, they
/// are not to wait for a file.
pub(crate) fn give_way() {
    // Without a process it is the thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        debug!(%error, "a snapshot takes as much of a core as others");
    }
}

fn write(
    process: &Process,
    config: &Config,
    number: u64,
    aim: Aim,
    pieces: &Receiver<Piece>,
    keyspaces: usize,
) -> io::Result<u64> {
    let base = new_base(process, config, aim)?;
    let name = base
        .as_ref()
        .map_or_else(|| path_of(config, number, aim), NewBase::path);
    let mut file = create(process, config, &name, aim.format())?;
    let part = base.as_ref().and_then(NewBase::part);
    process.snapshots.is_prepared(Cut {
        number,
        part: part.map(|part| part.sequence),
    });
    process.wake_first_shard();
    file.write_pieces(pieces, keyspaces)?;
    file.seal()?;
    if process.snapshots.is_given_up(number) {
        return Err(given_up());
    }
    let bytes = file.publish()?;
    if aim == Aim::Replicas {
        // Who has it open keeps it.
        let file = std::fs::File::open(&name)?;
        std::fs::remove_file(&name)?;
        process.snapshots.put_for_replicas(file, bytes);
    }
    if let Some(base) = base {
        commit(base, process)?;
    }
    Ok(bytes)
}

/// Where a file goes that is no part of the log.
fn path_of(config: &Config, number: u64, aim: Aim) -> PathBuf {
    match aim {
        Aim::Replicas => {
            let process = std::process::id();
            config
                .dir
                .join(format!("temp-replicas-{process}-{number}.rdb"))
        }
        _ => dump_path(config),
    }
}

/// What a file is to be the beginning of, unless it is a snapshot of its own.
fn new_base(process: &Process, config: &Config, aim: Aim) -> io::Result<Option<NewBase>> {
    let folder = Folder::new(&process.disk, config);
    let (snapshots, shards) = (&process.snapshots, process.slots.shards());
    let base = match aim {
        Aim::Dump | Aim::LastDump | Aim::Replicas => return Ok(None),
        Aim::Base => {
            let mut manifest = lock(&process.manifest);
            let least = snapshots.next_part_number();
            NewBase::with_part(folder, &mut manifest, least, shards)?
        }
        Aim::BaseAlone => {
            let locked = process.data_locks.take_for_log(config);
            locked.map_err(io::Error::other)?;
            let least = snapshots.next_part_number();
            NewBase::alone(folder, &lock(&process.manifest), least)?
        }
    };
    Ok(Some(base))
}

/// The file is whole: what it replaces in the log goes.
fn commit(base: NewBase, process: &Process) -> io::Result<()> {
    let mut manifest = lock(&process.manifest);
    if base.part().is_some() && !process.current_config().appendonly {
        return Err(io::Error::other("the log was turned off meanwhile"));
    }
    base.commit(&mut manifest)
}
