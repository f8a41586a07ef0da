//! MEMORY: where memory goes, of one key or of all.

use protocol::args::Args;
use protocol::reply::Reply;
use storage::keyspace::SAMPLES;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::commands::info::{ratio, resident_bytes};
use crate::commands::options::{Options, integer, is};
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::handler::Answer;
use crate::message::Message;
use crate::shard::Shard;
use crate::slot::ShardId;

/// Below this many bytes in use, DOCTOR has nothing to say.
const DOCTOR_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// Resident over used memory above which DOCTOR speaks of fragmentation.
const DOCTOR_FRAGMENTATION_MAX: f64 = 1.4;

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    A report about memory for people.",
    "MALLOC-STATS",
    "    The allocator's own statistics.",
    "PURGE",
    "    Return free memory to the system.",
    "STATS",
    "    Where memory goes.",
    "USAGE <key> [SAMPLES <count>]",
    "    Bytes that a key and its value take.",
    "HELP",
    "    Show this help.",
];

/// `MEMORY USAGE key [SAMPLES count]`: the memory of the key and its value, by the allocator's own measure; nil where there is no such key.
///
/// Most values know what they take. Of a table as many elements are looked at as SAMPLES says, or some dozens; 0 is all of them.
pub fn usage(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut samples = SAMPLES;
    let mut options = Options::new(args, 3);
    while let Some(word) = options.next() {
        if !is(word, "samples") {
            return Err(Error::SYNTAX);
        }
        samples = match integer(options.value()?)? {
            ..0 => return Err(Error::SYNTAX),
            0 => usize::MAX,
            count => usize::try_from(count).unwrap_or(usize::MAX),
        };
    }
    match ctx.peek(&args[2]) {
        Some(entry) => {
            let bytes = entry.memory_bytes_by(samples);
            reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        None => reply.null(),
    }
    Ok(())
}

/// `MEMORY STATS`: of the figures that Redis gives, those that there are here.
pub fn stats(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let visit = |shard: &mut Shard| {
        shard.publish_memory();
        let clients = shard.clients.iter().filter_map(|(_, known)| {
            let client = known.client.try_borrow().ok()?;
            Some(client.memory_bytes() as u64)
        });
        let clients_bytes: u64 = clients.sum();
        let keys: usize = shard
            .databases
            .indices()
            .map(|index| shard.databases.get(index).len())
            .sum();
        (clients_bytes, keys as u64)
    };
    Ok(shard.gather(client, visit, |shard, parts, reply| {
        let clients_bytes: u64 = parts.iter().map(|(bytes, _)| bytes).sum();
        let keys: u64 = parts.iter().map(|(_, keys)| keys).sum();
        let used = shard.process.memory.used_bytes();
        let peak = shard.process.memory.peak_bytes();
        let resident = resident_bytes();
        let dataset = used.saturating_sub(clients_bytes);
        let whole = [
            ("peak.allocated", peak),
            ("total.allocated", used),
            ("clients.normal", clients_bytes),
            ("keys.count", keys),
            ("keys.bytes-per-key", dataset.checked_div(keys).unwrap_or(0)),
            ("dataset.bytes", dataset),
            ("allocator.resident", resident),
        ];
        let shares = [
            ("dataset.percentage", 100.0 * ratio(dataset, used)),
            ("peak.percentage", 100.0 * ratio(used, peak)),
            ("fragmentation", ratio(resident, used)),
        ];
        reply.map(whole.len() + shares.len());
        for (name, value) in whole {
            reply.bulk(name.as_bytes());
            reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
        }
        for (name, value) in shares {
            reply.bulk(name.as_bytes());
            reply.double(value);
        }
        Ok(())
    }))
}

/// `MEMORY DOCTOR`
pub fn doctor(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let visit = |shard: &mut Shard| shard.publish_memory();
    Ok(shard.gather(client, visit, |shard, _, reply| {
        let used = shard.process.memory.used_bytes();
        let report = diagnosis(used, resident_bytes());
        reply.verbatim("txt", report.as_bytes());
        Ok(())
    }))
}

fn diagnosis(used: u64, resident: u64) -> String {
    let fragmentation = ratio(resident, used);
    if used < DOCTOR_BYTES_MIN {
        "There is too little data in here to say anything about its memory.\n".into()
    } else if fragmentation > DOCTOR_FRAGMENTATION_MAX {
        format!(
            "The process holds {fragmentation:.2} times the memory that is in use. Much of it may have been freed of late, and be used again.\n"
        )
    } else {
        "No trouble with memory in sight.\n".into()
    }
}

/// `MEMORY PURGE`: every shard gives back what it has freed; the client is answered before.
pub fn purge(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    for index in 0..shard.slots.shards() {
        let give_back = |shard: &mut Shard| (shard.process.allocator.give_back)();
        shard.send(ShardId::new(index), Message::Visit(Box::new(give_back)));
    }
    reply.ok();
    Ok(Answer::Now)
}

/// `MEMORY MALLOC-STATS`
pub fn malloc_stats(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.verbatim("txt", b"Stats not supported for the current allocator");
    Ok(Answer::Now)
}

/// `MEMORY HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_tells_three_states_apart() {
        assert!(diagnosis(1 << 20, 1 << 30).contains("too little"));
        assert!(diagnosis(1 << 30, 2 << 30).contains("2.00 times"));
        assert!(diagnosis(1 << 30, 1 << 30).contains("No trouble"));
    }
}
