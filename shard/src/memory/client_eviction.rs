//! Keeps what connections hold in memory below `maxmemory-clients`: the largest are closed, on
//! whichever shards they are.
//!
//! While the parameter is set, a connection's memory is added up whenever its task has run, which
//! is where it changes; a shard publishes its sum whenever that has moved by [`PUBLISHED_STEP`],
//! and looks whether all shards together are above the limit. Then a *round* begins: all shards
//! tell the sizes of those of their connections that may go, by powers of two as Redis keeps them;
//! the shard that asked finds the size from which on they must go, and tells all. Within the last
//! power of two each shard closes its largest until enough has gone. One round runs at a time, and
//! one look at the connections serves any number that must go.
//!
//! CLIENT NO-EVICT exempts a connection; its memory counts all the same, as in Redis. While the
//! parameter is not set, a connection's task pays one branch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use engine::slot::ShardId;
use tracing::info;

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::mailbox::message::Message;
use crate::shard::Shard;

/// A shard whose sum has moved by so many bytes says so and looks at the limit.
const PUBLISHED_STEP: usize = 16 * 1024;

/// Sizes told apart: by their binary logarithm.
const CLASSES: usize = usize::BITS as usize;

/// What all shards know of connections' memory.
pub struct ClientMemory {
    /// Each shard's sum as it last said, on a cache line of its own.
    sums: Box<[Published]>,
    /// Somebody is choosing who must go.
    choosing: AtomicBool,
}

#[derive(Default)]
#[repr(align(64))]
struct Published(AtomicUsize);

impl ClientMemory {
    /// Nothing yet, of so many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            sums: (0..shards).map(|_| Published::default()).collect(),
            choosing: AtomicBool::new(false),
        }
    }

    fn total(&self) -> usize {
        let sums = self.sums.iter().map(|sum| sum.0.load(Ordering::Relaxed));
        sums.fold(0, usize::saturating_add)
    }
}

/// One shard's connections: what they hold together.
#[derive(Default)]
pub struct Held {
    sum: usize,
    /// The sum when it was last published.
    published: usize,
    /// All shards together were above the limit when somebody last looked: then even the smallest
    /// change counts.
    over: bool,
    round: Option<Round>,
}

/// A round that this shard leads.
struct Round {
    /// Shards that have not answered.
    missing: usize,
    /// What all connections hold, and of it what may go: both from one look of each shard, or who
    /// grows meanwhile would make all others go.
    sum: usize,
    sizes: Sizes,
    closed: usize,
}

/// The memory of connections that may go, by the binary logarithm of each one's.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Sizes([usize; CLASSES]);

impl Default for Sizes {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

/// The place of a connection of so many bytes.
fn class_of(bytes: usize) -> usize {
    bytes.max(1).ilog2() as usize
}

impl Sizes {
    fn note(&mut self, bytes: usize) {
        self.0[class_of(bytes)] += bytes;
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// From which class on connections must go so that `excess` bytes are freed, and how many of
    /// them are to come from that class itself: all above it go. `None` where there is nobody to
    /// close.
    fn cut(&self, excess: usize) -> Option<(usize, usize)> {
        let mut rest = excess;
        let mut lowest = None;
        for (class, bytes) in self
            .0
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, bytes)| **bytes > 0)
        {
            lowest = Some((class, rest));
            match rest.checked_sub(*bytes) {
                Some(left) if left > 0 => rest = left,
                _ => break,
            }
        }
        lowest
    }
}

impl Shard {
    /// A connection's task has run: what it holds now is counted, and the limit looked at, where
    /// there is one.
    #[inline]
    pub(crate) fn weigh(&mut self, client: &mut Client) {
        if self.engine.config.maxmemory_clients.is_set() {
            self.weigh_anew(client);
            self.heed_client_memory(may_go(client));
        }
    }

    fn weigh_anew(&mut self, client: &mut Client) {
        let bytes = match client.closing {
            // It goes with the connection, which the sending side may hold up.
            Some(Closing::Now) => 0,
            _ => client.memory_bytes(),
        };
        let before = std::mem::replace(&mut client.weighed_bytes, bytes);
        self.connections.memory.sum = (self.connections.memory.sum + bytes).saturating_sub(before);
    }

    /// A connection has gone.
    pub(crate) fn unweigh(&mut self, client: &mut Client) {
        let before = std::mem::take(&mut client.weighed_bytes);
        self.connections.memory.sum = self.connections.memory.sum.saturating_sub(before);
        self.publish_client_memory();
    }

    /// The limit may have changed: every connection is counted again.
    pub(crate) fn weigh_all(&mut self) {
        if !self.engine.config.maxmemory_clients.is_set() {
            return;
        }
        let clients: Vec<_> = self
            .connections
            .clients
            .iter()
            .map(|(_, it)| it.client.clone())
            .collect();
        self.connections.memory.sum = 0;
        for client in clients {
            match client.try_borrow_mut() {
                Ok(mut client) => {
                    client.weighed_bytes = 0;
                    self.weigh_anew(&mut client);
                }
                // Its task is running, and weighs it at the end.
                Err(_) => continue,
            }
        }
        self.connections.memory.published = usize::MAX;
        self.heed_client_memory(true);
    }

    /// Publishes the sum where it has moved, and says whether it had.
    fn publish_client_memory(&mut self) -> bool {
        let held = &mut self.connections.memory;
        let moved = held.sum.abs_diff(held.published) >= PUBLISHED_STEP;
        if moved {
            held.published = held.sum;
            let published = &self.process.client_memory.sums[self.engine.id.index()];
            published.0.store(held.sum, Ordering::Relaxed);
        }
        moved
    }

    /// Looks at the limit where the sum has moved. `may_help` where a connection that may go has,
    /// or any may have.
    fn heed_client_memory(&mut self, may_help: bool) {
        if self.publish_client_memory() || self.connections.memory.over {
            let over = self.client_memory_excess() > 0;
            let newly = !std::mem::replace(&mut self.connections.memory.over, over) && over;
            // After the first round only those are left that may not go.
            if newly || over && may_help {
                self.begin_round();
            }
        }
    }

    /// Bytes by which all connections together are above the limit.
    fn client_memory_excess(&self) -> usize {
        match self.engine.config.client_memory_max() {
            None => 0,
            Some(limit) => self.process.client_memory.total().saturating_sub(limit),
        }
    }

    #[cold]
    fn begin_round(&mut self) {
        if self
            .process
            .client_memory
            .choosing
            .swap(true, Ordering::AcqRel)
        {
            // Whoever is at it looks once more at its end.
            return;
        }
        let shards = self.engine.slots.shards();
        self.connections.memory.round = Some(Round {
            missing: shards,
            sum: 0,
            sizes: Sizes::default(),
            closed: 0,
        });
        let origin = self.engine.id;
        for index in 0..shards {
            let visit = move |shard: &mut Shard| {
                let (sum, sizes) = shard.client_sizes();
                let home = move |home: &mut Shard| home.sizes_came(sum, &sizes);
                shard.send(origin, Message::Visit(Box::new(home)));
            };
            self.send(ShardId::new(index), Message::Visit(Box::new(visit)));
        }
    }

    /// What the connections of this shard hold, and those of them that may go.
    fn client_sizes(&mut self) -> (usize, Sizes) {
        self.connections.memory.over = true;
        let mut sizes = Sizes::default();
        for (_, known) in &self.connections.clients {
            if let Ok(client) = known.client.try_borrow()
                && may_go(&client)
            {
                sizes.note(client.weighed_bytes);
            }
        }
        (self.connections.memory.sum, sizes)
    }

    fn sizes_came(&mut self, sum: usize, sizes: &Sizes) {
        let shards = self.engine.slots.shards();
        let limit = self.engine.config.client_memory_max().unwrap_or(usize::MAX);
        let Some(round) = &mut self.connections.memory.round else {
            return;
        };
        round.sum = round.sum.saturating_add(sum);
        round.sizes.add(sizes);
        round.missing -= 1;
        if round.missing > 0 {
            return;
        }
        round.missing = shards;
        let cut = round.sizes.cut(round.sum.saturating_sub(limit));
        let Some((class, rest)) = cut.filter(|(_, rest)| *rest > 0) else {
            return self.end_round();
        };
        let rest = Arc::new(AtomicI64::new(i64::try_from(rest).unwrap_or(i64::MAX)));
        let origin = self.engine.id;
        for index in 0..shards {
            let rest = rest.clone();
            let visit = move |shard: &mut Shard| {
                let closed = shard.close_largest(class, &rest);
                let home = move |home: &mut Shard| home.largest_are_closed(closed);
                shard.send(origin, Message::Visit(Box::new(home)));
            };
            self.send(ShardId::new(index), Message::Visit(Box::new(visit)));
        }
    }

    /// Closes all above `class`, and of that class the largest, until no shard has any of `rest`
    /// left to free. Returns how many.
    fn close_largest(&mut self, class: usize, rest: &AtomicI64) -> usize {
        let mut largest: Vec<_> = self
            .connections
            .clients
            .iter()
            .filter_map(|(_, known)| {
                let client = known.client.try_borrow().ok()?;
                let bytes = client.weighed_bytes;
                (may_go(&client) && class_of(bytes) >= class).then(|| (bytes, known.client.clone()))
            })
            .collect();
        largest.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let mut closed = 0;
        for (bytes, client) in largest {
            let taken = i64::try_from(bytes).unwrap_or(i64::MAX);
            if class_of(bytes) == class && rest.fetch_sub(taken, Ordering::AcqRel) <= 0 {
                break;
            }
            let Ok(mut client) = client.try_borrow_mut() else {
                continue;
            };
            if let Some(left_out) = self
                .measured
                .log_limits
                .evicted_clients
                .admit(self.second())
            {
                info!(
                    client = client.session.id,
                    address = &*client.peer.address,
                    bytes,
                    left_out,
                    "closing a client to keep within maxmemory-clients"
                );
            }
            client.close_for(CloseReason::ClientMemory, Closing::Now);
            self.weigh_anew(&mut client);
            self.engine.stats.evicted_clients += 1;
            closed += 1;
        }
        self.connections.memory.published = usize::MAX;
        self.publish_client_memory();
        closed
    }

    fn largest_are_closed(&mut self, closed: usize) {
        let Some(round) = &mut self.connections.memory.round else {
            return;
        };
        round.closed += closed;
        round.missing -= 1;
        if round.missing == 0 {
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        let closed = self
            .connections
            .memory
            .round
            .take()
            .map_or(0, |it| it.closed);
        self.process
            .client_memory
            .choosing
            .store(false, Ordering::Release);
        // More may have come meanwhile. Where nobody could be closed, the next who grows looks
        // again.
        if closed > 0 && self.client_memory_excess() > 0 {
            self.begin_round();
        }
    }
}

/// Whether a connection may be closed for its memory.
fn may_go(client: &Client) -> bool {
    let is_replica = client.session.is_replica();
    !client.session.no_evict && !is_replica && client.closing != Some(Closing::Now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(all: &[usize]) -> Sizes {
        let mut sizes = Sizes::default();
        all.iter().for_each(|bytes| sizes.note(*bytes));
        sizes
    }

    #[test]
    fn the_largest_go_first() {
        let all = sizes(&[1_000, 1_000, 5_000, 100_000]);
        assert_eq!(all.cut(1), Some((16, 1)), "the largest is enough");
        assert_eq!(all.cut(100_000), Some((16, 100_000)));
        assert_eq!(all.cut(100_001), Some((12, 1)));
        assert_eq!(all.cut(105_500), Some((9, 500)), "one of the smallest");
        assert_eq!(all.cut(1_000_000), Some((9, 895_000)), "all are not enough");
        assert_eq!(sizes(&[]).cut(1), None);
    }

    #[test]
    fn sizes_of_shards_add_up() {
        let mut sum = sizes(&[1_000]);
        sum.add(&sizes(&[1_001, 70_000]));
        assert_eq!(sum, sizes(&[2_001 - 1_000, 1_000, 70_000]));
        assert_eq!((class_of(0), class_of(usize::MAX)), (0, CLASSES - 1));
    }
}
