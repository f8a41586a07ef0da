//! An EXEC all of whose keys are one other shard's: it runs there in one go, as a single command
//! would.

use protocol::args::OwnedArgs;
use protocol::reply::Version;

use crate::header::{ClientToken, Header, ReplyTo};
use crate::slot::ShardId;
use crate::watch::Watched;

/// An EXEC all of whose keys are another shard's, on its way there.
pub struct Forwarded {
    pub origin: ShardId,
    pub to: ReplyTo,
    pub version: Version,
    pub commands: Vec<(Header, OwnedArgs)>,
    pub watched: Vec<Watched>,
}

impl Forwarded {
    /// The shard of its connection.
    pub fn origin(&self) -> ShardId {
        self.origin
    }

    /// Its connection.
    pub fn client(&self) -> ClientToken {
        self.to.client
    }
}
