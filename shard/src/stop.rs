//! A clean end: what is to be saved is saved, no new connections come, every client gets the
//! replies that are due or a close between two of them, and then the threads return.
//!
//! What can refuse comes first ([`attempt`]): a server that cannot save its data goes on serving,
//! as if nobody had asked.

pub mod attempt;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use config::ShutdownFlags;
use engine::slot::ShardId;
use tracing::{error, info};

use crate::client::Closing;
use crate::client::close_reason::CloseReason;
use crate::connections::Registered;
use crate::local_waker::LocalWaker;
use crate::mailbox::doorbell::Doorbell;
use crate::mailbox::message::Message;
use crate::process::Process;
use crate::shard::Shard;
use crate::stop::attempt::Attempt;
use crate::transaction::exec::ExecState;

/// Looks of the driver after the last task, until it has cancelled what connections had in flight,
/// and closed their sockets.
const LAST_LOOKS: u32 = 3;

/// How long one takes, to which the timer adds up to its own millisecond.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// How long clients may take to receive the replies that are due to them.
const GRACE: Duration = Duration::from_secs(2);

/// A signal that asks for the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndSignal {
    Term,
    Interrupt,
}

/// The numbers that stand for signals in [`Stop`].
const NO_SIGNAL: u8 = 0;
const TERM: u8 = 1;
const INTERRUPT: u8 = 2;

/// What is known of the end, by all shards.
#[derive(Default)]
pub struct Stop {
    /// The signal that shard 0 has not seen yet.
    signal: AtomicU8,
    /// Nothing refuses it any more: shards and their connections end.
    is_certain: AtomicBool,
    /// What scripts that have run for long have done so far is given up.
    pub(crate) gives_scripts_up: AtomicBool,
    /// No command that changes something begins, as what there is, is being saved.
    pub(crate) holds_writes: AtomicBool,
    /// Where it is tried, and may be refused yet.
    attempt: Mutex<Option<Attempt>>,
    /// Attempts so far.
    pub(crate) attempts: AtomicU64,
    /// Ends the process at once, with this status.
    exit: OnceLock<fn(i32)>,
}

impl Stop {
    pub(crate) fn exit_by(&self, exit: fn(i32)) {
        // Set once, at the start.
        let _ = self.exit.set(exit);
    }

    /// Ends the process at once.
    fn exit(&self, status: i32) {
        if let Some(exit) = self.exit.get() {
            exit(status);
        }
    }

    pub(crate) fn attempt(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether writes wait until it is known whether the server ends.
    pub(crate) fn holds_writes(&self) -> bool {
        self.holds_writes.load(Ordering::Acquire)
    }

    fn take_signal(&self) -> Option<EndSignal> {
        if self.signal.load(Ordering::Relaxed) == NO_SIGNAL {
            return None;
        }
        match self.signal.swap(NO_SIGNAL, Ordering::Acquire) {
            TERM => Some(EndSignal::Term),
            INTERRUPT => Some(EndSignal::Interrupt),
            _ => None,
        }
    }
}

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

    /// Whether an end was asked for that has not been refused.
    pub fn is_asked_for(&self) -> bool {
        let stop = &self.process.stop;
        stop.signal.load(Ordering::Acquire) != NO_SIGNAL
            || stop.is_certain.load(Ordering::Acquire)
            || stop.attempt().is_some()
    }

    /// Asks for the end that is configured for this signal, and returns at once.
    pub fn stop(&self, signal: EndSignal) {
        let signal = match signal {
            EndSignal::Term => TERM,
            EndSignal::Interrupt => INTERRUPT,
        };
        self.process.stop.signal.store(signal, Ordering::Release);
        self.first_bell.ring_from_outside();
    }
}

/// How far a shard's end has come.
#[derive(Default)]
pub struct Stopping {
    /// The process is going down: connections close once their replies are out.
    pub is_under_way: bool,
    pub(crate) drained: bool,
    /// The attempt to end the server for which its connections are quiet, and which waits for its
    /// log.
    pub(crate) quiet_for: Option<u64>,
    /// When the shard's thread ends even if connections are left.
    pub(crate) by: Option<Instant>,
    pub(crate) waker: LocalWaker,
}

impl Shard {
    /// Begins the end on every shard. Nothing stops it any more.
    pub(crate) fn stop_everywhere(&mut self) {
        self.process.stop.is_certain.store(true, Ordering::Release);
        for index in 0..self.engine.slots.shards() {
            self.send(ShardId::new(index), Message::Visit(Box::new(Shard::stop)));
        }
    }

    /// Shard 0 looks here once a turn, because signals cannot send messages.
    pub(crate) fn notice_stop_request(&mut self) {
        if self.engine.id.index() != 0 {
            return;
        }
        let how: ShutdownFlags = match self.process.stop.take_signal() {
            None => return,
            Some(EndSignal::Term) => self.engine.config.shutdown_on_sigterm,
            Some(EndSignal::Interrupt) => self.engine.config.shutdown_on_sigint,
        };
        // A refusal is in the log.
        let _ = self.attempt_stop(how, None);
    }

    fn stop(&mut self) {
        if self.stop.is_under_way {
            return;
        }
        self.stop.is_under_way = true;
        info!(clients = self.connections.clients.len(), "stopping");
        for (_, known) in &self.connections.clients {
            if let Ok(mut client) = known.client.try_borrow_mut() {
                // A command that waits for an element has no reply to wait for.
                let how = match client.blocked {
                    Some(_) => Closing::Now,
                    None => Closing::AfterReplies,
                };
                client.close_for(CloseReason::Shutdown, how);
            }
        }
        self.listening.end();
        self.flush_log_at_stop();
        self.stop.by = Some(Instant::now() + GRACE);
        self.wake_main();
        // Somebody must look again when the time of grace is over.
        self.clock.waker.wake();
    }

    /// Connections have had the time to take what is due to them.
    fn close_those_left(&self) {
        for (_, known) in &self.connections.clients {
            if let Ok(mut client) = known.client.try_borrow_mut() {
                client.close(Closing::Now);
            }
        }
    }

    /// Whether the shard ends, or is about to: what is to be on disk is to be there at once.
    pub(crate) fn ends(&self) -> bool {
        self.stop.is_under_way || self.stop.quiet_for.is_some()
    }

    /// Lets the thread's main future look whether the end has come.
    pub(crate) fn wake_main(&self) {
        self.stop.waker.wake();
    }

    /// Whether this shard's thread may return: everybody has gone on every shard, or has had the
    /// time to.
    pub(crate) fn has_stopped(&mut self) -> bool {
        if !self.stop.is_under_way {
            return false;
        }
        let (stop_by, now) = (self.stop.by, Instant::now());
        let late = |by: Duration| stop_by.is_some_and(|at| now >= at + by);
        if late(Duration::ZERO) {
            self.close_those_left();
        }
        let gives_up = self.process.stop.gives_scripts_up.load(Ordering::Acquire);
        let is_orphaned = |known: &Registered| {
            let client = known.client.try_borrow();
            client.is_ok_and(|client| client.exec == ExecState::Orphaned)
        };
        let mut clients = self.connections.clients.iter();
        let gone = late(Duration::ZERO) || clients.all(|(_, known)| gives_up && is_orphaned(known));
        // Transactions that have begun happen whole, and are in the log.
        let home = gives_up
            || (self.engine.owner.locks.is_empty() && !self.engine.coordinator.has_transactions());
        if gone && home && self.log_is_idle() && !self.stop.drained {
            self.stop.drained = true;
            let before = self.process.shards_drained.fetch_add(1, Ordering::AcqRel);
            if before + 1 == self.engine.slots.shards() {
                // Those that were ready before wait for this one.
                self.begin_turn();
                self.tell_others(|shard| shard.wake_main());
            }
        }
        let all = self.process.shards_drained.load(Ordering::Acquire) == self.engine.slots.shards();
        if !all && late(GRACE) {
            error!("ending while commands are under way");
            return true;
        }
        all
    }
}

/// Lets the driver close for the kernel what has been closed here. What a ring has in flight
/// otherwise lives on until it is taken apart, which is after the process has gone.
pub(crate) async fn sockets_closed() {
    for _ in 0..LAST_LOOKS {
        monoio::time::sleep(LAST_LOOK).await;
    }
}
