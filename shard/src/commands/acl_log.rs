//! ACL LOG: who was refused.

use acl::log::LogEntry;
use engine::commands::options::is;
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::item::parse_int;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

/// Entries that are shown where nobody says how many.
const SHOWN: i64 = 10;

/// `ACL LOG [count | RESET]`: a map for each entry, newest first.
pub fn log(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() > 3 {
        return Err(Error::bad_subcommand("ACL", &args[1]));
    }
    let count = match args.get(2) {
        None => SHOWN,
        Some(word) if is(word, "RESET") => {
            shard.process.access.log().reset();
            reply.ok();
            return Ok(Answer::Now);
        }
        Some(text) => parse_int(text).ok_or(Error::NOT_AN_INTEGER)?,
    };
    let log = shard.process.access.log();
    let entries = log.newest(usize::try_from(count).unwrap_or(0));
    reply.array(entries.len());
    for entry in entries {
        write_entry(entry, shard.engine.now.ms(), reply);
    }
    Ok(Answer::Now)
}

fn write_entry(entry: &LogEntry, now_ms: u64, reply: &mut Reply<'_>) {
    let refusal = &entry.refusal;
    let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(integer(entry.count));
    reply.bulk(b"reason");
    reply.bulk(refusal.reason.name().as_bytes());
    reply.bulk(b"context");
    reply.bulk(refusal.context.name().as_bytes());
    reply.bulk(b"object");
    reply.bulk(&refusal.object);
    reply.bulk(b"username");
    reply.bulk(&refusal.username);
    reply.bulk(b"age-seconds");
    reply.double(now_ms.saturating_sub(refusal.at_ms) as f64 / 1_000.0);
    reply.bulk(b"client-info");
    reply.bulk(&refusal.client_info);
    reply.bulk(b"entry-id");
    reply.integer(integer(entry.id));
    reply.bulk(b"timestamp-created");
    reply.integer(integer(entry.created_ms));
    reply.bulk(b"timestamp-last-updated");
    reply.integer(integer(refusal.at_ms));
}
