//! Commands that wait until their connection's writes are safe: WAIT with replicas, WAITAOF on this
//! server's disk and with replicas.
//!
//! A command that wants replicas notes the end of the stream, which its connection's writes stand
//! before, asks them how far they have come, and looks whenever one says so. One that wants the
//! disk asks every shard, and each says so once all that it had said by then is synced: the
//! connection's writes may be on any of them. A shard looks at how much that is while no
//! transaction has locks there. So whatever stands before one of these writes in a log is whole in
//! all logs by the time that all have answered.
//!
//! The wait itself is known on the connection's own shard only, where its time runs out; the others
//! know what to tell of whom, and forget it when told.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use engine::blocking::ending::{End, UNBLOCKED};
use engine::error::Error;
use engine::header::ReplyTo;
use engine::slot::ShardId;
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use storage::UnixMillis;

use crate::blocking::BlockedAt;
use crate::client::Client;
use crate::mailbox::message::Message;
use crate::replication::link::{Known, KnownState};
use crate::shard::Shard;

/// What WAITAOF answers where the disk is to be waited for and there is no log.
pub const NO_LOG: Error =
    Error::new("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

/// What a command wants to have its connection's writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// WAITAOF: whether this server's disk must have them. WAIT: nothing.
    pub disk: Option<bool>,
    /// So many replicas.
    pub replicas: i64,
}

impl Wanted {
    /// Writes what has been reached: whether the disk has it, and how many replicas.
    pub fn write(self, on_disk: bool, replicas: i64, reply: &mut Reply<'_>) {
        if self.disk.is_some() {
            reply.array(2);
            reply.integer(i64::from(on_disk));
        }
        reply.integer(replicas);
    }
}

/// A command that waits, on its origin.
struct AckWait {
    to: ReplyTo,
    version: Version,
    command: CommandId,
    wanted: Wanted,
    /// Shards that have not said that all is synced.
    unsynced: usize,
    /// The stream up to here is what replicas must have.
    offset: u64,
    until: Option<UnixMillis>,
}

impl AckWait {
    fn is_over(&self, replicas: i64) -> bool {
        replicas >= self.wanted.replicas && (self.unsynced == 0 || self.wanted.disk != Some(true))
    }
}

/// Those of a shard's connections.
#[derive(Default)]
pub struct AckWaits {
    waits: BTreeMap<u64, AckWait>,
    last: u64,
}

impl AckWaits {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.waits.len()
    }

    /// How many of them end by the clock.
    pub fn with_deadline(&self) -> usize {
        self.deadlines().count()
    }

    fn deadlines(&self) -> impl Iterator<Item = UnixMillis> {
        self.waits.values().filter_map(|wait| wait.until)
    }

    /// When the next one's time is up.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines().min()
    }

    fn numbers(&self, is_meant: impl Fn(&AckWait) -> bool) -> Vec<u64> {
        let meant = self.waits.iter().filter(|(_, wait)| is_meant(wait));
        meant.map(|(number, _)| *number).collect()
    }
}

/// On a shard: who is to be told once the log is synced up to a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyncWait {
    mark: u64,
    origin: ShardId,
    number: u64,
}

impl Shard {
    /// Lets a connection wait for what its command wants. It is answered then, or at `until`.
    pub(crate) fn wait_for_acks(
        &mut self,
        client: &mut Client,
        command: CommandId,
        wanted: Wanted,
        until: Option<UnixMillis>,
    ) {
        let to = client.stall();
        self.acks.last += 1;
        let number = self.acks.last;
        client.blocked = Some(BlockedAt::Acks(number));
        client.blocked_command = None;
        let asked = match wanted.disk {
            Some(_) => self.engine.slots.all(),
            None => Vec::new(),
        };
        let offset = self.stream_end();
        let wait = AckWait {
            offset,
            to,
            version: client.session.version,
            command,
            wanted,
            unsynced: asked.len(),
            until,
        };
        self.acks.waits.insert(number, wait);
        if wanted.replicas > 0 {
            self.process
                .replication
                .ack_waits
                .fetch_add(1, Ordering::AcqRel);
            self.ask_replicas();
        }
        self.wake_timer();
        let origin = self.engine.id;
        for shard in asked {
            let there = move |shard: &mut Shard| shard.tell_when_synced(origin, number);
            let arrive = move |shard: &mut Shard| shard.when_all_home(Box::new(there));
            self.send(shard, Message::Visit(Box::new(arrive)));
        }
    }

    /// Whether all that this shard has said is on disk, in a log that holds all data.
    pub(crate) fn all_is_synced(&self) -> bool {
        self.is_synced_to(self.engine.effects.journal.total())
    }

    fn is_synced_to(&self, mark: u64) -> bool {
        self.engine.effects.journal.has_log()
            && self.process.snapshots.log_is_whole()
            && self.log.synced() >= mark
    }

    fn tell_when_synced(&mut self, origin: ShardId, number: u64) {
        let mark = self.engine.effects.journal.total();
        if self.is_synced_to(mark) {
            self.tell_synced(origin, number)
        } else {
            self.log.sync_waits.push(SyncWait {
                mark,
                origin,
                number,
            })
        }
    }

    fn tell_synced(&mut self, origin: ShardId, number: u64) {
        let home = move |shard: &mut Shard| shard.is_acked(number);
        self.send(origin, Message::Visit(Box::new(home)));
    }

    /// More is on disk, or the log is whole now: tells those who wait for that.
    pub(crate) fn tell_sync_waits(&mut self) {
        if self.log.sync_waits.is_empty() {
            return;
        }
        let waits = std::mem::take(&mut self.log.sync_waits);
        let (synced, rest) = waits
            .into_iter()
            .partition(|wait| self.is_synced_to(wait.mark));
        self.log.sync_waits = rest;
        let synced: Vec<SyncWait> = synced;
        for wait in synced {
            self.tell_synced(wait.origin, wait.number);
        }
    }

    /// On the origin: one more shard has all on disk.
    fn is_acked(&mut self, number: u64) {
        let Some(wait) = self.acks.waits.get_mut(&number) else {
            return;
        };
        wait.unsynced -= 1;
        let (offset, wanted) = (wait.offset, wait.wanted);
        let replicas = self.replicas_with(offset, wanted);
        let wait = self.acks.waits.get(&number);
        if wait.is_some_and(|wait| wait.is_over(replicas)) {
            self.end_ack(number, None);
        }
    }

    /// A replica has told how far it has come.
    pub(crate) fn look_at_acks(&mut self) {
        for number in self.acks.numbers(|wait| wait.wanted.replicas > 0) {
            let Some(wait) = self.acks.waits.get(&number) else {
                continue;
            };
            if wait.is_over(self.replicas_with(wait.offset, wait.wanted)) {
                self.end_ack(number, None);
            }
        }
        self.settle();
    }

    /// How many replicas have the stream up to `offset`: on disk, where a command asks for that.
    pub(crate) fn replicas_with(&self, offset: u64, wanted: Wanted) -> i64 {
        let replicas = self.process.replication.replicas();
        let has = |it: &&Known| match wanted.disk {
            Some(_) => it.synced >= offset,
            None => it.acknowledged >= offset,
        };
        let online = replicas.iter().filter(|it| it.state == KnownState::Online);
        let have_it = online.filter(has);
        i64::try_from(have_it.count()).unwrap_or(i64::MAX)
    }

    /// There is no log any more: who waits for one here is told so.
    pub(crate) fn refuse_sync_waits(&mut self) {
        for number in self.acks.numbers(|wait| wait.wanted.disk == Some(true)) {
            self.end_ack(number, Some(NO_LOG));
        }
    }

    /// Ends those whose time is up.
    pub(crate) fn time_out_acks(&mut self) {
        let now = self.engine.now;
        let is_due = |wait: &AckWait| wait.until.is_some_and(|until| until <= now);
        for number in self.acks.numbers(is_due) {
            self.end_ack(number, None);
        }
    }

    /// Ends one from outside. False where it was over.
    pub(crate) fn end_ack_wait(&mut self, number: u64, end: End) -> bool {
        match end {
            End::TimedOut => self.end_ack(number, None),
            End::Unblocked => self.end_ack(number, Some(UNBLOCKED)),
            End::Gone => self.forget_ack(number).is_some_and(|wait| {
                // Its place among the replies is free, so that the others can leave.
                self.complete(self.engine.id, wait.to, Vec::new());
                true
            }),
        }
    }

    /// Answers with how far it has come, or with an error. False where it was over.
    fn end_ack(&mut self, number: u64, error: Option<Error>) -> bool {
        let Some(wait) = self.forget_ack(number) else {
            return false;
        };
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, wait.version);
        match error {
            None => {
                let replicas = self.replicas_with(wait.offset, wait.wanted);
                wait.wanted.write(wait.unsynced == 0, replicas, &mut reply);
            }
            Some(error) => {
                error.write(&mut reply);
                self.engine.stats.failed(wait.command.index(), &error);
            }
        }
        self.complete(self.engine.id, wait.to, encoded);
        true
    }

    /// It is over: shards that would tell of it need not.
    fn forget_ack(&mut self, number: u64) -> Option<AckWait> {
        let wait = self.acks.waits.remove(&number)?;
        if wait.wanted.replicas > 0 {
            self.process
                .replication
                .ack_waits
                .fetch_sub(1, Ordering::AcqRel);
        }
        if wait.wanted.disk.is_some() && wait.unsynced > 0 {
            let origin = self.engine.id;
            for shard in self.engine.slots.all() {
                let there: fn(&mut Shard, ShardId, u64) = |shard, origin, number| {
                    let is_it = |wait: &SyncWait| (wait.origin, wait.number) == (origin, number);
                    shard.log.sync_waits.retain(|wait| !is_it(wait));
                };
                // On the same way as what it takes back.
                let forget = move |shard: &mut Shard| there(shard, origin, number);
                let arrive = move |shard: &mut Shard| shard.when_all_home(Box::new(forget));
                self.send(shard, Message::Visit(Box::new(arrive)));
            }
        }
        Some(wait)
    }
}
