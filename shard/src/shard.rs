//! A shard: everything one thread owns. Its methods live with what they are about: `dispatch`, `transaction`, `gather`, `turn`, `cron`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use engine::batch::Batch;
use engine::blocking::ending::{CancelMode, End};
use engine::engine::Engine;
use engine::header::{ClientToken, Header, ReplyTo};
use engine::slot::ShardId;
use fastrand::Rng;
use protocol::args::Args;
use protocol::reply::Version;
use slab::Slab;
use storage::{Databases, Keyspace, UnixMillis};

use crate::aof::Log;
use crate::blocking::acks::AckWaits;
use crate::blocking::nobody_asks;
use crate::client::Client;
use crate::client::hold::HeldClients;
use crate::executor::thread_group;
use crate::listening::Listening;
use crate::local_waker::{LocalWaker, LocalWakers};
use crate::log_limiter::LogLimits;
use crate::mailbox::message::Message;
use crate::mailbox::outbox::Outbox;
use crate::mailbox::{Mailbox, Outlets};
use crate::memory::client_eviction::Held;
use crate::monitor::Monitors;
use crate::pause::{Draining, Pause};
use crate::process::Process;
use crate::pubsub::Subscribers;
use crate::pubsub::publish::Publishing;
use crate::tasks::Tasks;
use crate::timing::latency::Spikes;
use crate::timing::rates::Rates;
use crate::timing::slowlog::SlowLog;
use crate::tracking::Trackers;
use crate::transaction::exec::ExecState;
use crate::transaction::gather::Gather;
use crate::turn::idle_policy::IdlePolicy;
use crate::turn::reply_fence::ReplyFence;
use config::Config;

/// Emptied batches a shard keeps for its next turns.
const SPARE_BATCHES_MAX: usize = 32;

/// A connection in its shard's register.
pub struct Registered {
    pub token: ClientToken,
    pub client: Rc<RefCell<Client>>,
}

/// Everything one thread owns.
pub struct Shard {
    /// Its data, and all that decides what happens to it.
    pub engine: Engine,
    /// What the engine will say when it is to be done.
    pub(crate) tasks: Tasks,
    /// What the engine has said is being done.
    pub(crate) is_settling: bool,
    /// CPU time of the thread when statistics began, in microseconds.
    pub(crate) busy_before_us: u64,
    /// The gathering that the running command has begun.
    pub(crate) gathering: Option<usize>,
    /// The first shard on the same thread: see `thread_group`.
    pub(crate) first_of_thread: ShardId,
    /// Monotonic time of this turn.
    pub instant: Instant,
    /// What all shards share.
    pub process: Arc<Process>,
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
    /// Those whose commands or output wait for something of the shard.
    pub(crate) held: HeldClients,
    pub(crate) reply_fence: ReplyFence,
    /// Connections of this shard whose commands wait so on others.
    pub(crate) clients_held_back: usize,
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
    /// Commands of this shard's connections that wait for their writes to be safe.
    pub acks: AckWaits,
    /// The append-only log on its way to disk.
    pub log: Log,
    /// Emptied databases that a snapshot under way is still to write.
    pub(crate) orphans: Vec<Keyspace>,
    /// The number of the snapshot that it walks for, or did last.
    pub(crate) walks_for: u64,
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
        let idle_policy = IdlePolicy::new(&config, slots.shards(), Instant::now());
        let engine = Engine::new(engine::engine::Setup {
            id,
            slots,
            databases: Databases::new(config.databases, process.hasher.clone()),
            environment: process.clone(),
            config,
            now: wall_time(),
            random: Rng::new(),
            clock: Instant::now,
            first_of_thread: process.thread_groups.first_of(id),
            started_unix_ms: process.started_unix_ms,
        });
        Self {
            engine,
            tasks: Tasks::default(),
            is_settling: false,
            busy_before_us: 0,
            gathering: None,
            first_of_thread: process.thread_groups.first_of(id),
            instant: Instant::now(),
            spikes: Spikes::default(),
            rates: Rates::default(),
            slow_log: SlowLog::default(),
            log_limits: LogLimits::default(),
            clients: Slab::new(),
            clients_rested: false,
            some_over_soft: false,
            client_memory: Held::default(),
            held: HeldClients::default(),
            reply_fence: ReplyFence::default(),
            clients_held_back: 0,
            gathers: Slab::new(),
            subscribers: Subscribers::default(),
            publishing: Publishing::new(slots.shards()),
            monitors: Monitors::default(),
            trackers: Trackers::default(),
            pause: None,
            draining: Vec::new(),
            last_draining: 0,
            acks: AckWaits::default(),
            log: Log::default(),
            orphans: Vec::new(),
            walks_for: 0,
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
            idle_policy,
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
            self.engine.now = wall_time();
        } else {
            self.wake_up();
            self.schedule_turn();
        }
    }

    /// The same from the turn itself, which need not be scheduled.
    pub(crate) fn wake_up(&mut self) {
        self.engine.now = wall_time();
        self.awake = true;
        thread_group::woke();
        self.engine.stats.sleeps += 1;
        self.instant = Instant::now();
        self.mailbox.wake_up();
        self.cron_waker.wake();
    }

    /// Whether it is this shard that does for its thread what concerns that one.
    pub(crate) fn speaks_for_thread(&self) -> bool {
        self.engine.id == self.first_of_thread
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

    /// Sends a message to any shard, this one included. It leaves with the turn, which it begins where nobody has: a connection that
    /// ends, say, may be all that goes on here.
    pub fn send(&mut self, to: ShardId, message: Message) {
        self.engine.interrupt_timing();
        if !self.awake {
            self.begin_turn();
        }
        if to == self.engine.id {
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
        for index in 0..self.engine.slots.shards() {
            self.send(ShardId::new(index), Message::Visit(Box::new(visit)));
        }
    }

    /// Does something on all other shards.
    pub fn tell_others(&mut self, visit: impl FnOnce(&mut Shard) + Clone + Send + 'static) {
        for other in (0..self.engine.slots.shards()).map(ShardId::new) {
            if other != self.engine.id {
                self.send(other, Message::Visit(Box::new(visit.clone())));
            }
        }
    }

    /// Does something as this turn's next thing, when no connection is in use.
    pub fn post(&mut self, work: impl FnOnce(&mut Shard) + Send + 'static) {
        self.send(self.engine.id, Message::Visit(Box::new(work)));
    }

    /// Adds a command to this turn's batch for its owner.
    #[inline]
    pub fn forward(&mut self, owner: ShardId, to: ReplyTo, header: Header, args: &Args<'_>) {
        debug_assert!(self.awake, "input is run within a turn");
        self.engine.stats.forwarded += 1;
        self.engine.interrupt_timing();
        let outbox = &mut self.outboxes[owner.index()];
        let batch = outbox
            .open
            .get_or_insert_with(|| self.spare_batches.pop().unwrap_or_default());
        batch.push(to, header, args);
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
                self.engine.stats.batches += 1;
                self.engine.stats.batched += batch.count() as u64;
                outbox.sealed.push_back(Message::Requests(batch));
            }
            outbox.send(ShardId::new(index), &mut self.outlets);
            kept_back |= !outbox.sealed.is_empty();
        }
        // Only now: a shard that is rung may take this one's core, and messages of one turn should be there together.
        for (index, outbox) in self.outboxes.iter_mut().enumerate() {
            if std::mem::take(&mut outbox.rings) && self.outlets.ring(ShardId::new(index)) {
                self.engine.stats.wakes += 1;
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
        self.outlets.stuck(self.engine.id);
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
        client.home = self.engine.id;
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
                ExecState::UnderWay | ExecState::Orphaned => client.exec = ExecState::Orphaned,
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
            self.end_wait(
                client.token,
                at,
                End::Gone,
                CancelMode::AtOnce,
                nobody_asks(),
            );
        }
        self.settle();
        if self.stopping {
            self.wake_main();
        }
    }
}

pub(crate) fn wall_time() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
