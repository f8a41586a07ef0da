//! Redis's Lua, as far as it needs no keys: one virtual machine, its sandbox and libraries, and the
//! stack on which a script stands still while somebody else runs the command that it has called.
//!
//! From the bottom up, and each uses those before it alone:
//!
//! - [`script`] is a script's text and what its first line says; [`library`] one of functions.
//! - `step` is what a machine and its driver say to one another.
//! - `state` is C Lua: the one module that calls it. `fiber` is that stack.
//! - `context` is what the functions that Lua calls share. The generator of `math.random` is in it
//!   (`random`).
//! - `errors` makes errors of Lua and of RESP, `convert` brings all other values from one to the
//!   other; `ask` is how a script stands still, and how it is made to end.
//! - Lua's own functions where Redis's differ are in `builtins`, the table `redis` in `api`, and
//!   cjson, cmsgpack, struct and bit in `libs`. `load` is how libraries of functions get in.
//! - `sandbox` puts these together: all that scripts may touch. `run` is what the fiber does.
//! - [`machine`] runs scripts. It never calls out: it *steps*, and each [`machine::Step`] says what
//!   is wanted before the next. So whoever drives it may take as long as he likes, let other work
//!   run in between, or give the script up.
//! - [`store`] and [`libraries`] are what a process knows of both, for all its shards.

pub mod libraries;
pub mod library;
pub mod machine;
pub mod script;
pub mod store;

mod api;
mod ask;
mod builtins;
mod context;
mod convert;
mod errors;
mod fiber;
mod libs;
mod load;
mod random;
mod run;
mod sandbox;
mod state;
mod step;
#[cfg(test)]
mod tests;
