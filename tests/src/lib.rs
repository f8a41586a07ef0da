//! What every black-box test stands on: servers that start on a port of their own and die with the
//! test, a connection that deals in raw bytes, and random commands by family.
//!
//! The binary under test is `percore`, or whatever `PERCORE_BINARY` names; the reference is the
//! Redis 7.4 that `tests/run` prepares. Setting `PERCORE_BINARY=redis-server` tests the tests.
//! Nothing here skips: what is missing fails, saying what to install.
//!
//! * [`server`]: [`Server`](server::Server) and the reference, [`Oracle`](server::Oracle).
//! * [`wire`]: [`Wire`](wire::Wire), a connection.
//! * [`reference`](mod@reference): the servers that say what is right.
//! * [`reply`]: where a reply ends, and what it says.
//! * [`compare`]: when two replies count as the same.
//! * [`contents`]: all that a server holds, key by key.
//! * [`conversation`](mod@conversation): a script for several connections.
//! * [`disk`]: a disk below a server that fails, and loses its power.
//! * [`grammar`]: random commands, a file a family.
//! * [`duel`]: runs sequences of them against both servers, and shrinks those that differ.
//! * [`differences`]: where a newer server answers otherwise than Redis 7.4, by name.
//! * [`history`]: whether what concurrent clients saw could have happened one command at a time.
//! * [`info`]: what INFO says, read once.
//! * [`miniature`]: a few commands on a few keys, the model for it.
//! * [`noise`]: others who publish all the while.
//! * [`tls`]: certificates that a test makes for itself, and a client of TLS.

pub mod binary;
pub mod compare;
pub mod contents;
pub mod conversation;
pub mod differences;
pub mod disk;
pub mod duel;
pub mod grammar;
pub mod history;
pub mod info;
pub mod miniature;
pub mod noise;
pub mod reference;
pub mod reply;
pub mod server;
pub mod tls;
pub mod wire;

pub use reference::Reference;
pub use server::{Options, Oracle, Server};
pub use wire::Wire;

/// Numbers of shards that tests run with: alone, as many as CI has cores, and more.
pub const SHARDS: [u16; 3] = [1, 2, 4];

/// [`SHARDS`], and so many that one has few keys and several run on a thread: for what many shards
/// must agree on.
pub const MANY_SHARDS: [u16; 4] = [1, 2, 4, 8];

/// Those of [`MANY_SHARDS`] that have something to agree on.
pub const SEVERAL_SHARDS: [u16; 3] = [2, 4, 8];

/// For tests that take long: one shard, and a number that is no power of two.
pub const FEW_SHARDS: [u16; 2] = [1, 3];
