//! MEMORY: where memory goes, of one key or of all.

use std::borrow::Cow;

use engine::error::Error;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::reply::Reply;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::mailbox::message::Message;
use crate::memory::footprint::{Footprint, Part, difference, ratio};
use crate::shard::Shard;

/// Below this many bytes in use, DOCTOR has nothing to say.
const DOCTOR_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// The peak over used memory above which DOCTOR speaks of it.
const DOCTOR_PEAK_MAX: f64 = 1.5;

/// Bytes of a connection on average above which DOCTOR speaks of them.
const DOCTOR_CLIENT_BYTES_MAX: u64 = 200 * 1024;

/// Held over used memory above which DOCTOR speaks of fragmentation.
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

/// Asks all shards where memory goes.
fn gather_footprint(
    shard: &mut Shard,
    client: &mut Client,
    finish: impl FnOnce(&mut Shard, Footprint, &mut Reply<'_>) + 'static,
) -> Answer {
    shard.gather(client, Part::of, move |shard, parts, reply| {
        let mut sum = Part::default();
        parts.iter().for_each(|part| sum.add(part));
        let footprint = Footprint::of(&shard.process, sum);
        finish(shard, footprint, reply);
        Ok(())
    })
}

/// A figure of MEMORY STATS.
enum Figure {
    Bytes(i64),
    Share(f64),
    /// The tables of a database: of its keys, and of those with a deadline, for which there is none
    /// here.
    Table(u64),
}

/// `MEMORY STATS`: of the figures that Redis gives, those that there are here, in its order.
pub fn stats(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(gather_footprint(shard, client, |_, footprint, reply| {
        let figures = figures(&footprint);
        reply.map(figures.len());
        for (name, figure) in figures {
            reply.bulk(name.as_bytes());
            match figure {
                Figure::Bytes(bytes) => reply.integer(bytes),
                Figure::Share(share) => reply.double(share),
                Figure::Table(bytes) => {
                    reply.map(2);
                    reply.bulk(b"overhead.hashtable.main");
                    reply.integer(bytes.cast_signed());
                    reply.bulk(b"overhead.hashtable.expires");
                    reply.integer(0);
                }
            }
        }
    }))
}

fn figures(footprint: &Footprint) -> Vec<(Cow<'static, str>, Figure)> {
    let Footprint {
        parts,
        used,
        peak,
        startup,
        held,
        resident,
        overhead,
        dataset,
        keys,
        scripts,
        functions,
        ..
    } = footprint;
    let machines = parts.machines_bytes + parts.machines_functions_bytes;
    let bytes = |value: &u64| Figure::Bytes(i64::try_from(*value).unwrap_or(i64::MAX));
    let used_databases = parts.databases.iter().filter(|(keys, _)| *keys > 0);
    let table_bytes: u64 = used_databases.map(|(_, bytes)| bytes).sum();
    let tables = parts.databases.iter().enumerate();
    let tables = tables
        .filter(|(_, (keys, _))| *keys > 0)
        .map(|(number, (_, bytes))| (format!("db.{number}").into(), Figure::Table(*bytes)));
    let fixed = |figures: Vec<(&'static str, Figure)>| {
        let named = |(name, figure)| (Cow::Borrowed(name), figure);
        figures.into_iter().map(named)
    };
    fixed(vec![
        ("peak.allocated", bytes(peak)),
        ("total.allocated", bytes(used)),
        ("startup.allocated", bytes(startup)),
        ("replication.backlog", bytes(&0)),
        ("replica.fullsync.buffer", bytes(&0)),
        ("clients.slaves", bytes(&0)),
        ("clients.normal", bytes(&parts.clients_bytes)),
        ("cluster.links", bytes(&0)),
        ("aof.buffer", bytes(&parts.log_buffer_bytes)),
        ("lua.caches", bytes(&(scripts.bytes as u64))),
        ("functions.caches", bytes(&functions.bytes)),
        ("script.VMs", bytes(&machines)),
    ])
    .chain(tables)
    .chain(fixed(vec![
        ("overhead.db.hashtable.lut", bytes(&table_bytes)),
        // Tables grow by a segment at a time.
        ("overhead.db.hashtable.rehashing", bytes(&0)),
        ("overhead.total", bytes(overhead)),
        ("db.dict.rehashing.count", bytes(&0)),
        ("keys.count", bytes(keys)),
        (
            "keys.bytes-per-key",
            bytes(&footprint.grown().checked_div(*keys).unwrap_or(0)),
        ),
        ("dataset.bytes", bytes(dataset)),
        (
            "dataset.percentage",
            Figure::Share(footprint.dataset_percent()),
        ),
        (
            "peak.percentage",
            Figure::Share(100.0 * ratio(*used, *peak)),
        ),
        ("allocator.allocated", bytes(used)),
        ("allocator.active", bytes(held)),
        ("allocator.resident", bytes(held)),
        ("allocator.muzzy", bytes(&0)),
        (
            "allocator-fragmentation.ratio",
            Figure::Share(ratio(*held, *used)),
        ),
        (
            "allocator-fragmentation.bytes",
            Figure::Bytes(difference(*held, *used)),
        ),
        ("allocator-rss.ratio", Figure::Share(ratio(*held, *held))),
        ("allocator-rss.bytes", bytes(&0)),
        ("rss-overhead.ratio", Figure::Share(ratio(*resident, *held))),
        (
            "rss-overhead.bytes",
            Figure::Bytes(difference(*resident, *held)),
        ),
        ("fragmentation", Figure::Share(ratio(*resident, *used))),
        (
            "fragmentation.bytes",
            Figure::Bytes(difference(*resident, *used)),
        ),
    ]))
    .collect()
}

/// `MEMORY DOCTOR`
pub fn doctor(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(gather_footprint(shard, client, |_, footprint, reply| {
        reply.verbatim("txt", diagnosis(&footprint).as_bytes());
    }))
}

/// What there is to say, with what helps.
fn diagnosis(footprint: &Footprint) -> String {
    let Footprint {
        used,
        peak,
        resident,
        held,
        ..
    } = *footprint;
    if used < DOCTOR_BYTES_MIN {
        return "There is too little data in here to say anything about its memory.\n".into();
    }
    let mut found = Vec::new();
    let above_now = ratio(peak, used);
    if above_now > DOCTOR_PEAK_MAX {
        found.push(format!(
            "At its peak {above_now:.2} times as much was in use. What was freed since may still be held for the next peak: MEMORY PURGE returns it."
        ));
    }
    let kept = ratio(held, used);
    if kept > DOCTOR_FRAGMENTATION_MAX && held.saturating_sub(used) > DOCTOR_BYTES_MIN {
        found.push(format!(
            "The allocator holds {kept:.2} times what is in use: blocks that stay lie between blocks that went. It is used again for values of like sizes; a restart would return it."
        ));
    }
    let beside = ratio(resident, held);
    if beside > DOCTOR_FRAGMENTATION_MAX && resident.saturating_sub(held) > DOCTOR_BYTES_MIN {
        found.push(format!(
            "The process takes {beside:.2} times the memory that its allocator holds. The rest is of files that it has mapped: its own program, most of all."
        ));
    }
    let each = footprint
        .parts
        .clients_bytes
        .checked_div(footprint.parts.clients)
        .unwrap_or(0);
    if each > DOCTOR_CLIENT_BYTES_MAX {
        found.push(format!(
            "A connection takes {each} bytes on average. CLIENT LIST shows which do not read what they ask for; client-output-buffer-limit and maxmemory-clients bound them."
        ));
    }
    if found.is_empty() {
        "No trouble with memory in sight.\n".into()
    } else {
        found.iter().map(|line| format!("- {line}\n")).collect()
    }
}

/// `MEMORY PURGE`: every shard gives back what it has freed; the client is answered before.
pub fn purge(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    for index in 0..shard.engine.slots.shards() {
        let give_back = |shard: &mut Shard| (shard.process.allocator.give_back)();
        shard.send(ShardId::new(index), Message::Visit(Box::new(give_back)));
    }
    reply.ok();
    Ok(Answer::Now)
}

/// `MEMORY MALLOC-STATS`: what each shard has allocated, and the allocator's own report.
pub fn malloc_stats(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let visit = |shard: &mut Shard| shard.used_by_thread();
    Ok(shard.gather(client, visit, |shard, parts, reply| {
        let mut text = String::new();
        for (number, bytes) in parts.into_iter().enumerate() {
            text.push_str(&format!("shard {number}: {bytes} bytes in use\n"));
        }
        text.push_str(&(shard.process.allocator.report)());
        reply.verbatim("txt", text.as_bytes());
        Ok(())
    }))
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
    fn the_doctor_names_each_trouble() {
        let well = Footprint {
            used: 1 << 30,
            peak: 1 << 30,
            held: 1 << 30,
            resident: 1 << 30,
            ..Footprint::default()
        };
        assert!(diagnosis(&well).contains("No trouble"));
        let said = |change: fn(&mut Footprint)| {
            let mut ill = well.clone();
            change(&mut ill);
            diagnosis(&ill)
        };
        assert!(said(|it| it.used = 1 << 20).contains("too little"));
        assert!(said(|it| it.resident *= 2).contains("takes 2.00 times"));
        assert!(
            said(|it| (it.held, it.resident) = (2 << 30, 2 << 30)).contains("holds 2.00 times")
        );
        assert!(said(|it| it.peak *= 2).contains("peak 2.00 times"));
        let text = said(|it| (it.parts.clients, it.parts.clients_bytes) = (2, 1 << 20));
        assert!(text.contains("524288 bytes"), "{text}");
        let text = said(|it| (it.peak, it.resident) = (4 << 30, 4 << 30));
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
