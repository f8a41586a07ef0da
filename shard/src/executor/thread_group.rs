//! Thread groups: which thread runs which shards.
//!
//! percore is made for one shard a core, and then each thread runs one. With more shards than
//! cores, a thread a shard would switch between them at every message (four shards on two cores:
//! half as much CPU time again, unpipelined). So a thread runs several shards as a *group*. They
//! share its executor and nothing else. They exchange messages as any shards do, but wake one
//! another without a system call.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::ops::Range;
use std::task::Waker;

use engine::slot::ShardId;
use monoio::task::JoinHandle;
use tracing::{Instrument, Span, error_span};

/// How the shards are spread over the threads.
#[derive(Clone, Copy, Debug)]
pub struct ThreadGroups {
    shards: usize,
    threads: usize,
}

impl ThreadGroups {
    /// Spreads `shards` over `threads`, or over fewer where there are not as many shards.
    pub fn new(shards: usize, threads: usize) -> Self {
        let threads = threads.clamp(1, shards);
        Self { shards, threads }
    }

    /// How many threads there are.
    pub fn threads(self) -> usize {
        self.threads
    }

    /// The indices of the shards that a thread runs.
    pub fn of_thread(self, thread: usize) -> Range<usize> {
        let first = |thread: usize| (thread * self.shards).div_ceil(self.threads);
        first(thread)..first(thread + 1)
    }

    /// The first shard on the thread of `shard`. It answers for its thread, where something
    /// belongs to the thread: memory in use.
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
    /// How many of these only spin: they have nothing to do but corked output to write.
    static SPINNING: Cell<usize> = const { Cell::new(0) };
    /// The thread runs one shard, and a span marks all that it logs.
    static MARKED: Cell<bool> = const { Cell::new(false) };
}

/// The span of a shard's log lines.
pub fn span_of(shard: ShardId) -> Span {
    // Not less than the level of any line, as the level may change.
    error_span!("shard", id = shard.index())
}

/// Marks all that this thread logs, until the guard is dropped. Where a thread runs one shard, its
/// tasks then need no span of their own.
pub fn mark_thread(shard: ShardId) -> tracing::span::EnteredSpan {
    MARKED.set(true);
    span_of(shard).entered()
}

/// The span for a task that the current task spawns; none where the thread is marked.
pub fn span() -> Span {
    if MARKED.get() {
        Span::none()
    } else {
        Span::current()
    }
}

/// Spawns a task of the shard whose task is running.
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

/// Schedules a shard's turn if this thread runs it. Returns whether it does.
pub fn wake(shard: ShardId) -> bool {
    TURNS.with_borrow(|turns| {
        let turn = turns.iter().find(|(known, _)| *known == shard);
        turn.inspect(|(_, turn)| turn.wake_by_ref()).is_some()
    })
}

/// A shard of this thread has woken up.
pub fn woke() {
    AWAKE.set(AWAKE.get() + 1);
}

/// A shard of this thread is about to park.
pub fn slept() {
    AWAKE.set(AWAKE.get().saturating_sub(1));
}

/// A shard of this thread begins to spin: it is awake only in case the others answer.
pub fn spins() {
    SPINNING.set(SPINNING.get() + 1);
}

/// The turn for which a shard has spun begins.
pub fn spun() {
    SPINNING.set(SPINNING.get().saturating_sub(1));
}

/// Whether all other shards of this thread are parked or spin.
pub fn others_rest() -> bool {
    AWAKE.get() <= 1 + SPINNING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_one_thread() {
        for shards in 1..=20 {
            for threads in 1..=24 {
                let groups = ThreadGroups::new(shards, threads);
                let mut next = 0;
                for thread in 0..groups.threads() {
                    let group = groups.of_thread(thread);
                    assert_eq!(group.start, next);
                    assert!(!group.is_empty());
                    for shard in group.clone() {
                        assert_eq!(groups.first_of(ShardId::new(shard)).index(), group.start);
                    }
                    next = group.end;
                }
                assert_eq!(next, shards);
            }
        }
    }
}
