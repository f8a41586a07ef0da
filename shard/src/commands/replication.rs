//! REPLICAOF, ROLE, and what replicas send: this server is a master without any, and says so.

use engine::commands::options::{integer, is};
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const NO_REPLICAS: Error = Error::new(
    "ERR percore has no replication yet, so it sends its data to nobody. For a copy of it, send SAVE or BGSAVE and take the dump.rdb",
);

const NO_MASTER: Error = Error::new(
    "ERR percore has no replication yet, so it can be no replica. To have a server's data, load its dump.rdb at the start",
);

/// `SYNC`, `PSYNC replicationid offset`: a replica, or `redis-cli --rdb`, asks for all data.
pub fn sync(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Err(NO_REPLICAS)
}

/// `REPLCONF [option value ...]`: what a replica tells of itself before it asks for data.
pub fn replconf(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    match args.len() {
        1 => {
            reply.ok();
            Ok(Answer::Now)
        }
        pairs if pairs.is_multiple_of(2) => Err(Error::SYNTAX),
        _ => Err(NO_REPLICAS),
    }
}

/// `REPLICAOF host port | NO ONE`: a master is one already.
pub fn replicaof(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if is(&args[1], "no") && is(&args[2], "one") {
        reply.ok();
        return Ok(Answer::Now);
    }
    let port = integer(&args[2]).ok();
    if port.is_some_and(|port| (0..=65_535).contains(&port)) {
        Err(NO_MASTER)
    } else {
        Err(Error::new("ERR Invalid master port"))
    }
}

/// `ROLE`: a master, what it has sent to replicas in bytes, and which there are.
pub fn role(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
    Ok(Answer::Now)
}
