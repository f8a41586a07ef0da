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
use protocol::command::Flags;
use smallvec::SmallVec;

use crate::engine::Engine;
use crate::header::ClientToken;
use crate::keys::lock_names;
use crate::message::{Parked, Resume, Work};
use crate::slot::ShardId;
use crate::transaction::locks::LockName;

/// Bytes of replies that a shard makes for another one's client, or of one batch, before that
/// client is held back.
pub const REPLIES_AT_ONCE_MAX: usize = 256 * 1024;

/// Replies of a connection under way beyond which it does not begin what asks several shards: so
/// many commands may have to run before that.
pub const UNANSWERED_MAX: usize = 16;

/// A reply of a command that waited for a lock beyond which its client is held back. All that wait
/// for one lock run in one go.
const PARKED_REPLY_MAX: usize = 16 * 1024;

/// A connection of another shard.
type Remote = (ShardId, ClientToken);

/// Other shards' connections that are held back here, each with the commands that wait.
#[derive(Default)]
pub struct HeldBack(HashMap<Remote, VecDeque<Parked>, RandomState>);

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
    fn holds(&self, origin: ShardId, client: ClientToken) -> bool {
        self.0.contains_key(&(origin, client))
    }

    /// The command of this connection that is to run next.
    fn next(&mut self, remote: Remote) -> Option<Parked> {
        self.0.get_mut(&remote)?.pop_front()
    }
}

/// How much an owner has answered of one batch.
pub struct Answered {
    /// The length of all replies from which on a client is held back.
    mark: usize,
    held_back: Vec<ClientToken>,
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
    fn note_large(&mut self, bytes: usize, client: ClientToken) -> bool {
        self.mark = bytes + REPLIES_AT_ONCE_MAX;
        self.held_back.push(client);
        true
    }

    /// Who was held back.
    pub fn end(self) -> Vec<ClientToken> {
        self.held_back
    }
}

impl Engine {
    /// Whether a command that has just come waits behind those of its client that are held back.
    /// Behind what waits here for a lock it waits for that.
    #[cold]
    pub(crate) fn is_held_back(&self, origin: ShardId, client: ClientToken) -> bool {
        self.held_back.holds(origin, client) && !self.owner.locks.holds_client(origin, client)
    }

    /// Keeps a command until its client is resumed.
    #[cold]
    pub(crate) fn hold_back(&mut self, parked: Parked) {
        let remote = (parked.origin, parked.to.client);
        self.held_back
            .0
            .entry(remote)
            .or_default()
            .push_back(parked);
    }

    /// Runs a command whose locks are free, unless its client is held back.
    pub(crate) fn run_unlocked(&mut self, parked: Parked) {
        if self.held_back.is_empty() || !self.held_back.holds(parked.origin, parked.to.client) {
            self.run_parked(parked, PARKED_REPLY_MAX);
            return;
        }
        let blocks = parked
            .facts
            .command
            .command()
            .flags
            .contains(Flags::BLOCKING);
        match blocks {
            true => {
                self.run_all_held_back(parked.origin, parked.to.client);
                self.run_parked(parked, PARKED_REPLY_MAX);
            }
            false => self.hold_back(parked),
        }
    }

    /// A client has room again, or has gone.
    pub(crate) fn resume(&mut self, origin: ShardId, resume: &Resume) {
        let remote = (origin, resume.client);
        let mut room = REPLIES_AT_ONCE_MAX;
        while let Some(parked) = self.held_back.next(remote) {
            let writes = parked.facts.command.command().flags.contains(Flags::WRITE);
            if resume.is_gone && !writes {
                continue;
            }
            let bytes = self.run_held_back(parked, room);
            if bytes > room && !resume.is_gone {
                // Its own shard has been told with this reply.
                return;
            }
            room = room.saturating_sub(bytes);
        }
        self.held_back.0.remove(&remote);
    }

    /// Runs the next command of a client that is held back. Returns the length of its reply.
    fn run_held_back(&mut self, parked: Parked, room: usize) -> usize {
        if !self.owner.locks.is_empty() {
            let args = parked.args.borrow();
            let (origin, client) = (parked.origin, parked.to.client);
            if self.meets_lock(origin, client, parked.facts.command, &args) {
                let keys = lock_names(parked.facts.command, &args);
                self.park(parked, &keys);
                return 0;
            }
        }
        let bytes = self.run_or_refuse(parked, room);
        self.serve_ready();
        bytes
    }

    /// Called before something else of a connection than single commands.
    #[inline]
    pub fn let_held_back_go(&mut self, origin: ShardId, client: ClientToken) {
        if !self.held_back.is_empty() {
            self.run_all_held_back(origin, client);
        }
    }

    /// Something comes that may not wait: what is held back of its connection runs before it.
    #[cold]
    pub(crate) fn run_all_held_back(&mut self, origin: ShardId, client: ClientToken) {
        while let Some(parked) = self.held_back.next((origin, client)) {
            let args = parked.args.borrow();
            if self.has_at_home(parked.facts, &args) {
                self.run_or_refuse(parked, usize::MAX);
            } else {
                let keys: SmallVec<[LockName; 8]> = lock_names(parked.facts.command, &args);
                self.park(parked, &keys);
            }
        }
        self.held_back.0.remove(&(origin, client));
    }

    /// The same for what has waited for a lock.
    #[cold]
    pub(crate) fn run_all_held_back_before(&mut self, work: &Work) {
        match work {
            Work::Lend(request) => {
                self.run_all_held_back(request.transaction.coordinator, request.client);
            }
            Work::Exec(exec) => self.run_all_held_back(exec.origin(), exec.client()),
            Work::Command(_)
            | Work::Claim(_)
            | Work::Serve(..)
            | Work::Ready(..)
            | Work::TakeOut(..)
            | Work::Fence(..)
            | Work::Task(_) => {}
        }
    }
}
