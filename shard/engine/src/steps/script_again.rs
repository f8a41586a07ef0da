//! Scripts that are run again: what they did is undone, what they hold is given back, and they take
//! all that is known by now.

use std::mem;

use lua::machine::{Answer, Step};
use smallvec::SmallVec;

use crate::engine::Engine;
use crate::message::{Message, Release, Scope, ScriptBack, TransactionId};
use crate::script::run::ScriptRun;
use crate::transaction::coordinator::{Job, Part, Pass, Scopes};
use crate::transaction::workspace::Workspace;

/// A script that had to be undone so often takes everything.
const ATTEMPTS_MAX: u32 = 4;

impl Engine {
    /// Undoes what a script did so far. Its machine is free for another run.
    pub(crate) fn undo_script(&mut self, run: &mut ScriptRun) {
        if run.state.ending.is_none() {
            while !matches!(run.machine().resume(Answer::GiveUp), Step::Done(_)) {}
        }
        self.scripting.keep_machine(run.machine.take());
        let state = &mut run.state;
        state.workspace.open(self);
        if let Some(undo) = &mut state.undo {
            let limits = self.config.packing_limits();
            undo.put_back(&mut self.databases, &mut self.effects, &limits);
        }
        state.workspace.close(self);
        debug_assert!(
            state.undo.is_some() || !state.has_written,
            "it cannot be undone"
        );
        state.workspace.effects.clear();
        state.workspace.away.clear();
        self.effects.dirty -= mem::take(&mut state.dirtied);
        self.effects.keyspace_hits -= mem::take(&mut state.hits);
        self.effects.keyspace_misses -= mem::take(&mut state.misses);
        for id in state.called.drain(..) {
            self.stats.calls[id.index()] = self.stats.calls[id.index()].saturating_sub(1);
        }
        for failure in state.failures.drain(..) {
            let index = failure.command.map(|id| id.index());
            self.stats
                .take_back_failure(index, failure.was_refused, &failure.code);
        }
        state.told.clear();
        state.has_scouted |= state.scouts;
        self.free_discarded();
        state.attempts += 1;
        self.stats.scripts_run_again += 1;
    }

    /// What a script locks that is run again: all that it has named, or everything.
    pub(crate) fn parts_of_known(
        &mut self,
        run: &mut ScriptRun,
        everything: bool,
    ) -> SmallVec<[Part; 4]> {
        let mut scopes = Scopes::default();
        for key in run.state.held.drain() {
            scopes.key(self.slots.owner(&key.key), key);
        }
        if everything || run.state.attempts >= ATTEMPTS_MAX {
            scopes.into_whole(self.slots.shards())
        } else {
            scopes.into_parts()
        }
    }

    /// Undoes what a script did, gives all back, and takes all keys that are known by now, or
    /// everything, in order, to run it again.
    pub(crate) fn run_again(&mut self, index: usize, everything: bool) {
        let mut run = self.take_run(index);
        self.undo_script(&mut run);
        self.put_run(index, run);
        self.take_in_order(index, everything);
    }

    /// Whether the connection of a script is another shard's.
    pub(crate) fn is_away(&self, index: usize) -> bool {
        self.coordinator.transactions[index].home != self.id
    }

    /// Undoes a script that came from another shard, and wants what only that can give it.
    pub(crate) fn run_at_home(&mut self, index: usize, everything: bool) {
        let mut run = self.take_run(index);
        self.undo_script(&mut run);
        self.put_run(index, run);
        self.give_back_and_send(index, everything);
    }

    fn give_back_and_send(&mut self, index: usize, everything: bool) {
        self.give_back_all(index, everything);
        let mut run = self.take_run(index);
        self.coordinator.transactions.remove(index);
        self.tell_busy(&mut run, false);
        self.send_back(run, everything);
    }

    /// Sends a script back that has been undone and holds nothing.
    pub(crate) fn send_back(&mut self, mut run: Box<ScriptRun>, everything: bool) {
        let Some(parked) = run.state.parked.take() else {
            unreachable!("a script's transaction knows where it came from");
        };
        self.retire(run);
        let origin = parked.origin;
        let back = ScriptBack { parked, everything };
        self.send(origin, Message::Script(Box::new(back)));
    }

    /// Gives back all that a script holds, which has been undone, and takes all keys that are known
    /// by now, or everything, in order, to run it. Everything is taken by the shard of its
    /// connection alone.
    pub(crate) fn take_in_order(&mut self, index: usize, everything: bool) {
        let attempts = match &self.coordinator.transactions[index].job {
            Job::Script(Some(run)) => run.state.attempts,
            _ => 0,
        };
        let everything = everything || attempts >= ATTEMPTS_MAX;
        if everything && self.is_away(index) {
            return self.give_back_and_send(index, true);
        }
        let parts = self.give_back_all(index, everything);
        let transaction = &mut self.coordinator.transactions[index];
        transaction.parts = parts;
        transaction.pass = Pass::Ordered { at: 0 };
        let id = TransactionId {
            coordinator: self.id,
            index,
        };
        self.request_locks(id, 0, true);
    }

    /// A script has scouted which keys it names: it keeps those that it has, tries all others at
    /// once, and runs again.
    pub(crate) fn run_scouted(&mut self, index: usize) {
        let mut run = self.take_run(index);
        self.undo_script(&mut run);
        let mut missing = run.state.held.clone();
        for part in &self.coordinator.transactions[index].parts {
            if let Scope::Keys { keys, .. } = &part.scope {
                for key in keys {
                    missing.remove(key);
                }
            }
        }
        self.put_run(index, run);
        let missing = self.take_keys_here(index, missing.into_iter().collect());
        if missing.is_empty() {
            self.run_from_beginning(index);
        } else {
            self.widen(index, missing, true);
        }
    }

    fn give_back_all(&mut self, index: usize, everything: bool) -> SmallVec<[Part; 4]> {
        let mut run = self.take_run(index);
        let parts = self.parts_of_known(&mut run, everything);
        let placeholder = Workspace::in_place(&self.databases);
        let mut workspace = mem::replace(&mut run.state.workspace, placeholder);
        self.put_run(index, run);
        let transaction = &mut self.coordinator.transactions[index];
        for part in mem::take(&mut transaction.parts) {
            if let (Some(item), Scope::Keys { keys, .. }) = (part.granted, part.scope) {
                let lent = workspace.return_to_owner(&keys);
                self.give_back(part.shard, Release::unused(item, lent));
            }
        }
        debug_assert!(workspace.is_clear(), "a script had what it had not locked");
        self.coordinator.spare = workspace.into_spare();
        parts
    }
}
