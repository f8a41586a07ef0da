//! The metrics as text: which there are, what each is called and says.
//!
//! What differs between shards carries the label `shard`, so that an imbalance shows; sums are the
//! reader's. What the process has once (its memory, its data files) and what would be too many
//! series (errors, latencies) is summed here. Names follow Prometheus's rules: base units, `_total`
//! on counters (which the library appends).

use std::collections::BTreeMap;
use std::fmt;

use engine::histogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use protocol::table::CommandId;

use super::os_process::OsProcess;
use super::{DatabaseKeys, Latencies, Sample};
use crate::commands::info_cpu::CpuTime;
use crate::memory::footprint::resident_bytes;
use crate::process::{Process, REDIS_VERSION, VERSION};
use crate::pubsub::Topic;
use crate::snapshot::unix_s;

const NANOS_PER_SECOND: f64 = 1e9;

/// Writes everything.
pub(super) fn write(samples: Vec<Sample>, process: &Process) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("percore");
    let once = Once::of(process);
    registry.register_collector(Box::new(Everything { samples, once }));
    // What every process exports has names without a prefix of ours.
    let mut of_any_process = Registry::default();
    of_any_process.register_collector(Box::new(OsProcess::of(process)));
    let mut written = String::new();
    text::encode_registry(&mut written, &registry)?;
    text::encode_registry(&mut written, &of_any_process)?;
    text::encode_eof(&mut written)?;
    Ok(written)
}

/// What the process has once.
#[derive(Debug)]
struct Once {
    driver: &'static str,
    uptime_s: f64,
    used_bytes: u64,
    peak_bytes: u64,
    resident_bytes: u64,
    max_bytes: u64,
    clients_max: u64,
    channels: u64,
    patterns: u64,
    snapshot_under_way: bool,
    snapshot_failed: bool,
    last_snapshot_unix_s: u64,
    unsaved_changes: u64,
    log_on: bool,
    log_rewrite_under_way: bool,
    log_rewrite_failed: bool,
    log_bytes: u64,
    slow_commands: u64,
    slow_log_max: u64,
    cpu: CpuTime,
}

impl Once {
    fn of(process: &Process) -> Self {
        let config = process.current_config();
        let snapshots = &process.snapshots;
        let pubsub = &process.pubsub;
        Self {
            driver: process.driver.name(),
            uptime_s: process.started_at.elapsed().as_secs_f64(),
            used_bytes: process.memory.used_bytes(unix_s()),
            peak_bytes: process.memory.peak_bytes(),
            resident_bytes: resident_bytes(),
            max_bytes: config.maxmemory as u64,
            clients_max: u64::from(config.maxclients),
            channels: (pubsub.count(Topic::Channel) + pubsub.count(Topic::ShardChannel)) as u64,
            patterns: pubsub.count(Topic::Pattern) as u64,
            snapshot_under_way: snapshots.current_s().is_some(),
            snapshot_failed: snapshots.failed(),
            last_snapshot_unix_s: snapshots.last_save_s(),
            unsaved_changes: snapshots.changes(),
            log_on: config.appendonly,
            log_rewrite_under_way: snapshots.current_rewrite_s().is_some(),
            log_rewrite_failed: snapshots.rewrite_failed(),
            log_bytes: snapshots.log_sizes().0,
            slow_commands: process.slow_commands(),
            slow_log_max: config.slowlog_max_len,
            cpu: CpuTime::of_process(),
        }
    }
}

/// A metric that each shard has.
type OfShard = (&'static str, &'static str, MetricType, fn(&Sample) -> u64);

const COUNTER: MetricType = MetricType::Counter;
const GAUGE: MetricType = MetricType::Gauge;

const OF_SHARDS: &[OfShard] = &[
    (
        "commands",
        "Commands that connections of the shard sent",
        COUNTER,
        |it| it.stats.commands,
    ),
    (
        "commands_forwarded",
        "Of those, commands sent to the one other shard that owns their keys",
        COUNTER,
        |it| it.stats.forwarded,
    ),
    (
        "transactions",
        "Commands and transactions over several shards that began here",
        COUNTER,
        |it| it.stats.transactions,
    ),
    (
        "transactions_retried",
        "Of those, the ones that had to queue for their locks",
        COUNTER,
        |it| it.stats.transactions_retried,
    ),
    (
        "scripts_widened",
        "Times that scripts have asked other shards for keys while they ran",
        COUNTER,
        |it| it.stats.scripts_widened,
    ),
    (
        "scripts_run_again",
        "Times that scripts were undone, and run again",
        COUNTER,
        |it| it.stats.scripts_run_again,
    ),
    (
        "scripts_exclusive",
        "Scripts that ran with the whole keyspace locked",
        COUNTER,
        |it| it.stats.scripts_exclusive,
    ),
    (
        "batches",
        "Batches of commands sent to other shards",
        COUNTER,
        |it| it.stats.batches,
    ),
    (
        "batched_commands",
        "Commands that left in those batches",
        COUNTER,
        |it| it.stats.batched,
    ),
    (
        "sleeps",
        "Times that the shard fell asleep for lack of work",
        COUNTER,
        |it| it.stats.sleeps,
    ),
    (
        "wakes_sent",
        "Sleeping shards that this one woke by a system call",
        COUNTER,
        |it| it.stats.wakes,
    ),
    (
        "mailbox_messages",
        "Messages of other shards that wait in the shard's rings",
        GAUGE,
        |it| it.inbound,
    ),
    (
        "outbox_messages",
        "Messages to other shards that wait for room in a ring",
        GAUGE,
        |it| it.outbound,
    ),
    (
        "pending_slots",
        "Replies that connections of the shard wait for",
        GAUGE,
        |it| it.clients.pending_slots,
    ),
    (
        "lock_items",
        "Items in the shard's lock table: what transactions hold there or wait for",
        GAUGE,
        |it| it.lock_items,
    ),
    ("connected_clients", "Open connections", GAUGE, |it| {
        it.clients.count
    }),
    (
        "blocked_clients",
        "Connections whose command waits",
        GAUGE,
        |it| it.clients.blocked,
    ),
    (
        "clients_memory_bytes",
        "Memory of connections and their buffers",
        GAUGE,
        |it| it.clients.memory_bytes,
    ),
    ("connections", "Connections accepted", COUNTER, |it| {
        it.stats.connections
    }),
    (
        "rejected_connections",
        "Connections turned away",
        COUNTER,
        |it| it.stats.rejected_connections,
    ),
    (
        "evicted_clients",
        "Connections closed to keep within maxmemory-clients",
        COUNTER,
        |it| it.stats.evicted_clients,
    ),
    (
        "input_limit_closes",
        "Connections closed for client-query-buffer-limit",
        COUNTER,
        |it| it.stats.input_limit_closes,
    ),
    (
        "output_limit_closes",
        "Connections closed for client-output-buffer-limit",
        COUNTER,
        |it| it.stats.output_limit_closes,
    ),
    ("net_input_bytes", "Bytes received", COUNTER, |it| {
        it.stats.net_input_bytes
    }),
    ("net_output_bytes", "Bytes sent", COUNTER, |it| {
        it.stats.net_output_bytes
    }),
    (
        "reads",
        "Reads of sockets that brought something",
        COUNTER,
        |it| it.stats.reads,
    ),
    (
        "writes",
        "Writes to sockets that took something",
        COUNTER,
        |it| it.stats.writes,
    ),
    (
        "error_replies",
        "Commands answered with an error",
        COUNTER,
        |it| it.stats.error_replies,
    ),
    ("keys", "Keys", GAUGE, |it| {
        it.databases.iter().map(|it| it.keys).sum()
    }),
    ("volatile_keys", "Keys with a time to live", GAUGE, |it| {
        it.databases.iter().map(|it| it.volatile).sum()
    }),
    ("expired_keys", "Keys whose time had come", COUNTER, |it| {
        it.expired_keys
    }),
    (
        "expired_fields",
        "Fields of hashes whose time had come",
        COUNTER,
        |it| it.expired_fields,
    ),
    (
        "evicted_keys",
        "Keys removed to keep within maxmemory",
        COUNTER,
        |it| it.evicted_keys,
    ),
    (
        "keyspace_hits",
        "Lookups that found their key",
        COUNTER,
        |it| it.keyspace_hits,
    ),
    (
        "keyspace_misses",
        "Lookups that found none",
        COUNTER,
        |it| it.keyspace_misses,
    ),
    (
        "log_write_failed",
        "1 while the append-only log of the shard cannot be written",
        GAUGE,
        |it| u64::from(it.log_failed),
    ),
];

/// A metric of the process.
type OfProcess = (&'static str, &'static str, fn(&Once) -> f64);

const OF_PROCESS: &[OfProcess] = &[
    ("uptime_seconds", "Time since the start", |it| it.uptime_s),
    ("memory_used_bytes", "Memory in use", |it| {
        it.used_bytes as f64
    }),
    (
        "memory_peak_bytes",
        "The most memory that was in use when somebody looked",
        |it| it.peak_bytes as f64,
    ),
    (
        "memory_resident_bytes",
        "Memory of the process that is in RAM",
        |it| it.resident_bytes as f64,
    ),
    (
        "memory_max_bytes",
        "The parameter maxmemory; 0 for no limit",
        |it| it.max_bytes as f64,
    ),
    ("clients_max", "The parameter maxclients", |it| {
        it.clients_max as f64
    }),
    ("pubsub_channels", "Channels with subscribers", |it| {
        it.channels as f64
    }),
    ("pubsub_patterns", "Patterns with subscribers", |it| {
        it.patterns as f64
    }),
    (
        "snapshot_in_progress",
        "1 while a snapshot is written",
        |it| truth(it.snapshot_under_way),
    ),
    ("snapshot_failed", "1 if the last snapshot failed", |it| {
        truth(it.snapshot_failed)
    }),
    (
        "snapshot_last_success_timestamp_seconds",
        "When the last snapshot was whole, or the start",
        |it| it.last_snapshot_unix_s as f64,
    ),
    ("snapshot_unsaved_changes", "Changes since then", |it| {
        it.unsaved_changes as f64
    }),
    ("log_enabled", "1 while writes are logged", |it| {
        truth(it.log_on)
    }),
    ("log_bytes", "Bytes of the append-only log", |it| {
        it.log_bytes as f64
    }),
    (
        "log_rewrite_in_progress",
        "1 while the log is rewritten",
        |it| truth(it.log_rewrite_under_way),
    ),
    (
        "log_rewrite_failed",
        "1 if the last rewrite of the log failed",
        |it| truth(it.log_rewrite_failed),
    ),
];

/// A metric that each database has.
type OfDatabase = (&'static str, &'static str, fn(&DatabaseKeys) -> u64);

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// All metrics.
#[derive(Debug)]
struct Everything {
    samples: Vec<Sample>,
    once: Once,
}

impl Collector for Everything {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, kind, value) in OF_SHARDS {
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for sample in &self.samples {
                let labels = [("shard", sample.shard)];
                let mut one = family.encode_family(&labels)?;
                number(&mut one, *kind, value(sample))?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "shard_memory_used_bytes",
            "Memory that the shard has allocated and not freed; below 0 where it frees what others made",
            None,
            GAUGE,
        )?;
        for sample in &self.samples {
            family
                .encode_family(&[("shard", sample.shard)])?
                .encode_gauge(&sample.used_bytes)?;
        }
        let mut family = encoder.encode_descriptor(
            "shard_cpu_seconds",
            "CPU time of the thread that runs the shard; several shards of one thread are counted with the first of them",
            None,
            COUNTER,
        )?;
        for sample in &self.samples {
            let labels = [("shard", sample.shard)];
            let mut one = family.encode_family(&labels)?;
            seconds(&mut one, sample.cpu_time.as_secs_f64())?;
        }
        self.slow_log(&mut encoder)?;
        self.databases(&mut encoder)?;
        self.once.cpu.encode(&mut encoder)?;
        for (name, help, value) in OF_PROCESS {
            encoder
                .encode_descriptor(name, help, None, GAUGE)?
                .encode_gauge(&value(&self.once))?;
        }
        encoder
            .encode_descriptor("build", "What runs here", None, MetricType::Info)?
            .encode_info(&[
                ("version", VERSION),
                ("redis_version", REDIS_VERSION),
                ("io_driver", self.once.driver),
            ])?;
        self.errors(&mut encoder)?;
        self.commands(&mut encoder)
    }
}

impl Everything {
    fn slow_log(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kept: u64 = self.samples.iter().map(|it| it.slow_log_entries).sum();
        encoder
            .encode_descriptor(
                "slowlog_entries",
                "Entries of the slow log, as SLOWLOG LEN",
                None,
                GAUGE,
            )?
            .encode_gauge(&kept.min(self.once.slow_log_max))?;
        let mut family = encoder.encode_descriptor(
            "slow_commands",
            "Commands that took longer than slowlog-log-slower-than",
            None,
            COUNTER,
        )?;
        number(&mut family, COUNTER, self.once.slow_commands)
    }

    /// A series each for the first database and for those that hold something.
    fn databases(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = BTreeMap::from([(0, DatabaseKeys::default())]);
        for one in self.samples.iter().flat_map(|it| &it.databases) {
            let sum = all.entry(one.index).or_default();
            sum.keys += one.keys;
            sum.volatile += one.volatile;
        }
        let families: [OfDatabase; 2] = [
            (
                "database_keys",
                "Keys of each database that is not empty",
                |it| it.keys,
            ),
            (
                "database_volatile_keys",
                "Of those, keys with a time to live",
                |it| it.volatile,
            ),
        ];
        for (name, help, value) in families {
            let mut family = encoder.encode_descriptor(name, help, None, GAUGE)?;
            for (index, keys) in &all {
                family
                    .encode_family(&[("db", *index)])?
                    .encode_gauge(&value(keys))?;
            }
        }
        Ok(())
    }

    fn errors(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut sum = engine::stats::Stats::default();
        self.samples.iter().for_each(|it| sum.add(&it.stats));
        sum.errors.sort_unstable();
        let mut family = encoder.encode_descriptor(
            "errors",
            "Error replies by their first word",
            None,
            COUNTER,
        )?;
        for (code, count) in &sum.errors {
            let labels = [("code", code.as_str())];
            number(&mut family.encode_family(&labels)?, COUNTER, *count)?;
        }
        Ok(())
    }

    /// How long calls of each command took: no series for those that never ran.
    fn commands(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut all: Vec<Option<Latencies>> = CommandId::all().map(|_| None).collect();
        for latencies in self.samples.iter().flat_map(|it| &it.latencies) {
            match &mut all[latencies.command.index()] {
                Some(mine) => mine.add(latencies),
                none => *none = Some(latencies.clone()),
            }
        }
        let mut family = encoder.encode_descriptor(
            "command_duration_seconds",
            "How long calls of each command took where they ran",
            None,
            MetricType::Histogram,
        )?;
        for latencies in all.iter().flatten() {
            let index = latencies.command.index();
            let nanos: u64 = self.samples.iter().map(|it| it.stats.nanos[index]).sum();
            let seconds = Histogram::BOUNDS_NS
                .iter()
                .map(|ns| *ns as f64 / NANOS_PER_SECOND);
            let bounds = seconds.chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(latencies.counts).collect();
            let count: u64 = latencies.counts.iter().sum();
            let labels = [("command", latencies.command.command().name)];
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(
                    nanos as f64 / NANOS_PER_SECOND,
                    count,
                    &buckets,
                    None,
                )?;
        }
        Ok(())
    }
}

fn number(encoder: &mut MetricEncoder<'_>, kind: MetricType, value: u64) -> fmt::Result {
    match kind {
        MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

fn seconds(encoder: &mut MetricEncoder<'_>, value: f64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
}
