//! The files of snapshots, on threads of their own: where they are made, how they begin, and what happens when one is whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use storage::rdb::{FileWriter, header};
use storage::{Databases, Piece, Position, Terms};
use tracing::debug;

use crate::aof::manifest::{Folder, Manifest, Part};
use crate::process::{Process, REDIS_VERSION};
use crate::snapshot::page_cache::{self, Trail};
use engine::transaction::world::Cut;

use crate::snapshot::{Aim, KEYS_PER_STEP, Writer, lock, unix_s};
use config::Config;

/// Pieces that the writer may be behind.
const PIECES_WAITING_MAX: usize = 16;

/// What a file begins with.
fn first_piece(process: &Process) -> Vec<u8> {
    let (ctime, used) = (
        unix_s().to_string(),
        process.memory.used_bytes(unix_s()).to_string(),
    );
    let mut out = header(&[
        ("redis-ver", REDIS_VERSION),
        ("redis-bits", "64"),
        ("ctime", &ctime),
        ("used-mem", &used),
        ("aof-base", "0"),
    ]);
    for library in &*process.snapshots.functions() {
        storage::rdb::function(&mut out, library);
    }
    out
}

static FILES_BEGUN: AtomicU64 = AtomicU64::new(0);

/// Where snapshots go.
fn dump_path(config: &Config) -> PathBuf {
    config.dir.join(&config.dbfilename)
}

/// What a file is called until it is whole: beside its place, and a name of its own each time, as what was given up may still be open.
fn temporary(name: &Path) -> PathBuf {
    let number = FILES_BEGUN.fetch_add(1, Ordering::Relaxed);
    name.with_file_name(format!("temp-{}-{number}.rdb", std::process::id()))
}

/// Whether a snapshot could be begun, and take its place.
pub fn can_write(config: &Config) -> io::Result<()> {
    let name = dump_path(config);
    if name.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    FileWriter::create(temporary(&name), false).map(drop)
}

fn create(process: &Process, config: &Config, name: &Path) -> io::Result<FileWriter> {
    let mut file = FileWriter::create(temporary(name), config.rdbchecksum)?;
    file.write(&first_piece(process))?;
    Ok(file)
}

/// Writes a snapshot at once, of databases that nobody changes meanwhile. One that is being written of them is not disturbed.
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
    let mut file = create(process, config, name)?;
    let terms = terms(config);
    for databases in shards {
        for db in databases.indices() {
            let mut from = Some(Position::default());
            while let Some(at) = from {
                let keyspace = databases.get(db);
                let (piece, next) = keyspace.write_from(at, KEYS_PER_STEP, db.number(), terms);
                file.write(&piece)?;
                from = next;
            }
        }
    }
    file.finish(name)
}

/// What the kernel gives others, where they want it, is ten times as much. With one shard that took a GET beside a snapshot from 3 to 5 ms at p99.9 to
/// 2 to 3, and the snapshot from 3 s to 4. 19 gained nothing more.
const NICE: i32 = 10;

pub(crate) fn terms(config: &Config) -> Terms {
    Terms {
        access: config.access_policy(),
        now: crate::shard::wall_time(),
        compression: config.compression(),
    }
}

/// Begins to write a file: makes ready for it, says so to shard 0, writes the pieces of so many keyspaces as they come, and gives it its name.
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

/// Lets the thread that calls it wait for all others: where shards and clients want the cores, they are not to wait for a file.
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
    let target = Target::of(process, config, aim)?;
    let name = match &target {
        Target::Dump => dump_path(config),
        Target::Base { folder, base, .. } => folder.base(base),
    };
    let file = create(process, config, &name)?;
    let part = target.part();
    process.snapshots.is_prepared(Cut {
        number,
        part: part.map(|part| part.sequence),
    });
    process.wake_first_shard();
    let file = write_all(file, pieces, &name, keyspaces)?;
    if process.snapshots.is_given_up(number) {
        return Err(given_up());
    }
    let bytes = file.publish(&name)?;
    target.commit(process)?;
    Ok(bytes)
}

/// What a file takes the place of.
enum Target {
    Dump,
    /// The beginning of the log, before the part that is written from the instant on; alone where nobody writes a log.
    Base {
        folder: Folder,
        base: String,
        part: Option<Part>,
    },
}

impl Target {
    fn of(process: &Process, config: &Config, aim: Aim) -> io::Result<Self> {
        let folder = Folder::of(config);
        let (sequence, part) = match aim {
            Aim::Dump | Aim::LastDump => return Ok(Self::Dump),
            Aim::Base => {
                let part = next_part(process, &folder)?;
                (part.sequence, Some(part))
            }
            Aim::BaseAlone => {
                process
                    .data_locks
                    .take_for_log(config)
                    .map_err(io::Error::other)?;
                folder.make()?;
                let sequence = next_sequence(process, &folder, &lock(&process.manifest))?;
                (sequence, None)
            }
        };
        let base = folder.base_name(sequence);
        Ok(Self::Base { folder, base, part })
    }

    fn part(&self) -> Option<Part> {
        match self {
            Self::Dump => None,
            Self::Base { part, .. } => *part,
        }
    }

    /// The file is whole: what it replaces in the log goes.
    fn commit(self, process: &Process) -> io::Result<()> {
        let Self::Base { folder, base, part } = self else {
            return Ok(());
        };
        let mut manifest = lock(&process.manifest);
        let Some(part) = part else {
            let alone = Manifest {
                base: Some(base),
                parts: Vec::new(),
            };
            folder.write(&alone)?;
            return folder.tidy(&alone);
        };
        if !process.current_config().appendonly {
            return Err(io::Error::other("the log was turned off meanwhile"));
        }
        let mut rewritten = manifest.clone();
        rewritten.base = Some(base);
        rewritten.parts.retain(|it| it.sequence >= part.sequence);
        if rewritten.parts.is_empty() {
            rewritten.parts.push(part);
        }
        folder.write(&rewritten)?;
        *manifest = rewritten;
        folder.tidy(&manifest)
    }
}

/// A number that no file of the log has.
fn next_sequence(process: &Process, folder: &Folder, known: &Manifest) -> io::Result<u64> {
    let begun = process.snapshots.next_part_number();
    let on_disk = folder.read()?;
    let sequences = [known].into_iter().chain(&on_disk);
    Ok(sequences.map(Manifest::next_sequence).fold(begun, u64::max))
}

/// The files of the log that are written from the instant of its new beginning on.
fn next_part(process: &Process, folder: &Folder) -> io::Result<Part> {
    let mut manifest = lock(&process.manifest);
    let part = Part {
        sequence: next_sequence(process, folder, &manifest)?,
        shards: process.slots.shards(),
    };
    folder.create(part)?;
    if !manifest.parts.is_empty() {
        // Named before the first record goes there: a crash from here on reads the old base, the old parts and this one. Where the log is
        // just being turned on there is nothing that it could follow yet: it is named when its base is whole.
        let mut with_part = manifest.clone();
        with_part.parts.push(part);
        folder.write(&with_part)?;
        *manifest = with_part;
    }
    Ok(part)
}

fn given_up() -> io::Error {
    io::Error::other("the snapshot was given up")
}

/// Writes pieces until the last of every keyspace is in the file, and returns it sealed.
fn write_all(
    mut file: FileWriter,
    pieces: &Receiver<Piece>,
    name: &Path,
    keyspaces: usize,
) -> io::Result<FileWriter> {
    let mut left = keyspaces;
    let mut trail = Trail::default();
    while left > 0 {
        let piece = pieces.recv().map_err(|_| given_up())?;
        file.write(&piece.bytes)?;
        left -= usize::from(piece.last);
        trail.follow(file.file(), file.bytes())?;
    }
    page_cache::let_go_of(name);
    file.seal()?;
    Ok(file)
}
