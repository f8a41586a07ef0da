//! How long each command takes, for INFO, LATENCY and SLOWLOG.
//!
//! Every command is timed, as in Redis. A look at the clock and what follows from it cost some 30 ns, which is a twentieth of a GET in a pipeline. So
//! the end of one command is the beginning of the next; and where commands of the same kind follow one another in a pipeline that can only take
//! long when the machine does something else (one key, short arguments, a short reply), one look does for a *row* of them, and each counts for its share.
//! Where the slow log or the latency monitor asks for times so short that it matters, each is looked at alone. Whatever else happens in between (a
//! command sent to another shard, a transaction) ends the row, and the next command looks twice.

pub mod latency;
pub mod rates;
pub mod slowlog;

use std::time::Instant;

use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::reply::Reply;
use protocol::table::{COMMANDS, CommandId};

use rustix::time::{ClockId, clock_gettime};

use crate::client::Client;
use crate::context::Caller;
use crate::dispatch::handler::{Answer, SessionCommand};
use crate::error::Error;
use crate::shard::Shard;
use crate::timing::latency::{Histogram, Spike};
use config::Config;

/// Commands of a row at most.
const ROW_LEN_MAX: u32 = 16;

/// Bytes of a command or a reply that count as short.
pub const SHORT_BYTES_MAX: usize = 4096;

/// The slow log and the latency monitor must not care for times shorter than this where commands are timed in rows.
const ROWS_FROM_NS: u64 = 1_000_000;

/// Commands of one kind that ran one behind the other, whose time is not known yet.
struct Row {
    command: CommandId,
    len: u32,
    began: Instant,
}

/// What the rows say, by the command's place in the table: close together, since every command of a
/// pipeline is looked up.
static IS_BRIEF: [bool; COMMANDS.len()] = {
    let mut is_brief = [false; COMMANDS.len()];
    let mut at = 0;
    while at < COMMANDS.len() {
        is_brief[at] = COMMANDS[at].is_brief();
        at += 1;
    }
    is_brief
};

/// What a shard measures.
pub struct Timing {
    /// When the command before ended, if nothing has happened since.
    lap: Option<Instant>,
    row: Option<Row>,
    /// The command that runs is short, and another one follows at once: it may be one of a row.
    pub(crate) in_row: bool,
    /// Commands that take so long are looked at closer.
    noteworthy_ns: u64,
    tracks: bool,
    /// CPU time of the thread when statistics began.
    busy_before_us: u64,
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
            row: None,
            in_row: false,
            noteworthy_ns: noteworthy_ns(config),
            tracks: config.latency_tracking,
            busy_before_us: 0,
            gathering: None,
            histograms: no_histograms(),
        }
    }

    /// Goes by another configuration from here on.
    pub fn adopt(&mut self, config: &Config) {
        self.noteworthy_ns = noteworthy_ns(config);
        self.tracks = config.latency_tracking;
    }

    /// Forgets all durations.
    pub fn reset(&mut self) {
        self.histograms = no_histograms();
        self.busy_before_us = thread_busy_us();
    }
}

/// Microseconds of CPU that the calling thread has taken. That is the time that it spends in its
/// event loop: it waits without a core.
fn thread_busy_us() -> u64 {
    let taken = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(taken.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(taken.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000) + nanos / 1_000
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
    pub(crate) command: CommandId,
    caller: Caller,
    args: OwnedArgs,
    began: Instant,
}

impl Shard {
    /// A command begins.
    #[inline]
    pub(crate) fn begin_timing(&mut self, command: CommandId) -> Instant {
        match &self.timing.row {
            Some(row) if row.command == command => return row.began,
            Some(_) => self.end_row(),
            None => {}
        }
        self.timing.lap.take().unwrap_or_else(Instant::now)
    }

    /// Forgets when the last command ended: something else happens now.
    #[inline]
    pub(crate) fn interrupt_timing(&mut self) {
        if self.timing.row.is_some() {
            self.end_row();
        }
        self.timing.lap = None;
    }

    /// The time of the row is known now.
    fn end_row(&mut self) {
        let Some(Row {
            command,
            len,
            began,
        }) = self.timing.row.take()
        else {
            return;
        };
        let nanos = self.look_at_clock(began);
        self.count_time(command, len, nanos);
        if nanos >= self.timing.noteworthy_ns {
            // Which of them it was is not known, nor its arguments.
            let name = OwnedArgs::from_parts([command.command().name.as_bytes()]);
            self.note_slowness(command, Caller::default(), &name.borrow(), nanos);
        }
    }

    /// Nanoseconds since `began`.
    fn look_at_clock(&mut self, began: Instant) -> u64 {
        let now = Instant::now();
        self.timing.lap = Some(now);
        let since = now.saturating_duration_since(began);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// So many calls of a command took so long together.
    pub(crate) fn count_time(&mut self, command: CommandId, calls: u32, nanos: u64) {
        let index = command.index();
        self.stats.nanos[index] += nanos;
        if self.timing.tracks {
            let histogram = &mut self.timing.histograms[index];
            let each = nanos / u64::from(calls);
            histogram.get_or_insert_default().note(each, calls);
        }
    }

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
        let began = self.begin_timing(command);
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
            _ => {
                self.stats.calls[command.index()] += 1;
                self.account(command, caller, args, began);
            }
        }
        result
    }

    /// Brings the time that this shard's thread has worked up to date.
    pub(crate) fn count_busy_time(&mut self) {
        if self.speaks_for_thread() {
            let before = self.timing.busy_before_us;
            self.stats.busy_us = thread_busy_us().saturating_sub(before);
        }
    }

    /// A session command has all its answers. Only now it counts: INFO does not show itself, and RESETSTAT is the first that counts again.
    pub(crate) fn account_measured(&mut self, measured: Measured) {
        let args = measured.args.borrow();
        self.stats.calls[measured.command.index()] += 1;
        self.account(measured.command, measured.caller, &args, measured.began);
        self.interrupt_timing();
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
        let mut calls = 1;
        match &mut self.timing.row {
            Some(row) if row.command == command => {
                row.len += 1;
                calls = row.len;
                if self.timing.in_row && calls < ROW_LEN_MAX {
                    return;
                }
                self.timing.row = None;
            }
            Some(_) => self.end_row(),
            None if self.timing.in_row
                && IS_BRIEF[command.index()]
                && self.timing.noteworthy_ns >= ROWS_FROM_NS =>
            {
                self.timing.row = Some(Row {
                    command,
                    len: 1,
                    began: start,
                });
                return;
            }
            None => {}
        }
        let nanos = self.look_at_clock(start);
        self.count_time(command, calls, nanos);
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
