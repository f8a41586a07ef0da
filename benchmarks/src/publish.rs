//! `publish`: what a message costs the server for each subscriber that it is delivered to.
//!
//! One publisher and some subscribers of one channel go in lockstep: the publisher sends a batch, then every subscriber reads it and compares it
//! byte for byte with what it must be. So all servers have the same load and nobody lags behind. A batch of one is a publisher that waits for
//! its reply; in a batch of sixteen a server may deliver many messages with one write. CPU time a delivery is what is judged, round by round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client::{Connection, encode};
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, kevy, percore};
use crate::{Error, Result, placement};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), percore(1), kevy(2), percore(2)];

/// percore's CPU time a delivery over that of the cheapest other is to stay within this.
const RATIO_MAX: f64 = 0.80;

const PAYLOADS: [usize; 2] = [16, 4096];
const SUBSCRIBERS: [usize; 3] = [10, 50, 200];
/// Messages that the publisher sends before it reads.
const DEPTHS: [usize; 2] = [1, 16];

const CHANNEL: &[u8] = b"channel";

/// Batches that go before those measured.
const WARM_UP_BATCHES: usize = 20;

/// What is published to whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Workload {
    payload: usize,
    subscribers: usize,
    depth: usize,
}

/// What one run came to.
#[derive(Clone, Copy)]
struct Run {
    cpu_us: f64,
    deliveries_per_s: f64,
}

const FIGURES: &[(&str, usize)] = &[
    ("bytes", 0),
    ("subscribers", 0),
    ("depth", 0),
    ("cpu us/delivery", 3),
    ("least", 3),
    ("most", 3),
    ("deliveries/s", 0),
];

/// Measures `rounds` rounds, each workload (or those whose names have `only` in them) for `duration`, and judges.
pub fn run(
    selection: &Selection,
    rounds: u64,
    duration: Duration,
    only: Option<&str>,
) -> Result<Vec<Table>> {
    let title = format!("Publishing: one publisher, medians of {rounds} rounds");
    let mut table = Table::new(title, "server", FIGURES);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let mut workloads = workloads();
    workloads.retain(|workload| only.is_none_or(|only| workload.name().contains(only)));
    let mut runs: BTreeMap<(Workload, usize), Vec<Run>> = BTreeMap::new();
    for round in 1..=rounds {
        for &workload in &workloads {
            for (of, &subject) in subjects.iter().enumerate() {
                eprintln!("round {round}/{rounds}: {subject}, {}", workload.name());
                let run = measure(selection, subject, workload, duration)
                    .map_err(|error| Error::from(format!("{subject}: {error}")))?;
                runs.entry((workload, of)).or_default().push(run);
            }
        }
    }
    for ((workload, of), runs) in &runs {
        let cpu = Spread::of(runs.iter().map(|run| run.cpu_us));
        let rate = Spread::of(runs.iter().map(|run| run.deliveries_per_s));
        let measured = [cpu.median, cpu.least, cpu.most, rate.median];
        let figures = workload.figures().into_iter().chain(measured);
        table.row(&[&subjects[*of]], &figures.collect::<Vec<_>>());
    }
    Ok(vec![table, judged(&subjects, &workloads, &runs)])
}

fn workloads() -> Vec<Workload> {
    let mut workloads = Vec::new();
    for depth in DEPTHS {
        for payload in PAYLOADS {
            workloads.extend(SUBSCRIBERS.map(|subscribers| Workload {
                payload,
                subscribers,
                depth,
            }));
        }
    }
    workloads
}

impl Workload {
    fn figures(self) -> [f64; 3] {
        [self.payload, self.subscribers, self.depth].map(|figure| figure as f64)
    }

    fn name(self) -> String {
        let Self {
            payload,
            subscribers,
            depth,
        } = self;
        format!("{payload} bytes to {subscribers} {depth} deep")
    }
}

fn measure(
    selection: &Selection,
    subject: Subject,
    workload: Workload,
    duration: Duration,
) -> Result<Run> {
    let server = Server::start(selection, subject)?;
    placement::pin_self(subject.placement().client)?;
    let mut audience = Audience::assemble(&server, workload)?;
    for _ in 0..WARM_UP_BATCHES {
        audience.publish()?;
    }
    let (cpu_before, began) = (server.process.cpu_time()?, Instant::now());
    let mut deliveries = 0;
    while began.elapsed() < duration {
        audience.publish()?;
        deliveries += workload.subscribers * workload.depth;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = server.process.cpu_time()?.saturating_sub(cpu_before);
    Ok(Run {
        cpu_us: cpu.as_secs_f64() * 1e6 / deliveries as f64,
        deliveries_per_s: deliveries as f64 / elapsed,
    })
}

/// A publisher and those who subscribe to it.
struct Audience {
    publisher: Connection,
    subscribers: Vec<Connection>,
    /// What the publisher sends at once, and what it and each subscriber must read then.
    batch: Vec<u8>,
    replies: Vec<u8>,
    messages: Vec<u8>,
    read: Vec<u8>,
}

impl Audience {
    fn assemble(server: &Server, workload: Workload) -> Result<Audience> {
        let payload = vec![b'm'; workload.payload];
        let (mut command, mut message) = (Vec::new(), Vec::new());
        encode(&[b"PUBLISH", CHANNEL, &payload], &mut command);
        encode(&[b"message", CHANNEL, &payload], &mut message);
        let reply = format!(":{}\r\n", workload.subscribers);
        let mut confirmation = Vec::new();
        encode(&[b"subscribe", CHANNEL], &mut confirmation);
        confirmation[1] = b'3';
        confirmation.extend_from_slice(b":1\r\n");
        let mut subscribers = Vec::new();
        let mut read = Vec::new();
        for _ in 0..workload.subscribers {
            let mut subscriber = server.connect()?;
            subscriber.queue(&[b"SUBSCRIBE", CHANNEL]);
            subscriber.flush()?;
            subscriber.expect(&confirmation, &mut read)?;
            subscribers.push(subscriber);
        }
        Ok(Audience {
            publisher: server.connect()?,
            subscribers,
            batch: command.repeat(workload.depth),
            replies: reply.repeat(workload.depth).into_bytes(),
            messages: message.repeat(workload.depth),
            read,
        })
    }

    /// Publishes a batch and waits until everybody has all of it.
    fn publish(&mut self) -> Result<()> {
        self.publisher.send(&self.batch)?;
        self.publisher.expect(&self.replies, &mut self.read)?;
        for subscriber in &mut self.subscribers {
            subscriber.expect(&self.messages, &mut self.read)?;
        }
        Ok(())
    }
}

fn judged(
    subjects: &[Subject],
    workloads: &[Workload],
    runs: &BTreeMap<(Workload, usize), Vec<Run>>,
) -> Table {
    let figures = [
        ("bytes", 0),
        ("subscribers", 0),
        ("depth", 0),
        ("ratio", 2),
        ("least", 2),
        ("most", 2),
        ("bound", 2),
    ];
    let title = "Bounds: ratio of CPU time a delivery to the cheapest of Redis and kevy with as many shards";
    let mut table = Table::new(title, "server beside verdict", &figures);
    let cost = |runs: &[Run]| Spread::of(runs.iter().map(|run| run.cpu_us)).median;
    let (ours, others): (Vec<usize>, Vec<usize>) =
        (0..subjects.len()).partition(|&of| subjects[of].product == percore(1).product);
    for &workload in workloads {
        let of = |subject: usize| &*runs[&(workload, subject)];
        for &subject in &ours {
            // Where client and server share cores, a delivery costs something else.
            let is_comparable = |&&other: &&usize| {
                let shards = subjects[other].shards;
                subjects[other] == REDIS || shards == subjects[subject].shards
            };
            let comparable = others.iter().filter(is_comparable);
            let cheapest = comparable.min_by(|&&a, &&b| cost(of(a)).total_cmp(&cost(of(b))));
            let Some(&cheapest) = cheapest else {
                continue;
            };
            let rounds = of(subject).iter().zip(of(cheapest));
            let ratio = Spread::of(rounds.map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us));
            let verdict = match ratio.median <= RATIO_MAX {
                true => "holds",
                false => "BROKEN",
            };
            let judged = [ratio.median, ratio.least, ratio.most, RATIO_MAX];
            let figures = workload.figures().into_iter().chain(judged);
            table.row(
                &[&subjects[subject], &subjects[cheapest], &verdict],
                &figures.collect::<Vec<_>>(),
            );
        }
    }
    table
}
