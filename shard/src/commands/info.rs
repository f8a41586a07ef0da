//! INFO: the server's state, in Redis's sections and under Redis's names.
//!
//! Every shard gives its part once, and the sections are written from the sum. A figure that nobody
//! measures is left out; one that is shown is true. Figures of what percore does not do (forks,
//! replicas, an append-only log) are shown as Redis shows them when unused, where tools are known
//! to look for them.

use std::fmt::Write;
use std::time::Instant;
use std::{env, fs, process};

use config::{Config, Supervised};
use engine::commands::options::is;
use engine::error::Error;
use engine::histogram::Histogram;
use engine::stats::Stats;
use protocol::args::Args;
use protocol::reply::Reply;
use protocol::table::CommandId;

use crate::client::Client;
use crate::commands::info_clients::Clients;
use crate::commands::info_cpu::{CpuTime, Traffic};
use crate::commands::info_keyspace::Database;
use crate::commands::latency::join;
use crate::commands::{info_cpu, info_memory};
use crate::dispatch::handler::Answer;
use crate::memory::footprint::{self, Footprint, ratio};
use crate::process::{REDIS_VERSION, VERSION};
use crate::pubsub::Topic;
use crate::shard::Shard;
use crate::timing::rates::Current;
use crate::transaction::gather::Until;

/// A section: its name as a client asks for it, its heading, whether a bare INFO shows it, and what
/// writes its lines.
struct Section {
    name: &'static str,
    heading: &'static str,
    by_default: bool,
    write: fn(&Report<'_>, &mut String) -> std::fmt::Result,
}

macro_rules! sections {
    ($($name:literal $heading:literal $by_default:literal $write:ident)*) => {
        [$(Section { name: $name, heading: $heading, by_default: $by_default, write: $write }),*]
    };
}

/// All of them, in the order in which they are shown.
const SECTIONS: [Section; 14] = sections! {
    "server" "Server" true server
    "clients" "Clients" true clients
    "memory" "Memory" true memory
    "persistence" "Persistence" true persistence
    "threads" "Threads" true threads
    "stats" "Stats" true stats
    "replication" "Replication" true replication
    "cpu" "CPU" true cpu
    "modules" "Modules" true nothing
    "commandstats" "Commandstats" false commandstats
    "errorstats" "Errorstats" true errorstats
    "latencystats" "Latencystats" false latencystats
    "cluster" "Cluster" true cluster
    "keyspace" "Keyspace" true keyspace
};

/// What `lru_clock` shows of the seconds: Redis's clock has so many bits.
const LRU_CLOCK_MASK: u64 = (1 << 24) - 1;

/// What one shard gives, and the sum of it.
#[derive(Clone, Default)]
pub struct Part {
    stats: Stats,
    clients: Clients,
    rates: Current,
    /// Of the threads that run shards.
    cpu: CpuTime,
    /// Of each shard.
    traffic: Vec<Traffic>,
    footprint: footprint::Part,
    keyspace_hits: u64,
    keyspace_misses: u64,
    expired_keys: u64,
    expired_fields: u64,
    logs_failed: u64,
    evicted_keys: u64,
    tracked_keys: u64,
    trackers_of_keys: u64,
    databases: Vec<Database>,
}

impl Part {
    fn of(shard: &mut Shard) -> Self {
        let footprint = footprint::Part::of(shard);
        shard.count_busy_time();
        let snapshots = &shard.process.snapshots;
        snapshots.publish_dirty(shard.engine.id, shard.engine.effects.dirty);
        snapshots.publish_log(shard.engine.id, shard.log.file_bytes);
        let (now, random) = (shard.engine.now, &mut shard.engine.random);
        let mut with_field_deadlines = shard.engine.effects.fields.hashes(&shard.engine.databases);
        let databases = shard.engine.databases.indices().map(|index| {
            let keyspace = shard.engine.databases.get(index);
            let hashes = with_field_deadlines.remove(&index).unwrap_or(0);
            Database::of(keyspace, now, random, hashes)
        });
        let databases = databases.collect();
        Self {
            cpu: shard.cpu_of_thread(),
            traffic: vec![Traffic::of(shard)],
            stats: shard.engine.stats.clone(),
            footprint,
            clients: Clients::of(shard),
            rates: shard
                .measured
                .rates
                .current(Instant::now(), &shard.engine.stats),
            keyspace_hits: shard.engine.effects.keyspace_hits,
            keyspace_misses: shard.engine.effects.keyspace_misses,
            expired_keys: shard.engine.effects.expired_keys,
            expired_fields: shard.engine.effects.expired_fields,
            logs_failed: u64::from(shard.log.failed),
            evicted_keys: shard.engine.effects.evicted_keys,
            tracked_keys: shard.engine.effects.invalidations.table.len() as u64,
            trackers_of_keys: shard.engine.effects.invalidations.table.readers() as u64,
            databases,
        }
    }

    fn add(&mut self, other: &Self) {
        self.stats.add(&other.stats);
        self.clients.add(&other.clients);
        self.rates.add(other.rates);
        self.cpu.add(other.cpu);
        self.traffic.extend_from_slice(&other.traffic);
        self.footprint.add(&other.footprint);
        self.keyspace_hits += other.keyspace_hits;
        self.keyspace_misses += other.keyspace_misses;
        self.expired_keys += other.expired_keys;
        self.expired_fields += other.expired_fields;
        self.logs_failed += other.logs_failed;
        self.evicted_keys += other.evicted_keys;
        self.tracked_keys += other.tracked_keys;
        self.trackers_of_keys += other.trackers_of_keys;
        let count = self.databases.len().max(other.databases.len());
        self.databases.resize(count, Database::default());
        for (mine, theirs) in self.databases.iter_mut().zip(&other.databases) {
            mine.add(theirs);
        }
    }
}

/// What the sections are written from.
struct Report<'a> {
    shard: &'a Shard,
    sum: Part,
    /// Where they are asked for.
    histograms: Vec<(CommandId, Histogram)>,
}

/// `INFO [section ...]`
pub fn info(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let wanted: Vec<bool> = SECTIONS
        .iter()
        .map(|section| wants(args, section))
        .collect();
    let mut shown = SECTIONS.iter().zip(&wanted);
    let latencies = shown.any(|(section, wanted)| *wanted && section.name == "latencystats");
    let measured: Vec<CommandId> = if latencies {
        CommandId::all().collect()
    } else {
        Vec::new()
    };
    let mut shown = SECTIONS.iter().zip(&wanted);
    let counts_keys = shown.any(|(section, wanted)| *wanted && section.name == "keyspace");
    // Whoever was answered finds his keys counted, also those that are still on their way home.
    // EXEC itself holds what would be waited for.
    let until = if counts_keys && !client.session.in_exec {
        Until::AllHome
    } else {
        Until::Now
    };
    let visit = move |shard: &mut Shard| (Part::of(shard), shard.histograms(&measured));
    let shards = shard.engine.slots.all();
    Ok(
        shard.gather_when(client, shards, until, visit, move |shard, parts, reply| {
            let (parts, histograms): (Vec<Part>, Vec<_>) = parts.into_iter().unzip();
            let mut sum = Part::default();
            parts.iter().for_each(|part| sum.add(part));
            let report = Report {
                shard,
                sum,
                histograms: join(histograms),
            };
            let mut text = String::new();
            for (section, _) in SECTIONS.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
                if !text.is_empty() {
                    text.push_str("\r\n");
                }
                // Writing to a string does not fail.
                let _ = write!(text, "# {}\r\n", section.heading);
                let _ = (section.write)(&report, &mut text);
            }
            reply.verbatim("txt", text.as_bytes());
            Ok(())
        }),
    )
}

/// Whether the words behind INFO ask for a section.
fn wants(args: &Args<'_>, section: &Section) -> bool {
    let asks = |word: &[u8]| {
        is(word, section.name)
            || is(word, "all")
            || is(word, "everything")
            || (section.by_default && is(word, "default"))
    };
    match args.len() {
        1 => section.by_default,
        _ => args.iter().skip(1).any(asks),
    }
}

/// Writes `name:value` lines.
macro_rules! lines {
    ($out:ident, $($name:literal: $value:expr),* $(,)?) => {{
        $(write!($out, concat!($name, ":{}\r\n"), $value)?;)*
        Ok(())
    }};
}

fn nothing(_: &Report<'_>, _: &mut String) -> std::fmt::Result {
    Ok(())
}

fn server(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let shared = &report.shard.process;
    let uptime = shared.started_at.elapsed().as_secs();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let executable = env::current_exe().unwrap_or_default();
    lines!(out,
        "redis_version": REDIS_VERSION,
        "percore_version": VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": format_args!("{:016x}", build_id()),
        "redis_mode": "standalone",
        "os": format_args!("{} {} {}", os_name(), kernel.trim(), env::consts::ARCH),
        "arch_bits": usize::BITS,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": shared.driver.name(),
        "atomicvar_api": "c11-builtin",
        // As Redis says where it was built by another compiler.
        "gcc_version": "0.0.0",
        "process_id": process::id(),
        "process_supervised": supervisor(report.shard.engine.config.supervised),
        "run_id": shared.run_id,
        "tcp_port": report.shard.engine.config.port,
        "server_time_usec": unix_micros(),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / (24 * 60 * 60),
        "hz": report.shard.engine.config.hz,
        "configured_hz": report.shard.engine.config.hz,
        "lru_clock": (unix_micros() / 1_000_000) as u64 & LRU_CLOCK_MASK,
        "executable": executable.display(),
        "config_file": shared.config_file.as_deref().unwrap_or_default(),
        "io_threads_active": 0,
        "shards": shared.slots.shards(),
    )?;
    listeners(&report.shard.engine.config, out)
}

/// Tells builds apart: a hash (FNV-1a) of the version and of what it was built for.
fn build_id() -> u64 {
    let built = [VERSION, env::consts::OS, env::consts::ARCH];
    let bytes = built.iter().flat_map(|text| text.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What is listened on, a line each.
fn listeners(config: &Config, out: &mut String) -> std::fmt::Result {
    let mut number = 0;
    if config.port != 0 {
        write!(out, "listener{number}:name=tcp")?;
        for address in &config.bind.0 {
            write!(out, ",bind={address}")?;
        }
        write!(out, ",port={}\r\n", config.port)?;
        number += 1;
    }
    if let Some(path) = &config.unixsocket {
        write!(
            out,
            "listener{number}:name=unix,bind={}\r\n",
            path.display()
        )?;
    }
    Ok(())
}

/// Who is told that percore is ready.
fn supervisor(wanted: Supervised) -> &'static str {
    match wanted {
        Supervised::Auto if env::var_os("NOTIFY_SOCKET").is_none() => "no",
        Supervised::No => "no",
        Supervised::Auto | Supervised::Systemd => "systemd",
    }
}

fn os_name() -> &'static str {
    match env::consts::OS {
        "linux" => "Linux",
        other => other,
    }
}

fn unix_micros() -> u128 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros()
}

fn clients(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    report
        .sum
        .clients
        .write(report.shard.engine.config.maxclients, out)
}

fn memory(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let process = &report.shard.process;
    let footprint = Footprint::of(process, report.sum.footprint.clone());
    info_memory::write(
        &footprint,
        &report.shard.engine.config,
        &process.memory,
        out,
    )
}

fn persistence(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let snapshots = &report.shard.process.snapshots;
    let (log_bytes, rewritten_bytes) = snapshots.log_sizes();
    let (current_s, rewrite_s) = (snapshots.current_s(), snapshots.current_rewrite_s());
    let (rewrites, rewrites_failed) = snapshots.rewrites();
    let (keys_loaded, keys_expired) = snapshots.loaded();
    let (keys_written, keys_to_write) = snapshots.written();
    lines!(out,
        "loading": u8::from(report.shard.engine.admission.loading),
        "async_loading": 0,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": format_args!("{:.2}", 100.0 * ratio(keys_written, keys_to_write)),
        "current_save_keys_processed": keys_written,
        "current_save_keys_total": keys_to_write,
        "rdb_changes_since_last_save": snapshots.changes(),
        "rdb_bgsave_in_progress": u8::from(current_s.is_some()),
        "rdb_last_save_time": snapshots.last_save_s(),
        "rdb_last_bgsave_status": if snapshots.failed() { "err" } else { "ok" },
        "rdb_last_bgsave_time_sec": snapshots.last_duration_s(),
        "rdb_current_bgsave_time_sec": current_s.map_or(-1, |it| it as i64),
        "rdb_saves": snapshots.saves(),
        "rdb_last_cow_size": 0,
        "rdb_last_load_keys_expired": keys_expired,
        "rdb_last_load_keys_loaded": keys_loaded,
        "aof_enabled": u8::from(report.shard.engine.config.appendonly),
        "aof_rewrite_in_progress": u8::from(rewrite_s.is_some()),
        "aof_rewrite_scheduled": u8::from(snapshots.rewrite_scheduled()),
        "aof_last_rewrite_time_sec": snapshots.last_rewrite_duration_s(),
        "aof_current_rewrite_time_sec": rewrite_s.map_or(-1, |it| it as i64),
        "aof_last_bgrewrite_status": if snapshots.rewrite_failed() { "err" } else { "ok" },
        "aof_rewrites": rewrites,
        "aof_rewrites_consecutive_failures": rewrites_failed,
        "aof_last_write_status": if report.sum.logs_failed > 0 { "err" } else { "ok" },
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    )?;
    if report.shard.engine.config.appendonly {
        lines!(out,
            "aof_current_size": log_bytes,
            "aof_base_size": rewritten_bytes,
            "aof_pending_rewrite": u8::from(snapshots.rewrite_scheduled()),
            "aof_buffer_length": report.sum.footprint.log_buffer_bytes,
            // Each shard's log syncs itself: none stands in a queue, and none is put off for
            // another.
            "aof_pending_bio_fsync": 0,
            "aof_delayed_fsync": 0,
        )?;
    }
    if report.shard.engine.admission.loading {
        loading(report, out)
    } else {
        Ok(())
    }
}

fn loading(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let process = &report.shard.process;
    let told = process.progress.status();
    lines!(out,
        "loading_start_time": process.started_unix_s,
        "loading_total_bytes": told.total_bytes,
        "loading_rdb_used_mem": 0,
        "loading_loaded_bytes": told.loaded_bytes,
        "loading_loaded_perc": format_args!("{:.2}", told.percent),
        "loading_eta_seconds": told.seconds_left,
    )
}

fn stats(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let sum = &report.sum;
    let stats = &sum.stats;
    let pubsub = &report.shard.process.pubsub;
    let memory = &report.shard.process.memory;
    let (exceeded_ms, exceeded_now_ms) = memory.exceeded_ms(report.shard.engine.now.ms());
    lines!(out,
        "total_connections_received": stats.connections,
        "total_commands_processed": stats.calls.iter().sum::<u64>(),
        "instantaneous_ops_per_sec": sum.rates.commands.round(),
        "total_net_input_bytes": stats.net_input_bytes,
        "total_net_output_bytes": stats.net_output_bytes,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": format_args!("{:.2}", sum.rates.input_bytes / 1024.0),
        "instantaneous_output_kbps": format_args!("{:.2}", sum.rates.output_bytes / 1024.0),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": stats.rejected_connections,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_subkeys": sum.expired_fields,
        "expired_keys": sum.expired_keys,
        // None that is known: the clock goes by the deadlines and does not look at keys by chance.
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": stats.expiry_cut_short,
        "expire_cycle_cpu_milliseconds": stats.expiry_us / 1_000,
        "evicted_keys": sum.evicted_keys,
        "evicted_clients": stats.evicted_clients,
        "evicted_scripts": report.shard.process.scripts.counts().evicted,
        "total_eviction_exceeded_time": exceeded_ms,
        "current_eviction_exceeded_time": exceeded_now_ms,
        "keyspace_hits": sum.keyspace_hits,
        "keyspace_misses": sum.keyspace_misses,
        "pubsub_channels": pubsub.count(Topic::Channel),
        "pubsub_patterns": pubsub.count(Topic::Pattern),
        "pubsubshard_channels": pubsub.count(Topic::ShardChannel),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        "tracking_total_keys": sum.tracked_keys,
        "tracking_total_items": sum.trackers_of_keys,
        "tracking_total_prefixes": report.shard.engine.effects.invalidations.prefixes.len(),
        "unexpected_error_replies": 0,
        "total_error_replies": stats.error_replies,
        "dump_payload_sanitizations": payloads_taken(stats),
        "total_reads_processed": stats.reads,
        "total_writes_processed": stats.writes,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "io_threaded_total_prefetch_batches": 0,
        "io_threaded_total_prefetch_entries": 0,
        "client_query_buffer_limit_disconnections": stats.input_limit_closes,
        "client_output_buffer_limit_disconnections": stats.output_limit_closes,
        // Buffers of replies have no fixed size.
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
        "eventloop_cycles": stats.turns,
        "eventloop_duration_sum": stats.busy_us,
        "eventloop_duration_cmd_sum": stats.nanos.iter().sum::<u64>() / 1_000,
        "instantaneous_eventloop_cycles_per_sec": sum.rates.turns.round(),
        "instantaneous_eventloop_duration_usec": sum.rates.us_per_turn().round(),
        "acl_access_denied_auth": stats.denied_auth,
        "acl_access_denied_cmd": 0,
        "acl_access_denied_key": 0,
        "acl_access_denied_channel": 0,
        "protocol_errors": stats.protocol_errors,
        "shard_commands_forwarded": stats.forwarded,
        "shard_batches": stats.batches,
        "shard_commands_batched": stats.batched,
        "shard_wakes": stats.wakes,
        "shard_transactions": stats.transactions,
        "shard_transactions_retried": stats.transactions_retried,
        "shard_scripts_widened": stats.scripts_widened,
        "shard_scripts_run_again": stats.scripts_run_again,
        "shard_scripts_exclusive": stats.scripts_exclusive,
    )
}

/// RESTOREs that were taken: every payload is looked over.
fn payloads_taken(stats: &Stats) -> u64 {
    const RESTORE: CommandId = CommandId::named("restore");
    let index = RESTORE.index();
    stats.calls[index].saturating_sub(stats.failed[index])
}

fn replication(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    lines!(out,
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": report.shard.process.run_id,
        "master_replid2": "0".repeat(40),
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": report.shard.engine.config.repl_backlog_size,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    )
}

fn threads(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    info_cpu::write_threads(&report.sum.traffic, out)
}

fn cpu(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    info_cpu::write_cpu(report.sum.cpu, out)
}

fn commandstats(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let stats = &report.sum.stats;
    for id in CommandId::all() {
        let index = id.index();
        let (calls, rejected, failed) = (
            stats.calls[index],
            stats.rejected[index],
            stats.failed[index],
        );
        if calls + rejected > 0 {
            let micros = stats.nanos[index] / 1_000;
            let each = stats.nanos[index] as f64 / 1_000.0 / calls.max(1) as f64;
            write!(
                out,
                "cmdstat_{}:calls={calls},usec={micros},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}\r\n",
                id.command().name
            )?;
        }
    }
    Ok(())
}

fn latencystats(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    for (id, histogram) in &report.histograms {
        write!(out, "latency_percentiles_usec_{}:", id.command().name)?;
        let percentiles = &report.shard.engine.config.latency_tracking_info_percentiles;
        for (number, percent) in percentiles.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let micros = histogram.percentile(percent.percent()) as f64 / 1_000.0;
            write!(out, "{comma}p{percent}={micros:.3}")?;
        }
        out.push_str("\r\n");
    }
    Ok(())
}

fn errorstats(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let mut errors: Vec<_> = report.sum.stats.errors.iter().collect();
    errors.sort_unstable();
    for (code, count) in errors {
        write!(out, "errorstat_{code}:count={count}\r\n")?;
    }
    Ok(())
}

fn cluster(_: &Report<'_>, out: &mut String) -> std::fmt::Result {
    lines!(out, "cluster_enabled": 0)
}

fn keyspace(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let mut databases = report.sum.databases.iter().enumerate();
    databases.try_for_each(|(number, database)| database.write(number, out))
}

impl Shard {
    /// CPU time of this shard's thread; none where another shard tells that.
    fn cpu_of_thread(&self) -> CpuTime {
        if self.speaks_for_thread() {
            CpuTime::of_this_thread()
        } else {
            CpuTime::default()
        }
    }

    /// Begins to count anew what INFO shows as statistics.
    pub fn reset_stats(&mut self) {
        self.engine.stats = Stats::default();
        self.engine.timing.reset();
        self.engine.effects.keyspace_hits = 0;
        self.engine.effects.keyspace_misses = 0;
        self.engine.effects.expired_keys = 0;
        self.engine.effects.evicted_keys = 0;
        self.engine.effects.expired_fields = 0;
        self.process.memory.count_anew();
    }
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;

    use super::*;

    fn shown(words: &str) -> Vec<&'static str> {
        let args = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        SECTIONS
            .iter()
            .filter(|section| wants(&args.borrow(), section))
            .map(|section| section.name)
            .collect()
    }

    #[test]
    fn sections_are_chosen_by_name() {
        assert_eq!(shown("info").len(), SECTIONS.len() - 2);
        assert_eq!(shown("info default"), shown("info"));
        assert_eq!(shown("info all").len(), SECTIONS.len());
        assert_eq!(shown("info CPU memory"), ["memory", "cpu"]);
        assert!(shown("info nonsense").is_empty());
    }

    #[test]
    fn parts_add_up() {
        let mut sum = Part::default();
        let part = Part {
            expired_keys: 2,
            databases: vec![Database::default()],
            ..Part::default()
        };
        sum.add(&part);
        sum.add(&part);
        assert_eq!(sum.expired_keys, 4);
        assert_eq!(sum.databases, [Database::default()]);
    }
}
