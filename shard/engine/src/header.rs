//! What travels with a command besides its arguments, and how shards name connections.

use protocol::reply::Version;
use protocol::table::CommandId;
use storage::DbIndex;

use crate::slot::ShardId;

/// A connection as other shards name it. The generation tells a reused place from the connection
/// that was meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientToken {
    pub index: u32,
    pub generation: u32,
}

impl ClientToken {
    /// For what no client asked for.
    pub const NOBODY: Self = Self {
        index: u32::MAX,
        generation: 0,
    };
}

/// A connection as the whole process names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientAddress {
    pub home: ShardId,
    pub token: ClientToken,
}

/// Where a reply goes: a slot of a connection's ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyTo {
    pub client: ClientToken,
    pub seq: u32,
}

/// What is known of a command besides its arguments: looked up once, on the origin.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub command: CommandId,
    pub db: DbIndex,
    pub version: Version,
    pub caller: Caller,
}

impl Header {
    /// That of no command.
    pub(crate) fn of_nobody() -> Self {
        Self {
            command: CommandId::default(),
            db: DbIndex::default(),
            version: Version::default(),
            caller: Caller::NOBODY,
        }
    }
}

/// Who called, as far as a data command may care.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// `CLIENT ID`.
    pub client_id: u64,
    /// The shard whose connection it is, and its place there.
    pub home: ShardId,
    pub index: u32,
    /// `CLIENT NO-TOUCH` is on: look-ups leave the LRU and LFU clocks alone.
    pub no_touch: bool,
    /// What it reads is remembered, and it hears of the next change.
    pub tracks: bool,
    /// A script of it did.
    pub in_script: bool,
    /// It may read keys which the command's arguments do not name.
    pub reads_all_keys: bool,
}

impl Default for Caller {
    fn default() -> Self {
        Self::NOBODY
    }
}

impl Caller {
    /// For what no client has asked for.
    pub const NOBODY: Self = Self {
        client_id: 0,
        home: ShardId::FIRST,
        index: 0,
        no_touch: false,
        tracks: false,
        in_script: false,
        reads_all_keys: true,
    };

    /// The connection, if there is one.
    pub fn address(&self) -> Option<ClientAddress> {
        let token = ClientToken {
            index: self.index,
            generation: self.client_id as u32,
        };
        (self.client_id != 0).then_some(ClientAddress {
            home: self.home,
            token,
        })
    }
}

/// One key of a transaction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct TransactionKey {
    pub db: DbIndex,
    pub key: Box<[u8]>,
}

/// One emptying of databases, by the shard that coordinated it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlushId {
    pub coordinator: ShardId,
    pub number: u64,
}
