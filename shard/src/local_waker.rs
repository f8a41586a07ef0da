//! Waking a task of the same thread.
//!
//! A task that waits for something of its shard registers its waker with that. It registers again
//! whenever it is polled and waits on; whoever brings what it waits for wakes it. Nothing here is
//! about other threads: those ring the shard's doorbell ([`crate::mailbox`]).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

/// The one task that waits for something.
///
/// The waker is kept between waits: a task that waits in the same place each time is cloned once.
#[derive(Default)]
pub struct LocalWaker {
    waker: Option<Waker>,
    /// The task has registered and has not been woken since.
    waits: Cell<bool>,
}

impl LocalWaker {
    /// The task of `waker` waits here from now on, and nobody else.
    #[inline]
    pub fn register(&mut self, waker: &Waker) {
        match &self.waker {
            Some(kept) if kept.will_wake(waker) => {}
            _ => self.waker = Some(waker.clone()),
        }
        self.waits.set(true);
    }

    /// Wakes the task that waits, if one does: once for each time that it registers.
    #[inline]
    pub fn wake(&self) {
        if self.waits.replace(false)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    /// Whether a task waits here that has not been woken yet.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.waits.get()
    }

    /// The task waits here no more.
    pub fn cancel(&mut self) {
        self.waits.set(false);
    }
}

/// All tasks that wait for something.
#[derive(Default)]
pub struct LocalWakers {
    wakers: Vec<Waker>,
}

impl LocalWakers {
    /// The task of `waker` waits here too.
    pub fn register(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|kept| kept.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    /// Wakes all that wait, which are none afterwards.
    #[inline]
    pub fn wake_all(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }
}

/// Waits until whoever owns `place` wakes the task that waits there. `place` finds the waker in
/// `owner`, which is borrowed for no longer than that takes.
pub fn woken<T>(
    owner: &RefCell<T>,
    place: impl Fn(&mut T) -> &mut LocalWaker,
) -> impl Future<Output = ()> {
    let mut registered = false;
    poll_fn(move |cx| {
        let mut owner = owner.borrow_mut();
        let waker = place(&mut owner);
        if registered && !waker.is_waiting() {
            return Poll::Ready(());
        }
        registered = true;
        waker.register(cx.waker());
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Counter>, Waker) {
        let counter = Arc::<Counter>::default();
        (counter.clone(), counter.into())
    }

    fn wakes(counter: &Counter) -> usize {
        counter.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_task_is_woken_once_for_each_time_that_it_registers() {
        let (counter, waker) = counted();
        let mut place = LocalWaker::default();
        place.wake();
        assert!(!place.is_waiting());
        for times in 1..4 {
            place.register(&waker);
            place.register(&waker);
            assert!(place.is_waiting());
            place.wake();
            place.wake();
            assert!(!place.is_waiting());
            assert_eq!(wakes(&counter), times);
        }
        place.register(&waker);
        place.cancel();
        place.wake();
        assert_eq!(wakes(&counter), 3);
    }

    #[test]
    fn the_task_that_registered_last_is_woken() {
        let ((first, first_waker), (second, second_waker)) = (counted(), counted());
        let mut place = LocalWaker::default();
        place.register(&first_waker);
        place.register(&second_waker);
        place.wake();
        assert_eq!((wakes(&first), wakes(&second)), (0, 1));
    }

    #[test]
    fn all_that_wait_are_woken_once() {
        let ((first, first_waker), (second, second_waker)) = (counted(), counted());
        let mut places = LocalWakers::default();
        assert!(places.is_empty());
        for waker in [&first_waker, &second_waker, &first_waker] {
            places.register(waker);
        }
        assert!(!places.is_empty());
        places.wake_all();
        places.wake_all();
        assert!(places.is_empty());
        assert_eq!((wakes(&first), wakes(&second)), (1, 1));
    }

    #[test]
    fn who_waits_goes_on_when_woken_and_not_when_only_polled() {
        let owner = RefCell::new(LocalWaker::default());
        let mut waiting = pin!(woken(&owner, |place| place));
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = || waiting.as_mut().poll(&mut context).is_ready();
        assert!(!poll() && !poll());
        owner.borrow().wake();
        assert!(poll());
    }
}
