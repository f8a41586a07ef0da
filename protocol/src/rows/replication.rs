//! Replicas and masters: what tells that there are none. See [`crate::table`] for how to read a
//! row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! replication_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "psync" => session(replication::psync) {
        arity -3; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING NO_MULTI]; acl []; keys [];
        group Server; since "2.8.0"; complexity "";
        syntax "replicationid offset:integer";
        summary "What a replica asks its master for.";
    }

    "replconf" => session(replication::replconf) {
        arity -1; flags [ADMIN NOSCRIPT LOADING STALE ALLOW_BUSY]; acl []; keys [];
        group Server; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "What a replica tells its master of itself.";
    }

    "replicaof" => session(replication::replicaof) {
        arity 3; flags [ADMIN NOSCRIPT STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "5.0.0"; complexity "O(1)";
        syntax "(host port:integer|NO ONE)";
        summary "Makes the server a replica of another, or a master.";
    }

    "role" => session(replication::role) {
        arity 1; flags [NOSCRIPT LOADING STALE FAST]; acl [ADMIN DANGEROUS]; keys [];
        group Server; since "2.8.12"; complexity "O(1)";
        syntax "";
        summary "Whether the server is a master, and of whom.";
    }

    "slaveof" => session(replication::replicaof) {
        arity 3; flags [ADMIN NOSCRIPT STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "1.0.0"; complexity "O(1)";
        syntax "(host port:integer|NO ONE)";
        summary "Makes the server a replica of another, or a master.";
    }

    "sync" => session(replication::sync) {
        arity 1; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING NO_MULTI]; acl []; keys [];
        group Server; since "1.0.0"; complexity "";
        syntax "";
        summary "What a replica asked its master for, before PSYNC.";
    }

    "wait" => session(wait::wait) {
        arity 3; flags [BLOCKING]; acl [CONNECTION]; keys [];
        tips ["request_policy:all_shards", "response_policy:agg_min"];
        behind Everything;
        group Generic; since "3.0.0"; complexity "O(1)";
        syntax "numreplicas timeout:integer";
        summary "Waits until replicas have acknowledged this connection's writes.";
    }

    "waitaof" => session(wait::waitaof) {
        arity 4; flags [BLOCKING]; acl [CONNECTION]; keys [];
        tips ["request_policy:all_shards", "response_policy:agg_min"];
        behind Everything;
        group Generic; since "7.2.0"; complexity "O(1)";
        syntax "numlocal numreplicas timeout:integer";
        summary "Waits until this connection's writes are on disk here and on replicas.";
    }
} } }
