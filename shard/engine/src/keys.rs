//! Which keys a command works on.

use protocol::args::Args;
use protocol::command::Command;
use protocol::keys;
use protocol::table::CommandId;
use smallvec::SmallVec;

use crate::commands::copy;
use crate::engine::Engine;
use crate::header::Facts;
use crate::message::TransactionKey;
use crate::transaction::locks::LockName;

/// What a command locks where it meets a lock.
pub fn lock_names(command: CommandId, args: &Args<'_>) -> SmallVec<[LockName; 8]> {
    let positions = key_positions(command.command(), args).into_iter();
    positions.map(|at| LockName::of_key(&args[at])).collect()
}

/// Where the keys stand among the arguments. A command whose arguments are malformed has none: it runs where it is and says so itself.
pub fn key_positions(command: &'static Command, args: &Args<'_>) -> SmallVec<[usize; 8]> {
    let mut positions = SmallVec::new();
    if keys::key_positions(command, args, &mut |at, _| positions.push(at)).is_err() {
        positions.clear();
    }
    positions
}

impl Engine {
    /// Whether any key there is can be found on this shard, now.
    pub fn has_all_keys(&self) -> bool {
        self.slots.shards() == 1 && self.owner.locks.is_empty()
    }

    /// The keys that a command works on, with their databases.
    pub fn keys_of(&self, facts: Facts, args: &Args<'_>) -> Vec<TransactionKey> {
        let command = facts.command.command();
        let here = key_positions(command, args)
            .into_iter()
            .map(|at| (facts.db, at));
        let there = copy::other_database(command, args)
            .and_then(|(at, db)| Some((self.databases.index(db)?, at)));
        here.chain(there)
            .filter_map(|(db, at)| {
                let key = args.get(at)?.into();
                Some(TransactionKey { db, key })
            })
            .collect()
    }
}
