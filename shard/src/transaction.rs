//! The coordinator of what must happen at one instant on several shards.
//!
//! A transaction locks its keys where they live; each owner then *lends* the entries, which move to the coordinator by pointer. There the
//! ordinary command runs, as if it had found all its keys at home, on databases that hold just what was lent; the entries go back with the
//! release of the locks. No command knows about it, so every command with several keys is atomic, and there is one mechanism to get right.
//! What concerns the whole keyspace locks whole shards and is lent their databases (see `world`); EXEC may need either (see `exec`). What does the
//! same with each key is done where the keys are, under the same locks (see `divided`).
//!
//! Locks are first tried on all shards at once: one round trip. A shard that would have to queue refuses instead, after it has looked once
//! more: the release it would wait for may lie in its mailbox. Then the locks from the first missing one on are given back and taken one
//! shard after the other in ascending order, waiting in each queue.
//!
//! Why nothing deadlocks: a transaction that waits holds locks only on lower shards than the one it waits on, and one that tries never
//! waits; on one shard see `locks`. Why nothing starves: the ordered pass queues first come, first served. Why it is strictly serializable:
//! between the last grant and the first release all locks are held (two-phase locking), the command runs at that instant, and it lies between
//! the call and the reply. The client may be answered before the entries are back home, because whoever asks for those keys meets the lock. Where
//! others are to hear of what has changed, the answer waits for that (see `answers`).
//!
//! A connection runs nothing else while its transaction is under way, which keeps its commands in order.

pub mod answers;
pub mod divided;
pub mod exec;
pub mod gather;
pub mod lending;
pub mod locks;
pub mod stage;
pub mod watch;
pub mod world;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;
use smallvec::SmallVec;

use crate::aof::commits::CommitId;
use crate::blocking::waiting::{Ticket, WaiterId};
use crate::client::Client;
use crate::context::Change;
use crate::dispatch::handler::WholeCommand;
use crate::mailbox::batch::{ClientToken, Facts, ReplyTo};
use crate::mailbox::message::{
    Claim, Grant, Lending, LockRequest, Message, Release, Scope, TransactionId, TransactionKey,
};
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::snapshot::Cut;
use crate::transaction::divided::{Divided, When};
use crate::transaction::exec::Exec;
use crate::transaction::locks::ItemId;
use crate::transaction::stage::Stage;
use crate::transaction::watch::Watched;

/// One shard's share of a transaction.
pub struct Part {
    pub(crate) shard: ShardId,
    /// What it locks; its shard has that while it is asked.
    pub(crate) scope: Scope,
    pub(crate) granted: Option<ItemId>,
    pub(crate) lent: Option<Lending>,
    /// What is lent may not be on disk, and answers wait for that.
    behind: bool,
    /// It began with this waiter's turn here: those behind it have theirs when it is over.
    claimed_by: Option<WaiterId>,
}

/// How it takes its locks.
enum Pass {
    /// On all shards at once; `missing` have not answered.
    Try { missing: usize, refused: bool },
    /// One after the other: this part waits.
    Ordered { at: usize },
}

/// What runs once all locks are held.
enum Job {
    /// A command on its keys.
    Command {
        to: ReplyTo,
        facts: Facts,
        args: OwnedArgs,
    },
    /// A command that each shard does a portion of.
    Divided(Divided),
    /// A command on everything.
    Whole {
        to: ReplyTo,
        facts: Facts,
        args: OwnedArgs,
        run: WholeCommand,
    },
    /// The commands between MULTI and EXEC.
    Exec(Box<Exec>),
    /// A blocked command, one of whose keys is ready.
    Retry(Ticket),
    /// The instant of a snapshot, and of a new part of the logs.
    Cut(Cut),
}

/// What the owners are told at the end besides.
#[derive(Clone, Copy)]
enum Ending {
    Plain,
    /// It found nothing and waits from now on.
    Enroll(Ticket),
    /// It waits no longer.
    Leave(Ticket),
}

/// A transaction under way, on its coordinator.
pub struct Transaction {
    client: ClientToken,
    /// In ascending order of their shards.
    parts: SmallVec<[Part; 4]>,
    pass: Pass,
    /// This part is asked for when all others have been granted.
    last: Option<usize>,
    /// All watched keys are unchanged, as far as is known.
    unchanged: bool,
    job: Job,
}

/// Collects what a transaction locks, shard by shard.
#[derive(Default)]
pub struct Scopes {
    keys: Vec<(ShardId, TransactionKey)>,
    watched: Vec<(ShardId, Watched)>,
}

impl Scopes {
    pub fn key(&mut self, owner: ShardId, key: TransactionKey) {
        self.keys.push((owner, key));
    }

    /// A watched key is locked too, so that it stays as it is until the end.
    pub fn watched(&mut self, owner: ShardId, watched: Watched) {
        self.keys.push((owner, watched.key.clone()));
        self.watched.push((owner, watched));
    }

    fn into_parts(mut self) -> SmallVec<[Part; 4]> {
        self.keys.sort_unstable();
        self.keys.dedup();
        let mut parts: SmallVec<[Part; 4]> = SmallVec::new();
        for (shard, key) in self.keys {
            match parts.last_mut() {
                Some(Part {
                    shard: last,
                    scope: Scope::Keys { keys, .. },
                    ..
                }) if *last == shard => keys.push(key),
                _ => parts.push(Part::new(
                    shard,
                    Scope::Keys {
                        keys: vec![key],
                        watched: Vec::new(),
                    },
                )),
            }
        }
        assign_watched(&mut parts, self.watched);
        parts
    }

    /// Every shard as a whole.
    fn into_whole(self, shards: usize) -> SmallVec<[Part; 4]> {
        let whole = || Scope::Whole {
            watched: Vec::new(),
            logged: false,
        };
        let mut parts = (0..shards)
            .map(|index| Part::new(ShardId::new(index), whole()))
            .collect();
        assign_watched(&mut parts, self.watched);
        parts
    }
}

fn assign_watched(parts: &mut SmallVec<[Part; 4]>, watched: Vec<(ShardId, Watched)>) {
    for (shard, item) in watched {
        if let Some(part) = parts.iter_mut().find(|part| part.shard == shard)
            && let Scope::Keys { watched, .. } | Scope::Whole { watched, .. } = &mut part.scope
        {
            watched.push(item);
        }
    }
}

impl Transaction {
    fn part_of(&mut self, shard: ShardId) -> &mut Part {
        let mut parts = self.parts.iter_mut();
        let part = parts.find(|part| part.shard == shard);
        part.expect("only a part's shard answers")
    }
}

impl Part {
    pub(crate) fn new(shard: ShardId, scope: Scope) -> Self {
        Self {
            shard,
            scope,
            granted: None,
            lent: None,
            behind: false,
            claimed_by: None,
        }
    }
}

impl Shard {
    /// Begins the transaction that runs `args` on `keys`, which live on several shards. The client stalls until it has its reply.
    pub fn begin_transaction(
        &mut self,
        client: &mut Client,
        facts: Facts,
        args: &Args<'_>,
        scopes: Scopes,
    ) {
        let to = client.stall();
        let job = Job::Command {
            to,
            facts,
            args: OwnedArgs::from(args),
        };
        self.begin(client.token, scopes.into_parts(), job);
    }

    /// The same where the command also works on keys that it computes, which may live anywhere.
    pub fn begin_computed(&mut self, client: &mut Client, facts: Facts, args: &Args<'_>) {
        let to = client.stall();
        let job = Job::Command {
            to,
            facts,
            args: OwnedArgs::from(args),
        };
        let parts = Scopes::default().into_whole(self.slots.shards());
        self.begin(client.token, parts, job);
    }

    /// The same for a command on the whole keyspace.
    pub fn begin_whole(
        &mut self,
        client: &mut Client,
        facts: Facts,
        args: &Args<'_>,
        run: WholeCommand,
    ) {
        self.begin_whole_when(false, client, facts, args, run);
    }

    /// The same for one that reads the append-only log: all of it is in its files then.
    pub fn begin_whole_logged(
        &mut self,
        client: &mut Client,
        facts: Facts,
        args: &Args<'_>,
        run: WholeCommand,
    ) {
        self.begin_whole_when(true, client, facts, args, run);
    }

    fn begin_whole_when(
        &mut self,
        is_logged: bool,
        client: &mut Client,
        facts: Facts,
        args: &Args<'_>,
        run: WholeCommand,
    ) {
        let to = client.stall();
        let job = Job::Whole {
            to,
            facts,
            args: OwnedArgs::from(args),
            run,
        };
        let mut parts = Scopes::default().into_whole(self.slots.shards());
        for part in &mut parts {
            if let Scope::Whole { logged, .. } = &mut part.scope {
                *logged = is_logged;
            }
        }
        self.begin(client.token, parts, job);
    }

    /// The same for EXEC, whose client stalls already. `whole` where some command of it is on the whole keyspace.
    pub fn begin_exec(
        &mut self,
        client: ClientToken,
        exec: Box<Exec>,
        scopes: Scopes,
        whole: bool,
    ) {
        let parts = match whole {
            true => scopes.into_whole(self.slots.shards()),
            false => scopes.into_parts(),
        };
        self.begin(client, parts, Job::Exec(exec));
    }

    /// Begins the transaction that marks the instant of a snapshot, on all shards.
    pub(crate) fn begin_cut(&mut self, cut: Cut) {
        let parts = Scopes::default().into_whole(self.slots.shards());
        self.begin(ClientToken::NOBODY, parts, Job::Cut(cut));
    }

    /// Begins the transaction that tries to serve a blocked command; a claim is a part of it that is granted already.
    pub(crate) fn begin_retry(
        &mut self,
        client: ClientToken,
        ticket: Ticket,
        scopes: Scopes,
        claim: Option<(ShardId, Claim)>,
    ) {
        let mut parts = scopes.into_parts();
        if let Some((from, claim)) = claim
            && let Some(part) = parts.iter_mut().find(|part| part.shard == from)
        {
            part.granted = Some(claim.item);
            part.lent = Some(Lending::Entries(claim.lent));
            part.behind = self.commits_wait();
            part.claimed_by = Some(claim.waiter);
        }
        self.begin(client, parts, Job::Retry(ticket));
    }

    /// The same for a command that has been divided.
    pub(crate) fn begin_divided(
        &mut self,
        client: ClientToken,
        parts: SmallVec<[Part; 4]>,
        divided: Divided,
    ) {
        self.begin(client, parts, Job::Divided(divided));
    }

    fn begin(&mut self, client: ClientToken, parts: SmallVec<[Part; 4]>, job: Job) {
        // With one part there is nothing to hold while it waits: it queues at once.
        let missing = parts.iter().filter(|part| part.granted.is_none()).count();
        let wait = parts.len() == 1 && missing == 1;
        let pass = match wait {
            true => Pass::Ordered { at: 0 },
            false => Pass::Try {
                missing,
                refused: false,
            },
        };
        let is_last =
            |part: &Part| matches!(&part.scope, Scope::Portion(it) if it.when == When::Last);
        let last = parts.iter().position(is_last);
        let index = self.transactions.insert(Transaction {
            client,
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
            return self.run_soon(id);
        }
        let mut local = None;
        for at in 0..self.transactions[index].parts.len() {
            if self.transactions[index].parts[at].granted.is_some() || last == Some(at) {
                continue;
            }
            match self.transactions[index].parts[at].shard == self.id {
                true => local = Some(at),
                false => self.request_locks(id, at, wait),
            }
        }
        if let Some(at) = local {
            self.request_locks(id, at, wait);
        }
    }

    fn request_locks(&mut self, id: TransactionId, at: usize, wait: bool) {
        let transaction = &mut self.transactions[id.index];
        let part = &mut transaction.parts[at];
        let shard = part.shard;
        let request = Box::new(LockRequest {
            transaction: id,
            client: transaction.client,
            scope: std::mem::take(&mut part.scope),
            wait,
        });
        match shard == self.id {
            true => self.lock(request),
            false => self.send(shard, Message::Lock(request)),
        }
    }

    /// On the coordinator: one part has its locks.
    pub fn granted(&mut self, from: ShardId, grant: Grant) {
        let id = grant.transaction;
        let transaction = &mut self.transactions[id.index];
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
                match at < transaction.parts.len() {
                    true => self.request_locks(id, at, true),
                    false => self.run_soon(id),
                }
            }
        }
    }

    /// On the coordinator: one part would have had to wait.
    pub fn refused(&mut self, from: ShardId, request: LockRequest) {
        let id = request.transaction;
        let transaction = &mut self.transactions[id.index];
        transaction.part_of(from).scope = request.scope;
        if let Pass::Try { missing, refused } = &mut transaction.pass {
            // What was to be asked last is not asked at all.
            *missing -= 1 + usize::from(transaction.last.take().is_some());
            *refused = true;
        }
        self.end_try(id);
    }

    fn end_try(&mut self, id: TransactionId) {
        match self.transactions[id.index].pass {
            Pass::Try {
                missing: 0,
                refused: false,
            } => self.run_soon(id),
            Pass::Try {
                missing: 0,
                refused: true,
            } => {
                self.stats.transactions_retried += 1;
                self.join_again(id);
                let parts = &self.transactions[id.index].parts;
                let missing = parts.iter().position(|part| part.granted.is_none());
                let first = missing.expect("a part has refused");
                for at in first..parts.len() {
                    let part = &mut self.transactions[id.index].parts[at];
                    if let (Some(item), Some(lent)) = (part.granted.take(), part.lent.take()) {
                        let shard = part.shard;
                        self.give_back(shard, Release::unused(item, lent));
                    }
                }
                self.transactions[id.index].pass = Pass::Ordered { at: first };
                self.request_locks(id, first, true);
            }
            _ => {}
        }
    }

    /// A divided command that was refused goes on undivided, from the beginning.
    fn join_again(&mut self, id: TransactionId) {
        let Job::Divided(Divided { facts, args, .. }) = &self.transactions[id.index].job else {
            return;
        };
        let parts = self.scopes_of(*facts, &args.borrow()).into_parts();
        let portions = std::mem::replace(&mut self.transactions[id.index].parts, parts);
        for part in portions {
            if let Some(item) = part.granted {
                self.give_back(part.shard, Release::unused(item, Lending::Nothing));
            }
        }
    }

    /// All locks are held: the transaction happens now, or as this turn's next thing where it needs its connection, which may be in use.
    fn run_soon(&mut self, id: TransactionId) {
        match self.transactions[id.index].job {
            Job::Exec(_) => {
                let run = move |shard: &mut Shard| shard.run_transaction(id);
                self.send(self.id, Message::Visit(Box::new(run)));
            }
            _ => self.run_transaction(id),
        }
    }

    fn run_transaction(&mut self, id: TransactionId) {
        let transaction = self.transactions.remove(id.index);
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
        let mut stage = Stage::new(&self.databases, self.spare_stage.take());
        for part in &mut parts {
            if let Some(lent) = part.lent.take() {
                stage.put(part.shard, lent);
            }
        }
        let mut encoded = Vec::new();
        match job {
            Job::Command { to, facts, args }
            | Job::Divided(Divided {
                to, facts, args, ..
            }) => {
                let mut reply = Reply::new(&mut encoded, facts.version);
                self.run_on(&mut stage, facts, &args.borrow(), &mut reply);
                match self.effects.wait.take() {
                    None => {
                        let commit = self.strike(stage, parts, Ending::Plain);
                        self.answer(commit, to, encoded);
                    }
                    Some(wait) => {
                        let ticket = self.issue_ticket(to, facts, args, wait);
                        let ending = ticket.map_or(Ending::Plain, Ending::Enroll);
                        self.strike(stage, parts, ending);
                    }
                }
            }
            Job::Whole {
                to,
                facts,
                args,
                run,
            } => {
                let mut reply = Reply::new(&mut encoded, facts.version);
                let saves =
                    self.run_whole(&mut stage, facts, run, false, &args.borrow(), &mut reply);
                let commit = self.strike(stage, parts, Ending::Plain);
                match saves {
                    false => self.answer(commit, to, encoded),
                    true => self.after_commit(commit, to.client, move |shard| {
                        shard.save_what_was_flushed(Some((to, encoded)));
                    }),
                }
            }
            Job::Exec(exec) => self.run_exec(exec, unchanged, Held { stage, parts }),
            Job::Cut(cut) => {
                self.cut(cut, stage.world.iter_mut().map(|(_, lent)| lent.as_mut()));
                self.strike(stage, parts, Ending::Plain);
                self.is_cut(cut);
            }
            Job::Retry(ticket) => {
                let served = match self.ticketed_command(ticket) {
                    None => false,
                    Some((facts, args)) => {
                        let mut reply = Reply::new(&mut encoded, facts.version);
                        stage.open(self);
                        let served = self.execute_for_waiter(facts, &args.borrow(), &mut reply);
                        stage.close(self);
                        served
                    }
                };
                match served {
                    true => {
                        let commit = self.strike(stage, parts, Ending::Leave(ticket));
                        self.ticket_served(ticket, commit, encoded);
                    }
                    false => {
                        self.strike(stage, parts, Ending::Plain);
                        self.ticket_not_served(ticket);
                    }
                }
            }
        }
    }

    /// The transaction has happened: everything goes home, and the locks are free.
    /// Returns what its reply has to wait for.
    fn strike(
        &mut self,
        mut stage: Stage,
        parts: SmallVec<[Part; 4]>,
        ending: Ending,
    ) -> Option<CommitId> {
        // What this shard itself has not on disk, keeps back whatever it answers.
        let is_behind =
            |part: &&Part| part.behind && part.granted.is_some() && part.shard != self.id;
        let behind: SmallVec<[ShardId; 4]> =
            parts.iter().filter(is_behind).map(|it| it.shard).collect();
        let mut shares = self.shares(std::mem::take(&mut stage.away), &behind);
        let mut telling = self.begin_telling(shares.commit());
        for part in parts {
            let Some(item) = part.granted else {
                continue;
            };
            let shard = part.shard;
            let owned = |change: &Change| self.slots.owner(&change.key) == shard;
            let mut changes: Vec<Change> = stage.changes.extract_if(.., |it| owned(it)).collect();
            let (lent, keys) = match part.scope {
                Scope::Keys { keys, .. } => (stage.return_to_owner(&keys), keys),
                Scope::Whole { .. } => {
                    let at = stage.world.iter().position(|(of, _)| *of == shard);
                    let Some((_, mut lent)) = at.map(|at| stage.world.swap_remove(at)) else {
                        continue;
                    };
                    lent.changes.append(&mut changes);
                    changes = std::mem::take(&mut lent.changes);
                    (Lending::World(lent), Vec::new())
                }
                Scope::Portion(_) => continue,
            };
            let mut release = Release {
                changes,
                ..Release::unused(item, lent)
            };
            release.share = shares.take(shard);
            if behind.contains(&shard) {
                release.mark = shares.mark(shard);
            }
            if let Ending::Leave(ticket) = ending {
                release.leave = Some(ticket);
            }
            release.end_turn = part.claimed_by;
            self.ask_to_tell(&mut telling, shard, &mut release);
            if let Ending::Enroll(ticket) = ending {
                release.enroll = Some((ticket, keys));
            }
            self.give_back(shard, release);
        }
        debug_assert!(
            stage.is_clear(),
            "a transaction wrote a key it had not locked"
        );
        self.spare_stage = stage.into_spare();
        telling.commit
    }

    pub(crate) fn give_back(&mut self, shard: ShardId, release: Release) {
        match shard == self.id {
            true => self.release(release),
            false => self.send(shard, Message::Release(Box::new(release))),
        }
    }
}

/// A transaction's locks and what they hold, while it runs.
pub struct Held {
    pub(crate) stage: Stage,
    parts: SmallVec<[Part; 4]>,
}

impl Held {
    /// Gives all back. Returns what the reply has to wait for.
    pub(crate) fn end(self, shard: &mut Shard) -> Option<CommitId> {
        shard.strike(self.stage, self.parts, Ending::Plain)
    }
}
