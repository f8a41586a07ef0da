//! Commands that are known and not written yet: not enabled, so that no client is told that they
//! exist. See [`crate::table`].

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! planned_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "migrate" => session(migrate::migrate) {
        arity -6; flags [WRITE]; acl [KEYSPACE DANGEROUS]; keys [at(3) range(0, 1, 0) RW ACCESS DELETE, after("KEYS", -2) range(-1, 1, 0) RW ACCESS DELETE INCOMPLETE];
        tips ["nondeterministic_output"];
        secrets options(3, "AUTH" 1 secret, "AUTH2" 2 secret);
        finds Migrate;
        group Generic; since "2.6.0"; complexity "O(N)";
        syntax "host port (key|\"\") destination-db timeout:integer [COPY] [REPLACE] [AUTH password|AUTH2 username password] [KEYS key...]";
        summary "Moves keys to another server, each atomically.";
    }
} } }
