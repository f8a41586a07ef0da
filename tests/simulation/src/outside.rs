//! What engines ask of the outside: here, nothing that could differ from run to run.

use std::sync::Arc;

use config::Config;
use engine::engine::{Engine, Setup};
use engine::environment::Environment;
use engine::ledger::Ledger;
use engine::script::scripting::{Scouting, ScriptLimits};
use engine::script::undo::CopyLimit;
use engine::slot::{ShardId, SlotMap};
use fastrand::Rng;
use lua::store::ScriptStore;
use storage::{Databases, Entry, KeyHasher, Keyspace, UnixMillis};

use crate::clock;

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

/// Milliseconds after which a script of the world has run for long.
pub const BUSY_MS: u64 = 5;

/// What is copied of a value in these worlds: little, so that there is more.
const COPY: CopyLimit = CopyLimit {
    effort: 3,
    bytes: 160,
};

/// Instructions from one look of a script at the clock to the next.
#[derive(Clone, Copy, Debug)]
pub enum Ticks {
    /// So few that most scripts look.
    Few,
    /// So many that hardly any does: a script that scouts comes to its end.
    Many,
}

/// The engines of so many shards, with nothing in them. Scripts run for long from so many
/// milliseconds on; never where that is 0.
pub fn engines(
    shards: usize,
    now: UnixMillis,
    seed: u64,
    busy_ms: u64,
    ticks: Ticks,
) -> Vec<Engine> {
    let limits = ScriptLimits {
        tick_instructions: match ticks {
            Ticks::Few => 60,
            Ticks::Many => 3_000,
        },
        copy: COPY,
        scouting: Scouting::Learnt,
    };
    let config = Arc::new(Config {
        databases: DATABASES,
        shards,
        busy_reply_threshold_ms: busy_ms,
        ..Config::default()
    });
    let environment: Arc<dyn Environment> =
        Arc::new(Plenty(Ledger::new(shards, || 0), ScriptStore::default()));
    let hasher = KeyHasher::random();
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
                clock: clock::now,
                wall_micros: || 1_000_000,
                first_of_thread: ShardId::new(index),
                started_unix_ms: 1,
            });
            engine.scripting.limits = limits;
            engine.trace.begin();
            engine
        })
        .collect()
}
