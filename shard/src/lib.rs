//! percore's runtime: shards that share nothing and exchange batches, on one thread a core, each
//! with a monoio executor.
//!
//! A tour, in the order in which a command meets it. What stands beside a file in a folder of its
//! name belongs to it.
//!
//! - [`listening`] is what is listened on; [`accept`] takes a connection, [`tls`] encrypts it;
//!   [`connection`] is its task: receive, run, send. [`client`] is what the shard knows of it:
//!   replies in order, output.
//! - [`access`] is who may do what.
//! - [`dispatch`] parses and looks the verb up once; a command runs on this shard's engine, or on
//!   its owner's.
//! - [`shard`] is the engine with its outside: what that wants done is in `actions`.
//! - [`mailbox`] carries batches of commands to another shard and of replies back, and what engines
//!   say to one another.
//! - [`turn`] is what a shard does once for all its connections; [`cron`] what it does by the
//!   clock.
//! - [`transaction`] is MULTI and EXEC, and what asks several shards; [`blocking`] ends waits.
//! - [`commands`] are those about connections, the process and the server, one file a family; those
//!   on data are the engine's.
//! - [`pubsub`] brings messages to subscribers, [`tracking`] tells clients with caches what has
//!   changed.
//! - [`memory`] knows what all shards use together, and keeps connections within their limits.
//! - [`replication`] brings what was done to replicas.
//! - [`snapshot`] writes RDB files, [`loading`] reads them at the start, [`aof`] is the log; the
//!   crate `persistence` knows the files.
//! - [`timing`] is for SLOWLOG and LATENCY; [`metrics`] is what a scraper gets, [`monitor`] shows
//!   what runs.
//! - [`stop`] ends the server; [`permitted`] says which system calls may be tried where a filter
//!   may be.
//! - [`process`] is what all shards share; [`executor`] the driver they run on, and which thread
//!   runs which.

pub mod accept;
pub mod access;
mod actions;
pub mod aof;
pub mod blocking;
pub mod client;
pub mod commands;
pub mod connection;
pub mod connections;
pub mod cron;
mod debug_delay;
pub mod dispatch;
pub mod executor;
pub mod functions;
pub mod listening;
pub mod loading;
pub mod local_waker;
pub mod log_limiter;
pub mod mailbox;
pub mod memory;
pub mod metrics;
pub mod monitor;
pub mod pause;
pub mod permitted;
pub mod process;
pub mod pubsub;
pub mod redact;
pub mod replication;
pub mod server;
pub mod shard;
pub mod snapshot;
pub mod stop;
mod tasks;
pub mod timing;
pub mod tls;
pub mod tracking;
pub mod transaction;
pub mod turn;

pub use listening::{Host, Refused, Sockets, Tcp};
pub use metrics::{Exposition, Metrics};
pub use process::{Allocator, LogControl, Outside};
pub use server::{Server, Setup};
pub use stop::{EndSignal, StopHandle};
