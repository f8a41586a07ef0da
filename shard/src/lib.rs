//! percore's runtime: shards, one thread and one monoio executor each, that share nothing and exchange batches.
//!
//! A tour, in the order in which a command meets it:
//!
//! - [`accept`] takes a connection; [`connection`] is its task: receive, run, send. [`client`] is what the shard knows of it.
//! - [`dispatch`] parses and looks the verb up once; a command runs here, on its [`slot`]'s owner, or through the coordinator.
//! - [`batch`] carries commands to another shard and replies back, through a [`mailbox`]; [`pending`] keeps replies in order.
//! - [`turn`] is what a shard does once for all its connections; [`cron`] what it does by the clock.
//! - [`locks`], [`lending`], [`stage`] and [`transaction`] make commands on keys of several shards atomic; [`gather`] asks all shards something.
//! - [`memory`] knows what all shards use together, [`eviction`] keeps it within `maxmemory`, [`client_eviction`] connections within theirs.
//! - [`tracking`] lets clients keep caches: [`tracking_table`] and [`broadcast`] know who is to hear of a key, [`invalidation`] tells them.
//! - [`pubsub`] knows who subscribes, over all shards by its [`registry`]; [`publish`] brings messages to them, [`output`] shares what is sent to many.
//! - [`timing`] measures every command for the [`slowlog`] and the [`latency`] monitor.
//! - [`metrics`] is what a scraper gets; [`outside`] lets its thread ask the shards.
//! - [`footprint`] tells where memory goes, for operators.
//! - [`context`] is what a data command sees, [`handler`] the table of commands, `commands` the commands, one file a family.
//! - [`snapshot`] writes RDB files, [`loading`] reads them at the start; [`refusals`] is what keeps commands from running meanwhile.
//! - [`digest`] tells whether two servers hold the same.
//! - [`shard`] is everything one shard owns; [`process`] what they share; [`executor`] the driver they run on; [`crew`] which thread runs which.

pub mod accept;
pub mod aof;
pub mod aof_manifest;
pub mod aof_start;
pub mod batch;
pub mod blocking;
pub mod broadcast;
pub mod check;
pub mod client;
pub mod client_eviction;
pub mod commands;
pub mod commits;
pub mod config;
pub mod connection;
pub mod context;
pub mod crew;
pub mod cron;
pub mod digest;
pub mod dispatch;
pub mod divided;
pub mod error;
pub mod event;
pub mod eviction;
pub mod exec;
pub mod executor;
pub mod field_expiry;
pub mod footprint;
pub mod gather;
pub mod giving_way;
mod glance;
pub mod handler;
pub mod invalidation;
pub mod journal;
pub mod latency;
pub mod lending;
pub mod loading;
pub mod locks;
pub mod log_file;
pub mod mailbox;
pub mod memory;
pub mod message;
pub mod metrics;
pub mod monitor;
pub mod notify;
pub mod order;
pub mod output;
pub mod output_limit;
pub mod outside;
pub mod pause;
pub mod pending;
pub mod process;
pub mod progress;
pub mod publish;
pub mod pubsub;
pub mod rates;
pub mod redact;
pub mod refusals;
pub mod registry;
pub mod replay;
pub mod server;
pub mod shard;
pub mod slot;
pub mod slowlog;
pub mod snapshot;
pub mod snapshot_file;
pub mod snapshot_walk;
pub mod sparing;
pub mod stage;
pub mod stats;
pub mod stop;
pub mod tails;
pub mod timing;
pub mod tracking;
pub mod tracking_table;
pub mod transaction;
pub mod turn;
pub mod undertaker;
pub mod waiting;
pub mod watch;
pub mod world;

pub use metrics::Metrics;
pub use process::Allocator;
pub use server::{Server, Setup};
pub use stop::StopHandle;
