//! One shard's data, and all that decides what happens to it.
//!
//! An engine knows no socket, file, clock or thread. Commands, messages of other engines and the
//! time come in as calls; what is to be done outside comes back as [`Action`]s. So a test can be
//! the outside, and order everything as it likes.

use std::sync::Arc;
use std::time::Instant;

use config::Config;
use fastrand::Rng;
use storage::{AccessPolicy, Databases, UnixMillis};

use crate::action::Action;
use crate::admission::Admission;
use crate::backpressure::HeldBack;
use crate::blocking::fenced::Blocking;
use crate::effects::Effects;
use crate::environment::Environment;
use crate::eviction::Evicting;
use crate::restricted::Restricted;
use crate::script::scripting::Scripting;
use crate::slot::{ShardId, SlotMap};
use crate::stats::Stats;
use crate::timing::Timing;
use crate::trace::Trace;
use crate::tracking::invalidations::Invalidations;
use crate::transaction::coordinator::Coordinator;
use crate::transaction::owner::Owner;

/// One shard.
pub struct Engine {
    pub id: ShardId,
    pub slots: SlotMap,
    pub databases: Databases,
    /// Wall time, as of the last event.
    pub now: UnixMillis,
    /// Wall time as it is: Unix microseconds.
    pub wall_micros: fn() -> u64,
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
    pub scripting: Scripting,
    pub restricted: Restricted,
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
    /// Wall time as it is, for scripts that ask: Unix microseconds.
    pub wall_micros: fn() -> u64,
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
            wall_micros: setup.wall_micros,
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
            scripting: Scripting::default(),
            restricted: Restricted::default(),
            actions: Vec::new(),
            trace: Trace::default(),
            log: LogState::default(),
            config,
        }
    }
}
