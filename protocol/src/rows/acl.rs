//! Users and what they may do, as far as there is one user, who may do everything. See
//! [`crate::table`] for how to read a row.

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

    "acl|genpass" => session(acl::genpass) {
        arity -2; flags [NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "[bits]";
        summary "A random password.";
    }

    "acl|help" => session(acl::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of ACL.";
    }

    "acl|load" => session(acl::no_file) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "Reads the users from the ACL file.";
    }

    "acl|save" => session(acl::no_file) {
        arity 2; flags [ADMIN NOSCRIPT LOADING STALE]; acl []; keys [];
        tips ["request_policy:all_nodes", "response_policy:all_succeeded"];
        group Server; since "6.0.0"; complexity "O(N)";
        syntax "";
        summary "Writes the users to the ACL file.";
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
