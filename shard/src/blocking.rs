//! Commands that wait for a key.
//!
//! A command that finds nothing says so ([`crate::context::Context::wait`]) and is enrolled where its keys live, in the same instant in which it looked.
//!
//! - All keys on one shard: that shard serves it. As soon as a command (or a transaction's release) has made a key ready, the waiters of the
//!   key run again, in order, until nothing is left for them: nobody can come in between. Its time runs out there too. So each is answered
//!   by one thread, once.
//! - Keys on several shards: its origin serves it, and each owner keeps a place in the queue for it. When its *turn* comes there, the owner
//!   locks the waiter's keys for it at once and lends them with a *claim*; the origin completes that to a transaction on all keys and runs
//!   the command. Nobody behind it has a turn before its own is over, also where the transaction had to give the locks back and take them in
//!   order. Served or not, the locks go, and those behind it have their turn. An origin that has served the waiter meanwhile, or lost its
//!   connection, gives the claim back unused.
//!
//! Nothing wakes in vain for ever: a failed claim tries those behind it once, and the waiter itself again with the next change.
//! Nothing sleeps for ever: a turn ends with its claim's release or when its waiter leaves, and both make the keys ready for those behind.

pub mod acks;
pub(crate) mod fence;
pub mod waiting;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;
use storage::{Entry, UnixMillis};

use crate::aof::commits::CommitId;
use crate::blocking::fence::Behind;
use crate::blocking::waiting::{Blocked, Ticket, Wait, Waiter, WaiterId, Wants};
use crate::client::Client;
use crate::error::Error;
use crate::mailbox::batch::{ClientToken, Facts, ReplyTo};
use crate::mailbox::message::{Claim, Lending, Message, Release, TransactionKey, Visit, Work};
use crate::shard::{Shard, wall_time};
use crate::slot::ShardId;
use crate::transaction::Scopes;
use crate::transaction::locks::ItemId;

pub(crate) const UNBLOCKED: Error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// Sleep of the timer task where nobody's time can run out.
const NOBODY_WAITS: Duration = Duration::from_secs(3600);

/// Where a connection's blocked command waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockedAt {
    /// On the one shard that owns all its keys, if it waits at all and has not just been answered.
    Owner(ShardId),
    /// On several; here is its ticket.
    Ticket(Ticket),
    /// At no key: for its connection's writes to be safe. This is its number on its own shard.
    Acks(u64),
}

/// How a wait ends that nothing has served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// As if its time were up.
    TimedOut,
    /// CLIENT UNBLOCK id ERROR.
    Unblocked,
    /// The connection is gone.
    Gone,
}

/// When a wait ends that something is about to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Haste {
    /// When that has failed: the element came first.
    None,
    /// Before that. Whoever holds locks himself, as EXEC does, might wait for it in vain.
    AtOnce,
}

impl Haste {
    /// Of a command that a connection calls.
    pub fn of(client: &Client) -> Self {
        match client.session.in_exec {
            true => Self::AtOnce,
            false => Self::None,
        }
    }
}

/// Somebody who wants to know whether a wait was ended, or was over already.
pub type Told = Box<dyn FnOnce(&mut Shard, bool) + Send>;

/// Where nobody wants to know.
pub fn nobody_asks() -> Told {
    Box::new(|_, _| {})
}

/// A blocked command with keys on several shards.
pub struct Ticketed {
    blocked: Blocked,
    /// A transaction is trying to serve it.
    trying: bool,
    /// Another key became ready meanwhile.
    again: bool,
    /// It is to end as soon as that transaction has failed, and who is to be told.
    end: Option<(End, Told)>,
}

impl Shard {
    /// Enrolls a command that has just found nothing, all of whose keys are here.
    pub(crate) fn enroll_here(
        &mut self,
        origin: ShardId,
        to: ReplyTo,
        facts: Facts,
        args: &Args<'_>,
        wait: Wait,
    ) {
        let args = wait.args.unwrap_or_else(|| OwnedArgs::from(args));
        let keys = self.keys_of(facts, &args.borrow());
        let blocked = Blocked {
            origin,
            to,
            facts,
            args,
            until: wait.until,
        };
        self.effects
            .waits
            .enroll(Waiter::Here(Box::new(blocked)), keys);
        self.wake_timer();
    }

    /// Gives a command that has just found nothing on several shards its ticket; the release of its locks enrolls it there.
    pub(crate) fn issue_ticket(
        &mut self,
        to: ReplyTo,
        facts: Facts,
        args: OwnedArgs,
        wait: Wait,
    ) -> Option<Ticket> {
        let client = self.client(to.client)?.clone();
        if client.borrow().closing.is_some() {
            // Its client has gone meanwhile: there is nobody to wait for, and its place among the replies is free.
            self.complete(self.id, to, &[]);
            return None;
        }
        self.last_ticket += 1;
        let blocked = Blocked {
            origin: self.id,
            to,
            facts,
            args: wait.args.unwrap_or(args),
            until: wait.until,
        };
        let ticket = Ticket {
            origin: self.id,
            number: self.last_ticket,
            wants: blocked.wants(),
        };
        client.borrow_mut().blocked = Some(BlockedAt::Ticket(ticket));
        self.tickets.insert(
            ticket,
            Ticketed {
                blocked,
                trying: false,
                again: false,
                end: None,
            },
        );
        self.wake_timer();
        Some(ticket)
    }

    /// Serves whoever waits for keys that became ready. Called when a command or a transaction is over.
    #[inline]
    pub(crate) fn serve_ready(&mut self) {
        if self.effects.waits.has_ready() {
            self.serve_all_ready();
        }
    }

    #[cold]
    fn serve_all_ready(&mut self) {
        // What waits and what it has read before: it hears of the change first, as in Redis, where that can be.
        if self.effects.invalidations.is_for_here() {
            self.tell_readers_here(None);
        }
        let mut ends = Vec::new();
        while let Some((key, after)) = self.effects.waits.pop_ready() {
            if self.locks.holds_key(&key.key) {
                // Lent away: those who wait have their turn when it is home again.
                let name = key.key.clone();
                let later: Visit = Box::new(move |shard: &mut Shard| {
                    shard.effects.waits.push_ready(key, after);
                });
                self.when_home(&[&name], later);
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
        ends: &mut Vec<Behind>,
    ) {
        while let Some(id) = self.effects.waits.next(key, after) {
            after = Some(id);
            self.expire_if_due(key.db, &key.key);
            let kind = self.databases.get(key.db).get(&key.key).map(Entry::kind);
            if kind.is_none() && !self.effects.waits.some_want_groups() {
                return;
            }
            let waiter = self.effects.waits.get(id);
            if !waiter.is_some_and(|waiter| waiter.wants().is_met_by(kind)) {
                continue;
            }
            if let Some(Waiter::Elsewhere(_)) = waiter {
                if self.effects.waits.begin_turn(id) {
                    self.claim(id);
                }
                return;
            }
            if !self.locks.is_empty() {
                let keys = self.effects.waits.keys(id);
                if keys.iter().any(|key| self.locks.holds_key(&key.key)) {
                    // Its command would miss what is lent away, and those behind it must not have what is there.
                    let queued = self.lock_keys(&keys, Work::Serve(id, key.clone()));
                    debug_assert!(queued.1.is_none(), "a key is held");
                    return;
                }
            }
            self.serve(id, ends);
        }
    }

    /// All keys of a waiter are locked for it and at home: it is served, and then those behind it at the key that was ready.
    pub(crate) fn serve_locked(&mut self, id: WaiterId, key: TransactionKey) {
        let mut ends = Vec::new();
        self.serve(id, &mut ends);
        self.answer_behind_all(ends);
        self.effects.waits.push_ready(key, Some(id));
    }

    /// Runs a waiter's command again, and answers it where that was the end of its wait; `ends` are
    /// answers that are to wait.
    fn serve(&mut self, id: WaiterId, ends: &mut Vec<Behind>) {
        let Some(Waiter::Here(blocked)) = self.effects.waits.get(id) else {
            return;
        };
        let (origin, to, facts) = (blocked.origin, blocked.to, blocked.facts);
        let args = blocked.args.clone();
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, facts.version);
        if !self.execute_for_waiter(facts, &args.borrow(), &mut reply) {
            return;
        }
        self.effects.waits.leave(id);
        match self.tells_of_an_end(&encoded) {
            false => self.complete(origin, to, &encoded),
            true => ends.push(Behind {
                origin,
                to,
                encoded,
            }),
        }
    }

    /// Runs a blocked command once more. False where it goes on waiting: it found nothing, or what it was to have is gone again.
    /// An error at another of its keys is its answer.
    pub(crate) fn execute_for_waiter(
        &mut self,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        self.interrupt_timing();
        let result = self.attempt(facts, args, reply);
        if self.effects.wait.take().is_some() {
            return false;
        }
        let index = facts.command.index();
        match result {
            Ok(()) => true,
            Err(error) if self.has_what_is_waited_for(facts, args) => {
                self.stats.failed(index, &error);
                true
            }
            Err(_) => {
                // It waits on, as if nothing had been.
                self.stats.calls[index] -= 1;
                false
            }
        }
    }

    /// Whether some key that a command can be served from holds what it waits for.
    fn has_what_is_waited_for(&self, facts: Facts, args: &Args<'_>) -> bool {
        let command = facts.command.command().name;
        let wants = Wants::of(command);
        let sources = match command {
            "blmove" | "brpoplpush" => 1,
            _ => usize::MAX,
        };
        let mut keys = self.keys_of(facts, args).into_iter().take(sources);
        keys.any(|key| {
            let entry = self.databases.get(key.db).get(&key.key);
            wants.is_met_by(entry.map(Entry::kind))
        })
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
        let Some(&Waiter::Elsewhere(ticket)) = self.effects.waits.get(id) else {
            // It has left meanwhile, and those behind it have their turn.
            return self.unlock(item);
        };
        let keys = self.effects.waits.keys(id);
        let lent = self.lend_entries(&keys);
        let claim = Claim {
            ticket,
            waiter: id,
            item,
            lent,
        };
        self.send(ticket.origin, Message::Claim(Box::new(claim)));
    }

    /// On the origin: a shard has keys for one of its blocked commands.
    pub(crate) fn claimed(&mut self, from: ShardId, claim: Claim) {
        match self.tickets.get_mut(&claim.ticket) {
            Some(ticketed) if !ticketed.trying => {
                ticketed.trying = true;
                let blocked = &ticketed.blocked;
                let (client, facts) = (blocked.to.client, blocked.facts);
                let args = blocked.args.clone();
                let scopes = self.scopes_of(facts, &args.borrow());
                self.begin_retry(client, claim.ticket, scopes, Some((from, claim)));
            }
            other => {
                if let Some(ticketed) = other {
                    ticketed.again = true;
                }
                let lent = Lending::Entries(claim.lent);
                let release = Release {
                    end_turn: Some(claim.waiter),
                    ..Release::unused(claim.item, lent)
                };
                self.give_back(from, release);
            }
        }
    }

    /// What a ticket's command is, for the transaction that tries to serve it.
    pub(crate) fn ticketed_command(&self, ticket: Ticket) -> Option<(Facts, OwnedArgs)> {
        let blocked = &self.tickets.get(&ticket)?.blocked;
        Some((blocked.facts, blocked.args.clone()))
    }

    /// The transaction has served it: the ticket is void, and the reply goes out as soon as it may.
    pub(crate) fn ticket_served(
        &mut self,
        ticket: Ticket,
        commit: Option<CommitId>,
        reply: Vec<u8>,
    ) {
        if let Some(Ticketed { blocked, end, .. }) = self.tickets.remove(&ticket) {
            match self.tells_of_an_end(&reply) {
                false => self.answer(commit, blocked.to, reply),
                true => self.after_commit(commit, blocked.to.client, move |shard| {
                    let answer = Behind {
                        origin: shard.id,
                        to: blocked.to,
                        encoded: reply,
                    };
                    shard.answer_behind_all(vec![answer]);
                }),
            }
            if let Some((_, told)) = end {
                told(self, false);
            }
        }
    }

    /// The transaction has found nothing.
    pub(crate) fn ticket_not_served(&mut self, ticket: Ticket) {
        let Some(ticketed) = self.tickets.get_mut(&ticket) else {
            return;
        };
        ticketed.trying = false;
        if let Some((end, told)) = ticketed.end.take() {
            return self.end_ticket(ticket, end, Haste::None, told);
        }
        if std::mem::take(&mut ticketed.again) {
            ticketed.trying = true;
            let blocked = &ticketed.blocked;
            let (client, facts) = (blocked.to.client, blocked.facts);
            let args = blocked.args.clone();
            let scopes = self.scopes_of(facts, &args.borrow());
            self.begin_retry(client, ticket, scopes, None);
        }
    }

    /// All keys of a command, for a transaction.
    pub(crate) fn scopes_of(&self, facts: Facts, args: &Args<'_>) -> Scopes {
        let mut scopes = Scopes::default();
        for key in self.keys_of(facts, args) {
            scopes.key(self.slots.owner(&key.key), key);
        }
        scopes
    }

    /// Ends the wait of one of this shard's connections, wherever it waits, and tells `then` whether there was one to end.
    pub(crate) fn end_wait(
        &mut self,
        client: ClientToken,
        at: BlockedAt,
        end: End,
        haste: Haste,
        then: Told,
    ) {
        let origin = self.id;
        match at {
            BlockedAt::Ticket(ticket) => self.end_ticket(ticket, end, haste, then),
            BlockedAt::Acks(number) => {
                let ended = self.end_ack_wait(number, end);
                then(self, ended);
            }
            BlockedAt::Owner(owner) if owner == origin && self.own.is_empty() => {
                self.end_wait_here(origin, client, end, then);
            }
            // Behind the command, which may still lie there.
            BlockedAt::Owner(owner) => {
                let there = move |shard: &mut Shard| {
                    let home: Told = Box::new(move |shard, ended| {
                        let home = move |shard: &mut Shard| then(shard, ended);
                        shard.send(origin, Message::Visit(Box::new(home)));
                    });
                    shard.end_wait_here(origin, client, end, home);
                };
                self.send(owner, Message::Visit(Box::new(there)));
            }
        }
    }

    /// The same for several. Does `then` when each has been ended or was over already.
    pub(crate) fn end_waits(
        &mut self,
        waits: Vec<(ClientToken, BlockedAt)>,
        end: End,
        haste: Haste,
        then: impl FnOnce(&mut Shard) + Send + 'static,
    ) {
        // The last who has it has it alone.
        let then = Arc::new(Mutex::new(then));
        for (client, at) in waits {
            let then = then.clone();
            let told = move |shard: &mut Shard, _| shard.do_if_last(then);
            self.end_wait(client, at, end, haste, Box::new(told));
        }
        self.do_if_last(then);
    }

    fn do_if_last(&mut self, then: Arc<Mutex<impl FnOnce(&mut Shard)>>) {
        if let Some(Ok(then)) = Arc::into_inner(then).map(Mutex::into_inner) {
            then(self);
        }
    }

    fn end_wait_here(&mut self, origin: ShardId, client: ClientToken, end: End, then: Told) {
        let ended = self.take_out(origin, client, end);
        if !ended && end == End::Gone && self.locks.holds_client(origin, client) {
            // Its command has met a lock. When it has run, it may wait.
            let later = move |shard: &mut Shard| {
                shard.take_out(origin, client, end);
            };
            self.when_client_is_past(origin, client, Box::new(later));
        }
        then(self, ended);
    }

    /// Ends the wait of a connection that this shard serves, if it waits.
    fn take_out(&mut self, origin: ShardId, client: ClientToken, end: End) -> bool {
        if let Some(id) = self.effects.waits.of_client(origin, client)
            && let Some(Waiter::Here(blocked)) = self.effects.waits.leave(id)
        {
            self.answer_in_vain(&blocked, end);
            return true;
        }
        false
    }

    fn end_ticket(&mut self, ticket: Ticket, end: End, haste: Haste, then: Told) {
        match self.tickets.get_mut(&ticket) {
            Some(it) if it.trying && haste == Haste::None => match it.end {
                None => it.end = Some((end, then)),
                Some(_) => then(self, false),
            },
            Some(_) => {
                self.void_ticket(ticket, end);
                then(self, true);
            }
            None => then(self, false),
        }
    }

    /// Ends a wait on several shards. A transaction that was to serve it gives all back unused.
    fn void_ticket(&mut self, ticket: Ticket, end: End) {
        let Some(Ticketed {
            blocked,
            end: earlier,
            ..
        }) = self.tickets.remove(&ticket)
        else {
            return;
        };
        let keys = self.keys_of(blocked.facts, &blocked.args.borrow());
        let keys: Vec<_> = keys.into_iter().map(|key| key.key).collect();
        for owner in self.slots.owners(&keys) {
            let leave = move |shard: &mut Shard| {
                shard.leave(ticket);
                shard.serve_ready();
            };
            self.send(owner, Message::Visit(Box::new(leave)));
        }
        self.answer_in_vain(&blocked, end);
        if let Some((_, told)) = earlier {
            told(self, false);
        }
    }

    /// On an owner: a ticket is void.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Some(id) = self.effects.waits.of_ticket(ticket) {
            self.effects.waits.leave(id);
        }
    }

    fn answer_in_vain(&mut self, blocked: &Blocked, end: End) {
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, blocked.facts.version);
        match end {
            // Whatever the command answers else.
            End::TimedOut => reply.null_array(),
            End::Unblocked => {
                UNBLOCKED.write(&mut reply);
                self.stats.failed(blocked.facts.command.index(), &UNBLOCKED);
            }
            // Its place among the replies is free, so that the others can leave.
            End::Gone => {}
        }
        if end != End::Gone {
            self.count_in_vain(blocked.facts.command);
        }
        self.complete(blocked.origin, blocked.to, &encoded);
    }

    /// Connections of this shard, and commands of others on its keys, that wait.
    pub fn blocked_clients(&self) -> usize {
        self.effects.waits.served_here() + self.tickets.len() + self.acks.count()
    }

    /// Those of them whose time can run out.
    pub fn clients_with_deadline(&self) -> usize {
        let on_several = self.tickets.values();
        self.effects.waits.with_deadline()
            + on_several.filter(|it| it.blocked.until.is_some()).count()
            + self.acks.with_deadline()
    }

    pub(crate) fn wake_timer(&mut self) {
        self.timer_waker.wake();
    }

    fn next_timeout(&self) -> Option<UnixMillis> {
        let tickets = self.tickets.values();
        tickets
            .filter(|ticketed| ticketed.end.is_none())
            .filter_map(|ticketed| ticketed.blocked.until)
            .chain(self.effects.waits.next_deadline())
            .chain(self.acks.next_deadline())
            .chain(self.pause.map(|pause| pause.until))
            .min()
    }

    fn time_out(&mut self) {
        self.begin_turn();
        self.end_pause_if_due();
        self.time_out_acks();
        let now = self.now;
        while let Some(id) = self.effects.waits.timed_out(now) {
            if let Some(Waiter::Here(blocked)) = self.effects.waits.leave(id) {
                self.answer_in_vain(&blocked, End::TimedOut);
            }
        }
        let is_due = |ticketed: &Ticketed| {
            ticketed.end.is_none() && ticketed.blocked.until.is_some_and(|until| until <= now)
        };
        let due: Vec<Ticket> = self
            .tickets
            .iter()
            .filter(|(_, ticketed)| is_due(ticketed))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in due {
            self.end_ticket(ticket, End::TimedOut, Haste::None, nobody_asks());
        }
    }
}

/// Ends waits when their time is up, to the millisecond; sleeps while nobody waits.
pub async fn run_timer(shard: Rc<RefCell<Shard>>) {
    loop {
        let next = shard.borrow().next_timeout();
        // A deadline is reached when its millisecond has come.
        let wait = next.map_or(NOBODY_WAITS, |until| until.since(wall_time()));
        let mut sleep = pin!(monoio::time::sleep(wait));
        let mut registered = false;
        poll_fn(|cx| {
            let mut shard = shard.borrow_mut();
            if registered && !shard.timer_waker.is_waiting() {
                return Poll::Ready(());
            }
            registered = true;
            shard.timer_waker.register(cx.waker());
            sleep.as_mut().poll(cx)
        })
        .await;
        shard.borrow_mut().timer_waker.cancel();
        shard.borrow_mut().time_out();
    }
}
