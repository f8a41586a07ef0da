//! Invalidations: what clients with caches are told when a key changes.
//!
//! The shard of a key notes who is to hear of a change while the command runs, and tells the
//! readers' homes at the end of the turn, all that a home is to hear in one message. Clients of
//! this very shard hear at once, behind the command, as in Redis.
//!
//! What must hold: a client that has read a value and caches it hears of the next change, *behind*
//! the reply with that value. Otherwise it would drop what it has not got yet, and then keep the
//! old value for ever. So:
//!
//! - The read is remembered on the key's shard in the instant of the read, or, in a transaction,
//!   with the release, before the key is free.
//! - Replies and invalidations of a shard go to a home in one order: also through the gate that
//!   holds replies until the log is on disk.
//! - At home an invalidation is written behind every reply that is *here*, whether or not it may
//!   leave yet ([`Client::push`]): a reply of one shard may wait for an earlier one of another.
//!   Commands that are not answered yet do not hold it up, so that a client that waits in BLPOP
//!   hears.
//! - An answer that waits for its transaction's share to be on disk is here too.
//!
//! Emptying databases invalidates everything, by one message without keys. A home waits until every
//! shard has told it so, for then all older replies are here. Redis does not tell of SWAPDB, nor
//! those with NOLOOP of keys that expire in their own command: they would keep what is not so.

use bytes::Bytes;
use engine::header::{ClientAddress, ClientToken, FlushId};
use engine::tracking::invalidations::{Notice, ToHome, encode};
use engine::tracking::prefixes::Changed;
use engine::tracking::table::Readers;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::reply::{Reply, Version};

use crate::client::Client;
use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::tracking::{Mode, Tracking};

/// Where a RESP2 client hears of another one's keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Emptyings of databases, as a home hears of them.
#[derive(Default)]
pub struct Flushes {
    /// How many shards have told so far.
    heard: HashMap<FlushId, usize, RandomState>,
}

/// What is not valid any more.
#[derive(Clone, Debug)]
enum Stale {
    /// An array of keys, encoded as all versions of RESP have it.
    Keys(Bytes),
    Everything,
}

impl Stale {
    /// `>2 invalidate keys`, or the message that a RESP2 subscriber gets in its place.
    fn write(&self, reply: &mut Reply<'_>) {
        match reply.version() {
            Version::Resp3 => {
                reply.push(2);
                reply.bulk(b"invalidate");
            }
            Version::Resp2 => {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
        }
        match self {
            Self::Keys(keys) => reply.raw(keys),
            Self::Everything => reply.null(),
        }
    }
}

impl Shard {
    /// Tells clients of this shard what they have read and is not valid any more, as far as they
    /// are not in use. `current` is the one that is in use and may be told.
    pub(crate) fn tell_readers_here(&mut self, mut current: Option<&mut Client>) {
        if !self.links.own.is_empty() {
            // An older reply may lie there: the turn tells what is behind it.
            return;
        }
        for notice in self.engine.effects.invalidations.take_here() {
            let Notice { stale, readers, by } = notice;
            let told = Stale::Keys(stale.clone());
            let mut later = Readers::new();
            for reader in readers {
                if self.may_be_told(reader.token, current.as_deref()) {
                    self.tell_reader(reader.token, &told, by, current.as_deref_mut())
                } else {
                    later.push(reader)
                }
            }
            if !later.is_empty() {
                let readers = later;
                self.engine
                    .effects
                    .invalidations
                    .put_back_here(Notice { stale, readers, by });
            }
        }
    }

    /// Whether neither a client nor the one that hears in its place can be in use, but for
    /// `current`.
    fn may_be_told(&self, token: ClientToken, current: Option<&Client>) -> bool {
        if current.is_some() {
            return true;
        }
        let Some(client) = self.client(token) else {
            return true;
        };
        client.try_borrow().is_ok_and(|client| {
            let tracking = client.session.tracking.as_ref();
            tracking.is_none_or(|it| it.redirect.is_none())
        })
    }

    /// Once a turn: tells all homes what there is, and lets a table that is too full forget.
    pub(crate) fn tell_invalidations(&mut self) {
        for (home, told) in self.engine.take_invalidations() {
            if home == self.engine.id && self.links.own.is_empty() {
                self.hear(told);
                continue;
            }
            self.turns.reply_fence.effects_sent = true;
            let hear = move |shard: &mut Shard| shard.hear(told);
            self.send_behind_replies(home, Message::Visit(Box::new(hear)));
        }
    }

    /// At home: tells clients what a shard has told.
    fn hear(&mut self, told: Vec<ToHome>) {
        for told in told {
            match told {
                ToHome::Read { stale, readers, by } => {
                    let stale = Stale::Keys(stale);
                    for reader in readers {
                        self.tell_reader(reader, &stale, by, None);
                    }
                }
                ToHome::Prefix {
                    prefix,
                    stale,
                    keys,
                } => {
                    let stale = Stale::Keys(stale);
                    for client in self.hearers.trackers.audience.of(&prefix) {
                        self.tell_prefix(client, &stale, &keys);
                    }
                }
                ToHome::Flush(id) => self.hear_of_flush(id),
            }
        }
    }

    fn tell_reader(
        &mut self,
        token: ClientToken,
        stale: &Stale,
        by: Option<ClientAddress>,
        current: Option<&mut Client>,
    ) {
        let is_own = by == Some(self.address(token));
        let hears =
            |tracking: &Tracking| tracking.mode != Mode::Broadcast && !(is_own && tracking.noloop);
        self.tell_tracker(token, stale, hears, current);
    }

    fn tell_prefix(&mut self, token: ClientToken, stale: &Stale, keys: &[Changed]) {
        let broadcasts = |tracking: &Tracking| tracking.mode == Mode::Broadcast;
        let own = Some(self.address(token));
        let noloop = self.client(token).is_some_and(|client| {
            let client = client.borrow();
            client.session.tracking.as_ref().is_some_and(|it| it.noloop)
        });
        if !noloop || keys.iter().all(|changed| changed.by != own) {
            return self.tell_tracker(token, stale, broadcasts, None);
        }
        let others = keys.iter().filter(|changed| changed.by != own);
        let others = others.map(|changed| &*changed.key);
        if others.clone().next().is_some() {
            let stale = Stale::Keys(encode(others));
            self.tell_tracker(token, &stale, broadcasts, None);
        }
    }

    fn hear_of_flush(&mut self, id: FlushId) {
        let shards = self.engine.slots.shards();
        let heard = self.hearers.trackers.flushes.heard.entry(id).or_default();
        *heard += 1;
        if *heard < shards {
            return;
        }
        self.hearers.trackers.flushes.heard.remove(&id);
        let tokens: Vec<_> = self
            .connections
            .clients
            .iter()
            .map(|(_, known)| known.token)
            .collect();
        for token in tokens {
            self.tell_tracker(token, &Stale::Everything, |_| true, None);
        }
    }

    fn address(&self, token: ClientToken) -> ClientAddress {
        let home = self.engine.id;
        ClientAddress { home, token }
    }

    /// Tells one client, or the one that hears in its place, if it tracks and `hears` of this.
    fn tell_tracker(
        &mut self,
        token: ClientToken,
        stale: &Stale,
        hears: impl FnOnce(&Tracking) -> bool,
        mut current: Option<&mut Client>,
    ) {
        let redirect = |client: &mut Client| {
            let tracking = client.session.tracking.as_ref();
            tracking.filter(|it| hears(it)).map(|it| it.redirect)
        };
        let Some(Some(redirect)) = self.with_client(token, current.as_deref_mut(), redirect) else {
            return;
        };
        let Some(redirect) = redirect else {
            self.push_stale(token, false, stale, current);
            return;
        };
        let (to, id) = (redirect.to, redirect.id);
        if to.home == self.engine.id {
            if !self.push_stale(to.token, true, stale, current.as_deref_mut()) {
                self.redirect_is_broken(token, id, current);
            }
            return;
        }
        let (home, stale) = (self.engine.id, stale.clone());
        let there = move |shard: &mut Shard| {
            if !shard.push_stale(to.token, true, &stale, None) {
                let broken = move |shard: &mut Shard| shard.redirect_is_broken(token, id, None);
                shard.send(home, Message::Visit(Box::new(broken)));
            }
        };
        self.send(to.home, Message::Visit(Box::new(there)));
    }

    /// Writes what a client is to hear, if it has a way to. `redirected` where it hears for another
    /// one. False where it is gone, or as good as.
    fn push_stale(
        &mut self,
        token: ClientToken,
        redirected: bool,
        stale: &Stale,
        current: Option<&mut Client>,
    ) -> bool {
        if self.engine.awaits_commit(token) {
            let stale = stale.clone();
            let push = move |shard: &mut Shard| {
                shard.push_stale(token, redirected, &stale, None);
            };
            let task = self.tasks.visit(Box::new(push));
            self.engine.task_behind_answer(token, task);
            return true;
        }
        let limit = self
            .engine
            .config
            .client_output_buffer_limit
            .pubsub
            .hard_bytes;
        let push = |client: &mut Client| {
            let hears = match client.session.version {
                Version::Resp3 => true,
                Version::Resp2 => redirected && client.session.is_subscriber(),
            };
            if client.closing.is_some() {
                return None;
            }
            if !hears {
                return Some(false);
            }
            client.push(|reply| stale.write(reply));
            if limit > 0 && client.pushed_bytes as u64 > limit {
                let pushed = client.pushed_bytes as u64;
                self.close_for_output(client, pushed);
                return Some(true);
            }
            Some(self.limit_output(client))
        };
        let is_over = self.with_client(token, current, push).flatten();
        self.engine.stats.output_limit_closes += u64::from(is_over == Some(true));
        is_over.is_some()
    }

    /// The client that was to hear in the place of another one is gone.
    fn redirect_is_broken(&mut self, token: ClientToken, id: u64, current: Option<&mut Client>) {
        let tell = |client: &mut Client| {
            let Some(tracking) = &mut client.session.tracking else {
                return;
            };
            if tracking.redirect_id() != id {
                return;
            }
            tracking.redirect_is_broken = true;
            if client.session.version == Version::Resp3 && client.closing.is_none() {
                client.push(|reply| {
                    reply.push(2);
                    reply.bulk(b"tracking-redir-broken");
                    reply.integer(id.cast_signed());
                });
            }
        };
        self.with_client(token, current, tell);
    }

    /// Does something with a connection of this shard, which may be the one in use. `None` where it
    /// is gone.
    fn with_client<R>(
        &self,
        token: ClientToken,
        current: Option<&mut Client>,
        work: impl FnOnce(&mut Client) -> R,
    ) -> Option<R> {
        match current {
            Some(client) if client.token == token => Some(work(client)),
            _ => Some(work(&mut self.client(token)?.borrow_mut())),
        }
    }
}
