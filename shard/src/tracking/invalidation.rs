//! Invalidations: what clients with caches are told when a key changes.
//!
//! The shard of a key notes who is to hear of a change while the command runs, and tells the readers' homes at the end of the turn, all that
//! a home is to hear in one message. Clients of this very shard hear at once, behind the command, as in Redis.
//!
//! What must hold: a client that has read a value and caches it hears of the next change, *behind* the reply with that value. Otherwise it
//! would drop what it has not got yet, and then keep the old value for ever. So:
//!
//! - The read is remembered on the key's shard in the instant of the read, or, in a transaction, with the release, before the key is free.
//! - Replies and invalidations of a shard go to a home in one order: also through the gate that holds replies until the log is on disk.
//! - At home an invalidation is written behind every reply that is *here*, whether or not it may leave yet ([`Client::push`]): a reply of one
//!   shard may wait for an earlier one of another. Commands that are not answered yet do not hold it up, so that a client that waits in BLPOP hears.
//! - An answer that waits for its transaction's share to be on disk is here too.
//!
//! Emptying databases invalidates everything, by one message without keys. A home waits until every shard has told it so, for then all older
//! replies are here. Redis does not tell of SWAPDB, nor those with NOLOOP of keys that expire in their own command: they would keep what is not so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::reply::{Reply, Version};
use smallvec::SmallVec;
use storage::Keyspace;

use crate::client::Client;
use crate::mailbox::batch::{ClientAddress, ClientToken};
use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::tracking::broadcast::{Changed, OfPrefix, Prefixes};
use crate::tracking::table::{Readers, TrackingTable};
use crate::tracking::{Mode, Tracking};

/// Where a RESP2 client hears of another one's keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Keys that a full table forgets in one turn.
const FORGOTTEN_PER_TURN_MAX: usize = 1024;

/// One emptying of databases, by the shard that coordinated it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlushId {
    coordinator: ShardId,
    number: u64,
}

/// Emptyings of databases, as a home hears of them.
#[derive(Default)]
pub struct Flushes {
    last: u64,
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

/// Some keys of one message, and who is to hear.
struct Notice {
    stale: Bytes,
    readers: Readers,
    by: Option<ClientAddress>,
}

/// What a shard tells a home.
enum Told {
    /// A key has changed that these clients have read.
    Read {
        stale: Bytes,
        readers: SmallVec<[ClientToken; 2]>,
        by: Option<ClientAddress>,
    },
    /// Keys with this prefix have changed.
    Prefix {
        prefix: Bytes,
        stale: Bytes,
        keys: Arc<[Changed]>,
    },
    Flush(FlushId),
}

/// What the keys of one shard have to tell.
#[derive(Default)]
pub struct Invalidations {
    pub table: TrackingTable,
    pub prefixes: Prefixes,
    /// This shard.
    home: ShardId,
    /// For clients of this shard.
    here: Vec<Notice>,
    /// For those of others.
    elsewhere: Vec<Notice>,
    flushes: Vec<FlushId>,
    /// Keys with a prefix that changed in this turn, and who did it last.
    changed: BTreeMap<Bytes, Option<ClientAddress>>,
    /// Emptied tables on their way to the thread that frees them.
    emptied: Vec<Keyspace>,
}

impl Invalidations {
    /// What there is on a shard: nothing yet.
    pub fn of(home: ShardId) -> Self {
        Self {
            home,
            ..Self::default()
        }
    }

    /// Whether nobody wants to hear of any change.
    #[inline]
    pub fn nobody_tracks(&self) -> bool {
        self.table.is_empty() & self.prefixes.is_empty()
    }

    /// Whether clients of this shard are to be told something of keys they have read.
    #[inline]
    pub fn is_for_here(&self) -> bool {
        !self.here.is_empty()
    }

    /// Whether there is something for a turn to do.
    #[inline]
    pub fn is_for_turn(&self) -> bool {
        !self.here.is_empty()
            | !self.elsewhere.is_empty()
            | !self.changed.is_empty()
            | !self.flushes.is_empty()
            | self.table.is_over()
    }

    /// A key has changed.
    pub fn note(&mut self, key: &[u8], by: Option<ClientAddress>) {
        if self.prefixes.fit(key) {
            self.changed.insert(Bytes::copy_from_slice(key), by);
        }
        if let Some(readers) = self.table.forget(key) {
            self.note_readers(key, readers, by);
        }
    }

    fn note_readers(&mut self, key: &[u8], readers: Readers, by: Option<ClientAddress>) {
        let stale = encode([key]);
        let (here, elsewhere): (Readers, Readers) =
            readers.into_iter().partition(|it| it.home == self.home);
        for (readers, notices) in [(here, &mut self.here), (elsewhere, &mut self.elsewhere)] {
            if !readers.is_empty() {
                let stale = stale.clone();
                notices.push(Notice { stale, readers, by });
            }
        }
    }

    /// All keys are gone, or others. Nothing where nobody tracks.
    pub fn flush(&mut self, id: Option<FlushId>) {
        if !self.table.is_empty() {
            let keys = self.table.clear();
            self.emptied.push(keys);
        }
        self.flushes.extend(id);
    }

    /// Takes what homes are to be told.
    fn take(&mut self, shards: usize) -> Vec<(ShardId, Vec<Told>)> {
        let mut told: Vec<Vec<Told>> = (0..shards).map(|_| Vec::new()).collect();
        for notice in self.here.drain(..).chain(self.elsewhere.drain(..)) {
            let Notice { stale, readers, by } = notice;
            for of_home in readers.chunk_by(|one, other| one.home == other.home) {
                let readers = of_home.iter().map(|it| it.token).collect();
                let stale = stale.clone();
                told[of_home[0].home.index()].push(Told::Read { stale, readers, by });
            }
        }
        for id in self.flushes.drain(..) {
            told.iter_mut().for_each(|it| it.push(Told::Flush(id)));
        }
        for of_prefix in self.prefixes.sort(std::mem::take(&mut self.changed)) {
            let OfPrefix {
                prefix,
                homes,
                keys,
            } = of_prefix;
            let stale = encode(keys.iter().map(|changed| &*changed.key));
            let keys: Arc<[Changed]> = keys.into();
            for home in homes {
                let (prefix, stale, keys) = (prefix.clone(), stale.clone(), keys.clone());
                told[home.index()].push(Told::Prefix {
                    prefix,
                    stale,
                    keys,
                });
            }
        }
        let homes = told
            .into_iter()
            .enumerate()
            .filter(|(_, told)| !told.is_empty());
        homes
            .map(|(home, told)| (ShardId::new(home), told))
            .collect()
    }
}

/// An array of keys.
fn encode<'k>(keys: impl IntoIterator<Item = &'k [u8], IntoIter: Clone>) -> Bytes {
    let keys = keys.into_iter();
    let mut encoded = Vec::new();
    let mut reply = Reply::new(&mut encoded, Version::Resp2);
    reply.array(keys.clone().count());
    keys.for_each(|key| reply.bulk(key));
    encoded.into()
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
    /// Names an emptying of databases which this shard coordinates, if there is anybody to hear of it: whoever has read something, anywhere,
    /// was counted before.
    pub(crate) fn next_flush(&mut self) -> Option<FlushId> {
        if self.process.tracking_clients.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.trackers.flushes.last += 1;
        Some(FlushId {
            coordinator: self.id,
            number: self.trackers.flushes.last,
        })
    }

    /// Tells clients of this shard what they have read and is not valid any more, as far as they are not in use. `current` is the one that is
    /// in use and may be told.
    pub(crate) fn tell_readers_here(&mut self, mut current: Option<&mut Client>) {
        if !self.own.is_empty() {
            // An older reply may lie there: the turn tells what is behind it.
            return;
        }
        for notice in std::mem::take(&mut self.effects.invalidations.here) {
            let Notice { stale, readers, by } = notice;
            let told = Stale::Keys(stale.clone());
            let mut later = Readers::new();
            for reader in readers {
                match self.may_be_told(reader.token, current.as_deref()) {
                    true => self.tell_reader(reader.token, &told, by, current.as_deref_mut()),
                    false => later.push(reader),
                }
            }
            if !later.is_empty() {
                let readers = later;
                self.effects
                    .invalidations
                    .here
                    .push(Notice { stale, readers, by });
            }
        }
    }

    /// Whether neither a client nor the one that hears in its place can be in use, but for `current`.
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
        let invalidations = &mut self.effects.invalidations;
        for _ in 0..FORGOTTEN_PER_TURN_MAX {
            if !invalidations.table.is_over() {
                break;
            }
            if let Some((key, readers)) = invalidations.table.forget_any(&mut self.random) {
                invalidations.note_readers(&key, readers, None);
            }
        }
        let emptied = std::mem::take(&mut invalidations.emptied);
        for (home, told) in invalidations.take(self.slots.shards()) {
            if home == self.id && self.own.is_empty() {
                self.hear(told);
                continue;
            }
            self.reply_fence.effects_sent = true;
            let hear = move |shard: &mut Shard| shard.hear(told);
            self.send_behind_replies(home, Message::Visit(Box::new(hear)));
        }
        if !emptied.is_empty() {
            self.process.lazyfree.free_keyspaces(emptied, true);
        }
    }

    /// At home: tells clients what a shard has told.
    fn hear(&mut self, told: Vec<Told>) {
        for told in told {
            match told {
                Told::Read { stale, readers, by } => {
                    let stale = Stale::Keys(stale);
                    for reader in readers {
                        self.tell_reader(reader, &stale, by, None);
                    }
                }
                Told::Prefix {
                    prefix,
                    stale,
                    keys,
                } => {
                    let stale = Stale::Keys(stale);
                    for client in self.trackers.audience.of(&prefix) {
                        self.tell_prefix(client, &stale, &keys);
                    }
                }
                Told::Flush(id) => self.hear_of_flush(id),
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
        let shards = self.slots.shards();
        let heard = self.trackers.flushes.heard.entry(id).or_default();
        *heard += 1;
        if *heard < shards {
            return;
        }
        self.trackers.flushes.heard.remove(&id);
        let tokens: Vec<_> = self.clients.iter().map(|(_, known)| known.token).collect();
        for token in tokens {
            self.tell_tracker(token, &Stale::Everything, |_| true, None);
        }
    }

    fn address(&self, token: ClientToken) -> ClientAddress {
        let home = self.id;
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
        if to.home == self.id {
            if !self.push_stale(to.token, true, stale, current.as_deref_mut()) {
                self.redirect_is_broken(token, id, current);
            }
            return;
        }
        let (home, stale) = (self.id, stale.clone());
        let there = move |shard: &mut Shard| {
            if !shard.push_stale(to.token, true, &stale, None) {
                let broken = move |shard: &mut Shard| shard.redirect_is_broken(token, id, None);
                shard.send(home, Message::Visit(Box::new(broken)));
            }
        };
        self.send(to.home, Message::Visit(Box::new(there)));
    }

    /// Writes what a client is to hear, if it has a way to. `redirected` where it hears for another one. False where it is gone, or as good as.
    fn push_stale(
        &mut self,
        token: ClientToken,
        redirected: bool,
        stale: &Stale,
        current: Option<&mut Client>,
    ) -> bool {
        if self.awaits_commit(token) {
            let stale = stale.clone();
            let push = move |shard: &mut Shard| {
                shard.push_stale(token, redirected, &stale, None);
            };
            self.behind_commit(token, push);
            return true;
        }
        let limit = self.config.client_output_buffer_limit.pubsub.hard_bytes;
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
        self.stats.output_limit_closes += u64::from(is_over == Some(true));
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

    /// Does something with a connection of this shard, which may be the one in use. `None` where it is gone.
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
