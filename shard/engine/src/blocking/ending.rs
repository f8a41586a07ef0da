//! How waits end.

use crate::error::Error;

/// The reply of a command that CLIENT UNBLOCK ends with an error.
pub const UNBLOCKED: Error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// How a wait ends that nothing has served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// As if its time were up.
    TimedOut,
    /// CLIENT UNBLOCK id ERROR.
    Unblocked,
    /// The connection is gone.
    Gone,
}

/// When a wait ends that something is about to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CancelMode {
    /// When that has failed: the element came first.
    AfterTry,
    /// Before that. Whoever holds locks himself, as EXEC does, might wait for it in vain.
    AtOnce,
}
