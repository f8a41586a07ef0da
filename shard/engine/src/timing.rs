//! How long each command takes, for INFO, LATENCY and SLOWLOG.
//!
//! Every command is timed, as in Redis. A look at the clock and what follows from it cost some 30 ns,
//! a twentieth of a GET in a pipeline. So the end of one command is the beginning of the next; and
//! where commands of the same kind follow one another in a pipeline that can only take long when the
//! machine does something else (one key, short arguments, a short reply), one look does for a *row*
//! of them, and each counts for its part. Where the slow log or the latency monitor asks for times so
//! short that it matters, each is looked at alone. Whatever else happens in between (a command sent
//! to another shard, a transaction) ends the row, and the next command looks twice.

use std::time::Instant;

use config::Config;
use protocol::args::{Args, OwnedArgs};
use protocol::command::{Flags, KeyShape};
use protocol::table::CommandId;

use crate::action::Action;
use crate::engine::Engine;
use crate::header::Caller;
use crate::histogram::Histogram;

/// Commands of a row at most.
const ROW_LEN_MAX: u32 = 16;

/// Bytes of a command or a reply that count as short.
pub const SHORT_BYTES_MAX: usize = 4096;

/// The slow log and the latency monitor must not care for times shorter than this where commands
/// are timed in rows.
const ROWS_FROM_NS: u64 = 1_000_000;

/// Commands of one kind that ran one behind the other, whose time is not known yet.
struct Row {
    command: CommandId,
    len: u32,
    began: Instant,
}

/// What a shard measures.
pub struct Timing {
    /// Monotonic time.
    pub(crate) clock: fn() -> Instant,
    /// When the command before ended, if nothing has happened since.
    lap: Option<Instant>,
    row: Option<Row>,
    /// The command that runs is short, and another one follows at once: it may be one of a row.
    pub in_row: bool,
    /// By the command's place in the table: it touches one key, and of that a part that does not grow.
    is_brief: Box<[bool]>,
    /// Commands that take so long are looked at closer.
    noteworthy_ns: u64,
    tracks: bool,
    /// By the command's place in the table; made when it first runs.
    pub histograms: Vec<Option<Box<Histogram>>>,
}

impl Timing {
    /// Nothing measured yet.
    pub fn new(config: &Config, clock: fn() -> Instant) -> Self {
        Self {
            clock,
            lap: None,
            row: None,
            in_row: false,
            is_brief: CommandId::all().map(is_brief).collect(),
            noteworthy_ns: noteworthy_ns(config),
            tracks: config.latency_tracking,
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
    }
}

fn is_brief(id: CommandId) -> bool {
    let command = id.command();
    // A count (LPOP, SPOP) or many members show in the length of the reply or of the command; how much XADD trims shows nowhere.
    let tells_its_length = command.arity > 0 || command.shape == KeyShape::One;
    let is_fast = command.flags.contains(Flags::FAST) && tells_its_length;
    command.name == "set" || (is_fast && command.name != "xadd")
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

impl Engine {
    /// A command begins.
    #[inline]
    pub fn begin_timing(&mut self, command: CommandId) -> Instant {
        match &self.timing.row {
            Some(row) if row.command == command => return row.began,
            Some(_) => self.end_row(),
            None => {}
        }
        self.timing.lap.take().unwrap_or_else(self.timing.clock)
    }

    /// Forgets when the last command ended: something else happens now.
    #[inline]
    pub fn interrupt_timing(&mut self) {
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
        let now = (self.timing.clock)();
        self.timing.lap = Some(now);
        let since = now.saturating_duration_since(began);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// So many calls of a command took so long together.
    pub fn count_time(&mut self, command: CommandId, calls: u32, nanos: u64) {
        let index = command.index();
        self.stats.nanos[index] += nanos;
        if self.timing.tracks {
            let histogram = &mut self.timing.histograms[index];
            let each = nanos / u64::from(calls);
            histogram.get_or_insert_default().note(each, calls);
        }
    }

    /// A command that began at `start` is over.
    #[inline]
    pub fn account(&mut self, command: CommandId, caller: Caller, args: &Args<'_>, start: Instant) {
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
                && self.timing.is_brief[command.index()]
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
        self.actions.push(Action::Slow {
            command,
            caller,
            args: OwnedArgs::from(args),
            nanos,
        });
    }
}
