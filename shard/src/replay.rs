//! Reads an append-only log, at the start: the snapshot it begins with, then its parts, each part's files side by side on threads of their own.
//!
//! Each record can be replayed from one file alone (see `journal`), on the keys of the shard that wrote it. So a part is replayed on as many
//! sets of databases as it had shards, and between parts, and at the end, keys move to where the next number of shards wants them.
//!
//! First the tails: a crash leaves files that end at different moments, in the middle of a record perhaps, and transactions of which some
//! file has a share and another has not. Every file is cut back to where all is whole: a torn record goes; a transaction goes that lacks a
//! share, with all behind it in the same file; which may take a share from another transaction, and so on until nothing more goes. What is
//! left is a consistent cut: whatever it contains, it contains everything that came before. Under `appendfsync always` nothing that was
//! answered goes, since a reply waits until its transaction, and those before it in its file, are whole on disk (see `aof`).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use protocol::args::{Args, OwnedArgs};
use protocol::reply::{Reply, Version};
use protocol::table::lookup;
use storage::aof::{Reader, Record, Stop, TRANSACTION};
use storage::{Databases, DbIndex, Hash, UnixMillis};
use tracing::{info, warn};

use crate::aof_manifest::{Folder, Manifest, Part};
use crate::config::Config;
use crate::context::{Caller, Context, Effects};
use crate::handler::{HANDLERS, Handler};
use crate::loading;
use crate::process::Process;
use crate::slot::SlotMap;

/// Why the log was not loaded. Nothing has been changed.
#[derive(Debug)]
pub struct NotReplayed {
    path: PathBuf,
    at: u64,
    what: String,
}

impl fmt::Display for NotReplayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot load {} at offset {}: {}. Nothing was overwritten. Restore the file from a copy, or move it away to start without it",
            self.path.display(),
            self.at,
            self.what
        )
    }
}

impl std::error::Error for NotReplayed {}

fn failed(path: &Path, at: u64, what: impl Into<String>) -> NotReplayed {
    NotReplayed {
        path: path.into(),
        at,
        what: what.into(),
    }
}

/// Reads the log that `manifest` names.
pub fn replay(
    folder: &Folder,
    manifest: &Manifest,
    config: &Config,
    process: &Process,
) -> Result<Vec<Databases>, NotReplayed> {
    let began = Instant::now();
    let hasher = &process.hasher;
    let empty = |shards: usize| -> Vec<Databases> {
        let one = || Databases::new(config.databases, hasher.clone());
        (0..shards).map(|_| one()).collect()
    };
    mend_tails(folder, &manifest.parts, config)?;
    let mut slots = SlotMap::new(manifest.parts.first().map_or(config.shards, |it| it.shards));
    let mut databases = empty(slots.shards());
    if let Some(name) = &manifest.base {
        let path = folder.base(name);
        side_by_side(process, &mut databases, |shard, databases| {
            loading::load_part(&path, config, databases, slots, shard)
                .map_err(|error| failed(&error.path, error.damage.at, error.damage.what))
        })?;
    }
    for part in &manifest.parts {
        let next = SlotMap::new(part.shards);
        if next.shards() != slots.shards() {
            databases = distribute(databases, empty(next.shards()), next);
            slots = next;
        }
        side_by_side(process, &mut databases, |shard, databases| {
            replay_file(&folder.part(part.sequence, shard), config, databases)
        })?;
    }
    let now = SlotMap::new(config.shards);
    if now.shards() != slots.shards() {
        info!(
            written_by = slots.shards(),
            shards = now.shards(),
            "giving keys to another number of shards"
        );
        databases = distribute(databases, empty(now.shards()), now);
    }
    let keys: usize = databases
        .iter()
        .flat_map(|of_shard| of_shard.indices().map(|db| of_shard.get(db).len()))
        .sum();
    let took_ms = began.elapsed().as_millis() as u64;
    info!(keys, took_ms, "append-only log loaded");
    Ok(databases)
}

/// Does something with each shard's databases, on a thread each.
fn side_by_side(
    process: &Process,
    databases: &mut [Databases],
    work: impl Fn(usize, &mut Databases) -> Result<(), NotReplayed> + Sync,
) -> Result<(), NotReplayed> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = databases
            .iter_mut()
            .enumerate()
            .map(|(shard, databases)| {
                scope.spawn(move || {
                    let done = work(shard, databases);
                    process.memory.leave();
                    done
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err(failed(Path::new("the log"), 0, "a thread panicked")))
        })
    })
}

/// Moves all keys to where `slots` wants them.
fn distribute(from: Vec<Databases>, mut to: Vec<Databases>, slots: SlotMap) -> Vec<Databases> {
    for mut databases in from {
        for db in databases.indices() {
            for entry in databases.get_mut(db).drain() {
                let owner = slots.owner(entry.key());
                to[owner.index()].get_mut(db).insert_new(entry);
            }
        }
    }
    to
}

/// Hashes with fields that expire.
pub fn hashes_with_deadlines(databases: &Databases) -> Vec<(DbIndex, Box<[u8]>)> {
    let mut found = Vec::new();
    for db in databases.indices() {
        for entry in databases.get(db).iter() {
            let hash = entry.get::<Hash>();
            if hash.is_ok_and(|hash| hash.next_deadline().is_some()) {
                found.push((db, entry.key().into()));
            }
        }
    }
    found
}

/// What is known of one file's end.
struct Tail {
    path: PathBuf,
    part: u64,
    shard: usize,
    len: u64,
    /// Where what is whole ends, as far as is known.
    end: u64,
    /// Transactions over several shards: where each begins, and who takes part.
    transactions: Vec<(u64, Box<[u8]>, Vec<usize>)>,
}

/// Cuts the files back to where all is whole. What a shard wrote after what is cut goes too, in later parts as well.
fn mend_tails(folder: &Folder, parts: &[Part], config: &Config) -> Result<(), NotReplayed> {
    let mut tails: Vec<Tail> = Vec::new();
    for part in parts {
        for shard in 0..part.shards {
            let path = folder.part(part.sequence, shard);
            tails.push(look_at_tail(path, part.sequence, shard)?);
        }
    }
    loop {
        // The shares that are left, of each file.
        let left: HashMap<(u64, usize), HashSet<&[u8]>> = tails
            .iter()
            .map(|tail| {
                let before = tail.transactions.iter().filter(|it| it.0 < tail.end);
                ((tail.part, tail.shard), before.map(|it| &*it.1).collect())
            })
            .collect();
        let mut ends: Vec<u64> = Vec::with_capacity(tails.len());
        for tail in &tails {
            let torn = tail.transactions.iter().find(|(at, id, participants)| {
                let has = |other: &usize| {
                    let share = left.get(&(tail.part, *other));
                    share.is_some_and(|it| it.contains(&**id))
                };
                *at < tail.end && !participants.iter().all(has)
            });
            let is_cut = |it: &&Tail| it.end < it.len && it.shard == tail.shard;
            let follows = tails.iter().filter(is_cut).any(|it| it.part < tail.part);
            ends.push(match torn {
                _ if follows => 0,
                Some(torn) => torn.0,
                None => tail.end,
            });
        }
        if tails.iter().map(|tail| tail.end).eq(ends.iter().copied()) {
            break;
        }
        for (tail, end) in tails.iter_mut().zip(ends) {
            tail.end = end;
        }
    }
    for tail in &tails {
        // What is read now must not be lost to a later crash, when there are parts that build on it.
        let synced = File::open(&tail.path).and_then(|file| file.sync_all());
        synced.map_err(|error| failed(&tail.path, 0, error.to_string()))?;
    }
    for tail in tails.iter().filter(|tail| tail.end < tail.len) {
        let cut = tail.len - tail.end;
        if !config.aof_load_truncated {
            let what = format!(
                "its last {cut} bytes are not whole; start with --aof-load-truncated yes to cut them off"
            );
            return Err(failed(&tail.path, tail.end, what));
        }
        warn!(
            file = %tail.path.display(),
            bytes = cut,
            at = tail.end,
            "the end of this log was not written whole, and is cut off"
        );
        let cut_off = || {
            let file = File::options().write(true).open(&tail.path)?;
            file.set_len(tail.end)?;
            file.sync_all()
        };
        cut_off().map_err(|error| failed(&tail.path, tail.end, error.to_string()))?;
    }
    Ok(())
}

fn look_at_tail(path: PathBuf, part: u64, shard: usize) -> Result<Tail, NotReplayed> {
    let mut reader = Reader::open(&path).map_err(|error| failed(&path, 0, error.to_string()))?;
    let mut tail = Tail {
        path,
        part,
        shard,
        len: reader.len(),
        end: 0,
        transactions: Vec::new(),
    };
    let mut group = None;
    loop {
        let at = reader.at();
        match reader.read() {
            Ok(Record::End) => break,
            Ok(Record::Time(_)) => {}
            Ok(Record::Command) => {
                let mut args = reader.args();
                match args.next().unwrap_or_default() {
                    b"MULTI" => group = Some(at),
                    b"EXEC" => group = None,
                    TRANSACTION => {
                        let id = args.next().unwrap_or_default().into();
                        let shards =
                            args.filter_map(|text| std::str::from_utf8(text).ok()?.parse().ok());
                        let begins = group.unwrap_or(at);
                        tail.transactions.push((begins, id, shards.collect()));
                    }
                    _ => {}
                }
            }
            Err(Stop::Torn { .. }) => break,
            Err(Stop::Damaged(damage)) => {
                return Err(failed(&tail.path, damage.at, damage.what));
            }
        }
        if group.is_none() {
            tail.end = reader.at();
        }
    }
    Ok(tail)
}

/// Replays one file on the databases of the shard that wrote it.
fn replay_file(path: &Path, config: &Config, databases: &mut Databases) -> Result<(), NotReplayed> {
    let mut reader = Reader::open(path).map_err(|error| failed(path, 0, error.to_string()))?;
    let mut player = Player {
        config,
        databases,
        effects: Effects::default(),
        random: fastrand::Rng::new(),
        selected: None,
        now: UnixMillis::new(0),
    };
    loop {
        let at = reader.at();
        match reader.read() {
            Ok(Record::End) => return Ok(()),
            Ok(Record::Time(now)) => player.now = now,
            Ok(Record::Command) => {
                let args = OwnedArgs::from_parts(reader.args());
                player
                    .play(&args.borrow())
                    .map_err(|what| failed(path, at, what))?;
            }
            Err(Stop::Torn { at }) => return Err(failed(path, at, "the end comes too early")),
            Err(Stop::Damaged(damage)) => return Err(failed(path, damage.at, damage.what)),
        }
    }
}

/// Runs the commands of a file.
struct Player<'a> {
    config: &'a Config,
    databases: &'a mut Databases,
    effects: Effects,
    random: fastrand::Rng,
    selected: Option<DbIndex>,
    now: UnixMillis,
}

impl Player<'_> {
    fn play(&mut self, args: &Args<'_>) -> Result<(), String> {
        let verb = &args[0];
        let number = |at: usize| {
            let text = args.get(at)?;
            let number = storage::item::parse_int(text)?;
            self.databases.index(u16::try_from(number).ok()?)
        };
        let shown = || format!("the command \"{}\"", verb.escape_ascii());
        match verb {
            b"MULTI" | b"EXEC" | TRANSACTION => return Ok(()),
            b"SELECT" => {
                self.selected = number(1);
                let missing = "a database that there is not; start with more --databases";
                return self.selected.map(|_| ()).ok_or_else(|| missing.into());
            }
            _ => {}
        }
        let id = lookup(verb).ok_or_else(|| format!("{}, which percore does not have", shown()))?;
        let selected = self.selected.ok_or("a command before the first SELECT")?;
        if verb.eq_ignore_ascii_case(b"flushdb") {
            drop(self.databases.get_mut(selected).clear());
            return Ok(());
        }
        if verb.eq_ignore_ascii_case(b"flushall") {
            for db in self.databases.indices() {
                drop(self.databases.get_mut(db).clear());
            }
            return Ok(());
        }
        if verb.eq_ignore_ascii_case(b"swapdb") {
            let (a, b) = (number(1), number(2));
            let (a, b) = a.zip(b).ok_or("SWAPDB of a database that there is not")?;
            self.databases.swap(a, b);
            return Ok(());
        }
        let id = match args.get(1) {
            Some(sub) if id.is_container() => protocol::table::lookup_sub(id, sub)
                .ok_or_else(|| format!("{} with an unknown sub-command", shown()))?,
            _ => id,
        };
        let Handler::Keyed(run) = HANDLERS[id.index()] else {
            return Err(format!("{}, which does not belong in a log", shown()));
        };
        if !id.command().accepts(args.len()) {
            return Err(format!("{} with a wrong number of arguments", shown()));
        }
        let mut encoded = Vec::new();
        let mut context = Context {
            databases: self.databases,
            selected,
            now: self.now,
            config: self.config,
            access: self.config.access_policy(),
            caller: Caller::default(),
            effects: &mut self.effects,
            random: &mut self.random,
        };
        let result = run(
            &mut context,
            args,
            &mut Reply::new(&mut encoded, Version::Resp2),
        );
        self.effects.wait = None;
        self.effects.discarded.clear();
        // The shard will look for these itself.
        self.effects.fields = Default::default();
        result.map_err(|error| format!("{} failed: {error}", shown()))
    }
}
