//! How a command on data runs.

use protocol::args::Args;
use protocol::command::Flags;
use protocol::reply::Reply;
use protocol::table::CommandId;

use crate::context::Context;
use crate::effects::Effects;
use crate::engine::Engine;
use crate::error::{Error, Outcome};
use crate::handler::{HANDLERS, Handler};
use crate::header::{Header, TransactionKey};
use crate::timing::SHORT_BYTES_MAX;

/// How things stood before a command.
#[derive(Clone, Copy, Default)]
struct Before {
    dirtied: u64,
    effects: usize,
}

impl Engine {
    /// Runs a data command on this shard's databases and writes its reply, unless it wants to wait:
    /// then `effects.wait` says so, and the caller takes that. Returns false where it failed.
    #[inline]
    pub fn execute(&mut self, header: Header, args: &Args<'_>, reply: &mut Reply<'_>) -> bool {
        match self.attempt(header, args, reply) {
            Ok(()) => true,
            Err(error) => {
                self.stats.failed(header.command.index(), &error);
                false
            }
        }
    }

    /// Runs a data command whose failure may count as none. One that wants to wait has not been
    /// called yet, as far as statistics go.
    #[inline]
    pub(crate) fn attempt(
        &mut self,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let began = self.begin_timing(header.command);
        let index = header.command.index();
        let start = reply.written();
        let result = self.perform(header, args, reply);
        self.timing.in_row &= reply.written() - start <= SHORT_BYTES_MAX;
        if self.effects.wait.is_none() {
            self.trace.note(header);
            self.stats.calls[index] += 1;
            self.account(header.command, header.caller, args, began);
        }
        result.inspect_err(|error| {
            reply.truncate(start);
            error.write(reply);
        })
    }

    /// Runs a data command without its time, its statistics and its error.
    #[inline]
    pub(crate) fn perform(
        &mut self,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Outcome {
        debug_assert!(
            self.has_at_home(header, args),
            "a command on a key that is locked by somebody else"
        );
        let Handler::Keyed(run) = HANDLERS[header.command.index()] else {
            unreachable!("only data commands are sent to data");
        };
        let heeds_changes = self.effects.journal.is_on() || self.databases.is_cut();
        let before = if heeds_changes {
            self.before_change(header, args)
        } else {
            Before::default()
        };
        let mut context = Context {
            command: header.command,
            databases: &mut self.databases,
            selected: header.db,
            now: self.now,
            config: &self.config,
            access: self.access,
            caller: header.caller,
            effects: &mut self.effects,
            random: &mut self.random,
        };
        let result = run(&mut context, args, reply);
        if header.caller.tracks {
            self.remember_reads(header, args);
        }
        if !self.effects.is_away {
            self.effects.hand_out();
        }
        if heeds_changes {
            self.after_change(header, args, before);
        }
        self.free_discarded();
        self.publish_moved();
        result
    }

    /// A snapshot or the log wants to know of what may be about to change.
    #[cold]
    fn before_change(&mut self, header: Header, args: &Args<'_>) -> Before {
        if self.databases.is_cut() && header.command.command().flags.contains(Flags::WRITE) {
            for TransactionKey { db, key } in self.keys_of(header, args) {
                self.databases.get_mut(db).preserve(&key);
            }
        }
        self.effects.journal.begin_command();
        Before {
            dirtied: self.effects.dirty,
            effects: self.effects.list.len(),
        }
    }

    /// A client that tracks what it reads hears of the next change to the keys of a command that
    /// reads.
    #[cold]
    fn remember_reads(&mut self, header: Header, args: &Args<'_>) {
        if !header.command.command().flags.contains(Flags::READONLY) {
            return;
        }
        for key in self.keys_of(header, args) {
            self.effects.read(key.db, &key.key, &header.caller);
        }
    }

    /// What changed something is said in the log: not only what is there to write (PFCOUNT keeps
    /// what it has counted).
    fn after_change(&mut self, header: Header, args: &Args<'_>, before: Before) {
        if !self.effects.journal.is_on() {
            return;
        }
        let changed_nothing = self.effects.dirty == before.dirtied;
        if self.effects.is_away {
            let keys = self.keys_of(header, args);
            let (now, slots) = (self.now, self.slots);
            let Effects { journal, list, .. } = &mut self.effects;
            let effects = (&*list, before.effects);
            return journal.command_away(header, now, slots, args, keys, effects, changed_nothing);
        }
        if !changed_nothing {
            self.effects.journal.command(header.db, self.now, args);
        }
    }

    /// Runs a data command where nothing may wait (inside EXEC): what would is answered in vain.
    pub fn execute_at_once(&mut self, header: Header, args: &Args<'_>, reply: &mut Reply<'_>) {
        self.execute(header, args, reply);
        if let Some(wait) = self.effects.wait.take() {
            self.count_in_vain(header.command);
            wait.null.write(reply);
        }
    }

    /// A command that would wait was answered without what it would wait for.
    pub fn count_in_vain(&mut self, command: CommandId) {
        self.stats.calls[command.index()] += 1;
        self.interrupt_timing();
        self.count_time(command, 1, 0);
    }

    /// Hands big deleted values to the thread that frees them.
    #[inline]
    pub fn free_discarded(&mut self) {
        if !self.effects.discarded.is_empty() {
            self.environment.free(&mut self.effects.discarded);
        }
    }
}
