//! How long commands take: see [`crate::timing`].

use std::time::Instant;

use protocol::args::{Args, OwnedArgs};
use protocol::table::CommandId;

use crate::action::Action;
use crate::engine::Engine;
use crate::header::Caller;
use crate::script::told::Told;
use crate::timing::{IS_BRIEF, ROW_LEN_MAX, ROWS_FROM_NS, Row};

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
        self.actions.push(Action::Tell(Told::Slow {
            command,
            caller,
            args: OwnedArgs::from(args),
            nanos,
        }));
    }
}
