//! Commands that wait for a key.
//!
//! A command that finds nothing says so ([`crate::context::Context::wait`]) and is enrolled where
//! its keys live, in the same instant in which it looked.
//!
//! - All keys on one shard: that shard serves it. As soon as a command (or a transaction's release)
//!   has made a key ready, the waiters of the key run again, in order, until nothing is left for
//!   them: nobody can come in between. Its time runs out there too. So each is answered by one
//!   thread, once.
//! - Keys on several shards: its origin serves it, and each owner keeps a place in the queue for
//!   it. When its *turn* comes there, the owner locks the waiter's keys for it at once and lends
//!   them with a *claim*; the origin completes that to a transaction on all keys and runs the
//!   command. Nobody behind it has a turn before its own is over, also where the transaction had to
//!   give the locks back and take them in order. Served or not, the locks go, and those behind it
//!   have their turn. An origin that has served the waiter meanwhile, or lost its connection, gives
//!   the claim back unused.
//!
//! Nothing wakes in vain for ever: a failed claim tries those behind it once, and the waiter itself
//! again with the next change. Nothing sleeps for ever: a turn ends with its claim's release or
//! when its waiter leaves, and both make the keys ready for those behind.

use protocol::args::{Args, OwnedArgs};
use protocol::command::KeyFlags;
use protocol::keys::key_positions;
use protocol::reply::Reply;
use storage::{Entry, UnixMillis};

use crate::action::Action;
use crate::blocking::ending::{CancelMode, End, UNBLOCKED};
use crate::blocking::fenced::Fenced;
use crate::blocking::on_several::BlockedOnSeveral;
use crate::blocking::waiting::{Blocked, BlockedId, Wait, Waiter, WaiterId, is_met};
use crate::engine::Engine;
use crate::header::{ClientToken, Header, ReplyTo, TransactionKey};
use crate::message::{CheckedOut, Claim, EndWait, Message, Release, Work};
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::answers::Then;
use crate::transaction::commit::CommitId;
use crate::transaction::coordinator::Scopes;
use crate::transaction::locks::{ItemId, LockName};

impl Engine {
    /// Enrolls a command that has just found nothing, all of whose keys are here.
    pub(crate) fn enroll_here(
        &mut self,
        origin: ShardId,
        to: ReplyTo,
        header: Header,
        args: &Args<'_>,
        wait: Wait,
    ) {
        let args = wait.args.unwrap_or_else(|| OwnedArgs::from(args));
        let keys = self.keys_of(header, &args.borrow());
        let blocked = Blocked {
            origin,
            to,
            header,
            args,
            until: wait.until,
        };
        self.effects
            .waits
            .enroll(Waiter::Here(Box::new(blocked)), keys);
        self.actions.push(Action::Timer);
    }

    /// Gives a command that has just found nothing on several shards its blocked id; the release of
    /// its locks enrolls it there.
    pub(crate) fn block_on_several(
        &mut self,
        to: ReplyTo,
        header: Header,
        args: OwnedArgs,
        wait: Wait,
    ) -> BlockedId {
        self.coordinator.last_ticket += 1;
        let blocked = Blocked {
            origin: self.id,
            to,
            header,
            args: wait.args.unwrap_or(args),
            until: wait.until,
        };
        let blocked_id = BlockedId {
            origin: self.id,
            number: self.coordinator.last_ticket,
            wants: blocked.wants(),
        };
        self.actions.push(Action::Blocked(to.client, blocked_id));
        self.coordinator.blocked_ids.insert(
            blocked_id,
            BlockedOnSeveral {
                blocked,
                trying: false,
                again: false,
                end: None,
            },
        );
        self.actions.push(Action::Timer);
        blocked_id
    }

    /// Serves whoever waits for keys that became ready. Called when a command or a transaction is
    /// over.
    #[inline]
    pub fn serve_ready(&mut self) {
        if self.effects.waits.has_ready() {
            self.serve_all_ready();
        }
    }

    #[cold]
    fn serve_all_ready(&mut self) {
        // What waits and what it has read before: it hears of the change first, as in Redis, where
        // that can be.
        if self.effects.invalidations.is_for_here() {
            self.actions.push(Action::TellReaders);
        }
        let mut ends = Vec::new();
        while let Some((key, after)) = self.effects.waits.pop_ready() {
            if self.owner.locks.holds_key(&key.key) {
                // OwnerDatabases away: those who wait have their turn when it is home again.
                let name = [LockName::of_key(&key.key)];
                let later = Work::Ready(key, after);
                let queued = self.owner.locks.enqueue(name, later);
                debug_assert!(queued.1.is_none(), "the key is held");
                continue;
            }
            self.serve_waiters(&key, after, &mut ends);
        }
        self.answer_behind_all(ends);
    }

    /// Serves those who wait for a key here, from behind `after` on.
    fn serve_waiters(
        &mut self,
        key: &TransactionKey,
        mut after: Option<WaiterId>,
        ends: &mut Vec<Fenced>,
    ) {
        while let Some(id) = self.effects.waits.next(key, after) {
            after = Some(id);
            self.expire_if_due(key.db, &key.key);
            let kind = self.databases.get(key.db).get(&key.key).map(Entry::kind);
            if kind.is_none() && !self.effects.waits.some_want_groups() {
                return;
            }
            let waiter = self.effects.waits.get(id);
            if !waiter.is_some_and(|waiter| is_met(waiter.wants(), kind)) {
                continue;
            }
            if let Some(Waiter::Elsewhere(_)) = waiter {
                if self.effects.waits.begin_turn(id) {
                    self.claim(id);
                }
                return;
            }
            if !self.owner.locks.is_empty() {
                let keys = self.effects.waits.keys(id);
                if keys.iter().any(|key| self.owner.locks.holds_key(&key.key)) {
                    // Its command would miss what is lent away, and those behind it must not have
                    // what is there.
                    let queued = self.lock_keys(&keys, Work::Serve(id, key.clone()));
                    debug_assert!(queued.1.is_none(), "a key is held");
                    return;
                }
            }
            self.serve(id, ends);
        }
    }

    /// All keys of a waiter are locked for it and at home: it is served, and then those behind it
    /// at the key that was ready.
    pub(crate) fn serve_locked(&mut self, id: WaiterId, key: TransactionKey) {
        let mut ends = Vec::new();
        self.serve(id, &mut ends);
        self.answer_behind_all(ends);
        self.effects.waits.push_ready(key, Some(id));
    }

    /// Runs a waiter's command again, and answers it where that was the end of its wait; `ends` are
    /// answers that are to wait.
    fn serve(&mut self, id: WaiterId, ends: &mut Vec<Fenced>) {
        let Some(Waiter::Here(blocked)) = self.effects.waits.get(id) else {
            return;
        };
        let (origin, to, header) = (blocked.origin, blocked.to, blocked.header);
        let args = blocked.args.clone();
        let told = self.effects.journal.told();
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, header.version);
        if !self.execute_for_waiter(header, &args.borrow(), &mut reply) {
            return;
        }
        self.effects.waits.leave(id);
        if self.tells_of_an_end(&encoded) {
            ends.push(Fenced {
                origin,
                to,
                encoded,
            })
        } else {
            let wrote = self.wrote_since(told);
            self.complete(origin, to, encoded, wrote);
        }
    }

    /// Runs a blocked command once more. False where it goes on waiting: it found nothing, or what
    /// it was to have is gone again. An error at another of its keys is its answer.
    pub(crate) fn execute_for_waiter(
        &mut self,
        header: Header,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        self.interrupt_timing();
        let result = self.attempt(header, args, reply);
        if self.effects.wait.take().is_some() {
            return false;
        }
        let index = header.command.index();
        match result {
            Ok(()) => true,
            Err(error) if self.has_what_is_waited_for(header, args) => {
                self.stats.failed(index, &error);
                true
            }
            Err(_) => {
                // It waits on, as if nothing had been.
                self.trace.take_back();
                self.stats.calls[index] -= 1;
                false
            }
        }
    }

    /// Whether some key that a command can be served from holds what it waits for.
    fn has_what_is_waited_for(&self, header: Header, args: &Args<'_>) -> bool {
        let command = header.command.command();
        let keyspace = self.databases.get(header.db);
        let mut found = false;
        let listed = key_positions(command, args, &mut |at, flags| {
            let entry = keyspace.get(&args[at]);
            found |=
                flags.contains(KeyFlags::ACCESS) && is_met(command.waits, entry.map(Entry::kind));
        });
        found && listed.is_ok()
    }

    /// Locks a waiter's keys for it and lends them to its origin.
    fn claim(&mut self, id: WaiterId) {
        let keys = self.effects.waits.keys(id);
        if let (item, Some(_)) = self.lock_keys(&keys, Work::Claim(id)) {
            self.send_claim(item, id);
        }
    }

    /// The keys of a claim are locked.
    pub(crate) fn send_claim(&mut self, item: ItemId, id: WaiterId) {
        let Some(&Waiter::Elsewhere(blocked_id)) = self.effects.waits.get(id) else {
            // It has left meanwhile, and those behind it have their turn.
            return self.unlock(item);
        };
        let keys = self.effects.waits.keys(id);
        let lent = self.check_out_entries(&keys);
        let claim = Claim {
            blocked_id,
            waiter: id,
            item,
            lent,
        };
        self.send(blocked_id.origin, Message::Claim(Box::new(claim)));
    }

    /// On the origin: a shard has keys for one of its blocked commands.
    pub(crate) fn claimed(&mut self, from: ShardId, claim: Claim) {
        match self.coordinator.blocked_ids.get_mut(&claim.blocked_id) {
            Some(blocked_on_several) if !blocked_on_several.trying => {
                blocked_on_several.trying = true;
                let blocked = &blocked_on_several.blocked;
                let (client, header) = (blocked.to.client, blocked.header);
                let args = blocked.args.clone();
                let scopes = self.scopes_of(header, &args.borrow());
                self.begin_retry(client, claim.blocked_id, scopes, Some((from, claim)));
            }
            other => {
                if let Some(blocked_on_several) = other {
                    blocked_on_several.again = true;
                }
                let lent = CheckedOut::Entries(claim.lent);
                let release = Release {
                    end_turn: Some(claim.waiter),
                    ..Release::unused(claim.item, lent)
                };
                self.give_back(from, release);
            }
        }
    }

    /// What a blocked id's command is, for the transaction that tries to serve it.
    pub(crate) fn blocked_command(&self, blocked_id: BlockedId) -> Option<(Header, OwnedArgs)> {
        let blocked = &self.coordinator.blocked_ids.get(&blocked_id)?.blocked;
        Some((blocked.header, blocked.args.clone()))
    }

    /// The transaction has served it: the blocked id is void, and the reply goes out as soon as it
    /// may.
    pub(crate) fn blocked_served(
        &mut self,
        blocked_id: BlockedId,
        commit: Option<CommitId>,
        reply: Vec<u8>,
    ) {
        if let Some(BlockedOnSeveral { blocked, end, .. }) =
            self.coordinator.blocked_ids.remove(&blocked_id)
        {
            if self.tells_of_an_end(&reply) {
                let answer = Fenced {
                    origin: self.id,
                    to: blocked.to,
                    encoded: reply,
                };
                self.after_commit(commit, blocked.to.client, Then::Fenced(answer));
            } else {
                self.answer(commit, blocked.to, reply)
            }
            if let Some((_, task)) = end {
                self.wait_ended(task, false);
            }
        }
    }

    /// The transaction has found nothing.
    pub(crate) fn blocked_not_served(&mut self, blocked_id: BlockedId) {
        let Some(blocked_on_several) = self.coordinator.blocked_ids.get_mut(&blocked_id) else {
            return;
        };
        blocked_on_several.trying = false;
        if let Some((end, task)) = blocked_on_several.end.take() {
            return self.cancel_blocked(blocked_id, end, CancelMode::AfterTry, task);
        }
        if std::mem::take(&mut blocked_on_several.again) {
            blocked_on_several.trying = true;
            let blocked = &blocked_on_several.blocked;
            let (client, header) = (blocked.to.client, blocked.header);
            let args = blocked.args.clone();
            let scopes = self.scopes_of(header, &args.borrow());
            self.begin_retry(client, blocked_id, scopes, None);
        }
    }

    /// All keys of a command, for a transaction.
    pub fn scopes_of(&self, header: Header, args: &Args<'_>) -> Scopes {
        let mut scopes = Scopes::default();
        for key in self.keys_of(header, args) {
            scopes.key(self.slots.owner(&key.key), key);
        }
        scopes
    }

    /// Says whether there was a wait to end, to whoever asks.
    fn wait_ended(&mut self, task: TaskId, ended: bool) {
        if task != TaskId::NONE {
            self.actions.push(Action::WaitEnded(task, ended));
        }
    }

    /// Another shard, or this one, asks to end the wait of one of its connections.
    pub(crate) fn end_wait_for(&mut self, origin: ShardId, asked: &EndWait) {
        let ended = self.end_wait_here(origin, asked.client, asked.end);
        if asked.task != TaskId::NONE {
            self.send(origin, Message::WaitEnded(asked.task, ended));
        }
    }

    /// Ends the wait of a connection that this shard serves. False where there is none.
    pub fn end_wait_here(&mut self, origin: ShardId, client: ClientToken, end: End) -> bool {
        let ended = self.take_out(origin, client, end);
        if !ended && end == End::Gone && self.owner.locks.holds_client(origin, client) {
            // Its command has met a lock. When it has run, it may wait.
            let name = [LockName::Client(origin, client)];
            let later = Work::TakeOut(origin, client);
            let queued = self.owner.locks.enqueue(name, later);
            debug_assert!(queued.1.is_none(), "the client's command is before it");
        }
        ended
    }

    /// Ends the wait of a connection that this shard serves, if it waits.
    pub(crate) fn take_out(&mut self, origin: ShardId, client: ClientToken, end: End) -> bool {
        if let Some(id) = self.effects.waits.of_client(origin, client)
            && let Some(Waiter::Here(blocked)) = self.effects.waits.leave(id)
        {
            self.answer_in_vain(&blocked, end);
            return true;
        }
        false
    }

    /// Ends a wait on several shards. Whoever asks hears whether there was one.
    pub fn cancel_blocked(
        &mut self,
        blocked_id: BlockedId,
        end: End,
        mode: CancelMode,
        task: TaskId,
    ) {
        match self.coordinator.blocked_ids.get_mut(&blocked_id) {
            Some(it) if it.trying && mode == CancelMode::AfterTry => match it.end {
                None => it.end = Some((end, task)),
                Some(_) => self.wait_ended(task, false),
            },
            Some(_) => {
                self.void_blocked(blocked_id, end);
                self.wait_ended(task, true);
            }
            None => self.wait_ended(task, false),
        }
    }

    /// Ends a wait on several shards. A transaction that was to serve it gives all back unused.
    fn void_blocked(&mut self, blocked_id: BlockedId, end: End) {
        let Some(BlockedOnSeveral {
            blocked,
            end: earlier,
            ..
        }) = self.coordinator.blocked_ids.remove(&blocked_id)
        else {
            return;
        };
        let keys = self.keys_of(blocked.header, &blocked.args.borrow());
        let keys: Vec<_> = keys.into_iter().map(|key| key.key).collect();
        for owner in self.slots.owners(&keys) {
            self.send(owner, Message::Leave(Box::new(blocked_id)));
        }
        self.answer_in_vain(&blocked, end);
        if let Some((_, task)) = earlier {
            self.wait_ended(task, false);
        }
    }

    /// On an owner: a blocked id is void.
    pub(crate) fn leave(&mut self, blocked_id: BlockedId) {
        if let Some(id) = self.effects.waits.of_blocked_id(blocked_id) {
            self.effects.waits.leave(id);
        }
    }

    fn answer_in_vain(&mut self, blocked: &Blocked, end: End) {
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, blocked.header.version);
        match end {
            // Whatever the command answers else.
            End::TimedOut => reply.null_array(),
            End::Unblocked => {
                UNBLOCKED.write(&mut reply);
                self.stats
                    .failed(blocked.header.command.index(), &UNBLOCKED);
            }
            // Its place among the replies is free, so that the others can leave.
            End::Gone => {}
        }
        if end != End::Gone {
            self.count_in_vain(blocked.header.command);
        }
        self.complete(blocked.origin, blocked.to, encoded, 0);
    }

    /// Connections of this shard, and commands of others on its keys, that wait.
    pub fn blocked_clients(&self) -> usize {
        self.effects.waits.served_here() + self.coordinator.blocked_ids.len()
    }

    /// Those of them whose time can run out.
    pub fn clients_with_deadline(&self) -> usize {
        let on_several = self.coordinator.blocked_ids.values();
        self.effects.waits.with_deadline()
            + on_several.filter(|it| it.blocked.until.is_some()).count()
    }

    /// When the next one's time is up.
    pub fn next_timeout(&self) -> Option<UnixMillis> {
        let blocked_ids = self.coordinator.blocked_ids.values();
        blocked_ids
            .filter(|blocked_on_several| blocked_on_several.end.is_none())
            .filter_map(|blocked_on_several| blocked_on_several.blocked.until)
            .chain(self.effects.waits.next_deadline())
            .min()
    }

    /// Answers those whose time is up.
    pub fn time_out(&mut self) {
        let now = self.now;
        while let Some(id) = self.effects.waits.timed_out(now) {
            if let Some(Waiter::Here(blocked)) = self.effects.waits.leave(id) {
                self.answer_in_vain(&blocked, End::TimedOut);
            }
        }
        let is_due = |blocked_on_several: &BlockedOnSeveral| {
            blocked_on_several.end.is_none()
                && blocked_on_several
                    .blocked
                    .until
                    .is_some_and(|until| until <= now)
        };
        let due: Vec<BlockedId> = self
            .coordinator
            .blocked_ids
            .iter()
            .filter(|(_, blocked_on_several)| is_due(blocked_on_several))
            .map(|(blocked_id, _)| *blocked_id)
            .collect();
        for blocked_id in due {
            self.cancel_blocked(
                blocked_id,
                End::TimedOut,
                CancelMode::AfterTry,
                TaskId::NONE,
            );
        }
    }
}
