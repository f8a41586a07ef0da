//! SUBSCRIBE, PUBLISH and their kin. What they do is in [`crate::pubsub`].

use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::pubsub::Topic;
use crate::pubsub::publish::Payload;
use crate::shard::Shard;

type Done = Result<Answer, Error>;

fn subscribe_to(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    topic: Topic,
) -> Done {
    for channel in args.iter().skip(1) {
        shard.subscribe(client, topic, channel, reply);
    }
    Ok(Answer::Now)
}

fn unsubscribe_from(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    topic: Topic,
) -> Done {
    if args.len() == 1 {
        shard.unsubscribe_all(client, topic, reply);
    }
    for channel in args.iter().skip(1) {
        shard.unsubscribe(client, topic, channel, reply);
    }
    Ok(Answer::Now)
}

/// `SUBSCRIBE channel...`
pub fn subscribe(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    subscribe_to(s, c, args, reply, Topic::Channel)
}

/// `PSUBSCRIBE pattern...`
pub fn psubscribe(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    subscribe_to(s, c, args, reply, Topic::Pattern)
}

/// `SSUBSCRIBE shardchannel...`: not inside EXEC, where Redis refuses it as it refuses to let a
/// client wait there.
pub fn ssubscribe(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    if c.session.in_exec {
        return Err(Error::new(
            "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
        ));
    }
    subscribe_to(s, c, args, reply, Topic::ShardChannel)
}

/// `UNSUBSCRIBE [channel...]`
pub fn unsubscribe(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    unsubscribe_from(s, c, args, reply, Topic::Channel)
}

/// `PUNSUBSCRIBE [pattern...]`
pub fn punsubscribe(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    unsubscribe_from(s, c, args, reply, Topic::Pattern)
}

/// `SUNSUBSCRIBE [shardchannel...]`
pub fn sunsubscribe(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    unsubscribe_from(s, c, args, reply, Topic::ShardChannel)
}

/// `PUBLISH channel message`: how many subscribers got it.
pub fn publish(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    s.engine.stream_message(args);
    let count = s.publish(c, Topic::Channel, &args[1], &Payload::of(args, 2));
    reply.integer(count as i64);
    Ok(Answer::Now)
}

/// `SPUBLISH shardchannel message`
pub fn spublish(s: &mut Shard, c: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    s.engine.stream_message(args);
    let count = s.publish(c, Topic::ShardChannel, &args[1], &Payload::of(args, 2));
    reply.integer(count as i64);
    Ok(Answer::Now)
}

fn list(s: &Shard, args: &Args<'_>, reply: &mut Reply<'_>, topic: Topic) -> Done {
    if args.len() > 3 {
        return Err(Error::bad_subcommand("PUBSUB", &args[1]));
    }
    let names = s.process.pubsub.active(topic, args.get(2));
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(Answer::Now)
}

fn counts(s: &Shard, args: &Args<'_>, reply: &mut Reply<'_>, topic: Topic) -> Done {
    reply.array(2 * (args.len() - 2));
    for name in args.iter().skip(2) {
        reply.bulk(name);
        reply.integer(s.process.pubsub.subscribers(topic, name) as i64);
    }
    Ok(Answer::Now)
}

/// `PUBSUB CHANNELS [pattern]`
pub fn channels(s: &mut Shard, _: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    list(s, args, reply, Topic::Channel)
}

/// `PUBSUB SHARDCHANNELS [pattern]`
pub fn shardchannels(
    s: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Done {
    list(s, args, reply, Topic::ShardChannel)
}

/// `PUBSUB NUMSUB [channel...]`
pub fn numsub(s: &mut Shard, _: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    counts(s, args, reply, Topic::Channel)
}

/// `PUBSUB SHARDNUMSUB [shardchannel...]`
pub fn shardnumsub(s: &mut Shard, _: &mut Client, args: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    counts(s, args, reply, Topic::ShardChannel)
}

/// `PUBSUB NUMPAT`: different patterns.
pub fn numpat(s: &mut Shard, _: &mut Client, _: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    reply.integer(s.process.pubsub.count(Topic::Pattern) as i64);
    Ok(Answer::Now)
}

/// `PUBSUB HELP`
pub fn help(_: &mut Shard, _: &mut Client, _: &Args<'_>, reply: &mut Reply<'_>) -> Done {
    let lines = [
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Channels that somebody subscribes to, those that match <pattern> (default: all).",
        "NUMPAT",
        "    How many patterns somebody subscribes to.",
        "NUMSUB [<channel> ...]",
        "    Subscribers of each channel, those by pattern not counted.",
        "SHARDCHANNELS [<pattern>]",
        "    Shard channels that somebody subscribes to.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Subscribers of each shard channel.",
        "HELP",
        "    This text.",
    ];
    write_help(&lines, reply);
    Ok(Answer::Now)
}
