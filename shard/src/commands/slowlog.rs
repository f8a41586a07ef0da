//! SLOWLOG: the latest slow commands, of all shards. What is kept and how is in
//! [`crate::timing::slowlog`].

use engine::commands::options::integer;
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::timing::slowlog::SlowCommand;

/// Entries that `SLOWLOG GET` shows where no count is given.
const SHOWN_BY_DEFAULT: usize = 10;

const HELP: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    The latest <count> entries (10 where none is given, -1 for all), each made of:",
    "    id, time, microseconds, arguments, address and name of the client.",
    "LEN",
    "    How many entries there are.",
    "RESET",
    "    Forget all entries.",
    "HELP",
    "    Show this help.",
];

/// `SLOWLOG GET [count]`: the latest first.
pub fn get(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let count = match args.get(2) {
        None => SHOWN_BY_DEFAULT,
        Some(_) if args.len() > 3 => {
            return Err(Error::bad_subcommand("SLOWLOG", &args[1]));
        }
        Some(text) => match integer(text) {
            Ok(-1) => usize::MAX,
            Ok(count) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
            _ => {
                return Err(Error::new(
                    "ERR count should be greater than or equal to -1",
                ));
            }
        },
    };
    let visit = move |shard: &mut Shard| {
        let count = count.min(shard.slow_log_len_max());
        shard.measured.slow_log.latest(count)
    };
    Ok(shard.gather(client, visit, move |shard, parts, reply| {
        let mut entries: Vec<SlowCommand> = parts.into_iter().flatten().collect();
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
        entries.truncate(count.min(shard.slow_log_len_max()));
        reply.array(entries.len());
        for entry in entries {
            reply.array(6);
            reply.integer(entry.id.cast_signed());
            reply.integer(entry.unix_s.cast_signed());
            reply.integer(entry.micros.cast_signed());
            reply.array(entry.args.len());
            entry.args.iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(entry.address.as_bytes());
            reply.bulk(entry.name.as_bytes());
        }
        Ok(())
    }))
}

/// `SLOWLOG LEN`
pub fn len(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let visit = |shard: &mut Shard| shard.measured.slow_log.len();
    Ok(shard.gather(client, visit, |shard, parts, reply| {
        let len = parts.iter().sum::<usize>().min(shard.slow_log_len_max());
        reply.integer(len as i64);
        Ok(())
    }))
}

/// `SLOWLOG RESET`
pub fn reset(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let visit = |shard: &mut Shard| shard.measured.slow_log.clear();
    Ok(shard.gather(client, visit, |_, _, reply| {
        reply.ok();
        Ok(())
    }))
}

/// `SLOWLOG HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}
