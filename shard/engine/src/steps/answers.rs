//! When clients of transactions are answered: see [`crate::transaction::answers`].

use std::mem;

use crate::action::Action;
use crate::engine::Engine;
use crate::header::{ClientToken, ReplyTo};
use crate::message::Release;
use crate::slot::ShardId;
use crate::task::TaskId;
use crate::transaction::answers::{Answer, Telling, Then};
use crate::transaction::commit::CommitId;

impl Engine {
    /// On a coordinator: a transaction whose records are about to be logged.
    pub(crate) fn begin_commit(&mut self, only_read: bool) -> CommitId {
        let index = self.coordinator.answers.begin(only_read, true);
        self.commit_id(index)
    }

    /// On a coordinator: a transaction is about to be released. `commit` is what its answer waits
    /// for anyway.
    pub(crate) fn begin_telling(&self, commit: Option<CommitId>) -> Telling {
        let notices = self.effects.notices.is_on() && self.environment.anybody_subscribes();
        Telling {
            anybody: notices || self.environment.anybody_tracks(),
            commit,
        }
    }

    /// On a coordinator: asks an owner for its word, if it hears by this of something that others
    /// are to be told.
    pub(crate) fn ask_to_tell(
        &mut self,
        telling: &mut Telling,
        to: ShardId,
        release: &mut Release,
    ) {
        if !telling.anybody || to == self.id || !release.has_news() {
            return;
        }
        let id = match telling.commit {
            Some(id) => id,
            None => {
                let index = self.coordinator.answers.begin(false, false);
                self.commit_id(index)
            }
        };
        self.coordinator.answers.0[id.index].telling += 1;
        telling.commit = Some(id);
        release.tells = Some(id);
    }

    fn commit_id(&self, index: usize) -> CommitId {
        CommitId {
            coordinator: self.id,
            index,
        }
    }

    /// On the coordinator: one owner has told all.
    pub(crate) fn told(&mut self, index: usize) {
        if let Some(answer) = self.coordinator.answers.0.get_mut(index) {
            answer.telling -= 1;
            self.answer_if_due(index);
        }
    }

    /// On the coordinator: no crash can take this transaction any more.
    pub fn durable(&mut self, index: usize) {
        if let Some(answer) = self.coordinator.answers.0.get_mut(index) {
            answer.is_at_risk = false;
            self.answer_if_due(index);
        }
    }

    fn answer_if_due(&mut self, index: usize) {
        let is_due = |answer: &Answer| answer.telling == 0 && !answer.is_at_risk;
        if self.coordinator.answers.0.get(index).is_some_and(is_due) {
            let answer = self.coordinator.answers.0.remove(index);
            self.go_on(answer.then);
        }
    }

    fn go_on(&mut self, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Reply(home, to, reply) => self.complete(home, to, reply, 0),
            Then::Flushed(to, reply) => self.actions.push(Action::Flushed(Some((to, reply)))),
            Then::Fenced(answer) => self.answer_behind_all(vec![answer]),
            Then::Task(task) => self.actions.push(Action::Run { task, under: None }),
            Then::Both(both) => {
                self.go_on(both.0);
                self.go_on(both.1);
            }
        }
    }

    /// What happens once the transaction of a client is durable and told; at once where nothing is
    /// to be waited for.
    pub(crate) fn after_commit(
        &mut self,
        commit: Option<CommitId>,
        client: ClientToken,
        then: Then,
    ) {
        let waiting = commit.and_then(|id| self.coordinator.answers.0.get_mut(id.index));
        match waiting {
            Some(answer) => {
                answer.client = client;
                answer.then = then;
            }
            None => self.go_on(then),
        }
    }

    /// Answers once what was done is as safe as it has to be.
    pub fn answer(&mut self, commit: Option<CommitId>, to: ReplyTo, encoded: Vec<u8>) {
        self.after_commit(commit, to.client, Then::Reply(self.id, to, encoded));
    }

    /// Has a task done behind the answer that a client waits for. False where there is none: then
    /// nothing is done.
    pub fn task_behind_answer(&mut self, client: ClientToken, task: TaskId) -> bool {
        let Some(waiting) = self.coordinator.answers.of(client) else {
            return false;
        };
        let answer = mem::replace(&mut waiting.then, Then::Nothing);
        waiting.then = Then::Both(Box::new((answer, Then::Task(task))));
        true
    }

    /// Whether the answer to a client is here, and waits.
    pub fn awaits_commit(&mut self, client: ClientToken) -> bool {
        self.coordinator.answers.of(client).is_some()
    }

    /// A log has failed: answers to what only read do not wait for it.
    pub fn answer_readers(&mut self) {
        let all = self.coordinator.answers.0.iter_mut();
        let readers = all.filter(|it| it.1.only_read);
        let answers: Vec<_> = readers
            .map(|(_, answer)| {
                answer.client = ClientToken::NOBODY;
                mem::replace(&mut answer.then, Then::Nothing)
            })
            .collect();
        answers.into_iter().for_each(|then| self.go_on(then));
    }
}
