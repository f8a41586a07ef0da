//! One connection: an async task that receives, lets its shard run what came in, and sends what is
//! due.
//!
//! Receiving and sending are two futures polled by the one task, so that replies from other shards
//! leave while a read is in flight. A read keeps its buffer until it completes and is never dropped
//! before the connection is, so no byte that has arrived is lost.
//!
//! Bounds, and what happens at them: a connection whose pending slots, held replies or unsent
//! output are at their limit is not run further (`Client::may_run`); while it is not run it
//! receives at most 256 KB (16 before AUTH) and then stops reading, so the kernel makes the client
//! wait. A command that grows beyond `client-query-buffer-limit` ends the connection.
//!
//! Most connections of a large server say nothing most of the time. Such a one holds its task,
//! which is no larger than receiving needs, and a small buffer for the read in flight; the state of
//! sending is in a box that goes when the connection has been idle for a while.

pub(crate) mod sink;

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use engine::blocking::ending::{CancelMode, End};
use monoio::buf::IoBufMut;
use monoio::io::AsyncReadRent;
use tracing::debug;

use crate::blocking::nobody_asks;
use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing, Due};
use crate::connection::sink::Sink;
use crate::shard::Shard;

/// Room for the first read of a connection; one that sends little stays small.
const READ_BYTES_MIN: usize = 256;

/// Room for a read of a connection that fills its reads.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Small reads in a row after which the room for them is halved.
const SMALL_READS_MAX: u32 = 16;

/// What a connection's task works on: one pointer in the futures that it consists of.
pub struct Served {
    pub shard: Rc<RefCell<Shard>>,
    pub client: Rc<RefCell<Client>>,
}

/// Serves a connection until either side ends it; then comes `farewell`, and its shard forgets it.
pub(crate) async fn serve(
    served: Served,
    mut read_half: impl AsyncReadRent,
    write_half: impl Sink,
    farewell: impl Future<Output = ()>,
) {
    let client = &served.client;
    {
        let mut receiving = pin!(receive(&served, &mut read_half));
        let mut resting = Some(write_half);
        let mut sending = None;
        let mut received = None;
        let mut step = |cx: &mut Context<'_>| -> Poll<io::Result<()>> {
            client.borrow_mut().park(cx.waker());
            if received.is_none()
                && let Poll::Ready(result) = receiving.as_mut().poll(cx)
            {
                let how = match result {
                    Ok(()) => Closing::AfterReplies,
                    Err(_) => Closing::Now,
                };
                client.borrow_mut().close(how);
                // A command that waits for an element would hold the end up for ever.
                let blocked = client.borrow().blocked;
                if let Some(at) = blocked {
                    let token = client.borrow().token;
                    let mut shard = served.shard.borrow_mut();
                    shard.end_wait(token, at, End::Gone, CancelMode::AtOnce, nobody_asks());
                }
                received = Some(result);
            }
            if client.borrow().closing == Some(Closing::Now) {
                // Not even a write that the client does not take holds this up.
                return Poll::Ready(Ok(()));
            }
            let corks = served.shard.borrow().turns.idle_policy.corks();
            client.borrow_mut().settle_cork(corks);
            loop {
                if let Some(stream) = resting.take_if(|_| client.borrow().has_work_for_sending()) {
                    sending = Some(Box::pin(send(&served, stream)));
                }
                let Some(future) = &mut sending else {
                    return Poll::Pending;
                };
                match ready!(future.as_mut().poll(cx))? {
                    None => return Poll::Ready(Ok(())),
                    stream => (resting, sending) = (stream, None),
                }
            }
        };
        let ended = poll_fn(|cx| {
            let polled = step(cx);
            let (shard, client) = (&mut *served.shard.borrow_mut(), &mut *client.borrow_mut());
            shard.weigh(client);
            shard.note_corked(client);
            polled
        })
        .await;
        log_close(&client.borrow(), received.unwrap_or(Ok(())).and(ended));
    }
    farewell.await;
    served.leave();
}

/// Tells who ended the connection, or what.
pub(crate) fn log_close(client: &Client, ended: io::Result<()>) {
    let reason: Cow<'_, str> = match (client.close_reason, ended) {
        (Some(reason), _) => reason.text().into(),
        (None, Err(error)) => error.to_string().into(),
        (None, Ok(())) => "closed by the server".into(),
    };
    debug!(
        client = client.session.id,
        address = &*client.peer.address,
        reason = &*reason,
        age_s = client.connected_at.elapsed().as_secs(),
        "connection closed"
    );
}

/// Reads and runs input until the client ends its side, or is to be closed.
async fn receive<R: AsyncReadRent>(served: &Served, stream: &mut R) -> io::Result<()> {
    let mut room = READ_BYTES_MIN;
    let mut small_reads = 0;
    loop {
        let into_large = served.client.borrow().large.is_some();
        let Some((chunk, start, end)) = room_to_read(&served.client, room) else {
            // Either the client is closing or it has sent more than it may before it is run.
            let closing = poll_fn(|_| {
                served.run();
                let client = served.client.borrow();
                match (
                    client.closing,
                    client.input.len() < client.stalled_input_max(),
                ) {
                    (Some(_), _) => Poll::Ready(true),
                    (None, true) => Poll::Ready(false),
                    _ => Poll::Pending,
                }
            })
            .await;
            if closing {
                return Ok(());
            }
            continue;
        };
        let mut reading = pin!(stream.read(chunk.slice_mut(start..end)));
        let (result, slice) = poll_fn(|cx| {
            if let Poll::Ready(done) = reading.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            // Woken for another reason: perhaps what waits may run now.
            if !served.client.borrow().input.is_empty() {
                served.run();
            }
            Poll::Pending
        })
        .await;
        let mut chunk = slice.into_inner();
        let count = result?;
        if count == 0 {
            served
                .client
                .borrow_mut()
                .close_reason
                .get_or_insert(CloseReason::ClientLeft);
            run_what_is_left(served).await;
            return Ok(());
        }
        chunk.truncate(start + count);
        let is_small = count < room / 4;
        small_reads = if is_small { small_reads + 1 } else { 0 };
        if count == end - start {
            room = (room * 2).min(READ_BYTES_MAX);
        } else if small_reads > SMALL_READS_MAX {
            // Not at the first small one: that may be the rest of a pipeline which the buffer had
            // cut in two.
            room = (room / 2).max(READ_BYTES_MIN);
            small_reads = 0;
        }
        let mut shard = served.shard.borrow_mut();
        shard.begin_turn();
        shard.engine.stats.net_input_bytes += count as u64;
        shard.engine.stats.reads += 1;
        let mut client = served.client.borrow_mut();
        client.reading_bytes = 0;
        match &mut client.large {
            Some(large) if into_large => *large.buffer() = chunk,
            _ => client.take_in(chunk),
        }
        client.finish_large();
        if client.large.is_none() {
            shard.run_input(&mut client);
        }
        if client.closing.is_some() {
            return Ok(());
        }
    }
}

/// The buffer for the next read, and the range of it to fill; `None` where nothing may be read now.
fn room_to_read(client: &RefCell<Client>, room: usize) -> Option<(Vec<u8>, usize, usize)> {
    let mut client = client.borrow_mut();
    if client.closing.is_some() {
        return None;
    }
    if let Some(large) = &mut client.large {
        let count = large.reserve();
        let chunk = mem::take(large.buffer());
        client.reading_bytes = chunk.capacity();
        let start = chunk.len();
        return Some((chunk, start, start + count));
    }
    // What may not run yet stays where it can be run from while the read is in flight.
    let mut chunk = if client.settle_commands() {
        mem::take(&mut client.input)
    } else if client.input.len() >= client.stalled_input_max() {
        return None;
    } else {
        Vec::new()
    };
    let start = chunk.len();
    if chunk.capacity() - start < room || chunk.capacity() > 2 * (start + room) {
        let mut sized = Vec::with_capacity(start + room);
        sized.extend_from_slice(&chunk);
        chunk = sized;
    }
    client.reading_bytes = chunk.capacity();
    Some((chunk, start, start + room))
}

/// The client has ended its side: commands that it sent before still run, in their order.
async fn run_what_is_left(served: &Served) {
    poll_fn(|_| {
        served.run();
        let mut client = served.client.borrow_mut();
        let nothing_left = client.input.is_empty() || client.blocked.is_some();
        if client.closing.is_some() || client.settle_commands() || nothing_left {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

impl Served {
    /// The connection is over, and its shard forgets it.
    pub(crate) fn leave(&self) {
        let token = self.client.borrow().token;
        self.shard.borrow_mut().leave_by(token);
    }

    fn run(&self) {
        let mut shard = self.shard.borrow_mut();
        shard.begin_turn();
        shard.run_input(&mut self.client.borrow_mut());
    }

    /// A write is over. Returns whether the next one is not to begin before the task is woken.
    fn after_write(&self, result: io::Result<usize>, chunk: Option<Vec<u8>>) -> io::Result<bool> {
        let (shard, client) = (
            &mut *self.shard.borrow_mut(),
            &mut *self.client.borrow_mut(),
        );
        client.written(chunk);
        client.settle_cork(shard.turns.idle_policy.corks());
        shard.engine.stats.net_output_bytes += result? as u64;
        shard.engine.stats.writes += 1;
        shard.resume_if_room(client);
        if client.session.replica.is_some() {
            shard.feed(client);
        }
        // The room that this write made may let waiting input run.
        if !client.input.is_empty() {
            client.wake();
        }
        let waits = shard.publishing.fanout.rejoin(client);
        if waits {
            shard.begin_turn();
        }
        Ok(waits)
    }
}

/// Waits until whoever has a reason to wakes the task.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| {
        if mem::replace(&mut waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Writes what is due until the connection is to be closed and nothing is due any more, or until it
/// has been idle for so long that it may rest: then the stream comes back, for the next call.
async fn send<W: Sink>(served: &Served, mut stream: W) -> io::Result<Option<W>> {
    loop {
        let due = poll_fn(|_| served.client.borrow_mut().next_due()).await;
        let (result, chunk) = match due {
            Due::Chunk(chunk) => {
                let (result, chunk) = stream.write_chunk(chunk).await;
                (result, Some(chunk))
            }
            Due::Shared(piece) => (stream.write_shared(piece).await, None),
            Due::Vectored(pieces) => (stream.write_pieces(pieces).await, None),
            Due::Rest => return Ok(Some(stream)),
            Due::End => return Ok(None),
        };
        if served.after_write(result, chunk)? {
            woken().await;
        }
    }
}
