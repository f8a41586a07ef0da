//! How long each command takes, for INFO, LATENCY and SLOWLOG.
//!
//! Every command is timed, as in Redis. A look at the clock costs some 20 ns, so in a pipeline the end of one command is the beginning of the
//! next: one look a command. A SET in a pipeline of 16 takes some 590 ns of CPU with it and 580 without, too little for a clock of our own (reading the
//! processor's counter takes half as long, and is unsafe). Whatever else happens in between (a command sent to another shard, a transaction) forgets that, and the next
//! command looks twice.

use std::time::Instant;

use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::reply::Reply;
use protocol::table::CommandId;

use crate::client::Client;
use crate::config::Config;
use crate::context::Caller;
use crate::error::Error;
use crate::handler::{Answer, SessionCommand};
use crate::latency::{Histogram, Spike};
use crate::shard::Shard;

/// What a shard measures.
pub struct Timing {
    /// When the command before ended, if nothing has happened since.
    lap: Option<Instant>,
    /// Commands that take so long are looked at closer.
    noteworthy_ns: u64,
    tracks: bool,
    /// The gathering that the running command has begun.
    pub(crate) gathering: Option<usize>,
    /// By the command's place in the table; made when it first runs.
    pub histograms: Vec<Option<Box<Histogram>>>,
}

impl Timing {
    /// Nothing measured yet.
    pub fn new(config: &Config) -> Self {
        Self {
            lap: None,
            noteworthy_ns: noteworthy_ns(config),
            tracks: config.latency_tracking,
            gathering: None,
            histograms: no_histograms(),
        }
    }

    /// Goes by another configuration from here on.
    pub fn adopt(&mut self, config: &Config) {
        self.noteworthy_ns = noteworthy_ns(config);
        self.tracks = config.latency_tracking;
    }

    /// Forgets when the last command ended: something else has happened since.
    #[inline]
    pub fn interrupt(&mut self) {
        self.lap = None;
    }

    /// A command begins.
    #[inline]
    pub fn begin(&mut self) -> Instant {
        self.lap.take().unwrap_or_else(Instant::now)
    }

    /// Forgets all durations.
    pub fn reset(&mut self) {
        self.histograms = no_histograms();
    }
}

fn no_histograms() -> Vec<Option<Box<Histogram>>> {
    CommandId::all().map(|_| None).collect()
}

/// The shorter of what the slow log and the latency monitor care for.
fn noteworthy_ns(config: &Config) -> u64 {
    let slow = u64::try_from(config.slowlog_log_slower_than_us)
        .map_or(u64::MAX, |micros| micros.saturating_mul(1_000));
    let spike = match config.latency_monitor_threshold_ms {
        0 => u64::MAX,
        ms => ms.saturating_mul(1_000_000),
    };
    slow.min(spike)
}

/// A command that is not over yet.
pub struct Measured {
    command: CommandId,
    caller: Caller,
    args: OwnedArgs,
    began: Instant,
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
        let caller = client.facts(command).caller;
        let began = self.timing.begin();
        self.stats.calls[command.index()] += 1;
        self.timing.gathering = None;
        let result = run(self, client, args, reply);
        match self.timing.gathering.take() {
            Some(index) if result == Ok(Answer::Later) => {
                let args = OwnedArgs::from(args);
                let measured = Measured {
                    command,
                    caller,
                    args,
                    began,
                };
                self.measure_gathering(index, measured);
            }
            _ => self.account(command, caller, args, began),
        }
        result
    }

    pub(crate) fn account_measured(&mut self, measured: Measured) {
        let args = measured.args.borrow();
        self.account(measured.command, measured.caller, &args, measured.began);
        self.timing.interrupt();
    }

    /// A command that began at `start` is over.
    #[inline]
    pub(crate) fn account(
        &mut self,
        command: CommandId,
        caller: Caller,
        args: &Args<'_>,
        start: Instant,
    ) {
        let now = Instant::now();
        self.timing.lap = Some(now);
        let nanos =
            u64::try_from(now.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX);
        let index = command.index();
        self.stats.nanos[index] += nanos;
        if self.timing.tracks {
            let histogram = &mut self.timing.histograms[index];
            histogram.get_or_insert_default().note(nanos);
        }
        if nanos >= self.timing.noteworthy_ns {
            self.note_slowness(command, caller, args, nanos);
        }
    }

    #[cold]
    fn note_slowness(&mut self, command: CommandId, caller: Caller, args: &Args<'_>, nanos: u64) {
        let micros = nanos / 1_000;
        if u64::try_from(self.config.slowlog_log_slower_than_us).is_ok_and(|limit| micros >= limit)
        {
            self.log_slow(command, caller, args, micros);
        }
        let spike = match command.command().flags.contains(Flags::FAST) {
            true => Spike::FastCommand,
            false => Spike::Command,
        };
        self.note_spike(spike, nanos / 1_000_000);
    }

    /// Something took `ms` milliseconds: the latency monitor notes it where that is long.
    pub(crate) fn note_spike(&mut self, spike: Spike, ms: u64) {
        let threshold_ms = self.config.latency_monitor_threshold_ms;
        if threshold_ms > 0 && ms >= threshold_ms {
            let unix_s = crate::shard::wall_time().ms() / 1_000;
            self.spikes.note(spike, unix_s, ms);
        }
    }
}
