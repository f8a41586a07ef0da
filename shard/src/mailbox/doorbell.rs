//! The doorbell of a shard: an eventfd that its own executor reads, and who may leave it alone.
//!
//! Why no ring is lost that matters is at the head of [`crate::mailbox`], which has the steps that
//! are named here: R1 to R4, S1 to S3.

use std::fs::File as StdFile;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use engine::slot::ShardId;
use monoio::fs::File;
use monoio::net::UnixStream;
use rustix::event::{EventfdFlags, eventfd};

use crate::executor::thread_group;

/// Wakes one shard, from any thread.
pub struct Doorbell {
    /// True from before the shard's last look into its rings until somebody rings, or something
    /// else wakes it.
    sleeping: AtomicBool,
    /// True while the shard has messages that a full ring did not take: whoever makes room rings.
    lacks_room: AtomicBool,
    eventfd: OwnedFd,
}

impl Doorbell {
    /// One that nobody has rung. A ring driver waits in the kernel, so its reads may block; those
    /// of epoll must not.
    pub(super) fn new(blocking: bool) -> io::Result<Self> {
        let flags = if blocking {
            EventfdFlags::CLOEXEC
        } else {
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK
        };
        Ok(Self {
            sleeping: AtomicBool::new(false),
            lacks_room: AtomicBool::new(false),
            eventfd: eventfd(0, flags)?,
        })
    }

    /// The receiver is about to look into its rings for the last time before it waits (R1, R2).
    #[inline]
    pub(super) fn announce_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The receiver will look into its rings before it waits, and need not be rung.
    #[inline]
    pub(super) fn promise_look(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// After something was sent to `shard`, whose bell this is: wakes it if it sleeps (S2, S3).
    /// Returns whether that took a system call.
    #[inline]
    pub(super) fn ring(&self, shard: ShardId) -> bool {
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

    /// The sender whose bell this is has met a full ring. It then tries once more before it relies
    /// on being rung.
    pub(super) fn announce_lack_of_room(&self) {
        self.lacks_room.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// After a message was taken from a ring of the shard whose bell this is: rings if it waits for
    /// room.
    #[inline]
    pub(super) fn announce_room(&self) {
        fence(Ordering::SeqCst);
        if self.lacks_room.load(Ordering::Relaxed) && self.lacks_room.swap(false, Ordering::AcqRel)
        {
            // Even where it does not sleep: it may have tried for the last time already.
            self.ring_from_outside();
        }
    }

    /// Whether it was rung since this was asked last, for one that does not block.
    #[cfg(test)]
    pub(super) fn has_rung(&self) -> bool {
        rustix::io::read(&self.eventfd, &mut [0u8; 8]).is_ok()
    }
}

/// A bell as its shard's executor waits for it.
pub(super) enum BellReader {
    /// io_uring reads the eventfd itself.
    Uring { eventfd: File, buffer: Vec<u8> },
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
            Self::Uring {
                eventfd: File::from_std(StdFile::from(fd))?,
                buffer: vec![0u8; 8],
            }
        } else {
            Self::Epoll {
                eventfd: fd.try_clone()?,
                readiness: UnixStream::from_std(StdUnixStream::from(fd))?,
            }
        })
    }

    /// Returns when the bell has been rung since the last call. Not to be dropped before: the read
    /// in flight would take a ring with it.
    pub async fn rung(&mut self) -> io::Result<()> {
        match self {
            Self::Uring { eventfd, buffer } => {
                // An offset of all ones is "the current position", the only one an eventfd has.
                let (result, bytes) = eventfd.read_at(mem::take(buffer), u64::MAX).await;
                *buffer = bytes;
                result.map(drop)
            }
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
