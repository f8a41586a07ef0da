//! A shard: everything one thread owns. Its methods live with what they are about: `dispatch`, `transaction`, `gather`, `turn`, `cron`.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use fastrand::Rng;
use protocol::args::Args;
use protocol::command::Flags;
use protocol::reply::{Reply, Version};
use protocol::table::CommandId;
use slab::Slab;
use storage::{AccessPolicy, Databases, Keyspace, Pool, UnixMillis};

use crate::aof::Log;
use crate::blocking::acks::AckWaits;
use crate::blocking::fence::Fence;
use crate::blocking::waiting::Ticket;
use crate::blocking::{End, Haste, Ticketed, nobody_asks};
use crate::client::Client;
use crate::client::cork::CorkedOutput;
use crate::context::{Change, Context, Effects};
use crate::dispatch::backpressure::HeldBack;
use crate::dispatch::handler::{HANDLERS, Handler};
use crate::dispatch::refusals::Refusals;
use crate::error::{Error, Outcome};
use crate::executor::thread_group;
use crate::listening::Listening;
use crate::local_waker::{LocalWaker, LocalWakers};
use crate::log_limiter::LogLimits;
use crate::mailbox::batch::{Batch, ClientToken, Facts, ReplyTo};
use crate::mailbox::message::{Late, LockRequest, Message, TransactionKey, Work};
use crate::mailbox::outbox::Outbox;
use crate::mailbox::{Mailbox, Outlets};
use crate::memory::client_eviction::Held;
use crate::monitor::Monitors;
use crate::pause::{Draining, Pause};
use crate::process::Process;
use crate::pubsub::Subscribers;
use crate::pubsub::publish::Publishing;
use crate::slot::{ShardId, SlotMap};
use crate::stats::Stats;
use crate::timing::latency::Spikes;
use crate::timing::rates::Rates;
use crate::timing::slowlog::SlowLog;
use crate::timing::{SHORT_BYTES_MAX, Timing};
use crate::tracking::Trackers;
use crate::tracking::invalidation::Invalidations;
use crate::transaction::Transaction;
use crate::transaction::answers::Answers;
use crate::transaction::exec::ExecState;
use crate::transaction::gather::Gather;
use crate::transaction::locks::{ItemId, LockTable};
use crate::turn::idle_policy::IdlePolicy;
use crate::turn::reply_fence::ReplyFence;
use config::Config;

/// Emptied batches a shard keeps for its next turns.
const SPARE_BATCHES_MAX: usize = 32;

/// How things stood before a command.
#[derive(Clone, Copy, Default)]
struct Before {
    dirtied: u64,
    changes: usize,
}

/// A connection in its shard's register.
pub struct Registered {
    pub token: ClientToken,
    pub client: Rc<RefCell<Client>>,
}

/// Everything one thread owns.
pub struct Shard {
    pub id: ShardId,
    /// The first shard on the same thread: see `thread_group`.
    pub(crate) first_of_thread: ShardId,
    pub slots: SlotMap,
    pub databases: Databases,
    /// Wall time of this turn.
    pub now: UnixMillis,
    /// Monotonic time of this turn.
    pub instant: Instant,
    pub config: Arc<Config>,
    /// What all shards share.
    pub process: Arc<Process>,
    /// What the use of a key notes, from `maxmemory-policy`.
    pub access: AccessPolicy,
    pub effects: Effects,
    pub random: Rng,
    pub stats: Stats,
    pub timing: Timing,
    pub spikes: Spikes,
    pub rates: Rates,
    pub slow_log: SlowLog,
    /// What of all this the log has been told.
    pub(crate) log_limits: LogLimits,
    pub clients: Slab<Registered>,
    /// Connections have freed memory because they were idle, and the shard has kept it.
    pub(crate) clients_rested: bool,
    /// One of them is beyond the soft limit of its output, and is closed when that has lasted.
    pub(crate) some_over_soft: bool,
    /// What they hold in memory.
    pub(crate) client_memory: Held,
    /// Those whose output waits for what comes behind it.
    pub(crate) corked: CorkedOutput,
    pub(crate) reply_fence: ReplyFence,
    pub locks: LockTable<Work>,
    /// Other shards' connections whose commands wait until their replies have room.
    pub(crate) held_back: HeldBack,
    /// Connections of this shard whose commands wait so on others.
    pub(crate) clients_held_back: usize,
    /// The item of it whose work this shard is doing.
    pub(crate) runs_under: Option<ItemId>,
    /// The emptied databases of a transaction's stage, for the next one.
    pub(crate) spare_stage: Option<Databases>,
    /// Requests that do not wait and have met a lock: they are looked at again when the mailbox has been read.
    #[allow(clippy::vec_box)]
    pub(crate) tries: Vec<Box<LockRequest>>,
    pub transactions: Slab<Transaction>,
    pub gathers: Slab<Gather>,
    /// Subscribers among this shard's connections.
    pub subscribers: Subscribers,
    pub(crate) publishing: Publishing,
    pub monitors: Monitors,
    /// What this shard's clients with caches are told.
    pub trackers: Trackers,
    /// Which commands wait for now.
    pub pause: Option<Pause>,
    pub(crate) draining: Vec<Draining>,
    pub(crate) last_draining: u64,
    /// Blocked commands of this shard's connections with keys on several shards.
    pub tickets: BTreeMap<Ticket, Ticketed>,
    /// Answers to waiters that wait for what others have sent before.
    pub(crate) fences: Slab<Fence>,
    pub(crate) last_ticket: u64,
    /// Commands of this shard's connections that wait for their writes to be safe.
    pub acks: AckWaits,
    /// Transactions that this shard has named for the logs.
    pub(crate) last_logged: u64,
    /// What else keeps commands from running.
    pub refusals: Refusals,
    /// The append-only log on its way to disk.
    pub log: Log,
    /// What clients of its transactions wait for.
    pub(crate) answers: Answers,
    /// Emptied databases that a snapshot under way is still to write.
    pub(crate) orphans: Vec<Keyspace>,
    /// The number of the snapshot that it walks for, or did last.
    pub(crate) walks_for: u64,
    /// What may be evicted next.
    pub(crate) candidates: Pool,
    /// What a key that was evicted took, in bytes: a running mean.
    pub(crate) victim_bytes_mean: i64,
    /// The next turn is to go on with it.
    pub(crate) eviction_unfinished: bool,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
    /// DEBUG PAUSE-CRON: the clock does nothing.
    pub cron_paused: bool,
    /// The process is going down: connections close once their replies are out.
    pub stopping: bool,
    pub(crate) drained: bool,
    /// The attempt to end the server for which its connections are quiet, and which waits for its
    /// log.
    pub(crate) quiet_for_stop: Option<u64>,
    /// When the shard's thread ends even if connections are left.
    pub(crate) stop_by: Option<Instant>,
    pub(crate) stop_waker: LocalWaker,
    pub(crate) listening: Listening,
    /// Who waits for the data to be there.
    pub(crate) load_wakers: LocalWakers,
    pub(crate) mailbox: Mailbox<Message>,
    pub(crate) outlets: Outlets<Message>,
    pub(crate) outboxes: Vec<Outbox>,
    /// Messages to itself: what would otherwise recurse, and visits.
    pub(crate) own: VecDeque<Message>,
    /// Boxed as they travel: a batch keeps its box for life.
    #[allow(clippy::vec_box)]
    spare_batches: Vec<Box<Batch>>,
    /// Room to write the reply of a session command in.
    pub(crate) scratch: Vec<u8>,
    /// False from when the turn task announced sleep until somebody begins a turn.
    pub(crate) awake: bool,
    pub(crate) turn_waker: LocalWaker,
    pub(crate) idle_policy: IdlePolicy,
    pub(crate) cron_waker: LocalWaker,
    pub(crate) timer_waker: LocalWaker,
    pub(crate) walk_waker: LocalWaker,
    /// Who waits for the next turn: see `turn::passed`.
    pub(crate) step_wakers: LocalWakers,
}

impl Shard {
    /// A shard with empty databases.
    pub fn new(
        id: ShardId,
        config: Arc<Config>,
        process: Arc<Process>,
        mailbox: Mailbox<Message>,
        outlets: Outlets<Message>,
    ) -> Self {
        let slots = process.slots;
        let access = config.access_policy();
        let mut effects = Effects {
            invalidations: Invalidations::of(id),
            ..Effects::default()
        };
        effects.notices.want(config.notify_keyspace_events);
        let tracked_max = config.tracked_keys_max(id.index());
        effects.invalidations.table.limit(tracked_max);
        Self {
            id,
            first_of_thread: process.thread_groups.first_of(id),
            slots,
            databases: Databases::new(config.databases, process.hasher.clone()),
            now: wall_time(),
            instant: Instant::now(),
            idle_policy: IdlePolicy::new(&config, slots.shards(), Instant::now()),
            timing: Timing::new(&config),
            config,
            access,
            effects,
            random: Rng::new(),
            stats: Stats::default(),
            spikes: Spikes::default(),
            rates: Rates::default(),
            slow_log: SlowLog::default(),
            log_limits: LogLimits::default(),
            clients: Slab::new(),
            clients_rested: false,
            some_over_soft: false,
            client_memory: Held::default(),
            corked: CorkedOutput::default(),
            reply_fence: ReplyFence::default(),
            locks: LockTable::default(),
            held_back: HeldBack::default(),
            clients_held_back: 0,
            runs_under: None,
            spare_stage: None,
            tries: Vec::new(),
            transactions: Slab::new(),
            gathers: Slab::new(),
            subscribers: Subscribers::default(),
            publishing: Publishing::new(slots.shards()),
            monitors: Monitors::default(),
            trackers: Trackers::default(),
            pause: None,
            draining: Vec::new(),
            last_draining: 0,
            tickets: BTreeMap::new(),
            fences: Slab::new(),
            last_ticket: 0,
            acks: AckWaits::default(),
            last_logged: 0,
            refusals: Refusals::default(),
            log: Log::default(),
            answers: Answers::default(),
            orphans: Vec::new(),
            walks_for: 0,
            candidates: Pool::default(),
            victim_bytes_mean: crate::memory::eviction::VICTIM_BYTES,
            eviction_unfinished: false,
            active_expire: true,
            cron_paused: false,
            stopping: false,
            drained: false,
            quiet_for_stop: None,
            stop_by: None,
            stop_waker: LocalWaker::default(),
            listening: Listening::default(),
            load_wakers: LocalWakers::default(),
            mailbox,
            outlets,
            outboxes: (0..slots.shards()).map(|_| Outbox::default()).collect(),
            own: VecDeque::new(),
            spare_batches: Vec::new(),
            scratch: Vec::new(),
            awake: false,
            turn_waker: LocalWaker::default(),
            cron_waker: LocalWaker::default(),
            timer_waker: LocalWaker::default(),
            walk_waker: LocalWaker::default(),
            step_wakers: LocalWakers::default(),
            process,
        }
    }

    /// Called by whatever wakes this shard before it does its work: reads the clocks, and promises the other shards a look at the mailbox.
    #[inline]
    pub fn begin_turn(&mut self) {
        if self.awake {
            self.now = wall_time();
        } else {
            self.wake_up();
            self.schedule_turn();
        }
    }

    /// The same from the turn itself, which need not be scheduled.
    pub(crate) fn wake_up(&mut self) {
        self.now = wall_time();
        self.awake = true;
        thread_group::woke();
        self.stats.sleeps += 1;
        self.instant = Instant::now();
        self.mailbox.wake_up();
        self.cron_waker.wake();
    }

    /// Whether it is this shard that does for its thread what concerns that one.
    pub(crate) fn speaks_for_thread(&self) -> bool {
        self.id == self.first_of_thread
    }

    /// Bytes in use by its thread; none where another shard tells that.
    pub(crate) fn used_by_thread(&self) -> i64 {
        match self.speaks_for_thread() {
            true => self.process.memory.used_here(),
            false => 0,
        }
    }

    /// Lets the turn task run after the tasks that are ready now.
    pub fn schedule_turn(&self) {
        self.turn_waker.wake();
    }

    /// Runs a data command on this shard's databases and writes its reply, unless it wants to wait: then `effects.wait` says so, and the
    /// caller takes that. Returns false where it failed.
    #[inline]
    pub fn execute(&mut self, facts: Facts, args: &Args<'_>, reply: &mut Reply<'_>) -> bool {
        match self.attempt(facts, args, reply) {
            Ok(()) => true,
            Err(error) => {
                self.stats.failed(facts.command.index(), &error);
                false
            }
        }
    }

    /// The same, where a failure may count as none. A command that wants to wait has not been called yet, as far as statistics go.
    #[inline]
    pub(crate) fn attempt(
        &mut self,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let began = self.begin_timing(facts.command);
        let index = facts.command.index();
        let start = reply.written();
        let result = self.perform(facts, args, reply);
        self.timing.in_row &= reply.written() - start <= SHORT_BYTES_MAX;
        if self.effects.wait.is_none() {
            self.stats.calls[index] += 1;
            self.account(facts.command, facts.caller, args, began);
        }
        result.inspect_err(|error| {
            reply.truncate(start);
            error.write(reply);
        })
    }

    /// The same without its time, its statistics and its error.
    #[inline]
    pub(crate) fn perform(
        &mut self,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Outcome {
        debug_assert!(
            self.has_at_home(facts, args),
            "a command on a key that is locked by somebody else"
        );
        let Handler::Keyed(run) = HANDLERS[facts.command.index()] else {
            unreachable!("only data commands are sent to data");
        };
        let heeds_changes = self.effects.journal.is_on() || self.databases.is_cut();
        let before = match heeds_changes {
            true => self.before_change(facts, args),
            false => Before::default(),
        };
        let mut context = Context {
            command: facts.command,
            databases: &mut self.databases,
            selected: facts.db,
            now: self.now,
            config: &self.config,
            access: self.access,
            caller: facts.caller,
            effects: &mut self.effects,
            random: &mut self.random,
        };
        let result = run(&mut context, args, reply);
        if heeds_changes {
            self.after_change(facts, args, before);
        }
        if facts.caller.tracks {
            self.remember_reads(facts, args);
        }
        self.free_discarded();
        self.publish_moved();
        result
    }

    /// A snapshot or the log wants to know of what may be about to change.
    #[cold]
    fn before_change(&mut self, facts: Facts, args: &Args<'_>) -> Before {
        if self.databases.is_cut() && facts.command.command().flags.contains(Flags::WRITE) {
            for TransactionKey { db, key } in self.keys_of(facts, args) {
                self.databases.get_mut(db).preserve(&key);
            }
        }
        self.effects.journal.begin_command();
        Before {
            dirtied: self.effects.dirty,
            changes: self.effects.away.as_ref().map_or(0, Vec::len),
        }
    }

    /// A client that tracks what it reads hears of the next change to the keys of a command that reads.
    #[cold]
    fn remember_reads(&mut self, facts: Facts, args: &Args<'_>) {
        if !facts.command.command().flags.contains(Flags::READONLY) {
            return;
        }
        for key in self.keys_of(facts, args) {
            self.effects.read(key.db, &key.key, &facts.caller);
        }
    }

    /// What changed something is said in the log: not only what is there to write (PFCOUNT keeps what it has counted).
    fn after_change(&mut self, facts: Facts, args: &Args<'_>, before: Before) {
        let effects = &mut self.effects;
        if !effects.journal.is_on() || effects.dirty == before.dirtied {
            return;
        }
        let Some(changes) = &effects.away else {
            return effects.journal.command(facts.db, self.now, args);
        };
        let named = |change: &Change| TransactionKey {
            db: change.db,
            key: change.key.clone(),
        };
        let changed: Vec<_> = changes[before.changes..].iter().map(named).collect();
        let keys = self.keys_of(facts, args);
        // What groups have pending changes without an event.
        let quietly = changed.is_empty() || facts.command.command().name == "xreadgroup";
        let changed = if quietly { keys.clone() } else { changed };
        let (slots, now) = (self.slots, self.now);
        let journal = &mut self.effects.journal;
        journal.command_away(facts.db, now, slots, args, keys, changed);
    }

    /// The same where nothing may wait (inside EXEC): what would is answered in vain.
    pub fn execute_at_once(&mut self, facts: Facts, args: &Args<'_>, reply: &mut Reply<'_>) {
        self.execute(facts, args, reply);
        if let Some(wait) = self.effects.wait.take() {
            self.count_in_vain(facts.command);
            wait.null.write(reply);
        }
    }

    /// A command that would wait was answered without what it would wait for.
    pub(crate) fn count_in_vain(&mut self, command: CommandId) {
        self.stats.calls[command.index()] += 1;
        self.interrupt_timing();
        self.count_time(command, 1, 0);
    }

    /// Hands big deleted values to the thread that frees them.
    #[inline]
    pub(crate) fn free_discarded(&mut self) {
        if !self.effects.discarded.is_empty() {
            self.process.lazyfree.free(&mut self.effects.discarded);
        }
    }

    /// Sends a message to any shard, this one included. It leaves with the turn, which it begins where nobody has: a connection that
    /// ends, say, may be all that goes on here.
    pub fn send(&mut self, to: ShardId, message: Message) {
        self.interrupt_timing();
        if !self.awake {
            self.begin_turn();
        }
        if to == self.id {
            self.own.push_back(message);
            self.schedule_turn();
            return;
        }
        let outbox = &mut self.outboxes[to.index()];
        if let Some(batch) = outbox.open.take() {
            outbox.sealed.push_back(Message::Requests(batch));
        }
        outbox.sealed.push_back(message);
    }

    /// Does something on every shard, this one included.
    pub fn tell_all(&mut self, visit: fn(&mut Shard)) {
        for index in 0..self.slots.shards() {
            self.send(ShardId::new(index), Message::Visit(Box::new(visit)));
        }
    }

    /// Does something on all other shards.
    pub fn tell_others(&mut self, visit: impl FnOnce(&mut Shard) + Clone + Send + 'static) {
        for other in (0..self.slots.shards()).map(ShardId::new) {
            if other != self.id {
                self.send(other, Message::Visit(Box::new(visit.clone())));
            }
        }
    }

    /// Does something as this turn's next thing, when no connection is in use.
    pub fn post(&mut self, work: impl FnOnce(&mut Shard) + Send + 'static) {
        self.send(self.id, Message::Visit(Box::new(work)));
    }

    /// Adds a command to this turn's batch for its owner.
    #[inline]
    pub fn forward(&mut self, owner: ShardId, to: ReplyTo, facts: Facts, args: &Args<'_>) {
        debug_assert!(self.awake, "input is run within a turn");
        self.stats.forwarded += 1;
        self.interrupt_timing();
        let outbox = &mut self.outboxes[owner.index()];
        let batch = outbox
            .open
            .get_or_insert_with(|| self.spare_batches.pop().unwrap_or_default());
        batch.push(to, facts, args);
        if batch.is_full()
            && let Some(batch) = outbox.open.take()
        {
            outbox.sealed.push_back(Message::Requests(batch));
        }
    }

    /// Hands all that is ready to the other shards and wakes those that sleep. Returns whether a full ring kept something back.
    pub(crate) fn flush(&mut self) -> bool {
        if self.reply_fence.effects_sent {
            self.flush_effects();
        }
        let mut kept_back = false;
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            if let Some(batch) = outbox.open.take() {
                self.stats.batches += 1;
                self.stats.batched += batch.count() as u64;
                outbox.sealed.push_back(Message::Requests(batch));
            }
            outbox.send(ShardId::new(index), &mut self.outlets);
            kept_back |= !outbox.sealed.is_empty();
        }
        // Only now: a shard that is rung may take this one's core, and messages of one turn should be there together.
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            if std::mem::take(&mut outbox.rings) && self.outlets.ring(ShardId::new(index)) {
                self.stats.wakes += 1;
            }
        }
        kept_back
    }

    /// Messages of others that wait for this shard, and its own that wait for room elsewhere.
    pub(crate) fn messages_waiting(&self) -> (usize, usize) {
        let kept_back = self.outboxes.iter().map(|outbox| outbox.sealed.len()).sum();
        (self.mailbox.waiting(), kept_back)
    }

    pub(crate) fn announce_stuck(&self) {
        self.outlets.stuck(self.id);
    }

    pub(crate) fn relieve(&self, from: ShardId) {
        self.outlets.relieve(from);
    }

    /// Keeps an emptied batch for the next turn.
    pub(crate) fn recycle(&mut self, batch: Box<Batch>) {
        if self.spare_batches.len() < SPARE_BATCHES_MAX && batch.worth_keeping() {
            self.spare_batches.push(batch);
        }
    }

    /// The connection with this token, if it is still the same one.
    #[inline]
    pub fn client(&self, token: ClientToken) -> Option<&Rc<RefCell<Client>>> {
        self.clients
            .get(token.index as usize)
            .filter(|known| known.token == token)
            .map(|known| &known.client)
    }

    /// The RESP version of a connection of this shard.
    pub fn version_of(&self, token: ClientToken) -> Version {
        self.client(token)
            .map(|client| client.borrow().session.version)
            .unwrap_or_default()
    }

    /// Registers a connection that `make` builds around its token.
    pub fn register(
        &mut self,
        make: impl FnOnce(ClientToken, u64) -> Client,
    ) -> Rc<RefCell<Client>> {
        let id = self.process.next_client_id();
        let entry = self.clients.vacant_entry();
        // Ids are never reused, so their low half tells one tenant of a place from the next.
        let token = ClientToken {
            index: entry.key() as u32,
            generation: id as u32,
        };
        let mut client = make(token, id);
        client.home = self.id;
        let client = Rc::new(RefCell::new(client));
        entry.insert(Registered {
            token,
            client: client.clone(),
        });
        client
    }

    /// A connection has closed: it is forgotten, and replies still under way to it are dropped when they come. One whose EXEC is under way
    /// stays known until that is over, since all of it happens or nothing.
    pub fn leave_by(&mut self, token: ClientToken) {
        self.process.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client(token).cloned() {
            let client = &mut *client.borrow_mut();
            self.unweigh(client);
            match client.exec {
                ExecState::None => self.forget(client),
                ExecState::UnderWay | ExecState::LastWish => client.exec = ExecState::LastWish,
            }
        }
    }

    pub(crate) fn forget(&mut self, client: &mut Client) {
        self.clients.remove(client.token.index as usize);
        self.discard_queue(client);
        self.drop_subscriptions(client);
        self.untrack(client);
        self.resume_everywhere(client, true);
        if let Some(at) = client.blocked.take() {
            self.end_wait(client.token, at, End::Gone, Haste::AtOnce, nobody_asks());
        }
        if self.stopping {
            self.wake_main();
        }
    }

    /// Brings the reply of a command that was not answered in its turn to its connection, wherever that is; the connection may go on.
    pub fn complete(&mut self, origin: ShardId, to: ReplyTo, reply: &[u8]) {
        if origin != self.id {
            self.send_gated(
                origin,
                Message::Late(Box::new(Late {
                    to,
                    reply: reply.to_vec(),
                    holds_back: false,
                })),
            );
        } else if let Some(client) = self.client(to.client).cloned() {
            // A connection that is just now running its input has this reply among those it waits for: fold it when it is done.
            match client.try_borrow_mut() {
                Ok(mut client) => {
                    // Or it is the late reply of a command before the one that stalls.
                    if client.stalled == Some(to.seq) {
                        if let Some(suspended) = client.suspended.take() {
                            return self.resume_exec(suspended, reply);
                        }
                        client.stalled = None;
                        client.blocked = None;
                        // It was not idle while it waited.
                        client.touch(self.instant);
                    }
                    client.fold(to.seq, reply);
                    self.gate_client(&mut client);
                    self.look_at_room(&mut client);
                }
                Err(_) => self.send(
                    self.id,
                    Message::Late(Box::new(Late {
                        to,
                        reply: reply.to_vec(),
                        holds_back: false,
                    })),
                ),
            }
        }
    }
}

pub(crate) fn wall_time() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
