//! Commands of clients that are held back: see [`crate::backpressure`].

use protocol::command::Flags;
use smallvec::SmallVec;

use crate::backpressure::{PARKED_REPLY_MAX, REPLIES_AT_ONCE_MAX};
use crate::engine::Engine;
use crate::header::ClientToken;
use crate::keys::lock_names;
use crate::message::{Parked, Resume, Work};
use crate::slot::ShardId;
use crate::transaction::locks::LockName;

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
            .header
            .command
            .command()
            .flags
            .contains(Flags::BLOCKING);
        if blocks {
            self.run_all_held_back(parked.origin, parked.to.client);
            self.run_parked(parked, PARKED_REPLY_MAX);
        } else {
            self.hold_back(parked)
        }
    }

    /// A client has room again, or has gone.
    pub(crate) fn resume(&mut self, origin: ShardId, resume: &Resume) {
        let remote = (origin, resume.client);
        let mut room = REPLIES_AT_ONCE_MAX;
        while let Some(parked) = self.held_back.next(remote) {
            let writes = parked.header.command.command().flags.contains(Flags::WRITE);
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
            if self.meets_lock(origin, client, parked.header.command, &args) {
                let keys = lock_names(parked.header.command, &args);
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
            if self.has_at_home(parked.header, &args) {
                self.run_or_refuse(parked, usize::MAX);
            } else {
                let keys: SmallVec<[LockName; 8]> = lock_names(parked.header.command, &args);
                self.park(parked, &keys);
            }
        }
        self.held_back.0.remove(&(origin, client));
    }

    /// Before what has waited for a lock, its client's commands run that are held back.
    #[cold]
    pub(crate) fn run_all_held_back_before(&mut self, work: &Work) {
        match work {
            Work::CheckOut(request) => {
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
