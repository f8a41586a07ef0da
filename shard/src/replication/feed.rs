//! How the stream leaves the shards, and comes to replicas' connections.

use std::os::unix::fs::FileExt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::header::ClientToken;
use tracing::{info, warn};

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::mailbox::message::Message;
use crate::replication::link::{Known, KnownState, State};
use crate::shard::Shard;

/// Bytes that may wait in a replica's output: the rest waits in the backlog, where all replicas
/// share it.
const UNSENT_BYTES_MAX: usize = 512 * 1024;

/// Bytes that are read of a snapshot at a time.
const CHUNK_BYTES: usize = 256 * 1024;

impl Shard {
    /// Once a turn, before anything of it leaves: says to replicas what was done. Returns whether
    /// there was anything.
    #[inline]
    pub(crate) fn flush_stream(&mut self) -> bool {
        self.engine.effects.journal.stream.has_more() && self.append_to_stream()
    }

    fn append_to_stream(&mut self) -> bool {
        let segment = self.engine.effects.journal.take_stream();
        self.process.replication.backlog.append(&segment);
        self.tell_feeders();
        // Without a log on disk, replies wait for this alone.
        self.stream_is_told()
    }

    /// There is more in the stream: lets all shards know that have replicas.
    pub(crate) fn tell_feeders(&mut self) {
        let process = self.process.clone();
        let replicas = process.replication.replicas();
        let mut here = false;
        for known in replicas.iter() {
            let (home, _) = known.id;
            if home == self.engine.id {
                here = true;
            } else if !process.replication.told[home.index()].swap(true, Ordering::AcqRel) {
                self.send(home, Message::Visit(Box::new(Shard::feed_replicas)));
            }
        }
        drop(replicas);
        if here && !process.replication.told[self.engine.id.index()].swap(true, Ordering::AcqRel) {
            self.post(Shard::feed_replicas);
        }
    }

    /// The end of the stream, behind all that this shard has said.
    pub(crate) fn stream_end(&mut self) -> u64 {
        self.flush_stream();
        self.process.replication.backlog.end()
    }

    /// Asks all replicas how far they have come.
    pub(crate) fn ask_replicas(&mut self) {
        let backlog = &self.process.replication.backlog;
        if backlog.is_on() {
            backlog.say(&[b"REPLCONF", b"GETACK", b"*"]);
            self.tell_feeders();
        }
    }

    /// By the clock of shard 0: lets replicas know that there is a master, and gives up those that
    /// have said nothing for `repl-timeout`.
    pub(crate) fn look_at_replicas(&mut self) {
        let process = self.process.clone();
        let replication = &process.replication;
        let config = self.engine.config.clone();
        if replication.replicas().is_empty() {
            return self.look_at_idle_backlog();
        }
        let period = Duration::from_secs(u64::from(config.repl_ping_replica_period_s.max(1)));
        let mut pinged = replication
            .pinged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if pinged.is_none_or(|at| at.elapsed() >= period) {
            *pinged = Some(Instant::now());
            replication.backlog.say(&[b"PING"]);
            drop(pinged);
            self.tell_feeders();
        }
        let patience = Duration::from_secs(u64::from(config.repl_timeout_s));
        let replicas = replication.replicas().clone();
        for known in replicas {
            let is_late = known.state == KnownState::Online && known.heard_at.elapsed() > patience;
            if is_late {
                let (home, token) = known.id;
                let close = move |shard: &mut Shard| shard.give_replica_up(token);
                self.send(home, Message::Visit(Box::new(close)));
            }
        }
    }

    /// There is no replica: the stream ends where none has come back for `repl-backlog-ttl`.
    fn look_at_idle_backlog(&mut self) {
        let process = self.process.clone();
        let replication = &process.replication;
        let ttl = self.engine.config.repl_backlog_ttl_s;
        if !replication.backlog.is_on() || ttl == 0 {
            return;
        }
        let idle_since = *replication
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle_since.is_some_and(|since| since.elapsed() >= Duration::from_secs(ttl)) {
            let replicas = replication.replicas();
            if replicas.is_empty() {
                replication.backlog.close(&crate::process::random_id());
                drop(replicas);
                info!("no replica has come back for repl-backlog-ttl: the backlog is freed");
                self.tell_all(Shard::close_stream);
            }
        }
    }

    fn give_replica_up(&mut self, token: ClientToken) {
        if let Some(client) = self.client(token).cloned() {
            let client = &mut *client.borrow_mut();
            let (id, address) = (client.session.id, &*client.peer.address);
            warn!(
                client = id,
                address, "a replica has said nothing for repl-timeout"
            );
            client.close_for(CloseReason::Replication, Closing::Now);
        }
    }

    /// Hands to this shard's replicas what they have room for.
    pub(crate) fn feed_replicas(&mut self) {
        let process = self.process.clone();
        process.replication.told[self.engine.id.index()].store(false, Ordering::Release);
        let of_here = |known: &Known| (known.id.0 == self.engine.id).then_some(known.id.1);
        let tokens: Vec<_> = process
            .replication
            .replicas()
            .iter()
            .filter_map(of_here)
            .collect();
        for token in tokens {
            if let Some(client) = self.client(token).cloned()
                && let Ok(mut client) = client.try_borrow_mut()
            {
                self.feed(&mut client);
            }
        }
    }

    /// Hands to a replica what it has room for.
    pub(crate) fn feed(&mut self, client: &mut Client) {
        let id = (self.engine.id, client.token);
        let lag_max = self
            .engine
            .config
            .client_output_buffer_limit
            .replica
            .hard_bytes;
        while client.closing.is_none() && client.unsent_bytes() < UNSENT_BYTES_MAX {
            let Some(link) = &mut client.session.replica else {
                return;
            };
            let piece = match &mut link.state {
                State::Greets | State::Waits(_) => return,
                State::Loads {
                    file,
                    bytes,
                    sent,
                    from,
                } => {
                    if sent == bytes && link.wants_snapshot_only {
                        return client.close_for(CloseReason::Replication, Closing::AfterReplies);
                    }
                    if sent == bytes {
                        link.state = State::Follows(*from);
                        self.note_replica(client, KnownState::Online);
                        continue;
                    }
                    let len = (*bytes - *sent).min(CHUNK_BYTES as u64);
                    let mut chunk = vec![0; usize::try_from(len).unwrap_or(CHUNK_BYTES)];
                    if let Err(error) = file.read_exact_at(&mut chunk, *sent) {
                        warn!(%error, "a snapshot for a replica cannot be read");
                        return client.close_for(CloseReason::Replication, Closing::Now);
                    }
                    *sent += len;
                    Bytes::from(chunk)
                }
                State::Follows(from) => {
                    let backlog = &self.process.replication.backlog;
                    let behind = backlog.end().saturating_sub(*from);
                    if lag_max > 0 && behind > lag_max {
                        warn!(
                            client = client.session.id,
                            address = &*client.peer.address,
                            behind,
                            "a replica is too far behind (client-output-buffer-limit replica)"
                        );
                        return client.close_for(CloseReason::OutputLimit, Closing::Now);
                    }
                    let piece = backlog.read(id, *from, CHUNK_BYTES);
                    if piece.is_empty() {
                        return;
                    }
                    *from += piece.len() as u64;
                    piece
                }
            };
            client.attach(&[piece]);
            client.wake();
        }
    }

    /// All shards are to know how far a replica has come.
    pub(crate) fn note_replica(&self, client: &Client, state: KnownState) {
        let id = (self.engine.id, client.token);
        let Some(link) = &client.session.replica else {
            return;
        };
        let mut replicas = self.process.replication.replicas();
        let (acknowledged, synced) = (link.acknowledged, link.synced);
        match replicas.iter_mut().find(|known| known.id == id) {
            Some(known) => {
                known.state = state;
                known.acknowledged = acknowledged;
                known.synced = synced;
                known.heard_at = Instant::now();
            }
            None => {
                let peer = client.peer.address.rsplit_once(':');
                let peer = peer.map_or("", |(host, _)| host);
                replicas.push(Known {
                    id,
                    address: link.address.clone().unwrap_or_else(|| peer.into()),
                    port: link.port,
                    state,
                    acknowledged,
                    synced,
                    heard_at: Instant::now(),
                });
            }
        }
    }

    /// A connection that was a replica's goes.
    pub(crate) fn drop_replica(&mut self, client: &mut Client) {
        if client.session.replica.take().is_none() {
            return;
        }
        let id = (self.engine.id, client.token);
        let replication = &self.process.replication;
        let mut replicas = replication.replicas();
        replicas.retain(|known| known.id != id);
        if replicas.is_empty() {
            *replication
                .idle_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        drop(replicas);
        replication.syncs().forget(id);
        replication.backlog.leave(id);
    }
}
