//! What a shard does by the clock, ten times a second: expiry, idle connections, and telling the process how much memory it uses.
//!
//! The clock stops while there is nothing to do: a shard with no keys that expire, no idle limit and no traffic sleeps until somebody comes.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tracing::info;

use crate::client::Closing;
use crate::shard::Shard;

/// Between two ticks: Redis's `hz 10`.
const TICK: Duration = Duration::from_millis(100);

/// Expired keys removed in one go; between two goes the shard's other work has its turn.
const EXPIRED_PER_STEP_MAX: usize = 256;

/// Ticks between two looks at idle connections.
const TICKS_PER_CLIENT_LOOK: u64 = 10;

/// A connection that has sent nothing for this long gives its spare buffers back.
const IDLE_BUFFERS_KEPT: Duration = Duration::from_secs(2);

/// Runs the clock for as long as the executor runs.
pub async fn run(shard: Rc<RefCell<Shard>>) {
    let mut ticks = 0u64;
    loop {
        monoio::time::sleep(TICK).await;
        ticks += 1;
        let commands = shard.borrow().stats.commands;
        while shard.borrow_mut().expire_step() {
            // Sleeping for no time lets the connections run first.
            monoio::time::sleep(Duration::ZERO).await;
        }
        let quiet = {
            let mut shard = shard.borrow_mut();
            shard.publish_memory();
            if shard.stopping {
                // Whether the end has come is for the main future to see.
                shard.wake_main();
            }
            if ticks.is_multiple_of(TICKS_PER_CLIENT_LOOK) {
                shard.look_at_clients();
            }
            shard.has_nothing_to_watch() && shard.stats.commands == commands
        };
        if quiet {
            let mut registered = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut registered, true) {
                    return Poll::Ready(());
                }
                shard.borrow_mut().cron_waker = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }
}

impl Shard {
    /// Removes some keys whose time has come. True where more are due.
    fn expire_step(&mut self) -> bool {
        if !self.active_expire {
            return false;
        }
        self.now = crate::shard::wall_time();
        let expired = self
            .databases
            .expire_some(self.now, EXPIRED_PER_STEP_MAX, |db, entry| {
                self.effects.expired(db, entry);
            });
        let more_fields = self.expire_fields();
        self.bury();
        if self.effects.has_news() {
            // Others are to hear of it: that is the turn's.
            self.begin_turn();
        }
        self.serve_ready();
        expired.more || more_fields
    }

    /// Tells the process how much memory this shard's thread has in use.
    pub(crate) fn publish_memory(&self) {
        let used = (self.process.used_memory_of_thread)();
        self.process.used_memory[self.id.index()].store(used as i64, Ordering::Relaxed);
    }

    fn look_at_clients(&mut self) {
        let timeout = Duration::from_secs(u64::from(self.config.timeout_s));
        let now = std::time::Instant::now();
        for (_, known) in &self.clients {
            let Ok(mut client) = known.client.try_borrow_mut() else {
                continue;
            };
            self.limit_output(&mut client);
            let idle = now.saturating_duration_since(client.active_at);
            if !timeout.is_zero() && idle >= timeout && !client.stalled {
                info!(
                    client = client.session.id,
                    idle_s = idle.as_secs(),
                    "closing idle connection"
                );
                client.close(Closing::Now);
            } else if idle >= IDLE_BUFFERS_KEPT {
                client.shrink();
            }
        }
    }

    fn has_nothing_to_watch(&self) -> bool {
        !self.stopping
            && self.databases.volatile_len() == 0
            && self.effects.fields.is_empty()
            && (self.clients.is_empty() || self.config.timeout_s == 0)
    }
}
