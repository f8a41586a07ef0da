//! FUNCTION: the libraries of functions that FCALL runs.

use engine::admission::BUSY_SCRIPT;
use engine::commands::options::is;
use engine::error::Error;
use engine::eviction::Room;
use engine::slot::ShardId;
use engine::steps::functions::Running;
use lua::library::Library;
use lua::script::ScriptFlags;
use protocol::args::{Args, OwnedArgs};
use protocol::facts::Libraries;
use protocol::glob;
use protocol::reply::Reply;
use storage::rdb::dump_functions;

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::functions::Change;
use crate::shard::Shard;
use crate::transaction::gather::PartOf;

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DELETE <library-name>",
    "    Remove a library and its functions.",
    "DUMP",
    "    All libraries as bytes, for RESTORE.",
    "FLUSH [ASYNC|SYNC]",
    "    Remove all libraries.",
    "KILL",
    "    End the function that has run for too long, unless it has written.",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "    The libraries, each with its functions.",
    "LOAD [REPLACE] <function-code>",
    "    Add a library, and tell its name. With REPLACE it takes the place of one of that name.",
    "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
    "    Add the libraries of a payload. Those that are there go (FLUSH), or must have other names",
    "    (APPEND, the default), or go where they have the same (REPLACE).",
    "STATS",
    "    The function that runs, and how many libraries and functions there are.",
    "HELP",
    "    Show this help.",
];

/// The one engine that there is.
const ENGINE: &[u8] = b"LUA";

/// `FUNCTION DELETE library-name`: OK; an error where there is none of this name.
pub fn delete(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    change(shard, client, args, Libraries::Deleted)
}

/// `FUNCTION DUMP`: all libraries as bytes.
pub fn dump(
    shard: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let libraries = shard.process.scripts.libraries.current();
    let codes = libraries.iter().map(|library| &*library.code);
    reply.bulk(&dump_functions(codes, shard.engine.config.compression()));
    Ok(Answer::Now)
}

/// `FUNCTION FLUSH [ASYNC | SYNC]`: OK, and there are no libraries.
pub fn flush(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    change(shard, client, args, Libraries::Flushed)
}

/// `FUNCTION HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}

/// `FUNCTION KILL`: OK where a function that has run for long ends by it; NOTBUSY where there is
/// none, UNKILLABLE where it has written.
pub fn kill(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(shard.kill_scripts(client, true))
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`: for each library a map of its name, engine,
/// functions and perhaps its code.
pub fn list(
    shard: &mut Shard,
    _: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = args.iter().skip(2);
    while let Some(word) = words.next() {
        if !with_code && is(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(word, "LIBRARYNAME") {
            let missing = Error::new("ERR library name argument was not given");
            pattern = Some(words.next().ok_or(missing)?);
        } else {
            let text = [b"ERR Unknown argument ", word].concat();
            return Err(Error::from_bytes(text));
        }
    }
    let libraries = shard.process.scripts.libraries.current();
    let is_meant = |library: &&_| {
        let library: &Library = library;
        pattern.is_none_or(|pattern| glob::matches(pattern, &library.name, true))
    };
    let meant: Vec<&Library> = libraries.iter().map(|it| &**it).filter(is_meant).collect();
    reply.array(meant.len());
    meant
        .iter()
        .for_each(|library| write_library(library, with_code, reply));
    Ok(Answer::Now)
}

/// `FUNCTION LOAD [REPLACE] function-code`: the name of the library, whose functions may be called.
pub fn load(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    change(shard, client, args, Libraries::Loaded)
}

/// `FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]`: OK, and the libraries of FUNCTION DUMP
/// are there.
pub fn restore(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    change(shard, client, args, Libraries::Restored)
}

/// `FUNCTION STATS`: the function that has run for long, if there is one, and how many there are.
pub fn stats(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(
        shard.gather(client, Shard::running_script, |shard, found, reply| {
            let mut running = found.into_iter().flatten();
            let running = running.next();
            if running.as_ref().is_some_and(|it| it.function.is_none()) {
                return Err(BUSY_SCRIPT);
            }
            reply.map(2);
            reply.bulk(b"running_script");
            write_running(running.as_ref(), reply);
            let libraries = shard.process.scripts.libraries.current();
            reply.bulk(b"engines");
            reply.map(1);
            reply.bulk(ENGINE);
            reply.map(2);
            reply.bulk(b"libraries_count");
            reply.integer(libraries.iter().len() as i64);
            reply.bulk(b"functions_count");
            reply.integer(libraries.function_count() as i64);
            Ok(())
        }),
    )
}

fn write_library(library: &Library, with_code: bool, reply: &mut Reply<'_>) {
    reply.map(3 + usize::from(with_code));
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(ENGINE);
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(&function.name);
        reply.bulk(b"description");
        match &function.description {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        let flags = names_of(function.flags);
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn names_of(flags: ScriptFlags) -> Vec<&'static str> {
    let all = [
        (flags.no_writes, "no-writes"),
        (flags.allow_oom, "allow-oom"),
        (flags.allow_stale, "allow-stale"),
        (flags.no_cluster, "no-cluster"),
        (flags.allow_cross_slot_keys, "allow-cross-slot-keys"),
    ];
    let set = all.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).collect()
}

fn write_running(running: Option<&Running>, reply: &mut Reply<'_>) {
    let Some(running) = running else {
        return reply.null();
    };
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(running.function.as_deref().unwrap_or_default());
    reply.bulk(b"command");
    let command = running.command.borrow();
    reply.array(command.len());
    command.iter().for_each(|word| reply.bulk(word));
    reply.bulk(b"duration_ms");
    reply.integer(i64::try_from(running.time.as_millis()).unwrap_or(i64::MAX));
}

/// The name of what was loaded, if the change was that.
type Outcome = Result<Option<Vec<u8>>, Error>;

/// Has the libraries changed by the shard that logs it. The answer is OK, or the name of what was
/// loaded, and comes when that is as safe as `appendfsync` says.
fn change(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    what: Libraries,
) -> Result<Answer, Error> {
    let grows = matches!(what, Libraries::Loaded | Libraries::Restored);
    if grows && !client.session.in_exec && shard.engine.make_room() == Room::None {
        return Err(Error::OUT_OF_MEMORY);
    }
    Change::parse(what, args)?;
    let command = OwnedArgs::from(args);
    let arrive = move |shard: &mut Shard, part: PartOf<Outcome>| {
        let outcome = shard.change_libraries(what, &command.borrow());
        part.tell_when_synced(shard, outcome);
    };
    let finish = |_: &mut Shard, outcomes: Vec<Outcome>, reply: &mut Reply<'_>| {
        for outcome in outcomes {
            match outcome? {
                Some(name) => reply.bulk(&name),
                None => reply.ok(),
            }
        }
        Ok(())
    };
    Ok(shard.gather_told(client, vec![ShardId::new(0)], arrive, finish))
}

impl Shard {
    /// On the shard that logs it: changes the libraries.
    fn change_libraries(&mut self, what: Libraries, args: &Args<'_>) -> Outcome {
        let Some(change) = Change::parse(what, args)? else {
            return Ok(None);
        };
        let process = self.process.clone();
        let store = &process.scripts.libraries;
        let made = self
            .engine
            .with_machine(|machine| change.make(store, machine))?;
        self.engine.log_shared_change(args);
        Ok(made)
    }

    /// A script of this shard, or of an EXEC here, that has run for long.
    fn running_script(&mut self) -> Option<Running> {
        let of_exec = |token| {
            let client = self.client(token)?.borrow();
            client.suspended.as_ref()?.running_script(&self.engine)
        };
        let own = self.engine.running_script();
        own.or_else(|| self.connections.paused.iter().copied().find_map(of_exec))
    }
}
