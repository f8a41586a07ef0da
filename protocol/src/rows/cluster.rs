//! Clusters: what a server answers that is part of none. See [`crate::table`] for how to read a
//! row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! cluster_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "asking" => session(cluster::disabled) {
        arity 1; flags [FAST]; acl [CONNECTION]; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "Says that the client was sent here while a slot moves.";
    }

    "cluster" => container {
        arity -2; flags []; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "";
        syntax "";
        summary "Commands about a cluster, of which this server is no part.";
    }

    "cluster|addslots" => session(cluster::disabled) {
        arity -3; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "slot:integer...";
        summary "Gives slots to a node.";
    }

    "cluster|addslotsrange" => session(cluster::disabled) {
        arity -4; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "7.0.0"; complexity "O(N)";
        syntax "(start-slot:integer end-slot:integer)...";
        summary "Gives ranges of slots to a node.";
    }

    "cluster|bumpepoch" => session(cluster::disabled) {
        arity 2; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "Advances the configuration's epoch.";
    }

    "cluster|count-failure-reports" => session(cluster::disabled) {
        arity 3; flags [ADMIN STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "node-id:string";
        summary "How many nodes hold a node for failed.";
    }

    "cluster|countkeysinslot" => session(cluster::disabled) {
        arity 3; flags [STALE]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "slot:integer";
        summary "How many keys a slot has.";
    }

    "cluster|delslots" => session(cluster::disabled) {
        arity -3; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "slot:integer...";
        summary "Leaves slots to no node.";
    }

    "cluster|delslotsrange" => session(cluster::disabled) {
        arity -4; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "7.0.0"; complexity "O(N)";
        syntax "(start-slot:integer end-slot:integer)...";
        summary "Leaves ranges of slots to no node.";
    }

    "cluster|failover" => session(cluster::disabled) {
        arity -2; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "[FORCE|TAKEOVER]";
        summary "Makes a replica its master's successor.";
    }

    "cluster|flushslots" => session(cluster::disabled) {
        arity 2; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "Takes all slots from a node.";
    }

    "cluster|forget" => session(cluster::disabled) {
        arity 3; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "node-id:string";
        summary "Takes a node out of the cluster.";
    }

    "cluster|getkeysinslot" => session(cluster::disabled) {
        arity 4; flags [STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "slot:integer count";
        summary "Keys of a slot.";
    }

    "cluster|help" => session(cluster::disabled) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Cluster; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of CLUSTER.";
    }

    "cluster|info" => session(cluster::disabled) {
        arity 2; flags [STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "The state of a node.";
    }

    "cluster|keyslot" => session(cluster::disabled) {
        arity 3; flags [STALE]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "key:string";
        summary "The slot of a key.";
    }

    "cluster|links" => session(cluster::disabled) {
        arity 2; flags [STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "7.0.0"; complexity "O(N)";
        syntax "";
        summary "The connections between nodes.";
    }

    "cluster|meet" => session(cluster::disabled) {
        arity -4; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "ip port [cluster-bus-port:integer]";
        summary "Makes two nodes know one another.";
    }

    "cluster|myid" => session(cluster::disabled) {
        arity 2; flags [STALE]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "A node's id.";
    }

    "cluster|myshardid" => session(cluster::disabled) {
        arity 2; flags [STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "7.2.0"; complexity "O(1)";
        syntax "";
        summary "The id of a node's shard.";
    }

    "cluster|nodes" => session(cluster::disabled) {
        arity 2; flags [STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "";
        summary "The nodes of the cluster.";
    }

    "cluster|replicas" => session(cluster::disabled) {
        arity 3; flags [ADMIN STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "5.0.0"; complexity "O(N)";
        syntax "node-id:string";
        summary "The replicas of a master.";
    }

    "cluster|replicate" => session(cluster::disabled) {
        arity 3; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "node-id:string";
        summary "Makes a node a replica.";
    }

    "cluster|reset" => session(cluster::disabled) {
        arity -2; flags [ADMIN NOSCRIPT STALE]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "[HARD|SOFT]";
        summary "Makes a node forget its cluster.";
    }

    "cluster|saveconfig" => session(cluster::disabled) {
        arity 2; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "Writes the cluster's configuration to disk.";
    }

    "cluster|set-config-epoch" => session(cluster::disabled) {
        arity 3; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "config-epoch:integer";
        summary "Sets the epoch of a new node.";
    }

    "cluster|setslot" => session(cluster::disabled) {
        arity -4; flags [ADMIN STALE NO_ASYNC_LOADING]; acl []; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "slot:integer (IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE)";
        summary "Binds a slot to a node.";
    }

    "cluster|shards" => session(cluster::disabled) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "7.0.0"; complexity "O(N)";
        syntax "";
        summary "Which shards have which slots.";
    }

    "cluster|slaves" => session(cluster::disabled) {
        arity 3; flags [ADMIN STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "node-id:string";
        summary "The replicas of a master.";
    }

    "cluster|slots" => session(cluster::disabled) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        tips ["nondeterministic_output"];
        group Cluster; since "3.0.0"; complexity "O(N)";
        syntax "";
        summary "Which nodes have which slots.";
    }

    "readonly" => session(cluster::disabled) {
        arity 1; flags [LOADING STALE FAST]; acl [CONNECTION]; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "Lets a connection read from a replica of a cluster.";
    }

    "readwrite" => session(cluster::disabled) {
        arity 1; flags [LOADING STALE FAST]; acl [CONNECTION]; keys [];
        group Cluster; since "3.0.0"; complexity "O(1)";
        syntax "";
        summary "Takes that back.";
    }
} } }
