//! Commands that each shard does a portion of, as `shard/src/transaction/divided.rs` has them: MSET and MGET in the worlds that divide.
//!
//! A portion that is done as soon as its keys are locked, or last of all, sends home what it saw. One that is done at the end is done here by the
//! coordinator where it is its own, and with the release elsewhere.

use crate::keyspace::{Call, Element, Key, Reply};
use crate::locks::ItemId;
use crate::protocol::Step;
use crate::state::{
    ClientId, Lent, LockRequest, Message, Part, Pass, Release, Rule, ShardId, Transaction, Work,
};

/// When a portion is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum When {
    Locked,
    Released,
    Last,
}

/// The command on some of its keys.
fn portion(call: &Call, keys: &[Key]) -> Call {
    match call {
        Call::Write(_, element) => Call::Write(keys.to_vec(), *element),
        _ => Call::Read(keys.to_vec()),
    }
}

impl Step<'_> {
    /// Whether a call is begun as portions.
    pub fn is_divided(&self, call: &Call) -> bool {
        self.scenario.divides && matches!(call, Call::Write(..) | Call::Read(_))
    }

    pub fn begin_divided(&mut self, client: ClientId, mut parts: Vec<Part>) {
        let origin = self.origin(client);
        let is_of_two = parts.len() == 2 && parts.iter().any(|part| part.shard == origin);
        let reads = matches!(self.current(client), Call::Read(_));
        for part in &mut parts {
            part.portion = Some(match (is_of_two, reads) {
                (true, _) if part.shard != origin => When::Last,
                (false, true) => When::Locked,
                _ => When::Released,
            });
        }
        let missing = parts.len();
        let is_last = |part: &Part| part.portion == Some(When::Last);
        let last = parts.iter().position(is_last);
        let comes_last = self.scenario.follows(Rule::LastComesLast);
        self.state.clients[client].transaction = Some(Transaction {
            parts: parts.clone(),
            pass: Pass::Try {
                missing,
                refused: false,
            },
            last: last.filter(|_| comes_last),
            unchanged: true,
        });
        let (own, others): (Vec<usize>, Vec<usize>) =
            (0..missing).partition(|at| parts[*at].shard == origin);
        for at in others.into_iter().chain(own) {
            if !comes_last || last != Some(at) {
                self.request_locks(client, at, false);
            }
        }
    }

    /// On an owner: a portion's keys are locked for it, or free where it is the last.
    pub fn take_portion(&mut self, at: ShardId, when: When, request: LockRequest) {
        let client = request.client;
        let part = portion(&self.current(client), &request.keys);
        let (item, ran) = match when {
            When::Last => {
                let ran = self.do_portion(at, client, &part);
                self.serve_ready(at);
                (None, ran)
            }
            When::Locked | When::Released => {
                let keys = self.state.shards[at]
                    .locks
                    .enqueue(request.names, Work::Lend(request));
                let (item, work) = keys;
                assert!(work.is_some(), "a portion does not wait");
                let ran = match when {
                    When::Locked => self.do_portion(at, client, &part),
                    _ => Vec::new(),
                };
                (Some(item), ran)
            }
        };
        let origin = self.origin(client);
        if origin == at {
            self.portion_ran(at, client, item, ran)
        } else {
            self.send(at, origin, Message::Ran { client, item, ran })
        }
    }

    /// Runs a portion at home. Returns what it saw.
    fn do_portion(&mut self, at: ShardId, client: ClientId, part: &Call) -> Lent {
        match (part, self.run_at_home(at, client, part)) {
            (Call::Read(keys), Reply::Seen(lists)) => keys.iter().copied().zip(lists).collect(),
            _ => Vec::new(),
        }
    }

    /// On the coordinator.
    pub fn portion_ran(
        &mut self,
        from: ShardId,
        client: ClientId,
        item: Option<ItemId>,
        ran: Lent,
    ) {
        let transaction = self.transaction(client);
        let part = transaction.parts.iter_mut().find(|part| part.shard == from);
        let part = part.expect("only a part's shard answers");
        (part.granted, part.seen) = (item, ran);
        if let Pass::Try { missing, .. } = &mut transaction.pass {
            *missing -= 1;
        }
        match transaction.last.take() {
            Some(last) => self.request_locks(client, last, false),
            None => self.end_try(client),
        }
    }

    /// A shard has refused: all is given back, and the command goes on undivided.
    pub fn join_again(&mut self, client: ClientId) {
        let parts = self.parts(&self.current(client));
        let portions = std::mem::replace(&mut self.transaction(client).parts, parts);
        for part in portions {
            if let Some(item) = part.granted {
                self.give_back(client, part.shard, Release::unused(item, Vec::new()));
            }
        }
    }

    /// All locks are held: what is left to do is done, and the locks go.
    pub fn end_divided(&mut self, client: ClientId, parts: Vec<Part>) {
        let call = self.current(client);
        let origin = self.origin(client);
        let mut seen: Lent = Vec::new();
        let mut releases = Vec::new();
        for part in parts {
            let its = portion(&call, &part.keys);
            seen.extend(part.seen);
            let is_left = part.portion == Some(When::Released);
            if is_left && part.shard == origin {
                seen.extend(self.do_portion(origin, client, &its));
            }
            if let Some(item) = part.granted {
                let mut release = Release::unused(item, Vec::new());
                release.portion = Some(its).filter(|_| is_left && part.shard != origin);
                releases.push((part.shard, release));
            }
        }
        let list = |key: &Key| -> Vec<Element> {
            let found = seen.iter().find(|(of, _)| of == key);
            found.expect("every key is seen").1.clone()
        };
        let reply = match &call {
            Call::Read(keys) => Reply::Seen(keys.iter().map(list).collect()),
            _ => Reply::Done,
        };
        for (shard, release) in releases {
            self.give_back(client, shard, release);
        }
        self.complete(client, reply);
    }

    /// On an owner: what is done with the release.
    pub fn end_portion(&mut self, at: ShardId, client: ClientId, release: &Release) {
        if let Some(part) = &release.portion {
            self.do_portion(at, client, part);
        }
    }
}
