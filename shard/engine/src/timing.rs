//! How long each command takes, for INFO, LATENCY and SLOWLOG.
//!
//! Every command is timed, as in Redis. A look at the clock and what follows from it cost some 30
//! ns, a twentieth of a GET in a pipeline. So the end of one command is the beginning of the next;
//! and where commands of the same kind follow one another in a pipeline that can only take long
//! when the machine does something else (one key, short arguments, a short reply), one look does
//! for a *row* of them, and each counts for its part. Where the slow log or the latency monitor
//! asks for times so short that it matters, each is looked at alone. Whatever else happens in
//! between (a command sent to another shard, a transaction) ends the row, and the next command
//! looks twice.

use std::time::Instant;

use config::Config;
use protocol::table::{COMMANDS, CommandId};

use crate::histogram::Histogram;

/// Commands of a row at most.
pub(crate) const ROW_LEN_MAX: u32 = 16;

/// Bytes of a command or a reply that count as short.
pub const SHORT_BYTES_MAX: usize = 4096;

/// The slow log and the latency monitor must not care for times shorter than this where commands
/// are timed in rows.
pub(crate) const ROWS_FROM_NS: u64 = 1_000_000;

/// Commands of one kind that ran one behind the other, whose time is not known yet.
pub(crate) struct Row {
    pub(crate) command: CommandId,
    pub(crate) len: u32,
    pub(crate) began: Instant,
}

/// What a shard measures.
pub struct Timing {
    /// Monotonic time.
    pub(crate) clock: fn() -> Instant,
    /// When the command before ended, if nothing has happened since.
    pub(crate) lap: Option<Instant>,
    pub(crate) row: Option<Row>,
    /// The command that runs is short, and another one follows at once: it may be one of a row.
    pub in_row: bool,
    /// Commands that take so long are looked at closer.
    pub(crate) noteworthy_ns: u64,
    pub(crate) tracks: bool,
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

/// What the rows say, by the command's place in the table: close together, since every command of a
/// pipeline is looked up.
pub(crate) static IS_BRIEF: [bool; COMMANDS.len()] = {
    let mut is_brief = [false; COMMANDS.len()];
    let mut at = 0;
    while at < COMMANDS.len() {
        is_brief[at] = COMMANDS[at].is_brief();
        at += 1;
    }
    is_brief
};

pub(crate) fn no_histograms() -> Vec<Option<Box<Histogram>>> {
    CommandId::all().map(|_| None).collect()
}

/// The shorter of what the slow log and the latency monitor care for.
pub(crate) fn noteworthy_ns(config: &Config) -> u64 {
    let slow = u64::try_from(config.slowlog_log_slower_than_us)
        .map_or(u64::MAX, |micros| micros.saturating_mul(1_000));
    let spike = match config.latency_monitor_threshold_ms {
        0 => u64::MAX,
        ms => ms.saturating_mul(1_000_000),
    };
    slow.min(spike)
}
