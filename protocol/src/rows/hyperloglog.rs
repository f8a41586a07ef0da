//! HyperLogLogs: how many different elements, roughly. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! hyperloglog_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "pfadd" => keyed(hyperloglog::pfadd) {
        arity -2; flags [WRITE DENYOOM FAST]; acl [HYPERLOGLOG]; keys [at(1) range(0, 1, 0) RW INSERT];
        group HyperLogLog; since "2.8.9"; complexity "O(1)";
        syntax "key [element]...";
        summary "Adds elements to a HyperLogLog.";
    }

    "pfcount" => keyed(hyperloglog::pfcount) {
        arity -2; flags [READONLY]; acl [HYPERLOGLOG]; keys [at(1) range(-1, 1, 0) RW ACCESS];
        traits [REPLICATED];
        group HyperLogLog; since "2.8.9"; complexity "O(1)";
        syntax "key...";
        summary "About how many different elements HyperLogLogs have seen.";
    }

    "pfdebug" => keyed(hyperloglog::pfdebug) {
        arity 3; flags [WRITE DENYOOM ADMIN]; acl [HYPERLOGLOG]; keys [at(2) range(0, 1, 0) RW ACCESS];
        group HyperLogLog; since "2.8.9"; complexity "";
        syntax "subcommand key";
        summary "The inside of a HyperLogLog, for tests.";
    }

    "pfmerge" => keyed(hyperloglog::pfmerge) {
        arity -2; flags [WRITE DENYOOM]; acl [HYPERLOGLOG]; keys [at(1) range(0, 1, 0) RW ACCESS INSERT, at(2) range(-1, 1, 0) RO ACCESS];
        group HyperLogLog; since "2.8.9"; complexity "O(N)";
        syntax "destkey sourcekey...";
        summary "Merges HyperLogLogs into one.";
    }

    "pfselftest" => session(help::pfselftest) {
        arity 1; flags [ADMIN]; acl [HYPERLOGLOG]; keys [];
        group HyperLogLog; since "2.8.9"; complexity "";
        syntax "";
        summary "Tests the HyperLogLog code.";
    }

} } }
