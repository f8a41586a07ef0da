//! In which order the commands of one pipeline take effect.
//!
//! Those on one shard take effect in the order in which they came: rings and locks keep it. Those
//! on different shards run side by side, and a later one may be first; that is what makes a
//! pipeline over shards cheap. But whoever *hears* of a command must find what its author wrote
//! before it: "SET data, RPUSH ready" in one pipeline is a habit of Redis's users. So a command
//! that may tell others something (it may wake a client that waits, or subscribes) runs only when
//! all earlier writes of its connection to other shards have been answered, as then they have taken
//! effect. Which these are their rows say (`behind`); while there are keyspace notifications every
//! write is one of them. What takes away what somebody waits for (see `blocking::fence`) and what
//! works on whole databases, whose locks wait for all before them, need not be.
//!
//! Invalidations for clients with caches are in order for each key, and not over the keys of
//! several shards: ordered, pipelined SETs over four shards had a third of their throughput while
//! anybody tracked.
//!
//! Writes of the same shard need not be waited for, so a pipeline that fills one queue costs
//! nothing.

use engine::backpressure::UNANSWERED_MAX;
use engine::routing::Route;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::command::{Flags, KeyShape};
use protocol::facts::Behind;
use protocol::table::{COMMANDS, CommandId};

use crate::client::Client;
use crate::client::pending::Pending;
use crate::shard::Shard;

/// What the rows say, by the command's place in the table: close together, since every command is
/// looked up.
static BEHIND: [Behind; COMMANDS.len()] = {
    let mut behind = [Behind::Nothing; COMMANDS.len()];
    let mut at = 0;
    while at < COMMANDS.len() {
        behind[at] = COMMANDS[at].behind;
        at += 1;
    }
    behind
};

/// What a command has to come behind, if nobody listens to every change.
#[inline]
pub fn behind(id: CommandId) -> Behind {
    BEHIND[id.index()]
}

/// A connection's writes that have been sent on, or wait for a lock, and may not have taken effect
/// yet.
#[derive(Clone, Copy, Default)]
pub struct WritesUnderWay {
    /// Where the last of them goes.
    owner: Option<ShardId>,
    /// Some go elsewhere.
    several: bool,
    /// Behind the last of them.
    end: u32,
}

impl WritesUnderWay {
    /// Notes one that has just taken its slot.
    #[inline]
    pub fn note(&mut self, owner: ShardId, pending: &Pending) {
        if pending.is_past(self.end) {
            *self = Self::default();
        }
        self.several |= self.owner.is_some_and(|before| before != owner);
        self.owner = Some(owner);
        self.end = pending.end_seq();
    }

    /// Whether some may not have happened that do not go to `owner`.
    #[inline]
    fn go_elsewhere(&mut self, owner: Option<ShardId>, pending: &Pending) -> bool {
        if pending.is_empty() || pending.is_past(self.end) {
            *self = Self::default();
            return false;
        }
        self.several || (self.owner.is_some() && self.owner != owner)
    }
}

impl Shard {
    /// Whether a command may only run when all its connection sent before has been answered.
    #[inline]
    pub(crate) fn comes_behind_all(
        &mut self,
        client: &mut Client,
        id: CommandId,
        args: &Args<'_>,
    ) -> bool {
        match behind(id) {
            Behind::Everything => true,
            Behind::Script => self.script_comes_behind(client, id, args),
            _ if client.pending.is_empty() => false,
            Behind::Nothing if !self.engine.effects.notices.is_on() => false,
            Behind::Much | Behind::Writes if self.comes_behind_much(client, id, args) => true,
            _ => self.comes_behind_writes(client, id, args),
        }
    }

    fn comes_behind_much(&self, client: &Client, id: CommandId, args: &Args<'_>) -> bool {
        client.pending.len() > UNANSWERED_MAX && self.asks_several(client, id, args)
    }

    /// Whether a script has to: one that may touch any key comes behind all.
    #[cold]
    fn script_comes_behind(&mut self, client: &mut Client, id: CommandId, args: &Args<'_>) -> bool {
        if client.pending.is_empty() || client.session.queue.is_some() {
            return false;
        }
        let header = client.header(id);
        let outline = self.engine.outline_of(header, args);
        if !outline.is_plain {
            return true;
        }
        let owner = match self.engine.route(id, args) {
            Route::Here => Some(self.engine.id),
            Route::At(owner) => Some(owner),
            Route::Several(_) | Route::Anywhere => None,
        };
        let tells = outline.tells || self.engine.effects.notices.is_on();
        tells && client.writes.go_elsewhere(owner, &client.pending)
    }

    #[cold]
    fn comes_behind_writes(&self, client: &mut Client, id: CommandId, args: &Args<'_>) -> bool {
        let command = id.command();
        let tells = match &client.session.queue {
            Some(queue) => command.executes() && queue.ids().any(|queued| self.tells(queued)),
            None => self.tells(id),
        };
        let owner = match command.shape {
            KeyShape::One => Some(self.engine.slots.owner(&args[1])),
            _ => None,
        };
        tells && client.writes.go_elsewhere(owner, &client.pending)
    }

    /// Whether somebody may hear of what a command does.
    fn tells(&self, id: CommandId) -> bool {
        let writes = id.command().flags.contains(Flags::WRITE);
        let tells = matches!(
            behind(id),
            Behind::Writes | Behind::Everything | Behind::Script
        );
        tells || (writes && self.engine.effects.notices.is_on())
    }
}
