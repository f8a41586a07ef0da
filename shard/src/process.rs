//! What all shards of the process share: counters that must be one, and the ways to reach the world outside.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use storage::KeyHasher;

use crate::config::{Config, LogLevel};
use crate::executor::Driver;
use crate::memory::Ledger;
use crate::pubsub::Registry;
use crate::slot::SlotMap;
use crate::undertaker::Undertaker;

/// The version that INFO, HELLO and `--version` show.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Redis version whose commands and replies these are.
pub const REDIS_VERSION: &str = "7.4.0";

/// Shared by all shards; every field is read rarely.
pub struct Process {
    pub slots: SlotMap,
    pub hasher: KeyHasher,
    pub driver: Driver,
    pub undertaker: Undertaker,
    pub started_at: Instant,
    pub started_unix_s: u64,
    /// Forty hexadecimal digits that name this run.
    pub run_id: String,
    /// The configuration in force; shards hold a copy of the `Arc`, renewed when it changes.
    pub config: Mutex<Arc<Config>>,
    pub config_file: Option<String>,
    /// Open connections, against `maxclients`.
    pub connections: AtomicUsize,
    /// Who has how much memory in use.
    pub memory: Arc<Ledger>,
    pub set_log_level: Box<dyn Fn(LogLevel) + Send + Sync>,
    /// Who subscribes to what.
    pub pubsub: Registry,
    next_client_id: AtomicU64,
    stop_requested: AtomicBool,
    /// Shards that are stopping and have no connection left: none returns before all have, as they need one another's replies.
    pub shards_drained: AtomicUsize,
}

impl Process {
    /// What `start` in `lib.rs` fills in.
    pub fn new(
        config: Config,
        config_file: Option<String>,
        driver: Driver,
        undertaker: Undertaker,
        memory: Arc<Ledger>,
        set_log_level: Box<dyn Fn(LogLevel) + Send + Sync>,
    ) -> Self {
        let slots = SlotMap::new(config.shards);
        let run_id = (0..40)
            .map(|_| char::from_digit(fastrand::u32(0..16), 16).unwrap_or('0'))
            .collect();
        Self {
            slots,
            hasher: KeyHasher::random(),
            driver,
            undertaker,
            started_at: Instant::now(),
            started_unix_s: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            run_id,
            config: Mutex::new(Arc::new(config)),
            config_file,
            connections: AtomicUsize::new(0),
            memory,
            set_log_level,
            pubsub: Registry::default(),
            next_client_id: AtomicU64::new(1),
            stop_requested: AtomicBool::new(false),
            shards_drained: AtomicUsize::new(0),
        }
    }

    /// The next `CLIENT ID`: ids grow over the whole process and are never reused.
    pub fn next_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The configuration in force.
    pub fn current_config(&self) -> Arc<Config> {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks for the process to stop.
    pub fn request_stop(&self) {
        self.stop_requested.store(true, Ordering::Release);
    }

    /// Whether somebody has asked for the process to stop.
    pub fn stop_requested(&self) -> bool {
        self.stop_requested.load(Ordering::Acquire)
    }
}
