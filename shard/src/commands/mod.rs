//! Commands about connections, the process and the whole server, one file a family. Those on data
//! are in crate `engine`.

pub mod acl;
pub mod acl_log;
pub mod blocking;
pub mod client;
pub mod client_kill;
pub mod client_pause;
pub mod cluster;
pub mod command;
pub mod config;
pub mod connection;
pub mod debug;
pub mod debug_protocol;
pub mod function;
pub mod help;
pub mod info;
pub mod info_clients;
pub mod info_cpu;
pub mod info_keyspace;
pub mod info_memory;
pub mod keyspace;
pub mod latency;
pub mod memory;
pub mod module;
pub mod persistence;
pub mod pubsub;
pub mod replication;
pub mod script;
pub mod server;
pub mod slowlog;
pub mod tracking;
pub mod transaction;
pub mod wait;
