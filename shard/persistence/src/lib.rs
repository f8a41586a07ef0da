//! The files of a server: snapshots, the append-only log, and what is left of them after a crash.
//!
//! - [`disk`] is what files lie on; [`file_system`] is the machine's, [`memory_disk`] a model for
//!   tests that fails and loses what it may.
//! - [`snapshot_file`] writes a snapshot; [`page_cache`] keeps its pages from being written out all
//!   at once.
//! - [`log_file`] is one file of the log on a disk that may fail; [`fsync_scheduler`] says which
//!   shard's file is synced when.
//! - [`manifest`] names the files of the log; [`rewriting`] puts a new snapshot and new files in
//!   their place, and what is not named any more goes by [`deferred_truncate`].
//! - [`recovery`] finds where log files end after a crash, and cuts them off there;
//!   [`not_started`] says why a log cannot be gone on with.
//! - [`redis_log`] finds a log that Redis wrote, by [`redis_manifest`].
//! - [`check`] tells what is in the files; [`progress`] tells how far loading has come.
//! - [`data_lock`] keeps two servers from writing the same files.
//!
//! Nothing here knows of shards, connections or commands. A shard is a number.

pub mod check;
pub mod data_lock;
pub mod deferred_truncate;
pub mod disk;
pub mod file_system;
pub mod fsync_scheduler;
pub mod log_file;
pub mod manifest;
pub mod memory_disk;
pub mod not_started;
pub mod page_cache;
pub mod progress;
pub mod recovery;
pub mod redis_log;
pub mod redis_manifest;
pub mod rewriting;
pub mod snapshot_file;
