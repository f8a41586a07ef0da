//! What is asked of several shards at once and answered from all their parts: DBSIZE, INFO, CLIENT
//! LIST, FLUSHALL.
//!
//! The origin sends a visit to each shard; every shard runs it between two commands and sends its
//! part back; when all parts have come, they are joined into the reply. The connection stalls
//! meanwhile. These are commands that operators send, so a few boxes do not matter.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use engine::error::Outcome;
use engine::header::{ClientToken, ReplyTo};
use engine::slot::ShardId;
use protocol::reply::{Reply, Version};

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::timing::Unfinished;

type BoxedPart = Box<dyn Any + Send>;
type Finish = Box<dyn FnOnce(&mut Shard, Vec<BoxedPart>, &mut Reply<'_>) -> Outcome>;

/// What a visit waits for.
#[derive(Clone)]
pub enum Until {
    Now,
    /// None of these keys, of which each shard looks at its own, is lent to a transaction.
    Home(Arc<[Box<[u8]>]>),
    /// No key at all is.
    AllHome,
    /// The shard has taken up the pause, and the commands before it are over.
    Paused,
}

/// A gathering under way, on its origin.
pub struct Gather {
    to: ReplyTo,
    version: Version,
    parts: Vec<Option<BoxedPart>>,
    missing: usize,
    finish: Finish,
    /// The command, once it has said that it answers later.
    measured: Option<Unfinished>,
}

/// The place of one shard's part, which it is to fill.
pub struct PartOf<T> {
    origin: ShardId,
    index: usize,
    place: usize,
    of: PhantomData<fn(T)>,
}

impl<T: Send + 'static> PartOf<T> {
    /// Sends the part home.
    pub fn tell(self, shard: &mut Shard, part: T) {
        let (origin, message) = self.message(part);
        shard.send(origin, message);
    }

    /// Sends the part home as a reply goes: under `appendfsync always` when all is on disk that the
    /// shard has said.
    pub fn tell_when_synced(self, shard: &mut Shard, part: T) {
        let (origin, message) = self.message(part);
        let told = shard.engine.effects.journal.told();
        shard.send_gated(origin, message, told);
    }

    fn message(self, part: T) -> (ShardId, Message) {
        let part: BoxedPart = Box::new(part);
        let home = move |home: &mut Shard| home.gathered(self.index, self.place, part);
        (self.origin, Message::Visit(Box::new(home)))
    }
}

impl Shard {
    /// Runs `visit` on every shard, this one included, and `finish` with their parts in the order
    /// of the shards.
    pub fn gather<T: Send + 'static>(
        &mut self,
        client: &mut Client,
        visit: impl Fn(&mut Shard) -> T + Clone + Send + 'static,
        finish: impl FnOnce(&mut Shard, Vec<T>, &mut Reply<'_>) -> Outcome + 'static,
    ) -> Answer {
        self.gather_from(client, self.engine.slots.all(), visit, finish)
    }

    /// Runs `visit` on some shards only, and `finish` with their parts.
    pub fn gather_from<T: Send + 'static>(
        &mut self,
        client: &mut Client,
        shards: Vec<ShardId>,
        visit: impl Fn(&mut Shard) -> T + Clone + Send + 'static,
        finish: impl FnOnce(&mut Shard, Vec<T>, &mut Reply<'_>) -> Outcome + 'static,
    ) -> Answer {
        self.gather_when(client, shards, Until::Now, visit, finish)
    }

    /// Runs `visit` on each of these shards once no transaction holds what `until` names there.
    pub fn gather_when<T: Send + 'static>(
        &mut self,
        client: &mut Client,
        shards: Vec<ShardId>,
        until: Until,
        visit: impl Fn(&mut Shard) -> T + Clone + Send + 'static,
        finish: impl FnOnce(&mut Shard, Vec<T>, &mut Reply<'_>) -> Outcome + 'static,
    ) -> Answer {
        let arrive = move |shard: &mut Shard, part: PartOf<T>| {
            let there = move |shard: &mut Shard| {
                let told = visit(shard);
                part.tell(shard, told);
            };
            match until {
                Until::Now => there(shard),
                Until::Home(keys) => {
                    let own: Vec<&[u8]> =
                        shard.engine.slots.owned(shard.engine.id, &keys).collect();
                    shard.when_home(&own, Box::new(there));
                }
                Until::Paused => shard.take_up_pause_and(Box::new(there)),
                Until::AllHome => shard.when_all_home(Box::new(there)),
            }
        };
        self.gather_told(client, shards, arrive, finish)
    }

    /// Asks these shards, each of which tells its part when it likes.
    pub fn gather_told<T: Send + 'static>(
        &mut self,
        client: &mut Client,
        shards: Vec<ShardId>,
        arrive: impl FnOnce(&mut Shard, PartOf<T>) + Clone + Send + 'static,
        finish: impl FnOnce(&mut Shard, Vec<T>, &mut Reply<'_>) -> Outcome + 'static,
    ) -> Answer {
        let to = client.stall();
        let index = self.gathers.insert(Gather {
            to,
            version: client.session.version,
            parts: shards.iter().map(|_| None).collect(),
            missing: shards.len(),
            measured: None,
            finish: Box::new(move |shard, parts, reply| {
                let parts = parts
                    .into_iter()
                    .map(|part| *part.downcast::<T>().expect("a visit's own type"))
                    .collect();
                finish(shard, parts, reply)
            }),
        });
        self.measured.gathering = Some(index);
        let (origin, client) = (self.engine.id, client.token);
        for (place, shard) in shards.into_iter().enumerate() {
            let arrive = arrive.clone();
            let part = PartOf {
                origin,
                index,
                place,
                of: PhantomData,
            };
            let visit = move |shard: &mut Shard| {
                shard.engine.let_held_back_go(origin, client);
                arrive(shard, part);
            };
            self.send(shard, Message::Visit(Box::new(visit)));
        }
        Answer::Later
    }

    /// Whether a connection waits for a gathering.
    pub(crate) fn is_gathering(&self, client: ClientToken) -> bool {
        self.gathers.iter().any(|(_, it)| it.to.client == client)
    }

    /// Measures a gathering that has just begun until its last part has come.
    pub(crate) fn measure_gathering(&mut self, index: usize, measured: Unfinished) {
        if let Some(gather) = self.gathers.get_mut(index) {
            gather.measured = Some(measured);
        }
    }

    fn gathered(&mut self, index: usize, place: usize, part: BoxedPart) {
        let gather = &mut self.gathers[index];
        gather.parts[place] = Some(part);
        gather.missing -= 1;
        if gather.missing > 0 {
            return;
        }
        let gather = self.gathers.remove(index);
        let parts = gather.parts.into_iter().flatten().collect();
        let command = gather.measured.as_ref().map(|it| it.command);
        if let Some(measured) = gather.measured {
            self.account_measured(measured);
        }
        let mut encoded = Vec::new();
        let mut reply = Reply::new(&mut encoded, gather.version);
        if let Err(error) = (gather.finish)(self, parts, &mut reply) {
            reply.truncate(0);
            error.write(&mut reply);
            if let Some(command) = command {
                self.engine.stats.failed(command.index(), &error);
            }
        }
        self.complete(self.engine.id, gather.to, encoded);
    }
}
