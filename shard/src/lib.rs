//! percore's runtime: shards, one thread and one monoio executor each, that share nothing and exchange batches.
//!
//! A tour, in the order in which a command meets it:
//!
//! - [`accept`] takes a connection; [`connection`] is its task: receive, run, send. [`client`] is what the shard knows of it.
//! - [`dispatch`] parses and looks the verb up once; a command runs here, on its [`slot`]'s owner, or through the coordinator.
//! - [`batch`] carries commands to another shard and replies back, through a [`mailbox`]; [`pending`] keeps replies in order.
//! - [`turn`] is what a shard does once for all its connections; [`cron`] what it does by the clock.
//! - [`locks`] and [`transaction`] make commands on keys of several shards atomic; [`gather`] asks all shards something.
//! - [`context`] is what a data command sees, [`handler`] the table of commands, `commands` the commands, one file a family.
//! - [`digest`] tells whether two servers hold the same.
//! - [`shard`] is everything one thread owns; [`process`] what they share; [`executor`] the driver they run on.

pub mod accept;
pub mod batch;
pub mod blocking;
pub mod client;
pub mod commands;
pub mod config;
pub mod connection;
pub mod context;
pub mod cron;
pub mod digest;
pub mod dispatch;
pub mod error;
pub mod event;
pub mod exec;
pub mod executor;
pub mod field_expiry;
pub mod gather;
pub mod handler;
pub mod locks;
pub mod mailbox;
pub mod message;
pub mod pending;
pub mod process;
pub mod pubsub;
pub mod server;
pub mod shard;
pub mod slot;
pub mod stats;
pub mod stop;
pub mod transaction;
pub mod turn;
pub mod undertaker;
pub mod waiting;
pub mod watch;
pub mod world;

pub use server::{Server, Setup};
pub use stop::StopHandle;
