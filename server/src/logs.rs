//! The log: `tracing` events as lines of text or JSON, to standard output or a file, at a level that may change while running.
//!
//! Redis's levels and tracing's differ by name: debug is TRACE, verbose DEBUG, notice INFO, warning WARN and ERROR.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};

use shard::config::{Config, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::Failure;

/// Changes the level of the log.
pub type SetLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

/// Begins the log. Returns what changes its level.
pub fn start(config: &Config) -> Result<SetLevel, Failure> {
    let (writer, colours) = match &config.logfile {
        None => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
        Some(path) => {
            let path = config.dir.join(path);
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(|error| {
                    Failure(format!(
                        "cannot open the log file {}: {error}; choose another with --logfile",
                        path.display()
                    ))
                })?;
            (BoxMakeWriter::new(file), false)
        }
    };
    // A log that cannot be written must not take the server down.
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Text => fmt::layer()
            .with_writer(writer)
            .with_ansi(colours)
            .with_target(false)
            .log_internal_errors(false)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .with_writer(writer)
            .log_internal_errors(false)
            .boxed(),
    };
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    tracing_subscriber::registry()
        .with(lines.with_filter(level))
        .try_init()
        .map_err(|error| Failure(format!("cannot begin the log: {error}")))?;
    Ok(Box::new(move |level| {
        // It fails only when the log is gone.
        let _ = handle.reload(filter(level));
    }))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

/// Lets a panic on any thread be logged and end the process: a server without one of its shards would hold only part of the keys.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::force_capture();
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            %panic,
            %backtrace,
            "a bug in percore: the process ends"
        );
        eprintln!("percore: a bug: {panic}\n{backtrace}");
        std::process::abort();
    }));
}
