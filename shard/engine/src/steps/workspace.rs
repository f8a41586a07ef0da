//! Commands that run on what was lent.

use protocol::args::Args;
use protocol::command::Flags;
use protocol::facts;
use protocol::reply::Reply;

use crate::action::Action;
use crate::commands::sort;
use crate::engine::Engine;
use crate::error::Outcome;
use crate::header::{Header, TransactionKey};
use crate::transaction::global::Global;
use crate::transaction::workspace::Workspace;

impl Engine {
    /// Runs a data command on what was lent.
    pub fn run_on(
        &mut self,
        workspace: &mut Workspace,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        let borrowed = if workspace.global.is_empty() {
            Vec::new()
        } else {
            workspace.borrow_keys(self, header, args)
        };
        workspace.open(self);
        self.interrupt_timing();
        self.execute(header, args, reply);
        workspace.close(self);
        workspace.return_keys(self, &borrowed);
    }

    /// Runs a command on the databases of all shards. Returns whether an empty snapshot is to
    /// follow, since what was flushed must not be back after a crash: see [`Action::Flushed`].
    pub fn run_whole(
        &mut self,
        workspace: &mut Workspace,
        header: Header,
        run: impl FnOnce(&mut Global<'_>, &Args<'_>, &mut Reply<'_>) -> Outcome,
        in_exec: bool,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        let start = reply.written();
        self.interrupt_timing();
        let began = self.begin_timing(header.command);
        self.stats.calls[header.command.index()] += 1;
        self.trace.note(header);
        let mut global = Global {
            shards: workspace
                .global
                .iter_mut()
                .map(|(_, lent)| lent.as_mut())
                .collect(),
            selected: header.db,
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
        let result = run(&mut global, args, reply);
        let (discarded, dirty, all_changed) = (global.discarded, global.dirty, global.all_changed);
        let swapped = global.swapped;
        let lazily = global.frees_lazily;
        if global.gives_up_dump {
            self.actions.push(Action::GiveUpDump);
        }
        self.effects.keyspace_hits += global.hits;
        if all_changed {
            let id = self.next_flush();
            workspace.note_flush(self.slots, id, swapped);
        }
        self.account(header.command, header.caller, args, began);
        self.effects.dirty += dirty;
        // One that is refused has done nothing, and a log that has it could not be loaded.
        let writes = header.command.command().flags.contains(Flags::WRITE);
        if self.effects.journal.is_on() && writes && result.is_ok() {
            workspace.note_whole(&self.databases, self.now, header, args);
        }
        if !discarded.is_empty() {
            self.actions.push(Action::FreeKeyspaces(discarded, lazily));
        }
        if let Err(error) = result {
            reply.truncate(start);
            error.write(reply);
            self.stats.failed(header.command.index(), &error);
            return false;
        }
        let empties_all = header.command.command().databases == facts::Databases::AllEmptied;
        empties_all && !self.config.save.0.is_empty()
    }
}

impl Workspace {
    /// Puts what was lent in the shard's place for its databases: the next command finds it there.
    pub(crate) fn open(&mut self, engine: &mut Engine) {
        debug_assert!(!engine.effects.is_away && engine.effects.list.is_empty());
        if !self.is_in_place {
            std::mem::swap(&mut engine.databases, &mut self.entries);
        }
        std::mem::swap(&mut engine.effects.list, &mut self.effects);
        engine.effects.is_away = true;
        engine.effects.journal.away = std::mem::take(&mut self.away);
    }

    /// Undoes [`Self::open`].
    pub(crate) fn close(&mut self, engine: &mut Engine) {
        std::mem::swap(&mut engine.effects.list, &mut self.effects);
        engine.effects.is_away = false;
        self.away = std::mem::take(&mut engine.effects.journal.away);
        if !self.is_in_place {
            std::mem::swap(&mut engine.databases, &mut self.entries);
        }
    }

    /// Takes the keys of one command out of the whole shards, for it to find them in one place.
    /// Returns which keys these are.
    pub(crate) fn borrow_keys(
        &mut self,
        engine: &Engine,
        header: Header,
        args: &Args<'_>,
    ) -> Vec<TransactionKey> {
        let mut keys = engine.keys_of(header, args);
        self.borrow_each(engine, &keys);
        // The listed keys are here now, and with them the elements that say which keys are
        // computed.
        let here = self.entries.get(header.db);
        let computed = sort::computed_keys(header.command.command(), args, here);
        let computed = computed
            .into_iter()
            .map(|key| TransactionKey { db: header.db, key });
        let listed = keys.len();
        keys.extend(computed);
        self.borrow_each(engine, &keys[listed..]);
        keys
    }

    pub(crate) fn borrow_each(&mut self, engine: &Engine, keys: &[TransactionKey]) {
        for key in keys {
            if let Some(lent) = self.lent_by(engine.slots.owner(&key.key))
                && let Some(entry) = lent.databases.get_mut(key.db).take(&key.key)
            {
                self.entries.get_mut(key.db).insert_new(entry);
            }
        }
    }

    pub(crate) fn return_keys(&mut self, engine: &Engine, keys: &[TransactionKey]) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key.db).take(&key.key)
                && let Some(lent) = self.lent_by(engine.slots.owner(&key.key))
            {
                lent.databases.get_mut(key.db).insert_new(entry);
            }
        }
    }
}
