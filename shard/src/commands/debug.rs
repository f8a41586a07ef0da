//! DEBUG: tools for testing the server itself. `enable-debug-command` says who may use them;
//! nobody, where it is not set.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use config::Permission;
use config::kind::parse_memory;
use engine::commands::options::{at_least, float, integer, is};
use engine::digest::Digest;
use engine::error::Error;
use engine::slot::ShardId;
use protocol::args::Args;
use protocol::glob;
use protocol::reply::Reply;
use protocol::table::lookup;
use storage::{AccessPolicy, Entry, Object, UnixMillis};
use tracing::{error, info, warn};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::commands::config::is_local;
use crate::commands::persistence::Outside;
use crate::commands::{debug_protocol, persistence};
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::transaction::gather::Until;

/// The longest text that STRINGMATCH-LEN makes, in bytes: a few bytes from a client must not cost
/// gigabytes.
const MATCHED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that a packed node of Redis's lists can hold.
const PACKED_BYTES_MAX: u64 = 1 << 32;

const BAD_THRESHOLD: Error =
    Error::new("ERR argument must be a memory value bigger than 1 and smaller than 4gb");

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Take another replication id.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE, with every parameter there is.",
    "DICT-RESIZING (0|1)",
    "    Accepted, and without effect: tables grow by a segment at a time.",
    "DIGEST",
    "    A digest of all data, equal where another server holds the same.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    The digests of these keys' values.",
    "ERROR <text>",
    "    Answer with this error.",
    "JMAP",
    "    Accepted, and without effect.",
    "LISTPACK <key>",
    "    Show how a packed value lies in memory, in the log.",
    "LOADAOF",
    "    Forget the data and load it from the append-only log.",
    "LOG <message>",
    "    Write a message to the log.",
    "OBJECT <key>",
    "    How a key's value is kept.",
    "PANIC",
    "    Crash the server.",
    "PAUSE-CRON (0|1)",
    "    Whether the clock does nothing: no expiry, no save points, no closing of idle connections.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> strings with the names <prefix>:<number>, as far as these are free.",
    "PROTOCOL <kind>",
    "    A reply of this kind: string, integer, double, null, array, set, map, attrib, push, verbatim, true, false, bignum.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted, and without effect.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Save the data, forget it and load it again, or leave some of that out. With MERGE the file's keys replace what is there.",
    "REPLYBUFFER (PEAK-RESET-TIME (NEVER|RESET|<milliseconds>)|RESIZING (0|1))",
    "    Accepted, and without effect: buffers of replies have no fixed size.",
    "SEGFAULT",
    "    Crash the server.",
    "SET-ACTIVE-EXPIRE (0|1)",
    "    Whether expired keys are removed before somebody asks for them.",
    "SLEEP <seconds>",
    "    Stop the server for so long. Decimals are allowed.",
    "STRINGMATCH-LEN <length> <pattern>",
    "    Match a pattern against a long text of one letter.",
    "HELP",
    "    Show this help.",
];

pub const NOT_ALLOWED: Error = Error::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, \
     otherwise you need to set this option in the configuration file, and then restart the server.",
);

/// Whether the configuration lets a client use DEBUG.
pub fn may_debug(shard: &Shard, client: &Client) -> bool {
    match shard.engine.config.enable_debug_command {
        Permission::Yes => true,
        Permission::Local => is_local(&client.peer),
        Permission::No => false,
    }
}

/// `DEBUG subcommand [arg ...]`
pub fn debug(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if !may_debug(shard, client) {
        return Err(NOT_ALLOWED);
    }
    let sub = &args[1];
    match args.len() {
        2 if is(sub, "digest") => return digest(shard, client, args),
        3.. if is(sub, "digest-value") => return digest_value(shard, client, args),
        2 if is(sub, "help") => write_help(HELP, reply),
        2 if ["segfault", "panic", "assert", "oom"]
            .iter()
            .any(|it| is(sub, it)) =>
        {
            error!(client = client.session.id, "asked to crash");
            std::process::abort();
        }
        3..=5 if is(sub, "populate") => return populate(shard, client, args),
        3 if is(sub, "protocol") => debug_protocol::show(client, &args[2], reply)?,
        3 if is(sub, "quicklist-packed-threshold") => {
            let bytes = std::str::from_utf8(&args[2]).ok().and_then(parse_memory);
            match bytes {
                Some(0..PACKED_BYTES_MAX) => reply.ok(),
                _ => return Err(BAD_THRESHOLD),
            }
        }
        2.. if is(sub, "reload") => {
            persistence::Reload::parse(args)?;
            let header = client.header(lookup(b"debug").ok_or(Error::SYNTAX)?);
            let whole = Outside::of(client, header, args);
            return Ok(shard.begin_on_all(whole, false, persistence::reload));
        }
        2 if is(sub, "loadaof") => {
            let header = client.header(lookup(b"debug").ok_or(Error::SYNTAX)?);
            let whole = Outside::of(client, header, args);
            return Ok(shard.begin_on_all(whole, true, persistence::load_log));
        }
        3 if is(sub, "sleep") => return sleep(shard, client, &args[2]),
        3 if is(sub, "object") => return object(shard, client, &args[2]),
        3 if is(sub, "listpack") => return listpack(shard, client, &args[2]),
        3 if is(sub, "set-active-expire") => {
            let on = integer(&args[2]).unwrap_or(0) != 0;
            return Ok(everywhere(shard, client, move |shard| {
                shard.clock.active_expire = on
            }));
        }
        3 if is(sub, "pause-cron") => {
            let paused = integer(&args[2]).unwrap_or(0) != 0;
            return Ok(everywhere(shard, client, move |shard| {
                shard.clock.is_paused = paused
            }));
        }
        2 if is(sub, "config-rewrite-force-all") => rewrite_all(shard, reply)?,
        4 if is(sub, "replybuffer") => reply_buffer(args, reply)?,
        // What these are about does not exist here.
        2 if is(sub, "jmap") => reply.ok(),
        3 if is(sub, "dict-resizing") || is(sub, "client-enforce-reply-list") => reply.ok(),
        // There are no replicas that a new id would send away, and no scripts that a command could
        // be denied to.
        2 if is(sub, "change-repl-id") => reply.ok(),
        3 if is(sub, "set-disable-deny-scripts") => reply.ok(),
        3 if is(sub, "error") => reply.error(&args[2]),
        3 if is(sub, "log") => {
            warn!(message = %args[2].escape_ascii(), "DEBUG LOG");
            reply.ok();
        }
        4 if is(sub, "stringmatch-len") => {
            let len = usize::try_from(integer(&args[2])?)
                .ok()
                .filter(|len| *len <= MATCHED_BYTES_MAX)
                .ok_or(Error::OUT_OF_RANGE)?;
            let text = vec![b'x'; len];
            reply.integer(i64::from(glob::matches(&args[3], &text, false)));
        }
        _ => return Err(Error::bad_subcommand("DEBUG", sub)),
    }
    Ok(Answer::Now)
}

/// Does something on every shard, and says OK when it is done.
fn everywhere(
    shard: &mut Shard,
    client: &mut Client,
    change: impl Fn(&mut Shard) + Clone + Send + 'static,
) -> Answer {
    shard.gather(client, change, |_, _, reply| {
        reply.ok();
        Ok(())
    })
}

fn rewrite_all(shard: &Shard, reply: &mut Reply<'_>) -> Result<(), Error> {
    let failed =
        |fault: &str| Error::from_text(format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {fault}"));
    let file = shard.process.config_file.as_ref();
    // As Redis says it.
    let file = file.ok_or_else(|| failed("Bad address"))?;
    let config = shard.process.current_config();
    let rewritten = config.rewrite_all(Path::new(file), &shard.process.access.users());
    rewritten.map_err(|error| failed(&error.fault))?;
    reply.ok();
    Ok(())
}

fn reply_buffer(args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (what, value) = (&args[2], &args[3]);
    if is(what, "peak-reset-time") {
        if !is(value, "never") && !is(value, "reset") {
            integer(value)?;
        }
    } else if !is(what, "resizing") {
        return Err(Error::bad_subcommand("DEBUG", &args[1]));
    }
    reply.ok();
    Ok(())
}

/// Strings, made past the log, as in Redis: whoever tests wants many of them soon.
fn populate(shard: &mut Shard, client: &mut Client, args: &Args<'_>) -> Result<Answer, Error> {
    refuse_in_exec(client)?;
    let count = at_least(0, &args[2], Error::MUST_BE_POSITIVE)?;
    let prefix: Box<[u8]> = args.get(3).unwrap_or(b"key").into();
    let size = args
        .get(4)
        .map(|text| at_least(0, text, Error::MUST_BE_POSITIVE));
    let size = size.transpose()?.filter(|size| *size > 0);
    if size.is_some_and(|size| size > shard.engine.config.proto_max_bulk_len) {
        return Err(Error::OUT_OF_RANGE);
    }
    let db = client.session.db;
    let visit = move |shard: &mut Shard| {
        for number in 0..count {
            let key = [&prefix, b":".as_slice(), number.to_string().as_bytes()].concat();
            if shard.engine.slots.owner(&key) != shard.engine.id {
                continue;
            }
            shard.engine.expire_if_due(db, &key);
            if shard.engine.databases.get(db).get(&key).is_none() {
                let mut value = format!("value:{number}").into_bytes();
                value.resize(size.unwrap_or(value.len()), 0);
                let entry = Entry::string(&key, &value, None);
                shard.engine.databases.get_mut(db).insert_new(entry);
            }
        }
    };
    let shards = (0..shard.engine.slots.shards()).map(ShardId::new).collect();
    let finish = |_: &mut Shard, _, reply: &mut Reply<'_>| {
        reply.ok();
        Ok(())
    };
    Ok(shard.gather_when(client, shards, Until::AllHome, visit, finish))
}

/// All shards stop, as all of Redis does. What is no number is no time.
fn sleep(shard: &mut Shard, client: &mut Client, text: &[u8]) -> Result<Answer, Error> {
    let seconds = float(text).unwrap_or(0.0).max(0.0);
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| Error::OUT_OF_RANGE)?;
    Ok(shard.gather(
        client,
        move |shard| {
            // The others are to sleep meanwhile, not after.
            shard.flush();
            if shard.speaks_for_thread() {
                thread::sleep(time);
            }
        },
        |_, _, reply| {
            reply.ok();
            Ok(())
        },
    ))
}

/// Visits the entry of one key, if it is live, on its owner and as soon as no transaction holds it.
fn look(
    shard: &mut Shard,
    client: &mut Client,
    key: &[u8],
    visit: impl Fn(&Entry, UnixMillis) -> Result<String, Error> + Clone + Send + 'static,
) -> Result<Answer, Error> {
    refuse_in_exec(client)?;
    let db = client.session.db;
    let key: Box<[u8]> = key.into();
    let until = Until::Home([key.clone()].into());
    let owner = shard.engine.slots.owner(&key);
    let there = move |shard: &mut Shard| {
        let now = shard.engine.now;
        let entry = shard.engine.databases.get(db).get(&key);
        let entry = entry.filter(|entry| !entry.is_expired(now));
        visit(entry.ok_or(Error::NO_SUCH_KEY)?, now)
    };
    let finish = |_: &mut Shard, parts: Vec<Result<String, Error>>, reply: &mut Reply<'_>| {
        for text in parts {
            reply.simple(&text?);
        }
        Ok(())
    };
    Ok(shard.gather_when(client, vec![owner], until, there, finish))
}

/// The length is that of the value in memory: no file has to be written to tell it.
fn object(shard: &mut Shard, client: &mut Client, key: &[u8]) -> Result<Answer, Error> {
    look(shard, client, key, |entry, now| {
        Ok(format!(
            "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
            entry,
            entry.encoding(),
            entry.memory_bytes(),
            entry.access(),
            AccessPolicy::idle_time(entry, now).as_secs(),
        ))
    })
}

fn listpack(shard: &mut Shard, client: &mut Client, key: &[u8]) -> Result<Answer, Error> {
    look(shard, client, key, |entry, _| {
        let pack = match entry.as_object() {
            Some(Object::Hash(hash)) => hash.as_listpack(),
            Some(Object::Set(set)) => set.as_listpack(),
            Some(Object::SortedSet(set)) => set.pack(),
            Some(Object::List(list)) => list.packs().next().filter(|_| list.is_packed()),
            Some(Object::Stream(_)) | None => None,
        };
        let pack = pack.ok_or(Error::new("ERR Not a listpack encoded object."))?;
        info!(
            bytes = pack.byte_len(),
            elements = pack.len(),
            "DEBUG LISTPACK"
        );
        Ok("Listpack structure printed on stdout".to_owned())
    })
}

/// What looks at data waits until no transaction holds it, and inside EXEC that would be for ever.
fn refuse_in_exec(client: &Client) -> Result<(), Error> {
    if client.session.in_exec {
        Err(Error::new(
            "ERR DEBUG cannot look at data inside a transaction",
        ))
    } else {
        Ok(())
    }
}

/// All data of all shards at one instant.
fn digest(shard: &mut Shard, client: &mut Client, args: &Args<'_>) -> Result<Answer, Error> {
    refuse_in_exec(client)?;
    let command = lookup(&args[0]).ok_or(Error::SYNTAX)?;
    let header = client.header(command);
    let to = client.stall();
    shard
        .engine
        .begin_whole(to, header, args, |global, _, reply| {
            let numbers = global.databases().into_iter();
            let databases = numbers.map(|db| (db.number(), global.keyspaces(db)));
            reply.simple(&Digest::of_databases(databases, global.now).to_string());
            Ok(())
        });
    shard.settle();
    Ok(Answer::Later)
}

/// The digest of each key's value; zeros where there is no such key.
fn digest_value(shard: &mut Shard, client: &mut Client, args: &Args<'_>) -> Result<Answer, Error> {
    refuse_in_exec(client)?;
    let keys: Arc<[Box<[u8]>]> = (2..args.len()).map(|at| args[at].into()).collect();
    let owners: Vec<_> = keys
        .iter()
        .map(|key| shard.engine.slots.owner(key))
        .collect();
    let shards: BTreeSet<_> = owners.iter().copied().collect();
    let db = client.session.db;
    let until = Until::Home(Arc::clone(&keys));
    let visit = move |shard: &mut Shard| -> Vec<(usize, Digest)> {
        let (now, keyspace) = (shard.engine.now, shard.engine.databases.get(db));
        let all = keys.iter().enumerate();
        all.filter_map(|(at, key)| {
            let entry = keyspace.get(key).filter(|entry| !entry.is_expired(now))?;
            Some((at, Digest::of_value(entry, now)))
        })
        .collect()
    };
    let shards = shards.into_iter().collect();
    Ok(
        shard.gather_when(client, shards, until, visit, move |_, parts, reply| {
            let mut digests = vec![Digest::default(); owners.len()];
            for (at, digest) in parts.into_iter().flatten() {
                if let Some(slot) = digests.get_mut(at) {
                    *slot = digest;
                }
            }
            reply.array(digests.len());
            digests
                .iter()
                .for_each(|digest| reply.simple(&digest.to_string()));
            Ok(())
        }),
    )
}
