//! Lists. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! list_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "lindex" => keyed(list::lindex) {
        arity 3; flags [READONLY]; acl [LIST]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group List; since "1.0.0"; complexity "O(N)";
        syntax "key index";
        summary "The element of a list at an index.";
    }

    "linsert" => keyed(list::linsert) {
        arity 5; flags [WRITE DENYOOM]; acl [LIST]; keys [at(1) range(0, 1, 0) RW INSERT];
        behind Writes;
        group List; since "2.2.0"; complexity "O(N)";
        syntax "key (BEFORE|AFTER) pivot element";
        summary "Inserts an element before or after another.";
    }

    "llen" => keyed(list::llen) {
        arity 2; flags [READONLY FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RO];
        group List; since "1.0.0"; complexity "O(1)";
        syntax "key";
        summary "The length of a list; 0 where there is none.";
    }

    "lmove" => keyed(list::lmove) {
        arity 5; flags [WRITE DENYOOM]; acl [LIST]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) RW INSERT];
        behind Writes;
        changes Moves;
        group List; since "6.2.0"; complexity "O(1)";
        syntax "source destination (LEFT|RIGHT) (LEFT|RIGHT)";
        summary "Takes an element from one end of a list to one end of another.";
    }

    "lmpop" => keyed(list::lmpop) {
        arity -4; flags [WRITE]; acl [LIST]; keys [at(1) keynum(0, 1, 1) RW ACCESS DELETE];
        group List; since "7.0.0"; complexity "O(N+M)";
        syntax "numkeys key... (LEFT|RIGHT) [COUNT count]";
        summary "Pops elements from the first list that has any.";
    }

    "lpop" => keyed(list::lpop) {
        arity -2; flags [WRITE FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        changes PopsFront;
        group List; since "1.0.0"; complexity "O(N)";
        syntax "key [count]";
        summary "Pops the first element of a list, or an array of so many; nil where there is no list.";
    }

    "lpos" => keyed(list::lpos) {
        arity -3; flags [READONLY]; acl [LIST]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group List; since "6.0.6"; complexity "O(N)";
        syntax "key element [RANK rank] [COUNT num-matches] [MAXLEN len]";
        summary "Where an element stands in a list.";
    }

    "lpush" => keyed(list::lpush) {
        arity -3; flags [WRITE DENYOOM FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RW INSERT];
        behind Writes;
        changes PushesFront;
        group List; since "1.0.0"; complexity "O(1)";
        syntax "key element...";
        summary "Pushes elements in front of a list, which is created where missing; the new length.";
    }

    "lpushx" => keyed(list::lpushx) {
        arity -3; flags [WRITE DENYOOM FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RW INSERT];
        behind Writes;
        changes PushesFront;
        group List; since "2.2.0"; complexity "O(1)";
        syntax "key element...";
        summary "Pushes elements in front of a list that exists.";
    }

    "lrange" => keyed(list::lrange) {
        arity 4; flags [READONLY]; acl [LIST]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group List; since "1.0.0"; complexity "O(S+N)";
        syntax "key start stop";
        summary "The elements of a list between two indexes, both included; empty where there are none.";
    }

    "lrem" => keyed(list::lrem) {
        arity 4; flags [WRITE]; acl [LIST]; keys [at(1) range(0, 1, 0) RW DELETE];
        group List; since "1.0.0"; complexity "O(N+M)";
        syntax "key count element";
        summary "Removes elements equal to the given one.";
    }

    "lset" => keyed(list::lset) {
        arity 4; flags [WRITE DENYOOM]; acl [LIST]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group List; since "1.0.0"; complexity "O(N)";
        syntax "key index element";
        summary "Replaces the element at an index.";
    }

    "ltrim" => keyed(list::ltrim) {
        arity 4; flags [WRITE]; acl [LIST]; keys [at(1) range(0, 1, 0) RW DELETE];
        group List; since "1.0.0"; complexity "O(N)";
        syntax "key start stop";
        summary "Keeps only the elements between two indexes.";
    }

    "rpop" => keyed(list::rpop) {
        arity -2; flags [WRITE FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        changes PopsBack;
        group List; since "1.0.0"; complexity "O(N)";
        syntax "key [count]";
        summary "Pops the last element of a list, or an array of so many; nil where there is no list.";
    }

    "rpoplpush" => keyed(list::rpoplpush) {
        arity 3; flags [WRITE DENYOOM]; acl [LIST]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) RW INSERT];
        behind Writes;
        changes Moves;
        group List; since "1.2.0"; complexity "O(1)";
        syntax "source destination";
        summary "Takes the last element of a list to the front of another.";
    }

    "rpush" => keyed(list::rpush) {
        arity -3; flags [WRITE DENYOOM FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RW INSERT];
        behind Writes;
        changes PushesBack;
        group List; since "1.0.0"; complexity "O(1)";
        syntax "key element...";
        summary "Appends elements to a list, which is created where missing; the new length.";
    }

    "rpushx" => keyed(list::rpushx) {
        arity -3; flags [WRITE DENYOOM FAST]; acl [LIST]; keys [at(1) range(0, 1, 0) RW INSERT];
        behind Writes;
        changes PushesBack;
        group List; since "2.2.0"; complexity "O(1)";
        syntax "key element...";
        summary "Appends elements to a list that exists.";
    }

} } }

/// The rows of commands that wait for an element. Not enabled until waiting is.
#[doc(hidden)]
#[macro_export]
macro_rules! list_blocking_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "blmove" => keyed(blocking::blmove) {
        arity 6; flags [WRITE DENYOOM BLOCKING]; acl [LIST]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) RW INSERT];
        behind Writes;
        waits List;
        group List; since "6.2.0"; complexity "O(1)";
        syntax "source destination (LEFT|RIGHT) (LEFT|RIGHT) timeout";
        summary "As LMOVE; waits for an element.";
    }

    "blmpop" => keyed(blocking::blmpop) {
        arity -5; flags [WRITE BLOCKING]; acl [LIST]; keys [at(2) keynum(0, 1, 1) RW ACCESS DELETE];
        waits List;
        group List; since "7.0.0"; complexity "O(N+M)";
        syntax "timeout numkeys key... (LEFT|RIGHT) [COUNT count]";
        summary "As LMPOP; waits for an element.";
    }

    "blpop" => keyed(blocking::blpop) {
        arity -3; flags [WRITE BLOCKING]; acl [LIST]; keys [at(1) range(-2, 1, 0) RW ACCESS DELETE];
        waits List;
        group List; since "2.0.0"; complexity "O(N)";
        syntax "key... timeout";
        summary "Pops the first element of the first list that has one; waits for it; a null array when the time is up.";
    }

    "brpop" => keyed(blocking::brpop) {
        arity -3; flags [WRITE BLOCKING]; acl [LIST]; keys [at(1) range(-2, 1, 0) RW ACCESS DELETE];
        waits List;
        group List; since "2.0.0"; complexity "O(N)";
        syntax "key... timeout";
        summary "Pops the last element of the first list that has one; waits for it.";
    }

    "brpoplpush" => keyed(blocking::brpoplpush) {
        arity 4; flags [WRITE DENYOOM BLOCKING]; acl [LIST]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE, at(2) range(0, 1, 0) RW INSERT];
        behind Writes;
        waits List;
        group List; since "2.2.0"; complexity "O(1)";
        syntax "source destination timeout";
        summary "As RPOPLPUSH; waits for an element.";
    }

} } }
