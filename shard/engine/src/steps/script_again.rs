//! Scripts that are run again: what they did is undone, what they hold is given back, and they take
//! all that is known by now.

use std::mem;

use lua::machine::{Answer, Step};
use smallvec::SmallVec;

use crate::engine::Engine;
use crate::message::{Release, Scope, TransactionId};
use crate::script::run::ScriptRun;
use crate::transaction::coordinator::{Part, Pass, Scopes, Transaction};
use crate::transaction::workspace::Workspace;

/// A script that had to be undone so often takes everything.
const ATTEMPTS_MAX: u32 = 4;

impl Engine {
    /// Undoes what a script did so far. Its machine is free for another run.
    pub(crate) fn undo_script(&mut self, run: &mut ScriptRun) {
        if run.state.ending.is_none() {
            while !matches!(run.machine.resume(Answer::GiveUp), Step::Done(_)) {}
        }
        let state = &mut run.state;
        state.workspace.open(self);
        if let Some(undo) = &mut state.undo {
            undo.put_back(&mut self.databases, &mut self.effects);
        }
        state.workspace.close(self);
        debug_assert!(
            state.undo.is_some() || !state.has_written,
            "it cannot be undone"
        );
        state.workspace.effects.clear();
        state.workspace.away.clear();
        self.effects.dirty -= state.dirtied;
        self.effects.keyspace_hits -= state.hits;
        self.effects.keyspace_misses -= state.misses;
        for id in state.called.drain(..) {
            self.stats.calls[id.index()] = self.stats.calls[id.index()].saturating_sub(1);
        }
        for failure in state.failures.drain(..) {
            let index = failure.command.map(|id| id.index());
            self.stats
                .take_back_failure(index, failure.was_refused, &failure.code);
        }
        state.told.clear();
        self.free_discarded();
        state.attempts += 1;
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
        let parts = self.undo_and_give_back(index, everything);
        let transaction = &mut self.coordinator.transactions[index];
        transaction.parts = parts;
        transaction.pass = Pass::Ordered { at: 0 };
        let id = TransactionId {
            coordinator: self.id,
            index,
        };
        self.request_locks(id, 0, true);
    }

    /// A script has scouted which keys it names: it tries them all at once, and runs again.
    pub(crate) fn run_scouted(&mut self, index: usize) {
        let parts = self.undo_and_give_back(index, false);
        let transaction = self.coordinator.transactions.remove(index);
        let Transaction {
            client, home, job, ..
        } = transaction;
        self.begin_for(client, home, parts, job);
    }

    fn undo_and_give_back(&mut self, index: usize, everything: bool) -> SmallVec<[Part; 4]> {
        let mut run = self.take_run(index);
        self.stats.scripts_run_again += 1;
        self.undo_script(&mut run);
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
