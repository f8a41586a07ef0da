//! The binary: flags and files become a configuration, sockets are opened, shards start, and signals end them.
//!
//! It knows no command and no data. What keeps it from starting is one line on standard error that says what to do, and exit code 1.

mod daemon;
mod descriptors;
mod flags;
mod leftovers;
mod listeners;
mod logs;
mod memory;
mod metrics;
mod signals;
mod supervisor;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::process::ExitCode;

use shard::{Allocator, Server, Setup};
use tracing::{error, info, warn};

use crate::flags::Start;
use crate::listeners::{Listeners, UnixSocketFile};

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
            if daemon::is_detached() {
                error!("{failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut args = std::env::args_os().skip(1).peekable();
    let checks = args.next_if(|word| word == "check").is_some();
    if checks
        && args
            .peek()
            .is_some_and(|word| !word.as_encoded_bytes().starts_with(b"--"))
    {
        let dir = args.next().unwrap_or_default();
        return check([OsString::from("--dir"), dir].into_iter().chain(args));
    } else if checks {
        return check(args);
    }
    let Some(start) = flags::read(args)? else {
        return Ok(());
    };
    let Start {
        mut config,
        file,
        passed_over,
    } = start;
    fs::read_dir(&config.dir).map_err(|error| {
        Failure(format!(
            "cannot read the directory {}: {error}; make it readable or choose another with --dir",
            config.dir.display()
        ))
    })?;
    let log_level = logs::start(&config)?;
    if daemon::detach(&config)? {
        return Ok(());
    }
    logs::abort_on_panic();
    info!(
        version = shard::process::VERSION,
        redis_version = shard::process::REDIS_VERSION,
        pid = std::process::id(),
        config_file = file.as_deref().unwrap_or("none"),
        "percore is starting"
    );
    for name in passed_over {
        warn!(
            name,
            "percore has no use for this parameter of Redis and passes it over"
        );
    }
    config.maxclients = descriptors::raise(config.maxclients, config.shards)?;
    if config.disable_thp {
        // Before there is data. A kernel that knows no huge pages refuses, and gives none either.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }

    // Before anybody can connect, and so know that there is something to end.
    let ends =
        signals::catch().map_err(|error| Failure(format!("cannot catch signals: {error}")))?;
    let Listeners { tcp, unix } = listeners::open(&config)?;
    let (unix, socket_file) = unix.unzip();
    if let Some(file) = &socket_file {
        leftovers::add(file.path().into());
    }
    let for_metrics = listeners::open_metrics(&config)?;
    write_pid_file(&config)?;
    let settings = config.clone();
    let server = Server::start(Setup {
        config,
        config_file: file,
        tcp,
        unix,
        allocator: Allocator {
            used_bytes: memory::of_this_thread,
            give_back: memory::give_back,
            committed_bytes: memory::committed_bytes,
            report: memory::report,
        },
        log_level,
        exit: leftovers::exit,
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

    drop::<Option<UnixSocketFile>>(socket_file);
    leftovers::remove();
    info!("percore has ended");
    ended.map_err(|error| Failure(format!("a shard failed: {error}")))
}

/// `percore check [DIR] [--name value ...]`: tells what is in the data files.
fn check(args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let Some(start) = flags::read(args)? else {
        return Ok(());
    };
    let report = shard::check::check(&start.config);
    print!("{}", report.text);
    match report.damaged {
        true => Err(Failure(
            "there is damage; see above. Restore these files from a copy, or move them away, a log with its folder, to start without their data".into(),
        )),
        false => Ok(()),
    }
}

fn write_pid_file(config: &shard::config::Config) -> Result<(), Failure> {
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
