//! What an engine gives back: what is to be done outside, in the order in which it came about.

use protocol::args::OwnedArgs;
use protocol::reply::Version;
use protocol::table::CommandId;
use storage::{DbIndex, Keyspace};

use crate::blocking::waiting::BlockedId;
use crate::header::{ClientToken, ReplyTo};
use crate::journal::LogSwitch;
use crate::message::{LockRequest, Message};
use crate::script::told::Told;
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::commit::Awaited;
use crate::transaction::coordinator::Held;
use crate::transaction::global::Cut;
use crate::transaction::locks::ItemId;

/// A command of the outside that a script has called.
pub struct OutsideCall {
    /// The transaction that waits for its reply.
    pub transaction: usize,
    pub client: ClientToken,
    pub command: CommandId,
    pub args: OwnedArgs,
    pub version: Version,
    pub db: DbIndex,
}

/// One thing to do.
pub enum Action {
    /// Brings a message to a shard, which may be this one.
    Send(ShardId, Message),
    /// Brings a message to a shard behind all replies that were sent there before.
    SendBehindReplies(ShardId, Message),
    /// Brings the reply of a command that was not answered in its turn to its connection.
    Reply {
        origin: ShardId,
        to: ReplyTo,
        reply: Vec<u8>,
        /// The client's further commands are held back: see `backpressure`.
        holds_back: bool,
        /// How much of the journal has the command itself; 0 where it only read, or where its
        /// answer has waited for that.
        wrote: u64,
    },
    /// A command of one of this shard's connections waits for keys of several shards.
    Blocked(ClientToken, BlockedId),
    /// All locks of a transaction are held that the outside runs, which ends it with
    /// [`crate::engine::Engine::commit`]. `unchanged` says that no watched key has changed.
    Ready {
        task: TaskId,
        unchanged: bool,
        held: Box<Held>,
    },
    /// Does what was asked for. Where it stands `under` an item of the lock table, that is unlocked
    /// afterwards with [`crate::engine::Engine::unlock`].
    Run { task: TaskId, under: Option<ItemId> },
    /// Somebody's wait was ended, or was over already.
    WaitEnded(TaskId, bool),
    /// A whole shard is asked for by somebody who reads its log:
    /// [`crate::engine::Engine::check_out_by_message`] is due when that is written.
    CheckOutWhenWritten(ItemId, Box<LockRequest>),
    /// The log has a transaction's record, from byte `begins` to `end` of the journal.
    RecordLogged {
        begins: u64,
        end: u64,
        awaited: Option<Awaited>,
    },
    /// A transaction's answer waits for the log up to this byte of the journal, of which it has
    /// read.
    ReadLogged(Awaited, u64),
    /// The databases that were lent as a whole are back, after the instant of a snapshot perhaps.
    /// Where a new part of the logs begins with that, here is what the part before still lacks.
    CameHome(Option<Cut>, Option<LogSwitch>),
    /// FLUSHALL is over: a snapshot of nothing may have to follow before it is answered.
    Flushed(Option<(ReplyTo, Vec<u8>)>),
    /// What BGSAVE is writing is given up.
    GiveUpDump,
    /// Clients of this shard that have read what has changed hear of it before what follows.
    TellReaders,
    /// Tells people of a command.
    Tell(Told),
    /// A script of this shard has called a command of the outside, and waits for its reply:
    /// [`crate::engine::Engine::answer_script`].
    Outside(Box<OutsideCall>),
    /// A script, or function, has run for long: from now on, or no longer.
    Busy { is_busy: bool, is_function: bool },
    /// Evicting took so many milliseconds.
    Evicted { ms: u64 },
    /// Frees emptied databases, which counts as done lazily or not.
    FreeKeyspaces(Vec<Keyspace>, bool),
    /// Somebody waits until a time: the next one may be nearer now.
    Timer,
    /// A script is to go on when others have had their turn:
    /// [`crate::engine::Engine::go_on_with_scripts`].
    Pause,
    /// There is more to do when the mailbox has been read.
    Turn,
}
