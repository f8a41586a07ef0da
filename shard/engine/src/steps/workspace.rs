//! Commands that run on what was lent.

use crate::transaction::workspace::Workspace;
use protocol::args::Args;
use protocol::command::Flags;
use protocol::reply::Reply;

use crate::action::Action;
use crate::engine::Engine;
use crate::error::Outcome;
use crate::header::Facts;
use crate::transaction::world::World;

impl Engine {
    /// Runs a data command on what was lent.
    pub fn run_on(
        &mut self,
        workspace: &mut Workspace,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        let borrowed = match workspace.world.is_empty() {
            true => Vec::new(),
            false => workspace.borrow_keys(self, facts, args),
        };
        workspace.open(self);
        self.interrupt_timing();
        self.execute(facts, args, reply);
        workspace.close(self);
        workspace.return_keys(self, &borrowed);
    }

    /// Runs a command on the databases of all shards. Returns whether an empty snapshot is to follow,
    /// since what was flushed must not be back after a crash: see [`Action::Flushed`].
    pub fn run_whole(
        &mut self,
        workspace: &mut Workspace,
        facts: Facts,
        run: impl FnOnce(&mut World<'_>, &Args<'_>, &mut Reply<'_>) -> Outcome,
        in_exec: bool,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        let start = reply.written();
        self.interrupt_timing();
        let began = self.begin_timing(facts.command);
        self.stats.calls[facts.command.index()] += 1;
        self.trace.note(facts);
        let mut world = World {
            shards: workspace
                .world
                .iter_mut()
                .map(|(_, lent)| lent.as_mut())
                .collect(),
            selected: facts.db,
            now: self.now,
            config: &self.config,
            in_exec,
            discarded: Vec::new(),
            frees_lazily: false,
            dirty: 0,
            hits: 0,
            all_changed: false,
            swapped: None,
            gives_up_dump: false,
        };
        let result = run(&mut world, args, reply);
        let (discarded, dirty, all_changed) = (world.discarded, world.dirty, world.all_changed);
        let swapped = world.swapped;
        let lazily = world.frees_lazily;
        if world.gives_up_dump {
            self.actions.push(Action::GiveUpDump);
        }
        self.effects.keyspace_hits += world.hits;
        if all_changed {
            let id = self.next_flush();
            workspace.note_flush(self.slots, id, swapped);
        }
        self.account(facts.command, facts.caller, args, began);
        self.effects.dirty += dirty;
        // One that is refused has done nothing, and a log that has it could not be loaded.
        let writes = facts.command.command().flags.contains(Flags::WRITE);
        if self.effects.journal.is_on() && writes && result.is_ok() {
            workspace.note_whole(&self.databases, self.now, facts, args);
        }
        if !discarded.is_empty() {
            self.actions.push(Action::FreeKeyspaces(discarded, lazily));
        }
        if let Err(error) = result {
            reply.truncate(start);
            error.write(reply);
            self.stats.failed(facts.command.index(), &error);
            return false;
        }
        facts.command.command().name == "flushall" && !self.config.save.0.is_empty()
    }
}
