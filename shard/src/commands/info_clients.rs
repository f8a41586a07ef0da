//! INFO's figures about connections.

use std::fmt::Write;

use crate::client::Client;
use crate::shard::Shard;

/// What one shard gives, and the sum of it.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    pub count: u64,
    pub blocked: u64,
    pubsub: u64,
    watching: u64,
    tracking: u64,
    watched_keys: u64,
    blocking_keys: u64,
    blocking_keys_on_nokey: u64,
    in_timeout_table: u64,
    input_bytes_max: u64,
    output_bytes_max: u64,
    /// What connections hold in memory.
    pub memory_bytes: u64,
    /// Replies that they wait for.
    pub pending_slots: u64,
}

impl Clients {
    /// The connections of one shard.
    pub fn of(shard: &Shard) -> Self {
        let waits = &shard.engine.effects.waits;
        let mut clients = Self {
            count: shard.connections.clients.len() as u64,
            blocked: (shard.blocked_clients() + shard.postponed_clients()) as u64,
            watched_keys: shard.engine.effects.watches.len() as u64,
            blocking_keys: waits.waited_for() as u64,
            blocking_keys_on_nokey: waits.waited_for_without_value() as u64,
            in_timeout_table: shard.clients_with_deadline() as u64,
            ..Self::default()
        };
        for (_, known) in &shard.connections.clients {
            if let Ok(client) = known.client.try_borrow() {
                clients.count_in(&client);
            }
        }
        clients
    }

    fn count_in(&mut self, client: &Client) {
        let session = &client.session;
        self.pubsub += u64::from(session.is_subscriber());
        self.watching += u64::from(!session.watched.is_empty());
        self.tracking += u64::from(session.tracking.is_some());
        self.input_bytes_max = self.input_bytes_max.max(client.input.capacity() as u64);
        self.output_bytes_max = self.output_bytes_max.max(client.unsent_bytes() as u64);
        self.memory_bytes += client.memory_bytes() as u64;
        self.pending_slots += client.pending.len() as u64;
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.blocked += other.blocked;
        self.pubsub += other.pubsub;
        self.watching += other.watching;
        self.tracking += other.tracking;
        self.watched_keys += other.watched_keys;
        self.blocking_keys += other.blocking_keys;
        self.blocking_keys_on_nokey += other.blocking_keys_on_nokey;
        self.in_timeout_table += other.in_timeout_table;
        self.input_bytes_max = self.input_bytes_max.max(other.input_bytes_max);
        self.output_bytes_max = self.output_bytes_max.max(other.output_bytes_max);
        self.memory_bytes += other.memory_bytes;
        self.pending_slots += other.pending_slots;
    }

    /// The lines of the section.
    pub fn write(&self, maxclients: u32, out: &mut String) -> std::fmt::Result {
        for (name, value) in [
            ("connected_clients", self.count),
            ("cluster_connections", 0),
            ("maxclients", u64::from(maxclients)),
            ("client_recent_max_input_buffer", self.input_bytes_max),
            ("client_recent_max_output_buffer", self.output_bytes_max),
            ("blocked_clients", self.blocked),
            ("tracking_clients", self.tracking),
            ("pubsub_clients", self.pubsub),
            ("watching_clients", self.watching),
            ("clients_in_timeout_table", self.in_timeout_table),
            ("total_watched_keys", self.watched_keys),
            ("total_blocking_keys", self.blocking_keys),
            ("total_blocking_keys_on_nokey", self.blocking_keys_on_nokey),
        ] {
            write!(out, "{name}:{value}\r\n")?;
        }
        Ok(())
    }
}
