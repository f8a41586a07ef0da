//! All data for replicas: one snapshot serves all who wait when its instant comes.
//!
//! ```text
//! a replica's shard   PSYNC: all shards begin to say their effects; then the replica waits
//! any shard           begins a snapshot for replicas, once none is being written
//! shard 0             its instant: all shards are locked, and have said all they did, so the end
//!                     of the stream is its place there: +FULLRESYNC id offset to each who waits
//! thread "snapshot"   writes the file
//! a replica's shard   sends it, and then the stream from that place on
//! ```

use std::fs::File;
use std::sync::Arc;

use protocol::reply::Version;
use tracing::info;

use crate::client::close_reason::CloseReason;
use crate::client::{Client, Closing};
use crate::mailbox::message::Message;
use crate::replication::ReplicaId;
use crate::replication::link::{KnownState, State};
use crate::shard::Shard;

/// Replicas that wait for all data.
#[derive(Default)]
pub struct Syncs {
    /// For the next snapshot.
    waiting: Vec<ReplicaId>,
    /// For the one that is being written.
    of_snapshot: Vec<ReplicaId>,
}

impl Syncs {
    /// Somebody waits no longer.
    pub(crate) fn forget(&mut self, id: ReplicaId) {
        self.waiting.retain(|it| *it != id);
        self.of_snapshot.retain(|it| *it != id);
    }

    /// Whether anybody waits for a snapshot to begin.
    pub(crate) fn want_snapshot(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Shard {
    /// This shard says its effects to replicas from now on, if it did not.
    pub(crate) fn open_stream(&mut self) {
        if !self.engine.effects.journal.stream.is_on() {
            self.engine.effects.journal.turn_stream(true);
            self.heed_fsync_policy();
        }
    }

    /// Nobody hears what this shard says.
    pub(crate) fn close_stream(&mut self) {
        // Unless somebody has come meanwhile.
        if !self.process.replication.backlog.is_on() {
            self.engine.effects.journal.turn_stream(false);
            self.heed_fsync_policy();
        }
    }

    /// A replica waits for all data. All shards say their effects.
    pub(crate) fn wait_for_snapshot(&mut self, client: &mut Client) {
        let id = (self.engine.id, client.token);
        if let Some(link) = &mut client.session.replica {
            link.state = State::Waits(None);
        }
        self.note_replica(client, KnownState::WaitsForSnapshot);
        self.process.replication.syncs().waiting.push(id);
        self.begin_snapshot_for_replicas();
    }

    /// The instant of a snapshot for replicas: the stream's end is its place there.
    pub(crate) fn replicas_are_cut(&mut self) {
        self.flush_stream();
        let process = self.process.clone();
        let replication = &process.replication;
        let mut syncs = replication.syncs();
        let waiting = std::mem::take(&mut syncs.waiting);
        syncs.of_snapshot.extend(&waiting);
        drop(syncs);
        let id = replication.backlog.id();
        for replica in waiting {
            let from = replication.backlog.follow(replica);
            let greeting = format!("+FULLRESYNC {id} {from}\r\n");
            let (home, token) = replica;
            let tell = move |shard: &mut Shard| {
                let Some(client) = shard.client(token).cloned() else {
                    // It left while it was told.
                    return shard.process.replication.backlog.leave(replica);
                };
                let client = &mut *client.borrow_mut();
                let Some(link) = &mut client.session.replica else {
                    return;
                };
                link.state = State::Waits(Some(from));
                if link.knows_offsets {
                    client.out.extend_from_slice(greeting.as_bytes());
                    client.wake();
                }
            };
            self.send(home, Message::Visit(Box::new(tell)));
        }
    }

    /// A snapshot for replicas is written, or has failed.
    pub(crate) fn snapshot_for_replicas_ended(&mut self, written: Option<(File, u64)>) {
        let replicas = {
            let mut syncs = self.process.replication.syncs();
            std::mem::take(&mut syncs.of_snapshot)
        };
        let file = written.map(|(file, bytes)| (Arc::new(file), bytes));
        for (home, token) in replicas {
            let file = file.clone();
            let tell = move |shard: &mut Shard| shard.load_replica(token, file);
            self.send(home, Message::Visit(Box::new(tell)));
        }
    }

    fn load_replica(&mut self, token: engine::header::ClientToken, file: Option<(Arc<File>, u64)>) {
        let Some(client) = self.client(token).cloned() else {
            return;
        };
        let client = &mut *client.borrow_mut();
        let Some(link) = &mut client.session.replica else {
            return;
        };
        let (Some((file, bytes)), State::Waits(Some(from))) = (file, &link.state) else {
            return client.close_for(CloseReason::Replication, Closing::Now);
        };
        link.state = State::Loads {
            file,
            bytes,
            sent: 0,
            from: *from,
        };
        client.session.version = Version::Resp2;
        let header = format!("${bytes}\r\n");
        client.out.extend_from_slice(header.as_bytes());
        info!(
            client = client.session.id,
            address = &*client.peer.address,
            bytes,
            "a replica gets all data"
        );
        self.note_replica(client, KnownState::GetsSnapshot);
        client.wake();
        self.feed(client);
    }
}
