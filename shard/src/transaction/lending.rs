//! The owner's side of transactions: locks of this shard's keys are taken or queued for, entries are lent and come home, and whoever met a lock
//! goes on when it is free.
//!
//! A request that may not wait is refused only after the mailbox has been read once more: a release that was sent before the request was, as
//! far as any client could tell, lies there at the latest, so a transaction is never refused on account of one that had ended before it.

use protocol::args::Args;
use protocol::command::KeyShape;
use protocol::reply::Reply;
use protocol::table::CommandId;
use smallvec::SmallVec;
use storage::{Databases, DbIndex, Entry, Looked};

use crate::blocking::waiting::Waiter;
use crate::dispatch::lock_names;
use crate::mailbox::batch::{ClientToken, Facts, ReplyTo};
use crate::mailbox::message::{
    Grant, Late, Lending, LockRequest, Message, Parked, Release, Scope, TransactionKey, Visit, Work,
};
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::transaction::divided::When;
use crate::transaction::locks::{ItemId, LockName};
use crate::transaction::watch::Watched;
use crate::transaction::world::Lent;
use persistence::manifest::Folder;

impl Shard {
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
            let coordinator = request.transaction.coordinator;
            match coordinator == self.id {
                true => self.refused(self.id, *request),
                false => self.send(coordinator, Message::Refused(request)),
            }
        }
    }

    fn take_locks(&mut self, request: Box<LockRequest>) {
        let id = request.transaction;
        let client = LockName::Client(id.coordinator, request.client);
        let queued = match &request.scope {
            Scope::Whole { .. } => self.locks.enqueue_barrier(Work::Lend(request)),
            Scope::Keys { keys, .. } => {
                let names: SmallVec<[LockName; 8]> = keys
                    .iter()
                    .map(|key| LockName::of_key(&key.key))
                    .chain([client])
                    .collect();
                self.locks.enqueue(names, Work::Lend(request))
            }
            Scope::Portion(portion) if portion.when == When::Last => {
                let lent = Lending::Ran(self.run_portion(portion));
                let grant = Grant {
                    transaction: id,
                    item: None,
                    scope: Scope::default(),
                    lent,
                    unchanged: true,
                    behind: false,
                };
                self.send(id.coordinator, Message::Granted(Box::new(grant)));
                return self.serve_ready();
            }
            Scope::Portion(portion) => {
                let names = lock_names(portion.facts.command, &portion.args.borrow());
                let names = names.into_iter().chain([client]);
                self.locks.enqueue(names, Work::Lend(request))
            }
        };
        if let (item, Some(Work::Lend(request))) = queued {
            if self.lends_later(&request) {
                return self.log.lend_when_written(item, request);
            }
            let grant = self.lend(item, *request);
            match id.coordinator == self.id {
                true => self.granted(self.id, grant),
                false => self.send(id.coordinator, Message::Granted(Box::new(grant))),
            }
        }
    }

    /// Whether what is asked for must wait until the log is written.
    fn lends_later(&mut self, request: &LockRequest) -> bool {
        let waits = matches!(request.scope, Scope::Whole { logged: true, .. });
        waits && !self.log_is_written()
    }

    /// The same as a message, for those that have waited: answering at once would recurse once a waiting transaction.
    pub(crate) fn lend_by_message(&mut self, item: ItemId, request: LockRequest) {
        let grant = self.lend(item, request);
        let coordinator = grant.transaction.coordinator;
        self.send(coordinator, Message::Granted(Box::new(grant)));
    }

    fn is_taken(&self, request: &LockRequest) -> bool {
        if matches!(request.scope, Scope::Portion(_)) && self.effects.journal.is_on() {
            return true;
        }
        if self.locks.is_empty() {
            return false;
        }
        let coordinator = request.transaction.coordinator;
        if self.locks.holds_client(coordinator, request.client) {
            return true;
        }
        match &request.scope {
            Scope::Whole { .. } => true,
            Scope::Keys { keys, .. } => keys.iter().any(|key| self.locks.holds_key(&key.key)),
            Scope::Portion(portion) => {
                let names = lock_names(portion.facts.command, &portion.args.borrow());
                names.into_iter().any(|name| self.locks.holds(name))
            }
        }
    }

    /// On an owner: the locks are held, so what they cover goes to the coordinator.
    fn lend(&mut self, item: ItemId, request: LockRequest) -> Grant {
        let watched = request.scope.watched();
        let unchanged = watched.iter().all(|watched| self.is_unchanged(watched));
        let lent = match &request.scope {
            Scope::Whole { .. } => {
                let empty = Databases::new(self.databases.count(), self.databases.hasher());
                Lending::World(Box::new(Lent {
                    databases: std::mem::replace(&mut self.databases, empty),
                    watched: self.effects.watches.keys(),
                    changes: Vec::new(),
                    overturned: Vec::new(),
                    cut: None,
                    dirty: self.effects.dirty,
                    log_fails: self.log.failed,
                }))
            }
            Scope::Keys { keys, .. } => Lending::Entries(self.lend_entries(keys)),
            Scope::Portion(portion) if portion.when == When::Locked => {
                Lending::Ran(self.under(item, |shard| shard.run_portion(portion)))
            }
            Scope::Portion(_) => Lending::Nothing,
        };
        Grant {
            transaction: request.transaction,
            item: Some(item),
            scope: request.scope,
            lent,
            unchanged,
            behind: self.log_is_behind(),
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

    /// Takes an entry out of this shard's databases; one whose time has come expires, or is hidden
    /// on the stage where that is paused.
    fn take_home(&mut self, db: DbIndex, key: &[u8]) -> Option<Entry> {
        let entry = self.databases.get_mut(db).take(key)?;
        match entry.is_expired(self.now) && !self.effects.expiry_paused {
            false => Some(entry),
            true => {
                self.effects.expired(db, entry);
                None
            }
        }
    }

    /// Whether a key of this shard is as its watcher saw it. One that has expired meanwhile is not.
    pub fn is_unchanged(&mut self, watched: &Watched) -> bool {
        let is_hidden = self.expire_if_due(watched.key.db, &watched.key.key);
        self.effects.watches.is_unchanged(watched) && (!is_hidden || watched.was_hidden)
    }

    /// Removes a key of this shard whose time has come. Returns whether there is such a key and it
    /// stays, since expiry is paused.
    pub(crate) fn expire_if_due(&mut self, db: DbIndex, key: &[u8]) -> bool {
        let keyspace = self.databases.get_mut(db);
        let Looked::Expired(spot) = keyspace.look(key, self.now) else {
            return false;
        };
        if !self.effects.expiry_paused {
            let entry = keyspace.take_at(spot);
            self.effects.expired(db, entry);
        }
        self.effects.expiry_paused
    }

    /// On an owner: what was lent is home again and whoever waited goes on.
    pub fn release(&mut self, release: Release) {
        let mut emptied = Vec::new();
        match release.lent {
            Lending::Entries(entries) => {
                for (db, entry) in entries {
                    debug_assert!(
                        self.locks.covers(release.item, entry.key()),
                        "a key comes home that its lock does not cover"
                    );
                    #[cfg(feature = "torn")]
                    self.databases.get_mut(db).take(entry.key());
                    self.databases.get_mut(db).insert_new(entry);
                }
            }
            Lending::World(lent) => {
                self.databases = lent.databases;
                for db in lent.overturned {
                    let keyspace = self.databases.get(db);
                    self.effects.waits.note_overturned(db, keyspace);
                    emptied.extend(keyspace.is_empty().then_some(db));
                }
                if let Some(cut) = lent.cut {
                    self.walk_for(cut);
                    if let Some(part) = cut.part {
                        let folder = Folder::new(&self.process.disk, &self.config);
                        self.switch_log(folder.part(part.sequence, self.id.index()));
                    }
                }
                self.walk_on();
            }
            Lending::Portion(portion) => {
                // Its coordinator has counted them.
                let counted = self.effects.dirty;
                self.under(release.item, |shard| shard.run_portion(&portion));
                self.effects.dirty = counted;
            }
            Lending::Nothing | Lending::Ran(_) => {}
        }
        if let Some(share) = &release.share {
            self.say_share(share);
        }
        if let Some(mark) = release.mark {
            self.mark_said(mark);
        }
        for change in &release.changes {
            self.effects.came_home(change);
        }
        for db in emptied {
            self.effects.fields.forget(db);
        }
        if let Some(id) = release.tells {
            self.say_told(id);
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
                if !self.held_back.is_empty() {
                    self.under(item, |shard| shard.run_all_held_back_before(&work));
                }
                match work {
                    Work::Lend(request) if self.lends_later(&request) => {
                        self.log.lend_when_written(item, request);
                    }
                    Work::Lend(request) => self.lend_by_message(item, *request),
                    Work::Command(parked) => {
                        self.under(item, |shard| shard.run_unlocked(*parked));
                        freed.push(item);
                    }
                    Work::Exec(exec) => {
                        self.under(item, |shard| shard.run_forwarded_now(*exec));
                        freed.push(item);
                    }
                    Work::Visit(visit) => {
                        self.under(item, visit);
                        freed.push(item);
                    }
                    Work::Serve(waiter, key) => {
                        self.under(item, |shard| shard.serve_locked(waiter, key));
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

    /// Does what an item's locks are held for.
    pub(crate) fn under<T>(&mut self, item: ItemId, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.runs_under.replace(item);
        let done = work(self);
        self.runs_under = before;
        done
    }

    /// Whether a command may touch its keys: none is locked by another item than the one under which this shard works. What runs on a
    /// transaction's stage has them there.
    pub(crate) fn has_at_home(&self, facts: Facts, args: &Args<'_>) -> bool {
        if self.locks.is_empty() || self.effects.away.is_some() {
            return true;
        }
        let keys = self.keys_of(facts, args);
        let is_held = |key: &TransactionKey| self.locks.is_held(&key.key, self.runs_under);
        !keys.iter().any(is_held)
    }

    /// Queues work for locks on keys of this shard.
    pub(crate) fn lock_keys(
        &mut self,
        keys: &[TransactionKey],
        work: Work,
    ) -> (ItemId, Option<Work>) {
        let names = keys.iter().map(|key| LockName::of_key(&key.key));
        self.locks.enqueue(names, work)
    }

    /// Whether a command of this client meets a lock. Callers ask only where the table is not empty.
    #[inline(never)]
    pub fn meets_lock(
        &self,
        origin: ShardId,
        client: ClientToken,
        command: CommandId,
        args: &Args<'_>,
    ) -> bool {
        match command.command().shape {
            // Most commands that others' transactions delay.
            KeyShape::One => self.must_queue(origin, client, &[LockName::of_key(&args[1])]),
            _ => self.must_queue(origin, client, &lock_names(command, args)),
        }
    }

    /// Whether a command of this client on these keys must queue. Callers ask only where the table is not empty.
    pub fn must_queue(&self, origin: ShardId, client: ClientToken, keys: &[LockName]) -> bool {
        self.locks.holds_client(origin, client) || keys.iter().any(|key| self.locks.holds(*key))
    }

    /// Queues a command until its keys are free; its reply comes through [`Shard::complete`].
    #[cold]
    pub fn park(&mut self, parked: Parked, keys: &[LockName]) {
        let client = LockName::Client(parked.origin, parked.to.client);
        let names = keys.iter().copied().chain([client]);
        let (item, ready) = self.locks.enqueue(names, Work::Command(Box::new(parked)));
        if let Some(Work::Command(parked)) = ready {
            self.under(item, |shard| shard.run_unlocked(*parked));
            self.unlock(item);
        }
    }

    /// Does something on this shard as soon as none of `keys` is lent away.
    pub fn when_home(&mut self, keys: &[&[u8]], visit: Visit) {
        if self.locks.is_empty() {
            return visit(self);
        }
        let names = keys.iter().map(|key| LockName::of_key(key));
        let queued = self.locks.enqueue(names, Work::Visit(visit));
        self.run_visit(queued);
    }

    /// Does something on this shard as soon as the commands of a connection are over that wait here for locks.
    pub(crate) fn when_client_is_past(
        &mut self,
        origin: ShardId,
        client: ClientToken,
        visit: Visit,
    ) {
        let queued = self
            .locks
            .enqueue([LockName::Client(origin, client)], Work::Visit(visit));
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
            self.under(item, visit);
            self.unlock(item);
        }
    }

    /// Runs a command that came alone, or had to wait. A client of another shard is held back where
    /// its reply is longer than `room`. Returns how long it is.
    pub(crate) fn run_parked(&mut self, parked: Parked, room: usize) -> usize {
        let mut encoded = Vec::new();
        let args = parked.args.borrow();
        let mut reply = Reply::new(&mut encoded, parked.facts.version);
        self.interrupt_timing();
        self.execute(parked.facts, &args, &mut reply);
        let bytes = encoded.len();
        match self.effects.wait.take() {
            None => self.answer_parked(parked.origin, parked.to, encoded, room),
            Some(wait) => self.enroll_here(parked.origin, parked.to, parked.facts, &args, wait),
        }
        bytes
    }

    /// Brings the reply of such a command to its connection.
    pub(crate) fn answer_parked(
        &mut self,
        origin: ShardId,
        to: ReplyTo,
        reply: Vec<u8>,
        room: usize,
    ) {
        if origin == self.id {
            return self.complete(origin, to, &reply);
        }
        let holds_back = reply.len() > room;
        if holds_back {
            self.held_back.begin(origin, to.client);
        }
        let late = Late {
            to,
            reply,
            holds_back,
        };
        self.send_gated(origin, Message::Late(Box::new(late)));
    }
}
