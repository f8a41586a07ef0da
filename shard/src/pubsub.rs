//! Publish and subscribe.
//!
//! Each shard knows the subscriptions of its own connections. A registry that all shards share says, for each channel and each pattern, how many
//! subscribers there are and on which shards. A publish reads it: it sends the message, shared and not copied, to just those shards, and
//! answers with the number of subscribers there were at that instant. While nobody subscribes to anything, a publish is one atomic load.
//!
//! Messages of one publisher go the way of all messages between two shards, in order. A message is written at the end of its subscriber's
//! output, which always ends with a whole reply; replies that still wait for other shards come behind it. A connection that publishes to
//! itself gets its reply first.
//!
//! A subscriber that does not read is closed when its output meets `client-output-buffer-limit pubsub`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::glob;
use protocol::reply::Reply;

use crate::batch::ClientToken;
use crate::client::Client;
use crate::message::Message;
use crate::shard::Shard;
use crate::slot::ShardId;

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

/// A channel or pattern with its kind.
type Name = (Topic, Box<[u8]>);

/// Who subscribes to a name, over all shards.
#[derive(Default)]
struct Presence {
    total: usize,
    shards: Vec<(ShardId, usize)>,
}

/// What all shards share.
#[derive(Default)]
pub struct Registry {
    names: RwLock<HashMap<Name, Presence, RandomState>>,
    subscriptions: AtomicUsize,
}

/// Where a message goes: for each shard, the names under which it is wanted.
type Route = Vec<(ShardId, Vec<Name>)>;

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Name, Presence, RandomState>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, name: &Name, shard: ShardId, joins: bool) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let presence = names.entry(name.clone()).or_default();
        let at = match presence.shards.iter().position(|(of, _)| *of == shard) {
            Some(at) => at,
            None => {
                presence.shards.push((shard, 0));
                presence.shards.len() - 1
            }
        };
        if joins {
            presence.total += 1;
            presence.shards[at].1 += 1;
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        } else {
            presence.total = presence.total.saturating_sub(1);
            presence.shards[at].1 = presence.shards[at].1.saturating_sub(1);
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
        if presence.shards[at].1 == 0 {
            presence.shards.swap_remove(at);
        }
        if presence.total == 0 {
            names.remove(name);
        }
    }

    /// Whether there is any subscription.
    pub fn anybody_subscribes(&self) -> bool {
        self.subscriptions.load(Ordering::Relaxed) > 0
    }

    /// How many will get a message, and where they are.
    fn route(&self, topic: Topic, channel: &[u8]) -> (usize, Route) {
        if !self.anybody_subscribes() {
            return (0, Vec::new());
        }
        let names = self.read();
        let mut route: Route = Vec::new();
        let mut total = 0;
        let mut add = |name: &Name, presence: &Presence| {
            total += presence.total;
            for (shard, _) in &presence.shards {
                match route.iter_mut().find(|(known, _)| known == shard) {
                    Some((_, names)) => names.push(name.clone()),
                    None => route.push((*shard, vec![name.clone()])),
                }
            }
        };
        let exact = (topic, channel.into());
        if let Some(presence) = names.get(&exact) {
            add(&exact, presence);
        }
        if topic == Topic::Channel {
            for (name, presence) in names.iter() {
                if name.0 == Topic::Pattern && glob::matches(&name.1, channel, false) {
                    add(name, presence);
                }
            }
        }
        (total, route)
    }

    /// Names of a kind that somebody subscribes to, those that match `pattern` where there is one.
    pub fn active(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let wanted = |name: &Name| {
            name.0 == topic && pattern.is_none_or(|pattern| glob::matches(pattern, &name.1, false))
        };
        let names = self.read();
        let active = names.keys().filter(|name| wanted(name));
        active.map(|name| name.1.clone()).collect()
    }

    /// How many names of a kind somebody subscribes to.
    pub fn count(&self, topic: Topic) -> usize {
        self.read().keys().filter(|name| name.0 == topic).count()
    }

    /// Subscribers of a name.
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        let names = self.read();
        let presence = names.get(&(topic, name.into()));
        presence.map_or(0, |presence| presence.total)
    }
}

/// What a connection is told without asking.
#[derive(Default)]
pub struct Subscriptions {
    names: BTreeSet<Name>,
    /// What the names come to.
    name_bytes: usize,
    /// It is shown every command.
    pub is_monitor: bool,
}

impl Subscriptions {
    /// How many of a kind.
    pub fn count(&self, topic: Topic) -> usize {
        self.names.iter().filter(|name| name.0 == topic).count()
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.names.len() * size_of::<Name>() + self.name_bytes
    }

    /// Whether RESP2 lets the connection do nothing else.
    pub fn is_any(&self) -> bool {
        !self.names.is_empty()
    }

    /// The number that a reply about `topic` tells: shard channels are counted apart.
    fn shown_count(&self, topic: Topic) -> usize {
        match topic {
            Topic::ShardChannel => self.count(Topic::ShardChannel),
            _ => self.count(Topic::Channel) + self.count(Topic::Pattern),
        }
    }
}

/// The subscribers among one shard's connections.
#[derive(Default)]
pub struct Subscribers {
    names: HashMap<Name, Vec<ClientToken>, RandomState>,
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
        let name: Name = (topic, channel.into());
        let subscriptions = client.session.subscriptions.get_or_insert_default();
        if subscriptions.names.insert(name.clone()) {
            subscriptions.name_bytes += channel.len();
            self.process.pubsub.change(&name, self.id, true);
            let tokens = self.subscribers.names.entry(name).or_default();
            tokens.push(client.token);
        }
        let count = subscriptions.shown_count(topic);
        reply.push(3);
        reply.bulk(topic.subscribed().as_bytes());
        reply.bulk(channel);
        reply.integer(count as i64);
    }

    /// Ends a subscription, and tells it.
    pub fn unsubscribe(
        &mut self,
        client: &mut Client,
        topic: Topic,
        channel: &[u8],
        reply: &mut Reply<'_>,
    ) {
        let token = client.token;
        let mut count = 0;
        if let Some(subscriptions) = &mut client.session.subscriptions {
            let name: Name = (topic, channel.into());
            if subscriptions.names.remove(&name) {
                subscriptions.name_bytes -= channel.len();
                self.drop_subscription(token, &name);
            }
            count = subscriptions.shown_count(topic);
        }
        write_unsubscribed(reply, topic, Some(channel), count);
    }

    /// Ends all subscriptions of a kind, and tells each; where there is none, tells that.
    pub fn unsubscribe_all(&mut self, client: &mut Client, topic: Topic, reply: &mut Reply<'_>) {
        let names: Vec<Name> = match &client.session.subscriptions {
            Some(subscriptions) => subscriptions.names.iter().cloned().collect(),
            None => Vec::new(),
        };
        let mut any = false;
        for (_, channel) in names.into_iter().filter(|name| name.0 == topic) {
            any = true;
            self.unsubscribe(client, topic, &channel, reply);
        }
        if !any {
            let subscriptions = client.session.subscriptions.as_ref();
            let count = subscriptions.map_or(0, |known| known.shown_count(topic));
            write_unsubscribed(reply, topic, None, count);
        }
    }

    /// Ends all subscriptions of a connection, and its monitoring, without a word: RESET, or its end.
    pub fn drop_subscriptions(&mut self, client: &mut Client) {
        if let Some(subscriptions) = client.session.subscriptions.take() {
            for name in &subscriptions.names {
                self.drop_subscription(client.token, name);
            }
            if subscriptions.is_monitor {
                self.drop_monitor(client.token);
            }
        }
    }

    fn drop_subscription(&mut self, token: ClientToken, name: &Name) {
        self.process.pubsub.change(name, self.id, false);
        if let Some(tokens) = self.subscribers.names.get_mut(name) {
            tokens.retain(|other| *other != token);
            if tokens.is_empty() {
                self.subscribers.names.remove(name);
            }
        }
    }

    /// Sends the message of a connection, which is in use just now, to whoever subscribes. Returns to how many.
    pub fn publish(
        &mut self,
        publisher: &mut Client,
        topic: Topic,
        channel: &[u8],
        payload: Bytes,
    ) -> usize {
        // What happened before it is told before it.
        self.tell_notices(Some(publisher));
        self.spread(topic, channel, payload, Some(publisher))
    }

    /// Sends a message to whoever subscribes. `current` is the connection that is in use, if one is. Returns to how many.
    pub(crate) fn spread(
        &mut self,
        topic: Topic,
        channel: &[u8],
        payload: Bytes,
        mut current: Option<&mut Client>,
    ) -> usize {
        let (total, route) = self.process.pubsub.route(topic, channel);
        for (shard, names) in route {
            if shard == self.id {
                // At once: whatever this shard tells its connections, it tells in order.
                self.deliver(&names, channel, &payload, current.as_deref_mut());
                continue;
            }
            let channel: Box<[u8]> = channel.into();
            let payload = payload.clone();
            let deliver = move |shard: &mut Shard| shard.deliver(&names, &channel, &payload, None);
            self.send(shard, Message::Visit(Box::new(deliver)));
        }
        total
    }

    /// Hands a message to this shard's subscribers.
    fn deliver(
        &mut self,
        names: &[Name],
        channel: &[u8],
        payload: &[u8],
        mut current: Option<&mut Client>,
    ) {
        for name in names {
            let tokens = self.subscribers.names.get(name).cloned();
            for token in tokens.into_iter().flatten() {
                let write = |reply: &mut Reply<'_>| write_message(reply, name, channel, payload);
                self.push_to(token, current.as_deref_mut(), write);
            }
        }
    }

    /// Pushes something to a connection of this shard that it has not asked for just now. Where it is `current`, in the middle of a command,
    /// that waits for the end of the command: see [`Self::flush_pushes`].
    pub(crate) fn push_to(
        &mut self,
        token: ClientToken,
        current: Option<&mut Client>,
        write: impl FnOnce(&mut Reply<'_>),
    ) {
        if let Some(client) = current
            && client.token == token
        {
            let version = client.session.version;
            return write(&mut Reply::new(&mut client.pushes, version));
        }
        let Some(client) = self.client(token).cloned() else {
            return;
        };
        let client = &mut *client.borrow_mut();
        if client.closing.is_some() {
            return;
        }
        let version = client.session.version;
        write(&mut Reply::new(&mut client.out, version));
        let is_over = self.limit_output(client);
        self.stats.output_limit_closes += u64::from(is_over);
        client.wake();
    }

    /// The command that a connection was in the middle of is over: what came meanwhile stands behind its reply.
    #[inline]
    pub(crate) fn flush_pushes(&self, client: &mut Client) {
        if !client.pushes.is_empty() {
            client.out.append(&mut client.pushes);
            self.limit_output(client);
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

fn write_message(reply: &mut Reply<'_>, name: &Name, channel: &[u8], payload: &[u8]) {
    match name.0 {
        Topic::Channel => {
            reply.push(3);
            reply.bulk(b"message");
        }
        Topic::ShardChannel => {
            reply.push(3);
            reply.bulk(b"smessage");
        }
        Topic::Pattern => {
            reply.push(4);
            reply.bulk(b"pmessage");
            reply.bulk(&name.1);
        }
    }
    reply.bulk(channel);
    reply.bulk(payload);
}
