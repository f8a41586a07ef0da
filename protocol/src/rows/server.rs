//! The server itself: its configuration, its users, its state. See [`crate::table`] for how to read
//! a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! server_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "command" => session(command::command) {
        arity -1; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["nondeterministic_output_order"];
        group Server; since "2.8.13"; complexity "O(N)";
        syntax "";
        summary "All commands and their properties.";
    }

    "command|count" => session(command::count) {
        arity 2; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "";
        summary "How many commands there are.";
    }

    "command|docs" => session(command::docs) {
        arity -2; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["nondeterministic_output_order"];
        group Server; since "7.0.0"; complexity "O(N)";
        syntax "[command-name]...";
        summary "What commands are for and the arguments they take.";
    }

    "command|getkeys" => session(command::getkeys) {
        arity -3; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        group Server; since "2.8.13"; complexity "O(N)";
        syntax "command [arg]...";
        summary "The keys among a command's arguments.";
    }

    "command|getkeysandflags" => session(command::getkeysandflags) {
        arity -3; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        group Server; since "7.0.0"; complexity "O(N)";
        syntax "command [arg]...";
        summary "The keys among a command's arguments, with what is done to each.";
    }

    "command|help" => session(command::help) {
        arity 2; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        group Server; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of COMMAND.";
    }

    "command|info" => session(command::info) {
        arity -2; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["nondeterministic_output_order"];
        group Server; since "2.8.13"; complexity "O(N)";
        syntax "[command-name]...";
        summary "The properties of commands.";
    }

    "command|list" => session(command::list) {
        arity -2; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["nondeterministic_output_order"];
        group Server; since "7.0.0"; complexity "O(N)";
        syntax "[FILTERBY (MODULE module-name|ACLCAT category|PATTERN pattern)]";
        summary "The names of commands.";
    }

    "config" => container {
        arity -2; flags []; acl []; keys [];
        group Server; since "2.0.0"; complexity "";
        syntax "";
        summary "Commands about the configuration.";
    }

    "config|get" => session(config::get) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "2.0.0"; complexity "O(N)";
        syntax "parameter...";
        summary "The values of parameters.";
    }

    "config|help" => session(config::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of CONFIG.";
    }

    "config|resetstat" => session(config::resetstat) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Server; since "2.0.0"; complexity "O(1)";
        syntax "";
        summary "Sets the statistics back to zero.";
    }

    "config|rewrite" => session(config::rewrite) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Server; since "2.8.0"; complexity "O(1)";
        syntax "";
        summary "Writes the configuration in force to its file.";
    }

    "config|set" => session(config::set) {
        arity -4; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        secrets parameters(2);
        group Server; since "2.0.0"; complexity "O(N)";
        syntax "(parameter value)...";
        summary "Changes parameters while the server runs.";
    }

    "dbsize" => whole(keyspace::dbsize) {
        arity 1; flags [READONLY FAST]; acl [KEYSPACE]; keys [];
        tips ["request_policy:all_shards", "response_policy:agg_sum"];
        group Server; since "1.0.0"; complexity "O(1)";
        syntax "";
        summary "How many keys the database has.";
    }

    "debug" => session(debug::debug) {
        arity -2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        traits [DEBUGS];
        group Server; since "1.0.0"; complexity "";
        syntax "subcommand [arg]...";
        summary "Tools for testing the server itself.";
    }

    "flushall" => whole(keyspace::flushall) {
        arity -1; flags [WRITE]; acl [KEYSPACE DANGEROUS]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        databases AllEmptied;
        group Server; since "1.0.0"; complexity "O(N)";
        syntax "[ASYNC|SYNC]";
        summary "Deletes all keys of all databases.";
    }

    "flushdb" => whole(keyspace::flushdb) {
        arity -1; flags [WRITE]; acl [KEYSPACE DANGEROUS]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        databases OneEmptied;
        group Server; since "1.0.0"; complexity "O(N)";
        syntax "[ASYNC|SYNC]";
        summary "Deletes all keys of the database.";
    }

    "info" => session(server::info) {
        arity -1; flags [LOADING STALE]; acl [DANGEROUS]; keys [];
        tips ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
        group Server; since "1.0.0"; complexity "O(1)";
        syntax "[section]...";
        summary "The server's state and statistics.";
    }

    "latency" => container {
        arity -2; flags []; acl []; keys [];
        behind Everything;
        group Server; since "2.8.13"; complexity "";
        syntax "";
        summary "Commands about latency spikes.";
    }

    "latency|doctor" => session(latency::doctor) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
        behind Everything;
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "";
        summary "A report about latency for people.";
    }

    "latency|graph" => session(latency::graph) {
        arity 3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
        behind Everything;
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "event";
        summary "The latencies of an event, drawn.";
    }

    "latency|help" => session(latency::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of LATENCY.";
    }

    "latency|histogram" => session(latency::histogram) {
        arity -2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
        behind Everything;
        group Server; since "7.0.0"; complexity "O(N)";
        syntax "[command]...";
        summary "How the latencies of commands are distributed.";
    }

    "latency|history" => session(latency::history) {
        arity 3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
        behind Everything;
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "event";
        summary "The latencies of an event with their times.";
    }

    "latency|latest" => session(latency::latest) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
        behind Everything;
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "";
        summary "The latest latency of each event.";
    }

    "latency|reset" => session(latency::reset) {
        arity -2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:agg_sum"];
        behind Everything;
        group Server; since "2.8.13"; complexity "O(1)";
        syntax "[event]...";
        summary "Forgets the latencies of events.";
    }

    "lolwut" => session(server::lolwut) {
        arity -1; flags [READONLY FAST]; acl []; keys [];
        group Server; since "5.0.0"; complexity "";
        syntax "[VERSION version]";
        summary "The version, with a piece of art.";
    }

    "memory" => container {
        arity -2; flags []; acl []; keys [];
        group Server; since "4.0.0"; complexity "";
        syntax "";
        summary "Commands about memory.";
    }

    "memory|doctor" => session(memory::doctor) {
        arity 2; flags []; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
        group Server; since "4.0.0"; complexity "O(1)";
        syntax "";
        summary "A report about memory for people.";
    }

    "memory|help" => session(memory::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "4.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of MEMORY.";
    }

    "memory|malloc-stats" => session(memory::malloc_stats) {
        arity 2; flags []; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
        group Server; since "4.0.0"; complexity "";
        syntax "";
        summary "The allocator's own statistics.";
    }

    "memory|purge" => session(memory::purge) {
        arity 2; flags []; acl []; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        group Server; since "4.0.0"; complexity "";
        syntax "";
        summary "Returns free memory to the system.";
    }

    "memory|stats" => session(memory::stats) {
        arity 2; flags []; acl []; keys [];
        tips ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
        group Server; since "4.0.0"; complexity "O(1)";
        syntax "";
        summary "Where memory goes.";
    }

    "memory|usage" => keyed(memory::usage) {
        arity -3; flags [READONLY]; acl []; keys [at(2) range(0, 1, 0) RO];
        group Server; since "4.0.0"; complexity "O(N)";
        syntax "key [SAMPLES count]";
        summary "Bytes of memory that a key and its value take.";
    }

    "monitor" => session(server::monitor) {
        arity 1; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        behind Everything;
        group Server; since "1.0.0"; complexity "";
        syntax "";
        summary "Shows all commands as they run.";
    }

    "shutdown" => session(server::shutdown) {
        arity -1; flags [ADMIN NOSCRIPT LOADING STALE NO_MULTI ALLOW_BUSY]; acl []; keys [];
        group Server; since "1.0.0"; complexity "O(N) when saving";
        syntax "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]";
        summary "Ends the server, after saving where so configured.";
    }

    "slowlog" => container {
        arity -2; flags []; acl []; keys [];
        behind Everything;
        group Server; since "2.2.12"; complexity "";
        syntax "";
        summary "Commands about slow commands.";
    }

    "slowlog|get" => session(slowlog::get) {
        arity -2; flags [ADMIN LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "nondeterministic_output"];
        behind Everything;
        group Server; since "2.2.12"; complexity "O(N)";
        syntax "[count]";
        summary "The latest slow commands.";
    }

    "slowlog|help" => session(slowlog::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "6.2.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of SLOWLOG.";
    }

    "slowlog|len" => session(slowlog::len) {
        arity 2; flags [ADMIN LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"];
        behind Everything;
        group Server; since "2.2.12"; complexity "O(1)";
        syntax "";
        summary "How many slow commands are recorded.";
    }

    "slowlog|reset" => session(slowlog::reset) {
        arity 2; flags [ADMIN LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        behind Everything;
        group Server; since "2.2.12"; complexity "O(N)";
        syntax "";
        summary "Forgets the recorded slow commands.";
    }

    "swapdb" => whole(keyspace::swapdb) {
        arity 3; flags [WRITE FAST]; acl [KEYSPACE DANGEROUS]; keys [];
        databases Swapped;
        group Server; since "4.0.0"; complexity "O(N)";
        syntax "index1 index2";
        summary "Swaps two databases.";
    }

    "time" => session(server::time) {
        arity 1; flags [LOADING STALE FAST]; acl []; keys [];
        tips ["nondeterministic_output"];
        scripts Time;
        group Server; since "2.6.0"; complexity "O(1)";
        syntax "";
        summary "The server's clock: seconds of the Unix epoch, and microseconds.";
    }

    "bgrewriteaof" => session(persistence::bgrewriteaof) {
        arity 1; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "1.0.0"; complexity "O(1)";
        syntax "";
        summary "Rewrites the append-only log in the background.";
    }

    "bgsave" => session(persistence::bgsave) {
        arity -1; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "1.0.0"; complexity "O(1)";
        syntax "[SCHEDULE]";
        summary "Writes a snapshot in the background.";
    }

    "lastsave" => session(persistence::lastsave) {
        arity 1; flags [LOADING STALE FAST]; acl [ADMIN DANGEROUS]; keys [];
        tips ["nondeterministic_output"];
        group Server; since "1.0.0"; complexity "O(1)";
        syntax "";
        summary "When the last snapshot was written, in seconds of the Unix epoch.";
    }

    "save" => session(persistence::save) {
        arity 1; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING NO_MULTI]; acl []; keys [];
        group Server; since "1.0.0"; complexity "O(N)";
        syntax "";
        summary "Writes a snapshot, and answers when it is written.";
    }
} } }
