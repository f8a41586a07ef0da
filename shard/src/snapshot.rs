//! Snapshots: an RDB file of all shards as they were at one instant, written while they go on.
//!
//! ```text
//! some shard          begins: starts the thread
//! thread "snapshot"   makes the files ready
//! shard 0             locks every shard (a transaction), and marks every keyspace's cut; the locks go at once
//! each shard          walks over its keyspaces (see storage's `cut`), a little at a time between connections, and hands
//!                     the pieces on; waits where the writer is behind
//! thread "snapshot"   writes the pieces as they come; when each keyspace's last is there: checksum, sync, rename, sync
//! shard 0             notices the end, and tells whoever waits
//! ```
//!
//! [`walk`] is the shards' side, [`file`] the thread's; here is what is known of snapshots, by all.
//!
//! There is one at a time. A failure leaves the last good file as it was; the walks end when they
//! find nobody to hand their pieces to.

pub mod file;
pub mod walk;

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use config::Config;
use engine::header::ReplyTo;
use engine::slot::ShardId;
use engine::transaction::global::Cut;
use storage::Piece;
use storage::rdb::Format;
use tracing::{error, info};

/// Keys that a shard writes before its connections have their turn.
pub(crate) const KEYS_PER_STEP: usize = 256;

/// After a failure, save points wait this long before they try again: Redis's own pause.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a snapshot is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Aim {
    /// `dump.rdb`.
    Dump,
    /// A dump before the end, for which writes wait.
    LastDump,
    /// All data for replicas.
    Replicas,
    /// The beginning of the append-only log (BGREWRITEAOF).
    Base,
    /// The whole of a log that nobody writes on: `appendonly no`.
    BaseAlone,
}

impl Aim {
    /// Who reads it.
    pub fn format(self) -> Format {
        match self {
            Self::Replicas => Format::Since7,
            _ => Format::Current,
        }
    }

    pub fn is_rewrite(self) -> bool {
        matches!(self, Self::Base | Self::BaseAlone)
    }
}

/// The thread that writes the file.
pub(crate) struct Writer {
    pub pieces: SyncSender<Piece>,
    pub thread: JoinHandle<()>,
}

/// What is known of snapshots over the life of the process.
pub struct Snapshots {
    pub(crate) under_way: Mutex<Option<UnderWay>>,
    /// The writer is ready for pieces, and shard 0 has not seen it: the instant can be.
    pub(crate) prepared: Mutex<Option<Cut>>,
    /// There is something that shard 0 is to look at: one of the two.
    pub(crate) stirs: AtomicBool,
    /// The writer has come to an end that shard 0 has not seen.
    pub(crate) ended: AtomicBool,
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
    pub(crate) last_try: Mutex<Option<Instant>>,
    rewrite_failed: AtomicBool,
    /// The file for replicas that was written last, and its size.
    for_replicas: Mutex<Option<(File, u64)>>,
    /// The log, where there is one, holds all data: the snapshot that it begins with is written.
    log_is_whole: AtomicBool,
    /// Rewrites of the log that ended, and how many of the latest failed.
    rewrites: AtomicU64,
    rewrites_failed_in_a_row: AtomicU64,
    /// Seconds that the last one took; -1 before the first.
    rewrite_duration_s: AtomicI64,
    /// Keys of the snapshot that was loaded, and those whose time had come.
    keys_loaded: AtomicU64,
    keys_expired: AtomicU64,
    /// BGREWRITEAOF came while a snapshot was being written.
    pub(crate) rewrite_scheduled: AtomicBool,
    /// BGSAVE SCHEDULE came while the log was being rewritten, or FLUSHALL while anything was being
    /// written.
    pub(crate) save_scheduled: AtomicBool,
    /// Commands that wait for that one.
    pub(crate) save_waiting: Mutex<Vec<Waiting>>,
    /// Bytes of the snapshot that the log begins with, and of each shard's log file, as it last
    /// said.
    base_bytes: AtomicU64,
    log_bytes: Vec<AtomicU64>,
    /// Snapshots and rewrites that were begun.
    begun: AtomicU64,
    /// Parts that this process has begun, or tried to.
    parts_begun: AtomicU64,
    /// Bytes of all of them after the last rewrite, or at the start.
    rewritten_bytes: AtomicU64,
    /// Keys that the file under way is to have, and how many of them have been written.
    keys_to_write: AtomicU64,
    keys_written: AtomicU64,
    /// Changes of each shard since the start, as it last said.
    dirty: Vec<AtomicU64>,
}

/// A snapshot that is being written.
pub(crate) struct UnderWay {
    pub number: u64,
    pub aim: Aim,
    pub writer: Writer,
    pub began: Instant,
    /// Changes at its instant, which has been.
    pub dirty: Option<u64>,
    /// Commands that answer when its instant has been.
    pub beginning: Vec<Waiting>,
    /// Commands that answer when it is done.
    pub waiting: Vec<Waiting>,
    /// Shards that have not heard of its end: none may still walk for it when the next begins.
    pub unaware: usize,
    /// It is whole.
    pub saved: bool,
    /// It is not wanted any more (all keys are gone, or the server ends, or goes on after all):
    /// that it comes to nothing is no failure.
    pub given_up: bool,
}

impl UnderWay {
    /// Lets it come to nothing. Nobody takes what is sent from here on: the walks end, and so does
    /// the writer, which no piece reaches any more.
    fn give_up(&mut self) {
        self.given_up = true;
        self.writer.pieces = sync_channel(0).0;
    }
}

/// What a command waits for that has begun a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// Its instant has been.
    Begun,
    /// It is on disk, or has failed.
    Done,
}

/// A command that waits for a snapshot, and its reply where that does not depend on it.
pub(crate) type Waiting = (ShardId, ReplyTo, Option<Vec<u8>>);

/// Why none was begun.
pub enum NotBegun {
    /// One is being written.
    UnderWay,
    /// There is no thread for it.
    Failed(io::Error),
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

impl Snapshots {
    pub fn new(shards: usize) -> Self {
        Self {
            under_way: Mutex::new(None),
            prepared: Mutex::new(None),
            stirs: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            last_save_s: AtomicU64::new(unix_s()),
            last_duration_s: AtomicI64::new(-1),
            saves: AtomicU64::new(0),
            dirty_saved: AtomicU64::new(0),
            last_try: Mutex::new(None),
            rewrite_failed: AtomicBool::new(false),
            for_replicas: Mutex::default(),
            log_is_whole: AtomicBool::new(false),
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
            begun: AtomicU64::new(0),
            parts_begun: AtomicU64::new(1),
            rewritten_bytes: AtomicU64::new(0),
            keys_to_write: AtomicU64::new(0),
            keys_written: AtomicU64::new(0),
            dirty: (0..shards).map(|_| AtomicU64::new(0)).collect(),
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
        self.current_of(|aim| aim == Aim::Dump || aim == Aim::LastDump)
    }

    /// Seconds that the rewrite of the log under way has taken, if there is one.
    pub fn current_rewrite_s(&self) -> Option<u64> {
        self.current_of(Aim::is_rewrite)
    }

    fn current_of(&self, is_meant: impl Fn(Aim) -> bool) -> Option<u64> {
        let under_way = lock(&self.under_way);
        let meant = under_way.as_ref().filter(|it| is_meant(it.aim));
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

    /// So many more keys have been written.
    pub(crate) fn note_written(&self, keys: u64) {
        self.keys_written.fetch_add(keys, Ordering::Relaxed);
    }

    /// Of what is being written: keys that the file has, and those that it is to have. Zeros while
    /// there is none.
    pub fn written(&self) -> (u64, u64) {
        if lock(&self.under_way).is_none() {
            return (0, 0);
        }
        let all = self.keys_to_write.load(Ordering::Relaxed);
        (self.keys_written.load(Ordering::Relaxed).min(all), all)
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

    /// The least number that the next part of the log may have: one that nothing was ever called.
    pub(crate) fn next_part_number(&self) -> u64 {
        self.parts_begun.fetch_add(1, Ordering::Relaxed)
    }

    /// The writer takes pieces from now on.
    pub(crate) fn is_prepared(&self, cut: Cut) {
        *lock(&self.prepared) = Some(cut);
        self.stirs.store(true, Ordering::Release);
    }

    /// This was the instant; so much had been changed, and so many keys are to be written.
    pub(crate) fn is_cut(&self, number: u64, dirty: u64, keys: u64) {
        let mut under_way = lock(&self.under_way);
        if let Some(meant) = under_way.as_mut().filter(|it| it.number == number) {
            meant.dirty = Some(dirty);
            self.keys_to_write.store(keys, Ordering::Relaxed);
            self.keys_written.store(0, Ordering::Relaxed);
        }
    }

    /// The commands that have waited for the instant of this one.
    pub(crate) fn have_begun(&self, number: u64) -> Vec<Waiting> {
        let mut under_way = lock(&self.under_way);
        let meant = under_way.as_mut().filter(|it| it.number == number);
        meant.map_or_else(Vec::new, |it| std::mem::take(&mut it.beginning))
    }

    /// Whether this one is not wanted any more.
    pub(crate) fn is_given_up(&self, number: u64) -> bool {
        let under_way = lock(&self.under_way);
        let meant = under_way.as_ref().filter(|it| it.number == number);
        meant.is_some_and(|it| it.given_up)
    }

    /// All keys are gone: a snapshot of what there was is not wanted any more, unless a command
    /// waits for it. As in Redis the file that there is stays, and so do the changes since then.
    pub fn give_up_dump(&self) {
        let mut under_way = lock(&self.under_way);
        let meant =
            |it: &&mut UnderWay| it.aim == Aim::Dump && it.dirty.is_some() && it.waiting.is_empty();
        if let Some(it) = under_way.as_mut().filter(meant) {
            it.give_up();
        }
    }

    /// The number of the next one.
    pub(crate) fn next_number(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Who takes the pieces of this one, as long as it is under way.
    pub(crate) fn taker(&self, number: u64) -> Option<SyncSender<Piece>> {
        let under_way = lock(&self.under_way);
        let meant = under_way.as_ref().filter(|it| it.number == number);
        meant.map(|it| it.writer.pieces.clone())
    }

    /// Lets one that is under way fail soon: the last one before the end is to begin, or is not
    /// wanted any more.
    pub(crate) fn give_up_for_the_end(&self) {
        if let Some(under_way) = &mut *lock(&self.under_way) {
            under_way.give_up();
        }
    }

    /// Ends one that is under way, unfinished.
    pub fn give_up(&self) {
        let under_way = lock(&self.under_way).take();
        if let Some(UnderWay { writer, .. }) = under_way {
            drop(writer.pieces);
            // It has nothing to wait for any more.
            let _ = writer.thread.join();
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

    /// What shards have is what a file has; `dirty` is what each had changed by then.
    pub(crate) fn now_saved(&self, dirty: impl Iterator<Item = u64>) {
        for (published, dirty) in self.dirty.iter().zip(dirty) {
            published.store(dirty, Ordering::Relaxed);
        }
        self.dirty_saved.store(self.dirty(), Ordering::Relaxed);
    }

    /// A snapshot was written at once, while nothing changed.
    pub(crate) fn saved_at_once(&self) {
        self.last_save_s.store(unix_s(), Ordering::Relaxed);
        self.saves.fetch_add(1, Ordering::Relaxed);
        self.failed.store(false, Ordering::Relaxed);
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

    /// Whether the log, where there is one, holds all data.
    pub(crate) fn log_is_whole(&self) -> bool {
        self.log_is_whole.load(Ordering::Acquire)
    }

    /// The log holds all data from now on.
    pub(crate) fn log_is_based(&self) {
        self.log_is_whole.store(true, Ordering::Release);
    }

    /// There is to be a log, which holds nothing yet.
    pub(crate) fn log_begins(&self) {
        self.log_is_whole.store(false, Ordering::Release);
    }

    /// Whether the log has grown by so much that it is to be rewritten.
    pub(crate) fn rewrite_is_due(&self, config: &Config) -> bool {
        let (now, then) = self.log_sizes();
        let percent = u64::from(config.auto_aof_rewrite_percentage);
        let grown = now.saturating_sub(then).saturating_mul(100) / then.max(1);
        percent > 0 && now > config.auto_aof_rewrite_min_size && grown >= percent
    }

    pub(crate) fn publish_dirty(&self, shard: ShardId, dirty: u64) {
        self.dirty[shard.index()].store(dirty, Ordering::Relaxed);
    }

    /// Whether a save point is reached.
    pub(crate) fn is_due(&self, config: &Config) -> bool {
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
    pub(crate) fn retries_too_soon(&self) -> bool {
        let last = *lock(&self.last_try);
        self.rewrite_failed() && last.is_some_and(|last| last.elapsed() < RETRY_AFTER)
    }

    /// The file for replicas is there.
    pub(crate) fn put_for_replicas(&self, file: File, bytes: u64) {
        *lock(&self.for_replicas) = Some((file, bytes));
    }

    /// Takes the file for replicas.
    pub(crate) fn take_for_replicas(&self) -> Option<(File, u64)> {
        lock(&self.for_replicas).take()
    }

    /// What the snapshot with this number is for, while it is under way.
    pub(crate) fn aim_of(&self, number: u64) -> Option<Aim> {
        let under_way = lock(&self.under_way);
        let meant = under_way.as_ref().filter(|it| it.number == number);
        meant.map(|it| it.aim)
    }

    /// The writer has come to an end.
    pub(crate) fn end(&self, result: &io::Result<u64>) {
        if let Some(it) = &mut *lock(&self.under_way) {
            it.saved = result.is_ok();
            if it.given_up && result.is_err() {
                info!("the snapshot was given up");
            } else if it.aim == Aim::Replicas {
                if let Err(error) = result {
                    error!(%error, "a snapshot for replicas failed");
                }
            } else if it.aim.is_rewrite() {
                self.rewrite_ended(it, result);
            } else {
                self.dump_ended(it, result);
            }
        }
        self.ended.store(true, Ordering::Release);
        self.stirs.store(true, Ordering::Release);
    }

    fn rewrite_ended(&self, it: &UnderWay, result: &io::Result<u64>) {
        self.rewrite_failed
            .store(result.is_err(), Ordering::Relaxed);
        self.rewrites.fetch_add(1, Ordering::Relaxed);
        let took = it.began.elapsed();
        self.rewrite_duration_s
            .store(took.as_secs().cast_signed(), Ordering::Relaxed);
        match result {
            Ok(bytes) => {
                self.rewrites_failed_in_a_row.store(0, Ordering::Relaxed);
                self.base_bytes.store(*bytes, Ordering::Relaxed);
                let (all, _) = self.log_sizes();
                self.log_based(*bytes, all);
                if it.aim == Aim::Base {
                    self.log_is_based();
                }
                let took_ms = took.as_millis() as u64;
                info!(bytes, took_ms, "append-only log rewritten");
            }
            Err(error) => {
                self.rewrites_failed_in_a_row
                    .fetch_add(1, Ordering::Relaxed);
                error!(%error, "rewriting the append-only log failed; it goes on as it was");
            }
        }
    }

    fn dump_ended(&self, it: &UnderWay, result: &io::Result<u64>) {
        // A server that goes on since its last snapshot failed goes on as it was, as Redis does.
        if it.aim == Aim::Dump || result.is_ok() {
            self.failed.store(result.is_err(), Ordering::Relaxed);
        }
        let took = it.began.elapsed();
        self.last_duration_s
            .store(took.as_secs().cast_signed(), Ordering::Relaxed);
        match result {
            Ok(bytes) => {
                self.last_save_s.store(unix_s(), Ordering::Relaxed);
                self.saves.fetch_add(1, Ordering::Relaxed);
                self.dirty_saved
                    .store(it.dirty.unwrap_or(0), Ordering::Relaxed);
                info!(bytes, took_ms = took.as_millis() as u64, "snapshot written");
            }
            Err(error) => error!(%error, "snapshot failed; the one before is left as it was"),
        }
    }
}
