//! Bits of strings. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! bitmap_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "bitcount" => keyed(bitmap::bitcount) {
        arity -2; flags [READONLY]; acl [BITMAP]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Bitmap; since "2.6.0"; complexity "O(N)";
        syntax "key [start end [BYTE|BIT]]";
        summary "How many bits of a string are set.";
    }

    "bitfield" => keyed(bitmap::bitfield) {
        arity -2; flags [WRITE DENYOOM]; acl [BITMAP]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE VARIABLE_FLAGS];
        finds Bitfield;
        group Bitmap; since "3.2.0"; complexity "O(1)";
        syntax "key [GET encoding offset|[OVERFLOW (WRAP|SAT|FAIL)] (SET encoding offset value:integer|INCRBY encoding offset increment)]...";
        summary "Reads and writes integers of any width within a string.";
    }

    "bitfield_ro" => keyed(bitmap::bitfield_ro) {
        arity -2; flags [READONLY FAST]; acl [BITMAP]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Bitmap; since "6.0.0"; complexity "O(1)";
        syntax "key [GET encoding offset]...";
        summary "Reads integers of any width within a string.";
    }

    "bitop" => keyed(bitmap::bitop) {
        arity -4; flags [WRITE DENYOOM]; acl [BITMAP]; keys [at(2) range(0, 1, 0) OW UPDATE, at(3) range(-1, 1, 0) RO ACCESS];
        group Bitmap; since "2.6.0"; complexity "O(N)";
        syntax "(AND|OR|XOR|NOT) destkey key...";
        summary "Combines strings bit by bit and stores the result.";
    }

    "bitpos" => keyed(bitmap::bitpos) {
        arity -3; flags [READONLY]; acl [BITMAP]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Bitmap; since "2.8.7"; complexity "O(N)";
        syntax "key bit [start [end [BYTE|BIT]]]";
        summary "Where the first set or clear bit of a string is.";
    }

    "getbit" => keyed(bitmap::getbit) {
        arity 3; flags [READONLY FAST]; acl [BITMAP]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Bitmap; since "2.2.0"; complexity "O(1)";
        syntax "key offset";
        summary "A bit of a string.";
    }

    "setbit" => keyed(bitmap::setbit) {
        arity 4; flags [WRITE DENYOOM]; acl [BITMAP]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        group Bitmap; since "2.2.0"; complexity "O(1)";
        syntax "key offset value:integer";
        summary "Sets or clears a bit of a string.";
    }

} } }
