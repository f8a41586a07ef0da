//! How long commands about connections and the process take, and what becomes of what took long:
//! see [`engine::timing`].

pub mod latency;
pub mod rates;
pub mod slowlog;

use std::time::Instant;

use engine::error::Error;
use engine::header::Caller;
use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;
use protocol::table::CommandId;
use rustix::time::{ClockId, clock_gettime};

use crate::client::Client;
use crate::dispatch::handler::{Answer, SessionCommand};
use crate::log_limiter::LogLimits;
use crate::shard::Shard;
use crate::timing::latency::{Spike, Spikes};
use crate::timing::rates::Rates;
use crate::timing::slowlog::SlowLog;

/// Microseconds of CPU that the calling thread has taken. That is the time that it spends in its
/// event loop: it waits without a core.
fn thread_busy_us() -> u64 {
    let taken = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(taken.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(taken.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000) + nanos / 1_000
}

/// A command that is not over yet.
pub struct Unfinished {
    pub(crate) command: CommandId,
    caller: Caller,
    args: OwnedArgs,
    began: Instant,
}

/// How long things took on a shard.
#[derive(Default)]
pub struct Measured {
    /// CPU time of the thread when statistics began, in microseconds.
    pub(crate) busy_before_us: u64,
    /// The gathering that the running command has begun.
    pub(crate) gathering: Option<usize>,
    pub spikes: Spikes,
    pub rates: Rates,
    pub slow_log: SlowLog,
    /// What of all this the log has been told.
    pub(crate) log_limits: LogLimits,
}

impl Shard {
    /// Runs a session command and times it: one that asks all shards, until it has their answers.
    pub(crate) fn run_timed(
        &mut self,
        client: &mut Client,
        command: CommandId,
        run: SessionCommand,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<Answer, Error> {
        let caller = client.header(command).caller;
        let began = self.engine.begin_timing(command);
        self.measured.gathering = None;
        let result = run(self, client, args, reply);
        match self.measured.gathering.take() {
            Some(index) if result == Ok(Answer::Later) => {
                let args = OwnedArgs::from(args);
                let measured = Unfinished {
                    command,
                    caller,
                    args,
                    began,
                };
                self.measure_gathering(index, measured);
            }
            _ => {
                self.engine.stats.calls[command.index()] += 1;
                self.engine.account(command, caller, args, began);
            }
        }
        result
    }

    /// Brings the time that this shard's thread has worked up to date.
    pub(crate) fn count_busy_time(&mut self) {
        if self.speaks_for_thread() {
            let before = self.measured.busy_before_us;
            self.engine.stats.busy_us = thread_busy_us().saturating_sub(before);
        }
    }

    /// A session command has all its answers. Only now it counts: INFO does not show itself, and
    /// RESETSTAT is the first that counts again.
    pub(crate) fn account_measured(&mut self, measured: Unfinished) {
        let args = measured.args.borrow();
        self.engine.stats.calls[measured.command.index()] += 1;
        self.engine
            .account(measured.command, measured.caller, &args, measured.began);
        self.engine.interrupt_timing();
    }

    /// Something took `ms` milliseconds: the latency monitor notes it where that is long.
    pub(crate) fn note_spike(&mut self, spike: Spike, ms: u64) {
        let threshold_ms = self.engine.config.latency_monitor_threshold_ms;
        if threshold_ms > 0 && ms >= threshold_ms {
            let unix_s = crate::shard::wall_time().ms() / 1_000;
            self.measured.spikes.note(spike, unix_s, ms);
        }
    }
}
