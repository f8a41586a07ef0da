//! An EXEC on the one shard of all its keys.

use protocol::reply::Reply;
use smallvec::SmallVec;

use crate::engine::Engine;
use crate::keys::lock_names;
use crate::message::{Message, Work};
use crate::transaction::forwarded::Forwarded;
use crate::transaction::locks::LockName;
use crate::watch::Watched;

impl Engine {
    /// On the owner of all its keys: runs an EXEC, as soon as nobody holds one of them.
    pub(crate) fn run_forwarded(&mut self, exec: Box<Forwarded>) {
        if !self.owner.locks.is_empty() {
            let mut names: SmallVec<[LockName; 8]> = exec
                .watched
                .iter()
                .map(|it| LockName::of_key(&it.key.key))
                .collect();
            for (header, args) in &exec.commands {
                names.extend(lock_names(header.command, &args.borrow()));
            }
            if self.must_queue(exec.origin, exec.to.client, &names) {
                names.push(LockName::Client(exec.origin, exec.to.client));
                let queued = self.owner.locks.enqueue(names, Work::Exec(exec));
                debug_assert!(queued.1.is_none(), "somebody holds a key");
                return;
            }
        }
        self.run_forwarded_now(*exec);
        self.serve_ready();
    }

    /// Runs an EXEC whose keys are free.
    pub(crate) fn run_forwarded_now(&mut self, exec: Forwarded) {
        let mut encoded = Vec::new();
        let told = self.effects.journal.told();
        let mut reply = Reply::new(&mut encoded, exec.version);
        self.interrupt_timing();
        if exec.watched.iter().all(|it| self.is_unchanged(it)) {
            reply.array(exec.commands.len());
            let group = self.effects.journal.begin_group();
            for (header, args) in exec.commands {
                self.execute_at_once(header, &args.borrow(), &mut reply);
            }
            self.effects.journal.end_group(group);
        } else {
            reply.null_array()
        }
        self.interrupt_timing();
        self.unwatch(exec.watched);
        let wrote = self.wrote_since(told);
        self.complete(exec.origin, exec.to, encoded, wrote);
    }

    /// Ends the watch on these keys, wherever they live.
    pub fn unwatch(&mut self, watched: Vec<Watched>) {
        for Watched { key, .. } in watched {
            let owner = self.slots.owner(&key.key);
            if owner == self.id {
                self.effects.watches.unwatch(key.db, &key.key);
            } else {
                self.send(owner, Message::Unwatch(Box::new(key)));
            }
        }
    }
}
