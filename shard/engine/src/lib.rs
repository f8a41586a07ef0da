//! One shard as a state machine: it decides what happens to its data, and knows no socket, file,
//! clock or thread.
//!
//! A tour, from below.
//!
//! - [`effect`] is what a command did, as a value. [`watch`], [`blocking`], [`notices`],
//!   [`tracking`], [`field_expiry`] and [`journal`] read effects, each with a `heed`; [`effects`]
//!   hands them on.
//! - [`context`] is what a command on data sees; [`commands`] are these, one file a family;
//!   [`handler`] says which runs for a row of the table.
//! - [`header`] travels with a command; [`message`] is what engines say to one another, [`action`]
//!   what an engine wants done outside, [`environment`] what it asks of the outside.
//! - [`transaction`] is what must happen at one instant on several shards: locks, workspace, the
//!   two sides. [`admission`], [`backpressure`], [`eviction`] and [`timing`] are what else a shard
//!   keeps.
//! - [`engine`](mod@engine) puts all that together, and `steps` are what it does with it, one file
//!   a matter.

pub mod action;
pub mod admission;
pub mod backpressure;
pub mod batch;
pub mod blocking;
pub mod commands;
pub mod context;
pub mod digest;
pub mod effect;
pub mod effects;
pub mod engine;
pub mod environment;
pub mod error;
pub mod event;
pub mod eviction;
pub mod field_expiry;
pub mod handler;
pub mod header;
pub mod histogram;
pub mod journal;
pub mod keys;
pub mod ledger;
pub mod lookahead;
pub mod message;
pub mod notices;
pub mod restricted;
pub mod routing;
pub mod script;
pub mod slot;
pub mod stats;
pub mod steps;
pub mod task;
pub mod timing;
pub mod trace;
pub mod tracking;
pub mod transaction;
pub mod watch;
