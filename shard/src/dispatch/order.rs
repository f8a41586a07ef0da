//! In which order the commands of one pipeline take effect.
//!
//! Those on one shard take effect in the order in which they came: rings and locks keep it. Those on different shards run side by side, and a later one
//! may be first; that is what makes a pipeline over shards cheap. But whoever *hears* of a command must find what its author wrote before it:
//! "SET data, RPUSH ready" in one pipeline is a habit of Redis's users. So a command that may tell others something (it may wake a client that
//! waits, or subscribes) runs only when all earlier writes of its connection to other shards have been answered, as then they have taken effect.
//!
//! Writes of the same shard need not be waited for, so a pipeline that fills one queue costs nothing.

use protocol::args::Args;
use protocol::command::{Command, Flags, KeyShape};
use protocol::table::{COMMANDS, CommandId};

use crate::client::Client;
use crate::client::pending::Pending;
use crate::dispatch::backpressure::UNANSWERED_MAX;
use crate::shard::Shard;
use crate::slot::ShardId;

/// What must have happened before a command runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behind {
    Nothing,
    /// All that its connection sent before, where that is much: it may ask several shards, see
    /// [`backpressure`](crate::dispatch::backpressure).
    Much,
    /// The connection's earlier writes to other shards: it may tell somebody.
    Writes,
    /// All that its connection sent before.
    Everything,
}

/// By the command's place in the table.
static BEHIND: [Behind; COMMANDS.len()] = table();

const fn table() -> [Behind; COMMANDS.len()] {
    let mut behind = [Behind::Nothing; COMMANDS.len()];
    let mut at = 0;
    while at < COMMANDS.len() {
        let name = COMMANDS[at].name.as_bytes();
        if is_one_of(name, EVERYTHING) {
            behind[at] = Behind::Everything;
        } else if is_one_of(name, WRITES) {
            behind[at] = Behind::Writes;
        } else if may_ask_several(&COMMANDS[at]) {
            behind[at] = Behind::Much;
        }
        at += 1;
    }
    behind
}

/// What tells others, whether or not they wait for a key; what tells of others, or of the connection's own writes; and what goes from shard to shard on a
/// way of its own.
const EVERYTHING: &[&str] = &[
    "scan", "publish", "spublish", "slowlog", "latency", "monitor", "waitaof",
];

/// What may put something where somebody waits for it, or wakes him in another way.
const WRITES: &[&str] = &[
    "lpush",
    "lpushx",
    "rpush",
    "rpushx",
    "linsert",
    "lmove",
    "blmove",
    "rpoplpush",
    "brpoplpush",
    "zadd",
    "zincrby",
    "zunionstore",
    "zinterstore",
    "zdiffstore",
    "zrangestore",
    "geoadd",
    "georadius",
    "georadiusbymember",
    "geosearchstore",
    "xadd",
    "xgroup",
    "sort",
    "rename",
    "renamenx",
    "copy",
    "move",
    "restore",
    "client|unblock",
    "client|kill",
    // Of what it holds.
    "exec",
];

/// What asks nobody, though it has no key.
const ALONE: &[&str] = &[
    "ping", "echo", "select", "multi", "discard", "auth", "hello", "reset", "quit",
];

const fn may_ask_several(command: &Command) -> bool {
    let one = matches!(command.shape, KeyShape::One) && !command.flags.contains(Flags::BLOCKING);
    !one && !is_one_of(command.name.as_bytes(), ALONE)
}

/// Whether `name`, or the container of which it is a sub-command, is one of these.
const fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    let mut at = 0;
    while at < names.len() {
        let other = names[at].as_bytes();
        if begins_with(name, other) && (name.len() == other.len() || name[other.len()] == b'|') {
            return true;
        }
        at += 1;
    }
    false
}

const fn begins_with(name: &[u8], start: &[u8]) -> bool {
    let mut at = 0;
    while at < start.len() {
        if at >= name.len() || name[at] != start[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// What a command has to come behind, if nobody listens to every change.
#[inline]
pub fn behind(id: CommandId) -> Behind {
    BEHIND[id.index()]
}

/// A connection's writes that have been sent on, or wait for a lock, and may not have taken effect yet.
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
        &self,
        client: &mut Client,
        id: CommandId,
        args: &Args<'_>,
    ) -> bool {
        match behind(id) {
            Behind::Everything => true,
            _ if client.pending.is_empty() => false,
            Behind::Nothing if !self.effects.notices.is_on() => false,
            Behind::Much | Behind::Writes if self.comes_behind_much(client, id, args) => true,
            _ => self.comes_behind_writes(client, id, args),
        }
    }

    fn comes_behind_much(&self, client: &Client, id: CommandId, args: &Args<'_>) -> bool {
        client.pending.len() > UNANSWERED_MAX && self.asks_several(client, id, args)
    }

    #[cold]
    fn comes_behind_writes(&self, client: &mut Client, id: CommandId, args: &Args<'_>) -> bool {
        let command = id.command();
        let tells = match &client.session.queue {
            Some(queue) => command.name == "exec" && queue.ids().any(|queued| self.tells(queued)),
            None => self.tells(id),
        };
        let owner = match command.shape {
            KeyShape::One => Some(self.slots.owner(&args[1])),
            _ => None,
        };
        tells && client.writes.go_elsewhere(owner, &client.pending)
    }

    /// Whether somebody may hear of what a command does.
    fn tells(&self, id: CommandId) -> bool {
        let writes = id.command().flags.contains(Flags::WRITE);
        let tells = matches!(behind(id), Behind::Writes | Behind::Everything);
        tells || (writes && self.effects.notices.is_on())
    }
}
