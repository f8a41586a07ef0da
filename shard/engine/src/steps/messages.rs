//! What comes from other engines, and what goes to them and to clients.

use crate::action::Action;
use crate::engine::Engine;
use crate::header::ReplyTo;
use crate::message::{LockRequest, Message};
use crate::slot::ShardId;

impl Engine {
    /// A message of another engine, or of this one.
    pub fn handle(&mut self, from: ShardId, message: Message) {
        match message {
            Message::Resume(resume) => self.resume(from, &resume),
            Message::Lock(request) => {
                self.let_held_back_go(from, request.client);
                self.lock(request);
            }
            Message::Granted(grant) => self.granted(from, *grant),
            Message::Command(parked) => {
                self.let_held_back_go(from, parked.to.client);
                self.run_command(*parked);
            }
            Message::Script(back) => self.begin_script_again(back.parked, back.everything),
            Message::Exec(exec) => {
                self.let_held_back_go(from, exec.client());
                self.run_forwarded(exec);
            }
            Message::Claim(claim) => self.claimed(from, *claim),
            Message::Refused(request) => self.refused(from, *request),
            Message::Release(release) => self.release(*release),
            Message::Told(index) => self.told(index),
            Message::EndWait(end) => self.end_wait_for(from, &end),
            Message::WaitEnded(task, ended) => self.actions.push(Action::WaitEnded(task, ended)),
            Message::Leave(blocked_id) => {
                self.leave(*blocked_id);
                self.serve_ready();
            }
            Message::FenceFrom(home, index) => self.pass_on_fence(home, index),
            Message::FenceAt(home, index) => self.arrive_fence(home, index),
            Message::FencePassed(index) => self.pass_fence(index),
            Message::Unwatch(key) => self.effects.watches.unwatch(key.db, &key.key),
            Message::PayDebt => self.pay_debt(),
        }
    }

    /// Sends a message to any shard, this one included.
    pub(crate) fn send(&mut self, to: ShardId, message: Message) {
        self.interrupt_timing();
        self.actions.push(Action::Send(to, message));
    }

    /// Brings the reply of a command that was not answered in its turn to its connection, wherever
    /// that is; the connection may go on.
    pub(crate) fn complete(&mut self, origin: ShardId, to: ReplyTo, reply: Vec<u8>, wrote: u64) {
        self.actions.push(Action::Reply {
            origin,
            to,
            reply,
            holds_back: false,
            wrote,
        });
    }

    /// How much of the journal has what has run since that had told of `told`; 0 where that only
    /// read.
    pub fn wrote_since(&self, told: u64) -> u64 {
        let now = self.effects.journal.told();
        if now > told { now } else { 0 }
    }

    /// Whether answers that tell of what is here have to wait for the log when this turn is over.
    pub fn log_is_behind(&self) -> bool {
        if !self.log.holds_replies || self.admission.a_log_fails() {
            false
        } else if self.log.appends {
            self.log.has_unsettled
        } else {
            self.log.frontier < self.effects.journal.total()
        }
    }

    /// Whether all that has happened was handed to whoever must know.
    pub fn is_settled(&self) -> bool {
        self.effects.list.is_empty() && !self.effects.is_away
    }

    /// Requests that do not wait and have met a lock.
    pub fn tries(&self) -> &[Box<LockRequest>] {
        &self.owner.tries
    }
}
