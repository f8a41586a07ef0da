//! The files of a server: snapshots, the append-only log, and what is left of them after a crash.
//!
//! - [`log_file`] is one file of the log on a disk that may fail; [`fsync_scheduler`] says which
//!   shard's file is synced when.
//! - [`manifest`] names the files of the log, and is replaced whole; what it does not name any more
//!   goes by [`deferred_truncate`].
//! - [`recovery`] finds where log files end after a crash.
//! - [`redis_log`] finds a log that Redis wrote, by [`redis_manifest`].
//! - [`page_cache`] keeps a snapshot's pages from being written out all at once.
//! - [`progress`] tells how far loading has come.
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
pub mod page_cache;
pub mod progress;
pub mod recovery;
pub mod redis_log;
pub mod redis_manifest;
pub mod rewriting;
pub mod snapshot_file;
