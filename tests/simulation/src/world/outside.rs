//! What comes to an engine, and what it wants done.

use engine::action::Action;
use engine::blocking::ending::{CancelMode, End};
use engine::blocking::waiting::BlockedId;
use engine::header::{ClientToken, TransactionKey};
use engine::slot::ShardId;
use engine::task::TaskId;
use engine::transaction::commit::{Awaited, CommitId};
use engine::transaction::coordinator::Held;
use engine::transaction::locks::ItemId;
use engine::watch::Watched;

use super::scripts::Exec;
use super::text::name_of;
use super::{Checked, Letter, Task, World};
use crate::client::{Ask, BlockedAt, Call, Client};
use crate::model::ModelWatch;

impl World {
    pub(super) fn receive(&mut self, from: ShardId, to: ShardId, letter: Letter) -> Checked {
        match letter {
            Letter::Engine(message) => {
                self.tell(|| format!("{from:?} -> {to:?} {}", name_of(&message)));
                self.shards[to.index()].engine.handle(from, message);
                self.settle(to)
            }
            Letter::Batch(mut batch) => {
                self.tell(|| format!("{from:?} -> {to:?} batch of {}", batch.count()));
                self.shards[to.index()].engine.run_batch(from, &mut batch);
                self.settle(to)?;
                self.link(to, from).push_back(Letter::Replies(batch));
                Ok(())
            }
            Letter::Replies(mut batch) => {
                let mut replies = Vec::new();
                batch.fold(|to, reply| replies.push((to, reply.to_vec())));
                replies
                    .into_iter()
                    .try_for_each(|(to, reply)| self.answer(to, reply))
            }
            Letter::Reply(reply_to, reply) => self.answer(reply_to, reply),
            Letter::Durable(index) => {
                self.shards[to.index()].engine.durable(index);
                self.settle(to)
            }
            Letter::Called(transaction, reply) => {
                let engine = &mut self.shards[to.index()].engine;
                engine.answer_script(transaction, &reply);
                self.settle(to)
            }
            Letter::Watch(client, db, keys) => {
                let home = from;
                let task = Task::Watch {
                    home,
                    client,
                    db,
                    keys: keys.clone(),
                };
                let shard = &mut self.shards[to.index()];
                let task = shard.promise(task);
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                if shard.engine.when_home(&keys, task) {
                    self.run_task(to, task)?;
                }
                self.settle(to)
            }
            Letter::Watched(client, watched) => self.watching(client, watched),
        }
    }

    /// Does what an engine wants done, and has the model do what has taken effect.
    pub(super) fn settle(&mut self, id: ShardId) -> Checked {
        loop {
            self.note_effects(id)?;
            let actions = std::mem::take(&mut self.shards[id.index()].engine.actions);
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.act(id, action)?;
                self.note_effects(id)?;
            }
        }
        assert!(self.shards[id.index()].engine.is_settled());
        Ok(())
    }

    /// The model does what has taken effect on a shard since the last look.
    pub(super) fn note_effects(&mut self, id: ShardId) -> Checked {
        let effective = self.shards[id.index()].engine.trace.take();
        let mut effective = effective.into_iter();
        effective.try_for_each(|client| self.took_effect(client))
    }

    pub(super) fn act(&mut self, id: ShardId, action: Action) -> Checked {
        match action {
            Action::Send(to, message) | Action::SendBehindReplies(to, message) => {
                self.link(id, to).push_back(Letter::Engine(message));
            }
            Action::Reply {
                origin, to, reply, ..
            } => self.link(id, origin).push_back(Letter::Reply(to, reply)),
            Action::Blocked(token, blocked_id) => self.note_blocked(id, token, blocked_id),
            Action::Ready {
                task,
                unchanged,
                held,
            } => return self.run_exec(id, task, unchanged, *held),
            Action::Run { task, under } => {
                let before = self.under(id, under);
                self.run_task(id, task)?;
                self.shards[id.index()].engine.owner.runs_under = before;
                if let Some(item) = under {
                    self.shards[id.index()].engine.unlock(item);
                }
            }
            Action::RecordLogged { awaited, .. } => {
                self.note_durable(id, awaited);
            }
            Action::ReadLogged(awaited, _) => self.note_durable(id, Some(awaited)),
            Action::CheckOutWhenWritten(item, request) => {
                self.shards[id.index()]
                    .engine
                    .check_out_by_message(item, *request);
            }
            Action::Outside(call) => return self.call_outside(id, &call),
            Action::Busy { is_busy, .. } => self.note_busy(id, is_busy),
            Action::Flushed(answer) => {
                if let Some((to, reply)) = answer {
                    self.link(id, id).push_back(Letter::Reply(to, reply));
                }
            }
            Action::Pause
            | Action::Tell(_)
            | Action::WaitEnded(..)
            | Action::CameHome(..)
            | Action::GiveUpDump
            | Action::TellReaders
            | Action::Evicted { .. }
            | Action::FreeKeyspaces(..)
            | Action::Timer
            | Action::Turn => {}
        }
        self.shards[id.index()].engine.effects.notices.take();
        Ok(())
    }

    /// A client's command waits for keys of several shards, if the client is still there.
    fn note_blocked(&mut self, id: ShardId, token: ClientToken, blocked_id: BlockedId) {
        let is_it = |client: &&mut Client| client.token == token && client.call.is_some();
        if let Some(client) = self.clients.iter_mut().find(is_it) {
            client.blocked = Some(BlockedAt::BlockedId(blocked_id));
        } else {
            let engine = &mut self.shards[id.index()].engine;
            engine.cancel_blocked(blocked_id, End::Gone, CancelMode::AtOnce, TaskId::NONE);
        }
    }

    pub(super) fn under(&mut self, id: ShardId, under: Option<ItemId>) -> Option<ItemId> {
        std::mem::replace(&mut self.shards[id.index()].engine.owner.runs_under, under)
    }

    /// A shard has logged its part of a transaction: once all have, it is durable.
    pub(super) fn note_durable(&mut self, _: ShardId, awaited: Option<Awaited>) {
        let Some(Awaited { id, parts }) = awaited else {
            return;
        };
        let CommitId { coordinator, index } = id;
        let left = self
            .commits
            .entry((coordinator.index(), index))
            .or_insert(parts);
        *left -= 1;
        if *left == 0 {
            self.commits.remove(&(coordinator.index(), index));
            let letter = Letter::Durable(index);
            self.link(coordinator, coordinator).push_back(letter);
        }
    }

    pub(super) fn run_task(&mut self, id: ShardId, task: TaskId) -> Checked {
        let Some(Task::Watch {
            home,
            client,
            db,
            keys,
        }) = self.shards[id.index()].tasks.remove(&task.0)
        else {
            return Err("a task that nobody has promised".into());
        };
        let engine = &mut self.shards[id.index()].engine;
        let mut watched = Vec::new();
        for key in keys {
            let was_hidden = engine.expire_if_due(db, &key);
            let version = engine.effects.watches.watch(db, &key);
            let real = Watched {
                key: TransactionKey {
                    db,
                    key: key.as_slice().into(),
                },
                version,
                was_hidden,
            };
            watched.push((real, self.model.watch(db, &key)));
        }
        self.link(id, home)
            .push_back(Letter::Watched(client, watched));
        Ok(())
    }

    pub(super) fn watching(&mut self, id: u64, watched: Vec<(Watched, ModelWatch)>) -> Checked {
        let Some(at) = self.clients.iter().position(|it| it.id == id) else {
            return self.forget_watched(watched);
        };
        let client = &mut self.clients[at];
        client.watched.extend(watched);
        if let Some(call) = &mut client.call {
            call.missing -= 1;
            if call.missing == 0 {
                client.call = None;
            }
        }
        Ok(())
    }

    pub(super) fn forget_watched(&mut self, watched: Vec<(Watched, ModelWatch)>) -> Checked {
        for (real, model) in watched {
            let owner = self.owner(&real.key.key);
            self.shards[owner.index()].engine.unwatch(vec![real]);
            self.model.unwatch(model);
            self.settle(owner)?;
        }
        Ok(())
    }

    /// All locks of an EXEC are held.
    pub(super) fn run_exec(
        &mut self,
        id: ShardId,
        task: TaskId,
        unchanged: bool,
        held: Held,
    ) -> Checked {
        let Some(Task::Exec(client)) = self.shards[id.index()].tasks.remove(&task.0) else {
            return Err("a transaction that nobody has promised".into());
        };
        let caller = self.clients.iter().find(|it| it.id == client);
        let caller = caller.or_else(|| self.gone.get(&client));
        let Some(caller) = caller else {
            return Err("an EXEC of nobody".into());
        };
        let Some(Call {
            ask: Ask::Exec(commands),
            ..
        }) = &caller.call
        else {
            return Err("an EXEC that nobody has asked for".into());
        };
        let (to, commands) = (caller.reply_to(), commands.clone());
        let header: Vec<_> = commands.iter().map(|it| caller.header(it)).collect();
        let watched: Vec<Watched> = caller.watched.iter().map(|it| it.0.clone()).collect();
        let engine = &mut self.shards[id.index()].engine;
        engine.unwatch(watched);
        if !unchanged {
            let commit = engine.commit(held);
            engine.answer(commit, to, b"*-1\r\n".to_vec());
            return Ok(());
        }
        let exec = Exec {
            client,
            to,
            replies: format!("*{}\r\n", commands.len()).into_bytes(),
            commands: header.into_iter().zip(commands).collect(),
            done: 0,
            script: None,
            held,
        };
        self.continue_exec(id, exec)
    }
}
