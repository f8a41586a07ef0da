//! The coordinator of what must happen at one instant on several shards.
//!
//! A transaction locks its keys where they live; each owner then *lends* the entries, which move to
//! the coordinator by pointer. There the ordinary command runs, as if it had found all its keys at
//! home, on databases that hold just what was lent; the entries go back with the release of the
//! locks. No command knows about it, so every command with several keys is atomic, and there is one
//! mechanism to get right. What concerns the whole keyspace locks whole shards and is lent their
//! databases (see `global`); EXEC may need either (see `exec`). What does the same with each key is
//! done where the keys are, under the same locks (see `divided`).
//!
//! Locks are first tried on all shards at once: one round trip. A shard that would have to queue
//! refuses instead, after it has looked once more: the release it would wait for may lie in its
//! mailbox. Then the locks from the first missing one on are given back and taken one shard after
//! the other in ascending order, waiting in each queue. Where that is one round trip, too, as no
//! more than one other shard takes part, nothing is tried.
//!
//! Why nothing deadlocks: a transaction that waits holds locks only on lower shards than the one it
//! waits on, and one that tries never waits; on one shard see `locks`. Why nothing starves: the
//! ordered pass queues first come, first served. Why it is strictly serializable: between the last
//! grant and the first release all locks are held (two-phase locking), the command runs at that
//! instant, and it lies between the call and the reply. The client may be answered before the
//! entries are back home, because whoever asks for those keys meets the lock. Where others are to
//! hear of what has changed, the answer waits for that (see `answers`).
//!
//! A connection runs nothing else while its transaction is under way, which keeps its commands in
//! order.

use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;
use smallvec::SmallVec;

use crate::action::Action;
use crate::blocking::waiting::BlockedId;
use crate::effect::Effect;
use crate::engine::Engine;
use crate::handler::WholeCommand;
use crate::header::{ClientToken, Header, ReplyTo};
use crate::message::{
    CheckedOut, Claim, Grant, LockRequest, Message, Release, Scope, TransactionId,
};
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::answers::Then;
use crate::transaction::commit::CommitId;
use crate::transaction::coordinator::{Ending, Held, Job, Part, Pass, Scopes, Transaction};
use crate::transaction::divided::{Divided, When};
use crate::transaction::workspace::Workspace;

impl Engine {
    /// Begins the transaction that runs `args` on keys that live on several shards. The reply goes
    /// to `to`; its client runs nothing else meanwhile.
    pub fn begin_transaction(
        &mut self,
        to: ReplyTo,
        header: Header,
        args: &Args<'_>,
        scopes: Scopes,
    ) {
        let args = OwnedArgs::from(args);
        let job = Job::Command { to, header, args };
        self.begin(to.client, scopes.into_parts(), job);
    }

    /// Begins the transaction of a command that also works on keys that it computes, which may live
    /// anywhere.
    pub fn begin_computed(&mut self, to: ReplyTo, header: Header, args: &Args<'_>) {
        let args = OwnedArgs::from(args);
        let job = Job::Command { to, header, args };
        let parts = Scopes::default().into_whole(self.slots.shards());
        self.begin(to.client, parts, job);
    }

    /// Begins the transaction of a command on the whole keyspace.
    pub fn begin_whole(&mut self, to: ReplyTo, header: Header, args: &Args<'_>, run: WholeCommand) {
        let args = OwnedArgs::from(args);
        let job = Job::Whole {
            to,
            header,
            args,
            run,
        };
        let parts = Scopes::default().into_whole(self.slots.shards());
        self.begin(to.client, parts, job);
    }

    /// Begins a transaction that the outside runs: `whole` where it wants all databases of all
    /// shards. It hears with [`Action::Ready`] that all locks are held.
    pub fn begin_outside(
        &mut self,
        client: ClientToken,
        task: TaskId,
        scopes: Scopes,
        whole: bool,
    ) {
        let parts = if whole {
            scopes.into_whole(self.slots.shards())
        } else {
            scopes.into_parts()
        };
        self.begin(client, parts, Job::Outside(task));
    }

    /// Begins a transaction that the outside runs on all databases, and which reads the logs: all
    /// of them is in their files then.
    pub fn begin_outside_logged(&mut self, client: ClientToken, task: TaskId) {
        let mut parts = Scopes::default().into_whole(self.slots.shards());
        for part in &mut parts {
            if let Scope::Whole { logged, .. } = &mut part.scope {
                *logged = true;
            }
        }
        self.begin(client, parts, Job::Outside(task));
    }

    /// Begins the transaction that tries to serve a blocked command; a claim is a part of it that
    /// is granted already.
    pub(crate) fn begin_retry(
        &mut self,
        client: ClientToken,
        blocked_id: BlockedId,
        scopes: Scopes,
        claim: Option<(ShardId, Claim)>,
    ) {
        let mut parts = scopes.into_parts();
        if let Some((from, claim)) = claim
            && let Some(part) = parts.iter_mut().find(|part| part.shard == from)
        {
            part.granted = Some(claim.item);
            part.lent = Some(CheckedOut::Entries(claim.lent));
            part.behind = self.log.holds_replies;
            part.claimed_by = Some(claim.waiter);
        }
        self.begin(client, parts, Job::Retry(blocked_id));
    }

    /// Begins the transaction of a command that has been divided.
    pub(crate) fn begin_divided(
        &mut self,
        client: ClientToken,
        parts: SmallVec<[Part; 4]>,
        divided: Divided,
    ) {
        self.begin(client, parts, Job::Divided(divided));
    }

    fn begin(&mut self, client: ClientToken, parts: SmallVec<[Part; 4]>, job: Job) {
        self.begin_for(client, self.id, parts, job);
    }

    /// Begins a transaction for a connection of any shard.
    pub(crate) fn begin_for(
        &mut self,
        client: ClientToken,
        home: ShardId,
        parts: SmallVec<[Part; 4]>,
        job: Job,
    ) {
        let missing = parts.iter().filter(|part| part.granted.is_none()).count();
        let wait = self.queues_at_once(&parts);
        let pass = if wait {
            Pass::Ordered { at: 0 }
        } else {
            Pass::Try {
                missing,
                refused: false,
            }
        };
        let is_last =
            |part: &Part| matches!(&part.scope, Scope::Portion(it) if it.when == When::Last);
        let last = parts.iter().position(is_last);
        let index = self.coordinator.transactions.insert(Transaction {
            client,
            home,
            parts,
            pass,
            last,
            unchanged: true,
            job,
        });
        let id = TransactionId {
            coordinator: self.id,
            index,
        };
        self.stats.transactions += 1;
        // The local part goes last: it may complete the pass at once.
        if missing == 0 {
            return self.run_transaction(id);
        }
        if wait {
            return self.request_locks(id, 0, true);
        }
        let mut local = None;
        for at in 0..self.coordinator.transactions[index].parts.len() {
            if self.coordinator.transactions[index].parts[at]
                .granted
                .is_some()
                || last == Some(at)
            {
                continue;
            }
            if self.coordinator.transactions[index].parts[at].shard == self.id {
                local = Some(at)
            } else {
                self.request_locks(id, at, false)
            }
        }
        if let Some(at) = local {
            self.request_locks(id, at, false);
        }
    }

    /// Whether a transaction takes its locks in order at once: where it asks one other shard at
    /// most, to try is no faster, and may be refused.
    fn queues_at_once(&self, parts: &[Part]) -> bool {
        // What is granted already may lie behind what is not.
        let is_free = |part: &Part| part.granted.is_none();
        let is_portion = |part: &Part| matches!(part.scope, Scope::Portion(_));
        let elsewhere = parts.iter().filter(|part| part.shard != self.id).count();
        parts.iter().all(is_free)
            && (parts.len() == 1 || (elsewhere <= 1 && !parts.iter().any(is_portion)))
    }

    pub(crate) fn request_locks(&mut self, id: TransactionId, at: usize, wait: bool) {
        let transaction = &mut self.coordinator.transactions[id.index];
        let part = &mut transaction.parts[at];
        let shard = part.shard;
        let request = Box::new(LockRequest {
            transaction: id,
            client: transaction.client,
            home: transaction.home,
            scope: std::mem::take(&mut part.scope),
            item: None,
            wait,
        });
        if shard == self.id {
            self.lock(request)
        } else {
            self.send(shard, Message::Lock(request))
        }
    }

    /// On the coordinator: one part has its locks.
    pub fn granted(&mut self, from: ShardId, grant: Grant) {
        let id = grant.transaction;
        let transaction = &mut self.coordinator.transactions[id.index];
        if let Pass::Widening { .. } = transaction.pass {
            return self.widened(from, grant);
        }
        let part = transaction.part_of(from);
        part.scope = grant.scope;
        part.granted = grant.item;
        part.lent = Some(grant.lent);
        part.behind = grant.behind;
        transaction.unchanged &= grant.unchanged;
        match &mut transaction.pass {
            Pass::Try { missing, .. } => {
                *missing -= 1;
                match transaction.last.take() {
                    Some(at) => self.request_locks(id, at, false),
                    None => self.end_try(id),
                }
            }
            Pass::Ordered { at } => {
                *at += 1;
                let at = *at;
                if at < transaction.parts.len() {
                    self.request_locks(id, at, true)
                } else {
                    self.run_transaction(id)
                }
            }
            Pass::Running | Pass::Widening { .. } => {
                debug_assert!(false, "a grant that nobody has asked for");
            }
        }
    }

    /// On the coordinator: one part would have had to wait.
    pub fn refused(&mut self, from: ShardId, request: LockRequest) {
        let id = request.transaction;
        let transaction = &mut self.coordinator.transactions[id.index];
        if let Pass::Widening { .. } = transaction.pass {
            return self.not_widened(id, request);
        }
        transaction.part_of(from).scope = request.scope;
        if let Pass::Try { missing, refused } = &mut transaction.pass {
            // What was to be asked last is not asked at all.
            *missing -= 1 + usize::from(transaction.last.take().is_some());
            *refused = true;
        }
        self.end_try(id);
    }

    fn end_try(&mut self, id: TransactionId) {
        match self.coordinator.transactions[id.index].pass {
            Pass::Try {
                missing: 0,
                refused: false,
            } => self.run_transaction(id),
            Pass::Try {
                missing: 0,
                refused: true,
            } => {
                self.stats.transactions_retried += 1;
                self.join_again(id);
                let parts = &self.coordinator.transactions[id.index].parts;
                let missing = parts.iter().position(|part| part.granted.is_none());
                let first = missing.expect("a part has refused");
                for at in first..parts.len() {
                    let part = &mut self.coordinator.transactions[id.index].parts[at];
                    if let (Some(item), Some(lent)) = (part.granted.take(), part.lent.take()) {
                        let shard = part.shard;
                        self.give_back(shard, Release::unused(item, lent));
                    }
                }
                self.coordinator.transactions[id.index].pass = Pass::Ordered { at: first };
                self.request_locks(id, first, true);
            }
            _ => {}
        }
    }

    /// A divided command that was refused goes on undivided, from the beginning.
    fn join_again(&mut self, id: TransactionId) {
        let Job::Divided(Divided { header, args, .. }) =
            &self.coordinator.transactions[id.index].job
        else {
            return;
        };
        let parts = self.scopes_of(*header, &args.borrow()).into_parts();
        let portions = std::mem::replace(&mut self.coordinator.transactions[id.index].parts, parts);
        for part in portions {
            if let Some(item) = part.granted {
                self.give_back(part.shard, Release::unused(item, CheckedOut::Nothing));
            }
        }
    }

    /// All locks are held: the transaction happens.
    fn run_transaction(&mut self, id: TransactionId) {
        if let Job::Script(_) = self.coordinator.transactions[id.index].job {
            return self.begin_script(id.index);
        }
        let transaction = self.coordinator.transactions.remove(id.index);
        let Transaction {
            mut parts,
            unchanged,
            job,
            ..
        } = transaction;
        let is_portion = |part: &Part| matches!(part.scope, Scope::Portion(_));
        let job = match job {
            Job::Divided(divided) if parts.iter().any(is_portion) => {
                return self.end_divided(divided, parts);
            }
            job => job,
        };
        let mut workspace = Workspace::new(&self.databases, self.coordinator.spare.take());
        for part in &mut parts {
            if let Some(lent) = part.lent.take() {
                workspace.put(part.shard, lent);
            }
        }
        match job {
            Job::Command { to, header, args }
            | Job::Divided(Divided {
                to, header, args, ..
            }) => self.run_checked_out(workspace, parts, to, header, args),
            Job::Whole {
                to,
                header,
                args,
                run,
            } => {
                let mut encoded = Vec::new();
                let mut reply = Reply::new(&mut encoded, header.version);
                let args = args.borrow();
                let saves = self.run_whole(&mut workspace, header, run, false, &args, &mut reply);
                let commit = self.release_all(workspace, parts, Ending::Plain);
                if saves {
                    self.after_commit(commit, to.client, Then::Flushed(to, encoded));
                } else {
                    self.answer(commit, to, encoded);
                }
            }
            Job::Outside(task) => {
                let held = Box::new(Held { workspace, parts });
                self.actions.push(Action::Ready {
                    task,
                    unchanged,
                    held,
                });
            }
            Job::Retry(blocked_id) => self.retry(workspace, parts, blocked_id),
            Job::Script(_) => unreachable!("a script runs as a part of its transaction"),
        }
    }

    /// Runs a command on keys of several shards, which are here. One that finds nothing may wait.
    fn run_checked_out(
        &mut self,
        mut workspace: Workspace,
        parts: SmallVec<[Part; 4]>,
        to: ReplyTo,
        header: Header,
        args: OwnedArgs,
    ) {
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, header.version);
        self.run_on(&mut workspace, header, &args.borrow(), &mut reply);
        match self.effects.wait.take() {
            None => {
                let commit = self.release_all(workspace, parts, Ending::Plain);
                self.answer(commit, to, encoded);
            }
            Some(wait) => {
                let blocked_id = self.block_on_several(to, header, args, wait);
                self.release_all(workspace, parts, Ending::Enroll(blocked_id));
            }
        }
    }

    /// Runs a blocked command again, whose keys are here. It waits on where that was in vain.
    fn retry(
        &mut self,
        mut workspace: Workspace,
        parts: SmallVec<[Part; 4]>,
        blocked_id: BlockedId,
    ) {
        let mut encoded = Vec::new();
        let served = match self.blocked_command(blocked_id) {
            None => false,
            Some((header, args)) => {
                let mut reply = Reply::new(&mut encoded, header.version);
                workspace.open(self);
                let served = self.execute_for_waiter(header, &args.borrow(), &mut reply);
                workspace.close(self);
                served
            }
        };
        if served {
            let commit = self.release_all(workspace, parts, Ending::Leave(blocked_id));
            self.blocked_served(blocked_id, commit, encoded);
        } else {
            self.release_all(workspace, parts, Ending::Plain);
            self.blocked_not_served(blocked_id);
        }
    }

    /// The transaction has happened: everything goes home, and the locks are free.
    /// Returns what its reply has to wait for.
    pub(crate) fn release_all(
        &mut self,
        mut workspace: Workspace,
        parts: SmallVec<[Part; 4]>,
        ending: Ending,
    ) -> Option<CommitId> {
        // What this shard itself has not on disk, keeps back whatever it answers.
        let is_behind =
            |part: &&Part| part.behind && part.granted.is_some() && part.shard != self.id;
        let behind: SmallVec<[ShardId; 4]> =
            parts.iter().filter(is_behind).map(|it| it.shard).collect();
        let mut away = std::mem::take(&mut workspace.away);
        self.effects.journal.stream_transaction(&away);
        if !self.effects.journal.has_log() {
            away.clear();
        }
        let mut shares = self.shares(away, &behind);
        let mut telling = self.begin_telling(shares.commit());
        for part in parts {
            let Some(item) = part.granted else {
                continue;
            };
            let shard = part.shard;
            let slots = self.slots;
            let owned = |effect: &Effect<'_>| slots.owner(effect.key) == shard;
            let mut effects = workspace.take_effects(owned);
            let (lent, keys) = match part.scope {
                Scope::Keys { keys, .. } => (workspace.return_to_owner(&keys), keys),
                Scope::Whole { .. } => {
                    let at = workspace.global.iter().position(|(of, _)| *of == shard);
                    let Some((_, mut lent)) = at.map(|at| workspace.global.swap_remove(at)) else {
                        continue;
                    };
                    let before = std::mem::take(&mut lent.effects);
                    effects = before.followed_by(effects);
                    (CheckedOut::Databases(lent), Vec::new())
                }
                Scope::Portion(_) => continue,
            };
            let mut release = Release {
                effects,
                ..Release::unused(item, lent)
            };
            release.share = shares.take(shard);
            if behind.contains(&shard) {
                release.mark = shares.mark(shard);
            }
            if let Ending::Leave(blocked_id) = ending {
                release.leave = Some(blocked_id);
            }
            release.end_turn = part.claimed_by;
            self.ask_to_tell(&mut telling, shard, &mut release);
            if let Ending::Enroll(blocked_id) = ending {
                release.enroll = Some((blocked_id, keys));
            }
            self.give_back(shard, release);
        }
        debug_assert!(
            workspace.is_clear(),
            "a transaction wrote a key that it had not locked"
        );
        self.coordinator.spare = workspace.into_spare();
        telling.commit
    }

    pub(crate) fn give_back(&mut self, shard: ShardId, release: Release) {
        if shard == self.id {
            self.release(release)
        } else {
            self.send(shard, Message::Release(Box::new(release)))
        }
    }
}

impl Engine {
    /// A transaction that the outside has run is over: all goes home. Returns what its reply has to
    /// wait for.
    pub fn commit(&mut self, held: Held) -> Option<CommitId> {
        self.release_all(held.workspace, held.parts, Ending::Plain)
    }
}
