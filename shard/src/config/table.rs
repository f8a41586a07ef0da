//! The parameters: a row each, in the sections of `redis.conf`.
//!
//! A row reads: Redis's name (and its older names), the field of [`Config`] and its type, Redis's default, what values are allowed, flags.
//! Its doc comment is also the text of `--help`. From the rows come the struct, its defaults, CONFIG GET and SET, the file's reader and
//! writer, and the flags of the command line.
//!
//! A parameter that changes nothing in percore has no row, unless clients' test suites and scripts read or set it: such a row is `INERT`.
//! What else a `redis.conf` may hold is in [`super::absent`].

use std::path::PathBuf;

use super::choice::{
    AppendFsync, IoDriver, LogFormat, LogLevel, MaxmemoryPolicy, Permission, PropagationError,
    SanitizeDump, Supervised,
};
use super::kind::Kind::{
    Addresses as AddressesKind, Clamped, ClientMemoryLimit as ClientMemoryLimitKind, Directory,
    FileMode as FileModeKind, FileName, Integer, Memory, Notify as NotifyKind, Only,
    OutputLimits as OutputLimitsKind, Path, Percentiles as PercentilesKind,
    SavePoints as SavePointsKind, Text, YesNo,
};
use super::kind::Setting;
use super::limit::ClientMemoryLimit;
use super::list::{Addresses, FileMode, Notify, OutputLimits, SavePoints};
use super::percentiles::Percentiles;
use super::{ConfigError, Parameter};
use crate::slot::SHARDS_MAX;

const INT_MAX: i128 = i32::MAX as i128;
const INT_MIN: i128 = i32::MIN as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const MB: i128 = 1 << 20;

/// Where `--help` shows a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Network,
    General,
    Security,
    Clients,
    Memory,
    Snapshots,
    AppendOnly,
    Expiry,
    LazyFree,
    SlowLog,
    Events,
    Encodings,
    Compatibility,
}

impl Section {
    /// The heading in `--help`.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::General => "General",
            Self::Security => "Security",
            Self::Clients => "Clients",
            Self::Memory => "Memory",
            Self::Snapshots => "Snapshots",
            Self::AppendOnly => "Append-only log",
            Self::Expiry => "Expiry",
            Self::LazyFree => "Freeing in the background",
            Self::SlowLog => "Slow log and latency",
            Self::Events => "Keyspace events",
            Self::Encodings => "Encodings of small values",
            Self::Compatibility => "Accepted from Redis, without effect",
        }
    }
}

/// A property of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flag {
    /// CONFIG SET cannot change it.
    Immutable,
    /// CONFIG SET changes it only where `enable-protected-configs` allows.
    Protected,
    /// CONFIG GET shows it only when it is asked for by its exact name.
    Hidden,
    /// The value is a secret: errors and logs do not show it.
    Sensitive,
    /// It is kept and shown, and changes nothing.
    Inert,
}

macro_rules! parameters {
    ($($section:ident { $(
        $(#[doc = $help:literal])+
        $name:literal $(| $alias:literal)* => $field:ident: $type:ty = $default:expr, $kind:expr $(, $flag:ident)*;
    )* })*) => {
        /// The configuration in force: plain fields, for hot paths read them.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Config { $($(
            $(#[doc = $help])+
            pub $field: $type,
        )*)* }

        /// Redis's defaults.
        impl Default for Config {
            fn default() -> Self {
                Self { $($($field: $default,)*)* }
            }
        }

        /// Every parameter, in the order in which `--help` and a rewritten file show them.
        pub static PARAMETERS: &[Parameter] = &[$($(
            Parameter {
                name: $name,
                aliases: &[$($alias),*],
                kind: $kind,
                flags: &[$(Flag::$flag),*],
                section: Section::$section,
                help: concat!($($help),+),
                read: |config| Setting::show(&config.$field),
                write: |config, kind, text| -> Result<(), ConfigError> {
                    config.$field = Setting::parse(kind, text, &config.$field)?;
                    Ok(())
                },
            },
        )*)*];
    };
}

parameters! {
    Network {
        /// Addresses to listen on; `*` is every IPv4 one, `::*` every IPv6 one; a `-` before one lets it be missing.
        "bind" => bind: Addresses = Addresses::redis_default(), AddressesKind, Immutable;
        /// TCP port; 0 for none.
        "port" => port: u16 = 6379, Integer(0, 65535), Immutable;
        /// Connections that may wait to be accepted, on each shard.
        "tcp-backlog" => tcp_backlog: i32 = 511, Integer(0, INT_MAX), Immutable;
        /// Path of a Unix socket to listen on, too.
        "unixsocket" => unixsocket: Option<PathBuf> = None, Path, Immutable;
        /// Access rights of the Unix socket, in octal; 0 leaves them to the umask.
        "unixsocketperm" => unixsocketperm: FileMode = FileMode(0), FileModeKind, Immutable;
        /// Refuse clients from other machines while there is no password.
        "protected-mode" => protected_mode: bool = true, YesNo;
        /// TCP port, on the addresses of `bind`, where Prometheus finds metrics at /metrics; 0 for none.
        "metrics-port" => metrics_port: u16 = 0, Integer(0, 65535), Immutable;
        /// Seconds between keepalive probes of an idle connection; 0 for none.
        "tcp-keepalive" => tcp_keepalive_s: u32 = 300, Integer(0, INT_MAX);
        /// Close a connection that has been idle for so many seconds; 0 for never.
        "timeout" => timeout_s: u32 = 0, Integer(0, INT_MAX);
    }
    General {
        /// Shards, each with a part of the keys; by default one a core that the process may use.
        "shards" => shards: usize = cores(), Integer(1, SHARDS_MAX as i128), Immutable;
        /// Threads that run the shards; where there are fewer than shards, each runs several. By default one a core.
        "threads" => threads: usize = cores(), Integer(1, SHARDS_MAX as i128), Immutable;
        /// What shards wait with: io_uring, epoll, or the better one that the kernel has.
        "io-driver" => io_driver: IoDriver = IoDriver::Auto, IoDriver::KIND, Immutable;
        /// Databases, from 0 to one less.
        "databases" => databases: u16 = 16, Integer(1, 65535), Immutable;
        /// What is logged: this and everything graver.
        "loglevel" => loglevel: LogLevel = LogLevel::Notice, LogLevel::KIND;
        /// The file to log to; empty for standard output.
        "logfile" => logfile: Option<PathBuf> = None, Path, Immutable;
        /// Log lines for people or for programs.
        "log-format" => log_format: LogFormat = LogFormat::Text, LogFormat::KIND, Immutable;
        /// The file to write the process id to.
        "pidfile" => pidfile: Option<PathBuf> = None, Path, Immutable;
        /// Go to the background: the command returns at once, and what there is to say stands in the log file.
        "daemonize" => daemonize: bool = false, YesNo, Immutable;
        /// Tell the service manager when connections are accepted.
        "supervised" => supervised: Supervised = Supervised::No, Supervised::KIND, Immutable;
        /// How often a second background work is looked after.
        "hz" => hz: u32 = 10, Clamped(1, 500);
    }
    Security {
        /// The password of the default user; empty for none.
        "requirepass" => requirepass: Option<String> = None, Text, Sensitive;
        /// Whether DEBUG may be used.
        "enable-debug-command" => enable_debug_command: Permission = Permission::No, Permission::KIND, Immutable;
        /// Whether CONFIG SET may change protected parameters.
        "enable-protected-configs" => enable_protected_configs: Permission = Permission::No, Permission::KIND, Immutable;
    }
    Clients {
        /// Connections that may be open at once.
        "maxclients" => maxclients: u32 = 10_000, Integer(1, u32::MAX as i128);
        /// Bytes of a command that a client may have sent without finishing it.
        "client-query-buffer-limit" => client_query_buffer_limit: usize = 1 << 30, Memory(MB, LONG_MAX);
        /// Bytes of the longest argument.
        "proto-max-bulk-len" => proto_max_bulk_len: usize = 512 << 20, Memory(MB, LONG_MAX);
        /// Keys of clients' caches that are remembered, to tell the clients when they change; 0 for no limit.
        "tracking-table-max-keys" => tracking_table_max_keys: u64 = 1_000_000, Integer(0, LONG_MAX);
        /// Bytes of output that may wait for a client: class, hard limit, soft limit, seconds over the soft limit.
        "client-output-buffer-limit" => client_output_buffer_limit: OutputLimits = OutputLimits::REDIS_DEFAULT, OutputLimitsKind;
    }
    Memory {
        /// Bytes that the data may take; 0 for no limit.
        "maxmemory" => maxmemory: usize = 0, Memory(0, u64::MAX as i128);
        /// Bytes that connections may take, or a part of maxmemory (5%): beyond it the largest are closed; 0 for no limit.
        "maxmemory-clients" => maxmemory_clients: ClientMemoryLimit = ClientMemoryLimit::NONE, ClientMemoryLimitKind;
        /// What goes when the limit is reached.
        "maxmemory-policy" => maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::Noeviction, MaxmemoryPolicy::KIND;
        /// Keys looked at to choose the one that goes.
        "maxmemory-samples" => maxmemory_samples: u32 = 5, Integer(1, 64);
        /// How much time eviction may take, from 0 to 100.
        "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: u32 = 10, Integer(0, 100);
        /// How slowly the counter of accesses of LFU grows.
        "lfu-log-factor" => lfu_log_factor: u32 = 10, Integer(0, INT_MAX);
        /// Minutes after which the counter of accesses of LFU falls by one.
        "lfu-decay-time" => lfu_decay_time_min: u32 = 1, Integer(0, INT_MAX);
        /// Go without transparent huge pages: with them, each 2 MB of growth is a pause.
        "disable-thp" => disable_thp: bool = true, YesNo, Immutable;
    }
    Snapshots {
        /// Take a snapshot after so many seconds when at least so many keys changed; empty for never.
        "save" => save: SavePoints = SavePoints::redis_default(), SavePointsKind;
        /// The snapshot's file name.
        "dbfilename" => dbfilename: String = "dump.rdb".into(), FileName, Protected;
        /// The directory of the data files.
        "dir" => dir: PathBuf = std::env::current_dir().unwrap_or_else(|_| ".".into()), Directory, Protected;
        /// Compress long strings in snapshots.
        "rdbcompression" => rdbcompression: bool = true, YesNo;
        /// End snapshots with a checksum, and verify it.
        "rdbchecksum" => rdbchecksum: bool = true, YesNo, Immutable;
        /// Refuse writes after a snapshot has failed.
        "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, YesNo;
        /// Wait so many microseconds after each key that is saved; a negative number: one microsecond after so many keys. For tests.
        "rdb-key-save-delay" => rdb_key_save_delay_us: i64 = 0, Integer(INT_MIN, INT_MAX), Hidden;
        /// The same for keys that are loaded.
        "key-load-delay" => key_load_delay_us: i64 = 0, Integer(INT_MIN, INT_MAX), Hidden;
    }
    AppendOnly {
        /// Log every write to disk.
        "appendonly" => appendonly: bool = false, YesNo;
        /// When the log is forced to disk.
        "appendfsync" => appendfsync: AppendFsync = AppendFsync::EverySecond, AppendFsync::KIND;
        /// The first part of the log's file names.
        "appendfilename" => appendfilename: String = "appendonly.aof".into(), FileName, Immutable;
        /// The directory of the log, within `dir`.
        "appenddirname" => appenddirname: String = "appendonlydir".into(), FileName, Immutable;
        /// Cut off what was not written whole at the end of the log when it is loaded; otherwise refuse to start.
        "aof-load-truncated" => aof_load_truncated: bool = true, YesNo;
        /// Do not force the log to disk while it is rewritten.
        "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, YesNo, Inert;
        /// Rewrite the log when it has grown by so many per cent.
        "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: u32 = 100, Integer(0, INT_MAX);
        /// Rewrite the log only beyond this size.
        "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 << 20, Memory(0, LONG_MAX);
        /// Begin the log with a snapshot.
        "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, YesNo, Inert;
    }
    Expiry {
        /// How hard expired keys are looked for, from 1 to 10.
        "active-expire-effort" => active_expire_effort: u32 = 1, Integer(1, 10);
    }
    LazyFree {
        /// Free evicted values in the background.
        "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = false, YesNo;
        /// Free expired values in the background.
        "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = false, YesNo;
        /// Free overwritten values in the background.
        "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = false, YesNo;
        /// Let DEL work as UNLINK does.
        "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = false, YesNo;
        /// Let FLUSHALL and FLUSHDB work in the background unless told otherwise.
        "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = false, YesNo;
    }
    SlowLog {
        /// Log commands that take longer than so many microseconds; 0 for all, -1 for none.
        "slowlog-log-slower-than" => slowlog_log_slower_than_us: i64 = 10_000, Integer(-1, LONG_MAX);
        /// Entries that the slow log keeps.
        "slowlog-max-len" => slowlog_max_len: u64 = 128, Integer(0, LONG_MAX);
        /// Record events that take at least so many milliseconds; 0 for none.
        "latency-monitor-threshold" => latency_monitor_threshold_ms: u64 = 0, Integer(0, LONG_MAX);
        /// Keep a histogram of each command's latency.
        "latency-tracking" => latency_tracking: bool = true, YesNo;
        /// The percentiles that INFO shows of these.
        "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Percentiles = Percentiles::redis_default(), PercentilesKind;
    }
    Events {
        /// Classes of events to publish: K and E for the channels, then letters of classes, or A for nearly all.
        "notify-keyspace-events" => notify_keyspace_events: Notify = Notify::default(), NotifyKind;
    }
    Encodings {
        /// Entries of a list's node; -1 to -5 for 4, 8, 16, 32, 64 KB of bytes instead.
        "list-max-listpack-size" | "list-max-ziplist-size" => list_max_listpack_size: i32 = -2, Integer(i32::MIN as i128, INT_MAX);
        /// Nodes at each end of a list that stay uncompressed; 0 compresses none.
        "list-compress-depth" => list_compress_depth: u32 = 0, Integer(0, INT_MAX);
        /// Fields of a hash that is packed.
        "hash-max-listpack-entries" | "hash-max-ziplist-entries" => hash_max_listpack_entries: usize = 512, Integer(0, LONG_MAX);
        /// Bytes of the longest field or value of a hash that is packed.
        "hash-max-listpack-value" | "hash-max-ziplist-value" => hash_max_listpack_value: usize = 64, Memory(0, LONG_MAX);
        /// Members of a set of integers that is packed.
        "set-max-intset-entries" => set_max_intset_entries: usize = 512, Integer(0, LONG_MAX);
        /// Members of a set that is packed.
        "set-max-listpack-entries" => set_max_listpack_entries: usize = 128, Integer(0, LONG_MAX);
        /// Bytes of the longest member of a set that is packed.
        "set-max-listpack-value" => set_max_listpack_value: usize = 64, Integer(0, LONG_MAX);
        /// Members of a sorted set that is packed.
        "zset-max-listpack-entries" | "zset-max-ziplist-entries" => zset_max_listpack_entries: usize = 128, Integer(0, LONG_MAX);
        /// Bytes of the longest member of a sorted set that is packed.
        "zset-max-listpack-value" | "zset-max-ziplist-value" => zset_max_listpack_value: usize = 64, Integer(0, LONG_MAX);
        /// Bytes of a stream's node; 0 for no limit.
        "stream-node-max-bytes" => stream_node_max_bytes: usize = 4096, Memory(0, LONG_MAX);
        /// Entries of a stream's node; 0 for no limit.
        "stream-node-max-entries" => stream_node_max_entries: usize = 100, Integer(0, LONG_MAX);
        /// Bytes of a HyperLogLog beyond which it is dense.
        "hll-sparse-max-bytes" => hll_sparse_max_bytes: usize = 3000, Memory(0, LONG_MAX);
    }
    Compatibility {
        /// Rehash by the clock; percore's tables grow one segment at a time.
        "activerehashing" => activerehashing: bool = true, YesNo, Inert;
        /// Adapt `hz` to the number of clients.
        "dynamic-hz" => dynamic_hz: bool = true, YesNo, Inert;
        /// Move values together while running.
        "activedefrag" => activedefrag: bool = false, Only("no", "percore's allocator needs no defragmentation"), Inert;
        /// Threads of Redis that read and write sockets; percore's shards do.
        "io-threads" => io_threads: u32 = 1, Integer(1, 128), Immutable, Inert;
        /// Whether `io-threads` read, too.
        "io-threads-do-reads" => io_threads_do_reads: bool = false, YesNo, Immutable, Inert;
        /// Milliseconds after which a script can be stopped.
        "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold_ms: u64 = 5000, Integer(0, LONG_MAX), Inert;
        /// Seconds that replicas may take to catch up at the end.
        "shutdown-timeout" => shutdown_timeout_s: u32 = 10, Integer(0, INT_MAX), Inert;
        /// Whether the server is part of a cluster.
        "cluster-enabled" => cluster_enabled: bool = false, Only("no", "percore uses all cores of one machine; it is not part of a cluster"), Immutable, Inert;
        /// Whether a replica answers while it has no master.
        "replica-serve-stale-data" | "slave-serve-stale-data" => replica_serve_stale_data: bool = true, YesNo, Inert;
        /// Whether a replica refuses writes.
        "replica-read-only" | "slave-read-only" => replica_read_only: bool = true, YesNo, Inert;
        /// A replica's rank when a master is chosen.
        "replica-priority" | "slave-priority" => replica_priority: u32 = 100, Integer(0, INT_MAX);
        /// Free a replica's data in the background before it takes its master's.
        "replica-lazy-flush" | "slave-lazy-flush" => replica_lazy_flush: bool = false, YesNo, Inert;
        /// Whether replicas leave eviction to their master.
        "replica-ignore-maxmemory" | "slave-ignore-maxmemory" => replica_ignore_maxmemory: bool = true, YesNo, Inert;
        /// Replicas without which writes are refused.
        "min-replicas-to-write" | "min-slaves-to-write" => min_replicas_to_write: u32 = 0, Only("0", "percore has no replicas yet"), Inert;
        /// Seconds that a replica may lag behind and still count.
        "min-replicas-max-lag" | "min-slaves-max-lag" => min_replicas_max_lag_s: u32 = 10, Integer(0, INT_MAX), Inert;
        /// Send snapshots to replicas without a file.
        "repl-diskless-sync" => repl_diskless_sync: bool = true, YesNo, Inert;
        /// Seconds to wait for more replicas before such a snapshot.
        "repl-diskless-sync-delay" => repl_diskless_sync_delay_s: u32 = 5, Integer(0, INT_MAX), Inert;
        /// Bytes of the log that replicas catch up from.
        "repl-backlog-size" => repl_backlog_size: u64 = 1 << 20, Memory(1, LONG_MAX), Inert;
        /// Seconds after which a silent replica or master is given up.
        "repl-timeout" => repl_timeout_s: u32 = 60, Integer(1, INT_MAX), Inert;
        /// What a replicated command's error does.
        "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Ignore, PropagationError::KIND, Inert;
        /// Look data of RESTORE over thoroughly.
        "sanitize-dump-payload" => sanitize_dump_payload: SanitizeDump = SanitizeDump::No, SanitizeDump::KIND, Hidden, Inert;
        /// Close the link when a replica gets a write of another client.
        "close-on-replica-write" => close_on_replica_write: bool = true, YesNo, Hidden, Inert;
        /// Whether the process's name shows what it serves.
        "set-proc-title" => set_proc_title: bool = true, YesNo, Immutable, Inert;
    }
}

/// Cores that this process may use: shards by default.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(SHARDS_MAX))
}
