//! Clients that wait, as `shard/src/blocking.rs` serves them.

use crate::keyspace::{Key, Reply};
use crate::locks::ItemId;
use crate::protocol::Step;
use crate::state::{ClientId, Lent, Message, Release, Rule, ShardId, Ticket, Work};
use crate::waits::{Waiter, WaiterId};

impl Step<'_> {
    // On an owner.

    pub fn enroll_elsewhere(&mut self, at: ShardId, ticket: Ticket, keys: Vec<Key>) {
        self.state.shards[at]
            .waits
            .enroll(Waiter::Elsewhere(ticket), keys);
    }

    pub fn serve_ready(&mut self, at: ShardId) {
        while let Some((key, after)) = self.state.shards[at].waits.pop_ready() {
            let name = self.scenario.key_name(key);
            let shard = &mut self.state.shards[at];
            if !shard.locks.holds(name) {
                self.serve_waiters(at, key, after);
            } else if self.scenario.follows(Rule::LookedAtWhenHome) {
                shard.locks.enqueue(name, Work::Look(key, after));
            }
        }
    }

    fn serve_waiters(&mut self, at: ShardId, key: Key, mut after: Option<WaiterId>) {
        while let Some(id) = self.state.shards[at].waits.next(key, after) {
            after = Some(id);
            let shard = &mut self.state.shards[at];
            if shard.home.get(key).is_empty() {
                return;
            }
            match shard.waits.get(id).cloned() {
                Some(Waiter::Here(client, call)) => match self.run_at_home(at, client, &call) {
                    Reply::Popped(None) => {}
                    reply => {
                        self.state.shards[at].waits.leave(id, false);
                        self.complete(client, reply);
                    }
                },
                _ => {
                    if shard.waits.begin_turn(id) {
                        self.claim(at, id);
                    }
                    return;
                }
            }
        }
    }

    /// Locks a waiter's keys for it and lends them to its origin.
    fn claim(&mut self, at: ShardId, id: WaiterId) {
        let keys = self.state.shards[at].waits.keys(id);
        let names = keys
            .iter()
            .fold(0, |names, key| names | self.scenario.key_name(*key));
        if let (item, Some(_)) = self.state.shards[at].locks.enqueue(names, Work::Claim(id)) {
            self.send_claim(at, item, id);
        }
    }

    pub fn send_claim(&mut self, at: ShardId, item: ItemId, id: WaiterId) {
        let waits = &self.state.shards[at].waits;
        let Some(Waiter::Elsewhere(ticket)) = waits.get(id).cloned() else {
            return self.unlock(at, item);
        };
        let keys = waits.keys(id);
        let lent = self.lend(at, &keys);
        let claim = Message::Claim {
            ticket,
            waiter: id,
            item,
            lent,
        };
        self.send(at, self.origin(ticket.0), claim);
    }

    pub fn leave(&mut self, at: ShardId, ticket: Ticket) {
        let keeps_turn = !self.scenario.follows(Rule::TurnsAreLeft);
        let waits = &mut self.state.shards[at].waits;
        if let Some(id) = waits.find(|it| *it == Waiter::Elsewhere(ticket)) {
            waits.leave(id, keeps_turn);
        }
    }

    // On the origin.

    /// A shard has keys for a blocked command.
    pub fn claimed(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        waiter: WaiterId,
        item: ItemId,
        lent: Lent,
    ) {
        let (client, call) = ticket;
        let it = &mut self.state.clients[client];
        match it.ticket.as_mut().filter(|_| it.answered == call) {
            Some(ticketed) if !ticketed.trying => {
                ticketed.trying = true;
                let mut parts = self.parts(&self.current(client));
                if let Some(part) = parts.iter_mut().find(|part| part.shard == from) {
                    part.granted = Some(item);
                    part.lent = lent;
                    part.claimed_by = Some(waiter);
                }
                self.begin(client, parts);
            }
            other => {
                if let Some(ticketed) = other {
                    ticketed.again = self.scenario.follows(Rule::TriedAgain);
                }
                if self.scenario.follows(Rule::UselessClaimsReturn) {
                    let mut release = Release::unused(item, lent);
                    release.end_turn =
                        Some(waiter).filter(|_| self.scenario.follows(Rule::TurnsEnd));
                    self.give_back(client, from, release);
                }
            }
        }
    }

    /// The transaction of a blocked command has found nothing.
    pub fn ticket_not_served(&mut self, client: ClientId) {
        let Some(ticketed) = &mut self.state.clients[client].ticket else {
            return;
        };
        ticketed.trying = false;
        if ticketed.end {
            return self.end_ticket(client);
        }
        if std::mem::take(&mut ticketed.again) {
            ticketed.trying = true;
            let parts = self.parts(&self.current(client));
            self.begin(client, parts);
        }
    }

    /// A blocked client's time is up, where that is: on its origin, or on the owner of all its keys.
    pub fn time_out(&mut self, client: ClientId) {
        if self.state.clients[client].ticket.is_some() {
            return self.end_ticket(client);
        }
        let its = |it: &Waiter| matches!(it, Waiter::Here(of, _) if *of == client);
        for at in 0..self.scenario.shards {
            if let Some(id) = self.state.shards[at].waits.find(its) {
                self.state.shards[at].waits.leave(id, false);
                return self.complete(client, Reply::Popped(None));
            }
        }
    }

    fn end_ticket(&mut self, client: ClientId) {
        let it = &mut self.state.clients[client];
        match &mut it.ticket {
            Some(ticketed) if ticketed.trying => ticketed.end = true,
            _ => {
                it.ticket = None;
                let ticket = (client, it.answered);
                let origin = self.origin(client);
                for part in self.parts(&self.current(client)) {
                    self.send(origin, part.shard, Message::Leave(ticket));
                }
                self.complete(client, Reply::Popped(None));
            }
        }
    }

    /// The client gets an element of `key`: was it enrolled there behind somebody who waits on, or has it been overtaken itself?
    pub fn note_order(&mut self, client: ClientId, key: Key) {
        let waits = &self.state.shards[self.scenario.owners[key]].waits;
        let its = |waiter: &Waiter| waiter.client() == client;
        if waits.find(its).is_some() {
            let before = waits.all().take_while(|(waiter, _)| !its(waiter));
            let overtaken = before.filter(|(waiter, keys)| {
                let it = &self.state.clients[waiter.client()];
                let is_current = waiter.call().is_none_or(|call| call == it.answered);
                keys.contains(&key) && it.calling && is_current
            });
            let overtaken = overtaken.map(|(waiter, _)| {
                let of = waiter.client();
                ((of, self.state.clients[of].answered), key)
            });
            self.state.overtaken.extend(overtaken);
        }
        let this = (client, self.state.clients[client].answered);
        self.state.out_of_order |= self.state.overtaken.contains(&(this, key));
        self.state.overtaken.retain(|(ticket, _)| *ticket != this);
    }
}
