//! Publish and subscribe. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! pubsub_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "psubscribe" => session(pubsub::psubscribe) {
        arity -2; flags [PUBSUB NOSCRIPT LOADING STALE]; acl []; keys [];
        subscribers Changed;
        channels Patterns;
        group PubSub; since "2.0.0"; complexity "O(N)";
        syntax "pattern...";
        summary "Listens to the channels that match patterns.";
    }

    "publish" => session(pubsub::publish) {
        arity 3; flags [PUBSUB LOADING STALE FAST]; acl []; keys [];
        behind Everything;
        channels First;
        traits [REPLICATED PUBLISHES];
        group PubSub; since "2.0.0"; complexity "O(N+M)";
        syntax "channel message";
        summary "Sends a message to a channel; how many listeners got it.";
    }

    "pubsub" => container {
        arity -2; flags []; acl []; keys [];
        group PubSub; since "2.8.0"; complexity "";
        syntax "";
        summary "Commands about channels and their listeners.";
    }

    "pubsub|channels" => session(pubsub::channels) {
        arity -2; flags [PUBSUB LOADING STALE]; acl []; keys [];
        group PubSub; since "2.8.0"; complexity "O(N)";
        syntax "[pattern]";
        summary "The channels that have listeners.";
    }

    "pubsub|help" => session(pubsub::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group PubSub; since "6.2.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of PUBSUB.";
    }

    "pubsub|numpat" => session(pubsub::numpat) {
        arity 2; flags [PUBSUB LOADING STALE]; acl []; keys [];
        group PubSub; since "2.8.0"; complexity "O(1)";
        syntax "";
        summary "How many patterns are listened to.";
    }

    "pubsub|numsub" => session(pubsub::numsub) {
        arity -2; flags [PUBSUB LOADING STALE]; acl []; keys [];
        group PubSub; since "2.8.0"; complexity "O(N)";
        syntax "[channel]...";
        summary "How many listeners channels have.";
    }

    "pubsub|shardchannels" => session(pubsub::shardchannels) {
        arity -2; flags [PUBSUB LOADING STALE]; acl []; keys [];
        group PubSub; since "7.0.0"; complexity "O(N)";
        syntax "[pattern]";
        summary "The shard channels that have listeners.";
    }

    "pubsub|shardnumsub" => session(pubsub::shardnumsub) {
        arity -2; flags [PUBSUB LOADING STALE]; acl []; keys [];
        group PubSub; since "7.0.0"; complexity "O(N)";
        syntax "[shardchannel]...";
        summary "How many listeners shard channels have.";
    }

    "punsubscribe" => session(pubsub::punsubscribe) {
        arity -1; flags [PUBSUB NOSCRIPT LOADING STALE]; acl []; keys [];
        subscribers Changed;
        group PubSub; since "2.0.0"; complexity "O(N+M)";
        syntax "[pattern]...";
        summary "Stops listening to patterns.";
    }

    "spublish" => session(pubsub::spublish) {
        arity 3; flags [PUBSUB LOADING STALE FAST]; acl []; keys [at(1) range(0, 1, 0) NOT_KEY];
        behind Everything;
        channels First;
        traits [REPLICATED PUBLISHES];
        group PubSub; since "7.0.0"; complexity "O(N)";
        syntax "shardchannel message";
        summary "Sends a message to a shard channel.";
    }

    "ssubscribe" => session(pubsub::ssubscribe) {
        arity -2; flags [PUBSUB NOSCRIPT LOADING STALE]; acl []; keys [at(1) range(-1, 1, 0) NOT_KEY];
        subscribers Changed;
        channels All;
        group PubSub; since "7.0.0"; complexity "O(N)";
        syntax "shardchannel...";
        summary "Listens to shard channels.";
    }

    "subscribe" => session(pubsub::subscribe) {
        arity -2; flags [PUBSUB NOSCRIPT LOADING STALE]; acl []; keys [];
        subscribers Changed;
        channels All;
        group PubSub; since "2.0.0"; complexity "O(N)";
        syntax "channel...";
        summary "Listens to channels.";
    }

    "sunsubscribe" => session(pubsub::sunsubscribe) {
        arity -1; flags [PUBSUB NOSCRIPT LOADING STALE]; acl []; keys [at(1) range(-1, 1, 0) NOT_KEY];
        subscribers Changed;
        group PubSub; since "7.0.0"; complexity "O(N)";
        syntax "[shardchannel]...";
        summary "Stops listening to shard channels.";
    }

    "unsubscribe" => session(pubsub::unsubscribe) {
        arity -1; flags [PUBSUB NOSCRIPT LOADING STALE]; acl []; keys [];
        subscribers Changed;
        group PubSub; since "2.0.0"; complexity "O(N)";
        syntax "[channel]...";
        summary "Stops listening to channels.";
    }

} } }
