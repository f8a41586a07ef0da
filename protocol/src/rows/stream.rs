//! Streams and their consumer groups. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! stream_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "xack" => keyed(stream_group::xack) {
        arity -4; flags [WRITE FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW UPDATE];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key group id...";
        summary "Acknowledges entries that a consumer group has delivered.";
    }

    "xadd" => keyed(stream::xadd) {
        arity -5; flags [WRITE DENYOOM FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW UPDATE];
        tips ["nondeterministic_output"];
        behind Writes;
        changes Entries;
        traits [LONG];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key [NOMKSTREAM] [(MAXLEN|MINID) [=|~] threshold [LIMIT count]] (*|id) (field value)...";
        summary "Appends an entry to a stream; its id, nil where NOMKSTREAM kept it, an error where the id is not above the last.";
    }

    "xautoclaim" => keyed(stream_pending::xautoclaim) {
        arity -6; flags [WRITE FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW DELETE];
        tips ["nondeterministic_output"];
        group Stream; since "6.2.0"; complexity "O(1)";
        syntax "key group consumer min-idle-time start:string [COUNT count] [JUSTID]";
        summary "Takes over entries that have been pending for long.";
    }

    "xclaim" => keyed(stream_pending::xclaim) {
        arity -6; flags [WRITE FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW UPDATE];
        tips ["nondeterministic_output"];
        group Stream; since "5.0.0"; complexity "O(log N)";
        syntax "key group consumer min-idle-time id... [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]";
        summary "Takes over pending entries.";
    }

    "xdel" => keyed(stream::xdel) {
        arity -3; flags [WRITE FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW DELETE];
        changes Entries;
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key id...";
        summary "Deletes entries of a stream.";
    }

    "xgroup" => container {
        arity -2; flags []; acl []; keys [];
        group Stream; since "5.0.0"; complexity "";
        syntax "";
        summary "Commands about a stream's consumer groups.";
    }

    "xgroup|create" => keyed(stream_group::xgroup_create) {
        arity -5; flags [WRITE DENYOOM]; acl [STREAM]; keys [at(2) range(0, 1, 0) RW INSERT];
        behind Writes;
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key groupname (id|$) [MKSTREAM] [ENTRIESREAD entries_read]";
        summary "Creates a consumer group.";
    }

    "xgroup|createconsumer" => keyed(stream_group::xgroup_createconsumer) {
        arity 5; flags [WRITE DENYOOM]; acl [STREAM]; keys [at(2) range(0, 1, 0) RW INSERT];
        behind Writes;
        group Stream; since "6.2.0"; complexity "O(1)";
        syntax "key groupname consumername";
        summary "Creates a consumer in a group.";
    }

    "xgroup|delconsumer" => keyed(stream_group::xgroup_delconsumer) {
        arity 5; flags [WRITE]; acl [STREAM]; keys [at(2) range(0, 1, 0) RW DELETE];
        behind Writes;
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key groupname consumername";
        summary "Deletes a consumer and forgets what it has pending.";
    }

    "xgroup|destroy" => keyed(stream_group::xgroup_destroy) {
        arity 4; flags [WRITE]; acl [STREAM]; keys [at(2) range(0, 1, 0) RW DELETE];
        behind Writes;
        group Stream; since "5.0.0"; complexity "O(N)";
        syntax "key groupname";
        summary "Deletes a consumer group.";
    }

    "xgroup|help" => session(help::xgroup) {
        arity 2; flags [LOADING STALE]; acl [STREAM]; keys [];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of XGROUP.";
    }

    "xgroup|setid" => keyed(stream_group::xgroup_setid) {
        arity -5; flags [WRITE]; acl [STREAM]; keys [at(2) range(0, 1, 0) RW UPDATE];
        behind Writes;
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key groupname (id|$) [ENTRIESREAD entries_read]";
        summary "Sets the last entry that a group has delivered.";
    }

    "xinfo" => container {
        arity -2; flags []; acl []; keys [];
        group Stream; since "5.0.0"; complexity "";
        syntax "";
        summary "Commands that describe a stream.";
    }

    "xinfo|consumers" => keyed(stream_info::xinfo_consumers) {
        arity 4; flags [READONLY]; acl [STREAM]; keys [at(2) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key groupname";
        summary "The consumers of a group.";
    }

    "xinfo|groups" => keyed(stream_info::xinfo_groups) {
        arity 3; flags [READONLY]; acl [STREAM]; keys [at(2) range(0, 1, 0) RO ACCESS];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key";
        summary "The consumer groups of a stream.";
    }

    "xinfo|help" => session(help::xinfo) {
        arity 2; flags [LOADING STALE]; acl [STREAM]; keys [];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of XINFO.";
    }

    "xinfo|stream" => keyed(stream_info::xinfo_stream) {
        arity -3; flags [READONLY]; acl [STREAM]; keys [at(2) range(0, 1, 0) RO ACCESS];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key [FULL [COUNT count]]";
        summary "A stream's figures, with FULL its entries too.";
    }

    "xlen" => keyed(stream::xlen) {
        arity 2; flags [READONLY FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RO];
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key";
        summary "How many entries a stream has.";
    }

    "xpending" => keyed(stream_pending::xpending) {
        arity -3; flags [READONLY]; acl [STREAM]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group Stream; since "5.0.0"; complexity "O(N)";
        syntax "key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]";
        summary "What a group has delivered and not seen acknowledged.";
    }

    "xrange" => keyed(stream::xrange) {
        arity -4; flags [READONLY]; acl [STREAM]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Stream; since "5.0.0"; complexity "O(N)";
        syntax "key start:string end:string [COUNT count]";
        summary "The entries in a range of ids.";
    }

    "xread" => keyed(stream_read::xread) {
        arity -4; flags [READONLY BLOCKING]; acl [STREAM]; keys [after("STREAMS", 1) range(-1, 1, 2) RO ACCESS];
        waits Stream;
        group Stream; since "5.0.0"; complexity "O(M), M entries answered";
        syntax "[COUNT count] [BLOCK milliseconds] STREAMS key... id...";
        summary "Entries of streams that follow given ids; may wait for them; nil where there are none.";
    }

    "xreadgroup" => keyed(stream_read::xreadgroup) {
        arity -7; flags [WRITE BLOCKING]; acl [STREAM]; keys [after("STREAMS", 4) range(-1, 1, 2) RO ACCESS];
        waits Group;
        traits [QUIET];
        group Stream; since "5.0.0"; complexity "O(M), M entries answered";
        syntax "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key... id...";
        summary "As XREAD, as a consumer of a group.";
    }

    "xrevrange" => keyed(stream::xrevrange) {
        arity -4; flags [READONLY]; acl [STREAM]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Stream; since "5.0.0"; complexity "O(N)";
        syntax "key end:string start:string [COUNT count]";
        summary "The entries in a range of ids, last first.";
    }

    "xsetid" => keyed(stream::xsetid) {
        arity -3; flags [WRITE DENYOOM FAST]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW UPDATE];
        changes Entries;
        group Stream; since "5.0.0"; complexity "O(1)";
        syntax "key last-id [ENTRIESADDED entries_added] [MAXDELETEDID max_deleted_entry_id]";
        summary "Sets a stream's last id.";
    }

    "xtrim" => keyed(stream::xtrim) {
        arity -4; flags [WRITE]; acl [STREAM]; keys [at(1) range(0, 1, 0) RW DELETE];
        tips ["nondeterministic_output"];
        changes Entries;
        group Stream; since "5.0.0"; complexity "O(N)";
        syntax "key (MAXLEN|MINID) [=|~] threshold [LIMIT count]";
        summary "Cuts old entries off a stream.";
    }

} } }
