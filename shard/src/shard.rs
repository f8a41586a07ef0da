//! A shard: everything one thread owns. Its methods live with what they are about: `dispatch`,
//! `transaction`, `gather`, `turn`, `cron`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use config::Config;
use engine::batch::Batch;
use engine::blocking::ending::{CancelMode, End};
use engine::engine::Engine;
use engine::header::{ClientToken, Header, ReplyTo};
use engine::slot::ShardId;
use fastrand::Rng;
use protocol::args::Args;
use protocol::reply::Version;
use slab::Slab;
use storage::{Databases, UnixMillis};

use crate::aof::Log;
use crate::blocking::acks::AckWaits;
use crate::blocking::nobody_asks;
use crate::client::Client;
use crate::connections::{Connections, Registered};
use crate::cron::Clock;
use crate::executor::thread_group;
use crate::listening::Listening;
use crate::mailbox::links::Links;
use crate::mailbox::message::Message;
use crate::pause::Pausing;
use crate::process::Process;
use crate::pubsub::Hearers;
use crate::pubsub::publish::Publishing;
use crate::snapshot::walk::Walking;
use crate::stop::Stopping;
use crate::tasks::Tasks;
use crate::timing::Measured;
use crate::tls::Tls;
use crate::transaction::exec::ExecState;
use crate::transaction::gather::Gather;
use crate::turn::Turns;
use crate::turn::idle_policy::IdlePolicy;

/// A shard: its engine, and how that reaches the world.
pub struct Shard {
    /// Its data, and all that decides what happens to it.
    pub engine: Engine,
    /// What the engine will say when it is to be done.
    pub(crate) tasks: Tasks,
    /// What all shards share.
    pub process: Arc<Process>,
    /// Its clients.
    pub connections: Connections,
    /// What asks several shards and is answered from all their parts.
    pub gathers: Slab<Gather>,
    /// Those of its clients that hear of what others do.
    pub hearers: Hearers,
    pub(crate) publishing: Publishing,
    /// Commands that wait because clients are paused.
    pub pausing: Pausing,
    /// Commands of this shard's connections that wait for their writes to be safe.
    pub acks: AckWaits,
    /// The append-only log on its way to disk.
    pub log: Log,
    /// Its part of a snapshot under way.
    pub(crate) walking: Walking,
    pub clock: Clock,
    /// How far its end has come.
    pub stop: Stopping,
    pub(crate) listening: Listening,
    pub(crate) tls: Tls,
    /// The ways to other shards, and to itself.
    pub(crate) links: Links,
    pub(crate) turns: Turns,
    /// How long things took here.
    pub measured: Measured,
}

impl Shard {
    /// A shard with empty databases.
    pub(crate) fn new(
        id: ShardId,
        config: Arc<Config>,
        process: Arc<Process>,
        links: Links,
    ) -> Self {
        let slots = process.slots;
        let mut tls = Tls::default();
        tls.adopt(&process.tls);
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
            wall_micros,
            first_of_thread: process.thread_groups.first_of(id),
            started_unix_ms: process.started_unix_ms,
        });
        Self {
            engine,
            tasks: Tasks::default(),
            connections: Connections::of(process.access.users()),
            gathers: Slab::new(),
            hearers: Hearers::default(),
            publishing: Publishing::new(slots.shards()),
            pausing: Pausing::default(),
            acks: AckWaits::default(),
            log: Log::default(),
            walking: Walking::default(),
            clock: Clock::default(),
            stop: Stopping::default(),
            listening: Listening::default(),
            tls,
            links,
            turns: Turns::new(idle_policy),
            measured: Measured::default(),
            process,
        }
    }

    /// Called by whatever wakes this shard before it does its work: reads the clocks, and promises
    /// the other shards a look at the mailbox.
    #[inline]
    pub fn begin_turn(&mut self) {
        if self.turns.is_awake {
            self.engine.now = wall_time();
        } else {
            self.wake_up();
            self.schedule_turn();
        }
    }

    /// Begins a turn from the turn itself, which need not be scheduled.
    pub(crate) fn wake_up(&mut self) {
        self.engine.now = wall_time();
        self.turns.is_awake = true;
        thread_group::woke();
        self.engine.stats.sleeps += 1;
        self.clock.instant = Instant::now();
        self.links.incoming.promise_look();
        self.clock.waker.wake();
    }

    /// Whether it is this shard that does for its thread what concerns that one.
    pub(crate) fn speaks_for_thread(&self) -> bool {
        self.engine.id == self.process.thread_groups.first_of(self.engine.id)
    }

    /// Bytes in use by its thread; none where another shard tells that.
    pub(crate) fn used_by_thread(&self) -> i64 {
        if self.speaks_for_thread() {
            self.process.memory.used_here()
        } else {
            0
        }
    }

    /// Lets the turn task run after the tasks that are ready now.
    pub fn schedule_turn(&self) {
        self.links.incoming.call_receiver();
    }

    /// Sends a message to any shard, this one included. It leaves with the turn, which it begins
    /// where nobody has: a connection that ends, say, may be all that goes on here.
    pub fn send(&mut self, to: ShardId, message: Message) {
        self.engine.interrupt_timing();
        if !self.turns.is_awake {
            self.begin_turn();
        }
        if to == self.engine.id {
            self.links.own.push_back(message);
            self.schedule_turn();
            return;
        }
        self.links.send(to, message);
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
        debug_assert!(self.turns.is_awake, "input is run within a turn");
        self.engine.stats.forwarded += 1;
        self.engine.interrupt_timing();
        self.links.request(owner, to, header, args);
    }

    /// Hands all that is ready to the other shards and wakes those that sleep. Returns whether a
    /// full ring kept something back.
    pub(crate) fn flush(&mut self) -> bool {
        if self.turns.reply_fence.effects_sent {
            self.flush_effects();
        }
        let flushed = self.links.flush();
        self.engine.stats.batches += flushed.batches;
        self.engine.stats.batched += flushed.batched;
        self.engine.stats.wakes += flushed.wakes;
        flushed.kept_back
    }

    /// Messages of others that wait for this shard, and its own that wait for room elsewhere.
    pub(crate) fn messages_waiting(&self) -> (usize, usize) {
        (self.links.incoming.waiting(), self.links.kept_back())
    }

    /// Keeps an emptied batch for the next turn.
    pub(crate) fn recycle(&mut self, batch: Box<Batch>) {
        self.links.recycle(batch);
    }

    /// The connection with this token, if it is still the same one.
    #[inline]
    pub fn client(&self, token: ClientToken) -> Option<&Rc<RefCell<Client>>> {
        self.connections
            .clients
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
        let entry = self.connections.clients.vacant_entry();
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

    /// A connection has closed: it is forgotten, and replies still under way to it are dropped when
    /// they come. One whose EXEC is under way stays known until that is over, since all of it
    /// happens or nothing.
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
        self.engine.restricted.set(client.token, None);
        self.connections.clients.remove(client.token.index as usize);
        self.discard_queue(client);
        self.drop_subscriptions(client);
        self.drop_replica(client);
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
        if self.stop.is_under_way {
            self.wake_main();
        }
    }
}

/// The time, to the microsecond.
fn wall_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn wall_time() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
