//! Hashes, and the expiry of their fields. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! hash_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "hdel" => keyed(hash::hdel) {
        arity -3; flags [WRITE FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW DELETE];
        changes Named;
        group Hash; since "2.0.0"; complexity "O(N)";
        syntax "key field...";
        summary "Deletes fields of a hash; how many there were.";
    }

    "hexists" => keyed(hash::hexists) {
        arity 3; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO];
        group Hash; since "2.0.0"; complexity "O(1)";
        syntax "key field";
        summary "Whether a hash has a field.";
    }

    "hexpire" => keyed(hash_expire::hexpire) {
        arity -6; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key seconds [NX|XX|GT|LT] FIELDS numfields field...";
        summary "Sets the time to live of fields in seconds.";
    }

    "hexpireat" => keyed(hash_expire::hexpireat) {
        arity -6; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field...";
        summary "Sets the second of the Unix epoch at which fields expire.";
    }

    "hexpiretime" => keyed(hash_expire::hexpiretime) {
        arity -5; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key FIELDS numfields field...";
        summary "The second of the Unix epoch at which fields expire.";
    }

    "hget" => keyed(hash::hget) {
        arity 3; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Hash; since "2.0.0"; complexity "O(1)";
        syntax "key field";
        summary "The value of a field; nil where there is none.";
    }

    "hgetall" => keyed(hash::hgetall) {
        arity 2; flags [READONLY]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Hash; since "2.0.0"; complexity "O(N)";
        syntax "key";
        summary "All fields of a hash with their values; empty where there is no hash.";
    }

    "hgetdel" => keyed(hash_expire::hgetdel) {
        arity -5; flags [WRITE FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        group Hash; since "8.0.0"; complexity "O(N)";
        syntax "key FIELDS numfields field...";
        summary "The values of fields, which are deleted.";
    }

    "hgetex" => keyed(hash_expire::hgetex) {
        arity -5; flags [WRITE FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group Hash; since "8.0.0"; complexity "O(N)";
        syntax "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] FIELDS numfields field...";
        summary "The values of fields, whose expiry is set or taken away.";
    }

    "hincrby" => keyed(hash::hincrby) {
        arity 4; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        changes Named;
        group Hash; since "2.0.0"; complexity "O(1)";
        syntax "key field increment";
        summary "Adds to the integer of a field, 0 where missing; the sum, an error where it is no integer.";
    }

    "hincrbyfloat" => keyed(hash::hincrbyfloat) {
        arity 4; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        changes Named;
        group Hash; since "2.6.0"; complexity "O(1)";
        syntax "key field increment:double";
        summary "Adds to the number of a field.";
    }

    "hkeys" => keyed(hash::hkeys) {
        arity 2; flags [READONLY]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Hash; since "2.0.0"; complexity "O(N)";
        syntax "key";
        summary "The fields of a hash.";
    }

    "hlen" => keyed(hash::hlen) {
        arity 2; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO];
        group Hash; since "2.0.0"; complexity "O(1)";
        syntax "key";
        summary "How many fields a hash has.";
    }

    "hmget" => keyed(hash::hmget) {
        arity -3; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Hash; since "2.0.0"; complexity "O(N)";
        syntax "key field...";
        summary "The values of several fields; nil for each that is missing.";
    }

    "hmset" => keyed(hash::hmset) {
        arity -4; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        changes Named;
        group Hash; since "2.0.0"; complexity "O(N)";
        syntax "key (field value)...";
        summary "As HSET, but answers OK.";
    }

    "hpersist" => keyed(hash_expire::hpersist) {
        arity -5; flags [WRITE FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key FIELDS numfields field...";
        summary "Takes the expiry of fields away.";
    }

    "hpexpire" => keyed(hash_expire::hpexpire) {
        arity -6; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key milliseconds [NX|XX|GT|LT] FIELDS numfields field...";
        summary "Sets the time to live of fields in milliseconds.";
    }

    "hpexpireat" => keyed(hash_expire::hpexpireat) {
        arity -6; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field...";
        summary "Sets the millisecond of the Unix epoch at which fields expire.";
    }

    "hpexpiretime" => keyed(hash_expire::hpexpiretime) {
        arity -5; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key FIELDS numfields field...";
        summary "The millisecond of the Unix epoch at which fields expire.";
    }

    "hpttl" => keyed(hash_expire::hpttl) {
        arity -5; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key FIELDS numfields field...";
        summary "The time to live of fields in milliseconds.";
    }

    "hrandfield" => keyed(hash::hrandfield) {
        arity -2; flags [READONLY]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Hash; since "6.2.0"; complexity "O(N), N the count";
        syntax "key [count [WITHVALUES]]";
        summary "Random fields of a hash.";
    }

    "hscan" => keyed(hash::hscan) {
        arity -3; flags [READONLY]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Hash; since "2.8.0"; complexity "O(1) a call, O(N) the whole iteration";
        syntax "key cursor [MATCH pattern] [COUNT count] [NOVALUES]";
        summary "Some fields of a hash, and the cursor from which to go on.";
    }

    "hset" => keyed(hash::hset) {
        arity -4; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        changes Named;
        group Hash; since "2.0.0"; complexity "O(1)";
        syntax "key (field value)...";
        summary "Sets fields of a hash, which is created where missing; how many fields were new.";
    }

    "hsetex" => keyed(hash_expire::hsetex) {
        arity -6; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Hash; since "8.0.0"; complexity "O(N)";
        syntax "key [FNX|FXX] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] FIELDS numfields (field value)...";
        summary "Sets fields of a hash and their expiry.";
    }

    "hsetnx" => keyed(hash::hsetnx) {
        arity 4; flags [WRITE DENYOOM FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RW INSERT];
        changes Named;
        group Hash; since "2.0.0"; complexity "O(1)";
        syntax "key field value";
        summary "Sets a field that does not exist.";
    }

    "hstrlen" => keyed(hash::hstrlen) {
        arity 3; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO];
        group Hash; since "3.2.0"; complexity "O(1)";
        syntax "key field";
        summary "The length of a field's value.";
    }

    "httl" => keyed(hash_expire::httl) {
        arity -5; flags [READONLY FAST]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Hash; since "7.4.0"; complexity "O(N)";
        syntax "key FIELDS numfields field...";
        summary "The time to live of fields in seconds.";
    }

    "hvals" => keyed(hash::hvals) {
        arity 2; flags [READONLY]; acl [HASH]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Hash; since "2.0.0"; complexity "O(N)";
        syntax "key";
        summary "The values of a hash.";
    }

} } }
