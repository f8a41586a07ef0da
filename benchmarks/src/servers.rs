//! The servers compared: where their programs are, how each is started for a fair run, and which cores it and its client get.
//!
//! All run in memory only, without persistence, on a free port of 127.0.0.1, in a directory of their own that goes away with them.

use std::env;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Connection;
use crate::process::{self, Cores, Process};
use crate::report::Table;
use crate::{Error, Result};

/// A server that has not answered PING for so long after its start has failed.
const START_MAX: Duration = Duration::from_secs(20);
/// More connections than any benchmark here opens.
pub const CONNECTIONS_MAX: u64 = 15_000;

/// A program that speaks Redis's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// The reference, one thread for commands.
    Redis,
    /// The cheapest other sharded server known.
    Kevy,
    /// Ours.
    Percore,
}

/// A product with a number of shards: what one line of a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The program.
    pub product: Product,
    /// Its shards; 1 for Redis.
    pub shards: u8,
}

/// Redis, one thread.
pub const REDIS: Subject = Subject {
    product: Product::Redis,
    shards: 1,
};

/// kevy with `shards`.
pub const fn kevy(shards: u8) -> Subject {
    Subject {
        product: Product::Kevy,
        shards,
    }
}

/// percore with `shards`.
pub const fn percore(shards: u8) -> Subject {
    Subject {
        product: Product::Percore,
        shards,
    }
}

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// The server's cores.
    pub server: Cores,
    /// The client's cores.
    pub client: Cores,
}

impl Subject {
    /// One shard has core 0 to itself and the client core 1; with more shards both share the two cores.
    pub fn placement(self) -> Placement {
        match self.shards {
            1 => Placement {
                server: "0",
                client: "1",
            },
            _ => Placement {
                server: "0,1",
                client: "0,1",
            },
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.product {
            Product::Redis => f.write_str("redis"),
            Product::Kevy => write!(f, "kevy-{}", self.shards),
            Product::Percore => write!(f, "percore-{}", self.shards),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Subject, String> {
        let unknown =
            || format!("no server is called {name:?}: redis, kevy-N or percore-N, N from 1 to 64");
        if name == "redis" {
            return Ok(REDIS);
        }
        let (product, shards) = name.split_once('-').ok_or_else(unknown)?;
        let shards = shards
            .parse()
            .ok()
            .filter(|shards| (1..=64).contains(shards))
            .ok_or_else(unknown)?;
        match product {
            "kevy" => Ok(kevy(shards)),
            "percore" => Ok(percore(shards)),
            _ => Err(unknown()),
        }
    }
}

/// Where to look for the programs, and whom to run.
#[derive(clap::Args)]
pub struct Selection {
    /// Only these servers, such as `redis,kevy-2,percore-1`.
    #[arg(long, global = true, value_delimiter = ',')]
    servers: Option<Vec<Subject>>,
    /// The Redis server's program.
    #[arg(long, global = true, default_value = "redis-server")]
    redis: PathBuf,
    /// kevy's program [default: in the PATH or in ~/.cargo/bin].
    #[arg(long, global = true)]
    kevy: Option<PathBuf>,
    /// percore's program [default: target/release/percore].
    #[arg(long, global = true)]
    percore: Option<PathBuf>,
}

impl Selection {
    fn program(&self, product: Product) -> Option<PathBuf> {
        match (product, &self.kevy, &self.percore) {
            (Product::Redis, ..) => found(&self.redis),
            (Product::Kevy, Some(path), _) | (Product::Percore, _, Some(path)) => found(path),
            (Product::Kevy, None, _) => {
                let installed = || found(&env::home_dir()?.join(".cargo/bin/kevy"));
                found(Path::new("kevy")).or_else(installed)
            }
            // Beside target/release/ or target/debug/ alike: an unoptimised server is worth no figure.
            (Product::Percore, _, None) => {
                let program = env::current_exe().ok()?;
                found(&program.parent()?.parent()?.join("release/percore"))
            }
        }
    }

    /// Those of `usual` (or of `--servers`) whose programs are here. `table` is told the versions, what to install for the others, and how busy the machine is.
    pub fn subjects(&self, usual: &[Subject], table: &mut Table) -> Result<Vec<Subject>> {
        let mut subjects = self.servers.as_deref().unwrap_or(usual).to_vec();
        for product in [Product::Redis, Product::Kevy, Product::Percore] {
            if !subjects.iter().any(|subject| subject.product == product) {
                continue;
            }
            if let Some(program) = self.program(product) {
                table.note(version(&program));
            } else {
                eprintln!("{}", missing(product));
                table.note(missing(product));
                subjects.retain(|subject| subject.product != product);
            }
        }
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or_default();
        table.note(format!("load average of the machine at the start: {load}; above 0.3, figures are those of a shared machine"));
        if subjects.is_empty() {
            Err("no server to measure".into())
        } else {
            Ok(subjects)
        }
    }
}

/// How to get a product that is not here.
fn missing(product: Product) -> &'static str {
    match product {
        Product::Redis => {
            "no redis-server: `apt-get install redis-server redis-tools`, or --redis PATH"
        }
        Product::Kevy => "no kevy: `cargo install kevy --version 5.4.0 --locked`, or --kevy PATH",
        Product::Percore => {
            "no percore: `cargo build --release` in the workspace's root, or --percore PATH"
        }
    }
}

/// The absolute path of a program named by path, or by name in the PATH.
pub fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.canonicalize().ok().filter(|path| path.is_file());
    }
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// The first line of what `program --version` prints.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text
        .ok()
        .and_then(|text| text.lines().next().map(str::to_string));
    format!(
        "{}: {}",
        program.display(),
        line.as_deref().unwrap_or("of unknown version")
    )
}

/// A running server, stopped when dropped.
pub struct Server {
    // Dropped in this order: the process before the directory it lives in.
    /// The server's process.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
    _directory: TempDir,
}

impl Server {
    /// Starts `subject` on its cores, empty, and waits until it answers.
    pub fn start(selection: &Selection, subject: Subject) -> Result<Server> {
        let program = selection
            .program(subject.product)
            .ok_or_else(|| Error::from(missing(subject.product)))?;
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let log = directory.path().join("log");
        let command = command(&program, subject, port, directory.path());
        let process = Process::start(&subject.to_string(), command, &log)?;
        let mut server = Server {
            process,
            port,
            _directory: directory,
        };
        let started = Instant::now();
        loop {
            let pong = server
                .connect()
                .and_then(|mut connection| connection.ask(&[b"PING"]));
            if pong.is_ok_and(|pong| pong == "PONG") {
                return Ok(server);
            }
            let exited = server.process.exited()?;
            if exited.is_some() || started.elapsed() > START_MAX {
                let how = exited.map_or("does not answer".into(), |status| {
                    format!("ended with {status}")
                });
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("{subject} {how}; its output:\n{log}").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }
}

fn command(program: &Path, subject: Subject, port: u16, directory: &Path) -> Command {
    let mut command = process::pinned(program, subject.placement().server);
    let (port, clients, shards) = (
        port.to_string(),
        CONNECTIONS_MAX.to_string(),
        subject.shards.to_string(),
    );
    command
        .current_dir(directory)
        .args(["--bind", "127.0.0.1", "--port", &port]);
    command.arg("--dir").arg(directory);
    match subject.product {
        Product::Redis => command.args(["--save", "", "--maxclients", &clients]),
        Product::Kevy => command.args(["--no-aof", "--threads", &shards]),
        Product::Percore => {
            command.args(["--save", "", "--maxclients", &clients, "--shards", &shards])
        }
    };
    command
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for subject in [REDIS, kevy(2), percore(4)] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for wrong in ["", "redis-2", "kevy", "percore-0", "percore-300", "other-1"] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
    }
}
