//! The servers compared: where their programs are, and how each is started for a fair run.
//!
//! All run in memory only, without persistence, on a free port of 127.0.0.1, in a directory of
//! their own that goes away with them.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{self, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;
use crate::client::Connection;
use crate::process::{self, Cores, Process};
use crate::report::Table;
use crate::subject::{Product, Subject};

/// A server that has not answered PING for so long after its start has failed; it may load millions
/// of keys meanwhile.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two looks whether it does.
const START_LOOK: Duration = Duration::from_millis(10);
/// Both output streams of a server, in its directory.
const LOG: &str = "log";
/// More connections than any benchmark here opens.
pub const CONNECTIONS_MAX: u64 = 15_000;

/// Whom to run, and where their programs are.
#[derive(clap::Args)]
pub struct Selection {
    /// Only these servers, such as `redis,kevy-2,percore-1`.
    #[arg(long, global = true, value_delimiter = ',')]
    servers: Option<Vec<Subject>>,
    /// A directory to look in for the servers' programs before target/release, the PATH and
    /// ~/.cargo/bin.
    #[arg(long, global = true)]
    programs: Option<PathBuf>,
}

impl Selection {
    /// The program of `product`; `Err` says what to install.
    fn program(&self, product: Product) -> Result<PathBuf> {
        let (name, remedy) = match product {
            Product::Redis => ("redis-server", "apt-get install redis-server redis-tools"),
            Product::Kevy => ("kevy", "cargo install kevy --version 5.4.0 --locked"),
            Product::Percore => ("percore", "cargo build --release"),
        };
        let chosen = self.programs.as_ref().map(|directory| directory.join(name));
        match chosen
            .filter(|program| program.is_file())
            .or_else(|| found(name))
        {
            // Not made canonical: redis-server may be a link, and acts by the name it is called by.
            Some(program) => Ok(path::absolute(program)?),
            None => Err(format!("{name} is not here: `{remedy}`, or --programs DIR").into()),
        }
    }

    /// Those of `usual` (or of `--servers`) whose programs are here. `table` is told the versions,
    /// what to install for the others, and how busy the machine is.
    pub fn subjects(&self, usual: &[Subject], table: &mut Table) -> Result<Vec<Subject>> {
        let mut subjects = self.servers.as_deref().unwrap_or(usual).to_vec();
        for product in [Product::Redis, Product::Kevy, Product::Percore] {
            if !subjects.iter().any(|subject| subject.product == product) {
                continue;
            }
            match self.program(product) {
                Ok(program) => table.note(version(&program)),
                Err(missing) => {
                    eprintln!("{missing}");
                    table.note(missing.to_string());
                    subjects.retain(|subject| subject.product != product);
                }
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

/// The program called `name`. The release build comes first, whichever build runs this: an
/// unoptimised server is worth no figure.
pub fn found(name: &str) -> Option<PathBuf> {
    let release = env::current_exe().ok()?.parent()?.with_file_name("release");
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo = env::home_dir()?.join(".cargo/bin");
    let directories = [release]
        .into_iter()
        .chain(env::split_paths(&path))
        .chain([cargo]);
    directories
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// The first line of what `program --version` prints.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let line = text.lines().next().unwrap_or("of unknown version");
    format!("{}: {line}", program.display())
}

/// A running server, stopped when dropped.
pub struct Server {
    // Dropped in this order: the process before the directory it lives in.
    /// The server's process.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
    subject: Subject,
    directory: Arc<TempDir>,
}

impl Server {
    /// Starts `subject` on its cores, empty, and waits until it answers.
    pub fn start(selection: &Selection, subject: Subject) -> Result<Server> {
        Self::start_with(selection, subject, &[])
    }

    /// Starts a server with flags of its own, on the cores that its placement gives it.
    pub fn start_with(selection: &Selection, subject: Subject, flags: &[String]) -> Result<Server> {
        let cores = subject.placement().server;
        let directory = Arc::new(tempfile::tempdir()?);
        Self::start_in(selection, subject, cores, directory, flags)
    }

    /// Starts a server on these cores with what it finds in a directory, which goes when nobody has
    /// it any more.
    pub fn start_in(
        selection: &Selection,
        subject: Subject,
        cores: Cores,
        directory: Arc<TempDir>,
        flags: &[String],
    ) -> Result<Server> {
        let program = selection.program(subject.product)?;
        let port = free_port()?;
        let mut command = command(&program, subject, cores, port, directory.path())?;
        command.args(flags);
        let process = Process::start(&subject.to_string(), command, &directory.path().join(LOG))?;
        let mut server = Server {
            process,
            port,
            subject,
            directory,
        };
        let started = Instant::now();
        while started.elapsed() < START_MAX && server.process.exited()?.is_none() {
            let pong = server
                .connect()
                .and_then(|mut connection| connection.ask(&[b"PING"]));
            if pong.is_ok_and(|pong| pong == "PONG") {
                return Ok(server);
            }
            thread::sleep(START_LOOK);
        }
        Err(format!("{subject} did not start").into())
    }

    /// A new connection.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }
}

impl Drop for Server {
    /// Whatever failed first, a server that ended by itself is the reason, and its last words tell
    /// more than its client's.
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.process.exited() {
            let output = fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default();
            eprintln!(
                "{} ended by itself, {status}; its output:\n{output}",
                self.subject
            );
        }
    }
}

fn command(
    program: &Path,
    subject: Subject,
    cores: Cores,
    port: u16,
    directory: &Path,
) -> Result<Command> {
    let mut command = process::pinned(program, cores);
    let (shards, clients) = (subject.shards.to_string(), CONNECTIONS_MAX.to_string());
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.arg("--dir").arg(directory).current_dir(directory);
    match subject.product {
        Product::Redis => command.args(["--save", "", "--maxclients", &clients]),
        Product::Kevy => {
            // It has no flag for this, and finds the file in its working directory.
            let configuration = format!("[server]\nmax_clients = {clients}\n");
            fs::write(directory.join("kevy.toml"), configuration)?;
            command.args(["--no-aof", "--threads", &shards])
        }
        Product::Percore => {
            command.args(["--save", "", "--maxclients", &clients, "--shards", &shards])
        }
    };
    Ok(command)
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
