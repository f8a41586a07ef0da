//! Commands that wait, as their connections and the clock see them: see [`engine::blocking`].

pub mod acks;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use engine::blocking::ending::{CancelMode, End};
use engine::blocking::waiting::BlockedId;
use engine::header::ClientToken;
use engine::message::EndWait;
use engine::slot::ShardId;
use engine::task::TaskId;
use storage::UnixMillis;

use crate::client::Client;
use crate::mailbox::message::Message;
use crate::shard::{Shard, wall_time};
use crate::tasks::WaitEnded;

/// Sleep of the timer task where nobody's time can run out.
const NOBODY_WAITS: Duration = Duration::from_secs(3600);

/// Where a connection's blocked command waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockedAt {
    /// On the one shard that owns all its keys, if it waits at all and has not just been answered.
    Owner(ShardId),
    /// On several; here is its blocked id.
    BlockedId(BlockedId),
    /// At no key: for its connection's writes to be safe. This is its number on its own shard.
    Acks(u64),
}

/// When a wait ends that a command of this connection ends.
pub fn cancel_mode_of(client: &Client) -> CancelMode {
    if client.session.in_exec {
        CancelMode::AtOnce
    } else {
        CancelMode::AfterTry
    }
}

/// Where nobody wants to know whether a wait was ended.
pub fn nobody_asks() -> Option<WaitEnded> {
    None
}

impl Shard {
    /// Ends the wait of one of this shard's connections, wherever it waits, and tells `then`
    /// whether there was one to end.
    pub(crate) fn end_wait(
        &mut self,
        client: ClientToken,
        at: BlockedAt,
        end: End,
        mode: CancelMode,
        then: Option<WaitEnded>,
    ) {
        let origin = self.engine.id;
        match at {
            BlockedAt::BlockedId(blocked_id) => {
                let task = self.task_of(then);
                self.engine.cancel_blocked(blocked_id, end, mode, task);
            }
            BlockedAt::Acks(number) => {
                let ended = self.end_ack_wait(number, end);
                if let Some(then) = then {
                    then(self, ended);
                }
            }
            BlockedAt::Owner(owner) if owner == origin && self.links.own.is_empty() => {
                let ended = self.engine.end_wait_here(origin, client, end);
                if let Some(then) = then {
                    then(self, ended);
                }
            }
            // Behind the command, which may still lie there.
            BlockedAt::Owner(owner) => {
                let task = self.task_of(then);
                let asked = EndWait { client, end, task };
                let message = engine::message::Message::EndWait(Box::new(asked));
                self.send(owner, Message::Engine(message));
            }
        }
        self.settle();
    }

    fn task_of(&mut self, then: Option<WaitEnded>) -> TaskId {
        then.map_or(TaskId::NONE, |then| self.tasks.wait_ended(then))
    }

    /// Ends several waits. Does `then` when each has been ended or was over already.
    pub(crate) fn end_waits(
        &mut self,
        waits: Vec<(ClientToken, BlockedAt)>,
        end: End,
        mode: CancelMode,
        then: impl FnOnce(&mut Shard) + Send + 'static,
    ) {
        // The last who has it has it alone.
        let then = Arc::new(Mutex::new(then));
        for (client, at) in waits {
            let then = then.clone();
            let told = move |shard: &mut Shard, _| shard.do_if_last(then);
            self.end_wait(client, at, end, mode, Some(Box::new(told)));
        }
        self.do_if_last(then);
    }

    fn do_if_last(&mut self, then: Arc<Mutex<impl FnOnce(&mut Shard)>>) {
        if let Some(Ok(then)) = Arc::into_inner(then).map(Mutex::into_inner) {
            then(self);
        }
    }

    /// Connections of this shard, and commands of others on its keys, that wait.
    pub fn blocked_clients(&self) -> usize {
        self.engine.blocked_clients() + self.acks.count()
    }

    /// Those of them whose time can run out.
    pub fn clients_with_deadline(&self) -> usize {
        self.engine.clients_with_deadline() + self.acks.with_deadline()
    }

    pub(crate) fn wake_timer(&mut self) {
        self.clock.timer_waker.wake();
    }

    fn next_timeout(&self) -> Option<UnixMillis> {
        let others = self.acks.next_deadline().into_iter();
        others
            .chain(self.engine.next_timeout())
            .chain(self.pausing.pause.map(|pause| pause.until))
            .min()
    }

    fn time_out(&mut self) {
        self.begin_turn();
        self.end_pause_if_due();
        self.time_out_acks();
        self.engine.time_out();
        self.settle();
    }
}

/// Ends waits when their time is up, to the millisecond; sleeps while nobody waits.
pub async fn run_timer(shard: Rc<RefCell<Shard>>) {
    loop {
        let next = shard.borrow().next_timeout();
        // A deadline is reached when its millisecond has come.
        let wait = next.map_or(NOBODY_WAITS, |until| until.since(wall_time()));
        let mut sleep = pin!(monoio::time::sleep(wait));
        let mut registered = false;
        poll_fn(|cx| {
            let mut shard = shard.borrow_mut();
            if registered && !shard.clock.timer_waker.is_waiting() {
                return Poll::Ready(());
            }
            registered = true;
            shard.clock.timer_waker.register(cx.waker());
            sleep.as_mut().poll(cx)
        })
        .await;
        shard.borrow_mut().clock.timer_waker.cancel();
        shard.borrow_mut().time_out();
    }
}
