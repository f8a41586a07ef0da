//! Scripts that are transactions: how they get the keys that they name, and what happens where they
//! cannot.
//!
//! A script that names a key which is elsewhere *widens*: it tries the key's lock where the key
//! lives, while it stands still. Many scripts name their keys whatever these hold, and many keys.
//! Such a script *scouts* first: it goes on to its end as if keys that it has not did not exist,
//! and all of that is undone. Then it keeps what it has, tries all keys that it has named at once,
//! and runs from its beginning. Which of the two is tried is learnt: see `known::Asks`.
//!
//! Whoever widens tries a lock. It never waits for one: where the lock is refused, what it wrote is
//! undone, all is given back, all keys that are known by now are taken in order, waiting, as any
//! transaction takes them, and it runs again from its beginning. So nobody waits for somebody who
//! may wait for him. After some of that, or before a change of which too much would have to be
//! kept, or for a command on the whole keyspace, it runs again with everything locked. Then nothing
//! can be refused, and nothing need be undone: see `script_again`.
//!
//! What makes this invisible: until its end no effect has left the workspace, all keys that it has
//! read are locked, and all that it has written are put back before their locks go. A lock that it
//! takes beside those that it holds comes before all who wait at that key, as they have nothing of
//! it yet; who waits there waits for this script, which waits for nobody.

use std::collections::BTreeMap;
use std::mem;

use protocol::args::OwnedArgs;
use protocol::reply::Reply;
use protocol::table::CommandId;
use smallvec::SmallVec;

use crate::action::{Action, OutsideCall};
use crate::engine::Engine;
use crate::header::{ClientToken, TransactionKey};
use crate::message::{CheckedOut, Grant, LockRequest, Message, Parked, Scope, TransactionId, Work};
use crate::script::known::Program;
use crate::script::run::{Next, Progress, Reach, ScriptRun};
use crate::script::told::Told;
use crate::script::undo::Undo;
use crate::slot::ShardId;
use crate::steps::script::Unfinished;
use crate::task::TaskId;
use crate::transaction::answers::Then;
use crate::transaction::coordinator::{Ending, Job, Part, Pass, Transaction};
use crate::transaction::locks::{ItemId, LockName};
use crate::transaction::workspace::Workspace;

/// What came of asking scripts to end. Of several scripts the greatest is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kill {
    /// None runs for long.
    NoneRuns,
    /// It is a function, and scripts were asked to end, or the other way round.
    OtherKind,
    /// It has written.
    Refused,
    Killed,
}

impl Engine {
    /// Begins a script as a transaction: its declared keys are of several shards, or locked, or it
    /// surely wants everything. Nothing runs before they are there.
    pub fn begin_script_on_several(&mut self, parked: Parked) {
        self.begin_script_again(parked, false);
    }

    /// Sends a script to the shard that owns all keys that it declares.
    pub fn send_script(&mut self, owner: ShardId, parked: Parked) {
        self.send(owner, Message::Command(Box::new(parked)));
    }

    /// Begins such a script, with everything where it is known to want that.
    pub(crate) fn begin_script_again(&mut self, parked: Parked, everything: bool) {
        let mut encoded = Vec::new();
        let args = parked.args.borrow();
        let mut reply = Reply::new(&mut encoded, parked.header.version);
        let program = self.program_of(parked.header, &args);
        let prepared = self.prepare_script(program, parked.header, &args, &mut reply);
        let Some(mut run) = prepared else {
            return self.complete(parked.origin, parked.to, encoded, 0);
        };
        let outline = run.state.program.as_ref().map(|it| it.outline());
        let outline = outline.unwrap_or_default();
        run.state.undo = (!outline.is_plain).then(Undo::default);
        let scopes = self.scopes_of(parked.header, &args);
        let mut parts = if outline.asks_whole || everything {
            scopes.into_whole(self.slots.shards())
        } else {
            scopes.into_parts()
        };
        if parts.is_empty() {
            // It has declared none: it begins here, behind who has the whole shard.
            parts.push(Part::new(self.id, Scope::default()));
        }
        let (client, home) = (parked.to.client, parked.origin);
        run.state.parked = Some(parked);
        self.begin_for(client, home, parts, Job::Script(Some(run)));
    }

    /// Takes on a script that has outlasted the call in which it began.
    pub fn suspend_script(&mut self, unfinished: Unfinished, parked: Parked) {
        let Unfinished { mut run, progress } = unfinished;
        let (client, home) = (parked.to.client, parked.origin);
        run.state.parked = Some(parked);
        let everything = matches!(progress, Progress::Everything);
        if run.state.undo.is_some() && (everything || matches!(progress, Progress::Scouted)) {
            // What it did stands where it ran, and so do keys that are not this shard's.
            self.undo_script(&mut run);
            if everything && home != self.id {
                return self.send_back(run, true);
            }
            let parts = self.parts_of_known(&mut run, everything);
            return self.begin_for(client, home, parts, Job::Script(Some(run)));
        }
        let index = if run.state.is_alone {
            self.hold_everything(run)
        } else {
            self.hold_script(run)
        };
        self.go_on_from(index, progress);
    }

    /// What ran in place holds its keys from now on, as a transaction with a part on this shard.
    fn hold_script(&mut self, mut run: Box<ScriptRun>) -> usize {
        let state = &mut run.state;
        let Some(parked) = &state.parked else {
            unreachable!("a script that is held knows where it came from");
        };
        let (home, client) = (parked.origin, parked.to.client);
        state
            .held
            .extend(self.keys_of(parked.header, &parked.args.borrow()));
        let here = |key: &&TransactionKey| self.slots.owner(&key.key) == self.id;
        let mut keys: Vec<TransactionKey> = state.held.iter().filter(here).cloned().collect();
        keys.sort_unstable();
        let names = keys.iter().map(|key| LockName::of_key(&key.key));
        let item = match self.owner.runs_under {
            Some(item) => {
                self.owner.kept = Some(item);
                self.owner.locks.extend(item, names);
                item
            }
            None => {
                let names = names.chain([LockName::Client(home, client)]);
                self.owner.locks.lock_free(names, Work::Task(TaskId::NONE))
            }
        };
        let lent = CheckedOut::Entries(self.check_out_entries(&keys));
        state.reach = Reach::Locked;
        let scope = Scope::Keys {
            keys,
            watched: Vec::new(),
        };
        self.hold(run, item, scope, lent)
    }

    /// A script that has this one shard to itself holds all of it from now on.
    fn hold_everything(&mut self, mut run: Box<ScriptRun>) -> usize {
        let nothing = Work::Task(TaskId::NONE);
        let (item, work) = self.owner.locks.enqueue_barrier(nothing);
        debug_assert!(work.is_some(), "it had the shard to itself");
        let lent = self.check_out_databases();
        run.state.reach = Reach::Everything;
        let whole = Scope::Whole {
            watched: Vec::new(),
            logged: false,
        };
        self.hold(run, item, whole, lent)
    }

    /// What ran in place is a transaction from now on, whose one part is this shard's.
    fn hold(
        &mut self,
        mut run: Box<ScriptRun>,
        item: ItemId,
        scope: Scope,
        lent: CheckedOut,
    ) -> usize {
        let Some(parked) = &run.state.parked else {
            unreachable!("a script that is held knows where it came from");
        };
        let (home, client) = (parked.origin, parked.to.client);
        let fresh = Workspace::new(&self.databases, self.coordinator.spare.take());
        let in_place = mem::replace(&mut run.state.workspace, fresh);
        run.state.workspace.effects = in_place.effects;
        run.state.workspace.away = in_place.away;
        run.state.workspace.put(self.id, lent);
        let mut part = Part::new(self.id, scope);
        part.granted = Some(item);
        self.coordinator.transactions.insert(Transaction {
            client,
            home,
            parts: SmallVec::from_iter([part]),
            pass: Pass::Running,
            last: None,
            unchanged: true,
            job: Job::Script(Some(run)),
        })
    }

    /// Whether a script has all keys there are.
    fn has_everything(&self, index: usize) -> bool {
        match &self.coordinator.transactions[index].job {
            Job::Script(Some(run)) => run.state.reach == Reach::Everything,
            _ => false,
        }
    }

    /// All locks of a script are held: it runs from its beginning.
    pub(crate) fn begin_script(&mut self, index: usize) {
        let transaction = &mut self.coordinator.transactions[index];
        transaction.pass = Pass::Running;
        let fresh = Workspace::new(&self.databases, self.coordinator.spare.take());
        let mut run = self.take_run(index);
        run.state.workspace = fresh;
        self.put_run(index, run);
        self.run_from_beginning(index);
    }

    /// Runs a script from its beginning, with what it holds.
    pub(crate) fn run_from_beginning(&mut self, index: usize) {
        let mut run = self.take_run(index);
        self.reset_run(&mut run.state);
        run.state.reach = Reach::Locked;
        for part in &mut self.coordinator.transactions[index].parts {
            match &part.scope {
                Scope::Keys { keys, .. } => run.state.held.extend(keys.iter().cloned()),
                _ => run.state.reach = Reach::Everything,
            }
            if let Some(lent) = part.lent.take() {
                run.state.workspace.put(part.shard, lent);
            }
        }
        if run.state.reach == Reach::Everything {
            run.state.undo = None;
            self.stats.scripts_exclusive += 1;
        }
        let Some(parked) = run.state.parked.take() else {
            unreachable!("a script's transaction knows where it came from");
        };
        self.start_run(&mut run, &parked.args.borrow());
        run.state.parked = Some(parked);
        let progress = self.drive(&mut run);
        self.put_run(index, run);
        self.go_on_from(index, progress);
    }

    pub(crate) fn put_run(&mut self, index: usize, run: Box<ScriptRun>) {
        self.coordinator.transactions[index].job = Job::Script(Some(run));
    }

    pub(crate) fn take_run(&mut self, index: usize) -> Box<ScriptRun> {
        match &mut self.coordinator.transactions[index].job {
            Job::Script(run) => run.take().expect("a script runs once at a time"),
            _ => unreachable!("only a script is taken"),
        }
    }

    /// A script goes on from where it stands still.
    fn resume_script(&mut self, index: usize) {
        let mut run = self.take_run(index);
        let progress = self.drive(&mut run);
        self.put_run(index, run);
        self.go_on_from(index, progress);
    }

    /// A script wants something, or is over.
    fn go_on_from(&mut self, index: usize, progress: Progress) {
        let mut progress = progress;
        loop {
            match progress {
                Progress::Done => return self.finish_script(index),
                Progress::Keys(keys) => {
                    let missing = self.take_keys_here(index, keys);
                    if !missing.is_empty() {
                        return self.widen(index, missing, false);
                    }
                }
                Progress::Everything if self.has_everything(index) => {}
                Progress::Everything => return self.run_again(index, true),
                Progress::Outside(_) if self.is_away(index) => {
                    return self.run_at_home(index, false);
                }
                Progress::Scouted => return self.run_scouted(index),
                Progress::Outside(command) => return self.call_outside(index, command),
                Progress::Pause => return self.pause_script(index),
            }
            let mut run = self.take_run(index);
            progress = self.drive(&mut run);
            self.put_run(index, run);
        }
    }

    /// Takes those keys that are here and free. Returns the others.
    pub(crate) fn take_keys_here(
        &mut self,
        index: usize,
        keys: Vec<TransactionKey>,
    ) -> Vec<TransactionKey> {
        let transaction = &self.coordinator.transactions[index];
        let mut parts = transaction.parts.iter();
        let own = parts.position(|part| part.shard == self.id);
        let Some(item) = own.and_then(|at| transaction.parts[at].granted) else {
            return keys;
        };
        let is_free = |key: &TransactionKey| {
            self.slots.owner(&key.key) == self.id
                && self
                    .owner
                    .locks
                    .may_extend(item, LockName::of_key(&key.key))
        };
        let (free, missing): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_free);
        if free.is_empty() {
            return missing;
        }
        let names = free.iter().map(|key| LockName::of_key(&key.key));
        self.owner.locks.extend(item, names);
        let lent = self.check_out_entries(&free);
        self.add_to_part(index, self.id, free, CheckedOut::Entries(lent));
        missing
    }

    /// A script has more keys of a shard.
    fn add_to_part(
        &mut self,
        index: usize,
        shard: ShardId,
        more: Vec<TransactionKey>,
        lent: CheckedOut,
    ) {
        let transaction = &mut self.coordinator.transactions[index];
        if let Job::Script(Some(run)) = &mut transaction.job {
            run.state.held.extend(more.iter().cloned());
            run.state.workspace.put(shard, lent);
        }
        if let Scope::Keys { keys, .. } = &mut transaction.part_of(shard).scope {
            keys.extend(more);
        }
    }

    /// Tries the locks of more keys, wherever they live. The script goes on then, or runs `anew`.
    pub(crate) fn widen(&mut self, index: usize, keys: Vec<TransactionKey>, anew: bool) {
        let mut by_owner: BTreeMap<usize, Vec<TransactionKey>> = BTreeMap::new();
        for key in keys {
            let owner = self.slots.owner(&key.key).index();
            by_owner.entry(owner).or_default().push(key);
        }
        let transaction = &mut self.coordinator.transactions[index];
        transaction.pass = Pass::Widening {
            missing: by_owner.len(),
            refused: false,
            anew,
        };
        self.stats.scripts_widened += 1;
        if let Job::Script(Some(run)) = &mut transaction.job {
            run.state.asks += u32::from(!anew);
        }
        for (owner, keys) in by_owner {
            let shard = ShardId::new(owner);
            let transaction = &mut self.coordinator.transactions[index];
            let at = transaction.parts.partition_point(|part| part.shard < shard);
            if transaction
                .parts
                .get(at)
                .is_none_or(|part| part.shard != shard)
            {
                transaction
                    .parts
                    .insert(at, Part::new(shard, Scope::default()));
            }
            let request = Box::new(LockRequest {
                transaction: TransactionId {
                    coordinator: self.id,
                    index,
                },
                client: transaction.client,
                home: transaction.home,
                item: transaction.parts[at].granted,
                scope: Scope::Keys {
                    keys,
                    watched: Vec::new(),
                },
                wait: false,
            });
            if shard == self.id {
                // Decided when the mailbox has been read, and not within this call.
                self.owner.tries.push(request);
                self.actions.push(Action::Turn);
            } else {
                self.send(shard, Message::Lock(request));
            }
        }
    }

    /// On the coordinator: a shard has granted more keys to a script.
    pub(crate) fn widened(&mut self, from: ShardId, grant: Grant) {
        let index = grant.transaction.index;
        let part = self.coordinator.transactions[index].part_of(from);
        part.granted = grant.item;
        part.behind = grant.behind;
        if let Scope::Keys { keys, .. } = grant.scope {
            self.add_to_part(index, from, keys, grant.lent);
        }
        self.one_has_answered(index, false);
    }

    /// On the coordinator: a shard has refused them.
    pub(crate) fn not_widened(&mut self, id: TransactionId, request: LockRequest) {
        if let (Job::Script(Some(run)), Scope::Keys { keys, .. }) = (
            &mut self.coordinator.transactions[id.index].job,
            request.scope,
        ) {
            // It takes them in order when it runs again.
            run.state.held.extend(keys);
        }
        self.one_has_answered(id.index, true);
    }

    fn one_has_answered(&mut self, index: usize, was_refused: bool) {
        let transaction = &mut self.coordinator.transactions[index];
        let Pass::Widening {
            missing,
            refused,
            anew,
        } = &mut transaction.pass
        else {
            unreachable!("an answer to a script that has not asked");
        };
        *missing -= 1;
        *refused |= was_refused;
        if *missing > 0 {
            return;
        }
        let how = (*refused, *anew);
        transaction.pass = Pass::Running;
        match how {
            (false, false) => self.resume_script(index),
            (false, true) => self.run_from_beginning(index),
            (true, false) => self.run_again(index, false),
            (true, true) => self.take_in_order(index, false),
        }
    }

    /// A script is over: all goes home, and it is answered.
    fn finish_script(&mut self, index: usize) {
        let mut run = self.take_run(index);
        let transaction = self.coordinator.transactions.remove(index);
        let Some(Parked {
            origin, to, args, ..
        }) = run.state.parked.take()
        else {
            unreachable!("a script's transaction knows where it came from");
        };
        if let (Reach::Locked, Some(asks)) = (
            run.state.reach,
            run.state.program.as_ref().and_then(Program::asks),
        ) {
            asks.note(run.state.has_scouted, run.state.asks);
        }
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, run.state.header.version);
        self.end_script(&mut run, &args.borrow(), &mut reply);
        self.tell_busy(&mut run, false);
        let placeholder = Workspace::in_place(&self.databases);
        let workspace = mem::replace(&mut run.state.workspace, placeholder);
        let commit = self.release_all(workspace, transaction.parts, Ending::Plain);
        self.retire(run);
        if origin == self.id {
            return self.answer(commit, to, encoded);
        }
        let then = Then::Reply(origin, to, encoded);
        self.after_commit(commit, ClientToken::NOBODY, then);
    }

    /// A script has called a command of the outside.
    fn call_outside(&mut self, index: usize, command: CommandId) {
        let mut run = self.take_run(index);
        let Some(parked) = &run.state.parked else {
            unreachable!("a script's transaction knows where it came from");
        };
        debug_assert_eq!(parked.origin, self.id, "its connection is elsewhere");
        let call = OutsideCall {
            transaction: index,
            client: parked.to.client,
            command,
            args: OwnedArgs::from(run.machine().command()),
            version: run.machine().version(),
            db: run.state.db,
        };
        run.state.next = Next::Reply;
        if run.state.is_watched {
            let args = OwnedArgs::from(run.machine().command());
            let db = run.state.db;
            match run.state.undo {
                Some(_) => run.state.told.push(Told::Called(command, db, args)),
                None => {
                    let called = Told::Called(command, db, args);
                    self.actions.push(Action::Tell(called));
                }
            }
        }
        self.put_run(index, run);
        self.actions.push(Action::Outside(Box::new(call)));
    }

    /// The outside has run the command that a script has called.
    pub fn answer_script(&mut self, index: usize, reply: &[u8]) {
        if let Job::Script(Some(run)) = &mut self.coordinator.transactions[index].job {
            run.state.encoded.clear();
            run.state.encoded.extend_from_slice(reply);
            self.resume_script(index);
        }
    }

    /// A script has run for long: others have their turn before it goes on.
    fn pause_script(&mut self, index: usize) {
        let mut run = self.take_run(index);
        self.tell_busy(&mut run, true);
        self.put_run(index, run);
        self.scripting.paused.push(index);
        self.actions.push(Action::Pause);
    }

    /// A script has run for long from now on, or no longer, where that is news.
    pub(crate) fn tell_busy(&mut self, run: &mut ScriptRun, is_busy: bool) {
        if mem::replace(&mut run.state.is_busy, is_busy) != is_busy {
            let is_function = run.state.is_function();
            self.actions.push(Action::Busy {
                is_busy,
                is_function,
            });
        }
    }

    /// Whether scripts are to go on that have run for long.
    pub fn has_paused_scripts(&self) -> bool {
        !self.scripting.paused.is_empty()
    }

    /// Lets those scripts go on for a moment.
    pub fn go_on_with_scripts(&mut self) {
        for index in mem::take(&mut self.scripting.paused) {
            self.resume_script(index);
        }
    }

    /// Ends scripts that have run for long and have written nothing.
    pub fn kill_scripts(&mut self, functions: bool) -> Kill {
        let mut outcome = Kill::NoneRuns;
        for index in self.scripting.paused.clone() {
            let Job::Script(Some(run)) = &mut self.coordinator.transactions[index].job else {
                continue;
            };
            outcome = outcome.max(run.kill(functions));
        }
        outcome
    }
}
