//! DEBUG: tools for testing the server itself. `enable-debug-command` says who may use them; nobody, where it is not set.

use std::thread;
use std::time::Duration;

use protocol::args::Args;
use protocol::glob;
use protocol::reply::Reply;
use protocol::table::lookup;
use storage::AccessPolicy;
use tracing::{error, warn};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::commands::config::is_local;
use crate::commands::options::{float, integer, is};
use crate::commands::persistence;
use crate::config::Permission;
use crate::error::Error;
use crate::gather::Until;
use crate::handler::Answer;
use crate::shard::Shard;

/// The longest text that STRINGMATCH-LEN makes, in bytes: a few bytes from a client must not cost gigabytes.
const MATCHED_BYTES_MAX: usize = 16 * 1024 * 1024;

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ERROR <text>",
    "    Answer with this error.",
    "LOG <message>",
    "    Write a message to the log.",
    "OBJECT <key>",
    "    How a key's value is kept.",
    "PANIC",
    "    Crash the server.",
    "RELOAD",
    "    Save the data, forget it and load it again.",
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

const NOT_ALLOWED: Error = Error::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, \
     otherwise you need to set this option in the configuration file, and then restart the server.",
);

/// `DEBUG subcommand [arg ...]`
pub fn debug(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    match shard.config.enable_debug_command {
        Permission::Yes => {}
        Permission::Local if is_local(&client.peer) => {}
        _ => return Err(NOT_ALLOWED),
    }
    let sub = &args[1];
    match args.len() {
        2 if is(sub, "help") => write_help(HELP, reply),
        2 if is(sub, "segfault") || is(sub, "panic") => {
            error!(client = client.session.id, "asked to crash");
            std::process::abort();
        }
        2.. if is(sub, "reload") => {
            let facts = client.facts(lookup(b"debug").ok_or(Error::SYNTAX)?);
            shard.begin_whole(client, facts, args, persistence::reload);
            return Ok(Answer::Later);
        }
        3 if is(sub, "sleep") => return sleep(shard, client, &args[2]),
        3 if is(sub, "object") => return Ok(object(shard, client, &args[2])),
        3 if is(sub, "set-active-expire") => {
            let on = integer(&args[2])? != 0;
            return Ok(shard.gather(
                client,
                move |shard| shard.active_expire = on,
                |_, _, reply| {
                    reply.ok();
                    Ok(())
                },
            ));
        }
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
        _ => return Err(unknown(sub)),
    }
    Ok(Answer::Now)
}

fn unknown(sub: &[u8]) -> Error {
    const ECHOED_BYTES_MAX: usize = 128;
    Error::from_bytes(
        [
            b"ERR unknown subcommand or wrong number of arguments for '",
            &sub[..sub.len().min(ECHOED_BYTES_MAX)],
            b"'. Try DEBUG HELP.",
        ]
        .concat(),
    )
}

/// All shards stop, as all of Redis does.
fn sleep(shard: &mut Shard, client: &mut Client, text: &[u8]) -> Result<Answer, Error> {
    let time =
        Duration::try_from_secs_f64(float(text)?.max(0.0)).map_err(|_| Error::OUT_OF_RANGE)?;
    Ok(shard.gather(
        client,
        move |_| thread::sleep(time),
        |_, _, reply| {
            reply.ok();
            Ok(())
        },
    ))
}

fn object(shard: &mut Shard, client: &mut Client, key: &[u8]) -> Answer {
    let db = client.session.db;
    let key: Box<[u8]> = key.into();
    let until = Until::Home([key.clone()].into());
    let owner = shard.slots.owner(&key);
    let visit = move |shard: &mut Shard| {
        let now = shard.now;
        let entry = shard.databases.get(db).get(&key)?;
        let idle = AccessPolicy::idle_time(entry, now).as_secs();
        (!entry.is_expired(now)).then(|| {
            format!(
                "Value at:{:p} refcount:1 encoding:{} lru:{} lru_seconds_idle:{idle}",
                entry,
                entry.encoding(),
                entry.access(),
            )
        })
    };
    shard.gather_when(client, vec![owner], until, visit, |_, parts, reply| {
        let text = parts.into_iter().flatten().next();
        reply.simple(&text.ok_or(Error::NO_SUCH_KEY)?);
        Ok(())
    })
}
