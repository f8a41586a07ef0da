//! Backpressure: large replies come from another shard a few at a time, as their client has room
//! for them.
//!
//! Commands leave for other shards before anybody knows how long their replies are. An owner runs
//! them until their replies are large together; the connection that got the last of these is *held
//! back* there: its further commands wait in their order, unrun, until the connection's own shard
//! *resumes* it. That shard is told with the reply, runs nothing more of the connection's input
//! meanwhile, and resumes it as long as its output is below its bound. So a client that does not
//! read is owed its bound and what each shard may run at once for it, however much it has asked
//! for; and no shard is busy for long with one client's large replies.
//!
//! What is more than one command (a transaction's locks, an EXEC, a gathering, a blocking command)
//! does not wait behind commands that are held back: those run first, as its connection runs
//! nothing else before it is over. They are few, since such a command begins only while few replies
//! of its connection are under way (see [`UNANSWERED_MAX`]).
//!
//! An owner pays for this with one look at the length of its replies a command, and while nobody is
//! held back with one branch.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::header::ClientToken;
use crate::message::Parked;
use crate::slot::ShardId;

/// Bytes of replies that a shard makes for another one's client, or of one batch, before that
/// client is held back.
pub const REPLIES_AT_ONCE_MAX: usize = 256 * 1024;

/// Replies of a connection under way beyond which it does not begin what asks several shards: so
/// many commands may have to run before that.
pub const UNANSWERED_MAX: usize = 16;

/// A reply of a command that waited for a lock beyond which its client is held back. All that wait
/// for one lock run in one go.
pub(crate) const PARKED_REPLY_MAX: usize = 16 * 1024;

/// A connection of another shard.
pub(crate) type Remote = (ShardId, ClientToken);

/// Other shards' connections that are held back here, each with the commands that wait.
#[derive(Default)]
pub struct HeldBack(pub(crate) HashMap<Remote, VecDeque<Parked>, RandomState>);

impl HeldBack {
    /// Whether nobody is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Commands of this connection run no more, from the next one on.
    #[cold]
    pub fn begin(&mut self, origin: ShardId, client: ClientToken) {
        self.0.entry((origin, client)).or_default();
    }

    /// Whether this connection is held back.
    pub(crate) fn holds(&self, origin: ShardId, client: ClientToken) -> bool {
        self.0.contains_key(&(origin, client))
    }

    /// The command of this connection that is to run next.
    pub(crate) fn next(&mut self, remote: Remote) -> Option<Parked> {
        self.0.get_mut(&remote)?.pop_front()
    }
}

/// How much an owner has answered of one batch.
pub struct Answered {
    /// The length of all replies from which on a client is held back.
    pub(crate) mark: usize,
    pub(crate) held_back: Vec<ClientToken>,
}

impl Default for Answered {
    fn default() -> Self {
        Self {
            mark: REPLIES_AT_ONCE_MAX,
            held_back: Vec::new(),
        }
    }
}

impl Answered {
    /// Looks at the replies behind each command. Returns whether its client is to be held back.
    #[inline]
    pub fn looks_large(&mut self, bytes: usize, client: ClientToken) -> bool {
        bytes > self.mark && self.note_large(bytes, client)
    }

    #[cold]
    pub(crate) fn note_large(&mut self, bytes: usize, client: ClientToken) -> bool {
        self.mark = bytes + REPLIES_AT_ONCE_MAX;
        self.held_back.push(client);
        true
    }

    /// Who was held back.
    pub fn end(self) -> Vec<ClientToken> {
        self.held_back
    }
}
