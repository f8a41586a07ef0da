//! The append-only log of a shard on its way to disk, and the replies that wait for it.
//!
//! No reply leaves before its record is as safe as `appendfsync` says. That holds for a
//! connection's output, for batches of replies to other shards, and for what is answered late: all
//! wait for the *frontier*.
//!
//! `everysec` and `no`: the system must have the record, so that a kill of the process takes
//! nothing that was answered. At the end of a turn, before any of its replies leave, the shard
//! writes all that the turn has said with one system call of its own. The shard's ring would hand
//! each write to a thread (ext4 takes none at once), which costs two switches and lets everybody
//! wait for them; the call itself takes about a microsecond, and what the records take to copy.
//! Syncs are left to a task ([`writer`]), through the ring, and records are appended meanwhile.
//!
//! `always`: the record must be on disk. The task writes and syncs it, and the shard goes on
//! meanwhile (with the epoll driver, writes block it). One sync serves all who wait (group commit).
//!
//! The task also writes where the shard cannot: while a file is being opened, and again what could
//! not be written.
//!
//! A transaction over several shards is answered when no crash can take it any more (see
//! `commits`); until then the frontier of each participant stays before its share: what came after
//! may have seen it, and is not answered before it is certain. Where it only read what is not on
//! disk yet, its answer waits for that shard, too.
//!
//! After a crash the logs are cut back to where all transactions are whole (see `replay`). What is
//! cut was never answered.
//!
//! What could not be written is kept and tried again every second (see `log_file`). Meanwhile every
//! shard refuses writes, and reads go on. Under `always` there is one thing to choose then: memory
//! has what the disk has not, of writes that were under way and are not answered. Reads that waited
//! for that, too, would hang for as long as the disk is full. So while any shard's log fails, only
//! what wrote waits, and a read may see a value that is gone again if the process is killed before
//! the disk works. No answer to a write is ever taken back.

pub mod commits;
pub mod gates;
pub mod import;
pub mod player;
pub mod replay;
mod ring_file;
pub mod start;
pub mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::AppendFsync;
use engine::header::ClientToken;
use engine::journal::LogSwitch;
use engine::message::LockRequest;
use engine::slot::ShardId;
use engine::transaction::commit::Awaited;
use engine::transaction::locks::ItemId;
use persistence::fsync_scheduler::GroupSizes;
use persistence::log_file::LogFile;
use persistence::manifest::Manifest;
use tracing::{error, info};

use crate::aof::commits::Settled;
use crate::aof::gates::Gate;
use crate::aof::ring_file::RingFile;
use crate::blocking::acks::SyncWait;
use crate::local_waker::LocalWaker;
use crate::mailbox::message::Message;
use crate::shard::Shard;

/// So long at most what is said waits for the sync of others to end, give or take the timer's own
/// millisecond.
const GATHER_FOR: Duration = Duration::from_millis(1);

/// Bytes that may wait for a disk that does not keep up; beyond, writes are refused.
const BEHIND_BYTES_MAX: usize = 256 << 20;

/// Something for the writer, in order.
enum Step {
    Write(Vec<u8>),
    /// What comes next, from this byte of the journal on, goes to this file.
    Open(PathBuf, u64),
    /// There is no log any more.
    Close,
}

/// The log of one shard.
#[derive(Default)]
pub struct Log {
    steps: VecDeque<Step>,
    /// There is a log: replies wait for it.
    gates: bool,
    /// They wait until what they tell of is on disk, not only until the system has it.
    awaits_disk: bool,
    /// What records are appended to; none before it is open.
    file: Option<Rc<LogFile<RingFile>>>,
    /// Bytes of the journal that are on disk.
    synced: u64,
    /// Bytes of the journal that the system has.
    written: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Shares of transactions that are not certain, in order: where each begins and ends.
    unsettled: VecDeque<(u64, u64)>,
    /// Where the last share or mark ends that was not told to be on disk.
    untold: Option<u64>,
    /// Messages that leave once the frontier is there.
    held: VecDeque<(Gate, ShardId, Message)>,
    /// Connections whose output waits.
    clients: VecDeque<(u64, ClientToken)>,
    /// The task is at a step: what is said behind that waits for its end.
    busy: bool,
    /// The shard could not write what the journal has, and the task has not yet.
    refused: bool,
    /// Since when it gathers what is to be written together.
    gathers: Option<Instant>,
    /// Somebody waits for all that was said to be written.
    hurries: bool,
    /// How many commands were written together lately.
    groups: GroupSizes,
    /// What was last to be written or synced was not.
    pub failed: bool,
    /// Who is lent all there is once all that is said is written.
    lends: Vec<(ItemId, Box<LockRequest>)>,
    /// Who is told once so much is synced.
    pub(crate) sync_waits: Vec<SyncWait>,
    waker: LocalWaker,
}

impl Log {
    /// The locks are held: lends what they cover once the log is written, or has failed.
    fn check_out_when_written(&mut self, item: ItemId, request: Box<LockRequest>) {
        self.lends.push((item, request));
    }

    /// Bytes of the journal that are on disk.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Bytes of the journal that are as safe as replies need it.
    fn safe(&self) -> u64 {
        if !self.gates {
            u64::MAX
        } else if self.awaits_disk {
            self.synced
        } else {
            self.written
        }
    }

    /// How far replies may tell.
    fn frontier(&self) -> u64 {
        let safe = self.safe();
        let unsettled = self.unsettled.front();
        unsettled.map_or(safe, |&(begins, _)| safe.min(begins))
    }

    /// Whether the shard itself writes what is said, at the end of the turn.
    fn appends(&self) -> bool {
        self.file.is_some()
            && !self.awaits_disk
            && !self.busy
            && !self.failed
            && self.steps.is_empty()
    }
}

impl Shard {
    /// From now on there is a log: this file.
    pub(crate) fn open_log(&mut self, path: PathBuf) {
        self.engine.effects.journal.turn(true);
        let from = self.engine.effects.journal.total();
        self.log.steps.push_back(Step::Open(path, from));
        self.heed_fsync_policy();
        self.wake_log();
    }

    /// `appendonly` may have changed. Turned on, the log begins with the next rewrite, which the
    /// clock begins.
    pub(crate) fn heed_appendonly(&mut self) {
        if !self.engine.config.appendonly && self.engine.effects.journal.has_log() {
            self.engine.effects.journal.turn(false);
            self.log.steps.push_back(Step::Close);
            self.process.set_manifest(Manifest::default());
            self.wake_log();
        }
        match self.engine.config.appendonly {
            false => self.refuse_sync_waits(),
            // It begins with a snapshot, and is nothing before that is written.
            true if !self.engine.effects.journal.has_log() && !self.engine.admission.loading => {
                self.process.snapshots.log_begins();
            }
            true => {}
        }
        self.heed_fsync_policy();
    }

    /// What follows goes to another file.
    pub(crate) fn switch_log(&mut self, path: PathBuf, switch: LogSwitch) {
        let is_first = switch.rest.is_none();
        self.log.steps.extend(switch.rest.map(Step::Write));
        self.log.steps.push_back(Step::Open(path, switch.from));
        if is_first {
            self.heed_fsync_policy();
        }
        self.wake_log();
    }

    /// `appendfsync` may have changed.
    pub(crate) fn heed_fsync_policy(&mut self) {
        let journal = &self.engine.effects.journal;
        self.log.gates = journal.is_on();
        self.log.awaits_disk =
            journal.has_log() && self.engine.config.appendfsync == AppendFsync::Always;
        if !journal.has_log() {
            // Where only replicas hear: what a log did not get any more is not waited for.
            self.log.written = journal.taken();
        }
        self.refresh_log_state();
        self.tell_certain();
        self.open_gates();
        self.wake_log();
    }

    /// Replicas are told of all that was said. Where there is no log on disk, replies wait for
    /// nothing else. Returns whether anybody may be answered who could not before.
    pub(crate) fn stream_is_told(&mut self) -> bool {
        if self.engine.effects.journal.has_log() {
            return false;
        }
        self.log.written = self.engine.effects.journal.total();
        self.open_gates()
    }

    /// Once a turn, before what it has for others leaves: writes what was said, or lets the task
    /// have it. Returns whether anybody may be answered who could not before.
    #[inline]
    pub(crate) fn flush_journal(&mut self) -> bool {
        self.engine.effects.journal.has_more() && self.flush_records()
    }

    fn flush_records(&mut self) -> bool {
        if self.log.appends() {
            return self.append_records();
        }
        if !(self.log.gathers.is_some() && self.may_gather()) {
            self.wake_log();
        }
        false
    }

    /// Gives the system all that was said.
    fn append_records(&mut self) -> bool {
        let (log, journal) = (&mut self.log, &mut self.engine.effects.journal);
        let Some(file) = &log.file else {
            return false;
        };
        let syncs = self.engine.config.appendfsync != AppendFsync::No;
        if let Err(error) = file.append(journal.waiting(), syncs) {
            log.refused = true;
            self.log_failed("cannot be written", &error);
            self.wake_log();
            return false;
        }
        journal.written();
        let was_synced = log.synced == log.written;
        log.written = journal.total();
        log.file_bytes = file.bytes();
        // The task sees to the sync: in a second, or now.
        if was_synced || (syncs && file.has_much_unsynced()) {
            self.wake_log();
        }
        self.check_out_what_waits();
        self.tell_certain();
        self.open_gates()
    }

    /// Whether more is to come before the task writes what was said.
    fn may_gather(&self) -> bool {
        let (log, journal) = (&self.log, &self.engine.effects.journal);
        log.awaits_disk
            && !log.hurries
            && !self.ends()
            && log.steps.is_empty()
            && self.process.fsync_scheduler.is_syncing()
            && log.groups.is_few(journal.waiting_commands())
            && log.gathers.is_none_or(|since| since.elapsed() < GATHER_FOR)
    }

    /// What was said is to be on disk at once.
    pub(crate) fn flush_log_at_stop(&mut self) {
        self.wake_log();
    }

    /// A sync has ended, for which these have waited.
    fn wake_logs(&mut self, waiting: impl Iterator<Item = usize>) {
        let own = self.engine.id;
        for shard in waiting.map(ShardId::new).filter(|it| *it != own) {
            self.begin_turn();
            self.send(shard, Message::Visit(Box::new(Shard::go_on_with_log)));
        }
    }

    /// What the log waited for is over.
    fn go_on_with_log(&mut self) {
        if self.log.gathers.is_some() {
            self.log.hurries = true;
            self.wake_log();
        }
    }

    fn wake_log(&mut self) {
        self.log.waker.wake();
    }

    /// Whether the system has all that was said, or will not get it soon.
    pub(crate) fn log_is_written(&mut self) -> bool {
        let is_written = self.log.failed
            || !self.engine.effects.journal.has_log()
            || (self.log.steps.is_empty()
                && self.log.written == self.engine.effects.journal.total());
        if !is_written {
            self.log.hurries = true;
            self.wake_log();
        }
        is_written
    }

    /// The locks of an item are held: lends what they cover once the log is written, or has failed.
    pub(crate) fn check_out_when_written(&mut self, item: ItemId, request: Box<LockRequest>) {
        if self.log_is_written() {
            // Whoever reads the log is to know whether it can be written.
            self.refresh_log_state();
            self.engine.check_out_by_message(item, *request);
        } else {
            self.log.check_out_when_written(item, request);
        }
    }

    /// Something was written, or could not be.
    fn check_out_what_waits(&mut self) {
        if !self.log.lends.is_empty() && self.log_is_written() {
            self.begin_turn();
            self.refresh_log_state();
            for (item, request) in std::mem::take(&mut self.log.lends) {
                self.engine.check_out_by_message(item, *request);
            }
            self.settle();
        }
    }

    /// Whether all that was said is on disk.
    pub(crate) fn log_is_idle(&self) -> bool {
        !self.engine.effects.journal.has_log()
            || (!self.log.busy
                && self.log.steps.is_empty()
                && self.log.synced == self.engine.effects.journal.total())
    }

    /// On an owner: its share of a transaction has been said from `begins` on.
    pub(crate) fn record_logged(&mut self, awaited: Awaited, begins: u64, end: u64) {
        self.log.unsettled.push_back((begins, end));
        self.mark_said(awaited, end);
    }

    /// On an owner: a transaction's answer waits for all that has been said.
    pub(crate) fn mark_said(&mut self, awaited: Awaited, end: u64) {
        self.process.commits.said(self.engine.id, awaited, end);
        self.log.untold = Some(end);
        if end <= self.log.safe() {
            self.tell_certain();
        }
    }

    /// More is safe, or nobody waits for that: lets those know whose transactions are certain by
    /// it.
    fn tell_certain(&mut self) {
        let Some(untold) = self.log.untold else {
            return;
        };
        let up_to = self.log.safe();
        if untold <= up_to {
            self.log.untold = None;
        }
        for settled in self.process.commits.synced(self.engine.id, up_to) {
            self.send(
                settled.shard,
                Message::Visit(Box::new(move |shard: &mut Shard| shard.heed(settled))),
            );
        }
    }

    /// Transactions have become certain.
    fn heed(&mut self, settled: Settled) {
        let unsettled = &mut self.log.unsettled;
        while unsettled.front().is_some_and(|it| it.1 <= settled.up_to) {
            unsettled.pop_front();
        }
        self.open_gates();
        for index in settled.commits {
            self.engine.durable(index);
        }
        self.settle();
    }

    /// The log is to be given up: nothing in it matters any more.
    fn gives_log_up(&self) -> bool {
        self.log
            .steps
            .iter()
            .any(|step| matches!(step, Step::Close))
    }

    /// Whether the task has something to write.
    fn has_step(&self) -> bool {
        let has_records = self.engine.effects.journal.has_more() && !self.log.appends();
        has_records || !self.log.steps.is_empty()
    }

    fn next_step(&mut self) -> Option<Step> {
        self.end_step();
        let step = self.log.steps.pop_front().or_else(|| {
            let is_due = self.has_step() && !self.may_gather();
            is_due.then(|| {
                let commands = self.engine.effects.journal.waiting_commands();
                self.log.groups.note(commands);
                Step::Write(self.engine.effects.journal.take())
            })
        });
        self.log.busy = step.is_some();
        if step.is_some() {
            self.log.gathers = None;
            self.log.hurries = false;
        }
        step
    }

    /// The task is at nothing that the shard would have to wait for: a turn writes what was said
    /// meanwhile.
    fn end_step(&mut self) {
        self.log.busy = false;
        if self.engine.effects.journal.has_more() && self.log.appends() {
            self.begin_turn();
        }
    }

    fn log_failed(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.log.failed, true) {
            error!(%error, what, "the append-only log: writes are refused until this works again");
            self.begin_turn();
            // As the system says it, without the number.
            let words = error.to_string();
            let words: Arc<str> = words.split(" (os error").next().unwrap_or_default().into();
            let heed = move |shard: &mut Shard| {
                shard
                    .engine
                    .admission
                    .log_failed(&words, &shard.engine.config);
                shard.let_readers_go();
            };
            heed(self);
            self.tell_others(heed);
            self.check_out_what_waits();
            self.look_whether_quiet();
        }
    }

    fn log_works(&mut self) {
        if std::mem::replace(&mut self.log.failed, false) {
            info!("the append-only log works again");
            self.begin_turn();
            self.engine.admission.log_works(&self.engine.config);
            self.tell_others(|shard| shard.engine.admission.log_works(&shard.engine.config));
        }
    }

    fn log_is_closed(&mut self) {
        self.log.file_bytes = 0;
        self.log.refused = false;
        self.log_works();
        self.check_out_what_waits();
    }

    /// So much of what was written is on disk.
    fn log_is_synced(&mut self, up_to: u64) {
        self.begin_turn();
        if !self.log.refused {
            self.log_works();
        }
        self.log.synced = up_to;
        self.tell_certain();
        self.open_gates();
        self.tell_sync_waits();
        if self.stop.is_under_way {
            self.wake_main();
        }
        self.look_whether_quiet();
    }

    /// By the clock: whether the disk keeps up.
    pub(crate) fn look_at_log(&mut self) {
        let unsynced = self.log.file.as_ref().map_or(0, |it| it.unsynced_bytes());
        let behind = self.engine.effects.journal.waiting_bytes() + unsynced > BEHIND_BYTES_MAX;
        if behind != self.engine.admission.log_behind {
            self.engine.admission.log_behind = behind;
            self.engine.admission.settle(&self.engine.config.clone());
        }
    }
}
