//! What engines ask of the outside: here, nothing that could differ from run to run.

use std::sync::Arc;
use std::time::Instant;

use config::Config;
use engine::engine::{Engine, Setup};
use engine::environment::Environment;
use engine::ledger::Ledger;
use engine::slot::{ShardId, SlotMap};
use fastrand::Rng;
use lua::store::ScriptStore;
use storage::{Databases, Entry, KeyHasher, Keyspace, UnixMillis};

/// An environment without limits.
struct Plenty(Ledger, ScriptStore);

impl Environment for Plenty {
    fn ledger(&self) -> &Ledger {
        &self.0
    }

    fn free(&self, entries: &mut Vec<Entry>) {
        entries.clear();
    }

    fn free_keyspaces(&self, keyspaces: Vec<Keyspace>, _: bool) {
        drop(keyspaces);
    }

    fn anybody_subscribes(&self) -> bool {
        true
    }

    fn anybody_tracks(&self) -> bool {
        false
    }

    fn anybody_monitors(&self) -> bool {
        false
    }

    fn scripts(&self) -> &ScriptStore {
        &self.1
    }
}

/// Databases of every shard.
pub const DATABASES: u16 = 2;

/// The engines of so many shards, with nothing in them.
pub fn engines(shards: usize, now: UnixMillis, seed: u64) -> Vec<Engine> {
    let config = Arc::new(Config {
        databases: DATABASES,
        shards,
        ..Config::default()
    });
    let environment: Arc<dyn Environment> = Arc::new(Plenty(Ledger::new(shards, || 0), ScriptStore::default()));
    let hasher = KeyHasher::random();
    let began = Instant::now;
    (0..shards)
        .map(|index| {
            let mut engine = Engine::new(Setup {
                id: ShardId::new(index),
                slots: SlotMap::new(shards),
                config: config.clone(),
                environment: environment.clone(),
                databases: Databases::new(DATABASES, hasher.clone()),
                now,
                random: Rng::with_seed(seed),
                clock: began,
                wall_micros: || 1_000_000,
                first_of_thread: ShardId::new(index),
                started_unix_ms: 1,
            });
            engine.trace.begin();
            engine
        })
        .collect()
}
