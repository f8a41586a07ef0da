//! The process: its clock, its end, its name.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::args::Args;
use protocol::reply::Reply;
use tracing::info;

use crate::client::Client;
use crate::commands::options::{integer, is};
use crate::dispatch::handler::Answer;
use crate::error::Error;
use crate::process::{REDIS_VERSION, VERSION};
use crate::shard::Shard;

pub use crate::commands::info::info;

/// `TIME`: seconds of the Unix epoch, and microseconds, as strings.
pub fn time(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    reply.array(2);
    reply.bulk_integer(now.as_secs().cast_signed());
    reply.bulk_integer(i64::from(now.subsec_micros()));
    Ok(Answer::Now)
}

/// What SHUTDOWN was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct End {
    save: bool,
    no_save: bool,
    /// End even where saving fails.
    force: bool,
    abort: bool,
}

impl End {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut end = Self::default();
        let mut now = false;
        for word in args.iter().skip(1) {
            if is(word, "save") {
                end.save = true;
            } else if is(word, "nosave") {
                end.no_save = true;
            } else if is(word, "now") {
                now = true;
            } else if is(word, "force") {
                end.force = true;
            } else if is(word, "abort") {
                end.abort = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let contradicts = (end.save && end.no_save)
            || (end.abort && (end.save || end.no_save || end.force || now));
        match contradicts {
            true => Err(Error::SYNTAX),
            false => Ok(end),
        }
    }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`: no reply but the closed connection. There are no replicas to wait for, so NOW changes nothing.
pub fn shutdown(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let end = End::parse(args)?;
    if end.abort {
        return Err(Error::new("ERR No shutdown in progress."));
    }
    let mut saves = match end.save || end.no_save {
        true => end.save,
        false => shard.process.saves_at_stop(&shard.config),
    };
    if saves && !shard.could_save() {
        if !end.force {
            return Err(Error::new("ERR Errors trying to SHUTDOWN. Check logs."));
        }
        saves = false;
    }
    shard.process.set_save_at_stop(saves);
    info!(client = client.session.id, "asked to shut down");
    shard.stop_everywhere();
    Ok(Answer::None)
}

/// `MONITOR`: OK, and then a line for every command. Nothing at all where the connection is a monitor already.
pub fn monitor(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if client.session.in_exec {
        return Err(Error::new(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    if client.session.is_monitor() {
        return Ok(Answer::None);
    }
    shard.add_monitor(client);
    reply.ok();
    Ok(Answer::Now)
}

/// `LOLWUT [VERSION version]`: a small drawing, and the version.
pub fn lolwut(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() >= 3 && is(&args[1], "VERSION") {
        // Which one is asked for changes nothing; it is a number all the same, as is what may stand behind it.
        args.iter()
            .skip(2)
            .try_for_each(|word| integer(word).map(drop))?;
    }
    const COLUMNS: usize = 48;
    const ROWS: usize = 6;
    let mut text = String::new();
    for row in 0..ROWS {
        for _ in 0..COLUMNS {
            // A skyline: the lower, the denser.
            text.push(match shard.random.usize(..ROWS) <= row {
                true => '#',
                false => ' ',
            });
        }
        text.push('\n');
    }
    text.push_str(&format!(
        "\nRedis ver. {REDIS_VERSION} (percore {VERSION})\n"
    ));
    reply.verbatim("txt", text.as_bytes());
    Ok(Answer::Now)
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;

    use super::*;

    fn parse(words: &str) -> Result<End, Error> {
        let args = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        End::parse(&args.borrow())
    }

    #[test]
    fn shutdown_refuses_contradictions() {
        for words in [
            "shutdown save nosave",
            "shutdown abort now",
            "shutdown abort save",
            "shutdown later",
        ] {
            assert_eq!(parse(words), Err(Error::SYNTAX), "{words}");
        }
        assert_eq!(parse("shutdown"), Ok(End::default()));
        assert!(parse("shutdown NOSAVE now FORCE").is_ok_and(|end| end.no_save && end.force));
    }
}
