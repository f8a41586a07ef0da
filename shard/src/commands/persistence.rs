//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, DEBUG RELOAD.

use protocol::args::Args;
use protocol::reply::Reply;

use crate::batch::ReplyTo;
use crate::client::Client;
use crate::commands::options::is;
use crate::error::{Error, Outcome};
use crate::handler::Answer;
use crate::loading;
use crate::shard::Shard;
use crate::snapshot::{self, NotBegun};
use crate::world::World;

const UNDER_WAY: Error = Error::new("ERR Background save already in progress");

const REWRITE_UNDER_WAY: Error = Error::new(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
);

fn begin(shard: &mut Shard, waits: Option<ReplyTo>) -> Result<(), Error> {
    shard.begin_snapshot(waits).map_err(|why| match why {
        NotBegun::UnderWay => UNDER_WAY,
        NotBegun::Failed(error) => {
            tracing::error!(%error, dir = %shard.config.dir.display(), "cannot begin a snapshot");
            Error::new("ERR")
        }
    })
}

/// `SAVE`: a snapshot, and the reply when it is on disk. Unlike Redis's, it holds up nobody else.
pub fn save(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    // The place for the reply is taken only where there will be one.
    if shard.process.snapshots.current_s().is_some() {
        return Err(UNDER_WAY);
    }
    let to = client.stall();
    match begin(shard, Some(to)) {
        Ok(()) => {}
        Err(error) => {
            let mut encoded = Vec::new();
            error.write(&mut Reply::new(&mut encoded, client.session.version));
            shard.complete(shard.id, to, &encoded);
        }
    }
    Ok(Answer::Later)
}

/// `BGSAVE [SCHEDULE]`: begins a snapshot; with SCHEDULE once the log is rewritten, where that is under way.
pub fn bgsave(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    if args.len() > 2 || args.get(1).is_some_and(|word| !is(word, "SCHEDULE")) {
        return Err(Error::SYNTAX);
    }
    if shard.process.snapshots.current_rewrite_s().is_some() {
        if args.len() == 1 {
            return Err(REWRITE_UNDER_WAY);
        }
        shard.process.snapshots.schedule_save();
        reply.simple("Background saving scheduled");
        return Ok(Answer::Now);
    }
    begin(shard, None)?;
    // Its instant is that of EXEC's end.
    reply.simple(match client.session.in_exec {
        true => "Background saving scheduled",
        false => "Background saving started",
    });
    Ok(Answer::Now)
}

/// `BGREWRITEAOF`: begins to write the append-only log anew, from what there is now. Where none is kept, it is what the next start with
/// `appendonly yes` begins from.
pub fn bgrewriteaof(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let snapshots = &shard.process.snapshots;
    if snapshots.current_rewrite_s().is_some() {
        return Err(Error::new(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    if snapshots.current_s().is_some() {
        snapshots.schedule_rewrite();
        reply.simple("Background append only file rewriting scheduled");
        return Ok(Answer::Now);
    }
    shard.begin_rewrite().map_err(|why| match why {
        NotBegun::UnderWay => UNDER_WAY,
        NotBegun::Failed(error) => {
            tracing::error!(%error, "cannot begin to rewrite the append-only log");
            Error::new("ERR Can't execute an AOF background rewriting. Please check the server logs for more information.")
        }
    })?;
    reply.simple(match client.session.in_exec {
        true => "Background append only file rewriting scheduled",
        false => "Background append only file rewriting started",
    });
    Ok(Answer::Now)
}

/// `LASTSAVE`: Unix seconds of the last good snapshot.
pub fn lastsave(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    reply.integer(shard.process.snapshots.last_save_s() as i64);
    Ok(Answer::Now)
}

/// What DEBUG RELOAD leaves out.
#[derive(Default)]
pub struct Reload {
    no_save: bool,
    no_flush: bool,
    merge: bool,
}

impl Reload {
    /// The options of `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`.
    pub fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for word in args.iter().skip(2) {
            if is(word, "NOSAVE") {
                parsed.no_save = true;
            } else if is(word, "NOFLUSH") {
                parsed.no_flush = true;
            } else if is(word, "MERGE") {
                parsed.merge = true;
            } else {
                return Err(Error::new(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
        Ok(parsed)
    }
}

/// `DEBUG RELOAD`: saves all, forgets all, and loads it from the file again.
pub fn reload(world: &mut World<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let failed = |what: &dyn std::fmt::Display| {
        tracing::error!(error = %what, "DEBUG RELOAD failed");
        Error::new("ERR Error trying to load the RDB dump, check server logs.")
    };
    let options = Reload::parse(args)?;
    let process = world.process.clone();
    let config = process.current_config();
    if !options.no_save {
        let shards = world.shards.iter().map(|lent| &lent.databases);
        snapshot::save_now(&process, &config, shards).map_err(|error| failed(&error))?;
    }
    let file = loading::open_dump(&config).map_err(|error| failed(&error))?;
    if !options.no_flush {
        for db in world.databases() {
            for lent in &mut world.shards {
                let keyspace = lent.databases.get_mut(db).clear();
                world.discarded.push(keyspace);
            }
        }
    }
    loading::load_world(world, file, options.merge).map_err(|error| failed(&error))?;
    reply.ok();
    Ok(())
}
