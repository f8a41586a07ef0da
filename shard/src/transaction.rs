//! The coordinator of what must happen at one instant on several shards.
//!
//! A transaction locks its keys where they live; each owner then *lends* the entries, which move to the coordinator by pointer. There the
//! ordinary command runs, as if it had found all its keys at home, on databases that hold just what was lent; the entries go back with the
//! release of the locks. No command knows about it, so every command with several keys is atomic, and there is one mechanism to get right.
//! What concerns the whole keyspace locks whole shards and is lent their databases (see `world`); EXEC may need either (see `exec`).
//!
//! Locks are first tried on all shards at once: one round trip. A shard that would have to queue refuses instead, after it has looked once
//! more: the release it would wait for may lie in its mailbox. Then the locks from the first missing one on are given back and taken one
//! shard after the other in ascending order, waiting in each queue.
//!
//! Why nothing deadlocks: a transaction that waits holds locks only on lower shards than the one it waits on, and one that tries never
//! waits; on one shard see `locks`. Why nothing starves: the ordered pass queues first come, first served. Why it is strictly serializable:
//! between the last grant and the first release all locks are held (two-phase locking), the command runs at that instant, and it lies between
//! the call and the reply. The client may be answered before the entries are back home, because whoever asks for those keys meets the lock.
//!
//! A connection runs nothing else while its transaction is under way, which keeps its commands in order.

use protocol::args::{Args, OwnedArgs};
use protocol::command::Flags;
use protocol::reply::Reply;
use smallvec::SmallVec;
use storage::{Databases, DbIndex, Entry, Found, aof};

use crate::aof::CommitId;
use crate::aof_manifest::{Folder, Part as LogPart};
use crate::batch::{ClientToken, Facts, ReplyTo};
use crate::client::Client;
use crate::commands::sort;
use crate::context::Change;
use crate::exec::Exec;
use crate::handler::WholeCommand;
use crate::journal::Away;
use crate::locks::{ItemId, LockName};
use crate::message::{
    Claim, Grant, Lending, LockRequest, Message, Parked, Release, Scope, TransactionId,
    TransactionKey, Visit, Work,
};
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::waiting::{Ticket, Waiter, WaiterId};
use crate::watch::Watched;
use crate::world::{Lent, World};

/// One shard's share of a transaction.
struct Part {
    shard: ShardId,
    scope: Scope,
    granted: Option<ItemId>,
    lent: Option<Lending>,
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
    Cut(Option<LogPart>),
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
        let mut parts = (0..shards)
            .map(|index| {
                Part::new(
                    ShardId::new(index),
                    Scope::Whole {
                        watched: Vec::new(),
                    },
                )
            })
            .collect();
        assign_watched(&mut parts, self.watched);
        parts
    }
}

fn assign_watched(parts: &mut SmallVec<[Part; 4]>, watched: Vec<(ShardId, Watched)>) {
    for (shard, item) in watched {
        if let Some(part) = parts.iter_mut().find(|part| part.shard == shard) {
            let (Scope::Keys { watched, .. } | Scope::Whole { watched }) = &mut part.scope;
            watched.push(item);
        }
    }
}

impl Part {
    fn new(shard: ShardId, scope: Scope) -> Self {
        Self {
            shard,
            scope,
            granted: None,
            lent: None,
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
        let to = client.stall();
        let job = Job::Whole {
            to,
            facts,
            args: OwnedArgs::from(args),
            run,
        };
        let parts = Scopes::default().into_whole(self.slots.shards());
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
    pub(crate) fn begin_cut(&mut self, part: Option<LogPart>) {
        let parts = Scopes::default().into_whole(self.slots.shards());
        self.begin(ClientToken::NOBODY, parts, Job::Cut(part));
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
            part.claimed_by = Some(claim.waiter);
        }
        self.begin(client, parts, Job::Retry(ticket));
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
        let index = self.transactions.insert(Transaction {
            client,
            parts,
            pass,
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
            if self.transactions[index].parts[at].granted.is_some() {
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
        let transaction = &self.transactions[id.index];
        let part = &transaction.parts[at];
        let shard = part.shard;
        let request = Box::new(LockRequest {
            transaction: id,
            client: transaction.client,
            scope: part.scope.clone(),
            wait,
        });
        match shard == self.id {
            true => self.lock(request),
            false => self.send(shard, Message::Lock(request)),
        }
    }

    /// On an owner: takes the locks of one part, or queues for them, or refuses.
    pub fn lock(&mut self, request: Box<LockRequest>) {
        if !request.wait && self.is_taken(&request) {
            self.tries.push(request);
            return self.schedule_turn();
        }
        self.take_locks(request);
    }

    /// Decides the tries that met a lock, the first `count` of them. The mailbox has been read since: a transaction that had ended before
    /// this one began, as far as anyone could tell, has been released, and refuses nobody.
    pub(crate) fn decide_tries(&mut self, count: usize) {
        let tries: SmallVec<[_; 4]> = self.tries.drain(..count).collect();
        for request in tries {
            if !self.is_taken(&request) {
                self.take_locks(request);
                continue;
            }
            let id = request.transaction;
            match id.coordinator == self.id {
                true => self.refused(id),
                false => self.send(id.coordinator, Message::Refused(id)),
            }
        }
    }

    fn take_locks(&mut self, request: Box<LockRequest>) {
        let id = request.transaction;
        let queued = match &request.scope {
            Scope::Whole { .. } => self.locks.enqueue_barrier(Work::Lend(request)),
            Scope::Keys { keys, .. } => {
                let client = LockName::Client(id.coordinator, request.client);
                let names: SmallVec<[LockName; 8]> = keys
                    .iter()
                    .map(|key| LockName::Key(key.key.clone()))
                    .chain([client])
                    .collect();
                self.locks.enqueue(names, Work::Lend(request))
            }
        };
        if let (item, Some(Work::Lend(request))) = queued {
            let grant = self.lend(item, &request);
            match id.coordinator == self.id {
                true => self.granted(self.id, grant),
                false => self.send(id.coordinator, Message::Granted(Box::new(grant))),
            }
        }
    }

    fn is_taken(&self, request: &LockRequest) -> bool {
        if self.locks.is_empty() {
            return false;
        }
        match &request.scope {
            Scope::Whole { .. } => true,
            Scope::Keys { keys, .. } => {
                let coordinator = request.transaction.coordinator;
                self.locks.holds_client(coordinator, request.client)
                    || keys.iter().any(|key| self.locks.holds_key(&key.key))
            }
        }
    }

    /// On an owner: the locks are held, so what they cover goes to the coordinator.
    fn lend(&mut self, item: ItemId, request: &LockRequest) -> Grant {
        let (Scope::Keys { watched, .. } | Scope::Whole { watched }) = &request.scope;
        let unchanged = watched.iter().all(|watched| self.is_unchanged(watched));
        let lent = match &request.scope {
            Scope::Whole { .. } => {
                let empty = Databases::new(self.databases.count(), self.databases.hasher());
                Lending::World(Box::new(Lent {
                    databases: std::mem::replace(&mut self.databases, empty),
                    watched: self.effects.watches.keys(),
                    changes: Vec::new(),
                    next_part: None,
                }))
            }
            Scope::Keys { keys, .. } => Lending::Entries(self.lend_entries(keys)),
        };
        Grant {
            transaction: request.transaction,
            item,
            lent,
            unchanged,
        }
    }

    /// Takes those of `keys` out that exist.
    pub(crate) fn lend_entries(&mut self, keys: &[TransactionKey]) -> Vec<(DbIndex, Entry)> {
        let mut entries = Vec::with_capacity(keys.len());
        for TransactionKey { db, key } in keys {
            if let Some(entry) = self.take_home(*db, key) {
                entries.push((*db, entry));
            }
        }
        entries
    }

    /// Takes an entry out of this shard's databases; one whose time has come expires.
    fn take_home(&mut self, db: DbIndex, key: &[u8]) -> Option<Entry> {
        match self.databases.get_mut(db).find(key, self.now) {
            Found::Missing => None,
            Found::Live(_) => self.databases.get_mut(db).take(key),
            Found::Expired(entry) => {
                self.effects.expired(db, entry);
                None
            }
        }
    }

    /// Whether a key of this shard is as its watcher saw it. One that has expired meanwhile is not.
    pub fn is_unchanged(&mut self, watched: &Watched) -> bool {
        self.expire_if_due(watched.key.db, &watched.key.key);
        self.effects.watches.is_unchanged(watched)
    }

    /// Removes a key of this shard whose time has come.
    pub(crate) fn expire_if_due(&mut self, db: DbIndex, key: &[u8]) {
        if let Found::Expired(entry) = self.databases.get_mut(db).find(key, self.now) {
            self.effects.expired(db, entry);
        }
    }

    /// On the coordinator: one part has its locks.
    pub fn granted(&mut self, from: ShardId, grant: Grant) {
        let id = grant.transaction;
        let transaction = &mut self.transactions[id.index];
        let part = transaction
            .parts
            .iter_mut()
            .find(|part| part.shard == from)
            .expect("only a part's shard grants");
        part.granted = Some(grant.item);
        part.lent = Some(grant.lent);
        transaction.unchanged &= grant.unchanged;
        match &mut transaction.pass {
            Pass::Try { missing, .. } => {
                *missing -= 1;
                self.end_try(id);
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
    pub fn refused(&mut self, id: TransactionId) {
        if let Pass::Try { missing, refused } = &mut self.transactions[id.index].pass {
            *missing -= 1;
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
        let mut stage = Stage::set(&mut parts, &self.databases);
        let mut encoded = Vec::new();
        match job {
            Job::Command { to, facts, args } => {
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
                self.run_whole(&mut stage, facts, run, &args.borrow(), &mut reply);
                let commit = self.strike(stage, parts, Ending::Plain);
                self.answer(commit, to, encoded);
            }
            Job::Exec(exec) => self.run_exec(exec, unchanged, Held { stage, parts }),
            Job::Cut(part) => {
                self.cut(part, stage.world.iter_mut().map(|(_, lent)| lent.as_mut()));
                self.strike(stage, parts, Ending::Plain);
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
                        self.after_commit(commit, move |shard| {
                            shard.ticket_served(ticket, &encoded);
                        });
                    }
                    false => {
                        self.strike(stage, parts, Ending::Plain);
                        self.ticket_not_served(ticket);
                    }
                }
            }
        }
    }

    /// Answers once what was done is as safe as it has to be.
    pub(crate) fn answer(&mut self, commit: Option<CommitId>, to: ReplyTo, encoded: Vec<u8>) {
        self.after_commit(commit, move |shard| shard.complete(shard.id, to, &encoded));
    }

    /// Runs a data command on what was lent.
    pub(crate) fn run_on(
        &mut self,
        stage: &mut Stage,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        let borrowed = match stage.world.is_empty() {
            true => Vec::new(),
            false => stage.borrow_keys(self, facts, args),
        };
        stage.open(self);
        self.timing.interrupt();
        self.execute(facts, args, reply);
        stage.close(self);
        stage.return_keys(self, &borrowed);
    }

    /// Runs a command on the databases of all shards.
    pub(crate) fn run_whole(
        &mut self,
        stage: &mut Stage,
        facts: Facts,
        run: WholeCommand,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) {
        let start = reply.written();
        self.timing.interrupt();
        let began = self.timing.begin();
        self.stats.calls[facts.command.index()] += 1;
        let mut world = World {
            shards: stage
                .world
                .iter_mut()
                .map(|(_, lent)| lent.as_mut())
                .collect(),
            selected: facts.db,
            now: self.now,
            process: self.process.clone(),
            discarded: Vec::new(),
            dirty: 0,
        };
        let result = run(&mut world, args, reply);
        let (discarded, dirty) = (world.discarded, world.dirty);
        self.account(facts.command, facts.caller, args, began);
        self.effects.dirty += dirty;
        if self.effects.journal.is_on() && facts.command.command().flags.contains(Flags::WRITE) {
            stage.note_whole(&self.databases, facts, args);
        }
        let discarded = self.keep_for_snapshot(discarded);
        if !discarded.is_empty() {
            self.process.undertaker.bury_keyspaces(discarded);
        }
        if let Err(error) = result {
            reply.truncate(start);
            error.write(reply);
            self.stats.failed(facts.command.index(), &error);
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
        let mut shares = self.shares(std::mem::take(&mut stage.away));
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
                    changes.append(&mut lent.changes);
                    (Lending::World(lent), Vec::new())
                }
            };
            let mut release = Release {
                changes,
                ..Release::unused(item, lent)
            };
            release.share = shares.take(shard);
            if let Ending::Leave(ticket) = ending {
                release.leave = Some(ticket);
            }
            release.end_turn = part.claimed_by;
            if let Ending::Enroll(ticket) = ending {
                release.enroll = Some((ticket, keys));
            }
            self.give_back(shard, release);
        }
        debug_assert!(
            stage.entries.is_empty(),
            "a transaction wrote a key it had not locked"
        );
        shares.commit
    }

    pub(crate) fn give_back(&mut self, shard: ShardId, release: Release) {
        match shard == self.id {
            true => self.release(release),
            false => self.send(shard, Message::Release(Box::new(release))),
        }
    }

    /// On an owner: what was lent is home again and whoever waited goes on.
    pub fn release(&mut self, release: Release) {
        match release.lent {
            Lending::Entries(entries) => {
                for (db, entry) in entries {
                    self.databases.get_mut(db).insert_new(entry);
                }
            }
            Lending::World(lent) => {
                self.databases = lent.databases;
                if let Some(part) = lent.next_part {
                    let folder = Folder::of(&self.config);
                    self.switch_log(folder.part(part.sequence, self.id.index()));
                }
                self.walk_on();
            }
        }
        if let Some(share) = &release.share {
            self.say_share(share);
        }
        for change in &release.changes {
            self.effects.came_home(change);
        }
        if let Some((ticket, keys)) = release.enroll {
            self.effects.waits.enroll(Waiter::Elsewhere(ticket), keys);
        }
        if let Some(ticket) = release.leave {
            self.leave(ticket);
        }
        if let Some(waiter) = release.end_turn {
            self.effects.waits.end_turn(waiter);
        }
        self.unlock(release.item);
    }

    /// On an owner: frees an item's locks and lets those go on who waited for them.
    pub(crate) fn unlock(&mut self, item: ItemId) {
        let mut freed = vec![item];
        while let Some(item) = freed.pop() {
            let mut ready: SmallVec<[(ItemId, Work); 4]> = SmallVec::new();
            self.locks
                .release(item, |item, work| ready.push((item, work)));
            for (item, work) in ready {
                match work {
                    // Through the queue even to this very shard: running it here would recurse once a waiting transaction.
                    Work::Lend(request) => {
                        let grant = self.lend(item, &request);
                        let coordinator = request.transaction.coordinator;
                        self.send(coordinator, Message::Granted(Box::new(grant)));
                    }
                    Work::Command(parked) => {
                        self.run_parked(*parked);
                        freed.push(item);
                    }
                    Work::Visit(visit) => {
                        visit(self);
                        freed.push(item);
                    }
                    Work::Claim(waiter) => match self.effects.waits.get(waiter) {
                        Some(_) => self.send_claim(item, waiter),
                        None => freed.push(item),
                    },
                }
            }
        }
        self.serve_ready();
    }

    /// Queues work for locks on keys of this shard.
    pub(crate) fn lock_keys(
        &mut self,
        names: impl Iterator<Item = Box<[u8]>>,
        work: Work,
    ) -> (ItemId, Option<Work>) {
        self.locks.enqueue(names.map(LockName::Key), work)
    }

    /// Whether a command of this client on these keys must queue. Callers ask only where the table is not empty.
    #[cold]
    pub fn must_queue<'k>(
        &self,
        origin: ShardId,
        client: ClientToken,
        mut keys: impl Iterator<Item = &'k [u8]>,
    ) -> bool {
        self.locks.holds_client(origin, client) || keys.any(|key| self.locks.holds_key(key))
    }

    /// Queues a command until its keys are free; its reply comes through [`Shard::complete`].
    #[cold]
    pub fn park(&mut self, parked: Parked, keys: Vec<Box<[u8]>>) {
        let client = LockName::Client(parked.origin, parked.to.client);
        let names = keys.into_iter().map(LockName::Key).chain([client]);
        let (item, ready) = self.locks.enqueue(names, Work::Command(Box::new(parked)));
        if let Some(Work::Command(parked)) = ready {
            self.run_parked(*parked);
            self.unlock(item);
        }
    }

    /// Does something on this shard as soon as none of `keys` is lent away.
    pub fn when_home(&mut self, keys: &[&[u8]], visit: Visit) {
        if self.locks.is_empty() {
            return visit(self);
        }
        let names = keys.iter().map(|key| LockName::Key((*key).into()));
        let queued = self.locks.enqueue(names, Work::Visit(visit));
        self.run_visit(queued);
    }

    /// Does something on this shard as soon as nothing at all is lent away.
    pub fn when_all_home(&mut self, visit: Visit) {
        if self.locks.is_empty() {
            return visit(self);
        }
        let queued = self.locks.enqueue_barrier(Work::Visit(visit));
        self.run_visit(queued);
    }

    fn run_visit(&mut self, queued: (ItemId, Option<Work>)) {
        if let (item, Some(Work::Visit(visit))) = queued {
            visit(self);
            self.unlock(item);
        }
    }

    /// Runs a command that came alone, or had to wait for its keys.
    pub(crate) fn run_parked(&mut self, parked: Parked) {
        let mut encoded = Vec::new();
        let args = parked.args.borrow();
        let mut reply = Reply::new(&mut encoded, parked.facts.version);
        self.timing.interrupt();
        self.execute(parked.facts, &args, &mut reply);
        match self.effects.wait.take() {
            None => self.complete(parked.origin, parked.to, &encoded),
            Some(wait) => self.enroll_here(parked.origin, parked.to, parked.facts, &args, wait),
        }
    }
}

/// Where a transaction's commands run: what was lent, put together.
pub struct Stage {
    /// The keys lent one by one, of all shards.
    entries: Databases,
    /// The shards lent as a whole.
    world: Vec<(ShardId, Box<Lent>)>,
    /// Keys that the commands changed.
    changes: Vec<Change>,
    /// What the commands did, for the logs.
    away: Vec<Away>,
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

impl Stage {
    fn set(parts: &mut SmallVec<[Part; 4]>, like: &Databases) -> Self {
        let mut stage = Self {
            entries: Databases::new(like.count(), like.hasher()),
            world: Vec::new(),
            changes: Vec::new(),
            away: Vec::new(),
        };
        for part in parts {
            match part.lent.take() {
                Some(Lending::Entries(entries)) => {
                    for (db, entry) in entries {
                        stage.entries.get_mut(db).insert_new(entry);
                    }
                }
                Some(Lending::World(lent)) => stage.world.push((part.shard, lent)),
                None => {}
            }
        }
        stage
    }

    /// Puts what was lent in the shard's place for its databases: the next command finds it there.
    fn open(&mut self, shard: &mut Shard) {
        std::mem::swap(&mut shard.databases, &mut self.entries);
        shard.effects.away = Some(std::mem::take(&mut self.changes));
        shard.effects.journal.away = std::mem::take(&mut self.away);
    }

    /// Undoes [`Self::open`].
    fn close(&mut self, shard: &mut Shard) {
        self.changes = shard.effects.away.take().unwrap_or_default();
        self.away = std::mem::take(&mut shard.effects.journal.away);
        std::mem::swap(&mut shard.databases, &mut self.entries);
    }

    /// Those of `keys` that exist now.
    fn return_to_owner(&mut self, keys: &[TransactionKey]) -> Lending {
        let exists = |TransactionKey { db, key }: &TransactionKey| {
            Some((*db, self.entries.get_mut(*db).take(key)?))
        };
        Lending::Entries(keys.iter().filter_map(exists).collect())
    }

    /// Notes a command on whole databases for every log.
    fn note_whole(&mut self, like: &Databases, facts: Facts, args: &Args<'_>) {
        let mut record = Vec::new();
        aof::command(&mut record, args.iter());
        let db = facts.db;
        self.away.push(Away::Everywhere { db, record });
        let number = |at| {
            let text = args.get(at)?;
            let number = storage::item::parse_int(text)?;
            like.index(u16::try_from(number).ok()?)
        };
        if facts.command.command().name == "swapdb"
            && let (Some(a), Some(b)) = (number(1), number(2))
        {
            self.away.push(Away::Swapped(a, b));
        }
    }

    fn lent_by(&mut self, owner: ShardId) -> Option<&mut Lent> {
        self.world
            .iter_mut()
            .find(|(shard, _)| *shard == owner)
            .map(|(_, lent)| lent.as_mut())
    }

    /// Takes the keys of one command out of the whole shards, for it to find them in one place. Returns which keys these are.
    fn borrow_keys(&mut self, shard: &Shard, facts: Facts, args: &Args<'_>) -> Vec<TransactionKey> {
        let mut keys = shard.keys_of(facts, args);
        self.borrow_each(shard, &keys);
        // The listed keys are here now, and with them the elements that say which keys are computed.
        let here = self.entries.get(facts.db);
        let computed = sort::computed_keys(facts.command.command(), args, here);
        let computed = computed
            .into_iter()
            .map(|key| TransactionKey { db: facts.db, key });
        let listed = keys.len();
        keys.extend(computed);
        self.borrow_each(shard, &keys[listed..]);
        keys
    }

    fn borrow_each(&mut self, shard: &Shard, keys: &[TransactionKey]) {
        for key in keys {
            if let Some(lent) = self.lent_by(shard.slots.owner(&key.key))
                && let Some(entry) = lent.databases.get_mut(key.db).take(&key.key)
            {
                self.entries.get_mut(key.db).insert_new(entry);
            }
        }
    }

    fn return_keys(&mut self, shard: &Shard, keys: &[TransactionKey]) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key.db).take(&key.key)
                && let Some(lent) = self.lent_by(shard.slots.owner(&key.key))
            {
                lent.databases.get_mut(key.db).insert_new(entry);
            }
        }
    }
}
