//! WAIT and WAITAOF: whether this connection's writes are safe. How they wait is in
//! [`crate::blocking::acks`].

use engine::commands::options::{count, integer};
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use protocol::table::CommandId;
use storage::UnixMillis;
use storage::item::parse_int;

use crate::blocking::acks::{NO_LOG, Wanted};
use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const WAIT: CommandId = CommandId::named("wait");
const WAITAOF: CommandId = CommandId::named("waitaof");

/// `WAIT numreplicas timeout`: how many replicas have this connection's writes: at once where these
/// are enough or in a transaction, else when they are, or the time is up.
pub fn wait(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let wanted = Wanted {
        disk: None,
        replicas: integer(&args[1])?,
    };
    let until = deadline(&args[2], shard.engine.now)?;
    let offset = shard.stream_end();
    let replicas = shard.replicas_with(offset, wanted);
    if replicas >= wanted.replicas || client.session.in_exec {
        wanted.write(false, replicas, reply);
        return Ok(Answer::Now);
    }
    shard.wait_for_acks(client, WAIT, wanted, until);
    Ok(Answer::Later)
}

/// `WAITAOF numlocal numreplicas timeout`: whether the disk has this connection's writes, 1 or 0,
/// and how many replicas. At once in a transaction, or where nothing is to be waited for; else when
/// that has been reached, or the time is up.
pub fn waitaof(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let wants_disk = match integer(&args[1])? {
        local @ 0..=1 => local == 1,
        _ => {
            return Err(Error::new(
                "ERR value is out of range, value must between 0 and 1",
            ));
        }
    };
    let replicas = count(&args[2]).map_err(|_| Error::MUST_BE_POSITIVE)?;
    let until = deadline(&args[3], shard.engine.now)?;
    if wants_disk && !shard.engine.config.appendonly {
        return Err(NO_LOG);
    }
    let wanted = Wanted {
        disk: Some(wants_disk),
        replicas: i64::try_from(replicas).unwrap_or(i64::MAX),
    };
    let offset = shard.stream_end();
    let have_it = shard.replicas_with(offset, wanted);
    let has_all = !wants_disk && have_it >= wanted.replicas;
    if has_all || client.session.in_exec {
        let finish = move |_: &mut Shard, synced: Vec<bool>, reply: &mut Reply<'_>| {
            wanted.write(synced.into_iter().all(|synced| synced), have_it, reply);
            Ok(())
        };
        return Ok(shard.gather(client, |shard| shard.all_is_synced(), finish));
    }
    shard.wait_for_acks(client, WAITAOF, wanted, until);
    Ok(Answer::Later)
}

/// When a time to wait is up, in milliseconds from now; never where it is 0.
fn deadline(text: &[u8], now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
    let ms = parse_int(text).ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
    if ms == 0 {
        return Ok(None);
    }
    let until = now.ms().checked_add(ms);
    let until = until.filter(|until| i64::try_from(*until).is_ok());
    let until = until.ok_or(Error::new("ERR timeout is out of range"))?;
    Ok(Some(UnixMillis::new(until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_fits_into_what_redis_counts() {
        let now = UnixMillis::new(1_000);
        assert_eq!(deadline(b"0", now), Ok(None));
        assert_eq!(deadline(b"5", now), Ok(Some(UnixMillis::new(1_005))));
        assert_eq!(deadline(b"-1", now), Err(Error::TIMEOUT_NEGATIVE));
        let last = i64::MAX - 1_000;
        assert!(deadline(last.to_string().as_bytes(), now).is_ok());
        assert!(deadline((last + 1).to_string().as_bytes(), now).is_err());
        assert!(deadline(b"1.5", now).is_err());
    }
}
