//! What the model consists of: shards, clients with what their origin coordinates for them, and what is on its way between shards.
//!
//! A client's transaction and its wait are kept with the client, since it has one of each at most; that stands for the tables of its origin.

use std::collections::{BTreeSet, VecDeque};

use stateright::semantics::LinearizabilityTester;

use crate::divided::When;
use crate::keyspace::{Call, Element, Key, Keyspace};
use crate::locks::{ItemId, LockTable, Names};
use crate::waits::{WaitTable, WaiterId};

pub type ShardId = usize;
pub type ClientId = usize;

/// A rule of the protocol that a model can do without, to see what it is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Locks keep others out.
    LocksHold,
    /// A lock that is tried on several shards at once does not wait for anybody.
    TriesDoNotWait,
    /// Locks are waited for in the order of the shards, the same for all.
    Ascending,
    /// Who waits for a lock holds none on a higher shard.
    GivesBackBeforeWaiting,
    /// No lock goes before all have come.
    TwoPhases,
    /// Whether a watched key has changed is looked at under its lock.
    ComparedUnderLock,
    /// What a transaction has changed of an owner's keys that owner learns before their lock goes.
    ChangesComeWithRelease,
    /// Who found nothing is enrolled with the release of the locks under which it looked.
    EnrolledWithRelease,
    /// Who is being tried for one key is tried again for another that became ready meanwhile.
    TriedAgain,
    /// A waiter keeps its turn where its try gives the claim back to wait for its locks in order.
    TurnsAreKept,
    /// A waiter whose try has failed gives those behind it their turn.
    TurnsEnd,
    /// A waiter that leaves in its turn gives it to those behind it.
    TurnsAreLeft,
    /// A key that became ready while it is lent is looked at when it is home.
    LookedAtWhenHome,
    /// A claim that its origin has no use for is given back.
    UselessClaimsReturn,
    /// A portion that locks nothing is asked for when all other keys are locked.
    LastComesLast,
    /// What a portion writes at the end is written before its lock goes.
    WrittenUnderLock,
}

/// A blocked command with keys on several shards: its client and the number of the call.
pub type Ticket = (ClientId, usize);

/// How often a key has changed.
pub type Version = u8;

/// Keys that exist, on their way between an owner and a coordinator.
pub type Lent = Vec<(Key, Vec<Element>)>;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LockRequest {
    pub client: ClientId,
    pub names: Names,
    pub keys: Vec<Key>,
    pub wait: bool,
    /// A watched key of this shard, as it was seen.
    pub watched: Option<(Key, Version)>,
    /// It is for a portion of its client's command, which is done where it is.
    pub portion: Option<When>,
    /// Only without [`Rule::ComparedUnderLock`]: what came out when the request came in.
    pub compared: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Release {
    pub item: ItemId,
    pub lent: Lent,
    pub changed: Vec<Key>,
    pub enroll: Option<(Ticket, Vec<Key>)>,
    pub leave: Option<Ticket>,
    pub end_turn: Option<WaiterId>,
    /// What is to be written first.
    pub portion: Option<Call>,
}

impl Release {
    /// Gives back what was lent as it was.
    pub fn unused(item: ItemId, lent: Lent) -> Self {
        Self {
            item,
            lent,
            changed: Vec::new(),
            enroll: None,
            leave: None,
            end_turn: None,
            portion: None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    Lock(LockRequest),
    Granted {
        client: ClientId,
        item: ItemId,
        lent: Lent,
        unchanged: bool,
    },
    Refused(ClientId),
    /// A portion's keys are locked, or it needs no lock; what it has seen so far.
    Ran {
        client: ClientId,
        item: Option<ItemId>,
        ran: Lent,
    },
    /// One client's command whose keys are all the receiver's.
    Command(ClientId, Call),
    Claim {
        ticket: Ticket,
        waiter: WaiterId,
        item: ItemId,
        lent: Lent,
    },
    Release(ClientId, Release),
    /// Only without [`Rule::WrittenUnderLock`].
    Write(ClientId, Release),
    /// A blocked command is over.
    Leave(Ticket),
    /// Only without [`Rule::EnrolledWithRelease`].
    Enroll(Ticket, Vec<Key>),
    /// Only without [`Rule::ChangesComeWithRelease`].
    Changed(Vec<Key>),
}

/// What waits for a lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Work {
    Lend(LockRequest),
    Command(ClientId, Call),
    Claim(WaiterId),
    /// A ready key whose waiters are to be looked at, from behind the given one on.
    Look(Key, Option<WaiterId>),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Shard {
    /// Its own keys, as far as they are at home.
    pub home: Keyspace,
    /// Of its own keys.
    pub versions: Vec<Version>,
    pub locks: LockTable<Work>,
    /// Tries that met a lock and have not been decided.
    pub tries: VecDeque<LockRequest>,
    pub waits: WaitTable,
}

/// One shard's share of a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    pub shard: ShardId,
    pub keys: Vec<Key>,
    pub granted: Option<ItemId>,
    pub lent: Lent,
    pub claimed_by: Option<WaiterId>,
    /// It is done where it is, and when.
    pub portion: Option<When>,
    /// What it has seen there.
    pub seen: Lent,
    /// Only without [`Rule::TwoPhases`]: its lock has gone already.
    pub given_back: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Pass {
    Try {
        missing: usize,
        refused: bool,
    },
    /// This part waits.
    Ordered {
        at: usize,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Transaction {
    pub parts: Vec<Part>,
    pub pass: Pass,
    /// This part is asked for when all others have been granted.
    pub last: Option<usize>,
    /// All watched keys are unchanged, as far as is known.
    pub unchanged: bool,
}

/// A blocked command with keys on several shards, on its origin.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ticketed {
    pub trying: bool,
    pub again: bool,
    /// Its time ran out while it was being tried.
    pub end: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Client {
    /// Calls that have been answered.
    pub answered: usize,
    /// The next has been sent.
    pub calling: bool,
    pub transaction: Option<Transaction>,
    pub ticket: Option<Ticketed>,
    /// The version of the key that it watches.
    pub watched: Option<Version>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub shards: Vec<Shard>,
    pub clients: Vec<Client>,
    /// From each shard to each, itself included.
    pub channels: Vec<VecDeque<Message>>,
    /// What clients have called and seen.
    pub history: LinearizabilityTester<ClientId, Keyspace>,
    /// Elements that have been pushed and not popped, a bit for each.
    pub elements: u32,
    /// Who waited when somebody behind him was served by this key.
    pub overtaken: BTreeSet<(Ticket, Key)>,
    /// Somebody who was overtaken at a key was served by this very key in the end, and not by another that he had been tried for meanwhile.
    pub out_of_order: bool,
}

/// What can happen next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// A client sends its next command.
    Call(ClientId),
    /// A shard handles the next message of another, or of its own.
    Deliver { from: ShardId, to: ShardId },
    /// A shard looks again at the first try that met a lock.
    Decide(ShardId),
    /// A blocked client's time is up.
    TimeOut(ClientId),
}

/// One client: where it is connected and what it calls.
#[derive(Clone, Debug)]
pub struct Script {
    pub origin: ShardId,
    pub calls: Vec<Call>,
    /// Its pops may run out of time, at any moment.
    pub impatient: bool,
}

/// A world to explore.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The owner of each key.
    pub owners: Vec<ShardId>,
    pub shards: usize,
    pub scripts: Vec<Script>,
    /// MSET and MGET are divided among the shards.
    pub divides: bool,
    /// The protocol is followed but for this.
    pub without: Option<Rule>,
}

impl Scenario {
    pub fn follows(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// The lock's name of a key.
    pub fn key_name(&self, key: Key) -> Names {
        if self.follows(Rule::LocksHold) {
            1 << key
        } else {
            0
        }
    }

    /// The lock's name of a client: keeps the order of its commands.
    pub fn client_name(&self, client: ClientId) -> Names {
        1 << (self.owners.len() + client)
    }

    /// The call that a client has sent, or sends next.
    pub fn call(&self, client: ClientId, answered: usize) -> &Call {
        &self.scripts[client].calls[answered]
    }

    pub fn start(&self) -> State {
        let keys = self.owners.len();
        let shard = Shard {
            home: Keyspace::new(keys),
            versions: vec![0; keys],
            locks: LockTable::default(),
            tries: VecDeque::new(),
            waits: WaitTable::default(),
        };
        State {
            shards: vec![shard; self.shards],
            clients: vec![Client::default(); self.scripts.len()],
            channels: vec![VecDeque::new(); self.shards * self.shards],
            history: LinearizabilityTester::new(Keyspace::new(keys)),
            elements: 0,
            overtaken: BTreeSet::new(),
            out_of_order: false,
        }
    }
}
