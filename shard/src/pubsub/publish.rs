//! How messages come to subscribers.
//!
//! A message is encoded once, as it goes to the sockets, and shared by all who get it. Messages to
//! one channel that follow one another in a turn make a *run*: one text, which each subscriber gets
//! as a whole and writes at once. A run ends with the turn, with a message to another channel and
//! with any change of the subscriptions.
//!
//! Other shards with subscribers get all runs of a turn in one message each, and only those shards.
//!
//! A publisher that is faster than the shards with the subscribers waits, or subscribers would be
//! closed that read all they are sent: beyond [`Underway`]'s bound no connection publishes until
//! all in the fan-out queues have got half of it. For sockets that are full nobody waits.
//!
//! *Order.* All subscribers hear messages in one order, which follows what publishers knew of one
//! another. Each run has a number that all shards draw from one counter. A shard's turn hands out
//! what has arrived, its own and others', by these numbers once it has seen its mailbox empty: who
//! publishes after having seen another's reply finds that one's message in the rings already. A
//! message stands at the end of its subscriber's output, which always ends with a whole reply;
//! replies that still wait for other shards come behind it.
//!
//! *Who hears what.* A message carries the version of the registry that gave its route, and is for
//! those who had subscribed by then. What a subscriber sends waits until it has heard all that lay
//! in the mailbox: a message that was counted is not lost to an UNSUBSCRIBE behind it. A connection
//! that publishes to itself gets its reply first.
//!
//! A subscriber that does not read is closed when its output meets `client-output-buffer-limit
//! pubsub`. What it holds is shared, too.

use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use protocol::facts::Traits;
use protocol::table::CommandId;

use crate::client::Client;
use crate::client::hold::CommandHold;
use crate::dispatch::Resolved;
use crate::mailbox::message::Message;
use crate::pubsub::Topic;
pub use crate::pubsub::encoding::{Delivery, Payload};
use crate::pubsub::encoding::{Frames, RUN_BYTES_MAX, shaped_for};
use crate::pubsub::fanout::FanoutQueue;
use crate::pubsub::registry::{Route, Routes};
use crate::shard::Shard;
use engine::slot::ShardId;

/// Messages on their way to the fan-out queues, in bytes a shard, beyond which publishers wait: two
/// of the largest writes. A message counts once for each shard that it goes to.
const UNDERWAY_BYTES_A_SHARD: usize = 256 * 1024;

/// The bound of all shards is so much at least and at most. All of it may be for one shard, and is
/// to be far below any output limit: so much, and some more, a subscriber may be behind without
/// that it is to blame.
const UNDERWAY_BYTES_LEAST: usize = 512 * 1024;
const UNDERWAY_BYTES_MOST: usize = 4 * 1024 * 1024;

/// Messages to one channel that has subscribers under one name only.
struct Run {
    topic: Topic,
    channel: Box<[u8]>,
    /// The registry's when it began.
    version: u64,
    number: u64,
    route: Rc<Route>,
    frames: Frames,
}

/// What one shard has published and not handed out yet.
#[derive(Default)]
pub struct Publishing {
    routes: Routes,
    run: Option<Run>,
    /// What its subscribers are to get.
    arrived: Vec<Delivery>,
    /// Turns that have ended before the mailbox was empty since something arrived.
    turns_waited: usize,
    /// For each shard what this turn has for it.
    batches: Vec<Vec<Delivery>>,
    /// It has something for another shard, perhaps in the run that goes on.
    pub(crate) is_for_others: bool,
    pub(crate) fanout: FanoutQueue,
}

impl Publishing {
    /// Nothing yet, of so many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            batches: (0..shards).map(|_| Vec::new()).collect(),
            ..Self::default()
        }
    }
}

/// What is on its way to the fan-out queues of all shards.
pub struct Underway {
    /// Publishers wait while there is more.
    bytes_max: usize,
    bytes: AtomicUsize,
    /// Somebody waits until there is less.
    awaited: AtomicBool,
    /// The last number that a run has drawn.
    number: AtomicU64,
}

impl Underway {
    /// Nothing, of so many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            bytes_max: (shards * UNDERWAY_BYTES_A_SHARD)
                .clamp(UNDERWAY_BYTES_LEAST, UNDERWAY_BYTES_MOST),
            bytes: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
            number: AtomicU64::new(0),
        }
    }

    /// Whether publishers have to wait.
    #[inline]
    pub fn is_too_much(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) > self.bytes_max
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    fn begin(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// So much has been sent to all in a queue. Returns whether those who wait are to go on now.
    fn end(&self, bytes: usize) -> bool {
        let left = self.bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        left <= self.bytes_max / 2
            && self.awaited.load(Ordering::SeqCst)
            && self.awaited.swap(false, Ordering::SeqCst)
    }
}

impl Shard {
    /// Sends the message of a connection, which is in use just now, to whoever subscribes. Returns
    /// to how many.
    pub fn publish(
        &mut self,
        publisher: &mut Client,
        topic: Topic,
        channel: &[u8],
        payload: &Payload<'_>,
    ) -> usize {
        // What happened before it is told before it.
        self.tell_notices(Some(publisher));
        self.spread(topic, channel, payload, Some(publisher))
    }

    /// Sends a message to whoever subscribes. `current` is the connection that is in use, if one
    /// is. Returns to how many.
    pub(crate) fn spread(
        &mut self,
        topic: Topic,
        channel: &[u8],
        payload: &Payload<'_>,
        mut current: Option<&mut Client>,
    ) -> usize {
        if !self.process.pubsub.anybody_subscribes() {
            return 0;
        }
        let is_subscriber = |client: &&mut Client| client.session.is_subscriber();
        let may_hear_itself = current.as_ref().is_some_and(is_subscriber);
        if let Some(run) = &mut self.publishing.run
            && !may_hear_itself
            && run.version == self.process.pubsub.version()
            && run.topic == topic
            && *run.channel == *channel
            && run.frames.len() < RUN_BYTES_MAX
        {
            run.frames.push(&run.route.names[0], channel, payload);
            return run.route.total;
        }
        self.close_run();
        let routes = &mut self.publishing.routes;
        let (version, route) = routes.find(&self.process.pubsub, topic, channel);
        if route.total == 0 {
            return 0;
        }
        self.publishing.is_for_others |= route
            .shards
            .iter()
            .any(|(shard, _)| *shard != self.engine.id);
        let number = self.process.underway.next_number();
        if let [name] = &*route.names
            && !may_hear_itself
        {
            let mut frames = Frames::default();
            frames.push(name, channel, payload);
            self.publishing.run = Some(Run {
                topic,
                channel: channel.into(),
                version,
                number,
                route: route.clone(),
                frames,
            });
            return route.total;
        }
        for (at, name) in route.names.iter().enumerate() {
            let mut frames = Frames::default();
            frames.push(name, channel, payload);
            let mut delivery = frames.deliver(name.clone(), number, version);
            if let Some(current) = current.as_deref_mut()
                && self.hearers.subscribers.is_among(name, current.token)
            {
                let pieces = delivery.shaped(current.session.version);
                pieces
                    .iter()
                    .for_each(|piece| current.pushes.extend_from_slice(piece));
                delivery.except = Some(current.token);
            }
            self.dispatch(&route, at, delivery);
        }
        route.total
    }

    /// Nothing more joins what is being encoded.
    #[inline]
    fn close_run(&mut self) {
        if let Some(run) = self.publishing.run.take() {
            let name = run.route.names[0].clone();
            let delivery = run.frames.deliver(name, run.number, run.version);
            self.dispatch(&run.route, 0, delivery);
        }
    }

    /// Sends a delivery on all its ways. `at` is its name's place in the route.
    fn dispatch(&mut self, route: &Route, at: usize, delivery: Delivery) {
        for (shard, names) in &route.shards {
            if *shard != self.engine.id && names.contains(&at) {
                let mut copy = delivery.clone();
                copy.except = None;
                self.process.underway.begin(copy.bytes);
                self.publishing.batches[shard.index()].push(copy);
            }
        }
        let is_here = |(shard, names): &(ShardId, Vec<usize>)| {
            *shard == self.engine.id && names.contains(&at)
        };
        if route.shards.iter().any(is_here) {
            self.process.underway.begin(delivery.bytes);
            self.publishing.arrived.push(delivery);
        }
    }

    /// Ends the run, and puts what this turn has for other shards on its way.
    pub(crate) fn send_published(&mut self) {
        self.close_run();
        if !mem::take(&mut self.publishing.is_for_others) {
            return;
        }
        for index in 0..self.publishing.batches.len() {
            if !self.publishing.batches[index].is_empty() {
                let batch = mem::take(&mut self.publishing.batches[index]);
                self.turns.reply_fence.effects_sent = true;
                self.send(ShardId::new(index), Message::PublishBatch(Box::new(batch)));
            }
        }
    }

    /// What another shard has published.
    pub(crate) fn receive_publish_batch(&mut self, batch: Vec<Delivery>) {
        self.publishing.arrived.extend(batch);
        self.turns.idle_policy.batch_came();
    }

    /// Hands out what has arrived, once the mailbox has been seen empty: by then everything is here
    /// that comes before it. A mailbox that is never empty has been read through after a turn for
    /// each shard. Returns whether anybody got something.
    #[inline]
    pub(crate) fn hand_out_in_turn(&mut self, mailbox_is_empty: bool) -> bool {
        if self.publishing.arrived.is_empty() && !self.connections.held.has_unheard() {
            return false;
        }
        self.publishing.turns_waited += 1;
        if !mailbox_is_empty && self.publishing.turns_waited <= self.engine.slots.shards() {
            return false;
        }
        self.hand_out(None);
        // The mailbox has been read.
        self.release_commands(CommandHold::UNHEARD);
        true
    }

    /// Hands out what has arrived. `current` is the connection that is in use, if one is, between
    /// two commands.
    fn hand_out(&mut self, mut current: Option<&mut Client>) {
        self.publishing.turns_waited = 0;
        let mut arrived = mem::take(&mut self.publishing.arrived);
        if self.engine.slots.shards() > 1 {
            arrived.sort_by_key(|delivery| delivery.number);
        }
        if !arrived.is_empty() && !self.publishing.fanout.is_empty() {
            self.turns.idle_policy.fanout_grows();
        }
        for delivery in arrived.drain(..) {
            self.publishing.fanout.hands_out(delivery.bytes);
            self.deliver(&delivery, current.as_deref_mut());
        }
        self.publishing.arrived = arrived;
        self.count_sent();
    }

    /// Counts off what all in the fan-out queue have been sent.
    pub(crate) fn count_sent(&mut self) {
        let bytes = self.publishing.fanout.take_sent();
        if bytes > 0 && self.process.underway.end(bytes) {
            self.tell_all(Self::let_publish);
        }
    }

    /// Hands a delivery to this shard's subscribers.
    fn deliver(&mut self, delivery: &Delivery, mut current: Option<&mut Client>) {
        let Some(audience) = self.hearers.subscribers.of(&delivery.name).map(mem::take) else {
            return;
        };
        let mut shaped = [None, None];
        for (token, subscriber) in &audience {
            if subscriber.since > delivery.version || delivery.except == Some(*token) {
                continue;
            }
            let mut borrowed;
            let client = match current.as_deref_mut() {
                Some(current) if current.token == *token => current,
                _ => {
                    borrowed = subscriber.client.borrow_mut();
                    &mut *borrowed
                }
            };
            if client.closing.is_none() {
                client.attach(shaped_for(delivery, client.session.version, &mut shaped));
                let is_over = self.limit_output(client);
                self.engine.stats.output_limit_closes += u64::from(is_over);
                self.publishing.fanout.join(client);
            }
        }
        if let Some(place) = self.hearers.subscribers.of(&delivery.name) {
            *place = audience;
        }
    }

    /// The command that a connection was in the middle of is over: what came meanwhile stands
    /// behind its reply.
    #[inline]
    pub(crate) fn flush_pushes(&mut self, client: &mut Client) {
        if !client.pushes.is_empty() {
            client.out.append(&mut client.pushes);
            let is_over = self.limit_output(client);
            self.engine.stats.output_limit_closes += u64::from(is_over);
        }
    }

    /// Whether a connection must not run its next command because that may publish and too much is
    /// on its way. Then it is called later.
    #[cold]
    pub(crate) fn crowds(&mut self, client: &mut Client, resolved: &Resolved) -> bool {
        let id = resolved.as_ref().map_or_else(|(id, _)| *id, |id| Some(*id));
        let publishes = id.map(CommandId::command).is_some_and(|command| {
            command.executes() || command.traits.contains(Traits::PUBLISHES)
        });
        if !publishes && !self.engine.effects.notices.is_on() {
            return false;
        }
        let underway = &self.process.underway;
        underway.awaited.store(true, Ordering::SeqCst);
        // Asked again: what arrived before anybody waited calls nobody.
        if !underway.is_too_much() {
            return false;
        }
        self.hold_commands(client, CommandHold::BACKLOG);
        true
    }

    /// Enough has been sent: those who wait to publish go on.
    fn let_publish(&mut self) {
        self.release_commands(CommandHold::BACKLOG);
    }

    /// Whether a client has all that it was to be told before the commands that it has just sent:
    /// they may end what it subscribes to, or rely on what it has cached. What other shards have
    /// for it lies in the mailbox by then, and the turn reads that.
    #[cold]
    pub(crate) fn hears_first(&mut self, client: &mut Client) -> bool {
        if !mem::take(&mut client.has_heard) && self.links.incoming.waiting() > 0 {
            // It has when it is let go.
            client.has_heard = true;
            self.hold_commands(client, CommandHold::UNHEARD);
            return false;
        }
        self.close_run();
        self.hand_out(Some(client));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_called_once() {
        let underway = Underway::new(4);
        let bytes_max = 4 * UNDERWAY_BYTES_A_SHARD;
        underway.begin(bytes_max);
        assert!(!underway.is_too_much());
        underway.begin(2);
        assert!(underway.is_too_much());
        underway.awaited.store(true, Ordering::SeqCst);
        assert!(!underway.end(2), "more than half is on its way");
        assert!(underway.end(bytes_max / 2));
        assert!(!underway.end(bytes_max / 2), "nobody waits");
    }
}
