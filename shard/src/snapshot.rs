//! Snapshots: an RDB file of all shards as they were at one instant, written while they go on.
//!
//! ```text
//! some shard          begins: locks every shard (a transaction), and marks every keyspace's cut; the locks go at once
//! each shard          walks over its keyspaces (see storage's `cut`), a little at a time between connections, and hands
//!                     the pieces on; waits where the writer is behind
//! thread "snapshot"   writes the pieces as they come; when each keyspace's last is there: checksum, sync, rename, sync
//! shard 0             notices the end, and tells whoever waits
//! ```
//!
//! There is one at a time. A failure leaves the last good file as it was; the walks end when they find nobody to hand their pieces to.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use storage::rdb::{FileWriter, header};
use storage::{Databases, Keyspace, Piece, Position, Terms};
use tracing::{error, info};

use crate::aof_manifest::{Folder, Manifest, Part};
use crate::batch::ReplyTo;
use crate::config::Config;
use crate::message::{Message, Visit};
use crate::process::{Process, REDIS_VERSION};
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::world::Lent;

/// Pieces that the writer may be behind.
const PIECES_WAITING_MAX: usize = 16;

/// Keys that a shard writes before its connections have their turn.
const KEYS_PER_STEP: usize = 256;

/// Between two tries to hand a piece to a writer that is behind.
const WRITER_PATIENCE: Duration = Duration::from_millis(1);

/// After a failure, save points wait this long before they try again: Redis's own pause.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often the last snapshot is tried before the process ends without.
const TRIES_AT_STOP: u32 = 12;

/// What a snapshot is for.
#[derive(Clone, Debug)]
enum Aim {
    /// `dump.rdb`.
    Dump,
    /// The beginning of the append-only log, before the part with this number (BGREWRITEAOF).
    Base { part: Part, folder: Folder },
    /// The whole of a log that nobody writes on: `appendonly no`.
    BaseAlone { sequence: u64, folder: Folder },
}

impl Aim {
    fn is_rewrite(&self) -> bool {
        !matches!(self, Self::Dump)
    }
}

/// What is known of snapshots over the life of the process.
pub struct Snapshots {
    under_way: Mutex<Option<UnderWay>>,
    /// The writer has come to an end that shard 0 has not seen.
    ended: AtomicBool,
    /// It failed the last time.
    failed: AtomicBool,
    /// Unix seconds of the last good one, or of the start.
    last_save_s: AtomicU64,
    /// Seconds that the last one took; -1 before the first.
    last_duration_s: AtomicI64,
    /// Good ones since the start.
    saves: AtomicU64,
    /// Changes at the cut of the last good one.
    dirty_saved: AtomicU64,
    last_try: Mutex<Option<Instant>>,
    rewrite_failed: AtomicBool,
    /// Rewrites of the log that ended, and how many of the latest failed.
    rewrites: AtomicU64,
    rewrites_failed_in_a_row: AtomicU64,
    /// Seconds that the last one took; -1 before the first.
    rewrite_duration_s: AtomicI64,
    /// Keys of the snapshot that was loaded, and those whose time had come.
    keys_loaded: AtomicU64,
    keys_expired: AtomicU64,
    /// BGREWRITEAOF came while a snapshot was being written.
    rewrite_scheduled: AtomicBool,
    /// BGSAVE SCHEDULE came while the log was being rewritten, or FLUSHALL while anything was being written.
    save_scheduled: AtomicBool,
    /// Commands that wait for that one.
    save_waiting: Mutex<Vec<Waiting>>,
    /// Bytes of the snapshot that the log begins with, and of each shard's log file, as it last said.
    base_bytes: AtomicU64,
    log_bytes: Vec<AtomicU64>,
    /// Parts that this process has begun, or tried to.
    parts_begun: AtomicU64,
    /// Bytes of all of them after the last rewrite, or at the start.
    rewritten_bytes: AtomicU64,
    /// Changes of each shard since the start, as it last said.
    dirty: Vec<AtomicU64>,
    /// Libraries of functions that a loaded file had: kept as they are.
    functions: Mutex<Vec<Vec<u8>>>,
}

/// A snapshot that is being written.
struct UnderWay {
    aim: Aim,
    pieces: SyncSender<Piece>,
    began: Instant,
    /// Changes before the cut.
    dirty: u64,
    /// Commands that answer when it is done.
    waiting: Vec<Waiting>,
    writer: Option<JoinHandle<()>>,
    /// Shards that have not heard of its end: none may still walk for it when the next begins.
    unaware: usize,
}

/// A command that waits for a snapshot, and its reply where that does not depend on it.
type Waiting = (ShardId, ReplyTo, Option<Vec<u8>>);

/// Why none was begun.
pub enum NotBegun {
    /// One is being written.
    UnderWay,
    /// The file cannot be made.
    Failed(io::Error),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

impl Snapshots {
    pub fn new(shards: usize) -> Self {
        Self {
            under_way: Mutex::new(None),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            last_save_s: AtomicU64::new(unix_s()),
            last_duration_s: AtomicI64::new(-1),
            saves: AtomicU64::new(0),
            dirty_saved: AtomicU64::new(0),
            last_try: Mutex::new(None),
            rewrite_failed: AtomicBool::new(false),
            rewrites: AtomicU64::new(0),
            rewrites_failed_in_a_row: AtomicU64::new(0),
            rewrite_duration_s: AtomicI64::new(-1),
            keys_loaded: AtomicU64::new(0),
            keys_expired: AtomicU64::new(0),
            rewrite_scheduled: AtomicBool::new(false),
            save_scheduled: AtomicBool::new(false),
            save_waiting: Mutex::default(),
            base_bytes: AtomicU64::new(0),
            log_bytes: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            parts_begun: AtomicU64::new(1),
            rewritten_bytes: AtomicU64::new(0),
            dirty: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            functions: Mutex::new(Vec::new()),
        }
    }

    /// Whether the last one failed.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Unix seconds of the last good one.
    pub fn last_save_s(&self) -> u64 {
        self.last_save_s.load(Ordering::Relaxed)
    }

    /// Seconds that the last one took; -1 before the first.
    pub fn last_duration_s(&self) -> i64 {
        self.last_duration_s.load(Ordering::Relaxed)
    }

    /// Good ones since the start.
    pub fn saves(&self) -> u64 {
        self.saves.load(Ordering::Relaxed)
    }

    /// Seconds that the snapshot under way has taken so far.
    pub fn current_s(&self) -> Option<u64> {
        self.current_of(|aim| matches!(aim, Aim::Dump))
    }

    /// The same of a rewrite of the log.
    pub fn current_rewrite_s(&self) -> Option<u64> {
        self.current_of(Aim::is_rewrite)
    }

    fn current_of(&self, is_meant: impl FnOnce(&Aim) -> bool) -> Option<u64> {
        let under_way = lock(&self.under_way);
        let meant = under_way.as_ref().filter(|it| is_meant(&it.aim));
        meant.map(|it| it.began.elapsed().as_secs())
    }

    /// Whether the last rewrite of the log failed.
    pub fn rewrite_failed(&self) -> bool {
        self.rewrite_failed.load(Ordering::Relaxed)
    }

    /// Rewrites that ended, and how many of the latest failed.
    pub fn rewrites(&self) -> (u64, u64) {
        let failed = self.rewrites_failed_in_a_row.load(Ordering::Relaxed);
        (self.rewrites.load(Ordering::Relaxed), failed)
    }

    /// Seconds that the last rewrite took; -1 before the first.
    pub fn last_rewrite_duration_s(&self) -> i64 {
        self.rewrite_duration_s.load(Ordering::Relaxed)
    }

    /// A shard has loaded its keys from the snapshot, and passed over those whose time had come.
    pub fn note_loaded(&self, keys: u64, expired: u64) {
        self.keys_loaded.fetch_add(keys, Ordering::Relaxed);
        self.keys_expired.fetch_add(expired, Ordering::Relaxed);
    }

    /// Keys that all shards have loaded, and those whose time had come.
    pub fn loaded(&self) -> (u64, u64) {
        let expired = self.keys_expired.load(Ordering::Relaxed);
        (self.keys_loaded.load(Ordering::Relaxed), expired)
    }

    /// Whether a rewrite waits for a snapshot to end.
    pub fn rewrite_scheduled(&self) -> bool {
        self.rewrite_scheduled.load(Ordering::Relaxed)
    }

    /// A rewrite is to follow the snapshot under way.
    pub fn schedule_rewrite(&self) {
        self.rewrite_scheduled.store(true, Ordering::Relaxed);
    }

    /// A snapshot is to follow what is being written.
    pub fn schedule_save(&self) {
        self.save_scheduled.store(true, Ordering::Relaxed);
    }

    /// A library of functions that a file had.
    pub fn keep_function(&self, code: Vec<u8>) {
        lock(&self.functions).push(code);
    }

    /// Ends one that is under way, unfinished.
    pub fn give_up(&self) {
        let under_way = lock(&self.under_way).take();
        if let Some(UnderWay { pieces, writer, .. }) = under_way {
            drop(pieces);
            // It has nothing to wait for any more.
            let _ = writer.map(JoinHandle::join);
        }
    }

    fn dirty(&self) -> u64 {
        self.dirty.iter().map(|it| it.load(Ordering::Relaxed)).sum()
    }

    /// Changes since the cut of the last good one.
    pub fn changes(&self) -> u64 {
        let saved = self.dirty_saved.load(Ordering::Relaxed);
        self.dirty().saturating_sub(saved)
    }

    /// What shards have is what a file has: after loading one.
    pub fn now_saved(&self) {
        self.dirty_saved.store(self.dirty(), Ordering::Relaxed);
    }

    /// Bytes of the append-only log, and what it had after it was last rewritten.
    pub fn log_sizes(&self) -> (u64, u64) {
        let logs: u64 = self
            .log_bytes
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .sum();
        let now = logs + self.base_bytes.load(Ordering::Relaxed);
        (now, self.rewritten_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn publish_log(&self, shard: ShardId, bytes: u64) {
        self.log_bytes[shard.index()].store(bytes, Ordering::Relaxed);
    }

    /// The log has a new beginning, or was found with this one, and these bytes in all.
    pub(crate) fn log_based(&self, base: u64, all: u64) {
        self.base_bytes.store(base, Ordering::Relaxed);
        self.rewritten_bytes.store(all, Ordering::Relaxed);
    }

    /// Whether the log has grown by so much that it is to be rewritten.
    fn rewrite_is_due(&self, config: &Config) -> bool {
        let (now, then) = self.log_sizes();
        let percent = u64::from(config.auto_aof_rewrite_percentage);
        let grown = now.saturating_sub(then).saturating_mul(100) / then.max(1);
        percent > 0 && now > config.auto_aof_rewrite_min_size && grown >= percent
    }

    pub(crate) fn publish_dirty(&self, shard: ShardId, dirty: u64) {
        self.dirty[shard.index()].store(dirty, Ordering::Relaxed);
    }

    /// Whether a save point is reached.
    fn is_due(&self, config: &Config) -> bool {
        let changes = self.changes();
        let since = unix_s().saturating_sub(self.last_save_s());
        let due =
            config.save.0.iter().any(|point| {
                changes >= u64::from(point.changes) && since >= u64::from(point.seconds)
            });
        let patient = self.failed() && {
            let last = *lock(&self.last_try);
            last.is_some_and(|last| last.elapsed() < RETRY_AFTER)
        };
        due && !patient
    }

    /// Whether a rewrite has failed just now.
    fn retries_too_soon(&self) -> bool {
        let last = *lock(&self.last_try);
        self.rewrite_failed() && last.is_some_and(|last| last.elapsed() < RETRY_AFTER)
    }

    fn end(&self, result: &io::Result<u64>) {
        let under_way = lock(&self.under_way);
        let rewrites = under_way.as_ref().is_some_and(|it| it.aim.is_rewrite());
        if rewrites {
            self.rewrite_failed
                .store(result.is_err(), Ordering::Relaxed);
            self.rewrites.fetch_add(1, Ordering::Relaxed);
            match result {
                Ok(_) => self.rewrites_failed_in_a_row.store(0, Ordering::Relaxed),
                Err(_) => {
                    _ = self
                        .rewrites_failed_in_a_row
                        .fetch_add(1, Ordering::Relaxed)
                }
            }
            let took = under_way.as_ref().map(|it| it.began.elapsed().as_secs());
            let took_s = took.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1);
            self.rewrite_duration_s.store(took_s, Ordering::Relaxed);
        } else {
            self.failed.store(result.is_err(), Ordering::Relaxed);
        }
        if let (Some(it), true, Ok(bytes)) = (&*under_way, rewrites, result) {
            let took_ms = it.began.elapsed().as_millis() as u64;
            self.base_bytes.store(*bytes, Ordering::Relaxed);
            let (all, _) = self.log_sizes();
            self.log_based(*bytes, all);
            info!(bytes, took_ms, "append-only log rewritten");
        } else if let Some(it) = &*under_way {
            let took = it.began.elapsed();
            self.last_duration_s
                .store(took.as_secs() as i64, Ordering::Relaxed);
            if let Ok(bytes) = result {
                self.last_save_s.store(unix_s(), Ordering::Relaxed);
                self.saves.fetch_add(1, Ordering::Relaxed);
                self.dirty_saved.store(it.dirty, Ordering::Relaxed);
                info!(bytes, took_ms = took.as_millis() as u64, "snapshot written");
            }
        }
        if let (Err(error), true) = (result, under_way.is_some()) {
            match rewrites {
                true => {
                    error!(%error, "rewriting the append-only log failed; it goes on as it was")
                }
                false => error!(%error, "snapshot failed; the one before is left as it was"),
            }
        }
        drop(under_way);
        self.ended.store(true, Ordering::Release);
    }
}

/// What a file begins with.
fn first_piece(process: &Process) -> Vec<u8> {
    let (ctime, used) = (
        unix_s().to_string(),
        process.memory.used_bytes().to_string(),
    );
    let mut out = header(&[
        ("redis-ver", REDIS_VERSION),
        ("redis-bits", "64"),
        ("ctime", &ctime),
        ("used-mem", &used),
        ("aof-base", "0"),
    ]);
    for library in &*lock(&process.snapshots.functions) {
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
    let name = dump_path(config);
    let mut file = create(process, config, &name)?;
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
    file.finish(&name)
}

/// The last snapshot, when no shard runs any more. A full disk is waited for: the data is nowhere else.
pub fn save_at_stop(process: &Process, config: &Config, shards: &[Databases]) -> io::Result<u64> {
    let mut tries = TRIES_AT_STOP;
    loop {
        tries -= 1;
        match save_now(process, config, shards.iter()) {
            Err(error) if tries > 0 => {
                error!(%error, dir = %config.dir.display(), "cannot write the last snapshot, trying again; make room, or kill the process");
                thread::sleep(RETRY_AFTER);
            }
            Ok(bytes) => {
                info!(bytes, "snapshot written");
                return Ok(bytes);
            }
            Err(error) => return Err(error),
        }
    }
}

fn terms(config: &Config) -> Terms {
    Terms {
        access: config.access_policy(),
        now: crate::shard::wall_time(),
        compression: config.compression(),
    }
}

/// The thread that writes the file: returns its bytes once the last piece of every keyspace is in it.
fn write_all(
    mut file: FileWriter,
    pieces: &Receiver<Piece>,
    name: &Path,
    keyspaces: usize,
) -> io::Result<u64> {
    let mut left = keyspaces;
    while left > 0 {
        let piece = pieces
            .recv()
            .map_err(|_| io::Error::other("the snapshot was given up"))?;
        file.write(&piece.bytes)?;
        left -= usize::from(piece.last);
    }
    file.finish(name)
}

/// The file is whole: what it replaces goes.
fn commit(process: &Process, aim: &Aim) -> io::Result<()> {
    let (part, folder) = match aim {
        Aim::Dump => return Ok(()),
        Aim::Base { part, folder } => (part, folder),
        Aim::BaseAlone { sequence, folder } => {
            let manifest = Manifest {
                base: Some(folder.base_name(*sequence)),
                parts: Vec::new(),
            };
            folder.write(&manifest)?;
            return folder.tidy(&manifest);
        }
    };
    let mut manifest = lock(&process.manifest);
    let mut rewritten = manifest.clone();
    rewritten.base = Some(folder.base_name(part.sequence));
    rewritten.parts.retain(|it| it.sequence >= part.sequence);
    if rewritten.parts.is_empty() {
        rewritten.parts.push(*part);
    }
    folder.write(&rewritten)?;
    *manifest = rewritten;
    folder.tidy(&manifest)
}

impl Shard {
    /// Begins a snapshot. `waits` is told of its end.
    pub fn begin_snapshot(&mut self, waits: Option<ReplyTo>) -> Result<(), NotBegun> {
        *lock(&self.process.snapshots.last_try) = Some(Instant::now());
        let begun = self.begin_file(Aim::Dump, dump_path(&self.config), waits);
        if let Err(NotBegun::Failed(_)) = begun {
            self.process.snapshots.failed.store(true, Ordering::Relaxed);
            self.tell_all(Shard::heed_snapshot_result);
        }
        begun
    }

    /// Begins a rewrite of the append-only log: a snapshot, and what is logged from its instant on.
    pub fn begin_rewrite(&mut self) -> Result<(), NotBegun> {
        let process = self.process.clone();
        if lock(&process.snapshots.under_way).is_some() {
            return Err(NotBegun::UnderWay);
        }
        *lock(&process.snapshots.last_try) = Some(Instant::now());
        let folder = Folder::of(&self.config);
        let mut manifest = lock(&process.manifest);
        let begun = process
            .snapshots
            .parts_begun
            .fetch_add(1, Ordering::Relaxed);
        let on_disk = folder.read().map_err(NotBegun::Failed)?;
        let sequence = [&*manifest]
            .into_iter()
            .chain(&on_disk)
            .map(Manifest::next_sequence);
        let part = Part {
            sequence: sequence.fold(begun, u64::max),
            shards: self.slots.shards(),
        };
        if !self.config.appendonly {
            drop(manifest);
            return self.begin_base(Aim::BaseAlone {
                sequence: part.sequence,
                folder,
            });
        }
        folder.create(part).map_err(NotBegun::Failed)?;
        if !manifest.parts.is_empty() {
            // Named before the first record goes there: a crash from here on reads the old base, the old parts and this one. Where the log is
            // just being turned on there is nothing that it could follow yet: it is named when its base is whole.
            let mut with_part = manifest.clone();
            with_part.parts.push(part);
            folder.write(&with_part).map_err(NotBegun::Failed)?;
            *manifest = with_part;
        }
        drop(manifest);
        self.begin_base(Aim::Base { part, folder })
    }

    fn begin_base(&mut self, aim: Aim) -> Result<(), NotBegun> {
        let name = match &aim {
            Aim::Dump => dump_path(&self.config),
            Aim::Base { part, folder } => folder.base(&folder.base_name(part.sequence)),
            Aim::BaseAlone { sequence, folder } => folder.base(&folder.base_name(*sequence)),
        };
        if let Some(parent) = name.parent() {
            std::fs::create_dir_all(parent).map_err(NotBegun::Failed)?;
        }
        let begun = self.begin_file(aim, name, None);
        let failed = matches!(begun, Err(NotBegun::Failed(_)));
        let snapshots = &self.process.snapshots;
        snapshots.rewrite_failed.store(failed, Ordering::Relaxed);
        begun
    }

    fn begin_file(
        &mut self,
        aim: Aim,
        name: PathBuf,
        waits: Option<ReplyTo>,
    ) -> Result<(), NotBegun> {
        let process = self.process.clone();
        let snapshots = &process.snapshots;
        let mut under_way = lock(&snapshots.under_way);
        if under_way.is_some() {
            return Err(NotBegun::UnderWay);
        }
        let config = self.config.clone();
        let file = create(&process, &config, &name).map_err(NotBegun::Failed)?;
        let (pieces, received) = sync_channel(PIECES_WAITING_MAX);
        let keyspaces = self.slots.shards() * usize::from(self.databases.count());
        let writer = thread::Builder::new().name("snapshot".into()).spawn({
            let (process, aim) = (process.clone(), aim.clone());
            move || {
                let written = write_all(file, &received, &name, keyspaces);
                let result = written.and_then(|bytes| commit(&process, &aim).map(|()| bytes));
                // The walks notice that nobody takes their pieces.
                drop(received);
                process.snapshots.end(&result);
                process.wake_first_shard();
            }
        });
        let rewrite = aim.is_rewrite();
        let part = match &aim {
            Aim::Dump | Aim::BaseAlone { .. } => None,
            Aim::Base { part, .. } => Some(*part),
        };
        *under_way = Some(UnderWay {
            aim,
            pieces,
            began: Instant::now(),
            dirty: snapshots.dirty(),
            waiting: waits.map(|to| (self.id, to, None)).into_iter().collect(),
            writer: Some(writer.map_err(NotBegun::Failed)?),
            unaware: self.slots.shards(),
        });
        drop(under_way);
        info!(rewrite, "snapshot begins");
        self.begin_cut(part);
        Ok(())
    }

    /// On the coordinator, while all databases are in its hand: this is the instant.
    pub(crate) fn cut<'a>(&mut self, part: Option<Part>, lent: impl Iterator<Item = &'a mut Lent>) {
        let terms = terms(&self.config);
        let mut dirty = 0;
        for lent in lent {
            lent.databases.begin_cut(terms);
            lent.next_part = part;
            dirty += lent.dirty;
        }
        if let Some(under_way) = &mut *lock(&self.process.snapshots.under_way) {
            under_way.dirty = dirty;
        }
    }

    /// Databases came home: there may be a walk to go on with.
    pub(crate) fn walk_on(&mut self) {
        if self.databases.cut().is_some()
            && let Some(waker) = self.walk_waker.take()
        {
            waker.wake();
        }
    }

    /// Emptied databases that are still to be written; what is not, comes back.
    pub(crate) fn keep_for_snapshot(&mut self, discarded: Vec<Keyspace>) -> Vec<Keyspace> {
        let (cut, rest) = discarded.into_iter().partition(Keyspace::is_cut);
        self.orphans.extend::<Vec<_>>(cut);
        if !self.orphans.is_empty()
            && let Some(waker) = self.walk_waker.take()
        {
            waker.wake();
        }
        rest
    }

    /// The next piece of this shard, if it has one to write.
    fn next_piece(&mut self) -> Option<Piece> {
        if let Some(keyspace) = self.databases.cut() {
            return keyspace.write_on(KEYS_PER_STEP);
        }
        let piece = self.orphans.last_mut()?.write_on(KEYS_PER_STEP);
        if piece.as_ref().is_none_or(|piece| piece.last) {
            let done = self.orphans.pop();
            self.process
                .undertaker
                .bury_keyspaces(done.into_iter().collect());
        }
        piece
    }

    /// Nobody wants the rest.
    fn abandon_walk(&mut self) {
        self.databases.abandon_cut();
        let orphans = std::mem::take(&mut self.orphans);
        self.process.undertaker.bury_keyspaces(orphans);
    }

    /// Shard 0 looks here once a turn, because threads cannot send messages.
    pub(crate) fn notice_snapshot_end(&mut self) {
        let snapshots = &self.process.snapshots;
        if !snapshots.ended.load(Ordering::Acquire) {
            return;
        }
        snapshots.ended.store(false, Ordering::Relaxed);
        self.tell_all(Shard::snapshot_ended);
    }

    /// On each shard, after one ended. The last to hear of it answers those who wait.
    fn snapshot_ended(&mut self) {
        self.heed_snapshot_result();
        if self.refusals.snapshot_failed {
            self.abandon_walk();
        }
        let process = self.process.clone();
        let mut under_way = lock(&process.snapshots.under_way);
        let unaware = under_way.as_mut().map(|it| {
            it.unaware -= 1;
            it.unaware
        });
        if unaware == Some(0)
            && let Some(ended) = under_way.take()
        {
            drop(under_way);
            let saved = !process.snapshots.failed();
            self.answer_waiting(ended.waiting, saved);
            self.begin_scheduled();
        }
    }

    /// Begins what was to follow a snapshot.
    fn begin_scheduled(&mut self) {
        let process = self.process.clone();
        let scheduled = |flag: &AtomicBool| flag.swap(false, Ordering::Relaxed);
        if scheduled(&process.snapshots.rewrite_scheduled) {
            if let Err(NotBegun::Failed(error)) = self.begin_rewrite() {
                error!(%error, "cannot begin to rewrite the append-only log");
            }
        } else if scheduled(&process.snapshots.save_scheduled) {
            let begun = self.begin_snapshot(None);
            let waiting = std::mem::take(&mut *lock(&process.snapshots.save_waiting));
            match begun {
                Ok(()) => {
                    if let Some(under_way) = &mut *lock(&process.snapshots.under_way) {
                        under_way.waiting.extend(waiting);
                    }
                }
                Err(NotBegun::UnderWay) => {
                    lock(&process.snapshots.save_waiting).extend(waiting);
                    process.snapshots.schedule_save();
                }
                Err(NotBegun::Failed(error)) => {
                    error!(%error, "cannot begin a snapshot");
                    self.answer_waiting(waiting, false);
                }
            }
        }
    }

    /// FLUSHALL leaves a snapshot of nothing where there are save points: what was flushed must not be back after a crash. It is answered when
    /// that is done, well or not.
    pub(crate) fn save_what_was_flushed(&mut self, answer: Option<(ReplyTo, Vec<u8>)>) {
        let snapshots = &self.process.snapshots;
        // First: what is under way may end at any moment.
        snapshots.schedule_save();
        let waits = answer.map(|(to, reply)| (self.id, to, Some(reply)));
        lock(&snapshots.save_waiting).extend(waits);
        let begin: Visit = Box::new(|shard| {
            if lock(&shard.process.snapshots.under_way).is_none() {
                shard.begin_scheduled();
            }
        });
        self.send(self.id, Message::Visit(begin));
    }

    /// Answers commands that have waited for a snapshot.
    fn answer_waiting(&mut self, waiting: Vec<Waiting>, saved: bool) {
        let usual: &[u8] = if saved { b"+OK\r\n" } else { b"-ERR\r\n" };
        for (origin, to, reply) in waiting {
            self.complete(origin, to, reply.as_deref().unwrap_or(usual));
        }
    }

    /// Whether writes are to be refused.
    fn heed_snapshot_result(&mut self) {
        self.refusals.snapshot_failed = self.process.snapshots.failed();
        self.refusals.settle(&self.config);
    }

    /// By the clock: begins a snapshot where a save point is reached. Returns whether changes wait for one.
    pub(crate) fn heed_save_points(&mut self) -> bool {
        let process = self.process.clone();
        process.snapshots.publish_dirty(self.id, self.effects.dirty);
        if self.config.save.0.is_empty() || self.refusals.loading || self.stopping {
            return false;
        }
        if process.snapshots.is_due(&self.config)
            && let Err(NotBegun::Failed(error)) = self.begin_snapshot(None)
        {
            error!(%error, "cannot begin a snapshot");
        }
        process.snapshots.changes() > 0
    }

    /// By the clock: begins a rewrite where the log has grown enough.
    pub(crate) fn heed_log_size(&mut self) {
        let process = self.process.clone();
        process.snapshots.publish_log(self.id, self.log.file_bytes);
        if !self.config.appendonly || self.refusals.loading || self.stopping {
            return;
        }
        let has_none = lock(&process.manifest).parts.is_empty();
        if (has_none || process.snapshots.rewrite_is_due(&self.config))
            && !process.snapshots.retries_too_soon()
            && let Err(NotBegun::Failed(error)) = self.begin_rewrite()
        {
            error!(%error, "cannot begin to rewrite the append-only log");
        }
    }
}

/// Writes this shard's share of snapshots, for as long as the executor runs.
pub async fn walk(shard: Rc<RefCell<Shard>>) {
    loop {
        let piece = shard.borrow_mut().next_piece();
        match piece {
            Some(piece) => {
                hand_on(&shard, piece).await;
                // Sleeping for no time lets the connections run first.
                monoio::time::sleep(Duration::ZERO).await;
            }
            None => {
                let mut registered = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut registered, true) {
                        return Poll::Ready(());
                    }
                    shard.borrow_mut().walk_waker = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await;
            }
        }
    }
}

async fn hand_on(shard: &RefCell<Shard>, mut piece: Piece) {
    let process = shard.borrow().process.clone();
    let sender = lock(&process.snapshots.under_way)
        .as_ref()
        .map(|it| it.pieces.clone());
    loop {
        let refused = match &sender {
            Some(sender) => sender.try_send(piece),
            None => Err(TrySendError::Disconnected(piece)),
        };
        match refused {
            Ok(()) => return,
            Err(TrySendError::Disconnected(_)) => return shard.borrow_mut().abandon_walk(),
            Err(TrySendError::Full(again)) => {
                piece = again;
                monoio::time::sleep(WRITER_PATIENCE).await;
            }
        }
    }
}
