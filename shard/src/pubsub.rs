//! Publish and subscribe: who has subscribed to what.
//!
//! Each shard knows the subscriptions of its own connections; what it has in common with the others
//! is in [`crate::pubsub::registry`], and how messages come to subscribers in
//! [`crate::pubsub::publish`].

mod encoding;
pub mod fanout;
pub mod notify;
pub mod publish;
pub mod registry;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use engine::header::ClientToken;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::reply::Reply;

use crate::client::Client;
use crate::monitor::Monitors;
use crate::shard::Shard;
use crate::tracking::Trackers;

/// What a subscription is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Topic {
    /// SUBSCRIBE
    Channel,
    /// PSUBSCRIBE
    Pattern,
    /// SSUBSCRIBE
    ShardChannel,
}

impl Topic {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// Its place among them.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What the reply to a subscription is called.
    pub const fn subscribed(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Pattern => "psubscribe",
            Self::ShardChannel => "ssubscribe",
        }
    }

    /// What the reply to its end is called.
    pub const fn unsubscribed(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Pattern => "punsubscribe",
            Self::ShardChannel => "sunsubscribe",
        }
    }
}

/// A channel or pattern with its kind. All who know it share its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    pub topic: Topic,
    pub text: Arc<[u8]>,
}

/// What a connection is told without asking.
#[derive(Default)]
pub struct Subscriptions {
    names: [BTreeSet<Arc<[u8]>>; Topic::COUNT],
    /// What the names come to.
    name_bytes: usize,
    /// It is shown every command.
    pub is_monitor: bool,
}

impl Subscriptions {
    /// How many of a kind.
    pub fn count(&self, topic: Topic) -> usize {
        self.names[topic.index()].len()
    }

    /// Whether `is_such` holds of every name; it is told too whether that is a pattern.
    pub fn all(&self, is_such: impl Fn(&[u8], bool) -> bool) -> bool {
        [Topic::Channel, Topic::Pattern, Topic::ShardChannel]
            .into_iter()
            .all(|topic| {
                let is_pattern = topic == Topic::Pattern;
                let mut names = self.names[topic.index()].iter();
                names.all(|name| is_such(name, is_pattern))
            })
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(BTreeSet::len).sum();
        size_of::<Self>() + names * size_of::<Arc<[u8]>>() + self.name_bytes
    }

    /// Whether RESP2 lets the connection do nothing else.
    pub fn is_any(&self) -> bool {
        self.names.iter().any(|names| !names.is_empty())
    }

    /// The number that a reply about `topic` tells: shard channels are counted apart.
    fn shown_count(&self, topic: Topic) -> usize {
        match topic {
            Topic::ShardChannel => self.count(Topic::ShardChannel),
            _ => self.count(Topic::Channel) + self.count(Topic::Pattern),
        }
    }
}

/// A connection that has subscribed to a name.
pub struct Subscriber {
    pub client: Rc<RefCell<Client>>,
    /// The registry's version since when it has.
    pub since: u64,
}

/// The connections of one shard that have subscribed to one name.
pub type Audience = HashMap<ClientToken, Subscriber, RandomState>;

/// The subscribers among one shard's connections.
#[derive(Default)]
pub struct Subscribers {
    names: [HashMap<Arc<[u8]>, Audience, RandomState>; Topic::COUNT],
}

impl Subscribers {
    /// Who has subscribed to a name.
    pub fn of(&mut self, name: &Name) -> Option<&mut Audience> {
        self.names[name.topic.index()].get_mut(&name.text)
    }

    /// Whether a connection has subscribed to a name.
    pub fn is_among(&self, name: &Name, token: ClientToken) -> bool {
        let audience = self.names[name.topic.index()].get(&name.text);
        audience.is_some_and(|audience| audience.contains_key(&token))
    }
}

/// Those of a shard's clients that hear of what others do.
#[derive(Default)]
pub struct Hearers {
    /// Subscribers to channels and patterns.
    pub subscribers: Subscribers,
    /// Who is shown every command.
    pub monitors: Monitors,
    /// Who keeps what it reads in a cache.
    pub trackers: Trackers,
}

impl Shard {
    /// Subscribes a connection, and tells it.
    pub fn subscribe(
        &mut self,
        client: &mut Client,
        topic: Topic,
        channel: &[u8],
        reply: &mut Reply<'_>,
    ) {
        let known = client.session.subscriptions.as_ref();
        if !known.is_some_and(|known| known.names[topic.index()].contains(channel)) {
            self.add_subscription(client, topic, channel);
        }
        let subscriptions = client.session.subscriptions.as_ref();
        let count = subscriptions.map_or(0, |known| known.shown_count(topic));
        reply.push(3);
        reply.bulk(topic.subscribed().as_bytes());
        reply.bulk(channel);
        reply.integer(count as i64);
    }

    fn add_subscription(&mut self, client: &mut Client, topic: Topic, channel: &[u8]) {
        let Some(known) = self.client(client.token).cloned() else {
            return;
        };
        let (name, since) = self.process.pubsub.join(topic, channel, self.engine.id);
        let names = &mut self.hearers.subscribers.names[topic.index()];
        let audience = names.entry(name.clone()).or_default();
        let subscriber = Subscriber {
            client: known,
            since,
        };
        audience.insert(client.token, subscriber);
        client.has_heard = false;
        let subscriptions = client.session.subscriptions.get_or_insert_default();
        subscriptions.name_bytes += channel.len();
        subscriptions.names[topic.index()].insert(name);
    }

    /// Ends a subscription, and tells it.
    pub fn unsubscribe(
        &mut self,
        client: &mut Client,
        topic: Topic,
        channel: &[u8],
        reply: &mut Reply<'_>,
    ) {
        let mut count = 0;
        if let Some(subscriptions) = &mut client.session.subscriptions {
            if subscriptions.names[topic.index()].remove(channel) {
                subscriptions.name_bytes -= channel.len();
                self.drop_subscription(client.token, topic, channel);
            }
            count = subscriptions.shown_count(topic);
        }
        write_unsubscribed(reply, topic, Some(channel), count);
    }

    /// Ends all subscriptions of a kind, and tells each; where there is none, tells that.
    pub fn unsubscribe_all(&mut self, client: &mut Client, topic: Topic, reply: &mut Reply<'_>) {
        let names: Vec<Arc<[u8]>> = match &client.session.subscriptions {
            Some(subscriptions) => subscriptions.names[topic.index()].iter().cloned().collect(),
            None => Vec::new(),
        };
        for channel in &names {
            self.unsubscribe(client, topic, channel, reply);
        }
        if names.is_empty() {
            let subscriptions = client.session.subscriptions.as_ref();
            let count = subscriptions.map_or(0, |known| known.shown_count(topic));
            write_unsubscribed(reply, topic, None, count);
        }
    }

    /// Ends all subscriptions of a connection, and its monitoring, without a word: RESET, or its
    /// end.
    pub fn drop_subscriptions(&mut self, client: &mut Client) {
        if let Some(subscriptions) = client.session.subscriptions.take() {
            for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
                for channel in &subscriptions.names[topic.index()] {
                    self.drop_subscription(client.token, topic, channel);
                }
            }
            if subscriptions.is_monitor {
                self.drop_monitor(client.token);
            }
        }
    }

    fn drop_subscription(&mut self, token: ClientToken, topic: Topic, channel: &[u8]) {
        self.process.pubsub.leave(topic, channel, self.engine.id);
        let names = &mut self.hearers.subscribers.names[topic.index()];
        if let Some(audience) = names.get_mut(channel) {
            audience.remove(&token);
            if audience.is_empty() {
                names.remove(channel);
            }
        }
    }
}

fn write_unsubscribed(reply: &mut Reply<'_>, topic: Topic, channel: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk(topic.unsubscribed().as_bytes());
    match channel {
        Some(channel) => reply.bulk(channel),
        None => reply.null(),
    }
    reply.integer(count as i64);
}
