//! A clean end: no new connections, every client gets the replies that are due or a close between two of them, then the threads return.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::client::Closing;
use crate::client::close_reason::CloseReason;
use crate::mailbox::Doorbell;
use crate::mailbox::message::Message;
use crate::process::Process;
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::snapshot;

/// How long clients may take to receive the replies that are due to them.
const GRACE: Duration = Duration::from_secs(2);

/// Ends the server from any thread.
#[derive(Clone)]
pub struct StopHandle {
    process: Arc<Process>,
    first_bell: Arc<Doorbell>,
}

impl StopHandle {
    pub(crate) fn new(process: Arc<Process>, first_bell: Arc<Doorbell>) -> Self {
        Self {
            process,
            first_bell,
        }
    }

    /// Whether the end was asked for. Not any more, where it was refused since the data could not be saved.
    pub fn is_asked_for(&self) -> bool {
        self.process.stop_requested()
    }

    /// Asks for the end and returns at once. Asking again changes nothing.
    pub fn stop(&self) {
        self.process.request_stop();
        self.first_bell.ring_from_outside();
    }
}

impl Shard {
    /// Begins the end on every shard. Called on the shard that learnt of the wish first.
    pub fn stop_everywhere(&mut self) {
        self.process.request_stop();
        for index in 0..self.slots.shards() {
            self.send(ShardId::new(index), Message::Visit(Box::new(Shard::stop)));
        }
    }

    /// Shard 0 looks here once a turn, because signals cannot send messages.
    pub(crate) fn notice_stop_request(&mut self) {
        if self.id.index() != 0 || self.stopping || !self.process.stop_requested() {
            return;
        }
        match self.process.saves_at_stop(&self.config) && !self.could_save() {
            true => self.process.refuse_stop(),
            false => self.stop_everywhere(),
        }
    }

    /// Whether the last snapshot could be written, as far as can be told before; if not, says why.
    pub(crate) fn could_save(&self) -> bool {
        let possible = snapshot::file::can_write(&self.config);
        if let Err(error) = &possible {
            let dir = self.config.dir.display();
            error!(%error, %dir, "cannot write the last snapshot, so the server does not stop unless forced to");
        }
        possible.is_ok()
    }

    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        info!(clients = self.clients.len(), "stopping");
        for (_, known) in &self.clients {
            if let Ok(mut client) = known.client.try_borrow_mut() {
                // A command that waits for an element has no reply to wait for.
                let how = match client.blocked {
                    Some(_) => Closing::Now,
                    None => Closing::AfterReplies,
                };
                client.close_for(CloseReason::Shutdown, how);
            }
        }
        self.flush_log_at_stop();
        self.stop_by = Some(Instant::now() + GRACE);
        self.wake_main();
        // Somebody must look again when the time of grace is over.
        if let Some(waker) = self.cron_waker.take() {
            waker.wake();
        }
    }

    /// Lets the thread's main future look whether the end has come.
    pub(crate) fn wake_main(&self) {
        if let Some(waker) = &self.stop_waker {
            waker.wake_by_ref();
        }
    }

    /// Whether this shard's thread may return: everybody has gone on every shard, or has had the time to.
    pub(crate) fn has_stopped(&mut self) -> bool {
        if !self.stopping {
            return false;
        }
        let late = |by: Duration| self.stop_by.is_some_and(|at| Instant::now() >= at + by);
        let gone = self.clients.is_empty() || late(Duration::ZERO);
        // What is lent away must be home, or it would be missing from the last snapshot.
        let home = self.locks.is_empty() && self.transactions.is_empty();
        if gone && home && self.log_is_idle() && !self.drained {
            self.drained = true;
            self.process.shards_drained.fetch_add(1, Ordering::AcqRel);
        }
        let all = self.process.shards_drained.load(Ordering::Acquire) == self.slots.shards();
        if !all && late(GRACE) {
            error!("ending while commands are under way");
            return true;
        }
        all
    }
}
