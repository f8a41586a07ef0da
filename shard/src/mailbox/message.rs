//! What shards say to one another.

use protocol::args::OwnedArgs;
use storage::{DbIndex, Entry};

use crate::aof::commits::{Awaited, CommitId};
use crate::aof::journal::TransactionShare;
use crate::blocking::waiting::{Ticket, WaiterId};
use crate::context::Change;
use crate::mailbox::batch::{Batch, ClientToken, Facts, ReplyTo};
use crate::pubsub::publish::Delivery;
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::transaction::divided::{Portion, Ran};
use crate::transaction::exec::Forwarded;
use crate::transaction::locks::ItemId;
use crate::transaction::watch::Watched;
use crate::transaction::world::Lent;

/// One message; each is a pointer, so a ring of them is small.
pub enum Message {
    /// Commands for their owner.
    Requests(Box<Batch>),
    /// The same batch, run.
    Replies(Box<Batch>),
    /// The reply of one command that its batch could not wait for.
    Late(Box<Late>),
    /// A client may go on whose commands were held back.
    Resume(Box<Resume>),
    /// A transaction asks for locks.
    Lock(Box<LockRequest>),
    /// Its locks are granted, and the keys' entries lent.
    Granted(Box<Grant>),
    /// Somebody else holds one of the keys, and it did not want to wait: its request comes back.
    Refused(Box<LockRequest>),
    /// One command that may wait, for its owner.
    Command(Box<Parked>),
    /// An EXEC whose keys are all the receiver's.
    Exec(Box<Forwarded>),
    /// A blocked command's turn has come.
    Claim(Box<Claim>),
    /// The transaction is over: entries come back, locks go.
    Release(Box<Release>),
    /// What an owner has to tell of this transaction is on its way.
    Told(usize),
    /// What one turn has published for the shard's subscribers.
    #[allow(clippy::box_collection)]
    PublishBatch(Box<Vec<Delivery>>),
    /// Work for one shard that is none of the above: what operators ask for.
    Visit(Visit),
}

/// Something to do on a shard.
pub type Visit = Box<dyn FnOnce(&mut Shard) + Send>;

/// A transaction, numbered by the shard that coordinates it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionId {
    pub coordinator: ShardId,
    pub index: usize,
}

/// One key of a transaction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct TransactionKey {
    pub db: DbIndex,
    pub key: Box<[u8]>,
}

pub struct Late {
    pub to: ReplyTo,
    pub reply: Vec<u8>,
    /// The client's further commands are held back: see `dispatch::backpressure`.
    pub holds_back: bool,
}

pub struct Resume {
    pub client: ClientToken,
    /// It is no more: what only reads need not run.
    pub is_gone: bool,
}

pub struct LockRequest {
    pub transaction: TransactionId,
    pub client: ClientToken,
    pub scope: Scope,
    /// Queue where a key is taken. Otherwise refuse, so that a transaction holding locks elsewhere never waits here.
    pub wait: bool,
}

/// What a transaction locks on one shard.
pub enum Scope {
    /// These keys, of which some are watched and must be unchanged.
    Keys {
        keys: Vec<TransactionKey>,
        watched: Vec<Watched>,
    },
    /// All there is.
    Whole {
        watched: Vec<Watched>,
        /// Lent once the shard's log has all in its file that there is to say.
        logged: bool,
    },
    /// The keys of this, which is done where they are.
    Portion(Box<Portion>),
}

impl Scope {
    /// The keys of it that are watched.
    pub fn watched(&self) -> &[Watched] {
        match self {
            Self::Keys { watched, .. } | Self::Whole { watched, .. } => watched,
            Self::Portion(_) => &[],
        }
    }
}

impl Default for Scope {
    /// Nothing: what stands on the coordinator while a shard has been asked.
    fn default() -> Self {
        Self::Keys {
            keys: Vec::new(),
            watched: Vec::new(),
        }
    }
}

pub struct Grant {
    pub transaction: TransactionId,
    /// Nothing is locked where nothing need stay as it is.
    pub item: Option<ItemId>,
    /// As it was asked for.
    pub scope: Scope,
    pub lent: Lending,
    /// No watched key has changed.
    pub unchanged: bool,
    /// It has what is not on disk, and answers wait for that.
    pub behind: bool,
}

/// What goes from an owner to a coordinator and back.
pub enum Lending {
    /// Those of the keys that exist, with their databases.
    Entries(Vec<(DbIndex, Entry)>),
    /// Everything.
    World(Box<Lent>),
    /// Nothing: what is to be done is done by the owner.
    Nothing,
    /// What its portion came to.
    Ran(Ran),
    /// A portion that is to be done now.
    Portion(Box<Portion>),
}

pub struct Release {
    pub item: ItemId,
    pub lent: Lending,
    /// Keys of this shard that the transaction changed.
    pub changes: Vec<Change>,
    /// What this shard's log says of it.
    pub share: Option<Box<TransactionShare>>,
    /// What the answer waits for, though this shard's log says nothing of it: what was lent is to be on disk.
    pub mark: Option<Awaited>,
    /// The command found nothing: it waits for these keys from now on.
    pub enroll: Option<(Ticket, Vec<TransactionKey>)>,
    /// A blocked command waits no longer.
    pub leave: Option<Ticket>,
    /// This waiter has had its turn here.
    pub end_turn: Option<WaiterId>,
    /// The answer waits until this shard has told of the changes whom it tells.
    pub tells: Option<CommitId>,
}

impl Release {
    /// Gives back what was lent as it was.
    pub fn unused(item: ItemId, lent: Lending) -> Self {
        Self {
            item,
            lent,
            changes: Vec::new(),
            share: None,
            mark: None,
            enroll: None,
            leave: None,
            end_turn: None,
            tells: None,
        }
    }

    /// Whether its owner hears of something that others are to be told.
    pub fn has_news(&self) -> bool {
        // What only reads was done before.
        matches!(self.lent, Lending::Portion(_)) || !self.changes.is_empty()
    }
}

/// A key is ready for a blocked command, whose keys on this shard are locked for it and lent.
pub struct Claim {
    pub ticket: Ticket,
    pub waiter: WaiterId,
    pub item: ItemId,
    pub lent: Vec<(DbIndex, Entry)>,
}

/// A command kept until it may run.
pub struct Parked {
    pub origin: ShardId,
    pub to: ReplyTo,
    pub facts: Facts,
    pub args: OwnedArgs,
}

/// What waits in a shard's lock table.
pub enum Work {
    /// A command that met a locked key.
    Command(Box<Parked>),
    /// An EXEC that did, all of whose keys are here.
    Exec(Box<Forwarded>),
    /// A transaction's part.
    Lend(Box<LockRequest>),
    /// The turn of a waiter that its origin serves.
    Claim(WaiterId),
    /// The turn at a key of a waiter that this shard serves, another key of which was lent away.
    Serve(WaiterId, TransactionKey),
    /// Work for this shard that must not see keys lent away.
    Visit(Visit),
}
