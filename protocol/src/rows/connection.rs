//! Connections: who is there, and in which protocol. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! connection_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "auth" => session(connection::auth) {
        arity -2; flags [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY]; acl [CONNECTION]; keys [];
        behind Nothing;
        secrets from(1);
        group Connection; since "1.0.0"; complexity "O(N)";
        syntax "[username] password";
        summary "Authenticates the connection.";
    }

    "client" => container {
        arity -2; flags []; acl []; keys [];
        traits [KEEPS_CACHING];
        group Connection; since "2.4.0"; complexity "";
        syntax "";
        summary "Commands about connections.";
    }

    "client|caching" => session(client::caching) {
        arity 3; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "6.0.0"; complexity "O(1)";
        syntax "(YES|NO)";
        summary "Whether the next command's keys are tracked, in the OPTIN and OPTOUT modes.";
    }

    "client|getname" => session(client::getname) {
        arity 2; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "2.6.9"; complexity "O(1)";
        syntax "";
        summary "The connection's name.";
    }

    "client|getredir" => session(client::getredir) {
        arity 2; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "6.0.0"; complexity "O(1)";
        syntax "";
        summary "The client that gets this connection's invalidation messages.";
    }

    "client|help" => session(client::help) {
        arity 2; flags [LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of CLIENT.";
    }

    "client|id" => session(client::id) {
        arity 2; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The connection's number.";
    }

    "client|info" => session(client::info) {
        arity 2; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["nondeterministic_output"];
        group Connection; since "6.2.0"; complexity "O(1)";
        syntax "";
        summary "This connection as CLIENT LIST shows it.";
    }

    "client|kill" => session(client::kill) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        behind Writes;
        group Connection; since "2.4.0"; complexity "O(N)";
        syntax "(ip:port|([ID client-id]|[TYPE (NORMAL|MASTER|SLAVE|REPLICA|PUBSUB)]|[USER username]|[ADDR ip:port]|[LADDR ip:port]|[SKIPME yes/no]|[MAXAGE maxage])...)";
        summary "Closes connections.";
    }

    "client|list" => session(client::list) {
        arity -2; flags [ADMIN NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["nondeterministic_output"];
        group Connection; since "2.4.0"; complexity "O(N)";
        syntax "[TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID client-id...]";
        summary "The open connections, one a line.";
    }

    "client|no-evict" => session(client::no_evict) {
        arity 3; flags [ADMIN NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "7.0.0"; complexity "O(1)";
        syntax "(ON|OFF)";
        summary "Spares this connection when clients are evicted for memory.";
    }

    "client|no-touch" => session(client::no_touch) {
        arity 3; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "7.2.0"; complexity "O(1)";
        syntax "(ON|OFF)";
        summary "Leaves the access times of keys alone when this connection reads them.";
    }

    "client|pause" => session(client::pause) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "2.9.50"; complexity "O(1)";
        syntax "timeout:integer [WRITE|ALL]";
        summary "Holds back commands of clients for a time.";
    }

    "client|reply" => session(client::reply) {
        arity 3; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        multi Mutes;
        group Connection; since "3.2.0"; complexity "O(1)";
        syntax "(ON|OFF|SKIP)";
        summary "Whether the server answers this connection's commands.";
    }

    "client|setinfo" => session(client::setinfo) {
        arity 4; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Connection; since "7.2.0"; complexity "O(1)";
        syntax "(LIB-NAME libname|LIB-VER libver)";
        summary "Records the client library's name or version.";
    }

    "client|setname" => session(client::setname) {
        arity 3; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Connection; since "2.6.9"; complexity "O(1)";
        syntax "connection-name";
        summary "Names the connection.";
    }

    "client|tracking" => session(client::tracking) {
        arity -3; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "6.0.0"; complexity "O(1)";
        syntax "(ON|OFF) [REDIRECT client-id] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]";
        summary "Turns messages about changed keys on or off, for caches on the client's side.";
    }

    "client|trackinginfo" => session(client::trackinginfo) {
        arity 2; flags [NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "6.2.0"; complexity "O(1)";
        syntax "";
        summary "How this connection's tracking is set.";
    }

    "client|unblock" => session(blocking::unblock) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        behind Writes;
        group Connection; since "5.0.0"; complexity "O(log N)";
        syntax "client-id [TIMEOUT|ERROR]";
        summary "Wakes a client that waits in a blocking command.";
    }

    "client|unpause" => session(client::unpause) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl [CONNECTION]; keys [];
        group Connection; since "6.2.0"; complexity "O(N)";
        syntax "";
        summary "Lets paused clients go on.";
    }

    "echo" => session(connection::echo) {
        arity 2; flags [LOADING STALE FAST]; acl [CONNECTION]; keys [];
        behind Nothing;
        group Connection; since "1.0.0"; complexity "O(1)";
        syntax "message";
        summary "The message itself.";
    }

    "hello" => session(connection::hello) {
        arity -1; flags [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY]; acl [CONNECTION]; keys [];
        behind Nothing;
        secrets options(2, "AUTH" 2 secret, "SETNAME" 1 shown);
        group Connection; since "6.0.0"; complexity "O(1)";
        syntax "[protover [AUTH username password] [SETNAME clientname]]";
        summary "Chooses the protocol version, and may authenticate and name the connection.";
    }

    "ping" => session(connection::ping) {
        arity -1; flags [FAST]; acl [CONNECTION]; keys [];
        tips ["request_policy:all_shards", "response_policy:all_succeeded"];
        behind Nothing;
        subscribers Allowed;
        traits [FAILS_WITH_DISK];
        group Connection; since "1.0.0"; complexity "O(1)";
        syntax "[message]";
        summary "PONG, or the message.";
    }

    "quit" => session(connection::quit) {
        arity -1; flags [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY]; acl [CONNECTION]; keys [];
        behind Nothing;
        multi Runs;
        subscribers Allowed;
        group Connection; since "1.0.0"; complexity "O(1)";
        syntax "";
        summary "Closes the connection.";
    }

    "reset" => session(connection::reset) {
        arity 1; flags [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY]; acl [CONNECTION]; keys [];
        behind Nothing;
        multi Runs;
        subscribers Allowed;
        group Connection; since "6.2.0"; complexity "O(1)";
        syntax "";
        summary "Puts the connection back into the state it had when it opened.";
    }

    "select" => session(connection::select) {
        arity 2; flags [LOADING STALE FAST]; acl [CONNECTION]; keys [];
        behind Nothing;
        multi Selects;
        scripts Selects;
        group Connection; since "1.0.0"; complexity "O(1)";
        syntax "index";
        summary "Chooses the connection's database.";
    }
} } }
