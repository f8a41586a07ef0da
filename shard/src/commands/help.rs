//! What data commands tell people of themselves, and PFSELFTEST.

use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::hyperloglog::{self as hll, Registers};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const OBJECT: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    The name of a value's inner representation.",
    "FREQ <key>",
    "    The logarithmic access counter of a key, under an LFU policy.",
    "IDLETIME <key>",
    "    Seconds since a key was last used.",
    "REFCOUNT <key>",
    "    How many references to a value are held.",
    "HELP",
    "    Show this help.",
];

/// `OBJECT HELP`
pub fn object(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(OBJECT, reply);
    Ok(Answer::Now)
}

/// `XGROUP HELP`
pub fn xgroup(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    help(
        reply,
        &[
            "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
            "    Make a group whose first entry is the one after <id>; $ is the last entry there is.",
            "    MKSTREAM makes the stream too; ENTRIESREAD says how many entries <id> stands for.",
            "CREATECONSUMER <key> <group> <consumer>",
            "    Make a consumer that has read nothing.",
            "DELCONSUMER <key> <group> <consumer>",
            "    Remove a consumer, and forget what it has pending.",
            "DESTROY <key> <group>",
            "    Remove a group with all its consumers.",
            "SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
            "    Go on after <id>.",
            "HELP",
            "    Print this.",
        ],
    )
}

/// `XINFO HELP`
pub fn xinfo(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    help(
        reply,
        &[
            "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CONSUMERS <key> <group>",
            "    The consumers of a group.",
            "GROUPS <key>",
            "    The groups of a stream.",
            "STREAM <key> [FULL [COUNT <count>]]",
            "    A stream's figures and its first and last entry; with FULL its entries,",
            "    groups and all that is pending, <count> of each list, 0 for all of it.",
            "HELP",
            "    Print this.",
        ],
    )
}

/// Lines of text for people.
fn help(reply: &mut Reply<'_>, lines: &[&str]) -> Result<Answer, Error> {
    reply.array(lines.len());
    for line in lines {
        reply.simple(line);
    }
    Ok(Answer::Now)
}

/// `PFSELFTEST`: counts known elements, sparse and dense, and merges them.
pub fn pfselftest(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    const ELEMENTS: u32 = 10_000;
    let mut value = hll::empty();
    let mut merged = Registers::default();
    for element in 0..ELEMENTS {
        hll::add(&mut value, &element.to_le_bytes(), 3000)?;
    }
    merged.merge(&value)?;
    let count = hll::count(&value)?;
    // Eight times the standard error.
    if count != merged.count() || count.abs_diff(ELEMENTS.into()) > u64::from(ELEMENTS) * 65 / 1000
    {
        return Err(Error::from_text(format!(
            "ERR TESTFAILED {count} counted of {ELEMENTS}"
        )));
    }
    reply.ok();
    Ok(Answer::Now)
}
