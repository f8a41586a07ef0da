//! The metrics that a scraper gets: asked of the shards when it comes, so that a command pays
//! nothing for them.
//!
//! A scrape is a visit to every shard, as INFO is, but comes from a thread that is no shard: shard
//! 0 sends it on, each shard answers with a [`Sample`] of plain numbers, and the thread that asked
//! joins and writes them ([`text`]). A shard that does not answer in time makes the scrape fail,
//! which is what the scraper should see then.

pub mod outside;

mod os_process;
mod plain;
mod text;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use config::Config;
use engine::histogram::Histogram;
use engine::slot::ShardId;
use engine::stats::Stats;
use protocol::table::CommandId;
use rustix::time::{ClockId, clock_gettime};
use storage::DbIndex;

use crate::commands::connection::same_bytes;
use crate::commands::info_clients::Clients;
use crate::mailbox::message::Message;
use crate::process::Process;
use crate::shard::Shard;

/// Asks for the metrics, from any thread.
#[derive(Clone)]
pub struct Metrics {
    process: Arc<Process>,
}

/// The form of what a scraper gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exposition {
    /// The text format 0.0.4 of Prometheus, which everything that scrapes can read.
    Plain,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Some shard has not answered in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoAnswer;

/// What one shard says about itself.
#[derive(Clone, Debug, Default)]
struct Sample {
    shard: usize,
    stats: Stats,
    clients: Clients,
    keyspace_hits: u64,
    keyspace_misses: u64,
    expired_keys: u64,
    expired_fields: u64,
    evicted_keys: u64,
    /// Of each database that is not empty.
    databases: Vec<DatabaseKeys>,
    used_bytes: i64,
    /// CPU time of its thread; a thread that runs several shards is counted with the first of them.
    cpu_time: Duration,
    /// Messages of other shards that wait here, and those of its own that full rings keep back.
    inbound: u64,
    outbound: u64,
    lock_items: u64,
    slow_log_entries: u64,
    log_failed: bool,
    latencies: Vec<Latencies>,
}

/// How many keys a shard has in one database, and how many of these expire.
#[derive(Clone, Copy, Debug, Default)]
struct DatabaseKeys {
    index: usize,
    keys: u64,
    volatile: u64,
}

/// How many calls of one command took how long, between the bounds of [`Histogram::BOUNDS_NS`].
#[derive(Clone, Debug)]
struct Latencies {
    command: CommandId,
    counts: [u64; Histogram::BOUNDS_NS.len() + 1],
}

impl Latencies {
    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }
}

impl Sample {
    fn of(shard: &mut Shard) -> Self {
        shard.engine.publish_memory();
        let (inbound, outbound) = shard.messages_waiting();
        let databases = &shard.engine.databases;
        let keys_of = |index: DbIndex| {
            let keyspace = databases.get(index);
            DatabaseKeys {
                index: usize::from(index.number()),
                keys: keyspace.len() as u64,
                volatile: keyspace.volatile_len() as u64,
            }
        };
        let measured = |command: CommandId| {
            let histogram = shard.engine.timing.histograms[command.index()].as_ref()?;
            Some(Latencies {
                command,
                counts: histogram.between_bounds(),
            })
        };
        Self {
            shard: shard.engine.id.index(),
            stats: shard.engine.stats.clone(),
            clients: Clients::of(shard),
            keyspace_hits: shard.engine.effects.keyspace_hits,
            keyspace_misses: shard.engine.effects.keyspace_misses,
            expired_keys: shard.engine.effects.expired_keys,
            expired_fields: shard.engine.effects.expired_fields,
            evicted_keys: shard.engine.effects.evicted_keys,
            databases: databases
                .indices()
                .map(keys_of)
                .filter(|it| it.keys > 0)
                .collect(),
            cpu_time: cpu_time(shard),
            used_bytes: shard.used_by_thread(),
            inbound: inbound as u64,
            outbound: outbound as u64,
            lock_items: shard.engine.owner.locks.len() as u64,
            slow_log_entries: shard.measured.slow_log.len() as u64,
            log_failed: shard.log.failed,
            latencies: CommandId::all().filter_map(measured).collect(),
        }
    }
}

/// CPU time of the thread that runs `shard`, if that is the one which speaks for the thread.
fn cpu_time(shard: &Shard) -> Duration {
    if shard.process.thread_groups.first_of(shard.engine.id) != shard.engine.id {
        return Duration::ZERO;
    }
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl Metrics {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    /// All metrics. Fails where a shard does not answer within `patience`.
    pub fn text(&self, exposition: Exposition, patience: Duration) -> Result<String, NoAnswer> {
        let shards = self.process.slots.shards();
        // Room for all answers: a shard never waits for the one who asked.
        let (answers, answered) = sync_channel(shards);
        let ask = move |first: &mut Shard| first.pass_on(&answers);
        if !self.process.visit_first_shard(ask) {
            return Err(NoAnswer);
        }
        let deadline = Instant::now() + patience;
        let mut samples: Vec<Sample> = Vec::with_capacity(shards);
        while samples.len() < shards {
            let left = deadline.saturating_duration_since(Instant::now());
            match answered.recv_timeout(left) {
                Ok(sample) => samples.push(sample),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(NoAnswer);
                }
            }
        }
        samples.sort_unstable_by_key(|sample| sample.shard);
        let open = text::write(samples, &self.process).map_err(|_| NoAnswer)?;
        Ok(match exposition {
            Exposition::OpenMetrics => open,
            Exposition::Plain => plain::from_open_metrics(&open),
        })
    }

    /// Whether this is the password that clients have to give. In a time that depends on the length
    /// of `given` only.
    pub fn is_password(&self, given: &[u8]) -> bool {
        let config = self.config();
        let wanted = config.requirepass.as_deref().unwrap_or_default();
        !wanted.is_empty() && same_bytes(given, wanted.as_bytes())
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.process.current_config()
    }
}

impl Shard {
    fn pass_on(&mut self, answers: &SyncSender<Sample>) {
        for index in 0..self.engine.slots.shards() {
            let answers = answers.clone();
            let visit = move |shard: &mut Shard| {
                // Who asked may have given up.
                let _ = answers.try_send(Sample::of(shard));
            };
            self.send(ShardId::new(index), Message::Visit(Box::new(visit)));
        }
    }
}
