//! A connection as its shard knows it: the session that commands may read and change, the input
//! that waits, the replies that are due.

pub mod attribute;
pub mod close_reason;
pub mod cork;
mod header;
pub mod hold;
pub mod identity;
pub mod output;
pub mod output_limit;
pub mod pending;
pub mod refused_wait;
mod session;
pub mod vectored;

use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use protocol::args::OwnedArgs;
use protocol::command::{Command, Flags};
use protocol::facts::Traits;
use protocol::parse::{LargeArg, Parser};
use protocol::reply::Reply;
use protocol::table::CommandId;

pub use self::session::{ReplyMode, Session};
use crate::aof::gates::Gate;
use crate::blocking::BlockedAt;
use crate::client::close_reason::CloseReason;
use crate::client::cork::Cork;
use crate::client::hold::{CommandHold, OutputHold};
use crate::client::identity::Identity;
use crate::client::output::Chain;
use crate::client::pending::Pending;
use crate::client::refused_wait::RefusedWait;
use crate::client::vectored::Vectored;
use crate::dispatch::order::WritesUnderWay;
use crate::local_waker::LocalWaker;
use crate::tracking::Tracking;
use crate::transaction::exec::{ExecState, Suspended};
use engine::error::Error;
use engine::header::{ClientToken, ReplyTo};
use engine::slot::ShardId;

/// Output a client has not taken yet beyond which its input is no longer run. Replies to a naive
/// client that sends its whole pipeline before it reads must fit here and in the kernel's buffers;
/// one that never reads costs no more than this.
pub const OUTPUT_UNSENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a client is owed that has not authenticated where it must: errors, and no more
/// of them than it reads.
pub const STRANGERS_OUTPUT_BYTES_MAX: usize = 1024;

/// Input that is kept of a connection which may not run it.
const STALLED_INPUT_BYTES_MAX: usize = 256 * 1024;

/// Input that is kept of a client that has not authenticated: as much as its longest argument.
const STRANGERS_INPUT_BYTES_MAX: usize = 16 * 1024;

/// Output that waits for the disk beyond which the input is no longer run: a client that never
/// pauses would push its own replies ahead for ever.
const GATED_BYTES_MAX: usize = 256 * 1024;

/// An output buffer larger than this is not kept for the next reply.
const OUTPUT_KEPT_BYTES_MAX: usize = 64 * 1024;

/// Why a connection is to be closed once its output is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// QUIT, or a protocol error: after the replies before it.
    AfterReplies,
    /// Killed, timed out, over a limit: at once.
    Now,
}

/// What the sending side of a connection is to do next.
pub enum Due {
    /// Write this; the emptied buffer comes back through [`Client::written`].
    Chunk(Vec<u8>),
    /// Write this, which others write too.
    Shared(Bytes),
    /// Write these, one behind the other.
    Vectored(Vectored),
    /// Give up what only a busy connection needs.
    Rest,
    /// Nothing any more: the connection ends.
    End,
}

/// Where the connection comes from.
pub struct Peer {
    /// `ip:port` or the socket's path and `:0`.
    pub address: Box<str>,
    pub local_address: Box<str>,
    pub unix: bool,
    /// The socket, to close it from elsewhere on this shard; the descriptor stays the connection
    /// task's.
    pub socket: i32,
}

/// One connection.
pub struct Client {
    pub token: ClientToken,
    /// Its shard, which sets this when it registers the connection.
    pub home: ShardId,
    pub session: Session,
    pub peer: Peer,
    pub connected_at: Instant,
    /// When it last sent a command, on the shard's clock.
    pub active_at: Instant,
    pub parser: Parser,
    /// Received and not run yet.
    pub input: Vec<u8>,
    /// A large argument of the command in front, on its way in.
    pub large: Option<LargeArg>,
    pub pending: Pending,
    /// Shared with others and not handed to the socket yet: stands in front of `out`.
    pub(crate) chain: Option<Box<Chain>>,
    /// Encoded and not handed to the socket yet.
    pub out: Vec<u8>,
    /// Whether that may wait for what comes behind it.
    pub(crate) cork: Cork,
    /// Why its output may not leave yet.
    pub output_hold: OutputHold,
    /// Unsent output from here on keeps its input from being run. Nothing is run while other shards
    /// hold it back.
    pub(crate) output_max: usize,
    /// Shards that hold its commands back until it has room: see `dispatch::backpressure`.
    pub(crate) held_back_at: Vec<ShardId>,
    /// What was pushed to it in the middle of its own command: comes behind that command's reply.
    pub pushes: Vec<u8>,
    /// Bytes in its output that answer no command, about: see [`Client::push`].
    pub pushed_bytes: usize,
    /// An emptied output buffer, kept for the next write.
    pub(crate) spare: Vec<u8>,
    /// Bytes in the write that is under way.
    pub writing_bytes: usize,
    /// Room of the read that is under way.
    pub reading_bytes: usize,
    /// What it held when that was last counted for `maxmemory-clients`.
    pub weighed_bytes: usize,
    /// Why its next command may not run yet.
    pub command_hold: CommandHold,
    /// The slot of its command that is not finished, where there is one.
    unfinished_seq: u32,
    /// It has been told all that came before its next command.
    pub(crate) has_heard: bool,
    /// Its output may tell of what is not on disk yet: so far the log has to be written before it
    /// leaves.
    pub gated: Option<Gate>,
    /// Writes that may not have taken effect yet.
    pub writes: WritesUnderWay,
    /// The command in front, or the last that ran, comes behind all before it; nothing passes it.
    is_barrier: bool,
    pub closing: Option<Closing>,
    /// The first thing that made the server close it.
    pub close_reason: Option<CloseReason>,
    /// Since when its output is beyond the soft limit.
    pub over_soft_since: Option<Instant>,
    /// Where its command waits, if it may.
    pub blocked: Option<BlockedAt>,
    /// That command: its user may lose the right to it meanwhile.
    pub blocked_command: Option<Box<(CommandId, OwnedArgs)>>,
    /// The user has lost it: the wait ends without a reply, and this comes in its place.
    pub refused_wait: Option<RefusedWait>,
    /// It stands in the line of subscribers that are to be sent to.
    pub in_fanout: bool,
    /// It gets a place there when it is no longer written to.
    pub rejoins_fanout: bool,
    /// It has given back what only a busy connection needs, and is still idle.
    at_rest: bool,
    /// Whether it has an EXEC that is not over.
    pub exec: ExecState,
    /// An EXEC that waits for the reply of one of its commands.
    pub suspended: Option<Box<Suspended>>,
    /// The connection's task.
    waker: LocalWaker,
}

impl Client {
    /// A connection that has just been accepted.
    pub fn new(token: ClientToken, id: u64, peer: Peer, identity: Identity, now: Instant) -> Self {
        Self {
            token,
            home: ShardId::new(0),
            session: Session::new(id, identity),
            peer,
            connected_at: now,
            active_at: now,
            parser: Parser::default(),
            input: Vec::new(),
            large: None,
            pending: Pending::default(),
            chain: None,
            out: Vec::new(),
            cork: Cork::No,
            output_hold: OutputHold::empty(),
            output_max: STRANGERS_OUTPUT_BYTES_MAX,
            held_back_at: Vec::new(),
            pushes: Vec::new(),
            pushed_bytes: 0,
            spare: Vec::new(),
            writing_bytes: 0,
            reading_bytes: 0,
            weighed_bytes: 0,
            command_hold: CommandHold::empty(),
            unfinished_seq: 0,
            has_heard: false,
            gated: None,
            writes: WritesUnderWay::default(),
            is_barrier: false,
            closing: None,
            close_reason: None,
            over_soft_since: None,
            blocked: None,
            blocked_command: None,
            refused_wait: None,
            in_fanout: false,
            rejoins_fanout: false,
            at_rest: false,
            exec: ExecState::None,
            suspended: None,
            waker: LocalWaker::default(),
        }
    }

    /// Writes one reply behind all that are due before it.
    #[inline]
    pub fn reply(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        let version = self.session.version;
        if self.pending.is_empty() {
            write(&mut Reply::new(&mut self.out, version));
        } else {
            self.pending
                .hold(|held| write(&mut Reply::new(held, version)));
        }
    }

    /// Takes a slot for a reply that comes later, or for nothing where the client wants none. A
    /// command of EXEC has that of EXEC.
    pub fn wait(&mut self) -> u32 {
        self.wait_for(self.home)
    }

    /// Takes a slot for a reply that comes from `owner`.
    #[inline]
    fn wait_for(&mut self, owner: ShardId) -> u32 {
        if self.session.in_exec
            && let Some(seq) = self.unfinished()
        {
            return seq;
        }
        let muted = self.next_reply_is_muted();
        self.pending.wait(owner, muted)
    }

    /// Takes a slot for a command that goes to a shard, or waits for a lock of its own.
    #[inline]
    pub fn send_on(&mut self, owner: ShardId, command: &Command) -> ReplyTo {
        let seq = self.wait_for(owner);
        if command.flags.contains(Flags::WRITE) {
            self.writes.note(owner, &self.pending);
        }
        ReplyTo {
            client: self.token,
            seq,
        }
    }

    /// Takes a slot for a command that must finish before the next one may begin.
    pub fn stall(&mut self) -> ReplyTo {
        let seq = self.wait();
        self.unfinished_seq = seq;
        self.command_hold.insert(CommandHold::UNFINISHED);
        ReplyTo {
            client: self.token,
            seq,
        }
    }

    /// Whether the reply of the command that is about to run is to be dropped.
    #[inline]
    pub fn next_reply_is_muted(&self) -> bool {
        matches!(self.session.reply_mode, ReplyMode::Off | ReplyMode::Skip)
    }

    /// Answers a command that was not run.
    #[cold]
    pub fn reply_unless_muted(&mut self, error: &Error) {
        if !self.next_reply_is_muted() {
            self.reply(|reply| error.write(reply));
        }
    }

    /// A command is over, or was refused; nothing where there is no such command. What was on for
    /// just that one ends.
    #[cold]
    pub fn end_of_passing(&mut self, command: Option<&Command>) {
        let is_unfinished = self.unfinished().is_some();
        let session = &mut self.session;
        session.reply_mode = session.reply_mode.after_command();
        // CLIENT CACHING is for what comes behind all commands of CLIENT, which may be a whole
        // transaction.
        let goes_on = session.queue.is_some()
            || command.is_some_and(|command| {
                command.traits.contains(Traits::KEEPS_CACHING)
                    || (command.executes() && is_unfinished)
            });
        if session.caching && !goes_on {
            session.set_caching(false);
        }
    }

    /// Folds a reply that came from elsewhere.
    pub fn fold(&mut self, seq: u32, reply: &[u8]) {
        self.pending.fold(seq, reply, &mut self.out);
        self.wake();
    }

    /// Writes something that answers no command, behind every reply that is here already, those
    /// included that may not leave before others. Commands that have no reply yet do not hold it
    /// up.
    pub fn push(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        let version = self.session.version;
        let mut bytes = 0;
        self.pending.push(&mut self.out, |to| {
            let start = to.len();
            write(&mut Reply::new(to, version));
            bytes = to.len() - start;
        });
        self.pushed_bytes += bytes;
        self.wake();
    }

    /// The slot of the command that has to finish before the next one may begin, if there is one.
    /// Replies of commands before it may still come, and do not end it.
    #[inline]
    pub fn unfinished(&self) -> Option<u32> {
        let is_unfinished = self.command_hold.contains(CommandHold::UNFINISHED);
        is_unfinished.then_some(self.unfinished_seq)
    }

    /// The command for which [`Self::stall`] was called has finished.
    pub fn end_stall(&mut self) {
        self.command_hold.remove(CommandHold::UNFINISHED);
    }

    /// Notes whether the command in front comes behind all that its connection sent before. Returns
    /// whether it has to wait for that.
    #[inline]
    pub fn comes_behind(&mut self, all: bool) -> bool {
        self.is_barrier = all;
        let waits = all && !self.pending.is_empty();
        self.command_hold.set(CommandHold::BEHIND_ALL, waits);
        waits
    }

    /// Looks again at what follows from its replies and its output, before each command. Returns
    /// whether the next command may run now.
    #[inline]
    pub fn settle_commands(&mut self) -> bool {
        let is_answered = self.pending.is_empty();
        let waits_for_log = self.output_hold.contains(OutputHold::DURABILITY);
        let no_room = self.unsent_bytes() >= self.output_max
            || (!is_answered && self.pending.is_full())
            || (waits_for_log && self.out.len() > GATED_BYTES_MAX);
        let behind_all = self.is_barrier && !is_answered;
        self.command_hold.set(CommandHold::NO_ROOM, no_room);
        self.command_hold.set(CommandHold::BEHIND_ALL, behind_all);
        self.may_run()
    }

    /// Whether its next command may run, as of the last [`Self::settle_commands`].
    #[inline]
    pub fn may_run(&self) -> bool {
        self.command_hold.is_empty()
    }

    /// The log has made safe what its output may tell of.
    pub(crate) fn end_durability_wait(&mut self) {
        self.gated = None;
        self.output_hold.remove(OutputHold::DURABILITY);
    }

    /// Output that the socket has not taken.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        self.out.len() + self.writing_bytes + self.chained_bytes()
    }

    /// Output that the socket has not taken, with the replies that wait for others before them.
    #[inline]
    pub fn owed_bytes(&self) -> usize {
        self.unsent_bytes() + self.pending.held_bytes()
    }

    #[inline]
    fn chained_bytes(&self) -> usize {
        self.chain.as_ref().map_or(0, |chain| chain.bytes())
    }

    /// Whether there is output for the socket.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty() || self.chain.as_ref().is_some_and(|chain| !chain.is_empty())
    }

    /// Whether the next command's reply may be written straight into `out`, with nothing to check
    /// on the way.
    #[inline]
    pub fn takes_direct_replies(&self) -> bool {
        self.pending.is_empty() && self.session.reply_mode == ReplyMode::On
    }

    /// What to send or to do instead; pending while there is nothing.
    pub fn next_due(&mut self) -> Poll<Due> {
        if self.closing == Some(Closing::Now) {
            return Poll::Ready(Due::End);
        }
        if self.output_is_due() {
            self.cork = match self.cork {
                Cork::Overdue => Cork::No,
                same => same,
            };
            let due = self.next_of_chain().unwrap_or_else(|| {
                let spare = std::mem::take(&mut self.spare);
                Due::Chunk(std::mem::replace(&mut self.out, spare))
            });
            self.writing_bytes = match &due {
                Due::Chunk(chunk) => chunk.len(),
                Due::Shared(piece) => piece.len(),
                Due::Vectored(pieces) => pieces.len(),
                Due::Rest | Due::End => 0,
            };
            if !self.has_output() {
                self.pushed_bytes = 0;
            }
            self.at_rest = false;
            return Poll::Ready(due);
        }
        match self.closing {
            Some(_) if self.pending.is_empty() && !self.has_output() => Poll::Ready(Due::End),
            None if self.at_rest => Poll::Ready(Due::Rest),
            _ => Poll::Pending,
        }
    }

    /// Whether a connection whose sending side rests must take it up again.
    #[inline]
    pub fn has_work_for_sending(&self) -> bool {
        self.output_is_due() || self.closing.is_some()
    }

    fn output_is_due(&self) -> bool {
        self.output_hold.is_empty() && self.has_output()
    }

    /// Input that is kept while it may not run.
    pub fn stalled_input_max(&self) -> usize {
        if self.session.identity.is_authenticated() {
            STALLED_INPUT_BYTES_MAX
        } else {
            STRANGERS_INPUT_BYTES_MAX
        }
    }

    /// Bytes have arrived for its input. A large argument may have begun while they were read: the
    /// first of them are its own then.
    pub fn take_in(&mut self, chunk: Vec<u8>) {
        if let Some(large) = &mut self.large {
            let (own, behind) = chunk.split_at(chunk.len().min(large.missing()));
            large.buffer().extend_from_slice(own);
            self.input.extend_from_slice(behind);
        } else if self.input.is_empty() {
            self.input = chunk;
        } else {
            self.input.extend_from_slice(&chunk);
        }
    }

    /// Hands the large argument over that is being read, if it is whole.
    pub fn finish_large(&mut self) {
        if let Some(large) = self.large.take_if(|large| large.missing() == 0) {
            self.parser.supply_large(large.finish());
        }
    }

    /// The write is over; gives its buffer back, if it was the connection's own.
    pub fn written(&mut self, chunk: Option<Vec<u8>>) {
        self.writing_bytes = 0;
        if let Some(mut chunk) = chunk
            && chunk.capacity() <= OUTPUT_KEPT_BYTES_MAX
        {
            chunk.clear();
            self.spare = chunk;
        }
    }

    /// Remembers the task to wake; called whenever the task is about to wait.
    pub fn park(&mut self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Lets the connection's task run again.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Ends the connection, and notes why.
    pub fn close_for(&mut self, reason: CloseReason, how: Closing) {
        self.close_reason.get_or_insert(reason);
        self.close(how);
    }

    /// Ends the connection.
    pub fn close(&mut self, how: Closing) {
        if self.closing != Some(Closing::Now) {
            self.closing = Some(how);
            self.command_hold.insert(CommandHold::CLOSING);
        }
        self.wake();
    }

    /// Notes that a command came, at `now`.
    #[inline]
    pub fn touch(&mut self, now: Instant) {
        self.active_at = now;
        self.at_rest = false;
    }

    /// Frees what an idle connection need not keep, once for each time that it falls idle. Returns
    /// whether this was one.
    pub fn rest(&mut self) -> bool {
        if self.at_rest {
            return false;
        }
        self.at_rest = true;
        self.spare = Vec::new();
        self.chain.take_if(|chain| chain.is_empty());
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        self.pending.shrink();
        self.parser.shrink();
        self.wake();
        true
    }

    /// Bytes of memory this connection holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.input.capacity()
            + self.reading_bytes
            + self.writing_bytes
            + self.pushes.capacity()
            + self.chained_bytes()
            + self.out.capacity()
            + self.spare.capacity()
            + self.pending.memory_bytes()
            + self.parser.memory_bytes()
            + self.session.watched.memory_bytes()
            + self
                .session
                .subscriptions
                .as_ref()
                .map_or(0, |it| it.memory_bytes())
            + self
                .session
                .tracking
                .as_ref()
                .map_or(0, |it| size_of::<Tracking>() + it.memory_bytes())
            + self
                .session
                .queue
                .as_ref()
                .map_or(0, |it| it.memory_bytes())
    }
}

#[cfg(test)]
impl Client {
    /// A connection that is not there.
    pub fn of_nobody() -> Self {
        let peer = Peer {
            address: "".into(),
            local_address: "".into(),
            unix: false,
            socket: 0,
        };
        let identity = Identity::new(&acl::users::Users::default());
        Self::new(ClientToken::NOBODY, 1, peer, identity, Instant::now())
    }
}
