//! A shard's part in snapshots: their beginning, the instant, the walk over its keys, and the end.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};

use config::Config;
use engine::header::{ClientToken, ReplyTo};
use engine::journal::LogSwitch;
use engine::transaction::coordinator::{Held, Scopes};
use engine::transaction::global::{Cut, OwnerDatabases};
use persistence::manifest::Folder;
use storage::{Keyspace, Piece};
use tracing::{error, info};

use crate::local_waker::{LocalWaker, woken};
use crate::mailbox::message::{Message, Visit};
use crate::shard::Shard;
use crate::snapshot::{Aim, KEYS_PER_STEP, NotBegun, UnderWay, Until, Waiting, lock};
use crate::{debug_delay, snapshot, turn};

/// The reply to BGSAVE, when the instant of its snapshot has been.
const STARTED: &[u8] = b"+Background saving started\r\n";

/// Between two tries to hand a piece to a writer that is behind.
const WRITER_PATIENCE: Duration = Duration::from_millis(1);

/// The walk works for so long, between turns, and then rests: it takes a third of a shard's time at
/// most. With 5,000,000 keys, and two shards that share two cores with the clients, a GET meanwhile
/// took 1.3 ms at p99 with 1 ms of work at a time, and the snapshot 0.7 s; with 0.3 ms it took 0.5
/// ms, and the snapshot 1.7 s.
const WORK: Duration = Duration::from_micros(500);

/// How long it rests, to which the timer adds up to its own millisecond.
const REST: Duration = Duration::from_millis(1);

/// What a shard has still to write of a snapshot.
#[derive(Default)]
pub struct Walking {
    /// Emptied databases that are still to be written.
    pub(crate) orphans: Vec<Keyspace>,
    /// Libraries of functions that are still to be written, as a file has them: shard 0's part.
    functions: Vec<u8>,
    /// The number of the snapshot that it walks for, or did last.
    pub(crate) number: u64,
    pub(crate) waker: LocalWaker,
}

impl Shard {
    /// Begins a snapshot. `waits` is answered when it has come that far.
    pub fn begin_snapshot(&mut self, waits: Option<(ReplyTo, Until)>) -> Result<(), NotBegun> {
        self.begin_file(Aim::Dump, waits)
    }

    /// Begins a rewrite of the append-only log: a snapshot, and what is logged from its instant on.
    pub fn begin_rewrite(&mut self) -> Result<(), NotBegun> {
        let aim = if self.engine.config.appendonly {
            Aim::Base
        } else {
            Aim::BaseAlone
        };
        self.begin_file(aim, None)
    }

    /// Begins the last snapshot before the end.
    pub(crate) fn begin_snapshot_for_stop(&mut self) -> Result<(), NotBegun> {
        self.begin_file(Aim::LastDump, None)
    }

    /// Begins a snapshot for the replicas that wait for one, if none is being written.
    pub(crate) fn begin_snapshot_for_replicas(&mut self) {
        if self.process.replication.syncs().want_snapshot()
            && let Err(NotBegun::Failed(error)) = self.begin_file(Aim::Replicas, None)
        {
            error!(%error, "cannot begin a snapshot for replicas");
        }
    }

    fn begin_file(&mut self, aim: Aim, waits: Option<(ReplyTo, Until)>) -> Result<(), NotBegun> {
        let process = self.process.clone();
        let snapshots = &process.snapshots;
        let mut under_way = lock(&snapshots.under_way);
        if under_way.is_some() {
            return Err(NotBegun::UnderWay);
        }
        *lock(&snapshots.last_try) = Some(Instant::now());
        let keyspaces = self.engine.slots.shards() * usize::from(self.engine.databases.count());
        let number = snapshots.next_number();
        let writer = snapshot::file::spawn(&process, &self.engine.config, number, aim, keyspaces);
        let who = |wanted: Until| {
            let meant = waits.filter(|(_, until)| *until == wanted);
            let reply = (wanted == Until::Begun).then(|| STARTED.to_vec());
            meant
                .map(|(to, _)| (self.engine.id, to, reply))
                .into_iter()
                .collect()
        };
        *under_way = Some(UnderWay {
            number,
            aim,
            writer: writer.map_err(NotBegun::Failed)?,
            began: Instant::now(),
            dirty: None,
            beginning: who(Until::Begun),
            waiting: who(Until::Done),
            unaware: self.engine.slots.shards(),
            saved: false,
            given_up: false,
        });
        info!(rewrite = aim.is_rewrite(), "snapshot begins");
        Ok(())
    }

    /// Begins the transaction that marks the instant of a snapshot, on all shards.
    fn begin_cut(&mut self, cut: Cut) {
        let run = move |shard: &mut Self, _, mut held: Box<Held>| {
            shard.cut(
                cut,
                held.workspace
                    .global
                    .iter_mut()
                    .map(|(_, lent)| lent.as_mut()),
            );
            shard.engine.commit(*held);
            shard.is_cut(cut);
        };
        let task = self.tasks.transaction(Box::new(run));
        self.engine
            .begin_outside(ClientToken::NOBODY, task, Scopes::default(), true);
        self.settle();
    }

    /// This shard's databases are back that were lent as a whole.
    pub(crate) fn databases_came_home(&mut self, cut: Option<Cut>, switch: Option<LogSwitch>) {
        if let Some(cut) = cut {
            self.walk_for(cut);
            // What changes them from here on is in this shard's next log file.
            if self.engine.id.index() == 0 {
                let config = &self.engine.config;
                self.walking.functions = snapshot::file::functions(&self.process, config);
            }
            if let (Some(sequence), Some(switch)) = (cut.part, switch) {
                let folder = Folder::new(&self.process.disk, &self.engine.config);
                let path = folder.part(sequence, self.engine.id.index());
                self.switch_log(path, switch);
            }
        }
        self.walk_on();
    }

    /// On the coordinator, while all databases are in its hand: this is the instant.
    pub(crate) fn cut<'a>(&mut self, cut: Cut, lent: impl Iterator<Item = &'a mut OwnerDatabases>) {
        let aim = self.process.snapshots.aim_of(cut.number);
        if aim == Some(Aim::Replicas) {
            self.replicas_are_cut();
        }
        let format = aim.map(Aim::format).unwrap_or_default();
        let terms = snapshot::file::terms(&self.engine.config, format);
        let (mut dirty, mut keys) = (0, 0);
        for lent in lent {
            let databases = &lent.databases;
            let lens = databases.indices().map(|db| databases.get(db).len() as u64);
            keys += lens.sum::<u64>();
            lent.databases.begin_cut(terms);
            lent.cut = Some(cut);
            dirty += lent.dirty;
        }
        self.process.snapshots.is_cut(cut.number, dirty, keys);
    }

    /// On the coordinator, when all databases have gone home: BGSAVE is answered.
    pub(crate) fn is_cut(&mut self, cut: Cut) {
        let beginning = self.process.snapshots.have_begun(cut.number);
        self.answer_waiting(beginning, true);
    }

    /// The instant of a snapshot has been: what is walked over from now on is for that one.
    pub(crate) fn walk_for(&mut self, cut: Cut) {
        let orphans = std::mem::take(&mut self.walking.orphans);
        if !orphans.is_empty() {
            self.process.lazyfree.free_keyspaces(orphans, true);
        }
        self.walking.number = cut.number;
    }

    /// Databases came home: there may be a walk to go on with.
    pub(crate) fn walk_on(&mut self) {
        if self.engine.databases.cut().is_some() {
            self.walking.waker.wake();
        }
    }

    /// Emptied databases that are still to be written; what is not, comes back.
    pub(crate) fn keep_for_snapshot(&mut self, discarded: Vec<Keyspace>) -> Vec<Keyspace> {
        let (cut, rest) = discarded.into_iter().partition(Keyspace::is_cut);
        self.walking.orphans.extend::<Vec<_>>(cut);
        if !self.walking.orphans.is_empty() {
            self.walking.waker.wake();
        }
        rest
    }

    /// The next piece of this shard, if it has one to write.
    fn next_piece(&mut self) -> Option<Piece> {
        if !self.walking.functions.is_empty() {
            return Some(Piece {
                bytes: std::mem::take(&mut self.walking.functions),
                keys: 0,
                last: false,
            });
        }
        let keys = match self.engine.config.rdb_key_save_delay_us {
            0 => KEYS_PER_STEP,
            _ => 1,
        };
        if let Some(keyspace) = self.engine.databases.cut() {
            return keyspace.write_on(keys);
        }
        let piece = self.walking.orphans.last_mut()?.write_on(keys);
        if piece.as_ref().is_none_or(|piece| piece.last) {
            let done = self.walking.orphans.pop();
            self.process
                .lazyfree
                .free_keyspaces(done.into_iter().collect(), true);
        }
        piece
    }

    /// Nobody wants the rest.
    fn abandon_walk(&mut self) {
        self.walking.functions.clear();
        self.engine.databases.abandon_cut();
        let orphans = std::mem::take(&mut self.walking.orphans);
        self.process.lazyfree.free_keyspaces(orphans, true);
    }

    /// Shard 0 looks here once a turn, because threads cannot send messages.
    pub(crate) fn notice_snapshot(&mut self) {
        let snapshots = &self.process.snapshots;
        if !snapshots.stirs.swap(false, Ordering::Acquire) {
            return;
        }
        let prepared = lock(&snapshots.prepared).take();
        if let Some(cut) = prepared
            && !self.stop.is_under_way
        {
            self.begin_cut(cut);
        }
        let snapshots = &self.process.snapshots;
        if !snapshots.ended.swap(false, Ordering::Acquire) {
            return;
        }
        self.tell_all(Shard::snapshot_ended);
    }

    /// On each shard, after one ended. The last to hear of it answers those who wait.
    fn snapshot_ended(&mut self) {
        self.heed_snapshot_result();
        self.tell_sync_waits();
        let process = self.process.clone();
        let mut under_way = lock(&process.snapshots.under_way);
        if under_way.as_ref().is_some_and(|it| !it.saved) {
            self.abandon_walk();
        }
        let unaware = under_way.as_mut().map(|it| {
            it.unaware -= 1;
            it.unaware
        });
        if unaware == Some(0)
            && let Some(ended) = under_way.take()
        {
            drop(under_way);
            self.answer_waiting(ended.beginning, ended.saved);
            self.answer_waiting(ended.waiting, ended.saved);
            if ended.aim == Aim::Replicas {
                self.snapshot_for_replicas_ended(self.process.snapshots.take_for_replicas());
            }
            if ended.aim == Aim::LastDump {
                self.last_snapshot_ended(ended.saved);
            }
            self.begin_last_snapshot();
            if lock(&process.snapshots.under_way).is_none() {
                self.begin_scheduled();
            }
            self.begin_snapshot_for_replicas();
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

    /// FLUSHALL leaves a snapshot of nothing where there are save points: what was flushed must not
    /// be back after a crash. It is answered when that is done, well or not.
    pub(crate) fn save_what_was_flushed(&mut self, answer: Option<(ReplyTo, Vec<u8>)>) {
        let snapshots = &self.process.snapshots;
        // First: what is under way may end at any moment.
        snapshots.schedule_save();
        let waits = answer.map(|(to, reply)| (self.engine.id, to, Some(reply)));
        lock(&snapshots.save_waiting).extend(waits);
        let begin: Visit = Box::new(|shard| {
            if lock(&shard.process.snapshots.under_way).is_none() {
                shard.begin_scheduled();
            }
        });
        self.send(self.engine.id, Message::Visit(begin));
    }

    /// Answers commands that have waited for a snapshot.
    fn answer_waiting(&mut self, waiting: Vec<Waiting>, saved: bool) {
        let usual: &[u8] = if saved { b"+OK\r\n" } else { b"-ERR\r\n" };
        for (origin, to, reply) in waiting {
            self.complete(origin, to, reply.unwrap_or_else(|| usual.to_vec()));
        }
    }

    /// Whether writes are to be refused.
    fn heed_snapshot_result(&mut self) {
        self.engine.admission.snapshot_failed = self.process.snapshots.failed();
        self.engine.admission.settle(&self.engine.config);
    }

    /// By the clock: begins a snapshot where a save point is reached. Returns whether changes wait
    /// for one.
    pub(crate) fn heed_save_points(&mut self) -> bool {
        let process = self.process.clone();
        process
            .snapshots
            .publish_dirty(self.engine.id, self.engine.effects.dirty);
        let ends = self.stop.is_under_way || process.stop.holds_writes();
        if self.engine.config.save.0.is_empty() || self.engine.admission.loading || ends {
            return false;
        }
        if process.snapshots.is_due(&self.engine.config)
            && let Err(NotBegun::Failed(error)) = self.begin_snapshot(None)
        {
            error!(%error, "cannot begin a snapshot");
        }
        process.snapshots.changes() > 0
    }

    /// By the clock: begins a rewrite where the log has grown enough.
    pub(crate) fn heed_log_size(&mut self) {
        let process = self.process.clone();
        process
            .snapshots
            .publish_log(self.engine.id, self.log.file_bytes);
        let ends = self.stop.is_under_way || process.stop.holds_writes();
        if !self.engine.config.appendonly || self.engine.admission.loading || ends {
            return;
        }
        let has_none =
            !self.engine.effects.journal.has_log() || lock(&process.manifest).parts.is_empty();
        if (has_none || process.snapshots.rewrite_is_due(&self.engine.config))
            && !process.snapshots.retries_too_soon()
            && let Err(NotBegun::Failed(error)) = self.begin_rewrite()
        {
            error!(%error, "cannot begin to rewrite the append-only log");
        }
    }
}

/// Writes this shard's share of snapshots, for as long as the executor runs.
pub async fn walk(shard: Rc<RefCell<Shard>>) {
    let mut worked = Duration::ZERO;
    loop {
        let began = Instant::now();
        let (number, piece) = {
            let shard = &mut *shard.borrow_mut();
            (shard.walking.number, shard.next_piece())
        };
        worked += began.elapsed();
        match piece {
            Some(piece) => {
                shard.borrow().process.snapshots.note_written(piece.keys);
                let delay_us = |config: &Config| config.rdb_key_save_delay_us;
                let is_wanted = |shard: &Shard| shard.process.snapshots.taker(number).is_some();
                debug_delay::wait_after(&shard, piece.keys, delay_us, is_wanted).await;
                if piece.last || !piece.bytes.is_empty() {
                    hand_on(&shard, number, piece).await;
                }
                // Before the end there is nothing to make room for.
                if worked < WORK || shard.borrow().process.stop.holds_writes() {
                    turn::passed(&shard).await;
                } else {
                    worked = Duration::ZERO;
                    monoio::time::sleep(REST).await;
                }
            }
            None => woken(&shard, |shard| &mut shard.walking.waker).await,
        }
    }
}

/// Hands a piece to the writer of the snapshot with this number. While that is behind it may fail,
/// and the next snapshot may have begun when this goes on: its file must not get the piece, or it
/// had keys twice.
async fn hand_on(shard: &RefCell<Shard>, number: u64, mut piece: Piece) {
    loop {
        match hand_on_now(shard, number, piece) {
            Ok(()) => return,
            Err(TrySendError::Disconnected(_)) => {
                let mut shard = shard.borrow_mut();
                if shard.walking.number == number {
                    shard.abandon_walk();
                }
                return;
            }
            Err(TrySendError::Full(again)) => {
                piece = again;
                monoio::time::sleep(WRITER_PATIENCE).await;
            }
        }
    }
}

/// The sending end is not kept while anything is waited for: the writer ends when there is none,
/// also where this task is never polled again.
fn hand_on_now(
    shard: &RefCell<Shard>,
    number: u64,
    piece: Piece,
) -> Result<(), TrySendError<Piece>> {
    match shard.borrow().process.snapshots.taker(number) {
        Some(sender) => sender.try_send(piece),
        None => Err(TrySendError::Disconnected(piece)),
    }
}
