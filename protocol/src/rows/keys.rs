//! Keys of any type: expiry, names, copies, order. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! keys_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "copy" => keyed(keys::copy) {
        arity -3; flags [WRITE DENYOOM]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO ACCESS, at(2) range(0, 1, 0) OW UPDATE];
        behind Writes;
        elsewhere option(2, 3);
        group Generic; since "6.2.0"; complexity "O(N)";
        syntax "source destination [DB destination-db] [REPLACE]";
        summary "Copies the value at a key to another key.";
    }

    "del" => keyed(keys::del) {
        arity -2; flags [WRITE]; acl [KEYSPACE]; keys [at(1) range(-1, 1, 0) RM DELETE];
        tips ["request_policy:multi_shard", "response_policy:agg_sum"];
        divides Sum;
        group Generic; since "1.0.0"; complexity "O(N)";
        syntax "key...";
        summary "Deletes keys; how many there were.";
    }

    "exists" => keyed(keys::exists) {
        arity -2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(-1, 1, 0) RO];
        tips ["request_policy:multi_shard", "response_policy:agg_sum"];
        divides Sum;
        group Generic; since "1.0.0"; complexity "O(N)";
        syntax "key...";
        summary "How many of the keys exist; a key named twice counts twice.";
    }

    "expire" => keyed(keys::expire) {
        arity -3; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "key seconds [NX|XX|GT|LT]";
        summary "Sets a key's time to live in seconds; 1 where it did, 0 where there is no key or NX, XX, GT or LT forbid.";
    }

    "expireat" => keyed(keys::expireat) {
        arity -3; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Generic; since "1.2.0"; complexity "O(1)";
        syntax "key unix-time-seconds [NX|XX|GT|LT]";
        summary "Sets the second of the Unix epoch at which a key expires.";
    }

    "expiretime" => keyed(keys::expiretime) {
        arity 2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Generic; since "7.0.0"; complexity "O(1)";
        syntax "key";
        summary "The second of the Unix epoch at which a key expires.";
    }

    "keys" => whole(keyspace::keys) {
        arity 2; flags [READONLY]; acl [KEYSPACE DANGEROUS]; keys [];
        tips ["request_policy:all_shards", "nondeterministic_output_order"];
        group Generic; since "1.0.0"; complexity "O(N)";
        syntax "pattern";
        summary "All keys that match a pattern.";
    }

    "move" => keyed(keys::move_) {
        arity 3; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        behind Writes;
        elsewhere argument(1, 2);
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "key db";
        summary "Moves a key to another database.";
    }

    "object" => container {
        arity -2; flags []; acl []; keys [];
        group Generic; since "2.2.3"; complexity "";
        syntax "";
        summary "Commands about how a value is kept.";
    }

    "object|encoding" => keyed(object::encoding) {
        arity 3; flags [READONLY]; acl [KEYSPACE]; keys [at(2) range(0, 1, 0) RO];
        tips ["nondeterministic_output"];
        group Generic; since "2.2.3"; complexity "O(1)";
        syntax "key";
        summary "The name of a value's inner representation.";
    }

    "object|freq" => keyed(object::freq) {
        arity 3; flags [READONLY]; acl [KEYSPACE]; keys [at(2) range(0, 1, 0) RO];
        tips ["nondeterministic_output"];
        group Generic; since "4.0.0"; complexity "O(1)";
        syntax "key";
        summary "The logarithmic access counter of a key, under an LFU policy.";
    }

    "object|help" => session(help::object) {
        arity 2; flags [LOADING STALE]; acl [KEYSPACE]; keys [];
        group Generic; since "6.2.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of OBJECT.";
    }

    "object|idletime" => keyed(object::idletime) {
        arity 3; flags [READONLY]; acl [KEYSPACE]; keys [at(2) range(0, 1, 0) RO];
        tips ["nondeterministic_output"];
        group Generic; since "2.2.3"; complexity "O(1)";
        syntax "key";
        summary "Seconds since a key was last used.";
    }

    "object|refcount" => keyed(object::refcount) {
        arity 3; flags [READONLY]; acl [KEYSPACE]; keys [at(2) range(0, 1, 0) RO];
        tips ["nondeterministic_output"];
        group Generic; since "2.2.3"; complexity "O(1)";
        syntax "key";
        summary "How many references to a value are held.";
    }

    "persist" => keyed(keys::persist) {
        arity 2; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Generic; since "2.2.0"; complexity "O(1)";
        syntax "key";
        summary "Takes a key's expiry away.";
    }

    "pexpire" => keyed(keys::pexpire) {
        arity -3; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Generic; since "2.6.0"; complexity "O(1)";
        syntax "key milliseconds [NX|XX|GT|LT]";
        summary "Sets a key's time to live in milliseconds.";
    }

    "pexpireat" => keyed(keys::pexpireat) {
        arity -3; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Generic; since "2.6.0"; complexity "O(1)";
        syntax "key unix-time-milliseconds [NX|XX|GT|LT]";
        summary "Sets the millisecond of the Unix epoch at which a key expires.";
    }

    "pexpiretime" => keyed(keys::pexpiretime) {
        arity 2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Generic; since "7.0.0"; complexity "O(1)";
        syntax "key";
        summary "The millisecond of the Unix epoch at which a key expires.";
    }

    "pttl" => keyed(keys::pttl) {
        arity 2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Generic; since "2.6.0"; complexity "O(1)";
        syntax "key";
        summary "A key's time to live in milliseconds.";
    }

    "randomkey" => roaming(keyspace::randomkey, keyspace::randomkey_at_once) {
        arity 1; flags [READONLY]; acl [KEYSPACE]; keys [];
        tips ["request_policy:all_shards", "response_policy:special", "nondeterministic_output"];
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "";
        summary "Some key of the database.";
    }

    "rename" => keyed(keys::rename) {
        arity 3; flags [WRITE]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) OW UPDATE];
        behind Writes;
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "key newkey";
        summary "Renames a key; one that has the new name already is replaced.";
    }

    "renamenx" => keyed(keys::renamenx) {
        arity 3; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) OW INSERT];
        behind Writes;
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "key newkey";
        summary "Renames a key where no other has the new name.";
    }

    "scan" => roaming(keyspace::scan, keyspace::scan_at_once) {
        arity -2; flags [READONLY]; acl [KEYSPACE]; keys [];
        tips ["nondeterministic_output", "request_policy:special", "response_policy:special"];
        behind Everything;
        group Generic; since "2.8.0"; complexity "O(1) a call, O(N) the whole iteration";
        syntax "cursor [MATCH pattern] [COUNT count] [TYPE type]";
        summary "Some keys of the database, and the cursor from which to go on; 0 at the end.";
    }

    "sort" => keyed(sort::sort) {
        arity -2; flags [WRITE DENYOOM]; acl [SET SORTEDSET LIST DANGEROUS]; keys [at(1) range(0, 1, 0) RO ACCESS, anywhere unknown RO ACCESS, anywhere unknown OW UPDATE];
        behind Writes;
        finds Sort;
        traits [COMPUTED_KEYS];
        group Generic; since "1.0.0"; complexity "O(N+M*log(M))";
        syntax "key [BY pattern] [LIMIT offset count] [GET pattern]... [ASC|DESC] [ALPHA] [STORE destination]";
        summary "The elements of a list, a set or a sorted set in order; STORE keeps them as a list.";
    }

    "sort_ro" => keyed(sort::sort_ro) {
        arity -2; flags [READONLY]; acl [SET SORTEDSET LIST DANGEROUS]; keys [at(1) range(0, 1, 0) RO ACCESS, anywhere unknown RO ACCESS];
        traits [COMPUTED_KEYS];
        group Generic; since "7.0.0"; complexity "O(N+M*log(M))";
        syntax "key [BY pattern] [LIMIT offset count] [GET pattern]... [ASC|DESC] [ALPHA]";
        summary "As SORT, without STORE.";
    }

    "dump" => keyed(dump::dump) {
        arity 2; flags [READONLY]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Generic; since "2.6.0"; complexity "O(1)";
        syntax "key";
        summary "The value at a key in the serialized form that RESTORE takes.";
    }

    "restore" => keyed(dump::restore) {
        arity -4; flags [WRITE DENYOOM]; acl [KEYSPACE DANGEROUS]; keys [at(1) range(0, 1, 0) OW UPDATE];
        behind Writes;
        group Generic; since "2.6.0"; complexity "O(1)";
        syntax "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]";
        summary "Creates a key from the serialized form that DUMP gave.";
    }

    "touch" => keyed(keys::touch) {
        arity -2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(-1, 1, 0) RO];
        tips ["request_policy:multi_shard", "response_policy:agg_sum"];
        divides Sum;
        group Generic; since "3.2.1"; complexity "O(N)";
        syntax "key...";
        summary "Marks keys as used now, and says how many exist.";
    }

    "ttl" => keyed(keys::ttl) {
        arity 2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "A key's time to live in seconds; -1 where it has none, -2 where there is no key.";
    }

    "type" => keyed(keys::type_) {
        arity 2; flags [READONLY FAST]; acl [KEYSPACE]; keys [at(1) range(0, 1, 0) RO];
        group Generic; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "The type of the value at a key; none where there is no key.";
    }

    "unlink" => keyed(keys::unlink) {
        arity -2; flags [WRITE FAST]; acl [KEYSPACE]; keys [at(1) range(-1, 1, 0) RM DELETE];
        tips ["request_policy:multi_shard", "response_policy:agg_sum"];
        divides Sum;
        group Generic; since "4.0.0"; complexity "O(1)";
        syntax "key...";
        summary "Deletes keys and frees their memory in the background.";
    }
} } }
