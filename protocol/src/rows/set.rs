//! Sets. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! set_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "sadd" => keyed(set::sadd) {
        arity -3; flags [WRITE DENYOOM FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RW INSERT];
        changes Named;
        group Set; since "1.0.0"; complexity "O(1)";
        syntax "key member...";
        summary "Adds members to a set, which is created where missing; how many were new.";
    }

    "scard" => keyed(set::scard) {
        arity 2; flags [READONLY FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RO];
        group Set; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "How many members a set has.";
    }

    "sdiff" => keyed(set_algebra::sdiff) {
        arity -2; flags [READONLY]; acl [SET]; keys [at(1) range(-1, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Set; since "1.0.0"; complexity "O(N)";
        syntax "key...";
        summary "The members of the first set that are in none of the others.";
    }

    "sdiffstore" => keyed(set_algebra::sdiffstore) {
        arity -3; flags [WRITE DENYOOM]; acl [SET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) range(-1, 1, 0) RO ACCESS];
        group Set; since "1.0.0"; complexity "O(N)";
        syntax "destination key...";
        summary "Stores what SDIFF answers.";
    }

    "sinter" => keyed(set_algebra::sinter) {
        arity -2; flags [READONLY]; acl [SET]; keys [at(1) range(-1, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Set; since "1.0.0"; complexity "O(N*M)";
        syntax "key...";
        summary "The members that all the sets have.";
    }

    "sintercard" => keyed(set_algebra::sintercard) {
        arity -3; flags [READONLY]; acl [SET]; keys [at(1) keynum(0, 1, 1) RO ACCESS];
        group Set; since "7.0.0"; complexity "O(N*M)";
        syntax "numkeys key... [LIMIT limit]";
        summary "How many members all the sets share.";
    }

    "sinterstore" => keyed(set_algebra::sinterstore) {
        arity -3; flags [WRITE DENYOOM]; acl [SET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) range(-1, 1, 0) RO ACCESS];
        group Set; since "1.0.0"; complexity "O(N*M)";
        syntax "destination key...";
        summary "Stores what SINTER answers.";
    }

    "sismember" => keyed(set::sismember) {
        arity 3; flags [READONLY FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RO];
        group Set; since "1.0.0"; complexity "O(1)";
        syntax "key member";
        summary "Whether a set has a member: 1 or 0.";
    }

    "smembers" => keyed(set::smembers) {
        arity 2; flags [READONLY]; acl [SET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Set; since "1.0.0"; complexity "O(N)";
        syntax "key";
        summary "The members of a set; empty where there is no set.";
    }

    "smismember" => keyed(set::smismember) {
        arity -3; flags [READONLY FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Set; since "6.2.0"; complexity "O(N)";
        syntax "key member...";
        summary "Which of several members a set has.";
    }

    "smove" => keyed(set::smove) {
        arity 4; flags [WRITE FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) RW INSERT];
        changes Named;
        group Set; since "1.0.0"; complexity "O(1)";
        syntax "source destination member";
        summary "Moves a member from one set to another.";
    }

    "spop" => keyed(set::spop) {
        arity -2; flags [WRITE FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        tips ["nondeterministic_output"];
        group Set; since "1.0.0"; complexity "O(N), N the count";
        syntax "key [count]";
        summary "Takes random members out of a set.";
    }

    "srandmember" => keyed(set::srandmember) {
        arity -2; flags [READONLY]; acl [SET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Set; since "1.0.0"; complexity "O(N), N the count";
        syntax "key [count]";
        summary "Random members of a set.";
    }

    "srem" => keyed(set::srem) {
        arity -3; flags [WRITE FAST]; acl [SET]; keys [at(1) range(0, 1, 0) RW DELETE];
        changes Named;
        group Set; since "1.0.0"; complexity "O(N)";
        syntax "key member...";
        summary "Removes members from a set; how many there were.";
    }

    "sscan" => keyed(set::sscan) {
        arity -3; flags [READONLY]; acl [SET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Set; since "2.8.0"; complexity "O(1) a call, O(N) the whole iteration";
        syntax "key cursor [MATCH pattern] [COUNT count]";
        summary "Some members of a set, and the cursor from which to go on.";
    }

    "sunion" => keyed(set_algebra::sunion) {
        arity -2; flags [READONLY]; acl [SET]; keys [at(1) range(-1, 1, 0) RO ACCESS];
        tips ["nondeterministic_output_order"];
        group Set; since "1.0.0"; complexity "O(N)";
        syntax "key...";
        summary "The members that any of the sets has.";
    }

    "sunionstore" => keyed(set_algebra::sunionstore) {
        arity -3; flags [WRITE DENYOOM]; acl [SET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) range(-1, 1, 0) RO ACCESS];
        group Set; since "1.0.0"; complexity "O(N)";
        syntax "destination key...";
        summary "Stores what SUNION answers.";
    }

} } }
