//! The rows of the command table, one file a family. See [`crate::table`].

#[macro_use]
mod acl;
#[macro_use]
mod bitmap;
#[macro_use]
mod cluster;
#[macro_use]
mod connection;
#[macro_use]
mod function;
#[macro_use]
mod geo;
#[macro_use]
mod hash;
#[macro_use]
mod hyperloglog;
#[macro_use]
mod keys;
#[macro_use]
mod list;
#[macro_use]
mod module;
#[macro_use]
mod planned;
#[macro_use]
mod pubsub;
#[macro_use]
mod replication;
#[macro_use]
mod script;
#[macro_use]
mod server;
#[macro_use]
mod set;
#[macro_use]
mod sorted_set;
#[macro_use]
mod stream;
#[macro_use]
mod string;
#[macro_use]
mod transaction;
