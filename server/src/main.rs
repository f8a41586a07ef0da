//! The binary: flags and files become a configuration, sockets are opened, shards start, and
//! signals end them.
//!
//! It knows no command and no data. What keeps it from starting is one line on standard error that
//! says what to do, and exit code 1.

mod check;
mod daemon;
mod descriptors;
mod flags;
mod host;
mod leftovers;
mod listeners;
mod logs;
mod memory;
mod metrics;
mod oom;
mod signals;
mod supervisor;
mod title;

use std::fmt;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use shard::{Allocator, Outside, Server, Setup};
use tracing::{error, info, warn};

use crate::flags::Start;
use crate::host::Process;
use crate::listeners::{Addresses, Listeners};

/// Why percore does not start: a line for the one who started it.
#[derive(Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> ExitCode {
    if shard::permitted::tried() {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            leftovers::remove();
            eprintln!("percore: {failure}");
            if logs::is_in_file() {
                error!("{failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|word| word == "check").is_some() {
        return check::run(args);
    }
    let Some(start) = flags::read(args)? else {
        return Ok(());
    };
    let Start {
        mut config,
        file,
        without_effect,
    } = start;
    // First: what is wrong from here on stands in the log.
    let (log_control, log_file) = logs::start(&config)?;
    fs::read_dir(&config.dir).map_err(|error| {
        Failure(format!(
            "cannot read the directory {}: {error}; make it readable or choose another with --dir",
            config.dir.display()
        ))
    })?;
    if daemon::detach(&config)? {
        return Ok(());
    }
    // Whoever looks at the list of processes may have seen a password by now; nobody does from here
    // on.
    let title = title::Title::take(&config, file.as_deref());
    logs::abort_on_panic();
    info!(
        version = shard::process::VERSION,
        redis_version = shard::process::REDIS_VERSION,
        pid = std::process::id(),
        config_file = file.as_deref().unwrap_or("none"),
        "percore is starting"
    );
    if !without_effect.is_empty() {
        warn!(
            names = without_effect.join(" "),
            "these parameters of Redis are kept and have no effect in percore"
        );
    }
    let fitting = descriptors::raise(config.maxclients, config.shards)?;
    if fitting != config.maxclients {
        config
            .adapt("maxclients", &fitting.to_string())
            .map_err(|error| Failure(format!("maxclients: {error}")))?;
    }
    if config.disable_thp {
        // Before there is data. A kernel that knows no huge pages refuses, and gives none either.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }

    let users = config
        .first_users()
        .map_err(|error| Failure(error.to_string()))?;
    // Before anybody can connect, and so know that there is something to end.
    let ends = signals::catch(log_file)
        .map_err(|error| Failure(format!("cannot catch signals: {error}")))?;
    let Listeners { tcp, tls, unix } = listeners::open(&config)?;
    let (unix, socket_file) = unix.unzip();
    let addresses = Addresses::of(&tcp, &tls);
    let process = Arc::new(Process::new(title, addresses, socket_file));
    process.begin(&config);
    let for_metrics = listeners::open_metrics(&config)?;
    write_pid_file(&config)?;
    let settings = config.clone();
    let server = Server::start(Setup {
        config,
        users,
        config_file: file,
        tcp,
        tls,
        unix,
        host: process.clone(),
        outside: Outside {
            allocator: Allocator {
                used_bytes: memory::of_this_thread,
                give_back: memory::give_back,
                report: memory::report,
            },
            log_control,
            exit: leftovers::exit,
        },
    })
    .map_err(|error| match error.kind() {
        // What was read is not what it should be, and says so itself.
        io::ErrorKind::InvalidData => Failure(error.to_string()),
        _ => Failure(format!(
            "the shards did not start: {error}; if the kernel refuses io_uring, try --io-driver epoll"
        )),
    })?;
    if !for_metrics.is_empty() {
        metrics::serve(for_metrics, server.metrics())
            .map_err(|error| Failure(format!("cannot start the thread for metrics: {error}")))?;
    }
    ends.in_order(server.stop_handle());
    supervisor::tell_ready(&settings);
    let ended = server.wait();

    leftovers::remove();
    info!("percore has ended");
    ended.map_err(|error| Failure(format!("a shard failed: {error}")))
}

fn write_pid_file(config: &config::Config) -> Result<(), Failure> {
    let Some(path) = &config.pidfile else {
        return Ok(());
    };
    let path = config.dir.join(path);
    // Before it is there: a signal may end the process at any time.
    leftovers::add(path.clone());
    fs::write(&path, format!("{}\n", std::process::id())).map_err(|error| {
        Failure(format!(
            "cannot write the process id to {}: {error}; choose another file with --pidfile",
            path.display()
        ))
    })?;
    Ok(())
}
