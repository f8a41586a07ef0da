//! `overhead`: what it costs to be able to watch percore, and to watch it.
//!
//! One server with different flags, in interleaved rounds: as it comes, with everything off
//! that can be turned off, and with a scraper that asks for the metrics once a second. GET and SET,
//! 16 deep, one shard.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::redis_benchmark::{self, KEYS, Workload};
use crate::report::Table;
use crate::series::Spread;
use crate::servers::{Selection, Server, free_port};
use crate::subject::percore;
use crate::{Error, Result};

/// Being watched may cost so much more than being left alone.
const RATIO_MAX: f64 = 1.02;

/// Between two scrapes: more often than anybody does.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

const COMMANDS: [&str; 2] = ["GET", "SET"];

/// How the server is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// As it comes.
    Default,
    /// Nothing is timed for its own sake.
    Off,
    /// As it comes, and scraped.
    Scraped,
}

const WATCHES: [(&str, Watch); 3] = [
    ("default", Watch::Default),
    ("off", Watch::Off),
    ("scraped", Watch::Scraped),
];

/// Measures `rounds` rounds of `requests` commands each.
pub fn run(selection: &Selection, rounds: u64, requests: u64) -> Result<Vec<Table>> {
    let title = format!("Server CPU an operation, watched and not: medians of {rounds} rounds");
    let figures = [("cpu us/op", 4), ("ratio", 3), ("least", 3), ("most", 3)];
    let mut table = Table::new(title, "watch command verdict", &figures);
    selection.subjects(&[percore(1)], &mut table)?;
    let mut cpu = vec![Vec::new(); WATCHES.len() * COMMANDS.len()];
    for round in 1..=rounds {
        for (at, (name, watch)) in WATCHES.iter().enumerate() {
            eprintln!("round {round}/{rounds}: {name}");
            for (of, command) in COMMANDS.iter().enumerate() {
                let workload = Workload {
                    command,
                    words: None,
                    pipeline: 16,
                    requests,
                };
                cpu[of * WATCHES.len() + at].push(measure(selection, *watch, workload)?);
            }
        }
    }
    for (of, command) in COMMANDS.iter().enumerate() {
        let base = &cpu[of * WATCHES.len()];
        for (at, (name, watch)) in WATCHES.iter().enumerate() {
            let series = &cpu[of * WATCHES.len() + at];
            let ratio = Spread::of(series.iter().zip(base).map(|(this, base)| this / base));
            let verdict = match *watch == Watch::Scraped {
                true if ratio.median <= RATIO_MAX => "holds",
                true => "BROKEN",
                false => "",
            };
            let figures = [
                Spread::of(series.iter().copied()).median,
                ratio.median,
                ratio.least,
                ratio.most,
            ];
            table.row(&[name, command, &verdict], &figures);
        }
    }
    table.note("ratio: over the default, round by round; off: no slow log, no latency tracking");
    Ok(vec![table])
}

/// Microseconds of CPU time an operation.
fn measure(selection: &Selection, watch: Watch, workload: Workload) -> Result<f64> {
    let port = free_port()?;
    let flags: &[&str] = &match watch {
        Watch::Default => vec![],
        Watch::Off => vec![
            "--slowlog-log-slower-than",
            "-1",
            "--latency-tracking",
            "no",
        ],
        Watch::Scraped => vec!["--metrics-port"],
    };
    let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    if watch == Watch::Scraped {
        flags.push(port.to_string());
    }
    let server = Server::start_with(selection, percore(1), &flags)?;
    server.connect()?.fill(KEYS)?;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let scraping =
            (watch == Watch::Scraped).then(|| scope.spawn(|| scrape_until(port, &ended)));
        let before = server.process.cpu_time()?;
        let run = redis_benchmark::run(server.port, percore(1).placement(), workload);
        let spent = server.process.cpu_time()?.saturating_sub(before);
        ended.store(true, Ordering::Relaxed);
        let scraped = scraping.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join);
        scraped.map_err(|_| Error::from("the scraper panicked"))??;
        run?;
        Ok(spent.as_secs_f64() * 1e6 / workload.requests as f64)
    })
}

/// Asks for the metrics again and again.
fn scrape_until(port: u16, ended: &AtomicBool) -> Result<()> {
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            next += SCRAPE_INTERVAL;
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.write_all(
                b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            )?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            if !text.contains("percore_") {
                return Err(format!("these are no metrics: {text:.200}").into());
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
