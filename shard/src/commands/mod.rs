//! The commands, one file a family.

pub mod bitmap;
pub mod client;
pub mod client_kill;
pub mod command;
pub mod config;
pub mod connection;
pub mod copy;
pub mod debug;
pub mod expiry;
pub mod hyperloglog;
pub mod info;
pub mod keys;
pub mod keyspace;
pub mod lcs;
pub mod list;
pub mod memory;
pub mod object;
pub mod options;
pub mod server;
pub mod stream;
pub mod stream_group;
pub mod stream_info;
pub mod stream_pending;
pub mod stream_read;
pub mod string;
pub mod transaction;
