//! Where a command runs: decided on its connection's shard, before anything has happened.

use protocol::args::Args;
use protocol::command::KeyShape;
use protocol::table::CommandId;
use smallvec::SmallVec;

use crate::commands::sort;
use crate::engine::Engine;
use crate::header::{Header, ReplyTo};
use crate::keys::{key_positions, lock_names};
use crate::routing::{Route, ScriptRoute};
use crate::script::outline::Outline;
use crate::slot::ShardId;

impl Engine {
    /// Where the keys of a command are that may have any number.
    pub fn route(&self, command: CommandId, args: &Args<'_>) -> Route {
        let row = command.command();
        if row.shape == KeyShape::One {
            let owner = self.slots.owner(&args[1]);
            return if owner == self.id {
                Route::Here
            } else {
                Route::At(owner)
            };
        }
        if sort::reads_computed_keys(row, args) && !self.has_all_keys() {
            return Route::Anywhere;
        }
        if self.slots.shards() == 1 {
            return Route::Here;
        }
        let positions = key_positions(row, args);
        let owners = positions.iter().map(|&at| self.slots.owner(&args[at]));
        let owners: SmallVec<[ShardId; 16]> = owners.collect();
        match owners.first() {
            None => Route::Here,
            Some(&first) if owners.iter().all(|owner| *owner == first) => {
                if first == self.id {
                    Route::Here
                } else {
                    Route::At(first)
                }
            }
            Some(_) => Route::Several(owners),
        }
    }

    /// Where a script begins, of which its text shows this.
    pub fn route_script(&self, header: Header, args: &Args<'_>, outline: Outline) -> ScriptRoute {
        if outline.asks_whole || (!outline.is_plain && self.owner.locks.holds_all()) {
            return ScriptRoute::Locked;
        }
        match self.route(header.command, args) {
            Route::Here => {}
            Route::At(owner) if outline.is_plain => return ScriptRoute::At(owner),
            Route::At(owner) => return ScriptRoute::Sent(owner),
            _ => return ScriptRoute::Locked,
        }
        let is_free = || {
            let names = lock_names(header.command, args);
            !names.iter().any(|name| self.owner.locks.holds(*name))
        };
        // What is plain waits for its locks as any command does.
        if outline.is_plain || self.owner.locks.is_empty() || is_free() {
            ScriptRoute::Here
        } else {
            ScriptRoute::Locked
        }
    }

    /// Begins a command whose keys are on several shards: divided, where it can be, or as a
    /// transaction on all of them.
    pub fn begin_on_several(
        &mut self,
        to: ReplyTo,
        header: Header,
        args: &Args<'_>,
        owners: SmallVec<[ShardId; 16]>,
    ) {
        if !self.begin_if_divisible(to, header, args, owners) {
            let scopes = self.scopes_of(header, args);
            self.begin_transaction(to, header, args, scopes);
        }
    }
}
