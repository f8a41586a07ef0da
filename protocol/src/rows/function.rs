//! Libraries of functions. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! function_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "function" => container {
        arity -2; flags []; acl []; keys [];
        group Scripting; since "7.0.0"; complexity "";
        syntax "";
        summary "Commands about libraries of functions.";
    }

    "function|delete" => session(function::delete) {
        arity 3; flags [WRITE NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        libraries Deleted;
        group Scripting; since "7.0.0"; complexity "O(1)";
        syntax "library-name";
        summary "Removes a library and its functions.";
    }

    "function|dump" => session(function::dump) {
        arity 2; flags [NOSCRIPT]; acl [SCRIPTING]; keys [];
        group Scripting; since "7.0.0"; complexity "O(N)";
        syntax "";
        summary "All libraries as bytes, for FUNCTION RESTORE.";
    }

    "function|flush" => session(function::flush) {
        arity -2; flags [WRITE NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        libraries Flushed;
        group Scripting; since "7.0.0"; complexity "O(N)";
        syntax "[ASYNC|SYNC]";
        summary "Removes all libraries.";
    }

    "function|help" => session(function::help) {
        arity 2; flags [LOADING STALE]; acl [SCRIPTING]; keys [];
        group Scripting; since "7.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of FUNCTION.";
    }

    "function|kill" => session(function::kill) {
        arity 2; flags [NOSCRIPT ALLOW_BUSY]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:one_succeeded"];
        group Scripting; since "7.0.0"; complexity "O(1)";
        syntax "";
        summary "Ends the function that has run for too long, unless it has written.";
    }

    "function|list" => session(function::list) {
        arity -2; flags [NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["nondeterministic_output_order"];
        group Scripting; since "7.0.0"; complexity "O(N)";
        syntax "[LIBRARYNAME library-name-pattern] [WITHCODE]";
        summary "The libraries, each with its functions.";
    }

    "function|load" => session(function::load) {
        arity -3; flags [WRITE DENYOOM NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        libraries Loaded;
        group Scripting; since "7.0.0"; complexity "O(N)";
        syntax "[REPLACE] function-code";
        summary "Adds a library, and with REPLACE takes another one's place; its name.";
    }

    "function|restore" => session(function::restore) {
        arity -3; flags [WRITE DENYOOM NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        libraries Restored;
        group Scripting; since "7.0.0"; complexity "O(N)";
        syntax "serialized-value [FLUSH|APPEND|REPLACE]";
        summary "Adds the libraries that FUNCTION DUMP has told.";
    }

    "function|stats" => session(function::stats) {
        arity 2; flags [NOSCRIPT ALLOW_BUSY]; acl [SCRIPTING]; keys [];
        tips ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
        group Scripting; since "7.0.0"; complexity "O(1)";
        syntax "";
        summary "The function that runs, and how many there are.";
    }

} } }
