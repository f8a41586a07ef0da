//! CLUSTER, READONLY, READWRITE and ASKING: this server is part of no cluster, and says so as Redis
//! does.

use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

/// Refuses whatever is asked of a cluster. What there is to ask, and with how many arguments,
/// stands in the command table.
pub fn disabled(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Err(Error::new("ERR This instance has cluster support disabled"))
}
