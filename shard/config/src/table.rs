//! The parameters: a row each, in the sections of `redis.conf`.
//!
//! A row reads: Redis's name (and its older names), the field of [`Config`] and its type, Redis's
//! default, what values are allowed, flags. Its doc comment is also the text of `--help`. From the
//! rows come the struct, its defaults, CONFIG GET and SET, the file's reader and writer, and the
//! flags of the command line.
//!
//! Every parameter of Redis has a row, because scripts, operators and test suites read and set
//! them. One that changes nothing in percore is `Inert`. What a `redis.conf` may hold that is no
//! parameter is in [`super::absent`].

use std::path::PathBuf;
use std::sync::OnceLock;

use super::SHARDS_MAX;
use super::choice::{
    AclPubsub, AppendFsync, DisklessLoad, Endpoint, Facility, IdleMode, IoDriver, LogFormat,
    LogLevel, MaxmemoryPolicy, Permission, PropagationError, SanitizeDump, Supervised, TlsAuth,
};
use super::given::Given;
use super::kind::Kind::{
    Addresses as AddressesKind, Clamped, ClientMemoryLimit as ClientMemoryLimitKind, Directory,
    FileMode as FileModeKind, FileName, Integer, Letters, Locale, Memory, NoOne,
    Notify as NotifyKind, Only, OomScores as OomScoresKind, OutputLimits as OutputLimitsKind, Path,
    Percentiles as PercentilesKind, SavePoints as SavePointsKind, Text,
    TitleTemplate as TitleTemplateKind, YesNo,
};
use super::kind::Setting;
use super::limit::ClientMemoryLimit;
use super::list::{Addresses, FileMode, Notify, OutputLimits, SavePoints};
use super::oom::{OomScoreAdj, OomScores};
use super::percentiles::Percentiles;
use super::renames::Renames;
use super::shutdown::{self, ShutdownFlags};
use super::title::TitleTemplate;
use super::user_lines::UserLines;
use super::{ConfigError, Parameter};

const INT_MAX: i128 = i32::MAX as i128;
const INT_MIN: i128 = i32::MIN as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const MB: i128 = 1 << 20;
/// What may stand in a node's name beside letters and digits.
const NODE_NAME_MARKS: &str = " -_./=,'\"\\`";

/// Where `--help` shows a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Network,
    Tls,
    General,
    Security,
    Clients,
    Memory,
    Snapshots,
    AppendOnly,
    Expiry,
    LazyFree,
    SlowLog,
    Scripts,
    Events,
    Encodings,
    Compatibility,
}

impl Section {
    /// The heading in `--help`.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Tls => "TLS",
            Self::General => "General",
            Self::Security => "Security",
            Self::Clients => "Clients",
            Self::Memory => "Memory",
            Self::Snapshots => "Snapshots",
            Self::AppendOnly => "Append-only log",
            Self::Expiry => "Expiry",
            Self::LazyFree => "Freeing in the background",
            Self::SlowLog => "Slow log and latency",
            Self::Scripts => "Scripts",
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
    /// Redis does not know it. CONFIG REWRITE writes it so that Redis takes it for a comment.
    Own,
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
        )*)*
            /// What `rename-command` says, which CONFIG does not show.
            pub renames: Renames,
            /// The users that the file names.
            pub user_lines: UserLines,
            /// The parameters that were given a value.
            pub given: Given,
        }

        /// Redis's defaults.
        impl Default for Config {
            fn default() -> Self {
                Self { $($($field: $default,)*)* renames: Renames::default(), user_lines: UserLines::default(), given: Given::default() }
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
        /// Addresses to listen on; `*` is every IPv4 one, `::*` every IPv6 one; a `-` before one
        /// lets it be missing.
        "bind" => bind: Addresses = Addresses::redis_default(), AddressesKind;
        /// TCP port; 0 for none.
        "port" => port: u16 = 6379, Integer(0, 65535);
        /// Connections that may wait to be accepted, on each shard.
        "tcp-backlog" => tcp_backlog: i32 = 511, Integer(0, INT_MAX), Immutable;
        /// Path of a Unix socket to listen on, too.
        "unixsocket" => unixsocket: Option<PathBuf> = None, Path;
        /// Access rights of the Unix socket, in octal; 0 leaves them to the umask.
        "unixsocketperm" => unixsocketperm: FileMode = FileMode(0), FileModeKind, Immutable;
        /// Refuse clients from other machines while there is no password.
        "protected-mode" => protected_mode: bool = true, YesNo;
        /// TCP port, on the addresses of `bind`, where Prometheus finds metrics at /metrics; 0 for
        /// none.
        "metrics-port" => metrics_port: u16 = 0, Integer(0, 65535), Immutable, Own;
        /// Seconds between keepalive probes of an idle connection; 0 for none.
        "tcp-keepalive" => tcp_keepalive_s: u32 = 300, Integer(0, INT_MAX);
        /// Close a connection that has been idle for so many seconds; 0 for never.
        "timeout" => timeout_s: u32 = 0, Integer(0, INT_MAX);
    }
    Tls {
        /// TCP port for TLS, on the addresses of `bind`; 0 for none.
        "tls-port" => tls_port: u16 = 0, Integer(0, 65535);
        /// The server's certificate, in PEM; those that lead to its authority may stand behind it.
        "tls-cert-file" => tls_cert_file: Option<PathBuf> = None, Path;
        /// Its private key, in PEM and not encrypted.
        "tls-key-file" => tls_key_file: Option<PathBuf> = None, Path;
        /// Whether clients must show a certificate; with `optional` one that they show is verified.
        "tls-auth-clients" => tls_auth_clients: TlsAuth = TlsAuth::Yes, TlsAuth::KIND;
        /// The authorities that clients' certificates come from, in PEM.
        "tls-ca-cert-file" => tls_ca_cert_file: Option<PathBuf> = None, Path;
        /// A directory of such files.
        "tls-ca-cert-dir" => tls_ca_cert_dir: Option<PathBuf> = None, Path;
        /// Versions: TLSv1.2, TLSv1.3 or both; empty for both.
        "tls-protocols" => tls_protocols: Option<String> = None, Text;
        /// Ciphers of TLS 1.2, by the names that OpenSSL gives them, with colons between; empty for
        /// all.
        "tls-ciphers" => tls_ciphers: Option<String> = None, Text;
        /// Ciphers of TLS 1.3; empty for all.
        "tls-ciphersuites" => tls_ciphersuites: Option<String> = None, Text;
        /// Whether the server's order of ciphers goes before the client's.
        "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, YesNo;
        /// Let a client that comes again resume its session, which spares the costly part of the
        /// handshake.
        "tls-session-caching" => tls_session_caching: bool = true, YesNo;
        /// Sessions that are remembered; 0 for no limit.
        "tls-session-cache-size" => tls_session_cache_size: u32 = 20480, Integer(0, INT_MAX);
        /// Seconds that one is remembered.
        "tls-session-cache-timeout" => tls_session_cache_timeout_s: u32 = 300, Integer(0, INT_MAX);
    }
    General {
        /// Shards, each with a part of the keys; by default one a core that the process may use.
        "shards" => shards: usize = cores(), Integer(1, SHARDS_MAX as i128), Immutable, Own;
        /// Threads that run the shards; where there are fewer than shards, each runs several. By
        /// default one a core.
        "threads" => threads: usize = cores(), Integer(1, SHARDS_MAX as i128), Immutable, Own;
        /// What shards wait with: io_uring, epoll, or the better one that the kernel has.
        "io-driver" => io_driver: IoDriver = IoDriver::Auto, IoDriver::KIND, Immutable, Own;
        /// Whether idle shards wait a moment for more work, and output for more output, where that
        /// saves CPU time; with off a shard parks at once, and no output waits.
        "idle-policy" => idle_policy: IdleMode = IdleMode::Default, IdleMode::KIND, Own;
        /// Databases, from 0 to one less.
        "databases" => databases: u16 = 16, Integer(1, 65535), Immutable;
        /// What is logged, this and everything graver: debug is figures every few seconds, verbose
        /// each connection that comes and goes.
        "loglevel" => loglevel: LogLevel = LogLevel::Notice, LogLevel::KIND;
        /// The file to log to; empty for standard output. Once moved away or removed, it is made
        /// anew for the next line.
        "logfile" => logfile: Option<PathBuf> = None, Path, Protected;
        /// Log lines for people, for programs, or in the form that Redis gives them.
        "log-format" => log_format: LogFormat = LogFormat::Text, LogFormat::KIND, Immutable, Own;
        /// The file to write the process id to.
        "pidfile" => pidfile: Option<PathBuf> = None, Path, Immutable;
        /// Go to the background: the command returns at once, and what there is to say stands in
        /// the log file.
        "daemonize" => daemonize: bool = false, YesNo, Immutable;
        /// Tell the service manager when connections are accepted.
        "supervised" => supervised: Supervised = Supervised::No, Supervised::KIND, Immutable;
        /// How SIGTERM ends the server, in SHUTDOWN's words: `default`, or of `save`, `nosave`,
        /// `now` and `force` one or more.
        "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownFlags = ShutdownFlags::default(), shutdown::KIND;
        /// How SIGINT ends the server; a second one ends it at once.
        "shutdown-on-sigint" => shutdown_on_sigint: ShutdownFlags = ShutdownFlags::default(), shutdown::KIND;
        /// Whether the list of processes shows what the server listens on in place of its command
        /// line.
        "set-proc-title" => set_proc_title: bool = true, YesNo, Immutable;
        /// What it shows there: {title}, {listen-addr}, {server-mode}, {port}, {tls-port},
        /// {unixsocket}, {config-file}.
        "proc-title-template" => proc_title_template: TitleTemplate = TitleTemplate::redis_default(), TitleTemplateKind;
        /// Tell the kernel how soon to end this process where memory runs out: relative to what it
        /// would be, or absolute.
        "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, OomScoreAdj::KIND;
        /// The scores for that: of a master, of a replica, of background processes.
        "oom-score-adj-values" => oom_score_adj_values: OomScores = OomScores::redis_default(), OomScoresKind;
        /// How often a second background work is looked after.
        "hz" => hz: u32 = 10, Clamped(1, 500);
    }
    Security {
        /// The password of the default user; empty for none.
        "requirepass" => requirepass: Option<String> = None, Text, Sensitive;
        /// The file of the users, for ACL LOAD and ACL SAVE.
        "aclfile" => aclfile: Option<String> = None, Text, Immutable;
        /// Whether new users may use all channels.
        "acl-pubsub-default" => acl_pubsub_default: AclPubsub = AclPubsub::ResetChannels, AclPubsub::KIND;
        /// Entries of ACL LOG, which tells who was refused.
        "acllog-max-len" => acllog_max_len: u64 = 128, Integer(0, LONG_MAX);
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
        /// Keys of clients' caches that are remembered, to tell the clients when they change; 0 for
        /// no limit.
        "tracking-table-max-keys" => tracking_table_max_keys: u64 = 1_000_000, Integer(0, LONG_MAX);
        /// Bytes of output that may wait for a client: class, hard limit, soft limit, seconds over
        /// the soft limit.
        "client-output-buffer-limit" => client_output_buffer_limit: OutputLimits = OutputLimits::REDIS_DEFAULT, OutputLimitsKind;
    }
    Memory {
        /// Bytes that the data may take; 0 for no limit.
        "maxmemory" => maxmemory: usize = 0, Memory(0, u64::MAX as i128);
        /// Bytes that connections may take, or a part of maxmemory (5%): beyond it the largest are
        /// closed; 0 for no limit.
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
        /// Take a snapshot after so many seconds when at least so many keys changed; empty for
        /// never.
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
        /// Wait so many microseconds after each key that is saved; a negative number: one
        /// microsecond after so many keys. For tests.
        "rdb-key-save-delay" => rdb_key_save_delay_us: i64 = 0, Integer(INT_MIN, INT_MAX), Hidden;
        /// Wait so many microseconds after each key that is loaded. For tests.
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
        /// Cut off what was not written whole at the end of the log when it is loaded; otherwise
        /// refuse to start.
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
    Scripts {
        /// Milliseconds after which SCRIPT KILL ends a script and others get BUSY; 0 for never.
        "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold_ms: u64 = 5000, Integer(0, LONG_MAX);
    }
    Events {
        /// Classes of events to publish: K and E for the channels, then letters of classes, or A
        /// for nearly all.
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
        "zset-max-listpack-value" | "zset-max-ziplist-value" => zset_max_listpack_value: usize = 64, Memory(0, LONG_MAX);
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
        "activedefrag" => activedefrag: bool = false, YesNo, Inert;
        /// Threads of Redis that read and write sockets; percore's shards do.
        "io-threads" => io_threads: u32 = 1, Integer(1, 128), Immutable, Inert;
        /// Whether `io-threads` read, too.
        "io-threads-do-reads" => io_threads_do_reads: bool = false, YesNo, Immutable, Inert;
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
        "repl-backlog-size" => repl_backlog_size: u64 = 1 << 20, Memory(1, LONG_MAX);
        /// Seconds after which a silent replica or master is given up.
        "repl-timeout" => repl_timeout_s: u32 = 60, Integer(1, INT_MAX);
        /// What a replicated command's error does.
        "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Ignore, PropagationError::KIND, Inert;
        /// Look data of RESTORE over thoroughly.
        "sanitize-dump-payload" => sanitize_dump_payload: SanitizeDump = SanitizeDump::No, SanitizeDump::KIND, Inert;
        /// Close the link when a replica gets a write of another client.
        "close-on-replica-write" => close_on_replica_write: bool = true, YesNo, Hidden, Inert;
        /// Whether MODULE LOAD may be used.
        "enable-module-command" => enable_module_command: Permission = Permission::No, Permission::KIND, Immutable, Inert;
        /// TLS between replicas and their master.
        "tls-replication" => tls_replication: bool = false, YesNo, Inert;
        /// The password of the server's key, which percore reads where it is not encrypted.
        "tls-key-file-pass" => tls_key_file_pass: Option<String> = None, Text, Sensitive, Inert;
        /// The certificate for connections to others.
        "tls-client-cert-file" => tls_client_cert_file: Option<String> = None, Text, Inert;
        /// Its key.
        "tls-client-key-file" => tls_client_key_file: Option<String> = None, Text, Inert;
        /// The key's password.
        "tls-client-key-file-pass" => tls_client_key_file_pass: Option<String> = None, Text, Sensitive, Inert;
        /// Parameters of a key exchange that percore does not offer: it uses elliptic curves.
        "tls-dh-params-file" => tls_dh_params_file: Option<String> = None, Text, Inert;
        /// TLS between the nodes of a cluster.
        "tls-cluster" => tls_cluster: bool = false, Only("no", "percore uses all cores of one machine; it is not part of a cluster"), Inert;
        /// New TLS connections that are taken at once.
        "max-new-tls-connections-per-cycle" => max_new_tls_connections_per_cycle: u32 = 1, Integer(1, 1000), Inert;
        /// New connections that are taken at once.
        "max-new-connections-per-cycle" => max_new_connections_per_cycle: u32 = 10, Integer(1, 1000), Inert;
        /// The address from which connections to others go out.
        "bind-source-addr" => bind_source_addr: Option<String> = None, Text, Inert;
        /// The mark of the sockets' packets.
        "socket-mark-id" => socket_mark_id: u32 = 0, Integer(0, u32::MAX as i128), Immutable, Inert;
        /// The master of this replica.
        "replicaof" | "slaveof" => replicaof: Option<String> = None, NoOne, Immutable, Inert;
        /// The master's password.
        "masterauth" => masterauth: Option<String> = None, Text, Sensitive, Inert;
        /// The user at the master.
        "masteruser" => masteruser: Option<String> = None, Text, Sensitive, Inert;
        /// The address that a replica names itself by.
        "replica-announce-ip" | "slave-announce-ip" => replica_announce_ip: Option<String> = None, Text, Inert;
        /// The port that a replica names itself by.
        "replica-announce-port" | "slave-announce-port" => replica_announce_port: u16 = 0, Integer(0, 65535), Inert;
        /// Whether a replica is told to clients of its master.
        "replica-announced" => replica_announced: bool = true, YesNo, Inert;
        /// Whether a replica goes on after a write to disk has failed.
        "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, YesNo, Inert;
        /// Seconds that the log for replicas is kept without any; 0 for ever.
        "repl-backlog-ttl" => repl_backlog_ttl_s: u64 = 3600, Integer(0, LONG_MAX), Inert;
        /// Let replicas be sent to in larger pieces, later.
        "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, YesNo, Inert;
        /// How a replica loads a snapshot that comes without a file.
        "repl-diskless-load" => repl_diskless_load: DisklessLoad = DisklessLoad::Disabled, DisklessLoad::KIND, Inert;
        /// Replicas after which a snapshot without a file begins at once.
        "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: u32 = 0, Integer(0, INT_MAX), Inert;
        /// Seconds between a master's pings of its replicas.
        "repl-ping-replica-period" | "repl-ping-slave-period" => repl_ping_replica_period_s: u32 = 10, Integer(1, INT_MAX);
        /// Remove snapshots that were only made for replicas.
        "rdb-del-sync-files" => rdb_del_sync_files: bool = false, YesNo, Inert;
        /// The file of the cluster's nodes.
        "cluster-config-file" => cluster_config_file: String = "nodes.conf".into(), Text, Immutable, Inert;
        /// Milliseconds after which a silent node is taken for dead.
        "cluster-node-timeout" => cluster_node_timeout_ms: u64 = 15000, Integer(0, LONG_MAX), Inert;
        /// The port of the bus between nodes.
        "cluster-port" => cluster_port: u16 = 0, Integer(0, 65535), Immutable, Inert;
        /// The address that a node names itself by.
        "cluster-announce-ip" => cluster_announce_ip: Option<String> = None, Text, Inert;
        /// The port that a node names itself by.
        "cluster-announce-port" => cluster_announce_port: u16 = 0, Integer(0, 65535), Inert;
        /// The port for TLS that a node names itself by.
        "cluster-announce-tls-port" => cluster_announce_tls_port: u16 = 0, Integer(0, 65535), Inert;
        /// The bus port that a node names itself by.
        "cluster-announce-bus-port" => cluster_announce_bus_port: u16 = 0, Integer(0, 65535), Inert;
        /// The host name that a node names itself by.
        "cluster-announce-hostname" => cluster_announce_hostname: Option<String> = None, Letters("-.", "Hostnames may only contain alphanumeric characters, hyphens or dots"), Inert;
        /// The name that people know a node by.
        "cluster-announce-human-nodename" => cluster_announce_human_nodename: Option<String> = None, Letters(NODE_NAME_MARKS, "Announced human node name contained invalid character"), Inert;
        /// What clients are told to reach a node by.
        "cluster-preferred-endpoint-type" => cluster_preferred_endpoint_type: Endpoint = Endpoint::Ip, Endpoint::KIND, Inert;
        /// Whether shard channels work while the cluster is down.
        "cluster-allow-pubsubshard-when-down" => cluster_allow_pubsubshard_when_down: bool = true, YesNo, Inert;
        /// Whether reads work while the cluster is down.
        "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, YesNo, Inert;
        /// Whether replicas may move to masters that have none.
        "cluster-allow-replica-migration" => cluster_allow_replica_migration: bool = true, YesNo, Inert;
        /// Bytes that may wait for another node; 0 for no limit.
        "cluster-link-sendbuf-limit" => cluster_link_sendbuf_limit: u64 = 0, Memory(0, LONG_MAX), Inert;
        /// Replicas that a master keeps when others move.
        "cluster-migration-barrier" => cluster_migration_barrier: u32 = 1, Integer(0, INT_MAX), Inert;
        /// Whether this replica never takes its master's place.
        "cluster-replica-no-failover" | "cluster-slave-no-failover" => cluster_replica_no_failover: bool = false, YesNo, Inert;
        /// How old a replica's data may be when it takes its master's place.
        "cluster-replica-validity-factor" | "cluster-slave-validity-factor" => cluster_replica_validity_factor: u32 = 10, Integer(0, INT_MAX), Inert;
        /// Whether all slots must be served for any to be.
        "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, YesNo, Inert;
        /// Per cent of CPU time for defragmentation at the most.
        "active-defrag-cycle-max" => active_defrag_cycle_max: u32 = 25, Integer(1, 99), Inert;
        /// Per cent of CPU time for defragmentation at the least.
        "active-defrag-cycle-min" => active_defrag_cycle_min: u32 = 1, Integer(1, 99), Inert;
        /// Bytes lost to fragmentation from which on something is done.
        "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 << 20, Memory(1, LONG_MAX), Inert;
        /// Fields of a collection that are looked through at once.
        "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: u64 = 1000, Integer(1, LONG_MAX), Inert;
        /// Per cent of fragmentation from which on something is done.
        "active-defrag-threshold-lower" => active_defrag_threshold_lower: u32 = 10, Integer(0, 1000), Inert;
        /// Per cent of fragmentation from which on all is done.
        "active-defrag-threshold-upper" => active_defrag_threshold_upper: u32 = 100, Integer(0, 1000), Inert;
        /// Show a logo in the log.
        "always-show-logo" => always_show_logo: bool = false, YesNo, Immutable, Inert;
        /// Keep files of the log that nothing needs.
        "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, YesNo, Hidden, Inert;
        /// Sync a file of the log often while it is rewritten.
        "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, YesNo, Inert;
        /// Note times in the log.
        "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, YesNo, Inert;
        /// Cores of the process that rewrites the log.
        "aof-rewrite-cpulist" | "aof_rewrite_cpulist" => aof_rewrite_cpulist: Option<String> = None, Text, Immutable, Inert;
        /// Cores of the process that writes a snapshot.
        "bgsave-cpulist" | "bgsave_cpulist" => bgsave_cpulist: Option<String> = None, Text, Immutable, Inert;
        /// Cores of the threads in the background.
        "bio-cpulist" | "bio_cpulist" => bio_cpulist: Option<String> = None, Text, Immutable, Inert;
        /// Cores of the server.
        "server-cpulist" | "server_cpulist" => server_cpulist: Option<String> = None, Text, Immutable, Inert;
        /// Bytes of a data file between two looks at connections while it is loaded.
        "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: u64 = 2 << 20, Memory(1024, INT_MAX), Hidden, Inert;
        /// How a failed check ends the process.
        "use-exit-on-panic" => use_exit_on_panic: bool = false, YesNo, Hidden, Inert;
        /// Milliseconds after which a command that still runs is logged.
        "watchdog-period" => watchdog_period_ms: u32 = 0, Integer(0, INT_MAX), Hidden, Inert;
        /// Milliseconds between pings of other nodes.
        "cluster-ping-interval" => cluster_ping_interval_ms: u32 = 0, Integer(0, INT_MAX), Hidden, Inert;
        /// Log what the process did when it crashes.
        "crash-log-enabled" => crash_log_enabled: bool = true, YesNo, Inert;
        /// Test the memory after a crash.
        "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, YesNo, Inert;
        /// Keep users' data out of the log.
        "hide-user-data-from-log" => hide_user_data_from_log: bool = false, YesNo, Inert;
        /// Warnings about the system that do not stop the start.
        "ignore-warnings" => ignore_warnings: Option<String> = None, Text, Inert;
        /// A thread of Redis's allocator.
        "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, YesNo, Inert;
        /// The order of letters for SORT ALPHA; percore goes by their bytes.
        "locale-collate" => locale_collate: Option<String> = None, Locale, Inert;
        /// Sync a snapshot often while it is written.
        "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, YesNo, Inert;
        /// Log to syslog, too.
        "syslog-enabled" => syslog_enabled: bool = false, YesNo, Immutable, Inert;
        /// What syslog takes the lines for.
        "syslog-facility" => syslog_facility: Facility = Facility::Local0, Facility::KIND, Immutable, Inert;
        /// The program's name in syslog.
        "syslog-ident" => syslog_ident: String = "redis".into(), Text, Immutable, Inert;
    }
}

/// Cores that the process may use: shards by default. Asked once, because a shard's thread may use
/// only its own.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(SHARDS_MAX))
    })
}
