//! Which thread runs which shards.
//!
//! One shard a core is what percore is made for: then every thread has one. With more shards than cores a thread a shard would cost switches
//! between them at every message (four on two cores: half as much CPU time again, unpipelined), so a thread runs several: a *crew*. They share its
//! executor and nothing else, and exchange messages as any shards do, but wake one another without a system call.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::ops::Range;
use std::task::Waker;

use monoio::task::JoinHandle;
use tracing::{Instrument, Span, error_span};

use engine::slot::ShardId;

/// The crews of all threads.
#[derive(Clone, Copy, Debug)]
pub struct Crews {
    shards: usize,
    threads: usize,
}

impl Crews {
    /// Spreads shards over as many threads as are wanted, but no more than there are shards.
    pub fn new(shards: usize, threads: usize) -> Self {
        let threads = threads.clamp(1, shards);
        Self { shards, threads }
    }

    pub fn threads(self) -> usize {
        self.threads
    }

    /// The shards that a thread runs.
    pub fn of_thread(self, thread: usize) -> Range<usize> {
        let first = |thread: usize| (thread * self.shards).div_ceil(self.threads);
        first(thread)..first(thread + 1)
    }

    /// The first of the shards on the same thread. It speaks for them where something is the thread's: memory in use.
    pub fn first_of(self, shard: ShardId) -> ShardId {
        let thread = shard.index() * self.threads / self.shards;
        ShardId::new(self.of_thread(thread).start)
    }
}

thread_local! {
    /// The turns of this thread's shards.
    static TURNS: RefCell<Vec<(ShardId, Waker)>> = const { RefCell::new(Vec::new()) };
    /// How many of the shards are awake.
    static AWAKE: Cell<usize> = const { Cell::new(0) };
    /// How many of these have nothing to do, and only wait for others before they write what they have.
    static LINGERING: Cell<usize> = const { Cell::new(0) };
    /// All that this thread logs is one shard's, and marked so.
    static MARKED: Cell<bool> = const { Cell::new(false) };
}

/// What log lines of a shard say besides.
pub fn span_of(shard: ShardId) -> Span {
    // Not less than the level of any line, as the level may change.
    error_span!("shard", id = shard.index())
}

/// Marks all that this thread logs until the guard goes: where it runs one shard, none of its tasks has to take the mark up and put it down.
pub fn mark_thread(shard: ShardId) -> tracing::span::EnteredSpan {
    MARKED.set(true);
    span_of(shard).entered()
}

/// What marks the lines of a task that is begun in this one.
pub fn span() -> Span {
    match MARKED.get() {
        true => Span::none(),
        false => Span::current(),
    }
}

/// Begins a task of the same shard.
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    monoio::spawn(task.instrument(span()))
}

/// A shard of this thread has begun to take turns.
pub fn join(shard: ShardId, turn: Waker) {
    TURNS.with_borrow_mut(|turns| turns.push((shard, turn)));
}

/// Lets a shard have a turn, if it is of this thread. Returns whether it is.
pub fn wake(shard: ShardId) -> bool {
    TURNS.with_borrow(|turns| {
        let turn = turns.iter().find(|(known, _)| *known == shard);
        turn.inspect(|(_, turn)| turn.wake_by_ref()).is_some()
    })
}

/// A shard of this thread woke up.
pub fn woke() {
    AWAKE.set(AWAKE.get() + 1);
}

/// A shard of this thread is about to sleep.
pub fn slept() {
    AWAKE.set(AWAKE.get().saturating_sub(1));
}

/// A shard of this thread is awake only to see whether others answer yet.
pub fn lingers() {
    LINGERING.set(LINGERING.get() + 1);
}

/// It looks again.
pub fn lingered() {
    LINGERING.set(LINGERING.get().saturating_sub(1));
}

/// Whether all other shards of this thread sleep, or linger.
pub fn others_rest() -> bool {
    AWAKE.get() <= 1 + LINGERING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_one_thread() {
        for shards in 1..=20 {
            for threads in 1..=24 {
                let crews = Crews::new(shards, threads);
                let mut next = 0;
                for thread in 0..crews.threads() {
                    let crew = crews.of_thread(thread);
                    assert_eq!(crew.start, next);
                    assert!(!crew.is_empty());
                    for shard in crew.clone() {
                        assert_eq!(crews.first_of(ShardId::new(shard)).index(), crew.start);
                    }
                    next = crew.end;
                }
                assert_eq!(next, shards);
            }
        }
    }
}
