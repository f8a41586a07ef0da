//! Transactions. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! transaction_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "discard" => session(transaction::discard) {
        arity 1; flags [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]; acl [TRANSACTION]; keys [];
        behind Nothing;
        multi Runs;
        group Transactions; since "2.0.0"; complexity "O(N)";
        syntax "";
        summary "Forgets the commands queued since MULTI.";
    }

    "exec" => session(transaction::exec) {
        arity 1; flags [NOSCRIPT LOADING STALE SKIP_SLOWLOG]; acl [TRANSACTION]; keys [];
        behind Writes;
        multi Executes;
        group Transactions; since "1.2.0"; complexity "that of the queued commands";
        syntax "";
        summary "Runs the commands queued since MULTI at one instant; an array of replies, nil where a watched key changed.";
    }

    "multi" => session(transaction::multi) {
        arity 1; flags [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]; acl [TRANSACTION]; keys [];
        behind Nothing;
        multi Runs;
        group Transactions; since "1.2.0"; complexity "O(1)";
        syntax "";
        summary "Begins a transaction: commands queue until EXEC.";
    }

    "unwatch" => session(transaction::unwatch) {
        arity 1; flags [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]; acl [TRANSACTION]; keys [];
        group Transactions; since "2.2.0"; complexity "O(1)";
        syntax "";
        summary "Forgets all watched keys.";
    }

    "watch" => session(transaction::watch) {
        arity -2; flags [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]; acl [TRANSACTION]; keys [at(1) range(-1, 1, 0) RO];
        multi Runs;
        group Transactions; since "2.2.0"; complexity "O(1)";
        syntax "key...";
        summary "Lets the next EXEC run only if these keys are unchanged until then.";
    }

} } }
