//! Keys of commands, with their databases.

use protocol::args::Args;
use storage::DbIndex;

use crate::commands::copy;
use crate::engine::Engine;
use crate::header::{Header, TransactionKey};
use crate::keys::key_positions;

impl Engine {
    /// Whether any key there is can be found on this shard, now.
    pub fn has_all_keys(&self) -> bool {
        self.slots.shards() == 1 && self.owner.locks.is_empty()
    }

    /// Visits the keys that a command works on, with their databases.
    pub(crate) fn each_key(
        &self,
        header: Header,
        args: &Args<'_>,
        visit: &mut impl FnMut(DbIndex, &[u8]),
    ) {
        let command = header.command.command();
        for at in key_positions(command, args) {
            visit(header.db, &args[at]);
        }
        if let Some((at, number)) = copy::other_database(command, args)
            && let (Some(db), Some(key)) = (self.databases.index(number), args.get(at))
        {
            visit(db, key);
        }
    }

    /// The keys that a command works on, with their databases.
    pub fn keys_of(&self, header: Header, args: &Args<'_>) -> Vec<TransactionKey> {
        let command = header.command.command();
        let here = key_positions(command, args)
            .into_iter()
            .map(|at| (header.db, at));
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
