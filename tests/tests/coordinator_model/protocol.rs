//! One step of the protocol: what `shard/src/transaction.rs` and the shards' dispatch do, in the model's terms.
//!
//! Where the server's order of two things depends on its turns, the model lets both orders happen: it may do more than the server, not less.
//! Replies of owners reach their clients at once, which only makes real time stricter.

use stateright::semantics::ConsistencyTester;

use crate::keyspace::{Call, Key, Keyspace, Reply};
use crate::locks::{EVERYTHING, ItemId, Names};
use crate::state::{
    Action, ClientId, Lent, LockRequest, Message, Part, Pass, Release, Rule, Scenario, ShardId,
    State, Ticketed, Transaction, Version, Work,
};

/// A state on its way to the next.
pub struct Step<'s> {
    pub scenario: &'s Scenario,
    pub state: State,
}

/// What owners are told at the end of a transaction besides.
enum Ending {
    Plain,
    /// It found nothing and waits from now on.
    Enroll,
    /// It waits no longer.
    Leave,
}

impl Step<'_> {
    pub fn take(&mut self, action: &Action) {
        match *action {
            Action::Call(client) => self.call(client),
            Action::Deliver { from, to } => {
                let message = self.state.channels[from * self.scenario.shards + to].pop_front();
                self.handle(from, to, message.expect("only what is on its way arrives"));
            }
            Action::Decide(shard) => {
                let request = self.state.shards[shard].tries.pop_front();
                let request = request.expect("only what waits is decided");
                if self.is_taken(shard, &request) {
                    self.send(
                        shard,
                        self.origin(request.client),
                        Message::Refused(request.client),
                    )
                } else {
                    self.take_locks(shard, request)
                }
            }
            Action::TimeOut(client) => self.time_out(client),
        }
    }

    fn handle(&mut self, from: ShardId, at: ShardId, message: Message) {
        match message {
            Message::Lock(request) => self.lock(at, request),
            Message::Granted {
                client,
                item,
                lent,
                unchanged,
            } => {
                self.transaction(client).unchanged &= unchanged;
                self.granted(from, client, item, lent);
            }
            Message::Refused(client) => {
                let transaction = self.transaction(client);
                let unasked = usize::from(transaction.last.take().is_some());
                if let Pass::Try { missing, refused } = &mut transaction.pass {
                    *missing -= 1 + unasked;
                    *refused = true;
                }
                self.end_try(client);
            }
            Message::Ran { client, item, ran } => self.portion_ran(from, client, item, ran),
            Message::Write(client, release) => self.end_portion(at, client, &release),
            Message::Command(client, call) => self.command(at, client, call),
            Message::Claim {
                ticket,
                waiter,
                item,
                lent,
            } => self.claimed(from, ticket, waiter, item, lent),
            Message::Release(client, release) => self.release(at, client, release),
            Message::Leave(ticket) => self.leave(at, ticket),
            Message::Enroll(ticket, keys) => self.enroll_elsewhere(at, ticket, keys),
            Message::Changed(keys) => self.note_changes(at, &keys),
        }
    }

    pub fn origin(&self, client: ClientId) -> ShardId {
        self.scenario.scripts[client].origin
    }

    pub fn send(&mut self, from: ShardId, to: ShardId, message: Message) {
        self.state.channels[from * self.scenario.shards + to].push_back(message);
    }

    pub fn transaction(&mut self, client: ClientId) -> &mut Transaction {
        let transaction = self.state.clients[client].transaction.as_mut();
        transaction.expect("a transaction under way")
    }

    /// The call that a client waits for the answer of.
    pub fn current(&self, client: ClientId) -> Call {
        self.scenario
            .call(client, self.state.clients[client].answered)
            .clone()
    }

    fn names(&self, client: ClientId, call: &Call, keys: &[Key]) -> Names {
        match call {
            Call::ReadAll if self.scenario.follows(Rule::LocksHold) => EVERYTHING,
            _ => keys
                .iter()
                .fold(self.scenario.client_name(client), |names, key| {
                    names | self.scenario.key_name(*key)
                }),
        }
    }

    fn call(&mut self, client: ClientId) {
        let call = self.current(client);
        self.state.clients[client].calling = true;
        self.state
            .history
            .on_invoke(client, call.clone())
            .expect("one call at a time");
        let origin = self.origin(client);
        let parts = self.parts(&call);
        match &parts[..] {
            [part] if matches!(call, Call::ReadAll) || part.shard == origin => {
                self.command(origin, client, call)
            }
            [part] => self.send(origin, part.shard, Message::Command(client, call)),
            _ if self.is_divided(&call) => self.begin_divided(client, parts),
            _ => self.begin(client, parts),
        }
    }

    /// A command's keys by their owners, in ascending order.
    pub fn parts(&self, call: &Call) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut keys = call.keys(self.scenario.owners.len());
        keys.sort_by_key(|key| (self.scenario.owners[*key], *key));
        keys.dedup();
        for key in keys {
            let shard = self.scenario.owners[key];
            match parts.last_mut() {
                Some(part) if part.shard == shard => part.keys.push(key),
                _ => parts.push(Part {
                    shard,
                    keys: vec![key],
                    granted: None,
                    lent: Vec::new(),
                    claimed_by: None,
                    portion: None,
                    seen: Vec::new(),
                    given_back: false,
                }),
            }
        }
        parts
    }

    /// The client has its answer.
    pub fn complete(&mut self, client: ClientId, reply: Reply) {
        let it = &mut self.state.clients[client];
        it.answered += 1;
        it.calling = false;
        self.state
            .history
            .on_return(client, reply)
            .expect("an answer to a call");
    }

    // On the coordinator.

    pub fn begin(&mut self, client: ClientId, mut parts: Vec<Part>) {
        let origin = self.origin(client);
        if !self.scenario.follows(Rule::Ascending) {
            // Its own first, as it may seem natural.
            parts.sort_by_key(|part| (part.shard != origin, part.shard));
        }
        let missing: Vec<usize> = (0..parts.len())
            .filter(|at| parts[*at].granted.is_none())
            .collect();
        // With one part there is nothing to hold while it waits: it queues at once.
        let wait = parts.len() == 1 && missing.len() == 1;
        self.state.clients[client].transaction = Some(Transaction {
            parts,
            unchanged: true,
            last: None,
            pass: if wait {
                Pass::Ordered { at: 0 }
            } else {
                Pass::Try {
                    missing: missing.len(),
                    refused: false,
                }
            },
        });
        if missing.is_empty() {
            return self.run_transaction(client);
        }
        let wait = wait || !self.scenario.follows(Rule::TriesDoNotWait);
        let shard_of = |step: &mut Self, at: usize| step.transaction(client).parts[at].shard;
        for at in missing.iter().copied() {
            if shard_of(self, at) != origin {
                self.request_locks(client, at, wait);
            }
        }
        for at in missing {
            if shard_of(self, at) == origin {
                self.request_locks(client, at, wait);
            }
        }
    }

    pub fn request_locks(&mut self, client: ClientId, at: usize, wait: bool) {
        let part = &self.transaction(client).parts[at];
        let (shard, keys, portion) = (part.shard, part.keys.clone(), part.portion);
        let names = self.names(client, &self.current(client), &keys);
        let watched = match self.current(client) {
            Call::Exec(_, key, ..) if keys.contains(&key) => self.watched(client, key),
            _ => None,
        };
        let request = LockRequest {
            client,
            names,
            keys,
            wait,
            watched,
            portion,
            compared: None,
        };
        let origin = self.origin(client);
        if shard == origin {
            self.lock(shard, request)
        } else {
            self.send(origin, shard, Message::Lock(request))
        }
    }

    fn granted(&mut self, from: ShardId, client: ClientId, item: ItemId, lent: Lent) {
        let transaction = self.transaction(client);
        let part = transaction.parts.iter_mut().find(|part| part.shard == from);
        let part = part.expect("only a part's shard grants");
        part.granted = Some(item);
        part.lent = lent.clone();
        let is_read = matches!(self.current(client), Call::Read(_) | Call::ReadAll);
        if !self.scenario.follows(Rule::TwoPhases) && is_read {
            let part = self
                .transaction(client)
                .parts
                .iter_mut()
                .find(|part| part.shard == from);
            part.expect("as before").given_back = true;
            self.give_back(client, from, Release::unused(item, lent));
        }
        let transaction = self.transaction(client);
        match &mut transaction.pass {
            Pass::Try { missing, .. } => {
                *missing -= 1;
                self.end_try(client);
            }
            Pass::Ordered { at } => {
                *at += 1;
                let at = *at;
                if at < transaction.parts.len() {
                    self.request_locks(client, at, true)
                } else {
                    self.run_transaction(client)
                }
            }
        }
    }

    pub fn end_try(&mut self, client: ClientId) {
        let is_refused = Pass::Try {
            missing: 0,
            refused: true,
        };
        if self.transaction(client).pass == is_refused {
            let is_portion = |part: &Part| part.portion.is_some();
            if self.transaction(client).parts.iter().any(is_portion) {
                self.join_again(client);
            }
        }
        let gives_back = self.scenario.follows(Rule::GivesBackBeforeWaiting);
        let keeps_turn = self.scenario.follows(Rule::TurnsAreKept);
        let transaction = self.transaction(client);
        match transaction.pass {
            Pass::Try {
                missing: 0,
                refused: false,
            } => self.run_transaction(client),
            Pass::Try {
                missing: 0,
                refused: true,
            } => {
                let first = transaction
                    .parts
                    .iter()
                    .position(|part| part.granted.is_none());
                let first = first.expect("a part has refused");
                let mut back = Vec::new();
                for part in &mut transaction.parts[first..] {
                    if gives_back && let Some(item) = part.granted.take() {
                        let lent = std::mem::take(&mut part.lent);
                        let mut release = Release::unused(item, lent);
                        if !keeps_turn {
                            release.end_turn = part.claimed_by.take();
                        }
                        if !std::mem::take(&mut part.given_back) {
                            back.push((part.shard, release));
                        }
                    }
                }
                if !gives_back {
                    // What it has it keeps, and waits for the rest.
                    transaction.parts.sort_by_key(|part| part.granted.is_none());
                }
                let first = transaction
                    .parts
                    .iter()
                    .position(|part| part.granted.is_none());
                let first = first.expect("a part has refused");
                transaction.pass = Pass::Ordered { at: first };
                for (shard, release) in back {
                    self.give_back(client, shard, release);
                }
                self.request_locks(client, first, true);
            }
            _ => {}
        }
    }

    /// All locks are held: the command runs on what was lent.
    fn run_transaction(&mut self, client: ClientId) {
        let transaction = self.state.clients[client].transaction.take();
        let Transaction {
            parts, unchanged, ..
        } = transaction.expect("it is under way");
        if parts.iter().any(|part| part.portion.is_some()) {
            return self.end_divided(client, parts);
        }
        let call = self.current(client);
        let mut stage = Keyspace::new(self.scenario.owners.len());
        for (key, list) in parts.iter().flat_map(|part| part.lent.iter().cloned()) {
            stage.put(key, list);
        }
        let before = stage.clone();
        let reply = run(&mut stage, &call, unchanged);
        let changed = |key: &Key| stage.get(*key) != before.get(*key);
        let changed: Vec<Key> = (0..self.scenario.owners.len()).filter(changed).collect();
        self.account(client, &call, &reply);
        let found_nothing = reply == Reply::Popped(None);
        match (&self.state.clients[client].ticket, found_nothing) {
            (Some(_), false) => {
                self.strike(client, stage, parts, &changed, &Ending::Leave);
                self.state.clients[client].ticket = None;
                self.complete(client, reply);
            }
            (Some(_), true) => {
                self.strike(client, stage, parts, &changed, &Ending::Plain);
                self.ticket_not_served(client);
            }
            (None, false) => {
                self.strike(client, stage, parts, &changed, &Ending::Plain);
                self.complete(client, reply);
            }
            (None, true) => {
                self.state.clients[client].ticket = Some(Ticketed::default());
                self.strike(client, stage, parts, &changed, &Ending::Enroll);
            }
        }
    }

    /// Keeps account of what was pushed and popped, apart from where the elements are. Called before a waiter that is served leaves.
    fn account(&mut self, client: ClientId, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Push(_, element), _) => self.state.elements |= 1 << element,
            (_, Reply::Popped(Some((key, element)))) => {
                self.state.elements &= !(1 << element);
                self.note_order(client, *key);
            }
            _ => {}
        }
    }

    /// Everything goes home, and the locks are free.
    fn strike(
        &mut self,
        client: ClientId,
        mut stage: Keyspace,
        parts: Vec<Part>,
        changed: &[Key],
        ending: &Ending,
    ) {
        let ticket = (client, self.state.clients[client].answered);
        let origin = self.origin(client);
        for part in parts {
            let Some(item) = part.granted.filter(|_| !part.given_back) else {
                continue;
            };
            let lent = part.keys.iter().map(|key| (*key, stage.take(*key)));
            let mut release =
                Release::unused(item, lent.filter(|(_, list)| !list.is_empty()).collect());
            let changed = part.keys.iter().filter(|key| changed.contains(key));
            let changed: Vec<Key> = changed.copied().collect();
            let later = if self.scenario.follows(Rule::ChangesComeWithRelease) {
                release.changed = changed;
                None
            } else {
                Some(Message::Changed(changed))
            };
            release.end_turn = part
                .claimed_by
                .filter(|_| self.scenario.follows(Rule::TurnsEnd));
            match ending {
                Ending::Plain => {}
                Ending::Leave => release.leave = Some(ticket),
                Ending::Enroll if self.scenario.follows(Rule::EnrolledWithRelease) => {
                    release.enroll = Some((ticket, part.keys.clone()));
                }
                Ending::Enroll => {
                    self.give_back(client, part.shard, release);
                    self.send(origin, part.shard, Message::Enroll(ticket, part.keys));
                    continue;
                }
            }
            self.give_back(client, part.shard, release);
            if let Some(later) = later {
                self.send(origin, part.shard, later);
            }
        }
    }

    pub fn give_back(&mut self, client: ClientId, shard: ShardId, release: Release) {
        let origin = self.origin(client);
        let mut release = release;
        let mut later = None;
        if release.portion.is_some() && !self.scenario.follows(Rule::WrittenUnderLock) {
            later = Some(Message::Write(client, release.clone()));
            release.portion = None;
        }
        if shard == origin {
            self.release(shard, client, release)
        } else {
            self.send(origin, shard, Message::Release(client, release))
        }
        if let Some(later) = later {
            self.send(origin, shard, later);
        }
    }

    // On an owner.

    fn lock(&mut self, at: ShardId, request: LockRequest) {
        if !request.wait && self.is_taken(at, &request) {
            self.state.shards[at].tries.push_back(request)
        } else {
            self.take_locks(at, request)
        }
    }

    fn is_taken(&self, at: ShardId, request: &LockRequest) -> bool {
        self.state.shards[at].locks.holds(request.names)
    }

    fn take_locks(&mut self, at: ShardId, mut request: LockRequest) {
        if !self.scenario.follows(Rule::ComparedUnderLock) {
            request.compared = Some(self.is_unchanged(at, request.watched));
        }
        if let Some(when) = request.portion {
            return self.take_portion(at, when, request);
        }
        let origin = self.origin(request.client);
        let names = request.names;
        let queued = self.state.shards[at]
            .locks
            .enqueue(names, Work::Lend(request));
        if let (item, Some(Work::Lend(request))) = queued {
            let lent = self.lend(at, &request.keys);
            if origin == at {
                let unchanged = self.compare(at, &request);
                self.transaction(request.client).unchanged &= unchanged;
                self.granted(at, request.client, item, lent);
            } else {
                self.send_grant(at, &request, item, lent)
            }
        }
    }

    fn send_grant(&mut self, at: ShardId, request: &LockRequest, item: ItemId, lent: Lent) {
        let client = request.client;
        let grant = Message::Granted {
            client,
            item,
            lent,
            unchanged: self.compare(at, request),
        };
        self.send(at, self.origin(client), grant);
    }

    /// A key that a client watches, as it saw it.
    fn watched(&self, client: ClientId, key: Key) -> Option<(Key, Version)> {
        let version = self.state.clients[client].watched;
        version.map(|version| (key, version))
    }

    fn is_unchanged(&self, at: ShardId, watched: Option<(Key, Version)>) -> bool {
        watched.is_none_or(|(key, version)| self.state.shards[at].versions[key] == version)
    }

    /// Whether what a request watches here is as it was.
    fn compare(&self, at: ShardId, request: &LockRequest) -> bool {
        let now = || self.is_unchanged(at, request.watched);
        request.compared.unwrap_or_else(now)
    }

    /// Keys of this shard have changed: who watches them sees it, who waits for them has his turn.
    fn note_changes(&mut self, at: ShardId, keys: &[Key]) {
        let shard = &mut self.state.shards[at];
        for key in keys {
            shard.versions[*key] += 1;
            shard.waits.note(*key);
        }
    }

    pub fn lend(&mut self, at: ShardId, keys: &[Key]) -> Lent {
        let home = &mut self.state.shards[at].home;
        let lent = keys.iter().map(|key| (*key, home.take(*key)));
        lent.filter(|(_, list)| !list.is_empty()).collect()
    }

    fn release(&mut self, at: ShardId, client: ClientId, release: Release) {
        self.end_portion(at, client, &release);
        let shard = &mut self.state.shards[at];
        for (key, list) in release.lent {
            shard.home.put(key, list);
        }
        self.note_changes(at, &release.changed);
        if let Some((ticket, keys)) = release.enroll {
            self.enroll_elsewhere(at, ticket, keys);
        }
        if let Some(ticket) = release.leave {
            self.leave(at, ticket);
        }
        if let Some(waiter) = release.end_turn {
            self.state.shards[at].waits.end_turn(waiter);
        }
        self.unlock(at, release.item);
    }

    /// Frees an item's locks and lets those go on who waited for them.
    pub fn unlock(&mut self, at: ShardId, item: ItemId) {
        let mut freed = vec![item];
        while let Some(item) = freed.pop() {
            for (item, work) in self.state.shards[at].locks.release(item) {
                match work {
                    Work::Lend(request) => {
                        let lent = self.lend(at, &request.keys);
                        self.send_grant(at, &request, item, lent);
                    }
                    Work::Command(client, call) => {
                        self.execute(at, client, &call);
                        freed.push(item);
                    }
                    Work::Look(key, after) => {
                        self.state.shards[at].waits.push_ready(key, after);
                        freed.push(item);
                    }
                    Work::Claim(waiter) => match self.state.shards[at].waits.get(waiter) {
                        Some(_) => self.send_claim(at, item, waiter),
                        None => freed.push(item),
                    },
                }
            }
        }
        self.serve_ready(at);
    }

    /// A command all of whose keys are here.
    fn command(&mut self, at: ShardId, client: ClientId, call: Call) {
        let keys = call.keys(self.scenario.owners.len());
        let names = self.names(client, &call, &keys);
        let locks = &mut self.state.shards[at].locks;
        if locks.holds(names) {
            locks.enqueue(names, Work::Command(client, call));
            return;
        }
        self.execute(at, client, &call);
        self.serve_ready(at);
    }

    /// Runs a command at home; one that finds nothing waits from now on.
    fn execute(&mut self, at: ShardId, client: ClientId, call: &Call) {
        let reply = self.run_at_home(at, client, call);
        match reply {
            Reply::Popped(None) => {
                let keys = call.keys(self.scenario.owners.len());
                let waiter = crate::waits::Waiter::Here(client, call.clone());
                self.state.shards[at].waits.enroll(waiter, keys);
            }
            reply => self.complete(client, reply),
        }
    }

    /// Runs a command on the keys at home, and notes which have changed.
    pub fn run_at_home(&mut self, at: ShardId, client: ClientId, call: &Call) -> Reply {
        let unchanged = match call {
            Call::Exec(_, key, ..) => self.is_unchanged(at, self.watched(client, *key)),
            _ => true,
        };
        let shard = &mut self.state.shards[at];
        if let Call::Watch(_, key) = call {
            self.state.clients[client].watched = Some(shard.versions[*key]);
        }
        let before = shard.home.clone();
        let reply = run(&mut shard.home, call, unchanged);
        let mut changed = call.keys(self.scenario.owners.len());
        changed.retain(|key| shard.home.get(*key) != before.get(*key));
        self.note_changes(at, &changed);
        self.account(client, call, &reply);
        reply
    }
}

/// Runs a command on the keys that are here; `unchanged` says of EXEC whether what its client watches is.
fn run(keys: &mut Keyspace, call: &Call, unchanged: bool) -> Reply {
    match call {
        Call::Exec(_, _, writes, element) if unchanged => {
            keys.run(&Call::Write(writes.clone(), *element))
        }
        Call::Exec(..) => Reply::Stopped,
        Call::Watch(_, key) => keys.run(&Call::Read(vec![*key])),
        call => keys.run(call),
    }
}
