//! Commands that are known and not written yet: not enabled, so that no client is told that they exist. See [`crate::table`].

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! planned_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "migrate" => session(migrate::migrate) {
        arity -6; flags [WRITE]; acl [KEYSPACE DANGEROUS]; keys [at(3) range(0, 1, 0) RW ACCESS DELETE, after("KEYS", -2) range(-1, 1, 0) RW ACCESS DELETE INCOMPLETE];
        tips ["nondeterministic_output"];
        group Generic; since "2.6.0"; complexity "O(N)";
        syntax "host port (key|\"\") destination-db timeout:integer [COPY] [REPLACE] [AUTH password|AUTH2 username password] [KEYS key...]";
        summary "Moves keys to another server, each atomically.";
    }

    "acl" => container {
        arity -2; flags []; acl []; keys [];
        group Server; since "6.0.0"; complexity "";
        syntax "";
        summary "Commands about users and what they may do.";
    }

    "acl|cat" => session(acl::cat) {
        arity -2; flags [NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "[categoryname]";
        summary "The categories of commands, or the commands of one.";
    }

    "acl|deluser" => session(acl::deluser) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "username...";
        summary "Deletes users and closes their connections.";
    }

    "acl|dryrun" => session(acl::dryrun) {
        arity -4; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "7.0.0"; complexity "O(1)";
        syntax "username command [arg]...";
        summary "Whether a user could run a command.";
    }

    "acl|genpass" => session(acl::genpass) {
        arity -2; flags [NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "[bits]";
        summary "A random password.";
    }

    "acl|getuser" => session(acl::getuser) {
        arity 3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "username";
        summary "A user's rules.";
    }

    "acl|help" => session(acl::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of ACL.";
    }

    "acl|list" => session(acl::list) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "All users with their rules.";
    }

    "acl|load" => session(acl::load) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "Reads the users from the ACL file.";
    }

    "acl|log" => session(acl::log) {
        arity -2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "[count|RESET]";
        summary "The latest refused commands and logins.";
    }

    "acl|save" => session(acl::save) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "Writes the users to the ACL file.";
    }

    "acl|setuser" => session(acl::setuser) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "username [rule]...";
        summary "Creates a user or changes its rules.";
    }

    "acl|users" => session(acl::users) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "The names of all users.";
    }

    "acl|whoami" => session(acl::whoami) {
        arity 2; flags [NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "";
        summary "The connection's user.";
    }
} } }
