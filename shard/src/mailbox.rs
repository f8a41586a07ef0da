//! The async channels between shards.
//!
//! Every ordered pair of shards has a bounded single-producer single-consumer ring of messages;
//! every shard has one doorbell, an eventfd that its own executor reads. A sender pushes, then
//! rings only where the receiver has said that it sleeps: while it is awake it looks into its rings
//! before it parks, so a busy pair of shards exchanges messages without a system call or a lock.
//!
//! Invariant, why no wake-up is lost: the receiver stores `sleeping = true`, then (a full fence
//! apart) looks into its rings once more and only then waits; the sender pushes, then (a full fence
//! apart) reads `sleeping`. In every interleaving one of the two sees the other's store. The bell
//! stays readable until read, so ringing before the receiver waits is no loss either.
//!
//! A ring that is full refuses the message: it stays in the sender's outbox, whose size the pending
//! limits of connections bound, and the receiver rings the sender once it has made room. That ring
//! is never skipped: the sender may be awake still and past its last try.

pub(crate) mod links;
pub mod message;
pub mod outbox;

use std::collections::VecDeque;
use std::fs::File as StdFile;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use engine::slot::ShardId;
use monoio::fs::File;
use monoio::net::UnixStream;
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};

use crate::executor::thread_group;

/// Messages that wait in one ring at the most; a message is a batch, so this is many commands.
const RING_MESSAGES_MAX: usize = 64;

/// The eventfd of one shard and its sleeping flag.
pub struct Doorbell {
    /// True from before the shard's last look at its rings until somebody rings or it begins a
    /// turn.
    sleeping: AtomicBool,
    /// True while the shard has messages that some full ring did not take: whoever makes room rings
    /// it.
    stuck: AtomicBool,
    eventfd: OwnedFd,
}

impl Doorbell {
    fn new(blocking: bool) -> io::Result<Self> {
        let flags = if blocking {
            EventfdFlags::CLOEXEC
        } else {
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK
        };
        Ok(Self {
            sleeping: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            eventfd: eventfd(0, flags)?,
        })
    }

    /// Wakes the shard if it sleeps. Returns whether a system call was needed.
    pub fn ring(&self, shard: ShardId) -> bool {
        fence(Ordering::SeqCst);
        if !self.sleeping.load(Ordering::Relaxed) || !self.sleeping.swap(false, Ordering::AcqRel) {
            return false;
        }
        if thread_group::wake(shard) {
            return false;
        }
        self.ring_from_outside();
        true
    }

    /// Wakes the shard whether it sleeps or not: for what is rare, and for threads that are no
    /// shards.
    pub fn ring_from_outside(&self) {
        // The counter cannot overflow (about one write a sleep); a failed write would be a lost
        // wake-up, so it ends the process.
        rustix::io::write(&self.eventfd, &1u64.to_ne_bytes()).expect("an eventfd takes a write");
    }
}

/// The receiving end of a shard's rings, and its own doorbell.
pub struct Mailbox<M> {
    inbound: Vec<Option<Consumer<M>>>,
    /// Where the next look begins, so that no sender is favoured.
    next: usize,
    bell: Arc<Doorbell>,
}

/// The sending ends of a shard's rings.
pub struct Outlets<M> {
    rings: Vec<Option<Producer<M>>>,
    bells: Vec<Arc<Doorbell>>,
}

/// The ends that one shard holds.
pub struct Ends<M> {
    pub mailbox: Mailbox<M>,
    pub outlets: Outlets<M>,
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
    Ok(inbound
        .into_iter()
        .zip(outbound)
        .zip(&bells)
        .map(|((inbound, rings), bell)| Ends {
            mailbox: Mailbox {
                inbound,
                next: 0,
                bell: bell.clone(),
            },
            outlets: Outlets {
                rings,
                bells: bells.clone(),
            },
        })
        .collect())
}

impl<M> Mailbox<M> {
    /// The next message from any shard, taken in turn, or `None` where all rings are empty.
    pub fn try_recv(&mut self) -> Option<(ShardId, M)> {
        let count = self.inbound.len();
        for step in 0..count {
            let from = (self.next + step) % count;
            if let Some(consumer) = &mut self.inbound[from]
                && let Ok(message) = consumer.pop()
            {
                self.next = (from + 1) % count;
                return Some((ShardId::new(from), message));
            }
        }
        None
    }

    /// Messages that wait, of all shards together.
    pub fn waiting(&self) -> usize {
        self.inbound.iter().flatten().map(Consumer::slots).sum()
    }

    /// Announces that the shard is about to wait. False where a message came in meanwhile: it must
    /// look again instead.
    pub fn fall_asleep(&mut self) -> bool {
        self.bell.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.inbound.iter().flatten().all(Consumer::is_empty) {
            return true;
        }
        self.wake_up();
        false
    }

    /// Announces that the shard is awake and will look into its rings before it waits: senders skip
    /// the bell.
    pub fn wake_up(&self) {
        self.bell.sleeping.store(false, Ordering::Relaxed);
    }

    /// The future side of the bell, for this shard's executor.
    pub fn bell(&self) -> Arc<Doorbell> {
        self.bell.clone()
    }
}

impl<M> Outlets<M> {
    /// Puts messages into the ring to `to`, as many as it has room for; the receiver sees all of
    /// those at once.
    pub fn send(&mut self, to: ShardId, messages: &mut VecDeque<M>) {
        let Some(ring) = &mut self.rings[to.index()] else {
            unreachable!("a shard sends nothing to itself");
        };
        let count = ring.slots().min(messages.len());
        if let Ok(room) = ring.write_chunk_uninit(count) {
            room.fill_from_iter(messages.drain(..count));
        }
    }

    /// Announces that a ring was full. The caller then tries once more before it relies on being
    /// rung: room may have come meanwhile.
    pub fn stuck(&self, own: ShardId) {
        self.bells[own.index()].stuck.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// After taking messages from `from`: rings it where it waits for room.
    pub fn relieve(&self, from: ShardId) {
        fence(Ordering::SeqCst);
        let bell = &self.bells[from.index()];
        if bell.stuck.load(Ordering::Relaxed) && bell.stuck.swap(false, Ordering::AcqRel) {
            // Even where it does not sleep: it has tried for the last time, and is on its way to.
            bell.ring_from_outside();
        }
    }

    /// Wakes `to` if it sleeps.
    pub fn ring(&self, to: ShardId) -> bool {
        self.bells[to.index()].ring(to)
    }
}

/// The bell as this shard's executor waits for it.
pub enum BellReader {
    /// io_uring reads the eventfd itself.
    Uring(File),
    /// epoll says when it is readable; a plain read then clears it.
    Epoll {
        readiness: UnixStream,
        eventfd: OwnedFd,
    },
}

impl BellReader {
    /// Must be called on the shard's own executor.
    pub fn new(bell: &Doorbell, uring: bool) -> io::Result<Self> {
        let fd = bell.eventfd.try_clone()?;
        Ok(if uring {
            Self::Uring(File::from_std(StdFile::from(fd))?)
        } else {
            Self::Epoll {
                eventfd: fd.try_clone()?,
                readiness: UnixStream::from_std(StdUnixStream::from(fd))?,
            }
        })
    }

    /// Returns when the bell has been rung since the last call.
    pub async fn rung(&self) -> io::Result<()> {
        match self {
            // An offset of all ones is "the current position", the only one an eventfd has.
            Self::Uring(file) => file.read_at(vec![0u8; 8], u64::MAX).await.0.map(|_| ()),
            Self::Epoll { readiness, eventfd } => {
                readiness.readable(false).await?;
                match rustix::io::read(eventfd, &mut [0u8; 8]) {
                    Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends one message, or gives it back where the ring is full.
    fn try_send<M>(outlets: &mut Outlets<M>, to: usize, message: M) -> Result<(), M> {
        let mut messages = VecDeque::from([message]);
        outlets.send(ShardId::new(to), &mut messages);
        messages.pop_front().map_or(Ok(()), Err)
    }

    #[test]
    fn messages_keep_their_order_and_full_rings_refuse() {
        let mut ends = mesh::<u32>(3, false).unwrap();
        let mut receiver = ends.remove(2);
        for i in 0..RING_MESSAGES_MAX as u32 {
            try_send(&mut ends[0].outlets, 2, i).unwrap();
        }
        assert_eq!(try_send(&mut ends[0].outlets, 2, 99), Err(99));
        try_send(&mut ends[1].outlets, 2, 1000).unwrap();
        let mut seen = Vec::new();
        while let Some((from, message)) = receiver.mailbox.try_recv() {
            if from == ShardId::new(0) {
                seen.push(message);
            }
        }
        assert_eq!(seen, (0..RING_MESSAGES_MAX as u32).collect::<Vec<_>>());
    }

    #[test]
    fn only_a_sleeping_shard_is_rung() {
        let mut ends = mesh::<u32>(2, false).unwrap();
        let mut receiver = ends.remove(1);
        let sender = &mut ends[0];
        assert!(!sender.outlets.ring(ShardId::new(1)));
        assert!(receiver.mailbox.fall_asleep());
        try_send(&mut sender.outlets, 1, 7).unwrap();
        assert!(sender.outlets.ring(ShardId::new(1)));
        assert!(!sender.outlets.ring(ShardId::new(1)));
        assert!(!receiver.mailbox.fall_asleep());
        assert_eq!(receiver.mailbox.try_recv(), Some((ShardId::new(0), 7)));
        assert!(receiver.mailbox.fall_asleep());
    }

    #[test]
    fn who_waits_for_room_is_rung_though_it_does_not_sleep_yet() {
        let mut ends = mesh::<u32>(2, false).unwrap();
        let mut receiver = ends.remove(1);
        let mut sender = ends.remove(0);
        let own = ShardId::new(0);
        while try_send(&mut sender.outlets, 1, 0).is_ok() {}
        sender.outlets.stuck(own);
        assert!(try_send(&mut sender.outlets, 1, 0).is_err());
        assert!(receiver.mailbox.try_recv().is_some());
        receiver.outlets.relieve(own);
        assert!(sender.mailbox.fall_asleep());
        let rung = rustix::io::read(&sender.mailbox.bell.eventfd, &mut [0u8; 8]);
        assert_eq!(rung, Ok(8), "it would sleep on what it has to send");
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const MESSAGES: u32 = 20_000;
        let mut ends = mesh::<u32>(2, true).unwrap();
        let mut receiver = ends.remove(1);
        let mut sender = ends.remove(0);
        let thread = std::thread::spawn(move || {
            for i in 0..MESSAGES {
                let mut message = i;
                while let Err(back) = try_send(&mut sender.outlets, 1, message) {
                    message = back;
                    std::thread::yield_now();
                }
                sender.outlets.ring(ShardId::new(1));
            }
        });
        let mut expected = 0;
        while expected < MESSAGES {
            match receiver.mailbox.try_recv() {
                Some((_, message)) => {
                    assert_eq!(message, expected);
                    expected += 1;
                }
                None if receiver.mailbox.fall_asleep() => {
                    rustix::io::read(&receiver.mailbox.bell.eventfd, &mut [0u8; 8]).unwrap();
                }
                None => {}
            }
        }
        thread.join().unwrap();
    }
}
