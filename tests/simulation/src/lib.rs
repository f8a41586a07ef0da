//! A world around the real engines of a few shards, in one thread and from one seed.
//!
//! Messages of each pair of shards come in order and otherwise in any order; clients come, vanish
//! and wait; time jumps. Whatever takes effect runs at that very instant on a model too, which is
//! one engine with one shard: every reply must be the model's, and so must all data be in the end.
//! That is strict serializability, since a command takes effect between its call and its reply.
//!
//! - [`world`] orders what happens, and is the outside of every engine.
//! - [`client`] is one connection, [`draw`] what it asks; [`scripts`] are those that it runs.
//! - [`model`] says what must come of it, [`log`] what the logs would bring back.
//! - [`explore`] runs small worlds in every order.
//!
//! A seed decides everything: a run that fails fails again.

pub mod client;
pub mod clock;
pub mod draw;
pub mod explore;
pub mod log;
pub mod model;
pub mod outside;
pub mod scripts;
pub mod world;

pub use explore::{Explored, explore};
pub use world::{Report, Size, run};
