//! Sorted sets. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! sorted_set_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "bzmpop" => keyed(blocking::bzmpop) {
        arity -5; flags [WRITE BLOCKING]; acl [SORTEDSET]; keys [at(2) keynum(0, 1, 1) RW ACCESS DELETE];
        waits SortedSet;
        group SortedSet; since "7.0.0"; complexity "O(K) + O(M*log(N))";
        syntax "timeout numkeys key... (MIN|MAX) [COUNT count]";
        summary "As ZMPOP; waits for a member.";
    }

    "bzpopmax" => keyed(blocking::bzpopmax) {
        arity -3; flags [WRITE BLOCKING FAST]; acl [SORTEDSET]; keys [at(1) range(-2, 1, 0) RW ACCESS DELETE];
        waits SortedSet;
        group SortedSet; since "5.0.0"; complexity "O(log(N))";
        syntax "key... timeout";
        summary "Takes the highest member of the first sorted set that has one; waits for it.";
    }

    "bzpopmin" => keyed(blocking::bzpopmin) {
        arity -3; flags [WRITE BLOCKING FAST]; acl [SORTEDSET]; keys [at(1) range(-2, 1, 0) RW ACCESS DELETE];
        waits SortedSet;
        group SortedSet; since "5.0.0"; complexity "O(log(N))";
        syntax "key... timeout";
        summary "Takes the lowest member of the first sorted set that has one; waits for it.";
    }

    "zadd" => keyed(sorted_set_add::zadd) {
        arity -4; flags [WRITE DENYOOM FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW UPDATE];
        behind Writes;
        changes Named;
        group SortedSet; since "1.2.0"; complexity "O(log(N))";
        syntax "key [NX|XX] [GT|LT] [CH] [INCR] (score member)...";
        summary "Adds members to a sorted set, or changes their scores; how many were new, with CH those changed too.";
    }

    "zcard" => keyed(sorted_set::zcard) {
        arity 2; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO];
        group SortedSet; since "1.2.0"; complexity "O(1)";
        syntax "key";
        summary "How many members a sorted set has.";
    }

    "zcount" => keyed(sorted_set_range::zcount) {
        arity 4; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.0.0"; complexity "O(log(N))";
        syntax "key min:double max:double";
        summary "How many members have scores in a range.";
    }

    "zdiff" => keyed(sorted_set_store::zdiff) {
        arity -3; flags [READONLY]; acl [SORTEDSET]; keys [at(1) keynum(0, 1, 1) RO ACCESS];
        group SortedSet; since "6.2.0"; complexity "O(L + (N-K)log(N))";
        syntax "numkeys key... [WITHSCORES]";
        summary "The members of the first sorted set that are in none of the others.";
    }

    "zdiffstore" => keyed(sorted_set_store::zdiffstore) {
        arity -4; flags [WRITE DENYOOM]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) keynum(0, 1, 1) RO ACCESS];
        behind Writes;
        group SortedSet; since "6.2.0"; complexity "O(L + (N-K)log(N))";
        syntax "destination numkeys key...";
        summary "Stores what ZDIFF answers.";
    }

    "zincrby" => keyed(sorted_set_add::zincrby) {
        arity 4; flags [WRITE DENYOOM FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW ACCESS UPDATE];
        behind Writes;
        changes Named;
        group SortedSet; since "1.2.0"; complexity "O(log(N))";
        syntax "key increment member";
        summary "Adds to a member's score, 0 where missing; the sum.";
    }

    "zinter" => keyed(sorted_set_store::zinter) {
        arity -3; flags [READONLY]; acl [SORTEDSET]; keys [at(1) keynum(0, 1, 1) RO ACCESS];
        group SortedSet; since "6.2.0"; complexity "O(N*K)+O(M*log(M))";
        syntax "numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]";
        summary "The members that all the sorted sets have.";
    }

    "zintercard" => keyed(sorted_set_store::zintercard) {
        arity -3; flags [READONLY]; acl [SORTEDSET]; keys [at(1) keynum(0, 1, 1) RO ACCESS];
        group SortedSet; since "7.0.0"; complexity "O(N*K)";
        syntax "numkeys key... [LIMIT limit]";
        summary "How many members all the sorted sets share.";
    }

    "zinterstore" => keyed(sorted_set_store::zinterstore) {
        arity -4; flags [WRITE DENYOOM]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) keynum(0, 1, 1) RO ACCESS];
        behind Writes;
        group SortedSet; since "2.0.0"; complexity "O(N*K)+O(M*log(M))";
        syntax "destination numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)]";
        summary "Stores what ZINTER answers.";
    }

    "zlexcount" => keyed(sorted_set_range::zlexcount) {
        arity 4; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.8.9"; complexity "O(log(N))";
        syntax "key min max";
        summary "How many members lie in a range of names.";
    }

    "zmpop" => keyed(sorted_set_pop::zmpop) {
        arity -4; flags [WRITE]; acl [SORTEDSET]; keys [at(1) keynum(0, 1, 1) RW ACCESS DELETE];
        group SortedSet; since "7.0.0"; complexity "O(K) + O(M*log(N))";
        syntax "numkeys key... (MIN|MAX) [COUNT count]";
        summary "Takes members out of the first sorted set that has any.";
    }

    "zmscore" => keyed(sorted_set::zmscore) {
        arity -3; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "6.2.0"; complexity "O(N)";
        syntax "key member...";
        summary "The scores of several members.";
    }

    "zpopmax" => keyed(sorted_set_pop::zpopmax) {
        arity -2; flags [WRITE FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        group SortedSet; since "5.0.0"; complexity "O(log(N)*M)";
        syntax "key [count]";
        summary "Takes the highest members out of a sorted set.";
    }

    "zpopmin" => keyed(sorted_set_pop::zpopmin) {
        arity -2; flags [WRITE FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW ACCESS DELETE];
        group SortedSet; since "5.0.0"; complexity "O(log(N)*M)";
        syntax "key [count]";
        summary "Takes the lowest members out of a sorted set.";
    }

    "zrandmember" => keyed(sorted_set::zrandmember) {
        arity -2; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group SortedSet; since "6.2.0"; complexity "O(N), N the count";
        syntax "key [count [WITHSCORES]]";
        summary "Random members of a sorted set.";
    }

    "zrange" => keyed(sorted_set_range::zrange) {
        arity -4; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "1.2.0"; complexity "O(log(N)+M)";
        syntax "key start:string stop:string [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]";
        summary "The members in a range of ranks, scores or names; empty where there are none.";
    }

    "zrangebylex" => keyed(sorted_set_range::zrangebylex) {
        arity -4; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.8.9"; complexity "O(log(N)+M)";
        syntax "key min max [LIMIT offset count]";
        summary "The members in a range of names.";
    }

    "zrangebyscore" => keyed(sorted_set_range::zrangebyscore) {
        arity -4; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "1.0.5"; complexity "O(log(N)+M)";
        syntax "key min:double max:double [WITHSCORES] [LIMIT offset count]";
        summary "The members in a range of scores.";
    }

    "zrangestore" => keyed(sorted_set_range::zrangestore) {
        arity -5; flags [WRITE DENYOOM]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) range(0, 1, 0) RO ACCESS];
        behind Writes;
        group SortedSet; since "6.2.0"; complexity "O(log(N)+M)";
        syntax "dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]";
        summary "Stores what ZRANGE answers.";
    }

    "zrank" => keyed(sorted_set::zrank) {
        arity -3; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.0.0"; complexity "O(log(N))";
        syntax "key member [WITHSCORE]";
        summary "A member's rank, counted from the lowest score; nil where there is no such member.";
    }

    "zrem" => keyed(sorted_set::zrem) {
        arity -3; flags [WRITE FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW DELETE];
        changes Named;
        group SortedSet; since "1.2.0"; complexity "O(M*log(N))";
        syntax "key member...";
        summary "Removes members from a sorted set; how many there were.";
    }

    "zremrangebylex" => keyed(sorted_set_range::zremrangebylex) {
        arity 4; flags [WRITE]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW DELETE];
        group SortedSet; since "2.8.9"; complexity "O(log(N)+M)";
        syntax "key min max";
        summary "Removes the members in a range of names.";
    }

    "zremrangebyrank" => keyed(sorted_set_range::zremrangebyrank) {
        arity 4; flags [WRITE]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW DELETE];
        group SortedSet; since "2.0.0"; complexity "O(log(N)+M)";
        syntax "key start stop";
        summary "Removes the members in a range of ranks.";
    }

    "zremrangebyscore" => keyed(sorted_set_range::zremrangebyscore) {
        arity 4; flags [WRITE]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RW DELETE];
        group SortedSet; since "1.2.0"; complexity "O(log(N)+M)";
        syntax "key min:double max:double";
        summary "Removes the members in a range of scores.";
    }

    "zrevrange" => keyed(sorted_set_range::zrevrange) {
        arity -4; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "1.2.0"; complexity "O(log(N)+M)";
        syntax "key start stop [WITHSCORES]";
        summary "The members in a range of ranks, highest first.";
    }

    "zrevrangebylex" => keyed(sorted_set_range::zrevrangebylex) {
        arity -4; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.8.9"; complexity "O(log(N)+M)";
        syntax "key max min [LIMIT offset count]";
        summary "The members in a range of names, last first.";
    }

    "zrevrangebyscore" => keyed(sorted_set_range::zrevrangebyscore) {
        arity -4; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.2.0"; complexity "O(log(N)+M)";
        syntax "key max:double min:double [WITHSCORES] [LIMIT offset count]";
        summary "The members in a range of scores, highest first.";
    }

    "zrevrank" => keyed(sorted_set::zrevrank) {
        arity -3; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "2.0.0"; complexity "O(log(N))";
        syntax "key member [WITHSCORE]";
        summary "A member's rank, counted from the highest score.";
    }

    "zscan" => keyed(sorted_set::zscan) {
        arity -3; flags [READONLY]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        tips ["nondeterministic_output"];
        group SortedSet; since "2.8.0"; complexity "O(1) a call, O(N) the whole iteration";
        syntax "key cursor [MATCH pattern] [COUNT count]";
        summary "Some members of a sorted set, and the cursor from which to go on.";
    }

    "zscore" => keyed(sorted_set::zscore) {
        arity 3; flags [READONLY FAST]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group SortedSet; since "1.2.0"; complexity "O(1)";
        syntax "key member";
        summary "A member's score; nil where there is no such member.";
    }

    "zunion" => keyed(sorted_set_store::zunion) {
        arity -3; flags [READONLY]; acl [SORTEDSET]; keys [at(1) keynum(0, 1, 1) RO ACCESS];
        group SortedSet; since "6.2.0"; complexity "O(N)+O(M*log(M))";
        syntax "numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]";
        summary "The members that any of the sorted sets has.";
    }

    "zunionstore" => keyed(sorted_set_store::zunionstore) {
        arity -4; flags [WRITE DENYOOM]; acl [SORTEDSET]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) keynum(0, 1, 1) RO ACCESS];
        behind Writes;
        group SortedSet; since "2.0.0"; complexity "O(N)+O(M log(M))";
        syntax "destination numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)]";
        summary "Stores what ZUNION answers.";
    }

} } }
