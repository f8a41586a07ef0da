//! Side-by-side measurements of percore and other servers that speak Redis's protocol. README.md
//! says how to repeat them and what each figure means.
//!
//! Every server and client started here ends with this program, however it ends (see `process`).
//! All sockets are on 127.0.0.1.

mod audience;
mod bounds;
mod client;
mod collections;
mod compare;
mod durable;
mod durable_files;
mod durable_latency;
mod evict;
mod growth;
mod handoff;
mod idle;
mod memory;
mod overhead;
mod pauses;
mod picture;
mod placement;
mod process;
mod publish;
mod redis_benchmark;
mod report;
mod scripts;
mod series;
mod servers;
mod subject;
mod tls;
mod transactions;
mod types;
mod users;

use std::num::NonZeroU64;
use std::path::PathBuf;
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
    /// Print the tables as Markdown.
    #[arg(long, global = true, conflicts_with = "json")]
    markdown: bool,
    /// A small run, to see that it works; its figures are rough.
    #[arg(long, global = true)]
    quick: bool,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Subcommand)]
enum Benchmark {
    /// CPU time an operation, throughput and latency, with redis-benchmark as the client; judges
    /// the project's bounds.
    Compare {
        /// Rounds of all servers [default: 5, quick: 2].
        #[arg(long)]
        rounds: Option<NonZeroU64>,
        /// Commands of a run without a pipeline; 16-deep ones get ten times as many [default:
        /// 300000, quick: 50000].
        #[arg(long)]
        requests: Option<NonZeroU64>,
    },
    /// CPU time an operation of the commands of each type, 16 deep.
    Types(TypesFlags),
    /// CPU time a script: a rate limiter, a lock's release, keys that are not declared; judges the
    /// project's bounds.
    Scripts {
        /// Rounds of all servers [default: 5, quick: 1].
        #[arg(long)]
        rounds: Option<NonZeroU64>,
        /// Scripts of one key in a run, 16 deep; the others get fewer [default: 1000000, quick:
        /// 100000].
        #[arg(long)]
        requests: Option<NonZeroU64>,
    },
    /// Resident memory of collections.
    Collections {
        /// Elements of each data set [default: 1000000, quick: 100000].
        #[arg(long)]
        elements: Option<NonZeroU64>,
        /// Only the data sets whose names have this in them.
        #[arg(long)]
        only: Option<String>,
    },
    /// Resident bytes a key.
    Memory {
        /// Keys [default: 2000000, quick: 200000].
        #[arg(long)]
        keys: Option<NonZeroU64>,
    },
    /// Hit ratio and memory of a full cache.
    Evict {
        /// Requests [default: 6000000, quick: 600000].
        #[arg(long)]
        requests: Option<NonZeroU64>,
        /// `maxmemory` in MiB [default: 100, quick: 20].
        #[arg(long)]
        mib: Option<NonZeroU64>,
    },
    /// What it costs that data outlasts the process: writing a log, saving, loading, and latency
    /// meanwhile; judges the project's bounds.
    Durable(DurableFlags),
    /// Latency of GET while the keyspace grows.
    Growth {
        /// Keys at the end [default: 5000000, quick: 500000].
        #[arg(long)]
        keys: Option<NonZeroU64>,
        /// Keys set a second [default: 200000].
        #[arg(long)]
        rate: Option<NonZeroU64>,
    },
    /// How long others wait while a command works on a huge collection.
    Pauses {
        /// Elements of each collection [default: 10000000, quick: 100000].
        #[arg(long)]
        elements: Option<NonZeroU64>,
        /// Only the types, or the commands, that have this in them.
        #[arg(long)]
        only: Option<String>,
    },
    /// Memory of idle connections, and CPU time of an idle server.
    Idle(IdleFlags),
    /// What it costs to be able to watch percore, and to watch it; judges the project's bound.
    Overhead {
        /// Rounds of all ways to run it [default: 7, quick: 2].
        #[arg(long)]
        rounds: Option<NonZeroU64>,
        /// Commands of a run [default: 3000000, quick: 300000].
        #[arg(long)]
        requests: Option<NonZeroU64>,
    },
    /// CPU time an operation over TLS, 16 deep and not; judges the project's bounds.
    Tls(tls::Flags),
    /// CPU time an operation as a user with patterns of keys, beside one who may do everything;
    /// judges the project's bound.
    Users(users::Flags),
    /// CPU time a delivered message, by the size of the message and the number of subscribers;
    /// judges the project's bound.
    Publish(PublishFlags),
    /// Commands on keys of several shards: CPU time an operation, what they cost others, and how
    /// fast who waits is served.
    Transactions(TransactionsFlags),
}

#[derive(clap::Args)]
struct TypesFlags {
    /// Rounds of all servers [default: 3, quick: 1].
    #[arg(long)]
    rounds: Option<NonZeroU64>,
    /// Commands of a run; those with large replies or many keys get fewer [default: 1000000,
    /// quick: 100000].
    #[arg(long)]
    requests: Option<NonZeroU64>,
    /// Only these commands, such as `LPUSH,ZADD`.
    #[arg(long, value_delimiter = ',')]
    commands: Option<Vec<String>>,
}

#[derive(clap::Args)]
struct IdleFlags {
    /// Connections [default: 10000, quick: 1000].
    #[arg(long)]
    connections: Option<NonZeroU64>,
    /// Seconds to watch the CPU [default: 10, quick: 2].
    #[arg(long)]
    seconds: Option<NonZeroU64>,
}

#[derive(clap::Args)]
struct DurableFlags {
    /// Rounds of writing [default: 5, quick: 1].
    #[arg(long)]
    rounds: Option<NonZeroU64>,
    /// SETs of a run of writing [default: 400000, quick: 60000].
    #[arg(long)]
    requests: Option<NonZeroU64>,
    /// Keys that are saved and loaded [default: 5000000, quick: 200000].
    #[arg(long)]
    keys: Option<NonZeroU64>,
    /// Saves, loads, and rounds of latency [default: 3, quick: 1].
    #[arg(long)]
    repeats: Option<NonZeroU64>,
    /// Only the parts whose names have this in them: `writing`, `files`, `latency`.
    #[arg(long)]
    only: Option<String>,
    /// Where to draw the latencies, as an SVG.
    #[arg(long)]
    picture: Option<PathBuf>,
}

#[derive(clap::Args)]
struct PublishFlags {
    /// Rounds of all servers [default: 5, quick: 1].
    #[arg(long)]
    rounds: Option<NonZeroU64>,
    /// Milliseconds of a run [default: 1000, quick: 200].
    #[arg(long)]
    millis: Option<NonZeroU64>,
    /// Only the workloads whose names have this in them, such as `16 bytes to 50 1 deep`.
    #[arg(long)]
    only: Option<String>,
}

#[derive(clap::Args)]
struct TransactionsFlags {
    /// Rounds of all servers [default: 5, quick: 1].
    #[arg(long)]
    rounds: Option<NonZeroU64>,
    /// Milliseconds of a run [default: 1000, quick: 200].
    #[arg(long)]
    millis: Option<NonZeroU64>,
    /// Elements handed to waiting clients in a round [default: 4000, quick: 400].
    #[arg(long)]
    handoffs: Option<NonZeroU64>,
    /// Only the workloads whose names have one of these in them, such as `single,mset10`.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<String>>,
}

impl DurableFlags {
    /// How much is measured, where `pick` chooses between what was asked for, and the full and the
    /// quick default.
    fn size(&self, pick: impl Fn(Option<NonZeroU64>, u64, u64) -> u64) -> durable::Size {
        durable::Size {
            rounds: pick(self.rounds, 5, 1),
            requests: pick(self.requests, 400_000, 60_000),
            keys: pick(self.keys, 5_000_000, 200_000),
            repeats: pick(self.repeats, 3, 1),
        }
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(tables) => {
            if flags.json {
                let tables: Vec<String> = tables.iter().map(Table::to_json).collect();
                println!("[{}]", tables.join(",\n"));
            } else {
                let shown = if flags.markdown {
                    Table::to_markdown
                } else {
                    Table::to_text
                };
                let tables: Vec<String> = tables.iter().map(shown).collect();
                println!("{}", tables.join("\n"));
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
    let pick = |asked: Option<NonZeroU64>, full, quick| {
        asked.map_or(if flags.quick { quick } else { full }, NonZeroU64::get)
    };
    match flags.benchmark {
        Benchmark::Compare { rounds, requests } => {
            let (rounds, requests) = (pick(rounds, 5, 2), pick(requests, 300_000, 50_000));
            compare::run(selection, rounds, requests)
        }
        Benchmark::Types(ref flags) => types::run(
            selection,
            pick(flags.rounds, 3, 1),
            pick(flags.requests, 1_000_000, 100_000),
            flags.commands.as_deref(),
        ),
        Benchmark::Scripts { rounds, requests } => {
            let (rounds, requests) = (pick(rounds, 5, 1), pick(requests, 1_000_000, 100_000));
            scripts::run(selection, rounds, requests)
        }
        Benchmark::Collections { elements, ref only } => {
            let elements = pick(elements, 1_000_000, 100_000);
            collections::run(selection, elements, only.as_deref())
        }
        Benchmark::Memory { keys } => memory::run(selection, pick(keys, 2_000_000, 200_000)),
        Benchmark::Evict { requests, mib } => {
            let (requests, mib) = (pick(requests, 6_000_000, 600_000), pick(mib, 100, 20));
            evict::run(selection, requests, mib)
        }
        Benchmark::Durable(ref flags) => durable::run(
            selection,
            &flags.size(pick),
            flags.only.as_deref(),
            flags.picture.as_ref(),
        ),
        Benchmark::Growth { keys, rate } => {
            let (keys, rate) = (pick(keys, 5_000_000, 500_000), pick(rate, 200_000, 200_000));
            growth::run(selection, keys, rate)
        }
        Benchmark::Overhead { rounds, requests } => {
            let (rounds, requests) = (pick(rounds, 7, 2), pick(requests, 3_000_000, 300_000));
            overhead::run(selection, rounds, requests)
        }
        Benchmark::Tls(ref flags) => tls::run(selection, flags.size(pick)),
        Benchmark::Users(ref flags) => users::run(selection, flags.size(pick)),
        Benchmark::Publish(ref flags) => publish::run(
            selection,
            pick(flags.rounds, 5, 1),
            Duration::from_millis(pick(flags.millis, 1000, 200)),
            flags.only.as_deref(),
        ),
        Benchmark::Transactions(ref flags) => transactions::run(
            selection,
            pick(flags.rounds, 5, 1),
            Duration::from_millis(pick(flags.millis, 1000, 200)),
            pick(flags.handoffs, 4000, 400),
            flags.only.as_deref(),
        ),
        Benchmark::Pauses { elements, ref only } => {
            let elements = pick(elements, 10_000_000, 100_000);
            pauses::run(selection, elements, only.as_deref())
        }
        Benchmark::Idle(ref flags) => idle::run(
            selection,
            pick(flags.connections, 10_000, 1_000).min(CONNECTIONS_MAX),
            Duration::from_secs(pick(flags.seconds, 10, 2)),
        ),
    }
}
