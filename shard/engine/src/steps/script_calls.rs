//! One command of a running script: whether it may run, whether its keys are there, and that it
//! runs.

use protocol::args::{Args, OwnedArgs};
use protocol::command::{Command, Flags};
use protocol::facts::InScripts;
use protocol::number::parse_int;
use protocol::reply::{Reply, Version};
use protocol::table::{CommandId, lookup, lookup_sub};
use smallvec::SmallVec;
use storage::{Hash, UnixMillis};

use crate::action::Action;
use crate::commands::sort;
use crate::engine::Engine;
use crate::error::Error;
use crate::handler::{HANDLERS, Handler};
use crate::header::{Caller, Header, TransactionKey};
use crate::script::run::{KeyName, Progress, Reach, RunState, ScriptRun};
use crate::script::told::Told;
use crate::script::undo_step::Change;

const UNKNOWN: Error = Error::new("ERR Unknown Redis command called from script");
const BAD_ARITY: Error = Error::new("ERR Wrong number of args calling Redis command from script");
const NOT_ALLOWED: Error = Error::new("ERR This Redis command is not allowed from script");
const READ_ONLY: Error = Error::new("ERR Write commands are not allowed from read-only scripts.");

impl Engine {
    /// Whether the command that a script asks about may run; none where there is none.
    pub(crate) fn knows_command(&self, args: &Args<'_>) -> Option<bool> {
        self.command_of(args).map(|_| true)
    }

    fn command_of(&self, args: &Args<'_>) -> Option<CommandId> {
        let id = lookup(&args[0])?;
        if self.config.renames.hides(id.command().name) {
            return None;
        }
        match args.get(1) {
            Some(sub) if id.is_container() => lookup_sub(id, sub),
            _ => Some(id),
        }
    }

    /// Runs the command that a script has called. Its reply is `encoded` then; else this says what
    /// is missing.
    pub(crate) fn run_call(&mut self, run: &mut ScriptRun) -> Result<(), Progress> {
        let ScriptRun { machine, state } = run;
        let machine = machine.as_deref().expect("a script that runs");
        let args = machine.command();
        if !self.config.renames.is_empty()
            && let Some(original) = self.config.renames.original(&args)
        {
            return self.run_call_with(state, machine.version(), &original.borrow());
        }
        self.run_call_with(state, machine.version(), &args)
    }

    fn run_call_with(
        &mut self,
        run: &mut RunState,
        version: Version,
        args: &Args<'_>,
    ) -> Result<(), Progress> {
        run.encoded.clear();
        let id = match self.command_of(args) {
            Some(id) => id,
            None => {
                self.refuse_call(run, version, None, &UNKNOWN);
                return Ok(());
            }
        };
        if let Some(error) = self.refusal_of_call(run, id.command(), args) {
            self.refuse_call(run, version, Some(id), &error);
            return Ok(());
        }
        let header = Header {
            command: id,
            db: run.db,
            version,
            caller: Caller {
                in_script: true,
                ..run.header.caller
            },
        };
        match id.command().in_scripts {
            InScripts::Time => return self.tell_time(run, header, args),
            InScripts::Selects => return self.select_in_script(run, header, args),
            InScripts::AsElsewhere => {}
        }
        let said = self.effects.journal.away.len();
        match HANDLERS[id.index()] {
            Handler::Keyed(_) => self.run_keyed_call(run, header, args)?,
            Handler::Whole(whole) => {
                if run.reach != Reach::Everything {
                    return Err(Progress::Everything);
                }
                run.workspace.close(self);
                let mut reply = Reply::new(&mut run.encoded, header.version);
                if self.run_whole(&mut run.workspace, header, whole, true, args, &mut reply) {
                    self.actions.push(Action::Flushed(None));
                }
                run.workspace.open(self);
            }
            Handler::Outside | Handler::Script(_) => {
                let may_be_undone = run.undo.is_some() && run.reach != Reach::Everything;
                if may_be_undone && id.command().is_replicated() {
                    // What is published is heard, and must not be published again.
                    return Err(Progress::Everything);
                }
                return Err(Progress::Outside(id));
            }
        }
        if !run.propagates {
            self.effects.journal.away.truncate(said);
        }
        run.has_written |= id.command().flags.contains(Flags::WRITE);
        self.called(run, id, args);
        Ok(())
    }

    /// A script has called a command, which is counted.
    fn called(&mut self, run: &mut RunState, id: CommandId, args: &Args<'_>) {
        if run.is_watched && !run.scouts {
            let args = OwnedArgs::from(args);
            let called = Told::Called(id, run.db, args);
            self.actions.push(Action::Tell(called));
        }
        if run.undo.is_some() {
            run.called.push(id);
            if run.encoded.first() == Some(&b'-') {
                run.note_failure(Some(id), false);
            }
        }
    }

    /// Why a command may not run from this script.
    fn refusal_of_call(
        &self,
        run: &RunState,
        command: &'static Command,
        args: &Args<'_>,
    ) -> Option<Error> {
        if !command.accepts(args.len()) {
            return Some(BAD_ARITY);
        }
        if command.flags.contains(Flags::NOSCRIPT) {
            return Some(NOT_ALLOWED);
        }
        // PUBLISH and PFCOUNT count as writes there.
        if run.reads_only && command.is_replicated() {
            return Some(READ_ONLY);
        }
        let writes = command.flags.contains(Flags::WRITE);
        if writes
            && !run.has_written
            && self.admission.any
            && let Err(error) = self.admission.admit_forwarded(command)
        {
            return Some(error);
        }
        let grows = command.flags.contains(Flags::DENYOOM);
        if grows && run.is_short_of_memory && !run.has_written {
            return Some(Error::OUT_OF_MEMORY);
        }
        None
    }

    fn refuse_call(
        &mut self,
        run: &mut RunState,
        version: Version,
        id: Option<CommandId>,
        error: &Error,
    ) {
        self.stats.rejected(id.map(CommandId::index), error);
        error.write(&mut Reply::new(&mut run.encoded, version));
        if run.undo.is_some() {
            run.note_failure(id, true);
        }
    }

    fn tell_time(
        &mut self,
        run: &mut RunState,
        header: Header,
        args: &Args<'_>,
    ) -> Result<(), Progress> {
        let micros = *run.now_micros.get_or_insert_with(self.wall_micros);
        let mut reply = Reply::new(&mut run.encoded, header.version);
        let mut digits = itoa::Buffer::new();
        reply.array(2);
        reply.bulk(digits.format(micros / 1_000_000).as_bytes());
        reply.bulk(digits.format(micros % 1_000_000).as_bytes());
        self.stats.calls[header.command.index()] += 1;
        self.called(run, header.command, args);
        Ok(())
    }

    fn select_in_script(
        &mut self,
        run: &mut RunState,
        header: Header,
        args: &Args<'_>,
    ) -> Result<(), Progress> {
        let number = parse_int(&args[1]);
        let db = number
            .and_then(|number| u16::try_from(number).ok())
            .and_then(|number| self.databases.index(number));
        let mut reply = Reply::new(&mut run.encoded, header.version);
        let index = header.command.index();
        self.stats.calls[index] += 1;
        match (number, db) {
            (_, Some(db)) => {
                run.db = db;
                reply.ok();
            }
            (None, None) => {
                self.stats.failed(index, &Error::NOT_AN_INTEGER);
                Error::NOT_AN_INTEGER.write(&mut reply);
            }
            (Some(_), None) => {
                self.stats.failed(index, &Error::DB_OUT_OF_RANGE);
                Error::DB_OUT_OF_RANGE.write(&mut reply);
            }
        }
        self.called(run, header.command, args);
        Ok(())
    }

    /// Runs a command on keys, once they are there.
    fn run_keyed_call(
        &mut self,
        run: &mut RunState,
        header: Header,
        args: &Args<'_>,
    ) -> Result<(), Progress> {
        if run.reach == Reach::Everything {
            run.workspace.close(self);
            let mut reply = Reply::new(&mut run.encoded, header.version);
            self.run_on(&mut run.workspace, header, args, &mut reply);
            if let Some(wait) = self.effects.wait.take() {
                self.count_in_vain(header.command);
                wait.null.write(&mut reply);
            }
            run.workspace.open(self);
            return Ok(());
        }
        // Also where all of them are here: they would have to stay as they are until the end.
        if sort::reads_computed_keys(header.command.command(), args) {
            return Err(Progress::Everything);
        }
        self.look_for_keys(run, header, args)?;
        if run.undo.is_some() {
            self.keep_for_undo(run, header, args)?;
        }
        let mut reply = Reply::new(&mut run.encoded, header.version);
        self.execute_at_once(header, args, &mut reply);
        Ok(())
    }

    /// Whether a script has all keys of a command; those that it has not are what is missing.
    fn look_for_keys(
        &self,
        run: &mut RunState,
        header: Header,
        args: &Args<'_>,
    ) -> Result<(), Progress> {
        let mut missing = Vec::new();
        self.each_key(header, args, &mut |db, key| {
            if run.held.contains(&KeyName { db, key }) {
                return;
            }
            let key_name = || TransactionKey {
                db,
                key: key.into(),
            };
            let is_here = run.reach == Reach::Here && self.is_free_here(key);
            let scouts = run.scouts || (run.may_scout() && self.slots.owner(key) != self.id);
            if is_here || scouts {
                run.scouts |= !is_here;
                if run.undo.is_some() {
                    run.held.insert(key_name());
                }
            } else if !missing
                .iter()
                .any(|it: &TransactionKey| it.db == db && *it.key == *key)
            {
                missing.push(key_name());
            }
        });
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Progress::Keys(missing))
        }
    }

    /// Whether a key lives here, and nobody else has locked it.
    fn is_free_here(&self, key: &[u8]) -> bool {
        let locks = &self.owner.locks;
        let is_free = || {
            locks.is_empty()
                || !locks.holds_key(key)
                || self
                    .owner
                    .runs_under
                    .is_some_and(|it| locks.covers(it, key))
        };
        self.slots.owner(key) == self.id && is_free()
    }

    /// Keeps what a command may change. A value that is too large for that asks for everything,
    /// where nothing has to be undone.
    fn keep_for_undo(
        &mut self,
        run: &mut RunState,
        header: Header,
        args: &Args<'_>,
    ) -> Result<(), Progress> {
        // PFCOUNT keeps in the value what it has counted.
        let writes = header.command.command().is_replicated();
        let Some(undo) = &mut run.undo else {
            return Ok(());
        };
        let limit = self.scripting.limits.copy;
        let mut fits = true;
        let mut keys: SmallVec<[TransactionKey; 4]> = SmallVec::new();
        self.each_key(header, args, &mut |db, key| {
            if writes || loses_by_time(&self.databases, db, key, run.now) {
                keys.push(TransactionKey {
                    db,
                    key: key.into(),
                });
            }
        });
        for key in &keys {
            let change = Change {
                key,
                what: header.command.command().changes,
                args,
                now: run.now,
            };
            fits &= undo.keep(change, &mut self.databases, limit);
        }
        if fits {
            Ok(())
        } else {
            Err(Progress::Everything)
        }
    }
}

/// Whether a look at a key may remove something of it whose time has come.
fn loses_by_time(
    databases: &storage::Databases,
    db: storage::DbIndex,
    key: &[u8],
    now: UnixMillis,
) -> bool {
    let Some(entry) = databases.get(db).get(key) else {
        return false;
    };
    let hash = entry.get::<Hash>().ok();
    entry.is_expired(now) || hash.is_some_and(|hash| hash.next_deadline().is_some())
}
