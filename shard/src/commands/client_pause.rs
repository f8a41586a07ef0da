//! CLIENT PAUSE and UNPAUSE. What they do is in [`crate::pause`].

use engine::commands::options::is;
use engine::error::Error;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::UnixMillis;
use storage::item::parse_int;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::pause::{Pause, Paused};
use crate::shard::Shard;
use crate::transaction::gather::Until;

/// `CLIENT PAUSE timeout [WRITE | ALL]`: OK once nothing paused runs any more.
pub fn pause(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let what = match (args.get(3), args.len()) {
        (None, _) => Paused::All,
        (Some(word), 4) if is(word, "all") => Paused::All,
        (Some(word), 4) if is(word, "write") => Paused::Writes,
        (Some(_), 4) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => {
            return Err(Error::bad_subcommand("CLIENT", &args[1]));
        }
    };
    let until = end(&args[2], shard.engine.now)?;
    shard.call_pause(Pause { what, until });
    let shards = (0..shard.engine.slots.shards()).map(ShardId::new).collect();
    let answer = |_: &mut Shard, _: Vec<()>, reply: &mut Reply<'_>| {
        reply.ok();
        Ok(())
    };
    Ok(shard.gather_when(client, shards, Until::Paused, |_| (), answer))
}

/// When a pause of so many milliseconds is over.
fn end(timeout: &[u8], now: UnixMillis) -> Result<UnixMillis, Error> {
    let timeout_ms =
        parse_int(timeout).ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    let timeout_ms =
        u64::try_from(timeout_ms).map_err(|_| Error::new("ERR timeout is negative"))?;
    let end_ms = now.ms().checked_add(timeout_ms);
    let end_ms = end_ms.filter(|&ms| i64::try_from(ms).is_ok());
    let end_ms = end_ms.ok_or(Error::TIMEOUT_OUT_OF_RANGE)?;
    Ok(UnixMillis::new(end_ms))
}

/// `CLIENT UNPAUSE`: OK once no shard holds anything back.
pub fn unpause(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    shard.call_off_pause();
    Ok(shard.gather(client, Shard::take_up_pause, |_, _, reply| {
        reply.ok();
        Ok(())
    }))
}
