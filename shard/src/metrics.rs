//! The metrics that a scraper gets: asked of the shards when it comes, so that a command pays nothing for them.
//!
//! A scrape is a visit to every shard, as INFO is, but comes from a thread that is no shard: shard 0 sends it on, each shard answers with a
//! [`Sample`] of plain numbers, and the thread that asked joins and writes them ([`text`]). A shard that does not answer in time makes the
//! scrape fail, which is what the scraper should see then.

pub mod outside;

mod text;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use protocol::table::CommandId;

use crate::commands::info_clients::Clients;
use crate::config::Config;
use crate::mailbox::message::Message;
use crate::process::Process;
use crate::shard::Shard;
use crate::slot::ShardId;
use crate::stats::Stats;
use crate::timing::latency::Histogram;

/// Asks for the metrics, from any thread.
#[derive(Clone)]
pub struct Metrics {
    process: Arc<Process>,
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
    keys: u64,
    volatile_keys: u64,
    used_bytes: i64,
    /// Messages of other shards that wait here, and those of its own that full rings keep back.
    inbound: u64,
    outbound: u64,
    locks: u64,
    log_failed: bool,
    latencies: Vec<Latencies>,
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
        shard.publish_memory();
        let (inbound, outbound) = shard.messages_waiting();
        let databases = &shard.databases;
        let keyspaces = || databases.indices().map(|index| databases.get(index));
        let measured = |command: CommandId| {
            let histogram = shard.timing.histograms[command.index()].as_ref()?;
            Some(Latencies {
                command,
                counts: histogram.between_bounds(),
            })
        };
        Self {
            shard: shard.id.index(),
            stats: shard.stats.clone(),
            clients: Clients::of(shard),
            keyspace_hits: shard.effects.keyspace_hits,
            keyspace_misses: shard.effects.keyspace_misses,
            expired_keys: shard.effects.expired_keys,
            expired_fields: shard.effects.expired_fields,
            evicted_keys: shard.effects.evicted_keys,
            keys: keyspaces().map(|it| it.len() as u64).sum(),
            volatile_keys: keyspaces().map(|it| it.volatile_len() as u64).sum(),
            used_bytes: shard.used_by_thread(),
            inbound: inbound as u64,
            outbound: outbound as u64,
            locks: shard.locks.len() as u64,
            log_failed: shard.log.failed,
            latencies: CommandId::all().filter_map(measured).collect(),
        }
    }
}

impl Metrics {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    /// All metrics in the text format of OpenMetrics. Fails where a shard does not answer within `patience`.
    pub fn text(&self, patience: Duration) -> Result<String, NoAnswer> {
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
        text::write(samples, &self.process).map_err(|_| NoAnswer)
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.process.current_config()
    }
}

impl Shard {
    fn pass_on(&mut self, answers: &SyncSender<Sample>) {
        for index in 0..self.slots.shards() {
            let answers = answers.clone();
            let visit = move |shard: &mut Shard| {
                // Who asked may have given up.
                let _ = answers.try_send(Sample::of(shard));
            };
            self.send(ShardId::new(index), Message::Visit(Box::new(visit)));
        }
    }
}
