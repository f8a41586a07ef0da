//! How long an element takes from a push to the client that waits for it.
//!
//! One thread does both: it lets a client wait, gives the server time to note it, sends the push
//! and reads the waiting client's reply. So no wake-up of a thread of ours is measured, only the
//! server's own.

use std::thread;
use std::time::{Duration, Instant};

use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server};
use crate::subject::Subject;
use crate::transactions::{SUBJECTS, percentile};
use crate::{Result, placement};

/// Two lists on different shards, of two shards and of four: their slots are 5061 and 12182.
const LISTS: [&[u8]; 2] = [b"{bar}list", b"{foo}list"];
/// Clients that wait by turns, so that some are connected to the list's shard and some to others.
const WAITERS: usize = 8;
/// From a client's call to the push: it waits by then.
const SETTLE: Duration = Duration::from_micros(300);

const FIGURES: &[(&str, usize)] = &[("p50 us", 0), ("p90 us", 0), ("p99 us", 0), ("p99.9 us", 0)];

/// What the client waits for.
const KINDS: [(&str, bool); 2] = [("one list", false), ("two lists on two shards", true)];

/// Measures `handoffs` of each kind in each of `rounds` rounds.
pub fn run(selection: &Selection, rounds: u64, handoffs: u64) -> Result<Table> {
    let title = format!(
        "From push to waiting client: {handoffs} in each of {rounds} rounds, medians of the rounds"
    );
    let mut table = Table::new(title, "server waits-for", FIGURES);
    let subjects = selection.subjects(SUBJECTS, &mut table)?;
    let mut seen: Vec<Vec<Vec<f64>>> = vec![Vec::new(); subjects.len() * KINDS.len()];
    for round in 1..=rounds {
        for (of, &subject) in subjects.iter().enumerate() {
            for (at, (name, both)) in KINDS.iter().enumerate() {
                eprintln!("round {round}/{rounds}: {subject}, {name}");
                match measure(selection, subject, *both, handoffs) {
                    Ok(latencies) => seen[of * KINDS.len() + at].push(latencies),
                    Err(error) if round == 1 => {
                        table.note(format!("{subject} cannot do {name}: {error}"))
                    }
                    Err(_) => {}
                }
            }
        }
    }
    for (at, rounds) in seen.iter().enumerate() {
        let at_quantile =
            |quantile| Spread::of(rounds.iter().map(|sorted| percentile(sorted, quantile))).median;
        let figures = [0.5, 0.9, 0.99, 0.999].map(at_quantile);
        table.row(
            &[&subjects[at / KINDS.len()], &KINDS[at % KINDS.len()].0],
            &figures,
        );
    }
    Ok(table)
}

/// Microseconds, sorted.
fn measure(selection: &Selection, subject: Subject, both: bool, handoffs: u64) -> Result<Vec<f64>> {
    let server = Server::start(selection, subject)?;
    placement::pin_self(subject.placement().client)?;
    let mut waiters = (0..WAITERS)
        .map(|_| server.connect())
        .collect::<Result<Vec<_>>>()?;
    let mut pusher = server.connect()?;
    let mut latencies = Vec::new();
    for (turn, waiter) in (0..handoffs).zip((0..WAITERS).cycle()) {
        let waiter = &mut waiters[waiter];
        // Another list for every second time that this client waits.
        let list = LISTS[(turn as usize / WAITERS) % LISTS.len()];
        if both {
            waiter.queue(&[b"BLPOP", LISTS[0], LISTS[1], b"0"])
        } else {
            waiter.queue(&[b"BLPOP", list, b"0"])
        }
        waiter.flush()?;
        thread::sleep(SETTLE);
        pusher.queue(&[b"RPUSH", list, b"element"]);
        let pushed = Instant::now();
        pusher.flush()?;
        waiter.pass_over(1)?;
        latencies.push(pushed.elapsed().as_secs_f64() * 1e6);
        pusher.reply()?;
    }
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}
