//! `publish`: what a message costs the server for each subscriber that it is delivered to.
//!
//! One publisher and some subscribers of one channel, in two ways. *Freely*: the publisher waits
//! for its replies only, and the subscribers read what comes; a server may deliver several messages
//! with one write, and how many is its own affair. *In step*: the publisher sends a batch, then
//! every subscriber reads it; each delivery of a batch is a write then, and what is measured is the
//! system's way through a socket and what a server adds to it. CPU time a delivery is what is
//! judged, round by round, of publishers that go freely, as they do.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::audience::Audience;
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

/// Batches that go before those measured.
const WARM_UP_BATCHES: usize = 20;

/// Who waits for whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    Freely,
    InStep,
}

/// What is published to whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Workload {
    pace: Pace,
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

/// Measures `rounds` rounds, each workload (or those whose names have `only` in them) for
/// `duration`, and judges.
pub fn run(
    selection: &Selection,
    rounds: u64,
    duration: Duration,
    only: Option<&str>,
) -> Result<Vec<Table>> {
    let title = format!("Publishing: one publisher, medians of {rounds} rounds");
    let mut table = Table::new(title, "server pace", FIGURES);
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
        table.row(
            &[&subjects[*of], &workload.pace],
            &figures.collect::<Vec<_>>(),
        );
    }
    Ok(vec![table, judged(&subjects, &workloads, &runs)])
}

fn workloads() -> Vec<Workload> {
    let mut workloads = Vec::new();
    for pace in [Pace::Freely, Pace::InStep] {
        for depth in DEPTHS {
            for payload in PAYLOADS {
                workloads.extend(SUBSCRIBERS.map(|subscribers| Workload {
                    pace,
                    payload,
                    subscribers,
                    depth,
                }));
            }
        }
    }
    workloads
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Freely => "freely",
            Self::InStep => "in step",
        })
    }
}

impl Workload {
    fn figures(self) -> [f64; 3] {
        [self.payload, self.subscribers, self.depth].map(|figure| figure as f64)
    }

    fn name(self) -> String {
        let Self {
            pace,
            payload,
            subscribers,
            depth,
        } = self;
        format!("{payload} bytes to {subscribers} {depth} deep {pace}")
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
    let Workload {
        pace,
        payload,
        subscribers,
        depth,
    } = workload;
    let mut audience = Audience::assemble(&server, payload, subscribers, depth)?;
    for _ in 0..WARM_UP_BATCHES {
        audience.publish_in_step()?;
    }
    let (cpu_before, began) = (server.process.cpu_time()?, Instant::now());
    let deliveries = match pace {
        Pace::Freely => audience.go_freely(duration)?,
        Pace::InStep => audience.go_in_step(duration)?,
    };
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = server.process.cpu_time()?.saturating_sub(cpu_before);
    Ok(Run {
        cpu_us: cpu.as_secs_f64() * 1e6 / deliveries as f64,
        deliveries_per_s: deliveries as f64 / elapsed,
    })
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
    let mut table = Table::new(title, "server beside pace verdict", &figures);
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
            let (verdict, bound) = match workload.pace {
                Pace::InStep => ("-", f64::NAN),
                Pace::Freely if ratio.median <= RATIO_MAX => ("holds", RATIO_MAX),
                Pace::Freely => ("BROKEN", RATIO_MAX),
            };
            let judged = [ratio.median, ratio.least, ratio.most, bound];
            let figures = workload.figures().into_iter().chain(judged);
            table.row(
                &[
                    &subjects[subject],
                    &subjects[cheapest],
                    &workload.pace,
                    &verdict,
                ],
                &figures.collect::<Vec<_>>(),
            );
        }
    }
    table
}
