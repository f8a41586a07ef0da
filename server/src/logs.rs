//! The log: `tracing` events as lines for people, for programs or as Redis writes them, to standard
//! output or a file, at a level that may change while running.
//!
//! The levels are Redis's, and so are their names in the lines: debug (TRACE of tracing), verbose
//! (DEBUG), notice (INFO), warning (WARN). ERROR is a warning, too, of what needs somebody at once.

mod json;
mod output;
mod redis;
mod text;
mod visit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use config::{Config, LogFormat, LogLevel};
use shard::LogControl;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::Failure;
use crate::logs::output::Output;

/// Lines of a backtrace that are logged at the most.
const BACKTRACE_LINES_MAX: usize = 200;

/// Whether lines go to a file.
static IN_FILE: AtomicBool = AtomicBool::new(false);

/// Whether what is logged stands in a file, where whoever reads standard error does not see it.
pub fn is_in_file() -> bool {
    IN_FILE.load(Ordering::Relaxed)
}

/// Begins the log. Returns what changes it, and what opens its file anew.
pub fn start(config: &Config) -> Result<(LogControl, Reopen), Failure> {
    let output = Arc::new(Output::stdout());
    if let Some(path) = config.log_path() {
        output.to_file(&path).map_err(|error| {
            Failure(format!(
                "cannot open the log file {}: {error}; choose another with --logfile",
                path.display()
            ))
        })?;
        IN_FILE.store(true, Ordering::Relaxed);
    }
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    tracing_subscriber::registry()
        .with(lines(config.log_format, output.clone()).with_filter(level))
        .try_init()
        .map_err(|error| Failure(format!("cannot begin the log: {error}")))?;
    let writes_to = output.clone();
    let control = LogControl {
        set_level: Box::new(move |level| {
            // It fails only when the log is gone.
            let _ = handle.reload(filter(level));
        }),
        set_file: Box::new(move |path| {
            match path {
                Some(path) => writes_to.to_file(path)?,
                None => writes_to.to_stdout(),
            }
            IN_FILE.store(path.is_some(), Ordering::Relaxed);
            Ok(())
        }),
    };
    Ok((control, Reopen(output)))
}

/// Opens the log's file anew, as SIGHUP asks for.
pub struct Reopen(Arc<Output>);

impl Reopen {
    /// Returns whether there is a file.
    pub fn reopen(&self) -> std::io::Result<bool> {
        self.0.reopen()
    }
}

/// What turns events into lines.
fn lines(format: LogFormat, output: Arc<Output>) -> Box<dyn Layer<Registry> + Send + Sync> {
    // A log that cannot be written must not take the server down.
    let layer = fmt::layer()
        .with_writer(output.clone())
        .log_internal_errors(false);
    match format {
        LogFormat::Text => layer
            .fmt_fields(visit::TextFields)
            .event_format(text::Line { output })
            .boxed(),
        LogFormat::Redis => layer
            .fmt_fields(visit::TextFields)
            .event_format(redis::Line::new())
            .boxed(),
        LogFormat::Json => layer
            .fmt_fields(json::Fields)
            .event_format(json::Line)
            .boxed(),
    }
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

/// What Redis calls a level.
fn name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "debug",
        Level::DEBUG => "verbose",
        Level::INFO => "notice",
        Level::WARN => "warning",
        Level::ERROR => "error",
    }
}

/// What Redis marks the lines of a level with.
fn mark(level: Level) -> char {
    match level {
        Level::TRACE => '.',
        Level::DEBUG => '-',
        Level::INFO => '*',
        Level::WARN | Level::ERROR => '#',
    }
}

/// Lets a panic on any thread be logged and end the process: a server without one of its shards
/// would hold only part of the keys.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::force_capture().to_string();
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            %panic,
            "a bug in percore: the process ends"
        );
        for line in backtrace.lines().take(BACKTRACE_LINES_MAX) {
            tracing::error!("{line}");
        }
        eprintln!("percore: a bug: {panic}\n{backtrace}");
        std::process::abort();
    }));
}
