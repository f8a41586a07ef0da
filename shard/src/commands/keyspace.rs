//! RANDOMKEY and SCAN, which go from shard to shard and hold up only the one they are at. Inside
//! MULTI they run on all shards at once, as the other commands on the whole keyspace.

use engine::commands::keyspace::{Scan, choose, offer};
use engine::error::Error;
use engine::header::ReplyTo;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::mailbox::message::Message;
use crate::shard::Shard;
use crate::transaction::gather::Until;

/// `RANDOMKEY`
pub fn randomkey(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let db = client.session.db;
    let shards = (0..shard.engine.slots.shards()).map(ShardId::new).collect();
    let visit = move |shard: &mut Shard| {
        let now = shard.engine.now;
        offer(&shard.engine.databases, db, now, &mut shard.engine.random)
    };
    Ok(shard.gather_when(
        client,
        shards,
        Until::AllHome,
        visit,
        |shard, offers, reply| {
            choose(offers, &mut shard.engine.random, reply);
            Ok(())
        },
    ))
}

/// Goes to the shard its cursor names, as soon as no key of it is lent away, and from there on or
/// home.
fn travel(mut scan: Scan, shard: &mut Shard, origin: ShardId, to: ReplyTo) {
    let shards = shard.engine.slots.shards();
    if scan.shard() >= shards {
        return go_home(scan, shard, origin, to);
    }
    let target = ShardId::new(scan.shard());
    let visit = move |shard: &mut Shard| {
        if scan.step(&shard.engine.databases, shard.engine.now) {
            travel(scan, shard, origin, to)
        } else {
            go_home(scan, shard, origin, to)
        }
    };
    let arrive = move |shard: &mut Shard| shard.when_all_home(Box::new(visit));
    shard.send(target, Message::Visit(Box::new(arrive)));
}

fn go_home(scan: Scan, shard: &mut Shard, origin: ShardId, to: ReplyTo) {
    let arrive = move |shard: &mut Shard| {
        shard.engine.effects.keyspace_hits += scan.hits;
        let version = shard.version_of(to.client);
        let mut encoded = Vec::new();
        scan.write(
            shard.engine.slots.shards(),
            &mut Reply::new(&mut encoded, version),
        );
        shard.complete(shard.engine.id, to, encoded);
    };
    shard.send(origin, Message::Visit(Box::new(arrive)));
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub fn scan(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let scan = Scan::parse(client.session.db, args, shard.engine.slots.shards())?;
    let to = client.stall();
    travel(scan, shard, shard.engine.id, to);
    Ok(Answer::Later)
}
