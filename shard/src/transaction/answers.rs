//! When the client of a transaction is answered: when no crash can take any more what it did (see `aof::commits`), and when all have told of it who must.
//!
//! The owners of the keys tell of a change when they hear of it, with the release: subscribers to keyspace events, and clients with caches. Those may be
//! on third shards. Whoever has the reply may ask through a connection there, so the reply waits for the owners' word that all of that has left. That is one
//! more message from each, and only while anybody is to be told.

use std::mem;
use std::sync::atomic::Ordering;

use slab::Slab;

use crate::aof::commits::CommitId;
use crate::mailbox::batch::{ClientToken, ReplyTo};
use crate::mailbox::message::{Message, Release};
use crate::shard::Shard;
use crate::slot::ShardId;

/// An answer that waits.
struct Answer {
    /// Whose it is.
    client: ClientToken,
    /// The transaction changed nothing.
    only_read: bool,
    /// The logs may lose it yet.
    uncertain: bool,
    /// Owners that have not told others yet.
    telling: usize,
    then: Box<dyn FnOnce(&mut Shard)>,
}

/// Which owners are asked for their word, while a transaction is released.
pub(crate) struct Telling {
    /// Somebody would hear.
    anybody: bool,
    /// What the answer waits for.
    pub commit: Option<CommitId>,
}

/// Those of one coordinator.
#[derive(Default)]
pub struct Answers(Slab<Answer>);

impl Answers {
    fn begin(&mut self, only_read: bool, uncertain: bool) -> usize {
        self.0.insert(Answer {
            client: ClientToken::NOBODY,
            only_read,
            uncertain,
            telling: 0,
            then: Box::new(|_| {}),
        })
    }

    fn of(&mut self, client: ClientToken) -> Option<&mut Answer> {
        let mut all = self.0.iter_mut();
        let found = all.find(|(_, answer)| answer.client == client);
        found.map(|(_, answer)| answer)
    }
}

impl Shard {
    /// On a coordinator: a transaction whose shares and marks are about to be said.
    pub(crate) fn begin_commit(&mut self, only_read: bool) -> CommitId {
        let index = self.answers.begin(only_read, true);
        self.commit_id(index)
    }

    /// On a coordinator: a transaction is about to be released. `commit` is what its answer waits for anyway.
    pub(crate) fn begin_telling(&self, commit: Option<CommitId>) -> Telling {
        let notices = self.effects.notices.is_on() && self.process.pubsub.anybody_subscribes();
        Telling {
            anybody: notices || self.process.tracking_clients.load(Ordering::Relaxed) > 0,
            commit,
        }
    }

    /// On a coordinator: asks an owner for its word, if it hears by this of something that others are to be told.
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
                let index = self.answers.begin(false, false);
                self.commit_id(index)
            }
        };
        self.answers.0[id.index].telling += 1;
        telling.commit = Some(id);
        release.tells = Some(id);
    }

    fn commit_id(&self, index: usize) -> CommitId {
        CommitId {
            coordinator: self.id,
            index,
        }
    }

    /// On an owner: what it has to tell of a transaction leaves with this turn, and its word behind that.
    pub(crate) fn say_told(&mut self, id: CommitId) {
        self.reply_fence.effects_sent = true;
        self.send_behind_replies(id.coordinator, Message::Told(id.index));
    }

    /// On the coordinator: one owner has told all.
    pub(crate) fn told(&mut self, index: usize) {
        if let Some(answer) = self.answers.0.get_mut(index) {
            answer.telling -= 1;
            self.answer_if_due(index);
        }
    }

    /// On the coordinator: no crash can take it any more.
    pub(crate) fn certain(&mut self, index: usize) {
        if let Some(answer) = self.answers.0.get_mut(index) {
            answer.uncertain = false;
            self.answer_if_due(index);
        }
    }

    fn answer_if_due(&mut self, index: usize) {
        let is_due = |answer: &Answer| answer.telling == 0 && !answer.uncertain;
        if self.answers.0.get(index).is_some_and(is_due) {
            (self.answers.0.remove(index).then)(self);
        }
    }

    /// What happens once the transaction of a client is certain and told; at once where nothing is to be waited for.
    pub(crate) fn after_commit(
        &mut self,
        commit: Option<CommitId>,
        client: ClientToken,
        then: impl FnOnce(&mut Shard) + 'static,
    ) {
        let Some(id) = commit else {
            return then(self);
        };
        match self.answers.0.get_mut(id.index) {
            Some(answer) => {
                answer.client = client;
                answer.then = Box::new(then);
            }
            None => then(self),
        }
    }

    /// Answers once what was done is as safe as it has to be.
    pub(crate) fn answer(&mut self, commit: Option<CommitId>, to: ReplyTo, encoded: Vec<u8>) {
        let answer = move |shard: &mut Self| shard.complete(shard.id, to, &encoded);
        self.after_commit(commit, to.client, answer);
    }

    /// Whether the answer to a client is here, and waits.
    pub(crate) fn awaits_commit(&mut self, client: ClientToken) -> bool {
        self.answers.of(client).is_some()
    }

    /// Does something behind the answer that a client waits for.
    pub(crate) fn behind_commit(
        &mut self,
        client: ClientToken,
        work: impl FnOnce(&mut Shard) + 'static,
    ) {
        let Some(waiting) = self.answers.of(client) else {
            return work(self);
        };
        let answer = mem::replace(&mut waiting.then, Box::new(|_| {}));
        waiting.then = Box::new(move |shard| {
            answer(shard);
            work(shard);
        });
    }

    /// A log has failed: answers to what only read do not wait for it.
    pub(crate) fn answer_readers(&mut self) {
        let readers = self.answers.0.iter_mut().filter(|it| it.1.only_read);
        let answers: Vec<_> = readers
            .map(|(_, answer)| {
                answer.client = ClientToken::NOBODY;
                mem::replace(&mut answer.then, Box::new(|_| {}))
            })
            .collect();
        answers.into_iter().for_each(|answer| answer(self));
    }
}
