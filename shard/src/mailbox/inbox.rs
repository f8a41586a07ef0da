//! The receiving end of a shard's channels.
//!
//! One task of the shard, that of its turns, holds the [`Inbox`] and awaits [`Inbox::recv`]. The
//! shard's other tasks hold what they share with it, [`Incoming`]: they can call that task, and
//! promise senders a look in its name.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use engine::slot::ShardId;
use rtrb::Consumer;

use crate::executor::thread_group;
use crate::local_waker::LocalWaker;
use crate::mailbox::doorbell::{BellReader, Doorbell};

/// The rings to one shard.
struct Rings<M> {
    consumers: Vec<Option<Consumer<M>>>,
    /// Where the next look begins, so that no sender is favoured.
    next: usize,
}

/// What has come for a shard, as all tasks of its thread see it.
pub struct Incoming<M> {
    id: ShardId,
    rings: RefCell<Rings<M>>,
    /// Of all shards, this one included.
    bells: Vec<Arc<Doorbell>>,
    /// The task that awaits [`Inbox::recv`].
    receiver: RefCell<LocalWaker>,
    /// A task of this shard has called, and [`Inbox::recv`] has not returned since.
    called: Cell<bool>,
    /// The bell was rung, and [`Inbox::recv`] has not told yet.
    bell_rang: Cell<bool>,
}

impl<M> Incoming<M> {
    /// Messages that wait, of all shards together.
    pub fn waiting(&self) -> usize {
        let rings = self.rings.borrow();
        rings.consumers.iter().flatten().map(Consumer::slots).sum()
    }

    /// Lets [`Inbox::recv`] return after the tasks that are ready now, also where it is not awaited
    /// yet.
    #[inline]
    pub fn call_receiver(&self) {
        self.called.set(true);
        self.receiver.borrow().wake();
    }

    /// Lets [`Inbox::recv`] return after the executor has looked for input and output.
    pub fn call_receiver_behind_input(&self) {
        self.bells[self.id.index()].ring_from_outside();
    }

    /// Something has woken the shard, which will receive before it waits: until then nobody need
    /// ring it. Whoever calls this calls the receiver too.
    #[inline]
    pub fn promise_look(&self) {
        self.bells[self.id.index()].promise_look();
    }

    /// Announces that the shard is about to wait (R1 to R3). False where messages have come
    /// meanwhile.
    pub(super) fn may_sleep(&self) -> bool {
        let bell = &self.bells[self.id.index()];
        bell.announce_sleep();
        let rings = self.rings.borrow();
        let is_empty = rings.consumers.iter().flatten().all(Consumer::is_empty);
        if !is_empty {
            bell.promise_look();
        }
        is_empty
    }

    /// Takes the next message, of the shards in turn, and tells its sender of the room.
    #[inline]
    pub(super) fn take(&self) -> Option<(ShardId, M)> {
        let rings = &mut *self.rings.borrow_mut();
        let count = rings.consumers.len();
        for step in 0..count {
            let from = (rings.next + step) % count;
            if let Some(consumer) = &mut rings.consumers[from]
                && let Ok(message) = consumer.pop()
            {
                rings.next = (from + 1) % count;
                self.bells[from].announce_room();
                return Some((ShardId::new(from), message));
            }
        }
        None
    }
}

/// The messages that wait for a shard: an iterator that has more again as they come in, after it
/// had none.
pub struct Messages<'i, M> {
    incoming: &'i Incoming<M>,
    /// The bell was rung since they were received last, so the executor has looked for input.
    pub bell_rang: bool,
}

impl<M> Iterator for Messages<'_, M> {
    type Item = (ShardId, M);

    #[inline]
    fn next(&mut self) -> Option<(ShardId, M)> {
        self.incoming.take()
    }
}

/// The receiving end, on its shard's executor.
pub struct Inbox<M> {
    incoming: Rc<Incoming<M>>,
    /// Reads the bell without end, and marks in `incoming` that it rang. Ends where that fails.
    bell: Pin<Box<dyn Future<Output = io::Error>>>,
    echo: Echo,
    /// See [`Self::stay_awake`].
    stays_awake: bool,
    has_joined: bool,
}

impl<M: 'static> Inbox<M> {
    /// Must be called on the shard's own executor.
    pub(super) fn new(
        id: ShardId,
        consumers: Vec<Option<Consumer<M>>>,
        bells: Vec<Arc<Doorbell>>,
        uring: bool,
    ) -> io::Result<Self> {
        let mut reader = BellReader::new(&bells[id.index()], uring)?;
        let incoming = Rc::new(Incoming {
            id,
            rings: RefCell::new(Rings { consumers, next: 0 }),
            bells,
            receiver: RefCell::default(),
            called: Cell::new(false),
            bell_rang: Cell::new(false),
        });
        let rung = incoming.clone();
        let bell = async move {
            loop {
                if let Err(error) = reader.rung().await {
                    return error;
                }
                rung.bell_rang.set(true);
            }
        };
        Ok(Self {
            echo: Echo::spawn(incoming.clone()),
            incoming,
            bell: Box::pin(bell),
            stays_awake: false,
            has_joined: false,
        })
    }

    /// What the shard's other tasks see of it.
    pub fn incoming(&self) -> Rc<Incoming<M>> {
        self.incoming.clone()
    }

    /// Waits until another shard has sent something, or a task of this shard has called; at once
    /// where messages are there already. There may be none, as a task can be woken for nothing.
    /// Fails only where the bell does. Nothing is lost if it is dropped.
    #[inline]
    pub async fn recv(&mut self) -> io::Result<Messages<'_, M>> {
        let mut has_waited = false;
        poll_fn(|cx| self.poll_recv(cx, mem::replace(&mut has_waited, true))).await?;
        Ok(Messages {
            bell_rang: self.incoming.bell_rang.take(),
            incoming: &self.incoming,
        })
    }

    /// The next [`Self::recv`] does not sleep: it lets the tasks run that are ready, and returns.
    /// Until then nobody need ring.
    pub fn stay_awake(&mut self) {
        self.stays_awake = true;
    }

    #[inline]
    fn poll_recv(&mut self, cx: &mut Context<'_>, has_waited: bool) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.bell.as_mut().poll(cx) {
            return Poll::Ready(Err(error));
        }
        self.incoming.receiver.borrow_mut().register(cx.waker());
        if !mem::replace(&mut self.has_joined, true) {
            thread_group::join(self.incoming.id, cx.waker().clone());
        }
        // Woken by whatever: who wakes this task means that it is to receive.
        if has_waited || self.incoming.bell_rang.get() {
            self.incoming.called.set(false);
            return Poll::Ready(Ok(()));
        }
        if mem::take(&mut self.stays_awake) {
            self.echo.wake(cx.waker());
            return Poll::Pending;
        }
        if self.incoming.called.get() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.incoming.may_sleep() {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

/// Wakes the receiver behind all tasks that are ready.
///
/// monoio runs woken tasks first in, first out, but puts a task that wakes itself in front. So the
/// receiver wakes its echo, another task, and that wakes it.
struct Echo {
    /// None until the echo has been polled first.
    waker: Rc<RefCell<Option<Waker>>>,
}

impl Echo {
    fn spawn<M: 'static>(incoming: Rc<Incoming<M>>) -> Self {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let own = waker.clone();
        drop(thread_group::spawn(poll_fn(move |cx| {
            // The first poll only registers it; each later one is a wake-up to pass on.
            if own.replace(Some(cx.waker().clone())).is_some() {
                incoming.call_receiver();
            }
            Poll::<()>::Pending
        })));
        Self { waker }
    }

    fn wake(&self, receiver: &Waker) {
        match &*self.waker.borrow() {
            Some(echo) => echo.wake_by_ref(),
            None => receiver.wake_by_ref(),
        }
    }
}
