//! One shard's data, and all that decides what happens to it.
//!
//! An engine knows no socket, file, clock or thread. Commands, messages of other engines and the
//! time come in as calls; what is to be done outside comes back as [`Action`]s. So a test can be the
//! outside, and order everything as it likes.

use std::sync::Arc;
use std::time::Instant;

use config::Config;
use fastrand::Rng;
use protocol::args::Args;
use protocol::command::Flags;
use protocol::reply::Reply;
use protocol::table::CommandId;
use storage::{AccessPolicy, Databases, UnixMillis};

use crate::action::Action;
use crate::admission::Admission;
use crate::backpressure::HeldBack;
use crate::blocking::Blocking;
use crate::context::Context;
use crate::effects::Effects;
use crate::environment::Environment;
use crate::error::{Error, Outcome};
use crate::eviction::Evicting;
use crate::handler::{HANDLERS, Handler};
use crate::header::{Facts, ReplyTo};
use crate::message::{LockRequest, Message, TransactionKey};
use crate::slot::{ShardId, SlotMap};
use crate::stats::Stats;
use crate::timing::{SHORT_BYTES_MAX, Timing};
use crate::trace::Trace;
use crate::tracking::invalidations::Invalidations;
use crate::transaction::coordinator::Coordinator;
use crate::transaction::owner::Owner;

/// How things stood before a command.
#[derive(Clone, Copy, Default)]
struct Before {
    dirtied: u64,
    effects: usize,
}

/// One shard.
pub struct Engine {
    pub id: ShardId,
    pub slots: SlotMap,
    pub databases: Databases,
    /// Wall time, as of the last event.
    pub now: UnixMillis,
    pub config: Arc<Config>,
    /// What the use of a key notes, from `maxmemory-policy`.
    pub access: AccessPolicy,
    pub environment: Arc<dyn Environment>,
    pub effects: Effects,
    pub random: Rng,
    pub stats: Stats,
    pub timing: Timing,
    pub admission: Admission,
    pub coordinator: Coordinator,
    pub owner: Owner,
    pub held_back: HeldBack,
    pub blocking: Blocking,
    pub evicting: Evicting,
    /// What is to be done outside.
    pub actions: Vec<Action>,
    /// What took effect, where a simulator wants to know.
    pub trace: Trace,
    /// Replies tell of what the log does not have yet: they wait for it.
    pub log: LogState,
}

/// What an engine knows of its log; the outside keeps it up to date.
#[derive(Clone, Copy, Default, Debug)]
pub struct LogState {
    /// Replies wait for the log.
    pub holds_replies: bool,
    /// Records are as safe as replies need them once the turn is over; but some may be those of
    /// transactions that are not durable yet.
    pub appends: bool,
    pub has_unsettled: bool,
    /// Otherwise: bytes of the journal that are as safe as that.
    pub frontier: u64,
    /// It cannot be written.
    pub fails: bool,
}

/// What an engine is made with.
pub struct Setup {
    pub id: ShardId,
    pub slots: SlotMap,
    pub config: Arc<Config>,
    pub environment: Arc<dyn Environment>,
    pub databases: Databases,
    pub now: UnixMillis,
    pub random: Rng,
    /// Monotonic time, for how long commands take.
    pub clock: fn() -> Instant,
    /// The first shard on the thread of this one, which has the account of its memory.
    pub first_of_thread: ShardId,
    /// Unix milliseconds at which the process began: part of the names of transactions in logs.
    pub started_unix_ms: u64,
}

impl Engine {
    /// An engine with nothing to do.
    pub fn new(setup: Setup) -> Self {
        let config = setup.config;
        let mut effects = Effects {
            invalidations: Invalidations::of(setup.id),
            ..Effects::default()
        };
        effects.notices.want(config.notify_keyspace_events);
        let tracked_max = config.tracked_keys_max(setup.id.index());
        effects.invalidations.table.limit(tracked_max);
        Self {
            id: setup.id,
            slots: setup.slots,
            databases: setup.databases,
            now: setup.now,
            access: config.access_policy(),
            environment: setup.environment,
            effects,
            random: setup.random,
            stats: Stats::default(),
            timing: Timing::new(&config, setup.clock),
            admission: Admission::default(),
            coordinator: Coordinator::new(setup.started_unix_ms),
            owner: Owner::default(),
            held_back: HeldBack::default(),
            blocking: Blocking::default(),
            evicting: Evicting::new(setup.first_of_thread),
            actions: Vec::new(),
            trace: Trace::default(),
            log: LogState::default(),
            config,
        }
    }

    /// A message of another engine, or of this one.
    pub fn handle(&mut self, from: ShardId, message: Message) {
        match message {
            Message::Resume(resume) => self.resume(from, &resume),
            Message::Lock(request) => {
                self.let_held_back_go(from, request.client);
                self.lock(request);
            }
            Message::Granted(grant) => self.granted(from, *grant),
            Message::Command(parked) => {
                self.let_held_back_go(from, parked.to.client);
                self.run_command(*parked);
            }
            Message::Exec(exec) => {
                self.let_held_back_go(from, exec.client());
                self.run_forwarded(exec);
            }
            Message::Claim(claim) => self.claimed(from, *claim),
            Message::Refused(request) => self.refused(from, *request),
            Message::Release(release) => self.release(*release),
            Message::Told(index) => self.told(index),
            Message::EndWait(end) => self.end_wait_for(from, &end),
            Message::WaitEnded(task, ended) => self.actions.push(Action::WaitEnded(task, ended)),
            Message::Leave(ticket) => {
                self.leave(*ticket);
                self.serve_ready();
            }
            Message::FenceFrom(home, index) => self.pass_on_fence(home, index),
            Message::FenceAt(home, index) => self.arrive_fence(home, index),
            Message::FencePassed(index) => self.pass_fence(index),
            Message::Unwatch(key) => self.effects.watches.unwatch(key.db, &key.key),
            Message::PayDebt => self.pay_debt(),
        }
    }

    /// Runs a data command on this shard's databases and writes its reply, unless it wants to wait:
    /// then `effects.wait` says so, and the caller takes that. Returns false where it failed.
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

    /// Runs a data command whose failure may count as none. One that wants to wait has not been
    /// called yet, as far as statistics go.
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
            self.trace.note(facts);
            self.stats.calls[index] += 1;
            self.account(facts.command, facts.caller, args, began);
        }
        result.inspect_err(|error| {
            reply.truncate(start);
            error.write(reply);
        })
    }

    /// Runs a data command without its time, its statistics and its error.
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
        let before = if heeds_changes {
            self.before_change(facts, args)
        } else {
            Before::default()
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
        if facts.caller.tracks {
            self.remember_reads(facts, args);
        }
        if !self.effects.is_away {
            self.effects.hand_out();
        }
        if heeds_changes {
            self.after_change(facts, args, before);
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
            effects: self.effects.list.len(),
        }
    }

    /// A client that tracks what it reads hears of the next change to the keys of a command that
    /// reads.
    #[cold]
    fn remember_reads(&mut self, facts: Facts, args: &Args<'_>) {
        if !facts.command.command().flags.contains(Flags::READONLY) {
            return;
        }
        for key in self.keys_of(facts, args) {
            self.effects.read(key.db, &key.key, &facts.caller);
        }
    }

    /// What changed something is said in the log: not only what is there to write (PFCOUNT keeps
    /// what it has counted).
    fn after_change(&mut self, facts: Facts, args: &Args<'_>, before: Before) {
        if !self.effects.journal.is_on() {
            return;
        }
        let changed_nothing = self.effects.dirty == before.dirtied;
        if self.effects.is_away {
            let keys = self.keys_of(facts, args);
            let (now, slots) = (self.now, self.slots);
            let Effects { journal, list, .. } = &mut self.effects;
            let effects = (&*list, before.effects);
            return journal.command_away(facts, now, slots, args, keys, effects, changed_nothing);
        }
        if !changed_nothing {
            self.effects.journal.command(facts.db, self.now, args);
        }
    }

    /// Runs a data command where nothing may wait (inside EXEC): what would is answered in vain.
    pub fn execute_at_once(&mut self, facts: Facts, args: &Args<'_>, reply: &mut Reply<'_>) {
        self.execute(facts, args, reply);
        if let Some(wait) = self.effects.wait.take() {
            self.count_in_vain(facts.command);
            wait.null.write(reply);
        }
    }

    /// A command that would wait was answered without what it would wait for.
    pub fn count_in_vain(&mut self, command: CommandId) {
        self.stats.calls[command.index()] += 1;
        self.interrupt_timing();
        self.count_time(command, 1, 0);
    }

    /// Hands big deleted values to the thread that frees them.
    #[inline]
    pub fn free_discarded(&mut self) {
        if !self.effects.discarded.is_empty() {
            self.environment.free(&mut self.effects.discarded);
        }
    }

    /// Sends a message to any shard, this one included.
    pub(crate) fn send(&mut self, to: ShardId, message: Message) {
        self.interrupt_timing();
        self.actions.push(Action::Send(to, message));
    }

    /// Brings the reply of a command that was not answered in its turn to its connection, wherever
    /// that is; the connection may go on.
    pub(crate) fn complete(&mut self, origin: ShardId, to: ReplyTo, reply: Vec<u8>, wrote: u64) {
        self.actions.push(Action::Reply {
            origin,
            to,
            reply,
            holds_back: false,
            wrote,
        });
    }

    /// How much of the journal has what has run since that had told of `told`; 0 where that only
    /// read.
    pub fn wrote_since(&self, told: u64) -> u64 {
        let now = self.effects.journal.told();
        if now > told { now } else { 0 }
    }

    /// Whether answers that tell of what is here have to wait for the log when this turn is over.
    pub fn log_is_behind(&self) -> bool {
        if !self.log.holds_replies || self.admission.a_log_fails() {
            false
        } else if self.log.appends {
            self.log.has_unsettled
        } else {
            self.log.frontier < self.effects.journal.total()
        }
    }

    /// Whether all that has happened was handed to whoever must know.
    pub fn is_settled(&self) -> bool {
        self.effects.list.is_empty() && !self.effects.is_away
    }

    /// Requests that do not wait and have met a lock.
    pub fn tries(&self) -> &[Box<LockRequest>] {
        &self.owner.tries
    }
}
