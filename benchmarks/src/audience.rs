//! One publisher and those who subscribe to its channel, in step with each other or each at his own
//! pace.
//!
//! Everything that is read is compared byte for byte with what it must be.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use crate::Result;
use crate::client::{Connection, encode};
use crate::servers::Server;

const CHANNEL: &[u8] = b"channel";

/// How far each subscriber may be behind, on average, before the publisher waits for them: far
/// below any server's output limit.
const BEHIND_BYTES_MAX: u64 = 64 * 1024;

/// A pause of a publisher that waits for its subscribers.
const PAUSE: Duration = Duration::from_micros(50);

/// Messages that have not come after so long will not.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The thread that reads looks so often. Subscribers have machines of their own: they neither keep
/// the publisher from the processor, nor has the server to wake each of them.
const READ_EVERY: Duration = Duration::from_micros(500);

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// A publisher and those who subscribe to it.
pub struct Audience {
    publisher: Connection,
    subscribers: Vec<Connection>,
    depth: usize,
    /// What the publisher sends at once, and what it and each subscriber must read then.
    batch: Vec<u8>,
    replies: Vec<u8>,
    messages: Vec<u8>,
    read: Vec<u8>,
}

impl Audience {
    /// Connects them all. The publisher sends `depth` messages of `payload_bytes` before it reads.
    pub fn assemble(
        server: &Server,
        payload_bytes: usize,
        subscribers: usize,
        depth: usize,
    ) -> Result<Audience> {
        let payload = vec![b'm'; payload_bytes];
        let (mut command, mut message) = (Vec::new(), Vec::new());
        encode(&[b"PUBLISH", CHANNEL, &payload], &mut command);
        encode(&[b"message", CHANNEL, &payload], &mut message);
        let reply = format!(":{subscribers}\r\n");
        let mut confirmation = Vec::new();
        encode(&[b"subscribe", CHANNEL], &mut confirmation);
        confirmation[1] = b'3';
        confirmation.extend_from_slice(b":1\r\n");
        let mut read = Vec::new();
        let mut subscribe = || -> Result<Connection> {
            let mut subscriber = server.connect()?;
            subscriber.queue(&[b"SUBSCRIBE", CHANNEL]);
            subscriber.flush()?;
            subscriber.expect(&confirmation, &mut read)?;
            Ok(subscriber)
        };
        Ok(Audience {
            subscribers: (0..subscribers)
                .map(|_| subscribe())
                .collect::<Result<_>>()?,
            publisher: server.connect()?,
            depth,
            batch: command.repeat(depth),
            replies: reply.repeat(depth).into_bytes(),
            messages: message.repeat(depth),
            read,
        })
    }

    /// Publishes a batch and waits until everybody has all of it.
    pub fn publish_in_step(&mut self) -> Result<()> {
        self.publish()?;
        for subscriber in &mut self.subscribers {
            subscriber.expect(&self.messages, &mut self.read)?;
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        self.publisher.send(&self.batch)?;
        self.publisher.expect(&self.replies, &mut self.read)
    }

    /// Publishes for `duration`, in step. Returns how many messages were delivered.
    pub fn go_in_step(&mut self, duration: Duration) -> Result<usize> {
        let began = Instant::now();
        let mut deliveries = 0;
        while began.elapsed() < duration {
            self.publish_in_step()?;
            deliveries += self.subscribers.len() * self.depth;
        }
        Ok(deliveries)
    }

    /// Publishes for `duration` while the subscribers read what there is, and waits until they have
    /// it all. Returns how many messages were delivered.
    pub fn go_freely(&mut self, duration: Duration) -> Result<usize> {
        let subscribers = std::mem::take(&mut self.subscribers);
        let count = subscribers.len();
        let (pattern, period) = (repeated(&self.messages, READ_BYTES), self.messages.len());
        let (received, ends) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let reading =
                scope.spawn(|| read_all(&subscribers, &pattern, period, &received, &ends));
            let published =
                self.publish_freely(duration, count, &received, || reading.is_finished());
            ends.store(true, Ordering::Relaxed);
            let read = reading
                .join()
                .map_err(|_| crate::Error::from("the reading thread panicked"))?;
            published.and_then(|batches| read.map(|()| batches * count * self.depth))
        })
    }

    /// Returns how many batches there were.
    fn publish_freely(
        &mut self,
        duration: Duration,
        subscribers: usize,
        received: &AtomicU64,
        is_over: impl Fn() -> bool,
    ) -> Result<usize> {
        let in_each = (self.messages.len() * subscribers) as u64;
        let behind_max = BEHIND_BYTES_MAX.max(2 * self.messages.len() as u64) * subscribers as u64;
        let began = Instant::now();
        let (mut batches, mut sent) = (0, 0);
        while began.elapsed() < duration && !is_over() {
            if sent - received.load(Ordering::Relaxed) > behind_max {
                thread::sleep(PAUSE);
                continue;
            }
            self.publish()?;
            sent += in_each;
            batches += 1;
        }
        let stopped = Instant::now();
        while received.load(Ordering::Relaxed) < sent && !is_over() {
            if stopped.elapsed() > SILENCE_MAX {
                return Err("messages are missing".into());
            }
            thread::sleep(PAUSE);
        }
        Ok(batches)
    }
}

/// `text` again and again, so long that `len` bytes can be taken from any place within the first
/// `text`.
fn repeated(text: &[u8], len: usize) -> Vec<u8> {
    text.repeat(len.div_ceil(text.len()) + 1)
}

/// Reads what the subscribers are sent, which repeats itself after `period` bytes of `pattern`,
/// until it `ends`.
fn read_all(
    subscribers: &[Connection],
    pattern: &[u8],
    period: usize,
    received: &AtomicU64,
    ends: &AtomicBool,
) -> Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (at, subscriber) in subscribers.iter().enumerate() {
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&poll, subscriber.socket(), data, epoll::EventFlags::IN)?;
    }
    let mut places = vec![0; subscribers.len()];
    let mut room = vec![0; READ_BYTES];
    let mut events = Vec::with_capacity(subscribers.len());
    let at_once = rustix::time::Timespec::default();
    while !ends.load(Ordering::Relaxed) {
        events.clear();
        epoll::wait(
            &poll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&at_once),
        )?;
        for event in &events {
            let at = usize::try_from(event.data.u64())?;
            let count = rustix::io::read(subscribers[at].socket(), &mut room)?;
            let place: &mut usize = &mut places[at];
            match count {
                0 => return Err("the server has hung up on a subscriber".into()),
                _ if room[..count] != pattern[*place..][..count] => {
                    return Err("a subscriber got something else".into());
                }
                _ => *place = (*place + count) % period,
            }
            received.fetch_add(count as u64, Ordering::Relaxed);
        }
        thread::sleep(READ_EVERY);
    }
    Ok(())
}
