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

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;
use storage::{Kind, UnixMillis};

use crate::batch::{ClientToken, Facts, ReplyTo};
use crate::client::Closing;
use crate::error::Error;
use crate::locks::ItemId;
use crate::message::{Claim, Lending, Message, Release, TransactionKey, Visit, Work};
use crate::shard::{Shard, wall_time};
use crate::slot::ShardId;
use crate::transaction::Scopes;
use crate::waiting::{Blocked, Ticket, Wait, Waiter, WaiterId};

/// Sleep of the timer task where nobody's time can run out.
const NOBODY_WAITS: Duration = Duration::from_secs(3600);

/// Where a connection's blocked command waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockedAt {
    /// On the one shard that owns all its keys, if it waits at all and has not just been answered.
    Owner(ShardId),
    /// On several; here is its ticket.
    Ticket(Ticket),
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

/// A blocked command with keys on several shards.
pub struct Ticketed {
    blocked: Blocked,
    /// A transaction is trying to serve it.
    trying: bool,
    /// Another key became ready meanwhile.
    again: bool,
    /// It is to end as soon as that transaction has failed.
    end: Option<End>,
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
        self.stats.uncount(facts.command.index());
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
            // Its client has gone meanwhile: there is nobody to wait for.
            client.borrow_mut().close(Closing::Now);
            return None;
        }
        self.stats.uncount(facts.command.index());
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
            heeds_deletion: blocked.heeds_deletion(),
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
            self.serve_waiters(&key, after);
        }
    }

    /// Serves those who wait for a key here, from behind `after` on.
    fn serve_waiters(&mut self, key: &TransactionKey, mut after: Option<WaiterId>) {
        while let Some(id) = self.effects.waits.next(key, after) {
            after = Some(id);
            let waiter = self.effects.waits.get(id);
            if self.databases.get(key.db).get(&key.key).is_none() {
                if !self.effects.waits.some_heed_deletion() {
                    return;
                }
                if !waiter.is_some_and(Waiter::heeds_deletion) {
                    continue;
                }
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
                    let names = keys.into_iter().map(|key| key.key);
                    let queued = self.lock_keys(names, Work::Serve(id, key.clone()));
                    debug_assert!(queued.1.is_none(), "a key is held");
                    return;
                }
            }
            self.serve(id);
        }
    }

    /// All keys of a waiter are locked for it and at home: it is served, and then those behind it at the key that was ready.
    pub(crate) fn serve_locked(&mut self, id: WaiterId, key: TransactionKey) {
        self.serve(id);
        self.effects.waits.push_ready(key, Some(id));
    }

    /// Runs a waiter's command again, and answers it where that was the end of its wait.
    fn serve(&mut self, id: WaiterId) {
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
        self.complete(origin, to, &encoded);
    }

    /// Runs a blocked command once more. False where it goes on waiting: it found nothing, or a value of another type.
    pub(crate) fn execute_for_waiter(
        &mut self,
        facts: Facts,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        self.interrupt_timing();
        let failed = !self.execute(facts, args, reply);
        let waits = self.effects.wait.take().is_some();
        let is_over = !waits && (!failed || self.is_told_of_failure(facts, args));
        if !is_over {
            self.stats.uncount(facts.command.index());
        }
        is_over
    }

    /// Whether a waiter is answered with the error of its command. A source that holds something else is no error but a reason to go on waiting.
    fn is_told_of_failure(&self, facts: Facts, args: &Args<'_>) -> bool {
        match facts.command.command().name {
            // Its group or its stream is gone.
            "xreadgroup" => true,
            // The destination holds something else.
            "blmove" | "brpoplpush" => self
                .databases
                .get(facts.db)
                .get(&args[1])
                .is_some_and(|source| source.kind() == Kind::List),
            _ => false,
        }
    }

    /// Locks a waiter's keys for it and lends them to its origin.
    fn claim(&mut self, id: WaiterId) {
        let keys = self.effects.waits.keys(id);
        let names = keys.into_iter().map(|key| key.key);
        if let (item, Some(_)) = self.lock_keys(names, Work::Claim(id)) {
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

    /// The transaction has served it: the reply goes out, and the ticket is void.
    pub(crate) fn ticket_served(&mut self, ticket: Ticket, reply: &[u8]) {
        if let Some(ticketed) = self.tickets.remove(&ticket) {
            self.complete(self.id, ticketed.blocked.to, reply);
        }
    }

    /// The transaction has found nothing.
    pub(crate) fn ticket_not_served(&mut self, ticket: Ticket) {
        let Some(ticketed) = self.tickets.get_mut(&ticket) else {
            return;
        };
        ticketed.trying = false;
        if let Some(end) = ticketed.end {
            return self.end_ticket(ticket, end);
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

    /// Ends the wait of one of this shard's connections, wherever it waits.
    pub(crate) fn end_wait(&mut self, client: ClientToken, at: BlockedAt, end: End) {
        let origin = self.id;
        match at {
            BlockedAt::Ticket(ticket) => self.end_ticket(ticket, end),
            BlockedAt::Owner(owner) if owner == origin => self.end_wait_here(origin, client, end),
            BlockedAt::Owner(owner) => {
                let there = move |shard: &mut Shard| shard.end_wait_here(origin, client, end);
                self.send(owner, Message::Visit(Box::new(there)));
            }
        }
    }

    /// Whether a connection's command is known to wait, as far as this shard can tell.
    pub(crate) fn may_be_waiting(&self, client: ClientToken, at: BlockedAt) -> bool {
        match at {
            BlockedAt::Ticket(ticket) => self
                .tickets
                .get(&ticket)
                .is_some_and(|ticketed| ticketed.end.is_none()),
            BlockedAt::Owner(owner) if owner == self.id => {
                self.effects.waits.of_client(owner, client).is_some()
            }
            BlockedAt::Owner(_) => true,
        }
    }

    fn end_wait_here(&mut self, origin: ShardId, client: ClientToken, end: End) {
        if let Some(id) = self.effects.waits.of_client(origin, client)
            && let Some(Waiter::Here(blocked)) = self.effects.waits.leave(id)
        {
            self.answer_in_vain(&blocked, end);
        }
    }

    fn end_ticket(&mut self, ticket: Ticket, end: End) {
        match self.tickets.get_mut(&ticket) {
            None => {}
            Some(ticketed) if ticketed.trying => ticketed.end = Some(end),
            Some(_) => {
                if let Some(Ticketed { blocked, .. }) = self.tickets.remove(&ticket) {
                    let keys = self.keys_of(blocked.facts, &blocked.args.borrow());
                    let keys: Vec<_> = keys.into_iter().map(|key| key.key).collect();
                    for owner in self.slots.owners(&keys) {
                        let leave = move |shard: &mut Shard| shard.leave(ticket);
                        self.send(owner, Message::Visit(Box::new(leave)));
                    }
                    self.answer_in_vain(&blocked, end);
                }
            }
        }
    }

    /// On an owner: a ticket is void.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Some(id) = self.effects.waits.of_ticket(ticket) {
            self.effects.waits.leave(id);
        }
    }

    fn answer_in_vain(&mut self, blocked: &Blocked, end: End) {
        let index = blocked.facts.command.index();
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, blocked.facts.version);
        match end {
            // Whatever the command answers else.
            End::TimedOut => reply.null_array(),
            End::Unblocked => {
                let error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
                error.write(&mut reply);
                self.stats.failed(index, &error);
            }
            End::Gone => return,
        }
        self.stats.calls[index] += 1;
        self.complete(blocked.origin, blocked.to, &encoded);
    }

    /// Connections of this shard, and commands of others on its keys, that wait.
    pub fn blocked_clients(&self) -> usize {
        self.effects.waits.served_here() + self.tickets.len()
    }

    pub(crate) fn wake_timer(&mut self) {
        if let Some(waker) = self.timer_waker.take() {
            waker.wake();
        }
    }

    fn next_timeout(&self) -> Option<UnixMillis> {
        let tickets = self.tickets.values();
        tickets
            .filter(|ticketed| ticketed.end.is_none())
            .filter_map(|ticketed| ticketed.blocked.until)
            .chain(self.effects.waits.next_deadline())
            .chain(self.pause.map(|pause| pause.until))
            .min()
    }

    fn time_out(&mut self) {
        self.begin_turn();
        self.end_pause_if_due();
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
            self.end_ticket(ticket, End::TimedOut);
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
            if registered && shard.timer_waker.is_none() {
                return Poll::Ready(());
            }
            registered = true;
            shard.timer_waker = Some(cx.waker().clone());
            sleep.as_mut().poll(cx)
        })
        .await;
        shard.borrow_mut().timer_waker = None;
        shard.borrow_mut().time_out();
    }
}
