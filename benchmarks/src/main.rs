//! Side-by-side measurements of percore and other servers that speak Redis's protocol. README.md says how to repeat them and what each figure means.
//!
//! Every server and client started here ends with this program, however it ends (see `process`). All sockets are on 127.0.0.1.

mod bounds;
mod client;
mod compare;
mod growth;
mod idle;
mod memory;
mod placement;
mod process;
mod redis_benchmark;
mod report;
mod servers;
mod spread;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use report::Table;
use servers::{CONNECTIONS_MAX, Selection};

/// What went wrong, in words for whoever runs the benchmark.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Measures percore beside other servers.
#[derive(Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// Print JSON: an array with an object for each table.
    #[arg(long, global = true)]
    json: bool,
    /// A small run, to see that it works; its figures are rough.
    #[arg(long, global = true)]
    quick: bool,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Subcommand)]
enum Benchmark {
    /// CPU time an operation, throughput and latency, with redis-benchmark as the client; judges the project's bounds.
    Compare {
        /// Rounds of all servers [default: 5, quick: 2].
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: Option<u32>,
        /// Commands of a run without a pipeline; 16-deep ones get ten times as many [default: 300000, quick: 50000].
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        requests: Option<u64>,
    },
    /// Resident bytes a key.
    Memory {
        /// Keys [default: 2000000, quick: 200000].
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        keys: Option<u64>,
    },
    /// Latency of GET while the keyspace grows.
    Growth {
        /// Keys at the end [default: 5000000, quick: 500000].
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        keys: Option<u64>,
        /// Keys set a second.
        #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        rate: u64,
    },
    /// Memory of idle connections, and CPU time of an idle server.
    Idle {
        /// Connections [default: 10000, quick: 1000].
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX) - 100))]
        connections: Option<u32>,
        /// Seconds to watch the CPU [default: 10, quick: 2].
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: Option<u64>,
    },
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(tables) if flags.json => {
            let tables: Vec<String> = tables.iter().map(Table::to_json).collect();
            println!("[{}]", tables.join(",\n"));
            ExitCode::SUCCESS
        }
        Ok(tables) => {
            for table in tables {
                println!("{}", table.to_text());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("benchmarks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<Vec<Table>> {
    let selection = &flags.selection;
    let small = flags.quick;
    match flags.benchmark {
        Benchmark::Compare { rounds, requests } => {
            let effort = compare::Effort {
                rounds: rounds.unwrap_or(if small { 2 } else { 5 }),
                requests: requests.unwrap_or(if small { 50_000 } else { 300_000 }),
            };
            compare::run(selection, &effort)
        }
        Benchmark::Memory { keys } => memory::run(
            selection,
            keys.unwrap_or(if small { 200_000 } else { 2_000_000 }),
        ),
        Benchmark::Growth { keys, rate } => growth::run(
            selection,
            keys.unwrap_or(if small { 500_000 } else { 5_000_000 }),
            rate,
        ),
        Benchmark::Idle {
            connections,
            seconds,
        } => idle::run(
            selection,
            connections.unwrap_or(if small { 1_000 } else { 10_000 }),
            Duration::from_secs(seconds.unwrap_or(if small { 2 } else { 10 })),
        ),
    }
}
