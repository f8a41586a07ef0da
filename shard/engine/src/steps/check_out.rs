//! The owner's side of transactions: locks of this shard's keys are taken or queued for, entries
//! are lent and come home, and whoever met a lock goes on when it is free.
//!
//! A request that may not wait is refused only after the mailbox has been read once more: a release
//! that was sent before the request was, as far as any client could tell, lies there at the latest,
//! so a transaction is never refused on account of one that had ended before it.

use protocol::args::Args;
use protocol::command::KeyShape;
use protocol::table::CommandId;
use smallvec::SmallVec;
use storage::{Databases, DbIndex, Entry, Looked};

use crate::action::Action;
use crate::blocking::ending::End;
use crate::blocking::waiting::Waiter;
use crate::effect::EffectList;
use crate::engine::Engine;
use crate::header::{ClientToken, Header, TransactionKey};
use crate::keys::lock_names;
use crate::message::{CheckedOut, Grant, LockRequest, Message, Parked, Release, Scope, Work};
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::divided::When;
use crate::transaction::global::OwnerDatabases;
use crate::transaction::locks::{ItemId, LockName};
use crate::watch::Watched;

impl Engine {
    /// On an owner: takes the locks of one part, or queues for them, or refuses.
    pub fn lock(&mut self, request: Box<LockRequest>) {
        if !request.wait && self.is_taken(&request) {
            self.owner.tries.push(request);
            return self.actions.push(Action::Turn);
        }
        self.take_locks(request);
    }

    /// Decides the tries that met a lock, the first `count` of them. The mailbox has been read
    /// since: a transaction that had ended before this one began, as far as anyone could tell, has
    /// been released, and refuses nobody.
    pub fn decide_tries(&mut self, count: usize) {
        let tries: SmallVec<[_; 4]> = self.owner.tries.drain(..count).collect();
        for request in tries {
            if !self.is_taken(&request) {
                self.take_locks(request);
                continue;
            }
            let coordinator = request.transaction.coordinator;
            if coordinator == self.id {
                self.refused(self.id, *request)
            } else {
                self.send(coordinator, Message::Refused(request))
            }
        }
    }

    fn take_locks(&mut self, request: Box<LockRequest>) {
        let id = request.transaction;
        let client = LockName::Client(request.home, request.client);
        if let Some(item) = request.item {
            return self.extend_part(item, *request);
        }
        let queued = match &request.scope {
            Scope::Whole { .. } => self.owner.locks.enqueue_barrier(Work::CheckOut(request)),
            Scope::Keys { keys, .. } => {
                let names: SmallVec<[LockName; 8]> = keys
                    .iter()
                    .map(|key| LockName::of_key(&key.key))
                    .chain([client])
                    .collect();
                self.owner.locks.enqueue(names, Work::CheckOut(request))
            }
            Scope::Portion(portion) if portion.when == When::Last => {
                // Every other key of the command is locked: this is its instant.
                self.trace.note(portion.header);
                let lent = CheckedOut::Ran(self.run_portion(portion));
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
                let names = lock_names(portion.header.command, &portion.args.borrow());
                let names = names.into_iter().chain([client]);
                self.owner.locks.enqueue(names, Work::CheckOut(request))
            }
        };
        if let (item, Some(Work::CheckOut(request))) = queued {
            if waits_for_log(&request) {
                return self
                    .actions
                    .push(Action::CheckOutWhenWritten(item, request));
            }
            let grant = self.check_out(item, *request);
            if id.coordinator == self.id {
                self.granted(self.id, grant)
            } else {
                self.send(id.coordinator, Message::Granted(Box::new(grant)))
            }
        }
    }

    /// A script's transaction, which has an item here, gets more keys.
    fn extend_part(&mut self, item: ItemId, request: LockRequest) {
        if let Scope::Keys { keys, .. } = &request.scope {
            let names = keys.iter().map(|key| LockName::of_key(&key.key));
            self.owner.locks.extend(item, names);
        }
        let coordinator = request.transaction.coordinator;
        let grant = self.check_out(item, request);
        if coordinator == self.id {
            self.granted(self.id, grant)
        } else {
            self.send(coordinator, Message::Granted(Box::new(grant)))
        }
    }

    /// Lends by a message what an item covers that has waited: answering at once would recurse once
    /// a waiting transaction.
    pub fn check_out_by_message(&mut self, item: ItemId, request: LockRequest) {
        let grant = self.check_out(item, request);
        let coordinator = grant.transaction.coordinator;
        self.send(coordinator, Message::Granted(Box::new(grant)));
    }

    fn is_taken(&self, request: &LockRequest) -> bool {
        if matches!(request.scope, Scope::Portion(_)) && self.effects.journal.is_on() {
            return true;
        }
        if self.owner.locks.is_empty() {
            return false;
        }
        if let (Some(item), Scope::Keys { keys, .. }) = (request.item, &request.scope) {
            let is_free = |key: &TransactionKey| {
                self.owner
                    .locks
                    .may_extend(item, LockName::of_key(&key.key))
            };
            return !keys.iter().all(is_free);
        }
        if self.owner.locks.holds_client(request.home, request.client) {
            return true;
        }
        match &request.scope {
            Scope::Whole { .. } => true,
            Scope::Keys { keys, .. } => keys.iter().any(|key| self.owner.locks.holds_key(&key.key)),
            Scope::Portion(portion) => {
                let names = lock_names(portion.header.command, &portion.args.borrow());
                names.into_iter().any(|name| self.owner.locks.holds(name))
            }
        }
    }

    /// On an owner: the locks are held, so what they cover goes to the coordinator.
    fn check_out(&mut self, item: ItemId, request: LockRequest) -> Grant {
        let watched = request.scope.watched();
        let unchanged = watched.iter().all(|watched| self.is_unchanged(watched));
        let lent = match &request.scope {
            Scope::Whole { .. } => self.check_out_databases(),
            Scope::Keys { keys, .. } => CheckedOut::Entries(self.check_out_entries(keys)),
            Scope::Portion(portion) if portion.when == When::Locked => {
                CheckedOut::Ran(self.under(item, |shard| shard.run_portion(portion)))
            }
            Scope::Portion(_) => CheckedOut::Nothing,
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

    /// Takes all databases out as they are.
    pub(crate) fn check_out_databases(&mut self) -> CheckedOut {
        let empty = Databases::new(self.databases.count(), self.databases.hasher());
        CheckedOut::Databases(Box::new(OwnerDatabases {
            databases: std::mem::replace(&mut self.databases, empty),
            watched: self.effects.watches.keys(),
            effects: EffectList::default(),
            overturned: Vec::new(),
            cut: None,
            dirty: self.effects.dirty,
            log_fails: self.log.fails,
        }))
    }

    /// Takes those of `keys` out that exist.
    pub(crate) fn check_out_entries(&mut self, keys: &[TransactionKey]) -> Vec<(DbIndex, Entry)> {
        let mut entries = Vec::with_capacity(keys.len());
        for TransactionKey { db, key } in keys {
            if let Some(entry) = self.take_home(*db, key) {
                entries.push((*db, entry));
            }
        }
        self.effects.hand_out();
        entries
    }

    /// Takes an entry out of this shard's databases; one whose time has come expires, or is hidden
    /// on the stage where that is paused.
    fn take_home(&mut self, db: DbIndex, key: &[u8]) -> Option<Entry> {
        let entry = self.databases.get_mut(db).take(key)?;
        if entry.is_expired(self.now) && !self.effects.is_paused {
            self.effects.expired(db, entry);
            None
        } else {
            Some(entry)
        }
    }

    /// Whether a key of this shard is as its watcher saw it. One that has expired meanwhile is not.
    pub fn is_unchanged(&mut self, watched: &Watched) -> bool {
        let is_hidden = self.expire_if_due(watched.key.db, &watched.key.key);
        self.effects.watches.is_unchanged(watched) && (!is_hidden || watched.was_hidden)
    }

    /// Removes a key of this shard whose time has come. Returns whether there is such a key and it
    /// stays, since expiry is paused.
    pub fn expire_if_due(&mut self, db: DbIndex, key: &[u8]) -> bool {
        let keyspace = self.databases.get_mut(db);
        let Looked::Expired(spot) = keyspace.look(key, self.now) else {
            return false;
        };
        if !self.effects.is_paused {
            let entry = keyspace.take_at(spot);
            self.effects.expired(db, entry);
            self.effects.hand_out();
        }
        self.effects.is_paused
    }

    /// On an owner: what was lent is home again and whoever waited goes on.
    pub fn release(&mut self, release: Release) {
        let mut emptied = Vec::new();
        match release.lent {
            CheckedOut::Entries(entries) => {
                for (db, entry) in entries {
                    debug_assert!(
                        self.owner.locks.covers(release.item, entry.key()),
                        "a key comes home that its lock does not cover"
                    );
                    #[cfg(feature = "torn")]
                    self.databases.get_mut(db).take(entry.key());
                    self.databases.get_mut(db).insert_new(entry);
                }
            }
            CheckedOut::Databases(lent) => {
                self.databases = lent.databases;
                for db in lent.overturned {
                    let keyspace = self.databases.get(db);
                    self.effects.waits.note_overturned(db, keyspace);
                    emptied.extend(keyspace.is_empty().then_some(db));
                }
                let begins_log = lent.cut.is_some_and(|cut| cut.part.is_some());
                let switch = begins_log.then(|| self.effects.journal.switch_file());
                self.actions.push(Action::CameHome(lent.cut, switch));
            }
            CheckedOut::Portion(portion) => {
                // Its coordinator has counted them.
                let counted = self.effects.dirty;
                self.under(release.item, |shard| shard.run_portion(&portion));
                self.effects.dirty = counted;
            }
            CheckedOut::Nothing | CheckedOut::Ran(_) => {}
        }
        if let Some(share) = &release.share {
            self.log_record(share);
        }
        if let Some(mark) = release.mark {
            let end = self.effects.journal.total();
            self.actions.push(Action::ReadLogged(mark, end));
        }
        self.effects.came_home(&release.effects);
        for db in emptied {
            self.effects.fields.forget(db);
        }
        if let Some(id) = release.tells {
            let told = Message::Told(id.index);
            self.actions
                .push(Action::SendBehindReplies(id.coordinator, told));
        }
        if let Some((blocked_id, keys)) = release.enroll {
            self.effects
                .waits
                .enroll(Waiter::Elsewhere(blocked_id), keys);
        }
        if let Some(blocked_id) = release.leave {
            self.leave(blocked_id);
        }
        if let Some(waiter) = release.end_turn {
            self.effects.waits.end_turn(waiter);
        }
        self.unlock(release.item);
    }

    /// On an owner: frees an item's locks and lets those go on who waited for them.
    pub fn unlock(&mut self, item: ItemId) {
        let mut freed = vec![item];
        while let Some(item) = freed.pop() {
            let mut ready: SmallVec<[(ItemId, Work); 4]> = SmallVec::new();
            self.owner
                .locks
                .release(item, |item, work| ready.push((item, work)));
            for (item, work) in ready {
                if !self.held_back.is_empty() {
                    self.under(item, |shard| shard.run_all_held_back_before(&work));
                }
                match work {
                    Work::CheckOut(request) if waits_for_log(&request) => {
                        self.actions
                            .push(Action::CheckOutWhenWritten(item, request));
                    }
                    Work::CheckOut(request) => self.check_out_by_message(item, *request),
                    Work::Command(parked) => {
                        self.under(item, |shard| shard.run_unlocked(*parked));
                        // A script that is not over goes on under it.
                        if self.owner.kept.take_if(|kept| *kept == item).is_none() {
                            freed.push(item);
                        }
                    }
                    Work::Exec(exec) => {
                        self.under(item, |shard| shard.run_forwarded_now(*exec));
                        freed.push(item);
                    }
                    Work::Task(task) => {
                        let under = Some(item);
                        self.actions.push(Action::Run { task, under });
                    }
                    Work::Ready(key, after) => {
                        self.effects.waits.push_ready(key, after);
                        freed.push(item);
                    }
                    Work::TakeOut(origin, client) => {
                        self.take_out(origin, client, End::Gone);
                        freed.push(item);
                    }
                    Work::Fence(home, index) => {
                        self.send(home, Message::FencePassed(index));
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
    pub fn under<T>(&mut self, item: ItemId, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.owner.runs_under.replace(item);
        let done = work(self);
        self.owner.runs_under = before;
        done
    }

    /// Whether a command may touch its keys: none is locked by another item than the one under
    /// which this shard works. What runs on a transaction's stage has them there.
    pub(crate) fn has_at_home(&self, header: Header, args: &Args<'_>) -> bool {
        if self.owner.locks.is_empty() || self.effects.is_away {
            return true;
        }
        let keys = self.keys_of(header, args);
        let is_held =
            |key: &TransactionKey| self.owner.locks.is_held(&key.key, self.owner.runs_under);
        !keys.iter().any(is_held)
    }

    /// Queues work for locks on keys of this shard.
    pub(crate) fn lock_keys(
        &mut self,
        keys: &[TransactionKey],
        work: Work,
    ) -> (ItemId, Option<Work>) {
        let names = keys.iter().map(|key| LockName::of_key(&key.key));
        self.owner.locks.enqueue(names, work)
    }

    /// Whether a command of this client meets a lock. Callers ask only where the table is not
    /// empty.
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

    /// Whether a command of this client on these keys must queue. Callers ask only where the table
    /// is not empty.
    pub fn must_queue(&self, origin: ShardId, client: ClientToken, keys: &[LockName]) -> bool {
        self.owner.locks.holds_client(origin, client)
            || keys.iter().any(|key| self.owner.locks.holds(*key))
    }

    /// Queues a command until its keys are free; its reply comes with [`Action::Reply`].
    #[cold]
    pub fn park(&mut self, parked: Parked, keys: &[LockName]) {
        let client = LockName::Client(parked.origin, parked.to.client);
        let names = keys.iter().copied().chain([client]);
        let (item, ready) = self
            .owner
            .locks
            .enqueue(names, Work::Command(Box::new(parked)));
        if let Some(Work::Command(parked)) = ready {
            self.under(item, |shard| shard.run_unlocked(*parked));
            if self.owner.kept.take_if(|kept| *kept == item).is_none() {
                self.unlock(item);
            }
        }
    }

    /// Has a task done as soon as none of `keys` is lent away. True where that is so now: then the
    /// caller does it.
    pub fn when_home(&mut self, keys: &[&[u8]], task: TaskId) -> bool {
        let names: SmallVec<[LockName; 4]> = keys.iter().map(|key| LockName::of_key(key)).collect();
        self.when_free(names, Work::Task(task))
    }

    /// Has a task done as soon as nothing at all is lent away. True where that is so now: then the
    /// caller does it.
    pub fn when_all_home(&mut self, task: TaskId) -> bool {
        if self.owner.locks.is_empty() {
            return true;
        }
        let queued = self.owner.locks.enqueue_barrier(Work::Task(task));
        self.is_free_now(queued)
    }

    /// Queues work until nobody has these locks. True where that is so now: then the caller does
    /// it.
    pub(crate) fn when_free(&mut self, names: SmallVec<[LockName; 4]>, work: Work) -> bool {
        if self.owner.locks.is_empty() {
            return true;
        }
        let queued = self.owner.locks.enqueue(names, work);
        self.is_free_now(queued)
    }

    /// Whether work that was queued could run at once. Then its locks are free again: nothing comes
    /// between this and what the caller does.
    pub(crate) fn is_free_now(&mut self, (item, work): (ItemId, Option<Work>)) -> bool {
        let is_free = work.is_some();
        if is_free {
            self.owner.locks.release(item, |_, _| {
                debug_assert!(false, "nobody waits for what was locked just now");
            });
        }
        is_free
    }
}

/// Whether what is asked for must wait until the log is written.
fn waits_for_log(request: &LockRequest) -> bool {
    matches!(request.scope, Scope::Whole { logged: true, .. })
}
