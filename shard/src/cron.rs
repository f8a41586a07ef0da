//! What a shard does by the clock, ten times a second: expiry, idle connections, and telling the
//! process how much memory it uses.
//!
//! The clock stops while there is nothing to do: a shard with no keys that expire, no idle limit
//! and no traffic sleeps until somebody comes.

mod report;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::client::Closing;
use crate::client::close_reason::CloseReason;
use crate::client::hold::CommandHold;
use crate::local_waker::{LocalWaker, woken};
use crate::shard::Shard;
use crate::timing::latency::Spike;

/// Between two ticks: Redis's `hz 10`.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between two looks at idle connections.
const TICKS_PER_CLIENT_LOOK: u64 = 10;

/// Ticks between two reports in the log, for who looks closer.
const TICKS_PER_REPORT: u64 = 50;

/// A connection that has sent nothing for this long gives its spare buffers back.
const IDLE_BUFFERS_KEPT: Duration = Duration::from_secs(2);

/// A shard with more memory in use than this does not look for some to give back when it falls
/// asleep: that would take it over a millisecond.
const LOOKED_OVER_BYTES_MAX: i64 = 512 << 20;

/// Ticks without a command after which every connection has been seen idle for that long, and
/// nothing is left to give back.
const QUIET_TICKS: u64 =
    2 * TICKS_PER_CLIENT_LOOK + IDLE_BUFFERS_KEPT.as_millis() as u64 / TICK.as_millis() as u64;

/// Runs the clock for as long as the executor runs.
pub async fn run(shard: Rc<RefCell<Shard>>) {
    let (mut ticks, mut quiet_ticks) = (0u64, 0);
    loop {
        let commands = shard.borrow().engine.stats.commands;
        monoio::time::sleep(TICK).await;
        ticks += 1;
        if shard.borrow().is_cron_paused() {
            continue;
        }
        // A shard that sleeps, or that is never idle, has had the time of its last wake-up until
        // now.
        shard.borrow_mut().clock.instant = Instant::now();
        while shard.borrow_mut().expire_step() {
            // Sleeping for no time lets the connections run first.
            monoio::time::sleep(Duration::ZERO).await;
        }
        {
            let mut shard = shard.borrow_mut();
            shard.engine.evict_soon();
            shard.settle();
        }
        let quiet = {
            let mut shard = shard.borrow_mut();
            shard.engine.publish_memory();
            shard.mark_rates();
            if shard.stop.is_under_way {
                // Whether the end has come is for the main future to see.
                shard.wake_main();
            }
            if ticks.is_multiple_of(TICKS_PER_CLIENT_LOOK) {
                shard.look_at_clients();
            }
            if ticks.is_multiple_of(TICKS_PER_REPORT) {
                shard.report();
            }
            shard.log_evictions();
            shard.look_at_log();
            shard.look_at_stop();
            shard.heed_log_size();
            if shard.engine.id.index() == 0 {
                shard.look_at_replicas();
            }
            let unsaved = shard.heed_save_points();
            quiet_ticks = if shard.engine.stats.commands == commands {
                quiet_ticks + 1
            } else {
                0
            };
            !unsaved
                && shard.has_nothing_to_watch()
                && (quiet_ticks >= QUIET_TICKS
                    || quiet_ticks > 0 && shard.connections.clients.is_empty())
        };
        if quiet {
            quiet_ticks = 0;
            shard.borrow_mut().give_memory_back();
            woken(&shard, |shard| &mut shard.clock.waker).await;
        }
    }
}

/// A shard's time, and who waits for it.
pub struct Clock {
    /// Monotonic time of this turn.
    pub instant: Instant,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
    /// DEBUG PAUSE-CRON: the clock does nothing.
    pub is_paused: bool,
    pub(crate) waker: LocalWaker,
    pub(crate) timer_waker: LocalWaker,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            instant: Instant::now(),
            active_expire: true,
            is_paused: false,
            waker: LocalWaker::default(),
            timer_waker: LocalWaker::default(),
        }
    }
}

impl Shard {
    /// Whether the clock is to do nothing. The end of the process needs it.
    fn is_cron_paused(&self) -> bool {
        self.clock.is_paused && !self.stop.is_under_way
    }

    /// Removes some keys whose time has come. True where more are due.
    fn expire_step(&mut self) -> bool {
        if !self.clock.active_expire || self.pausing.pause.is_some() {
            return false;
        }
        let began = Instant::now();
        self.engine.now = crate::shard::wall_time();
        let left = self.engine.expire_step();
        if self.engine.effects.has_news() {
            // Others are to hear of it: that is the turn's.
            self.begin_turn();
        }
        self.settle();
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.engine.stats.expiry_us = self.engine.stats.expiry_us.saturating_add(us);
        self.engine.stats.expiry_cut_short += u64::from(left.more_keys);
        self.note_spike(Spike::ExpireCycle, us / 1_000);
        left.more_keys || left.more_fields
    }

    /// What connections gave up when they came to rest leaves the process, too: mimalloc waits for
    /// further calls, which a sleeping shard does not make.
    fn give_memory_back(&mut self) {
        if std::mem::take(&mut self.connections.rested)
            && self.process.memory.used_here() < LOOKED_OVER_BYTES_MAX
        {
            (self.process.allocator.give_back)();
        }
    }

    fn look_at_clients(&mut self) {
        let timeout = Duration::from_secs(u64::from(self.engine.config.timeout_s));
        let now = std::time::Instant::now();
        let (mut closed, mut over_soft) = (0, false);
        for (_, known) in &self.connections.clients {
            let Ok(mut client) = known.client.try_borrow_mut() else {
                continue;
            };
            closed += u64::from(self.limit_output(&mut client));
            over_soft |= client.over_soft_since.is_some() && client.closing.is_none();
            let idle = now.saturating_duration_since(client.active_at);
            if !timeout.is_zero()
                && idle >= timeout
                && !client
                    .command_hold
                    .intersects(CommandHold::UNFINISHED | CommandHold::PAUSED)
                && client.session.subscriptions.is_none()
                && !client.session.is_replica()
            {
                client.close_for(CloseReason::Idle, Closing::Now);
            } else if idle >= IDLE_BUFFERS_KEPT {
                self.connections.rested |= client.rest();
            }
        }
        self.engine.stats.output_limit_closes += closed;
        self.connections.some_over_soft = over_soft;
    }

    fn mark_rates(&mut self) {
        self.count_busy_time();
        self.measured.rates.mark(Instant::now(), &self.engine.stats);
    }

    fn has_nothing_to_watch(&self) -> bool {
        !self.stop.is_under_way
            && !self.process.stop.holds_writes()
            && !self.process.replication.backlog.is_on()
            && self.engine.databases.volatile_len() == 0
            && self.engine.effects.fields.is_empty()
            && !self.connections.some_over_soft
            && (self.connections.clients.is_empty() || self.engine.config.timeout_s == 0)
    }
}
