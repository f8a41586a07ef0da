//! Strings, and the numbers that they may hold. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! string_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "append" => keyed(string::append) {
        arity 3; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW INSERT];
        group String; since "2.0.0"; complexity "O(1)";
        syntax "key value";
        summary "Appends to the string at a key, which is created where missing; the new length.";
    }

    "decr" => keyed(string::decr) {
        arity 2; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "Subtracts one from the integer at a key, 0 where missing; the difference.";
    }

    "decrby" => keyed(string::decrby) {
        arity 3; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key decrement";
        summary "Subtracts from the integer at a key.";
    }

    "get" => keyed(string::get) {
        arity 2; flags [READONLY FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "The string at a key; nil where there is none, WRONGTYPE where it is no string.";
    }

    "getdel" => keyed(string::getdel) {
        arity 2; flags [WRITE FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        group String; since "6.2.0"; complexity "O(1)";
        syntax "key";
        summary "The string at a key, which is deleted; nil where there is none.";
    }

    "getex" => keyed(string::getex) {
        arity -2; flags [WRITE FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "6.2.0"; complexity "O(1)";
        syntax "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]";
        summary "The string at a key, whose expiry is set or taken away.";
    }

    "getrange" => keyed(string::getrange) {
        arity 4; flags [READONLY]; acl [STRING]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group String; since "2.4.0"; complexity "O(N)";
        syntax "key start end";
        summary "The part of a string between two offsets, both included.";
    }

    "getset" => keyed(string::getset) {
        arity 3; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key value";
        summary "Sets the string at a key, and answers the one before; nil where there was none.";
    }

    "incr" => keyed(string::incr) {
        arity 2; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "Adds one to the integer at a key, 0 where missing; the sum, an error where it is no integer.";
    }

    "incrby" => keyed(string::incrby) {
        arity 3; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key increment";
        summary "Adds to the integer at a key, 0 where missing; the sum, an error where it is no integer.";
    }

    "incrbyfloat" => keyed(string::incrbyfloat) {
        arity 3; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group String; since "2.6.0"; complexity "O(1)";
        syntax "key increment:double";
        summary "Adds to the number at a key.";
    }

    "lcs" => keyed(string::lcs) {
        arity -3; flags [READONLY]; acl [STRING]; keys [at(1) range(1, 1, 0) RO ACCESS];
        group String; since "7.0.0"; complexity "O(N*M)";
        syntax "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]";
        summary "The longest common subsequence of two strings.";
    }

    "mget" => keyed(string::mget) {
        arity -2; flags [READONLY FAST]; acl [STRING]; keys [at(1) range(-1, 1, 0) RO ACCESS];
        tips ["request_policy:multi_shard"];
        divides Each;
        group String; since "1.0.0"; complexity "O(N)";
        syntax "key...";
        summary "The strings at several keys; nil for each that is missing or no string.";
    }

    "mset" => keyed(string::mset) {
        arity -3; flags [WRITE DENYOOM]; acl [STRING]; keys [at(1) range(-1, 2, 0) OW UPDATE];
        tips ["request_policy:multi_shard", "response_policy:all_succeeded"];
        divides Pairs;
        group String; since "1.0.1"; complexity "O(N)";
        syntax "(key value)...";
        summary "Sets several strings at once, whatever the keys held; OK.";
    }

    "msetnx" => keyed(string::msetnx) {
        arity -3; flags [WRITE DENYOOM]; acl [STRING]; keys [at(1) range(-1, 2, 0) OW INSERT];
        group String; since "1.0.1"; complexity "O(N)";
        syntax "(key value)...";
        summary "Sets several strings at once where none of the keys exists.";
    }

    "psetex" => keyed(string::psetex) {
        arity 4; flags [WRITE DENYOOM]; acl [STRING]; keys [at(1) range(0, 1, 0) OW UPDATE];
        group String; since "2.6.0"; complexity "O(1)";
        syntax "key milliseconds value";
        summary "Sets a string and its time to live in milliseconds.";
    }

    "set" => keyed(string::set) {
        arity -3; flags [WRITE DENYOOM]; acl [STRING]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE VARIABLE_FLAGS];
        finds Set;
        traits [BRIEF];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]";
        summary "Sets the string at a key, whatever it held; OK, nil where NX or XX kept it, with GET the one before.";
    }

    "setex" => keyed(string::setex) {
        arity 4; flags [WRITE DENYOOM]; acl [STRING]; keys [at(1) range(0, 1, 0) OW UPDATE];
        group String; since "2.0.0"; complexity "O(1)";
        syntax "key seconds value";
        summary "Sets a string and its time to live in seconds; an error where that is not positive.";
    }

    "setnx" => keyed(string::setnx) {
        arity 3; flags [WRITE DENYOOM FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) OW INSERT];
        group String; since "1.0.0"; complexity "O(1)";
        syntax "key value";
        summary "Sets the string at a key that does not exist; 1 where it did, else 0.";
    }

    "setrange" => keyed(string::setrange) {
        arity 4; flags [WRITE DENYOOM]; acl [STRING]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group String; since "2.2.0"; complexity "O(1)";
        syntax "key offset value";
        summary "Overwrites part of a string from an offset on.";
    }

    "strlen" => keyed(string::strlen) {
        arity 2; flags [READONLY FAST]; acl [STRING]; keys [at(1) range(0, 1, 0) RO];
        group String; since "2.2.0"; complexity "O(1)";
        syntax "key";
        summary "The length of a string in bytes; 0 where there is none.";
    }

    "substr" => keyed(string::substr) {
        arity 4; flags [READONLY]; acl [STRING]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group String; since "1.0.0"; complexity "O(N)";
        syntax "key start end";
        summary "As GETRANGE, its older name.";
    }

} } }
