//! The batch: all requests of one loop turn from one shard to another, and the room their replies
//! come back in.
//!
//! One heap object makes the round trip. The origin appends requests (one copy of the command's
//! bytes, no allocation once the vectors have grown), the owner runs them in order and appends the
//! encoded replies, and the origin folds those into its connections' pending slots and keeps the
//! emptied batch for its next turn. Small replies thus cross without an allocation of their own.
//!
//! ```text
//! requests  [client seq command db | end of bytes, of spans, of large, of reply] [..] [..]
//! bytes     *2\r\n$3\r\nGET\r\n$1\r\na\r\n|*3...
//! spans     (8,3) (17,1) | ...                       relative to the command's own first byte
//! replies   $1\r\nx\r\n|+OK\r\n|...                  appended by the owner
//! ```

use std::ops::Range;

use bytes::Bytes;
use protocol::args::{Args, Span};
use protocol::peek::Seen;
use protocol::reply::Reply;
use storage::DbIndex;

use crate::header::{ClientToken, Header, ReplyTo};

/// A batch this large is sent on and a new one begun, so that no single message holds a shard for
/// long.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// Replies of a batch, or of a connection, beyond which a limit on output may be reached.
pub const LARGE_REPLIES_BYTES_MIN: usize = 16 * 1024;

/// A batch whose buffers grew beyond this is freed and not reused.
const BATCH_KEPT_BYTES_MAX: usize = 256 * 1024;

/// One command of a batch; its bytes, spans, large arguments and reply end where the next one's
/// begin.
struct Request {
    to: ReplyTo,
    header: Header,
    bytes_end: usize,
    spans_end: usize,
    large_end: usize,
    reply_end: usize,
    /// The owner could not answer in its turn (a lock, a block): the reply comes alone, later.
    deferred: bool,
}

/// Requests of one turn to one shard, then their replies.
#[derive(Default)]
pub struct Batch {
    requests: Vec<Request>,
    bytes: Vec<u8>,
    spans: Vec<Span>,
    large: Vec<Bytes>,
    replies: Vec<u8>,
    /// Connections whose further commands the owner has held back: see `dispatch::backpressure`.
    held_back: Vec<ClientToken>,
}

/// The arguments of one request.
fn args_of<'b>(
    requests: &[Request],
    bytes: &'b [u8],
    spans: &'b [Span],
    large: &'b [Bytes],
    at: usize,
) -> Args<'b> {
    let end = &requests[at];
    let (b, s, l) = match at.checked_sub(1).map(|before| &requests[before]) {
        None => (0, 0, 0),
        Some(start) => (start.bytes_end, start.spans_end, start.large_end),
    };
    Args::new(
        &bytes[b..end.bytes_end],
        &spans[s..end.spans_end],
        &large[l..end.large_end],
    )
}

/// What the owner did with one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ran {
    /// The reply stands in the output.
    Answered,
    /// The command waits for a lock or an element; its reply will come as a message of its own.
    Deferred,
}

impl Batch {
    /// How many requests it holds.
    pub fn count(&self) -> usize {
        self.requests.len()
    }

    /// Whether it should be sent before more is added.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES_MAX
    }

    /// Appends one command.
    pub fn push(&mut self, to: ReplyTo, header: Header, args: &Args<'_>) {
        self.bytes.extend_from_slice(args.bytes());
        self.spans.extend_from_slice(args.spans());
        self.large.extend_from_slice(args.large());
        self.requests.push(Request {
            to,
            header,
            bytes_end: self.bytes.len(),
            spans_end: self.spans.len(),
            large_end: self.large.len(),
            reply_end: 0,
            deferred: false,
        });
    }

    /// On the owner: runs a group of requests in order; `run` writes each one's reply. Every
    /// request must be run, the first one first.
    pub fn run(
        &mut self,
        group: Range<usize>,
        mut run: impl FnMut(ReplyTo, Header, &Args<'_>, &mut Reply<'_>) -> Ran,
    ) {
        for at in group {
            let args = args_of(&self.requests, &self.bytes, &self.spans, &self.large, at);
            let request = &self.requests[at];
            let mut reply = Reply::new(&mut self.replies, request.header.version);
            let ran = run(request.to, request.header, &args, &mut reply);
            let request = &mut self.requests[at];
            request.deferred = ran == Ran::Deferred;
            request.reply_end = self.replies.len();
        }
    }

    /// The first arguments of each command of a group.
    pub fn seen(&self, group: Range<usize>) -> impl Iterator<Item = Seen<'_>> {
        group.map(|at| {
            let args = args_of(&self.requests, &self.bytes, &self.spans, &self.large, at);
            Seen::of(args.iter())
        })
    }

    /// The database of a command.
    pub fn db(&self, at: usize) -> DbIndex {
        self.requests[at].header.db
    }

    /// Back on the origin: hands each reply to `fold`, then empties the batch.
    pub fn fold(&mut self, mut fold: impl FnMut(ReplyTo, &[u8])) {
        let mut start = 0;
        for request in &self.requests {
            if !request.deferred {
                fold(request.to, &self.replies[start..request.reply_end]);
            }
            start = request.reply_end;
        }
        self.clear();
    }

    /// On the owner, when all has run: whom it has held back.
    pub fn note_held_back(&mut self, clients: Vec<ClientToken>) {
        self.held_back = clients;
    }

    /// On the origin: the same.
    pub fn take_held_back(&mut self) -> Vec<ClientToken> {
        std::mem::take(&mut self.held_back)
    }

    /// Whether its replies are so long together that a limit on a connection's output may have been
    /// reached.
    pub fn has_large_replies(&self) -> bool {
        self.replies.len() > LARGE_REPLIES_BYTES_MIN
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.bytes.clear();
        self.spans.clear();
        self.large.clear();
        self.replies.clear();
    }

    /// Whether its buffers are small enough to keep for the next turn.
    pub fn worth_keeping(&self) -> bool {
        self.bytes.capacity() + self.replies.capacity() <= BATCH_KEPT_BYTES_MAX
    }
}
