//! SCRIPT: what is known of scripts, and what ends one that runs for long.

use engine::admission::{BUSY_FUNCTION, BUSY_SCRIPT};
use engine::commands::options::is;
use engine::error::Error;
use engine::steps::script_locks::Kill;
use engine::steps::script_programs::sha_of_text;
use lua::machine::LogLevel;
use protocol::args::Args;
use protocol::reply::Reply;
use tracing::{debug, info, warn};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;

const NOT_BUSY: Error = Error::new("NOTBUSY No scripts in execution right now.");
const UNKILLABLE: Error = Error::new(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill \
     the server in a hard way using the SHUTDOWN NOSAVE command.",
);

/// Valkey's words, which are fewer than EVALSHA's.
const NO_SCRIPT: Error = Error::new("NOSCRIPT No matching script.");

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    There is no debugger: NO alone is accepted.",
    "EXISTS <sha1> [<sha1> ...]",
    "    For each SHA1, 1 where its script is known, else 0.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts.",
    "KILL",
    "    End the script that has run for too long, unless it has written.",
    "LOAD <script>",
    "    Make a script known, and tell its SHA1.",
    "SHOW <sha1>",
    "    The text of a known script.",
    "HELP",
    "    Show this help.",
];

/// `SCRIPT DEBUG YES|SYNC|NO`: OK for NO; the others are refused, as there is no debugger.
pub fn debug(
    _: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    match &args[2] {
        mode if is(mode, "NO") => {
            reply.ok();
            Ok(Answer::Now)
        }
        mode if is(mode, "YES") || is(mode, "SYNC") => Err(Error::new(
            "ERR SCRIPT DEBUG is not supported: there is no debugger of scripts",
        )),
        _ => Err(Error::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`: for each 1 where its script is known, else 0.
pub fn exists(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.array(args.len() - 2);
    for sha in args.iter().skip(2) {
        let known = sha_of_text(sha).and_then(|sha| shard.process.scripts.find(&sha));
        reply.integer(i64::from(known.is_some()));
    }
    Ok(Answer::Now)
}

/// `SCRIPT FLUSH [ASYNC | SYNC]`: forgets all scripts.
pub fn flush(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let is_known = |mode: &[u8]| is(mode, "ASYNC") || is(mode, "SYNC");
    if args.len() > 3 || args.get(2).is_some_and(|mode| !is_known(mode)) {
        return Err(Error::new(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    shard.process.scripts.flush();
    shard.tell_all(|shard| shard.engine.forget_scripts());
    reply.ok();
    Ok(Answer::Now)
}

/// `SCRIPT HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}

/// `SCRIPT KILL`: OK where a script that has run for long ends by it; NOTBUSY where there is none,
/// UNKILLABLE where it has written.
pub fn kill(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(shard.kill_scripts(client, false))
}

/// `SCRIPT LOAD script`: its SHA1. The script is known from then on.
pub fn load(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let seen = shard.engine.learn_script(&args[2], true)?;
    reply.bulk(&seen.known.script.sha);
    Ok(Answer::Now)
}

/// `SCRIPT SHOW sha1`: the text of a known script; NOSCRIPT where it is not known.
pub fn show(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let known = sha_of_text(&args[2]).and_then(|sha| shard.process.scripts.find(&sha));
    reply.bulk(&known.ok_or(NO_SCRIPT)?.script.source);
    Ok(Answer::Now)
}

impl Shard {
    /// Asks every shard to end scripts, or functions, that have run for long.
    pub(crate) fn kill_scripts(&mut self, client: &mut Client, functions: bool) -> Answer {
        let visit = move |shard: &mut Shard| {
            let mut outcome = shard.engine.kill_scripts(functions);
            for token in shard.connections.paused.clone() {
                let client = shard.client(token).cloned();
                if let Some(client) = client
                    && let Some(suspended) = &mut client.borrow_mut().suspended
                {
                    outcome = outcome.max(suspended.kill_script(functions));
                }
            }
            outcome
        };
        self.gather(client, visit, move |_, outcomes: Vec<Kill>, reply| {
            match outcomes.into_iter().max().unwrap_or(Kill::NoneRuns) {
                Kill::NoneRuns => return Err(NOT_BUSY),
                Kill::Refused => return Err(UNKILLABLE),
                Kill::OtherKind if functions => return Err(BUSY_SCRIPT),
                Kill::OtherKind => return Err(BUSY_FUNCTION),
                Kill::Killed => reply.ok(),
            }
            Ok(())
        })
    }

    /// A script of this shard has run for long, or no longer does: all shards refuse commands.
    pub(crate) fn tell_busy(&mut self, is_busy: bool, is_function: bool) {
        if is_busy {
            warn!(
                "a script has run for longer than busy-reply-threshold: SCRIPT KILL ends it, unless it has written"
            );
        }
        self.note_busy(is_busy, is_function);
        self.tell_others(move |shard| shard.note_busy(is_busy, is_function));
    }

    fn note_busy(&mut self, is_busy: bool, is_function: bool) {
        let engine = &mut self.engine;
        let admission = &mut engine.admission;
        let by = |count: usize| {
            if is_busy {
                count + 1
            } else {
                count.saturating_sub(1)
            }
        };
        admission.busy_scripts = by(admission.busy_scripts);
        if is_function {
            admission.busy_functions = by(admission.busy_functions);
        }
        admission.settle(&engine.config);
    }

    /// A script's line for the log.
    pub(crate) fn log_of_script(&self, level: LogLevel, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        match level {
            LogLevel::Debug | LogLevel::Verbose => debug!(from = "script", "{text}"),
            LogLevel::Notice => info!(from = "script", "{text}"),
            LogLevel::Warning => warn!(from = "script", "{text}"),
        }
    }
}
