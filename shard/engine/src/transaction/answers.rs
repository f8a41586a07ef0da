//! When the client of a transaction is answered: when no crash can take any more what it did, and
//! when all have told of it who must.
//!
//! The owners of the keys tell of a change when they hear of it, with the release: subscribers to
//! keyspace events, and clients with caches. Those may be on third shards. Whoever has the reply
//! may ask through a connection there, so the reply waits for the owners' word that all of that has
//! left. That is one more message from each, and only while anybody is to be told.

use slab::Slab;

use crate::blocking::fenced::Fenced;
use crate::header::{ClientToken, ReplyTo};
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::commit::CommitId;

/// What happens once a transaction is durable and told.
pub(crate) enum Then {
    Nothing,
    /// Its client, a connection of that shard, is answered.
    Reply(ShardId, ReplyTo, Vec<u8>),
    /// It is answered after FLUSHALL, which a snapshot may have to follow.
    Flushed(ReplyTo, Vec<u8>),
    /// It is answered behind all that anybody has sent.
    Fenced(Fenced),
    /// Something for the outside.
    Task(TaskId),
    /// One after the other.
    Both(Box<(Then, Then)>),
}

/// An answer that waits.
pub(crate) struct Answer {
    /// Whose it is.
    pub(crate) client: ClientToken,
    /// The transaction changed nothing.
    pub(crate) only_read: bool,
    /// The logs may lose it yet.
    pub(crate) is_at_risk: bool,
    /// Owners that have not told others yet.
    pub(crate) telling: usize,
    pub(crate) then: Then,
}

/// Which owners are asked for their word, while a transaction is released.
pub(crate) struct Telling {
    /// Somebody would hear.
    pub(crate) anybody: bool,
    /// What the answer waits for.
    pub commit: Option<CommitId>,
}

/// Those of one coordinator.
#[derive(Default)]
pub struct Answers(pub(crate) Slab<Answer>);

impl Answers {
    pub(crate) fn begin(&mut self, only_read: bool, is_at_risk: bool) -> usize {
        self.0.insert(Answer {
            client: ClientToken::NOBODY,
            only_read,
            is_at_risk,
            telling: 0,
            then: Then::Nothing,
        })
    }

    pub(crate) fn of(&mut self, client: ClientToken) -> Option<&mut Answer> {
        let mut all = self.0.iter_mut();
        let found = all.find(|(_, answer)| answer.client == client);
        found.map(|(_, answer)| answer)
    }
}
