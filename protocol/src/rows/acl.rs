//! Users and what they may do. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! acl_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "acl" => container {
        arity -2; flags []; acl []; keys [];
        group Server; since "6.0.0"; complexity "";
        syntax "";
        summary "Commands about users and what they may do.";
    }

    "acl|cat" => session(acl::cat) {
        arity -2; flags [NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "[category]";
        summary "The categories of commands, or the commands of one.";
    }

    "acl|deluser" => session(acl::deluser) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        secrets from(2);
        group Server; since "6.0.0"; complexity "O(1) amortized time considering the typical user.";
        syntax "username...";
        summary "Removes users, and closes their connections. Answers how many there were.";
    }

    "acl|dryrun" => session(acl::dryrun) {
        arity -4; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "7.0.0"; complexity "O(1).";
        syntax "username command [arg]...";
        summary "Whether a user may run a command, which is not run: OK, or why not.";
    }

    "acl|genpass" => session(acl::genpass) {
        arity -2; flags [NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "[bits]";
        summary "A random password.";
    }

    "acl|getuser" => session(acl::getuser) {
        arity 3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        secrets from(2);
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "username";
        summary "The flags, hashes of passwords and rules of a user; nil where there is none.";
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
        summary "The rules of all users, as files have them.";
    }

    "acl|load" => session(acl::load) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "Reads the users from the ACL file.";
    }

    "acl|log" => session(acl_log::log) {
        arity -2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "[count|RESET]";
        summary "Who was refused, newest first; or forgets that.";
    }

    "acl|save" => session(acl::save) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "Writes the users to the ACL file.";
    }

    "acl|setuser" => session(acl::setuser) {
        arity -3; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        secrets from(2);
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "username [rule]...";
        summary "Makes a user, or changes one: by all rules, or none where one is wrong.";
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
