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
use protocol::args::Args;
use protocol::command::{Flags, KeyShape};
use protocol::table::CommandId;
use smallvec::SmallVec;

use crate::client::{Client, Closing};
use crate::commands::sort;
use crate::dispatch::{key_positions, lock_names};
use crate::mailbox::batch::{Batch, ClientToken};
use crate::mailbox::message::{Message, Parked, Resume, Work};
use crate::shard::Shard;
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

/// On the owner of the keys.
impl Shard {
    /// Whether a command that has just come waits behind those of its client that are held back.
    /// Behind what waits here for a lock it waits for that.
    #[cold]
    pub(crate) fn is_held_back(&self, origin: ShardId, client: ClientToken) -> bool {
        self.held_back.holds(origin, client) && !self.locks.holds_client(origin, client)
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
        if !self.locks.is_empty() {
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
    pub(crate) fn let_held_back_go(&mut self, origin: ShardId, client: ClientToken) {
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
            Work::Command(_) | Work::Claim(_) | Work::Serve(..) | Work::Visit(_) => {}
        }
    }
}

/// On the connection's own shard.
impl Shard {
    /// Replies of a batch have come.
    pub(crate) fn fold_replies(&mut self, from: ShardId, mut batch: Box<Batch>) {
        let looks = self.clients_held_back > 0 || batch.has_large_replies();
        let held_back = batch.take_held_back();
        match looks {
            false => batch.fold(|to, reply| {
                if let Some(client) = self.client(to.client) {
                    client.borrow_mut().fold(to.seq, reply);
                }
            }),
            true => batch.fold(|to, reply| {
                if let Some(client) = self.client(to.client).cloned() {
                    let client = &mut *client.borrow_mut();
                    client.fold(to.seq, reply);
                    self.look_at_room(client);
                }
            }),
        }
        for client in held_back {
            self.note_held_back(from, client);
        }
        self.recycle(batch);
    }

    /// A connection has got a reply that may be large, or one for which others have waited.
    #[cold]
    pub(crate) fn look_at_room(&mut self, client: &mut Client) {
        self.limit_replies(client);
        self.resume_if_room(client);
    }

    /// Another shard has held a connection back.
    #[cold]
    pub(crate) fn note_held_back(&mut self, owner: ShardId, token: ClientToken) {
        let Some(client) = self.client(token).cloned() else {
            return self.send_resume(owner, token, true);
        };
        let client = &mut *client.borrow_mut();
        self.clients_held_back += usize::from(client.held_back_at.is_empty());
        client.held_back_at.push(owner);
        self.settle_output_max(client);
        self.resume_if_room(client);
    }

    /// Lets a connection go on where it is held back, as far as it has room.
    pub(crate) fn resume_if_room(&mut self, client: &mut Client) {
        if client.held_back_at.is_empty() || client.closing == Some(Closing::Now) {
            return;
        }
        let room = self.output_room(client);
        // Whoever pauses the process waits for all that is under way.
        let resumes_all = client.owed_bytes() < room || !self.draining.is_empty();
        if resumes_all {
            return self.resume_everywhere(client, false);
        }
        // What is here may be behind what is not.
        let front = client.pending.front_owner();
        if client.unsent_bytes() < room
            && let Some(at) = client.held_back_at.iter().position(|it| Some(*it) == front)
        {
            let owner = client.held_back_at.swap_remove(at);
            self.send_resume(owner, client.token, false);
            self.settle_held_back(client);
        }
    }

    /// Lets all connections go on that are held back, whether or not they have room.
    pub(crate) fn resume_all_clients(&mut self) {
        if self.clients_held_back == 0 {
            return;
        }
        let all: Vec<_> = self
            .clients
            .iter()
            .map(|(_, it)| it.client.clone())
            .collect();
        for client in all {
            if let Ok(mut client) = client.try_borrow_mut() {
                self.resume_everywhere(&mut client, false);
            }
        }
    }

    /// The same for one connection, which may have gone.
    pub(crate) fn resume_everywhere(&mut self, client: &mut Client, is_gone: bool) {
        if client.held_back_at.is_empty() {
            return;
        }
        for owner in std::mem::take(&mut client.held_back_at) {
            self.send_resume(owner, client.token, is_gone);
        }
        self.settle_held_back(client);
    }

    fn settle_held_back(&mut self, client: &mut Client) {
        self.clients_held_back -= usize::from(client.held_back_at.is_empty());
        self.settle_output_max(client);
        client.wake();
    }

    fn send_resume(&mut self, owner: ShardId, client: ClientToken, is_gone: bool) {
        self.send(owner, Message::Resume(Box::new(Resume { client, is_gone })));
    }

    /// Whether a command asks more than one shard, or may wait: then what its connection has been
    /// held back for runs before it, so that must be little.
    #[cold]
    pub(crate) fn asks_several(&self, client: &Client, id: CommandId, args: &Args<'_>) -> bool {
        let command = id.command();
        if client.session.queue.is_some() && !command.executes() {
            return false;
        }
        match command.shape {
            _ if command.flags.contains(Flags::BLOCKING) => true,
            KeyShape::None => true,
            KeyShape::One => false,
            KeyShape::Range { .. } | KeyShape::Other => {
                let mut owners = key_positions(command, args)
                    .into_iter()
                    .map(|at| self.slots.owner(&args[at]));
                let first = owners.next();
                owners.any(|owner| Some(owner) != first) || sort::reads_computed_keys(command, args)
            }
        }
    }
}
