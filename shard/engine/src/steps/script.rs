//! Scripts: how what EVAL, EVALSHA and FCALL run begins and ends. What that is: `script_programs`.
//!
//! A script is a transaction whose keys are known while it runs. Most show by their text that they
//! touch nothing but what they declare (`Outline::is_plain`), and run where their keys are, as any
//! command does. One that may touch more begins in place where its declared keys are, if that is
//! one shard, else as a transaction of its connection's. Whatever it does is held back until it is
//! over: effects are handed out, and logged, as those of one transaction (`Workspace`), so it can
//! be undone until then.
//!
//! When it names a key that is not there, or has to wait for anything, it stands still on its own
//! stack, and becomes a transaction that is held: see `script_locks`. `script_calls` is what
//! happens at each command.

use std::mem;
use std::time::Duration;

use lua::machine::{Answer, Call, Ending, Step};
use lua::script::ScriptFlags;
use protocol::args::Args;
use protocol::number::parse_int;
use protocol::reply::Reply;

use crate::action::Action;
use crate::engine::Engine;
use crate::error::Error;
use crate::eviction::Room;
use crate::header::Header;
use crate::journal::{Share, TransactionRecord, shares};
use crate::script::known::{Asks, Program};
use crate::script::run::{Next, Progress, Reach, RunState, ScriptRun};
use crate::script::scripting::Scouting;
use crate::script::told::Told;
use crate::script::undo::Undo;
use crate::steps::script_programs::{KEYS_AT, script_kind};
use crate::transaction::workspace::Workspace;

const MAY_WRITE: Error =
    Error::new("ERR Can not execute a script with write flag using *_ro command.");
const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL...";

/// A script that has run for so long lets others have a turn, once it is busy.
const SLICE: Duration = Duration::from_millis(5);

/// A script that has outlasted the call in which it began: [`Engine::suspend_script`] takes it on.
pub struct Unfinished {
    pub(crate) run: Box<ScriptRun>,
    pub(crate) progress: Progress,
}

impl Engine {
    /// Runs a script on this shard's own keys, as far as that goes: its declared keys are here, and
    /// free. Nothing comes back where it is answered.
    pub fn run_script(
        &mut self,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Unfinished> {
        let program = self.program_of(header, args);
        self.run_program(program, header, args, reply)
    }

    /// Runs what a command has turned out to run, as [`Self::run_script`] does.
    pub fn run_program(
        &mut self,
        program: Result<Program, Error>,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Unfinished> {
        let mut run = self.prepare_script(program, header, args, reply)?;
        let plain = run
            .state
            .program
            .as_ref()
            .is_some_and(|it| it.outline().is_plain);
        let is_alone = self.slots.shards() == 1 && self.owner.locks.is_empty();
        run.state.is_alone = is_alone;
        run.state.undo = (!plain && !is_alone).then(Undo::default);
        run.state.reach = Reach::Here;
        run.state.workspace.is_in_place = true;
        if run.state.undo.is_some() {
            run.state.held.extend(self.keys_of(header, args));
        }
        self.start_run(&mut run, args);
        match self.drive(&mut run) {
            Progress::Done => {
                self.end_in_place(run, args, reply);
                None
            }
            progress => Some(Unfinished { run, progress }),
        }
    }

    /// A run of what a command names, which has not begun. Nothing where that is refused, and
    /// answered.
    pub(crate) fn prepare_script(
        &mut self,
        program: Result<Program, Error>,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Box<ScriptRun>> {
        self.interrupt_timing();
        let index = header.command.index();
        let run = program.and_then(|program| {
            let is_short_of_memory = self.is_short_of_memory();
            if let Err(error) = self.admit_program(program.flags(), is_short_of_memory) {
                self.stats.rejected(Some(index), &error);
                error.write(reply);
                return Ok(None);
            }
            self.run_of(program, header, is_short_of_memory).map(Some)
        });
        run.unwrap_or_else(|error| {
            self.count_failed_script(header, args, &error);
            error.write(reply);
            None
        })
    }

    /// Counts a script that has failed before it began.
    pub fn count_failed_script(&mut self, header: Header, args: &Args<'_>, error: &Error) {
        let index = header.command.index();
        self.stats.calls[index] += 1;
        self.stats.failed(index, error);
        self.interrupt_timing();
        let began = (self.timing.clock)();
        self.account(header.command, header.caller, args, began);
    }

    fn is_short_of_memory(&mut self) -> bool {
        self.config.maxmemory > 0 && self.make_room() == Room::None
    }

    /// Refuses a program that says itself that it may write, or need memory, where that cannot be:
    /// as a command with such flags is refused.
    fn admit_program(&self, flags: ScriptFlags, is_short_of_memory: bool) -> Result<(), Error> {
        if flags.takes_memory() && is_short_of_memory {
            return Err(Error::OUT_OF_MEMORY);
        }
        if flags.declared && !flags.no_writes {
            self.admission.admit_writes()?;
        }
        Ok(())
    }

    /// A run of a program, where its flags allow it.
    fn run_of(
        &mut self,
        program: Program,
        header: Header,
        is_short_of_memory: bool,
    ) -> Result<Box<ScriptRun>, Error> {
        let flags = program.flags();
        let reads_only = script_kind(header).reads_only;
        if flags.declared && reads_only && !flags.no_writes {
            return Err(MAY_WRITE);
        }
        let mut run = self.idle_run();
        run.state.header = header;
        run.state.db = header.db;
        run.state.flags = flags;
        run.state.reads_only = reads_only || flags.no_writes;
        run.state.is_short_of_memory = is_short_of_memory && !flags.allow_oom;
        run.state.is_watched = self.environment.anybody_monitors();
        run.state.is_to_scout = match self.scripting.limits.scouting {
            Scouting::Learnt => program.asks().is_none_or(Asks::advise_scouting),
            fixed => fixed == Scouting::Always,
        };
        run.state.program = Some(program);
        run.state.has_scouted = false;
        run.state.attempts = 0;
        run.state.is_busy = false;
        self.reset_run(&mut run.state);
        Ok(run)
    }

    /// Lets a run begin, for the first time or again.
    pub(crate) fn reset_run(&mut self, run: &mut RunState) {
        run.now = self.now;
        run.now_micros = None;
        run.began = (self.timing.clock)();
        run.has_written = false;
        run.propagates = true;
        (run.dirtied, run.hits, run.misses) = (0, 0, 0);
        run.next = Next::Go;
        run.held.clear();
        run.called.clear();
        run.failures.clear();
        run.scouts = false;
        run.asks = 0;
        run.is_alone = false;
        run.db = run.header.db;
    }

    /// A run for the next script.
    fn idle_run(&mut self) -> Box<ScriptRun> {
        if let Some(run) = self.scripting.take_run() {
            return run;
        }
        let began = (self.timing.clock)();
        let state = RunState {
            workspace: Workspace::in_place(&self.databases),
            parked: None,
            program: None,
            header: Header::of_nobody(),
            flags: Default::default(),
            reads_only: false,
            is_watched: false,
            is_short_of_memory: false,
            db: Default::default(),
            now: self.now,
            now_micros: None,
            began,
            resumed: began,
            reach: Reach::Here,
            held: Default::default(),
            is_alone: false,
            is_to_scout: true,
            scouts: false,
            has_scouted: false,
            asks: 0,
            failures: Vec::new(),
            undo: None,
            has_written: false,
            dirtied: 0,
            hits: 0,
            misses: 0,
            called: Default::default(),
            told: Vec::new(),
            next: Next::Go,
            ending: None,
            encoded: Vec::new(),
            attempts: 0,
            is_busy: false,
            propagates: true,
        };
        Box::new(ScriptRun {
            machine: None,
            state,
        })
    }

    /// Begins a run, for a command with these arguments, on a machine of its own.
    pub(crate) fn start_run(&mut self, run: &mut ScriptRun, args: &Args<'_>) {
        let keys = parse_int(&args[2]).and_then(|number| usize::try_from(number).ok());
        let rest = args.tail(KEYS_AT);
        let keys = keys.unwrap_or_default();
        let Some(program) = &run.state.program else {
            unreachable!("a run that begins has a program");
        };
        let mut machine = self.scripting.take_machine();
        machine.begin(&Call {
            chunk: program.chunk(),
            keys: rest.head(keys),
            args: rest.tail(keys),
            version: run.state.header.version,
        });
        run.machine = Some(machine);
        run.state.next = Next::Go;
        run.state.ending = None;
    }

    /// Lets a script go on until it is over, or cannot for the moment.
    pub(crate) fn drive(&mut self, run: &mut ScriptRun) -> Progress {
        let outside = mem::replace(&mut self.now, run.state.now);
        if run.state.is_busy {
            run.state.resumed = (self.timing.clock)();
        }
        run.state.workspace.open(self);
        self.trace.pause(true);
        let dirty = self.effects.dirty;
        let (hits, misses) = (self.effects.keyspace_hits, self.effects.keyspace_misses);
        let said = self.actions.len();
        let mut progress = self.steps_of(run);
        if run.state.scouts && !matches!(progress, Progress::Everything) {
            progress = Progress::Scouted;
        }
        run.state.dirtied += self.effects.dirty - dirty;
        run.state.hits += self.effects.keyspace_hits - hits;
        run.state.misses += self.effects.keyspace_misses - misses;
        if run.state.undo.is_some() {
            self.keep_untold(said, &mut run.state.told);
        }
        self.trace.pause(false);
        if let (Progress::Done, Some(undo)) = (&progress, &mut run.state.undo) {
            undo.settle(&mut self.databases);
        }
        run.state.workspace.close(self);
        self.now = outside;
        progress
    }

    /// What may have to be undone is told at the end only, and once.
    fn keep_untold(&mut self, said: usize, told: &mut Vec<Told>) {
        if self.actions.len() == said {
            return;
        }
        for action in self.actions.split_off(said) {
            match action {
                Action::Tell(it) => told.push(it),
                other => self.actions.push(other),
            }
        }
    }

    fn steps_of(&mut self, run: &mut ScriptRun) -> Progress {
        loop {
            let step = match run.state.next {
                Next::Go => run.machine().resume(Answer::Go),
                Next::Reply => {
                    let ScriptRun { machine, state } = &mut *run;
                    let machine = machine.as_mut().expect("a script that runs");
                    machine.resume(Answer::Reply(&state.encoded))
                }
                Next::Allowed(may) => run.machine().resume(Answer::Allowed(may)),
                Next::Kill => run.machine().resume(Answer::Kill(KILLED)),
                Next::Again => Step::Command,
            };
            run.state.next = match step {
                Step::Command => match self.run_call(run) {
                    Ok(()) => Next::Reply,
                    Err(progress) => {
                        run.state.next = Next::Again;
                        return progress;
                    }
                },
                Step::MayRun => Next::Allowed(self.knows_command(&run.machine().command())),
                Step::Log(level, text) => {
                    if !run.state.scouts {
                        self.actions.push(Action::Tell(Told::Log(level, text)));
                    }
                    Next::Go
                }
                Step::Propagate { log, .. } => {
                    run.state.propagates = log;
                    Next::Go
                }
                Step::Tick => {
                    // Without its keys it may not come to an end.
                    if run.state.scouts || self.is_to_pause(&run.state) {
                        run.state.next = Next::Go;
                        return Progress::Pause;
                    }
                    Next::Go
                }
                Step::Done(ending) => {
                    run.state.ending = Some(ending);
                    return Progress::Done;
                }
            };
        }
    }

    /// Whether others are to have a turn. Before it is busy a script has its shard to itself, as in
    /// Redis.
    fn is_to_pause(&mut self, run: &RunState) -> bool {
        let now = (self.timing.clock)();
        let limit = Duration::from_millis(self.config.busy_reply_threshold_ms);
        if run.is_busy {
            return now.saturating_duration_since(run.resumed) >= SLICE;
        }
        !limit.is_zero() && now.saturating_duration_since(run.began) >= limit
    }

    /// A script that ran on this shard's own keys is over: what it did is told and logged.
    fn end_in_place(&mut self, mut run: Box<ScriptRun>, args: &Args<'_>, reply: &mut Reply<'_>) {
        let away = mem::take(&mut run.state.workspace.away);
        if !away.is_empty() {
            let mut of_shards = shares(away, self.slots);
            let share = of_shards.get_mut(self.id.index()).map(mem::take);
            self.log_share(share.unwrap_or_default());
        }
        self.effects.came_home(&run.state.workspace.effects);
        run.state.workspace.effects.clear();
        self.end_script(&mut run, args, reply);
        self.retire(run);
    }

    fn log_share(&mut self, share: Share) {
        if share.is_empty() {
            return;
        }
        self.log_record(&TransactionRecord::of_one(self.id, share));
    }

    /// Answers for a script that is over, and counts it.
    pub(crate) fn end_script(
        &mut self,
        run: &mut ScriptRun,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        let told = run.state.told.drain(..);
        self.actions.extend(told.map(Action::Tell));
        let machine = run.machine.as_ref().expect("a script that ran");
        let encoded = machine.reply();
        reply.raw(encoded);
        let index = run.state.header.command.index();
        self.trace.note(run.state.header);
        self.stats.calls[index] += 1;
        if let Some(Ending::Failed { counted }) = run.state.ending {
            let text = encoded.strip_prefix(b"-").unwrap_or(encoded);
            let text = text.strip_suffix(b"\r\n").unwrap_or(text);
            let error = Error::from_bytes(text.to_vec());
            if counted {
                self.stats.failed_again(index);
            } else {
                self.stats.failed(index, &error);
            }
        }
        self.timing.in_row = false;
        self.account(
            run.state.header.command,
            run.state.header.caller,
            args,
            run.state.began,
        );
    }

    /// Keeps the machine of a script that is over.
    pub(crate) fn retire(&mut self, mut run: Box<ScriptRun>) {
        run.state.program = None;
        run.state.parked = None;
        run.state.held.clear();
        debug_assert!(run.state.undo.as_ref().is_none_or(Undo::is_empty));
        self.scripting.keep_run(run);
    }
}
