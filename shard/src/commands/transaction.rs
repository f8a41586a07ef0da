//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. What they do is in [`crate::transaction::exec`].

use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

/// `MULTI`: from here on commands queue.
pub fn multi(
    _: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if client.session.queue.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    client.session.queue = Some(Box::default());
    reply.ok();
    Ok(Answer::Now)
}

/// `EXEC`: runs what is queued at one instant; nil where a watched key has changed.
pub fn exec(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    shard.exec(client, args, reply)
}

/// `DISCARD`: forgets what is queued, and what is watched.
pub fn discard(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if client.session.queue.is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    shard.discard_queue(client);
    reply.ok();
    Ok(Answer::Now)
}

/// `WATCH key [key ...]`
pub fn watch(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    match client.session.queue {
        Some(_) => Err(Error::new("ERR WATCH inside MULTI is not allowed")),
        None => Ok(shard.watch(client, args)),
    }
}

/// `UNWATCH`
pub fn unwatch(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let watched = client.session.watched.take();
    shard.engine.unwatch(watched);
    reply.ok();
    Ok(Answer::Now)
}
