//! What the engine wants done, on its way to where that is.

use engine::action::Action;
use engine::blocking::ending::{CancelMode, End};
use engine::blocking::waiting::BlockedId;
use engine::header::{Caller, ClientToken, ReplyTo};
use engine::script::told::Told;
use engine::slot::ShardId;
use engine::transaction::locks::ItemId;
use protocol::args::Args;
use protocol::command::Flags;
use protocol::table::CommandId;

use crate::blocking::{BlockedAt, nobody_asks};
use crate::mailbox::message::{DeferredReply, Message};
use crate::shard::Shard;
use crate::timing::latency::Spike;
use crate::transaction::exec::ExecState;

impl Shard {
    /// Does all that the engine has said. Called whenever it has been given something to do.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if !self.engine.actions.is_empty() {
            self.do_actions();
        }
    }

    #[cold]
    fn do_actions(&mut self) {
        // What an action brings about stands behind those that were there before.
        if std::mem::replace(&mut self.turns.is_settling, true) {
            return;
        }
        while !self.engine.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.engine.actions);
            for action in actions.drain(..) {
                self.act(action);
            }
            if self.engine.actions.is_empty() {
                self.engine.actions = actions;
            }
        }
        self.turns.is_settling = false;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(to, message) => self.send(to, Message::Engine(message)),
            Action::SendBehindReplies(to, message) => {
                self.turns.reply_fence.effects_sent = true;
                self.send_behind_replies(to, Message::Engine(message));
            }
            Action::Reply {
                origin,
                to,
                reply,
                holds_back,
                wrote,
            } => self.bring_reply(origin, to, reply, holds_back, wrote),
            Action::Blocked(client, blocked_id) => self.note_blocked(client, blocked_id),
            Action::Ready {
                task,
                unchanged,
                held,
            } => self.run_held(task, unchanged, held),
            Action::Run { task, under: None } => self.run_task(task),
            Action::Run {
                task,
                under: Some(item),
            } => self.run_locked(item, task),
            Action::WaitEnded(task, ended) => self.run_wait_ended(task, ended),
            Action::CheckOutWhenWritten(item, request) => {
                self.check_out_when_written(item, request)
            }
            Action::RecordLogged {
                begins,
                end,
                awaited,
            } => {
                if let Some(awaited) = awaited {
                    self.record_logged(awaited, begins, end);
                }
            }
            Action::ReadLogged(awaited, end) => self.mark_said(awaited, end),
            Action::CameHome(cut, switch) => self.databases_came_home(cut, switch),
            Action::Flushed(answer) => self.save_what_was_flushed(answer),
            Action::GiveUpDump => self.process.snapshots.give_up_dump(),
            Action::TellReaders => self.tell_readers_here(None),
            Action::Tell(told) => self.tell(told),
            Action::Outside(call) => self.call_outside(call),
            Action::Busy {
                is_busy,
                is_function,
            } => self.tell_busy(is_busy, is_function),
            Action::Evicted { ms } => self.note_spike(Spike::EvictionCycle, ms),
            Action::FreeKeyspaces(keyspaces, lazily) => {
                let rest = self.keep_for_snapshot(keyspaces);
                if !rest.is_empty() {
                    self.process.lazyfree.free_keyspaces(rest, lazily);
                }
            }
            Action::Timer => self.wake_timer(),
            Action::Pause => self.pause_for_others(),
            Action::Turn => self.schedule_turn(),
        }
    }

    fn tell(&mut self, told: Told) {
        match told {
            Told::Slow {
                command,
                caller,
                args,
                nanos,
            } => self.note_slow_command(command, caller, &args.borrow(), nanos),
            Told::Called(command, db, args) => {
                self.show_call_to_monitors(command, db, &args.borrow());
            }
            Told::Denied {
                caller,
                denied,
                object,
            } => self.tell_denied(caller, denied, &object),
            Told::Log(level, text) => self.log_of_script(level, &text),
        }
    }

    /// A command took long, for the slow log or for the latency monitor.
    fn note_slow_command(
        &mut self,
        command: CommandId,
        caller: Caller,
        args: &Args<'_>,
        nanos: u64,
    ) {
        let micros = nanos / 1_000;
        let limit = u64::try_from(self.engine.config.slowlog_log_slower_than_us);
        if limit.is_ok_and(|limit| micros >= limit) {
            self.log_slow(command, caller, args, micros);
        }
        let spike = if command.command().flags.contains(Flags::FAST) {
            Spike::FastCommand
        } else {
            Spike::Command
        };
        self.note_spike(spike, nanos / 1_000_000);
    }

    /// Does what the locks of an item are held for, and frees them.
    fn run_locked(&mut self, item: ItemId, task: engine::task::TaskId) {
        let before = self.engine.owner.runs_under.replace(item);
        self.run_task(task);
        self.engine.owner.runs_under = before;
        self.engine.unlock(item);
    }

    /// A connection's command waits for keys of several shards, if it is still there.
    fn note_blocked(&mut self, token: ClientToken, blocked_id: BlockedId) {
        let client = self.client(token).cloned();
        if client
            .as_ref()
            .is_some_and(|it| it.try_borrow_mut().is_err())
        {
            // It is in use: this turn's next thing.
            return self.post(move |shard| shard.note_blocked(token, blocked_id));
        }
        let is_there = client.is_some_and(|client| {
            let mut client = client.borrow_mut();
            client.blocked = Some(BlockedAt::BlockedId(blocked_id));
            client.closing.is_none()
        });
        if !is_there {
            let at = BlockedAt::BlockedId(blocked_id);
            self.end_wait(token, at, End::Gone, CancelMode::AtOnce, nobody_asks());
        }
    }

    /// Brings the reply of a command that was not answered in its turn to its connection, wherever
    /// that is; the connection may go on.
    pub fn complete(&mut self, origin: ShardId, to: ReplyTo, reply: Vec<u8>) {
        self.bring_reply(origin, to, reply, false, 0);
    }

    fn bring_reply(
        &mut self,
        origin: ShardId,
        to: ReplyTo,
        reply: Vec<u8>,
        holds_back: bool,
        wrote: u64,
    ) {
        let deferred = |reply| {
            Message::DeferredReply(Box::new(DeferredReply {
                to,
                reply,
                holds_back,
            }))
        };
        if origin != self.engine.id {
            return self.send_gated(origin, deferred(reply), wrote);
        }
        let Some(client) = self.client(to.client).cloned() else {
            return;
        };
        // A connection that is just now running its input has this reply among those it waits for:
        // it is folded when that is done.
        let Ok(mut client) = client.try_borrow_mut() else {
            return self.send(origin, deferred(reply));
        };
        let mut refusal = None;
        // It may be the deferred reply of a command before the one that stalls.
        if client.unfinished() == Some(to.seq) {
            if let Some(suspended) = client.suspended.take() {
                return self.resume_suspended(*suspended, reply);
            }
            client.end_stall();
            if client.exec != ExecState::None {
                // A script that was under way is over.
                self.end_exec(&mut client);
            }
            client.blocked = None;
            client.blocked_command = None;
            // Where something has served it meanwhile, it has that.
            let refused = client.refused_wait.take().filter(|_| reply.is_empty());
            refusal = refused.map(|refused| self.refusal_of_wait(&client, &refused));
            // It was not idle while it waited.
            client.touch(self.clock.instant);
        }
        client.fold(to.seq, refusal.as_ref().unwrap_or(&reply));
        self.gate_client(&mut client, wrote);
        self.look_at_room(&mut client);
    }
}
