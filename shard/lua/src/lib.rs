//! Redis's Lua, as far as it needs no keys: one virtual machine, its sandbox and libraries, and the
//! stack on which a script stands still while somebody else runs the command that it has called.
//!
//! - [`script`] is a script's text and what its first line says; [`library`] one of functions.
//! - [`store`] and [`libraries`] are what a process knows of both, for all its shards.
//! - [`machine`] runs them. It never calls out: it *steps*, and each [`machine::Step`] says what is
//!   wanted before the next. So whoever drives it may take as long as he likes, let other work run
//!   in between, or give the script up.
//! - `fiber` is that stack, `run` what is done on it, `load` how libraries get there. `state` is C
//!   Lua: the one module that calls it. `context` is what the functions that Lua calls share.
//! - `sandbox` is what scripts may touch: Lua's own functions where Redis's differ (`builtins`,
//!   `random`), the table `redis` (`api`), and in `libs` cjson, cmsgpack, struct and bit.
//! - `convert` brings values from RESP to Lua and back, `errors` errors.

pub mod libraries;
pub mod library;
pub mod machine;
pub mod script;
pub mod store;

mod api;
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
#[cfg(test)]
mod tests;
