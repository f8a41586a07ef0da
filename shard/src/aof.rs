//! The append-only log of a shard on its way to disk, and the replies that wait for it.
//!
//! A task writes what the [`journal`](crate::aof::journal) has and forces it to disk as `appendfsync` says. It writes through the shard's own ring, so
//! the shard goes on meanwhile (with the epoll driver, writes block it).
//!
//! Where no reply waits for the disk, what is said is gathered for a millisecond or two, or until there is much of it. The kernel hands each write
//! to a file over to a thread, whatever its size (ext4 takes none at once): written once a turn, that was half of what a log cost.
//!
//! `appendfsync always`: no reply leaves before what the shard had said until then is on disk. That holds for a connection's output, for
//! batches of replies to other shards, and for what is answered late: all wait for the *frontier*. One sync serves all who wait (group commit).
//! A transaction over several shards is answered when no crash can take it any more (see `commits`); until then the frontier of each
//! participant stays before its share: what came after may have seen it, and is not answered before it is certain. Where it only read what is
//! not on disk yet, its answer waits for that shard, too.
//!
//! After a crash the logs are cut back to where all transactions are whole (see `replay`). What is cut was never answered.
//!
//! What could not be written is kept and tried again every second (see `log_file`). Meanwhile every shard refuses writes, and reads go on. Under
//! `always` there is one thing to choose then: memory has what the disk has not, of writes that were under way and are not answered. Reads
//! that waited for that, too, would hang for as long as the disk is full. So while any shard's log fails, only what wrote waits, and a read may
//! see a value that is gone again if the process is killed before the disk works. No answer to a write is ever taken back.

pub mod commits;
pub mod journal;
pub mod log_file;
pub mod manifest;
pub mod pace;
pub mod replay;
pub mod start;
pub mod tails;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tracing::{error, info};

use crate::aof::commits::{Awaited, CommitId, Settled};
use crate::aof::log_file::{LogFile, Reach, RingFile};
use crate::aof::manifest::Manifest;
use crate::aof::pace::Groups;
use crate::client::Client;
use crate::config::AppendFsync;
use crate::mailbox::batch::ClientToken;
use crate::mailbox::message::{LockRequest, Message};
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::transaction::locks::ItemId;

/// Between two syncs under `everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What is said is written so soon, give or take the timer's own millisecond, where no reply waits for it: what the end of the process can take.
const GATHER_FOR: Duration = Duration::from_millis(1);

/// So many bytes are written at once.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// Between two tries after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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

/// A transaction of this coordinator that is not certain yet.
struct Commit {
    /// Whose answer waits.
    client: ClientToken,
    /// It changed nothing.
    only_read: bool,
    then: Box<dyn FnOnce(&mut Shard)>,
}

/// The log of one shard.
#[derive(Default)]
pub struct Log {
    steps: VecDeque<Step>,
    /// Replies wait for the disk.
    gates: bool,
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
    commits: Slab<Commit>,
    /// The task is at work.
    busy: bool,
    /// Since when it gathers what is to be written together.
    gathers: Option<Instant>,
    /// Somebody waits for all that was said to be written.
    hurries: bool,
    /// How many commands were written together lately.
    groups: Groups,
    /// What was last to be written or synced was not.
    pub failed: bool,
    /// How far the journal told of commands when output was last held against it.
    looked_at: u64,
    /// Who is lent all there is once all that is said is written.
    lends: Vec<(ItemId, Box<LockRequest>)>,
    waker: Option<Waker>,
}

/// What output waits for: bytes of the journal that are to be on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate {
    /// All that there was, and that it may tell of.
    all: u64,
    /// What it is the answer to: 0 where it only read.
    own: u64,
}

impl Log {
    /// What was told between these two is a transaction's, whose answer waits in another way: whoever asks next has not written it.
    pub(crate) fn answers_wait_otherwise(&mut self, before: u64, after: u64) {
        if self.looked_at == before {
            self.looked_at = after;
        }
    }

    /// The locks are held: lends what they cover once the log is written, or has failed.
    pub(crate) fn lend_when_written(&mut self, item: ItemId, request: Box<LockRequest>) {
        self.lends.push((item, request));
    }

    /// How far replies may tell.
    fn frontier(&self) -> u64 {
        let unsettled = self.unsettled.front();
        unsettled.map_or(self.synced, |&(begins, _)| self.synced.min(begins))
    }
}

impl Shard {
    /// From now on there is a log: this file.
    pub(crate) fn open_log(&mut self, path: PathBuf) {
        self.effects.journal.turn(true);
        let from = self.effects.journal.total();
        self.log.steps.push_back(Step::Open(path, from));
        self.heed_fsync_policy();
        self.wake_log();
    }

    /// `appendonly` may have changed. Turned on, the log begins with the next rewrite, which the clock begins.
    pub(crate) fn heed_appendonly(&mut self) {
        if !self.config.appendonly && self.effects.journal.is_on() {
            self.effects.journal.turn(false);
            self.log.steps.push_back(Step::Close);
            self.process.set_manifest(Manifest::default());
            self.wake_log();
        }
        self.heed_fsync_policy();
    }

    /// What follows goes to another file.
    pub(crate) fn switch_log(&mut self, path: PathBuf) {
        if !self.effects.journal.is_on() {
            return self.open_log(path);
        }
        let rest = self.effects.journal.begin_file();
        let from = self.effects.journal.total();
        self.log.steps.push_back(Step::Write(rest));
        self.log.steps.push_back(Step::Open(path, from));
        self.wake_log();
    }

    /// `appendfsync` may have changed.
    pub(crate) fn heed_fsync_policy(&mut self) {
        let journals = self.effects.journal.is_on();
        self.log.gates = journals && self.config.appendfsync == AppendFsync::Always;
        self.tell_certain();
        self.open_gates();
        self.wake_log();
    }

    /// Once a turn: lets the writer have what was said.
    #[inline]
    pub(crate) fn flush_journal(&mut self) {
        if self.effects.journal.has_more() && !(self.log.gathers.is_some() && self.may_gather()) {
            self.wake_log();
        }
    }

    /// Whether more is to come before what was said is written.
    fn may_gather(&self) -> bool {
        let (log, journal) = (&self.log, &self.effects.journal);
        if log.hurries || self.stopping || !log.steps.is_empty() {
            return false;
        }
        let is_worth_it = match self.config.appendfsync {
            AppendFsync::Always => {
                self.process.pace.others_are_at_it()
                    && log.groups.is_few(journal.waiting_commands())
            }
            AppendFsync::EverySecond | AppendFsync::No => {
                journal.waiting_bytes() < GATHER_BYTES_MAX
            }
        };
        is_worth_it && log.gathers.is_none_or(|since| since.elapsed() < GATHER_FOR)
    }

    /// What is written is to be on disk at once.
    pub(crate) fn flush_log_at_stop(&mut self) {
        self.wake_log();
    }

    /// A sync has ended, for which these have waited.
    fn wake_logs(&mut self, waiting: impl Iterator<Item = ShardId>) {
        let own = self.id;
        for shard in waiting.filter(|it| *it != own) {
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
        if let Some(waker) = self.log.waker.take() {
            waker.wake();
        }
    }

    /// Whether the system has all that was said, or will not get it soon.
    pub(crate) fn log_is_written(&mut self) -> bool {
        let is_written = self.log.failed
            || !self.effects.journal.is_on()
            || (self.log.steps.is_empty() && self.log.written == self.effects.journal.total());
        if !is_written {
            self.log.hurries = true;
            self.wake_log();
        }
        is_written
    }

    /// Something was written, or could not be.
    fn lend_what_waits(&mut self) {
        if !self.log.lends.is_empty() && self.log_is_written() {
            self.begin_turn();
            for (item, request) in std::mem::take(&mut self.log.lends) {
                self.lend_by_message(item, *request);
            }
        }
    }

    /// Whether all that was said is on disk.
    pub(crate) fn log_is_idle(&self) -> bool {
        !self.effects.journal.is_on()
            || (!self.log.busy
                && self.log.steps.is_empty()
                && self.log.synced == self.effects.journal.total())
    }

    /// Whether answers that tell of what is here have to wait for the disk.
    pub(crate) fn log_is_behind(&self) -> bool {
        self.log.gates
            && !self.refusals.a_log_fails()
            && self.log.frontier() < self.effects.journal.total()
    }

    /// How far the disk must have come.
    fn awaited(&self, gate: Gate) -> u64 {
        match self.refusals.a_log_fails() {
            true => gate.own,
            false => gate.all,
        }
    }

    /// What the replies of what has just run must wait for, if anything. Asked once for each piece of work.
    #[inline]
    fn gate(&mut self) -> Option<Gate> {
        let told = self.effects.journal.told();
        let wrote = std::mem::replace(&mut self.log.looked_at, told) < told;
        let gate = Gate {
            all: self.effects.journal.total(),
            own: if wrote { told } else { 0 },
        };
        (self.awaited(gate) > self.log.frontier()).then_some(gate)
    }

    /// Keeps a connection's output back until what it may tell of is on disk.
    #[inline]
    pub(crate) fn gate_client(&mut self, client: &mut Client) {
        if self.log.gates
            && let Some(gate) = self.gate()
            && client.has_output()
        {
            match &mut client.gated {
                Some(before) => {
                    before.all = gate.all;
                    before.own = before.own.max(gate.own);
                }
                none => {
                    *none = Some(gate);
                    self.log.clients.push_back((gate.all, client.token));
                }
            }
        }
    }

    /// Sends a message with replies once what they may tell of is on disk.
    #[inline]
    pub(crate) fn send_gated(&mut self, to: ShardId, message: Message) {
        if self.log.gates
            && let Some(gate) = self.gate()
        {
            self.log.held.push_back((gate, to, message));
        } else {
            self.send(to, message);
        }
    }

    /// Sends a message that tells of changes behind all replies that were sent there before, also those that wait for the disk.
    pub(crate) fn send_behind_replies(&mut self, to: ShardId, message: Message) {
        let told = self.effects.journal.total();
        let gate = Gate {
            all: told,
            own: told,
        };
        match self.log.gates && told > self.log.frontier() {
            true => self.log.held.push_back((gate, to, message)),
            false => self.send(to, message),
        }
    }

    /// A log has just failed: what only read does not wait for it.
    fn let_readers_go(&mut self) {
        self.log.looked_at = self.effects.journal.told();
        let readers = self.log.commits.iter_mut().filter(|it| it.1.only_read);
        let answers: Vec<_> = readers
            .map(|(_, commit)| {
                commit.client = ClientToken::NOBODY;
                std::mem::replace(&mut commit.then, Box::new(|_| {}))
            })
            .collect();
        answers.into_iter().for_each(|answer| answer(self));
        let frontier = self.log.frontier();
        for (gate, to, message) in std::mem::take(&mut self.log.held) {
            match self.awaited(gate) > frontier {
                true => self.log.held.push_back((gate, to, message)),
                false => self.send(to, message),
            }
        }
        for (mark, token) in std::mem::take(&mut self.log.clients) {
            let Some(client) = self.client(token).cloned() else {
                continue;
            };
            let mut client = client.borrow_mut();
            match client.gated {
                Some(gate) if self.awaited(gate) > frontier => {
                    self.log.clients.push_back((mark, token));
                }
                _ => {
                    client.gated = None;
                    client.wake();
                }
            }
        }
    }

    /// More is on disk, or settled: lets those go who waited for it.
    fn open_gates(&mut self) {
        let open_to = match self.log.gates {
            true => self.log.frontier(),
            false => u64::MAX,
        };
        while self.log.held.front().is_some_and(|it| it.0.all <= open_to)
            && let Some((_, to, message)) = self.log.held.pop_front()
        {
            self.send(to, message);
        }
        while self.log.clients.front().is_some_and(|it| it.0 <= open_to)
            && let Some((mark, token)) = self.log.clients.pop_front()
        {
            let Some(client) = self.client(token).cloned() else {
                continue;
            };
            let mut client = client.borrow_mut();
            match client.gated {
                // It has got more replies since.
                Some(later) if later.all > open_to => {
                    debug_assert!(later.all >= mark);
                    self.log.clients.push_back((later.all, token));
                }
                _ => {
                    client.gated = None;
                    client.wake();
                }
            }
        }
    }

    /// On a coordinator: a transaction whose shares and marks are about to be said.
    pub(crate) fn begin_commit(&mut self, only_read: bool) -> CommitId {
        let index = self.log.commits.insert(Commit {
            client: ClientToken::NOBODY,
            only_read,
            then: Box::new(|_| {}),
        });
        CommitId {
            coordinator: self.id,
            index,
        }
    }

    /// Whether transactions wait for their shares.
    pub(crate) fn commits_wait(&self) -> bool {
        self.log.gates
    }

    /// What happens once the transaction of a client is certain; at once where nothing has to be.
    pub(crate) fn after_commit(
        &mut self,
        commit: Option<CommitId>,
        client: ClientToken,
        then: impl FnOnce(&mut Shard) + 'static,
    ) {
        match commit.and_then(|id| self.log.commits.get_mut(id.index)) {
            Some(commit) => {
                commit.client = client;
                commit.then = Box::new(then);
            }
            None => then(self),
        }
    }

    fn commit_of(&mut self, client: ClientToken) -> Option<&mut Commit> {
        let mut commits = self.log.commits.iter_mut();
        let commit = commits.find(|(_, commit)| commit.client == client);
        commit.map(|(_, commit)| commit)
    }

    /// Whether the answer to a client is here, and waits for the disk.
    pub(crate) fn awaits_commit(&mut self, client: ClientToken) -> bool {
        self.commit_of(client).is_some()
    }

    /// Does something behind the answer that a client waits for.
    pub(crate) fn behind_commit(
        &mut self,
        client: ClientToken,
        work: impl FnOnce(&mut Shard) + 'static,
    ) {
        let Some(commit) = self.commit_of(client) else {
            return work(self);
        };
        let answer = std::mem::replace(&mut commit.then, Box::new(|_| {}));
        commit.then = Box::new(move |shard| {
            answer(shard);
            work(shard);
        });
    }

    /// On an owner: its share of a transaction has been said from `begins` on.
    pub(crate) fn share_said(&mut self, awaited: Awaited, begins: u64) {
        let end = self.effects.journal.total();
        self.log.unsettled.push_back((begins, end));
        self.mark_said(awaited);
    }

    /// On an owner: a transaction's answer waits for all that has been said.
    pub(crate) fn mark_said(&mut self, awaited: Awaited) {
        let end = self.effects.journal.total();
        self.process.commits.said(self.id, awaited, end);
        self.log.untold = Some(end);
        if !self.log.gates || end <= self.log.synced {
            self.tell_certain();
        }
    }

    /// More is on disk, or nobody waits for that: lets those know whose transactions are certain by it.
    fn tell_certain(&mut self) {
        let Some(untold) = self.log.untold else {
            return;
        };
        let up_to = match self.log.gates {
            true => self.log.synced,
            false => u64::MAX,
        };
        if untold <= up_to {
            self.log.untold = None;
        }
        for settled in self.process.commits.synced(self.id, up_to) {
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
            let ended = self.log.commits.try_remove(index);
            ended.into_iter().for_each(|commit| (commit.then)(self));
        }
    }

    /// The log is to be given up: nothing in it matters any more.
    fn gives_log_up(&self) -> bool {
        self.log
            .steps
            .iter()
            .any(|step| matches!(step, Step::Close))
    }

    fn next_step(&mut self) -> Option<Step> {
        let step = self.log.steps.pop_front().or_else(|| {
            let is_due = self.effects.journal.has_more() && !self.may_gather();
            is_due.then(|| {
                let commands = self.effects.journal.waiting_commands();
                self.log.groups.note(commands);
                Step::Write(self.effects.journal.take())
            })
        });
        self.log.busy = step.is_some();
        if step.is_some() {
            self.log.gathers = None;
            self.log.hurries = false;
        }
        step
    }

    fn log_failed(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.log.failed, true) {
            error!(%error, what, "the append-only log: writes are refused until this works again");
            self.begin_turn();
            // As the system says it, without the number.
            let words = error.to_string();
            let words: Arc<str> = words.split(" (os error").next().unwrap_or_default().into();
            let heed = move |shard: &mut Shard| {
                shard.refusals.log_failed(&words, &shard.config);
                shard.let_readers_go();
            };
            heed(self);
            self.tell_others(heed);
            self.lend_what_waits();
        }
    }

    fn log_works(&mut self) {
        if std::mem::replace(&mut self.log.failed, false) {
            info!("the append-only log works again");
            self.begin_turn();
            self.refusals.log_works(&self.config);
            self.tell_others(|shard| shard.refusals.log_works(&shard.config));
        }
    }

    fn log_is_closed(&mut self) {
        self.log.file_bytes = 0;
        self.log_works();
        self.lend_what_waits();
    }

    /// All that was written is on disk.
    fn log_is_synced(&mut self) {
        self.begin_turn();
        self.log_works();
        self.log.synced = self.log.written;
        self.tell_certain();
        self.open_gates();
        if self.stopping {
            self.wake_main();
        }
    }

    /// By the clock: whether the disk keeps up.
    pub(crate) fn look_at_log(&mut self) {
        let behind = self.effects.journal.waiting_bytes() > BEHIND_BYTES_MAX;
        if behind != self.refusals.log_behind {
            self.refusals.log_behind = behind;
            self.refusals.settle(&self.config.clone());
        }
    }
}

/// The file being written.
type Open = LogFile<RingFile>;

/// Writes a shard's log, for as long as the executor runs.
pub async fn run(shard: Rc<RefCell<Shard>>) {
    let mut open: Option<Open> = None;
    loop {
        let step = shard.borrow_mut().next_step();
        match step {
            Some(Step::Open(path, from)) => {
                if let Some(old) = &mut open {
                    sync(&shard, old).await;
                }
                open = reopen(&shard, &path).await;
                let log = &mut shard.borrow_mut().log;
                log.file_bytes = open.as_ref().map_or(0, Open::bytes);
                // What came before is synced, or given up.
                (log.written, log.synced) = (from, from);
            }
            Some(Step::Close) => {
                if let Some(old) = &mut open.take() {
                    sync(&shard, old).await;
                }
                shard.borrow_mut().log_is_closed();
            }
            Some(Step::Write(bytes)) => {
                if let Some(open) = &mut open {
                    let process = shard.borrow().process.clone();
                    process.pace.begins();
                    write(&shard, open, bytes).await;
                    shard.borrow_mut().wake_logs(process.pace.ends());
                }
            }
            None => {
                rest(&shard, open.as_mut()).await;
                gather(&shard).await;
            }
        }
    }
}

/// Waits until what there is to write is enough, or old enough.
async fn gather(shard: &RefCell<Shard>) {
    let mut timer = pin!(monoio::time::sleep(GATHER_FOR));
    poll_fn(|cx| {
        let mut shard = shard.borrow_mut();
        if shard.config.appendfsync == AppendFsync::Always {
            shard.process.pace.waits(shard.id);
        }
        if !shard.effects.journal.has_more() || !shard.may_gather() {
            return Poll::Ready(());
        }
        shard.log.gathers.get_or_insert_with(Instant::now);
        shard.log.waker = Some(cx.waker().clone());
        timer.as_mut().poll(cx)
    })
    .await;
}

/// Returns none only where none is wanted any more, as all of these end then.
async fn reopen(shard: &RefCell<Shard>, path: &Path) -> Option<Open> {
    loop {
        match Open::open(path) {
            Ok(open) => return Some(open),
            Err(error) => shard.borrow_mut().log_failed("cannot be opened", &error),
        }
        if shard.borrow().gives_log_up() {
            return None;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
}

async fn write(shard: &RefCell<Shard>, open: &mut Open, mut bytes: Vec<u8>) {
    let len = bytes.len() as u64;
    loop {
        let reach = match shard.borrow().config.appendfsync {
            AppendFsync::Always => Reach::Disk,
            AppendFsync::EverySecond | AppendFsync::No => Reach::System,
        };
        let (result, back) = open.write(bytes, reach).await;
        bytes = back;
        match result {
            Ok(()) => break,
            Err(error) => shard.borrow_mut().log_failed("cannot be written", &error),
        }
        if shard.borrow().gives_log_up() {
            return;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
    let policy = {
        let mut shard = shard.borrow_mut();
        shard.log_works();
        shard.log.written += len;
        shard.log.file_bytes = open.bytes();
        bytes.clear();
        shard.effects.journal.give_back(bytes);
        shard.lend_what_waits();
        shard.config.appendfsync
    };
    let due = match policy {
        AppendFsync::Always => true,
        AppendFsync::EverySecond => open.since_sync() >= SYNC_EVERY || open.has_much_unsynced(),
        AppendFsync::No => {
            open.forget();
            false
        }
    };
    if open.is_safe() && policy != AppendFsync::No {
        shard.borrow_mut().log_is_synced();
    } else if due {
        sync(shard, open).await;
    }
}

async fn sync(shard: &RefCell<Shard>, open: &mut Open) {
    while let Err(error) = open.sync().await {
        shard.borrow_mut().log_failed("cannot be synced", &error);
        if shard.borrow().gives_log_up() {
            return;
        }
        monoio::time::sleep(RETRY_AFTER).await;
    }
    shard.borrow_mut().log_is_synced();
}

/// Waits until there is something to write, or to sync.
async fn rest(shard: &RefCell<Shard>, open: Option<&mut Open>) {
    let (unsynced, stopping) = {
        let shard = shard.borrow();
        (shard.log.synced < shard.log.written, shard.stopping)
    };
    let policy = shard.borrow().config.appendfsync;
    let until = match &open {
        Some(open) if unsynced => match policy {
            _ if stopping => Some(Duration::ZERO),
            // It was written under another policy.
            AppendFsync::Always => Some(Duration::ZERO),
            AppendFsync::No => None,
            AppendFsync::EverySecond => Some(SYNC_EVERY.saturating_sub(open.since_sync())),
        },
        _ => None,
    };
    if until != Some(Duration::ZERO) {
        let mut timer = pin!(monoio::time::sleep(until.unwrap_or(SYNC_EVERY)));
        let mut registered = false;
        poll_fn(|cx| {
            if registered && shard.borrow().log.waker.is_none() {
                return Poll::Ready(());
            }
            registered = true;
            let mut shard = shard.borrow_mut();
            if shard.effects.journal.has_more() || !shard.log.steps.is_empty() {
                return Poll::Ready(());
            }
            shard.log.waker = Some(cx.waker().clone());
            match until {
                Some(_) => timer.as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }
    let due = until.is_some_and(|until| {
        open.as_ref()
            .is_some_and(|open| until.is_zero() || open.since_sync() >= SYNC_EVERY)
    });
    if due && let Some(open) = open {
        sync(shard, open).await;
    }
}
