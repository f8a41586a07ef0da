//! What every black-box test stands on: servers that start on a port of their own and die with the test, a connection that deals
//! in raw bytes, and random commands by family.
//!
//! The binary under test is `percore`, or whatever `PERCORE_BINARY` names; the reference is the Redis 7.4 that `tests/run` prepares,
//! or else `redis-server` from the `PATH`.
//! Setting `PERCORE_BINARY=redis-server` tests the tests. Nothing here skips: what is missing fails, saying what to install.
//!
//! * [`server`]: [`Server`](server::Server) and the reference, [`Oracle`](server::Oracle).
//! * [`wire`]: [`Wire`](wire::Wire), a connection.
//! * [`reply`]: where a reply ends, and what it says.
//! * [`compare`]: when two replies count as the same.
//! * [`contents`]: all that a server holds, key by key.
//! * [`disk`]: a disk below a server that fails, and loses its power.
//! * [`grammar`]: random commands, a file a family.
//! * [`duel`]: runs sequences of them against both servers, and shrinks those that differ.
//! * [`history`]: whether what concurrent clients saw could have happened one command at a time.
//! * [`miniature`]: a few commands on a few keys, the model for it.
//! * [`noise`]: others who publish all the while.

pub mod binary;
pub mod compare;
pub mod contents;
pub mod differences;
pub mod disk;
pub mod duel;
pub mod grammar;
pub mod history;
pub mod miniature;
pub mod noise;
pub mod reply;
pub mod server;
pub mod wire;

pub use server::{Options, Oracle, Server};
pub use wire::Wire;
