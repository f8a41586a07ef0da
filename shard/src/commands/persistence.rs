//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, DEBUG RELOAD and LOADAOF.

use engine::commands::options::is;
use engine::effect::{Effect, What};
use engine::error::{Error, Outcome};
use engine::header::{Header, ReplyTo};
use engine::transaction::coordinator::{Held, Scopes};
use engine::transaction::global::Global;
use lua::libraries::{Libraries, LibraryStore};
use persistence::manifest::Folder;
use persistence::progress::Progress;
use protocol::args::{Args, OwnedArgs};
use protocol::reply::Reply;

use crate::client::Client;
use crate::dispatch::handler::Answer;
use crate::process::Process;
use crate::shard::Shard;
use crate::snapshot::{NotBegun, Until};
use crate::{aof, loading, snapshot};

const UNDER_WAY: Error = Error::new("ERR Background save already in progress");

const REWRITE_UNDER_WAY: Error = Error::new(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
);

/// Begins a snapshot for this client, which is answered when it has come so far.
fn begin(shard: &mut Shard, client: &mut Client, until: Until) -> Result<Answer, Error> {
    // The place for the reply is taken only where there will be one.
    if shard.process.snapshots.current_s().is_some() {
        return Err(UNDER_WAY);
    }
    let to = client.stall();
    if let Err(why) = shard.begin_snapshot(Some((to, until))) {
        let mut encoded = Vec::new();
        let error = not_begun(shard, why);
        error.write(&mut Reply::new(&mut encoded, client.session.version));
        shard.complete(shard.engine.id, to, encoded);
    }
    Ok(Answer::Later)
}

fn not_begun(shard: &Shard, why: NotBegun) -> Error {
    match why {
        NotBegun::UnderWay => UNDER_WAY,
        NotBegun::Failed(error) => {
            tracing::error!(%error, dir = %shard.engine.config.dir.display(), "cannot begin a snapshot");
            Error::new("ERR")
        }
    }
}

/// `SAVE`: a snapshot, and the reply when it is on disk. Unlike Redis's, it holds up nobody else.
pub fn save(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    begin(shard, client, Until::Done)
}

/// `BGSAVE [SCHEDULE]`: begins a snapshot, and is answered when its instant has been: what is done
/// then is not in it. With SCHEDULE once the log is rewritten, where that is under way.
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
    if !client.session.in_exec {
        return begin(shard, client, Until::Begun);
    }
    // Its instant is after EXEC's end.
    let begun = shard.begin_snapshot(None);
    begun.map_err(|why| not_begun(shard, why))?;
    reply.simple("Background saving scheduled");
    Ok(Answer::Now)
}

/// `BGREWRITEAOF`: begins to write the append-only log anew, from what there is now. Where none is
/// kept, it is what the next start with `appendonly yes` begins from.
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
    reply.simple(if client.session.in_exec {
        "Background append only file rewriting scheduled"
    } else {
        "Background append only file rewriting started"
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

/// What DEBUG RELOAD was told.
#[derive(Default)]
pub struct Reload {
    merge: bool,
    no_flush: bool,
    no_save: bool,
}

impl Reload {
    /// The options of `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`.
    pub fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut reload = Self::default();
        for word in args.iter().skip(2) {
            if is(word, "merge") {
                reload.merge = true;
            } else if is(word, "noflush") {
                reload.no_flush = true;
            } else if is(word, "nosave") {
                reload.no_save = true;
            } else {
                return Err(Error::new(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
        Ok(reload)
    }
}

/// `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`: saves all, forgets all, and loads it from the file
/// again. With MERGE a key in the file takes the place of one that is there.
pub fn reload(
    process: &Process,
    global: &mut Global<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let failed = |what: &dyn std::fmt::Display| {
        tracing::error!(error = %what, "DEBUG RELOAD failed");
        Error::new("ERR Error trying to load the RDB dump, check server logs.")
    };
    let how = Reload::parse(args)?;
    let config = process.current_config();
    if !how.no_save {
        let shards = global.shards.iter().map(|lent| &lent.databases);
        snapshot::file::save_now(process, &config, shards).map_err(|error| {
            tracing::error!(%error, "DEBUG RELOAD cannot save");
            Error::new("ERR")
        })?;
        process.snapshots.saved_at_once();
        let dirty = global.shards.iter().map(|lent| lent.dirty);
        process.snapshots.now_saved(dirty);
    }
    let file = loading::open_dump(process, &config).map_err(|error| failed(&error))?;
    if !how.no_flush {
        for db in global.databases() {
            global.forget(db);
        }
    }
    global.all_changed = true;
    let store = &process.scripts.libraries;
    let mut libraries = Libraries::default();
    if how.no_flush {
        libraries = Libraries::clone(&store.current());
    }
    loading::load_world(global, &mut libraries, process.slots, file, how.merge)
        .map_err(|error| failed(&error))?;
    store.set(libraries);
    reply.ok();
    Ok(())
}

/// `DEBUG LOADAOF`: forgets all, and loads it from the append-only log, which is written by now.
pub fn load_log(
    process: &Process,
    global: &mut Global<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let failed = |what: &dyn std::fmt::Display| {
        tracing::error!(error = %what, "DEBUG LOADAOF failed");
        Error::new("ERR Error trying to load the AOF files, check server logs.")
    };
    if global.shards.iter().any(|lent| lent.log_fails) {
        return Err(failed(&"the log cannot be written"));
    }
    let config = process.current_config();
    let folder = Folder::new(&process.disk, &config);
    let manifest = folder.read().map_err(|error| failed(&error))?;
    let manifest = manifest.unwrap_or_default();
    let (libraries, progress) = (LibraryStore::default(), Progress::default());
    let loaded = aof::replay::replay(&folder, &manifest, &config, process, &libraries, &progress)
        .map_err(|error| failed(&error))?;
    process
        .scripts
        .libraries
        .set(Libraries::clone(&libraries.current()));
    for db in global.databases() {
        global.forget(db);
    }
    for (lent, databases) in global.shards.iter_mut().zip(loaded) {
        for (db, key) in aof::replay::hashes_with_deadlines(&databases) {
            let what = What::FieldsExpire;
            lent.effects.push(Effect {
                db,
                key: &key,
                what,
                by: None,
                payload: b"",
            });
        }
        lent.databases = databases;
    }
    let dirty = global.shards.iter().map(|lent| lent.dirty);
    process.snapshots.now_saved(dirty);
    reply.ok();
    Ok(())
}

/// A command that works on all databases, and on files.
pub struct Outside {
    to: ReplyTo,
    header: Header,
    args: OwnedArgs,
}

impl Outside {
    /// One of this client, which runs nothing else meanwhile.
    pub fn of(client: &mut Client, header: Header, args: &Args<'_>) -> Self {
        Self {
            to: client.stall(),
            header,
            args: OwnedArgs::from(args),
        }
    }
}

/// What such a command does.
type OnAll = fn(&Process, &mut Global<'_>, &Args<'_>, &mut Reply<'_>) -> Outcome;

impl Shard {
    /// Runs a command on all databases at one instant; `logged` where that reads the logs.
    pub(crate) fn begin_on_all(&mut self, command: Outside, logged: bool, run: OnAll) -> Answer {
        let client = command.to.client;
        let run_held = move |shard: &mut Self, _, mut held: Box<Held>| {
            let Outside { to, header, args } = command;
            let mut encoded = Vec::new();
            let mut reply = Reply::new(&mut encoded, header.version);
            let process = shard.process.clone();
            let on_all = |global: &mut Global<'_>, args: &Args<'_>, reply: &mut Reply<'_>| {
                run(&process, global, args, reply)
            };
            let args = args.borrow();
            let workspace = &mut held.workspace;
            shard
                .engine
                .run_whole(workspace, header, on_all, false, &args, &mut reply);
            let commit = shard.engine.commit(*held);
            shard.engine.answer(commit, to, encoded);
        };
        let task = self.tasks.transaction(Box::new(run_held));
        if logged {
            self.engine.begin_outside_logged(client, task);
        } else {
            self.engine
                .begin_outside(client, task, Scopes::default(), true);
        }
        self.settle();
        Answer::Later
    }
}
