//! What engines say to one another.

use protocol::args::OwnedArgs;
use storage::{DbIndex, Entry};

use crate::blocking::ending::End;
use crate::blocking::waiting::{BlockedId, WaiterId};
use crate::effect::EffectList;
use crate::header::{ClientToken, Header, ReplyTo, TransactionKey};
use crate::journal::TransactionRecord;
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::commit::{Awaited, CommitId};
use crate::transaction::divided::{Portion, Ran};
use crate::transaction::forwarded::Forwarded;
use crate::transaction::global::OwnerDatabases;
use crate::transaction::locks::ItemId;
use crate::watch::Watched;

/// One message; each is a pointer or a number, so a ring of them is small.
pub enum Message {
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
    /// A script that began on another shard comes back to that of its connection.
    Script(Box<ScriptBack>),
    /// An EXEC whose keys are all the receiver's.
    Exec(Box<Forwarded>),
    /// A blocked command's turn has come.
    Claim(Box<Claim>),
    /// The transaction is over: entries come back, locks go.
    Release(Box<Release>),
    /// What an owner has to tell of this transaction is on its way.
    Told(usize),
    /// A blocked command of a connection is to wait no longer.
    EndWait(Box<EndWait>),
    /// Whether there was such a command.
    WaitEnded(TaskId, bool),
    /// A blocked command with keys on several shards waits no longer.
    Leave(Box<BlockedId>),
    /// The first half of a fence: see `blocking::fence`.
    FenceFrom(ShardId, u32),
    /// The second half.
    FenceAt(ShardId, u32),
    /// A fence has passed one way.
    FencePassed(u32),
    /// A connection watches this key no longer.
    Unwatch(Box<TransactionKey>),
    /// Somebody has charged this shard with memory: see `eviction`.
    PayDebt,
}

/// A transaction, numbered by the shard that coordinates it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionId {
    pub coordinator: ShardId,
    pub index: usize,
}

/// A connection whose commands an owner has held back goes on.
pub struct Resume {
    pub client: ClientToken,
    /// It is no more: what only reads need not run.
    pub is_gone: bool,
}

/// Ends the wait of a connection on the shard that serves it.
pub struct EndWait {
    pub client: ClientToken,
    pub end: End,
    /// Who asks.
    pub task: TaskId,
}

/// What a transaction asks one shard for.
pub struct LockRequest {
    pub transaction: TransactionId,
    pub client: ClientToken,
    pub scope: Scope,
    /// The shard of the connection; the transaction's own, but for a script that came from another.
    pub home: ShardId,
    /// The transaction runs already and has this item here, which gets these keys besides.
    pub item: Option<ItemId>,
    /// Queue where a key is taken. Otherwise refuse, so that a transaction holding locks elsewhere
    /// never waits here.
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
        /// OwnerDatabases once the shard's log has all in its file that there is to say.
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

/// A shard's answer to a request: its locks are held.
pub struct Grant {
    pub transaction: TransactionId,
    /// Nothing is locked where nothing need stay as it is.
    pub item: Option<ItemId>,
    /// As it was asked for.
    pub scope: Scope,
    pub lent: CheckedOut,
    /// No watched key has changed.
    pub unchanged: bool,
    /// It has what is not on disk, and answers wait for that.
    pub behind: bool,
}

/// What goes from an owner to a coordinator and back.
pub enum CheckedOut {
    /// Those of the keys that exist, with their databases.
    Entries(Vec<(DbIndex, Entry)>),
    /// Everything.
    Databases(Box<OwnerDatabases>),
    /// Nothing: what is to be done is done by the owner.
    Nothing,
    /// What its portion came to.
    Ran(Ran),
    /// A portion that is to be done now.
    Portion(Box<Portion>),
}

/// The end of a transaction on one shard.
pub struct Release {
    pub item: ItemId,
    pub lent: CheckedOut,
    /// What the transaction did to keys of this shard.
    pub effects: EffectList,
    /// What this shard's log says of it.
    pub share: Option<Box<TransactionRecord>>,
    /// What the answer waits for, though this shard's log says nothing of it: what was lent is to
    /// be on disk.
    pub mark: Option<Awaited>,
    /// The command found nothing: it waits for these keys from now on.
    pub enroll: Option<(BlockedId, Vec<TransactionKey>)>,
    /// A blocked command waits no longer.
    pub leave: Option<BlockedId>,
    /// This waiter has had its turn here.
    pub end_turn: Option<WaiterId>,
    /// The answer waits until this shard has told of the effects whom it tells.
    pub tells: Option<CommitId>,
}

impl Release {
    /// Gives back what was lent as it was.
    pub fn unused(item: ItemId, lent: CheckedOut) -> Self {
        Self {
            item,
            lent,
            effects: EffectList::default(),
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
        matches!(self.lent, CheckedOut::Portion(_)) || !self.effects.is_empty()
    }
}

/// A key is ready for a blocked command, whose keys on this shard are locked for it and lent.
pub struct Claim {
    pub blocked_id: BlockedId,
    pub waiter: WaiterId,
    pub item: ItemId,
    pub lent: Vec<(DbIndex, Entry)>,
}

/// A command kept until it may run.
pub struct Parked {
    pub origin: ShardId,
    pub to: ReplyTo,
    pub header: Header,
    pub args: OwnedArgs,
}

/// A script that cannot be run to its end by another shard than that of its connection.
pub struct ScriptBack {
    pub parked: Parked,
    /// It is to have everything.
    pub everything: bool,
}

/// What waits in a shard's lock table.
pub enum Work {
    /// A command that met a locked key.
    Command(Box<Parked>),
    /// An EXEC that did, all of whose keys are here.
    Exec(Box<Forwarded>),
    /// A transaction's part.
    CheckOut(Box<LockRequest>),
    /// The turn of a waiter that its origin serves.
    Claim(WaiterId),
    /// The turn at a key of a waiter that this shard serves, another key of which was lent away.
    Serve(WaiterId, TransactionKey),
    /// A key's waiters, from behind the given one on, are to be tried.
    Ready(TransactionKey, Option<WaiterId>),
    /// A connection is gone whose command has met a lock, after which it may wait.
    TakeOut(ShardId, ClientToken),
    /// A fence that must not pass keys lent away.
    Fence(ShardId, u32),
    /// Something for the outside that must not see keys lent away.
    Task(TaskId),
}
