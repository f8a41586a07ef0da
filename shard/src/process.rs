//! What all shards of the process share: counters that must be one, and the ways to reach the world
//! outside.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use acl::users::Users;
use config::{Config, LogLevel};
use engine::environment::Environment;
use engine::ledger::Ledger;
use engine::slot::SlotMap;
use lua::store::ScriptStore;
use persistence::data_lock::DataLocks;
use persistence::disk::Disk;
use persistence::file_system::FileSystem;
use persistence::fsync_scheduler::FsyncScheduler;
use persistence::manifest::Manifest;
use persistence::progress::Progress;
use storage::{Databases, Entry, KeyHasher, Keyspace};

use crate::access::AccessControl;
use crate::aof::commits::Commits;
use crate::executor::Driver;
use crate::executor::thread_group::ThreadGroups;
use crate::listening::Exchange;
use crate::mailbox::doorbell::Doorbell;
use crate::memory::client_eviction::ClientMemory;
use crate::memory::lazyfree::Lazyfree;
use crate::metrics::outside::Visitors;
use crate::monitor::Census;
use crate::pause::Pause;
use crate::permitted::Permitted;
use crate::pubsub::publish::Underway;
use crate::pubsub::registry::Registry;
use crate::replication::Replication;
use crate::snapshot::Snapshots;
use crate::stop::Stop;
use crate::tls::InForce;

/// The version that INFO, HELLO and `--version` show.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Redis version whose commands and replies these are.
pub use config::REDIS_VERSION;

/// What the process's allocator can tell and do.
#[derive(Clone, Copy)]
pub struct Allocator {
    /// Bytes that the calling thread has allocated and not freed. Negative where it frees what
    /// others allocated.
    pub used_bytes: fn() -> isize,
    /// Gives memory that the calling thread has freed back to the system. Takes longer the more
    /// memory is in use.
    pub give_back: fn(),
    /// Its own statistics, for people.
    pub report: fn() -> String,
}

/// What CONFIG SET changes of the process's log.
pub struct LogControl {
    pub set_level: Box<dyn Fn(LogLevel) + Send + Sync>,
    /// Lines go to this file from now on, or to standard output; where it cannot be opened they go
    /// where they went. The same file is opened anew.
    pub set_file: SetLogFile,
}

/// See [`LogControl::set_file`].
pub type SetLogFile = Box<dyn Fn(Option<&Path>) -> io::Result<()> + Send + Sync>;

/// How the shards reach what is the program's and not theirs.
pub struct Outside {
    pub allocator: Allocator,
    pub log_control: LogControl,
    /// Ends the process at once, with this status.
    pub exit: fn(i32),
}

/// Shared by all shards; every field is read rarely.
pub struct Process {
    pub slots: SlotMap,
    /// Which thread runs which shards.
    pub thread_groups: ThreadGroups,
    pub hasher: KeyHasher,
    pub driver: Driver,
    /// Which calls may be tried that only make things better.
    pub permitted: Permitted,
    pub lazyfree: Lazyfree,
    pub started_at: Instant,
    pub started_unix_s: u64,
    /// Tells this run's transactions from those of others in the logs.
    pub started_unix_ms: u64,
    /// Forty hexadecimal digits that name this run.
    pub run_id: String,
    /// The configuration in force; shards hold a copy of the `Arc`, renewed when it changes.
    pub config: Mutex<Arc<Config>>,
    pub config_file: Option<String>,
    /// Open connections, against `maxclients`.
    pub connections: AtomicUsize,
    /// Who has how much memory in use.
    pub memory: Arc<Ledger>,
    /// What connections hold, against `maxmemory-clients`.
    pub client_memory: ClientMemory,
    /// Bytes in use by the shards before they had any data.
    pub startup_memory: AtomicI64,
    pub allocator: Allocator,
    pub log_control: LogControl,
    /// Where monitors are.
    pub monitors: Census,
    /// Clients that track keys.
    pub tracking_clients: AtomicUsize,
    /// Users, and who was refused.
    pub access: AccessControl,
    /// The scripts that are known.
    pub scripts: ScriptStore,
    /// Which commands wait for now.
    pub pause: Mutex<Option<Pause>>,
    pub snapshots: Snapshots,
    /// What replicas hear.
    pub replication: Replication,
    /// Which transactions no crash can take any more.
    pub(crate) commits: Commits,
    /// Which shards' logs are being synced.
    pub(crate) fsync_scheduler: FsyncScheduler,
    /// How far loading has come.
    pub progress: Progress,
    /// The files of the append-only log.
    pub(crate) manifest: Mutex<Manifest>,
    /// What the log held for each shard, until that takes it.
    pub(crate) delivered: Mutex<Vec<Option<Databases>>>,
    /// Wakes shard 0, which hears what threads that are no shards have to tell.
    pub(crate) first_bell: OnceLock<Arc<Doorbell>>,
    /// What threads that are no shards ask of shard 0.
    pub(crate) visitors: Visitors,
    /// Where the data files are.
    pub disk: Arc<dyn Disk>,
    /// What no other server may write meanwhile.
    pub data_locks: DataLocks,
    /// How far the end has come.
    pub stop: Stop,
    /// How CONFIG SET changes what is listened on.
    pub listening: Exchange,
    /// What new connections of the TLS port go by.
    pub tls: InForce,
    /// Who subscribes to what.
    pub pubsub: Registry,
    pub underway: Underway,
    next_client_id: AtomicU64,
    next_slow_id: AtomicU64,
    /// Shards that have read the data files.
    pub shards_loaded: AtomicUsize,
    /// Shards that are stopping and have no connection left: none returns before all have, as they
    /// need one another's replies.
    pub shards_drained: AtomicUsize,
}

impl Environment for Process {
    fn ledger(&self) -> &Ledger {
        &self.memory
    }

    fn free(&self, entries: &mut Vec<Entry>) {
        self.lazyfree.free(entries);
    }

    fn free_keyspaces(&self, keyspaces: Vec<Keyspace>, lazily: bool) {
        self.lazyfree.free_keyspaces(keyspaces, lazily);
    }

    fn anybody_monitors(&self) -> bool {
        self.monitors.is_any()
    }

    fn scripts(&self) -> &ScriptStore {
        &self.scripts
    }

    fn anybody_subscribes(&self) -> bool {
        self.pubsub.anybody_subscribes()
    }

    fn anybody_tracks(&self) -> bool {
        self.tracking_clients.load(Ordering::Relaxed) > 0
    }
}

impl Process {
    /// What `start` in `lib.rs` fills in.
    pub fn new(
        config: Config,
        users: Users,
        config_file: Option<String>,
        (driver, permitted): (Driver, Permitted),
        lazyfree: Lazyfree,
        memory: Arc<Ledger>,
        outside: Outside,
    ) -> Self {
        let Outside {
            allocator,
            log_control,
            exit,
        } = outside;
        let stop = Stop::default();
        stop.exit_by(exit);
        let slots = SlotMap::new(config.shards);
        let disk: Arc<dyn Disk> = Arc::new(FileSystem);
        let thread_groups = ThreadGroups::new(config.shards, config.threads);
        let run_id = random_id();
        Self {
            slots,
            thread_groups,
            hasher: KeyHasher::random(),
            driver,
            permitted,
            lazyfree,
            started_at: Instant::now(),
            started_unix_ms: crate::shard::wall_time().ms(),
            started_unix_s: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            run_id,
            config: Mutex::new(Arc::new(config)),
            config_file,
            connections: AtomicUsize::new(0),
            memory,
            client_memory: ClientMemory::new(slots.shards()),
            startup_memory: AtomicI64::new(0),
            allocator,
            log_control,
            monitors: Census::new(slots.shards()),
            tracking_clients: AtomicUsize::new(0),
            access: AccessControl::new(users),
            scripts: ScriptStore::default(),
            pause: Mutex::default(),
            snapshots: Snapshots::new(slots.shards()),
            replication: Replication::new(slots.shards(), &random_id()),
            commits: Commits::new(slots.shards()),
            fsync_scheduler: FsyncScheduler::new(slots.shards()),
            progress: Progress::default(),
            manifest: Mutex::default(),
            delivered: Mutex::default(),
            first_bell: OnceLock::new(),
            visitors: Visitors::default(),
            data_locks: DataLocks::new(disk.clone()),
            disk,
            stop,
            listening: Exchange::default(),
            tls: InForce::default(),
            pubsub: Registry::default(),
            underway: Underway::new(slots.shards()),
            next_client_id: AtomicU64::new(1),
            next_slow_id: AtomicU64::new(0),
            shards_loaded: AtomicUsize::new(0),
            shards_drained: AtomicUsize::new(0),
        }
    }

    /// The next `CLIENT ID`: ids grow over the whole process and are never reused.
    pub fn next_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The next entry's number in the slow log.
    pub fn next_slow_id(&self) -> u64 {
        self.next_slow_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Commands so far that were slow enough for the slow log.
    pub fn slow_commands(&self) -> u64 {
        self.next_slow_id.load(Ordering::Relaxed)
    }

    pub(crate) fn set_manifest(&self, manifest: Manifest) {
        *self.manifest.lock().unwrap_or_else(PoisonError::into_inner) = manifest;
    }

    /// Makes shard 0 look whether there is something new.
    pub fn wake_first_shard(&self) {
        if let Some(bell) = self.first_bell.get() {
            bell.ring_from_outside();
        }
    }

    /// The configuration in force.
    pub fn current_config(&self) -> Arc<Config> {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Forty hexadecimal digits that nobody else has drawn.
pub(crate) fn random_id() -> String {
    let digit = |_| char::from_digit(fastrand::u32(0..16), 16).unwrap_or('0');
    (0..40).map(digit).collect()
}
