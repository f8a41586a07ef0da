//! The figures of the idle policy, in one table: each with what it was measured with.
//!
//! "compare", "publish" and "transactions" are commands of `benchmarks/`, whose README tells how
//! they are run. All were taken on two cores that the clients share.

use std::num::NonZeroU64;
use std::time::Duration;

// Yielding (compare: two shards, unpipelined GET: 13.6 us of CPU time without it, 8.3 with it).

/// A yield that took longer went to somebody who is no client: kernels give slices of 3 or 4 ms.
pub const YIELD_MAX: Duration = Duration::from_millis(2);

/// A yield that took longer went to somebody at all; the call alone takes less.
pub const SWITCH_MIN: Duration = Duration::from_micros(4);

/// The first pause in yielding, after a yield that was too long.
pub const YIELD_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause: each doubles while yields stay too long.
pub const YIELD_PAUSE_MAX: Duration = Duration::from_secs(30);

// Naps (compare: one shard, 50 connections: a tenth less CPU time, throughput up by as much).

/// A nap. Of 3 us nothing is left once the thread has slept and woken; 80 us gained nothing more.
pub const NAP: Duration = Duration::from_micros(50);

/// How much later than asked the kernel may wake the thread: its default is as long as a nap.
pub const NAP_SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

/// Connections that speak are counted in windows of this length: 50 clients speak twice in one.
pub const WINDOW: Duration = Duration::from_millis(1);

/// Reads without a pause from which on a nap may follow: fewer clients are answered at once.
pub const SERVED_MIN: u64 = 4;

/// Connections that must have spoken lately for each that was just served: most are about to.
pub const SPEAKERS_PER_SERVED: u64 = 3;

// Naps for messages (publish: two shards, 16 bytes to ten subscribers: 4.7 us each, and 3.5).

/// Publish batches that a nap has to find for the next nap to follow: one would have come anyway.
pub const BATCHES_MIN: u32 = 2;

/// The most naps that are left out after useless ones: at worst one nap in 256 gains nothing.
pub const PASSES_MAX: u32 = 255;

// Pacing of the fan-out queue (publish: one shard, 16 bytes to 50 subscribers: 1.1 us, and 0.74).

/// Subscribers that a turn sends to at least: a look for input costs half as much as a write.
pub const SENDS_MIN: usize = 3;

/// Subscribers that a turn sends to where there is no input: as long as a publisher is away.
pub const SENDS_MAX: usize = 12;

/// A fan-out queue of so many is long.
pub const LONG_QUEUE_MIN: usize = 8;

/// With fewer left in a long queue the shard does not yield before it is done with them.
pub const QUEUE_YIELD_MIN: usize = 3;

// Corked output (compare: uncorked, 16 GETs over two shards take two writes, 16 MSETs sixteen).

/// Output from here on leaves as it is.
pub const CORKED_BYTES_MAX: usize = 16 * 1024;

/// Turns after which corked output leaves in any case.
pub const CORKED_TURNS_MAX: u64 = 16;
