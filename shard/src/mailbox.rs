//! The async channels between shards.
//!
//! A shard sends by [`Links::send`], which never waits: messages leave together with its turn. It
//! receives by `inbox.recv().await` ([`inbox`]), in one task. Both work on what is here.
//!
//! Every ordered pair of shards has a bounded single-producer single-consumer ring of messages;
//! every shard has one [`doorbell`], an eventfd that its own executor reads. A sender pushes, then
//! rings only where the receiver has said that it sleeps: while it is awake it looks into its rings
//! before it waits, so a busy pair of shards exchanges messages without a system call or a lock.
//!
//! # No wake-up is lost
//!
//! ```text
//! receiver, before it waits              sender
//! R1  sleeping = true                    S1  push
//! R2  fence                              S2  fence
//! R3  look into all rings                S3  read sleeping; if true: set it to false, and ring
//! R4  wait, where all are empty
//! ```
//!
//! All fences have one order. Take the last R2 before the sender's S2. Every later R3 sees what S1
//! pushed, so only the R4 of this R2 could wait too long. S3 reads `sleeping` as this R1 wrote it,
//! or newer. If it is true, the sender rings. If it is false, somebody has changed it since:
//! another sender, which rings; or the receiver, which has found something at R3 or waits no longer
//! ([`inbox::Incoming::promise_look`]). So that wait ends, and the next R3 sees the message.
//!
//! A bell stays readable until it is read: a ring between R3 and R4 is not lost either. A receiver
//! on the sender's own thread is woken without the bell: there nothing comes between R1 and R4.
//!
//! # A full ring
//!
//! It refuses the message, which stays in the sender's outbox; the pending limits of connections
//! bound that. The sender announces that it lacks room, passes a full fence, and tries once more.
//! The receiver takes a message, passes a full fence, and reads the announcement. By the same
//! argument one of the two sees the other. That ring is never skipped: the sender may be awake
//! still and past its last try.
//!
//! [`Links::send`]: links::Links::send

pub mod doorbell;
pub mod inbox;
pub(crate) mod links;
pub mod message;
pub mod outbox;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use engine::slot::ShardId;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::mailbox::doorbell::Doorbell;
use crate::mailbox::inbox::Inbox;

/// Messages that wait in one ring at the most; a message is a batch, so this is many commands.
const RING_MESSAGES_MAX: usize = 64;

/// The sending ends of a shard's rings.
pub struct Outlets<M> {
    id: ShardId,
    rings: Vec<Option<Producer<M>>>,
    bells: Vec<Arc<Doorbell>>,
}

/// The ends that one shard holds, until its executor opens them.
pub struct Ends<M> {
    id: ShardId,
    consumers: Vec<Option<Consumer<M>>>,
    outlets: Outlets<M>,
}

/// Builds the rings and bells for `shards` shards. `blocking_bells` suits a ring driver, which
/// waits in the kernel; the epoll driver needs bells that never block.
pub fn mesh<M>(shards: usize, blocking_bells: bool) -> io::Result<Vec<Ends<M>>> {
    let bells: Vec<Arc<Doorbell>> = (0..shards)
        .map(|_| Doorbell::new(blocking_bells).map(Arc::new))
        .collect::<io::Result<_>>()?;
    let mut inbound: Vec<Vec<Option<Consumer<M>>>> =
        (0..shards).map(|_| Vec::with_capacity(shards)).collect();
    let mut outbound: Vec<Vec<Option<Producer<M>>>> =
        (0..shards).map(|_| Vec::with_capacity(shards)).collect();
    for (from, producers) in outbound.iter_mut().enumerate() {
        for (to, consumers) in inbound.iter_mut().enumerate() {
            let (producer, consumer) = if from == to {
                (None, None)
            } else {
                let (producer, consumer) = RingBuffer::new(RING_MESSAGES_MAX);
                (Some(producer), Some(consumer))
            };
            producers.push(producer);
            consumers.push(consumer);
        }
    }
    let ends = inbound.into_iter().zip(outbound).enumerate();
    Ok(ends
        .map(|(index, (consumers, rings))| Ends {
            id: ShardId::new(index),
            consumers,
            outlets: Outlets {
                id: ShardId::new(index),
                rings,
                bells: bells.clone(),
            },
        })
        .collect())
}

impl<M> Ends<M> {
    /// What wakes the shard.
    pub fn bell(&self) -> Arc<Doorbell> {
        self.outlets.bells[self.id.index()].clone()
    }
}

impl<M: 'static> Ends<M> {
    /// Both directions, for this executor and no other one; `uring` says whether that is on a ring.
    pub fn open(self, uring: bool) -> io::Result<(Inbox<M>, Outlets<M>)> {
        let bells = self.outlets.bells.clone();
        let inbox = Inbox::new(self.id, self.consumers, bells, uring)?;
        Ok((inbox, self.outlets))
    }
}

impl<M> Outlets<M> {
    /// Puts messages into the ring to `to`, as many as it has room for; the receiver sees all of
    /// those at once. The rest stays.
    #[inline]
    pub fn push(&mut self, to: ShardId, messages: &mut VecDeque<M>) {
        let Some(ring) = &mut self.rings[to.index()] else {
            unreachable!("a shard sends nothing to itself");
        };
        let count = ring.slots().min(messages.len());
        if let Ok(room) = ring.write_chunk_uninit(count) {
            room.fill_from_iter(messages.drain(..count));
        }
    }

    /// Wakes `to` if it sleeps. Returns whether that took a system call.
    #[inline]
    pub fn ring(&self, to: ShardId) -> bool {
        self.bells[to.index()].ring(to)
    }

    /// A ring was full. The caller then tries once more before it relies on being rung: room may
    /// have come meanwhile.
    pub fn announce_lack_of_room(&self) {
        self.bells[self.id.index()].announce_lack_of_room();
    }
}

#[cfg(test)]
mod tests;
