//! Scripts and functions. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! script_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "eval" => script(EVAL) {
        arity -3; flags [NOSCRIPT SKIP_MONITOR NO_MANDATORY_KEYS STALE]; acl [SCRIPTING]; keys [at(2) keynum(0, 1, 1) RW ACCESS UPDATE];
        behind Script;
        traits [REPLICATED LONG];
        group Scripting; since "2.6.0"; complexity "that of the script";
        syntax "script numkeys [key...] [arg...]";
        summary "Runs a Lua script at one instant; what it returns.";
    }

    "eval_ro" => script(EVAL_RO) {
        arity -3; flags [NOSCRIPT SKIP_MONITOR NO_MANDATORY_KEYS STALE READONLY]; acl [SCRIPTING]; keys [at(2) keynum(0, 1, 1) RO ACCESS];
        behind Script;
        traits [LONG];
        group Scripting; since "7.0.0"; complexity "that of the script";
        syntax "script numkeys [key...] [arg...]";
        summary "Runs a Lua script that may only read; what it returns.";
    }

    "evalsha" => script(EVALSHA) {
        arity -3; flags [NOSCRIPT SKIP_MONITOR NO_MANDATORY_KEYS STALE]; acl [SCRIPTING]; keys [at(2) keynum(0, 1, 1) RW ACCESS UPDATE];
        behind Script;
        traits [REPLICATED LONG];
        group Scripting; since "2.6.0"; complexity "that of the script";
        syntax "sha1 numkeys [key...] [arg...]";
        summary "Runs a script that is known, by its SHA1; what it returns, or NOSCRIPT.";
    }

    "evalsha_ro" => script(EVALSHA_RO) {
        arity -3; flags [NOSCRIPT SKIP_MONITOR NO_MANDATORY_KEYS STALE READONLY]; acl [SCRIPTING]; keys [at(2) keynum(0, 1, 1) RO ACCESS];
        behind Script;
        traits [LONG];
        group Scripting; since "7.0.0"; complexity "that of the script";
        syntax "sha1 numkeys [key...] [arg...]";
        summary "Runs a known script that may only read; what it returns, or NOSCRIPT.";
    }

    "fcall" => script(FCALL) {
        arity -3; flags [NOSCRIPT SKIP_MONITOR NO_MANDATORY_KEYS STALE]; acl [SCRIPTING]; keys [at(2) keynum(0, 1, 1) RW ACCESS UPDATE];
        behind Script;
        traits [REPLICATED LONG];
        group Scripting; since "7.0.0"; complexity "that of the function";
        syntax "function numkeys [key...] [arg...]";
        summary "Runs a function of a library at one instant; what it returns.";
    }

    "fcall_ro" => script(FCALL_RO) {
        arity -3; flags [NOSCRIPT SKIP_MONITOR NO_MANDATORY_KEYS STALE READONLY]; acl [SCRIPTING]; keys [at(2) keynum(0, 1, 1) RO ACCESS];
        behind Script;
        traits [LONG];
        group Scripting; since "7.0.0"; complexity "that of the function";
        syntax "function numkeys [key...] [arg...]";
        summary "Runs a function that may only read; what it returns.";
    }

    "script" => container {
        arity -2; flags []; acl []; keys [];
        group Scripting; since "2.6.0"; complexity "";
        syntax "";
        summary "Commands about known scripts.";
    }

    "script|debug" => session(script::debug) {
        arity 3; flags [NOSCRIPT]; acl [SCRIPTING]; keys [];
        group Scripting; since "3.2.0"; complexity "O(1)";
        syntax "(YES|SYNC|NO)";
        summary "Refused but for NO: there is no debugger of scripts.";
    }

    "script|exists" => session(script::exists) {
        arity -3; flags [NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:agg_logical_and"];
        group Scripting; since "2.6.0"; complexity "O(N)";
        syntax "sha1...";
        summary "For each SHA1, 1 where its script is known, else 0.";
    }

    "script|flush" => session(script::flush) {
        arity -2; flags [NOSCRIPT]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        behind Everything;
        group Scripting; since "2.6.0"; complexity "O(N)";
        syntax "[ASYNC|SYNC]";
        summary "Forgets all scripts.";
    }

    "script|help" => session(script::help) {
        arity 2; flags [LOADING STALE]; acl [SCRIPTING]; keys [];
        group Scripting; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of SCRIPT.";
    }

    "script|kill" => session(script::kill) {
        arity 2; flags [NOSCRIPT ALLOW_BUSY]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_shards", "response_policy:one_succeeded"];
        group Scripting; since "2.6.0"; complexity "O(1)";
        syntax "";
        summary "Ends the script that has run for too long, unless it has written.";
    }

    "script|load" => session(script::load) {
        arity 3; flags [NOSCRIPT STALE]; acl [SCRIPTING]; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Scripting; since "2.6.0"; complexity "O(N)";
        syntax "script";
        summary "Makes a script known; its SHA1.";
    }

    "script|show" => session(script::show) {
        arity 3; flags [NOSCRIPT STALE]; acl [SCRIPTING]; keys [];
        group Scripting; since "8.0.0"; complexity "O(1)";
        syntax "sha1";
        summary "The text of a known script. In Valkey, and not in Redis.";
    }

} } }
