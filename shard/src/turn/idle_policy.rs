//! The idle policy: what a shard does when it has nothing left to do, and when output leaves.
//!
//! A shard that parks is woken for the next request: two task switches, and a system call for
//! whoever wakes it. A write is several microseconds of the kernel's time. So before it parks a
//! shard may do one of these, where that has been measured to cost less in all:
//!
//! - *yield*: let others that want its core run, clients mostly, and look once more ([`yielding`]);
//! - *nap*: sleep for a moment in which nobody has to wake it, so that much comes together: the
//!   input of many connections ([`read_coalescing`]), or messages that other shards publish
//!   ([`publish_coalescing`]);
//! - *spin*: take another turn, while other shards of its thread may answer what a connection's
//!   corked output waits for ([`crate::client::cork`]);
//! - *park*: wait in the kernel until somebody wakes it.
//!
//! And while it sends messages to many subscribers it looks for input in between
//! ([`fanout_pacing`]). All figures are in [`limits`].
//!
//! `idle-policy off` turns all of it off: the shard parks at once whenever it is idle, and no
//! output waits for other output. What order demands stays: the reply fence, and the wait for the
//! log.

mod fanout_pacing;
pub mod limits;
mod publish_coalescing;
mod read_coalescing;
mod yielding;

use std::mem;
use std::time::Instant;

use config::{Config, IdleMode};
use tracing::debug;

use self::fanout_pacing::FanoutPacing;
use self::limits::{NAP, NAP_SLACK_NS};
use self::publish_coalescing::PublishCoalescing;
use self::read_coalescing::ReadCoalescing;
use self::yielding::Yielding;
use crate::executor::thread_group;
use crate::shard::Shard;

/// What an idle shard does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It yields its core, and looks for messages again in the same turn.
    Yield,
    /// It naps, and looks for messages again in the same turn.
    Nap,
    /// It has another turn, and keeps corked output until then.
    Spin,
    /// Corked output leaves, and it has another turn.
    Uncork,
    /// It waits until somebody wakes it.
    Park,
}

/// What an idle shard sees of itself.
#[derive(Clone, Copy, Default, Debug)]
pub struct Look {
    /// Output of its connections is corked.
    pub has_corked: bool,
    /// Subscribers are in its fan-out queue.
    pub has_fanout: bool,
    /// All other shards of its thread are parked or spin.
    pub others_rest: bool,
    /// Nobody waits for its locks, transactions or blocked commands: others may have its core.
    pub has_time: bool,
    /// Tasks wait for its next turn, or output for its log: a nap would hold them up.
    pub is_awaited: bool,
    /// How often it has read.
    pub reads: u64,
}

/// The idle policy of one shard, and what it has learnt.
pub struct IdlePolicy {
    /// False with `idle-policy off`.
    is_on: bool,
    /// There are other shards.
    is_one_of_several: bool,
    yielding: Yielding,
    reads: ReadCoalescing,
    batches: PublishCoalescing,
    fanout: FanoutPacing,
    /// Turns that have begun.
    turns: u64,
    /// This turn has not yielded yet, and may.
    may_yield: bool,
    /// This turn has not napped yet.
    may_nap: bool,
    /// The last turn ended with [`Step::Uncork`].
    has_uncorked: bool,
    /// The last turn ended with [`Step::Spin`].
    spins: bool,
    /// The thread's timers are exact enough for naps.
    has_exact_timers: bool,
}

impl IdlePolicy {
    /// The policy of a shard that begins at `now`, one of `shards`.
    pub fn new(config: &Config, shards: usize, now: Instant) -> Self {
        Self {
            is_on: config.idle_policy == IdleMode::Default,
            is_one_of_several: shards > 1,
            yielding: Yielding::default(),
            reads: ReadCoalescing::new(now),
            batches: PublishCoalescing::default(),
            fanout: FanoutPacing::default(),
            turns: 0,
            may_yield: false,
            may_nap: false,
            has_uncorked: false,
            spins: false,
            has_exact_timers: false,
        }
    }

    /// The configuration has changed.
    pub fn adopt(&mut self, config: &Config) {
        self.is_on = config.idle_policy == IdleMode::Default;
    }

    /// Turns that have begun.
    #[inline]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether output may wait for what comes behind it.
    #[inline]
    pub fn corks(&self) -> bool {
        self.is_on
    }

    /// A connection speaks that did so last at `before`.
    #[inline]
    pub fn speaks(&mut self, before: Instant) {
        self.reads.speaks(before);
    }

    /// A publish batch has come from another shard.
    #[inline]
    pub fn batch_came(&mut self) {
        self.batches.batch_came();
    }

    /// Messages have come while subscribers were in the fan-out queue.
    #[inline]
    pub fn fanout_grows(&mut self) {
        self.fanout.grows();
    }

    /// A turn begins, of a shard with `clients` connections.
    #[inline]
    pub fn begin_turn(&mut self, clients: usize) {
        self.turns += 1;
        if mem::take(&mut self.spins) {
            thread_group::spun();
        }
        // One connection sends nothing while it waits for its reply.
        let has_uncorked = mem::take(&mut self.has_uncorked);
        self.may_yield = self.is_one_of_several && clients > 1 && !has_uncorked;
        self.may_nap = true;
    }

    /// What the shard does next, which has nothing to do at `now`.
    pub fn next_step(&mut self, look: Look, now: Instant) -> Step {
        if !self.is_on {
            return if look.has_corked {
                Step::Uncork
            } else {
                Step::Park
            };
        }
        if mem::take(&mut self.may_yield) && !look.has_fanout && look.has_time {
            Step::Yield
        } else if look.has_corked && look.others_rest {
            self.has_uncorked = true;
            Step::Uncork
        } else if look.has_corked {
            Step::Spin
        } else if mem::take(&mut self.may_nap) && self.calls_for_nap(look, now) {
            Step::Nap
        } else {
            Step::Park
        }
    }

    /// Whether clients, or other shards, are about to send more, and nobody waits whom a nap would
    /// hold up.
    fn calls_for_nap(&mut self, look: Look, now: Instant) -> bool {
        let nobody_waits = !look.has_fanout && !look.is_awaited;
        if self.is_one_of_several {
            // It takes what it says for done, so it is asked last.
            nobody_waits && look.has_time && self.batches.calls_for_nap()
        } else {
            // It counts with each question, so it is asked first.
            self.reads.calls_for_nap(look.reads, now) && nobody_waits
        }
    }

    /// Lets others run on this core, unless that has taken too long lately. Returns whether
    /// anybody ran.
    fn yield_core(&mut self, now: Instant) -> bool {
        self.yielding.yield_core(now)
    }

    /// Sleeps for a moment, whatever comes.
    fn nap(&mut self) {
        if !mem::replace(&mut self.has_exact_timers, true)
            && let Err(error) = rustix::thread::set_current_timer_slack(Some(NAP_SLACK_NS))
        {
            debug!(%error, "naps may take twice as long");
        }
        std::thread::sleep(NAP);
    }

    /// The shard has another turn only to see whether others answer.
    fn spin(&mut self) {
        self.spins = true;
        thread_group::spins();
    }

    /// Whether the shard is to yield before it sends to some of `waiting` subscribers.
    pub fn yields_to_publishers(&mut self, waiting: usize) -> bool {
        self.fanout.calls_for_yield(waiting) && self.is_on && self.is_one_of_several
    }

    /// To how many of `waiting` subscribers this turn sends, of a shard that has read `reads` times
    /// in all.
    pub fn fanout_sends(&mut self, reads: u64, waiting: usize) -> usize {
        if self.is_on {
            self.fanout.sends(reads, waiting)
        } else {
            waiting
        }
    }

    /// A turn has sent to subscribers; `is_over` says that none is left in the queue.
    pub fn fanout_has_sent(&mut self, is_over: bool) {
        self.fanout.has_sent(is_over);
    }
}

/// How a turn goes on whose shard was idle.
#[derive(PartialEq, Eq)]
pub(super) enum Idle {
    /// It looks for messages again.
    LooksAgain,
    /// It ends, and another one follows.
    Ends,
    /// Nothing is left to do: the shard may park.
    MayPark,
}

impl Shard {
    /// The shard has nothing to do: does what the policy says.
    pub(super) fn idle(&mut self) -> Idle {
        let look = Look {
            has_corked: !self.held.corked.is_empty(),
            has_fanout: !self.publishing.fanout.is_empty(),
            others_rest: thread_group::others_rest(),
            has_time: self.has_time(),
            is_awaited: !self.step_wakers.is_empty() || self.log_is_behind(),
            reads: self.engine.stats.reads,
        };
        match self.idle_policy.next_step(look, self.instant) {
            Step::Yield => {
                self.idle_policy.yield_core(self.instant);
                Idle::LooksAgain
            }
            Step::Nap => {
                self.idle_policy.nap();
                Idle::LooksAgain
            }
            Step::Spin => {
                self.idle_policy.spin();
                Idle::Ends
            }
            Step::Uncork => {
                self.uncork_all();
                Idle::Ends
            }
            Step::Park => Idle::MayPark,
        }
    }

    /// Before it sends to some of `waiting` subscribers: lets a publisher run that may be waiting
    /// for this core. Returns whether anybody ran.
    pub(crate) fn yield_to_publishers(&mut self, waiting: usize) -> bool {
        self.idle_policy.yields_to_publishers(waiting)
            && self.has_time()
            && self.idle_policy.yield_core(self.instant)
    }

    /// Whether others may have this core. Where locks and blocked commands are passed on from shard
    /// to shard, a message that is left lying costs somebody a place in the order.
    fn has_time(&self) -> bool {
        thread_group::others_rest()
            && self.engine.owner.locks.is_empty()
            && self.engine.coordinator.is_idle()
            && self.engine.effects.waits.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::limits::{SERVED_MIN, SPEAKERS_PER_SERVED, WINDOW};
    use super::*;

    fn policy(mode: IdleMode, shards: usize, now: Instant) -> IdlePolicy {
        let config = Config {
            idle_policy: mode,
            ..Config::default()
        };
        IdlePolicy::new(&config, shards, now)
    }

    /// The steps of a turn with `clients` that sees always the same.
    fn steps(policy: &mut IdlePolicy, clients: usize, look: Look, now: Instant) -> Vec<Step> {
        policy.begin_turn(clients);
        let mut steps = vec![policy.next_step(look, now)];
        while let Some(Step::Yield | Step::Nap) = steps.last() {
            steps.push(policy.next_step(look, now));
        }
        steps
    }

    const FREE: Look = Look {
        has_corked: false,
        has_fanout: false,
        others_rest: true,
        has_time: true,
        is_awaited: false,
        reads: 0,
    };

    #[test]
    fn a_shard_of_several_yields_once_naps_once_and_parks() {
        let now = Instant::now();
        let mut policy = policy(IdleMode::Default, 2, now);
        let quiet = [Step::Yield, Step::Park];
        assert_eq!(steps(&mut policy, 2, FREE, now), quiet);
        policy.batch_came();
        let all = [Step::Yield, Step::Nap, Step::Park];
        assert_eq!(steps(&mut policy, 2, FREE, now), all);
        assert_eq!(steps(&mut policy, 1, FREE, now), [Step::Park]);
        let busy = Look {
            has_time: false,
            ..FREE
        };
        policy.batch_came();
        assert_eq!(steps(&mut policy, 2, busy, now), [Step::Park]);
    }

    #[test]
    fn corked_output_leaves_before_the_shard_naps_or_parks() {
        let now = Instant::now();
        let mut policy = policy(IdleMode::Default, 2, now);
        let corked = Look {
            has_corked: true,
            ..FREE
        };
        assert_eq!(
            steps(&mut policy, 2, corked, now),
            [Step::Yield, Step::Uncork]
        );
        assert_eq!(steps(&mut policy, 2, FREE, now), [Step::Park], "no yield");
        assert_eq!(steps(&mut policy, 2, FREE, now), [Step::Yield, Step::Park]);
        let spinning = Look {
            others_rest: false,
            has_time: false,
            ..corked
        };
        assert_eq!(steps(&mut policy, 2, spinning, now), [Step::Spin]);
    }

    /// What a shard that is alone does when many have spoken and it is idle.
    fn alone(mode: IdleMode, look: Look) -> Vec<Step> {
        let began = Instant::now();
        let mut policy = policy(mode, 1, began);
        for _ in 0..SPEAKERS_PER_SERVED * SERVED_MIN {
            policy.speaks(began);
        }
        let look = Look {
            reads: SERVED_MIN,
            ..look
        };
        steps(&mut policy, 50, look, began + WINDOW)
    }

    #[test]
    fn a_shard_that_is_alone_naps_where_nobody_waits() {
        assert_eq!(alone(IdleMode::Default, FREE), [Step::Nap, Step::Park]);
        let awaited = Look {
            is_awaited: true,
            ..FREE
        };
        assert_eq!(alone(IdleMode::Default, awaited), [Step::Park]);
        let sending = Look {
            has_fanout: true,
            ..FREE
        };
        assert_eq!(alone(IdleMode::Default, sending), [Step::Park]);
    }

    #[test]
    fn where_it_is_off_a_shard_parks_at_once_and_sends_to_all() {
        assert_eq!(alone(IdleMode::Off, FREE), [Step::Park]);
        let now = Instant::now();
        let mut policy = policy(IdleMode::Off, 2, now);
        policy.batch_came();
        assert_eq!(steps(&mut policy, 2, FREE, now), [Step::Park]);
        assert!(!policy.corks());
        let corked_before = Look {
            has_corked: true,
            others_rest: false,
            ..FREE
        };
        assert_eq!(steps(&mut policy, 2, corked_before, now), [Step::Uncork]);
        policy.fanout_has_sent(false);
        assert!(!policy.yields_to_publishers(1000));
        assert_eq!(policy.fanout_sends(0, 1000), 1000);
        let on = Config::default();
        policy.adopt(&on);
        assert!(policy.corks());
        assert_eq!(policy.fanout_sends(0, 1000), limits::SENDS_MIN);
    }
}
