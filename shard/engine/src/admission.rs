//! What keeps a shard from running commands that it could otherwise run: it loads, or snapshots
//! fail.
//!
//! While nothing does, a command pays one branch.

use std::sync::Arc;

use config::Config;
use protocol::command::{Command, Flags};
use protocol::facts::Traits;

use crate::error::Error;

const LOADING: Error = Error::new("LOADING Redis is loading the dataset in memory");

const SNAPSHOT_FAILED: Error = Error::new(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set \
     are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error \
     option). Please check the Redis logs for details about the RDB error.",
);

/// A script has run for long, and most commands are refused meanwhile.
pub const BUSY_SCRIPT: Error = Error::new(
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
);

/// A function has.
pub const BUSY_FUNCTION: Error = Error::new(
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
);

const LOG_BEHIND: Error = Error::new("MISCONF The disk does not keep up with the AOF file");

/// The state of one shard.
#[derive(Default)]
pub struct Admission {
    /// The data of the files is not all there yet.
    pub loading: bool,
    /// The last snapshot failed: a fact, which the configuration does not change.
    pub snapshot_failed: bool,
    /// And the configuration wants that to be heeded.
    heeds_snapshots: bool,
    /// Shards whose log cannot be written: a transaction may write to any.
    logs_failed: usize,
    /// What the system said when the last of them failed.
    log_error: Option<Arc<str>>,
    /// The disk does not keep up with it.
    pub log_behind: bool,
    /// Scripts of any shard that have run for long, and functions among them.
    pub busy_scripts: usize,
    pub busy_functions: usize,
    /// Some command would be refused.
    pub any: bool,
}

impl Admission {
    /// Called when anything above, or the configuration, has changed.
    pub fn settle(&mut self, config: &Config) {
        self.heeds_snapshots = config.stop_writes_on_bgsave_error && !config.save.0.is_empty();
        let snapshot_failed = self.snapshot_failed && self.heeds_snapshots;
        self.any = self.loading || snapshot_failed || self.logs_failed > 0 || self.log_behind;
        self.any |= self.busy_scripts > 0;
    }

    /// The log of some shard cannot be written.
    pub fn log_failed(&mut self, why: &Arc<str>, config: &Config) {
        self.logs_failed += 1;
        self.log_error = Some(why.clone());
        self.settle(config);
    }

    /// Whether there is a log that cannot be written.
    pub fn a_log_fails(&self) -> bool {
        self.logs_failed > 0
    }

    /// One that could not, can.
    pub fn log_works(&mut self, config: &Config) {
        debug_assert!(self.logs_failed > 0);
        self.logs_failed = self.logs_failed.saturating_sub(1);
        self.settle(config);
    }

    /// Whether `command` of a connection of this shard may run.
    pub fn admit(&self, command: &Command) -> Result<(), Error> {
        if self.loading && !command.flags.contains(Flags::LOADING) {
            return Err(LOADING);
        }
        if !command.flags.contains(Flags::ALLOW_BUSY) {
            self.admit_beside_scripts()?;
        }
        self.admit_forwarded(command)
    }

    /// Refuses what may not run while a script runs for long.
    pub fn admit_beside_scripts(&self) -> Result<(), Error> {
        match (self.busy_scripts, self.busy_functions) {
            (0, _) => Ok(()),
            (_, 0) => Err(BUSY_SCRIPT),
            _ => Err(BUSY_FUNCTION),
        }
    }

    /// Whether anything may be written that another shard has admitted.
    pub(crate) fn admit_writes(&self) -> Result<(), Error> {
        self.admit_changes(true)
    }

    /// Whether `command` may run here that another shard has admitted. If that one knows that all
    /// data is there, it is.
    pub fn admit_forwarded(&self, command: &Command) -> Result<(), Error> {
        let writes = command.flags.contains(Flags::WRITE);
        self.admit_changes(writes || command.traits.contains(Traits::FAILS_WITH_DISK))
    }

    fn admit_changes(&self, writes: bool) -> Result<(), Error> {
        if (self.logs_failed > 0 || self.log_behind) && writes {
            return Err(match &self.log_error {
                Some(why) if self.logs_failed > 0 => {
                    Error::from_text(format!("MISCONF Errors writing to the AOF file: {why}"))
                }
                _ => LOG_BEHIND,
            });
        }
        if self.snapshot_failed && self.heeds_snapshots && writes {
            return Err(SNAPSHOT_FAILED);
        }
        Ok(())
    }
}
