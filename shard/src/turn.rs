//! The turn: what a shard does once for all its connections together. It runs what other shards
//! sent, folds the replies they sent back, sends out this turn's batches, and only then lets the
//! executor wait.
//!
//! It is one task, which awaits what other shards send ([`crate::mailbox`]). It comes last, after
//! the connections that the same wake-up made ready: so their commands leave together.

pub mod idle_policy;
pub mod reply_fence;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::{io, mem};

use engine::slot::ShardId;

use crate::executor::thread_group;
use crate::local_waker::LocalWakers;
use crate::mailbox::inbox::{Inbox, Messages};
use crate::mailbox::message::{DeferredReply, Message};
use crate::shard::{Shard, wall_time};
use crate::turn::idle_policy::{Idle, IdlePolicy};
use crate::turn::reply_fence::ReplyFence;

/// Messages a turn handles before connections get their chance.
const TURN_MESSAGES_MAX: usize = 64;

/// What the shard should do after a turn.
#[derive(PartialEq, Eq)]
enum After {
    /// Nothing is left: the shard waits until it is woken.
    Park,
    /// Let the tasks that this turn woke run, then have another one.
    Again,
}

/// Runs turns until the process ends; returns only where the inbox fails.
pub async fn run(shard: Rc<RefCell<Shard>>, mut inbox: Inbox<Message>) -> io::Result<()> {
    loop {
        let mut messages = inbox.recv().await?;
        if shard.borrow_mut().turn(&mut messages) == After::Again {
            inbox.stay_awake();
        }
    }
}

/// Waits until the shard has looked for input and had a turn: for tasks with much to do, between
/// two steps. A sleep for no time would take a millisecond, and a task that wakes itself keeps
/// others waiting.
pub async fn passed(shard: &RefCell<Shard>) {
    let mut asked = false;
    poll_fn(|cx| {
        if mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        let mut shard = shard.borrow_mut();
        shard.turns.step_wakers.register(cx.waker());
        shard.links.incoming.call_receiver_behind_input();
        Poll::Pending
    })
    .await;
}

/// What has come in one look.
#[derive(Clone, Copy, Default)]
struct Received {
    /// Messages of other shards.
    any: bool,
    /// Some task may go on by them.
    wakes: bool,
}

/// What a shard's turns go by.
pub(crate) struct Turns {
    /// False from when a turn has left nothing to do until somebody begins one.
    pub is_awake: bool,
    /// What the engine has said is being done.
    pub is_settling: bool,
    pub idle_policy: IdlePolicy,
    pub reply_fence: ReplyFence,
    /// Who waits for the next turn: see [`passed`].
    pub step_wakers: LocalWakers,
    /// Who waits for the data to be there.
    pub load_wakers: LocalWakers,
}

impl Turns {
    pub fn new(idle_policy: IdlePolicy) -> Self {
        Self {
            is_awake: false,
            is_settling: false,
            idle_policy,
            reply_fence: ReplyFence::default(),
            step_wakers: LocalWakers::default(),
            load_wakers: LocalWakers::default(),
        }
    }
}

impl Shard {
    /// Takes what has come: from this shard itself, and from others as long as messages are `left`.
    fn receive(
        &mut self,
        messages: &mut Messages<'_, Message>,
        left: &mut usize,
        old_tries: &mut usize,
    ) -> Received {
        let mut received = Received::default();
        self.settle();
        while let Some(message) = self.links.own.pop_front() {
            received.wakes = true;
            self.handle(self.engine.id, message);
        }
        while *left > 0
            && let Some((from, message)) = messages.next()
        {
            received.any = true;
            *left -= 1;
            // No command runs by a time from before it came: the shard may have yielded, or lost
            // its core, since the turn began.
            self.engine.now = wall_time();
            received.wakes |= !matches!(message, Message::Requests(_));
            self.handle(from, message);
        }
        if !self.engine.tries().is_empty() {
            // All rings have been seen empty since the last try came, or, for those of an earlier
            // turn, a whole turn has passed.
            let old_tries = mem::take(old_tries);
            let count = if *left > 0 {
                self.engine.tries().len()
            } else {
                old_tries
            };
            self.refresh_log_state();
            self.engine.decide_tries(count);
            self.settle();
        }
        received
    }

    /// Notifies clients and other shards of what has happened, and writes the log. Returns whether
    /// some task may go on by that.
    fn notify_and_log(&mut self, has_time: bool) -> bool {
        let mut wakes = false;
        self.feed_monitors();
        if !self.pausing.draining.is_empty() {
            wakes |= self.look_at_draining();
        }
        if self.engine.effects.invalidations.is_for_turn() {
            wakes = true;
            self.tell_invalidations();
        }
        if !self.engine.effects.notices.is_empty() {
            wakes = true;
            self.tell_notices(None);
        }
        self.send_published();
        wakes |= self.hand_out_in_turn(has_time);
        wakes |= self.flush_stream();
        wakes | self.flush_journal()
    }

    fn turn(&mut self, messages: &mut Messages<'_, Message>) -> After {
        if !self.turns.is_awake {
            self.wake_up();
        }
        if messages.bell_rang {
            self.publishing.fanout.heard_bell();
        }
        self.engine.stats.turns += 1;
        self.turns
            .idle_policy
            .begin_turn(self.connections.clients.len());
        self.age_corked_output();
        self.turns.step_wakers.wake_all();
        self.notice_stop_request();
        self.notice_snapshot();
        self.receive_visitors();
        if self.engine.evicting.is_unfinished {
            self.engine.evict_soon();
            self.settle();
        }
        if self.has_paused_scripts() {
            self.engine.go_on_with_scripts();
            self.go_on_with_paused();
            self.settle();
        }
        let mut woke_somebody = false;
        let mut left = TURN_MESSAGES_MAX;
        let mut old_tries = self.engine.tries().len();
        loop {
            let received = self.receive(messages, &mut left, &mut old_tries);
            woke_somebody |= received.wakes;
            woke_somebody |= self.notify_and_log(left > 0);
            let kept_back = self.flush();
            if !self.links.own.is_empty() {
                continue;
            }
            if !kept_back {
                woke_somebody |= self.release_reply_fence();
            }
            woke_somebody |= self.send_fanout();
            if woke_somebody || left == 0 || self.engine.evicting.is_unfinished {
                return After::Again;
            }
            self.engine.publish_moved();
            if received.any {
                continue;
            }
            match self.idle() {
                Idle::LooksAgain => {}
                Idle::Ends => return After::Again,
                Idle::MayPark => {
                    debug_assert!(self.engine.actions.is_empty());
                    debug_assert!(self.engine.is_settled());
                    self.turns.is_awake = false;
                    thread_group::slept();
                    return After::Park;
                }
            }
        }
    }

    fn handle(&mut self, from: ShardId, message: Message) {
        match message {
            Message::Requests(mut batch) => {
                let told = self.engine.effects.journal.told();
                self.engine.run_batch(from, &mut batch);
                let wrote = self.engine.wrote_since(told);
                self.settle();
                self.send_gated(from, Message::Replies(batch), wrote);
            }
            Message::Replies(batch) => self.fold_replies(from, batch),
            Message::DeferredReply(deferred) => {
                let DeferredReply {
                    to,
                    reply,
                    holds_back,
                } = *deferred;
                self.complete(self.engine.id, to, reply);
                if holds_back {
                    self.note_held_back(from, to.client);
                }
            }
            Message::Engine(message) => {
                self.refresh_log_state();
                self.engine.handle(from, message);
                self.settle();
            }
            Message::PublishBatch(batch) => self.receive_publish_batch(*batch),
            Message::Visit(visit) => {
                visit(self);
                self.settle();
            }
        }
    }
}
