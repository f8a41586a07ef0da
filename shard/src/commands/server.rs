//! The process: its clock, its end, its name.

use std::time::{SystemTime, UNIX_EPOCH};

use config::ShutdownFlags;
use engine::commands::options::{integer, is};
use engine::error::Error;
use protocol::args::Args;
use protocol::reply::Reply;
use tracing::info;

use crate::client::Client;
use crate::dispatch::handler::Answer;
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shutdown {
    End(ShutdownFlags),
    Abort,
}

impl Shutdown {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let (mut flags, mut abort) = (ShutdownFlags::default(), false);
        for word in args.iter().skip(1) {
            if is(word, "abort") {
                abort = true;
            } else if !flags.add(word) {
                return Err(Error::SYNTAX);
            }
        }
        if flags.is_contradiction() || abort && flags != ShutdownFlags::default() {
            return Err(Error::SYNTAX);
        }
        Ok(if abort { Self::Abort } else { Self::End(flags) })
    }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`: no reply but the closed connection, or an
/// error where the data cannot be saved. ABORT calls off an end for which a snapshot is being
/// written; it is answered with OK.
pub fn shutdown(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let flags = match Shutdown::parse(args)? {
        Shutdown::End(flags) => flags,
        Shutdown::Abort => {
            if !shard.give_stop_up() {
                return Err(Error::new("ERR No shutdown in progress."));
            }
            info!(client = client.session.id, "the shutdown was aborted");
            reply.ok();
            return Ok(Answer::Now);
        }
    };
    if !flags.no_save {
        // What a script has done so far is not to be saved.
        shard.engine.admission.admit_beside_scripts()?;
    }
    info!(client = client.session.id, "asked to shut down");
    let to = client.stall();
    if let Err(error) = shard.attempt_stop(flags, Some(to)) {
        let mut encoded = Vec::new();
        error.write(&mut Reply::new(&mut encoded, client.session.version));
        shard.complete(shard.engine.id, to, encoded);
    }
    Ok(Answer::Later)
}

/// `MONITOR`: OK, and then a line for every command. Nothing at all where the connection is a
/// monitor already.
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
        // Which one is asked for changes nothing; it is a number all the same, as is what may stand
        // behind it.
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
            text.push(if shard.engine.random.usize(..ROWS) <= row {
                '#'
            } else {
                ' '
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

    fn parse(words: &str) -> Result<Shutdown, Error> {
        let args = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        Shutdown::parse(&args.borrow())
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
        assert_eq!(parse("shutdown abort"), Ok(Shutdown::Abort));
        let plain = Shutdown::End(ShutdownFlags::default());
        assert_eq!(parse("shutdown"), Ok(plain));
        let Ok(Shutdown::End(flags)) = parse("shutdown NOSAVE now FORCE") else {
            panic!("an end");
        };
        assert!(flags.no_save && flags.now && flags.force && !flags.save);
    }
}
