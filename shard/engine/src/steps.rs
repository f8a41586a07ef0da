//! What an engine does: one file a matter. Each adds to [`crate::engine::Engine`], and uses none of
//! the others but through it.

mod answers;
mod backpressure;
mod blocking;
mod check_out;
mod coordination;
mod divided;
mod eviction;
mod execution;
mod expiry;
mod fence;
mod field_expiry;
mod forwarded;
pub mod functions;
mod invalidations;
mod keys;
mod messages;
mod requests;
mod routing;
pub mod script;
mod script_again;
mod script_calls;
pub mod script_exec;
pub mod script_locks;
pub mod script_programs;
mod shares;
mod timing;
mod workspace;
